//! How many partitions each member has, and which subscriber of a topic has the fewest.

use std::collections::{BTreeMap, BTreeSet};

use crate::group::{Member, Subscription, Topics};

/// Loads of members, which are known by their rank here: their place in the order of ids. Ids are
/// what librdkafka breaks ties by.
#[derive(Debug)]
pub(in super::super) struct Loads {
    /// By rank.
    members: Vec<Load>,
    /// Members of one subscription compete for the same partitions: by load, then by rank.
    /// Nearly always there is one such crowd, so that the fewest of a topic is one look-up.
    crowds: Vec<BTreeSet<(usize, usize)>>,
    /// By topic.
    subscribers: Vec<Subscribers>,
}

#[derive(Debug, Clone, Copy)]
struct Load {
    partitions: usize,
    crowd: usize,
}

#[derive(Debug, Clone, Default)]
struct Subscribers {
    crowds: Vec<usize>,
    members: usize,
}

impl Loads {
    /// Members in the order of their ranks, none of which has a partition yet.
    pub(in super::super) fn new<'a>(
        topics: &Topics,
        ranked: impl IntoIterator<Item = &'a Member>,
    ) -> Self {
        let mut known: BTreeMap<&Subscription, usize> = BTreeMap::new();
        let mut crowds: Vec<BTreeSet<(usize, usize)>> = Vec::new();
        let mut subscribers = vec![Subscribers::default(); topics.len()];
        let mut members = Vec::new();
        for (rank, member) in ranked.into_iter().enumerate() {
            let wanted = &member.subscription;
            let crowd = *known.entry(wanted).or_insert_with(|| {
                crowds.push(BTreeSet::new());
                crowds.len() - 1
            });
            crowds[crowd].insert((0, rank));
            members.push(Load {
                partitions: 0,
                crowd,
            });
        }
        for (wanted, crowd) in known {
            for topic in wanted.topics() {
                if let Some(subscribers) = subscribers.get_mut(*topic) {
                    subscribers.crowds.push(crowd);
                    subscribers.members += crowds[crowd].len();
                }
            }
        }
        Self {
            members,
            crowds,
            subscribers,
        }
    }

    /// How many members there are.
    pub(in super::super) fn members(&self) -> usize {
        self.members.len()
    }

    /// How many members want a topic.
    pub(in super::super) fn subscribers(&self, topic: usize) -> usize {
        self.subscribers.get(topic).map_or(0, |all| all.members)
    }

    /// How many partitions a member has.
    pub(in super::super) fn of(&self, rank: usize) -> usize {
        self.members[rank].partitions
    }

    /// The subscriber of a topic with the fewest partitions, the first one by id if there are
    /// several; `None` when nobody wants the topic.
    pub(in super::super) fn fewest(&self, topic: usize) -> Option<usize> {
        let subscribers = self.subscribers.get(topic)?;
        let fewest = subscribers.crowds.iter();
        let fewest = fewest.filter_map(|crowd| self.crowds[*crowd].first()).min();
        fewest.map(|(_, rank)| *rank)
    }

    /// No member has two partitions more than another one.
    pub(in super::super) fn are_even(&self) -> bool {
        let most = self.crowds.iter().filter_map(BTreeSet::last).max();
        let fewest = self.crowds.iter().filter_map(BTreeSet::first).min();
        match (most, fewest) {
            (Some((most, _)), Some((fewest, _))) => most - fewest <= 1,
            (Some(_) | None, Some(_) | None) => true,
        }
    }

    /// A member got a partition.
    pub(in super::super) fn add(&mut self, rank: usize) {
        self.change(rank, self.of(rank) + 1);
    }

    /// A member lost a partition.
    pub(in super::super) fn remove(&mut self, rank: usize) {
        self.change(rank, self.of(rank).saturating_sub(1));
    }

    fn change(&mut self, rank: usize, partitions: usize) {
        let member = &mut self.members[rank];
        let crowd = &mut self.crowds[member.crowd];
        crowd.remove(&(member.partitions, rank));
        crowd.insert((partitions, rank));
        member.partitions = partitions;
    }
}
