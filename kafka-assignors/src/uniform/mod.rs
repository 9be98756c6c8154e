//! `uniform` of the broker, for the consumer protocol (KIP-848).
//!
//! | members | module |
//! |---|---|
//! | all subscribe to the same topics | `homogeneous`: quotas, linear in the number of partitions |
//! | subscriptions differ | `heterogeneous`: assigns unowned partitions, then moves partitions from the fullest members to the emptiest |
//!
//! The result is the target assignment of the group, which members reach one heartbeat after the
//! other. The broker iterates over members in the order of a Java hash table of their ids.
//! Source: KIP-848, and the broker's `UniformAssignor` as of Kafka 4.3.

mod heterogeneous;
mod homogeneous;
mod turns;

use crate::{Assignment, Member, Topics, java_hash, member, order};

/// Computes the target assignment; `previous` is the previous target.
#[must_use]
pub fn assign(topics: &Topics, members: &[Member], previous: &Assignment) -> Assignment {
    let kept = order::still_wanted(topics, members, previous);
    let in_order = java_hash::iteration_order(members);
    if member::subscribed_alike(members) {
        homogeneous::assign(topics, members, &in_order, kept)
    } else {
        heterogeneous::assign(topics, members, &in_order, kept)
    }
}
