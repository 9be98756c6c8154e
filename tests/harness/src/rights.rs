//! The RBAC rights that the manifests in `deploy/` grant.

use std::{collections::BTreeSet, fmt, path::Path};

use k8s_openapi::api::rbac::v1::Role;
use serde_json::Value;

use crate::{AuditEntry, Error, Result};

/// One verb on one resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// The verb: get, list, create, …
    pub verb: String,
    /// The API group; empty for the core one.
    pub group: String,
    /// The resource, with its subresource: `pods/eviction`.
    pub resource: String,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)
    }
}

impl From<&AuditEntry> for Right {
    fn from(call: &AuditEntry) -> Self {
        let slash = if call.subresource.is_empty() { "" } else { "/" };
        Self {
            verb: call.verb.clone(),
            group: call.group.clone(),
            resource: format!("{}{slash}{}", call.resource, call.subresource),
        }
    }
}

/// The text of the manifests in `deploy/`.
///
/// # Errors
/// If the file cannot be read.
pub fn manifest() -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/kubernetes.yaml");
    std::fs::read_to_string(&path).map_err(Error::io(format!("read {}", path.display())))
}

/// The manifests with a CronJob that starts no runs of its own. Its schedule could otherwise begin
/// one while a test watches the calls of its account.
#[must_use]
pub fn suspended(manifest: &str) -> String {
    manifest.replace("\n  schedule:", "\n  suspend: true\n  schedule:")
}

/// The manifests with the optional rules of the Role, which are commented out, enabled.
#[must_use]
pub fn with_optional(manifest: &str) -> String {
    const RULE: [&str; 3] = ["  # - apiGroups", "  #   resources", "  #   verbs"];
    let lines = manifest.lines().map(|line| {
        if RULE.iter().any(|start| line.starts_with(start)) {
            line.replacen("# ", "", 1) + "\n"
        } else {
            format!("{line}\n")
        }
    });
    lines.collect()
}

/// The rights of the Role in a manifest.
///
/// # Errors
/// If the manifest has no valid Role.
pub fn granted(manifest: &str) -> Result<BTreeSet<Right>> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(manifest).map_err(Error::document("the manifests"))?;
    let role = documents
        .into_iter()
        .find(|document| document["kind"] == "Role")
        .unwrap_or_default();
    let role: Role = serde_json::from_value(role).map_err(Error::document("the Role"))?;
    let mut rights = BTreeSet::new();
    for rule in role.rules.unwrap_or_default() {
        for group in rule.api_groups.unwrap_or_default() {
            for resource in rule.resources.iter().flatten() {
                rights.extend(rule.verbs.iter().map(|verb| Right {
                    verb: verb.clone(),
                    group: group.clone(),
                    resource: resource.clone(),
                }));
            }
        }
    }
    Ok(rights)
}
