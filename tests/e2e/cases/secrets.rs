//! Secrets reach the server that they are for, and no log or report.

mod kafka;
mod marked;

use ::harness::{FaultServer, Result};
use rstest::rstest;

use crate::support::{RunExt as _, shared::Shared};

const SECRET: &str = "s3cr3t-w0rd";
/// `me:s3cr3t-w0rd` in base 64.
const PAIR: &str = "bWU6czNjcjN0LXcwcmQ=";

#[rstest]
#[case::token("PROMETHEUS_BEARER_TOKEN_FILE", "authorization", "Bearer s3cr3t-w0rd")]
#[case::password(
    "PROMETHEUS_PASSWORD_FILE",
    "authorization",
    "Basic bWU6czNjcjN0LXcwcmQ="
)]
#[case::header("PROMETHEUS_HEADERS", "x-api-key", SECRET)]
#[tokio::test]
async fn secret_is_sent_and_never_shown(
    #[case] setting: &str,
    #[case] header: &str,
    #[case] sent: &str,
    // A result, a refusal and an invalid body; each is quoted in a message.
    #[values(
        (200, r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#),
        (401, "who are you"),
        (200, "<html>")
    )]
    (status, body): (u16, &str),
) -> Result<()> {
    let shared = Shared::open().await?;
    let server = FaultServer::json(status, body).await?;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{SECRET}\n")).unwrap();
    let mut program = shared
        .ns
        .rebalancer_for("consumer")
        .env("PROMETHEUS_ENDPOINT", server.url())
        .env("TARGET_SOURCE", "prometheus")
        .env("LOG_LEVEL", "debug");
    program = match setting {
        "PROMETHEUS_HEADERS" => program.env(setting, format!("X-Api-Key={SECRET}")),
        "PROMETHEUS_PASSWORD_FILE" => program
            .env("PROMETHEUS_USERNAME", "me")
            .env(setting, file.path()),
        _ => program.env(setting, file.path()),
    };
    let run = program.ends_with(1).await?;

    let requests = server.requests();
    // Without loads, the program also looks for the pods under other labels.
    let expected = if body.contains(r#""result":[]"#) {
        6
    } else {
        5
    };
    assert_eq!(requests.len(), expected, "{requests:?}");
    for request in &requests {
        assert_eq!(request.method, "POST");
        let value = request.headers.iter().find(|(name, _)| name == header);
        assert_eq!(value.map(|(_, value)| value.as_str()), Some(sent));
    }
    for output in [&run.0.stdout, &run.0.stderr] {
        assert!(!output.contains(SECRET), "{}", run.0);
        assert!(!output.contains(PAIR), "{}", run.0);
    }
    Ok(())
}

#[tokio::test]
async fn secret_in_the_address_is_rejected_and_not_shown() -> Result<()> {
    let shared = Shared::open().await?;
    let run = shared
        .ns
        .rebalancer_for("consumer")
        .env(
            "PROMETHEUS_ENDPOINT",
            format!("http://me:{SECRET}@127.0.0.1:9"),
        )
        .env("LOG_LEVEL", "debug")
        .ends_with(2)
        .await?;
    run.assert_says(&run.0.stderr, &["PROMETHEUS_PASSWORD_FILE"]);
    assert!(!run.0.stderr.contains(SECRET), "{}", run.0);
    Ok(())
}

#[tokio::test]
async fn kubeconfig_token_is_not_shown() -> Result<()> {
    let shared = Shared::open().await?;
    let account = crate::support::account(&shared.ns, "whisperer", "[]").await?;
    let run = shared
        .ns
        .rebalancer_for("consumer")
        .env("KUBECONFIG", &account.kubeconfig)
        .env("LOG_LEVEL", "debug")
        .ends_with(1)
        .await?;
    for output in [&run.0.stdout, &run.0.stderr] {
        assert!(!output.contains(&account.token), "{}", run.0);
    }
    Ok(())
}

#[tokio::test]
async fn a_missing_file_is_named() -> Result<()> {
    let shared = Shared::open().await?;
    let run = shared
        .ns
        .rebalancer_for("consumer")
        .env("PROMETHEUS_BEARER_TOKEN_FILE", "/nowhere/token")
        .ends_with(1)
        .await?;
    run.assert_says(
        &run.error(),
        &["PROMETHEUS_BEARER_TOKEN_FILE", "/nowhere/token"],
    );
    Ok(())
}
