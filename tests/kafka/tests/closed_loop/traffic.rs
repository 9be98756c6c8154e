//! Traffic: records for the partitions of a topic, each partition at its own rate.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use harness::{Kafka, Result};
use rdkafka::{
    ClientContext, Message as _,
    config::ClientConfig,
    producer::{
        BaseRecord, DeliveryResult, NoCustomPartitioner, ProducerContext, ThreadedProducer,
    },
};

use consumers::failed;

/// The interval at which due records are sent.
const TICK: Duration = Duration::from_millis(50);

/// A producer that runs until it is dropped.
pub(crate) struct Traffic {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// The end offset of each partition, counted from the acknowledgements of the broker.
#[derive(Debug)]
pub(crate) struct Offsets(Vec<AtomicU64>);

impl Offsets {
    pub(crate) fn new(partitions: usize) -> Self {
        Self((0..partitions).map(|_| AtomicU64::new(0)).collect())
    }

    /// The end offsets, by partition.
    pub(crate) fn ends(&self) -> Vec<u64> {
        let ends = self.0.iter();
        ends.map(|end| end.load(Ordering::Relaxed)).collect()
    }
}

impl Traffic {
    /// Sends records to the partitions of a topic at the given rates, in records per second.
    pub(crate) fn start(
        kafka: &Kafka,
        topic: &str,
        rates: Vec<f64>,
        offsets: &Arc<Offsets>,
    ) -> Result<Self> {
        let failures = Arc::<Mutex<Option<String>>>::default();
        let producer: ThreadedProducer<Delivery> = ClientConfig::new()
            .set("bootstrap.servers", kafka.bootstrap())
            .set("linger.ms", "20")
            .create_with_context(Delivery {
                offsets: Arc::clone(offsets),
                failures: Arc::clone(&failures),
            })
            .map_err(|error| failed("a producer", error))?;
        let ends = Arc::<AtomicBool>::default();
        let (stopped, topic) = (Arc::clone(&ends), topic.to_owned());
        let thread = std::thread::spawn(move || {
            let started = Instant::now();
            let mut sent = vec![0.0; rates.len()];
            while !stopped.load(Ordering::Relaxed) {
                let elapsed = started.elapsed().as_secs_f64();
                for ((partition, rate), sent) in (0..).zip(&rates).zip(&mut sent) {
                    while *sent < rate * elapsed {
                        let record = BaseRecord::<(), [u8]>::to(&topic)
                            .partition(partition)
                            .payload(b"work");
                        // A full queue is emptied by the next tick.
                        if producer.send(record).is_err() {
                            break;
                        }
                        *sent += 1.0;
                    }
                }
                std::thread::sleep(TICK);
            }
            let failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
            assert_eq!(*failures, None, "records were not taken");
        });
        Ok(Self {
            ends,
            thread: Some(thread),
        })
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has already been printed.
            let _ = thread.join();
        }
    }
}

/// Updates the end offsets; no other producer writes to the topic.
struct Delivery {
    offsets: Arc<Offsets>,
    failures: Arc<Mutex<Option<String>>>,
}

impl ClientContext for Delivery {}

impl ProducerContext<NoCustomPartitioner> for Delivery {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(record) => {
                let place = usize::try_from(record.partition()).ok();
                let end = place.and_then(|place| self.offsets.0.get(place));
                if let (Some(end), Ok(offset)) = (end, u64::try_from(record.offset())) {
                    end.fetch_max(offset + 1, Ordering::Relaxed);
                }
            }
            Err((error, _)) => {
                let failures = self.failures.lock();
                let mut failures = failures.unwrap_or_else(PoisonError::into_inner);
                failures.get_or_insert(error.to_string());
            }
        }
    }
}
