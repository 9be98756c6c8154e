//! Effects of the strategies on simulated groups: evictions and remaining imbalance.
//!
//! Each world is played once per strategy from the same start, as by a CronJob: the real driver
//! runs every ten minutes with default settings and a record of the last rotation. The strategies
//! `assign` and `rejoin` also act on groups without a hot pod ([`IMBALANCE_TOLERANCE`]), and their
//! hand-overs and rejoins are performed by a model of the group's coordinator and clients. `rejoin`
//! may remove members of groups of KIP-848.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Range;
use std::thread;
use std::time::Duration;

use rebalancer_core::Snapshot;
use rebalancer_core::forecast::{Attribution, Spread};
use rebalancer_core::group::{Assignor, ClientFamily};
use rebalancer_core::handover::HandoverResult;
use rebalancer_core::model::Tolerance;
use rebalancer_core::policy::{ExecutionPolicy, Policy, Strategy};
use rebalancer_core::report::WorkloadReport;
use rebalancer_core::snapshot::{AssembleSettings, GroupSettings};
use rebalancer_core::statistics::mean;
use rebalancer_core::strategy::assign::target;
use rebalancer_driver::{NeverFrozen, NoObserver, Ports, RunSettings, Stop, run_workload};
use rebalancer_sim::{InvalidConfig, SimConfig, SimWorld};
use serde_json::json;

/// Tolerance for rounding errors in an exact forecast.
const EXACT: f64 = 1e-6;

/// The imbalance above which `assign` and `rejoin` act although no pod is hot.
pub const IMBALANCE_TOLERANCE: f64 = 1.05;

/// Interval of the CronJob.
const TICK: Duration = Duration::from_secs(600);

/// The common parameters of the worlds.
#[derive(Debug, Clone)]
pub struct Setting {
    /// One seed per world.
    pub seeds: Range<u64>,
    /// The assignor of the group.
    pub assignor: Assignor,
    /// The client library of the group.
    pub client: ClientFamily,
    /// The number of pods.
    pub pods: u32,
    /// The number of partitions.
    pub partitions: u32,
    /// The standard deviation of the logarithm of the partitions' rates.
    pub sigma: f64,
    /// The share of each rate that is redrawn every ten minutes.
    pub drift: f64,
    /// The number of runs of the CronJob.
    pub ticks: usize,
}

impl Setting {
    /// The worlds of the documentation: 16 pods, 128 partitions, sigma 1.2, steady traffic, ten
    /// runs.
    #[must_use]
    pub fn of(assignor: Assignor, client: ClientFamily, seeds: Range<u64>) -> Self {
        Self {
            seeds,
            assignor,
            client,
            pods: 16,
            partitions: 128,
            sigma: 1.2,
            drift: 0.0,
            ticks: 10,
        }
    }

    /// Creates the world of a seed, for this strategy.
    ///
    /// # Errors
    /// Names the first invalid field.
    pub fn world(&self, seed: u64, strategy: Strategy) -> Result<SimWorld, InvalidConfig> {
        SimWorld::new(
            SimConfig {
                // Only brokers know what a hand-over or a rejoin needs.
                described: !strategy.evicts(),
                pods: self.pods,
                partitions: self.partitions,
                sigma: self.sigma,
                drift: self.drift,
                // A random assignment, not the worst of many.
                deals: 1,
                client: self.client,
                ..SimConfig::seeded(seed)
            }
            .with_assignor(self.assignor),
        )
    }
}

/// A run of the CronJob, and the group at the time of the next run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tick {
    /// The hold reason; `None` if the run evicted pods.
    pub held: Option<&'static str>,
    /// The number of evicted pods.
    pub evictions: u32,
    /// The outcome of the hand-over, if there was one.
    pub handed_over: Option<HandoverResult>,
    /// The highest load as a multiple of the mean, ten minutes later.
    pub peak: f64,
    /// Whether that value was inside the forecast interval, if there was a forecast.
    pub covered: Option<bool>,
}

/// The result of a strategy in one world.
#[derive(Debug, Clone, PartialEq)]
pub struct Played {
    /// The seed of the world.
    pub seed: u64,
    /// The highest load as a multiple of the mean at the start.
    pub first_peak: f64,
    /// Whether a pod was above the threshold at the start.
    pub hot_at_first: bool,
    /// Whether a pod was above the threshold at the end.
    pub hot_in_the_end: bool,
    /// A lower bound of the highest load under any assignment with equal numbers of partitions, as
    /// a multiple of the mean, at the end.
    pub bound: f64,
    /// Actions of hand-overs that are not allowed.
    pub violations: Vec<String>,
    /// The runs of the CronJob.
    pub ticks: Vec<Tick>,
}

impl Played {
    /// The hold reason of the first run, if it held.
    #[must_use]
    pub fn first_hold(&self) -> Option<&'static str> {
        self.ticks.first()?.held
    }

    /// The number of evicted pods.
    #[must_use]
    pub fn evictions(&self) -> u32 {
        self.ticks.iter().map(|tick| tick.evictions).sum()
    }

    /// The highest load as a multiple of the mean at the end.
    #[must_use]
    pub fn last_peak(&self) -> f64 {
        self.ticks.last().map_or(self.first_peak, |tick| tick.peak)
    }
}

/// The results of a strategy in all worlds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Efficacy {
    /// The results by world.
    pub worlds: Vec<Played>,
}

impl Efficacy {
    /// The number of evicted pods.
    #[must_use]
    pub fn evictions(&self) -> u32 {
        self.worlds.iter().map(Played::evictions).sum()
    }

    /// The number of runs that evicted pods.
    #[must_use]
    pub fn rotations(&self) -> usize {
        self.ticks().filter(|tick| tick.held.is_none()).count()
    }

    /// The mean of max/mean at the start of the worlds.
    #[must_use]
    pub fn first_peak(&self) -> f64 {
        mean(self.worlds.iter().map(|world| world.first_peak))
    }

    /// The mean of max/mean at the end of the worlds.
    #[must_use]
    pub fn last_peak(&self) -> f64 {
        mean(self.worlds.iter().map(Played::last_peak))
    }

    /// The mean of the lower bounds of max/mean at the end of the worlds.
    #[must_use]
    pub fn bound(&self) -> f64 {
        mean(self.worlds.iter().map(|world| world.bound))
    }

    /// The number of worlds that end within this share of their lower bound.
    #[must_use]
    pub fn within(&self, share: f64) -> usize {
        let near = |world: &&Played| world.last_peak() <= world.bound * (1.0 + share);
        self.worlds.iter().filter(near).count()
    }

    /// The number of hand-overs with each outcome.
    #[must_use]
    pub fn hand_overs(&self) -> Vec<(HandoverResult, usize)> {
        let outcomes = [
            HandoverResult::Assigned,
            HandoverResult::NotKept,
            HandoverResult::Rejoined,
            HandoverResult::Abandoned,
        ];
        let count = |outcome| {
            let ticks = self.ticks();
            ticks
                .filter(|tick| tick.handed_over == Some(outcome))
                .count()
        };
        let counts = outcomes
            .into_iter()
            .map(|outcome| (outcome, count(outcome)));
        counts.filter(|(_, count)| *count > 0).collect()
    }

    /// The mean of max/mean after each run.
    #[must_use]
    pub fn peaks(&self) -> Vec<f64> {
        self.per_tick(|tick| tick.peak)
    }

    /// The mean number of evictions in each run.
    #[must_use]
    pub fn evictions_per_tick(&self) -> Vec<f64> {
        self.per_tick(|tick| f64::from(tick.evictions))
    }

    /// The number of holds by reason, in descending order.
    #[must_use]
    pub fn holds(&self) -> Vec<(&'static str, u32)> {
        let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
        for reason in self.ticks().filter_map(|tick| tick.held) {
            *counts.entry(reason).or_default() += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| Reverse(*count));
        counts
    }

    /// The number of rotations whose outcome was inside the forecast interval, and the number of
    /// rotations with a forecast.
    #[must_use]
    pub fn covered(&self) -> (usize, usize) {
        let covered = || self.ticks().filter_map(|tick| tick.covered);
        (
            covered().filter(|inside| *inside).count(),
            covered().count(),
        )
    }

    fn ticks(&self) -> impl Iterator<Item = &Tick> {
        self.worlds.iter().flat_map(|world| &world.ticks)
    }

    fn per_tick(&self, number: impl Fn(&Tick) -> f64) -> Vec<f64> {
        let ticks = self.worlds.iter().map(|world| world.ticks.len()).max();
        (0..ticks.unwrap_or(0))
            .map(|index| {
                let ticks = self
                    .worlds
                    .iter()
                    .filter_map(|world| world.ticks.get(index));
                mean(ticks.map(&number))
            })
            .collect()
    }
}

/// Plays every world with a strategy on all processors. The result does not depend on their number.
///
/// # Errors
/// Names the first invalid field of the setting.
pub fn measure(setting: &Setting, strategy: Strategy) -> Result<Efficacy, Failure> {
    let seeds: Vec<u64> = setting.seeds.clone().collect();
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let share = seeds.len().div_ceil(processors).max(1);
    let worlds = thread::scope(|scope| {
        let shares = seeds
            .chunks(share)
            .map(|seeds| scope.spawn(|| play_all(setting, seeds, strategy)));
        // All threads are started before the first is joined.
        let shares: Vec<_> = shares.collect();
        let played = shares.into_iter().map(|share| {
            share
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        played.collect::<Result<Vec<_>, Failure>>()
    })?;
    Ok(Efficacy {
        worlds: worlds.concat(),
    })
}

/// An error in the creation or the run of a world.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

fn play_all(setting: &Setting, seeds: &[u64], strategy: Strategy) -> Result<Vec<Played>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let played = seeds.iter().map(|seed| {
        let world = setting.world(*seed, strategy)?;
        runtime.block_on(play(&world, setting, strategy))
    });
    played.collect()
}

async fn play(world: &SimWorld, setting: &Setting, strategy: Strategy) -> Result<Played, Failure> {
    let config = world.config();
    let threshold = 1.5 * config.target();
    let first = state(world);
    let mut ticks = Vec::with_capacity(setting.ticks);
    let mut evicted_before = 0;
    for _ in 0..setting.ticks {
        let report = tick(world, setting, strategy).await;
        world.advance(TICK);
        let evicted = evicted(world);
        let peak = state(world).imbalance;
        let held = held(&report);
        // A plan that a check prevented has no outcome.
        let expected = forecast(&report).filter(|_| held.is_none());
        ticks.push(Tick {
            held,
            evictions: evicted - evicted_before,
            handed_over: report.hand_over().map(|hand_over| hand_over.outcome),
            peak,
            covered: expected
                .map(|expected| (expected.p5 - EXACT..=expected.p95 + EXACT).contains(&peak)),
        });
        evicted_before = evicted;
    }
    Ok(Played {
        seed: config.seed,
        first_peak: first.imbalance,
        hot_at_first: first.max > threshold,
        hot_in_the_end: state(world).max > threshold,
        bound: lowest_peak(world)?,
        violations: world.handover_violations(),
        ticks,
    })
}

/// A lower bound of max/mean under any assignment with equal numbers of partitions, from the true
/// rates and costs.
fn lowest_peak(world: &SimWorld) -> Result<f64, Failure> {
    let config = world.config();
    let partitions = world.partitions();
    let total = config.mean_rate * f64::from(config.partitions);
    let cost = (config.mean_load - config.base_load) * f64::from(config.pods) / total;
    let loads: Vec<f64> = partitions
        .iter()
        .map(|partition| partition.rate * cost)
        .collect();
    let owners: Vec<Option<&str>> = partitions
        .iter()
        .map(|partition| Some(partition.owner.as_ref()?.pod.as_str()))
        .collect();
    let pods = world.loads();
    let pods: Vec<_> = pods
        .iter()
        .filter(|pod| pod.ready)
        .map(|pod| json!({"name": pod.name, "load": pod.load}))
        .collect();
    let snapshot: Snapshot = serde_json::from_value(json!({
        "target": config.target(),
        "pods": pods,
        "group": {
            "assignor": Assignor::CooperativeSticky.as_str(),
            "topics": {"events": {"owners": owners}},
        },
    }))?;
    let group = snapshot.group_model()?;
    let attribution = Attribution {
        fit: None,
        base: config.base_load,
        residuals: vec![0.0; group.pods.len()],
        partitions: loads,
        slow: Vec::new(),
    };
    let target = target(&group, &attribution, &[config.client], 0.0)
        .map_err(|problem| problem.to_string())?;
    Ok(target.lower_bound / mean(target.before.pods.iter().copied()))
}

fn evicted(world: &SimWorld) -> u32 {
    let evictions = world.evictions();
    let evicted = evictions.iter().filter(|e| e.took_effect).count();
    u32::try_from(evicted).unwrap_or(u32::MAX)
}

fn held(report: &WorkloadReport) -> Option<&'static str> {
    match report {
        WorkloadReport::Decided(decided) => decided.decision.hold_reason().map(|r| r.as_str()),
        WorkloadReport::Failed(_) => Some("error"),
    }
}

/// The forecast of max/mean, if a forecast chose the plan.
fn forecast(report: &WorkloadReport) -> Option<Spread> {
    let WorkloadReport::Decided(decided) = report else {
        return None;
    };
    let group = decided.decision.group.as_ref()?;
    let rejoin = group.rejoin.as_ref().map(|rejoin| rejoin.forecast);
    let chosen = group.chosen.as_ref().map(|chosen| chosen.forecast);
    Some(chosen.or(rejoin)?.peak_to_mean)
}

/// One run of the CronJob.
async fn tick(world: &SimWorld, setting: &Setting, strategy: Strategy) -> WorkloadReport {
    let (metrics, actuator, clock) = (world.metrics(), world.actuator(), world.clock());
    let (journal, coordinator) = (world.journal(), world.coordinator());
    let ports = Ports {
        metrics: &metrics,
        group: Some(&metrics),
        actuator: &actuator,
        coordinator: Some(&coordinator),
        clock: &clock,
        lease: None,
        journal: Some(&journal),
        observer: &NoObserver,
    };
    let config = world.config();
    let assemble = AssembleSettings {
        container: config.workload.name.clone(),
        workload: config.workload,
        hpa_prefix: String::new(),
        target: None,
        group: Some(GroupSettings {
            id: None,
            assignor: Some(setting.assignor),
            client: Some(config.client),
            protocol: Some(config.protocol),
            session_timeout: None,
            removes_static_members: false,
        }),
    };
    let policy = Policy {
        strategy,
        imbalance_tolerance: (!strategy.evicts())
            .then(|| Tolerance::new(IMBALANCE_TOLERANCE).ok())
            .flatten(),
        rejoin_consumer_protocol: true,
        ..Policy::default()
    };
    let settings = RunSettings {
        assemble: &assemble,
        autoscalers_from_metrics: false,
        freeze: &NeverFrozen,
        policy: &policy,
        execution: Some(ExecutionPolicy::default()),
        approval: None,
        hold_alert_after: RunSettings::DEFAULT_HOLD_ALERT_AFTER,
    };
    run_workload(ports, &settings, &Stop::never()).await.report
}

/// The true loads of the ready pods.
struct State {
    max: f64,
    imbalance: f64,
}

fn state(world: &SimWorld) -> State {
    let loads = world.loads();
    let ready = || loads.iter().filter(|pod| pod.ready && !pod.terminating);
    let max = ready().map(|pod| pod.load).fold(0.0, f64::max);
    #[expect(clippy::cast_precision_loss, reason = "a number of pods")]
    let mean = ready().map(|pod| pod.load).sum::<f64>() / ready().count().max(1) as f64;
    State {
        max,
        imbalance: max / mean,
    }
}
