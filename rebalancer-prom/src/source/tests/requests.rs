//! The contents of requests; secrets and redirects.

use rebalancer_core::ports::{MetricsSource as _, PortErrorKind};
use rstest::rstest;

use super::{failure, settings};
use crate::error::PromError;
use crate::testing::{Reply, Server};
use crate::{Authentication, PrometheusSettings, PrometheusSource};

#[rstest]
#[case("", "/api/v1/query")]
#[case("/", "/api/v1/query")]
#[case("/prometheus", "/prometheus/api/v1/query")]
#[case("/select/0/prometheus/", "/select/0/prometheus/api/v1/query")]
#[tokio::test]
async fn path_of_the_endpoint_is_kept(#[case] path: &str, #[case] requested: &str) {
    let server = Server::always(Reply::vector("")).await;
    let source = PrometheusSource::new(settings(&format!("{}{path}", server.url))).unwrap();
    source.loads().await.unwrap();
    let expected = format!("POST {requested} HTTP/1.1\r\n");
    assert!(server.requests()[0].starts_with(&expected));
}

#[tokio::test]
async fn token_and_headers_are_sent_and_not_shown() {
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

#[tokio::test]
async fn nothing_is_sent_without_the_token_file() {
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
async fn secrets_that_the_server_sends_back_are_hidden(#[case] status: &str, #[case] body: &str) {
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
async fn redirect_is_not_followed_and_shows_no_secret() {
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

#[tokio::test]
async fn relative_redirect_is_shown_as_an_absolute_url() {
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
