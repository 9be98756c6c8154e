//! `range` of the Java client.
//!
//! Assigns each topic separately. Subscribers are sorted: static members by `group.instance.id`
//! first, then the others by member id. Each one gets a contiguous run of partitions of the same
//! length, and the first ones get one more if the division leaves a remainder. So the first members
//! own the remainder of every topic. Previous owners have no influence. Racks (KIP-881) are not
//! implemented.
//! Source: the documentation of `RangeAssignor`, and KIP-345 for static members.

use crate::{Assignment, Member, Topics, order};

/// Computes the owners after one rebalance. Ignores the previous owners.
#[must_use]
pub fn assign(topics: &Topics, members: &[Member], _previous: &Assignment) -> Assignment {
    let ranked = order::ranked(members);
    let mut owners = Assignment::unowned(topics.partition_count());
    let subscribers = order::subscribers(topics, members, &ranked);
    for (topic, subscribers) in topics.indices().zip(&subscribers) {
        if subscribers.is_empty() {
            continue;
        }
        let mut partitions = topics.partitions(topic);
        let quota = partitions.len() / subscribers.len();
        let remainder = partitions.len() % subscribers.len();
        for (number, rank) in subscribers.iter().enumerate() {
            let length = quota + usize::from(number < remainder);
            for partition in partitions.by_ref().take(length) {
                owners.set(partition, ranked.get(*rank).copied());
            }
        }
    }
    owners
}
