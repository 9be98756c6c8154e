//! The part that the members of a group take in a rebalance.

use kafka_assignors::{Assignor, Protocol};
use serde::{Deserialize, Serialize};

use super::GroupModel;

/// The part that the members of a group take in a rebalance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RebalanceProtocol {
    /// The members keep their partitions during a rebalance (`cooperative-sticky`, or the
    /// consumer protocol). A partition that moves is first revoked, and assigned afterwards.
    Cooperative,
    /// The members give up all partitions before each rebalance (all other assignors of
    /// classic groups).
    Eager,
}

impl RebalanceProtocol {
    /// The protocol of the members of a classic group with this assignor.
    #[must_use]
    pub fn of(assignor: Assignor) -> Self {
        if assignor == Assignor::CooperativeSticky {
            Self::Cooperative
        } else {
            Self::Eager
        }
    }

    /// The protocol of the members of a group.
    #[must_use]
    pub fn of_group(group: &GroupModel) -> Self {
        match group.protocol {
            Protocol::Classic => Self::of(group.assignor.assignor),
            Protocol::Consumer => Self::Cooperative,
        }
    }
}
