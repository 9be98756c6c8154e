use std::sync::Arc;
use std::time::Duration;

use rebalancer_core::model::{CpuMetric, Load, SampleFault, Seconds, WorkloadRef};
use rebalancer_core::ports::{OwnerSample, PortErrorKind, ScaleTarget};
use rstest::rstest;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::*;
use crate::Authentication;
use crate::testing::{Reply, Server};

fn settings(url: &str) -> PrometheusSettings {
    let workload = WorkloadRef {
        namespace: "ns".into(),
        kind: "Deployment".into(),
        name: "app".into(),
    };
    PrometheusSettings {
        timeout: Duration::from_secs(5),
        ..PrometheusSettings::new(url, workload)
    }
}

fn sample(pod: &str, value: &str) -> String {
    format!(r#"{{"metric":{{"pod":"{pod}"}},"value":[1795471462.279,"{value}"]}}"#)
}

/// Answers the four queries about two pods; only one of them was there for all of the window.
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

async fn failure(settings: PrometheusSettings) -> PromError {
    PrometheusSource::new(settings)
        .unwrap()
        .observe_loads()
        .await
        .unwrap_err()
}

#[tokio::test]
async fn loads_ages_and_copies_come_together() {
    let server = Server::start(two_pods).await;
    let source = PrometheusSource::new(settings(&server.url)).unwrap();
    let observation = source.loads().await.unwrap();
    let samples = &observation.samples;
    assert_eq!(samples.len(), 2);
    assert_eq!(samples[0].pod, "a");
    assert_eq!(samples[0].load, Ok(Load::new(1.25).unwrap()));
    assert_eq!(samples[0].age, Some(Seconds::new(3.5).unwrap()));
    assert_eq!(samples[0].series, 1);
    assert_eq!(samples[1].pod, "b");
    assert_eq!(samples[1].load, Err(SampleFault::NotFinite));
    assert_eq!(samples[1].age, Some(Seconds::ZERO));
    assert_eq!(samples[1].series, 2);
    assert_eq!([true, false], [0, 1].map(|at| samples[at].window_covered));
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
async fn no_samples_are_no_error() {
    let server = Server::always(Reply::vector("")).await;
    let source = PrometheusSource::new(settings(&server.url)).unwrap();
    let observation = source.loads().await.unwrap();
    assert!(observation.samples.is_empty());
    assert!(observation.freshness_known);
    assert_eq!(observation.evaluated_at, None);
}

#[tokio::test]
async fn a_custom_load_query_goes_alone_and_verbatim() {
    let server = Server::start(two_pods).await;
    let source = PrometheusSource::new(PrometheusSettings {
        load_query: Some("sum by (pod) (lag{a=\"%+& b\"})".into()),
        ..settings(&server.url)
    })
    .unwrap();
    let observation = source.loads().await.unwrap();
    assert!(!observation.freshness_known);
    assert_eq!(observation.samples[0].age, None);
    assert_eq!(observation.samples[1].series, 1);
    assert!(observation.custom && observation.samples[1].window_covered);
    assert!(observation.evaluated_at.is_some());
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].ends_with("query=sum by (pod) (lag{a=\"%+& b\"})"));
}

#[tokio::test]
async fn a_custom_freshness_query_goes_beside_it() {
    let server = Server::start(two_pods).await;
    let source = PrometheusSource::new(PrometheusSettings {
        load_query: Some("lag".into()),
        freshness_query: Some("time() - timestamp(lag)".into()),
        ..settings(&server.url)
    })
    .unwrap();
    let observation = source.loads().await.unwrap();
    assert!(observation.freshness_known);
    assert_eq!(observation.samples[0].age, Some(Seconds::new(3.5).unwrap()));
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
async fn what_may_lack_something_is_said(#[case] field: &str, #[case] expected: Option<&str>) {
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
                "the freshness query",
                "doubled series",
                "first half",
            ] {
                assert!(partial.contains(purpose), "{partial}");
            }
            let error = source.observe_autoscalers().await.unwrap_err();
            assert!(matches!(error, PromError::PartialAutoscalers { .. }));
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}

#[tokio::test]
async fn autoscalers_come_from_kube_state_metrics() {
    let server = Server::always(Reply::vector(concat!(
        r#"{"metric":{"__name__":"kube_horizontalpodautoscaler_info","horizontalpodautoscaler":"h","scaletargetref_kind":"Deployment","scaletargetref_name":"app"},"value":[1,"1"]},"#,
        r#"{"metric":{"__name__":"kube_horizontalpodautoscaler_spec_target_metric","horizontalpodautoscaler":"h","metric_name":"cpu","metric_target_type":"utilization"},"value":[1,"70"]}"#,
    )))
    .await;
    let source = PrometheusSource::new(settings(&server.url)).unwrap();
    let autoscalers = source.autoscalers().await.unwrap();
    assert_eq!(autoscalers.len(), 1);
    let AutoscalerCandidate {
        autoscaler,
        scale_targets,
    } = &autoscalers[0];
    assert_eq!(autoscaler.name, "h");
    assert_eq!(autoscaler.cpu, [CpuMetric::Utilization { percent: 70 }]);
    assert_eq!(
        *scale_targets,
        [ScaleTarget::new("Deployment", "app", None)]
    );
    assert!(server.requests()[0].ends_with(r#",namespace="ns"}"#));
}

#[rstest]
#[case("", "/api/v1/query")]
#[case("/", "/api/v1/query")]
#[case("/prometheus", "/prometheus/api/v1/query")]
#[case("/select/0/prometheus/", "/select/0/prometheus/api/v1/query")]
#[tokio::test]
async fn the_path_of_the_endpoint_stays(#[case] path: &str, #[case] asked: &str) {
    let server = Server::always(Reply::vector("")).await;
    let source = PrometheusSource::new(settings(&format!("{}{path}", server.url))).unwrap();
    source.loads().await.unwrap();
    let expected = format!("POST {asked} HTTP/1.1\r\n");
    assert!(server.requests()[0].starts_with(&expected));
}

#[tokio::test]
async fn token_and_headers_are_sent_and_never_shown() {
    let server = Server::always(Reply::vector("")).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "t0ken\n").unwrap();
    let source = PrometheusSource::new(PrometheusSettings {
        authentication: Authentication::BearerTokenFile(file.path().into()),
        headers: vec![("X-Scope-OrgID".into(), "tenant-a".into())],
        ..settings(&server.url)
    })
    .unwrap();
    source.loads().await.unwrap();
    for request in server.requests() {
        let request = request.to_ascii_lowercase();
        assert!(request.contains("\r\nauthorization: bearer t0ken\r\n"));
        assert!(request.contains("\r\nx-scope-orgid: tenant-a\r\n"));
    }
    let shown = format!("{source:?}");
    assert!(!shown.contains("t0ken"), "{shown}");
    assert!(!shown.contains("tenant-a"), "{shown}");
}

#[rstest]
#[case(
    "401 Unauthorized",
    "you sent: Bearer t0ken-t0ken and X-Api-Key: s3cret-key"
)]
#[case(
    "400 Bad Request",
    r#"{"status":"error","errorType":"s3cret-key","error":"what is t0ken-t0ken?"}"#
)]
#[case("200 OK", "<html> t0ken-t0ken")]
#[case("200 OK", r#"{"status":"success","data":"t0ken-t0ken"}"#)]
#[case(
    "200 OK",
    r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"s3cret-key"},"value":[1,"1"]}]}}"#
)]
#[tokio::test]
async fn secrets_that_a_server_sends_back_are_not_shown(#[case] status: &str, #[case] body: &str) {
    let server = Server::always(Reply::status(status, body)).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "t0ken-t0ken\n").unwrap();
    let error = failure(PrometheusSettings {
        authentication: Authentication::BearerTokenFile(file.path().into()),
        headers: vec![("X-Api-Key".into(), "s3cret-key".into())],
        ..settings(&server.url)
    })
    .await;
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("t0ken"), "{shown}");
    assert!(!shown.contains("s3cret"), "{shown}");
    assert!(shown.contains("[hidden]"), "{shown}");
}

#[tokio::test]
async fn a_redirect_may_be_relative() {
    let server = Server::always(Reply::Full(
        "302 Found".into(),
        "location: /login?next=secret\r\n".into(),
        String::new(),
    ))
    .await;
    let message = failure(settings(&server.url)).await.to_string();
    let login = format!("`{}/login`", server.url);
    assert!(message.contains(&login), "{message}");
    assert!(!message.contains("secret"), "{message}");
}

#[tokio::test]
async fn user_name_and_password_are_sent() {
    let server = Server::always(Reply::vector("")).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "open sesame\n").unwrap();
    let source = PrometheusSource::new(PrometheusSettings {
        authentication: Authentication::Basic {
            username: "Aladdin".into(),
            password_file: file.path().into(),
        },
        ..settings(&server.url)
    })
    .unwrap();
    source.loads().await.unwrap();
    let request = &server.requests()[0];
    assert!(request.contains(": Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"));
}

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
async fn a_status_carries_the_servers_words(
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
async fn an_error_in_the_envelope_of_a_503_is_a_status() {
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
async fn a_promql_error_names_the_query(
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
            "the load query (LOAD_QUERY) to {}/api/v1/query was refused: {error_type}: {words}; \
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
async fn what_is_no_answer_of_prometheus_is_shown(#[case] body: &str, #[case] expected: &str) {
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
async fn another_type_of_result_is_named(#[case] data: &str, #[case] found: &str) {
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
async fn a_sample_without_pod_shows_its_labels(#[case] sample: &str, #[case] labels: &str) {
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
        message.contains("aggregate LOAD_QUERY `by (pod)`"),
        "{message}"
    );
}

#[tokio::test]
async fn pods_that_come_twice_are_named() {
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

#[tokio::test]
async fn a_redirect_is_not_followed_and_shows_no_secret() {
    let server = Server::always(Reply::Full(
        "302 Found".into(),
        "location: https://me:secret@login.example.com/oauth?state=secret\r\n".into(),
        String::new(),
    ))
    .await;
    let error = failure(settings(&server.url)).await;
    assert!(matches!(error, PromError::Redirect { status: 302, .. }));
    let message = error.to_string();
    assert!(
        message.contains("`https://login.example.com/oauth`"),
        "{message}"
    );
    assert!(!message.contains("secret"), "{message}");
}

#[rstest]
#[case(Reply::Stall)]
#[case(Reply::StallInBody)]
#[tokio::test]
async fn no_answer_in_time_is_a_timeout(#[case] reply: Reply) {
    let server = Server::always(reply).await;
    let error = failure(PrometheusSettings {
        timeout: Duration::from_millis(100),
        ..settings(&server.url)
    })
    .await;
    assert!(matches!(error, PromError::Timeout { .. }), "{error:?}");
    assert_eq!(error.kind(), PortErrorKind::Timeout);
    let message = error.to_string();
    assert!(message.contains("no answer within 100ms"), "{message}");
    assert!(message.contains("PROMETHEUS_TIMEOUT"), "{message}");
}

#[rstest]
#[case(Reply::Close)]
#[case(Reply::CloseInBody)]
#[tokio::test]
async fn a_broken_connection_is_told(#[case] reply: Reply) {
    let server = Server::always(reply).await;
    let error = failure(settings(&server.url)).await;
    assert!(matches!(error, PromError::Interrupted { .. }), "{error:?}");
    assert_eq!(error.kind(), PortErrorKind::Unreachable);
}

#[tokio::test]
async fn no_server_is_unreachable() {
    // Bound and dropped: nobody listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let error = failure(settings(&format!("http://127.0.0.1:{port}"))).await;
    assert!(matches!(error, PromError::Unreachable { .. }), "{error:?}");
    assert_eq!(error.kind(), PortErrorKind::Unreachable);
    let message = error.to_string();
    assert!(message.starts_with("the load query to http"), "{message}");
    assert!(message.contains("Connection refused"), "{message}");
    assert!(message.contains("PROMETHEUS_ENDPOINT"), "{message}");
}

#[tokio::test]
async fn too_large_an_answer_is_not_read() {
    let server = Server::always(Reply::vector(&sample("a", "1"))).await;
    let mut source = PrometheusSource::new(settings(&server.url)).unwrap();
    source.transport = source.transport.with_body_limit(20);
    let error = source.observe_loads().await.unwrap_err();
    assert!(matches!(error, PromError::TooLarge { limit: 20, .. }));
}

#[tokio::test]
async fn too_large_an_answer_of_unknown_length_is_not_read() {
    let chunk = format!("14\r\n{}\r\n", " ".repeat(20));
    let server = Server::always(Reply::Full(
        "200 OK".into(),
        // The end turns the server's own `content-length` into another header.
        "transfer-encoding: chunked\r\nx-".into(),
        chunk.repeat(10) + "0\r\n\r\n",
    ))
    .await;
    let mut source = PrometheusSource::new(settings(&server.url)).unwrap();
    source.transport = source.transport.with_body_limit(30);
    let error = source.observe_loads().await.unwrap_err();
    assert!(
        matches!(error, PromError::TooLarge { limit: 30, .. }),
        "{error:?}"
    );
}

/// A TLS server for `names` and the PEM of its certificate, which `authority` signed for itself.
async fn tls_server(authority: &str, names: &[&str]) -> (Server, tempfile::NamedTempFile) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(names).unwrap();
    // Authorities of the same name would be told apart by their signatures only.
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, authority);
    let cert = params.self_signed(&key).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let server = Server::tls(TlsAcceptor::from(Arc::new(config)), Reply::vector("")).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), cert.pem()).unwrap();
    (server, file)
}

#[tokio::test]
async fn a_ca_file_is_trusted() {
    let (server, ca) = tls_server("ours", &["127.0.0.1"]).await;
    let source = PrometheusSource::new(PrometheusSettings {
        ca_file: Some(ca.path().into()),
        ..settings(&server.url)
    })
    .unwrap();
    assert!(source.loads().await.unwrap().samples.is_empty());
}

#[rstest]
#[case::unknown_authority(&["127.0.0.1"], false, "UnknownIssuer")]
#[case::other_name(&["prometheus.example.com"], true, "prometheus.example.com")]
#[tokio::test]
async fn a_certificate_that_is_not_accepted_is_told(
    #[case] names: &[&str],
    #[case] trusted: bool,
    #[case] expected: &str,
) {
    let (server, ours) = tls_server("ours", names).await;
    // Another authority stands in for the system's, of which a machine may have none.
    let (_, other) = tls_server("other", &["127.0.0.1"]).await;
    let ca = if trusted { &ours } else { &other };
    let error = failure(PrometheusSettings {
        ca_file: Some(ca.path().into()),
        ..settings(&server.url)
    })
    .await;
    assert!(matches!(error, PromError::Certificate { .. }), "{error:?}");
    assert_eq!(error.kind(), PortErrorKind::Tls);
    let message = error.to_string();
    assert!(message.contains(expected), "{message}");
    assert!(message.contains("PROMETHEUS_CA_FILE"), "{message}");
}

#[tokio::test]
async fn tls_to_a_plain_port_is_a_failed_handshake() {
    let (_, ca) = tls_server("other", &["127.0.0.1"]).await;
    // Plain HTTP servers answer the bytes of a handshake with a complaint.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        use tokio::io::AsyncWriteExt as _;
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            // Not closed at once, so that the client reads the answer and not a reset.
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_secs(5)).await;
                drop(stream);
            });
        }
    });
    let error = failure(PrometheusSettings {
        ca_file: Some(ca.path().into()),
        ..settings(&url)
    })
    .await;
    assert!(matches!(error, PromError::TlsHandshake { .. }), "{error:?}");
    assert_eq!(error.kind(), PortErrorKind::Tls);
    assert!(error.to_string().contains("speaks TLS"), "{error}");
}

#[rstest]
#[case("prometheus:9090", "must begin with http")]
#[case("ftp://prom", "must begin with http")]
#[case("http://", "empty host")]
#[case("prom", "relative URL without a base")]
#[case(
    "http://admin:hunter2#x@prom:9090",
    "`http://…` cannot be used: invalid port"
)]
#[case("http://prom/?token=hunter2", "no `?`")]
#[case("http://me:hunter2@prom", "PROMETHEUS_PASSWORD_FILE")]
#[case("http://me:hunter2@[prom", "invalid IPv6")]
fn a_bad_url_is_refused(#[case] url: &str, #[case] expected: &str) {
    let error = PrometheusSource::new(settings(url)).unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Setup);
    let message = error.to_string();
    assert!(message.starts_with("PROMETHEUS_ENDPOINT "), "{message}");
    assert!(message.contains(expected), "{message}");
    assert!(!message.contains("hunter2"), "{message}");
    assert!(!format!("{error:?}").contains("hunter2"));
}

#[rstest]
#[case("hunter2 b", "x", "pair number 1 cannot be sent: its name")]
#[case(
    "Authorization: Basic hunter2",
    "=",
    "pair number 1 cannot be sent: its name"
)]
#[case("", "x", "its name")]
#[case("X-Key", "hun\nter2", "`X-Key` cannot be sent: its value")]
fn a_bad_header_is_refused(#[case] name: &str, #[case] value: &str, #[case] expected: &str) {
    let error = PrometheusSource::new(PrometheusSettings {
        headers: vec![(name.into(), value.into())],
        ..settings("http://prom")
    })
    .unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Setup);
    let message = error.to_string();
    assert!(message.starts_with("PROMETHEUS_HEADERS: "), "{message}");
    assert!(message.contains(expected), "{message}");
    assert!(!message.contains("ter2"), "{message}");
}

#[test]
fn empty_queries_and_windows_are_refused() {
    let empty = |load: Option<&str>, freshness: Option<&str>, window| {
        PrometheusSource::new(PrometheusSettings {
            load_query: load.map(Into::into),
            freshness_query: freshness.map(Into::into),
            window,
            ..settings("http://prom")
        })
        .unwrap_err()
        .to_string()
    };
    let minute = Duration::from_secs(60);
    assert!(empty(Some(" "), None, minute).starts_with("LOAD_QUERY is empty"));
    assert!(empty(None, Some(""), minute).starts_with("FRESHNESS_QUERY is empty"));
    assert!(empty(None, None, Duration::ZERO).starts_with("METRICS_TIME_WINDOW"));
}

#[tokio::test]
async fn a_missing_token_file_sends_nothing() {
    let server = Server::always(Reply::vector("")).await;
    let error = failure(PrometheusSettings {
        authentication: Authentication::BearerTokenFile("/does/not/exist".into()),
        ..settings(&server.url)
    })
    .await;
    assert!(matches!(error, PromError::UnreadableFile { .. }));
    assert_eq!(error.kind(), PortErrorKind::Setup);
    assert!(server.requests().is_empty());
}

fn partition(labels: &str, value: &str) -> String {
    format!(r#"{{"metric":{{{labels}}},"value":[1795471462.279,"{value}"]}}"#)
}

fn with_group(url: &str, group: GroupSource) -> PrometheusSource {
    PrometheusSource::new(PrometheusSettings {
        group: Some(group),
        ..settings(url)
    })
    .unwrap()
}

fn lag_exporter() -> GroupSource {
    GroupSource {
        group_id: Some("orders".into()),
        metrics: vec![crate::GroupMetrics::KafkaLagExporter],
        cooldown: Duration::from_secs(300),
        ..GroupSource::default()
    }
}

#[tokio::test]
async fn owners_now_and_before_and_rates_make_the_group() {
    let server = Server::start(|request| {
        if request.contains("latest_offset") {
            let of = |number: u32, rate| partition(&format!(r#""topic":"t","partition":"{number}""#), rate);
            return Reply::vector(&[of(0, "2.5"), of(1, "NaN")].join(","));
        }
        let owner = |number: u32, host: &str, value| {
            let labels = format!(
                r#""topic":"t","partition":"{number}","member_host":"{host}","consumer_id":"m-{number}""#
            );
            partition(&labels, value)
        };
        // One partition had another owner before; one is not owned any more.
        let first = if request.contains("time=") { "/10.0.0.9" } else { "/10.0.0.1" };
        Reply::vector(&[owner(0, first, "1"), owner(1, "/10.0.0.2", "1"), owner(2, "/10.0.0.2", "0")].join(","))
    })
    .await;
    let source = with_group(&server.url, lag_exporter());
    let group = source.group().await.unwrap().unwrap();
    let hosts = |owners: &[OwnerSample]| -> Vec<String> {
        owners
            .iter()
            .map(|sample| sample.owner.clone().unwrap().host.unwrap())
            .collect()
    };
    assert_eq!(hosts(&group.owners), ["/10.0.0.1", "/10.0.0.2"]);
    assert_eq!(
        hosts(&group.owners_before.unwrap()),
        ["/10.0.0.9", "/10.0.0.2"]
    );
    let second = group.owners[1].owner.as_ref().unwrap();
    assert_eq!(second.member_id.as_deref(), Some("m-1"));
    assert!(!group.other_groups);
    let rates: Vec<_> = group
        .rates
        .unwrap()
        .into_iter()
        .map(|sample| sample.rate)
        .collect();
    assert_eq!(rates[0].map(f64::from), Ok(2.5));
    assert_eq!(rates[1], Err(SampleFault::NotFinite));
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn a_sample_without_its_partition_is_an_error_that_says_so() {
    let server = Server::always(Reply::vector(&partition(
        r#""topic":"t","partition":"x""#,
        "1",
    )))
    .await;
    let error = with_group(&server.url, lag_exporter())
        .group()
        .await
        .unwrap_err();
    assert_eq!(error.kind, PortErrorKind::BadAnswer);
    assert!(
        error
            .message
            .contains("without a topic and the number of a partition"),
        "{error}"
    );
}

#[tokio::test]
async fn without_a_group_nothing_is_asked() {
    let server = Server::always(Reply::vector("")).await;
    let source = PrometheusSource::new(settings(&server.url)).unwrap();
    assert_eq!(source.group().await.unwrap(), None);
    assert!(server.requests().is_empty());
}

/// A source whose server answers the owners, now and before, and the rates with these samples.
async fn group_of(
    source: GroupSource,
    owners: Vec<String>,
    rates: Vec<String>,
) -> rebalancer_core::ports::GroupObservation {
    let server = Server::start(move |request| {
        let samples = if request.contains("rate(") {
            &rates
        } else {
            &owners
        };
        Reply::vector(&samples.join(","))
    })
    .await;
    with_group(&server.url, source)
        .group()
        .await
        .unwrap()
        .unwrap()
}

fn of_presets(metrics: &[crate::GroupMetrics]) -> GroupSource {
    GroupSource {
        metrics: metrics.to_vec(),
        ..lag_exporter()
    }
}

fn topics(owners: &[OwnerSample]) -> Vec<&str> {
    owners.iter().map(|sample| sample.topic.as_str()).collect()
}

/// As PostHog's consumers have them.
#[tokio::test]
async fn a_consumer_may_have_other_labels_for_topic_and_partition() {
    let owner = |number: u32, value| {
        let labels =
            format!(r#""topic_name":"t.u","partition_id":"{number}","pod":"app-{number}""#);
        partition(&labels, value)
    };
    let source = of_presets(&[crate::GroupMetrics::Consumer]);
    let group = group_of(source, vec![owner(3, "1"), owner(4, "0")], Vec::new()).await;
    assert_eq!(group.owners.len(), 1);
    let OwnerSample {
        topic,
        partition,
        owner,
    } = &group.owners[0];
    assert_eq!((topic.as_str(), *partition), ("t.u", 3));
    assert_eq!(owner.as_ref().unwrap().pod.as_deref(), Some("app-3"));
    assert_eq!(group.rates, None);
}

/// The client's `_` for `.` would leave each partition without a rate, and one of 4.1 tells all
/// of them twice.
#[tokio::test]
async fn topics_of_the_java_client_meet_those_of_another_exporter() {
    let owner = |topic: &str| {
        let labels = format!(r#""topic":"{topic}","partition":"0","pod":"app-0","client_id":"c""#);
        partition(&labels, "1")
    };
    let rate = partition(r#""topic":"a.b_c","partition":"0""#, "7");
    let source = of_presets(&[crate::GroupMetrics::Jmx, crate::GroupMetrics::KafkaExporter]);
    for owners in [vec![owner("a_b_c")], vec![owner("a_b_c"), owner("a.b_c")]] {
        let group = group_of(source.clone(), owners, vec![rate.clone()]).await;
        assert_eq!(topics(&group.owners), ["a.b_c"]);
        assert_eq!(topics(&group.owners_before.unwrap()), ["a.b_c"]);
        assert!(group.other_groups);
        assert_eq!(group.partial, None);
    }
}

/// One exporter may watch several clusters, with topics of the same names.
#[tokio::test]
async fn rates_are_those_of_the_groups_own_cluster() {
    let owner = |cluster: &str, number: u32| {
        let labels = format!(
            r#""cluster_name":"{cluster}","topic":"t","partition":"{number}","member_host":"/10.0.0.1""#
        );
        partition(&labels, "1")
    };
    let rate = |cluster: &str, rate| {
        let labels = format!(r#""cluster_name":"{cluster}","topic":"t","partition":"0""#);
        partition(&labels, rate)
    };
    let rates = || vec![rate("one", "1"), rate("two", "2")];
    let group = group_of(lag_exporter(), vec![owner("two", 0)], rates()).await;
    let found: Vec<f64> = group
        .rates
        .unwrap()
        .iter()
        .map(|of| of.rate.unwrap().get())
        .collect();
    assert_eq!(found, [2.0]);
    assert_eq!(group.partial, None);

    let owners = vec![owner("two", 0), owner("one", 1)];
    let partial = group_of(lag_exporter(), owners, rates())
        .await
        .partial
        .unwrap();
    assert!(partial.contains("clusters one, two"), "{partial}");
}

#[tokio::test]
async fn a_group_without_members_has_partitions_without_owners() {
    let labels = r#""topic":"t","partition":"0","member_host":"unknown","consumer_id":"unknown","client_id":"unknown""#;
    let group = group_of(lag_exporter(), vec![partition(labels, "12")], Vec::new()).await;
    assert_eq!(group.owners.len(), 1);
    assert_eq!(group.owners[0].owner, None);
}

#[tokio::test]
async fn a_warning_makes_the_group_partial() {
    let server = Server::start(|request| {
        let owner = partition(r#""topic":"t","partition":"0","member_host":"/10.0.0.1""#, "1");
        let warnings = if request.contains("rate(") {
            r#","warnings":["store 2 is down"]"#
        } else {
            ""
        };
        Reply::json(&format!(
            r#"{{"status":"success","data":{{"resultType":"vector","result":[{owner}]}}{warnings}}}"#
        ))
    })
    .await;
    let source = with_group(&server.url, lag_exporter());
    let partial = source.group().await.unwrap().unwrap().partial.unwrap();
    assert!(partial.contains("store 2 is down"), "{partial}");
    assert!(partial.contains("the rates of partitions"), "{partial}");
}

#[tokio::test]
async fn what_is_no_vector_of_partitions_is_said_of_the_partitions() {
    let server = Server::always(Reply::json(
        r#"{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}"#,
    ))
    .await;
    let error = with_group(&server.url, lag_exporter())
        .group()
        .await
        .unwrap_err();
    assert!(
        error.message.contains("one number per partition"),
        "{error}"
    );
}
