//! The program's own metrics: on standard output, in a file, in a Pushgateway and in
//! VictoriaMetrics.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use ::harness::http::{HttpServer, Reply};
use ::harness::pushgateway::PASSWORD;
use ::harness::wait::{self, Look};
use ::harness::{
    MetricsServer, NodeExporter, PushGateway, Rebalancer, Result, Series, TestNamespace,
    WorkloadSpec, assets, fault,
};
use tokio::io::AsyncWriteExt as _;

use crate::support::{RunExt as _, monitoring, shared::Shared, skewed};

/// The labels of the workload in `shared`.
const LABELS: &str =
    r#"workload_namespace="shared",workload_kind="Deployment",workload_name="consumer""#;

/// A dry run on the unbalanced workload, which finds a plan.
fn dry_run(shared: &Shared) -> Rebalancer {
    shared.ns.rebalancer_for("consumer").env("DRY_RUN", "true")
}

/// The dry run without a metrics server.
async fn blind(shared: &Shared) -> Result<Rebalancer> {
    Ok(dry_run(shared).env("PROMETHEUS_ENDPOINT", fault::refused_url()?))
}

/// The values of a metric of the workload, by the text of its own labels and value.
fn lines<'a>(text: &'a str, metric: &str) -> Vec<&'a str> {
    let start = format!("{metric}{{");
    text.lines()
        .filter(|line| line.starts_with(&start))
        .collect()
}

/// The value of a metric without own labels.
fn value(text: &str, metric: &str) -> Option<f64> {
    let lines = lines(text, metric);
    assert!(lines.len() <= 1, "{lines:?}");
    let value = lines.first()?.rsplit_once(' ')?.1;
    value.parse().ok()
}

/// The one word of a set of states that is 1.
fn state(text: &str, metric: &str) -> String {
    let current = lines(text, metric).into_iter().filter(|line| {
        let value: f64 = line.rsplit_once(' ').unwrap().1.parse().unwrap();
        value == 1.0
    });
    let current: Vec<&str> = current.collect();
    assert_eq!(current.len(), 1, "{metric}: {text}");
    let labels = current[0].split('"');
    // The labels of a Pushgateway are sorted, so the word is the one that is no label of a
    // workload.
    let pairs: Vec<&str> = labels.collect();
    let own = pairs
        .chunks(2)
        .find(|pair| pair[0].contains("result=") || pair[0].contains("reason="));
    own.unwrap()[1].to_owned()
}

/// Panics unless `promtool check metrics` accepts the text without a remark.
pub(crate) async fn check_with_promtool(text: &str) {
    let mut child = tokio::process::Command::new(assets::promtool().unwrap())
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(text.as_bytes()).await.unwrap();
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.is_empty(), "{said}: {text}");
}

/// The warnings of a run about its metrics.
fn warnings(run: &crate::support::Outcome) -> Vec<String> {
    let log = run.log();
    let warnings = log.iter().filter(|line| line["level"] == "warn");
    let texts = warnings.map(|line| line["msg"].as_str().unwrap_or_default().to_owned());
    texts
        .filter(|text| text.contains("metrics of this run"))
        .collect()
}

/// The value of a query about the workload, as soon as the server has one.
async fn eventually(server: &MetricsServer, query: &str) -> Result<f64> {
    let (deadline, pause) = (Duration::from_secs(120), Duration::from_millis(200));
    wait::until(query, deadline, pause, async || {
        let found = server.by_label("workload_name", query).await?;
        Ok(match found.get("consumer") {
            Some(value) => Look::Done(*value),
            None => Look::Not(format!("{found:?}")),
        })
    })
    .await
}

/// A scrape of Prometheus reads what `OUTPUT=openmetrics` prints: the series, with their types.
#[tokio::test]
async fn prometheus_scrapes_the_openmetrics_of_a_run() -> Result<()> {
    let shared = Shared::open().await?;
    let run = dry_run(&shared).env("OUTPUT", "openmetrics").run().await?;
    assert_eq!(run.code, Some(0), "{run}");
    assert!(run.stdout.ends_with("# EOF\n"), "{run}");
    assert_eq!(state(&run.stdout, "rebalancer_last_run_result"), "planned");
    assert_eq!(value(&run.stdout, "rebalancer_dry_run"), Some(1.0));

    let body = run.stdout.clone();
    let exporter = HttpServer::start(move |_| Reply::Answer {
        status: 200,
        content_type: "application/openmetrics-text; version=1.0.0; charset=utf-8".into(),
        body: body.clone(),
    })
    .await?;
    let prometheus = MetricsServer::scraping(exporter.address(), &[]).await?;
    let query = format!("rebalancer_load_threshold{{{LABELS}}}");
    let found = eventually(&prometheus, &query).await?;
    assert!((found - 1.05).abs() < 1e-9, "{found}");
    let counter = format!("rebalancer_executions_total{{{LABELS},status=\"success\"}}");
    let found = prometheus.by_label("status", &counter).await?;
    assert_eq!(found.get("success"), Some(&1.0), "{run}");
    Ok(())
}

#[tokio::test]
async fn metrics_file_keeps_the_last_success_and_its_counters() -> Result<()> {
    let shared = Shared::open().await?;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rebalancer.prom");
    let read = || std::fs::read_to_string(&path).unwrap();
    dry_run(&shared)
        .env("METRICS_FILE", &path)
        .ends_with(0)
        .await?;
    let first = read();
    check_with_promtool(&first).await;
    assert_eq!(state(&first, "rebalancer_last_run_result"), "planned");
    assert_eq!(value(&first, "rebalancer_planned_evictions"), Some(4.0));
    assert_eq!(value(&first, "rebalancer_hot_pods"), Some(2.0));
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);

    blind(&shared)
        .await?
        .env("METRICS_FILE", &path)
        .ends_with(1)
        .await?;
    let second = read();
    check_with_promtool(&second).await;
    assert_eq!(state(&second, "rebalancer_last_run_result"), "failed");
    let success = "rebalancer_last_success_timestamp_seconds";
    let last_run = "rebalancer_last_run_timestamp_seconds";
    assert_eq!(value(&second, success), value(&first, success));
    assert!(value(&second, last_run) > value(&first, last_run));
    let count = |metric: &str, word: &str| {
        let lines = lines(&second, metric);
        let word = format!("\"{word}\"");
        let line = lines.iter().find(|line| line.contains(&word));
        let value: f64 = line.unwrap().rsplit_once(' ').unwrap().1.parse().unwrap();
        value
    };
    assert_eq!(count("rebalancer_executions_total", "success"), 1.0);
    assert_eq!(count("rebalancer_executions_total", "error"), 1.0);
    assert!(count("rebalancer_api_errors_total", "prometheus") >= 1.0);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);

    // A command that only shows something is no run.
    let plan = dry_run(&shared).arg("plan").env("METRICS_FILE", &path);
    plan.ends_with(0).await?;
    assert_eq!(read(), second);
    Ok(())
}

/// The textfile collector exposes each line of the file, under the same help and type, and no
/// error.
#[tokio::test]
async fn node_exporter_collects_the_metrics_file() -> Result<()> {
    let shared = Shared::open().await?;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rebalancer.prom");
    dry_run(&shared)
        .env("METRICS_FILE", &path)
        .ends_with(0)
        .await?;
    let exporter = NodeExporter::collecting(folder.path()).await?;
    let exposed = exporter.metrics().await?;
    assert!(
        exposed.contains("\nnode_textfile_scrape_error 0\n"),
        "{exposed}"
    );
    let file = std::fs::read_to_string(&path).unwrap();
    let (comments, samples): (Vec<&str>, Vec<&str>) =
        file.lines().partition(|line| line.starts_with('#'));
    for comment in &comments {
        assert!(
            exposed.lines().any(|line| line == *comment),
            "{comment}: {exposed}"
        );
    }
    assert!(samples.len() > 10, "{file}");
    for sample in samples {
        let found = exposed.lines().any(|line| same_sample(line, sample));
        assert!(found, "{sample}: {exposed}");
    }
    Ok(())
}

/// Whether two lines are about one series and have the same value. The order of the labels and the
/// notation of the value may differ.
fn same_sample(one: &str, other: &str) -> bool {
    let parse = |line: &str| {
        let (series, value) = line.rsplit_once(' ')?;
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let mut labels: Vec<String> = labels
            .trim_end_matches('}')
            .split("\",")
            .map(|label| label.trim_end_matches('"').to_owned())
            .collect();
        labels.sort();
        let value: f64 = value.parse().ok()?;
        Some((name.to_owned(), labels, value))
    };
    parse(one).is_some() && parse(one) == parse(other)
}

/// Variables of a run, and parts of its warning.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);

#[tokio::test]
async fn metrics_that_cannot_be_published_are_a_warning() -> Result<()> {
    let shared = Shared::open().await?;
    let gateway = PushGateway::with_password().await?;
    let wrong = shared.ns.dir().join("wrong-password");
    std::fs::write(&wrong, "hunter2\n").unwrap();
    let silent = ::harness::FaultServer::stall().await?;
    let refused = fault::refused_url()?;
    let cases: [Case<'_>; 6] = [
        (
            &[("METRICS_FILE", "/nowhere/rebalancer.prom")],
            &["METRICS_FILE", "/nowhere/rebalancer.prom", "No such file"],
        ),
        (
            &[("METRICS_FILE", "/dev/null/rebalancer.prom")],
            &["METRICS_FILE", "Not a directory"],
        ),
        (
            &[("METRICS_PUSH_URL", &refused)],
            &["no connection", "Connection refused", "METRICS_PUSH_URL"],
        ),
        (
            &[
                ("METRICS_PUSH_URL", &silent.url()),
                ("METRICS_PUSH_TIMEOUT", "1s"),
            ],
            &["1s", "METRICS_PUSH_TIMEOUT"],
        ),
        (
            &[("METRICS_PUSH_URL", &gateway.url())],
            &["HTTP 401", "METRICS_PUSH_PASSWORD_FILE"],
        ),
        (
            &[
                ("METRICS_PUSH_URL", &gateway.url()),
                ("METRICS_PUSH_USERNAME", "me"),
                ("METRICS_PUSH_PASSWORD_FILE", wrong.to_str().unwrap()),
            ],
            &["HTTP 401", "METRICS_PUSH_PASSWORD_FILE"],
        ),
    ];
    for (variables, says) in cases {
        let program = dry_run(&shared).envs(variables.iter().copied());
        let run = program.ends_with(0).await?;
        let warnings = warnings(&run);
        assert_eq!(warnings.len(), 1, "{variables:?}: {}", run.0);
        run.assert_says(&warnings[0], says);
        assert!(!run.0.stderr.contains("hunter2"), "{}", run.0);
        // The report is complete.
        assert_eq!(run.workload()["decision"]["action"], "rotate", "{}", run.0);
    }
    Ok(())
}

#[tokio::test]
async fn pushgateway_has_the_last_run_and_the_last_success() -> Result<()> {
    let ns = TestNamespace::start().await?;
    skewed(&ns, WorkloadSpec::deployment("consumer")).await?;
    let gateway = PushGateway::with_password().await?;
    let password = ns.dir().join("password");
    std::fs::write(&password, format!("{PASSWORD}\n")).unwrap();
    let pushing = |program: Rebalancer| {
        program
            .env("METRICS_PUSH_URL", gateway.url())
            .env("METRICS_PUSH_USERNAME", "me")
            .env("METRICS_PUSH_PASSWORD_FILE", &password)
            .env("LOG_LEVEL", "debug")
    };
    let run = pushing(ns.rebalancer_for("consumer")).ends_with(0).await?;
    assert_eq!(run.outcomes(), ["evicted"; 4], "{}", run.0);
    assert_eq!(warnings(&run), Vec::<String>::new(), "{}", run.0);
    assert!(!run.0.stderr.contains(PASSWORD), "{}", run.0);
    let first = gateway.metrics().await?;
    assert_eq!(state(&first, "rebalancer_last_run_result"), "acted");
    let evicted = lines(&first, "rebalancer_last_run_evictions");
    let evicted = evicted.iter().find(|line| line.contains("\"evicted\""));
    assert!(evicted.unwrap().ends_with(" 4"), "{first}");
    assert!(value(&first, "rebalancer_load_mean").is_some(), "{first}");
    // The counters have their type, in spite of the age of the Pushgateway.
    assert!(
        first.contains("# TYPE rebalancer_pods_deleted_total counter"),
        "{first}"
    );

    // A run that cannot reach the API server fails before it has a workload.
    let program = pushing(ns.rebalancer_for("consumer"));
    let run = program
        .env("KUBECONFIG", "/nowhere/kubeconfig")
        .run()
        .await?;
    assert_ne!(run.code, Some(0), "{run}");
    let second = gateway.metrics().await?;
    assert_eq!(state(&second, "rebalancer_last_run_result"), "failed");
    for kept in [
        "rebalancer_last_success_timestamp_seconds",
        "rebalancer_last_rotation_timestamp_seconds",
    ] {
        let value_of = |text| value(text, kept);
        assert!(value_of(&first).is_some(), "{kept}: {first}");
        assert_eq!(value_of(&second), value_of(&first), "{kept}: {second}");
    }
    // Nothing of the first run is taken for the second.
    assert_eq!(value(&second, "rebalancer_load_mean"), None, "{second}");
    Ok(())
}

#[tokio::test]
async fn victoria_metrics_imports_the_metrics() -> Result<()> {
    let shared = Shared::open().await?;
    let server = shared
        .ns
        .metrics_servers()
        .into_iter()
        .find(|server| server.name() == "victoria-metrics")
        .unwrap();
    let url = format!(
        "{}/api/v1/import/prometheus?extra_label=team=a",
        server.url()
    );
    let run = dry_run(&shared)
        .env("METRICS_PUSH_URL", url)
        .ends_with(0)
        .await?;
    assert_eq!(warnings(&run), Vec::<String>::new(), "{}", run.0);
    let query = format!("rebalancer_planned_evictions{{{LABELS},team=\"a\"}}");
    let found = eventually(server, &query).await?;
    assert_eq!(found, 4.0, "{}", run.0);
    Ok(())
}

/// Several workloads share one file, and have one group each in a Pushgateway.
#[tokio::test]
async fn each_workload_has_its_own_series() -> Result<()> {
    let shared = Shared::open().await?;
    let gateway = PushGateway::start().await?;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rebalancer.prom");
    let config = directory.path().join("rebalancer.yaml");
    let entries = "workloads:\n- {deployment_name: consumer}\n- {deployment_name: absent}\n";
    std::fs::write(&config, entries).unwrap();
    let program = dry_run(&shared)
        .without_env("DEPLOYMENT_NAME")
        .env("METRICS_FILE", &path)
        .env("METRICS_PUSH_URL", gateway.url())
        .arg("--config")
        .arg(&config);
    program.ends_with(1).await?;
    for text in [
        std::fs::read_to_string(Path::new(&path)).unwrap(),
        gateway.metrics().await?,
    ] {
        for (name, result) in [("consumer", "planned"), ("absent", "failed")] {
            let results = lines(&text, "rebalancer_last_run_result").into_iter();
            let (name, result) = (format!("\"{name}\""), format!("\"{result}\""));
            let mut current = results
                .filter(|line| line.contains(&name) && line.contains(&result))
                .map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap());
            assert_eq!(current.next(), Some(1.0), "{text}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn alert_rules_pass_the_tests_of_promtool() {
    for (command, file) in [("check", "rules.yaml"), ("test", "rules_test.yaml")] {
        let output = tokio::process::Command::new(assets::promtool().unwrap())
            .args([command, "rules"])
            .arg(monitoring::path(file))
            .output()
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}\n{errors}");
    }
}

/// The rules are those that vmalert evaluates too, with the functions of VictoriaMetrics.
#[tokio::test]
async fn alert_rules_are_valid_for_vmalert() {
    let rules = monitoring::path("rules.yaml");
    let output = tokio::process::Command::new(assets::vmalert().unwrap())
        .arg("-dryRun")
        .arg(format!("-rule={}", rules.display()))
        .output()
        .await
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
}

/// Every alert has a test and a section of its own in the documentation.
#[test]
fn every_alert_has_a_test_and_a_runbook() {
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let rules: serde_json::Value =
        serde_saphyr::from_str(&read(&monitoring::path("rules.yaml"))).unwrap();
    let object: serde_json::Value =
        serde_saphyr::from_str(&read(&monitoring::path("prometheus-rule.yaml"))).unwrap();
    assert_eq!(object["spec"]["groups"], rules["groups"]);
    let tests = read(&monitoring::path("rules_test.yaml"));
    let operations = read(&monitoring::path("../../docs/operations.md"));
    let groups = rules["groups"].as_array().unwrap();
    let all = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap());
    let mut count = 0;
    for rule in all {
        let name = rule["alert"].as_str().unwrap();
        let fires = format!("alertname: {name}\n        exp_alerts:\n          - ");
        assert!(tests.contains(&fires), "{name} never fires in the tests");
        assert!(operations.contains(&format!("\n### {name}\n")), "{name}");
        let anchor = format!("docs/operations.md#{}", name.to_lowercase());
        assert_eq!(
            rule["annotations"]["runbook_url"],
            anchor.as_str(),
            "{name}"
        );
        count += 1;
    }
    assert!(count >= 5, "{count}");
}

/// A real Prometheus evaluates the rules on the metrics of real runs.
#[tokio::test]
async fn prometheus_alerts_about_a_run_without_data() -> Result<()> {
    let shared = Shared::open().await?;
    let gateway = PushGateway::start().await?;
    for (workload, code) in [("unmeasured", 1), ("consumer", 0)] {
        let program = shared.ns.rebalancer_for(workload).env("DRY_RUN", "true");
        let program = program.env("METRICS_PUSH_URL", gateway.url());
        program.ends_with(code).await?;
    }
    let rules = monitoring::path("rules.yaml");
    let prometheus = MetricsServer::scraping(gateway.address(), &[rules.as_path()]).await?;
    let (deadline, pause) = (Duration::from_secs(120), Duration::from_millis(200));
    let query = "ALERTS{alertname=\"RebalancerMissingData\",alertstate=\"pending\"}";
    let reason = wait::until("a pending alert", deadline, pause, async || {
        let found = prometheus.by_label("reason", query).await?;
        Ok(match found.keys().next() {
            Some(reason) => Look::Done(reason.clone()),
            None => Look::Not(format!("{found:?}")),
        })
    })
    .await?;
    assert_eq!(reason, "insufficient_coverage");
    let about = prometheus.by_label("workload_name", "ALERTS").await?;
    assert_eq!(about.into_keys().collect::<Vec<_>>(), ["unmeasured"]);
    Ok(())
}

/// Every variable and query of the dashboard returns data after two real runs, of which the first
/// one rotated.
#[tokio::test]
async fn every_query_of_the_dashboard_returns_data() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = skewed(&ns, WorkloadSpec::deployment("consumer")).await?;
    let pods = consumer.pods().await?;
    let owned = pods.iter().enumerate().map(|(partition, pod)| {
        let labels = format!(
            "topic=\"dashboard\",partition=\"{partition}\",pod=\"{}\"",
            pod.name
        );
        Series::gauge(
            format!("kafka_consumer_assignment{{{labels},group_id=\"dashboard\"}}"),
            1.0,
        )
    });
    ns.expose("dashboard", owned.collect());
    let gateway = PushGateway::start().await?;
    let prometheus = MetricsServer::scraping(gateway.address(), &[]).await?;
    let program = ns
        .rebalancer(&consumer)
        .env("METRICS_PUSH_URL", gateway.url())
        .env("GROUP_ID", "dashboard")
        .env("GROUP_METRICS", "consumer");
    let run = program.clone().ends_with(0).await?;
    assert_eq!(run.outcomes(), ["evicted"; 4], "{}", run.0);
    program.run().await?;
    let moment = "rebalancer_rotation_imbalance_ratio{moment=\"now\"}";
    eventually(&prometheus, moment).await?;

    let variables = monitoring::label_variables();
    let names: Vec<&str> = variables.iter().map(|variable| &*variable.name).collect();
    assert_eq!(names, ["namespace", "workload"]);
    for (variable, value) in variables.iter().zip([ns.name(), "consumer"]) {
        let selector = variable.selector.replace("$namespace", ns.name());
        let found = prometheus.by_label(&variable.label, &selector).await?;
        let values: Vec<String> = found.into_keys().collect();
        assert_eq!(values, [value], "{}: {selector}", variable.name);
    }
    let mut count = 0;
    for (_, query) in monitoring::queries_about_runs() {
        let query = query
            .replace("$namespace", ns.name())
            .replace("$workload", "consumer")
            .replace("$lookback", "1h");
        eventually(&prometheus, &query).await?;
        count += 1;
    }
    assert!(count >= 20, "{count}");
    Ok(())
}
