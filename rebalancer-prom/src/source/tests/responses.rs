//! Responses that are not a vector with one number per pod.

use rebalancer_core::ports::{MetricsSource as _, PortErrorKind};
use rstest::rstest;

use super::{failure, sample, settings};
use crate::error::PromError;
use crate::testing::{Reply, Server};
use crate::{PrometheusSettings, PrometheusSource};

#[rstest]
#[case::unauthorized("401 Unauthorized", "no org id", PortErrorKind::Unauthorized)]
#[case::forbidden("403 Forbidden", "RBAC: access denied", PortErrorKind::Forbidden)]
#[case::not_found("404 Not Found", "404 page not found", PortErrorKind::NotFound)]
#[case::too_many("429 Too Many Requests", "slow down", PortErrorKind::Server)]
#[case::server("500 Internal Server Error", "<b>oops</b>", PortErrorKind::Server)]
#[case::gateway("502 Bad Gateway", "", PortErrorKind::Server)]
#[case::plain_to_tls(
    "400 Bad Request",
    "Client sent an HTTP request to an HTTPS server.",
    PortErrorKind::Rejected
)]
#[tokio::test]
async fn status_error_contains_the_body(
    #[case] status: &str,
    #[case] body: &str,
    #[case] kind: PortErrorKind,
) {
    let server = Server::always(Reply::status(status, body)).await;
    let source = PrometheusSource::new(settings(&server.url)).unwrap();
    let error = source.loads().await.unwrap_err();
    assert_eq!(error.kind, kind);
    let words = format!("HTTP {}: {body}", &status[..3]);
    assert!(error.message.contains(&words), "{}", error.message);
    assert!(error.message.contains(&server.url), "{}", error.message);
    assert!(error.source.is_some());
}

#[tokio::test]
async fn api_error_with_status_503_is_a_status_error() {
    let body = r#"{"status":"error","errorType":"timeout","error":"query timed out in expression evaluation"}"#;
    let server = Server::always(Reply::status("503 Service Unavailable", body)).await;
    let error = failure(settings(&server.url)).await;
    assert!(matches!(error, PromError::Status { status: 503, .. }));
    assert!(error.to_string().contains(": query timed out"), "{error}");
}

#[rstest]
#[case::prometheus(
    "400 Bad Request",
    "bad_data",
    "1:6: parse error: unclosed left parenthesis"
)]
#[case::victoria_metrics("422 Unprocessable Entity", "422", "unexpected token")]
#[case::mimir("422 Unprocessable Entity", "execution", "too many samples")]
#[case::in_a_success("200 OK", "execution", "no")]
#[tokio::test]
async fn promql_error_contains_the_query(
    #[case] status: &str,
    #[case] error_type: &str,
    #[case] words: &str,
) {
    let server = Server::always(Reply::status(
        status,
        &format!(r#"{{"status":"error","errorType":"{error_type}","error":"{words}"}}"#),
    ))
    .await;
    let error = failure(PrometheusSettings {
        load_query: Some("rate(".into()),
        ..settings(&server.url)
    })
    .await;
    assert!(matches!(error, PromError::Promql { .. }), "{error:?}");
    assert_eq!(error.kind(), PortErrorKind::Rejected);
    assert_eq!(
        error.to_string(),
        format!(
            "the load query (LOAD_QUERY) to {}/api/v1/query was rejected: {error_type}: {words}; \
             the query was: rate(",
            server.url
        )
    );
}

#[rstest]
#[case::html(
    "<!doctype html>\n<title>Login</title>",
    "`<!doctype html> <title>Login</title>`"
)]
#[case::empty("", "EOF")]
#[case::other_json(r#"{"hello":"world"}"#, "missing field `status`")]
#[case::array("[]", "`[]`")]
#[case::odd_status(r#"{"status":"green"}"#, "neither success nor error")]
#[case::no_data(r#"{"status":"success"}"#, "it has no data")]
#[case::no_result(
    r#"{"status":"success","data":{"resultType":"vector"}}"#,
    "missing field `result`"
)]
#[case::no_number(
    r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"pod":"a"},"value":[1,"x"]}]}}"#,
    "`x` is not a number"
)]
#[case::cut_off(
    r#"{"status":"success","data":{"resultType":"vector","result":[{"#,
    "EOF"
)]
#[tokio::test]
async fn response_of_another_server_is_quoted(#[case] body: &str, #[case] expected: &str) {
    let server = Server::always(Reply::json(body)).await;
    let error = failure(settings(&server.url)).await;
    assert!(
        matches!(error, PromError::NotPrometheus { .. }),
        "{error:?}"
    );
    assert_eq!(error.kind(), PortErrorKind::BadAnswer);
    assert!(error.to_string().contains(expected), "{error}");
}

#[rstest]
#[case(r#""matrix","result":[{"metric":{},"values":[[1,"1"]]}]"#, "a matrix")]
#[case(r#""scalar","result":[1,"1"]"#, "a scalar")]
#[case(r#""string","result":[1,"x"]"#, "a string")]
#[case(
    r#""vector","result":[{"metric":{"pod":"a"},"histogram":[1,{"count":"2"}]}]"#,
    "a vector of native histograms"
)]
#[tokio::test]
async fn wrong_result_type_is_named(#[case] data: &str, #[case] found: &str) {
    let server = Server::always(Reply::json(&format!(
        r#"{{"status":"success","data":{{"resultType":{data}}}}}"#
    )))
    .await;
    let error = failure(settings(&server.url)).await;
    assert!(
        matches!(error, PromError::WrongResultType { .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains(found), "{error}");
}

#[rstest]
#[case(
    r#"{"metric":{"job":"x","instance":"y"},"value":[1,"1"]}"#,
    r#"{job="x", instance="y"}"#
)]
#[case(r#"{"metric":{},"value":[1,"1"]}"#, "its labels: none")]
#[case(r#"{"metric":{"pod":""},"value":[1,"1"]}"#, r#"{pod=""}"#)]
#[tokio::test]
async fn error_for_a_sample_without_pod_shows_its_labels(
    #[case] sample: &str,
    #[case] labels: &str,
) {
    let server = Server::always(Reply::vector(sample)).await;
    let error = failure(PrometheusSettings {
        load_query: Some("up".into()),
        ..settings(&server.url)
    })
    .await;
    assert!(
        matches!(error, PromError::SampleWithoutPod { .. }),
        "{error:?}"
    );
    let message = error.to_string();
    assert!(message.contains(labels), "{message}");
    assert!(
        message.contains("aggregate LOAD_QUERY by the label of the pod"),
        "{message}"
    );
}

#[tokio::test]
async fn duplicate_pods_are_named() {
    let samples: Vec<_> = ["g", "a", "b", "a", "b", "a"]
        .map(|pod| sample(pod, "1"))
        .into();
    let server = Server::always(Reply::vector(&samples.join(","))).await;
    let error = failure(PrometheusSettings {
        load_query: Some("up".into()),
        ..settings(&server.url)
    })
    .await;
    assert!(matches!(error, PromError::DuplicatePods { count: 2, .. }));
    assert!(
        error
            .to_string()
            .contains("more than one sample for 2 pods (a, b)"),
        "{error}"
    );
}
