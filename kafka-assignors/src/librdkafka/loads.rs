//! How many partitions each member has, and which subscriber of a topic has the fewest.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use crate::{Assignment, Member, Subscription, Topics};

/// Loads of members, which are known by their places in the list of members.
#[derive(Debug)]
pub(crate) struct Loads {
    /// By place.
    members: Vec<Load>,
    /// Places in the order of ids, which is what librdkafka breaks ties by.
    ranked: Vec<usize>,
    /// Members of one subscription compete for the same partitions. Nearly always there is one
    /// such crowd, so that the fewest of a topic is one look-up.
    crowds: Vec<Crowd>,
    /// By topic.
    subscribers: Vec<Subscribers>,
    spread: Spread,
}

#[derive(Debug, Clone, Copy)]
struct Load {
    partitions: usize,
    rank: usize,
    crowd: usize,
}

/// By load, then by rank. A load that changes gets a new entry, and the one before it is thrown
/// away when it comes to the front: few loads change in a rebalance.
type Crowd = BinaryHeap<Reverse<(usize, usize)>>;

#[derive(Debug, Clone, Default)]
struct Subscribers {
    crowds: Vec<usize>,
    members: usize,
}

impl Loads {
    /// The loads of members that own what `owners` says, each of which is one of them.
    pub(crate) fn new(topics: &Topics, members: &[Member], owners: &Assignment) -> Self {
        let mut by_id: Vec<(&str, usize)> = (0..)
            .zip(members)
            .map(|(place, member)| (member.id.as_str(), place))
            .collect();
        by_id.sort_unstable();
        let ranked: Vec<usize> = by_id.into_iter().map(|(_, place)| place).collect();

        let counts = owners.counts(members.len());
        let spread = Spread::of(&counts);
        let mut known: BTreeMap<&Subscription, usize> = BTreeMap::new();
        let mut loads: Vec<Load> = counts
            .into_iter()
            .zip(members)
            .map(|(partitions, member)| {
                let crowds = known.len();
                Load {
                    partitions,
                    rank: 0,
                    crowd: *known.entry(&member.subscription).or_insert(crowds),
                }
            })
            .collect();
        let mut crowds = vec![Vec::new(); known.len()];
        for (rank, place) in ranked.iter().enumerate() {
            let load = &mut loads[*place];
            load.rank = rank;
            crowds[load.crowd].push(Reverse((load.partitions, rank)));
        }

        let mut subscribers = vec![Subscribers::default(); topics.len()];
        for (wanted, crowd) in known {
            for topic in wanted.topics() {
                if let Some(subscribers) = subscribers.get_mut(*topic) {
                    subscribers.crowds.push(crowd);
                    subscribers.members += crowds[crowd].len();
                }
            }
        }
        Self {
            members: loads,
            ranked,
            crowds: crowds.into_iter().map(Crowd::from).collect(),
            subscribers,
            spread,
        }
    }

    /// How many members there are.
    pub(crate) fn members(&self) -> usize {
        self.members.len()
    }

    /// How many members want a topic.
    pub(crate) fn subscribers(&self, topic: usize) -> usize {
        self.subscribers.get(topic).map_or(0, |all| all.members)
    }

    /// How many partitions a member has.
    pub(crate) fn of(&self, member: usize) -> usize {
        self.members[member].partitions
    }

    /// The place of a member in the order of ids.
    pub(crate) fn rank(&self, member: usize) -> usize {
        self.members[member].rank
    }

    /// The subscriber of a topic with the fewest partitions, the first one by id if there are
    /// several; `None` when nobody wants the topic.
    pub(crate) fn fewest(&mut self, topic: usize) -> Option<usize> {
        let Self {
            members,
            ranked,
            crowds,
            subscribers,
            ..
        } = self;
        let of_crowd = |crowd: &usize| {
            let crowd = crowds.get_mut(*crowd)?;
            while let Some(Reverse((partitions, rank))) = crowd.peek() {
                if members[ranked[*rank]].partitions == *partitions {
                    return Some((*partitions, *rank));
                }
                crowd.pop();
            }
            None
        };
        let fewest = subscribers.get(topic)?.crowds.iter().filter_map(of_crowd);
        fewest.min().map(|(_, rank)| ranked[rank])
    }

    /// No member has two partitions more than another one.
    pub(crate) fn are_even(&self) -> bool {
        self.spread.most - self.spread.fewest <= 1
    }

    /// A member got a partition.
    pub(crate) fn add(&mut self, member: usize) {
        self.change(member, self.of(member) + 1);
    }

    /// A member lost a partition.
    pub(crate) fn remove(&mut self, member: usize) {
        self.change(member, self.of(member).saturating_sub(1));
    }

    fn change(&mut self, member: usize, partitions: usize) {
        let load = &mut self.members[member];
        self.spread.change(load.partitions, partitions);
        load.partitions = partitions;
        self.crowds[load.crowd].push(Reverse((partitions, load.rank)));
    }
}

/// The highest and the lowest load.
#[derive(Debug)]
struct Spread {
    /// How many members have so many partitions.
    members: Vec<usize>,
    most: usize,
    fewest: usize,
}

impl Spread {
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
        // Whoever had the highest or the lowest load may have been the only one.
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
