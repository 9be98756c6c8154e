//! Topics, and their partitions numbered through.

use std::collections::BTreeMap;
use std::ops::Range;

/// The topics of a group in the order of their names. Their partitions are numbered through, so
/// that whatever belongs to a partition is a plain list: partition 0 of the first topic is 0, and
/// the first one of each further topic follows the last of the topic before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Topics {
    names: Vec<String>,
    /// The first partition of each topic, and one behind the last of all.
    starts: Vec<usize>,
}

impl Topics {
    /// Topics with their numbers of partitions; of a name that is there twice the last counts.
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
        }
    }

    /// How many topics there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// There is no topic.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// How many partitions there are in all topics together.
    #[must_use]
    pub fn partitions(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
    }

    /// The name of a topic by its place, `""` when there is no such topic.
    #[must_use]
    pub fn name(&self, topic: usize) -> &str {
        self.names.get(topic).map_or("", String::as_str)
    }

    /// The place of a topic by its name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<usize> {
        self.names
            .binary_search_by(|other| other.as_str().cmp(name))
            .ok()
    }

    /// The partitions of a topic; none when there is no such topic.
    #[must_use]
    pub fn range(&self, topic: usize) -> Range<usize> {
        match (self.starts.get(topic), self.starts.get(topic + 1)) {
            (Some(start), Some(end)) => *start..*end,
            (Some(_) | None, Some(_) | None) => 0..0,
        }
    }

    /// The topic of a partition and its number there, as Kafka has it; `None` when there is no
    /// such partition.
    #[must_use]
    pub fn place(&self, partition: usize) -> Option<(usize, usize)> {
        if partition >= self.partitions() {
            return None;
        }
        // Topics without partitions start where the next one does, so the last such start counts.
        let topic = self.starts.partition_point(|start| *start <= partition) - 1;
        Some((topic, partition - self.starts.get(topic)?))
    }

    /// The partition as Kafka names it: `orders-7`.
    #[must_use]
    pub fn partition_name(&self, partition: usize) -> String {
        self.place(partition)
            .map_or_else(String::new, |(topic, number)| {
                format!("{}-{number}", self.name(topic))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_numbered_through_in_the_order_of_topic_names() {
        let topics = Topics::new([
            ("b".into(), 2),
            ("a".into(), 3),
            ("empty".into(), 0),
            ("z".into(), 1),
        ]);
        assert_eq!((topics.len(), topics.partitions()), (4, 6));
        assert_eq!(topics.find("b"), Some(1));
        assert_eq!(topics.range(1), 3..5);
        assert_eq!(topics.range(2), 5..5);
        assert_eq!(topics.place(5), Some((3, 0)));
        assert_eq!(topics.place(6), None);
        let names: Vec<String> = (0..7).map(|number| topics.partition_name(number)).collect();
        assert_eq!(names, ["a-0", "a-1", "a-2", "b-0", "b-1", "z-0", ""]);
    }
}
