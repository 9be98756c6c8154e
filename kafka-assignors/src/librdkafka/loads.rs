//! The number of partitions of each member, and the subscriber of a topic with the fewest.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use crate::{Assignment, Member, MemberIndex, Subscription, TopicIndex, Topics};

/// The loads of all members, in partitions.
#[derive(Debug)]
pub(crate) struct Loads {
    /// By member.
    members: Vec<Load>,
    /// The members by their ids, which is how librdkafka breaks ties.
    ranked: Vec<MemberIndex>,
    /// One cohort per distinct subscription. Usually there is one, so that the subscriber with the
    /// fewest partitions is found in one lookup.
    cohorts: Vec<Cohort>,
    /// By topic.
    subscribers: Vec<Subscribers>,
    extremes: Extremes,
}

#[derive(Debug, Clone, Copy)]
struct Load {
    partitions: usize,
    rank: usize,
    /// Index of the member's cohort.
    cohort: usize,
}

/// The members with the same subscription, by load, then by rank. A changed load gets a new entry;
/// the outdated one is discarded when it reaches the front. Few loads change in a rebalance.
type Cohort = BinaryHeap<Reverse<(usize, usize)>>;

#[derive(Debug, Clone, Default)]
struct Subscribers {
    /// Indices of the cohorts that subscribe to the topic.
    cohorts: Vec<usize>,
    members: usize,
}

impl Loads {
    /// The loads of `members`. Each owner in `owners` is one of them.
    pub(crate) fn new(topics: &Topics, members: &[Member], owners: &Assignment) -> Self {
        let mut by_id: Vec<(&str, MemberIndex)> = members
            .iter()
            .zip(MemberIndex::all(members.len()))
            .map(|(member, index)| (member.id.as_str(), index))
            .collect();
        by_id.sort_unstable();
        let ranked: Vec<MemberIndex> = by_id.into_iter().map(|(_, index)| index).collect();

        let counts = owners.counts(members.len());
        let extremes = Extremes::of(&counts);
        let mut known: BTreeMap<&Subscription, usize> = BTreeMap::new();
        let mut loads: Vec<Load> = counts
            .into_iter()
            .zip(members)
            .map(|(partitions, member)| {
                let next = known.len();
                Load {
                    partitions,
                    rank: 0,
                    cohort: *known.entry(&member.subscription).or_insert(next),
                }
            })
            .collect();
        let mut cohorts = vec![Vec::new(); known.len()];
        for (rank, member) in ranked.iter().enumerate() {
            let load = &mut loads[*member];
            load.rank = rank;
            cohorts[load.cohort].push(Reverse((load.partitions, rank)));
        }

        let mut subscribers = vec![Subscribers::default(); topics.len()];
        for (subscription, cohort) in known {
            for topic in subscription.topics() {
                if let Some(subscribers) = subscribers.get_mut(topic.get()) {
                    subscribers.cohorts.push(cohort);
                    subscribers.members += cohorts[cohort].len();
                }
            }
        }
        Self {
            members: loads,
            ranked,
            cohorts: cohorts.into_iter().map(Cohort::from).collect(),
            subscribers,
            extremes,
        }
    }

    /// The number of members.
    pub(crate) fn members(&self) -> usize {
        self.members.len()
    }

    /// The number of members that subscribe to a topic.
    pub(crate) fn subscribers(&self, topic: TopicIndex) -> usize {
        self.subscribers[topic].members
    }

    /// The number of partitions of a member.
    pub(crate) fn of(&self, member: MemberIndex) -> usize {
        self.members[member].partitions
    }

    /// The rank of a member by its id.
    pub(crate) fn rank(&self, member: MemberIndex) -> usize {
        self.members[member].rank
    }

    /// The subscriber of a topic with the fewest partitions, the lowest id among several. `None` if
    /// the topic has no subscriber.
    pub(crate) fn fewest(&mut self, topic: TopicIndex) -> Option<MemberIndex> {
        let Self {
            members,
            ranked,
            cohorts,
            subscribers,
            ..
        } = self;
        let of_cohort = |cohort: &usize| {
            let cohort = cohorts.get_mut(*cohort)?;
            while let Some(Reverse((partitions, rank))) = cohort.peek() {
                if members[ranked[*rank]].partitions == *partitions {
                    return Some((*partitions, *rank));
                }
                cohort.pop();
            }
            None
        };
        let fewest = subscribers[topic].cohorts.iter().filter_map(of_cohort);
        fewest.min().map(|(_, rank)| ranked[rank])
    }

    /// The suitable subscriber of a topic with the fewest partitions, the lowest id among several.
    pub(crate) fn fewest_of(
        &self,
        topic: TopicIndex,
        suitable: impl Fn(MemberIndex) -> bool,
    ) -> Option<MemberIndex> {
        let cohorts = &self.subscribers[topic].cohorts;
        let members = MemberIndex::all(self.members.len()).zip(&self.members);
        members
            .filter(|(index, load)| cohorts.contains(&load.cohort) && suitable(*index))
            .min_by_key(|(_, load)| (load.partitions, load.rank))
            .map(|(index, _)| index)
    }

    /// Whether no member has two partitions more than another one.
    pub(crate) fn are_even(&self) -> bool {
        self.extremes.most - self.extremes.fewest <= 1
    }

    /// Records that a member got a partition.
    pub(crate) fn add(&mut self, member: MemberIndex) {
        self.change(member, self.of(member) + 1);
    }

    /// Records that a member lost a partition.
    pub(crate) fn remove(&mut self, member: MemberIndex) {
        self.change(member, self.of(member).saturating_sub(1));
    }

    fn change(&mut self, member: MemberIndex, partitions: usize) {
        let load = &mut self.members[member];
        self.extremes.change(load.partitions, partitions);
        load.partitions = partitions;
        self.cohorts[load.cohort].push(Reverse((partitions, load.rank)));
    }
}

/// The highest and the lowest load.
#[derive(Debug)]
struct Extremes {
    /// The number of members with each load.
    members: Vec<usize>,
    most: usize,
    fewest: usize,
}

impl Extremes {
    fn of(loads: &[usize]) -> Self {
        let most = loads.iter().copied().max().unwrap_or(0);
        let mut members = vec![0; most + 1];
        for load in loads {
            members[*load] += 1;
        }
        Self {
            members,
            most,
            fewest: loads.iter().copied().min().unwrap_or(0),
        }
    }

    fn change(&mut self, before: usize, now: usize) {
        if now >= self.members.len() {
            self.members.resize(now + 1, 0);
        }
        self.members[before] -= 1;
        self.members[now] += 1;
        // No member may be left with the highest or the lowest load.
        self.most = self.most.max(now);
        while self.members[self.most] == 0 {
            self.most -= 1;
        }
        self.fewest = self.fewest.min(now);
        while self.members[self.fewest] == 0 {
            self.fewest += 1;
        }
    }
}
