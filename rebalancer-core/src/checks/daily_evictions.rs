//! Check: more pods may be evicted within 24 hours.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::rule::{CheckInput, Failure, Rule, Verdict};
use crate::hold_reason::HoldReason;
use crate::policy::{Policy, PolicyField};
use crate::snapshot::Snapshot;
use crate::wording::count_pods;

/// More pods may be evicted within 24 hours. Recorded only if there is a limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DailyEvictionsLeft {
    /// Number of recorded evictions within the last 24 hours.
    pub evicted: usize,
    /// Maximum number of evictions within any 24 hours.
    pub limit: usize,
    /// The time from which more evictions are allowed, if the limit is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub allowed_from: Option<Timestamp>,
}

impl HoldReason {
    /// As many pods were evicted within the last 24 hours as are allowed.
    pub const DAILY_EVICTION_LIMIT: Self = Self::new(
        "daily_eviction_limit",
        "as many pods were evicted within the last 24 hours as are allowed",
        "nothing: the message has the time from which more are allowed; or raise the limit",
    )
    .that_may_last()
    .governed_by(&[PolicyField::MaxEvictionsPerDay]);
}

/// The policy whose limit of evictions of a run is also that of the last 24 hours.
pub(crate) fn limited_by_day(snapshot: &Snapshot, policy: &Policy) -> Policy {
    let left_of_day = evictions_left_of_day(snapshot, policy).into_iter();
    Policy {
        max_evictions: policy.max_evictions.into_iter().chain(left_of_day).min(),
        ..*policy
    }
}

/// The number of pods that may still be evicted within 24 hours; `None` if there is no limit.
pub(crate) fn evictions_left_of_day(snapshot: &Snapshot, policy: &Policy) -> Option<usize> {
    let limit = policy.max_evictions_per_day?;
    Some(limit.saturating_sub(evicted(snapshot)))
}

fn evicted(snapshot: &Snapshot) -> usize {
    let data = snapshot.data();
    let last = data.last_rotation.as_ref();
    last.map_or(0, |last| last.evictions_of_last_day(data.taken_at))
}

impl Rule for DailyEvictionsLeft {
    const REASONS: &'static [HoldReason] = &[HoldReason::DAILY_EVICTION_LIMIT];

    fn evaluate(input: &CheckInput<'_>) -> Option<(Verdict, Self)> {
        let limit = input.policy.max_evictions_per_day?;
        let evicted = evicted(input.snapshot);
        let is_left = evicted < limit;
        let data = input.snapshot.data();
        let allowed_from = data
            .last_rotation
            .as_ref()
            .filter(|_| !is_left)
            .and_then(|last| last.fewer_evictions_from(data.taken_at, limit));
        let verdict = if input.plan.is_some() {
            Verdict::pass_if(is_left)
        } else {
            Verdict::Skipped
        };
        Some((
            verdict,
            Self {
                evicted,
                limit,
                allowed_from,
            },
        ))
    }

    fn failure(&self) -> Failure {
        Failure {
            reason: HoldReason::DAILY_EVICTION_LIMIT,
            missing_data: false,
            untrusted_loads: false,
        }
    }
}

impl fmt::Display for DailyEvictionsLeft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { evicted, limit, .. } = self;
        let were = if *evicted == 1 { "was" } else { "were" };
        write!(
            f,
            "{} {were} evicted within the last 24 hours (limit {limit})",
            count_pods(*evicted)
        )?;
        match self.allowed_from {
            Some(from) => write!(f, "; more evictions are allowed from {from:.0} on"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rule::testing::{check_plan, plan};
    use super::*;
    use crate::checks::CheckDetails;
    use crate::decide;
    use rstest::rstest;
    use serde_json::{Value, json};

    /// Two pods were evicted at noon, and three at 18:00; it is 20:00.
    fn snapshot() -> Value {
        let loads = [1.2, 1.1, 0.8, 0.6, 0.4, 0.3];
        let pods = loads.iter().zip('a'..);
        let pods: Vec<Value> = pods
            .map(|(load, name)| json!({"name": name, "load": load}))
            .collect();
        json!({
            "target": 0.7, "taken_at": "2026-01-02T20:00:00Z", "pods": pods,
            "last_rotation": {
                "time": "2026-01-02T18:00:00Z", "victims": ["x", "y", "z"],
                "imbalance_before": 2.0, "imbalance_hoped": 1.5, "strategy": "rotate-outliers",
                "earlier": [
                    {"time": "2026-01-02T12:00:00Z", "evictions": 2, "imbalance_before": 2.0,
                     "strategy": "rotate-outliers"},
                    {"time": "2026-01-01T19:59:59Z", "evictions": 9, "imbalance_before": 2.0,
                     "strategy": "rotate-outliers"},
                ],
            },
        })
    }

    fn policy(limit: usize) -> Policy {
        Policy {
            minimum_pods: crate::model::MinimumPods::new(1).unwrap(),
            max_evictions_per_day: Some(limit),
            ..Policy::default()
        }
    }

    #[rstest]
    #[case::reached(
        5,
        Verdict::Fail,
        "5 pods were evicted within the last 24 hours (limit 5); more evictions are allowed from 2026-01-03T12:00:00Z on"
    )]
    #[case::exceeded(
        3,
        Verdict::Fail,
        "5 pods were evicted within the last 24 hours (limit 3); more evictions are allowed from 2026-01-03T18:00:00Z on"
    )]
    #[case::some_left(
        6,
        Verdict::Pass,
        "5 pods were evicted within the last 24 hours (limit 6)"
    )]
    fn fails_at_the_limit_of_the_day(
        #[case] limit: usize,
        #[case] verdict: Verdict,
        #[case] message: &str,
    ) {
        let check = check_plan(
            CheckDetails::DailyEvictions,
            &snapshot(),
            &policy(limit),
            Some(&plan(1, 1)),
            None,
        );
        assert_eq!(check.verdict, verdict);
        assert_eq!(check.message, message);
    }

    #[rstest]
    #[case::reached(5, None)]
    #[case::one_left(6, Some(1))]
    #[case::three_left(8, Some(2))]
    #[case::enough_left(9, Some(4))]
    fn plan_has_at_most_what_is_left_of_the_day(
        #[case] limit: usize,
        #[case] victims: Option<usize>,
    ) {
        let snapshot: Snapshot = serde_json::from_value(snapshot()).unwrap();
        let decision = decide(&snapshot, &policy(limit));
        let planned = decision.plan().map(|plan| plan.victims().len());
        assert_eq!(planned, victims, "{}", decision.message);
        let held = decision.hold_reason();
        assert_eq!(
            held == Some(HoldReason::DAILY_EVICTION_LIMIT),
            victims.is_none()
        );
    }
}
