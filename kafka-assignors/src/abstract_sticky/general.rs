//! The sticky assignment of members with different subscriptions (the algorithm of KIP-54, Java's
//! `generalAssign`).
//!
//! Members keep what they own. Each unowned partition goes to the subscriber with the fewest
//! partitions; topics with the fewest subscribers come first. Then, in the same order, partitions
//! move from their owner to the subscriber with the fewest partitions if that has at least two
//! fewer: first only those that were unowned, then all, until none moves. The moves are reverted if
//! they do not lower the sum of the differences between members. Member ids break ties.
//!
//! If racks matter, a partition without an owner goes to the subscriber with the fewest partitions
//! that is in the rack of a replica or has no rack, and to any subscriber if there is none. The
//! moves do not consider racks.

use std::collections::BTreeSet;

use super::movements::Movements;
use crate::{Assignment, Member, MemberIndex, PartitionIndex, RackRule, TopicIndex, Topics};

/// A partition with its topic.
type Candidate = (TopicIndex, PartitionIndex);

/// `kept` are the owners of the partitions that stay, and whether partitions do not stay because of
/// racks.
pub(super) fn assign(
    topics: &Topics,
    members: &[Member],
    previous: &Assignment,
    racks: Option<&RackRule<'_>>,
    (kept, dropped): (Assignment, bool),
) -> Assignment {
    let mut state = State::new(topics, members, kept);
    // Topics with the fewest subscribers come first: later topics can compensate for them.
    let mut in_order: Vec<TopicIndex> = topics
        .indices()
        .filter(|topic| !state.subscribers[*topic].is_empty())
        .collect();
    in_order.sort_by_key(|topic| state.subscribers[*topic].len());
    let all: Vec<Candidate> = in_order
        .iter()
        .flat_map(|topic| {
            topics
                .partitions(*topic)
                .map(|partition| (*topic, partition))
        })
        .collect();
    let unowned: Vec<Candidate> = all
        .iter()
        .copied()
        .filter(|(_, partition)| state.owners.owner(*partition).is_none())
        .collect();
    let from_nothing = unowned.len() == all.len();
    if let Some(racks) = racks {
        for (topic, partition) in &unowned {
            let near = state.fewest(*topic, |member| !racks.mismatch(member, *partition));
            if let Some(member) = near {
                state.give(*partition, member);
            }
        }
    }
    for (topic, partition) in &unowned {
        if state.owners.owner(*partition).is_none()
            && let Some(member) = state.fewest(*topic, |_| true)
        {
            state.give(*partition, member);
        }
    }

    let before = state.owners.clone();
    let involved = state.involved(topics);
    let spread_before = state.spread(&involved);
    let mut movements = Movements::new(topics);
    let unsubscribed = all.iter().any(|(topic, partition)| {
        let owner = previous
            .owner(*partition)
            .and_then(|owner| members.get(owner.get()));
        owner.is_some_and(|owner| !owner.subscription.contains(*topic))
    });
    if !unsubscribed && !dropped {
        state.balance(&unowned, &mut movements);
    }
    let moved = state.balance(&all, &mut movements);
    if moved && !from_nothing && state.spread(&involved) >= spread_before {
        return before;
    }
    state.owners
}

/// An assignment in progress.
struct State<'a> {
    members: &'a [Member],
    owners: Assignment,
    /// The number of partitions of each member.
    counts: Vec<usize>,
    /// The rank of each member by its id.
    ranks: Vec<usize>,
    /// The member of each rank.
    ranked: Vec<MemberIndex>,
    /// Count and rank of each member, ascending.
    by_count: BTreeSet<(usize, usize)>,
    /// The subscribers of each topic.
    subscribers: Vec<Vec<MemberIndex>>,
}

impl<'a> State<'a> {
    fn new(topics: &Topics, members: &'a [Member], owners: Assignment) -> Self {
        let counts = owners.counts(members.len());
        let mut ranked: Vec<MemberIndex> = MemberIndex::all(members.len()).collect();
        ranked.sort_by(|a, b| members[*a].id.cmp(&members[*b].id));
        let mut ranks = vec![0; members.len()];
        for (rank, member) in ranked.iter().enumerate() {
            ranks[*member] = rank;
        }
        let mut subscribers = vec![Vec::new(); topics.len()];
        for (index, member) in MemberIndex::all(members.len()).zip(members) {
            for topic in member.subscription.topics() {
                if let Some(list) = subscribers.get_mut(topic.get()) {
                    list.push(index);
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

    /// The subscriber with the fewest partitions among those that are suitable.
    fn fewest(
        &self,
        topic: TopicIndex,
        suitable: impl Fn(MemberIndex) -> bool,
    ) -> Option<MemberIndex> {
        self.by_count
            .iter()
            .map(|(_, rank)| self.ranked[*rank])
            .find(|member| self.members[*member].subscription.contains(topic) && suitable(*member))
    }

    fn give(&mut self, partition: PartitionIndex, member: MemberIndex) {
        if let Some(owner) = self.owners.owner(partition) {
            self.set_count(owner, self.counts[owner] - 1);
        }
        self.owners.set(partition, Some(member));
        self.set_count(member, self.counts[member] + 1);
    }

    fn set_count(&mut self, member: MemberIndex, count: usize) {
        self.by_count
            .remove(&(self.counts[member], self.ranks[member]));
        self.by_count.insert((count, self.ranks[member]));
        self.counts[member] = count;
    }

    /// Moves partitions to subscribers that own at least two fewer than the owner, until none can
    /// move. Returns whether any moved.
    fn balance(&mut self, partitions: &[Candidate], movements: &mut Movements<'_>) -> bool {
        let mut ever = false;
        loop {
            let mut moved = false;
            for (topic, partition) in partitions {
                let owner = self.owners.owner(*partition);
                let (Some(owner), Some(taker)) = (owner, self.fewest(*topic, |_| true)) else {
                    continue;
                };
                if self.counts[owner] > self.counts[taker] + 1 {
                    let partition = movements.instead_of(*topic, *partition, owner, taker);
                    let from = self.owners.owner(partition).unwrap_or(owner);
                    movements.remember(*topic, partition, from, taker);
                    self.give(partition, taker);
                    moved = true;
                }
            }
            ever |= moved;
            if !moved {
                return ever;
            }
        }
    }

    /// The members that could give or receive a partition: those that own fewer partitions than
    /// they subscribe to, or own one that another member could own.
    fn involved(&self, topics: &Topics) -> Vec<MemberIndex> {
        let partitions = self.owners.by_member(self.members.len());
        let is_shared = |partition: &PartitionIndex| {
            topics
                .locate(*partition)
                .is_some_and(|(topic, _)| self.subscribers[topic].len() > 1)
        };
        MemberIndex::all(self.members.len())
            .filter(|member| {
                let subscribed = self.members[*member].subscription.topics().iter();
                let most: usize = subscribed.map(|topic| topics.size(*topic)).sum();
                self.counts[*member] < most || partitions[*member].iter().any(is_shared)
            })
            .collect()
    }

    /// The sum of the differences in counts between all pairs of `members`.
    fn spread(&self, members: &[MemberIndex]) -> usize {
        let mut counts: Vec<usize> = members.iter().map(|member| self.counts[*member]).collect();
        counts.sort_unstable();
        // Each count is added once for each smaller one and subtracted once for each larger one.
        let (mut sum, mut spread) = (0, 0);
        for (smaller, count) in counts.iter().enumerate() {
            spread += count * smaller - sum;
            sum += count;
        }
        spread
    }
}
