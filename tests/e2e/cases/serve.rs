//! `serve`: runs on a schedule in a resident process, with leader election, metrics and probes.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use ::harness::process::free_port;
use ::harness::wait::{self, Look};
use ::harness::{
    FaultServer, MetricsServer, Rebalancer, Result, Run, TestNamespace, Workload, WorkloadSpec,
    http,
};
use k8s_openapi::api::coordination::v1::Lease;
use serde_json::Value;
use tempfile::TempDir;

use crate::own_metrics::check_with_promtool;
use crate::support::{READ_RULES, VICTIMS, account, assert_untouched, skewed, uids};

/// A schedule with a run in each minute.
const EACH_MINUTE: &str = "* * * * * UTC";
/// A schedule whose next run is in another test.
const NEVER: &str = "0 0 29 2 * UTC";
/// A deadline for a run of the next minute on a busy machine.
const RUN_DEADLINE: Duration = Duration::from_secs(180);
/// A deadline for everything else.
const DEADLINE: Duration = Duration::from_secs(90);

/// An address on which nothing listens.
fn free_address() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, free_port().unwrap()))
}

/// A resident process for the workload.
fn serve(ns: &TestNamespace, workload: &Workload<'_>, address: SocketAddr) -> Rebalancer {
    ns.rebalancer(workload)
        .arg("serve")
        .env("LISTEN_ADDRESS", address.to_string())
        .env("LEADER_ELECTION_LEASE", "rebalancer-leader")
        .env("LEADER_ELECTION_NAMESPACE", ns.name())
        .env("OUTPUT", "json")
        .timeout(RUN_DEADLINE * 3)
}

/// The response to a request; status 0 while nothing listens.
async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    http::get(address, path).await.unwrap_or_default()
}

/// Waits until the response has all the parts.
async fn shows(
    address: SocketAddr,
    path: &str,
    within: Duration,
    parts: &[&str],
) -> Result<String> {
    let what = format!("{parts:?} at {path}");
    wait::until(what, within, Duration::from_millis(200), async || {
        let (code, body) = get(address, path).await;
        Ok(
            if code == 200 && parts.iter().all(|part| body.contains(part)) {
                Look::Done(body)
            } else {
                Look::Not(format!("{code}: {body}"))
            },
        )
    })
    .await
}

async fn holder(ns: &TestNamespace) -> String {
    let lease = ns.api::<Lease>().get("rebalancer-leader").await.unwrap();
    lease.spec.unwrap().holder_identity.unwrap_or_default()
}

fn assert_logs(run: &Run, parts: &[&str]) {
    for part in parts {
        assert!(run.stderr.contains(part), "{part:?}: {run}");
    }
}

#[tokio::test]
async fn leader_runs_on_schedule_and_a_standby_takes_over() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = skewed(&ns, WorkloadSpec::deployment("consumer")).await?;
    let before = consumer.pods().await?;
    let (leader, standby) = (free_address(), free_address());
    // The schedule of the first process is far away until the other one is a standby.
    let directory = TempDir::new().unwrap();
    let config = directory.path().join("config.yaml");
    std::fs::write(&config, format!("schedule: '{NEVER}'\n")).unwrap();
    let program = serve(&ns, &consumer, leader).arg("--config").arg(&config);
    let first = program.spawn()?;
    shows(leader, "/readyz", DEADLINE, &["ok"]).await?;
    shows(leader, "/metrics", DEADLINE, &["rebalancer_leader 1.0\n"]).await?;
    let held_by = holder(&ns).await;
    let program = serve(&ns, &consumer, standby).env("SCHEDULE", NEVER);
    let second = program.spawn()?;
    // A standby is ready: a Deployment with two replicas is available.
    shows(standby, "/readyz", DEADLINE, &["ok"]).await?;
    shows(standby, "/healthz", DEADLINE, &["ok"]).await?;

    std::fs::write(&config, format!("schedule: '{EACH_MINUTE}'\n")).unwrap();
    let acted = "rebalancer_executions_total{";
    let metrics = shows(leader, "/metrics", RUN_DEADLINE, &[acted]).await?;
    for part in [
        "result=\"acted\"} 1.0\n",
        "rebalancer_config_last_reload_successful 1.0\n",
        "rebalancer_next_run_timestamp_seconds 1",
        "rebalancer_run_duration_seconds_bucket{",
        "le=\"+Inf\"} 1\n",
        "rebalancer_missed_runs_total 0\n",
    ] {
        assert!(metrics.contains(part), "{part:?}: {metrics}");
    }
    check_with_promtool(&metrics).await;
    let now = consumer.pods().await?;
    for evicted in uids(&before, &VICTIMS) {
        let mut left = now.iter().filter(|pod| !pod.terminating);
        assert!(left.all(|pod| pod.uid != evicted), "{evicted}: {now:?}");
    }
    let (_, metrics) = get(standby, "/metrics").await;
    assert!(metrics.contains("rebalancer_leader 0.0\n"), "{metrics}");
    assert!(!metrics.contains("rebalancer_last_run"), "{metrics}");

    // A Prometheus server reads the metrics of the leader, in the format that it prefers.
    let prometheus = MetricsServer::scraping(leader, &[]).await?;
    let query = "histogram_quantile(0.9, rebalancer_run_duration_seconds_bucket) > 0";
    let pause = Duration::from_millis(200);
    wait::until(query, DEADLINE, pause, async || {
        let found = prometheus.by_label("workload_name", query).await?;
        Ok(match found.get("consumer") {
            Some(_) => Look::Done(()),
            None => Look::Not(format!("{found:?}")),
        })
    })
    .await?;

    assert_eq!(holder(&ns).await, held_by);
    first.terminate().await?;
    let first = first.wait().await?;
    assert_eq!(first.code, Some(0), "{first}");
    assert_logs(
        &first,
        &["\"serving\"", "this process is the leader", "stopped"],
    );
    assert!(
        first.stdout.contains("\"schema\":\"rebalancer/report/"),
        "{first}"
    );
    // The Lease was given back, so it does not have to expire.
    shows(
        standby,
        "/metrics",
        Duration::from_secs(60),
        &["rebalancer_leader 1.0\n"],
    )
    .await?;
    assert!(!holder(&ns).await.is_empty());
    second.terminate().await?;
    let second = second.wait().await?;
    assert_eq!(second.code, Some(0), "{second}");
    assert_logs(&second, &["another process is the leader"]);
    assert_eq!(holder(&ns).await, "");
    Ok(())
}

#[tokio::test]
async fn changed_file_applies_and_an_invalid_one_does_not() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = skewed(&ns, WorkloadSpec::deployment("consumer")).await?;
    let before = consumer.pods().await?;
    let directory = TempDir::new().unwrap();
    let config = directory.path().join("config.yaml");
    // As a kubelet does it: the file is a link, and the directory behind it is replaced.
    let write = |version: u32, text: &str| {
        let data = directory.path().join(version.to_string());
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join("config.yaml"), text).unwrap();
        let (link, new) = (
            directory.path().join("..data"),
            directory.path().join("new"),
        );
        std::os::unix::fs::symlink(&data, &new).unwrap();
        std::fs::rename(new, link).unwrap();
    };
    write(1, &format!("schedule: '{NEVER}'\ndry_run: true\n"));
    std::os::unix::fs::symlink(Path::new("..data/config.yaml"), &config).unwrap();

    let address = free_address();
    let program = serve(&ns, &consumer, address).env("LEADER_ELECTION", "false");
    let running = program.arg("--config").arg(&config).spawn()?;
    let valid = "rebalancer_config_last_reload_successful 1.0\n";
    shows(address, "/metrics", DEADLINE, &[valid]).await?;
    write(2, "schedule: hourly\ndry_run: maybe\n");
    let invalid = "rebalancer_config_last_reload_successful 0.0\n";
    shows(address, "/metrics", DEADLINE, &[invalid]).await?;
    let valid_again = format!("schedule: '{EACH_MINUTE}'\ndry_run: true\nlog_level: warn\n");
    write(3, &valid_again);
    let planned = "result=\"planned\"} 1.0\n";
    shows(address, "/metrics", RUN_DEADLINE, &[valid, planned]).await?;
    running.terminate().await?;
    let run = running.wait().await?;
    assert_eq!(run.code, Some(0), "{run}");
    assert_logs(
        &run,
        &[
            "is invalid, so the earlier settings apply",
            "`hourly` is not a crontab expression",
            "`maybe` is neither true nor false",
            "was read again, and applies",
            "LOG_LEVEL has changed and applies after a restart",
        ],
    );
    assert_untouched(&consumer, &before).await?;
    Ok(())
}

#[tokio::test]
async fn process_that_may_not_read_the_lease_is_not_ready() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = skewed(&ns, WorkloadSpec::deployment("consumer")).await?;
    let before = consumer.pods().await?;
    let account = account(&ns, "without-leases", READ_RULES).await?;
    let address = free_address();
    let program = serve(&ns, &consumer, address)
        .env("SCHEDULE", EACH_MINUTE)
        .env("KUBECONFIG", &account.kubeconfig);
    let running = program.spawn()?;
    shows(address, "/healthz", DEADLINE, &["ok"]).await?;
    // A time of the schedule passes.
    tokio::time::sleep(Duration::from_secs(61)).await;
    let (code, body) = get(address, "/readyz").await;
    assert_eq!(code, 503, "{body}");
    let (_, metrics) = get(address, "/metrics").await;
    assert!(metrics.contains("rebalancer_leader 0.0\n"), "{metrics}");
    assert!(!metrics.contains("rebalancer_executions"), "{metrics}");
    running.terminate().await?;
    let run = running.wait().await?;
    assert_eq!(run.code, Some(0), "{run}");
    assert_logs(
        &run,
        &[
            "the Lease of the leader could not be taken",
            "is forbidden",
            "leases",
            "no run begins: the Kubernetes API has not answered",
        ],
    );
    assert_eq!(run.stderr.matches("could not be taken").count(), 1, "{run}");
    assert_untouched(&consumer, &before).await?;
    Ok(())
}

#[tokio::test]
async fn process_that_stops_is_not_ready_while_its_run_ends() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = skewed(&ns, WorkloadSpec::deployment("consumer")).await?;
    let metrics = FaultServer::stall().await?;
    let address = free_address();
    let program = serve(&ns, &consumer, address)
        .env("SCHEDULE", EACH_MINUTE)
        .env("LEADER_ELECTION", "false")
        .env("PROMETHEUS_ENDPOINT", metrics.url())
        .env("METRICS_PUSH_URL", metrics.url());
    let running = program.spawn()?;
    shows(address, "/readyz", DEADLINE, &["ok"]).await?;
    let pause = Duration::from_millis(200);
    wait::until("a query of the run", RUN_DEADLINE, pause, async || {
        Ok(match metrics.requests().len() {
            0 => Look::Not("none".to_owned()),
            _ => Look::Done(()),
        })
    })
    .await?;
    running.terminate().await?;
    wait::until("503 at /readyz", DEADLINE, pause, async || {
        let (code, body) = get(address, "/readyz").await;
        Ok(match (code, body.as_str()) {
            (503, "the process stops\n") => Look::Done(()),
            _ => Look::Not(format!("{code}: {body}")),
        })
    })
    .await?;
    let run = running.wait().await?;
    assert_eq!(run.code, Some(0), "{run}");
    Ok(())
}

#[tokio::test]
async fn replaced_certificate_of_the_cluster_is_read_again() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = skewed(&ns, WorkloadSpec::deployment("consumer")).await?;
    let directory = TempDir::new().unwrap();
    let authority = directory.path().join("ca.crt");
    let kubeconfig = directory.path().join("kubeconfig");
    let text = std::fs::read_to_string(ns.control_plane().program_kubeconfig()).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    let cluster = &mut config["clusters"][0]["cluster"];
    let valid = cluster["certificate-authority"]
        .as_str()
        .unwrap()
        .to_owned();
    cluster["certificate-authority"] = authority.to_str().unwrap().into();
    std::fs::write(&kubeconfig, config.to_string()).unwrap();
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(&authority, other.cert.pem()).unwrap();

    let address = free_address();
    let program = serve(&ns, &consumer, address)
        .env("SCHEDULE", NEVER)
        .env("KUBECONFIG", &kubeconfig);
    let running = program.spawn()?;
    shows(address, "/healthz", DEADLINE, &["ok"]).await?;
    let (code, body) = get(address, "/readyz").await;
    assert_eq!(code, 503, "{body}");
    std::fs::copy(valid, &authority).unwrap();
    shows(address, "/readyz", DEADLINE, &["ok"]).await?;
    shows(address, "/metrics", DEADLINE, &["rebalancer_leader 1.0\n"]).await?;
    running.terminate().await?;
    let run = running.wait().await?;
    assert_eq!(run.code, Some(0), "{run}");
    assert_logs(&run, &["could not be taken", "certificate"]);
    assert_eq!(holder(&ns).await, "");
    Ok(())
}

#[tokio::test]
async fn mistakes_of_the_settings_end_the_process() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let program = ns.rebalancer_for("consumer").arg("serve");
    let program = program.env("LISTEN_ADDRESS", address.to_string());
    let run = program.clone().run().await?;
    assert_eq!(run.code, Some(2), "{run}");
    assert_logs(&run, &["SCHEDULE is required"]);
    let run = program.env("SCHEDULE", EACH_MINUTE).run().await?;
    assert_eq!(run.code, Some(1), "{run}");
    let message = format!("LISTEN_ADDRESS: cannot listen on {address}: Address already in use");
    assert_logs(&run, &[&message]);
    Ok(())
}
