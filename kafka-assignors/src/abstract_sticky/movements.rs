//! What was moved while evening out.

use std::collections::BTreeMap;

use crate::Topics;
use crate::java_hash::{Table, string_hash};

/// Moves of partitions between members, per topic. Two members of one topic shall not swap: where a
/// partition would go against an earlier move, that one is taken back instead (KIP-54).
pub(super) struct Movements<'a> {
    topics: &'a Topics,
    /// Where each moved partition came from, and where it is.
    moved: BTreeMap<usize, (usize, usize)>,
    /// Partitions of a topic that went from one member to another.
    between: BTreeMap<(usize, usize, usize), Vec<usize>>,
}

impl<'a> Movements<'a> {
    pub(super) fn new(topics: &'a Topics) -> Self {
        Self {
            topics,
            moved: BTreeMap::new(),
            between: BTreeMap::new(),
        }
    }

    /// The partition to move so that a member gets one: this one of `owner`, or one that went the
    /// other way before.
    pub(super) fn instead_of(
        &self,
        topic: usize,
        partition: usize,
        owner: usize,
        taker: usize,
    ) -> usize {
        let origin = self.moved.get(&partition).map_or(owner, |(from, _)| *from);
        let Some(back) = self.between.get(&(topic, taker, origin)) else {
            return partition;
        };
        self.first(topic, back).unwrap_or(partition)
    }

    /// Remembers a move; one back to where the partition came from is forgotten with the first.
    pub(super) fn remember(&mut self, topic: usize, partition: usize, from: usize, to: usize) {
        let origin = match self.moved.remove(&partition) {
            Some((origin, before)) => {
                let key = (topic, origin, before);
                if let Some(list) = self.between.get_mut(&key) {
                    list.retain(|other| *other != partition);
                    if list.is_empty() {
                        self.between.remove(&key);
                    }
                }
                origin
            }
            None => from,
        };
        if origin != to {
            self.moved.insert(partition, (origin, to));
            self.between
                .entry((topic, origin, to))
                .or_default()
                .push(partition);
        }
    }

    /// The first of a Java set of partitions.
    fn first(&self, topic: usize, partitions: &[usize]) -> Option<usize> {
        let start = self.topics.range(topic).start;
        let name = string_hash(self.topics.name(topic));
        let table = Table::of(partitions.len());
        partitions.iter().copied().min_by_key(|partition| {
            let number = u32::try_from(partition - start).unwrap_or(u32::MAX);
            let hash = number.wrapping_add(31).wrapping_mul(31).wrapping_add(name);
            table.bucket(hash)
        })
    }
}
