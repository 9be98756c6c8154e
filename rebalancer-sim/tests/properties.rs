//! Invariants of every world under random steps.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use rebalancer_core::group::{Assignor, ClientFamily, Protocol};
use rebalancer_core::model::{PodRef, WorkloadRef};
use rebalancer_core::ports::{
    Clock, EvictionAnswer, LoadObservation, MetricsSource, PodActuator, PodState,
    WorkloadObservation,
};
use rebalancer_sim::{Budget, BudgetLimit, SimConfig, SimWorld};

/// A step of a client.
#[derive(Debug, Clone)]
enum Step {
    Sleep(u64),
    /// Evicts the pod of this rank among all pods ever seen.
    Evict {
        rank: usize,
        dry_run: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0_u64..15).prop_map(Step::Sleep),
        (15_u64..900).prop_map(Step::Sleep),
        (any::<usize>(), prop::bool::weighted(0.2))
            .prop_map(|(rank, dry_run)| Step::Evict { rank, dry_run }),
    ]
}

fn budget() -> impl Strategy<Value = Option<Budget>> {
    prop::option::of(prop_oneof![
        (0_u32..4).prop_map(|pods| Budget::max_unavailable("pdb", pods)),
        (0_u32..10).prop_map(|pods| Budget::min_available("pdb", pods)),
    ])
}

/// Every assignor of every client and protocol that has it.
fn kind() -> impl Strategy<Value = (Assignor, ClientFamily, Protocol)> {
    let mut kinds = Vec::new();
    for assignor in Assignor::ALL {
        for client in [ClientFamily::Java, ClientFamily::Librdkafka] {
            for protocol in [Protocol::Classic, Protocol::Consumer] {
                if assignor.exists_in(protocol, client) {
                    kinds.push((assignor, client, protocol));
                }
            }
        }
    }
    prop::sample::select(kinds)
}

/// Whether members are static, and the kind of the workload.
fn members() -> impl Strategy<Value = (bool, &'static str)> {
    prop_oneof![
        2 => Just((false, "Deployment")),
        1 => Just((true, "Deployment")),
        1 => Just((false, "StatefulSet")),
        1 => Just((true, "StatefulSet")),
    ]
}

prop_compose! {
    fn config()(
        seed in any::<u64>(),
        pods in 1_u32..10,
        partitions in 1_u32..40,
        sigma in 0.0..2.5,
        drift in prop_oneof![Just(0.0), 0.0..1.0],
        (assignor, client, protocol) in kind(),
        (static_members, kind) in members(),
        session in 0_u64..90,
        rebalance in 0_u64..10,
        budget in budget(),
        join in 0_u64..5,
        leave in 0_u64..60,
        startup in 0_u64..90,
    ) -> SimConfig {
        SimConfig {
            pods,
            partitions,
            sigma,
            drift,
            assignor,
            client,
            protocol,
            static_members,
            workload: WorkloadRef { kind: kind.into(), ..SimConfig::default().workload },
            session_timeout: Duration::from_secs(session),
            rebalance_delay: Duration::from_secs(rebalance),
            budget,
            join_delay: Duration::from_secs(join),
            leave_delay: Duration::from_secs(leave),
            startup_delay: Duration::from_secs(startup),
            ..SimConfig::seeded(seed)
        }
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

/// Everything that is visible through the ports.
type Observation = (LoadObservation, WorkloadObservation, usize);

async fn observe(world: &SimWorld) -> Observation {
    let actuator = world.actuator();
    (
        world.metrics().loads().await.unwrap(),
        actuator.observe().await.unwrap(),
        actuator.count_ready(usize::MAX).await.unwrap(),
    )
}

struct Run {
    observations: Vec<Observation>,
    answers: Vec<(PodRef, bool, EvictionAnswer)>,
}

/// Performs the steps, and calls `check` after each.
async fn take(
    world: &SimWorld,
    steps: &[Step],
    mut check: impl FnMut(&SimWorld, &Observation),
) -> Run {
    let mut run = Run {
        observations: Vec::new(),
        answers: Vec::new(),
    };
    let mut seen: Vec<PodRef> = Vec::new();
    for step in steps {
        let before = observe(world).await;
        for pod in &before.1.pods {
            if !seen.contains(&pod.reference()) {
                seen.push(pod.reference());
            }
        }
        match step {
            Step::Sleep(seconds) => {
                world.clock().sleep(Duration::from_secs(*seconds)).await;
            }
            Step::Evict { rank, dry_run } => {
                let pod = seen[rank % seen.len()].clone();
                let answer = world.actuator().evict(&pod, *dry_run).await;
                if *dry_run {
                    assert_eq!(observe(world).await, before);
                }
                run.answers.push((pod, *dry_run, answer));
            }
        }
        let after = observe(world).await;
        assert!(after.1.taken_at >= before.1.taken_at);
        check(world, &after);
        run.observations.push(after);
    }
    run
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 128,
        // A failure prints the minimal case; no file is written.
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn partitions_are_owned_by_live_members_and_loads_are_conserved(
        config in config(),
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let world = SimWorld::new(config.clone()).unwrap();
        let records = |world: &SimWorld| world.partitions().iter().map(|p| p.rate).sum::<f64>();
        let (n, start) = (f64::from(config.pods), records(&world));
        let cost = (config.mean_load - config.base_load) * n / start;
        block_on(take(&world, &steps, |world, (_, observed, ready)| {
            let partitions = world.partitions();
            let owned: Vec<_> = partitions.iter().filter_map(|p| p.owner.as_ref()).collect();
            let settled = world.config().rebalance_delay.is_zero()
                && !config.static_members;
            assert!(!settled || owned.is_empty() || owned.len() == partitions.len());

            // Owners are Ready pods of the cluster; a terminating one may still be a member.
            for owner in &owned {
                let pod = observed.pods.iter().find(|pod| pod.name == owner.pod).unwrap();
                assert!(pod.ready);
            }
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            for owner in &owned {
                *counts.entry(owner.member.as_str()).or_default() += 1;
            }
            if owned.len() == partitions.len()
                && let (Some(most), Some(fewest)) = (counts.values().max(), counts.values().min())
            {
                assert!(most - fewest <= 1);
            }

            let loads = world.loads();
            let running = observed.pods.iter().filter(|pod| {
                pod.phase == rebalancer_core::model::PodPhase::Running
            });
            let base = config.base_load * running.count() as f64;
            let spent = loads.iter().map(|pod| pod.load).sum::<f64>() - base;
            let served = partitions.iter().filter(|p| p.owner.is_some()).map(|p| p.rate);
            let expected = cost * served.sum::<f64>();
            assert!((spent - expected).abs() < 1e-9 * expected.max(1.0), "{spent} {expected}");
            if config.drift == 0.0 {
                assert_eq!(records(world), start);
            }

            // All three ways of counting the ready pods agree.
            assert_eq!(observed.pods.iter().filter(|pod| pod.serves()).count(), *ready);
            assert_eq!(loads.iter().filter(|pod| pod.ready).count(), *ready);
            let replicas = observed.pods.len() - if config.workload.kind == "StatefulSet" {
                0
            } else {
                observed.pods.iter().filter(|pod| pod.terminating).count()
            };
            assert_eq!(replicas, config.pods as usize);
        }));
    }

    #[test]
    fn pod_is_evicted_once_and_within_the_budget(
        config in config(),
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let world = SimWorld::new(config.clone()).unwrap();
        let needed = match config.budget.map(|budget| budget.limit) {
            None => 0,
            Some(BudgetLimit::MaxUnavailable(pods)) => config.pods.saturating_sub(pods),
            Some(BudgetLimit::MinAvailable(pods)) => pods,
        };
        let mut ready_before = config.pods as usize;
        let run = block_on(take(&world, &steps, |_, (_, _, ready)| {
            // Only evictions reduce the number of ready pods.
            assert!(*ready >= ready_before || *ready >= needed as usize);
            ready_before = *ready;
        }));
        let log = world.evictions();
        prop_assert_eq!(log.len(), run.answers.len());
        let mut evicted = BTreeSet::new();
        for (entry, (pod, dry_run, answer)) in log.iter().zip(&run.answers) {
            prop_assert_eq!((&entry.pod, &entry.dry_run, &entry.answer), (pod, dry_run, answer));
            if entry.took_effect {
                prop_assert!(!dry_run && *answer == EvictionAnswer::Evicted);
                prop_assert!(evicted.insert(&entry.pod.uid));
            }
        }
        for pod in evicted {
            let pod = run.answers.iter().find(|(p, ..)| p.uid == *pod).unwrap().0.clone();
            let state = block_on(world.actuator().read_pod(&pod)).unwrap();
            prop_assert!(matches!(state, PodState::Terminating | PodState::Gone));
            let before = block_on(observe(&world));
            let again = block_on(world.actuator().evict(&pod, false));
            let expected = if state == PodState::Gone {
                EvictionAnswer::AlreadyGone
            } else {
                EvictionAnswer::Evicted
            };
            prop_assert_eq!(again, expected);
            prop_assert_eq!(block_on(observe(&world)), before);
        }
    }

    #[test]
    fn same_calls_give_the_same_results(
        config in config(),
        steps in prop::collection::vec(step(), 1..25),
    ) {
        let (one, two) = (
            SimWorld::new(config.clone()).unwrap(),
            SimWorld::new(config).unwrap(),
        );
        let first = block_on(take(&one, &steps, |_, _| {}));
        let second = block_on(take(&two, &steps, |_, _| {}));
        prop_assert_eq!(first.observations, second.observations);
        prop_assert_eq!(first.answers, second.answers);
        prop_assert_eq!(one.partitions(), two.partitions());
        prop_assert_eq!(one.loads(), two.loads());
    }

    #[test]
    fn splitting_a_duration_does_not_change_the_result(
        config in config(),
        cuts in prop::collection::vec(0_u64..200, 1..20),
        rank in any::<usize>(),
    ) {
        let worlds = [SimWorld::new(config.clone()).unwrap(), SimWorld::new(config).unwrap()];
        for world in &worlds {
            let pods = block_on(observe(world)).1.pods;
            block_on(world.actuator().evict(&pods[rank % pods.len()].reference(), false));
        }
        worlds[0].advance(Duration::from_secs(cuts.iter().sum()));
        for cut in cuts {
            worlds[1].advance(Duration::from_secs(cut));
        }
        prop_assert_eq!(block_on(observe(&worlds[0])), block_on(observe(&worlds[1])));
        prop_assert_eq!(worlds[0].partitions(), worlds[1].partitions());
    }
}
