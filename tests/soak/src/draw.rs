//! The scenario of a simulated world, drawn from its seed.

use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::Timestamp;
use kafka_assignors::coordinator_order::CoordinatorFamily;
use rebalancer_core::execution::StopCause;
use rebalancer_core::group::{Assignor, ClientFamily, Protocol};
use rebalancer_core::model::{
    Cores, MaxUnavailable, MinimumPods, Percent, Seconds, Tolerance, TopK,
};
use rebalancer_core::policy::{ExecutionPolicy, Policy, Strategy};
use rebalancer_core::snapshot::{AssembleSettings, GroupSettings};
use rebalancer_driver::{FreezeSchedule, RunSettings};
use rebalancer_sim::faults::FaultPlan;
use rebalancer_sim::kafka::ElectionOrder;
use rebalancer_sim::{Budget, SimConfig};

use crate::Abilities;

/// A simulated world and the runs in it.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) abilities: Abilities,
    pub(crate) config: SimConfig,
    pub(crate) settings: AssembleSettings,
    pub(crate) autoscalers_from_metrics: bool,
    pub(crate) freeze: FreezeWindow,
    pub(crate) policy: Policy,
    pub(crate) execution: ExecutionPolicy,
    /// The time for which a plan may be executed, if plans need approval. Plans are approved at
    /// once.
    pub(crate) approval: Option<Seconds>,
    pub(crate) runs: Vec<RunPlan>,
}

/// One run of the rebalancer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunPlan {
    /// The start of the run.
    pub(crate) begins: Begin,
    /// The time from its start to the stop request, and the cause.
    pub(crate) stop: Option<(Duration, StopCause)>,
    /// The time from its start to the death of its process.
    pub(crate) killed: Option<Duration>,
}

/// The start time of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Begin {
    /// Time since the start of the world, independent of other runs.
    At(Duration),
    /// Time since the end of the previous run.
    After(Duration),
}

/// A freeze window of whole minutes after an instant; `None` without a window.
#[derive(Debug, Clone, Default)]
pub(crate) struct FreezeWindow {
    start: Timestamp,
    minutes: Option<RangeInclusive<i64>>,
}

impl FreezeSchedule for FreezeWindow {
    fn window_at(&self, instant: Timestamp) -> Option<&str> {
        let minutes = self.minutes.as_ref()?;
        let seconds = instant.as_second() - self.start.as_second();
        minutes
            .contains(&seconds.div_euclid(60))
            .then_some("a window of the soak")
    }
}

impl Scenario {
    pub(crate) fn run_settings(&self) -> RunSettings<'_> {
        RunSettings {
            assemble: &self.settings,
            autoscalers_from_metrics: self.autoscalers_from_metrics,
            freeze: &self.freeze,
            policy: &self.policy,
            execution: Some(self.execution),
            approval: self.approval,
            hold_alert_after: RunSettings::DEFAULT_HOLD_ALERT_AFTER,
        }
    }

    /// The active freeze window at a time since the start of the world.
    pub(crate) fn frozen(&self, at: Duration) -> Option<&str> {
        self.freeze
            .window_at(self.config.start.saturating_add(at).ok()?)
    }

    /// Whether assignments are handed out.
    pub(crate) fn assigns(&self) -> bool {
        matches!(self.policy.strategy, Strategy::Assign | Strategy::Rejoin)
    }

    /// Whether processes may sleep longer than requested.
    pub(crate) fn oversleeps(&self) -> bool {
        let faults = self.config.faults.as_ref();
        faults.is_some_and(|faults| faults.oversleeping > 0.0)
    }

    /// An upper bound of the number of victims of a plan.
    pub(crate) fn most_victims(&self) -> usize {
        2 * self.policy.top_k.get()
    }
}

/// SplitMix64: good enough to draw a scenario, and without set-up cost.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`, which must be positive.
    fn below(&mut self, limit: u32) -> u32 {
        u32::try_from(self.next() % u64::from(limit)).unwrap_or(0)
    }

    fn between(&mut self, from: u32, to: u32) -> u32 {
        from + self.below(to - from + 1)
    }

    /// True with a probability of `share` percent.
    fn percent(&mut self, share: u32) -> bool {
        self.below(100) < share
    }

    fn pick<T: Copy, const N: usize>(&mut self, items: [T; N]) -> T {
        #[expect(clippy::cast_possible_truncation, reason = "below the length")]
        let index = (self.next() % N as u64) as usize;
        items[index]
    }

    /// A duration below `limit` milliseconds.
    fn millis(&mut self, limit: u32) -> Duration {
        Duration::from_millis(self.below(limit).into())
    }
}

pub(crate) fn scenario(seed: u64, abilities: Abilities) -> Scenario {
    let mut draw = Draw(seed);
    let config = SimConfig {
        // A stream of its own, so that the rest of the scenario does not depend on it.
        described: Draw(!seed).percent(35),
        ..config(&mut draw)
    };
    let workload = config.workload.clone();
    let policy = policy(&mut draw, config.pods, abilities);
    let execution = ExecutionPolicy {
        eviction_timeout_seconds: Seconds::whole(draw.pick([0, 10, 30, 120])),
        ready_timeout_seconds: Seconds::whole(draw.pick([0, 20, 60, 300])),
        dry_run: draw.percent(5),
        ..ExecutionPolicy::default()
    };
    let settings = AssembleSettings {
        container: workload.name.clone(),
        workload,
        hpa_prefix: String::new(),
        target: draw
            .percent(30)
            .then(|| Cores::new(config.target()).ok())
            .flatten(),
        group: group(&mut draw, &config),
    };
    let mut scenario = Scenario {
        abilities,
        settings,
        autoscalers_from_metrics: draw.percent(15),
        policy,
        execution,
        approval: None,
        runs: runs(&mut draw, abilities),
        freeze: if abilities.freeze {
            freeze(&mut draw, config.start)
        } else {
            FreezeWindow::default()
        },
        config,
    };
    // A stream of its own, so that the other worlds do not depend on it.
    let mut draw = Draw(seed.rotate_left(32) ^ 0x0a55_1642);
    if abilities.assign && draw.percent(6) {
        hand_over(&mut draw, &mut scenario);
    }
    let mut draw = Draw(seed.rotate_left(16) ^ 0x0a99_7071);
    // Only a second run can execute a plan.
    if abilities.approval && scenario.runs.len() == 2 && draw.percent(15) {
        scenario.approval = Some(Seconds::whole(draw.pick([30, 600, 3600])));
    }
    scenario
}

/// Makes a scenario one of a group that is read from Kafka and given assignments. Most of the
/// groups keep them.
fn hand_over(draw: &mut Draw, scenario: &mut Scenario) {
    scenario.policy.strategy = Strategy::Assign;
    scenario.policy.imbalance_tolerance = Tolerance::new(draw.pick([1.01, 1.05, 1.2])).ok();
    scenario.settings.group = Some(GroupSettings::default());
    let config = &mut scenario.config;
    config.described = true;
    config.static_members = draw.percent(40);
    if draw.percent(90) {
        config.protocol = Protocol::Classic;
        (config.assignor, config.client) = draw.pick([
            (Assignor::Sticky, ClientFamily::Java),
            (Assignor::CooperativeSticky, ClientFamily::Java),
            (Assignor::CooperativeSticky, ClientFamily::Librdkafka),
        ]);
    }
    config.election = match draw.below(6) {
        0..3 => ElectionOrder::Table {
            coordinator: CoordinatorFamily::Java,
            at_least: draw.below(40) as usize,
        },
        3 | 4 => ElectionOrder::Table {
            coordinator: CoordinatorFamily::Scala,
            at_least: 0,
        },
        _ => ElectionOrder::Salted(draw.next()),
    };
    config.poll_interval = Duration::from_millis(draw.pick([20, 100, 100, 500, 2000]));
    config.session_timeout = Duration::from_secs(draw.pick([10, 45]));
    // With the usual number of faults, few runs get as far as a hand-over.
    if let Some(faults) = &mut config.faults {
        if draw.percent(60) {
            faults.failing = faults.failing.min(0.02);
            (faults.outages, faults.odd) = (0.0, 0.0);
            faults.latency = faults.latency.min(Duration::from_millis(20));
            faults.oversleeping = 0.0;
        }
        if draw.percent(50) {
            faults.disturbed_every = None;
        }
    }
    if draw.percent(30) {
        rejoin(draw, scenario);
    }
}

/// Makes a scenario one in which members rejoin, in a third of them those of a group of KIP-848,
/// with or without permission.
fn rejoin(draw: &mut Draw, scenario: &mut Scenario) {
    scenario.policy.strategy = Strategy::Rejoin;
    scenario.policy.minimum_confidence_percent =
        Percent::new(draw.pick([20.0, 50.0, 80.0])).unwrap_or(Percent::DEFAULT_MINIMUM_CONFIDENCE);
    scenario.policy.minimum_improvement_percent =
        Percent::new(draw.pick([0.0, 2.0, 10.0])).unwrap_or(Percent::DEFAULT_MINIMUM_IMPROVEMENT);
    scenario.policy.rejoin_consumer_protocol = draw.percent(80);
    let config = &mut scenario.config;
    (config.protocol, config.assignor, config.client) = match draw.below(6) {
        0 | 1 => (Protocol::Consumer, Assignor::Uniform, ClientFamily::Java),
        2 => (
            Protocol::Classic,
            Assignor::CooperativeSticky,
            ClientFamily::Librdkafka,
        ),
        3 => (Protocol::Classic, Assignor::Range, ClientFamily::Java),
        _ => (
            Protocol::Classic,
            Assignor::CooperativeSticky,
            ClientFamily::Java,
        ),
    };
}

/// The operator's settings about the group: often none, and not always with the assignor.
fn group(draw: &mut Draw, config: &SimConfig) -> Option<GroupSettings> {
    draw.percent(85).then(|| GroupSettings {
        id: Some("consumer".into()),
        assignor: draw.percent(70).then_some(config.assignor),
        client: Some(config.client),
        protocol: Some(config.protocol),
        session_timeout: None,
        removes_static_members: false,
    })
}

/// Freeze windows in the first hour of the world. Some are active from the start, others begin and
/// end later.
fn freeze(draw: &mut Draw, start: Timestamp) -> FreezeWindow {
    let minutes = match draw.below(100) {
        0..3 => i64::MIN..=i64::MAX,
        3..20 => {
            let from = draw.pick([1, 1, 1, 2, 3, 5]);
            i64::from(from)..=i64::from(from + draw.below(10))
        }
        _ => return FreezeWindow::default(),
    };
    FreezeWindow {
        start,
        minutes: Some(minutes),
    }
}

fn config(draw: &mut Draw) -> SimConfig {
    let pods = draw.between(3, 12);
    let budget = match draw.below(10) {
        0..5 => None,
        5 | 6 => Some(Budget::max_unavailable("consumer-budget", draw.below(2))),
        7 | 8 => Some(Budget::max_unavailable(
            "consumer-budget",
            draw.between(1, 3),
        )),
        _ => Some(Budget::min_available(
            "consumer-budget",
            draw.below(pods + 1),
        )),
    };
    let (assignor, client, protocol) = draw.pick([
        (Assignor::Range, ClientFamily::Java, Protocol::Classic),
        (Assignor::Sticky, ClientFamily::Java, Protocol::Classic),
        (
            Assignor::CooperativeSticky,
            ClientFamily::Java,
            Protocol::Classic,
        ),
        (
            Assignor::CooperativeSticky,
            ClientFamily::Librdkafka,
            Protocol::Classic,
        ),
        (Assignor::Uniform, ClientFamily::Java, Protocol::Consumer),
    ]);
    SimConfig {
        pods,
        canaries: if draw.percent(4) {
            draw.between(1, pods)
        } else {
            0
        },
        stuck_pods: if draw.percent(15) {
            draw.between(1, 2)
        } else {
            0
        },
        static_members: draw.percent(10),
        partitions: draw.between(pods, 4 * pods),
        sigma: draw.pick([0.5, 1.0, 1.0, 1.5]),
        mean_load: draw.pick([0.5, 0.65, 0.65, 0.8]),
        deals: 1,
        assignor,
        client,
        protocol,
        budget,
        startup_delay: Duration::from_secs(draw.pick([2, 10, 30])),
        initial_age: Duration::from_secs(3600),
        metrics_window: Duration::from_secs(60),
        faults: Some(faults(draw)),
        ..SimConfig::seeded(draw.next())
    }
}

fn faults(draw: &mut Draw) -> FaultPlan {
    FaultPlan {
        seed: draw.next(),
        failing: draw.pick([0.0, 0.02, 0.05, 0.15]),
        outages: draw.pick([0.0, 0.0, 0.01, 0.03]),
        odd: draw.pick([0.0, 0.02, 0.05, 0.1]),
        latency: Duration::from_millis(draw.pick([0, 20, 1000, 5000])),
        oversleeping: draw.pick([0.0, 0.0, 0.02, 0.2]),
        disturbed_every: draw
            .pick([None, Some(2), Some(8), Some(20), Some(60)])
            .map(Duration::from_secs),
        broken_pods: draw.pick([0.0, 0.0, 0.05, 0.3]),
    }
}

fn policy(draw: &mut Draw, pods: u32, abilities: Abilities) -> Policy {
    let defaults = Policy::default();
    let tolerance = draw.pick([1.0, 1.1, 1.3, 1.5]);
    let minimum = match draw.below(4) {
        0 => draw.between(1, pods),
        1 => pods.saturating_sub(2).max(1),
        _ => pods.div_ceil(2),
    };
    Policy {
        top_k: TopK::new(draw.between(1, 3) as usize).unwrap_or(defaults.top_k),
        tolerance: Tolerance::new(tolerance).unwrap_or(defaults.tolerance),
        minimum_improvement_percent: Percent::new(draw.pick([0.0, 5.0, 10.0]))
            .unwrap_or(defaults.minimum_improvement_percent),
        minimum_pods: MinimumPods::new(minimum as usize).unwrap_or(defaults.minimum_pods),
        max_unavailable: match draw.below(8) {
            0..3 => MaxUnavailable::Pods(NonZeroUsize::MIN),
            3..5 => MaxUnavailable::Pods(NonZeroUsize::MIN.saturating_add(1)),
            5 => Percent::new(30.0).map_or(MaxUnavailable::All, MaxUnavailable::Percent),
            _ => MaxUnavailable::All,
        },
        max_evictions: (abilities.max_evictions && draw.percent(30))
            .then(|| draw.between(1, 4) as usize),
        minimum_pod_age_seconds: Seconds::whole(draw.pick([0, 60, 300])),
        cooldown_seconds: Seconds::whole(draw.pick([0, 60, 300])),
        maximum_sample_age_seconds: Seconds::whole(draw.pick([30, 150])),
        minimum_coverage_percent: Percent::new(draw.pick([0.0, 60.0, 90.0, 100.0]))
            .unwrap_or(defaults.minimum_coverage_percent),
        ignore_history: draw.percent(50),
        strategy: draw.pick([
            Strategy::RotateOutliers,
            Strategy::RotateOutliers,
            Strategy::RotateOutliers,
            Strategy::RotateOutliers,
            Strategy::RotateOutliers,
            Strategy::RotateOutliers,
            Strategy::Forecast,
            Strategy::Auto,
        ]),
        minimum_confidence_percent: Percent::new(draw.pick([0.0, 50.0, 80.0]))
            .unwrap_or(defaults.minimum_confidence_percent),
        ..defaults
    }
}

fn runs(draw: &mut Draw, abilities: Abilities) -> Vec<RunPlan> {
    let first = run(draw, Begin::At(Duration::ZERO));
    if !draw.percent(if abilities.lease { 50 } else { 20 }) {
        return vec![first];
    }
    let begins = match draw.below(3) {
        // Only a lease keeps two runs apart, or a run from the late effects of a previous one.
        0 | 1 if abilities.lease => {
            let within = draw.pick([20_000, 90_000, 300_000]);
            Begin::At(draw.millis(within))
        }
        2 if abilities.lease => Begin::After(draw.millis(30_000)),
        _ => Begin::After(Duration::from_secs(60) + draw.millis(600_000)),
    };
    vec![first, run(draw, begins)]
}

fn run(draw: &mut Draw, begins: Begin) -> RunPlan {
    let soon = draw.pick([2_000, 20_000, 200_000]);
    RunPlan {
        begins,
        stop: draw.percent(15).then(|| {
            let cause = draw.pick([StopCause::Signal, StopCause::RunTimeout]);
            (draw.millis(soon), cause)
        }),
        killed: draw.percent(5).then(|| draw.millis(soon)),
    }
}
