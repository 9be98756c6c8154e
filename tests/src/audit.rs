//! The API server's audit log: what a program really asked for.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::{Error, Result};

/// One call to the API.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    /// get, list, create, …
    pub verb: String,
    /// pods, horizontalpodautoscalers, …
    pub resource: String,
    /// eviction, status, or empty.
    pub subresource: String,
    /// The namespace, or empty.
    pub namespace: String,
    /// The object's name, or empty.
    pub name: String,
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

/// The entries of a user, in their order.
pub(crate) fn read(log: &Path, user: &str) -> Result<Vec<AuditEntry>> {
    let text =
        std::fs::read_to_string(log).map_err(Error::io(format!("read {}", log.display())))?;
    // The last line may be half written.
    let events = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Event>(line).ok());
    let finished =
        events.filter(|event| event.stage == "ResponseComplete" && event.user.username == user);
    Ok(finished
        .map(|event| AuditEntry {
            verb: event.verb,
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
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ObjectRef {
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
