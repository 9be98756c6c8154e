//! `roundrobin` of the Java client.
//!
//! Assigns the partitions of all topics, by topic name and number, to the members in turn: static
//! members by `group.instance.id` first, then the others by member id. Skips members that do not
//! subscribe to the topic. The turn continues from topic to topic, so members with the same
//! subscription differ by at most one partition. Previous owners have no influence.
//! Source: the documentation of `RoundRobinAssignor`, and KIP-345 for static members.

use crate::{Assignment, Member, Topics, order};

/// Computes the owners after one rebalance. Ignores the previous owners.
#[must_use]
pub fn assign(topics: &Topics, members: &[Member], _previous: &Assignment) -> Assignment {
    let ranked = order::ranked(members);
    let mut owners = Assignment::unowned(topics.partition_count());
    // The rank of the member that gets the next partition.
    let mut turn = 0;
    let subscribers = order::subscribers(topics, members, &ranked);
    for (topic, subscribers) in topics.indices().zip(&subscribers) {
        let next = subscribers.partition_point(|rank| *rank < turn);
        let circle = subscribers.iter().cycle().skip(next);
        for (partition, rank) in topics.partitions(topic).zip(circle) {
            owners.set(partition, ranked.get(*rank).copied());
            turn = rank + 1;
        }
    }
    owners
}
