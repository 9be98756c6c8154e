//! How good forecasts are, measured on what real consumer groups did.
//!
//! Each episode is a settled group of real consumers, of which some were replaced, and the settled
//! group after it. Episodes have no rates, so that each is taken with several draws of them. What
//! is forecast is the highest load of a member as a multiple of the mean.

use std::collections::BTreeMap;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rebalancer_core::forecast::membership::Order;
use rebalancer_core::forecast::{Attribution, Sampling, Subject, forecast};
use rebalancer_core::group::assignors::Algorithm;
use rebalancer_core::group::{
    Assignment, Assignor, ClientFamily, Group, Knowledge, KnownAssignor, Member, Protocol,
    Subscription, Topics,
};
use serde::Deserialize;

const JAVA: &str = include_str!("../../rebalancer-core/tests/kafka/groups/java.jsonl");
const LIBRDKAFKA: &str = include_str!("../../rebalancer-core/tests/kafka/groups/librdkafka.jsonl");

/// Draws of the rates for each episode.
const DRAWS: u64 = 10;

/// Imagined executions for each forecast.
const SAMPLES: usize = 200;

/// What one group did.
#[derive(Debug, Clone, Deserialize)]
pub struct Episode {
    /// The client and its version.
    pub client: String,
    /// The group protocol.
    pub protocol: Protocol,
    /// The assignor.
    pub assignor: Assignor,
    /// Its number among those of this client and assignor.
    pub episode: usize,
    /// Topics with their numbers of partitions.
    pub topics: BTreeMap<String, usize>,
    /// The members of the settled group before.
    pub members: Vec<Consumer>,
    /// The pod that owned each partition before.
    pub before: BTreeMap<String, Vec<String>>,
    /// The pods that went.
    pub victims: Vec<String>,
    /// As many new members.
    pub replacements: Vec<Consumer>,
    /// What came first.
    pub order: EpisodeOrder,
    /// The pod that owned each partition when the group had settled again.
    pub after: BTreeMap<String, Vec<String>>,
    /// How many rebalances a classic group took, where that was counted.
    #[serde(default)]
    pub generations: Option<usize>,
}

/// In which order the members of an episode left and joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EpisodeOrder {
    /// At the same time.
    Together,
    /// All victims had gone and the group had settled before the first replacement started.
    LeaveFirst,
    /// The other way round.
    JoinFirst,
}

/// A member of an episode.
#[derive(Debug, Clone, Deserialize)]
pub struct Consumer {
    /// Its pod.
    pub pod: String,
    /// Its member id.
    pub id: String,
}

impl Episode {
    /// All episodes, in the order of the files.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn all() -> serde_json::Result<Vec<Self>> {
        let lines = JAVA.lines().chain(LIBRDKAFKA.lines());
        lines.map(serde_json::from_str).collect()
    }

    /// The settled group before.
    #[must_use]
    pub fn group(&self, ids: Ids) -> Group {
        let topics = Topics::new(self.topics.iter().map(|(name, size)| (name.clone(), *size)));
        let subscription = Subscription::new(0..topics.len());
        let member = |consumer: &Consumer| Member {
            id: match ids {
                Ids::Known => consumer.id.clone(),
                Ids::Unknown => String::new(),
            },
            instance: None,
            subscription: subscription.clone(),
        };
        let place = |pod: &String| self.members.iter().position(|member| member.pod == *pod);
        let owners: Assignment = self.before.values().flatten().map(place).collect();
        let pods = self.members.len();
        Group {
            members: self.members.iter().map(member).collect(),
            pod_of: (0..pods).collect(),
            pods: (0..pods).collect(),
            rates: None,
            assignor: KnownAssignor {
                assignor: self.assignor,
                known: Knowledge::Set,
            },
            client: if self.client.starts_with("java") {
                ClientFamily::Java
            } else {
                ClientFamily::Librdkafka
            },
            protocol: self.protocol,
            session_timeout: 45.0,
            stable_names: false,
            startups: Vec::new(),
            topics,
            owners,
        }
    }
}

/// What is known of the members' ids when a forecast is made. Those of the replacements never are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ids {
    /// The present ones, as an exporter that reads the group from the broker has them.
    Known,
    /// None, as a consumer that exports its own assignment leaves it.
    Unknown,
}

/// What is known of the order in which members leave and join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Orders {
    /// Which of the three it was, as for whoever knows how fast their consumers start and stop.
    Known,
    /// Nothing: each of the three is as likely.
    Unknown,
}

/// How good the forecasts of one kind of group are.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Calibration {
    /// Forecasts made: episodes × draws.
    pub forecasts: u32,
    errors: f64,
    errors_of_no_change: f64,
    covered: u32,
}

impl Calibration {
    /// The mean of |forecast − outcome| / outcome, in percent.
    #[must_use]
    pub fn error_percent(&self) -> f64 {
        self.errors / f64::from(self.forecasts) * 100.0
    }

    /// The same for saying that all stays as it is.
    #[must_use]
    pub fn error_of_no_change_percent(&self) -> f64 {
        self.errors_of_no_change / f64::from(self.forecasts) * 100.0
    }

    /// How often the outcome was between the 5th and the 95th percentile, in percent.
    #[must_use]
    pub fn coverage_percent(&self) -> f64 {
        f64::from(self.covered) / f64::from(self.forecasts) * 100.0
    }
}

/// Calibrates on all episodes: by client, protocol and assignor.
///
/// # Errors
/// When an episode cannot be read.
pub fn calibrate(
    ids: Ids,
    orders: Orders,
) -> serde_json::Result<BTreeMap<(String, String, String), Calibration>> {
    let mut all: BTreeMap<_, Calibration> = BTreeMap::new();
    for (number, episode) in Episode::all()?.into_iter().enumerate() {
        let client = episode.client.split(' ').next().unwrap_or_default();
        let key = (
            client.to_owned(),
            episode.protocol.as_str().to_owned(),
            episode.assignor.as_str().to_owned(),
        );
        let calibration = all.entry(key).or_default();
        for draw in 0..DRAWS {
            let seed = number as u64 * DRAWS + draw;
            play(&episode, (ids, orders), seed, calibration);
        }
    }
    Ok(all)
}

fn play(episode: &Episode, (ids, orders): (Ids, Orders), seed: u64, calibration: &mut Calibration) {
    let group = episode.group(ids);
    let rates = rates(group.topics.partitions(), seed);
    let pods = episode.members.len();
    let loads = loads(&group.pod_owners(), &rates, pods);
    let known: Vec<Option<f64>> = loads.iter().copied().map(Some).collect();
    let attribution = Attribution::new(&known, &group.pod_owners(), Some(&rates));
    let subject = Subject {
        group: &group,
        attribution: &attribution,
        algorithm: Algorithm::of(group.assignor.assignor, group.client, group.protocol),
        target: None,
        threshold: None,
    };
    let pod = |name: &String| {
        episode
            .members
            .iter()
            .position(|member| member.pod == *name)
    };
    let victims: Vec<usize> = episode.victims.iter().filter_map(pod).collect();
    let sampling = Sampling {
        seed,
        samples: SAMPLES,
        order: match orders {
            Orders::Known => Some(order(episode.order)),
            Orders::Unknown => None,
        },
    };
    let forecast = forecast(&subject, &[&victims], sampling).peak_to_mean;

    let before = imbalance(&loads);
    let after = imbalance(&loads_after(episode, &rates));
    let is_near = |value: f64| (value - after).abs() < 1e-9 * after;
    let held = forecast.holds(after) || is_near(forecast.p5) || is_near(forecast.p95);
    calibration.forecasts += 1;
    calibration.errors += (forecast.mean - after).abs() / after;
    calibration.errors_of_no_change += (before - after).abs() / after;
    calibration.covered += u32::from(held);
}

fn order(order: EpisodeOrder) -> Order {
    match order {
        EpisodeOrder::Together => Order::Together,
        EpisodeOrder::LeaveFirst => Order::LeaveFirst,
        EpisodeOrder::JoinFirst => Order::JoinFirst,
    }
}

/// Lognormal with sigma 1.
fn rates(partitions: usize, seed: u64) -> Vec<f64> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut normal = || {
        // Box and Muller's transform; 1 - u lies in (0, 1], where the logarithm is finite.
        let radius = (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt();
        radius * (std::f64::consts::TAU * random.random::<f64>()).cos()
    };
    (0..partitions).map(|_| normal().exp()).collect()
}

fn loads(owners: &[Option<usize>], rates: &[f64], pods: usize) -> Vec<f64> {
    let mut loads = vec![0.0; pods];
    for (owner, rate) in owners.iter().zip(rates) {
        if let Some(load) = owner.and_then(|owner| loads.get_mut(owner)) {
            *load += rate;
        }
    }
    loads
}

fn loads_after(episode: &Episode, rates: &[f64]) -> Vec<f64> {
    let stayed = episode.members.iter().map(|member| &member.pod);
    let pods: Vec<&String> = stayed
        .filter(|pod| !episode.victims.contains(pod))
        .chain(episode.replacements.iter().map(|member| &member.pod))
        .collect();
    let place = |owner: &String| pods.iter().position(|pod| *pod == owner);
    let owners: Vec<Option<usize>> = episode.after.values().flatten().map(place).collect();
    loads(&owners, rates, pods.len())
}

fn imbalance(loads: &[f64]) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a number of pods")]
    let mean = loads.iter().sum::<f64>() / loads.len() as f64;
    loads.iter().copied().fold(0.0, f64::max) / mean
}
