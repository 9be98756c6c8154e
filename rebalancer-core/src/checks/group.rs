//! Check: the consumer group is known and settled, for strategies that use it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::rule::{CheckInput, Failure, Rule, Verdict};
use crate::group::GroupProblem;
use crate::hold_reason::HoldReason;
use crate::policy::{PolicyField, Strategy};

/// The consumer group is known and settled: each partition has one owner, and each member runs in a
/// ready pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GroupKnown {
    /// Number of members; 0 if unknown.
    pub members: usize,
    /// Number of partitions; 0 if unknown.
    pub partitions: usize,
    /// Why the group cannot be used for a forecast.
    pub problem: Option<GroupProblem>,
    /// Whether the strategy falls back to rotate-outliers without the group.
    pub falls_back: bool,
}

impl HoldReason {
    /// The consumer group is not known well enough for a forecast.
    pub const GROUP_UNKNOWN: Self = Self::new(
        "group_unknown",
        "the owners or the rates of the partitions are unknown, wrong, or known in part only",
        "check the id of the group and its source (Kafka or metrics); the message says what is missing",
    )
    .missing_data()
    .governed_by(&[PolicyField::Strategy]);
}

impl Rule for GroupKnown {
    const REASONS: &'static [HoldReason] = &[HoldReason::GROUP_UNKNOWN];

    fn evaluate(input: &CheckInput<'_>) -> Option<(Verdict, Self)> {
        let group = input.group?;
        let (members, partitions) = group.as_ref().map_or((0, 0), |group| {
            (group.members.len(), group.topics.partition_count())
        });
        let problem = group.as_ref().err().cloned();
        // No strategy acts while the group is rebalancing, or after a failure of its brokers.
        let falls_back = match (input.policy.strategy, &problem) {
            (Strategy::Auto, Some(problem)) => !problem.ends_without_action(),
            (
                Strategy::Auto
                | Strategy::Assign
                | Strategy::Rejoin
                | Strategy::Forecast
                | Strategy::RotateOutliers,
                Some(_) | None,
            ) => false,
        };
        let verdict = match &problem {
            None => Verdict::Pass,
            Some(_) if falls_back => Verdict::Skipped,
            Some(_) => Verdict::Fail,
        };
        Some((
            verdict,
            Self {
                members,
                partitions,
                problem,
                falls_back,
            },
        ))
    }

    fn failure(&self) -> Failure {
        let rebalancing = self
            .problem
            .as_ref()
            .is_some_and(GroupProblem::is_transient);
        Failure {
            reason: if rebalancing {
                HoldReason::GROUP_NOT_SETTLED
            } else {
                HoldReason::GROUP_UNKNOWN
            },
            missing_data: !rebalancing,
            untrusted_loads: true,
        }
    }
}

impl fmt::Display for GroupKnown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problem {
            None => write!(
                f,
                "{} members own {} partitions",
                self.members, self.partitions
            ),
            Some(problem) if self.falls_back => {
                write!(f, "no forecast, rotate-outliers decides: {problem}")
            }
            Some(problem) => problem.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(problem: GroupProblem) -> Failure {
        GroupKnown {
            members: 0,
            partitions: 0,
            problem: Some(problem),
            falls_back: false,
        }
        .failure()
    }

    #[test]
    fn rebalancing_group_is_not_settled_rather_than_unknown() {
        let rebalancing = failure(GroupProblem::MovedLately { partitions: 3 });
        assert_eq!(rebalancing.reason, HoldReason::GROUP_NOT_SETTLED);
        assert!(!rebalancing.missing_data);
        let unknown = failure(GroupProblem::Unknown);
        assert_eq!(unknown.reason, HoldReason::GROUP_UNKNOWN);
        assert!(unknown.missing_data);
    }
}
