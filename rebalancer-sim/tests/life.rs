//! The life of a pod, a budget and an autoscaler, seen through the ports.

#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests fail by panicking, too"
)]

use std::time::Duration;

use rebalancer_core::model::{CpuMetric, PodPhase, PodRef, PodUid};
use rebalancer_core::ports::{EvictionAnswer, MetricsSource, PodActuator, PodState};
use rebalancer_sim::{Assignor, Budget, SimConfig, SimWorld};

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
