//! Plans that need the approval of a person.

use rebalancer_core::approval::DEFAULT_EXPIRY;
use rebalancer_core::model::Pause;
use rebalancer_core::proposal::ApprovalState;

use super::*;
use crate::{RunEvent, RunObserver};

/// Runs once over the world, with this journal.
fn run(
    world: &SimWorld,
    journal: Option<&dyn Journal>,
    execution: ExecutionPolicy,
) -> WorkloadReport {
    let (metrics, actuator, clock) = (world.metrics(), world.actuator(), world.clock());
    let lease = world.lease("run");
    let ports = Ports {
        lease: Some(&lease),
        journal,
        ..Ports::new(&metrics, &actuator, &clock)
    };
    let assemble = of_world(world);
    let settings = RunSettings {
        approval: Some(DEFAULT_EXPIRY),
        ..acting(&assemble, execution)
    };
    block_on(run_workload(ports, &settings, &Stop::never())).report
}

fn acts(world: &SimWorld, journal: &dyn Journal) -> WorkloadReport {
    run(world, Some(journal), ExecutionPolicy::default())
}

fn reason(report: &WorkloadReport) -> Option<HoldReason> {
    decision_of(report).hold_reason()
}

fn plan_of(report: &WorkloadReport) -> ProposedPlan {
    decision_of(report).approval.as_ref().unwrap().plan.clone()
}

/// The journal of the world approves a plan at once.
#[test]
fn approved_plan_is_executed_once() {
    let world = SimWorld::new(SimConfig::default()).unwrap();
    let journal = world.journal();
    let first = acts(&world, &journal);
    assert_eq!(reason(&first), Some(HoldReason::APPROVAL_PENDING));
    assert_eq!(first.outcome(), RunOutcome::Planned);
    assert_eq!(effective(&world), 0);
    let events = world.published();
    assert_eq!(events.len(), 1, "{events:?}");
    let plan = plan_of(&first);
    assert_eq!(
        (events[0].reason, events[0].warning),
        ("PlanProposed", false)
    );
    let WorkloadRef {
        namespace, name, ..
    } = world.config().workload;
    let says = format!(
        "(rebalancer approve -n {namespace} deployment/{name} --id {id}, or the annotation \
         rebalancer.io/approve={id}): evict",
        id = plan.id
    );
    assert!(events[0].message.contains(&says), "{}", events[0].message);

    let second = acts(&world, &journal);
    assert_eq!(second.outcome(), RunOutcome::Fine, "{second:?}");
    let planned: Vec<PodUid> = plan
        .victims
        .iter()
        .map(|victim| victim.uid.clone())
        .collect();
    let evictions = world.evictions().into_iter();
    let evicted: Vec<PodUid> = evictions.map(|eviction| eviction.pod.uid).collect();
    assert_eq!(evicted, planned);

    // The group settles; the next plan needs its own approval.
    world.advance(Duration::from_secs(1800));
    let third = acts(&world, &journal);
    assert!(reason(&third).is_some());
    assert_eq!(effective(&world), planned.len());
}

#[rstest]
#[case::forbidden(PortErrorKind::Forbidden)]
#[case::lost(PortErrorKind::Timeout)]
fn plan_that_cannot_be_stored_fails_the_run(#[case] kind: PortErrorKind) {
    let world = SimWorld::new(SimConfig::default()).unwrap();
    let mut journal = MockEvents::new();
    journal
        .expect_propose()
        .times(1)
        .returning(move |_| Err(PortError::new(kind, "no patch")));
    let report = acts(&world, &journal);
    assert_eq!(reason(&report), Some(HoldReason::APPROVAL_UNAVAILABLE));
    let decision = decision_of(&report);
    let says = "could not be stored on the workload, so it cannot be approved: no patch";
    assert!(decision.message.contains(says), "{}", decision.message);
    assert_eq!(decision.approval, None);
    assert_eq!(report.outcome(), RunOutcome::Failed);
    assert_eq!(effective(&world), 0);
}

/// The removal may have succeeded, or another run may have used the approval.
#[test]
fn nothing_is_evicted_if_the_approval_may_be_left() {
    let world = SimWorld::new(SimConfig::default()).unwrap();
    acts(&world, &world.journal());
    let mut journal = MockEvents::new();
    journal
        .expect_use_approval()
        .times(1)
        .returning(|_| Err(PortError::new(PortErrorKind::Timeout, "no response")));
    let report = acts(&world, &journal);
    assert_eq!(reason(&report), Some(HoldReason::APPROVAL_UNAVAILABLE));
    assert_eq!(report.outcome(), RunOutcome::Failed);
    assert_eq!(effective(&world), 0);
}

/// An actuator whose workload has got an annotation since the observation, or cannot be read.
struct Annotated<A> {
    actuator: A,
    pause: Result<Option<Pause>, &'static str>,
}

#[async_trait]
impl<A: PodActuator> PodActuator for Annotated<A> {
    fn workload(&self) -> &WorkloadRef {
        self.actuator.workload()
    }
    async fn observe(&self) -> Result<WorkloadObservation, PortError> {
        self.actuator.observe().await
    }
    async fn read_pod(&self, pod: &PodRef) -> Result<PodState, PortError> {
        self.actuator.read_pod(pod).await
    }
    async fn count_ready(&self, enough: usize) -> Result<usize, PortError> {
        self.actuator.count_ready(enough).await
    }
    async fn read_workload(&self, enough: usize) -> Result<WorkloadState, PortError> {
        self.actuator.read_workload(enough).await
    }
    async fn evict(&self, pod: &PodRef, dry_run: bool) -> EvictionAnswer {
        self.actuator.evict(pod, dry_run).await
    }
    async fn pause(&self) -> Result<Option<Pause>, PortError> {
        self.pause.clone().map_err(refused)
    }
}

/// Does this when the run has observed its workload, before it decides.
struct OnceObserved<F>(F);

impl<F: Fn() + Send + Sync> RunObserver for OnceObserved<F> {
    fn event(&self, event: &RunEvent<'_>) {
        if let RunEvent::Observed(_) = event {
            (self.0)();
        }
    }
}

/// The order not to act of a person.
fn frozen() -> Pause {
    Pause {
        annotation: "rebalancer.io/freeze: true".into(),
        until: None,
        reason: None,
        problem: None,
    }
}

/// An event between the observation and the first action.
#[rstest]
#[case::stop(
    true,
    30,
    Ok(None),
    HoldReason::APPROVAL_DEFERRED,
    "by this run: a stop was requested;"
)]
#[case::window(
    false,
    60,
    Ok(None),
    HoldReason::APPROVAL_DEFERRED,
    "by this run: the freeze window `a window` has begun;"
)]
#[case::pause(
    false,
    30,
    Ok(Some(frozen())),
    HoldReason::APPROVAL_DEFERRED,
    "by this run: the workload is frozen by its annotation"
)]
#[case::unknown(
    false,
    30,
    Err("no answer"),
    HoldReason::APPROVAL_UNAVAILABLE,
    "and stays approved: the annotations of the workload could not be read: no answer"
)]
fn approval_is_not_used_by_a_run_that_must_not_begin(
    #[case] is_stopped: bool,
    #[case] seconds: u64,
    #[case] pause: Result<Option<Pause>, &'static str>,
    #[case] reason_to_hold: HoldReason,
    #[case] says: &str,
) {
    let world = SimWorld::new(SimConfig::default()).unwrap();
    let plan = plan_of(&acts(&world, &world.journal()));
    let freeze = FrozenMinutes {
        start: world.config().start,
        minutes: 1..2,
    };
    let (handle, stop) = Stop::channel();
    let observer = OnceObserved(|| {
        world.advance(Duration::from_secs(seconds));
        if is_stopped {
            handle.stop(StopCause::Signal);
        }
    });
    let (metrics, clock, lease) = (world.metrics(), world.clock(), world.lease("run"));
    let actuator = Annotated {
        actuator: world.actuator(),
        pause,
    };
    // A call of the journal would panic.
    let journal = MockEvents::new();
    let ports = Ports {
        lease: Some(&lease),
        journal: Some(&journal),
        observer: &observer,
        ..Ports::new(&metrics, &actuator, &clock)
    };
    let assemble = of_world(&world);
    let settings = RunSettings {
        freeze: &freeze,
        approval: Some(DEFAULT_EXPIRY),
        ..acting(&assemble, ExecutionPolicy::default())
    };
    let report = block_on(run_workload(ports, &settings, &stop)).report;
    let message = &decision_of(&report).message;
    assert_eq!(reason(&report), Some(reason_to_hold), "{message}");
    let begin = format!("the approved plan {} is not executed", plan.id);
    assert!(message.starts_with(&begin), "{message}");
    assert!(message.contains(says), "{message}");
    assert_eq!(effective(&world), 0);

    // The approval is left for the next run.
    let next = acts(&world, &world.journal());
    assert_eq!(next.outcome(), RunOutcome::Fine, "{next:?}");
    assert_eq!(effective(&world), plan.victims.len());
}

#[test]
fn event_that_cannot_be_published_does_not_matter() {
    let world = SimWorld::new(SimConfig::default()).unwrap();
    let mut journal = MockEvents::new();
    journal.expect_propose().times(1).returning(|_| Ok(()));
    journal
        .expect_publish()
        .times(1)
        .returning(|_| Err(refused("no events")));
    let report = acts(&world, &journal);
    assert_eq!(reason(&report), Some(HoldReason::APPROVAL_PENDING));
    let approval = decision_of(&report).approval.as_ref().unwrap();
    assert_eq!(approval.state, ApprovalState::Proposed);
}

#[test]
fn run_without_a_journal_cannot_propose() {
    let world = SimWorld::new(SimConfig::default()).unwrap();
    let report = run(&world, None, ExecutionPolicy::default());
    assert_eq!(reason(&report), Some(HoldReason::APPROVAL_UNAVAILABLE));
}

#[test]
fn dry_run_needs_no_approval() {
    let world = SimWorld::new(SimConfig::default()).unwrap();
    let execution = ExecutionPolicy {
        dry_run: true,
        ..ExecutionPolicy::default()
    };
    // A call of the journal would panic.
    let report = run(&world, Some(&MockEvents::new()), execution);
    assert!(decision_of(&report).plan().is_some());
    assert_eq!(report.outcome(), RunOutcome::Planned);
}
