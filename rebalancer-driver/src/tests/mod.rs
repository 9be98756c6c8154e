//! The driver over mocks of the ports and over the simulated world.

use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use mockall::mock;
use rebalancer_core::execution::{
    ExecutionOutcome, ExecutionReport, PodOutcome, StopCause, StopReason,
};
use rebalancer_core::history::Rotation;
use rebalancer_core::hold_record::HeldSince;
use rebalancer_core::lease::LeaseHolder;
use rebalancer_core::model::{
    Cores, Load, MaxUnavailable, Measurement, MinimumPods, Pod, PodRef, PodUid, SampleInfo,
    Seconds, Tolerance, WorkloadRef, WorkloadState,
};
use rebalancer_core::policy::{ExecutionPolicy, Policy};
use rebalancer_core::ports::{
    AutoscalerCandidate, Clock, EvictionAnswer, Journal, JournalEntry, LeaseState, LoadObservation,
    LoadSample, MetricsSource, PodActuator, PodState, PortError, PortErrorKind, RunLease,
    WorkloadObservation,
};
use rebalancer_core::proposal::ProposedPlan;
use rebalancer_core::report::{RunOutcome, WorkloadReport};
use rebalancer_core::snapshot::AssembleSettings;
use rebalancer_core::{Decision, HoldReason, Snapshot, decide};
use rebalancer_sim::{Budget, SimConfig, SimWorld};
use rstest::rstest;

use crate::{
    FreezeSchedule, NeverFrozen, NoObserver, ObserveError, Ports, RunSettings, Stop, WorkloadRun,
    execute, observe, run_workload,
};

mod approval;
mod described;
mod follow;
mod hand_over;
mod rejoin;
mod static_members;

mock! {
    Metrics {}
    #[async_trait]
    impl MetricsSource for Metrics {
        async fn loads(&self) -> Result<LoadObservation, PortError>;
        async fn autoscalers(&self) -> Result<Vec<AutoscalerCandidate>, PortError>;
    }
}

mock! {
    Lease {}
    #[async_trait]
    impl RunLease for Lease {
        async fn acquire(&self) -> Result<LeaseState, PortError>;
        async fn renew(&self) -> Result<LeaseState, PortError>;
        async fn release(&self) -> Result<(), PortError>;
    }
}

mock! {
    Events {}
    #[async_trait]
    impl Journal for Events {
        async fn publish(&self, entry: &JournalEntry) -> Result<(), PortError>;
        async fn remember(&self, rotation: &Rotation) -> Result<Option<i64>, PortError>;
        async fn propose(&self, plan: &ProposedPlan) -> Result<(), PortError>;
        async fn use_approval(&self, plan: &ProposedPlan) -> Result<Option<i64>, PortError>;
    }
}

mock! {
    Actuator {}
    #[async_trait]
    impl PodActuator for Actuator {
        fn workload(&self) -> &WorkloadRef;
        async fn observe(&self) -> Result<WorkloadObservation, PortError>;
        async fn read_pod(&self, pod: &PodRef) -> Result<PodState, PortError>;
        async fn count_ready(&self, enough: usize) -> Result<usize, PortError>;
        async fn read_workload(&self, enough: usize) -> Result<WorkloadState, PortError>;
        async fn evict(&self, pod: &PodRef, dry_run: bool) -> EvictionAnswer;
    }
}

/// A clock that stands still and whose sleeps never end.
struct Still;

#[async_trait]
impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }

    async fn sleep(&self, _: Duration) {
        std::future::pending().await
    }
}

fn settings() -> AssembleSettings {
    AssembleSettings {
        workload: WorkloadRef::default(),
        container: "consumer".into(),
        hpa_prefix: String::new(),
        target: Some(Cores::new(0.7).unwrap()),
        group: None,
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

fn refused(message: &str) -> PortError {
    PortError::new(PortErrorKind::Unreachable, message)
}

fn loads(loads: &[(&str, f64)]) -> LoadObservation {
    LoadObservation {
        samples: loads
            .iter()
            .map(|(pod, load)| LoadSample {
                pod: (*pod).into(),
                measurement: Measurement::Load(Load::new(*load).unwrap(), SampleInfo::default()),
            })
            .collect(),
        ..LoadObservation::default()
    }
}

fn pods(names: &[&str]) -> WorkloadObservation {
    let pods = names.iter().map(|name| Pod::new(*name)).collect();
    WorkloadObservation::new(Timestamp::UNIX_EPOCH, pods)
}

fn deciding(assemble: &AssembleSettings, autoscalers_from_metrics: bool) -> RunSettings<'_> {
    static POLICY: LazyLock<Policy> = LazyLock::new(Policy::default);
    RunSettings {
        assemble,
        autoscalers_from_metrics,
        freeze: &NeverFrozen,
        policy: &POLICY,
        execution: None,
        approval: None,
        hold_alert_after: RunSettings::DEFAULT_HOLD_ALERT_AFTER,
    }
}

fn acting(assemble: &AssembleSettings, execution: ExecutionPolicy) -> RunSettings<'_> {
    RunSettings {
        execution: Some(execution),
        ..deciding(assemble, false)
    }
}

/// Observes with these answers of the two ports.
fn observed(
    metrics: Result<LoadObservation, PortError>,
    workload: Result<WorkloadObservation, PortError>,
) -> Result<Snapshot, ObserveError> {
    let mut metrics_port = MockMetrics::new();
    metrics_port.expect_loads().times(1).return_once(|| metrics);
    metrics_port.expect_autoscalers().never();
    let mut actuator = MockActuator::new();
    actuator.expect_observe().times(1).return_once(|| workload);
    let ports = Ports {
        metrics: &metrics_port,
        group: None,
        actuator: &actuator,
        coordinator: None,
        clock: &Still,
        lease: None,
        journal: None,
        observer: &NoObserver,
    };
    block_on(observe(
        ports,
        &deciding(&settings(), false),
        None,
        &Stop::never(),
    ))
}

#[test]
fn joins_loads_and_pods() {
    let snapshot = observed(Ok(loads(&[("a", 1.5)])), Ok(pods(&["a", "b"]))).unwrap();
    assert_eq!(snapshot.pods().len(), 2);
    assert_eq!(snapshot.pods()[0].load().map(Load::get), Some(1.5));
}

#[rstest]
#[case(Err(refused("no metrics")), Ok(pods(&[])), "no metrics")]
#[case(Ok(loads(&[])), Err(refused("no cluster")), "no cluster")]
#[case(
    Err(refused("no metrics")),
    Err(refused("no cluster")),
    "no metrics; and no cluster"
)]
fn names_each_failed_port(
    #[case] metrics: Result<LoadObservation, PortError>,
    #[case] workload: Result<WorkloadObservation, PortError>,
    #[case] expected: &str,
) {
    let error = observed(metrics, workload).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

#[test]
fn stop_before_the_decision_ends_the_run() {
    struct Silent;
    #[async_trait]
    impl MetricsSource for Silent {
        async fn loads(&self) -> Result<LoadObservation, PortError> {
            std::future::pending().await
        }
        async fn autoscalers(&self) -> Result<Vec<AutoscalerCandidate>, PortError> {
            std::future::pending().await
        }
    }
    let mut actuator = MockActuator::new();
    actuator.expect_observe().returning(|| Ok(pods(&[])));
    let (handle, stop) = Stop::channel();
    handle.stop(StopCause::Signal);
    let ports = Ports {
        metrics: &Silent,
        group: None,
        actuator: &actuator,
        coordinator: None,
        clock: &Still,
        lease: None,
        journal: None,
        observer: &NoObserver,
    };
    let error = block_on(observe(ports, &deciding(&settings(), true), None, &stop)).unwrap_err();
    assert!(matches!(error, ObserveError::Stopped(_)));
}

/// A freeze window that lasts from one minute after the start of the simulation to another.
struct FrozenMinutes {
    start: Timestamp,
    minutes: std::ops::Range<i64>,
}

impl FreezeSchedule for FrozenMinutes {
    fn window_at(&self, instant: Timestamp) -> Option<&str> {
        let minute = (instant - self.start).get_seconds().div_euclid(60);
        self.minutes.contains(&minute).then_some("a window")
    }
}

/// How a run ends around a freeze window.
#[derive(Debug, Clone, Copy)]
enum Ending {
    Held,
    Stopped,
    Completed,
}

/// One eviction at a time. The replacements of each wave need over twenty seconds.
#[rstest]
#[case::that_has_begun(0..60, Ending::Held)]
#[case::that_begins_during_the_run(1..60, Ending::Stopped)]
#[case::that_begins_later(30..60, Ending::Completed)]
fn evicts_nothing_in_a_freeze_window(
    #[case] minutes: std::ops::Range<i64>,
    #[case] ending: Ending,
) {
    let world = SimWorld::new(SimConfig::default()).unwrap();
    let (metrics, actuator, clock) = (world.metrics(), world.actuator(), world.clock());
    let ports = Ports {
        metrics: &metrics,
        group: Some(&metrics),
        actuator: &actuator,
        coordinator: None,
        clock: &clock,
        lease: None,
        journal: None,
        observer: &NoObserver,
    };
    let freeze = FrozenMinutes {
        start: world.config().start,
        minutes,
    };
    let assemble = of_world(&world);
    let policy = Policy {
        max_unavailable: "1".parse::<MaxUnavailable>().unwrap(),
        ..Policy::default()
    };
    let settings = RunSettings {
        freeze: &freeze,
        policy: &policy,
        ..acting(&assemble, ExecutionPolicy::default())
    };
    let report = block_on(run_workload(ports, &settings, &Stop::never())).report;
    match ending {
        Ending::Held => {
            let reason = decision_of(&report).hold_reason();
            assert_eq!(reason, Some(HoldReason::FROZEN));
            assert_eq!(effective(&world), 0);
            return;
        }
        Ending::Completed => {
            assert_eq!(report.outcome(), RunOutcome::Fine);
            assert!(effective(&world) > 0);
            return;
        }
        Ending::Stopped => {}
    }
    let execution = report.execution().unwrap();
    assert_eq!(execution.stopped, Some(StopReason::Frozen));
    assert_eq!(report.outcome(), RunOutcome::Incomplete);
    let minute = world.config().start + jiff::SignedDuration::from_secs(60);
    let evictions = world.evictions();
    assert!(!evictions.is_empty());
    assert!(evictions.iter().all(|eviction| eviction.at < minute));
    let (evicted, left) = execution.pods.split_at(evictions.len());
    assert!(evicted.iter().all(|pod| pod.outcome.is_success()));
    assert!(!left.is_empty());
    assert!(
        left.iter()
            .all(|pod| pod.outcome == PodOutcome::NotAttempted)
    );
}

fn of_world(world: &SimWorld) -> AssembleSettings {
    let workload = world.config().workload;
    AssembleSettings {
        container: workload.name.clone(),
        workload,
        hpa_prefix: String::new(),
        target: None,
        group: None,
    }
}

/// Observes, decides and executes once in a simulated world.
fn tick(
    world: &SimWorld,
    policy: &Policy,
    execution: ExecutionPolicy,
) -> (Decision, Option<ExecutionReport>) {
    let (metrics, actuator, clock) = (world.metrics(), world.actuator(), world.clock());
    let ports = Ports {
        metrics: &metrics,
        group: Some(&metrics),
        actuator: &actuator,
        coordinator: None,
        clock: &clock,
        lease: None,
        journal: None,
        observer: &NoObserver,
    };
    let settings = of_world(world);
    block_on(async {
        let snapshot = observe(ports, &deciding(&settings, false), None, &Stop::never())
            .await
            .unwrap();
        let decision = decide(&snapshot, policy);
        let settings = acting(&settings, execution);
        let stop = Stop::never();
        let report = execute(&decision, &snapshot, &settings, ports, None, &stop).await;
        (decision, report)
    })
}

fn effective(world: &SimWorld) -> usize {
    world
        .evictions()
        .iter()
        .filter(|eviction| eviction.took_effect)
        .count()
}

#[test]
fn rotates_once_and_holds_while_the_group_settles() {
    let world = SimWorld::new(SimConfig::default()).unwrap();
    let policy = Policy::default();
    let (decision, report) = tick(&world, &policy, ExecutionPolicy::default());
    let plan = decision.plan().expect("the world starts skewed");
    let report = report.unwrap();
    assert_eq!(report.outcome, ExecutionOutcome::Completed);
    let asked: Vec<PodUid> = world
        .evictions()
        .into_iter()
        .map(|eviction| eviction.pod.uid)
        .collect();
    let planned: Vec<PodUid> = plan.victims().iter().map(|v| v.uid.clone()).collect();
    assert_eq!(asked, planned);

    world.advance(Duration::from_secs(120));
    let (decision, report) = tick(&world, &policy, ExecutionPolicy::default());
    assert_eq!(decision.hold_reason(), Some(HoldReason::GROUP_NOT_SETTLED));
    assert!(report.is_none());
}

#[test]
fn dry_run_changes_nothing() {
    let world = SimWorld::new(SimConfig::default()).unwrap();
    let before = world.loads();
    let execution = ExecutionPolicy {
        dry_run: true,
        ..ExecutionPolicy::default()
    };
    let (decision, report) = tick(&world, &Policy::default(), execution);
    assert!(decision.plan().is_some());
    assert!(report.unwrap().dry_run);
    assert_eq!(world.loads(), before);
    assert_eq!(effective(&world), 0);
}

#[test]
fn waves_wait_for_replacements() {
    let world = SimWorld::new(SimConfig::default()).unwrap();
    let policy = Policy {
        max_unavailable: "1".parse::<MaxUnavailable>().unwrap(),
        ..Policy::default()
    };
    let (_, report) = tick(&world, &policy, ExecutionPolicy::default());
    assert_eq!(report.unwrap().outcome, ExecutionOutcome::Completed);
    let times: Vec<Timestamp> = world
        .evictions()
        .iter()
        .map(|eviction| eviction.at)
        .collect();
    // A replacement of the simulated world needs over twenty seconds to be ready.
    assert!(
        times
            .windows(2)
            .all(|pair| (pair[1] - pair[0]).total(jiff::Unit::Second).unwrap() > 20.0),
        "{times:?}"
    );
}

#[test]
fn exhausted_budget_blocks_until_the_timeout() {
    let world = SimWorld::new(SimConfig {
        budget: Some(Budget::max_unavailable("consumer-budget", 0)),
        ..SimConfig::default()
    })
    .unwrap();
    let started = world.now();
    let (_, report) = tick(&world, &Policy::default(), ExecutionPolicy::default());
    let report = report.unwrap();
    assert_eq!(report.outcome, ExecutionOutcome::Incomplete);
    // The coldest wait until one of the hottest is out.
    let hottest = &report.pods[0];
    assert_eq!(hottest.outcome, PodOutcome::Blocked);
    assert_eq!(hottest.budget.as_deref(), Some("consumer-budget"));
    assert!(
        report.pods[0]
            .message
            .as_ref()
            .unwrap()
            .contains("consumer-budget")
    );
    let waited = (world.now() - started).total(jiff::Unit::Second).unwrap();
    assert!((110.0..=120.0).contains(&waited), "{waited}");
    assert_eq!(effective(&world), 0);
}

#[rstest]
#[case::of_one(Some(1), 1, 3, 0)]
#[case::of_three(Some(3), 3, 1, 0)]
#[case::of_many(Some(8), 4, 0, 0)]
#[case::of_none(Some(0), 0, 0, 2)]
#[case::without_a_budget(None, 4, 0, 0)]
fn dry_run_counts_the_budget_as_a_whole(
    #[case] allowed: Option<u32>,
    #[case] evicted: usize,
    #[case] waiting: usize,
    #[case] blocked: usize,
) {
    let world = SimWorld::new(SimConfig {
        budget: allowed.map(|pods| Budget::max_unavailable("consumer-budget", pods)),
        ..SimConfig::default()
    })
    .unwrap();
    let execution = ExecutionPolicy {
        dry_run: true,
        ..ExecutionPolicy::default()
    };
    let (_, report) = tick(&world, &Policy::default(), execution);
    let report = report.unwrap();
    let count = |outcome| {
        let pods = report.pods.iter();
        pods.filter(|pod| pod.outcome == outcome).count()
    };
    assert_eq!(report.pods.len(), 4);
    assert_eq!(count(PodOutcome::Evicted), evicted, "{report:?}");
    assert_eq!(count(PodOutcome::WouldWait), waiting, "{report:?}");
    assert_eq!(count(PodOutcome::Blocked), blocked, "{report:?}");
    assert_eq!(report.note, None);
    let completed = report.outcome == ExecutionOutcome::Completed;
    assert_eq!(completed, blocked == 0);
    assert_eq!(effective(&world), 0);
}

#[test]
fn budget_of_one_evicts_one_by_one_hottest_first() {
    let world = SimWorld::new(SimConfig {
        budget: Some(Budget::max_unavailable("consumer-budget", 1)),
        ..SimConfig::default()
    })
    .unwrap();
    let execution = ExecutionPolicy {
        eviction_timeout_seconds: Duration::from_secs(600).into(),
        ..ExecutionPolicy::default()
    };
    let (decision, report) = tick(&world, &Policy::default(), execution);
    assert_eq!(report.unwrap().outcome, ExecutionOutcome::Completed);
    let gone: Vec<String> = world
        .evictions()
        .into_iter()
        .filter(|eviction| eviction.took_effect)
        .map(|eviction| eviction.pod.name)
        .collect();
    let planned: Vec<String> = decision
        .plan()
        .unwrap()
        .victims()
        .iter()
        .map(|victim| victim.name.clone())
        .collect();
    assert_eq!(gone, planned);
}

#[test]
fn stop_between_two_actions_evicts_nothing_more_and_reports() {
    let world = SimWorld::new(SimConfig::default()).unwrap();
    let (metrics, actuator, clock) = (world.metrics(), world.actuator(), world.clock());
    let ports = Ports {
        metrics: &metrics,
        group: Some(&metrics),
        actuator: &actuator,
        coordinator: None,
        clock: &clock,
        lease: None,
        journal: None,
        observer: &NoObserver,
    };
    let settings = of_world(&world);
    let (handle, stop) = Stop::channel();
    let report = block_on(async {
        let snapshot = observe(ports, &deciding(&settings, false), None, &Stop::never())
            .await
            .unwrap();
        let decision = decide(&snapshot, &Policy::default());
        handle.stop(StopCause::Signal);
        let settings = acting(&settings, ExecutionPolicy::default());
        execute(&decision, &snapshot, &settings, ports, None, &stop).await
    });
    let report = report.unwrap();
    assert_eq!(report.stopped, Some(StopReason::Stopped));
    assert!(
        report
            .pods
            .iter()
            .all(|pod| pod.outcome == PodOutcome::NotAttempted)
    );
    assert_eq!(effective(&world), 0);
}

/// Runs once over the world, with a lease and a journal.
fn whole_run(
    world: &SimWorld,
    lease: &dyn RunLease,
    journal: &dyn Journal,
    execution: ExecutionPolicy,
) -> WorkloadRun {
    let (metrics, actuator, clock) = (world.metrics(), world.actuator(), world.clock());
    let ports = Ports {
        metrics: &metrics,
        group: Some(&metrics),
        actuator: &actuator,
        coordinator: None,
        clock: &clock,
        lease: Some(lease),
        journal: Some(journal),
        observer: &NoObserver,
    };
    let settings = of_world(world);
    block_on(run_workload(
        ports,
        &acting(&settings, execution),
        &Stop::never(),
    ))
}

fn silent() -> MockEvents {
    let mut journal = MockEvents::new();
    journal.expect_publish().never();
    journal.expect_remember().never();
    journal
}

fn decision_of(report: &WorkloadReport) -> &Decision {
    match report {
        WorkloadReport::Decided(decided) => &decided.decision,
        WorkloadReport::Failed(failed) => panic!("{}", failed.error),
    }
}

#[test]
fn holds_and_names_the_other_run() {
    let world = SimWorld::new(SimConfig::default()).unwrap();
    let mut lease = MockLease::new();
    lease.expect_acquire().times(1).returning(|| {
        Ok(LeaseState::HeldBy(LeaseHolder {
            identity: "pod-7".into(),
            expires_seconds: Duration::from_secs(30).into(),
        }))
    });
    // Another run holds it.
    lease.expect_release().never();
    let WorkloadRun { report, .. } =
        whole_run(&world, &lease, &silent(), ExecutionPolicy::default());
    let decision = decision_of(&report);
    assert_eq!(decision.hold_reason(), Some(HoldReason::ANOTHER_RUN));
    assert!(decision.message.contains("pod-7"), "{}", decision.message);
    assert_eq!(report.outcome(), RunOutcome::Fine);
    assert_eq!(effective(&world), 0);
}

#[rstest]
#[case::needs_an_operator(MinimumPods::new(9).unwrap(), HoldReason::MINIMUM_PODS, true)]
#[case::may_last(MinimumPods::new(1).unwrap(), HoldReason::WITHIN_TOLERANCE, false)]
fn lasting_hold_is_reported_with_its_age(
    #[case] minimum_pods: MinimumPods,
    #[case] reason: HoldReason,
    #[case] alert: bool,
) {
    let world = SimWorld::new(SimConfig::default()).unwrap();
    let (metrics, actuator, clock) = (world.metrics(), world.actuator(), world.clock());
    let assemble = of_world(&world);
    let policy = Policy {
        minimum_pods,
        tolerance: Tolerance::new(if alert { 1.5 } else { 100.0 }).unwrap(),
        ..Policy::default()
    };
    let run = |alert_after| {
        let lease = world.lease("run");
        let ports = Ports {
            lease: Some(&lease),
            ..Ports::new(&metrics, &actuator, &clock)
        };
        let settings = RunSettings {
            policy: &policy,
            hold_alert_after: alert_after,
            ..acting(&assemble, ExecutionPolicy::default())
        };
        block_on(run_workload(ports, &settings, &Stop::never())).report
    };
    let held = |report: &WorkloadReport| match report {
        WorkloadReport::Decided(decided) => {
            assert_eq!(decided.decision.hold_reason(), Some(reason));
            decided.held.unwrap()
        }
        WorkloadReport::Failed(failed) => panic!("{}", failed.error),
    };
    let hour = Seconds::whole(3600);
    let first = run(hour);
    assert!(held(&first).is_first());
    assert_eq!(first.outcome(), RunOutcome::Fine);
    world.advance(Duration::from_secs(3600));
    let second = run(hour);
    let HeldSince {
        seconds,
        runs,
        since,
        ..
    } = held(&second);
    assert_eq!((runs, since), (2, held(&first).since));
    assert!(seconds >= hour, "{seconds:?}");
    assert_eq!(held(&second).alert, alert);
    let expected = if alert {
        RunOutcome::Failed
    } else {
        RunOutcome::Fine
    };
    assert_eq!(second.outcome(), expected);
    // Switched off.
    assert_eq!(run(Seconds::ZERO).outcome(), RunOutcome::Fine);
}

#[test]
fn evicts_nothing_when_the_lease_is_unknown() {
    let world = SimWorld::new(SimConfig::default()).unwrap();
    let mut lease = MockLease::new();
    lease
        .expect_acquire()
        .returning(|| Err(refused("no connection")));
    lease.expect_release().returning(|| Ok(()));
    let WorkloadRun { report, snapshot } =
        whole_run(&world, &lease, &silent(), ExecutionPolicy::default());
    assert_eq!(report.outcome(), RunOutcome::Failed);
    assert!(snapshot.is_none());
    let WorkloadReport::Failed(failed) = report else {
        panic!("decided");
    };
    assert_eq!(
        failed.error,
        "no connection; nothing was evicted, because another run may be active"
    );
}

#[test]
fn missing_workload_is_not_a_lease_error() {
    let world = SimWorld::new(SimConfig::default()).unwrap();
    let mut lease = MockLease::new();
    lease.expect_acquire().returning(|| {
        let message = "there is no Deployment \"consumre\"";
        Err(PortError::new(PortErrorKind::NotFound, message))
    });
    lease.expect_release().returning(|| Ok(()));
    let WorkloadRun { report, .. } =
        whole_run(&world, &lease, &silent(), ExecutionPolicy::default());
    let WorkloadReport::Failed(failed) = report else {
        panic!("decided");
    };
    assert_eq!(failed.error, "there is no Deployment \"consumre\"");
}

/// The run may hold the lease even though the request for it failed.
#[rstest]
#[case::request_failed(false)]
#[case::stopped_first(true)]
fn releases_a_lease_that_may_be_held(#[case] stopped: bool) {
    /// A lease whose acquisition fails, or never ends.
    struct Doubtful {
        forever: bool,
        released: std::sync::atomic::AtomicBool,
    }
    #[async_trait]
    impl RunLease for Doubtful {
        async fn acquire(&self) -> Result<LeaseState, PortError> {
            if self.forever {
                std::future::pending().await
            }
            Err(refused("no answer"))
        }
        async fn renew(&self) -> Result<LeaseState, PortError> {
            Err(refused("not held"))
        }
        async fn release(&self) -> Result<(), PortError> {
            self.released
                .store(true, std::sync::atomic::Ordering::Relaxed);
            Ok(())
        }
    }
    let world = SimWorld::new(SimConfig::default()).unwrap();
    let (metrics, actuator, clock) = (world.metrics(), world.actuator(), world.clock());
    let lease = Doubtful {
        forever: stopped,
        released: false.into(),
    };
    let ports = Ports {
        metrics: &metrics,
        group: Some(&metrics),
        actuator: &actuator,
        coordinator: None,
        clock: &clock,
        lease: Some(&lease),
        journal: None,
        observer: &NoObserver,
    };
    let settings = of_world(&world);
    let settings = acting(&settings, ExecutionPolicy::default());
    let (handle, stop) = Stop::channel();
    if stopped {
        handle.stop(StopCause::Signal);
    }
    let report = block_on(run_workload(ports, &settings, &stop)).report;
    assert_eq!(report.outcome(), RunOutcome::Failed);
    assert!(lease.released.into_inner());
    assert_eq!(effective(&world), 0);
}

#[test]
fn dry_run_uses_neither_lease_nor_journal() {
    let world = SimWorld::new(SimConfig::default()).unwrap();
    let execution = ExecutionPolicy {
        dry_run: true,
        ..ExecutionPolicy::default()
    };
    let WorkloadRun { report, .. } = whole_run(&world, &MockLease::new(), &silent(), execution);
    assert_eq!(report.outcome(), RunOutcome::Planned);
}

#[test]
fn publishes_and_remembers_the_rotation_and_releases_the_lease() {
    let world = SimWorld::new(SimConfig::default()).unwrap();
    let mut lease = MockLease::new();
    lease
        .expect_acquire()
        .times(1)
        .returning(|| Ok(LeaseState::Held));
    lease.expect_renew().returning(|| Ok(LeaseState::Held));
    lease.expect_release().times(1).returning(|| Ok(()));
    let written = std::sync::Arc::new(std::sync::Mutex::new((Vec::new(), Vec::new())));
    let mut journal = MockEvents::new();
    let (entries, rotations) = (written.clone(), written.clone());
    journal.expect_publish().returning(move |entry| {
        entries.lock().unwrap().0.push(entry.clone());
        Ok(())
    });
    journal.expect_remember().returning(move |rotation| {
        rotations.lock().unwrap().1.push(rotation.clone());
        Ok(None)
    });
    let WorkloadRun { report, .. } =
        whole_run(&world, &lease, &journal, ExecutionPolicy::default());
    let decision = decision_of(&report);
    let names: Vec<String> = decision
        .plan()
        .unwrap()
        .victims()
        .iter()
        .map(|victim| victim.name.clone())
        .collect();
    let (entries, rotations) = std::mem::take(&mut *written.lock().unwrap());
    // One event for each pod, and one for the rotation.
    assert_eq!(entries.len(), names.len() + 1);
    assert!(
        entries[0]
            .message
            .contains("evicted as one of the hottest pods of Deployment")
    );
    let whole = entries.last().unwrap();
    assert_eq!(
        (whole.reason, whole.warning, &whole.pod),
        ("Rotated", false, &None)
    );
    assert!(
        whole.message.contains("pods evicted: evict"),
        "{}",
        whole.message
    );
    // The rotation is remembered after the first eviction and at the end.
    let remembered: Vec<&[String]> = rotations.iter().map(|r| r.victims.as_slice()).collect();
    assert_eq!(remembered, [&names[..1], &names[..]]);
    let rotation = &rotations[1];
    assert_eq!(Some(rotation.imbalance_before), decision.analysis.imbalance);
    assert!(rotation.imbalance_hoped < rotation.imbalance_before);
}

#[test]
fn forbidden_journal_is_tried_once_and_evictions_go_on() {
    let world = SimWorld::new(SimConfig::default()).unwrap();
    let mut lease = MockLease::new();
    lease.expect_acquire().returning(|| Ok(LeaseState::Held));
    lease.expect_renew().returning(|| Ok(LeaseState::Held));
    lease.expect_release().returning(|| Ok(()));
    let forbidden = || PortError::new(PortErrorKind::Forbidden, "may not");
    let mut journal = MockEvents::new();
    journal
        .expect_publish()
        .times(1)
        .returning(move |_| Err(forbidden()));
    journal
        .expect_remember()
        .times(1)
        .returning(move |_| Err(forbidden()));
    let WorkloadRun { report, .. } =
        whole_run(&world, &lease, &journal, ExecutionPolicy::default());
    assert_eq!(report.outcome(), RunOutcome::Fine);
    assert!(effective(&world) > 0);
}
