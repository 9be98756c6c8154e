//! Human-readable output, compared with recorded files in `snapshots/`.
//!
//! The input is fixed, so the output is the same in each run. After an intended change of wording,
//! record the files again and review their difference:
//! `INSTA_UPDATE=always cargo test -p e2e --test e2e human_output`.

use ::harness::{Rebalancer, Result, Run};
use insta::assert_snapshot;
use rstest::rstest;

use crate::support::documents::{EXAMPLE, snapshot};

/// Loads of a balanced workload, in cores.
const BALANCED: [f64; 3] = [0.7, 0.75, 0.65];

/// Fails the test unless the run ended with that code and wrote nothing to standard error.
fn stdout(run: Run, code: i32) -> String {
    assert_eq!((run.code, run.stderr.as_str()), (Some(code), ""), "{run}");
    run.stdout
}

async fn decide(loads: &[f64], minimum: &str, strategy: &str) -> Result<String> {
    let run = Rebalancer::new()
        .args(["decide", "--snapshot", "-", "--output", "table"])
        .env("MINIMUM_PODS_REQUIRED", minimum)
        .env("STRATEGY", strategy)
        .stdin(snapshot(loads))
        .run()
        .await?;
    Ok(stdout(run, 0))
}

#[tokio::test]
async fn table_of_a_rotation() -> Result<()> {
    assert_snapshot!(decide(&EXAMPLE, "2", "rotate-outliers").await?);
    Ok(())
}

#[tokio::test]
async fn table_of_a_hold_for_the_minimum() -> Result<()> {
    assert_snapshot!(decide(&EXAMPLE, "3", "rotate-outliers").await?);
    Ok(())
}

#[tokio::test]
async fn table_of_a_balanced_workload() -> Result<()> {
    assert_snapshot!(decide(&BALANCED, "2", "rotate-outliers").await?);
    Ok(())
}

#[rstest]
#[case::program(&["--help"], "help")]
#[case::run(&["run", "--help"], "help_run")]
#[case::plan(&["plan", "--help"], "help_plan")]
#[case::forecast(&["forecast", "--help"], "help_forecast")]
#[case::group(&["group", "--help"], "help_group")]
#[case::check(&["check", "--help"], "help_check")]
#[case::backtest(&["backtest", "--help"], "help_backtest")]
#[case::pause(&["pause", "--help"], "help_pause")]
#[case::decide(&["decide", "--help"], "help_decide")]
#[case::demo(&["demo", "--help"], "help_demo")]
#[case::completions(&["completions", "--help"], "help_completions")]
#[case::man(&["man", "--help"], "help_man")]
#[tokio::test]
async fn help(#[case] args: &[&str], #[case] name: &str) -> Result<()> {
    let run = Rebalancer::new().args(args).run().await?;
    assert_snapshot!(name, stdout(run, 0));
    Ok(())
}

#[tokio::test]
async fn demo() -> Result<()> {
    let args = ["demo", "--seed", "3", "--ticks", "2"];
    let run = Rebalancer::new().args(args).run().await?;
    assert_snapshot!(stdout(run, 0));
    Ok(())
}
