//! The metrics servers: Prometheus and VictoriaMetrics.

use std::{
    collections::BTreeMap,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use crate::{
    Error, Result, assets,
    http::{get, percent_encode},
    process::{Server, free_port, server_dir, with_ports},
};

/// The rate window of the tests: ten scrape intervals.
pub const WINDOW: Duration = Duration::from_secs(10);

/// Start-up deadline of a metrics server.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// A running metrics server that scrapes the harness's exporter every second.
#[derive(Debug)]
pub struct MetricsServer {
    name: &'static str,
    address: SocketAddr,
    // Stopped when dropped.
    _server: Server,
}

impl MetricsServer {
    /// Starts Prometheus (`prometheus` in `PATH`, or `PROMETHEUS_BIN`).
    ///
    /// # Errors
    /// When the program is missing or does not become ready.
    pub async fn prometheus(exporter: SocketAddr) -> Result<Self> {
        let program = assets::metrics_program("prometheus", "PROMETHEUS_BIN")?;
        with_ports(async || {
            let (dir, config, address) = prepare("prometheus", exporter)?;
            let args = [
                format!("--config.file={}", config.display()),
                format!("--storage.tsdb.path={}", dir.join("data").display()),
                format!("--web.listen-address={address}"),
                "--log.level=warn".to_owned(),
            ];
            let server = Server::spawn("prometheus", &program, args, dir)?;
            Self::ready("prometheus", server, address, "/-/ready").await
        })
        .await
    }

    /// Starts VictoriaMetrics (`victoria-metrics` in `PATH`, or `VICTORIA_METRICS_BIN`).
    ///
    /// # Errors
    /// When the program is missing or does not become ready.
    pub async fn victoria_metrics(exporter: SocketAddr) -> Result<Self> {
        let program = assets::metrics_program("victoria-metrics", "VICTORIA_METRICS_BIN")?;
        with_ports(async || {
            let (dir, config, address) = prepare("victoria-metrics", exporter)?;
            let args = [
                format!("-promscrape.config={}", config.display()),
                format!("-storageDataPath={}", dir.join("data").display()),
                format!("-httpListenAddr={address}"),
                // The tests need the newest samples, which cached responses lack.
                "-search.latencyOffset=0s".to_owned(),
                "-search.disableCache".to_owned(),
                "-memory.allowedBytes=256MB".to_owned(),
                "-loggerLevel=WARN".to_owned(),
            ];
            let server = Server::spawn("victoria-metrics", &program, args, dir)?;
            Self::ready("victoria-metrics", server, address, "/health").await
        })
        .await
    }

    async fn ready(
        name: &'static str,
        mut server: Server,
        address: SocketAddr,
        path: &str,
    ) -> Result<Self> {
        server
            .wait_ready(START_DEADLINE, async || match get(address, path).await {
                Ok((200, _)) => Ok(()),
                Ok((status, body)) => Err(format!("{path} answered {status}: {body}")),
                Err(error) => Err(error.to_string()),
            })
            .await?;
        Ok(Self {
            name,
            address,
            _server: server,
        })
    }

    /// The server's name: `prometheus` or `victoria-metrics`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The base URL, for `PROMETHEUS_ENDPOINT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The server's address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Evaluates an instant query now. Returns the values by the label `pod`.
    ///
    /// # Errors
    /// When the server rejects the query, or the response is not an instant vector.
    pub async fn by_pod(&self, query: &str) -> Result<BTreeMap<String, f64>> {
        let path = format!("/api/v1/query?query={}", percent_encode(query));
        let (status, body) = get(self.address, &path).await?;
        if status != 200 {
            return Err(Error::Answer {
                url: format!("{}{path}", self.url()),
                status,
                body,
            });
        }
        let what = || format!("the answer of {} to {query}", self.name);
        let answer: Answer = serde_json::from_str(&body).map_err(Error::document(what()))?;
        answer
            .data
            .result
            .into_iter()
            .map(|series| {
                let value = series.value.1.parse().map_err(Error::document(what()))?;
                Ok((series.metric.get("pod").cloned().unwrap_or_default(), value))
            })
            .collect()
    }

    /// The load of every pod with a container of that name, in cores, over [`WINDOW`].
    ///
    /// # Errors
    /// As [`Self::by_pod`].
    pub async fn loads(&self, namespace: &str, container: &str) -> Result<BTreeMap<String, f64>> {
        let window = WINDOW.as_secs();
        self.by_pod(&format!(
            "sum by (pod) (rate(container_cpu_usage_seconds_total\
             {{namespace=\"{namespace}\",container=\"{container}\"}}[{window}s]))"
        ))
        .await
    }
}

#[derive(serde::Deserialize)]
struct Answer {
    data: Data,
}

#[derive(serde::Deserialize)]
struct Data {
    result: Vec<Series>,
}

#[derive(serde::Deserialize)]
struct Series {
    metric: BTreeMap<String, String>,
    value: (f64, String),
}

/// Creates the server's directory and scrape configuration, and chooses its address.
fn prepare(name: &str, exporter: SocketAddr) -> Result<(PathBuf, PathBuf, SocketAddr)> {
    let dir = server_dir(name)?;
    let config = dir.join("scrape.yaml");
    // Both servers accept this format.
    let text = format!(
        "global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\nscrape_configs:\n\
         - job_name: kubelet\n  metrics_path: /metrics/cadvisor\n  static_configs:\n  - targets: ['{exporter}']\n\
         - job_name: kube-state-metrics\n  metrics_path: /metrics\n  honor_labels: true\n  static_configs:\n  - targets: ['{exporter}']\n\
         - job_name: fake_exporters\n  metrics_path: /metrics/fake_exporters\n  honor_labels: true\n  static_configs:\n  - targets: ['{exporter}']\n\
         - job_name: pods\n  metrics_path: /metrics/pods\n  honor_labels: true\n  static_configs:\n  - targets: ['{exporter}']\n"
    );
    fs::write(&config, text).map_err(Error::io(format!("write {}", config.display())))?;
    Ok((
        dir,
        config,
        SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?)),
    ))
}
