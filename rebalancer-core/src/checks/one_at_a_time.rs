//! Check: no other run acts on the workload.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::rule::{CheckInput, Failure, Rule, Verdict};
use crate::hold_reason::HoldReason;
use crate::lease::LeaseHolder;

/// No other run acts on the workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OneAtATime {
    /// The other run.
    pub other_run: Option<LeaseHolder>,
}

impl HoldReason {
    /// Another run acts on the workload.
    pub const ANOTHER_RUN: Self = Self::new(
        "another_run",
        "another run acts on the workload",
        "nothing: it holds a lease until it ends, and the next run takes over an expired lease",
    )
    .that_may_last();
}

impl Rule for OneAtATime {
    const REASONS: &'static [HoldReason] = &[HoldReason::ANOTHER_RUN];

    fn evaluate(input: &CheckInput<'_>) -> Option<(Verdict, Self)> {
        let other_run = input.snapshot.data().other_run.clone();
        Some((Verdict::pass_if(other_run.is_none()), Self { other_run }))
    }

    fn failure(&self) -> Failure {
        Failure {
            reason: HoldReason::ANOTHER_RUN,
            missing_data: false,
            untrusted_loads: false,
        }
    }
}

impl fmt::Display for OneAtATime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.other_run {
            None => f.write_str("no other run acts on this workload"),
            Some(other) => write!(
                f,
                "another run acts on this workload: {} (its lease expires in {} unless renewed)",
                other.identity,
                other.expires_seconds.rounded()
            ),
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
    fn names_the_other_run() {
        let snapshot = json!({
            "other_run": {"identity": "pod-7", "expires_seconds": 42}, "pods": []
        });
        let check = check_snapshot(CheckDetails::OneAtATime, &snapshot, &Policy::default());
        assert_eq!(check.verdict, Verdict::Fail);
        assert_eq!(
            check.message,
            "another run acts on this workload: pod-7 (its lease expires in 42 s unless renewed)"
        );
    }

    #[test]
    fn passes_without_another_run() {
        let snapshot = json!({"pods": []});
        let check = check_snapshot(CheckDetails::OneAtATime, &snapshot, &Policy::default());
        assert_eq!(check.verdict, Verdict::Pass);
    }
}
