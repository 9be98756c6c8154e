//! Check: the run may evict more pods.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::rule::{CheckInput, Failure, Rule, Verdict};
use crate::hold_reason::HoldReason;
use crate::policy::PolicyField;
use crate::wording::count_pods;

/// The run may evict more pods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EvictionsLeft {
    /// Number of pods that the run may still evict; `None` if there is no limit.
    pub left: Option<usize>,
}

impl HoldReason {
    /// The run has reached its limit of evictions.
    pub const EVICTION_LIMIT: Self = Self::new(
        "eviction_limit",
        "the run has evicted as many pods as it may",
        "nothing: the next run may evict again; or raise the limit",
    )
    .that_may_last()
    .governed_by(&[PolicyField::MaxEvictions]);
}

impl Rule for EvictionsLeft {
    const REASONS: &'static [HoldReason] = &[HoldReason::EVICTION_LIMIT];

    fn evaluate(input: &CheckInput<'_>) -> Option<(Verdict, Self)> {
        let left = input.policy.max_evictions;
        let verdict = match left {
            Some(left) if input.plan.is_some() => Verdict::pass_if(left > 0),
            Some(_) | None => Verdict::Skipped,
        };
        Some((verdict, Self { left }))
    }

    fn failure(&self) -> Failure {
        Failure {
            reason: HoldReason::EVICTION_LIMIT,
            missing_data: false,
            untrusted_loads: false,
        }
    }
}

impl fmt::Display for EvictionsLeft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.left {
            None => f.write_str("the run has no eviction limit"),
            Some(0) => f.write_str("the run has reached its eviction limit"),
            Some(left) => write!(f, "the run may evict at most {} more", count_pods(left)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rule::testing::{check_plan, plan};
    use super::*;
    use crate::checks::CheckDetails;
    use crate::policy::Policy;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case::no_limit(None, true, Verdict::Skipped)]
    #[case::some_left(Some(2), true, Verdict::Pass)]
    #[case::none_left(Some(0), true, Verdict::Fail)]
    #[case::none_left_without_plan(Some(0), false, Verdict::Skipped)]
    fn fails_at_the_limit(
        #[case] left: Option<usize>,
        #[case] planned: bool,
        #[case] verdict: Verdict,
    ) {
        let policy = Policy {
            max_evictions: left,
            ..Policy::default()
        };
        let plan = planned.then(|| plan(1, 1));
        let check = check_plan(
            CheckDetails::EvictionLimit,
            &json!({"pods": []}),
            &policy,
            plan.as_ref(),
            None,
        );
        assert_eq!(check.verdict, verdict);
    }
}
