//! The scene of a case: a workload whose pods are the consumers of a real group, with traffic.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use harness::{
    Kafka, KafkaVersion, Rebalancer, Result, TestNamespace, Workload, WorkloadSpec, annotation,
    wait::{Look, until},
};
use rebalancer_core::group::{Assignor, Protocol};

use crate::offsets::Offsets;
use crate::pods::{COST, GroupInPods};
use consumers::{GroupConfig, Stream, Traffic, create_topics};

/// The number of pods.
pub(crate) const PODS: usize = 6;

/// The number of partitions: three per pod.
pub(crate) const PARTITIONS: usize = 18;

/// The base load of a pod, in cores.
const BASE: f64 = 0.1;

/// The start-up time of a pod, in seconds: long enough for its predecessor to leave the group.
const STARTUP_SECONDS: &str = "12";

/// The time without a change after which a group counts as settled.
const CALM: Duration = Duration::from_secs(2);

/// The time limit for a group or its metrics to settle, on a machine that is busy with a build.
const DEADLINE: Duration = Duration::from_secs(180);

const PAUSE: Duration = Duration::from_millis(250);

/// The allowed difference between measured and expected loads: records arrive in batches, and a
/// metrics window begins and ends in the middle of a batch.
const NEAR: f64 = 0.05;

/// The duration over which consumption is measured.
const LOOK: Duration = Duration::from_secs(10);

/// A running group.
pub(crate) struct Scene<'ns> {
    pub(crate) ns: &'ns TestNamespace,
    pub(crate) workload: Workload<'ns>,
    pub(crate) kafka: &'static Kafka,
    group: Arc<GroupInPods>,
    topic: String,
    assignor: Assignor,
    offsets: Arc<Offsets>,
    rates: Vec<f64>,
    traffic: Option<Traffic>,
}

impl<'ns> Scene<'ns> {
    /// Starts the pods and waits until their group has settled, without traffic.
    pub(crate) async fn start(ns: &'ns TestNamespace, assignor: Assignor) -> Result<Self> {
        Self::start_with(ns, Protocol::Classic, assignor, false).await
    }

    /// Starts pods with static members, whose session times out after all limits of a case.
    pub(crate) async fn start_static(ns: &'ns TestNamespace, assignor: Assignor) -> Result<Self> {
        Self::start_with(ns, Protocol::Classic, assignor, true).await
    }

    /// Starts pods whose consumers use the protocol of KIP-848.
    pub(crate) async fn start_kip_848(ns: &'ns TestNamespace) -> Result<Self> {
        Self::start_with(ns, Protocol::Consumer, Assignor::Uniform, false).await
    }

    async fn start_with(
        ns: &'ns TestNamespace,
        protocol: Protocol,
        assignor: Assignor,
        static_members: bool,
    ) -> Result<Self> {
        let kafka = Kafka::secured(KafkaVersion::Current).await?;
        let topic = format!("{}-work", ns.name());
        create_topics(kafka, &[(&topic, PARTITIONS)]).await?;
        let offsets = Arc::new(Offsets::new(PARTITIONS));
        let config = GroupConfig {
            bootstrap: kafka.bootstrap(),
            id: ns.name().to_owned(),
            topics: vec![topic.clone()],
            protocol,
            assignor,
            static_members,
            properties: static_members
                .then_some(("session.timeout.ms", "300000"))
                .into_iter()
                .collect(),
        };
        let group = Arc::new(GroupInPods::new(config, Arc::clone(&offsets)));
        ns.run_in_pods(Arc::<GroupInPods>::clone(&group));
        let spec = WorkloadSpec::deployment("consumer")
            .loads([BASE; PODS])
            .annotation(annotation::READY_AFTER, STARTUP_SECONDS);
        let workload = ns.create(spec).await?;
        let scene = Self {
            ns,
            workload,
            kafka,
            group,
            topic,
            assignor,
            offsets,
            rates: vec![0.0; PARTITIONS],
            traffic: None,
        };
        scene.settled().await?;
        Ok(scene)
    }

    /// Waits until each partition has one owner among the pods and nothing has changed for a
    /// moment; returns the partitions of each pod.
    pub(crate) async fn settled(&self) -> Result<BTreeMap<String, Vec<i32>>> {
        let (mut last, mut since) = (BTreeMap::new(), Instant::now());
        until("the group to settle", DEADLINE, PAUSE, async || {
            let owned = self.group.owned();
            if owned != last {
                (last, since) = (owned, Instant::now());
            }
            let all: Vec<i32> = last.values().flatten().copied().collect();
            let distinct: BTreeSet<i32> = all.iter().copied().collect();
            let complete = all.len() == PARTITIONS && distinct.len() == PARTITIONS;
            let everybody = last.len() == PODS && last.values().all(|owned| !owned.is_empty());
            Ok(if complete && everybody && since.elapsed() >= CALM {
                Look::Done(last.clone())
            } else {
                Look::Not(format!("{last:?}"))
            })
        })
        .await
    }

    /// Starts traffic with the given rate for each partition, in records per second.
    pub(crate) fn arrive(&mut self, rate: impl Fn(i32) -> f64) -> Result<()> {
        self.rates = (0..).take(PARTITIONS).map(rate).collect();
        let streams = (0..).zip(&self.rates).map(|(partition, rate)| Stream {
            topic: self.topic.clone(),
            partition,
            rate: *rate,
        });
        let offsets = Arc::clone(&self.offsets);
        let arrived = move |_: &str, partition, offset| offsets.arrived(partition, offset);
        if let Some(before) = self.traffic.take() {
            before.stop()?;
        }
        let traffic = Traffic::start(&self.kafka.bootstrap(), streams.collect(), arrived)?;
        self.traffic = Some(traffic);
        Ok(())
    }

    /// The expected load of each pod by the partitions that it owns, in cores.
    fn expected(&self) -> BTreeMap<String, f64> {
        let load = |partitions: Vec<i32>| {
            let rates = partitions.into_iter().filter_map(|partition| {
                let place = usize::try_from(partition).ok()?;
                self.rates.get(place).copied()
            });
            BASE + COST * rates.sum::<f64>()
        };
        let owned = self.group.owned().into_iter();
        owned.map(|(pod, owned)| (pod, load(owned))).collect()
    }

    /// Waits until Prometheus has a full window with the current owners.
    pub(crate) async fn measured(&self) -> Result<()> {
        let prometheus = self.ns.prometheus();
        let (namespace, container) = (self.ns.name(), self.workload.container());
        until("the loads in Prometheus", DEADLINE, PAUSE, async || {
            let expected = self.expected();
            let loads = prometheus.loads(namespace, container).await?;
            let near = |(pod, expected): (&String, &f64)| {
                let load = loads.get(pod);
                load.is_some_and(|load| (load - expected).abs() <= NEAR * expected)
            };
            Ok(if expected.len() == PODS && expected.iter().all(near) {
                Look::Done(())
            } else {
                Look::Not(format!("{loads:?}, not {expected:?}"))
            })
        })
        .await
    }

    /// The load of each pod by the records that its consumer reads, in cores.
    pub(crate) async fn consumption(&self) -> Vec<f64> {
        let (before, since) = (self.group.consumed(), Instant::now());
        tokio::time::sleep(LOOK).await;
        let (after, seconds) = (self.group.consumed(), since.elapsed().as_secs_f64());
        assert!(before.keys().eq(after.keys()), "{before:?}, then {after:?}");
        let load = |(before, after): (&u64, &u64)| {
            let records = u32::try_from(after - before).expect("some hundred records");
            BASE + COST * f64::from(records) / seconds
        };
        before.values().zip(after.values()).map(load).collect()
    }

    /// The address of the broker.
    pub(crate) fn bootstrap(&self) -> String {
        self.kafka.bootstrap()
    }

    /// The configuration of the consumers.
    pub(crate) fn consumers(&self) -> &GroupConfig {
        self.group.config()
    }

    /// The program, configured to forecast for this group.
    pub(crate) fn rebalancer(&self) -> Rebalancer {
        self.ns
            .rebalancer(&self.workload)
            .env("STRATEGY", "forecast")
            .env("GROUP_ID", self.ns.name())
            .env("GROUP_METRICS", "consumer,kafka-exporter")
            .env("GROUP_ASSIGNOR", self.assignor.as_str())
            .env("GROUP_CLIENT", "librdkafka")
            .env("OUTPUT", "json")
    }
}
