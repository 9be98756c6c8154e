//! `range` of the Java client.
//!
//! Each topic by itself: its partitions in a row, its subscribers in a row (static members by
//! `group.instance.id` first, then by member id), everyone gets a contiguous run of the same length,
//! and the first few one partition more when it does not divide. So the first members carry the
//! remainder of every topic. What was owned before plays no role. Racks (KIP-881) are left out.
//! Source: the documentation of `RangeAssignor`, KIP-345 for static members.

use super::order;
use crate::{Assignment, Member, Topics};

/// One rebalance; `previous` is not looked at.
#[must_use]
pub fn assign(topics: &Topics, members: &[Member], _previous: &Assignment) -> Assignment {
    let ranked = order::ranked(members);
    let mut owners = Assignment::unowned(topics.partitions());
    let subscribers = order::subscribers(topics, members, &ranked);
    for (topic, subscribers) in subscribers.iter().enumerate() {
        if subscribers.is_empty() {
            continue;
        }
        let mut partitions = topics.range(topic);
        let each = partitions.len() / subscribers.len();
        let one_more = partitions.len() % subscribers.len();
        for (nth, rank) in subscribers.iter().enumerate() {
            let run = each + usize::from(nth < one_more);
            for partition in partitions.by_ref().take(run) {
                owners.set(partition, ranked.get(*rank).copied());
            }
        }
    }
    owners
}
