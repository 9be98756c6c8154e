//! Runs with the strategy `rejoin` over the simulated world.

use rebalancer_core::group::{Assignor, ClientFamily};
use rebalancer_core::handover::{HandoverDocument, HandoverResult};
use rebalancer_core::model::Percent;
use rebalancer_core::policy::Strategy;
use rebalancer_core::report::Decided;
use rebalancer_core::snapshot::GroupSettings;

use super::*;

fn world(assignor: Assignor) -> SimWorld {
    let config = SimConfig {
        pods: 6,
        partitions: 33,
        described: true,
        client: ClientFamily::Java,
        ..SimConfig::seeded(4)
    };
    SimWorld::new(config.with_assignor(assignor)).unwrap()
}

/// One run over the world.
fn run(world: &SimWorld, policy: &Policy, dry_run: bool) -> Decided {
    let (metrics, actuator, clock) = (world.metrics(), world.actuator(), world.clock());
    let (journal, coordinator) = (world.journal(), world.coordinator());
    let ports = Ports {
        group: Some(&metrics),
        coordinator: Some(&coordinator),
        journal: Some(&journal),
        ..Ports::new(&metrics, &actuator, &clock)
    };
    let assemble = AssembleSettings {
        workload: world.config().workload,
        target: None,
        group: Some(GroupSettings::default()),
        ..settings()
    };
    let execution = ExecutionPolicy {
        dry_run,
        ..ExecutionPolicy::default()
    };
    let settings = RunSettings {
        execution: Some(execution),
        ..RunSettings::new(&assemble, policy)
    };
    match block_on(run_workload(ports, &settings, &Stop::never())).report {
        WorkloadReport::Decided(decided) => *decided,
        WorkloadReport::Failed(failed) => panic!("{failed:?}"),
    }
}

#[rstest]
#[case::classic(Assignor::CooperativeSticky)]
#[case::consumer_protocol(Assignor::Uniform)]
fn members_of_the_plan_rejoin_and_no_pod_is_evicted(#[case] assignor: Assignor) {
    let world = world(assignor);
    let is_of_consumers = assignor == Assignor::Uniform;
    let policy = Policy {
        rejoin_consumer_protocol: true,
        strategy: Strategy::Rejoin,
        imbalance_tolerance: Some(Tolerance::new(1.05).unwrap()),
        minimum_improvement_percent: Percent::new(5.0).unwrap(),
        ..Policy::default()
    };
    let ids = || {
        let members = world.described_group().members;
        let ids = members.iter().map(|member| member.labels.member_id.clone());
        let mut ids: Vec<Option<String>> = ids.collect();
        ids.sort();
        ids
    };
    let before = ids();
    let dry = run(&world, &policy, true);
    let plan = dry.decision.rejoin().expect(&dry.decision.message);
    assert_eq!(dry.hand_over, None);
    assert_eq!(ids(), before);

    let decided = run(&world, &policy, false);
    assert_eq!(
        decided.decision.rejoin(),
        Some(plan),
        "{}",
        decided.decision.message
    );
    let hand_over: HandoverDocument = decided.hand_over.unwrap();
    assert_eq!(hand_over.outcome, HandoverResult::Rejoined, "{hand_over:?}");
    let rejoined = plan.pods().len();
    assert_eq!(hand_over.rejoins, Some(rejoined), "{hand_over:?}");
    let twice = hand_over.double_processing_seconds;
    assert_eq!(twice.is_some(), is_of_consumers, "{hand_over:?}");
    // The removed members return with their next heartbeat.
    assert!(
        twice.is_none_or(|seconds| seconds.get() < 6.0),
        "{hand_over:?}"
    );
    assert_eq!(world.handover_violations(), [] as [String; 0]);
    assert!(world.evictions().is_empty());
    let after = ids();
    assert_eq!(after.len(), before.len());
    let new = after.iter().filter(|id| !before.contains(id));
    assert_eq!(new.count(), rejoined);
    world.advance(Duration::from_secs(60));
    assert!(
        world
            .partitions()
            .iter()
            .all(|partition| partition.owner.is_some())
    );

    // The next run knows about it.
    let next = run(&world, &policy, false);
    assert_eq!(
        next.decision.hold_reason(),
        Some(HoldReason::COOLDOWN),
        "{}",
        next.decision.message
    );
}
