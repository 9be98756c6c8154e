//! A simulated group that its brokers describe, as Kafka does.

use rebalancer_core::group::{Assignor, ClientFamily, GroupProblem, Knowledge};
use rebalancer_core::policy::Strategy;
use rebalancer_core::snapshot::GroupSettings;

use super::*;

fn world(described: bool) -> SimWorld {
    SimWorld::new(SimConfig {
        described,
        client: ClientFamily::Librdkafka,
        ..SimConfig::default()
    })
    .unwrap()
}

/// Observes the world with these settings of the group.
fn observed(world: &SimWorld, group: GroupSettings) -> Snapshot {
    let (metrics, actuator, clock) = (world.metrics(), world.actuator(), world.clock());
    let ports = Ports {
        group: Some(&metrics),
        ..Ports::new(&metrics, &actuator, &clock)
    };
    let assemble = AssembleSettings {
        workload: world.config().workload,
        group: Some(group),
        ..settings()
    };
    let policy = Policy::default();
    let settings = RunSettings::new(&assemble, &policy);
    block_on(observe(ports, &settings, None, &Stop::never())).unwrap()
}

fn forecast(snapshot: &Snapshot) -> Decision {
    let policy = Policy {
        strategy: Strategy::Forecast,
        ..Policy::default()
    };
    decide(snapshot, &policy)
}

/// Metrics need the operator's settings for the same forecast.
#[test]
fn forecast_needs_no_settings() {
    let by_metrics = observed(
        &world(false),
        GroupSettings {
            assignor: Some(Assignor::CooperativeSticky),
            client: Some(ClientFamily::Librdkafka),
            ..GroupSettings::default()
        },
    );
    let by_brokers = observed(&world(true), GroupSettings::default());
    let (by_metrics, by_brokers) = (forecast(&by_metrics), forecast(&by_brokers));
    assert_eq!(
        by_brokers.action, by_metrics.action,
        "{}",
        by_brokers.message
    );
    let (of_metrics, of_brokers) = (by_metrics.group.unwrap(), by_brokers.group.unwrap());
    assert!(of_brokers.chosen.is_some());
    assert_eq!(of_brokers.plans, of_metrics.plans);
    assert_eq!(of_brokers.pods, of_metrics.pods);
    assert_eq!(of_brokers.client, ClientFamily::Librdkafka);
    assert_eq!(of_brokers.assignor.known, Knowledge::Reported);
    assert_eq!(of_metrics.assignor.known, Knowledge::Set);
}

#[test]
fn rebalance_is_not_settled() {
    let world = world(true);
    let snapshot = observed(&world, GroupSettings::default());
    assert!(snapshot.group_model().is_ok());
    let (actuator, clock) = (world.actuator(), world.clock());
    block_on(async {
        let pod = snapshot.pods()[0].reference();
        assert_eq!(actuator.evict(&pod, false).await, EvictionAnswer::Evicted);
        // The member leaves after 3 s, and the other members rebalance 3 s later.
        clock.sleep(Duration::from_secs(4)).await;
    });
    let problem = observed(&world, GroupSettings::default()).group_model();
    assert_eq!(
        problem.unwrap_err(),
        GroupProblem::NotStable {
            state: "PreparingRebalance".into()
        }
    );
}
