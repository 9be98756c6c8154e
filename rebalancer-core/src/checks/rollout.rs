//! Check: no rollout and no scaling is in progress.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::rule::{CheckInput, Failure, Rule, Verdict};
use crate::hold_reason::HoldReason;
use crate::model::Rollout;

/// No rollout is in progress: the controller has observed the specification, all pods are updated,
/// and no surge pod exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RolloutComplete {
    /// Progress of the controller; `None` if the snapshot does not contain it.
    pub rollout: Option<Rollout>,
}

impl HoldReason {
    /// The controller of the workload is rolling out or scaling.
    pub const ROLLOUT_IN_PROGRESS: Self = Self::new(
        "rollout_in_progress",
        "the workload is rolling out or scaling",
        "wait until the rollout is complete; `kubectl rollout status` shows why it is not",
    );
}

impl Rule for RolloutComplete {
    const REASONS: &'static [HoldReason] = &[HoldReason::ROLLOUT_IN_PROGRESS];

    fn evaluate(input: &CheckInput<'_>) -> Option<(Verdict, Self)> {
        let rollout = input.snapshot.data().rollout;
        let verdict = match rollout {
            None => Verdict::Skipped,
            Some(rollout) => Verdict::pass_if(in_progress(&rollout).is_none()),
        };
        Some((verdict, Self { rollout }))
    }

    fn failure(&self) -> Failure {
        Failure {
            reason: HoldReason::ROLLOUT_IN_PROGRESS,
            missing_data: false,
            untrusted_loads: true,
        }
    }
}

impl fmt::Display for RolloutComplete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(rollout) = &self.rollout else {
            return f.write_str("the rollout state is unknown; assumed complete");
        };
        match in_progress(rollout) {
            Some(progress) => f.write_str(&progress),
            None => write!(f, "all {} replicas are up to date", rollout.desired),
        }
    }
}

/// The unfinished part of a rollout; `None` if the rollout is complete.
fn in_progress(rollout: &Rollout) -> Option<String> {
    if rollout.observed_generation < rollout.generation {
        return Some(format!(
            "the controller has not observed the current specification yet (generation {} of {})",
            rollout.observed_generation, rollout.generation
        ));
    }
    if rollout.updated != rollout.desired {
        return Some(format!(
            "a rollout or scaling is in progress: {} of {} replicas are up to date",
            rollout.updated, rollout.desired
        ));
    }
    (rollout.current != rollout.desired).then(|| {
        format!(
            "a rollout or scaling is in progress: {} pods exist for {} replicas",
            rollout.current, rollout.desired
        )
    })
}

/// Why an execution that began with the rollout `before` must stop when the rollout is `now`; `None`
/// if it may continue.
///
/// Only the specification counts. Replacements that are still starting lower the status, but are
/// not a rollout; a new generation means that someone changed the template or the scale.
pub(crate) fn changed_since(before: Option<Rollout>, now: Option<Rollout>) -> Option<String> {
    let (before, now) = (before?, now?);
    if before.desired != now.desired {
        return Some(format!(
            "the workload was scaled from {} to {} replicas meanwhile",
            before.desired, now.desired
        ));
    }
    (before.generation != now.generation).then(|| {
        format!(
            "the workload's specification was changed meanwhile (generation {} to {})",
            before.generation, now.generation
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::rule::testing::check_snapshot;
    use super::*;
    use crate::checks::CheckDetails;
    use crate::policy::Policy;
    use rstest::rstest;
    use serde_json::json;

    fn state(numbers: [u32; 5]) -> Rollout {
        let [generation, observed, desired, current, updated] = numbers;
        Rollout {
            generation: generation.into(),
            observed_generation: observed.into(),
            desired,
            current,
            updated,
        }
    }

    // generation, observed, desired, current, updated
    #[rstest]
    #[case::complete([3, 3, 6, 6, 6], None)]
    #[case::scaled_to_zero([1, 1, 0, 0, 0], None)]
    #[case::not_observed([4, 3, 6, 6, 6], Some("generation 3 of 4"))]
    #[case::half_updated([4, 4, 6, 6, 3], Some("3 of 6 replicas are up to date"))]
    #[case::surge([4, 4, 6, 8, 6], Some("8 pods exist for 6 replicas"))]
    #[case::scaling_up([4, 4, 9, 6, 6], Some("6 of 9 replicas"))]
    #[case::scaling_down([4, 4, 3, 6, 6], Some("6 of 3 replicas"))]
    fn rollout_is_in_progress_until_all_replicas_are_updated(
        #[case] numbers: [u32; 5],
        #[case] expected: Option<&str>,
    ) {
        let progress = in_progress(&state(numbers));
        match expected {
            None => assert_eq!(progress, None),
            Some(text) => assert!(progress.as_ref().unwrap().contains(text), "{progress:?}"),
        }
    }

    #[test]
    fn unknown_rollout_is_skipped() {
        let check = check_snapshot(
            CheckDetails::Rollout,
            &json!({"pods": []}),
            &Policy::default(),
        );
        assert_eq!(check.verdict, Verdict::Skipped);
    }

    #[rstest]
    #[case::unchanged([3, 3, 6, 6, 6], false)]
    // Evictions change the status, but not the specification.
    #[case::replacements_missing([3, 3, 6, 4, 4], false)]
    #[case::scaled([4, 4, 7, 7, 7], true)]
    #[case::scaled_without_new_generation([3, 3, 7, 7, 7], true)]
    #[case::new_template([4, 3, 6, 6, 6], true)]
    fn only_a_new_specification_counts_as_changed(#[case] now: [u32; 5], #[case] changed: bool) {
        let before = Some(state([3, 3, 6, 6, 6]));
        assert_eq!(changed_since(before, Some(state(now))).is_some(), changed);
        assert_eq!(changed_since(None, Some(state(now))), None);
        assert_eq!(changed_since(before, None), None);
    }
}
