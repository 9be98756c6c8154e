//! The output on standard output.

use ::harness::{Rebalancer, Result, Run};
use rebalancer_cli::settings;
use serde_json::{Value, json};

use crate::support::{
    Outcome, RunExt as _,
    documents::{EXAMPLE, snapshot},
    shared::Shared,
};

async fn decide(stdin: &str, output: &str, minimum: &str) -> Result<Run> {
    Rebalancer::new()
        .args(["decide", "--snapshot", "-", "--output", output])
        .env("MINIMUM_PODS_REQUIRED", minimum)
        .stdin(stdin)
        .run()
        .await
}

#[tokio::test]
async fn worked_example_rotates_with_a_minimum_of_two() -> Result<()> {
    let run = decide(&snapshot(&EXAMPLE), "json", "2").await?;
    assert_eq!(run.code, Some(0), "{run}");
    let decision = Outcome(run.clone()).workload();
    assert_eq!(decision["decision"]["action"], "rotate", "{run}");
    let victims = decision["victims"].as_array().unwrap();
    let names: Vec<_> = victims
        .iter()
        .map(|victim| victim["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["a", "b", "f", "e"], "{run}");
    let improvement = decision["analysis"]["improvement_percent"]
        .as_f64()
        .unwrap();
    assert_eq!(format!("{improvement:.1}"), "34.8");
    let message = decision["decision"]["message"].as_str().unwrap();
    assert!(message.contains("34.8 %"), "{run}");
    Ok(())
}

#[tokio::test]
async fn worked_example_holds_with_the_default_minimum() -> Result<()> {
    let run = decide(&snapshot(&EXAMPLE), "json", "").await?;
    assert_eq!(run.code, Some(0), "{run}");
    let decision = Outcome(run.clone()).workload();
    assert_eq!(decision["decision"]["reason"], "minimum_pods", "{run}");
    let message = decision["decision"]["message"].as_str().unwrap();
    assert!(
        message.contains("evicting 4 of 6 ready pods at once would leave 2"),
        "{run}"
    );
    Ok(())
}

#[tokio::test]
async fn stream_of_snapshots_gives_a_stream_of_decisions() -> Result<()> {
    let run = decide(&format!("{}\n", snapshot(&EXAMPLE)).repeat(3), "json", "2").await?;
    assert_eq!(run.code, Some(0), "{run}");
    let alone: Value = decide(&snapshot(&EXAMPLE), "json", "2").await?.json()?;
    let lines: Vec<Value> = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines, vec![alone; 3]);
    Ok(())
}

/// One shape for every command, and `dry_run` only for a dry run.
#[tokio::test]
async fn every_command_prints_the_same_document() -> Result<()> {
    let shared = Shared::open().await?;
    let consumer = shared.ns.rebalancer_for("consumer");
    let run = consumer
        .clone()
        .arg("--dry-run")
        .ends_with(0)
        .await?
        .report();
    let plan = consumer.arg("plan").ends_with(0).await?.report();
    let decide: Value = decide(&snapshot(&EXAMPLE), "json", "2").await?.json()?;
    for (report, command, dry_run) in [
        (&run, "run", true),
        (&plan, "plan", false),
        (&decide, "decide", false),
    ] {
        assert_eq!(report["schema"], "rebalancer/report/v2", "{report}");
        assert_eq!(report["command"], command, "{report}");
        assert_eq!(report["dry_run"], dry_run, "{report}");
        let workload = &report["workloads"][0];
        assert_eq!(workload["decision"]["action"], "rotate", "{report}");
        assert_eq!(workload["victims"].as_array().unwrap().len(), 4, "{report}");
    }
    // The decision on a snapshot depends on nothing else.
    assert!(decide.get("started").is_none() && plan.get("started").is_some());
    Ok(())
}

#[tokio::test]
async fn input_that_is_not_a_snapshot_is_refused() -> Result<()> {
    for (text, says) in [
        ("", "it contains no snapshot"),
        ("[]", "snapshot 1 of standard input"),
        (r#"{"target":0.7,"podz":[]}"#, "podz"),
        (r#"{"target":0.7,"pods":[{"name":"a","load":-1}]}"#, "-1"),
    ] {
        let run = decide(text, "json", "2").await?;
        assert_eq!(run.code, Some(1), "{text}: {run}");
        assert!(run.stderr.contains(says), "{text}: {run}");
        assert_eq!(run.stdout, "", "{text}");
    }
    Ok(())
}

#[tokio::test]
async fn json_and_yaml_are_the_same_document() -> Result<()> {
    let json: Value = decide(&snapshot(&EXAMPLE), "json", "2").await?.json()?;
    let yaml = decide(&snapshot(&EXAMPLE), "yaml", "2").await?.stdout;
    assert_eq!(serde_saphyr::from_str::<Value>(&yaml).unwrap(), json);

    let shared = Shared::open().await?;
    let program = shared.ns.rebalancer_for("consumer").arg("plan");
    let json = program.clone().ends_with(0).await?.report();
    let yaml = program.env("OUTPUT", "yaml").run().await?;
    let mut yaml: Value = serde_saphyr::from_str(&yaml.stdout).unwrap();
    assert_eq!(yaml["schema"], "rebalancer/report/v2");
    assert_eq!(shape(&yaml), shape(&json));
    assert_eq!(
        yaml["workloads"][0]["victims"]
            .take()
            .as_array()
            .unwrap()
            .len(),
        4
    );
    Ok(())
}

/// The document without the fields that differ between two runs.
fn shape(document: &Value) -> Value {
    match document {
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| (key.clone(), shape(value)))
            .collect(),
        Value::Array(items) => items.iter().map(shape).collect(),
        Value::Number(_) => json!("number"),
        Value::String(_) => json!("text"),
        Value::Null => json!("number"),
        Value::Bool(value) => json!(value),
    }
}

#[tokio::test]
async fn table_shows_every_pod_and_the_decision() -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, pods) = shared.skewed().await?;
    let program = shared.ns.rebalancer(&consumer).arg("plan");
    for program in [program.clone(), program.env("NO_COLOR", "1")] {
        let run = program.run().await?;
        assert_eq!(run.code, Some(0), "{run}");
        assert!(!run.stdout.contains('\x1b'), "{run}");
        for pod in &pods {
            let of_pod = |line: &&str| line.starts_with(&format!("{} ", pod.name));
            let line = run.stdout.lines().find(of_pod).unwrap();
            let load = pod.load.unwrap();
            let role = match load {
                load if load > 1.05 => "hottest",
                load if load < 0.4 => "coldest",
                _ => "",
            };
            assert!(line.contains(role) && line.contains('█'), "{line}");
            assert!(line.ends_with("yes"), "{line}");
        }
        let last = run.stdout.lines().last().unwrap();
        assert!(last.starts_with("ROTATE: evict 4 of 8 pods"), "{run}");
    }
    Ok(())
}

#[tokio::test]
async fn the_table_shows_the_failure() -> Result<()> {
    let shared = Shared::open().await?;
    let program = shared.ns.rebalancer_for("disagreed").arg("plan");
    let run = program.run().await?;
    assert_eq!(run.code, Some(1), "{run}");
    assert!(
        run.stdout
            .contains("HOLD (target_unknown): several CPU metrics give different targets"),
        "{run}"
    );
    let run = shared.ns.rebalancer_for("nobody").run().await?;
    assert_eq!(run.code, Some(1), "{run}");
    assert!(
        run.stdout
            .contains("error: there is no Deployment \"nobody\""),
        "{run}"
    );
    Ok(())
}

#[tokio::test]
async fn version_and_help_go_to_standard_output() -> Result<()> {
    let version = Rebalancer::new().arg("--version").run().await?;
    assert_eq!(version.code, Some(0), "{version}");
    assert_eq!(
        version.stdout,
        format!("rebalancer {}\n", env!("CARGO_PKG_VERSION"))
    );
    for args in [&["--help"][..], &["run", "--help"], &["plan", "--help"]] {
        let help = Rebalancer::new().args(args).run().await?;
        assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""), "{help}");
        assert!(!help.stdout.contains('\x1b'), "{help}");
        // Lines are wrapped between words.
        let words = help.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        for setting in settings::all() {
            let flag = setting.flag().map(|flag| format!("--{flag}"));
            let variable = format!("[env: {}]", setting.env());
            let both = flag.is_none_or(|flag| words.contains(&flag)) && words.contains(&variable);
            assert!(both, "{args:?} lacks {}: {help}", setting.env());
        }
    }
    Ok(())
}
