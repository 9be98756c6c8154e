//! The demo needs no servers and shows the same simulation for the same seed.

use std::time::Duration;

use ::harness::{Rebalancer, Result};
use rstest::rstest;

fn demo() -> Rebalancer {
    Rebalancer::new().arg("demo")
}

#[tokio::test]
async fn demo_shows_a_rotation_and_a_hold() -> Result<()> {
    let run = demo().run().await?;
    assert_eq!(run.code, Some(0), "{run}");
    assert!(run.stdout.contains("ROTATE: evict"), "{run}");
    assert!(run.stdout.contains("HOLD ("), "{run}");
    // The difference is plain.
    let [outliers, _, outliers_peak] = tally(&run.stdout, "rotate-outliers");
    let [forecast, _, forecast_peak] = tally(&run.stdout, "forecast");
    assert!(
        forecast * 4.0 < outliers && forecast_peak + 0.2 < outliers_peak,
        "{run}"
    );
    // An assignment does better, and evicts nothing.
    assert!(run.stdout.contains("ASSIGN: "), "{run}");
    let [assign, _, assign_peak] = tally(&run.stdout, "assign");
    assert!(assign == 0.0 && assign_peak < forecast_peak, "{run}");
    // Each strategy runs in its own copy of the group; a summary compares them.
    for strategy in ["rotate-outliers ", "forecast        ", "assign          "] {
        let shown = run.stdout.lines().filter(|line| line.starts_with(strategy));
        assert_eq!(shown.count(), 6 + 1, "{run}");
    }
    assert!(run.stdout.contains("STRATEGY        EVICTIONS"), "{run}");
    assert!(!run.stdout.contains('\x1b'), "{run}");
    assert!(run.elapsed < Duration::from_secs(45), "{run}");
    Ok(())
}

#[tokio::test]
async fn demo_ignores_the_environment() -> Result<()> {
    let in_a_shell = demo()
        .env("METRICS_TIME_WINDOW", "10s")
        .env("TARGET_CORES", "99")
        .env("TOLERANCE_MULTIPLIER", "not a number")
        .env("DRYRUN", "true")
        .env("REBALANCER_CONFIG", "/nowhere.yaml");
    let (run, alone) = (in_a_shell.run().await?, demo().run().await?);
    assert_eq!(run.code, Some(0), "{run}");
    assert_eq!(run.stdout, alone.stdout);
    // Its flags still apply.
    let run = demo().args(["--tolerance-multiplier", "9"]).run().await?;
    assert_ne!(run.stdout, alone.stdout);
    Ok(())
}

#[rstest]
#[case("table")]
#[case("json")]
#[case("yaml")]
#[tokio::test]
async fn demo_is_reproducible(#[case] output: &str) -> Result<()> {
    let with = |seed: &str| demo().args(["--output", output, "--seed", seed]);
    let (one, two, other) = (
        with("3").run().await?,
        with("3").run().await?,
        with("4").run().await?,
    );
    assert_eq!(one.code, Some(0), "{one}");
    assert_eq!(one.stdout, two.stdout);
    assert_ne!(one.stdout, other.stdout);
    Ok(())
}

#[tokio::test]
async fn demo_reports_are_json_lines() -> Result<()> {
    let run = demo()
        .args(["--output", "json", "--ticks", "5"])
        .run()
        .await?;
    let reports: Vec<serde_json::Value> = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    // In turn: rotate-outliers, and the strategies that know the group.
    assert_eq!(reports.len(), 15, "{run}");
    for (number, report) in reports.iter().enumerate() {
        assert_eq!(report["schema"], "rebalancer/report/v2");
        let knows_group = report["workloads"][0].get("group").is_some();
        assert_eq!(knows_group, number % 3 != 0, "{run}");
    }
    Ok(())
}

/// The last line of a strategy: the number of evictions, and the highest load before and after.
fn tally(stdout: &str, strategy: &str) -> [f64; 3] {
    let line = stdout.lines().rfind(|line| line.starts_with(strategy));
    let numbers = line.unwrap().split_whitespace();
    let mut numbers = numbers.filter_map(|word| word.parse().ok());
    std::array::from_fn(|_| numbers.next().unwrap())
}

#[tokio::test]
async fn evicts_nothing_under_the_range_assignor() -> Result<()> {
    let run = demo().args(["--assignor", "range"]).run().await?;
    assert_eq!(run.code, Some(0), "{run}");
    assert!(run.stdout.contains("range assignor"), "{run}");
    assert!(run.stdout.contains("HOLD (positional_assignor)"), "{run}");
    let [evicted, ..] = tally(&run.stdout, "rotate-outliers");
    let [spared, first, last] = tally(&run.stdout, "forecast");
    assert!(evicted > 0.0, "{run}");
    assert_eq!((spared, first), (0.0, last), "{run}");
    assert!(run.stdout.contains("HOLD (assignor_not_sticky)"), "{run}");
    Ok(())
}

/// Where evictions can help, the forecast needs fewer of them.
#[rstest]
#[tokio::test]
async fn forecast_evicts_fewer_pods(
    #[values("sticky", "cooperative-sticky", "uniform")] assignor: &str,
) -> Result<()> {
    let run = demo()
        .args(["--ticks", "6", "--assignor", assignor])
        .run()
        .await?;
    assert_eq!(run.code, Some(0), "{run}");
    let [outliers, ..] = tally(&run.stdout, "rotate-outliers");
    let [forecast, first, last] = tally(&run.stdout, "forecast");
    assert!(0.0 < forecast && forecast < outliers, "{run}");
    assert!(last < first, "{run}");
    Ok(())
}
