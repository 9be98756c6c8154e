//! The uniform assignment of members whose subscriptions differ.
//!
//! Topics come by the number of partitions for each subscriber, the highest first. What is free
//! goes to the subscribers that own least, in turns. Then, topic by topic, the fullest subscribers
//! give their highest partitions to the emptiest, in turns, until they are within one; over and
//! over, until nothing moves or it was tried often enough. Ties go by the order of the walk.

use super::wheels::Wheels;
use crate::{Assignment, Member, Topics};

/// The broker gives up then: each round makes less of a difference.
const ROUNDS: usize = 16;

pub(super) fn assign(
    topics: &Topics,
    members: &[Member],
    walk: &[usize],
    kept: Assignment,
) -> Assignment {
    let mut subscribers = vec![Vec::new(); topics.len()];
    // By position in the walk, which breaks ties.
    for (position, member) in walk.iter().enumerate() {
        for topic in members[*member].subscription.topics() {
            if let Some(list) = subscribers.get_mut(*topic) {
                list.push(position);
            }
        }
    }
    let mut positions = vec![None; members.len()];
    for (position, member) in walk.iter().enumerate() {
        positions[*member] = Some(position);
    }
    let owners = kept.renumbered(&positions);
    let mut group = Group {
        counts: owners.counts(members.len()),
        owners,
    };
    let mut in_order: Vec<usize> = (0..topics.len())
        .filter(|topic| !subscribers[*topic].is_empty())
        .collect();
    in_order.sort_by(|a, b| {
        // partitions(b) / subscribers(b) against partitions(a) / subscribers(a), without division.
        let (of_a, of_b) = (topics.range(*a).len(), topics.range(*b).len());
        let (to_a, to_b) = (subscribers[*a].len(), subscribers[*b].len());
        (of_b * to_a).cmp(&(of_a * to_b)).then(to_a.cmp(&to_b))
    });
    for topic in &in_order {
        let mut wheels = Wheels::new(&subscribers[*topic], &group.counts);
        for partition in topics.range(*topic) {
            if group.owners.owner(partition).is_none()
                && let Some(member) = wheels.emptiest(&group.counts)
            {
                group.owners.set(partition, Some(member));
                group.counts[member] += 1;
            }
        }
    }
    let shared: Vec<usize> = in_order
        .into_iter()
        .filter(|topic| subscribers[*topic].len() > 1)
        .collect();
    for _ in 0..ROUNDS {
        let mut moved = false;
        for topic in &shared {
            moved |= group.balance(topics, *topic, &subscribers[*topic]);
        }
        if !moved {
            break;
        }
    }
    let places: Vec<Option<usize>> = walk.iter().copied().map(Some).collect();
    group.owners.renumbered(&places)
}

/// An assignment under way; members by their position in the walk.
struct Group {
    owners: Assignment,
    counts: Vec<usize>,
}

impl Group {
    /// Evens out one topic; yields whether anything moved.
    fn balance(&mut self, topics: &Topics, topic: usize, subscribers: &[usize]) -> bool {
        let counts = subscribers.iter().map(|member| self.counts[*member]);
        let (most, fewest) = (counts.clone().max(), counts.min());
        if most <= fewest.map(|fewest| fewest + 1) {
            return false;
        }
        let mut owned = vec![Vec::new(); self.counts.len()];
        for partition in topics.range(topic) {
            if let Some(owner) = self.owners.owner(partition) {
                owned[owner].push(partition);
            }
        }
        let mut wheels = Wheels::new(subscribers, &self.counts);
        let mut moved = false;
        while !wheels.are_even() {
            let Some(giver) = wheels.fullest(&self.counts) else {
                break;
            };
            let Some(partition) = owned[giver].pop() else {
                wheels.take_off_fullest();
                continue;
            };
            let Some(taker) = wheels.emptiest(&self.counts) else {
                break;
            };
            if wheels.are_even() {
                break;
            }
            self.owners.set(partition, Some(taker));
            self.counts[giver] -= 1;
            self.counts[taker] += 1;
            moved = true;
        }
        moved
    }
}
