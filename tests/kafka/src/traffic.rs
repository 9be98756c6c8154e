//! Traffic: records for partitions, each at its own rate.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use harness::Result;
use rdkafka::{
    ClientContext, Message as _,
    config::ClientConfig,
    producer::{
        BaseRecord, DeliveryResult, NoCustomPartitioner, Producer as _, ProducerContext,
        ThreadedProducer,
    },
};

use crate::failed;

/// The interval at which due records are sent.
const TICK: Duration = Duration::from_millis(20);

/// The longest wait for acknowledgements after the last record.
const FLUSH: Duration = Duration::from_secs(120);

/// The records for one partition.
#[derive(Debug, Clone, PartialEq)]
pub struct Stream {
    /// The topic.
    pub topic: String,
    /// The number of the partition.
    pub partition: i32,
    /// The rate, in records per second.
    pub rate: f64,
}

/// A producer that runs until it is stopped or dropped.
pub struct Traffic {
    ends: Arc<AtomicBool>,
    failure: Arc<Mutex<Option<String>>>,
    thread: Option<JoinHandle<()>>,
}

impl Traffic {
    /// Starts to send records. `arrived` is called for each record that the broker has
    /// acknowledged, with topic, partition and offset.
    ///
    /// # Errors
    /// If librdkafka rejects the configuration.
    pub fn start(
        bootstrap: &str,
        streams: Vec<Stream>,
        arrived: impl Fn(&str, i32, i64) + Send + Sync + 'static,
    ) -> Result<Self> {
        let failure = Arc::<Mutex<Option<String>>>::default();
        let producer: ThreadedProducer<Delivery> = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("linger.ms", "5")
            .create_with_context(Delivery {
                arrived: Box::new(arrived),
                failure: Arc::clone(&failure),
            })
            .map_err(|error| failed("a producer", error))?;
        let ends = Arc::<AtomicBool>::default();
        let stopped = Arc::clone(&ends);
        let failures = Arc::clone(&failure);
        let thread = std::thread::spawn(move || {
            let started = Instant::now();
            // The partitions do not get their records at the same times.
            let mut sent: Vec<f64> = (0_u16..)
                .map(|stream| -(f64::from(stream) * 0.618).fract())
                .take(streams.len())
                .collect();
            while !stopped.load(Ordering::Relaxed) {
                let elapsed = started.elapsed().as_secs_f64();
                for (stream, sent) in streams.iter().zip(&mut sent) {
                    while *sent + 1.0 <= stream.rate * elapsed {
                        let record = BaseRecord::<(), [u8]>::to(&stream.topic)
                            .partition(stream.partition)
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
            if let Err(error) = producer.flush(FLUSH) {
                set(&failures, error.to_string());
            }
        });
        Ok(Self {
            ends,
            failure,
            thread: Some(thread),
        })
    }

    /// Stops, and waits until every record is acknowledged.
    ///
    /// # Errors
    /// If the broker did not take a record.
    pub fn stop(mut self) -> Result<()> {
        self.end();
        let failure = self.failure.lock();
        match failure.unwrap_or_else(PoisonError::into_inner).take() {
            Some(failure) => Err(failed("the delivery of records", failure)),
            None => Ok(()),
        }
    }

    fn end(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has already been printed.
            let _ = thread.join();
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.end();
    }
}

fn set(failure: &Mutex<Option<String>>, message: String) {
    let mut failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
    failure.get_or_insert(message);
}

type Arrived = Box<dyn Fn(&str, i32, i64) + Send + Sync>;

/// Reports the acknowledgements of the broker.
struct Delivery {
    arrived: Arrived,
    failure: Arc<Mutex<Option<String>>>,
}

impl ClientContext for Delivery {}

impl ProducerContext<NoCustomPartitioner> for Delivery {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(record) => (self.arrived)(record.topic(), record.partition(), record.offset()),
            Err((error, _)) => set(&self.failure, error.to_string()),
        }
    }
}
