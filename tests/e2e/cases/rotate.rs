//! An imbalanced workload is evened out.

use ::harness::{Result, WorkloadSpec, World};
use rstest::rstest;
use serde_json::json;

use crate::support::{RunExt as _, VICTIMS, assert_untouched, shared::Shared, skewed, uids};

#[rstest]
#[case::prometheus(0)]
#[case::victoria_metrics(1)]
#[tokio::test]
async fn the_two_hottest_and_the_two_coldest_are_evicted_and_replaced(
    #[case] server: usize,
) -> Result<()> {
    let world = World::start().await?;
    let consumer = skewed(&world, WorkloadSpec::deployment("consumer")).await?;
    let before = consumer.pods().await?;
    let expected = uids(&before, &VICTIMS);
    let urls = [world.prometheus().url(), world.victoria_metrics().url()];
    let program = |url: &str| world.rebalancer(&consumer).env("PROMETHEUS_ENDPOINT", url);
    for url in &urls {
        let plan = program(url).arg("plan").ends_with(0).await?;
        assert_eq!(plan.victims(), expected, "{}", plan.0);
    }
    assert_untouched(&consumer, &before).await?;

    let run = program(&urls[server]).ends_with(0).await?;
    let workload = run.workload();
    assert_eq!(run.victims(), expected);
    assert_eq!(run.outcomes(), ["evicted"; 4]);
    assert_eq!(
        workload["workload"],
        json!({"namespace": world.namespace(), "kind": "Deployment", "name": "consumer"})
    );
    assert_eq!(workload["execution"]["outcome"], "completed");
    let after = consumer.wait_ready().await?;
    for (place, pod) in before.iter().enumerate() {
        let stayed = after.iter().any(|other| other.uid == pod.uid);
        assert_eq!(stayed, !VICTIMS.contains(&place), "{}", pod.name);
    }
    Ok(())
}

#[tokio::test]
async fn the_pods_of_a_stateful_set_change_and_keep_their_names() -> Result<()> {
    let world = World::start().await?;
    let consumer = skewed(&world, WorkloadSpec::stateful_set("consumer")).await?;
    let before = consumer.pods().await?;
    let run = world.rebalancer(&consumer).ends_with(0).await?;
    assert_eq!(run.victims(), uids(&before, &VICTIMS));
    assert_eq!(run.workload()["workload"]["kind"], "StatefulSet");
    let after = consumer.wait_ready().await?;
    for (place, (old, new)) in before.iter().zip(&after).enumerate() {
        assert_eq!(old.name, new.name);
        assert_eq!(
            old.uid == new.uid,
            !VICTIMS.contains(&place),
            "{}",
            old.name
        );
    }
    Ok(())
}

/// The Deployment's ReplicaSet stands for any other kind with a scale subresource.
#[tokio::test]
async fn another_kind_is_read_through_its_scale() -> Result<()> {
    let shared = Shared::open().await?;
    let (_, pods) = shared.skewed().await?;
    let (replica_set, _) = pods[0].name.rsplit_once('-').unwrap();
    let run = shared
        .world
        .rebalancer_for(replica_set)
        .env("WORKLOAD_KIND", "ReplicaSet.v1.apps")
        .env("CONTAINER_NAME", "consumer")
        .env("TARGET_CORES", "0.7")
        .env("DRY_RUN", "true")
        .ends_with(0)
        .await?;
    assert_eq!(run.victims(), uids(&pods, &VICTIMS));
    assert_eq!(run.workload()["workload"]["kind"], "ReplicaSet.v1.apps");
    Ok(())
}

/// The replacement of a hot pod is distinguished from the pods that existed before.
#[tokio::test]
async fn the_next_run_lets_the_replacements_settle() -> Result<()> {
    let world = World::start().await?;
    let consumer = skewed(&world, WorkloadSpec::deployment("consumer")).await?;
    let first = world.rebalancer(&consumer).ends_with(0).await?;
    assert_eq!(first.outcomes(), ["evicted"; 4]);
    let after = consumer.wait_ready().await?;
    let second = world
        .rebalancer(&consumer)
        .env("COOLDOWN", "5m")
        .ends_with(0)
        .await?;
    let message = second.held("group_not_settled");
    second.assert_says(&message, &["cooldown 300 s"]);
    assert_untouched(&consumer, &after).await
}
