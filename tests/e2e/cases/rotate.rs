//! An imbalanced workload is evened out.

use ::harness::{Result, TestNamespace, WorkloadSpec};
use rstest::rstest;
use serde_json::json;

use crate::gates::observed;
use crate::support::{RunExt as _, VICTIMS, assert_untouched, shared::Shared, skewed, uids};

#[rstest]
#[case::prometheus(0)]
#[case::victoria_metrics(1)]
#[case::current_prometheus(2)]
#[case::current_victoria_metrics(3)]
#[tokio::test]
async fn two_hottest_and_two_coldest_are_evicted_and_replaced(#[case] server: usize) -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = skewed(&ns, WorkloadSpec::deployment("consumer")).await?;
    let before = consumer.pods().await?;
    let expected = uids(&before, &VICTIMS);
    let urls = ns.metrics_servers().map(|server| server.url());
    let program = |url: &str| ns.rebalancer(&consumer).env("PROMETHEUS_ENDPOINT", url);
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
        json!({"namespace": ns.name(), "kind": "Deployment", "name": "consumer"})
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
async fn replaced_stateful_set_pods_keep_their_names() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = skewed(&ns, WorkloadSpec::stateful_set("consumer")).await?;
    let before = consumer.pods().await?;
    let run = ns.rebalancer(&consumer).ends_with(0).await?;
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
async fn other_kinds_are_read_through_their_scale() -> Result<()> {
    let shared = Shared::open().await?;
    let (_, pods) = shared.skewed().await?;
    let (replica_set, _) = pods[0].name.rsplit_once('-').unwrap();
    let run = shared
        .ns
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
async fn next_run_waits_for_the_replacements_to_settle() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = skewed(&ns, WorkloadSpec::deployment("consumer")).await?;
    let first = ns.rebalancer(&consumer).ends_with(0).await?;
    assert_eq!(first.outcomes(), ["evicted"; 4]);
    let after = consumer.wait_ready().await?;
    // The record of the rotation is an annotation, which the controller observes later.
    observed(&ns, "consumer").await?;
    let second = ns
        .rebalancer(&consumer)
        .env("COOLDOWN", "5m")
        .ends_with(0)
        .await?;
    let message = second.held("group_not_settled");
    second.assert_says(&message, &["cooldown 300 s"]);
    assert_untouched(&consumer, &after).await
}
