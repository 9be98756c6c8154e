//! The metrics servers: Prometheus and VictoriaMetrics.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    Error, Result,
    assets::{self, CurrentServer},
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
    /// If the program is missing or does not become ready.
    pub async fn prometheus(exporter: SocketAddr) -> Result<Self> {
        let program = assets::installed_program("prometheus", "PROMETHEUS_BIN")?;
        Self::start_prometheus("prometheus", &program, exporter).await
    }

    /// Starts VictoriaMetrics (`victoria-metrics` in `PATH`, or `VICTORIA_METRICS_BIN`).
    ///
    /// # Errors
    /// If the program is missing or does not become ready.
    pub async fn victoria_metrics(exporter: SocketAddr) -> Result<Self> {
        let program = assets::installed_program("victoria-metrics", "VICTORIA_METRICS_BIN")?;
        Self::start_victoria_metrics("victoria-metrics", &program, exporter).await
    }

    /// Starts Prometheus with another target: it scrapes only this address, with `honor_labels`,
    /// and evaluates the rules of these files every second.
    ///
    /// # Errors
    /// If the program is missing or does not become ready.
    pub async fn scraping(target: SocketAddr, rules: &[&Path]) -> Result<Self> {
        let program = assets::installed_program("prometheus", "PROMETHEUS_BIN")?;
        with_ports(async || {
            let dir = server_dir("prometheus")?;
            let config = dir.join("prometheus.yaml");
            let files: Vec<String> = rules
                .iter()
                .map(|file| format!("- {}\n", file.display()))
                .collect();
            let text = format!(
                "global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}\n\
                 rule_files:\n{}scrape_configs:\n- job_name: target\n  honor_labels: true\n  \
                 static_configs:\n  - targets: ['{target}']\n",
                files.concat()
            );
            fs::write(&config, text).map_err(Error::io(format!("write {}", config.display())))?;
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
            let server = Self::spawn_prometheus(&program, &config, address, dir)?;
            Self::ready("prometheus of one target", server, address, "/-/ready").await
        })
        .await
    }

    /// Starts a server that was built from its Go module.
    ///
    /// # Errors
    /// If the build fails, or the program does not become ready.
    pub async fn current(server: CurrentServer, exporter: SocketAddr) -> Result<Self> {
        // A build takes minutes, and would stop the tasks of this thread.
        let program = tokio::task::spawn_blocking(move || server.program().locate())
            .await
            .map_err(Error::document("the end of a build"))??;
        match server {
            CurrentServer::Prometheus => {
                Self::start_prometheus("current prometheus", &program, exporter).await
            }
            CurrentServer::VictoriaMetrics => {
                Self::start_victoria_metrics("current victoria-metrics", &program, exporter).await
            }
        }
    }

    /// Starts a current server that renames labels: pairs of the usual name and the new one.
    ///
    /// # Errors
    /// If the build fails, or the program does not become ready.
    pub(crate) async fn renaming(
        server: CurrentServer,
        exporter: SocketAddr,
        labels: &[(&str, &str)],
    ) -> Result<Self> {
        let program = tokio::task::spawn_blocking(move || server.program().locate())
            .await
            .map_err(Error::document("the end of a build"))??;
        let rules = renaming_rules(labels);
        match server {
            CurrentServer::Prometheus => {
                let name = "prometheus with other labels";
                Self::start_prometheus_with(name, &program, exporter, &rules).await
            }
            CurrentServer::VictoriaMetrics => {
                let name = "victoria-metrics with other labels";
                Self::start_victoria_metrics_with(name, &program, exporter, &rules).await
            }
        }
    }

    async fn start_prometheus(
        name: &'static str,
        program: &Path,
        exporter: SocketAddr,
    ) -> Result<Self> {
        Self::start_prometheus_with(name, program, exporter, "").await
    }

    async fn start_victoria_metrics(
        name: &'static str,
        program: &Path,
        exporter: SocketAddr,
    ) -> Result<Self> {
        Self::start_victoria_metrics_with(name, program, exporter, "").await
    }

    /// Starts Prometheus; `rules` are settings of every job.
    async fn start_prometheus_with(
        name: &'static str,
        program: &Path,
        exporter: SocketAddr,
        rules: &str,
    ) -> Result<Self> {
        with_ports(async || {
            let (dir, config, address) = prepare("prometheus", exporter, rules)?;
            let server = Self::spawn_prometheus(program, &config, address, dir)?;
            Self::ready(name, server, address, "/-/ready").await
        })
        .await
    }

    fn spawn_prometheus(
        program: &Path,
        config: &Path,
        address: SocketAddr,
        dir: PathBuf,
    ) -> Result<Server> {
        let args = [
            format!("--config.file={}", config.display()),
            format!("--storage.tsdb.path={}", dir.join("data").display()),
            format!("--web.listen-address={address}"),
            "--log.level=warn".to_owned(),
        ];
        Server::spawn("prometheus", program, args, dir)
    }

    /// Starts VictoriaMetrics; `rules` are settings of every job.
    async fn start_victoria_metrics_with(
        name: &'static str,
        program: &Path,
        exporter: SocketAddr,
        rules: &str,
    ) -> Result<Self> {
        with_ports(async || {
            let (dir, config, address) = prepare("victoria-metrics", exporter, rules)?;
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
            let server = Server::spawn("victoria-metrics", program, args, dir)?;
            Self::ready(name, server, address, "/health").await
        })
        .await
    }

    /// Starts a current Prometheus without metrics that requires a client certificate. The files
    /// are PEM: the server's certificate and key, and the authority of the clients.
    ///
    /// # Errors
    /// If the build fails, or the program does not become ready.
    pub async fn with_client_certificates(
        certificate: &Path,
        key: &Path,
        clients: &Path,
    ) -> Result<Self> {
        let program = CurrentServer::Prometheus.program().locate()?;
        with_ports(async || {
            let nothing = SocketAddr::from(([127, 0, 0, 1], 1));
            let (dir, _, address) = prepare("prometheus", nothing, "")?;
            let (config, web) = (dir.join("empty.yaml"), dir.join("web.yaml"));
            let tls = format!(
                "tls_server_config:\n  cert_file: {}\n  key_file: {}\n  client_ca_file: {}\n  \
                 client_auth_type: RequireAndVerifyClientCert\n",
                certificate.display(),
                key.display(),
                clients.display()
            );
            for (path, text) in [(&config, "{}\n"), (&web, tls.as_str())] {
                fs::write(path, text).map_err(Error::io(format!("write {}", path.display())))?;
            }
            let args = [
                format!("--config.file={}", config.display()),
                format!("--web.config.file={}", web.display()),
                format!("--storage.tsdb.path={}", dir.join("data").display()),
                format!("--web.listen-address={address}"),
                "--log.level=warn".to_owned(),
            ];
            let mut server = Server::spawn("prometheus", &program, args, dir)?;
            // A server with TLS answers a plain request with 400.
            server
                .wait_ready(START_DEADLINE, async || match get(address, "/").await {
                    Ok((400, _)) => Ok(()),
                    Ok((status, body)) => Err(format!("answered {status}: {body}")),
                    Err(error) => Err(error.to_string()),
                })
                .await?;
            Ok(Self {
                name: "prometheus with TLS",
                address,
                _server: server,
            })
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

    /// The server's name: `prometheus`, `victoria-metrics`, and `current` before it.
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
    /// If the server rejects the query, or the response is not an instant vector.
    pub async fn by_pod(&self, query: &str) -> Result<BTreeMap<String, f64>> {
        self.by_label("pod", query).await
    }

    /// Evaluates an instant query now. Returns the values by a label.
    ///
    /// # Errors
    /// As [`Self::by_pod`].
    pub async fn by_label(&self, label: &str, query: &str) -> Result<BTreeMap<String, f64>> {
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
                Ok((series.metric.get(label).cloned().unwrap_or_default(), value))
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

/// The relabeling rules that rename labels.
fn renaming_rules(labels: &[(&str, &str)]) -> String {
    let mut rules = "  metric_relabel_configs:\n".to_owned();
    for (usual, new) in labels {
        // Writing to a string cannot fail.
        let _ = write!(
            rules,
            "  - {{source_labels: [{usual}], target_label: '{new}'}}\n  \
             - {{regex: {usual}, action: labeldrop}}\n"
        );
    }
    rules
}

/// Creates the server's directory and scrape configuration, and chooses its address. `rules` are
/// settings of every job.
fn prepare(
    name: &str,
    exporter: SocketAddr,
    rules: &str,
) -> Result<(PathBuf, PathBuf, SocketAddr)> {
    let dir = server_dir(name)?;
    let config = dir.join("scrape.yaml");
    // Both servers accept this format.
    let job = |name: &str, path: &str, settings: &str| {
        format!(
            "- job_name: {name}\n  metrics_path: {path}\n{settings}  \
             static_configs:\n  - targets: ['{exporter}']\n{rules}"
        )
    };
    let honor = "  honor_labels: true\n";
    let jobs = [
        job("kubelet", "/metrics/cadvisor", ""),
        job("kube-state-metrics", "/metrics", honor),
        job("fake_exporters", "/metrics/fake_exporters", honor),
        job("pods", "/metrics/pods", honor),
    ];
    let text = format!(
        "global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\nscrape_configs:\n{}",
        jobs.concat()
    );
    fs::write(&config, text).map_err(Error::io(format!("write {}", config.display())))?;
    Ok((
        dir,
        config,
        SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?)),
    ))
}
