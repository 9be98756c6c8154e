//! The plan of a hand-over: the group as it was read, and its target.

use std::time::Duration;

use kafka_assignors::coordinator_order::CoordinatorFamily;
use kafka_assignors::{Assignment, Topics};

use crate::ports::DescribedMember;

/// The part that the members of a group take in a rebalance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RebalanceProtocol {
    /// The members keep their partitions during a rebalance (`cooperative-sticky`). A partition
    /// that moves is first revoked, and assigned in the next rebalance.
    Cooperative,
    /// The members give up all partitions before each rebalance (`sticky`).
    Eager,
}

/// A member of the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandoverMember {
    /// The member id.
    pub member_id: String,
    /// `group.instance.id` of a static member.
    pub instance: Option<String>,
    /// `client.id`.
    pub client_id: String,
    /// The host, as the coordinator reports it.
    pub host: String,
}

impl HandoverMember {
    /// The member that the coordinator describes.
    #[must_use]
    pub fn of(described: &DescribedMember) -> Self {
        let labels = &described.labels;
        Self {
            member_id: labels.member_id.clone().unwrap_or_default(),
            instance: labels.instance.clone(),
            client_id: labels.client_id.clone().unwrap_or_default(),
            host: labels.host.clone().unwrap_or_default(),
        }
    }

    /// Whether `other` is this member under a new id: it has the same instance id, or, if neither has
    /// one, the same client id. Both have the same host.
    #[must_use]
    pub(crate) fn is_same_client(&self, other: &Self) -> bool {
        self.host == other.host
            && self.instance == other.instance
            && self.client_id == other.client_id
    }
}

/// The plan of a hand-over.
#[derive(Debug, Clone, PartialEq)]
pub struct HandoverPlan {
    /// The assignor of the group, as Kafka names it.
    pub assignor: String,
    /// The part that the members take in a rebalance.
    pub protocol: RebalanceProtocol,
    /// The topics of the group.
    pub topics: Topics,
    /// The members; assignments refer to them by index.
    pub members: Vec<HandoverMember>,
    /// The owners when the group was read. Each partition has one.
    pub current: Assignment,
    /// The owners to hand out. Each partition has one.
    pub target: Assignment,
    /// The load of each partition, in any unit. Used to choose partitions whose short pause costs
    /// least; unknown loads count as 0.
    pub loads: Vec<f64>,
    /// The families that the coordinator may belong to.
    pub coordinators: Vec<CoordinatorFamily>,
    /// Whether assignments carry the user data of sticky assignors; see
    /// [`SyncRequest::sticky_user_data`](crate::ports::SyncRequest::sticky_user_data).
    pub sticky_user_data: bool,
    /// The time at which the group was read for the plan, as an elapsed time. The hand-over reads it
    /// again some seconds later, and begins only if nothing has changed.
    pub observed_at: Duration,
}

impl HandoverPlan {
    /// The number of partitions that change their owner.
    #[must_use]
    pub fn moves(&self) -> usize {
        let pairs = self.current.owners().zip(self.target.owners());
        pairs.filter(|(from, to)| from != to).count()
    }
}
