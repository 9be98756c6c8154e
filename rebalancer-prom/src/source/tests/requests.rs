//! The contents of requests; secrets and redirects.

use rebalancer_adapter::SettingFileError;
use rebalancer_core::ports::{MetricsSource as _, PortErrorKind};
use rstest::rstest;

use super::{failure, settings};
use crate::error::PromError;
use crate::testing::{Reply, Server};
use crate::{Authentication, PrometheusSettings, PrometheusSource, QueryMethod};

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

#[rstest]
#[case::root("", "/api/v1/query")]
#[case::path("/x/", "/x/api/v1/query")]
#[tokio::test]
async fn get_has_the_parameters_of_the_endpoint_and_the_query(
    #[case] path: &str,
    #[case] requested: &str,
) {
    let server = Server::always(Reply::vector("")).await;
    let source = PrometheusSource::new(PrometheusSettings {
        method: QueryMethod::Get,
        load_query: Some("up{a=\"b+c\"}".into()),
        ..settings(&format!("{}{path}?namespace=shop", server.url))
    })
    .unwrap();
    source.loads().await.unwrap();
    let expected =
        format!("GET {requested}?namespace=shop&query=up%7Ba%3D%22b%2Bc%22%7D HTTP/1.1\r\n");
    let request = &server.requests()[0];
    assert!(request.starts_with(&expected), "{request}");
    assert!(request.ends_with("\r\n\r\n"), "{request}");
}

#[tokio::test]
async fn post_has_the_parameters_of_the_endpoint_in_its_url() {
    let server = Server::always(Reply::vector("")).await;
    let url = format!("{}?namespace=shop", server.url);
    let source = PrometheusSource::new(settings(&url)).unwrap();
    source.loads().await.unwrap();
    let request = &server.requests()[0];
    assert!(
        request.starts_with("POST /api/v1/query?namespace=shop HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(request.contains("\r\n\r\nquery="), "{request}");
}

#[rstest]
#[case(QueryMethod::Get, 70_000, true)]
#[case(QueryMethod::Get, 60_000, false)]
#[case(QueryMethod::Post, 70_000, false)]
#[tokio::test]
async fn too_long_url_is_not_sent(
    #[case] method: QueryMethod,
    #[case] length: usize,
    #[case] too_long: bool,
) {
    let server = Server::always(Reply::vector("")).await;
    let source = PrometheusSource::new(PrometheusSettings {
        method,
        load_query: Some("x".repeat(length)),
        ..settings(&server.url)
    })
    .unwrap();
    match source.observe_loads().await {
        Err(error) if too_long => {
            let message = error.to_string();
            assert!(message.contains("limit of 65534"), "{message}");
            assert!(message.contains("PROMETHEUS_METHOD=POST"), "{message}");
            assert!(server.requests().is_empty());
        }
        Ok(_) if !too_long => {}
        other => panic!("{other:?}"),
    }
}

#[rstest]
#[tokio::test]
async fn secret_parameter_of_the_endpoint_is_sent_and_not_shown(
    #[values(QueryMethod::Post, QueryMethod::Get)] method: QueryMethod,
    #[values("401 Unauthorized", "200 OK")] status: &str,
) {
    let server = Server::always(Reply::status(
        status,
        "you sent hunter2%2Ftoken hunter2/token",
    ))
    .await;
    let settings = PrometheusSettings {
        method,
        ..settings(&format!("{}?api_key=hunter2%2Ftoken&a=b", server.url))
    };
    let shown = format!("{settings:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
    let source = PrometheusSource::new(settings).unwrap();
    let error = source.observe_loads().await.unwrap_err();
    assert!(server.requests()[0].contains("api_key=hunter2%2Ftoken&a=b"));
    let shown = format!("{source:?} {error} {error:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("[hidden]"), "{shown}");
}

#[tokio::test]
async fn secret_parameter_is_not_shown_when_the_connection_fails() {
    let server = Server::always(Reply::Close).await;
    let error = failure(settings(&format!("{}?token=hunter2", server.url))).await;
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
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
    assert!(matches!(
        error,
        PromError::File(SettingFileError::Unreadable { .. })
    ));
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
