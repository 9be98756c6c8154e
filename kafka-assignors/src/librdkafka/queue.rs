//! In which order partitions are given out and moved.

use std::cmp::Reverse;

use crate::{Assignment, Topics};

use super::loads::Loads;

/// A partition with its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) partition: usize,
    pub(crate) topic: usize,
}

/// The topics that somebody wants, and what the order of their partitions depends on.
#[derive(Debug)]
pub(crate) struct Queue {
    /// In the order in which their partitions come.
    wanted: Vec<usize>,
    /// All members want the same.
    alike: bool,
}

impl Queue {
    pub(crate) fn new(topics: &Topics, loads: &Loads) -> Self {
        let mut wanted: Vec<usize> = (0..topics.len())
            .filter(|topic| loads.subscribers(*topic) > 0 && !topics.range(*topic).is_empty())
            .collect();
        let alike = wanted
            .iter()
            .all(|topic| loads.subscribers(*topic) == loads.members());
        if !alike {
            // Those first that the fewest members want, then by name.
            wanted.sort_by_key(|topic| loads.subscribers(*topic));
        }
        Self { wanted, alike }
    }

    /// The partitions without an owner, those first that are given out first. Where all members
    /// want the same they come from the highest to the lowest, and upwards when none has an owner.
    pub(crate) fn unowned(&self, topics: &Topics, owners: &Assignment) -> Vec<Candidate> {
        let mut unowned: Vec<Candidate> = self
            .candidates(topics)
            .filter(|candidate| owners.owner(candidate.partition).is_none())
            .collect();
        let all: usize = self
            .wanted
            .iter()
            .map(|topic| topics.range(*topic).len())
            .sum();
        if self.alike && unowned.len() < all {
            unowned.reverse();
        }
        unowned
    }

    /// The partitions that may move to even out the loads, those first that move first. The owners
    /// are those before anything was given out.
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

    /// The order when all members want the same: one partition after the other is taken from
    /// whoever has most left, its lowest one, the last one by id if several have as many.
    ///
    /// It ends where members have no more left than everyone gets in the end: by then the loads are
    /// even. Partitions without an owner would come last, and went to those with the fewest.
    fn fullest_first(&self, topics: &Topics, owners: &Assignment, loads: &Loads) -> Vec<Candidate> {
        let all: usize = self
            .wanted
            .iter()
            .map(|topic| topics.range(*topic).len())
            .sum();
        let quota = all / loads.members().max(1);
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

    /// All partitions, by topic and number.
    fn candidates(&self, topics: &Topics) -> impl Iterator<Item = Candidate> {
        self.wanted.iter().flat_map(|&topic| {
            let partitions = topics.range(topic);
            partitions.map(move |partition| Candidate { partition, topic })
        })
    }
}
