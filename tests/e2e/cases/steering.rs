//! `pause`, `resume`, `status` and `history`: without a metrics server, on the real API server.

use ::harness::{Rebalancer, Result, Run, TestNamespace, WorkloadSpec};
use rstest::rstest;
use serde_json::{Value, json};

use crate::gates::observed;
use crate::support::{RunExt as _, VICTIMS, account, assert_untouched, skewed};

/// A command on a workload, as in kubectl.
fn command(ns: &TestNamespace, command: &str, workload: &str) -> Rebalancer {
    Rebalancer::new()
        .env("KUBECONFIG", ns.control_plane().program_kubeconfig())
        .args([command, workload, "-n", ns.name()])
}

async fn ends(program: Rebalancer, code: i32) -> Result<Run> {
    let run = program.run().await?;
    assert_eq!(run.code, Some(code), "{run}");
    Ok(run)
}

/// The part of the document about the one workload.
async fn document(program: Rebalancer) -> Result<Value> {
    let run = ends(program.args(["-o", "json"]), 0).await?;
    let document: Value = run.json()?;
    assert_eq!(document["schema"], "rebalancer/steering/v1", "{run}");
    Ok(document["workloads"][0].clone())
}

fn assert_says(run: &Run, parts: &[&str]) {
    for part in parts {
        assert!(run.stdout.contains(part), "{part:?}: {run}");
    }
}

#[tokio::test]
async fn paused_workload_is_left_alone_until_it_is_resumed() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = skewed(&ns, WorkloadSpec::deployment("consumer")).await?;
    let before = consumer.pods().await?;
    let of = |name: &str| command(&ns, name, "deployment/consumer");

    let pause = of("pause").args(["--for", "2h", "--reason", "release 42"]);
    let run = ends(pause, 0).await?;
    assert_says(
        &run,
        &[
            "Deployment",
            "/consumer: paused: the workload is paused until",
            "(release 42)",
            "note: a rollback with kubectl rollout undo removes the pause: pause again after it",
        ],
    );
    let run = ns.rebalancer(&consumer).ends_with(0).await?;
    run.assert_says(&run.held("paused"), &["paused until", "(release 42)"]);

    let frozen = document(of("pause").args(["--reason", "incident 7"])).await?;
    assert_eq!(frozen["changed"], true, "{frozen}");
    assert_eq!(frozen["pause"]["reason"], "incident 7", "{frozen}");
    let again = document(of("pause")).await?;
    assert_eq!(again["changed"], false, "{again}");
    assert_eq!(again["pause"]["reason"], "incident 7", "{again}");
    let run = ends(of("status"), 0).await?;
    assert_says(
        &run,
        &[
            "paused         yes: the workload is frozen (incident 7)",
            "running        no run holds the Lease",
            "held for paused, in 1 consecutive runs",
            "last rotation  none is recorded",
            "next action    not before the workload is resumed",
        ],
    );
    assert_untouched(&consumer, &before).await?;

    let run = ends(of("resume"), 0).await?;
    assert_says(
        &run,
        &["/consumer: resumed; before, the workload is frozen (incident 7)"],
    );
    let run = ends(of("resume"), 0).await?;
    assert_says(&run, &["/consumer: not paused, nothing to resume"]);

    // A replacement at once, so that the record below is the only reason to wait.
    observed(&ns, "consumer").await?;
    ns.rebalancer(&consumer).ends_with(0).await?;
    let status = document(of("status").env("COOLDOWN", "1h")).await?;
    let status = &status["status"];
    assert_eq!(status["evictions_of_last_day"], 4, "{status}");
    assert_eq!(status["last_hold"], Value::Null, "{status}");
    assert!(status["cooldown_until"].is_string(), "{status}");
    let history = document(of("history")).await?;
    let entries = history["history"].as_array().unwrap();
    assert_eq!(entries.len(), 1, "{history}");
    let entry = &entries[0];
    assert_eq!(entry["strategy"], "rotate-outliers", "{entry}");
    assert_eq!(entry["event"], "Rotated", "{entry}");
    let names: Vec<&str> = VICTIMS
        .iter()
        .map(|index| before[*index].name.as_str())
        .collect();
    assert_eq!(entry["pods"], json!(names), "{entry}");
    let run = ends(of("history"), 0).await?;
    assert_says(&run, &["rotate-outliers; 4 pods evicted (", "→ expected"]);
    Ok(())
}

/// DRY_RUN of the environment is about evictions, and pausing a dry run must work. The flag is
/// about the command.
#[tokio::test]
async fn only_the_flag_makes_a_pause_a_dry_run() -> Result<()> {
    let ns = TestNamespace::start().await?;
    ns.create(WorkloadSpec::deployment("consumer").loads([0.5]))
        .await?;
    let of = |name: &str| command(&ns, name, "deployment/consumer").env("DRY_RUN", "true");
    let paused =
        async || -> Result<Value> { Ok(document(of("status")).await?["pause"]["reason"].clone()) };

    let pause = of("pause").args(["--reason", "incident 7"]);
    let run = ends(pause.clone().arg("--dry-run"), 0).await?;
    assert_says(
        &run,
        &["/consumer: dry run: would be paused: the workload is frozen (incident 7)"],
    );
    assert_eq!(paused().await?, Value::Null);
    ends(pause, 0).await?;
    assert_eq!(paused().await?, "incident 7");

    let run = ends(of("resume").args(["--dry-run", "-o", "json"]), 0).await?;
    let resumed: Value = run.json()?;
    assert_eq!(resumed["dry_run"], true, "{run}");
    assert_eq!(resumed["workloads"][0]["changed"], true, "{run}");
    assert_eq!(paused().await?, "incident 7");
    let run = ends(of("resume").arg("--dry-run=false"), 0).await?;
    assert_says(&run, &["/consumer: resumed; before, "]);
    assert_eq!(paused().await?, Value::Null);
    Ok(())
}

#[rstest]
#[case::past(&["pause", "consumer", "--until", "2020-01-01T00:00:00Z"], 2, &["--until: the time is past: it is 20"])]
#[case::both(&["pause", "consumer", "--until", "2200-01-01T00:00:00Z", "--for", "1h"], 2, &["cannot be used with"])]
#[case::no_workload(&["pause", "nothing"], 1, &["there is no Deployment", "none of the 1 Deployments"])]
#[case::no_namespace(&["status"], 2, &["KUBE_NAMESPACE is required", "DEPLOYMENT_NAME is required"])]
#[tokio::test]
async fn mistakes_are_explained(
    #[case] args: &[&str],
    #[case] code: i32,
    #[case] says: &[&str],
) -> Result<()> {
    let ns = TestNamespace::start().await?;
    ns.create(WorkloadSpec::deployment("consumer").loads([0.5]))
        .await?;
    let mut program = Rebalancer::new()
        .env("KUBECONFIG", ns.control_plane().program_kubeconfig())
        .args(args);
    if args.len() > 1 {
        program = program.args(["-n", ns.name()]);
    }
    let run = ends(program, code).await?;
    for part in says {
        assert!(run.stderr.contains(part), "{part:?}: {run}");
    }
    assert!(!run.stderr.contains("PROMETHEUS_ENDPOINT"), "{run}");
    Ok(())
}

#[tokio::test]
async fn missing_rights_are_named() -> Result<()> {
    let ns = TestNamespace::start().await?;
    ns.create(WorkloadSpec::deployment("consumer").loads([0.5]))
        .await?;
    let rules = "[{apiGroups: [apps], resources: [deployments], verbs: [get]}]";
    let reader = account(&ns, "reader", rules).await?;
    let of = |name: &str| {
        command(&ns, name, "deployment/consumer").env("KUBECONFIG", &reader.kubeconfig)
    };
    let run = ends(of("pause"), 1).await?;
    let says = "grant verb `patch` on `deployments` in API group";
    assert!(run.stderr.contains(says), "{run}");
    let run = ends(of("pause").arg("--dry-run"), 1).await?;
    assert!(run.stderr.contains(says), "{run}");
    // What cannot be read is a remark, and the rest is shown.
    let run = ends(of("status"), 0).await?;
    assert_says(
        &run,
        &[
            "paused         no",
            "note: the Lease is not known",
            "grant verb `get` on `leases`",
        ],
    );
    let run = ends(of("history"), 0).await?;
    assert_says(
        &run,
        &[
            "no action is recorded",
            "note: without the Events",
            "grant verb `list` on `events`",
        ],
    );
    Ok(())
}
