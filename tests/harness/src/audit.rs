//! The API server's audit log: what a program really asked for.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use serde::Deserialize;
use serde_json::Value;

use crate::{Error, Result};

/// One call to the API.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    /// get, list, create, …
    pub verb: String,
    /// The API group of the resource; empty for the core one.
    pub group: String,
    /// pods, horizontalpodautoscalers, …
    pub resource: String,
    /// eviction, status, or empty.
    pub subresource: String,
    /// The namespace, or empty.
    pub namespace: String,
    /// The object's name, or empty.
    pub name: String,
    /// What the caller calls itself.
    pub user_agent: String,
    /// The pod that the caller's token is bound to.
    pub pod: Option<String>,
    /// The path with its query.
    pub uri: String,
    /// The HTTP status of the answer.
    pub code: u16,
    /// The body that was sent, or null.
    pub request: Value,
}

impl AuditEntry {
    /// Verb and resource in one word, such as `create pods/eviction`.
    #[must_use]
    pub fn action(&self) -> String {
        let slash = if self.subresource.is_empty() { "" } else { "/" };
        format!("{} {}{slash}{}", self.verb, self.resource, self.subresource)
    }
}

/// Where a further control plane is to write its log. It outlives the process, so that what the
/// whole suite asked for can be looked at afterwards; the first one of a process takes the logs of
/// earlier ones away.
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

/// The folder of the logs, one for each program: that of the end-to-end suite is `e2e`.
fn kept() -> Result<PathBuf> {
    let program = std::env::current_exe().map_err(Error::io("find the running program"))?;
    let name = program.file_stem().unwrap_or_default().to_string_lossy();
    // Cargo puts a hash at the end of the names of tests.
    let name = name.split('-').next().unwrap_or_default();
    let dir = program.parent().unwrap_or(Path::new("."));
    Ok(dir.join("audit").join(name))
}

/// Every call of the program under test in the last run of the end-to-end suite, whoever's account it
/// had.
///
/// # Errors
/// When there was none, or its logs cannot be read.
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

/// The entries of a user, in their order.
pub(crate) fn read(log: &Path, user: &str) -> Result<Vec<AuditEntry>> {
    entries(log, |event| event.user.username == user)
}

fn entries(log: &Path, wanted: impl Fn(&Event) -> bool) -> Result<Vec<AuditEntry>> {
    let text =
        std::fs::read_to_string(log).map_err(Error::io(format!("read {}", log.display())))?;
    // The last line may be half written.
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
