//! The default world under `decide` and the default policy: it needs two rotations.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests may panic"
)]

use std::time::Duration;

use rebalancer_core::ports::{Clock, EvictionAnswer, MetricsSource, PodActuator};
use rebalancer_core::snapshot::{AssembleSettings, assemble};
use rebalancer_core::{Decision, Policy, decide};
use rebalancer_sim::{SimConfig, SimWorld};

async fn decide_now(world: &SimWorld) -> Decision {
    let config = world.config();
    let settings = AssembleSettings {
        container: config.workload.name.clone(),
        workload: config.workload,
        hpa_prefix: String::new(),
        target: None,
        group: None,
    };
    let loads = world.metrics().loads().await.unwrap();
    let workload = world.actuator().observe().await.unwrap();
    let snapshot = assemble(&settings, loads, workload, Vec::new(), None)
        .unwrap()
        .snapshot;
    decide(&snapshot, &Policy::default())
}

#[tokio::test(flavor = "current_thread")]
async fn default_world_rotates_twice_and_then_holds() {
    let world = SimWorld::new(SimConfig::default()).unwrap();
    let mut evicted = Vec::new();
    for tick in 0..5 {
        let decision = decide_now(&world).await;
        println!("{}", decision.message);
        let mut count = 0;
        if let Some(plan) = decision.plan() {
            for victim in plan.victims() {
                let answer = world.actuator().evict(&victim.reference(), false).await;
                assert_eq!(answer, EvictionAnswer::Evicted);
                count += 1;
            }
            // While the replacements warm up, the decision is to hold.
            world.clock().sleep(Duration::from_secs(120)).await;
            let soon = decide_now(&world).await;
            assert!(soon.plan().is_none(), "tick {tick}: {}", soon.message);
            println!("  two minutes later: {}", soon.message);
            world.clock().sleep(Duration::from_secs(480)).await;
        } else {
            world.clock().sleep(Duration::from_secs(600)).await;
        }
        evicted.push(count);
    }
    assert_eq!(evicted, [4, 4, 0, 0, 0]);
}
