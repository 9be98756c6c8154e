//! Accuracy of the forecasts on recorded consumer groups.
//!
//! An episode is a settled group of real consumers, the replacement of some members, and the
//! settled group afterwards. Episodes have no rates, so each one is evaluated with several random
//! draws of them. The forecast value is the highest load of a member as a multiple of the mean.

use std::collections::BTreeMap;

use kafka_assignors::Algorithm;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rebalancer_core::forecast::{Attribution, Sampling, Spread, Subject, forecast};
use rebalancer_core::group::ServingPodIndex;
use rebalancer_core::statistics::{imbalance, mean};

use crate::episode::{Episode, Ids};

const JAVA: &str = include_str!("../../../rebalancer-core/tests/kafka/groups/java.jsonl");
const LIBRDKAFKA: &str =
    include_str!("../../../rebalancer-core/tests/kafka/groups/librdkafka.jsonl");

/// Knowledge of the order in which members leave and join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Orders {
    /// The order is known, as to an operator who knows how fast the consumers start and stop.
    Known,
    /// The order is unknown: all three are equally likely.
    Unknown,
}

/// The size of a calibration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// Random draws of the rates per episode.
    pub draws: u64,
    /// Simulated executions per forecast.
    pub samples: usize,
}

impl Effort {
    /// The size used for the documentation.
    pub const FULL: Self = Self {
        draws: 10,
        samples: 1000,
    };
}

/// A kind of group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// The client library.
    pub client: String,
    /// The group protocol.
    pub protocol: String,
    /// The assignor.
    pub assignor: String,
}

/// A forecast and the outcome: highest loads as multiples of the mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Case {
    /// The value before the replacement.
    pub before: f64,
    /// The forecast.
    pub forecast: Spread,
    /// The value after the replacement.
    pub after: f64,
}

impl Case {
    /// Whether the outcome lies between the 5th and the 95th percentile, up to rounding errors.
    #[must_use]
    pub fn is_covered(&self) -> bool {
        let is_near = |value: f64| (value - self.after).abs() < 1e-9 * self.after;
        self.forecast.holds(self.after) || is_near(self.forecast.p5) || is_near(self.forecast.p95)
    }
}

/// The accuracy of the forecasts for one kind of group.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Calibration {
    /// All forecasts: episodes × draws.
    pub cases: Vec<Case>,
}

impl Calibration {
    /// The mean of |forecast − outcome| / outcome, in percent. The forecast is the median of the
    /// samples.
    #[must_use]
    pub fn error_percent(&self) -> f64 {
        self.mean(|case| (case.forecast.median - case.after).abs() / case.after) * 100.0
    }

    /// The error of the forecast that nothing changes, in percent.
    #[must_use]
    pub fn error_of_no_change_percent(&self) -> f64 {
        self.mean(|case| (case.before - case.after).abs() / case.after) * 100.0
    }

    /// The share of outcomes between the 5th and the 95th percentile, in percent.
    #[must_use]
    pub fn coverage_percent(&self) -> f64 {
        self.mean(|case| f64::from(u8::from(case.is_covered()))) * 100.0
    }

    /// Evaluates an episode with rates drawn from each of the seeds.
    pub fn add(
        &mut self,
        episode: &Episode,
        (ids, orders): (Ids, Orders),
        seeds: impl IntoIterator<Item = u64>,
        samples: usize,
    ) {
        let seeds = seeds.into_iter();
        let cases = seeds.map(|seed| play(episode, (ids, orders), seed, samples));
        self.cases.extend(cases);
    }

    fn mean(&self, number: impl Fn(&Case) -> f64) -> f64 {
        mean(self.cases.iter().map(number))
    }
}

/// Loads the recorded episodes.
///
/// # Errors
/// If an episode cannot be parsed.
pub fn recorded() -> serde_json::Result<Vec<Episode>> {
    let lines = JAVA.lines().chain(LIBRDKAFKA.lines());
    lines.map(serde_json::from_str).collect()
}

/// Calibrates on the recorded episodes of the wanted kinds. Returns the results by kind.
///
/// # Errors
/// If an episode cannot be parsed.
pub fn calibrate(
    ids: Ids,
    orders: Orders,
    effort: Effort,
    wanted: impl Fn(&Kind) -> bool,
) -> serde_json::Result<BTreeMap<Kind, Calibration>> {
    let mut all: BTreeMap<Kind, Calibration> = BTreeMap::new();
    for (number, episode) in recorded()?.into_iter().enumerate() {
        let client = episode.client.split(' ').next().unwrap_or_default();
        let kind = Kind {
            client: client.to_owned(),
            protocol: episode.protocol.as_str().to_owned(),
            assignor: episode.assignor.as_str().to_owned(),
        };
        if wanted(&kind) {
            let first = number as u64 * Effort::FULL.draws;
            let seeds = first..first + effort.draws;
            let calibration = all.entry(kind).or_default();
            calibration.add(&episode, (ids, orders), seeds, effort.samples);
        }
    }
    Ok(all)
}

fn play(episode: &Episode, (ids, orders): (Ids, Orders), seed: u64, samples: usize) -> Case {
    let group = episode.group(ids);
    let rates = rates(group.topics.partition_count(), seed);
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
    let sampling = Sampling {
        seed,
        samples,
        order: match orders {
            Orders::Known => Some(episode.order.into()),
            Orders::Unknown => None,
        },
    };
    Case {
        before: max_over_mean(&loads),
        forecast: forecast(&subject, &[&episode.victim_pods()], sampling).peak_to_mean,
        after: max_over_mean(&self::loads(&episode.pod_owners_after(), &rates, pods)),
    }
}

/// Lognormal rates with sigma 1.
fn rates(partitions: usize, seed: u64) -> Vec<f64> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut normal = || {
        // Box-Muller transform. 1 - u is in (0, 1], where the logarithm is finite.
        let radius = (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt();
        radius * (std::f64::consts::TAU * random.random::<f64>()).cos()
    };
    (0..partitions).map(|_| normal().exp()).collect()
}

fn loads(owners: &[Option<ServingPodIndex>], rates: &[f64], pods: usize) -> Vec<f64> {
    let mut loads = vec![0.0; pods];
    for (owner, rate) in owners.iter().zip(rates) {
        if let Some(load) = owner.and_then(|owner| loads.get_mut(owner.get())) {
            *load += rate;
        }
    }
    loads
}

fn max_over_mean(loads: &[f64]) -> f64 {
    let peak = loads.iter().copied().fold(0.0, f64::max);
    imbalance(peak, mean(loads.iter().copied()))
}
