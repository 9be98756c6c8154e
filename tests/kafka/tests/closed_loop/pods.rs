//! A consumer in each pod of a namespace.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use harness::{RunningPod, Work};

use crate::offsets::Offsets;
use consumers::{Consumer, GroupConfig};

/// The CPU time of a pod per record, in seconds.
pub(crate) const COST: f64 = 0.01;

/// The consumers of a group. Each runs as long as its pod, whose load is [`COST`] per record
/// that the consumer really reads.
pub(crate) struct GroupInPods {
    config: GroupConfig,
    offsets: Arc<Offsets>,
    consumers: Mutex<BTreeMap<String, Running>>,
}

struct Running {
    consumer: Consumer,
    consumed: Arc<AtomicU64>,
}

impl GroupInPods {
    pub(crate) fn new(config: GroupConfig, offsets: Arc<Offsets>) -> Self {
        Self {
            config,
            offsets,
            consumers: Mutex::default(),
        }
    }

    pub(crate) fn config(&self) -> &GroupConfig {
        &self.config
    }

    fn consumers(&self) -> MutexGuard<'_, BTreeMap<String, Running>> {
        let consumers = self.consumers.lock();
        consumers.unwrap_or_else(PoisonError::into_inner)
    }

    /// The partitions that each pod owns, by pod name.
    pub(crate) fn owned(&self) -> BTreeMap<String, Vec<i32>> {
        let consumers = self.consumers();
        let owned = consumers.values().map(|running| {
            let partitions = running.consumer.owned().into_iter();
            let numbers = partitions.map(|(_, number)| number).collect();
            (running.consumer.pod().to_owned(), numbers)
        });
        owned.collect()
    }

    /// The number of records that each pod has read since its start, by pod name.
    pub(crate) fn consumed(&self) -> BTreeMap<String, u64> {
        let consumers = self.consumers();
        let consumed = consumers.values().map(|running| {
            let records = running.consumed.load(Ordering::Relaxed);
            (running.consumer.pod().to_owned(), records)
        });
        consumed.collect()
    }
}

impl Work for GroupInPods {
    fn start(&self, pod: RunningPod) {
        let (name, uid) = (pod.name().to_owned(), pod.uid().to_owned());
        let consumed = Arc::<AtomicU64>::default();
        let count = Arc::clone(&consumed);
        let consumer = Consumer::start(&self.config, &name, move || {
            count.fetch_add(1, Ordering::Relaxed);
            pod.spend(COST);
        });
        let consumer = consumer.expect("a consumer starts");
        self.consumers().insert(uid, Running { consumer, consumed });
    }

    fn stop(&self, pod: &RunningPod) {
        let running = self.consumers().remove(pod.uid());
        // Leaving the group takes a moment.
        drop(running);
    }

    /// The metrics that the consumers export, and those of an exporter for the broker.
    fn metrics(&self) -> String {
        let mut text = String::new();
        for running in self.consumers().values() {
            for (topic, partition) in running.consumer.owned() {
                // Writing to a string cannot fail.
                let _ = writeln!(
                    text,
                    "kafka_consumer_assignment{{group_id=\"{}\",pod=\"{}\",topic=\"{topic}\",\
                     partition=\"{partition}\"}} 1",
                    self.config.id,
                    running.consumer.pod(),
                );
            }
        }
        for topic in &self.config.topics {
            for (partition, end) in self.offsets.ends().into_iter().enumerate() {
                let _ = writeln!(
                    text,
                    "kafka_topic_partition_current_offset{{topic=\"{topic}\",\
                     partition=\"{partition}\"}} {end}"
                );
            }
        }
        text
    }
}
