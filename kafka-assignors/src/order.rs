//! Orders of members, and who wants a topic.

use std::cmp::Ordering;

use crate::{Assignment, Member, Topics, member};

/// Static members by `group.instance.id`, then the others by member id (KIP-345): so a static
/// member that restarts under a new member id stands where it stood.
fn static_first(a: &Member, b: &Member) -> Ordering {
    match (&a.instance, &b.instance) {
        (Some(a), Some(b)) => a.cmp(b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.id.cmp(&b.id),
    }
}

/// The places of members, static ones first.
pub(crate) fn ranked(members: &[Member]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..members.len()).collect();
    places.sort_by(|a, b| match (members.get(*a), members.get(*b)) {
        (Some(a), Some(b)) => static_first(a, b),
        (Some(_) | None, Some(_) | None) => Ordering::Equal,
    });
    places
}

/// For each topic the members that want it, as positions in `order`, ascending.
pub(crate) fn subscribers(topics: &Topics, members: &[Member], order: &[usize]) -> Vec<Vec<usize>> {
    let mut subscribers = vec![Vec::new(); topics.len()];
    for (position, member) in order.iter().enumerate() {
        let Some(member) = members.get(*member) else {
            continue;
        };
        for topic in member.subscription.topics() {
            if let Some(list) = subscribers.get_mut(*topic) {
                list.push(position);
            }
        }
    }
    subscribers
}

/// The previous owners that are members and still want the topic.
pub(crate) fn still_wanted(
    topics: &Topics,
    members: &[Member],
    previous: &Assignment,
) -> Assignment {
    let mut owners = Assignment::unowned(topics.partitions());
    let alike = member::subscribed_alike(members);
    for topic in 0..topics.len() {
        let wants = |owner: usize| {
            members
                .get(owner)
                .is_some_and(|member| member.subscription.contains(topic))
        };
        if alike && !wants(0) {
            continue;
        }
        for partition in topics.range(topic) {
            let owner = previous.owner(partition);
            if owner.is_some_and(|owner| {
                if alike {
                    owner < members.len()
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
