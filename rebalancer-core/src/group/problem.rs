//! Reasons why a group cannot be modelled.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::group::{Assignor, ClientFamily, Protocol};
use crate::model::Seconds;
use crate::wording::plural;

/// Why no forecast can be made for a group: its data is incomplete, or it has not settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum GroupProblem {
    /// No source reports the owners of the partitions.
    Unknown,
    /// Owners or rates are incomplete.
    Partial {
        /// Description of the missing data.
        missing: String,
    },
    /// The brokers report that the group is not stable: it is rebalancing.
    NotStable {
        /// The state, as the brokers name it.
        state: String,
    },
    /// The brokers report that the group has no members.
    NoMembers {
        /// The state, as the brokers name it.
        state: String,
    },
    /// The group is not one of consumers, so its assignment is not modelled.
    UnsupportedGroup {
        /// The type of the group, or its protocol type.
        group_type: String,
    },
    /// The brokers report an assignor that is not modelled.
    UnknownAssignor {
        /// The assignor, by the name that Kafka uses.
        assignor: String,
    },
    /// Too many pods are behind, so that the rates do not explain the loads.
    CatchingUp {
        /// The number of pods with partitions that are behind.
        pods: usize,
        /// The number of ready pods.
        of: usize,
        /// The number of partitions that are behind.
        partitions: usize,
        /// The name of one of them.
        example: String,
        /// The sum of their lags, in records.
        lag: u64,
        /// The window of the rates, in seconds.
        window_seconds: Seconds,
    },
    /// Members run in pods that do not exist or are not ready.
    PodsNotServing {
        /// The number of members.
        members: usize,
        /// The name of one of their pods.
        example: String,
    },
    /// Partitions have no owner.
    Unowned {
        /// The number of partitions.
        partitions: usize,
        /// The name of one of them.
        example: String,
    },
    /// Partitions changed their owner within the cooldown.
    MovedLately {
        /// The number of partitions.
        partitions: usize,
    },
    /// The offsets of partitions went back within the window of the rates.
    OffsetsWentBack {
        /// The number of partitions.
        partitions: usize,
        /// The name of one of them.
        example: String,
        /// The window of the rates, in seconds.
        window_seconds: Seconds,
    },
    /// The client or the protocol does not have the configured assignor.
    NoSuchAssignor {
        /// The assignor, the protocol and the client.
        assignor: String,
    },
}

impl GroupProblem {
    /// The problem of an assignor that does not exist in such a group.
    pub(crate) fn no_such_assignor(
        assignor: Assignor,
        protocol: Protocol,
        client: ClientFamily,
    ) -> Self {
        Self::NoSuchAssignor {
            assignor: format!(
                "assignor {assignor} in a group of the {protocol} protocol with the client {client}"
            ),
        }
    }

    /// Whether the group is rebalancing, has rebalanced recently or is catching up, so that waiting
    /// resolves the problem.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NotStable { .. }
            | Self::CatchingUp { .. }
            | Self::PodsNotServing { .. }
            | Self::Unowned { .. }
            | Self::MovedLately { .. } => true,
            Self::Unknown
            | Self::Partial { .. }
            | Self::NoMembers { .. }
            | Self::UnsupportedGroup { .. }
            | Self::UnknownAssignor { .. }
            | Self::OffsetsWentBack { .. }
            | Self::NoSuchAssignor { .. } => false,
        }
    }

    /// Whether waiting resolves the problem, so that no other strategy decides meanwhile.
    #[must_use]
    pub fn ends_without_action(&self) -> bool {
        match self {
            Self::OffsetsWentBack { .. } => true,
            Self::NotStable { .. }
            | Self::CatchingUp { .. }
            | Self::PodsNotServing { .. }
            | Self::Unowned { .. }
            | Self::MovedLately { .. }
            | Self::Unknown
            | Self::Partial { .. }
            | Self::NoMembers { .. }
            | Self::UnsupportedGroup { .. }
            | Self::UnknownAssignor { .. }
            | Self::NoSuchAssignor { .. } => self.is_transient(),
        }
    }
}

impl fmt::Display for GroupProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str(
                "the owners of the partitions are unknown: neither Kafka nor metrics of the consumer \
                 group are configured",
            ),
            Self::Partial { missing } => {
                write!(f, "the data of the consumer group is incomplete: {missing}")
            }
            Self::NotStable { state } => write!(
                f,
                "the group is not stable: its state is {state}; no forecast until the rebalance has \
                 ended"
            ),
            Self::NoMembers { state } => write!(
                f,
                "the group has no members (state {state}): check the group id, and whether the \
                 consumers run"
            ),
            Self::UnsupportedGroup { group_type } => write!(
                f,
                "the group is of type {group_type}, whose assignment is not modelled"
            ),
            Self::UnknownAssignor { assignor } => write!(
                f,
                "the brokers report the assignor {assignor}, which is not modelled; if it behaves \
                 like one of Kafka's assignors, configure that one"
            ),
            Self::CatchingUp {
                pods,
                of,
                partitions,
                example,
                lag,
                window_seconds,
            } => write!(
                f,
                "{pods} of {of} ready pods are behind: {} {} a lag larger than what arrived within \
                 the window of {} ({lag} records together), so the rates do not explain the loads; \
                 no forecast until they have caught up; if the lag grows, add pods",
                partition_names(*partitions, example),
                plural(*partitions, "has", "have"),
                window_seconds.rounded()
            ),
            Self::PodsNotServing { members, example } => write!(
                f,
                "{members} {} in pods that are not ready, such as {example}",
                plural(
                    *members,
                    "member of the group runs",
                    "members of the group run"
                )
            ),
            Self::Unowned {
                partitions,
                example,
            } => write!(
                f,
                "{partitions} {} no owner, such as {example}: the group is rebalancing, or does \
                 not consume them",
                plural(*partitions, "partition has", "partitions have")
            ),
            Self::MovedLately { partitions } => write!(
                f,
                "{partitions} {} the owner within the cooldown: the loads are not yet those of the \
                 current owners",
                plural(*partitions, "partition changed", "partitions changed")
            ),
            Self::OffsetsWentBack {
                partitions,
                example,
                window_seconds,
            } => write!(
                f,
                "the offset of {} went back (an unclean leader election, or the topic was created \
                 again), so the rate is wrong; no forecast until the offset has not gone back for \
                 the window of {}; if it goes back in every run, several exporters report under one \
                 series",
                partition_names(*partitions, example),
                window_seconds.rounded()
            ),
            Self::NoSuchAssignor { assignor } => write!(f, "there is no {assignor}"),
        }
    }
}

impl std::error::Error for GroupProblem {}

/// One partition, or the number of partitions with an example.
fn partition_names(partitions: usize, example: &str) -> String {
    if partitions == 1 {
        format!("partition {example}")
    } else {
        format!("{partitions} partitions, such as {example},")
    }
}
