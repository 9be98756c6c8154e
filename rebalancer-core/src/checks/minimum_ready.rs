//! Check: enough ready pods are left while the largest wave is being replaced.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::rule::{CheckInput, Failure, Rule, Verdict};
use crate::hold_reason::HoldReason;
use crate::plan::Plan;
use crate::policy::PolicyField;
use crate::wording::{count_pods, pods_are};

/// Enough ready pods are left while the largest wave is being replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MinimumReady {
    /// Number of ready pods.
    pub ready: usize,
    /// Number of pods in the largest wave; `None` if there is no plan.
    pub wave: Option<usize>,
    /// Number of ready pods that would be left.
    pub left: Option<usize>,
    /// Number of ready pods that must be left.
    pub minimum: usize,
    /// The largest wave size that makes the plan possible, if the plan is not possible and a
    /// smaller wave size is.
    pub max_unavailable: Option<usize>,
}

impl HoldReason {
    /// Too few ready pods would be left.
    pub const MINIMUM_PODS: Self = Self::new(
        "minimum_pods",
        "too few ready pods would be left during the rotation",
        "evict fewer pods at once, or lower the minimum; the message names the wave size that works",
    )
    .governed_by(&[PolicyField::MinimumPods, PolicyField::MaxUnavailable]);
}

impl Rule for MinimumReady {
    const REASONS: &'static [HoldReason] = &[HoldReason::MINIMUM_PODS];

    fn evaluate(input: &CheckInput<'_>) -> Option<(Verdict, Self)> {
        let ready = input.ranking.ready();
        let minimum = input.policy.minimum_pods.get();
        let wave = input.plan.map(Plan::largest_wave);
        let left = wave.map(|wave| ready.saturating_sub(wave));
        let possible = ready.saturating_sub(minimum);
        let satisfied = left.is_none_or(|left| left >= minimum);
        let verdict = match left {
            None => Verdict::Skipped,
            Some(_) => Verdict::pass_if(satisfied),
        };
        Some((
            verdict,
            Self {
                ready,
                wave,
                left,
                minimum,
                max_unavailable: (!satisfied && possible > 0).then_some(possible),
            },
        ))
    }

    fn failure(&self) -> Failure {
        Failure {
            reason: HoldReason::MINIMUM_PODS,
            missing_data: false,
            untrusted_loads: false,
        }
    }
}

impl fmt::Display for MinimumReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ready, minimum, .. } = self;
        let (Some(wave), Some(left)) = (self.wave, self.left) else {
            return write!(f, "{} ready, the minimum is {minimum}", pods_are(*ready));
        };
        write!(
            f,
            "evicting {wave} of {ready} ready pods at once would leave {left}, "
        )?;
        if left >= *minimum {
            return write!(f, "the minimum is {minimum}");
        }
        write!(f, "less than the minimum of {minimum} ready pods: ")?;
        match self.max_unavailable {
            Some(most) => write!(
                f,
                "at most {} unavailable at once would make the plan possible",
                count_pods(most)
            ),
            None => f.write_str("no smaller wave makes a plan possible"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rule::testing::{check_plan, check_snapshot, plan};
    use super::*;
    use crate::checks::CheckDetails;
    use crate::policy::Policy;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn ready_pods(ready: usize) -> Value {
        let pods: Vec<Value> = (0..ready)
            .map(|index| json!({"name": index.to_string()}))
            .collect();
        json!({"pods": pods})
    }

    // ready, victims, wave size, minimum
    #[rstest]
    #[case::kept(6, 4, 4, 2, Verdict::Pass, None)]
    #[case::violated(6, 4, 4, 3, Verdict::Fail, Some(3))]
    #[case::kept_in_waves(6, 4, 3, 3, Verdict::Pass, None)]
    #[case::impossible(3, 2, 1, 3, Verdict::Fail, None)]
    #[case::fewer_ready_than_the_minimum(2, 2, 2, 3, Verdict::Fail, None)]
    fn largest_wave_must_leave_the_minimum(
        #[case] ready: usize,
        #[case] victims: usize,
        #[case] wave_size: usize,
        #[case] minimum: usize,
        #[case] verdict: Verdict,
        #[case] advice: Option<u64>,
    ) {
        let policy: Policy = serde_json::from_value(json!({"minimum_pods": minimum})).unwrap();
        let check = check_plan(
            CheckDetails::MinimumReady,
            &ready_pods(ready),
            &policy,
            Some(&plan(victims, wave_size)),
            None,
        );
        assert_eq!(check.verdict, verdict, "{}", check.message);
        let json = serde_json::to_value(&check).unwrap();
        assert_eq!(json["max_unavailable"].as_u64(), advice);
    }

    #[test]
    fn skipped_without_a_plan() {
        let check = check_snapshot(
            CheckDetails::MinimumReady,
            &ready_pods(1),
            &Policy::default(),
        );
        assert_eq!(check.verdict, Verdict::Skipped);
        assert_eq!(check.message, "1 pod is ready, the minimum is 3");
    }

    #[test]
    fn failure_names_the_policy_fields() {
        let check = check_plan(
            CheckDetails::MinimumReady,
            &ready_pods(6),
            &Policy::default(),
            Some(&plan(4, 4)),
            None,
        );
        assert_eq!(
            check.policy_fields(),
            [PolicyField::MinimumPods, PolicyField::MaxUnavailable]
        );
        assert_eq!(
            check.message,
            "evicting 4 of 6 ready pods at once would leave 2, less than the minimum of 3 ready \
             pods: at most 3 pods unavailable at once would make the plan possible"
        );
    }
}
