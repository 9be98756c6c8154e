//! Metrics whose labels have other names than those of the kubelet, on real servers.

use std::time::{Duration, Instant};

use ::harness::{CurrentServer, MetricsServer, Result, TestNamespace, metrics::WINDOW};
use futures::future::try_join_all;
use rstest::rstest;

use crate::support::{RunExt as _, SKEWED, VICTIMS, shared::Shared, uids};

/// The settings, in the order of the names in the cases.
const SETTINGS: [&str; 3] = [
    "PROMETHEUS_NAMESPACE_LABEL",
    "PROMETHEUS_POD_LABEL",
    "PROMETHEUS_CONTAINER_LABEL",
];

/// The usual names of the labels, in the same order.
const USUAL: [&str; 3] = ["namespace", "pod", "container"];

/// The names of OpenTelemetry, in the same order.
pub(crate) const WITH_DOTS: [&str; 3] =
    ["k8s.namespace.name", "k8s.pod.name", "k8s.container.name"];

/// The settings for labels with these names.
pub(crate) fn settings(
    names: [&'static str; 3],
) -> impl Iterator<Item = (&'static str, &'static str)> {
    SETTINGS.into_iter().zip(names)
}

/// Starts a current version of both servers, in which the labels have these names.
pub(crate) async fn servers(ns: &TestNamespace, names: [&str; 3]) -> Result<Vec<MetricsServer>> {
    let labels: Vec<(&str, &str)> = USUAL.into_iter().zip(names).collect();
    let servers = CurrentServer::ALL
        .into_iter()
        .map(|server| ns.metrics_server_with_labels(server, &labels));
    try_join_all(servers).await
}

/// Waits until the server has samples of the pods of `consumer` from before the window.
pub(crate) async fn wait_measured(
    ns: &TestNamespace,
    server: &MetricsServer,
    [namespace, _, container]: [&str; 3],
    pods: usize,
) -> Result<()> {
    let own = format!("\"{namespace}\"=\"{}\"", ns.name());
    let series = format!("container_cpu_usage_seconds_total{{{own},\"{container}\"=\"consumer\"}}");
    wait_for_series(server, &series, pods).await
}

/// Waits until the server has samples of as many series from before the window.
pub(crate) async fn wait_for_series(
    server: &MetricsServer,
    selector: &str,
    series: usize,
) -> Result<()> {
    let window = WINDOW.as_secs();
    let query = format!("count(count_over_time({selector}[2s] offset {window}s))");
    let started = Instant::now();
    // VictoriaMetrics needs some seconds until a selector finds new series.
    while server.by_pod(&query).await?.get("").copied() < Some(series as f64) {
        let elapsed = started.elapsed();
        assert!(elapsed < Duration::from_secs(90), "{}", server.name());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    Ok(())
}

/// A name with dots is not proposed: a server of another version would reject the whole search.
#[rstest]
#[case::scrape_without_honor_labels(
    ["exported_namespace", "exported_pod", "exported_container"],
    true
)]
#[case::open_telemetry_with_underscores(
    ["k8s_namespace_name", "k8s_pod_name", "k8s_container_name"],
    true
)]
#[case::open_telemetry_with_dots(WITH_DOTS, false)]
#[tokio::test]
async fn loads_under_other_labels_are_found_and_proposed(
    #[case] names: [&'static str; 3],
    #[case] proposed: bool,
) -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, before) = shared.skewed().await?;
    for server in servers(&shared.ns, names).await? {
        wait_measured(&shared.ns, &server, names, SKEWED.len()).await?;
        let plan = shared
            .ns
            .rebalancer(&consumer)
            .env("PROMETHEUS_ENDPOINT", server.url())
            .arg("plan");
        let configured = plan.clone().envs(settings(names));
        let run = configured.clone().ends_with(0).await?;
        assert_eq!(run.victims(), uids(&before, &VICTIMS), "{}", run.0);
        // The autoscaler as kube-state-metrics reports it.
        let run = configured
            .env("TARGET_SOURCE", "prometheus")
            .ends_with(0)
            .await?;
        assert_eq!(run.victims(), uids(&before, &VICTIMS), "{}", run.0);

        let run = plan.ends_with(1).await?;
        let message = run.held("insufficient_coverage");
        let proposal = settings(names)
            .map(|(setting, name)| format!("{setting}={name}"))
            .collect::<Vec<_>>()
            .join(" ");
        assert_eq!(
            message.contains(&format!("set {proposal}")),
            proposed,
            "{message}"
        );
    }
    Ok(())
}
