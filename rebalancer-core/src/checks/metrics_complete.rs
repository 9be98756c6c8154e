//! Check: the answer of the metrics server is complete.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::rule::{CheckInput, Failure, Rule, Verdict};
use crate::hold_reason::HoldReason;

/// The answer of the metrics server is complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MetricsComplete {
    /// Why the answer is incomplete, as the server reports it.
    pub partial: Option<String>,
}

impl HoldReason {
    /// The metrics may be incomplete.
    pub const METRICS_PARTIAL: Self = Self::new(
        "metrics_partial",
        "the metrics server reports that its answer may be incomplete",
        "repair the metrics server: the message contains its warning",
    )
    .missing_data();
}

impl Rule for MetricsComplete {
    const REASONS: &'static [HoldReason] = &[HoldReason::METRICS_PARTIAL];

    fn evaluate(input: &CheckInput<'_>) -> Option<(Verdict, Self)> {
        let partial = input.snapshot.data().metrics_partial.clone();
        Some((Verdict::pass_if(partial.is_none()), Self { partial }))
    }

    fn failure(&self) -> Failure {
        Failure {
            reason: HoldReason::METRICS_PARTIAL,
            missing_data: true,
            untrusted_loads: true,
        }
    }
}

impl fmt::Display for MetricsComplete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.partial {
            None => f.write_str("the metrics are complete"),
            Some(why) => write!(f, "the metrics may be incomplete: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rule::testing::check_snapshot;
    use super::*;
    use crate::checks::CheckDetails;
    use crate::policy::Policy;
    use serde_json::json;

    #[test]
    fn partial_metrics_fail_as_missing_data() {
        let snapshot = json!({"metrics_partial": "one store did not answer", "pods": []});
        let check = check_snapshot(CheckDetails::MetricsComplete, &snapshot, &Policy::default());
        assert_eq!(
            check.message,
            "the metrics may be incomplete: one store did not answer"
        );
        assert!(check.means_missing_data() && check.means_untrusted_loads());
    }

    #[test]
    fn complete_metrics_pass() {
        let snapshot = json!({"pods": []});
        let check = check_snapshot(CheckDetails::MetricsComplete, &snapshot, &Policy::default());
        assert_eq!(check.verdict, Verdict::Pass);
        assert!(!check.means_missing_data() && !check.means_untrusted_loads());
    }
}
