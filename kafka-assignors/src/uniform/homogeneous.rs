//! The uniform assignment of members with the same subscription.
//!
//! The quota of each member is `total / members` partitions, and `total % members` of them get one
//! more: in iteration order those that already own more than the quota, else the last ones. A
//! member revokes what it owns beyond that, and keeps the partitions that come first in a Java hash
//! table of their numbers. Then each member in turn is filled up: with unowned partitions, by topic
//! and number, then with revoked ones.

use crate::java_hash::Table;
use crate::{Assignment, Member, MemberIndex, PartitionIndex, Topics};

pub(super) fn assign(
    topics: &Topics,
    members: &[Member],
    in_order: &[MemberIndex],
    kept: Assignment,
) -> Assignment {
    let Some(first) = members.first() else {
        return kept;
    };
    let subscribed: Vec<PartitionIndex> = first
        .subscription
        .topics()
        .iter()
        .flat_map(|topic| topics.partitions(*topic))
        .collect();
    let quota = subscribed.len() / members.len();
    let mut extras = subscribed.len() % members.len();
    let mut owners = kept;
    let mut free: Vec<PartitionIndex> = subscribed
        .into_iter()
        .filter(|partition| owners.owner(*partition).is_none())
        .collect();
    let owned = owners.by_member(members.len());
    let mut unfilled = Vec::new();
    for (position, member) in in_order.iter().enumerate() {
        let owned = &owned[*member];
        let is_one_of_the_last = members.len() - position <= extras;
        let extra = extras > 0 && (owned.len() > quota || is_one_of_the_last);
        let quota = quota + usize::from(extra);
        extras -= usize::from(extra);
        if owned.len() > quota {
            free.extend(&in_iteration_order(topics, owned)[quota..]);
        } else if owned.len() < quota {
            unfilled.push((*member, quota - owned.len()));
        }
    }
    let mut free = free.into_iter();
    for (member, missing) in unfilled {
        for partition in free.by_ref().take(missing) {
            owners.set(partition, Some(member));
        }
    }
    owners
}

/// The partitions of a member by topic, then in the iteration order of a hash table of the
/// partition numbers.
fn in_iteration_order(topics: &Topics, owned: &[PartitionIndex]) -> Vec<PartitionIndex> {
    let topic = |partition: &PartitionIndex| topics.locate(*partition).map(|(topic, _)| topic);
    let of_topics = owned.chunk_by(|a, b| topic(a) == topic(b));
    of_topics
        .flat_map(|of_topic| {
            let table = Table::of(of_topic.len());
            let start = of_topic
                .first()
                .and_then(topic)
                .map_or(0, |topic| topics.range(topic).start);
            let mut of_topic = of_topic.to_vec();
            // An integer is its own hash code. The sort is stable, so that within a bucket the
            // lower number comes first.
            of_topic.sort_by_key(|partition| {
                table.bucket(u32::try_from(partition.get() - start).unwrap_or(u32::MAX))
            });
            of_topic
        })
        .collect()
}
