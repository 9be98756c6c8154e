//! A trial: a group of real consumers is given the assignment that a run would plan for it, while
//! records arrive, and later one of its consumers is restarted.

mod account;
mod disturbed;
mod members;
mod plan;

use std::collections::{BTreeMap, BTreeSet};
use std::f64::consts::TAU;
use std::time::Duration;

use harness::kafka::Listener;
use harness::wait::{Look, until};
use harness::{Kafka, KafkaVersion, Result};
use kafka_assignors::{PartitionIndex, Topics};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rebalancer_core::group::{Assignor, ClientFamily, Protocol};
use rebalancer_core::handover::{HandoverLimits, HandoverOutcome, HandoverReport, HandoverWork};
use rebalancer_core::ports::GroupSource as _;
use rebalancer_core::ports::{Clock as _, DescribedGroup, GroupCoordinator as _, GroupState};
use rebalancer_driver::{Stop, SystemClock, hand_over};
use rebalancer_kafka::{Kafka as Adapter, KafkaCoordinator, KafkaSettings};
use tokio::sync::Semaphore;

use crate::consumer::{Commits, GroupConfig};
use crate::ledger::{Duplicates, Ledger, Pause, Window};
use crate::recorder::{Recorder, now};
use crate::traffic::{Stream, Traffic};
use crate::{create_topics, delete_topics, failed};
pub use account::Account;
pub use disturbed::Disturbance;
use members::Members;
use plan::{Planned, plan, planned_owners};

/// The CPU time per record, in seconds, and the load of a pod without partitions, in cores.
const COST: f64 = 0.01;
const BASE: f64 = 0.1;

/// The largest relative error of a measured load.
const NOISE: f64 = 0.03;

/// The median rate of the partitions, in records per second, and the limits of a rate. Pauses can
/// be measured only where records arrive often.
const MEDIAN_RATE: f64 = 4.0;
const RATES: [f64; 2] = [4.0, 80.0];

/// The standard deviation of the logarithm of the rates.
const SIGMA: f64 = 1.0;

/// The time between the end of a consumer and the start of its replacement.
const DOWN: Duration = Duration::from_secs(3);

/// The duration for which records arrive before a measurement begins and after it ends.
const MARGIN: Duration = Duration::from_secs(2);

/// The interval between two reads of the group.
const POLL: Duration = Duration::from_millis(500);

/// The time limit for a group to settle, on a machine that is busy with a build.
const SETTLED_DEADLINE: Duration = Duration::from_secs(240);

/// The time limit for the consumers to process the last records.
const DRAINED_DEADLINE: Duration = Duration::from_secs(60);

/// The partitions of each member, by its client id.
pub type Owners = BTreeMap<String, BTreeSet<(String, u32)>>;

/// The kind of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// The client library.
    pub client: ClientFamily,
    /// The assignor.
    pub assignor: Assignor,
    /// Whether members are static.
    pub static_members: bool,
    /// The time at which consumers commit.
    pub commits: Commits,
}

/// A group, and how it is tried.
#[derive(Debug, Clone)]
pub struct Trial {
    /// The group id, unique on the broker.
    pub name: String,
    /// The kind of the group.
    pub kind: Kind,
    /// The version of the Java client.
    pub version: KafkaVersion,
    /// The number of members.
    pub members: usize,
    /// The number of partitions.
    pub partitions: usize,
    /// The seed of the rates.
    pub seed: u64,
    /// More properties of the consumers.
    pub properties: Vec<(&'static str, &'static str)>,
    /// The window of the rates that the plan is made from.
    pub rate_window: Duration,
    /// The duration without a change after which a group counts as settled: more than the interval
    /// of heartbeats.
    pub calm: Duration,
    /// The duration after which the assignment is compared with the plan for the second time.
    pub hold: Duration,
}

/// The measurements of a change of a group.
#[derive(Debug, Clone)]
pub struct Measured {
    /// The number of rebalances.
    pub rebalances: usize,
    /// The duration.
    pub duration: Duration,
    /// The pauses of the partitions that got another owner.
    pub moved: Vec<Pause>,
    /// The pauses of the partitions that a consumer lost and got back, because it was removed.
    pub returned: Vec<Pause>,
    /// The pauses of the other partitions.
    pub stayed: Vec<Pause>,
    /// The records that were processed again.
    pub duplicates: Duplicates,
}

/// The result of a trial.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The report of the hand-over.
    pub report: HandoverReport,
    /// The highest load as a multiple of the mean, expected before and after.
    pub imbalance: [f64; 2],
    /// The number of partitions that the plan moves.
    pub planned_moves: usize,
    /// The number of partitions that do not have their planned owner right after the hand-over, and
    /// after [`Trial::hold`].
    pub misplaced: [usize; 2],
    /// The hand-over.
    pub hand_over: Measured,
    /// The restart of one consumer.
    pub restart: Measured,
    /// The account of the records.
    pub account: Account,
}

impl Outcome {
    /// Whether the group took the target and kept it.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.report.outcome == HandoverOutcome::Assigned && self.misplaced == [0, 0]
    }
}

impl Trial {
    /// Tries the group. Records arrive only while a permit of `active` is held, so that a few
    /// groups at a time use the CPU.
    ///
    /// # Errors
    /// If the broker or a client fails, the group does not settle, or no plan can be made.
    pub async fn run(&self, kafka: &Kafka, active: &Semaphore) -> Result<Outcome> {
        let mut group = Group::start(self, kafka).await?;
        let result = group.run(active).await;
        group.close().await?;
        result
    }

    fn topics(&self) -> [(String, usize); 2] {
        // Two topics whose numbers of partitions are usually not divisible by that of the members.
        let clicks = (self.partitions * 3).div_ceil(5);
        let views = self.partitions - clicks;
        [("clicks", clicks), ("views", views)]
            .map(|(topic, size)| (format!("{}-{topic}", self.name), size))
    }

    fn member(&self, number: usize) -> String {
        format!("{}-{number:02}", self.name)
    }
}

/// The group of a trial.
struct Group<'a> {
    trial: &'a Trial,
    kafka: &'a Kafka,
    adapter: Adapter,
    coordinator: KafkaCoordinator,
    recorder: Recorder,
    members: Members,
    rates: Vec<f64>,
    /// The relative error of the measured load of each member.
    noise: Vec<f64>,
}

impl<'a> Group<'a> {
    async fn start(trial: &'a Trial, kafka: &'a Kafka) -> Result<Self> {
        let topics = trial.topics();
        let sizes = topics.iter().map(|(name, size)| (name.as_str(), *size));
        create_topics(kafka, &sizes.collect::<Vec<_>>()).await?;
        let recorder = Recorder::new(Topics::new(topics.clone()));
        let mut properties = vec![
            // The defaults of the clients.
            ("heartbeat.interval.ms", "3000"),
            ("session.timeout.ms", "45000"),
            ("auto.commit.interval.ms", "5000"),
        ];
        // A broker may know a new topic a moment after its creation.
        properties.push(if trial.kind.client == ClientFamily::Java {
            ("metadata.max.age.ms", "5000")
        } else {
            ("topic.metadata.refresh.interval.ms", "5000")
        });
        properties.extend(&trial.properties);
        let config = GroupConfig {
            bootstrap: kafka.bootstrap(),
            id: trial.name.clone(),
            topics: topics.iter().map(|(name, _)| name.clone()).collect(),
            protocol: Protocol::Classic,
            assignor: trial.kind.assignor,
            static_members: trial.kind.static_members,
            properties,
        };
        let servers = kafka.address(Listener::Plaintext).to_string();
        let servers = servers
            .parse()
            .map_err(|error| failed("the address of the broker", error))?;
        let adapter = Adapter::new(KafkaSettings {
            window: trial.rate_window,
            ..KafkaSettings::new(servers, &trial.name)
        })
        .map_err(|error| failed("the adapter", error))?;
        let mut random = ChaCha8Rng::seed_from_u64(trial.seed);
        let rates = (0..trial.partitions).map(|_| rate(&mut random)).collect();
        let noise = (0..trial.members)
            .map(|_| random.random_range(-NOISE..NOISE))
            .collect();
        let (client, version) = (trial.kind.client, trial.version);
        let members = Members::new(
            client,
            version,
            config,
            trial.kind.commits,
            recorder.clone(),
        )?;
        let coordinator = adapter.coordinator(format!("rebalancer-{}", trial.name));
        let mut group = Self {
            trial,
            kafka,
            adapter,
            coordinator,
            recorder,
            members,
            rates,
            noise,
        };
        for number in 0..trial.members {
            group.members.start(&trial.member(number))?;
        }
        Ok(group)
    }

    /// Ends the consumers, and deletes the topics.
    async fn close(&mut self) -> Result<()> {
        self.members.close_all().await?;
        let topics = self.recorder.topics();
        let names: Vec<&str> = topics.indices().map(|topic| topics.name(topic)).collect();
        delete_topics(self.kafka, &names).await
    }

    async fn run(&mut self, active: &Semaphore) -> Result<Outcome> {
        self.settled(self.trial.calm).await?;

        let permit = active.acquire().await;
        let permit = permit.map_err(|error| failed("a permit", error))?;
        let traffic = self.traffic()?;
        tokio::time::sleep(self.trial.rate_window + MARGIN).await;
        let clock = SystemClock::new();
        let Planned { plan, imbalance } = self.planned(&clock).await?;
        let planned = planned_owners(&plan);
        let limits = HandoverLimits::of(plan.protocol);
        let planned_moves = match plan.work() {
            HandoverWork::Moves(partitions) => partitions,
            HandoverWork::Rejoins(_) => 0,
        };
        let from = now();
        let stop = Stop::never();
        let report = hand_over(plan, limits, &self.coordinator, &clock, &stop, |_| ()).await;
        let handed_over = self.settled(Duration::ZERO).await?;
        let at_once = misplaced(&planned, &owners(&handed_over));
        tokio::time::sleep(MARGIN).await;
        let hand_over_window = Window { from, to: now() };
        traffic.stop()?;
        drop(permit);

        tokio::time::sleep(self.trial.hold).await;
        let held = self.settled(Duration::ZERO).await?;
        let later = misplaced(&planned, &owners(&held));

        let permit = active.acquire().await;
        let permit = permit.map_err(|error| failed("a permit", error))?;
        let traffic = self.traffic()?;
        tokio::time::sleep(MARGIN).await;
        let restart_window = self.restart().await?;
        traffic.stop()?;
        self.drained().await?;
        drop(permit);

        let ledger = self.members.ledger();
        let mut hand_over = measured(&ledger, hand_over_window);
        hand_over.duration = Duration::from_secs_f64(report.seconds.get());
        Ok(Outcome {
            report,
            imbalance,
            planned_moves,
            misplaced: [at_once, later],
            hand_over,
            restart: measured(&ledger, restart_window),
            account: Account::of(&ledger),
        })
    }

    fn traffic(&self) -> Result<Traffic> {
        let topics = self.recorder.topics();
        let partitions = PartitionIndex::all(topics.partition_count()).zip(&self.rates);
        let streams = partitions.filter_map(|(partition, rate)| {
            let (topic, number) = topics.locate(partition)?;
            Some(Stream {
                topic: topics.name(topic).to_owned(),
                partition: i32::try_from(number).ok()?,
                rate: *rate,
            })
        });
        let recorder = self.recorder.clone();
        let arrived = move |topic: &str, number, offset| recorder.arrived(topic, number, offset);
        Traffic::start(&self.kafka.bootstrap(), streams.collect(), arrived)
    }

    /// The plan, once the consumers keep up on a machine that is busy with a build.
    async fn planned(&self, clock: &SystemClock) -> Result<Planned> {
        let what = format!("a plan for group {}", self.trial.name);
        until(what, SETTLED_DEADLINE, self.trial.rate_window, async || {
            Ok(match self.plan(clock).await {
                Ok(planned) => Look::Done(planned),
                Err(error) => Look::Not(error.to_string()),
            })
        })
        .await
    }

    /// Observes the group and plans as a run does. The loads of the pods follow the rates of their
    /// partitions.
    async fn plan(&self, clock: &SystemClock) -> Result<Planned> {
        let observation = self.adapter.group().await;
        let observation = observation.map_err(|error| failed("an observation", error))?;
        let observation = observation.unwrap_or_default();
        let owners = observation.described.as_ref().map(owners);
        let noise: BTreeMap<String, f64> = (0..self.trial.members)
            .map(|number| self.trial.member(number))
            .zip(self.noise.iter().copied())
            .collect();
        let loads = owners.unwrap_or_default().into_iter();
        let loads = loads.map(|(pod, owned)| {
            let rates = owned.iter().filter_map(|(topic, number)| {
                let number = i32::try_from(*number).ok()?;
                let partition = self.recorder.partition(topic, number)?;
                self.rates.get(partition.get())
            });
            let load = BASE + COST * rates.sum::<f64>();
            let noise = noise.get(&pod).copied().unwrap_or(0.0);
            (pod, load * (1.0 + noise))
        });
        plan(observation, &loads.collect(), clock.elapsed())
    }

    /// Closes the first consumer and starts it again, as the restart of a pod does. The window ends
    /// when the group has settled.
    async fn restart(&mut self) -> Result<Window> {
        let name = self.trial.member(0);
        let from = now();
        self.members.close(&name).await?;
        tokio::time::sleep(DOWN).await;
        self.members.start(&name)?;
        self.settled(self.trial.calm).await?;
        Ok(Window { from, to: now() })
    }

    /// Waits until the group is stable, each partition has one owner, and nothing has changed for a
    /// while.
    async fn settled(&self, calm: Duration) -> Result<DescribedGroup> {
        let what = format!("group {} to settle", self.trial.name);
        let mut last = Owners::new();
        let mut since = now();
        until(what, SETTLED_DEADLINE, POLL, async || {
            let described = match self.coordinator.describe().await {
                Ok(described) => described,
                // The coordinator of a new group may not be ready.
                Err(error) => return Ok(Look::Not(error.to_string())),
            };
            let current = owners(&described);
            if current != last {
                last = current;
                since = now();
            }
            let distinct: BTreeSet<&(String, u32)> = last.values().flatten().collect();
            let owned: usize = last.values().map(BTreeSet::len).sum();
            let is_settled = described.state == GroupState::Stable
                && last.len() == self.trial.members
                && owned == self.trial.partitions
                && distinct.len() == owned
                && last.values().all(|owned| !owned.is_empty());
            Ok(if is_settled && now().saturating_sub(since) >= calm {
                Look::Done(described)
            } else {
                Look::Not(format!("{described:?}"))
            })
        })
        .await
    }

    /// Waits until every record was processed, if that happens.
    async fn drained(&self) -> Result<()> {
        let started = now();
        while now().saturating_sub(started) < DRAINED_DEADLINE {
            tokio::time::sleep(MARGIN).await;
            if self.members.ledger().lost().is_empty() {
                break;
            }
        }
        Ok(())
    }
}

/// The partitions of each member, by its client id.
fn owners(described: &DescribedGroup) -> Owners {
    let members = described.members.iter();
    members
        .map(|member| {
            let client_id = member.labels.client_id.clone().unwrap_or_default();
            (client_id, member.owned.iter().cloned().collect())
        })
        .collect()
}

/// The number of partitions that do not have their planned owner.
fn misplaced(planned: &Owners, actual: &Owners) -> usize {
    let of = planned.iter().map(|(member, partitions)| {
        let owned = actual.get(member);
        let kept = owned.map_or(0, |owned| partitions.intersection(owned).count());
        partitions.len() - kept
    });
    of.sum()
}

/// A log-normal rate (Box–Muller).
fn rate(random: &mut ChaCha8Rng) -> f64 {
    let radius = (-2.0 * random.random_range(f64::MIN_POSITIVE..1.0).ln()).sqrt();
    let normal = radius * (TAU * random.random_range(0.0..1.0)).cos();
    let [lowest, highest] = RATES;
    (MEDIAN_RATE * (SIGMA * normal).exp()).clamp(lowest, highest)
}

/// The measurements within a window. The duration ends when the last partition gets its owner.
fn measured(ledger: &Ledger, window: Window) -> Measured {
    let (before, after) = (ledger.owners(window.from), ledger.owners(window.to));
    let lost = ledger.lost_partitions(window);
    let [mut moved, mut returned, mut stayed] = [const { Vec::new() }; 3];
    for pause in ledger.pauses(window) {
        let owner = |owners: &[_]| owners.get(pause.partition.get()).copied().flatten();
        let list = if owner(&before) != owner(&after) {
            &mut moved
        } else if lost.contains(&pause.partition) {
            &mut returned
        } else {
            &mut stayed
        };
        list.push(pause);
    }
    let end = ledger.last_assigned(window).unwrap_or(window.from);
    Measured {
        rebalances: ledger.rebalances(window),
        duration: end.saturating_sub(window.from),
        moved,
        returned,
        stayed,
        duplicates: ledger.duplicates(window),
    }
}
