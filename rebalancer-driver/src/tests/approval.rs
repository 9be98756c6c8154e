//! Plans that need the approval of a person.

use rebalancer_core::approval::DEFAULT_EXPIRY;
use rebalancer_core::proposal::ApprovalState;

use super::*;

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
    let says = format!("rebalancer.io/approve={}", plan.id);
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
