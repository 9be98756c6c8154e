//! The target from every kind of autoscaler.

use std::time::Duration;

use ::harness::{Rebalancer, Result, Series, Target, TestNamespace, WorkloadSpec};
use rstest::rstest;

use crate::support::{Outcome, RunExt as _, shared::Shared};

fn plan(shared: &Shared, workload: &str) -> Rebalancer {
    let program = shared.ns.rebalancer_for(workload);
    program.arg("plan").env("MINIMUM_PODS_REQUIRED", "1")
}

fn target(run: &Outcome) -> f64 {
    run.workload()["analysis"]["target"].as_f64().unwrap()
}

#[rstest]
// 70 % of 1 core, and 70 % of 500m without the request of the sidecar, which the message says.
#[case("consumer", 0.7, &["70 %", "mean request 1.000 cores"])]
#[case("accompanied", 0.35, &["the 0.100 cores that other containers of the pods request"])]
#[case("average", 0.6, &["HorizontalPodAutoscaler average"])]
#[case("contained", 0.4, &["80 %", "container contained"])]
#[tokio::test]
async fn target_comes_from_the_autoscaler(
    #[case] workload: &str,
    #[case] expected: f64,
    #[case] says: &[&str],
) -> Result<()> {
    let shared = Shared::open().await?;
    let run = plan(&shared, workload).ends_with(0).await?;
    assert!((target(&run) - expected).abs() < 1e-9, "{}", run.0);
    let check = run.check("target");
    run.assert_says(check["message"].as_str().unwrap(), says);
    Ok(())
}

#[rstest]
#[case("consumer")]
#[case("average")]
#[case("contained")]
#[tokio::test]
async fn kube_state_metrics_give_the_same_target(
    #[case] workload: &str,
    #[values(0, 1, 2, 3)] server: usize,
) -> Result<()> {
    let shared = Shared::open().await?;
    let server = shared.ns.metrics_servers()[server];
    let program = plan(&shared, workload).env("PROMETHEUS_ENDPOINT", server.url());
    let kubernetes = program.clone().ends_with(0).await?;
    let metrics = program
        .env("TARGET_SOURCE", "prometheus")
        .ends_with(0)
        .await?;
    assert_eq!(target(&metrics), target(&kubernetes));
    assert_eq!(metrics.victims(), kubernetes.victims());
    Ok(())
}

#[rstest]
#[case("without-autoscaler", &["no HorizontalPodAutoscaler scales the workload", "name prefix", "fixed target"])]
#[case("disagreed", &["give different targets", "of-the-team: ", "70 %", "of-the-platform: ", "50 %"])]
#[case("beside", &["no autoscaler has a CPU metric of container beside", "container proxy"])]
#[case("modest", &["container modest of pod modest-", "has no CPU request"])]
#[tokio::test]
async fn without_a_target_no_pod_is_evicted_and_the_message_lists_what_was_found(
    #[case] workload: &str,
    #[case] says: &[&str],
) -> Result<()> {
    let shared = Shared::open().await?;
    let run = plan(&shared, workload).ends_with(1).await?;
    let message = run.held("target_unknown");
    run.assert_says(&message, says);
    // TARGET_CORES has precedence.
    let run = plan(&shared, workload)
        .env("TARGET_CORES", "0.45")
        .ends_with(0)
        .await?;
    assert_eq!(target(&run), 0.45);
    Ok(())
}

/// An autoscaler with the workload's name that scales another object is not used.
#[tokio::test]
async fn an_autoscaler_of_another_object_is_not_used_for_its_name() -> Result<()> {
    let shared = Shared::open().await?;
    let ns = &shared.ns;
    let elsewhere = ns.workload(WorkloadSpec::deployment("elsewhere"));
    ns.autoscale_named("without-autoscaler", &elsewhere, Target::Utilization(10))
        .await?;
    let run = plan(&shared, "without-autoscaler").ends_with(1).await?;
    run.held("target_unknown");
    Ok(())
}

#[tokio::test]
async fn autoscaler_is_found_by_name_if_none_refers_to_the_workload() -> Result<()> {
    let shared = Shared::open().await?;
    let program = plan(&shared, "named-after");
    program.clone().ends_with(1).await?.held("target_unknown");
    let run = program.env("HPA_PREFIX", "keda-hpa-").ends_with(0).await?;
    assert_eq!(target(&run), 0.9);
    let check = run.check("target");
    run.assert_says(
        check["message"].as_str().unwrap(),
        &["keda-hpa-named-after"],
    );
    Ok(())
}

/// kube-state-metrics without `honor_labels`: `namespace` is its own namespace.
#[tokio::test]
async fn autoscaler_is_found_by_its_exported_namespace() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = ns
        .create(WorkloadSpec::deployment("consumer").pods(3))
        .await?;
    consumer.wait_measured().await?;
    let labels = format!(
        "namespace=\"monitoring\",exported_namespace=\"{}\",horizontalpodautoscaler=\"scraped\"",
        ns.name()
    );
    let series = |metric: &str, more: &str, value: f64| {
        let name = format!("kube_horizontalpodautoscaler_{metric}{{{labels}{more}}}");
        Series::gauge(name, value)
    };
    ns.expose(
        "kube-state-metrics",
        vec![
            series(
                "info",
                ",scaletargetref_kind=\"Deployment\",scaletargetref_name=\"consumer\"",
                1.0,
            ),
            series(
                "spec_target_metric",
                ",metric_name=\"cpu\",metric_target_type=\"utilization\"",
                60.0,
            ),
            // Both have the same labels.
            series("status_current_replicas", "", 3.0),
            series("status_desired_replicas", "", 3.0),
        ],
    );
    for server in [ns.prometheus(), ns.victoria_metrics()] {
        let query = format!(
            "label_replace(count(kube_horizontalpodautoscaler_status_desired_replicas{{{labels}}}),\
             \"pod\",\"any\",\"\",\"\")"
        );
        while server.by_pod(&query).await?.is_empty() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let run = ns
            .rebalancer(&consumer)
            .arg("plan")
            .env("PROMETHEUS_ENDPOINT", server.url())
            .env("TARGET_SOURCE", "prometheus")
            .env("COOLDOWN", "0s")
            .ends_with(0)
            .await?;
        assert!((target(&run) - 0.6).abs() < 1e-9, "{}", run.0);
        let scaling = &run.check("autoscaler")["scaling"];
        assert_eq!(
            (&scaling["current"], &scaling["desired"]),
            (&3.into(), &3.into())
        );
    }
    Ok(())
}
