//! Plain views of a world's state, as returned by [`SimWorld`](crate::SimWorld).

use jiff::Timestamp;
use rebalancer_core::model::PodRef;
use rebalancer_core::ports::EvictionAnswer;

/// The actual state of a pod, which the metrics show only averaged and delayed.
#[derive(Debug, Clone, PartialEq)]
pub struct PodLoad {
    /// The name of the pod.
    pub name: String,
    /// The current load in cores; 0 before the containers run.
    pub load: f64,
    /// Whether the pod counts as ready: Running, Ready and not terminating.
    pub ready: bool,
    /// Whether the pod is terminating.
    pub terminating: bool,
    /// The number of partitions that the pod owns.
    pub partitions: usize,
}

/// A partition of the topic.
#[derive(Debug, Clone, PartialEq)]
pub struct PartitionView {
    /// The current rate in records per second.
    pub rate: f64,
    /// The owner; `None` from the time its owner is gone until the group has rebalanced.
    pub owner: Option<PartitionOwner>,
}

/// The group member that owns a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionOwner {
    /// The name of the member's pod.
    pub pod: String,
    /// The member id.
    pub member: String,
}

/// An eviction request that reached the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvictionRecord {
    /// The time of arrival.
    pub at: Timestamp,
    /// The pod to evict.
    pub pod: PodRef,
    /// Whether the request was a dry run.
    pub dry_run: bool,
    /// Whether the request began the termination of the pod. For each UID this is true of at most
    /// one request.
    pub took_effect: bool,
    /// The answer.
    pub answer: EvictionAnswer,
}
