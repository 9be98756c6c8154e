//! Records the arrivals of a group's records, and the reports of its consumers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kafka_assignors::{PartitionIndex, Topics};
use nix::time::{ClockId, clock_gettime};

use crate::ledger::{ConsumerIndex, Entry, Event, Ledger};

/// A reading of the monotonic clock, which all processes of the machine share. Java's
/// `System.nanoTime` is the same clock.
#[must_use]
pub(crate) fn now() -> Duration {
    // Linux has this clock.
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}

/// Records everything about a group that its [`Ledger`] needs.
#[derive(Debug, Clone)]
pub struct Recorder(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    topics: Topics,
    recorded: Mutex<Recorded>,
}

#[derive(Debug, Default)]
struct Recorded {
    arrivals: Vec<Vec<Option<Duration>>>,
    entries: Vec<Entry>,
    /// The number of consumers.
    consumers: usize,
}

impl Recorder {
    /// A recorder for a group that consumes these topics.
    #[must_use]
    pub fn new(topics: Topics) -> Self {
        let recorded = Recorded {
            arrivals: vec![Vec::new(); topics.partition_count()],
            ..Recorded::default()
        };
        Self(Arc::new(Shared {
            topics,
            recorded: Mutex::new(recorded),
        }))
    }

    /// The topics of the group.
    #[must_use]
    pub fn topics(&self) -> &Topics {
        &self.0.topics
    }

    fn recorded(&self) -> MutexGuard<'_, Recorded> {
        let recorded = self.0.recorded.lock();
        recorded.unwrap_or_else(PoisonError::into_inner)
    }

    /// The index of a partition; `None` if it is not one of the group's topics.
    #[must_use]
    pub fn partition(&self, topic: &str, number: i32) -> Option<PartitionIndex> {
        let topic = self.0.topics.find(topic)?;
        let number = usize::try_from(number).ok()?;
        self.0.topics.partitions(topic).nth(number)
    }

    /// Records that a record has arrived now.
    pub fn arrived(&self, topic: &str, number: i32, offset: i64) {
        let at = now();
        let partition = self.partition(topic, number);
        let (Some(partition), Ok(offset)) = (partition, usize::try_from(offset)) else {
            return;
        };
        let mut recorded = self.recorded();
        let arrivals = &mut recorded.arrivals[partition.get()];
        if arrivals.len() <= offset {
            arrivals.resize(offset + 1, None);
        }
        arrivals[offset] = Some(at);
    }

    /// Starts to record a consumer.
    #[must_use]
    pub fn consumer(&self) -> ConsumerRecorder {
        let mut recorded = self.recorded();
        let index = ConsumerIndex(recorded.consumers);
        recorded.consumers += 1;
        ConsumerRecorder {
            recorder: self.clone(),
            index,
        }
    }

    /// The account of everything that was recorded so far, and of more reports.
    #[must_use]
    pub fn ledger(&self, more: impl IntoIterator<Item = Entry>) -> Ledger {
        let recorded = self.recorded();
        let (arrivals, mut entries) = (recorded.arrivals.clone(), recorded.entries.clone());
        drop(recorded);
        entries.extend(more);
        Ledger::new(arrivals, entries)
    }
}

/// Records the reports of one consumer.
#[derive(Debug, Clone)]
pub struct ConsumerRecorder {
    recorder: Recorder,
    index: ConsumerIndex,
}

impl ConsumerRecorder {
    /// The index of the consumer.
    #[must_use]
    pub fn index(&self) -> ConsumerIndex {
        self.index
    }

    /// Records a report that is made now.
    pub fn report(&self, event: Event) {
        let consumer = self.index;
        let mut recorded = self.recorder.recorded();
        // Under the lock, so that the order of the reports is that of their times.
        let at = now();
        recorded.entries.push(Entry {
            at,
            consumer,
            event,
        });
    }

    /// Records that a record is processed now.
    pub fn processed(&self, topic: &str, number: i32, offset: i64) {
        if let Some(partition) = self.recorder.partition(topic, number) {
            self.report(Event::Processed {
                partition,
                first: offset,
                last: offset,
                since: now(),
            });
        }
    }

    /// The indices of partitions.
    pub(crate) fn partitions<'a>(
        &self,
        partitions: impl IntoIterator<Item = (&'a str, i32)>,
    ) -> Vec<PartitionIndex> {
        let partitions = partitions.into_iter();
        partitions
            .filter_map(|(topic, number)| self.recorder.partition(topic, number))
            .collect()
    }

    /// Records that an offset was committed.
    pub(crate) fn committed(&self, topic: &str, number: i32, next: i64) {
        if let Some(partition) = self.recorder.partition(topic, number) {
            self.report(Event::Committed { partition, next });
        }
    }
}
