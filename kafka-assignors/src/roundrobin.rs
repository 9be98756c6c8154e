//! `roundrobin` of the Java client.
//!
//! All partitions of all topics in a row (by topic name, then number), dealt to the members in a
//! circle (static ones by `group.instance.id` first, then by member id); who does not subscribe to the
//! topic is passed over. The circle goes on from topic to topic, so members that subscribe alike end
//! within one partition of each other. What was owned before plays no role.
//! Source: the documentation of `RoundRobinAssignor`, KIP-345 for static members.

use super::order;
use crate::{Assignment, Member, Topics};

/// One rebalance; `previous` is not looked at.
#[must_use]
pub fn assign(topics: &Topics, members: &[Member], _previous: &Assignment) -> Assignment {
    let ranked = order::ranked(members);
    let mut owners = Assignment::unowned(topics.partitions());
    // The rank of whose turn it is.
    let mut turn = 0;
    let subscribers = order::subscribers(topics, members, &ranked);
    for (topic, subscribers) in subscribers.iter().enumerate() {
        let next = subscribers.partition_point(|rank| *rank < turn);
        let circle = subscribers.iter().cycle().skip(next);
        for (partition, rank) in topics.range(topic).zip(circle) {
            owners.set(partition, ranked.get(*rank).copied());
            turn = rank + 1;
        }
    }
    owners
}
