//! Metrics whose labels have other names than those of the kubelet, on real servers.

use std::time::{Duration, Instant};

use ::harness::{CurrentServer, MetricsServer, Rebalancer, Result};
use futures::future::try_join_all;
use rstest::rstest;

use crate::support::{RunExt as _, SKEWED, VICTIMS, shared::Shared, uids};

/// The settings, in the order of the names in the cases.
const SETTINGS: [&str; 3] = [
    "PROMETHEUS_NAMESPACE_LABEL",
    "PROMETHEUS_POD_LABEL",
    "PROMETHEUS_CONTAINER_LABEL",
];

/// Waits until the server has samples of the skewed workload for the whole window.
async fn wait_measured(server: &MetricsServer, container_label: &str) -> Result<()> {
    let series = format!("container_cpu_usage_seconds_total{{\"{container_label}\"=\"consumer\"}}");
    let query = format!("count(count_over_time({series}[2s] offset 9s))");
    let started = Instant::now();
    // VictoriaMetrics needs some seconds until a selector finds new series.
    while server.by_pod(&query).await?.get("").copied() < Some(SKEWED.len() as f64) {
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
#[case::open_telemetry_with_dots(
    ["k8s.namespace.name", "k8s.pod.name", "k8s.container.name"],
    false
)]
#[tokio::test]
async fn loads_under_other_labels_are_found_and_proposed(
    #[case] names: [&'static str; 3],
    #[case] proposed: bool,
) -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, before) = shared.skewed().await?;
    let labels: Vec<(&str, &str)> = ["namespace", "pod", "container"]
        .into_iter()
        .zip(names)
        .collect();
    let servers = CurrentServer::ALL
        .into_iter()
        .map(|server| shared.ns.metrics_server_with_labels(server, &labels));
    for server in try_join_all(servers).await? {
        wait_measured(&server, names[2]).await?;
        let plan = |settings: &[(&'static str, &str)]| -> Rebalancer {
            shared
                .ns
                .rebalancer(&consumer)
                .env("PROMETHEUS_ENDPOINT", server.url())
                .envs(settings.iter().copied())
                .arg("plan")
        };
        let settings: Vec<(&str, &str)> = SETTINGS.into_iter().zip(names).collect();
        let run = plan(&settings).ends_with(0).await?;
        assert_eq!(run.victims(), uids(&before, &VICTIMS), "{}", run.0);

        let run = plan(&[]).ends_with(1).await?;
        let message = run.held("insufficient_coverage");
        let proposal = settings
            .iter()
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
