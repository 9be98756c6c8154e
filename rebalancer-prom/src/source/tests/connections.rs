//! Connections that fail, stall or send too much.

use std::time::Duration;

use rebalancer_core::ports::PortErrorKind;
use rstest::rstest;

use super::{failure, sample, settings};
use crate::error::PromError;
use crate::testing::{Reply, Server};
use crate::{PrometheusSettings, PrometheusSource};

#[rstest]
#[case(Reply::Stall)]
#[case(Reply::StallInBody)]
#[tokio::test]
async fn stalled_response_is_a_timeout(#[case] reply: Reply) {
    let server = Server::always(reply).await;
    let error = failure(PrometheusSettings {
        timeout: Duration::from_millis(100),
        ..settings(&server.url)
    })
    .await;
    assert!(matches!(error, PromError::Timeout { .. }), "{error:?}");
    assert_eq!(error.kind(), PortErrorKind::Timeout);
    let message = error.to_string();
    assert!(message.contains("no response within 100ms"), "{message}");
    assert!(message.contains("PROMETHEUS_TIMEOUT"), "{message}");
}

#[rstest]
#[case(Reply::Close)]
#[case(Reply::CloseInBody)]
#[tokio::test]
async fn closed_connection_is_an_interruption(#[case] reply: Reply) {
    let server = Server::always(reply).await;
    let error = failure(settings(&server.url)).await;
    assert!(matches!(error, PromError::Interrupted { .. }), "{error:?}");
    assert_eq!(error.kind(), PortErrorKind::Unreachable);
}

#[tokio::test]
async fn refused_connection_is_unreachable() {
    // A port without a listener.
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
async fn response_above_the_limit_is_an_error() {
    let server = Server::always(Reply::vector(&sample("a", "1"))).await;
    let mut source = PrometheusSource::new(settings(&server.url)).unwrap();
    source.transport = source.transport.with_body_limit(20);
    let error = source.observe_loads().await.unwrap_err();
    assert!(matches!(error, PromError::TooLarge { limit: 20, .. }));
}

#[tokio::test]
async fn chunked_response_above_the_limit_is_an_error() {
    let chunk = format!("14\r\n{}\r\n", " ".repeat(20));
    let server = Server::always(Reply::Full(
        "200 OK".into(),
        // The trailing `x-` turns the `content-length` header of the server into another one.
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
