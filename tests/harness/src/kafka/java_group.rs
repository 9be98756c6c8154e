//! A consumer group in the pods of a namespace, whose records cause the loads of the pods.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{JavaConsumers, JavaEvent, JavaEventKind, Kafka};
use crate::{
    Error, KafkaVersion, Result, RunningPod, TestNamespace, Work,
    wait::{Look, until},
};

/// The time without a change after which a group counts as settled: longer than the heartbeat
/// interval of the clients, 3 s, after which a member notices a rebalance.
const CALM: Duration = Duration::from_secs(4);

/// The time limit for a group or its metrics to settle, on a machine that is busy with a build.
const DEADLINE: Duration = Duration::from_secs(180);

const PAUSE: Duration = Duration::from_millis(250);

/// The time limit for a consumer to leave its group.
const LEAVE: Duration = Duration::from_secs(10);

/// The allowed difference between measured and expected loads: records arrive in batches, and a
/// metrics window begins and ends in the middle of a batch.
const NEAR: f64 = 0.05;

/// The configuration of a group.
#[derive(Debug, Clone, PartialEq)]
pub struct JavaGroupConfig {
    /// The group id.
    pub id: String,
    /// The topic, which is created.
    pub topic: String,
    /// The number of its partitions.
    pub partitions: usize,
    /// The load of a pod without partitions, in cores. It must be set as the load of each pod.
    pub base: f64,
    /// The CPU time of a pod per record, in seconds.
    pub cost: f64,
}

/// A classic group with the assignor `cooperative-sticky`. Each pod has one consumer of Kafka's own
/// client, with the pod name as `client.id` and the client's default intervals. A pod uses CPU for
/// each record that its consumer reads.
#[derive(Debug)]
pub struct JavaGroup {
    config: JavaGroupConfig,
    consumers: JavaConsumers,
    pods: Arc<Mutex<BTreeMap<String, RunningPod>>>,
    /// The rate of each partition, in records per second.
    rates: Mutex<Vec<f64>>,
}

impl JavaGroup {
    /// Creates the topic and starts the process for the consumers, which join with their pods:
    /// [`TestNamespace::run_in_pods`].
    ///
    /// # Errors
    /// If the broker rejects the topic, or the process cannot be started.
    pub async fn start(kafka: &Kafka, config: JavaGroupConfig) -> Result<Self> {
        let partitions = i32::try_from(config.partitions);
        let partitions = partitions.map_err(Error::document("the number of partitions"))?;
        kafka
            .admin()
            .create_topic(&config.topic, partitions)
            .await?;
        let pods = Arc::<Mutex<BTreeMap<String, RunningPod>>>::default();
        let (running, cost) = (Arc::clone(&pods), config.cost);
        let settings = [
            ("bootstrap.servers", kafka.bootstrap()),
            ("group.id", config.id.clone()),
            ("topics", config.topic.clone()),
        ];
        // Compiling the consumers for the first time takes some seconds.
        let started = tokio::task::spawn_blocking(move || {
            let mut settings: Vec<(&str, &str)> = settings
                .iter()
                .map(|(key, value)| (*key, value.as_str()))
                .collect();
            settings.extend([
                (
                    "partition.assignment.strategy",
                    "org.apache.kafka.clients.consumer.CooperativeStickyAssignor",
                ),
                ("auto.offset.reset", "earliest"),
                ("enable.auto.commit", "false"),
                ("commit", "async"),
                ("commit.ms", "500"),
            ]);
            JavaConsumers::observed(KafkaVersion::Current, &settings, move |event| {
                spend(&lock(&running), event, cost);
            })
        });
        let started = started.await;
        let consumers = started.map_err(Error::document("the start of Java consumers"))??;
        Ok(Self {
            rates: Mutex::new(vec![0.0; config.partitions]),
            config,
            consumers,
            pods,
        })
    }

    /// The partitions that each pod owns, in ascending order, by pod name.
    #[must_use]
    pub fn owned(&self) -> BTreeMap<String, Vec<i32>> {
        let pods: Vec<String> = lock(&self.pods).keys().cloned().collect();
        let owned = pods.into_iter().map(|pod| {
            let partitions = self.consumers.owned(&pod).into_iter();
            (pod, partitions.map(|(_, number)| number).collect())
        });
        owned.collect()
    }

    /// Waits until the consumers of that many pods own each partition once, and nothing has changed
    /// for a moment. Returns the partitions of each pod.
    ///
    /// # Errors
    /// If this takes too long; the error contains failures of the consumers.
    pub async fn wait_settled(&self, pods: usize) -> Result<BTreeMap<String, Vec<i32>>> {
        let (mut last, mut since) = (BTreeMap::new(), Instant::now());
        let what = format!("{pods} settled members of group {}", self.config.id);
        until(what, DEADLINE, PAUSE, async || {
            let owned = self.owned();
            if owned != last {
                (last, since) = (owned, Instant::now());
            }
            let all: Vec<i32> = last.values().flatten().copied().collect();
            let distinct: BTreeSet<i32> = all.iter().copied().collect();
            let complete = all.len() == self.config.partitions && distinct.len() == all.len();
            let idle = last.values().filter(|owned| owned.is_empty()).count();
            let spread = idle == pods.saturating_sub(self.config.partitions);
            Ok(
                if last.len() == pods && complete && spread && since.elapsed() >= CALM {
                    Look::Done(last.clone())
                } else {
                    Look::Not(format!("{last:?}, {:?}", self.consumers.failures()))
                },
            )
        })
        .await
    }

    /// Produces records at rates that give the pods these loads, in cores, in order of the pod
    /// names. Pods without partitions keep their load. The partitions of a pod get unequal rates.
    ///
    /// # Errors
    /// If the process has ended.
    pub fn skew(&self, loads: &[f64]) -> Result<()> {
        let owned = self.owned();
        let rates = rates(&self.config, owned.values().zip(loads.iter().copied()));
        self.consumers.produce(&self.config.topic, &rates)?;
        *lock(&self.rates) = rates;
        Ok(())
    }

    /// The load of each pod by the partitions that it owns, in cores, by pod name.
    #[must_use]
    pub fn loads(&self) -> BTreeMap<String, f64> {
        let rates = lock(&self.rates);
        let rate = |partition: &i32| rates.get(usize::try_from(*partition).ok()?).copied();
        let owned = self.owned().into_iter();
        let loads = owned.map(|(pod, owned)| {
            let records: f64 = owned.iter().filter_map(rate).sum();
            (pod, self.config.base + self.config.cost * records)
        });
        loads.collect()
    }

    /// Waits until every metrics server has a full window in which the pods have the loads of the
    /// partitions that they own now.
    ///
    /// # Errors
    /// If this takes too long; the error contains failures of the consumers.
    pub async fn wait_measured(&self, ns: &TestNamespace, container: &str) -> Result<()> {
        let what = format!("the loads of group {}", self.config.id);
        until(what, DEADLINE, PAUSE, async || {
            let expected = self.loads();
            for server in ns.metrics_servers() {
                let loads = server.loads(ns.name(), container).await?;
                let near = |(pod, expected): (&String, &f64)| {
                    let load = loads.get(pod);
                    load.is_some_and(|load| (load - expected).abs() <= NEAR * expected)
                };
                if !expected.iter().all(near) {
                    let (server, failures) = (server.name(), self.consumers.failures());
                    return Ok(Look::Not(format!(
                        "{server} has {loads:?}, not {expected:?}; {failures:?}"
                    )));
                }
            }
            Ok(Look::Done(()))
        })
        .await
    }
}

impl Work for JavaGroup {
    fn start(&self, pod: RunningPod) {
        let name = pod.name().to_owned();
        lock(&self.pods).insert(name.clone(), pod);
        // An error means that the process has ended, which shows as a group that does not settle.
        let _ = self.consumers.join(&name, &[]);
    }

    fn stop(&self, pod: &RunningPod) {
        if lock(&self.pods).remove(pod.name()).is_none()
            || self.consumers.leave(pod.name()).is_err()
        {
            return;
        }
        let began = Instant::now();
        while !self.consumers.is_over(pod.name()) && began.elapsed() < LEAVE {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn metrics(&self) -> String {
        String::new()
    }
}

/// Adds the CPU time of the records of an event to the pod that has processed them.
fn spend(pods: &BTreeMap<String, RunningPod>, event: &JavaEvent, cost: f64) {
    let JavaEventKind::Processed { records, .. } = &event.kind else {
        return;
    };
    let count: i64 = records
        .iter()
        .map(|(_, [first, last])| last - first + 1)
        .sum();
    if let Some(pod) = pods.get(&event.consumer) {
        #[expect(clippy::cast_precision_loss, reason = "the records of one poll")]
        pod.spend(cost * count as f64);
    }
}

/// Returns the rate of each partition, in records per second, at which the pods have the given
/// loads. Of the *n* partitions of a pod, the rates are as *n* to *n* − 1 … to 1.
fn rates<'a>(
    config: &JavaGroupConfig,
    pods: impl Iterator<Item = (&'a Vec<i32>, f64)>,
) -> Vec<f64> {
    let mut rates = vec![0.0; config.partitions];
    for (owned, load) in pods {
        let records = ((load - config.base) / config.cost).max(0.0);
        let weights = (1..=owned.len()).rev().map(|weight| {
            #[expect(clippy::cast_precision_loss, reason = "a small number")]
            let weight = weight as f64;
            weight
        });
        let sum: f64 = weights.clone().sum();
        for (partition, weight) in owned.iter().zip(weights) {
            let index = usize::try_from(*partition).ok();
            if let Some(rate) = index.and_then(|index| rates.get_mut(index)) {
                *rate = records * weight / sum;
            }
        }
    }
    rates
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_cause_the_loads() {
        let config = JavaGroupConfig {
            id: "orders".to_owned(),
            topic: "orders".to_owned(),
            partitions: 5,
            base: 0.1,
            cost: 0.01,
        };
        let owned = [vec![1, 3, 4], vec![0], vec![]];
        let rates = rates(&config, owned.iter().zip([0.7, 0.3, 0.5]));
        // The first pod reads 60 records per second, the second one 20. Partition 2 has no owner.
        let expected = [20.0, 30.0, 0.0, 20.0, 10.0];
        for (rate, expected) in rates.iter().zip(expected) {
            assert!((rate - expected).abs() < 1e-9, "{rates:?}");
        }
        assert_eq!(rates.len(), 5);
    }
}
