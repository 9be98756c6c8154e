//! The check on the consumer group, for strategies that forecast.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::workload::{Check, Finding, Verdict};
use crate::group::{GroupModel, GroupProblem};
use crate::policy::{Policy, Strategy};

/// The consumer group is known and settled: each partition has one owner, each member a ready pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GroupKnown {
    /// Members; 0 when not known.
    pub members: usize,
    /// Partitions; 0 when not known.
    pub partitions: usize,
    /// What is wrong.
    pub problem: Option<GroupProblem>,
    /// Without the group the rule of outliers decides.
    pub falls_back: bool,
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

pub(crate) fn group(group: &Result<GroupModel, GroupProblem>, policy: &Policy) -> Check {
    let (members, partitions) = group.as_ref().map_or((0, 0), |group| {
        (group.members.len(), group.topics.partition_count())
    });
    let problem = group.as_ref().err().cloned();
    // A group that is rebalancing is left alone by either rule.
    let falls_back = match (policy.strategy, &problem) {
        (Strategy::Auto, Some(problem)) => !problem.is_transient(),
        (Strategy::Auto | Strategy::Forecast | Strategy::RotateOutliers, Some(_) | None) => false,
    };
    let verdict = match &problem {
        None => Verdict::Pass,
        Some(_) if falls_back => Verdict::Skipped,
        Some(_) => Verdict::Fail,
    };
    Check::new(
        verdict,
        Finding::Group(GroupKnown {
            members,
            partitions,
            problem,
            falls_back,
        }),
    )
}
