//! Gates: what keeps a run from acting although the load is uneven.

use std::time::{Duration, Instant};

use ::harness::wait::{self, Look};
use ::harness::{Rebalancer, Result, TestNamespace, Workload, WorkloadSpec};
use k8s_openapi::{api::apps::v1::Deployment, jiff::Timestamp};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{
    Outcome, RunExt as _, VICTIMS, assert_untouched, shared::Shared, skewed, uids,
};

const LAST_ROTATION: &str = "rebalancer.io/last-rotation";

/// Annotates the workload, which gives a Deployment a new generation, and waits until its
/// controller has observed it: a run holds until then.
pub(crate) async fn annotate(
    ns: &TestNamespace,
    consumer: &Workload<'_>,
    annotations: Value,
) -> Result<()> {
    consumer
        .patch(json!({"metadata": {"annotations": annotations}}))
        .await?;
    observed(ns, consumer.name()).await
}

/// Waits until the controller has observed the generation of the Deployment.
pub(crate) async fn observed(ns: &TestNamespace, name: &str) -> Result<()> {
    let (deadline, pause) = (Duration::from_secs(60), Duration::from_millis(50));
    wait::until(
        "the generation of the workload",
        deadline,
        pause,
        async || {
            let object = ns.api::<Deployment>().get(name).await.unwrap();
            let observed = object.status.and_then(|status| status.observed_generation);
            Ok(if observed == object.metadata.generation {
                Look::Done(())
            } else {
                Look::Not(format!("{observed:?}"))
            })
        },
    )
    .await
}

fn ago(seconds: i64) -> String {
    let time = Timestamp::from_second(Timestamp::now().as_second() - seconds);
    time.unwrap().to_string()
}

#[tokio::test]
async fn any_series_of_the_hold_query_holds() -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, before) = shared.skewed().await?;
    let series = format!(
        r#"container_cpu_usage_seconds_total{{namespace="{}",container="consumer"}}"#,
        shared.ns.name()
    );
    for server in shared.ns.metrics_servers() {
        let program = shared
            .ns
            .rebalancer(&consumer)
            .env("PROMETHEUS_ENDPOINT", server.url())
            .arg("plan");
        let found = format!("count by (container) ({series})");
        let run = program
            .clone()
            .env("HOLD_QUERY", found)
            .ends_with(0)
            .await?;
        let message = run.held("hold_query");
        let says = r#"the hold query returned 1 series: {container="consumer"} = 8"#;
        assert_eq!(message, says, "{}: {}", server.name(), run.0);

        let nothing = format!("count ({series} < 0)");
        let run = program
            .clone()
            .env("HOLD_QUERY", nothing)
            .ends_with(0)
            .await?;
        assert_eq!(run.victims(), uids(&before, &VICTIMS), "{}", run.0);
        assert_eq!(run.check("hold_query")["verdict"], "pass");

        let run = program.env("HOLD_QUERY", "sum(").ends_with(1).await?;
        run.assert_says(&run.error(), &["the hold query (HOLD_QUERY) to http"]);
    }
    Ok(())
}

/// Runs until the program rotates: the metrics may begin later than the time that is looked back.
pub(crate) async fn until_it_rotates(program: &Rebalancer) -> Result<Outcome> {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let run = program.clone().ends_with(0).await?;
        if run.workload()["decision"]["action"] == "rotate" {
            return Ok(run);
        }
        run.held("hot_too_briefly");
        assert!(Instant::now() < deadline, "{}", run.0);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[rstest]
#[case::built_in(None)]
#[case::custom(Some(
    "sum by (pod) (rate(container_cpu_usage_seconds_total{container=\"consumer\",namespace=\"NS\"}[10s])) # ours"
))]
#[tokio::test]
async fn pod_counts_as_hot_only_after_the_minimum_duration(
    #[case] load_query: Option<&str>,
) -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, before) = shared.skewed().await?;
    for server in shared.ns.metrics_servers() {
        let mut program = shared
            .ns
            .rebalancer(&consumer)
            .env("PROMETHEUS_ENDPOINT", server.url())
            .arg("plan");
        if let Some(query) = load_query {
            program = program.env("LOAD_QUERY", query.replace("NS", shared.ns.name()));
        }
        let lasting = program.clone().env("MINIMUM_HOT_DURATION", "5s");
        let run = until_it_rotates(&lasting).await?;
        assert_eq!(run.victims(), uids(&before, &VICTIMS), "{}", run.0);
        let check = run.check("hot_duration");
        assert_eq!((&check["above"], &check["hot"]), (&json!(2), &json!(2)));

        let run = program
            .env("MINIMUM_HOT_DURATION", "24h")
            .ends_with(0)
            .await?;
        let message = run.held("hot_too_briefly");
        let hottest = format!("{} for ", before[VICTIMS[0]].name);
        run.assert_says(
            &message,
            &[
                "0 of 2 pods above the threshold of 1.050",
                "for at least 24.0 h",
                &hottest,
            ],
        );
    }
    Ok(())
}

#[tokio::test]
async fn evictions_of_a_day_are_limited_by_the_record() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = skewed(&ns, WorkloadSpec::deployment("consumer")).await?;
    let before = consumer.pods().await?;
    let program = ns
        .rebalancer(&consumer)
        .env("COOLDOWN", "1s")
        .env("MAX_EVICTIONS_PER_DAY", "6");
    // A record of an older version has no earlier rotations.
    let record = |evicted: usize, seconds: i64| {
        let victims: Vec<String> = (0..evicted).map(|index| format!("gone-{index}")).collect();
        json!({
            "time": ago(seconds), "victims": victims, "imbalance_before": 9.0,
            "imbalance_hoped": 8.0, "strategy": "rotate-outliers", "futile": 0,
        })
    };
    annotate(
        &ns,
        &consumer,
        json!({LAST_ROTATION: record(6, 7_200).to_string()}),
    )
    .await?;
    let run = program.clone().ends_with(0).await?;
    let message = run.held("daily_eviction_limit");
    run.assert_says(
        &message,
        &[
            "6 pods were evicted within the last 24 hours (limit 6)",
            "are allowed from",
        ],
    );
    assert_untouched(&consumer, &before).await?;

    // Two are left: one of the hottest, and one of the coldest.
    annotate(
        &ns,
        &consumer,
        json!({LAST_ROTATION: record(4, 7_200).to_string()}),
    )
    .await?;
    let run = program.clone().ends_with(0).await?;
    assert_eq!(run.outcomes(), ["evicted"; 2]);
    let object = ns.api::<Deployment>().get("consumer").await.unwrap();
    let text = &object.metadata.annotations.unwrap()[LAST_ROTATION];
    let kept: Value = serde_json::from_str(text).unwrap();
    assert_eq!(kept["victims"].as_array().unwrap().len(), 2, "{kept}");
    assert_eq!(kept["earlier"][0]["evictions"], 4, "{kept}");
    assert_eq!(kept["earlier"][0]["imbalance_before"], 9.0, "{kept}");
    Ok(())
}

#[rstest]
#[case::frozen("rebalancer.io/freeze", "true", "paused", "frozen by its annotation")]
#[case::reason("rebalancer.io/freeze", "incident 7", "paused", "frozen (incident 7)")]
#[case::paused(
    "rebalancer.io/paused-until",
    "2200-01-01T00:00:00Z",
    "paused",
    "paused until 2200-01-01T00:00:00Z"
)]
#[case::invalid(
    "rebalancer.io/paused-until",
    "noon",
    "pause_invalid",
    "`rebalancer.io/paused-until: noon` of the workload is not a time of RFC 3339"
)]
#[tokio::test]
async fn annotation_of_the_workload_holds_until_it_ends(
    #[case] name: &str,
    #[case] value: &str,
    #[case] reason: &str,
    #[case] says: &str,
) -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = skewed(&ns, WorkloadSpec::deployment("consumer")).await?;
    let before = consumer.pods().await?;
    annotate(&ns, &consumer, json!({name: value})).await?;
    let program = ns.rebalancer(&consumer);
    let run = program.clone().ends_with(0).await?;
    run.assert_says(&run.held(reason), &[says]);
    assert_untouched(&consumer, &before).await?;

    annotate(
        &ns,
        &consumer,
        json!({"rebalancer.io/freeze": "false", "rebalancer.io/paused-until": ago(1)}),
    )
    .await?;
    let run = program.arg("plan").ends_with(0).await?;
    assert_eq!(run.victims(), uids(&before, &VICTIMS));
    Ok(())
}

#[tokio::test]
async fn annotation_stops_a_run_before_its_next_eviction() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = skewed(&ns, WorkloadSpec::deployment("consumer")).await?;
    ns.hold_new_pods(true);
    let running = ns
        .rebalancer(&consumer)
        .env("OUTPUT", "json")
        .env("MAX_UNAVAILABLE", "1")
        .env("READY_TIMEOUT", "60s")
        .spawn()?;
    // The record is written after the first eviction, which the replacement holds up.
    let deployments = ns.api::<Deployment>();
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let object = deployments.get("consumer").await.unwrap();
        let annotations = object.metadata.annotations.unwrap_or_default();
        if annotations.contains_key(LAST_ROTATION) {
            break;
        }
        assert!(Instant::now() < deadline, "nothing was evicted");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    annotate(&ns, &consumer, json!({"rebalancer.io/freeze": "true"})).await?;
    let run = running.wait().await?;
    assert_eq!(run.code, Some(3), "{run}");
    let run = Outcome(run);
    assert_eq!(
        run.outcomes(),
        ["evicted", "not_attempted", "not_attempted", "not_attempted"]
    );
    let execution = run.workload()["execution"].clone();
    assert_eq!(execution["stopped"], "paused", "{}", run.0);
    run.assert_says(
        execution["message"].as_str().unwrap(),
        &["frozen by its annotation `rebalancer.io/freeze: true`"],
    );
    Ok(())
}
