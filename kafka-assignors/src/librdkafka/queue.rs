//! The order in which partitions are assigned and moved.

use std::cmp::Reverse;

use crate::{Assignment, PartitionIndex, TopicIndex, Topics};

use super::loads::Loads;

/// A partition with its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) partition: PartitionIndex,
    pub(crate) topic: TopicIndex,
}

/// The topics with subscribers, in the order in which their partitions are processed.
#[derive(Debug)]
pub(crate) struct Queue {
    topics: Vec<TopicIndex>,
    /// Whether all members subscribe to all of these topics.
    alike: bool,
}

impl Queue {
    pub(crate) fn new(topics: &Topics, loads: &Loads) -> Self {
        let mut subscribed: Vec<TopicIndex> = topics
            .indices()
            .filter(|topic| loads.subscribers(*topic) > 0 && topics.size(*topic) > 0)
            .collect();
        let alike = subscribed
            .iter()
            .all(|topic| loads.subscribers(*topic) == loads.members());
        if !alike {
            // By the number of subscribers, then by name.
            subscribed.sort_by_key(|topic| loads.subscribers(*topic));
        }
        Self {
            topics: subscribed,
            alike,
        }
    }

    /// The partitions without an owner, in the order of assignment: descending if all members
    /// subscribe to the same topics and at least one partition has an owner, ascending otherwise.
    pub(crate) fn unowned(&self, topics: &Topics, owners: &Assignment) -> Vec<Candidate> {
        let mut unowned: Vec<Candidate> = self
            .candidates(topics)
            .filter(|candidate| owners.owner(candidate.partition).is_none())
            .collect();
        if self.alike && unowned.len() < self.partition_count(topics) {
            unowned.reverse();
        }
        unowned
    }

    /// The partitions that may move, in the order of moving. `owners` are the owners before unowned
    /// partitions were assigned.
    pub(crate) fn movable(
        &self,
        topics: &Topics,
        owners: &Assignment,
        loads: &Loads,
    ) -> Vec<Candidate> {
        if self.alike {
            self.fullest_first(topics, owners, loads)
        } else {
            self.candidates(topics).collect()
        }
    }

    /// All partitions in the order of assigning and moving, without the shortcuts of
    /// [`unowned`](Self::unowned) and [`movable`](Self::movable).
    pub(crate) fn sorted(
        &self,
        topics: &Topics,
        owners: &Assignment,
        loads: &Loads,
    ) -> Vec<Candidate> {
        if !self.alike {
            return self.candidates(topics).collect();
        }
        let mut sorted = self.fullest_first_down_to(0, topics, owners, loads);
        sorted.extend(self.unowned(topics, owners));
        sorted
    }

    /// The order if all members subscribe to the same topics: repeatedly the lowest partition of
    /// the member with the most remaining ones, the highest id among several.
    ///
    /// Stops where no member has more than the quota left, because the loads are even by then.
    /// Partitions without an owner would come last, and went to the members with the fewest.
    fn fullest_first(&self, topics: &Topics, owners: &Assignment, loads: &Loads) -> Vec<Candidate> {
        let quota = self.partition_count(topics) / loads.members().max(1);
        self.fullest_first_down_to(quota, topics, owners, loads)
    }

    /// That order, up to where each member has `quota` partitions left.
    fn fullest_first_down_to(
        &self,
        quota: usize,
        topics: &Topics,
        owners: &Assignment,
        loads: &Loads,
    ) -> Vec<Candidate> {
        let mut left = owners.counts(loads.members());
        let mut queue = Vec::new();
        for candidate in self.candidates(topics) {
            let Some(owner) = owners.owner(candidate.partition) else {
                continue;
            };
            if left[owner] > quota {
                queue.push((Reverse((left[owner], loads.rank(owner))), candidate));
            }
            left[owner] -= 1;
        }
        queue.sort_unstable_by_key(|(turn, _)| *turn);
        queue.into_iter().map(|(_, candidate)| candidate).collect()
    }

    fn partition_count(&self, topics: &Topics) -> usize {
        self.topics.iter().map(|topic| topics.size(*topic)).sum()
    }

    /// All partitions, by topic and number.
    fn candidates(&self, topics: &Topics) -> impl Iterator<Item = Candidate> {
        self.topics.iter().flat_map(|&topic| {
            topics
                .partitions(topic)
                .map(move |partition| Candidate { partition, topic })
        })
    }
}
