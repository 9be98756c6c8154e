//! The uniform assignment of members that subscribe alike.
//!
//! Everyone may own `total / members` partitions, and `total % members` of them one more: in the
//! order of the walk those that own one more already, or else the last ones. What a member owns
//! beyond that it gives up, those first kept that a Java hash table of the numbers has first. Then each member in turn is filled up: with
//! what was free, in the order of topics and numbers, then with what was given up.

use crate::java_hash::Table;
use crate::{Assignment, Member, Topics};

pub(super) fn assign(
    topics: &Topics,
    members: &[Member],
    walk: &[usize],
    kept: Assignment,
) -> Assignment {
    let Some(first) = members.first() else {
        return kept;
    };
    let wanted: Vec<usize> = first
        .subscription
        .topics()
        .iter()
        .flat_map(|topic| topics.range(*topic))
        .collect();
    let (quota, mut extras) = (wanted.len() / members.len(), wanted.len() % members.len());
    let mut owners = kept;
    let mut free: Vec<usize> = wanted
        .into_iter()
        .filter(|partition| owners.owner(*partition).is_none())
        .collect();
    let owned = owners.by_member(members.len());
    let mut unfilled = Vec::new();
    for (nth, member) in walk.iter().enumerate() {
        let owned = &owned[*member];
        let is_one_of_the_last = members.len() - nth <= extras;
        let extra = extras > 0 && (owned.len() > quota || is_one_of_the_last);
        let quota = quota + usize::from(extra);
        extras -= usize::from(extra);
        if owned.len() > quota {
            let owned = in_walk_order(topics, owned);
            free.extend(&owned[quota..]);
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

/// What a member owns, topic by topic, in the order of a hash table of the partitions' numbers.
fn in_walk_order(topics: &Topics, owned: &[usize]) -> Vec<usize> {
    let topic = |partition: &usize| topics.place(*partition).map_or(0, |(topic, _)| topic);
    let of_topics = owned.chunk_by(|a, b| topic(a) == topic(b));
    let in_order = of_topics.flat_map(|of_topic| {
        let table = Table::of(of_topic.len());
        let start = of_topic
            .first()
            .map_or(0, |first| topics.range(topic(first)).start);
        let mut of_topic = of_topic.to_vec();
        // An integer is its own hash. The sort is stable: within a bucket the lower comes first.
        of_topic.sort_by_key(|partition| {
            table.bucket(u32::try_from(partition - start).unwrap_or(u32::MAX))
        });
        of_topic
    });
    in_order.collect()
}
