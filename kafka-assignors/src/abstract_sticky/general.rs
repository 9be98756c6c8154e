//! The sticky assignment of members whose subscriptions differ (the algorithm of KIP-54).
//!
//! Members keep what they own. What is free goes, topics with the fewest subscribers first, to the
//! subscriber that owns least. Then partitions are moved, in the same order, from an owner to the
//! subscriber that owns least when that has at least two fewer; first only those that were free,
//! then all, until nothing moves. All of this is taken back when it did not lower the sum of the
//! differences between members. Ties go by member id.

use std::collections::BTreeSet;

use super::movements::Movements;
use crate::{Assignment, Member, Topics};

pub(super) fn assign(
    topics: &Topics,
    members: &[Member],
    previous: &Assignment,
    kept: Assignment,
) -> Assignment {
    let mut group = Group::new(topics, members, kept);
    // Topics that the fewest can have come first, so that others are free to even it out.
    let mut in_order: Vec<usize> = (0..topics.len())
        .filter(|topic| !group.subscribers[*topic].is_empty())
        .collect();
    in_order.sort_by_key(|topic| group.subscribers[*topic].len());
    let all: Vec<(usize, usize)> = in_order
        .iter()
        .flat_map(|topic| topics.range(*topic).map(|partition| (*topic, partition)))
        .collect();
    let is_free = |group: &Group<'_>, partition: usize| group.owners.owner(partition).is_none();
    let free: Vec<(usize, usize)> = all
        .iter()
        .copied()
        .filter(|(_, partition)| is_free(&group, *partition))
        .collect();
    let from_nothing = free.len() == all.len();
    for (topic, partition) in &free {
        if let Some(member) = group.lightest(*topic) {
            group.give(*partition, member);
        }
    }

    let before = group.owners.clone();
    let involved = group.involved(topics);
    let spread_before = group.spread(&involved);
    let mut movements = Movements::new(topics);
    let gave_up = all.iter().any(|(topic, partition)| {
        let owner = previous
            .owner(*partition)
            .and_then(|owner| members.get(owner));
        owner.is_some_and(|owner| !owner.subscription.contains(*topic))
    });
    if !gave_up {
        group.even_out(&free, &mut movements);
    }
    let moved = group.even_out(&all, &mut movements);
    if moved && !from_nothing && group.spread(&involved) >= spread_before {
        return before;
    }
    group.owners
}

/// An assignment under way.
struct Group<'a> {
    members: &'a [Member],
    owners: Assignment,
    /// Partitions of each member.
    counts: Vec<usize>,
    /// The rank of each member by its id, and the member of each rank.
    ranks: Vec<usize>,
    ranked: Vec<usize>,
    /// Members by the number of their partitions, then by rank.
    by_count: BTreeSet<(usize, usize)>,
    /// The members that want each topic.
    subscribers: Vec<Vec<usize>>,
}

impl<'a> Group<'a> {
    fn new(topics: &Topics, members: &'a [Member], owners: Assignment) -> Self {
        let counts = owners.counts(members.len());
        let mut ranked: Vec<usize> = (0..members.len()).collect();
        ranked.sort_by(|a, b| members[*a].id.cmp(&members[*b].id));
        let mut ranks = vec![0; members.len()];
        for (rank, member) in ranked.iter().enumerate() {
            ranks[*member] = rank;
        }
        let mut subscribers = vec![Vec::new(); topics.len()];
        for (place, member) in members.iter().enumerate() {
            for topic in member.subscription.topics() {
                if let Some(list) = subscribers.get_mut(*topic) {
                    list.push(place);
                }
            }
        }
        Self {
            by_count: counts.iter().copied().zip(ranks.iter().copied()).collect(),
            members,
            owners,
            counts,
            ranks,
            ranked,
            subscribers,
        }
    }

    /// The subscriber that owns least.
    fn lightest(&self, topic: usize) -> Option<usize> {
        let members = self.by_count.iter().map(|(_, rank)| self.ranked[*rank]);
        let mut wanting =
            members.filter(|member| self.members[*member].subscription.contains(topic));
        wanting.next()
    }

    fn give(&mut self, partition: usize, member: usize) {
        if let Some(owner) = self.owners.owner(partition) {
            self.count(owner, self.counts[owner] - 1);
        }
        self.owners.set(partition, Some(member));
        self.count(member, self.counts[member] + 1);
    }

    fn count(&mut self, member: usize, count: usize) {
        self.by_count
            .remove(&(self.counts[member], self.ranks[member]));
        self.by_count.insert((count, self.ranks[member]));
        self.counts[member] = count;
    }

    /// Moves partitions to subscribers that own at least two fewer than the owner, until none is
    /// left that does; yields whether any was moved.
    fn even_out(&mut self, partitions: &[(usize, usize)], movements: &mut Movements<'_>) -> bool {
        let mut ever = false;
        loop {
            let mut moved = false;
            for (topic, partition) in partitions {
                let owner = self.owners.owner(*partition);
                let (Some(owner), Some(lightest)) = (owner, self.lightest(*topic)) else {
                    continue;
                };
                if self.counts[owner] > self.counts[lightest] + 1 {
                    let partition = movements.instead_of(*topic, *partition, owner, lightest);
                    let from = self.owners.owner(partition).unwrap_or(owner);
                    movements.remember(*topic, partition, from, lightest);
                    self.give(partition, lightest);
                    moved = true;
                }
            }
            ever |= moved;
            if !moved {
                return ever;
            }
        }
    }

    /// The members that could give or get: those that lack something they could have, or own
    /// something that another could have.
    fn involved(&self, topics: &Topics) -> Vec<usize> {
        let partitions = self.owners.by_member(self.members.len());
        let is_shared = |partition: &usize| {
            let topic = topics.place(*partition).map_or(0, |(topic, _)| topic);
            self.subscribers[topic].len() > 1
        };
        (0..self.members.len())
            .filter(|member| {
                let wanted = self.members[*member].subscription.topics().iter();
                let most: usize = wanted.map(|topic| topics.range(*topic).len()).sum();
                self.counts[*member] < most || partitions[*member].iter().any(is_shared)
            })
            .collect()
    }

    /// The sum of the differences between all pairs of members.
    fn spread(&self, members: &[usize]) -> usize {
        let mut counts: Vec<usize> = members.iter().map(|member| self.counts[*member]).collect();
        counts.sort_unstable();
        // Each count is added once for each smaller one, and taken away once for each larger one.
        let (mut sum, mut spread) = (0, 0);
        for (smaller, count) in counts.iter().enumerate() {
            spread += count * smaller - sum;
            sum += count;
        }
        spread
    }
}
