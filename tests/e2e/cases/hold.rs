//! Holds: no pod is evicted, and the report says why.

use ::harness::{Result, Target, TestNamespace, WorkloadSpec};
use rstest::rstest;

use crate::support::{RunExt as _, assert_untouched, shared::Shared};

#[tokio::test]
async fn holds_on_a_balanced_workload() -> Result<()> {
    let shared = Shared::open().await?;
    let balanced = shared.workload("balanced");
    let before = balanced.pods().await?;
    for server in shared.ns.metrics_servers() {
        let program = shared.ns.rebalancer(&balanced);
        let program = program.env("PROMETHEUS_ENDPOINT", server.url());
        let run = program.ends_with(0).await?;
        let message = run.held("within_tolerance");
        run.assert_says(&message, &["1.050 cores", "1.5 × target 0.700"]);
    }
    assert_untouched(&balanced, &before).await
}

#[rstest]
#[case("TOLERANCE_MULTIPLIER", "2", "within_tolerance", &["threshold of 1.400 cores"])]
#[case("MINIMUM_IMPROVEMENT_PERCENT", "41", "improvement_too_small", &["40.0 %", "more than 41 %"])]
#[case("MINIMUM_PODS_REQUIRED", "5", "minimum_pods",
    &["4 of 8 ready pods at once would leave 4", "the minimum of 5 ready pods", "at most 3 pods"])]
#[case("COOLDOWN", "24h", "group_not_settled", &["cooldown 24.0 h"])]
#[case("MINIMUM_POD_AGE", "24h", "no_eligible_pods", &["0 of 8 pods are eligible: 8 too_young"])]
#[tokio::test]
async fn unbalanced_workload_holds_if_a_rule_forbids_evictions(
    #[case] variable: &str,
    #[case] value: &str,
    #[case] reason: &str,
    #[case] says: &[&str],
) -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, before) = shared.skewed().await?;
    let run = shared
        .ns
        .rebalancer(&consumer)
        .env(variable, value)
        .ends_with(0)
        .await?;
    let message = run.held(reason);
    run.assert_says(&message, says);
    assert_untouched(&consumer, &before).await
}

#[tokio::test]
async fn rollout_in_progress_holds() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = ns
        .create(WorkloadSpec::deployment("consumer").pods(4))
        .await?;
    ns.hold_new_pods(true);
    consumer.roll_out().await?;
    // Without an autoscaler: the rollout is the reason, although the target is unknown too.
    let run = ns.rebalancer(&consumer).ends_with(1).await?;
    run.held("rollout_in_progress");
    let program = ns.rebalancer(&consumer).env("TARGET_CORES", "0.7");
    let run = program.ends_with(0).await?;
    let message = run.held("rollout_in_progress");
    assert!(
        message.contains("rollout or scaling is in progress") || message.contains("generation"),
        "{message}"
    );
    Ok(())
}

#[tokio::test]
async fn scaling_autoscaler_holds() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = ns
        .create(WorkloadSpec::deployment("consumer").pods(4))
        .await?;
    ns.autoscale(&consumer, Target::Utilization(70)).await?;
    ns.set_autoscaler_status("consumer", 4, 6).await?;
    let before = consumer.pods().await?;
    let run = ns.rebalancer(&consumer).ends_with(0).await?;
    let message = run.held("autoscaler_scaling");
    run.assert_says(&message, &["consumer is scaling from 4 to 6 replicas"]);
    assert_untouched(&consumer, &before).await
}

/// A new pod has used little CPU so far and would always be among the coldest.
#[tokio::test]
async fn young_pod_is_never_a_victim() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let spec = WorkloadSpec::deployment("consumer").loads([1.3, 0.8, 0.7, 0.6, 0.5, 0.4]);
    let consumer = ns.create(spec.replacement_load(0.05)).await?;
    ns.autoscale(&consumer, Target::Utilization(70)).await?;
    consumer.wait_measured().await?;
    let before = consumer.pods().await?;
    ns.evict(&before[5]).await?;
    let after = consumer.wait_ready().await?;
    let newcomer = after
        .iter()
        .find(|pod| before.iter().all(|old| old.uid != pod.uid))
        .unwrap();
    consumer.wait_measured().await?;

    // The ages come from the snapshot, so the duration of the run does not matter.
    let snapshot = ns.dir().join("snapshot.json");
    let plan = ns
        .rebalancer(&consumer)
        .env("COOLDOWN", "0s")
        .args(["plan", "--save"])
        .arg(&snapshot)
        .ends_with(0)
        .await?;
    assert!(plan.victims().contains(&newcomer.uid), "{}", plan.0);
    let pods = plan.workload();
    let pods = pods["pods"].as_array().unwrap();
    let age = pods.iter().find(|pod| pod["uid"] == newcomer.uid.as_str());
    let age = age.unwrap()["age_seconds"].as_f64().unwrap();
    let decide = ::harness::Rebalancer::new()
        .env("COOLDOWN", "0s")
        .env("MINIMUM_POD_AGE", format!("{}ms", (age + 2.0) * 1000.0))
        .env("OUTPUT", "json")
        .args(["decide", "--snapshot"])
        .arg(&snapshot)
        .run()
        .await?;
    let decision = crate::support::Outcome(decide.clone()).workload();
    assert_eq!(decision["decision"]["action"], "rotate", "{decide}");
    let pods = decision["pods"].as_array().unwrap();
    let young: Vec<_> = pods
        .iter()
        .filter(|pod| pod["eligible"] == false)
        .map(|pod| (pod["uid"].as_str().unwrap(), &pod["reasons"][0]["reason"]))
        .collect();
    assert_eq!(young, [(newcomer.uid.as_str(), &"too_young".into())]);
    Ok(())
}

#[tokio::test]
async fn annotated_pod_is_not_a_victim() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = crate::support::skewed(&ns, WorkloadSpec::deployment("consumer")).await?;
    let before = consumer.pods().await?;
    consumer
        .annotate(&before[1], "rebalancer.io/skip", "true")
        .await?;
    let plan = ns.rebalancer(&consumer).arg("plan").ends_with(0).await?;
    assert!(!plan.victims().contains(&before[1].uid), "{}", plan.0);
    assert!(plan.victims().contains(&before[4].uid), "{}", plan.0);
    Ok(())
}
