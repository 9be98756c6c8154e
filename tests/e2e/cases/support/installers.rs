//! The libraries of Helm and kustomize, and the objects that they render.

use std::path::{Path, PathBuf};

use ::harness::assets;
use serde_json::Value;

/// A path in the repository.
pub(crate) fn in_repository(path: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    root.unwrap().join(path)
}

/// Runs the program of the libraries. Returns its standard output, or its error.
async fn run(args: &[&str]) -> Result<String, String> {
    let mut command = tokio::process::Command::new(assets::MANIFESTS.locate().unwrap());
    let output = command.args(args).output().await.unwrap();
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap())
    } else {
        Err(String::from_utf8(output.stderr).unwrap())
    }
}

/// Runs a command on the chart.
pub(crate) async fn chart(command: &str, args: &[&str]) -> Result<String, String> {
    let chart = in_repository("charts/rebalancer");
    let args = [&[command, chart.to_str().unwrap()], args].concat();
    run(&args).await
}

/// Builds a kustomization.
pub(crate) async fn kustomize(folder: &str) -> String {
    let folder = in_repository("deploy/kustomize").join(folder);
    run(&["kustomize", folder.to_str().unwrap()]).await.unwrap()
}

/// The objects of a YAML stream.
pub(crate) fn objects(yaml: &str) -> Vec<Value> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).unwrap();
    let documents = documents.into_iter();
    documents.filter(|document| !document.is_null()).collect()
}

/// The only object of a kind.
pub(crate) fn only<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let mut found = objects.iter().filter(|object| object["kind"] == kind);
    let object = found.next().unwrap_or_else(|| panic!("no {kind}"));
    assert!(found.next().is_none(), "several objects of kind {kind}");
    object
}

/// The pod of a CronJob.
pub(crate) fn pod_of(cron_job: &Value) -> &Value {
    &cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
}

/// Writes a file. Returns its path.
pub(crate) fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}
