//! Check: the clocks of the metrics server and of the cluster agree.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::rule::{CheckInput, Failure, Rule, Verdict};
use crate::hold_reason::HoldReason;
use crate::model::Seconds;

/// The allowed difference between the clocks of the metrics server and of the cluster, in seconds.
///
/// VictoriaMetrics evaluates queries up to `-search.latencyOffset` in the past (30 s by default)
/// and may date its answer accordingly, both clocks report whole seconds, and the two requests need
/// not be answered at the same time. A larger difference means that the ages of pods and of samples
/// cannot be compared.
const MAXIMUM_DIFFERENCE: f64 = 60.0;

/// The clocks of the metrics server and of the cluster agree.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ClocksAgree {
    /// Seconds by which the clock of the metrics server is ahead of the cluster's; negative if it
    /// is behind, `None` if unknown.
    pub difference_seconds: Option<f64>,
    /// The allowed difference, in seconds.
    pub maximum_seconds: f64,
}

impl HoldReason {
    /// The clocks of the metrics server and of the cluster differ.
    pub const CLOCKS_APART: Self = Self::new(
        "clocks_apart",
        "the clocks of the metrics server and of the cluster differ by more than 60 s",
        "synchronize both clocks (NTP)",
    )
    .missing_data();
}

impl ClocksAgree {
    fn agree(&self) -> Option<bool> {
        self.difference_seconds
            .map(|difference| difference.abs() <= self.maximum_seconds)
    }
}

impl Rule for ClocksAgree {
    const REASONS: &'static [HoldReason] = &[HoldReason::CLOCKS_APART];

    fn evaluate(input: &CheckInput<'_>) -> Option<(Verdict, Self)> {
        let numbers = Self {
            difference_seconds: input.snapshot.data().clock_difference_seconds,
            maximum_seconds: MAXIMUM_DIFFERENCE,
        };
        let verdict = numbers.agree().map_or(Verdict::Skipped, Verdict::pass_if);
        Some((verdict, numbers))
    }

    fn failure(&self) -> Failure {
        Failure {
            reason: HoldReason::CLOCKS_APART,
            missing_data: true,
            untrusted_loads: true,
        }
    }
}

impl fmt::Display for ClocksAgree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(difference) = self.difference_seconds else {
            return f.write_str("the clock of the metrics server is unknown");
        };
        let length = rounded(difference.abs());
        let side = if difference < 0.0 {
            "behind"
        } else {
            "ahead of"
        };
        write!(
            f,
            "the clock of the metrics server is {length} {side} the cluster's (at most {} allowed)",
            rounded(self.maximum_seconds)
        )?;
        if self.agree() == Some(false) {
            f.write_str(": check that both are synchronized (NTP)")?;
        }
        Ok(())
    }
}

/// A duration for a person, also if it is outside the range of [`Seconds`].
fn rounded(seconds: f64) -> String {
    Seconds::new(seconds).map_or_else(|_| format!("{seconds:.0} s"), Seconds::rounded)
}

#[cfg(test)]
mod tests {
    use super::super::rule::testing::check_snapshot;
    use super::*;
    use crate::checks::CheckDetails;
    use crate::policy::Policy;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case::unknown(None, Verdict::Skipped, "the clock of the metrics server is unknown")]
    #[case::equal(
        Some(0.0),
        Verdict::Pass,
        "the clock of the metrics server is 0 s ahead of the cluster's (at most 60 s allowed)"
    )]
    #[case::latency_offset(
        Some(-31.5),
        Verdict::Pass,
        "the clock of the metrics server is 32 s behind the cluster's (at most 60 s allowed)"
    )]
    #[case::at_the_maximum(
        Some(60.0),
        Verdict::Pass,
        "the clock of the metrics server is 60 s ahead of the cluster's (at most 60 s allowed)"
    )]
    #[case::ahead(
        Some(61.0),
        Verdict::Fail,
        "the clock of the metrics server is 61 s ahead of the cluster's (at most 60 s allowed): \
         check that both are synchronized (NTP)"
    )]
    #[case::behind(
        Some(-10_800.0),
        Verdict::Fail,
        "the clock of the metrics server is 3.0 h behind the cluster's (at most 60 s allowed): \
         check that both are synchronized (NTP)"
    )]
    #[case::out_of_range(
        Some(1e13),
        Verdict::Fail,
        "the clock of the metrics server is 10000000000000 s ahead of the cluster's (at most 60 s \
         allowed): check that both are synchronized (NTP)"
    )]
    fn clocks_may_differ_by_a_minute(
        #[case] difference: Option<f64>,
        #[case] verdict: Verdict,
        #[case] message: &str,
    ) {
        let snapshot = json!({"clock_difference_seconds": difference, "pods": []});
        let check = check_snapshot(CheckDetails::ClocksAgree, &snapshot, &Policy::default());
        assert_eq!((check.verdict, check.message.as_str()), (verdict, message));
        let json = serde_json::to_value(&check).unwrap();
        assert_eq!(json["name"], "clocks_agree");
        assert_eq!(json["difference_seconds"].as_f64(), difference);
    }
}
