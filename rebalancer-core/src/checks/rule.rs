//! The parts that all checks on a snapshot share.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{CheckDetails, HotPods, Ranking};
use crate::group::{AssignProblem, GroupModel, GroupProblem};
use crate::hold_reason::HoldReason;
use crate::model::LoadUnit;
use crate::plan::Plan;
use crate::policy::{Policy, PolicyField};
use crate::snapshot::{ResolvedTarget, Snapshot, TargetProblem};

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The snapshot satisfies the rule.
    Pass,
    /// The snapshot violates the rule: the run does not act.
    Fail,
    /// The snapshot has no data that the rule applies to.
    Skipped,
}

impl Verdict {
    pub(crate) fn pass_if(satisfied: bool) -> Self {
        if satisfied { Self::Pass } else { Self::Fail }
    }
}

/// One check applied to a snapshot: its verdict, its message and its numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Check {
    /// The result.
    pub verdict: Verdict,
    /// One line for a person.
    pub message: String,
    /// The name of the check, and its numbers.
    #[serde(flatten)]
    pub details: CheckDetails,
}

impl Check {
    /// The hold reason, if the check failed.
    #[must_use]
    pub fn hold_reason(&self) -> Option<HoldReason> {
        self.failure().map(|failure| failure.reason)
    }

    /// The fields of the policy that decide whether this check passes, if it failed.
    #[must_use]
    pub fn policy_fields(&self) -> &'static [PolicyField] {
        self.hold_reason()
            .map_or(&[], |reason| reason.policy_fields())
    }

    /// Whether the check failed because data is missing that does not appear with time.
    #[must_use]
    pub fn means_missing_data(&self) -> bool {
        self.failure().is_some_and(|failure| failure.missing_data)
    }

    /// Whether the check failed because of the state of the workload or of the metrics, so that the
    /// loads do not describe the settled group. A check that only forbids to act now does not
    /// count.
    #[must_use]
    pub fn means_untrusted_loads(&self) -> bool {
        self.failure()
            .is_some_and(|failure| failure.untrusted_loads)
    }

    fn failure(&self) -> Option<Failure> {
        (self.verdict == Verdict::Fail).then(|| self.details.failure())
    }
}

/// The meaning of a failed check.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failure {
    /// The hold reason.
    pub(super) reason: HoldReason,
    /// Whether data is missing that does not appear with time. Such a failure makes the run exit
    /// with 1 even if an earlier check gives the hold reason.
    pub(super) missing_data: bool,
    /// Whether the loads do not describe the settled group.
    pub(super) untrusted_loads: bool,
}

/// A check on a snapshot. The implementing type holds the numbers; its `Display` is the message.
pub(super) trait Rule: fmt::Display + Sized {
    /// The hold reasons that this check introduces.
    const REASONS: &'static [HoldReason];

    /// Applies the rule. `None` if the strategy does not use what the rule is about, so that the
    /// check is not recorded.
    fn evaluate(input: &CheckInput<'_>) -> Option<(Verdict, Self)>;

    /// Returns the meaning of a failure with these numbers.
    fn failure(&self) -> Failure;

    /// The message, if it depends on the unit of the loads.
    fn message(&self, _: LoadUnit) -> String {
        self.to_string()
    }
}

/// The input of the checks.
pub(crate) struct CheckInput<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) policy: &'a Policy,
    /// The pods by load, with the result of the pod checks.
    pub(crate) ranking: &'a Ranking<'a>,
    pub(crate) target: &'a Result<ResolvedTarget, TargetProblem>,
    /// `None` if the strategy does not use the consumer group.
    pub(crate) group: Option<&'a Result<GroupModel, GroupProblem>>,
    /// The pods above the threshold; `None` if they are hot at once.
    pub(crate) hot: Option<&'a HotPods>,
    /// The imbalance over the eligible pods.
    pub(crate) imbalance: Option<f64>,
    /// The plan, if the strategy wants to rotate.
    pub(crate) plan: Option<&'a Plan>,
    /// Whether the strategy wants to redistribute the partitions without evictions: by an
    /// assignment, or by members that rejoin.
    pub(crate) redistributes: bool,
    /// Why the partitions of this group are not redistributed without evictions.
    pub(crate) assign_problem: Option<&'a AssignProblem>,
}

impl CheckInput<'_> {
    /// Whether the strategy wants to act.
    pub(super) fn acts(&self) -> bool {
        self.plan.is_some() || self.redistributes
    }
}

/// Applies one rule. `details` wraps its numbers.
pub(super) fn check<R: Rule>(
    input: &CheckInput<'_>,
    details: fn(R) -> CheckDetails,
) -> Option<Check> {
    let (verdict, numbers) = R::evaluate(input)?;
    Some(Check {
        verdict,
        message: numbers.message(input.snapshot.load_unit()),
        details: details(numbers),
    })
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// Evaluates one check on a snapshot without a plan.
    pub(in crate::checks) fn check_snapshot<R: Rule>(
        details: fn(R) -> CheckDetails,
        snapshot: &serde_json::Value,
        policy: &Policy,
    ) -> Check {
        check_plan(details, snapshot, policy, None, None)
    }

    /// Evaluates one check on a snapshot with a plan and an imbalance.
    pub(in crate::checks) fn check_plan<R: Rule>(
        details: fn(R) -> CheckDetails,
        snapshot: &serde_json::Value,
        policy: &Policy,
        plan: Option<&Plan>,
        imbalance: Option<f64>,
    ) -> Check {
        let snapshot: Snapshot = serde_json::from_value(snapshot.clone()).unwrap();
        let input = CheckInput {
            snapshot: &snapshot,
            policy,
            ranking: &Ranking::new(&snapshot, policy),
            target: &Err(TargetProblem::NoAutoscaler),
            group: None,
            hot: None,
            imbalance,
            plan,
            redistributes: false,
            assign_problem: None,
        };
        check(&input, details).unwrap()
    }

    /// A plan that evicts `victims` pods in waves of `wave_size`.
    pub(in crate::checks) fn plan(victims: usize, wave_size: usize) -> Plan {
        let victims = (0..victims).map(|index| crate::plan::Victim {
            name: index.to_string(),
            uid: crate::model::PodUid(index.to_string()),
            role: crate::plan::Role::Hottest,
            load: crate::model::Load::ZERO,
            wave: 1,
        });
        Plan::new(victims.collect(), wave_size).unwrap()
    }
}
