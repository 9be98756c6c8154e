//! Topics, and the indices of their partitions.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::{PartitionIndex, TopicIndex};

/// The topics of a group, sorted by name.
///
/// The partitions of all topics have consecutive indices, so that a list with one entry per
/// partition holds the values of all topics: partition 0 of the first topic has index 0, and
/// partition 0 of each further topic follows the last partition of the topic before it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Topics {
    names: Vec<String>,
    /// The index of each topic's first partition, then the total number of partitions.
    starts: Vec<usize>,
    racks: ReplicaRacks,
}

/// The racks of the replicas of each partition. Most partitions share one of a few sets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct ReplicaRacks {
    sets: Vec<BTreeSet<String>>,
    /// The index of each partition's set. Empty if no rack is known.
    set_of: Vec<usize>,
}

impl Topics {
    /// Builds the list from topic names and partition counts. If a name occurs more than once, its
    /// last count applies.
    #[must_use]
    pub fn new(topics: impl IntoIterator<Item = (String, usize)>) -> Self {
        let topics: BTreeMap<String, usize> = topics.into_iter().collect();
        let mut starts = vec![0];
        let mut next = 0;
        for partitions in topics.values() {
            next += partitions;
            starts.push(next);
        }
        Self {
            names: topics.into_keys().collect(),
            starts,
            racks: ReplicaRacks::default(),
        }
    }

    /// Adds the racks (`broker.rack`) of the replicas of each partition, in the order of the
    /// partitions. The sticky assignors consider them if members have racks (KIP-881).
    #[must_use]
    pub fn with_replica_racks<R>(mut self, racks: R) -> Self
    where
        R: IntoIterator,
        R::Item: IntoIterator<Item = String>,
    {
        let mut sets: BTreeMap<BTreeSet<String>, usize> = BTreeMap::new();
        let set_of = racks
            .into_iter()
            .map(|racks| {
                let next = sets.len();
                *sets.entry(racks.into_iter().collect()).or_insert(next)
            })
            .collect();
        let mut in_order: Vec<(usize, BTreeSet<String>)> =
            sets.into_iter().map(|(set, index)| (index, set)).collect();
        in_order.sort_unstable_by_key(|(index, _)| *index);
        self.racks = ReplicaRacks {
            sets: in_order.into_iter().map(|(_, set)| set).collect(),
            set_of,
        };
        self
    }

    /// The racks of a partition's replicas. Empty if they are unknown.
    #[must_use]
    pub fn replica_racks(&self, partition: PartitionIndex) -> &BTreeSet<String> {
        static NONE: BTreeSet<String> = BTreeSet::new();
        let set = self.racks.set_of.get(partition.get());
        set.and_then(|set| self.racks.sets.get(*set))
            .unwrap_or(&NONE)
    }

    /// Whether the racks of any replica are known.
    pub(crate) fn has_replica_racks(&self) -> bool {
        self.racks.sets.iter().any(|set| !set.is_empty())
    }

    /// The number of topics.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is no topic.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The number of partitions of all topics together.
    #[must_use]
    pub fn partition_count(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
    }

    /// The indices of all topics, in the order of their names.
    #[must_use]
    pub fn indices(
        &self,
    ) -> impl DoubleEndedIterator<Item = TopicIndex> + ExactSizeIterator + Clone {
        TopicIndex::all(self.len())
    }

    /// The name of a topic; `""` if there is no such topic.
    #[must_use]
    pub fn name(&self, topic: TopicIndex) -> &str {
        self.names.get(topic.get()).map_or("", String::as_str)
    }

    /// The index of a topic by its name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<TopicIndex> {
        self.names
            .binary_search_by(|other| other.as_str().cmp(name))
            .ok()
            .map(TopicIndex::new)
    }

    /// The partitions of a topic as a range of plain indices, to take the topic's part of a list
    /// with one entry per partition. Empty if there is no such topic.
    #[must_use]
    pub fn range(&self, topic: TopicIndex) -> Range<usize> {
        let topic = topic.get();
        match (self.starts.get(topic), self.starts.get(topic + 1)) {
            (Some(start), Some(end)) => *start..*end,
            (Some(_) | None, Some(_) | None) => 0..0,
        }
    }

    /// The number of partitions of a topic.
    #[must_use]
    pub fn size(&self, topic: TopicIndex) -> usize {
        self.range(topic).len()
    }

    /// The partitions of a topic, ascending.
    #[must_use]
    pub fn partitions(
        &self,
        topic: TopicIndex,
    ) -> impl DoubleEndedIterator<Item = PartitionIndex> + ExactSizeIterator + Clone + use<> {
        self.range(topic).map(PartitionIndex::new)
    }

    /// The topic of a partition, and the partition number within it. `None` if there is no such
    /// partition.
    #[must_use]
    pub fn locate(&self, partition: PartitionIndex) -> Option<(TopicIndex, usize)> {
        let partition = partition.get();
        if partition >= self.partition_count() {
            return None;
        }
        // An empty topic starts at the same index as the next one, so the last match counts.
        let topic = self.starts.partition_point(|start| *start <= partition) - 1;
        Some((TopicIndex::new(topic), partition - self.starts.get(topic)?))
    }

    /// The name of a partition as Kafka writes it, such as `orders-7`.
    #[must_use]
    pub fn partition_name(&self, partition: PartitionIndex) -> String {
        self.locate(partition)
            .map_or_else(String::new, |(topic, number)| {
                format!("{}-{number}", self.name(topic))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_indexed_in_the_order_of_topic_names() {
        let topics = Topics::new([
            ("b".into(), 2),
            ("a".into(), 3),
            ("empty".into(), 0),
            ("z".into(), 1),
        ]);
        let topic = TopicIndex::new;
        assert_eq!((topics.len(), topics.partition_count()), (4, 6));
        assert_eq!(topics.find("b"), Some(topic(1)));
        assert_eq!(topics.range(topic(1)), 3..5);
        assert_eq!(topics.range(topic(2)), 5..5);
        assert_eq!(topics.range(topic(4)), 0..0);
        assert_eq!(
            topics.partitions(topic(3)).collect::<Vec<_>>(),
            [PartitionIndex::new(5)]
        );
        assert_eq!(topics.locate(PartitionIndex::new(5)), Some((topic(3), 0)));
        assert_eq!(topics.locate(PartitionIndex::new(6)), None);
        let names: Vec<String> = PartitionIndex::all(7)
            .map(|partition| topics.partition_name(partition))
            .collect();
        assert_eq!(names, ["a-0", "a-1", "a-2", "b-0", "b-1", "z-0", ""]);
    }

    #[test]
    fn partitions_have_the_racks_of_their_replicas() {
        let topics = Topics::new([("a".into(), 3)]);
        let racks = |partition| -> Vec<String> {
            let topics = topics.clone().with_replica_racks(
                [vec!["y", "x", "y"], vec!["x"], vec!["x", "y"]]
                    .map(|racks| racks.into_iter().map(String::from)),
            );
            let racks = topics.replica_racks(PartitionIndex::new(partition));
            racks.iter().cloned().collect()
        };
        assert_eq!(racks(0), ["x", "y"]);
        assert_eq!(racks(1), ["x"]);
        assert_eq!(racks(2), ["x", "y"]);
        assert!(racks(3).is_empty());
        assert!(topics.replica_racks(PartitionIndex::new(0)).is_empty());
        assert!(!topics.has_replica_racks());
    }
}
