//! Check: the group can be given an assignment, and keeps it; or its members can rejoin.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::rule::{CheckInput, Failure, Rule, Verdict};
use crate::group::AssignProblem;
use crate::hold_reason::HoldReason;
use crate::policy::PolicyField;

/// The group can be given an assignment, and keeps it (for the strategy `assign`), or its members
/// can rejoin (for the strategy `rejoin`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GroupAssignable {
    /// Why not.
    pub problem: Option<AssignProblem>,
}

impl HoldReason {
    /// The group's assignor does not keep an assignment.
    pub const ASSIGNOR_NOT_STICKY: Self = Self::new(
        "assignor_not_sticky",
        "the group's assignor does not keep an assignment that it is given",
        "use the assignor `cooperative-sticky`, or another strategy; the message says how to change it",
    )
    .governed_by(&[PolicyField::Strategy]);
    /// The broker computes the assignment of the group.
    pub const CONSUMER_PROTOCOL: Self = Self::new(
        "consumer_protocol",
        "the broker computes the assignment of the group (KIP-848), so no member can hand one out",
        "use another strategy",
    )
    .governed_by(&[PolicyField::Strategy]);
    /// The coordinator is not one of Kafka's.
    pub const COORDINATOR_UNKNOWN: Self = Self::new(
        "coordinator_unknown",
        "the group is coordinated by another product than Kafka",
        "use another strategy",
    )
    .governed_by(&[PolicyField::Strategy]);
    /// Ready pods have no member in the group.
    pub const MEMBERS_MISSING: Self = Self::new(
        "members_missing",
        "ready pods have no member in the group",
        "wait until they have joined, or check their logs and their group id",
    );
    /// Two members would process a partition after a removal.
    pub const DOUBLE_PROCESSING: Self = Self::new(
        "double_processing",
        "in a group of KIP-848, two members would process a partition for some seconds after a rejoin",
        "use another strategy, or allow it",
    )
    .governed_by(&[PolicyField::Strategy, PolicyField::RejoinConsumerProtocol]);
    /// Members use the classic protocol in a group of KIP-848.
    pub const MIXED_PROTOCOLS: Self = Self::new(
        "mixed_protocols",
        "members use the classic protocol in a group of KIP-848, so none is removed",
        "wait until all members have been migrated to the same protocol",
    );
    /// The broker does not remove members of a group of KIP-848.
    pub const BROKER_TOO_OLD: Self = Self::new(
        "broker_too_old",
        "the broker is older than Kafka 4.0 and does not remove members of a group of KIP-848",
        "upgrade the brokers, or use another strategy",
    )
    .governed_by(&[PolicyField::Strategy]);
    /// The group's assignor is not the one of the forecast.
    pub const ASSIGNOR_NOT_MODELLED: Self = Self::new(
        "assignor_not_modelled",
        "the group's assignor is not one whose next assignment can be forecast",
        "use another strategy; the message names the assignor",
    )
    .governed_by(&[PolicyField::Strategy]);
    /// Removed members get the same partitions back.
    pub const CLAIMS_KEPT: Self = Self::new(
        "claims_kept",
        "members that are removed from the group and return get the same partitions back",
        "use the strategy `assign`; the message says why",
    )
    .governed_by(&[PolicyField::Strategy]);
    /// Members of the group subscribe to different topics.
    pub const DIFFERENT_SUBSCRIPTIONS: Self = Self::new(
        "different_subscriptions",
        "the members of the group subscribe to different topics",
        "let all members subscribe to the same topics, or use another strategy",
    )
    .governed_by(&[PolicyField::Strategy]);
    /// Racks leave no assignment with equal numbers of partitions.
    pub const RACKS_UNEVEN: Self = Self::new(
        "racks_uneven",
        "racks of members and replicas leave no assignment with equal numbers of partitions that the \
         group would keep",
        "distribute members and replicas evenly over the racks, or unset `client.rack`",
    );
    /// The group would not keep the assignment.
    pub const ASSIGNMENT_NOT_KEPT: Self = Self::new(
        "assignment_not_kept",
        "the group's assignor would not keep the best assignment",
        "nothing; the message names the partition that would move",
    );
    /// The assignments of the members carry data that is not known.
    pub const ASSIGNMENT_USER_DATA: Self = Self::new(
        "assignment_user_data",
        "the assignments of the members carry data of the application, which a new assignment would lose",
        "use another strategy",
    )
    .governed_by(&[PolicyField::Strategy]);
}

impl Rule for GroupAssignable {
    const REASONS: &'static [HoldReason] = &[
        HoldReason::ASSIGNOR_NOT_STICKY,
        HoldReason::CONSUMER_PROTOCOL,
        HoldReason::COORDINATOR_UNKNOWN,
        HoldReason::MEMBERS_MISSING,
        HoldReason::DIFFERENT_SUBSCRIPTIONS,
        HoldReason::RACKS_UNEVEN,
        HoldReason::ASSIGNMENT_NOT_KEPT,
        HoldReason::ASSIGNMENT_USER_DATA,
        HoldReason::DOUBLE_PROCESSING,
        HoldReason::ASSIGNOR_NOT_MODELLED,
        HoldReason::CLAIMS_KEPT,
        HoldReason::MIXED_PROTOCOLS,
        HoldReason::BROKER_TOO_OLD,
    ];

    fn evaluate(input: &CheckInput<'_>) -> Option<(Verdict, Self)> {
        // With the strategy `auto` the next one decides if an assignment is not possible.
        if input.policy.strategy.evicts() {
            return None;
        }
        let is_known = input.group.is_some_and(Result::is_ok);
        let problem = input.assign_problem.cloned();
        let verdict = match &problem {
            Some(_) => Verdict::Fail,
            None if is_known => Verdict::Pass,
            None => Verdict::Skipped,
        };
        Some((verdict, Self { problem }))
    }

    fn failure(&self) -> Failure {
        let (reason, missing_data) = match &self.problem {
            Some(
                AssignProblem::UnsuitableAssignor { .. } | AssignProblem::UnknownAssignor { .. },
            ) => (HoldReason::ASSIGNOR_NOT_STICKY, false),
            Some(AssignProblem::ConsumerProtocol) => (HoldReason::CONSUMER_PROTOCOL, false),
            Some(AssignProblem::UnknownCoordinator { .. }) => {
                (HoldReason::COORDINATOR_UNKNOWN, false)
            }
            Some(AssignProblem::PodsWithoutMember { .. }) => (HoldReason::MEMBERS_MISSING, false),
            Some(AssignProblem::Unowned { .. }) => (HoldReason::GROUP_NOT_SETTLED, false),
            Some(AssignProblem::DifferentSubscriptions { .. }) => {
                (HoldReason::DIFFERENT_SUBSCRIPTIONS, false)
            }
            Some(AssignProblem::Racks) => (HoldReason::RACKS_UNEVEN, false),
            Some(AssignProblem::AssignorNotModelled { .. }) => {
                (HoldReason::ASSIGNOR_NOT_MODELLED, false)
            }
            Some(AssignProblem::DoubleProcessing) => (HoldReason::DOUBLE_PROCESSING, false),
            Some(AssignProblem::MixedProtocols { .. }) => (HoldReason::MIXED_PROTOCOLS, false),
            Some(AssignProblem::BrokerTooOld) => (HoldReason::BROKER_TOO_OLD, false),
            Some(AssignProblem::ClaimsKept { .. }) => (HoldReason::CLAIMS_KEPT, false),
            Some(AssignProblem::NotKept { .. }) => (HoldReason::ASSIGNMENT_NOT_KEPT, false),
            Some(AssignProblem::UserData { .. }) => (HoldReason::ASSIGNMENT_USER_DATA, false),
            Some(AssignProblem::NotDescribed | AssignProblem::NoRates) | None => {
                (HoldReason::GROUP_UNKNOWN, true)
            }
        };
        Failure {
            reason,
            missing_data,
            untrusted_loads: false,
        }
    }
}

impl fmt::Display for GroupAssignable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problem {
            None => f.write_str("nothing is known that prevents a new assignment"),
            Some(problem) => problem.fmt(f),
        }
    }
}
