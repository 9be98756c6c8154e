//! What strategies make of simulated groups: evictions, and the peak that is left.
//!
//! Each world is played twice from the same start, once by each strategy, as a CronJob plays it: the
//! real driver every ten minutes, with everything at its default, the memory of the last rotation
//! included.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use rebalancer_cli::driver::{Order, Ports, run_workload};
use rebalancer_cli::freeze::Freeze;
use rebalancer_core::group::{Assignor, ClientFamily};
use rebalancer_core::policy::{ExecutionPolicy, Policy, Strategy};
use rebalancer_core::report::WorkloadReport;
use rebalancer_core::snapshot::{AssembleSettings, GroupSettings};
use rebalancer_sim::{InvalidConfig, SimConfig, SimWorld};
use tokio::sync::watch;

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

    fn world(&self, seed: u64) -> Result<SimWorld, InvalidConfig> {
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

/// What a strategy came to, over all worlds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Efficacy {
    /// Worlds.
    pub worlds: u32,
    /// Worlds that began with a pod above the threshold.
    pub hot_at_first: u32,
    /// Worlds that ended with one.
    pub hot_in_the_end: u32,
    /// Pods that were evicted.
    pub evictions: u32,
    /// Runs that evicted pods.
    pub rotations: u32,
    /// The sums over the worlds of the highest load as a multiple of the mean.
    first_peaks: f64,
    last_peaks: f64,
    /// How often runs held, by their reason.
    pub holds: BTreeMap<&'static str, u32>,
    /// After how many rotations the peak was in the interval that was forecast, and of how many.
    pub covered: (u32, u32),
}

impl Efficacy {
    /// The mean of max/mean as the worlds began.
    #[must_use]
    pub fn first_peak(&self) -> f64 {
        self.first_peaks / f64::from(self.worlds.max(1))
    }

    /// The mean of max/mean as the worlds ended.
    #[must_use]
    pub fn last_peak(&self) -> f64 {
        self.last_peaks / f64::from(self.worlds.max(1))
    }
}

/// Plays every world with a strategy.
///
/// # Errors
/// The first field of the setting that no world can be made of.
pub async fn measure(setting: &Setting, strategy: Strategy) -> Result<Efficacy, InvalidConfig> {
    let mut efficacy = Efficacy::default();
    for seed in setting.seeds.clone() {
        let world = setting.world(seed)?;
        play(&world, setting, strategy, &mut efficacy).await;
    }
    Ok(efficacy)
}

async fn play(world: &SimWorld, setting: &Setting, strategy: Strategy, efficacy: &mut Efficacy) {
    let threshold = 1.5 * world.config().target();
    let first = state(world);
    efficacy.worlds += 1;
    efficacy.hot_at_first += u32::from(first.max > threshold);
    efficacy.first_peaks += first.imbalance;
    for _ in 0..setting.ticks {
        let report = tick(world, setting, strategy).await;
        world.advance(TICK);
        let WorkloadReport::Decided(decided) = &report else {
            *efficacy.holds.entry("error").or_default() += 1;
            continue;
        };
        match decided.decision.hold_reason() {
            Some(reason) => *efficacy.holds.entry(reason.as_str()).or_default() += 1,
            None => efficacy.rotations += 1,
        }
        let chosen = decided
            .decision
            .group
            .as_ref()
            .and_then(|group| group.chosen.as_ref());
        if let Some(chosen) = chosen {
            let (expected, found) = (chosen.forecast.peak_to_mean, state(world).imbalance);
            let held = (expected.p5 - EXACT..=expected.p95 + EXACT).contains(&found);
            efficacy.covered.0 += u32::from(held);
            efficacy.covered.1 += 1;
        }
    }
    let last = state(world);
    efficacy.hot_in_the_end += u32::from(last.max > threshold);
    efficacy.last_peaks += last.imbalance;
    let evicted = world.evictions().iter().filter(|e| e.took_effect).count();
    efficacy.evictions += u32::try_from(evicted).unwrap_or(u32::MAX);
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
    };
    let config = world.config();
    let assemble = AssembleSettings {
        container: config.workload.name.clone(),
        workload: config.workload,
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
    let order = Order {
        assemble: &assemble,
        autoscalers_from_metrics: false,
        freeze: &Freeze::default(),
        policy: &policy,
        execution: Some(ExecutionPolicy {
            minimum_pods: policy.minimum_pods,
            ..ExecutionPolicy::default()
        }),
    };
    let (_sender, mut stop) = watch::channel(None);
    run_workload(ports, &order, &mut stop).await.0
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
