//! A Kubernetes API, a workload or a context that does not exist.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use ::harness::{Result, fault::refused_url};
use rstest::rstest;

use crate::support::{RunExt as _, shared::Shared};

/// Writes a kubeconfig with the contexts `here` and `there` of a server, and returns its path.
pub(crate) fn kubeconfig(path: &Path, url: &str) -> PathBuf {
    let config = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "one", "cluster": {"server": url}}],
        "users": [{"name": "one", "user": {"token": "t0psecret"}}],
        "contexts": [
            {"name": "here", "context": {"cluster": "one", "user": "one"}},
            {"name": "there", "context": {"cluster": "one", "user": "one"}},
        ],
        "current-context": "here",
    });
    std::fs::write(path, config.to_string()).unwrap();
    path.to_owned()
}

#[tokio::test]
async fn unreachable_api_server_is_named() -> Result<()> {
    let shared = Shared::open().await?;
    let url = refused_url()?;
    let path = kubeconfig(&shared.ns.dir().join("down.kubeconfig"), &url);
    let program = shared.ns.rebalancer_for("consumer");
    let run = program.env("KUBECONFIG", path).ends_with(1).await?;
    assert!(run.0.elapsed < Duration::from_secs(50), "{}", run.0);
    run.assert_says(
        &run.error(),
        &[
            "could not get deployments \"consumer\"",
            &url,
            "cannot be reached",
        ],
    );
    assert!(!run.0.stderr.contains("t0psecret"), "{}", run.0);
    Ok(())
}

#[tokio::test]
async fn a_refused_token_is_named() -> Result<()> {
    let shared = Shared::open().await?;
    let path = shared.ns.dir().join("refused.kubeconfig");
    let control_plane = shared.ns.control_plane();
    control_plane.write_kubeconfig(&path, "not-a-token", "default")?;
    let program = shared.ns.rebalancer_for("consumer");
    let run = program.env("KUBECONFIG", path).ends_with(1).await?;
    run.assert_says(&run.error(), &["does not accept our credentials (401)"]);
    assert!(!run.0.stderr.contains("not-a-token"), "{}", run.0);
    Ok(())
}

#[tokio::test]
async fn an_unknown_context_is_a_configuration_error() -> Result<()> {
    let shared = Shared::open().await?;
    let path = shared.ns.dir().join("contexts.kubeconfig");
    let path = kubeconfig(&path, &refused_url()?);
    let program = shared.ns.rebalancer_for("consumer").env("KUBECONFIG", path);
    let run = program.env("KUBE_CONTEXT", "nowhere").ends_with(2).await?;
    run.assert_says(
        &run.0.stderr,
        &["no context \\\"nowhere\\\"", "KUBE_CONTEXT", "here, there"],
    );
    assert_eq!(run.0.stdout, "");
    Ok(())
}

#[rstest]
#[case("consumr", "similar names: Deployment consumer")]
#[case("zzz", "has a similar name or container")]
#[tokio::test]
async fn missing_workload_is_named_with_similar_names(
    #[case] name: &str,
    #[case] says: &str,
) -> Result<()> {
    let shared = Shared::open().await?;
    let run = shared.ns.rebalancer_for(name).ends_with(1).await?;
    let there_is_no = format!("there is no Deployment \"{name}\"");
    run.assert_says(&run.error(), &[&there_is_no, says]);
    Ok(())
}

#[tokio::test]
async fn missing_namespace_is_named() -> Result<()> {
    let shared = Shared::open().await?;
    let program = shared.ns.rebalancer_for("consumer");
    let run = program
        .env("KUBE_NAMESPACE", "nowhere")
        .ends_with(1)
        .await?;
    run.assert_says(&run.error(), &["the namespace itself does not exist"]);
    Ok(())
}

#[tokio::test]
async fn label_selector_without_matches_is_named() -> Result<()> {
    let shared = Shared::open().await?;
    let program = shared.ns.rebalancer_for("consumer");
    let run = program
        .env("KUBE_LABEL_SELECTOR", "app=nobody")
        .ends_with(1)
        .await?;
    let message = run.held("no_pods_found");
    run.assert_says(&message, &["wants 8", "label selector"]);
    Ok(())
}
