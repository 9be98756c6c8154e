//! How good forecasts are, measured on what real consumer groups did.
//!
//! Each episode is a settled group of real consumers, of which some were replaced, and the settled
//! group after it. Episodes have no rates, so that each is taken with several draws of them. What
//! is forecast is the highest load of a member as a multiple of the mean.

use std::collections::BTreeMap;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rebalancer_core::forecast::{Attribution, Sampling, Subject, forecast};
use rebalancer_core::group::assignors::Algorithm;

use crate::episode::{Episode, Ids};

const JAVA: &str = include_str!("../../rebalancer-core/tests/kafka/groups/java.jsonl");
const LIBRDKAFKA: &str = include_str!("../../rebalancer-core/tests/kafka/groups/librdkafka.jsonl");

/// Draws of the rates for each episode.
const DRAWS: u64 = 10;

/// Imagined executions for each forecast.
const SAMPLES: usize = 200;

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

/// The recorded episodes.
///
/// # Errors
/// When one cannot be read.
pub fn recorded() -> serde_json::Result<Vec<Episode>> {
    let lines = JAVA.lines().chain(LIBRDKAFKA.lines());
    lines.map(serde_json::from_str).collect()
}

/// Calibrates on all recorded episodes: by client, protocol and assignor.
///
/// # Errors
/// When an episode cannot be read.
pub fn calibrate(
    ids: Ids,
    orders: Orders,
) -> serde_json::Result<BTreeMap<(String, String, String), Calibration>> {
    let mut all: BTreeMap<_, Calibration> = BTreeMap::new();
    for (number, episode) in recorded()?.into_iter().enumerate() {
        let client = episode.client.split(' ').next().unwrap_or_default();
        let key = (
            client.to_owned(),
            episode.protocol.as_str().to_owned(),
            episode.assignor.as_str().to_owned(),
        );
        let calibration = all.entry(key).or_default();
        let first = number as u64 * DRAWS;
        calibration.add(&episode, ids, orders, first..first + DRAWS);
    }
    Ok(all)
}

impl Calibration {
    /// Adds an episode, with rates drawn from each of the seeds.
    pub fn add(
        &mut self,
        episode: &Episode,
        ids: Ids,
        orders: Orders,
        seeds: impl IntoIterator<Item = u64>,
    ) {
        for seed in seeds {
            self.play(episode, (ids, orders), seed);
        }
    }

    fn play(&mut self, episode: &Episode, (ids, orders): (Ids, Orders), seed: u64) {
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
        let sampling = Sampling {
            seed,
            samples: SAMPLES,
            order: match orders {
                Orders::Known => Some(episode.order.into()),
                Orders::Unknown => None,
            },
        };
        let forecast = forecast(&subject, &[&episode.victim_places()], sampling).peak_to_mean;

        let before = imbalance(&loads);
        let after = imbalance(&self::loads(&episode.owners_after(), &rates, pods));
        let is_near = |value: f64| (value - after).abs() < 1e-9 * after;
        let held = forecast.holds(after) || is_near(forecast.p5) || is_near(forecast.p95);
        self.forecasts += 1;
        self.errors += (forecast.mean - after).abs() / after;
        self.errors_of_no_change += (before - after).abs() / after;
        self.covered += u32::from(held);
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

fn imbalance(loads: &[f64]) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a number of pods")]
    let mean = loads.iter().sum::<f64>() / loads.len() as f64;
    loads.iter().copied().fold(0.0, f64::max) / mean
}
