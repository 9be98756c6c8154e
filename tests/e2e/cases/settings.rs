//! Invalid settings: one line per setting that names it, and no request is sent.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};

use ::harness::{FaultServer, Rebalancer, Result, Run};
use rebalancer_cli::settings::{self, by_env};
use rstest::rstest;
use serde_json::Value;

/// A setting and a text that is not valid for it.
const BAD: &[(&str, &str)] = &[
    ("APPROVAL", "perhaps"),
    ("APPROVAL_EXPIRY", "0s"),
    ("COOLDOWN", "-1s"),
    ("COOLDOWN", "5"),
    ("DRY_RUN", "maybe"),
    ("EVICTION_METHOD", "kill"),
    ("EVICTION_TIMEOUT", "soon"),
    ("FRESHNESS_QUERY", "time()"),
    ("FREEZE", "* 8-17 * * MON-FRI"),
    ("FREEZE", "* 8-17 * * MON-FRI Europe/Bonn"),
    ("GRACE_PERIOD", "1500ms"),
    ("HOLD_ALERT_AFTER", "a day"),
    ("IGNORE_HISTORY", "sometimes"),
    ("KAFKA_BOOTSTRAP_SERVERS", "kafka"),
    ("KAFKA_BOOTSTRAP_SERVERS", "SSL://kafka:9093"),
    ("KAFKA_SASL_MECHANISM", "GSSAPI"),
    ("KAFKA_SASL_OAUTHBEARER_TOKEN_FILE", "/nowhere/token"),
    ("KAFKA_SASL_PASSWORD", "hunter2"),
    ("KAFKA_SASL_PASSWORD_FILE", "/nowhere/password"),
    ("KAFKA_SASL_USERNAME", "me"),
    ("KAFKA_SECURITY_PROTOCOL", "TLS"),
    ("KAFKA_SSL_CA_FILE", "/nowhere/ca.pem"),
    ("KAFKA_SSL_CERTIFICATE_FILE", "/nowhere/client.pem"),
    ("KAFKA_SSL_KEY_FILE", "/nowhere/client.key"),
    ("KAFKA_TIMEOUT", "0s"),
    ("KUBE_LABEL_SELECTOR", "a in ("),
    ("KUBE_TIMEOUT", "31s"),
    ("KUBE_TIMEOUT", "0s"),
    ("MAX_CONCURRENT_WORKLOADS", "0"),
    ("MAX_EVICTIONS", "0"),
    ("MAX_EVICTIONS_PER_DAY", "0"),
    ("ONE_AT_A_TIME", "mostly"),
    ("REJOIN_CONSUMER_PROTOCOL", "sometimes"),
    ("REMOVE_STATIC_MEMBERS", "maybe"),
    ("RUN_TIMEOUT", "0s"),
    ("KUBE_NAMESPACE", "Not A Namespace"),
    ("LEADER_ELECTION", "maybe"),
    ("LEADER_ELECTION_LEASE", "Not_A_Name"),
    ("LEADER_ELECTION_NAMESPACE", "a/b"),
    ("LISTEN_ADDRESS", "8080"),
    ("DEPLOYMENT_NAME", "a/b"),
    ("LOG_FORMAT", "xml"),
    ("LOG_LEVEL", "loud"),
    ("MAXIMUM_SAMPLE_AGE", "0s"),
    ("GROUP_ASSIGNOR", "random"),
    ("GROUP_CLIENT", "go"),
    ("GROUP_METRICS", "burrow"),
    ("GROUP_PROTOCOL", "new"),
    ("GROUP_RATE_QUERY", "rate(offsets[5m])"),
    ("GROUP_SESSION_TIMEOUT", "0s"),
    ("MAX_UNAVAILABLE", "0"),
    ("IMBALANCE_TOLERANCE", "0.9"),
    ("MAX_UNAVAILABLE", "150%"),
    ("METRICS_PUSH_CA_FILE", "/nowhere/ca.pem"),
    ("METRICS_PUSH_PASSWORD_FILE", "/nowhere/password"),
    ("METRICS_PUSH_TIMEOUT", "0s"),
    ("METRICS_PUSH_URL", "gateway:9091"),
    (
        "METRICS_PUSH_URL",
        "http://gateway:9091/metrics/job/rebalancer",
    ),
    ("METRICS_PUSH_USERNAME", "me"),
    ("METRICS_TIME_WINDOW", "0s"),
    ("METRICS_TIME_WINDOW", "5 minutes"),
    ("MINIMUM_CONFIDENCE_PERCENT", "101"),
    ("MINIMUM_COVERAGE_PERCENT", "200"),
    ("MINIMUM_HOT_DURATION", "0s"),
    ("MINIMUM_IMPROVEMENT_PERCENT", "-1"),
    ("MINIMUM_IMPROVEMENT_PERCENT", "10%"),
    ("MINIMUM_PODS_REQUIRED", "0"),
    ("MINIMUM_PODS_REQUIRED", "2.5"),
    ("MINIMUM_POD_AGE", "old"),
    ("NOTIFY_CA_FILE", "/nowhere/ca.pem"),
    ("NOTIFY_FORMAT", "irc"),
    ("NOTIFY_ON", "everything"),
    ("NOTIFY_TIMEOUT", "0s"),
    ("NOTIFY_URL", "hooks.example.com"),
    ("NOTIFY_URL_FILE", "/nowhere/url"),
    ("OUTPUT", "csv"),
    ("REPORT_FILE", "report.pdf"),
    ("PROMETHEUS_CA_FILE", "/nowhere/ca.pem"),
    ("PROMETHEUS_CLIENT_CERTIFICATE_FILE", "/nowhere/client.pem"),
    ("PROMETHEUS_CLIENT_KEY_FILE", "/nowhere/client.key"),
    ("PROMETHEUS_ENDPOINT", "ftp://prometheus"),
    ("PROMETHEUS_ENDPOINT", "http://prometheus?query=up"),
    ("PROMETHEUS_ENDPOINT", "prometheus:9090"),
    ("PROMETHEUS_HEADERS", "X-Scope-OrgID"),
    ("PROMETHEUS_HEADERS", "X Scope=a"),
    ("PROMETHEUS_CONTAINER_LABEL", "container name"),
    ("PROMETHEUS_MATCHERS", "cluster=prod"),
    ("PROMETHEUS_MATCHERS", "{cluster=\"prod\"}"),
    ("PROMETHEUS_METHOD", "PUT"),
    ("PROMETHEUS_NAMESPACE_LABEL", "exported-namespace"),
    ("PROMETHEUS_PASSWORD_FILE", "/nowhere/password"),
    ("PROMETHEUS_POD_LABEL", "\"pod\""),
    ("PROMETHEUS_TIMEOUT", "30"),
    ("PROMETHEUS_USERNAME", "me"),
    ("READY_TIMEOUT", "0s"),
    ("REBALANCE_TOP_K_PODS", "0"),
    ("REBALANCE_TOP_K_PODS", "two"),
    ("SCHEDULE", "*/10 * * * *"),
    ("SCHEDULE", "0 0 30 2 * UTC"),
    ("SCHEDULE", "0 3 L * * UTC"),
    ("STRATEGY", "random"),
    ("TARGET_CORES", "0"),
    ("TARGET_CORES", "700m"),
    ("TARGET_SOURCE", "datadog"),
    ("TOLERANCE_MULTIPLIER", "0.9"),
    ("TOLERANCE_MULTIPLIER", "NaN"),
    ("WORKLOAD_KIND", "DaemonSet"),
];

/// Settings that accept every text until a server evaluates it.
const FREE: [&str; 11] = [
    "CONTAINER_NAME",
    "GROUP_ASSIGNMENT_QUERY",
    "GROUP_ID",
    "HOLD_QUERY",
    "HPA_PREFIX",
    "KUBE_CONTEXT",
    "LOAD_QUERY",
    "METRICS_FILE",
    "METRICS_PUSH_BEARER_TOKEN_FILE",
    "PROMETHEUS_BEARER_TOKEN_FILE",
    "PROMETHEUS_CA_FILE",
];

/// The required settings; the kubeconfig names an unreachable server.
fn program(server: &FaultServer) -> Rebalancer {
    Rebalancer::new()
        .env("PROMETHEUS_ENDPOINT", server.url())
        .env("KUBE_NAMESPACE", "default")
        .env("DEPLOYMENT_NAME", "consumer")
        .env("KUBECONFIG", "/nowhere/kubeconfig")
}

/// The messages in the log.
fn messages(run: &Run) -> Vec<String> {
    run.stderr
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{run}"));
            line["msg"].as_str().unwrap().to_owned()
        })
        .collect()
}

/// A dry run must not become a real run because its setting cannot be read.
#[rstest]
#[case::variable("DRY_RUN", b"true\xff")]
#[case::number("MINIMUM_PODS_REQUIRED", b"\xff")]
#[case::file("REBALANCER_CONFIG", b"/etc/\xff.yaml")]
#[tokio::test]
async fn value_that_is_not_utf8_is_named(#[case] env: &str, #[case] value: &[u8]) -> Result<()> {
    let server = FaultServer::html(200, "").await?;
    let program = program(&server).env(env, OsStr::from_bytes(value));
    let run = program.run().await?;
    assert_eq!(run.code, Some(2), "{run}");
    let messages = messages(&run);
    assert!(messages[0].starts_with(&format!("{env}: ")), "{run}");
    assert_eq!(messages.len(), 1, "{run}");
    Ok(())
}

/// A misspelt variable must not turn a dry run into a real one.
#[rstest]
#[case("DRYRUN", "DRY_RUN")]
#[case("DRY_RUNS", "DRY_RUN")]
#[case("dry_run", "DRY_RUN")]
#[case("REBALANCER_DRY_RUN", "DRY_RUN")]
#[case("TARGET_CORE", "TARGET_CORES")]
#[case("PROMETHEUS_ENPOINT", "PROMETHEUS_ENDPOINT")]
#[case("MAXIMUM_EVICTIONS", "MAX_EVICTIONS")]
#[tokio::test]
async fn misspelt_variable_is_named_with_the_setting(
    #[case] name: &str,
    #[case] meant: &str,
) -> Result<()> {
    let server = FaultServer::html(200, "").await?;
    for command in [None, Some("plan")] {
        let program = program(&server).without_env(meant).env(name, "s3cret");
        let run = command.map_or(program.clone(), |command| program.arg(command));
        let run = run.run().await?;
        assert_eq!(run.code, Some(2), "{run}");
        let messages = messages(&run);
        let says = format!("contains {name}, which is not a setting: did you mean {meant}?");
        assert!(
            messages.iter().any(|message| message.contains(&says)),
            "{run}"
        );
        assert!(!run.stderr.contains("s3cret"), "{run}");
    }
    assert_eq!(server.requests(), [], "something was sent");
    Ok(())
}

/// The variables that a kubelet sets for Services, and those of other programs.
#[tokio::test]
async fn similar_variables_of_other_programs_are_ignored() -> Result<()> {
    let server = FaultServer::html(200, "").await?;
    let run = program(&server)
        .env("PROMETHEUS_PORT", "tcp://10.0.0.1:9090")
        .env("PROMETHEUS_SERVICE_HOST", "10.0.0.1")
        .env("ORDERS_SERVICE_PORT", "8080")
        .env("REBALANCER_PORT", "tcp://10.0.0.2:80")
        .env("KUBE_CONFIG", "/elsewhere")
        .env("READ_TIMEOUT", "5")
        .env("LOGLEVEL", "loud")
        .env("POD_NAMESPACE", "other")
        .env("npm_config_dry_run", "true")
        .arg("plan")
        .run()
        .await?;
    let messages = messages(&run);
    assert!(messages[0].contains("/nowhere/kubeconfig"), "{run}");
    assert_eq!(messages.len(), 1, "{run}");
    Ok(())
}

#[derive(Debug, Clone, Copy)]
enum Layer {
    Environment,
    Flag,
    File,
}

#[rstest]
#[case(Layer::Environment)]
#[case(Layer::Flag)]
#[case(Layer::File)]
#[tokio::test]
async fn every_invalid_setting_has_one_line_with_its_name(#[case] layer: Layer) -> Result<()> {
    let server = FaultServer::html(200, "").await?;
    let mut wrong = Vec::new();
    for (env, text) in BAD {
        let setting = by_env(env).unwrap();
        let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
        let mut program = program(&server);
        if env.starts_with("KAFKA_") || *env == "REMOVE_STATIC_MEMBERS" {
            // Without these, the other settings of Kafka have no effect.
            program = program
                .env("KAFKA_BOOTSTRAP_SERVERS", "kafka:9092")
                .env("GROUP_ID", "orders");
        }
        if env.starts_with("METRICS_PUSH_") {
            program = program.env("METRICS_PUSH_URL", "http://127.0.0.1:9");
        }
        if env.starts_with("NOTIFY_") {
            program = program.env("NOTIFY_URL", "https://127.0.0.1:9");
        }
        let (program, name) = match layer {
            Layer::Environment => (program.env(env, text), setting.env().to_owned()),
            Layer::Flag => {
                let Some(flag) = setting.flag() else {
                    continue;
                };
                let flag = format!("--{flag}");
                (program.arg(format!("{flag}={text}")), flag)
            }
            Layer::File => {
                std::fs::write(file.path(), format!("{}: '{text}'\n", setting.key())).unwrap();
                let program = program.without_env(env).arg("--config").arg(file.path());
                (
                    program,
                    format!("`{}` in {}", setting.key(), file.path().display()),
                )
            }
        };
        let run = program.run().await?;
        let messages = if run.stderr.starts_with('{') {
            messages(&run)
        } else {
            vec![]
        };
        let says = [name.as_str(), setting.env()].iter().any(|name| {
            messages
                .first()
                .is_some_and(|message| message.contains(name))
        });
        if run.code != Some(2) || messages.len() != 1 || !says || !run.stdout.is_empty() {
            wrong.push(format!("{env}={text} ({name}): {run}\n"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.concat()
    );
    assert_eq!(server.requests(), [], "something was sent");
    Ok(())
}

#[test]
fn table_has_every_setting() {
    for setting in settings::all() {
        let bad = BAD.iter().any(|(env, _)| *env == setting.env());
        assert!(bad || FREE.contains(&setting.env()), "{}", setting.env());
    }
}

#[tokio::test]
async fn invalid_label_selector_is_explained_with_an_example() -> Result<()> {
    let server = FaultServer::html(200, "").await?;
    let program = program(&server).env("KUBE_LABEL_SELECTOR", "a in (");
    let run = program.run().await?;
    assert_eq!(run.code, Some(2), "{run}");
    let messages = messages(&run);
    assert_eq!(messages.len(), 1, "{run}");
    for part in [
        "KUBE_LABEL_SELECTOR: label selector `a in (`: expected",
        "a valid selector is, for example, `app=consumer,tier in (front, back)`",
    ] {
        assert!(messages[0].contains(part), "{run}");
    }
    assert_eq!(server.requests(), [], "something was sent");
    Ok(())
}

#[tokio::test]
async fn all_missing_required_settings_are_named_at_once() -> Result<()> {
    let run = Rebalancer::new().env("DRY_RUN", "maybe").run().await?;
    assert_eq!(run.code, Some(2), "{run}");
    let messages = messages(&run);
    for name in [
        "KUBE_NAMESPACE is required",
        "DEPLOYMENT_NAME is required",
        "PROMETHEUS_ENDPOINT is required",
        "DRY_RUN: `maybe`",
    ] {
        let of = messages.iter().filter(|message| message.starts_with(name));
        assert_eq!(of.count(), 1, "{name}: {run}");
    }
    assert_eq!(messages.len(), 4, "{run}");
    Ok(())
}

#[rstest]
#[case(
    ".yaml",
    "tolerence_multiplier: 2",
    "did you mean `tolerance_multiplier`?"
)]
#[case(".toml", "dry_runn = true", "did you mean `dry_run`?")]
#[case(
    ".yaml",
    "tolerance_multiplier: [2]",
    "`tolerance_multiplier` must be a single value"
)]
#[case(".yaml", "a: b: c", "cannot use the configuration file")]
#[tokio::test]
async fn invalid_file_is_rejected(
    #[case] suffix: &str,
    #[case] text: &str,
    #[case] says: &str,
) -> Result<()> {
    let server = FaultServer::html(200, "").await?;
    let file = tempfile::Builder::new().suffix(suffix).tempfile().unwrap();
    std::fs::write(file.path(), format!("{text}\n")).unwrap();
    for program in [
        program(&server).arg("--config").arg(file.path()),
        program(&server).env("REBALANCER_CONFIG", file.path()),
    ] {
        let run = program.run().await?;
        assert_eq!(run.code, Some(2), "{run}");
        let messages = messages(&run);
        assert_eq!(messages.len(), 1, "{run}");
        assert!(messages[0].contains(says), "{run}");
        let path = file.path().display().to_string();
        assert!(messages[0].contains(&path), "{run}");
    }
    assert_eq!(server.requests(), []);
    Ok(())
}

#[rstest]
#[case(&["--tolerence-multiplier", "2"], "--tolerance-multiplier")]
#[case(&["paln"], "plan")]
#[case(&["decide"], "--snapshot")]
#[case(&["demo", "--seed", "x"], "--seed")]
#[case(&["demo", "--assignor", "random"], "sticky")]
#[tokio::test]
async fn command_line_error_is_explained(#[case] args: &[&str], #[case] says: &str) -> Result<()> {
    let run = Rebalancer::new().args(args).run().await?;
    assert_eq!(run.code, Some(2), "{run}");
    assert!(run.stderr.contains(says), "{run}");
    assert_eq!(run.stdout, "");
    Ok(())
}
