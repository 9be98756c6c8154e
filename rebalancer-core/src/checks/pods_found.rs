//! Check: the selector finds the workload's pods.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::rule::{CheckInput, Failure, Rule, Verdict};
use crate::hold_reason::HoldReason;

/// The selector finds pods of the workload, unless the workload wants none.
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
}

impl Rule for PodsFound {
    const REASONS: &'static [HoldReason] = &[HoldReason::NO_PODS_FOUND];

    fn evaluate(input: &CheckInput<'_>) -> Option<(Verdict, Self)> {
        let snapshot = input.snapshot;
        let selected = snapshot.pods().len();
        let owned = snapshot.pods().iter().filter(|pod| pod.owned).count();
        let desired = snapshot.data().rollout.map(|rollout| rollout.desired);
        // A workload that wants no pods may have none.
        let expected = selected > 0 || desired.is_some_and(|desired| desired > 0);
        Some((
            Verdict::pass_if(owned > 0 || !expected),
            Self {
                selected,
                owned,
                desired,
            },
        ))
    }

    fn failure(&self) -> Failure {
        Failure {
            reason: HoldReason::NO_PODS_FOUND,
            missing_data: false,
            untrusted_loads: true,
        }
    }
}

impl fmt::Display for PodsFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            selected, owned, ..
        } = self;
        write!(
            f,
            "{owned} of {selected} selected pods belong to the workload"
        )?;
        match self.desired {
            Some(desired) if *owned == 0 && desired > 0 => write!(
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
    #[case::owned(json!([{"name": "a"}]), 2, Verdict::Pass)]
    #[case::only_other_pods(json!([{"name": "a", "owned": false}]), 0, Verdict::Fail)]
    #[case::none_although_wanted(json!([]), 2, Verdict::Fail)]
    #[case::none_wanted(json!([]), 0, Verdict::Pass)]
    fn fails_if_wanted_pods_are_not_found(
        #[case] pods: Value,
        #[case] desired: u32,
        #[case] verdict: Verdict,
    ) {
        let snapshot = json!({
            "rollout": {"generation": 1, "observed_generation": 1, "desired": desired,
                        "current": desired, "updated": desired},
            "pods": pods,
        });
        let check = check_snapshot(CheckDetails::PodsFound, &snapshot, &Policy::default());
        assert_eq!(check.verdict, verdict, "{}", check.message);
    }
}
