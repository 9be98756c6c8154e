//! Check: the selector finds the workload's pods.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::rule::{CheckInput, Failure, Rule, Verdict};
use crate::hold_reason::HoldReason;

/// The workload has replicas, and the selector finds its pods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PodsFound {
    /// Number of pods that the selector matches.
    pub selected: usize,
    /// Number of them that the workload owns.
    pub owned: usize,
    /// Replicas that the workload wants; `None` if the snapshot does not contain it.
    pub desired: Option<u32>,
}

impl HoldReason {
    /// The workload should have pods, and none was found.
    pub const NO_PODS_FOUND: Self = Self::new(
        "no_pods_found",
        "the workload should have pods, and none was found",
        "check that the label selector matches the workload's pods",
    )
    .missing_data();

    /// The workload has no replicas, on purpose.
    pub const SCALED_TO_ZERO: Self = Self::new(
        "scaled_to_zero",
        "the workload is scaled to 0 replicas, so there is nothing to even out",
        "nothing: runs act again once the autoscaler or an operator adds replicas",
    )
    .that_may_last();
}

impl PodsFound {
    /// Whether the workload wants no pods and its selector matches none. Pods of another owner mean
    /// that the workload is not the one that runs them.
    fn scaled_to_zero(&self) -> bool {
        self.desired == Some(0) && self.selected == 0
    }
}

impl Rule for PodsFound {
    const REASONS: &'static [HoldReason] = &[HoldReason::NO_PODS_FOUND, HoldReason::SCALED_TO_ZERO];

    fn evaluate(input: &CheckInput<'_>) -> Option<(Verdict, Self)> {
        let snapshot = input.snapshot;
        let selected = snapshot.pods().len();
        let owned = snapshot.pods().iter().filter(|pod| pod.owned).count();
        let desired = snapshot.data().rollout.map(|rollout| rollout.desired);
        // A snapshot without a rollout and without pods does not say that there should be any.
        let unknown = selected == 0 && desired.is_none();
        Some((
            Verdict::pass_if(owned > 0 || unknown),
            Self {
                selected,
                owned,
                desired,
            },
        ))
    }

    fn failure(&self) -> Failure {
        Failure {
            reason: if self.scaled_to_zero() {
                HoldReason::SCALED_TO_ZERO
            } else {
                HoldReason::NO_PODS_FOUND
            },
            missing_data: false,
            untrusted_loads: true,
        }
    }
}

impl fmt::Display for PodsFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            selected,
            owned,
            desired,
        } = self;
        if self.scaled_to_zero() {
            return f.write_str("the workload is scaled to 0 replicas and has no pods");
        }
        write!(
            f,
            "{owned} of {selected} selected pods belong to the workload"
        )?;
        match desired {
            Some(0) if *owned == 0 => f.write_str(
                ", which is scaled to 0 replicas: check which object owns them, for example an Argo \
                 Rollout with `workloadRef`, and name that one as the workload",
            ),
            Some(desired) if *owned == 0 => write!(
                f,
                ", which wants {desired}: check that the label selector matches its pods"
            ),
            Some(_) | None => Ok(()),
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
    #[case::owned(json!([{"name": "a"}]), 2, None, "1 of 1 selected pods")]
    #[case::owned_although_none_wanted(json!([{"name": "a"}]), 0, None, "1 of 1 selected pods")]
    #[case::pods_of_another_owner(
        json!([{"name": "a", "owned": false}]),
        0,
        Some(HoldReason::NO_PODS_FOUND),
        "0 of 1 selected pods belong to the workload, which is scaled to 0 replicas: check which"
    )]
    #[case::none_although_wanted(
        json!([]),
        2,
        Some(HoldReason::NO_PODS_FOUND),
        "0 of 0 selected pods belong to the workload, which wants 2: check that the label selector"
    )]
    #[case::none_wanted(
        json!([]),
        0,
        Some(HoldReason::SCALED_TO_ZERO),
        "the workload is scaled to 0 replicas and has no pods"
    )]
    fn fails_without_pods_of_the_workload(
        #[case] pods: Value,
        #[case] desired: u32,
        #[case] reason: Option<HoldReason>,
        #[case] message: &str,
    ) {
        let snapshot = json!({
            "rollout": {"generation": 1, "observed_generation": 1, "desired": desired,
                        "current": desired, "updated": desired},
            "pods": pods,
        });
        let check = check_snapshot(CheckDetails::PodsFound, &snapshot, &Policy::default());
        assert_eq!(check.hold_reason(), reason);
        assert!(check.message.starts_with(message), "{}", check.message);
    }

    #[test]
    fn snapshot_without_a_rollout_may_have_no_pods() {
        let snapshot = json!({"pods": []});
        let check = check_snapshot(CheckDetails::PodsFound, &snapshot, &Policy::default());
        assert_eq!(check.verdict, Verdict::Pass, "{}", check.message);
    }
}
