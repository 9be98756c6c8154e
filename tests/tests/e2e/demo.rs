//! The demo needs nothing, and shows the same world for the same seed.

use std::time::Duration;

use ::harness::{Rebalancer, Result};
use rstest::rstest;

fn demo() -> Rebalancer {
    Rebalancer::new().arg("demo")
}

#[tokio::test]
async fn it_shows_a_rotation_and_a_hold() -> Result<()> {
    let run = demo().run().await?;
    assert_eq!(run.code, Some(0), "{run}");
    assert!(run.stdout.contains("ROTATE: evict"), "{run}");
    assert!(run.stdout.contains("HOLD ("), "{run}");
    assert!(
        run.stdout.contains("before") && run.stdout.contains("after"),
        "{run}"
    );
    assert!(!run.stdout.contains('\x1b'), "{run}");
    assert!(run.elapsed < Duration::from_secs(10), "{run}");
    Ok(())
}

#[rstest]
#[case("table")]
#[case("json")]
#[case("yaml")]
#[tokio::test]
async fn it_is_the_same_for_the_same_seed(#[case] output: &str) -> Result<()> {
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
async fn its_reports_are_lines_of_json() -> Result<()> {
    let run = demo()
        .args(["--output", "json", "--ticks", "5"])
        .run()
        .await?;
    let reports: Vec<serde_json::Value> = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(reports.len(), 5, "{run}");
    for report in reports {
        assert_eq!(report["schema"], "rebalancer/report/v1");
    }
    Ok(())
}

#[tokio::test]
async fn a_range_assignor_is_not_helped_by_evictions() -> Result<()> {
    let run = demo().args(["--assignor", "range"]).run().await?;
    assert_eq!(run.code, Some(0), "{run}");
    assert!(run.stdout.contains("range assignor"), "{run}");
    Ok(())
}
