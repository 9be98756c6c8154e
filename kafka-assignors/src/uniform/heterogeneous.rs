//! The uniform assignment of members with different subscriptions.
//!
//! Topics are sorted by the number of partitions per subscriber, descending. Unowned partitions go
//! in turn to the subscribers with the fewest partitions. Then, topic by topic, the subscribers
//! with the most partitions give their highest ones in turn to those with the fewest, until they
//! differ by at most one. This repeats until none moves or the limit of rounds is reached. The
//! iteration order of the members breaks ties.

use super::turns::Turns;
use crate::{Assignment, Member, MemberIndex, TopicIndex, Topics};

/// The broker's limit. Later rounds have less and less effect.
const ROUNDS: usize = 16;

pub(super) fn assign(
    topics: &Topics,
    members: &[Member],
    in_order: &[MemberIndex],
    kept: Assignment,
) -> Assignment {
    // In this function members are numbered by their position in the iteration order, which breaks
    // ties.
    let mut subscribers = vec![Vec::new(); topics.len()];
    let mut positions = vec![None; members.len()];
    for (position, member) in MemberIndex::all(in_order.len()).zip(in_order) {
        positions[*member] = Some(position);
        for topic in members[*member].subscription.topics() {
            if let Some(list) = subscribers.get_mut(topic.get()) {
                list.push(position);
            }
        }
    }
    let owners = kept.renumbered(&positions);
    let mut state = State {
        counts: owners.counts(members.len()),
        owners,
    };
    let mut sorted: Vec<TopicIndex> = topics
        .indices()
        .filter(|topic| !subscribers[*topic].is_empty())
        .collect();
    sorted.sort_by(|a, b| {
        // partitions(b) / subscribers(b) against partitions(a) / subscribers(a), without division.
        let (of_a, of_b) = (topics.size(*a), topics.size(*b));
        let (to_a, to_b) = (subscribers[*a].len(), subscribers[*b].len());
        (of_b * to_a).cmp(&(of_a * to_b)).then(to_a.cmp(&to_b))
    });
    for topic in &sorted {
        let mut turns = Turns::new(&subscribers[*topic], &state.counts);
        for partition in topics.partitions(*topic) {
            if state.owners.owner(partition).is_none()
                && let Some(member) = turns.next_receiver(&state.counts)
            {
                state.owners.set(partition, Some(member));
                state.counts[member] += 1;
            }
        }
    }
    let shared: Vec<TopicIndex> = sorted
        .into_iter()
        .filter(|topic| subscribers[*topic].len() > 1)
        .collect();
    for _ in 0..ROUNDS {
        let mut moved = false;
        for topic in &shared {
            moved |= state.balance(topics, *topic, &subscribers[*topic]);
        }
        if !moved {
            break;
        }
    }
    let back: Vec<Option<MemberIndex>> = in_order.iter().copied().map(Some).collect();
    state.owners.renumbered(&back)
}

/// An assignment in progress. Members are numbered by their position in the iteration order.
struct State {
    owners: Assignment,
    counts: Vec<usize>,
}

impl State {
    /// Balances one topic. Returns whether any partition moved.
    fn balance(&mut self, topics: &Topics, topic: TopicIndex, subscribers: &[MemberIndex]) -> bool {
        let counts = subscribers.iter().map(|member| self.counts[*member]);
        let (most, fewest) = (counts.clone().max(), counts.min());
        if most <= fewest.map(|fewest| fewest + 1) {
            return false;
        }
        let mut owned = vec![Vec::new(); self.counts.len()];
        for partition in topics.partitions(topic) {
            if let Some(owner) = self.owners.owner(partition) {
                owned[owner].push(partition);
            }
        }
        let mut turns = Turns::new(subscribers, &self.counts);
        let mut moved = false;
        while !turns.are_even() {
            let Some(giver) = turns.next_giver(&self.counts) else {
                break;
            };
            let Some(partition) = owned[giver].pop() else {
                turns.remove_giver();
                continue;
            };
            let Some(receiver) = turns.next_receiver(&self.counts) else {
                break;
            };
            if turns.are_even() {
                break;
            }
            self.owners.set(partition, Some(receiver));
            self.counts[giver] -= 1;
            self.counts[receiver] += 1;
            moved = true;
        }
        moved
    }
}
