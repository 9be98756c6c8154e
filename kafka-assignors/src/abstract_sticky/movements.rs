//! The moves made while balancing.

use std::collections::BTreeMap;

use crate::java_hash::{Table, string_hash};
use crate::{MemberIndex, PartitionIndex, TopicIndex, Topics};

/// The moves of partitions between members. Two members must not swap partitions of one topic:
/// instead of a move against the direction of an earlier one, the earlier one is reverted (KIP-54).
pub(super) struct Movements<'a> {
    topics: &'a Topics,
    /// The original and the current owner of each moved partition.
    moved: BTreeMap<PartitionIndex, (MemberIndex, MemberIndex)>,
    /// The partitions of a topic that moved from one member to another.
    between: BTreeMap<(TopicIndex, MemberIndex, MemberIndex), Vec<PartitionIndex>>,
}

impl<'a> Movements<'a> {
    pub(super) fn new(topics: &'a Topics) -> Self {
        Self {
            topics,
            moved: BTreeMap::new(),
            between: BTreeMap::new(),
        }
    }

    /// The partition to move from `owner` to `taker`: `partition`, or one that moved in the
    /// opposite direction before.
    pub(super) fn instead_of(
        &self,
        topic: TopicIndex,
        partition: PartitionIndex,
        owner: MemberIndex,
        taker: MemberIndex,
    ) -> PartitionIndex {
        let origin = self.moved.get(&partition).map_or(owner, |(from, _)| *from);
        let Some(back) = self.between.get(&(topic, taker, origin)) else {
            return partition;
        };
        self.first(topic, back).unwrap_or(partition)
    }

    /// Records a move. A move back to the original owner cancels the earlier record.
    pub(super) fn remember(
        &mut self,
        topic: TopicIndex,
        partition: PartitionIndex,
        from: MemberIndex,
        to: MemberIndex,
    ) {
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

    /// The first partition in the iteration order of a Java `HashSet<TopicPartition>`.
    fn first(&self, topic: TopicIndex, partitions: &[PartitionIndex]) -> Option<PartitionIndex> {
        let start = self.topics.range(topic).start;
        let name = string_hash(self.topics.name(topic));
        let table = Table::of(partitions.len());
        partitions.iter().copied().min_by_key(|partition| {
            let number = u32::try_from(partition.get() - start).unwrap_or(u32::MAX);
            let hash = number.wrapping_add(31).wrapping_mul(31).wrapping_add(name);
            table.bucket(hash)
        })
    }
}
