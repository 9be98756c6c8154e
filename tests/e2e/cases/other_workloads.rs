//! Pods of other workloads are not touched.

use ::harness::{Result, Target, TestNamespace, WorkloadSpec};

use crate::support::{RunExt as _, assert_untouched};

/// Same namespace, container name and labels: only the owner distinguishes the pods.
#[tokio::test]
async fn pods_of_another_workload_with_the_same_container_are_ignored() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let spec = WorkloadSpec::deployment("consumer").loads([1.2, 1.1, 0.8, 0.6, 0.4, 0.3]);
    let other = WorkloadSpec::deployment("neighbour")
        .container("consumer")
        .label("app", "consumer")
        .label("part", "neighbour")
        .loads([2.0, 1.9, 0.02, 0.01]);
    let (consumer, neighbour) = tokio::try_join!(ns.create(spec), ns.create(other))?;
    ns.autoscale(&consumer, Target::Utilization(70)).await?;
    tokio::try_join!(consumer.wait_measured(), neighbour.wait_measured())?;
    let (before, others) = (consumer.pods().await?, neighbour.pods().await?);

    // Ten pods match the selector, and six belong to the workload: the minimum counts these six.
    let program = ns.rebalancer(&consumer);
    let run = program
        .clone()
        .env("KUBE_LABEL_SELECTOR", "app=consumer")
        .ends_with(0)
        .await?;
    let message = run.held("minimum_pods");
    run.assert_says(
        &message,
        &["evicting 4 of 6 ready pods at once would leave 2"],
    );

    let run = program
        .env("MINIMUM_PODS_REQUIRED", "2")
        .ends_with(0)
        .await?;
    let victims = run.victims();
    assert_eq!(victims.len(), 4, "{}", run.0);
    for uid in &victims {
        assert!(before.iter().any(|pod| pod.uid == *uid), "{}", run.0);
    }
    consumer.wait_ready().await?;
    assert_untouched(&neighbour, &others).await
}

#[tokio::test]
async fn one_file_configures_several_workloads() -> Result<()> {
    let shared = crate::support::shared::Shared::open().await?;
    let file = shared.ns.dir().join("several.yaml");
    std::fs::write(
        &file,
        "workloads:\n- deployment_name: consumer\n- deployment_name: balanced\n",
    )
    .unwrap();
    let run = shared
        .ns
        .rebalancer_for("")
        .without_env("DEPLOYMENT_NAME")
        .args(["plan", "--config"])
        .arg(file)
        .ends_with(0)
        .await?;
    let report = run.report();
    let of = |place: usize| {
        let workload = &report["workloads"][place];
        (
            workload["workload"]["name"].as_str().unwrap(),
            workload["decision"]["action"].as_str().unwrap(),
        )
    };
    assert_eq!(
        [of(0), of(1)],
        [("consumer", "rotate"), ("balanced", "hold")]
    );
    Ok(())
}
