//! `rebalancer check`: what a run needs, and the fix for what is missing. Nothing is changed.

use ::harness::{FaultServer, Rebalancer, Result, Run, fault::refused_url};
use rstest::rstest;
use serde_json::Value;

use crate::support::{READ_RULES, account, assert_untouched, evict_rules, shared::Shared};

/// The document of a check.
struct Checked {
    run: Run,
    document: Value,
}

impl Checked {
    /// Panics unless the check ends with that exit code.
    async fn of(program: Rebalancer, code: i32) -> Result<Self> {
        let run = program.args(["check", "-o", "json"]).run().await?;
        assert_eq!(run.code, Some(code), "{run}");
        let document: Value = run.json()?;
        assert_eq!(document["schema"], "rebalancer/check/v1", "{run}");
        Ok(Self { run, document })
    }

    /// The lines with a status, of the section about a subject.
    fn lines(&self, subject: &str, status: &str) -> Vec<&Value> {
        let sections = self.document["sections"].as_array().unwrap().iter();
        sections
            .filter(|section| section["subject"] == subject)
            .flat_map(|section| section["checks"].as_array().unwrap())
            .filter(|line| line["status"] == status)
            .collect()
    }

    /// Panics unless a line with that status contains the text. Returns its fix.
    fn fix(&self, subject: &str, status: &str, text: &str) -> &str {
        let lines = self.lines(subject, status);
        let line = lines
            .iter()
            .find(|line| line["message"].as_str().unwrap().contains(text));
        let line = line.unwrap_or_else(|| panic!("no {status} {text:?}: {}", self.run));
        line["fix"].as_str().unwrap_or_default()
    }
}

#[rstest]
#[case::prometheus(0)]
#[case::victoria_metrics(1)]
#[tokio::test]
async fn passes_where_a_run_would_rotate(#[case] server: usize) -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, before) = shared.skewed().await?;
    let url = shared.ns.metrics_servers()[server].url();
    let program = shared.ns.rebalancer(&consumer);
    let program = program.env("PROMETHEUS_ENDPOINT", url);
    let checked = Checked::of(program, 0).await?;
    assert_eq!(checked.document["status"], "ok", "{}", checked.run);
    let count = before.len();
    for (subject, text) in [
        ("configuration", "the settings are valid".to_owned()),
        ("kubernetes", "may create pods/eviction".to_owned()),
        (
            "workload",
            format!("{count} pods, {count} ready, {count} may be evicted"),
        ),
        ("metrics", format!("loads: {count} of {count} ready pods")),
        (
            "strategies",
            "rotate-outliers (configured): would evict 4 pods".to_owned(),
        ),
        ("metrics", "the scrape interval is about".to_owned()),
    ] {
        checked.fix(subject, "ok", &text);
    }
    // Other strategies are no warnings, but say what is missing for them.
    let fix = checked.fix("strategies", "info", "assign: holds");
    assert!(!fix.is_empty(), "{}", checked.run);
    assert_untouched(&consumer, &before).await
}

#[tokio::test]
async fn missing_rights_are_named_with_their_rule() -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, before) = shared.skewed().await?;
    let account = account(&shared.ns, "check-reader", READ_RULES).await?;
    let program = shared.ns.rebalancer(&consumer);
    let program = program
        .env("KUBECONFIG", &account.kubeconfig)
        // Nothing is taken: only the rights for it are checked.
        .env("ONE_AT_A_TIME", "true");

    let checked = Checked::of(program.clone(), 1).await?;
    let fix = checked.fix("kubernetes", "error", "may not create pods/eviction");
    assert_eq!(
        fix,
        "add to the Role: {apiGroups: [\"\"], resources: [\"pods/eviction\"], verbs: [\"create\"]}"
    );
    checked.fix("kubernetes", "error", "may not update leases");
    checked.fix("kubernetes", "warning", "may not create events");
    checked.fix("kubernetes", "ok", "may list pods");
    // All else is checked nevertheless.
    checked.fix("strategies", "ok", "would evict");

    // A dry run needs no lease, but what comes after it does.
    let dry_run = Checked::of(program.clone().env("DRY_RUN", "true"), 1).await?;
    dry_run.fix("kubernetes", "warning", "may not update leases");
    // An assignment needs no eviction.
    let assign = Checked::of(
        program
            .env("STRATEGY", "assign")
            .env("ONE_AT_A_TIME", "false")
            .env("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
            .env("GROUP_ID", "orders"),
        1,
    )
    .await?;
    assert_eq!(
        assign.lines("kubernetes", "error"),
        [] as [&Value; 0],
        "{}",
        assign.run
    );
    // The strategy needs the group, so a broker that does not respond is an error.
    assign.fix("consumer_group", "error", "127.0.0.1:1");
    assert_untouched(&consumer, &before).await
}

/// The printed Role, bound to a new account, lets that account pass every check of rights. It names
/// the workload, so it does not grant other workloads.
#[tokio::test]
async fn printed_role_suffices() -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, before) = shared.skewed().await?;
    let program = shared
        .ns
        .rebalancer(&consumer)
        .env("ONE_AT_A_TIME", "true")
        .env("SCHEDULE", "*/10 * * * * UTC")
        .env("LEADER_ELECTION_LEASE", "leader")
        .env("LEADER_ELECTION_NAMESPACE", shared.ns.name());
    let role = program
        .clone()
        .args(["check", "--print-role"])
        .run()
        .await?;
    assert_eq!(role.code, Some(0), "{role}");
    assert!(
        role.stdout.contains("resourceNames: [\"consumer\"]"),
        "{role}"
    );
    let role: Value = serde_saphyr::from_multiple::<Value>(&role.stdout)
        .unwrap()
        .into_iter()
        .find(|document| document["kind"] == "Role")
        .unwrap();
    assert_eq!(role["metadata"]["namespace"], shared.ns.name());
    let rules = role["rules"].to_string();
    let account = account(&shared.ns, "check-printed", &rules).await?;
    let program = program.env("KUBECONFIG", &account.kubeconfig);
    let checked = Checked::of(program.clone(), 0).await?;
    for status in ["error", "warning"] {
        let lines = checked.lines("kubernetes", status);
        assert_eq!(lines, [] as [&Value; 0], "{}", checked.run);
    }
    checked.fix("kubernetes", "ok", "may patch deployments");
    let line = format!(
        "may update leases in namespace {}: becoming",
        shared.ns.name()
    );
    checked.fix("kubernetes", "ok", &line);
    let other = program
        .env("DEPLOYMENT_NAME", "balanced")
        .env("CONTAINER_NAME", "balanced")
        .env("LEADER_ELECTION_NAMESPACE", "default");
    let other = Checked::of(other, 1).await?;
    other.fix("kubernetes", "error", "may not get deployments");
    let fix = other.fix(
        "kubernetes",
        "error",
        "may not update leases in namespace default (becoming the leader",
    );
    assert!(fix.contains("resourceNames: [\"leader\"]"), "{fix}");
    assert!(
        fix.starts_with("add to the Role in namespace default:"),
        "{fix}"
    );
    assert_untouched(&consumer, &before).await
}

/// The printed file has the settings that differ from the defaults, and a run with it decides the
/// same.
#[tokio::test]
async fn printed_configuration_works() -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, _) = shared.skewed().await?;
    let program = shared
        .ns
        .rebalancer(&consumer)
        .env("TOLERANCE_MULTIPLIER", "1.5");
    let printed = program
        .clone()
        .args(["check", "--print-config"])
        .run()
        .await?;
    assert_eq!(printed.code, Some(0), "{printed}");
    for (part, is_there) in [
        ("deployment_name: \"consumer\"", true),
        ("tolerance", false),
    ] {
        assert_eq!(printed.stdout.contains(part), is_there, "{printed}");
    }
    let file = shared.ns.dir().join("printed.yaml");
    std::fs::write(&file, &printed.stdout).unwrap();
    let kubeconfig = shared.ns.control_plane().program_kubeconfig();
    let again = Rebalancer::new().env("KUBECONFIG", kubeconfig);
    let again = again
        .args(["plan", "-o", "json", "--config"])
        .arg(&file)
        .run()
        .await?;
    assert_eq!(again.code, Some(0), "{again}");
    let report: Value = again.json()?;
    assert_eq!(
        report["workloads"][0]["decision"]["action"], "rotate",
        "{again}"
    );

    // Nothing is printed if a run would fail.
    let failing = program.env("PROMETHEUS_MATCHERS", "cluster=\"elsewhere\"");
    let failing = failing.args(["check", "--print-config"]).run().await?;
    assert_eq!(
        (failing.code, failing.stdout.as_str()),
        (Some(1), ""),
        "{failing}"
    );
    assert!(failing.stderr.contains("\"level\":\"error\""), "{failing}");
    Ok(())
}

#[tokio::test]
async fn metrics_that_cannot_be_read_are_an_error() -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, _) = shared.skewed().await?;
    let program = shared.ns.rebalancer(&consumer);

    let down = program.clone().env("PROMETHEUS_ENDPOINT", refused_url()?);
    let down = Checked::of(down, 1).await?;
    down.fix("metrics", "error", "check PROMETHEUS_ENDPOINT");
    down.fix("workload", "ok", "8 pods, 8 ready");

    let server = FaultServer::html(401, "who are you").await?;
    let password = shared.ns.dir().join("check-password");
    std::fs::write(&password, "mark-of-the-check").unwrap();
    let refused = program
        .clone()
        .env("PROMETHEUS_ENDPOINT", server.url())
        .env("PROMETHEUS_USERNAME", "reader")
        .env("PROMETHEUS_PASSWORD_FILE", &password);
    let refused = Checked::of(refused, 1).await?;
    refused.fix("metrics", "error", "HTTP 401");
    assert!(
        !refused.run.to_string().contains("mark-of-the-check"),
        "{}",
        refused.run
    );

    let nothing = program.env("PROMETHEUS_MATCHERS", "cluster=\"elsewhere\"");
    let nothing = Checked::of(nothing, 1).await?;
    nothing.fix("metrics", "info", "loads: 0 of 8 ready pods");
    assert!(
        !nothing.lines("metrics", "error").is_empty(),
        "{}",
        nothing.run
    );
    Ok(())
}

/// The metrics and the group are examined without the API server, and the workload without the
/// metrics.
#[rstest]
#[case::no_kubeconfig("/nowhere/kubeconfig", "no connection to the API server")]
#[case::api_server_down("", "127.0.0.1:1")]
#[tokio::test]
async fn all_that_can_be_read_is_examined(
    #[case] kubeconfig: &str,
    #[case] why: &str,
) -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, _) = shared.skewed().await?;
    let unreachable = shared.ns.dir().join("check-unreachable");
    let text = "{apiVersion: v1, kind: Config, current-context: a, \
                clusters: [{name: a, cluster: {server: 'http://127.0.0.1:1'}}], \
                contexts: [{name: a, context: {cluster: a, user: a}}], users: [{name: a, user: {}}]}";
    let file = match kubeconfig {
        "" => {
            std::fs::write(&unreachable, text).unwrap();
            unreachable.to_str().unwrap()
        }
        file => file,
    };
    let program = shared
        .ns
        .rebalancer(&consumer)
        .env("KUBECONFIG", file)
        .env("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
        .env("KAFKA_TIMEOUT", "2s")
        .env("GROUP_ID", "orders");
    let checked = Checked::of(program, 1).await?;
    assert!(!checked.lines("kubernetes", "error").is_empty());
    let status = if kubeconfig.is_empty() {
        "error"
    } else {
        "info"
    };
    checked.fix("workload", status, why);
    checked.fix("metrics", "ok", "the metrics server responds");
    checked.fix("metrics", "ok", "loads: ");
    checked.fix("metrics", "ok", "the scrape interval is about");
    checked.fix("consumer_group", "warning", "127.0.0.1:1");
    for (subject, what) in [
        ("metrics", "coverage, clocks and duplicate series are"),
        ("strategies", "what each strategy would do is"),
    ] {
        let line = format!("{what} not examined: the pods are unknown");
        checked.fix(subject, "info", &line);
    }
    Ok(())
}

#[tokio::test]
async fn workload_is_examined_without_metrics() -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, _) = shared.skewed().await?;
    let bad = shared.ns.dir().join("check-ca.pem");
    std::fs::write(&bad, "no certificate").unwrap();
    let program = shared.ns.rebalancer(&consumer);
    let program = program.env("PROMETHEUS_CA_FILE", &bad);
    let checked = Checked::of(program, 1).await?;
    checked.fix("configuration", "error", "PROMETHEUS_CA_FILE");
    checked.fix(
        "metrics",
        "info",
        "not examined: the settings of the metrics server cannot be used",
    );
    checked.fix("kubernetes", "ok", "may list pods");
    checked.fix("workload", "ok", "8 pods, 8 ready");
    checked.fix("workload", "ok", "replicas are up to date");
    checked.fix("workload", "info", "PodDisruptionBudget");
    let errors = checked.lines("workload", "error");
    assert_eq!(errors, [] as [&Value; 0], "{}", checked.run);
    checked.fix("strategies", "info", "the loads are unknown");
    Ok(())
}

#[rstest]
#[case::acts(&[("MAX_EVICTIONS_PER_DAY", "4")], "error")]
#[case::dry_run(&[("MAX_EVICTIONS_PER_DAY", "4"), ("DRY_RUN", "true")], "warning")]
#[case::no_limit(&[], "warning")]
#[tokio::test]
async fn limit_of_evictions_per_day_requires_the_record(
    #[case] settings: &[(&str, &str)],
    #[case] status: &str,
) -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, _) = shared.skewed().await?;
    let name = format!("check-limit-{}", settings.len());
    let account = account(&shared.ns, &name, &evict_rules()).await?;
    let program = shared.ns.rebalancer(&consumer);
    let program = program
        .env("KUBECONFIG", &account.kubeconfig)
        .envs(settings.iter().copied());
    let code = if status == "error" { 1 } else { 0 };
    let checked = Checked::of(program, code).await?;
    let says = match settings {
        [] => "rotations are not remembered",
        [_] => "runs fail",
        _ => "runs fail as soon as they are no dry runs",
    };
    let says = format!(
        "may not patch deployments (its annotations: the last rotation, a plan that waits for approval): {says}"
    );
    let fix = checked.fix("kubernetes", status, &says);
    assert!(fix.contains("resourceNames: [\"consumer\"]"), "{fix}");
    Ok(())
}

#[tokio::test]
async fn workload_that_does_not_exist_is_an_error() -> Result<()> {
    let shared = Shared::open().await?;
    let missing = Checked::of(shared.ns.rebalancer_for("nowhere"), 1).await?;
    missing.fix("workload", "error", "there is no Deployment \"nowhere\"");
    Ok(())
}

#[tokio::test]
async fn errors_of_the_settings_are_listed() -> Result<()> {
    let program = Rebalancer::new()
        .env("TOLERANCE_MULTIPLIER", "many")
        .env("DRYRUN", "true");
    let checked = Checked::of(program.clone(), 1).await?;
    for name in ["TOLERANCE_MULTIPLIER", "DRYRUN", "DEPLOYMENT_NAME"] {
        checked.fix("configuration", "error", name);
    }
    let table = program.arg("check").run().await?;
    assert_eq!(table.code, Some(1), "{table}");
    assert!(table.stdout.contains("× TOLERANCE_MULTIPLIER: "), "{table}");
    assert!(table.stdout.ends_with("errors\n"), "{table}");
    Ok(())
}
