//! Notifications: what a webhook receives, and what a run does if it does not answer.

use ::harness::{FaultServer, Result, TestNamespace, WorkloadSpec, fault};
use rstest::rstest;
use serde_json::Value;

use crate::support::{Outcome, RunExt as _, shared::Shared, skewed};

/// The one document that a webhook received.
fn received(webhook: &FaultServer) -> Value {
    let requests = webhook.requests();
    assert_eq!(requests.len(), 1, "{requests:?}");
    assert_eq!(requests[0].method, "POST");
    assert_eq!(requests[0].path, "/services/T0/secret-token");
    serde_json::from_str(&requests[0].body).unwrap()
}

fn url(webhook: &FaultServer) -> String {
    format!("{}/services/T0/secret-token", webhook.url())
}

/// The warnings of a run about its notification.
fn warnings(run: &Outcome) -> Vec<String> {
    let log = run.log();
    let warnings = log.iter().filter(|line| line["level"] == "warn");
    let texts = warnings.map(|line| line["msg"].as_str().unwrap_or_default().to_owned());
    texts
        .filter(|text| text.contains("notification of this run"))
        .collect()
}

#[tokio::test]
async fn rotation_is_reported_once_it_is_done() -> Result<()> {
    let ns = TestNamespace::start().await?;
    skewed(&ns, WorkloadSpec::deployment("consumer")).await?;
    let webhook = FaultServer::json(200, "ok").await?;
    let file = ns.dir().join("webhook");
    std::fs::write(&file, format!("{}\n", url(&webhook))).unwrap();
    let run = ns
        .rebalancer_for("consumer")
        .env("NOTIFY_URL_FILE", &file)
        .env("LOG_LEVEL", "debug")
        .ends_with(0)
        .await?;
    assert_eq!(run.outcomes(), ["evicted"; 4], "{}", run.0);
    let document = received(&webhook);
    assert_eq!(document["schema"], "rebalancer/notification/v1");
    let workload = &document["workloads"][0];
    assert_eq!(workload["workload"]["namespace"], ns.name());
    assert_eq!(workload["event"], "rotations", "{document}");
    assert_eq!(workload["result"], "acted", "{document}");
    assert_eq!(workload["action"], "rotate", "{document}");
    let lines = workload["lines"].to_string();
    assert!(lines.contains("4 of 4 pods evicted"), "{document}");
    assert!(!run.0.stderr.contains("secret-token"), "{}", run.0);

    // The group is not measured yet, so the next run only holds: nothing is to be reported.
    let run = ns
        .rebalancer_for("consumer")
        .env("NOTIFY_URL_FILE", &file)
        .env("COOLDOWN", "1h")
        .ends_with(0)
        .await?;
    assert_eq!(webhook.requests().len(), 1, "{}", run.0);
    Ok(())
}

#[rstest]
#[case::slack("slack", "/text")]
#[case::teams("teams", "/attachments/0/content/body/0/text")]
#[tokio::test]
async fn failure_is_reported_to_a_chat(#[case] format: &str, #[case] title: &str) -> Result<()> {
    let shared = Shared::open().await?;
    let webhook = FaultServer::json(200, "ok").await?;
    let run = shared
        .ns
        .rebalancer_for("consumer")
        .env("DRY_RUN", "true")
        .env("PROMETHEUS_ENDPOINT", fault::refused_url()?)
        .env("NOTIFY_URL", url(&webhook))
        .env("NOTIFY_FORMAT", format)
        .ends_with(1)
        .await?;
    let document = received(&webhook);
    let title = document.pointer(title).unwrap().as_str().unwrap();
    assert!(
        title.contains("Deployment shared/consumer: the run failed"),
        "{document}"
    );
    assert!(
        document.to_string().contains("Connection refused"),
        "{document}"
    );
    assert_eq!(warnings(&run), Vec::<String>::new(), "{}", run.0);
    Ok(())
}

/// A dry run is reported only if plans are; a command that only shows something never is.
#[tokio::test]
async fn plans_are_reported_on_request() -> Result<()> {
    let shared = Shared::open().await?;
    let webhook = FaultServer::json(200, "ok").await?;
    let program = || {
        let program = shared.ns.rebalancer_for("consumer").env("DRY_RUN", "true");
        program.env("NOTIFY_URL", url(&webhook))
    };
    let run = program().ends_with(0).await?;
    assert_eq!(webhook.requests().len(), 0, "{}", run.0);
    let run = program()
        .env("NOTIFY_ON", "plans")
        .arg("plan")
        .ends_with(0)
        .await?;
    assert_eq!(webhook.requests().len(), 0, "{}", run.0);
    program().env("NOTIFY_ON", "plans").ends_with(0).await?;
    let document = received(&webhook);
    assert_eq!(document["workloads"][0]["result"], "planned", "{document}");
    Ok(())
}

/// A run that reaches no API server has no workload, and is reported nevertheless.
#[tokio::test]
async fn error_before_the_first_workload_is_reported() -> Result<()> {
    let shared = Shared::open().await?;
    let webhook = FaultServer::json(200, "ok").await?;
    let run = shared
        .ns
        .rebalancer_for("consumer")
        .env("KUBECONFIG", "/nowhere/kubeconfig")
        .env("NOTIFY_URL", url(&webhook))
        .run()
        .await?;
    assert_ne!(run.code, Some(0), "{run}");
    let document = received(&webhook);
    assert_eq!(document["workloads"][0]["result"], "failed", "{document}");
    assert!(
        document.to_string().contains("/nowhere/kubeconfig"),
        "{document}"
    );
    Ok(())
}

/// A webhook that refuses, hangs or is absent changes neither the result nor the exit code.
#[tokio::test]
async fn notification_that_fails_is_a_warning() -> Result<()> {
    let shared = Shared::open().await?;
    let refusing = FaultServer::json(404, r#"{"error":"no_team: secret-token"}"#).await?;
    let silent = FaultServer::stall().await?;
    let refused = fault::refused_url()?;
    let cases: [(String, &[&str]); 3] = [
        (
            url(&refusing),
            &["HTTP 404", "check the path of NOTIFY_URL"],
        ),
        (url(&silent), &["1s", "NOTIFY_TIMEOUT"]),
        (
            format!("{refused}/secret-token"),
            &["no connection", "Connection refused", "NOTIFY_URL"],
        ),
    ];
    for (url, says) in cases {
        let run = shared
            .ns
            .rebalancer_for("consumer")
            .env("DRY_RUN", "true")
            .env("NOTIFY_URL", &url)
            .env("NOTIFY_ON", "plans")
            .env("NOTIFY_TIMEOUT", "1s")
            .ends_with(0)
            .await?;
        let warnings = warnings(&run);
        assert_eq!(warnings.len(), 1, "{url}: {}", run.0);
        run.assert_says(&warnings[0], says);
        assert!(!run.0.stderr.contains("secret-token"), "{}", run.0);
        assert_eq!(run.workload()["decision"]["action"], "rotate", "{}", run.0);
    }
    Ok(())
}
