//! `rebalancer forecast` with changes of the group, on snapshots. The live group is a case of
//! `group_metrics`.

use ::harness::{Rebalancer, Result, Run};
use rstest::rstest;
use serde_json::{Value, json};

/// Twelve partitions on four pods under `range`. The partitions of the first pod are heavy.
fn snapshot() -> String {
    let rates = [40, 45, 50, 10, 10, 15, 10, 15, 10, 20, 10, 10];
    let names = ["a", "b", "c", "d"];
    let pods: Vec<Value> = names
        .iter()
        .zip(rates.chunks(3))
        .map(|(name, rates)| {
            let load = f64::from(rates.iter().sum::<i32>()) / 100.0;
            json!({"name": name, "load": load})
        })
        .collect();
    let owners: Vec<&str> = (0..12).map(|partition| names[partition / 3]).collect();
    let topics = json!({"orders": {"owners": owners, "rates": rates}});
    json!({
        "target": 0.5,
        "pods": pods,
        "group": {"assignor": "range", "topics": topics},
    })
    .to_string()
}

async fn forecast(args: &[&str]) -> Result<Run> {
    Rebalancer::new()
        .args(["forecast", "--snapshot", "-", "-o", "json"])
        .args(args.iter().copied())
        .stdin(snapshot())
        .run()
        .await
}

/// The scenarios by their descriptions, each with its highest load.
fn peaks(run: &Run) -> Vec<(String, Option<f64>)> {
    let document: Value = run.json().unwrap();
    let scenarios = document["workloads"][0]["group"]["scenarios"].as_array();
    scenarios
        .unwrap_or_else(|| panic!("{run}"))
        .iter()
        .map(|scenario| {
            let description = scenario["description"].as_str().unwrap().to_owned();
            (description, scenario["expected"]["peak"]["mean"].as_f64())
        })
        .collect()
}

#[tokio::test]
async fn every_combination_has_a_row_after_the_present_group() -> Result<()> {
    let args = [
        "--replicas",
        "4,12",
        "--assignor",
        "range",
        "--assignor",
        "cooperative-sticky",
    ];
    let run = forecast(&args).await?;
    assert_eq!(run.code, Some(0), "{run}");
    let peaks = peaks(&run);
    let names: Vec<&str> = peaks.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "as it is",
            "4 pods, range",
            "12 pods, range",
            "4 pods, cooperative-sticky",
            "12 pods, cooperative-sticky",
        ]
    );
    let peak = |index: usize| (peaks[index].1.unwrap() * 1000.0).round() / 1000.0;
    // The pod a has three heavy partitions. With 12 pods each has one of them, at most 50 / 100
    // cores.
    assert_eq!((peak(0), peak(1), peak(2), peak(4)), (1.35, 1.35, 0.5, 0.5));
    assert!(peak(3) < 1.35, "{run}");
    Ok(())
}

#[tokio::test]
async fn impossible_scenario_says_why() -> Result<()> {
    let args = [
        "--assignor",
        "cooperative-sticky",
        "--protocol",
        "consumer",
        "--protocol",
        "classic",
    ];
    let run = forecast(&args).await?;
    assert_eq!(run.code, Some(0), "{run}");
    let document: Value = run.json()?;
    let scenarios = &document["workloads"][0]["group"]["scenarios"];
    let problem = scenarios[2]["problem"].as_str().unwrap_or_default();
    assert!(
        problem.contains("no assignor cooperative-sticky in a group of the consumer protocol"),
        "{run}"
    );
    assert!(scenarios[1]["expected"].is_object(), "{run}");
    Ok(())
}

#[rstest]
#[case::too_many(&["--replicas", "1..300", "--protocol", "classic", "--protocol", "consumer"],
    "600 combinations of the changes are more than 500")]
#[case::no_number(&["--replicas", "many"], "`many` is not a number such as 12")]
#[case::no_topic(&["--partitions", "64"], "`64` is not of the form TOPIC=N")]
#[case::unknown_assignor(&["--assignor", "random"], "invalid value 'random'")]
#[tokio::test]
async fn wrong_flags_are_usage_errors(#[case] args: &[&str], #[case] says: &str) -> Result<()> {
    let run = forecast(args).await?;
    assert_eq!(run.code, Some(2), "{run}");
    assert!(run.stderr.contains(says), "{run}");
    assert_eq!(run.stdout, "");
    Ok(())
}

#[rstest]
#[case::pod(&["--without", "e"], "`e` is not a ready pod of the workload; its ready pods are a, b, c, d")]
#[case::topic(&["--partitions", "order=64"], "the group does not consume topic `order`; its topics are orders")]
#[case::fewer(&["--partitions", "orders=4"], "Kafka cannot remove any")]
#[tokio::test]
async fn names_that_do_not_exist_are_errors(
    #[case] args: &[&str],
    #[case] says: &str,
) -> Result<()> {
    let run = forecast(args).await?;
    assert_eq!(run.code, Some(1), "{run}");
    let document: Value = run.json()?;
    let error = document["workloads"][0]["error"]
        .as_str()
        .unwrap_or_default();
    assert!(error.contains(says), "{run}");
    Ok(())
}

#[rstest]
#[case("html", "<b>WHAT IF</b>12 pods: the highest load is 0.500 (now 1.350)")]
#[case("md", "**WHAT IF**: 12 pods: the highest load is 0.500 (now 1.350)")]
#[tokio::test]
async fn scenarios_are_written_as_a_report(
    #[case] extension: &str,
    #[case] says: &str,
) -> Result<()> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(format!("report.{extension}"));
    let file = path.to_str().unwrap();
    let args = ["--replicas", "4,12", "--report", file, "-o", "markdown"];
    let run = Rebalancer::new()
        .args(["forecast", "--snapshot", "-"])
        .args(args)
        .stdin(snapshot())
        .run()
        .await?;
    assert_eq!(run.code, Some(0), "{run}");
    let report = std::fs::read_to_string(&path).unwrap();
    assert!(report.contains(says), "{report}");
    let is_same = report == run.stdout;
    assert_eq!(is_same, extension == "md", "{run}");
    Ok(())
}

/// A live group needs a source.
#[tokio::test]
async fn group_without_a_source_is_a_configuration_error() -> Result<()> {
    let run = Rebalancer::new()
        .args(["forecast", "--replicas", "4"])
        .env("PROMETHEUS_ENDPOINT", "http://127.0.0.1:1")
        .env("KUBE_NAMESPACE", "shop")
        .env("DEPLOYMENT_NAME", "shop")
        .run()
        .await?;
    assert_eq!(run.code, Some(2), "{run}");
    assert!(run.stderr.contains("KAFKA_BOOTSTRAP_SERVERS"), "{run}");
    Ok(())
}

/// The hold names the change that helps.
#[tokio::test]
async fn hold_names_what_would_help() -> Result<()> {
    let run = Rebalancer::new()
        .args(["decide", "--snapshot", "-", "-o", "json"])
        .env("STRATEGY", "forecast")
        .stdin(snapshot())
        .run()
        .await?;
    assert_eq!(run.code, Some(0), "{run}");
    let document: Value = run.json()?;
    let decision = &document["workloads"][0]["decision"];
    assert_eq!(decision["reason"], "positional_assignor", "{run}");
    let message = decision["message"].as_str().unwrap();
    assert!(
        message.contains("with cooperative-sticky") && message.contains("with 6 pods"),
        "{run}"
    );
    assert!(message.ends_with("(now 1.350 cores)"), "{run}");
    Ok(())
}
