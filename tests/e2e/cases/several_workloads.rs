//! Workloads of one file run independently of each other.

use ::harness::{Limit, Rebalancer, Result, TestNamespace, WorkloadSpec};
use serde_json::Value;

use crate::support::{Outcome, RunExt as _, assert_untouched, skewed};

/// A run over `blocked`, whose budget allows no eviction, and `free`, which is a dry run. The
/// environment contains settings that the entries override.
fn program(ns: &TestNamespace) -> Rebalancer {
    let file = ns.dir().join("independent.yaml");
    let entries = "workloads:\n\
         - {deployment_name: blocked, target_cores: 0.7, eviction_timeout: 20s}\n\
         - {deployment_name: free, target_cores: 0.7, dry_run: true}\n";
    std::fs::write(&file, entries).unwrap();
    ns.rebalancer_for("elsewhere")
        .env("TARGET_CORES", "99")
        .arg("--config")
        .arg(file)
}

/// The outcome of each victim of the workload with that index.
fn outcomes(run: &Outcome, index: usize) -> Vec<String> {
    let report = run.report();
    let pods = &report["workloads"][index]["execution"]["pods"];
    let outcome = |pod: &Value| pod["outcome"].as_str().unwrap().to_owned();
    pods.as_array().unwrap().iter().map(outcome).collect()
}

#[tokio::test]
async fn workloads_of_one_file_run_independently() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let blocked = skewed(&ns, WorkloadSpec::deployment("blocked")).await?;
    let free = skewed(&ns, WorkloadSpec::deployment("free")).await?;
    let before = [blocked.pods().await?, free.pods().await?];
    ns.budget("keep-all", &blocked, Limit::MaxUnavailable("0".into()))
        .await?;
    let of_blocked = ["blocked", "blocked", "not_attempted", "not_attempted"];

    let run = program(&ns).ends_with(3).await?;
    assert_eq!(outcomes(&run, 0), of_blocked, "{}", run.0);
    assert_eq!(outcomes(&run, 1), ["evicted"; 4], "{}", run.0);
    let report = run.report();
    assert_eq!(report["workloads"][1]["execution"]["dry_run"], true);
    assert_eq!(report["dry_run"], false);
    // The second workload does not wait for the budget of the first.
    let log = run.log();
    let is = |line: &Value, message: &str, deployment: &str| {
        line["msg"] == message && line["deployment"] == deployment
    };
    let last_of_free = log
        .iter()
        .rposition(|line| is(line, "eviction answered", "free"));
    let end_of_blocked = log
        .iter()
        .position(|line| is(line, "pod not evicted", "blocked"));
    assert!(
        last_of_free.is_some() && last_of_free < end_of_blocked,
        "{}",
        run.0
    );
    for line in &log {
        let of_the_run = ["configuration loaded", "run finished"].iter();
        let named = ["blocked", "free"].contains(&line["deployment"].as_str().unwrap_or(""));
        assert!(
            named || of_the_run.clone().any(|message| line["msg"] == *message),
            "{line} names no workload: {}",
            run.0
        );
    }

    // The timeout of a run is that of each workload, also if they run one after the other.
    let run = program(&ns)
        .env("MAX_CONCURRENT_WORKLOADS", "1")
        .env("RUN_TIMEOUT", "12s")
        .ends_with(3)
        .await?;
    assert_eq!(outcomes(&run, 0), of_blocked, "{}", run.0);
    let stopped = &run.report()["workloads"][0]["execution"]["stopped"];
    assert_eq!(stopped, "run_timeout", "{}", run.0);
    assert_eq!(outcomes(&run, 1), ["evicted"; 4], "{}", run.0);
    assert_untouched(&blocked, &before[0]).await?;
    assert_untouched(&free, &before[1]).await
}

/// A name in the environment applies to the entries without one, and the message says so.
#[tokio::test]
async fn workload_that_is_listed_twice_by_the_environment_is_explained() -> Result<()> {
    let ns = crate::support::shared::Shared::open().await?;
    let file = ns.ns.dir().join("twice.yaml");
    std::fs::write(&file, "workloads:\n- {}\n- {max_unavailable: 1}\n").unwrap();
    let program = ns.ns.rebalancer_for("consumer").args(["plan", "--config"]);
    let run = program.arg(file).run().await?;
    assert_eq!(run.code, Some(2), "{run}");
    let says = "/consumer is listed more than once; the name is that of DEPLOYMENT_NAME in the \
                environment";
    assert!(run.stderr.contains(says), "{run}");
    Ok(())
}
