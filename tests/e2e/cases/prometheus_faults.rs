//! Metrics that are unavailable or not trusted: each failure is explained, and no pod is evicted.

use std::time::{Duration, Instant};

use ::harness::{FaultServer, Rebalancer, Result, fault::refused_url};
use rstest::rstest;

use crate::support::{Outcome, RunExt as _, assert_untouched, shared::Shared};

/// Runs against the skewed workload, which a healthy run would rotate.
async fn fails(change: impl FnOnce(&Shared, Rebalancer) -> Rebalancer) -> Result<Outcome> {
    let shared = Shared::open().await?;
    let (consumer, before) = shared.skewed().await?;
    let program = change(&shared, shared.ns.rebalancer(&consumer));
    let run = program.ends_with(1).await?;
    assert!(run.0.elapsed < Duration::from_secs(50), "{}", run.0);
    assert_untouched(&consumer, &before).await?;
    Ok(run)
}

fn at(url: String) -> impl FnOnce(&Shared, Rebalancer) -> Rebalancer {
    move |_, program| program.env("PROMETHEUS_ENDPOINT", url)
}

#[tokio::test]
async fn down() -> Result<()> {
    let url = refused_url()?;
    let run = fails(at(url.clone())).await?;
    let query = format!("the load query to {url}/api/v1/query: no connection");
    run.assert_says(
        &run.error(),
        &[&query, "refused", "check PROMETHEUS_ENDPOINT"],
    );
    Ok(())
}

#[tokio::test]
async fn slower_than_the_timeout() -> Result<()> {
    let server = FaultServer::stall().await?;
    let url = server.url();
    let run = fails(|_, program| {
        let program = program.env("PROMETHEUS_ENDPOINT", &url);
        program.env("PROMETHEUS_TIMEOUT", "1s")
    })
    .await?;
    run.assert_says(
        &run.error(),
        &["no response within 1s", "PROMETHEUS_TIMEOUT"],
    );
    assert!(!server.requests().is_empty());
    Ok(())
}

#[rstest]
#[case::server_error(500, "<h1>out of cheese</h1>", &["HTTP 500", "out of cheese", "check its logs"])]
#[case::gateway(502, "<html>bad gateway</html>", &["HTTP 502", "bad gateway"])]
#[case::login_page(200, "<html>please log in</html>", &["not a Prometheus API response", "please log in"])]
#[case::not_found(404, "<html>nothing here</html>", &["HTTP 404", "check the path"])]
#[case::unauthorized(401, "who are you", &["HTTP 401", "who are you"])]
#[tokio::test]
async fn answering_html(
    #[case] status: u16,
    #[case] body: &str,
    #[case] says: &[&str],
) -> Result<()> {
    let server = FaultServer::html(status, body).await?;
    let run = fails(at(server.url())).await?;
    run.assert_says(&run.error(), says);
    Ok(())
}

#[rstest]
#[case::error(
    503,
    r#"{"status":"error","errorType":"unavailable","error":"starting up"}"#,
    "starting up"
)]
#[case::partial(
    200,
    r#"{"status":"success","isPartial":true,"data":{"resultType":"vector","result":[]}}"#,
    "isPartial"
)]
#[case::warned(200,
    r#"{"status":"success","warnings":["a store is away"],"data":{"resultType":"vector","result":[]}}"#,
    "a store is away")]
#[case::wrong_type(
    200,
    r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#,
    "returned a matrix"
)]
#[case::cut_off(
    200,
    r#"{"status":"success","data":{"resultType":"vector","result":[{"#,
    "not a Prometheus API response"
)]
#[tokio::test]
async fn answering_json(#[case] status: u16, #[case] body: &str, #[case] says: &str) -> Result<()> {
    let server = FaultServer::json(status, body).await?;
    let run = fails(at(server.url())).await?;
    run.assert_says(&run.0.stdout, &[says]);
    run.assert_says(&run.0.stderr, &[says]);
    Ok(())
}

#[rstest]
#[tokio::test]
async fn rejected_query(#[values(0, 1, 2, 3)] server: usize) -> Result<()> {
    let run = fails(|shared, program| {
        program.env("LOAD_QUERY", "sum by (pod) (rate(").env(
            "PROMETHEUS_ENDPOINT",
            shared.ns.metrics_servers()[server].url(),
        )
    })
    .await?;
    let error = run.error();
    run.assert_says(&error, &["the load query (LOAD_QUERY)", "was rejected"]);
    run.assert_says(&error, &["the query was: sum by (pod) (rate("]);
    Ok(())
}

#[tokio::test]
async fn custom_query_without_the_pod_label() -> Result<()> {
    let query = "sum(rate(container_cpu_usage_seconds_total[10s]))";
    let run = fails(|_, program| program.env("LOAD_QUERY", query)).await?;
    run.assert_says(
        &run.error(),
        &[
            "a sample without the label `pod`",
            "aggregate LOAD_QUERY by the label of the pod",
        ],
    );
    Ok(())
}

#[tokio::test]
async fn custom_query_with_several_samples_per_pod() -> Result<()> {
    let run = fails(|shared, program| {
        let namespace = shared.ns.name();
        let series = format!("container_cpu_usage_seconds_total{{namespace=\"{namespace}\"}}");
        program.env("LOAD_QUERY", format!("rate({series}[10s])"))
    })
    .await?;
    run.assert_says(
        &run.error(),
        &["more than one sample", "aggregate LOAD_QUERY"],
    );
    Ok(())
}

#[tokio::test]
async fn custom_query_with_the_pod_label() -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, _) = shared.skewed().await?;
    let namespace = shared.ns.name();
    let query = format!(
        "1000 * sum by (pod) (rate(container_cpu_usage_seconds_total{{namespace=\"{namespace}\",container=\"consumer\"}}[10s]))"
    );
    let program = shared.ns.rebalancer(&consumer).arg("plan");
    let plain = program.clone().ends_with(0).await?;
    let custom = program
        .env("LOAD_QUERY", query)
        .env("TARGET_CORES", "700")
        .ends_with(0)
        .await?;
    assert_eq!(custom.victims(), plain.victims());
    Ok(())
}

#[tokio::test]
async fn unknown_container() -> Result<()> {
    let run = fails(|_, program| program.env("CONTAINER_NAME", "consumr")).await?;
    run.assert_says(
        &run.error(),
        &[
            "none of the 8 pods",
            "has a container \"consumr\"",
            "their containers are consumer",
        ],
    );
    Ok(())
}

#[tokio::test]
async fn unmeasured_pods() -> Result<()> {
    let shared = Shared::open().await?;
    let unmeasured = shared.workload("unmeasured");
    let before = unmeasured.pods().await?;
    let run = shared.ns.rebalancer(&unmeasured).ends_with(1).await?;
    let message = run.held("insufficient_coverage");
    run.assert_says(
        &message,
        &[
            "0 of 3 ready pods have a load",
            "90 % required",
            "not measured",
        ],
    );
    assert_untouched(&unmeasured, &before).await
}

#[tokio::test]
async fn both_servers_are_down() -> Result<()> {
    let shared = Shared::open().await?;
    let kubeconfig = shared.ns.dir().join("both-down.kubeconfig");
    let kubernetes = crate::cluster_faults::kubeconfig(&kubeconfig, &refused_url()?);
    let run = shared
        .ns
        .rebalancer_for("consumer")
        .env("PROMETHEUS_ENDPOINT", refused_url()?)
        .env("KUBECONFIG", kubernetes)
        .ends_with(1)
        .await?;
    run.assert_says(
        &run.error(),
        &[
            "the load query",
            "; and could not get deployments \"consumer\"",
        ],
    );
    Ok(())
}

#[tokio::test]
async fn sigterm_ends_the_wait_for_a_response() -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, before) = shared.skewed().await?;
    let server = FaultServer::stall().await?;
    let running = shared
        .ns
        .rebalancer(&consumer)
        .env("PROMETHEUS_ENDPOINT", server.url())
        .env("OUTPUT", "json")
        .spawn()?;
    let started = Instant::now();
    while server.requests().is_empty() {
        assert!(started.elapsed() < Duration::from_secs(30), "no request");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    running.terminate().await?;
    let terminated = Instant::now();
    let run = running.wait().await?;
    assert!(terminated.elapsed() < Duration::from_secs(25), "{run}");
    assert_eq!(run.code, Some(1), "{run}");
    let run = Outcome(run);
    run.assert_says(
        &run.error(),
        &["a stop was requested before a decision was made"],
    );
    assert_untouched(&consumer, &before).await
}
