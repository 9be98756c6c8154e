//! The log: one JSON object per line, with the events that dashboards rely on.

use ::harness::{Result, TestNamespace, WorkloadSpec};

use crate::support::{RunExt as _, shared::Shared, skewed};

#[tokio::test]
async fn log_has_every_event_of_a_rotation() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = skewed(&ns, WorkloadSpec::deployment("consumer")).await?;
    let run = ns.rebalancer(&consumer).ends_with(0).await?;
    for line in run.log() {
        let ts = line["ts"].as_f64().unwrap();
        assert!(ts > 1.7e9 && ts < 1e10, "{line}");
        assert!(line["caller"].as_str().unwrap().contains(".rs:"), "{line}");
        assert_eq!(line["level"], "info", "{line}");
    }
    let one = |message: &str| {
        let lines = run.events(message);
        assert_eq!(lines.len(), 1, "{message}: {}", run.0);
        lines[0].clone()
    };
    assert_eq!(one("configuration loaded")["dry_run"], false);
    assert_eq!(one("Kubernetes answered")["pods"], 8);
    let analysis = one("CPU analysis completed");
    assert_eq!(analysis["namespace"], ns.name());
    assert_eq!(analysis["deployment"], "consumer");
    assert_eq!(analysis["pod_count"], 8);
    assert_eq!(analysis["rebalance_needed"], true);
    let (mean, variance) = (
        analysis["avg_cpu"].as_f64().unwrap(),
        analysis["cpu_variance"].as_f64().unwrap(),
    );
    assert!((mean - 0.7).abs() < 0.1, "{analysis}");
    assert!((variance - 0.135).abs() < 0.05, "{analysis}");
    let evicted: Vec<_> = run
        .events("eviction answered")
        .iter()
        .map(|line| line["uid"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(evicted, run.victims());
    let finished = one("run finished");
    assert_eq!(finished["exit_code"], 0);
    assert!(finished["duration_seconds"].as_f64().unwrap() < 60.0);
    Ok(())
}

#[tokio::test]
async fn debug_log_shows_queries_responses_checks_and_pod_reasons() -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, before) = shared.skewed().await?;
    let run = shared
        .ns
        .rebalancer(&consumer)
        .env("LOG_LEVEL", "debug")
        .env("MINIMUM_POD_AGE", "24h")
        .arg("plan")
        .ends_with(0)
        .await?;
    let queries = run.events("asking Prometheus");
    assert_eq!(queries.len(), 4, "{}", run.0);
    for line in &queries {
        let query = line["query"].as_str().unwrap();
        run.assert_says(
            query,
            &[
                "container_cpu_usage_seconds_total",
                "container=\"consumer\"",
            ],
        );
    }
    let mut answers = run.log();
    answers.retain(|line| line.get("answer").is_some());
    assert_eq!(answers.len(), 4, "{}", run.0);
    for line in &answers {
        run.assert_says(line["answer"].as_str().unwrap(), &[&before[0].name]);
    }
    let checks = run.events("check");
    let all = run.workload()["checks"].as_array().unwrap().len();
    assert_eq!(checks.len(), all, "{}", run.0);
    let pods = run.events("pod");
    assert_eq!(pods.len(), 8, "{}", run.0);
    for line in &pods {
        run.assert_says(line["reasons"].as_str().unwrap(), &["too young"]);
    }
    Ok(())
}

#[tokio::test]
async fn log_level_and_format_are_configurable() -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, _) = shared.skewed().await?;
    let program = shared.ns.rebalancer(&consumer).env("DRY_RUN", "true");
    let quiet = program
        .clone()
        .env("LOG_LEVEL", "error")
        .ends_with(0)
        .await?;
    assert_eq!(quiet.0.stderr, "");
    let text = program.env("LOG_FORMAT", "text").ends_with(0).await?;
    assert!(!text.0.stderr.contains('{'), "{}", text.0);
    text.assert_says(&text.0.stderr, &["CPU analysis completed", "pod_count=8"]);
    assert!(!text.0.stderr.contains('\x1b'), "{}", text.0);
    Ok(())
}
