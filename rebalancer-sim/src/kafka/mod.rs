//! A model of a classic consumer group on a Kafka broker: its coordinator and its clients, in
//! virtual time. [`ConsumerGroupWorld`] is a model of a group of the consumer protocol (KIP-848).
//!
//! It models what matters to a [hand-over](rebalancer_core::handover): the join and sync phases,
//! the election of leaders, pending member ids, session timeouts, and how each client library
//! reacts when it is removed. It records every violation of what a hand-over must guarantee: a
//! partition that two clients process at once, a member that is removed outside an open join phase,
//! a response of the leader without an entry for a member.
//!
//! Sources: Kafka's coordinators in Java (`GroupMetadataManager`, `ClassicGroup`) and Scala
//! (`GroupCoordinator`, `GroupMetadata`), the Java client and librdkafka.

mod client;
mod consumer;
mod coordinator;
mod election;
mod world;

pub(crate) use client::ClientIdentity;
pub use client::ClientKind;
pub use consumer::{ConsumerGroupConfig, ConsumerGroupWorld};
pub use election::ElectionOrder;
pub use world::{Disturbance, GroupConfig, GroupWorld, RequestFault};
pub(crate) use world::{RunningMember, TICK};
