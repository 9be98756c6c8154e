//! What strategies make of simulated groups: evictions, and the peak that is left.
//!
//! Each world is played twice from the same start, once by each strategy, as a CronJob plays it: the
//! real driver every ten minutes, with everything at its default, the memory of the last rotation
//! included.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Range;
use std::thread;
use std::time::Duration;

use rebalancer_core::forecast::Spread;
use rebalancer_core::group::{Assignor, ClientFamily};
use rebalancer_core::policy::{ExecutionPolicy, Policy, Strategy};
use rebalancer_core::report::WorkloadReport;
use rebalancer_core::snapshot::{AssembleSettings, GroupSettings};
use rebalancer_driver::{NeverFrozen, NoObserver, Ports, RunSettings, Stop, run_workload};
use rebalancer_sim::{InvalidConfig, SimConfig, SimWorld};

/// An outcome that was forecast exactly is so up to this, what the arithmetic of a fit leaves.
const EXACT: f64 = 1e-6;

/// How often the CronJob fires.
const TICK: Duration = Duration::from_secs(600);

/// What the worlds have in common.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Seeds, one for each world.
    pub seeds: Range<u64>,
    /// The assignor of the group.
    pub assignor: Assignor,
    /// Its client library.
    pub client: ClientFamily,
    /// Pods.
    pub pods: u32,
    /// Partitions.
    pub partitions: u32,
    /// The standard deviation of the logarithm of the partitions' rates.
    pub sigma: f64,
    /// The share of each rate that is drawn anew every ten minutes.
    pub drift: f64,
    /// How often the CronJob fires.
    pub ticks: usize,
}

impl Setting {
    /// The worlds of the documentation: 16 pods, 128 partitions, sigma 1.2, steady traffic, ten
    /// ticks.
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

    /// The world of a seed.
    ///
    /// # Errors
    /// The first field of which no world can be made.
    pub fn world(&self, seed: u64) -> Result<SimWorld, InvalidConfig> {
        SimWorld::new(
            SimConfig {
                pods: self.pods,
                partitions: self.partitions,
                sigma: self.sigma,
                drift: self.drift,
                // As chance has it, not the worst of many deals.
                deals: 1,
                client: self.client,
                ..SimConfig::seeded(seed)
            }
            .with_assignor(self.assignor),
        )
    }
}

/// One run of the CronJob, and the group when the next one fires.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tick {
    /// Why it held; `None` where it evicted.
    pub held: Option<&'static str>,
    /// Pods that were evicted.
    pub evictions: u32,
    /// The highest load as a multiple of the mean, ten minutes later.
    pub peak: f64,
    /// Whether that was in the interval of the forecast, where there was one.
    pub covered: Option<bool>,
}

/// What a strategy made of one world.
#[derive(Debug, Clone, PartialEq)]
pub struct Played {
    /// Its seed.
    pub seed: u64,
    /// The highest load as a multiple of the mean, as it began.
    pub first_peak: f64,
    /// It began with a pod above the threshold.
    pub hot_at_first: bool,
    /// It ended with one.
    pub hot_in_the_end: bool,
    /// The runs.
    pub ticks: Vec<Tick>,
}

impl Played {
    /// Why the first run held, if it did.
    #[must_use]
    pub fn first_hold(&self) -> Option<&'static str> {
        self.ticks.first()?.held
    }

    /// Pods that were evicted.
    #[must_use]
    pub fn evictions(&self) -> u32 {
        self.ticks.iter().map(|tick| tick.evictions).sum()
    }

    fn last_peak(&self) -> f64 {
        self.ticks.last().map_or(self.first_peak, |tick| tick.peak)
    }
}

/// What a strategy came to, over all worlds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Efficacy {
    /// The worlds.
    pub worlds: Vec<Played>,
}

impl Efficacy {
    /// Pods that were evicted.
    #[must_use]
    pub fn evictions(&self) -> u32 {
        self.worlds.iter().map(Played::evictions).sum()
    }

    /// Runs that evicted pods.
    #[must_use]
    pub fn rotations(&self) -> usize {
        self.ticks().filter(|tick| tick.held.is_none()).count()
    }

    /// The mean of max/mean as the worlds began.
    #[must_use]
    pub fn first_peak(&self) -> f64 {
        mean(self.worlds.iter().map(|world| world.first_peak))
    }

    /// The mean of max/mean as the worlds ended.
    #[must_use]
    pub fn last_peak(&self) -> f64 {
        mean(self.worlds.iter().map(Played::last_peak))
    }

    /// The mean of max/mean after each tick.
    #[must_use]
    pub fn peaks(&self) -> Vec<f64> {
        self.per_tick(|tick| tick.peak)
    }

    /// The mean of the evictions of each tick.
    #[must_use]
    pub fn evictions_per_tick(&self) -> Vec<f64> {
        self.per_tick(|tick| f64::from(tick.evictions))
    }

    /// How often runs held, by their reason, the most frequent first.
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

    /// After how many rotations the peak was in the interval that was forecast, and of how many.
    #[must_use]
    pub fn covered(&self) -> (usize, usize) {
        let told = || self.ticks().filter_map(|tick| tick.covered);
        (told().filter(|covered| *covered).count(), told().count())
    }

    fn ticks(&self) -> impl Iterator<Item = &Tick> {
        self.worlds.iter().flat_map(|world| &world.ticks)
    }

    fn per_tick(&self, number: impl Fn(&Tick) -> f64) -> Vec<f64> {
        let ticks = self.worlds.iter().map(|world| world.ticks.len()).max();
        (0..ticks.unwrap_or(0))
            .map(|place| {
                let ticks = self
                    .worlds
                    .iter()
                    .filter_map(|world| world.ticks.get(place));
                mean(ticks.map(&number))
            })
            .collect()
    }
}

fn mean(numbers: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0_f64);
    for number in numbers {
        sum += number;
        count += 1.0;
    }
    sum / count.max(1.0)
}

/// Plays every world with a strategy, on all processors; the outcome does not depend on how many
/// there are.
///
/// # Errors
/// When no world can be made of the setting; names its first field of which none can.
pub fn measure(setting: &Setting, strategy: Strategy) -> Result<Efficacy, Failure> {
    let seeds: Vec<u64> = setting.seeds.clone().collect();
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let share = seeds.len().div_ceil(processors).max(1);
    let worlds = thread::scope(|scope| {
        let shares = seeds
            .chunks(share)
            .map(|seeds| scope.spawn(|| play_all(setting, seeds, strategy)));
        // All are begun before the first is waited for.
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

/// What no world can be made or played of.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

fn play_all(setting: &Setting, seeds: &[u64], strategy: Strategy) -> Result<Vec<Played>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let played = seeds.iter().map(|seed| {
        let world = setting.world(*seed)?;
        Ok(runtime.block_on(play(&world, setting, strategy)))
    });
    played.collect()
}

async fn play(world: &SimWorld, setting: &Setting, strategy: Strategy) -> Played {
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
        // A plan that a check held back has no outcome.
        let expected = forecast(&report).filter(|_| held.is_none());
        ticks.push(Tick {
            held,
            evictions: evicted - evicted_before,
            peak,
            covered: expected
                .map(|expected| (expected.p5 - EXACT..=expected.p95 + EXACT).contains(&peak)),
        });
        evicted_before = evicted;
    }
    Played {
        seed: config.seed,
        first_peak: first.imbalance,
        hot_at_first: first.max > threshold,
        hot_in_the_end: state(world).max > threshold,
        ticks,
    }
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

/// What was expected of max/mean, where a plan was chosen by a forecast.
fn forecast(report: &WorkloadReport) -> Option<Spread> {
    let WorkloadReport::Decided(decided) = report else {
        return None;
    };
    let group = decided.decision.group.as_ref()?;
    Some(group.chosen.as_ref()?.forecast.peak_to_mean)
}

/// One run of the CronJob.
async fn tick(world: &SimWorld, setting: &Setting, strategy: Strategy) -> WorkloadReport {
    let (metrics, actuator, clock) = (world.metrics(), world.actuator(), world.clock());
    let journal = world.journal();
    let ports = Ports {
        metrics: &metrics,
        actuator: &actuator,
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
            client: config.client,
            protocol: config.protocol,
            session_timeout: None,
        }),
    };
    let policy = Policy {
        strategy,
        ..Policy::default()
    };
    let settings = RunSettings {
        assemble: &assemble,
        autoscalers_from_metrics: false,
        freeze: &NeverFrozen,
        policy: &policy,
        execution: Some(ExecutionPolicy {
            minimum_pods: policy.minimum_pods,
            ..ExecutionPolicy::default()
        }),
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
