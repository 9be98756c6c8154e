//! The API server's audit log: the calls that a program made.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use serde::Deserialize;
use serde_json::Value;

use crate::{Error, Result};

/// One API call.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    /// The verb: get, list, create, …
    pub verb: String,
    /// The API group of the resource; empty for the core one.
    pub group: String,
    /// The resource: pods, horizontalpodautoscalers, …
    pub resource: String,
    /// The subresource: eviction, status, or empty.
    pub subresource: String,
    /// The namespace, or empty for cluster-scoped objects.
    pub namespace: String,
    /// The object's name, or empty.
    pub name: String,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// The pod that the caller's token is bound to.
    pub pod: Option<String>,
    /// The request path with its query.
    pub uri: String,
    /// The HTTP status of the response.
    pub code: u16,
    /// The request body, or null.
    pub request: Value,
}

impl AuditEntry {
    /// Verb and resource, such as `create pods/eviction`.
    #[must_use]
    pub fn action(&self) -> String {
        let slash = if self.subresource.is_empty() { "" } else { "/" };
        format!("{} {}{slash}{}", self.verb, self.resource, self.subresource)
    }
}

/// Returns the log path for a new control plane. The log survives the process, so that a later test
/// can check the calls of the whole suite. The first control plane of a process removes the logs of
/// earlier processes.
pub(crate) fn new_log() -> Result<PathBuf> {
    static LOGS: AtomicU32 = AtomicU32::new(0);
    let dir = kept()?;
    let number = LOGS.fetch_add(1, Ordering::Relaxed);
    if number == 0 && dir.exists() {
        fs::remove_dir_all(&dir).map_err(Error::io(format!("remove {}", dir.display())))?;
    }
    fs::create_dir_all(&dir).map_err(Error::io(format!("create {}", dir.display())))?;
    Ok(dir.join(format!("{number}.log")))
}

/// The directory of this test program's logs. The end-to-end suite's is named `e2e`.
fn kept() -> Result<PathBuf> {
    let program = std::env::current_exe().map_err(Error::io("find the running program"))?;
    let name = program.file_stem().unwrap_or_default().to_string_lossy();
    // Cargo appends a hash to the file names of test programs.
    let name = name.split('-').next().unwrap_or_default();
    let dir = program.parent().unwrap_or(Path::new("."));
    Ok(dir.join("audit").join(name))
}

/// Returns every call that the program under test made in the last run of the end-to-end suite,
/// under any account.
///
/// # Errors
/// If the suite has not run, or its logs cannot be read.
pub fn of_the_last_suite() -> Result<Vec<AuditEntry>> {
    let dir = kept()?.with_file_name("e2e");
    let logs = fs::read_dir(&dir).map_err(Error::io(format!(
        "read {}, where the end-to-end suite leaves its audit logs (cargo xtask test runs it)",
        dir.display()
    )))?;
    let mut calls = Vec::new();
    for log in logs {
        let log = log.map_err(Error::io(format!("read {}", dir.display())))?;
        calls.extend(entries(&log.path(), |event| {
            event.user_agent.starts_with("rebalancer/")
        })?);
    }
    Ok(calls)
}

/// Returns the calls of one user, in order.
pub(crate) fn read(log: &Path, user: &str) -> Result<Vec<AuditEntry>> {
    entries(log, |event| event.user.username == user)
}

fn entries(log: &Path, wanted: impl Fn(&Event) -> bool) -> Result<Vec<AuditEntry>> {
    let bytes = std::fs::read(log).map_err(Error::io(format!("read {}", log.display())))?;
    // The last line may be incomplete, also within a character.
    let text = String::from_utf8_lossy(&bytes);
    let events = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Event>(line).ok());
    let finished = events.filter(|event| event.stage == "ResponseComplete" && wanted(event));
    Ok(finished
        .map(|event| AuditEntry {
            verb: event.verb,
            group: event.object_ref.api_group,
            user_agent: event.user_agent,
            pod: event
                .user
                .extra
                .get("authentication.kubernetes.io/pod-name")
                .and_then(|names| names.first().cloned()),
            resource: event.object_ref.resource,
            subresource: event.object_ref.subresource,
            namespace: event.object_ref.namespace,
            name: event.object_ref.name,
            uri: event.request_uri,
            code: event.response_status.code,
            request: event.request_object,
        })
        .collect())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    stage: String,
    verb: String,
    user: User,
    #[serde(default)]
    user_agent: String,
    #[serde(rename = "requestURI")]
    request_uri: String,
    #[serde(default)]
    object_ref: ObjectRef,
    #[serde(default)]
    response_status: ResponseStatus,
    #[serde(default)]
    request_object: Value,
}

#[derive(Deserialize)]
struct User {
    username: String,
    #[serde(default)]
    extra: HashMap<String, Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
#[serde(rename_all = "camelCase")]
struct ObjectRef {
    api_group: String,
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ResponseStatus {
    code: u16,
}
