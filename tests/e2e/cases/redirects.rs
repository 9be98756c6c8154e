//! Redirects are not followed, so that credentials only reach the configured server.

use std::path::Path;

use ::harness::{FaultServer, Result, http::Reply};
use rstest::rstest;
use serde_json::json;

use crate::support::{RunExt as _, shared::Shared};

const SECRET: &str = "s3cr3t-w0rd";

/// A server that redirects every request, and the target of its redirects, on another host name.
async fn two_servers(status: u16) -> Result<(FaultServer, FaultServer)> {
    let elsewhere = FaultServer::json(200, "{}").await?;
    let location = elsewhere_of(&elsewhere);
    let server = FaultServer::start(Reply::Redirect { status, location }).await?;
    Ok((server, elsewhere))
}

/// An address of that server under another host name, with a secret in it.
fn elsewhere_of(server: &FaultServer) -> String {
    let url = server.url().replace("127.0.0.1", "localhost");
    format!("{url}/login?from={SECRET}")
}

/// Panics if the server received a request.
fn assert_left_alone(elsewhere: &FaultServer) {
    let requests = elsewhere.requests();
    assert!(requests.is_empty(), "{requests:?}");
}

#[rstest]
#[tokio::test]
async fn redirect_by_the_metrics_server_leaks_no_credentials(
    #[values(301, 302, 303, 307, 308)] status: u16,
    #[values(
        "PROMETHEUS_BEARER_TOKEN_FILE",
        "PROMETHEUS_PASSWORD_FILE",
        "PROMETHEUS_HEADERS"
    )]
    credentials: &str,
) -> Result<()> {
    let shared = Shared::open().await?;
    let (server, elsewhere) = two_servers(status).await?;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), SECRET).unwrap();
    let program = shared
        .ns
        .rebalancer_for("consumer")
        .env("PROMETHEUS_ENDPOINT", server.url())
        .env("LOG_LEVEL", "debug");
    let program = match credentials {
        "PROMETHEUS_HEADERS" => program.env(
            credentials,
            format!("X-Api-Key={SECRET},Authorization=Bearer {SECRET}"),
        ),
        "PROMETHEUS_PASSWORD_FILE" => program
            .env("PROMETHEUS_USERNAME", "me")
            .env(credentials, file.path()),
        _ => program.env(credentials, file.path()),
    };
    let run = program.ends_with(1).await?;
    run.assert_says(
        &run.error(),
        &[
            &format!("HTTP {status}, redirect to `http://localhost:"),
            "/login`; redirects are not followed",
            "set PROMETHEUS_ENDPOINT to the final address",
        ],
    );
    assert!(!run.0.stderr.contains(SECRET), "{}", run.0);
    let requests = server.requests();
    assert!(
        requests
            .iter()
            .all(|request| request.header("authorization").is_some()),
        "{requests:?}"
    );
    assert_left_alone(&elsewhere);
    Ok(())
}

/// A kubeconfig for that server, with a token.
fn kubeconfig(path: &Path, server: &str) {
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "c", "user": {"token": SECRET}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
    });
    std::fs::write(path, config.to_string()).unwrap();
}

/// Panics unless every request carried the token and the failed run explains the redirect.
async fn assert_not_followed(
    shared: &Shared,
    server: &FaultServer,
    elsewhere: &FaultServer,
    status: u16,
    command: &str,
) -> Result<()> {
    let file = tempfile::NamedTempFile::new().unwrap();
    kubeconfig(file.path(), &server.url());
    let run = shared
        .ns
        .rebalancer_for("consumer")
        .arg(command)
        .env("KUBECONFIG", file.path())
        .env("ONE_AT_A_TIME", "true")
        .env("LOG_LEVEL", "debug")
        .ends_with(1)
        .await?;
    run.assert_says(
        &run.error(),
        &[
            &format!(
                "{} redirects (HTTP {status}) to http://localhost:",
                server.url()
            ),
            "/login; redirects are not followed",
            "set the server of the kubeconfig",
        ],
    );
    assert!(!run.0.stderr.contains(SECRET), "{}", run.0);
    let requests = server.requests();
    let token = format!("Bearer {SECRET}");
    assert!(
        requests
            .iter()
            .all(|request| request.header("authorization") == Some(token.as_str())),
        "{requests:?}"
    );
    assert_left_alone(elsewhere);
    Ok(())
}

#[rstest]
#[tokio::test]
async fn redirect_by_the_api_server_leaks_no_token(
    #[values(301, 302, 303, 307, 308)] status: u16,
    #[values("plan", "run")] command: &str,
) -> Result<()> {
    let shared = Shared::open().await?;
    let (server, elsewhere) = two_servers(status).await?;
    assert_not_followed(&shared, &server, &elsewhere, status, command).await
}

/// Requests that change objects are not redirected either.
#[rstest]
#[tokio::test]
async fn a_redirected_write_is_not_followed(
    #[values(301, 302, 303, 307, 308)] status: u16,
) -> Result<()> {
    let shared = Shared::open().await?;
    let elsewhere = FaultServer::json(200, "{}").await?;
    let location = elsewhere_of(&elsewhere);
    let json = |status, body: serde_json::Value| Reply::Answer {
        status,
        content_type: "application/json".to_owned(),
        body: body.to_string(),
    };
    let server = FaultServer::answering(move |request| {
        if request.method != "GET" {
            return Reply::Redirect {
                status,
                location: location.clone(),
            };
        }
        if request.path.contains("/leases/") {
            return json(404, json!({"kind": "Status", "message": "not found"}));
        }
        json(200, json!({"kind": "Deployment", "metadata": {"uid": "u"}}))
    })
    .await?;
    assert_not_followed(&shared, &server, &elsewhere, status, "run").await?;
    let writes = server.requests();
    let writes = writes.iter().filter(|request| request.method == "POST");
    assert_eq!(writes.count(), 1);
    Ok(())
}
