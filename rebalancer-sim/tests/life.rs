//! The lifecycle of pods, the budget, the autoscaler and the group, as seen through the ports.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::time::Duration;

use rebalancer_core::group::{Assignor, ClientFamily, Protocol};
use rebalancer_core::model::{CpuMetric, PodPhase, PodRef, PodUid};
use rebalancer_core::ports::{EvictionAnswer, GroupSource, MetricsSource, PodActuator, PodState};
use rebalancer_sim::{Budget, SimConfig, SimWorld};

fn world(config: SimConfig) -> SimWorld {
    SimWorld::new(config).unwrap()
}

async fn pods(world: &SimWorld) -> Vec<PodRef> {
    let observed = world.actuator().observe().await.unwrap();
    observed.pods.iter().map(|pod| pod.reference()).collect()
}

#[tokio::test(flavor = "current_thread")]
async fn evicted_pod_leaves_and_its_replacement_warms_up() {
    let world = world(SimConfig::default());
    let actuator = world.actuator();
    let victim = pods(&world).await.remove(0);
    assert_eq!(
        actuator.evict(&victim, false).await,
        EvictionAnswer::Evicted
    );

    // Immediately, the old pod terminates and is not counted, and the new pod is pending.
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

    // After 4 s the old pod has left the group. After 10 s it is gone, but still in the metrics.
    let partitions = |name: &str| {
        let loads = world.loads();
        let pod = loads.iter().find(|pod| pod.name == name);
        pod.map(|pod| pod.partitions)
    };
    assert_eq!(partitions(&victim.name), Some(8));
    world.advance(Duration::from_secs(4));
    assert_eq!(partitions(&victim.name), Some(0));
    world.advance(Duration::from_secs(6));
    assert_eq!(partitions(&victim.name), None);
    assert_eq!(actuator.read_pod(&victim).await.unwrap(), PodState::Gone);
    assert_eq!(
        actuator.evict(&victim, false).await,
        EvictionAnswer::AlreadyGone
    );
    let samples = world.metrics().loads().await.unwrap().samples;
    assert!(samples.iter().any(|sample| sample.pod == victim.name));
    assert!(samples.iter().all(|sample| sample.pod != new.name));

    // After a minute the new pod is a member. Its measured load is low for the rest of the window.
    world.advance(Duration::from_secs(50));
    assert_eq!(partitions(&new.name), Some(8));
    assert_eq!(actuator.count_ready(8).await.unwrap(), 8);
    let measured_share = |world: SimWorld, name: String| async move {
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
        sample.measurement.load().unwrap().get() / real.load
    };
    let share = measured_share(world.clone(), new.name.clone()).await;
    assert!((0.01..0.2).contains(&share), "{share}");
    world.advance(Duration::from_secs(300));
    let share = measured_share(world.clone(), new.name.clone()).await;
    assert!((share - 1.0).abs() < 1e-9, "{share}");
    let samples = world.metrics().loads().await.unwrap().samples;
    assert_eq!(samples.len(), 8);
}

#[tokio::test(flavor = "current_thread")]
async fn pod_with_another_uid_is_another_pod() {
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
async fn budget_blocks_with_its_name_and_numbers() {
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
            panic!("the budget does not allow the eviction");
        };
        assert_eq!(budget.as_deref(), Some("consumer-pdb"));
        assert!(
            message.ends_with("budget consumer-pdb needs 7 healthy pods and has 7 currently"),
            "{message}"
        );
    }
    // Once the replacement is ready, the budget allows the next eviction.
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
async fn autoscaler_never_scales() {
    let world = world(SimConfig::default());
    let observed = world.actuator().observe().await.unwrap();
    let [autoscaler] = observed.autoscalers.as_slice() else {
        panic!("expected one autoscaler");
    };
    let autoscaler = &autoscaler.autoscaler;
    assert_eq!(autoscaler.cpu, [CpuMetric::Utilization { percent: 70 }]);
    assert_eq!(autoscaler.current_replicas, autoscaler.desired_replicas);
    assert_eq!(
        world.metrics().autoscalers().await.unwrap(),
        observed.autoscalers
    );
}

/// The range assignor splits the partitions into fixed blocks. Evictions only change their owners.
#[tokio::test(flavor = "current_thread")]
async fn evictions_do_not_change_the_set_of_loads_under_range() {
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
async fn pod_names_have_the_form_of_a_deployment() {
    let world = world(SimConfig::default());
    for pod in pods(&world).await {
        let parts: Vec<_> = pod.name.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 9, 5], "{}", pod.name);
        assert_eq!(pod.uid.0.len(), 36);
    }
}

#[test]
fn time_stops_at_the_end_of_the_calendar() {
    let world = world(SimConfig::default());
    world.advance(Duration::MAX);
    assert_eq!(world.now(), jiff::Timestamp::MAX);
}

#[tokio::test(flavor = "current_thread")]
async fn metrics_report_the_actual_owners_and_rates() {
    let world = world(SimConfig::default());
    let reported = world.metrics().group().await.unwrap().unwrap();
    let rates = reported.rates.as_ref().unwrap();
    for (number, partition) in world.partitions().iter().enumerate() {
        let owner = partition.owner.as_ref().unwrap();
        let sample = &reported.owners[number];
        assert_eq!(sample.partition as usize, number);
        let labels = sample.owner.as_ref().unwrap();
        assert_eq!(labels.pod.as_deref(), Some(owner.pod.as_str()));
        assert_eq!(labels.member_id.as_deref(), Some(owner.member.as_str()));
        let rate = rates[number].rate.as_ref().unwrap().get();
        assert!((rate - partition.rate).abs() < 1e-9 * rate, "{rate}");
    }
    assert_eq!(reported.owners_before.as_ref(), Some(&reported.owners));
}

/// Changes of membership within a heartbeat cause one rebalance of a classic group. Until then the
/// partitions of members that left are unowned; afterwards the metrics report the new owners.
#[tokio::test(flavor = "current_thread")]
async fn classic_group_rebalances_after_a_delay() {
    let config = SimConfig {
        leave_delay: Duration::from_secs(3),
        rebalance_delay: Duration::from_secs(3),
        ..SimConfig::default()
    };
    let world = world(config);
    let unowned = || {
        let partitions = world.partitions();
        partitions.iter().filter(|p| p.owner.is_none()).count()
    };
    for victim in pods(&world).await.iter().take(2) {
        world.actuator().evict(victim, false).await;
    }
    world.advance(Duration::from_secs(4));
    assert_eq!(unowned(), 16, "eight partitions of each of the two pods");
    world.advance(Duration::from_secs(3));
    assert_eq!(unowned(), 0);
    let reported = world.metrics().group().await.unwrap().unwrap();
    assert_ne!(reported.owners_before, Some(reported.owners));
}

/// In the consumer protocol (KIP-848) the broker assigns with each heartbeat.
#[tokio::test(flavor = "current_thread")]
async fn consumer_protocol_assigns_immediately() {
    let world = world(SimConfig::default().with_assignor(Assignor::Uniform));
    world.actuator().evict(&pods(&world).await[0], false).await;
    world.advance(Duration::from_secs(4));
    assert!(world.partitions().iter().all(|p| p.owner.is_some()));
}

/// A static member keeps its partitions until a pod of the same name replaces it, as in a
/// StatefulSet, or its session expires.
#[rstest::rstest]
#[case::stateful_set("StatefulSet", 30, 8)]
#[case::deployment("Deployment", 30, 8)]
#[case::deployment_after_the_session("Deployment", 60, 0)]
#[case::stateful_set_after_the_restart("StatefulSet", 120, 0)]
#[tokio::test(flavor = "current_thread")]
async fn static_member_keeps_its_partitions(
    #[case] kind: &str,
    #[case] after: u64,
    #[case] expected: usize,
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
    let unowned = world
        .partitions()
        .iter()
        .filter(|p| p.owner.is_none())
        .count();
    assert_eq!(unowned, expected);
    // The replacement has the load of the pod that it replaces.
    if kind == "StatefulSet" && expected == 0 {
        let mut loads: Vec<f64> = world.loads().iter().map(|pod| pod.load).collect();
        loads.rotate_right(1);
        assert_eq!(loads, before);
        assert!(world.loads().iter().any(|pod| pod.name == victim.name));
    }
}

#[test]
fn assignor_unsupported_by_the_client_is_rejected() {
    let config = SimConfig {
        assignor: Assignor::Sticky,
        client: ClientFamily::Librdkafka,
        protocol: Protocol::Classic,
        ..SimConfig::default()
    };
    let error = SimWorld::new(config).unwrap_err();
    assert_eq!(error.field, "assignor");
}
