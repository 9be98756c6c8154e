//! The life of a pod, a budget and an autoscaler, seen through the ports.

#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests fail by panicking, too"
)]

use std::time::Duration;

use rebalancer_core::group::{Assignor, ClientFamily, Protocol};
use rebalancer_core::model::{CpuMetric, PodPhase, PodRef, PodUid};
use rebalancer_core::ports::{EvictionAnswer, MetricsSource, PodActuator, PodState};
use rebalancer_sim::{Budget, SimConfig, SimWorld};

fn world(config: SimConfig) -> SimWorld {
    SimWorld::new(config).unwrap()
}

async fn pods(world: &SimWorld) -> Vec<PodRef> {
    let observed = world.actuator().observe().await.unwrap();
    observed.pods.iter().map(|pod| pod.reference()).collect()
}

#[tokio::test(flavor = "current_thread")]
async fn an_evicted_pod_leaves_and_its_replacement_warms_up() {
    let world = world(SimConfig::default());
    let actuator = world.actuator();
    let victim = pods(&world).await.remove(0);
    assert_eq!(
        actuator.evict(&victim, false).await,
        EvictionAnswer::Evicted
    );

    // At once: the old one terminates and is no longer counted, the new one is pending.
    assert_eq!(
        actuator.read_pod(&victim).await.unwrap(),
        PodState::Terminating
    );
    assert_eq!(actuator.count_ready(8).await.unwrap(), 7);
    let observed = actuator.observe().await.unwrap();
    assert_eq!(observed.pods.len(), 9);
    let new = observed.pods.last().unwrap();
    assert_eq!((new.phase, new.ready), (PodPhase::Pending, false));
    assert_eq!(new.age_seconds.unwrap().get(), 0.0);
    assert_eq!(new.ready_seconds, None);
    let rollout = observed.rollout.unwrap();
    assert_eq!(
        (rollout.desired, rollout.current, rollout.updated),
        (8, 8, 8)
    );

    // After 4 s it has left the group; after 10 s it is gone, but not from the metrics.
    let holds = |name: &str| {
        let loads = world.loads();
        let pod = loads.iter().find(|pod| pod.name == name);
        pod.map(|pod| pod.partitions)
    };
    assert_eq!(holds(&victim.name), Some(8));
    world.advance(Duration::from_secs(4));
    assert_eq!(holds(&victim.name), Some(0));
    world.advance(Duration::from_secs(6));
    assert_eq!(holds(&victim.name), None);
    assert_eq!(actuator.read_pod(&victim).await.unwrap(), PodState::Gone);
    assert_eq!(
        actuator.evict(&victim, false).await,
        EvictionAnswer::AlreadyGone
    );
    let samples = world.metrics().loads().await.unwrap().samples;
    assert!(samples.iter().any(|sample| sample.pod == victim.name));
    assert!(samples.iter().all(|sample| sample.pod != new.name));

    // After a minute the new one is a member, and reads low for the rest of the window.
    world.advance(Duration::from_secs(50));
    assert_eq!(holds(&new.name), Some(8));
    assert_eq!(actuator.count_ready(8).await.unwrap(), 8);
    let read_low = |world: SimWorld, name: String| async move {
        let samples = world.metrics().loads().await.unwrap().samples;
        let sample = samples
            .into_iter()
            .find(|sample| sample.pod == name)
            .unwrap();
        let real = world
            .loads()
            .into_iter()
            .find(|pod| pod.name == name)
            .unwrap();
        sample.load.unwrap().get() / real.load
    };
    let share = read_low(world.clone(), new.name.clone()).await;
    assert!((0.01..0.2).contains(&share), "{share}");
    world.advance(Duration::from_secs(300));
    let share = read_low(world.clone(), new.name.clone()).await;
    assert!((share - 1.0).abs() < 1e-9, "{share}");
    let samples = world.metrics().loads().await.unwrap().samples;
    assert_eq!(samples.len(), 8);
}

#[tokio::test(flavor = "current_thread")]
async fn another_uid_is_another_pod() {
    let world = world(SimConfig::default());
    let mut other = pods(&world).await.remove(0);
    other.uid = PodUid("another".into());
    let actuator = world.actuator();
    assert_eq!(actuator.read_pod(&other).await.unwrap(), PodState::Gone);
    assert_eq!(
        actuator.evict(&other, false).await,
        EvictionAnswer::AlreadyGone
    );
    assert_eq!(actuator.count_ready(8).await.unwrap(), 8);
}

#[tokio::test(flavor = "current_thread")]
async fn a_budget_blocks_with_its_name_and_numbers() {
    let world = world(SimConfig {
        budget: Some(Budget::max_unavailable("consumer-pdb", 1)),
        ..SimConfig::default()
    });
    let actuator = world.actuator();
    let pods = pods(&world).await;
    assert_eq!(
        actuator.evict(&pods[0], false).await,
        EvictionAnswer::Evicted
    );
    for dry_run in [true, false] {
        let EvictionAnswer::Blocked {
            message, budget, ..
        } = actuator.evict(&pods[1], dry_run).await
        else {
            panic!("the budget was overdrawn");
        };
        assert_eq!(budget.as_deref(), Some("consumer-pdb"));
        assert!(
            message.ends_with("budget consumer-pdb needs 7 healthy pods and has 7 currently"),
            "{message}"
        );
    }
    // Its replacement once ready, the next may go.
    world.advance(Duration::from_secs(60));
    assert_eq!(
        actuator.evict(&pods[1], false).await,
        EvictionAnswer::Evicted
    );
    assert_eq!(
        world.evictions().iter().filter(|e| e.took_effect).count(),
        2
    );
}

#[tokio::test(flavor = "current_thread")]
async fn the_autoscaler_stays_put() {
    let world = world(SimConfig::default());
    let observed = world.actuator().observe().await.unwrap();
    let [autoscaler] = observed.autoscalers.as_slice() else {
        panic!("one autoscaler");
    };
    assert_eq!(autoscaler.cpu, [CpuMetric::Utilization { percent: 70 }]);
    assert_eq!(autoscaler.current_replicas, autoscaler.desired_replicas);
    assert_eq!(
        world.metrics().autoscalers().await.unwrap(),
        observed.autoscalers
    );
}

/// Under range the loads are those of the blocks, whoever carries them: evictions only shuffle.
#[tokio::test(flavor = "current_thread")]
async fn under_range_no_eviction_changes_the_set_of_loads() {
    let world = world(SimConfig {
        assignor: Assignor::Range,
        ..SimConfig::default()
    });
    let sorted = || {
        let mut loads: Vec<f64> = world.loads().iter().map(|pod| pod.load).collect();
        loads.sort_by(f64::total_cmp);
        loads
    };
    let before = sorted();
    for victim in pods(&world).await.iter().take(4) {
        world.actuator().evict(victim, false).await;
    }
    world.advance(Duration::from_secs(600));
    assert_eq!(sorted(), before);
}

#[tokio::test(flavor = "current_thread")]
async fn names_look_like_a_deployments() {
    let world = world(SimConfig::default());
    for pod in pods(&world).await {
        let parts: Vec<_> = pod.name.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 9, 5], "{}", pod.name);
        assert_eq!(pod.uid.0.len(), 36);
    }
}

#[test]
fn time_ends_with_the_calendar_instead_of_wrapping() {
    let world = world(SimConfig::default());
    world.advance(Duration::MAX);
    assert_eq!(world.now(), jiff::Timestamp::MAX);
}

/// The group as the metrics tell it is the group as it is.
#[tokio::test(flavor = "current_thread")]
async fn the_metrics_tell_owners_and_rates() {
    let world = world(SimConfig::default());
    let told = world.metrics().group().await.unwrap().unwrap();
    let rates = told.rates.as_ref().unwrap();
    for (number, partition) in world.partitions().iter().enumerate() {
        let owner = partition.owner.as_ref().unwrap();
        let sample = &told.owners[number];
        assert_eq!(sample.partition as usize, number);
        let told = sample.owner.as_ref().unwrap();
        assert_eq!(told.pod.as_deref(), Some(owner.pod.as_str()));
        assert_eq!(told.member_id.as_deref(), Some(owner.member.as_str()));
        let rate = rates[number].rate.as_ref().unwrap().get();
        assert!((rate - partition.rate).abs() < 1e-9 * rate, "{rate}");
    }
    assert_eq!(told.owners_before.as_ref(), Some(&told.owners));
}

/// Members that come and go within a heartbeat are one rebalance of a classic group; meanwhile
/// nobody serves what a member left behind, and what changed hands is told from then on.
#[tokio::test(flavor = "current_thread")]
async fn a_classic_group_takes_its_time() {
    let config = SimConfig {
        leave_delay: Duration::from_secs(3),
        rebalance_delay: Duration::from_secs(3),
        ..SimConfig::default()
    };
    let world = world(config);
    let unserved = || {
        let partitions = world.partitions();
        partitions.iter().filter(|p| p.owner.is_none()).count()
    };
    for victim in pods(&world).await.iter().take(2) {
        world.actuator().evict(victim, false).await;
    }
    world.advance(Duration::from_secs(4));
    assert_eq!(unserved(), 16, "eight partitions of each of the two");
    world.advance(Duration::from_secs(3));
    assert_eq!(unserved(), 0);
    let told = world.metrics().group().await.unwrap().unwrap();
    assert_ne!(told.owners_before, Some(told.owners));
}

/// The broker of the newer protocol goes by each heartbeat.
#[tokio::test(flavor = "current_thread")]
async fn the_newer_protocol_assigns_at_once() {
    let world = world(SimConfig::default().with_assignor(Assignor::Uniform));
    world.actuator().evict(&pods(&world).await[0], false).await;
    world.advance(Duration::from_secs(4));
    assert!(world.partitions().iter().all(|p| p.owner.is_some()));
}

/// A static member's partitions wait for it: for its successor of the same name in a StatefulSet,
/// else until its session ends.
#[rstest::rstest]
#[case::stateful_set("StatefulSet", 30, 8)]
#[case::deployment("Deployment", 30, 8)]
#[case::deployment_after_the_session("Deployment", 60, 0)]
#[case::stateful_set_after_the_restart("StatefulSet", 120, 0)]
#[tokio::test(flavor = "current_thread")]
async fn static_members_are_waited_for(
    #[case] kind: &str,
    #[case] after: u64,
    #[case] unserved: usize,
) {
    let defaults = SimConfig::default();
    let world = world(SimConfig {
        static_members: true,
        session_timeout: Duration::from_secs(if kind == "Deployment" { 45 } else { 300 }),
        workload: rebalancer_core::model::WorkloadRef {
            kind: kind.into(),
            ..defaults.workload
        },
        ..defaults
    });
    let before: Vec<f64> = world.loads().iter().map(|pod| pod.load).collect();
    let victim = pods(&world).await[0].clone();
    world.actuator().evict(&victim, false).await;
    world.advance(Duration::from_secs(after));
    let nobodys = world
        .partitions()
        .iter()
        .filter(|p| p.owner.is_none())
        .count();
    assert_eq!(nobodys, unserved);
    // The successor carries what its predecessor carried.
    if kind == "StatefulSet" && unserved == 0 {
        let mut loads: Vec<f64> = world.loads().iter().map(|pod| pod.load).collect();
        loads.rotate_right(1);
        assert_eq!(loads, before);
        assert!(world.loads().iter().any(|pod| pod.name == victim.name));
    }
}

#[test]
fn an_assignor_that_the_group_cannot_have_is_refused() {
    let config = SimConfig {
        assignor: Assignor::Sticky,
        client: ClientFamily::Librdkafka,
        protocol: Protocol::Classic,
        ..SimConfig::default()
    };
    let error = SimWorld::new(config).unwrap_err();
    assert_eq!(error.field, "assignor");
}
