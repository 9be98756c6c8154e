//! Check: the metrics contain pods of the workload, and not only unknown pods.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::pod::too_young;
use super::rule::{CheckInput, Failure, Rule, Verdict};
use crate::hold_reason::HoldReason;
use crate::wording::count_pods;

/// The metrics contain pods of the workload, and not only unknown pods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MeasuredPodsExist {
    /// Number of ready pods that are old enough to be measured.
    pub ready: usize,
    /// Number of them that the metrics contain.
    pub measured: usize,
    /// Number of pods that the metrics contain and the selector does not match.
    #[serde(rename = "strangers")]
    pub unknown_pods: usize,
    /// The first unknown pod by name.
    pub example: Option<String>,
}

impl HoldReason {
    /// The metrics contain pods, and none of the workload's.
    pub const METRICS_OF_OTHER_PODS: Self = Self::new(
        "metrics_of_other_pods",
        "the metrics contain pods, but none of the workload's ready pods",
        "check that the metrics are those of this cluster and of this namespace",
    )
    .missing_data();
}

impl Rule for MeasuredPodsExist {
    const REASONS: &'static [HoldReason] = &[HoldReason::METRICS_OF_OTHER_PODS];

    fn evaluate(input: &CheckInput<'_>) -> Option<(Verdict, Self)> {
        let unknown = &input.snapshot.data().unknown_pods;
        let (mut ready, mut measured) = (0, 0);
        for pod in input.snapshot.pods().iter().filter(|pod| pod.serves()) {
            // After a restart of all pods, the new pods are too young to be measured while the
            // metrics still contain the old ones.
            if too_young(pod, input.policy).is_none() {
                ready += 1;
                measured += usize::from(pod.measurement.has_value());
            }
        }
        let verdict = if ready == 0 {
            Verdict::Skipped
        } else {
            Verdict::pass_if(unknown.pods == 0 || measured > 0)
        };
        Some((
            verdict,
            Self {
                ready,
                measured,
                unknown_pods: unknown.pods,
                example: unknown.example.clone(),
            },
        ))
    }

    fn failure(&self) -> Failure {
        Failure {
            reason: HoldReason::METRICS_OF_OTHER_PODS,
            missing_data: true,
            untrusted_loads: true,
        }
    }
}

impl fmt::Display for MeasuredPodsExist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            ready, measured, ..
        } = self;
        write!(f, "the metrics contain {measured} of {ready} ready pods")?;
        let Some(example) = &self.example else {
            return f.write_str(" and no other pods");
        };
        let unknown = count_pods(self.unknown_pods);
        if *ready > 0 && *measured == 0 {
            write!(
                f,
                ", but {unknown} that the workload does not have (for example {example}): check \
                 that the metrics are those of this cluster and of this namespace"
            )
        } else {
            // Other workloads of the namespace may have a container of the same name, and metrics
            // keep pods for some minutes after they are deleted.
            write!(
                f,
                " and {unknown} that the workload does not have (for example {example})"
            )
        }
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
    #[case::no_unknown_pods(
        json!([{"name": "a"}]), 0, Verdict::Pass,
        "the metrics contain 0 of 1 ready pods and no other pods"
    )]
    #[case::pods_of_another_workload(
        json!([{"name": "a", "load": 1.0}, {"name": "b"}]), 3, Verdict::Pass,
        "the metrics contain 1 of 2 ready pods and 3 pods that the workload does not have (for \
         example x)"
    )]
    #[case::faulty_sample_counts(
        json!([{"name": "a", "fault": "not_finite"}]), 1, Verdict::Pass,
        "the metrics contain 1 of 1 ready pods and 1 pod that the workload does not have (for \
         example x)"
    )]
    #[case::only_unknown_pods(
        json!([{"name": "a"}, {"name": "b"}]), 2, Verdict::Fail,
        "the metrics contain 0 of 2 ready pods, but 2 pods that the workload does not have (for \
         example x): check that the metrics are those of this cluster and of this namespace"
    )]
    #[case::only_ready_pods_count(
        json!([{"name": "a"}, {"name": "b", "load": 1.0, "ready": false},
               {"name": "c", "load": 1.0, "owned": false}]),
        1, Verdict::Fail,
        "the metrics contain 0 of 1 ready pods, but 1 pod that the workload does not have (for \
         example x): check that the metrics are those of this cluster and of this namespace"
    )]
    #[case::all_pods_restarted(
        json!([{"name": "a", "age_seconds": 20}]), 1, Verdict::Skipped,
        "the metrics contain 0 of 0 ready pods and 1 pod that the workload does not have (for \
         example x)"
    )]
    #[case::no_pods(
        json!([]), 0, Verdict::Skipped,
        "the metrics contain 0 of 0 ready pods and no other pods"
    )]
    fn fails_if_only_unknown_pods_are_measured(
        #[case] pods: Value,
        #[case] unknown_pods: usize,
        #[case] verdict: Verdict,
        #[case] message: &str,
    ) {
        let example = (unknown_pods > 0).then_some("x");
        let snapshot = json!({
            "strangers": {"pods": unknown_pods, "example": example}, "pods": pods
        });
        let check = check_snapshot(
            CheckDetails::MeasuredPodsExist,
            &snapshot,
            &Policy::default(),
        );
        assert_eq!((check.verdict, check.message.as_str()), (verdict, message));
        let json = serde_json::to_value(&check).unwrap();
        assert_eq!(json["name"], "measured_pods_exist");
        assert_eq!(json["strangers"], unknown_pods);
    }
}
