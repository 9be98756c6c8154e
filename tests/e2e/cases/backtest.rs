//! `rebalancer backtest`: the decisions on the history of both metrics servers.

use std::time::{Duration, Instant};

use ::harness::{Rebalancer, Result, Run};
use rstest::rstest;
use serde_json::Value;

use crate::support::{VICTIMS, assert_untouched, shared::Shared};

/// The results about the only workload.
fn backtest(run: &Run) -> Value {
    let document: Value = run.json().unwrap();
    assert_eq!(document["schema"], "rebalancer/backtest/v1", "{run}");
    let backtest = document["workloads"][0]["backtest"].clone();
    assert!(backtest.is_object(), "{run}");
    backtest
}

/// Replays the last half minute until the results fulfil the condition: the history begins when the
/// workload is created, and VictoriaMetrics finds new series after some seconds.
pub(crate) async fn until(
    program: &Rebalancer,
    condition: impl Fn(&Value) -> bool,
) -> Result<(Run, Value)> {
    let started = Instant::now();
    loop {
        let args = ["backtest", "--since", "30s", "--step", "2s", "-o", "json"];
        let run = program.clone().args(args).run().await?;
        assert_eq!(run.code, Some(0), "{run}");
        let found = backtest(&run);
        if condition(&found) {
            return Ok((run, found));
        }
        assert!(started.elapsed() < Duration::from_secs(120), "{run}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

pub(crate) fn has_acted(backtest: &Value) -> bool {
    !backtest["actions"].as_array().unwrap().is_empty()
}

#[rstest]
#[case::prometheus(0)]
#[case::victoria_metrics(1)]
#[case::current_prometheus(2)]
#[case::current_victoria_metrics(3)]
#[tokio::test]
async fn past_runs_would_have_evicted_the_hot_and_cold_pods(#[case] server: usize) -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, before) = shared.skewed().await?;
    let program = shared.ns.rebalancer(&consumer);
    let program = program.env(
        "PROMETHEUS_ENDPOINT",
        shared.ns.metrics_servers()[server].url(),
    );
    let (run, backtest) = until(&program, has_acted).await?;
    let first = &backtest["actions"][0];
    let names = VICTIMS.map(|victim| Value::from(before[victim].name.as_str()));
    assert_eq!(first["pods"], Value::from(names.to_vec()), "{run}");
    assert_eq!(first["action"], "rotate", "{run}");
    let imbalance = |name: &str| first[name].as_f64().unwrap();
    assert!(
        imbalance("imbalance_expected") < imbalance("imbalance_before"),
        "{run}"
    );
    let max = backtest["imbalance"]["max"].as_f64().unwrap();
    assert!((1.6..2.1).contains(&max), "{run}");
    // Each run has one outcome.
    let number = |value: &Value| value.as_u64().unwrap();
    let held: u64 = backtest["holds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hold| number(&hold["runs"]))
        .sum();
    let acted = backtest["actions"].as_array().unwrap().len() as u64;
    assert_eq!(
        held + acted + number(&backtest["runs_without_data"]),
        number(&backtest["runs"]),
        "{run}"
    );
    assert!((14..=17).contains(&number(&backtest["runs"])), "{run}");
    let series = backtest["imbalance"]["series"].as_array().unwrap();
    assert_eq!(series.len() as u64, number(&backtest["runs"]));
    let assumptions = backtest["assumptions"].to_string();
    assert!(
        assumptions.contains("without the effect of these actions"),
        "{run}"
    );
    assert_untouched(&consumer, &before).await
}

/// The rules of the decision apply to the past.
#[tokio::test]
async fn freeze_windows_of_the_past_are_respected() -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, _) = shared.skewed().await?;
    let program = shared
        .ns
        .rebalancer(&consumer)
        .env("FREEZE", "* * * * * UTC");
    let frozen = |backtest: &Value| {
        let holds = backtest["holds"].as_array().unwrap();
        holds.iter().any(|hold| hold["reason"] == "frozen")
    };
    let (run, backtest) = until(&program, frozen).await?;
    assert!(!has_acted(&backtest), "{run}");
    let table = program
        .clone()
        .args([
            "backtest", "--since", "30s", "--step", "2s", "--output", "table",
        ])
        .run()
        .await?;
    assert!(
        table.stdout.contains("HOLD: no run would have acted"),
        "{table}"
    );
    assert!(table.stdout.contains("assumed: "), "{table}");
    let markdown = program
        .args([
            "backtest", "--since", "30s", "--step", "2s", "--output", "markdown",
        ])
        .run()
        .await?;
    assert!(
        markdown
            .stdout
            .contains("**HOLD**: no run would have acted"),
        "{markdown}"
    );
    assert!(markdown.stdout.contains("| frozen | "), "{markdown}");
    Ok(())
}

#[rstest]
#[case::no_run(&["--since", "1m", "--step", "1h"], "--since must be longer than --step")]
#[case::too_many(&["--since", "365d", "--step", "1m"], "more than 50000")]
#[case::no_duration(&["--since", "week"], "`week` is not a duration such as 7d")]
#[tokio::test]
async fn range_without_runs_is_a_usage_error(
    #[case] args: &[&str],
    #[case] says: &str,
) -> Result<()> {
    let run = Rebalancer::new()
        .arg("backtest")
        .args(args.iter().copied())
        .env("PROMETHEUS_ENDPOINT", "http://127.0.0.1:1")
        .env("KUBE_NAMESPACE", "shop")
        .env("DEPLOYMENT_NAME", "shop")
        .run()
        .await?;
    assert_eq!(run.code, Some(2), "{run}");
    assert!(run.stderr.contains(says), "{run}");
    Ok(())
}

/// Kafka does not keep who owned a partition.
#[tokio::test]
async fn strategy_of_the_group_needs_metrics_of_it() -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, _) = shared.skewed().await?;
    let run = shared
        .ns
        .rebalancer(&consumer)
        .args(["backtest", "-o", "json"])
        .env("STRATEGY", "assign")
        .env("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
        .env("GROUP_ID", "orders")
        .run()
        .await?;
    assert_eq!(run.code, Some(1), "{run}");
    let document: Value = run.json()?;
    let error = document["workloads"][0]["error"].as_str().unwrap();
    assert!(
        error.contains("needs the consumer group of the past"),
        "{run}"
    );
    Ok(())
}
