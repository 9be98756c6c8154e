//! Loads, sample ages, duplicate series and window coverage.

use rebalancer_core::model::{Load, Measurement, SampleFault, Seconds};
use rebalancer_core::ports::MetricsSource as _;
use rstest::rstest;

use super::{sample, settings};
use crate::error::PromError;
use crate::testing::{Reply, Server};
use crate::{PrometheusSettings, PrometheusSource};

/// Replies to the four queries about two pods, of which only one has samples in the first half of
/// the window.
fn two_pods(request: &str) -> Reply {
    if request.contains("count_over_time") {
        return Reply::vector(&sample("a", "1"));
    }
    let (a, b) = if request.contains("timestamp") {
        ("3.5", "-0.1")
    } else if request.contains("count by") {
        ("1", "2")
    } else {
        ("1.25", "NaN")
    };
    Reply::vector(&format!("{},{}", sample("b", b), sample("a", a)))
}

#[tokio::test]
async fn loads_sample_ages_series_and_coverage_are_read_together() {
    let server = Server::start(two_pods).await;
    let source = PrometheusSource::new(settings(&server.url)).unwrap();
    let observation = source.loads().await.unwrap();
    let samples = &observation.samples;
    assert_eq!(samples.len(), 2);
    assert_eq!(samples[0].pod, "a");
    assert_eq!(
        samples[0].measurement.load(),
        Some(Load::new(1.25).unwrap())
    );
    assert_eq!(
        samples[0].measurement.samples().age,
        Some(Seconds::new(3.5).unwrap())
    );
    assert_eq!(samples[0].measurement.samples().series, 1);
    assert_eq!(samples[1].pod, "b");
    assert!(matches!(
        samples[1].measurement,
        Measurement::Faulty(SampleFault::NotFinite, _)
    ));
    assert_eq!(samples[1].measurement.samples().age, Some(Seconds::ZERO));
    assert_eq!(samples[1].measurement.samples().series, 2);
    assert_eq!(
        [true, false],
        [0, 1].map(|at| samples[at].measurement.samples().window_covered)
    );
    assert!(!observation.custom);
    let evaluated_at = observation.evaluated_at.unwrap();
    assert_eq!(evaluated_at.as_millisecond(), 1_795_471_462_279);
    assert!(observation.freshness_known);
    assert_eq!(observation.partial, None);
    let requests = server.requests();
    assert_eq!(requests.len(), 4);
    assert!(
        requests
            .iter()
            .all(|request| request.starts_with("POST /api/v1/query HTTP/1.1\r\n"))
    );
    let load = r#"query=sum by (pod) (rate(container_cpu_usage_seconds_total{namespace="ns",container="app"}[5m]))"#;
    assert!(requests.iter().any(|request| request.ends_with(load)));
}

#[tokio::test]
async fn empty_vector_is_not_an_error() {
    let server = Server::always(Reply::vector("")).await;
    let source = PrometheusSource::new(settings(&server.url)).unwrap();
    let observation = source.loads().await.unwrap();
    assert!(observation.samples.is_empty());
    assert!(observation.freshness_known);
    assert_eq!(observation.evaluated_at, None);
}

#[tokio::test]
async fn custom_load_query_is_sent_alone_and_verbatim() {
    let server = Server::start(two_pods).await;
    let source = PrometheusSource::new(PrometheusSettings {
        load_query: Some("sum by (pod) (lag{a=\"%+& b\"})".into()),
        ..settings(&server.url)
    })
    .unwrap();
    let observation = source.loads().await.unwrap();
    assert!(!observation.freshness_known);
    assert_eq!(observation.samples[0].measurement.samples().age, None);
    assert_eq!(observation.samples[1].measurement.samples().series, 1);
    assert!(observation.custom && observation.samples[1].measurement.samples().window_covered);
    assert!(observation.evaluated_at.is_some());
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].ends_with("query=sum by (pod) (lag{a=\"%+& b\"})"));
}

#[tokio::test]
async fn custom_freshness_query_is_sent_with_a_custom_load_query() {
    let server = Server::start(two_pods).await;
    let source = PrometheusSource::new(PrometheusSettings {
        load_query: Some("lag".into()),
        freshness_query: Some("time() - timestamp(lag)".into()),
        ..settings(&server.url)
    })
    .unwrap();
    let observation = source.loads().await.unwrap();
    assert!(observation.freshness_known);
    assert_eq!(
        observation.samples[0].measurement.samples().age,
        Some(Seconds::new(3.5).unwrap())
    );
    assert_eq!(server.requests().len(), 2);
}

#[rstest]
#[case(r#","isPartial":true"#, Some("isPartial"))]
#[case(r#","isPartial":false"#, None)]
#[case(
    r#","warnings":["store 1 is down"]"#,
    Some("the server warns: store 1 is down")
)]
#[case(r#","warnings":["a","b","c","d","e","f","g"]"#, Some("and 2 more"))]
#[case(r#","warnings":[]"#, None)]
#[case(r#","warnings":null"#, None)]
#[case(r#","infos":["not a counter"]"#, None)]
#[tokio::test]
async fn partial_response_is_reported(#[case] field: &str, #[case] expected: Option<&str>) {
    let server = Server::always(Reply::json(&format!(
        r#"{{"status":"success"{field},"data":{{"resultType":"vector","result":[]}}}}"#
    )))
    .await;
    let source = PrometheusSource::new(settings(&server.url)).unwrap();
    let partial = source.loads().await.unwrap().partial;
    match expected {
        None => assert_eq!(partial, None),
        Some(words) => {
            let partial = partial.unwrap();
            assert!(partial.contains(words), "{partial}");
            for purpose in [
                "the load query",
                "the sample age query",
                "duplicate series",
                "window coverage",
            ] {
                assert!(partial.contains(purpose), "{partial}");
            }
            let error = source.observe_autoscalers().await.unwrap_err();
            assert!(matches!(error, PromError::PartialAutoscalers { .. }));
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
