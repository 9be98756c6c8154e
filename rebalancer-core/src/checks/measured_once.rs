//! Check: the metrics contain each pod once.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::format::count_pods;
use super::rule::{CheckInput, Failure, Rule, Verdict};
use crate::hold_reason::HoldReason;
use crate::model::Pod;

/// The metrics contain each pod once: no pod has duplicate series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MeasuredOnce {
    /// Number of pods with duplicate series.
    pub pods: usize,
    /// The first of them by name.
    pub example: Option<String>,
    /// Number of series of that pod's container.
    pub series: Option<u32>,
}

impl HoldReason {
    /// The metrics count pods more than once.
    pub const PODS_MEASURED_TWICE: Self = Self::new(
        "pods_measured_twice",
        "the metrics contain the same container more than once (duplicate series)",
        "remove one of the two scrape jobs, or select one of them in a custom load query",
    )
    .missing_data();
}

impl Rule for MeasuredOnce {
    const REASONS: &'static [HoldReason] = &[HoldReason::PODS_MEASURED_TWICE];

    fn evaluate(input: &CheckInput<'_>) -> Option<(Verdict, Self)> {
        let duplicates: Vec<&Pod> = input
            .snapshot
            .pods()
            .iter()
            .filter(|pod| pod.owned && pod.measurement.duplicate_series().is_some())
            .collect();
        let example = duplicates.iter().min_by_key(|pod| pod.name.as_str());
        Some((
            Verdict::pass_if(example.is_none()),
            Self {
                pods: duplicates.len(),
                example: example.map(|pod| pod.name.clone()),
                series: example.and_then(|pod| pod.measurement.duplicate_series()),
            },
        ))
    }

    fn failure(&self) -> Failure {
        Failure {
            reason: HoldReason::PODS_MEASURED_TWICE,
            missing_data: true,
            untrusted_loads: true,
        }
    }
}

impl fmt::Display for MeasuredOnce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(example), Some(series)) = (&self.example, self.series) else {
            return f.write_str("no pod has duplicate series in the metrics");
        };
        let verb = if self.pods == 1 { "has" } else { "have" };
        write!(
            f,
            "{} {verb} duplicate series in the metrics ({example}: {series} series): check whether \
             two jobs scrape the same container",
            count_pods(self.pods)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::rule::testing::check_snapshot;
    use super::*;
    use crate::checks::CheckDetails;
    use crate::policy::Policy;
    use rstest::rstest;
    use serde_json::{Value, json};

    #[rstest]
    #[case::one_series(json!([{"name": "a"}]), Verdict::Pass, None)]
    #[case::duplicates(
        json!([{"name": "b", "series": 3}, {"name": "a", "series": 2}]),
        Verdict::Fail,
        Some(("a", 2))
    )]
    #[case::not_owned(
        json!([{"name": "a", "series": 2, "owned": false}]),
        Verdict::Pass,
        None
    )]
    fn duplicate_series_of_owned_pods_fail(
        #[case] pods: Value,
        #[case] verdict: Verdict,
        #[case] example: Option<(&str, u64)>,
    ) {
        let snapshot = json!({"pods": pods});
        let check = check_snapshot(CheckDetails::MeasuredOnce, &snapshot, &Policy::default());
        assert_eq!(check.verdict, verdict);
        let json = serde_json::to_value(&check).unwrap();
        let found = json["example"].as_str().zip(json["series"].as_u64());
        assert_eq!(found, example);
    }
}
