//! The part that the members of a classic group take in a rebalance.

use kafka_assignors::Assignor;
use serde::{Deserialize, Serialize};

/// The part that the members of a classic group take in a rebalance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RebalanceProtocol {
    /// The members keep their partitions during a rebalance (`cooperative-sticky`). A partition
    /// that moves is first revoked, and assigned in the next rebalance.
    Cooperative,
    /// The members give up all partitions before each rebalance (all other assignors).
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
}
