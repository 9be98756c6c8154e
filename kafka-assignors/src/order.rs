//! The order of members, subscribers of topics, and owners that remain valid.

use std::cmp::Ordering;

use crate::{Assignment, Member, MemberIndex, Topics, member};

/// Static members by `group.instance.id`, then the others by member id (KIP-345). So a static
/// member that restarts with a new member id keeps its rank.
fn static_first(a: &Member, b: &Member) -> Ordering {
    match (&a.instance, &b.instance) {
        (Some(a), Some(b)) => a.cmp(b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.id.cmp(&b.id),
    }
}

/// Sorts the members, static ones first.
pub(crate) fn ranked(members: &[Member]) -> Vec<MemberIndex> {
    let mut indices: Vec<MemberIndex> = MemberIndex::all(members.len()).collect();
    indices.sort_by(|a, b| static_first(&members[*a], &members[*b]));
    indices
}

/// The subscribers of each topic, as positions in `order`, ascending.
pub(crate) fn subscribers(
    topics: &Topics,
    members: &[Member],
    order: &[MemberIndex],
) -> Vec<Vec<usize>> {
    let mut subscribers = vec![Vec::new(); topics.len()];
    for (position, member) in order.iter().enumerate() {
        for topic in members[*member].subscription.topics() {
            if let Some(list) = subscribers.get_mut(topic.get()) {
                list.push(position);
            }
        }
    }
    subscribers
}

/// Keeps the previous owners that are still members and subscribe to the topic.
pub(crate) fn still_wanted(
    topics: &Topics,
    members: &[Member],
    previous: &Assignment,
) -> Assignment {
    let mut owners = Assignment::unowned(topics.partition_count());
    let alike = member::subscribed_alike(members);
    for topic in topics.indices() {
        let wants = |owner: MemberIndex| {
            members
                .get(owner.get())
                .is_some_and(|member| member.subscription.contains(topic))
        };
        if alike && !wants(MemberIndex::new(0)) {
            continue;
        }
        for partition in topics.partitions(topic) {
            let owner = previous.owner(partition);
            if owner.is_some_and(|owner| {
                if alike {
                    owner.get() < members.len()
                } else {
                    wants(owner)
                }
            }) {
                owners.set(partition, owner);
            }
        }
    }
    owners
}
