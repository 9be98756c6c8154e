//! A request to the API server, as messages describe it.

use std::borrow::Cow;
use std::fmt;

/// One request, described like an RBAC rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The verb: `get`, `list`, `create`, `update`, `patch`, `delete`.
    pub verb: &'static str,
    /// The API group; empty for the core API.
    pub group: Cow<'static, str>,
    /// The resource in plural, with its subresource where there is one: `pods/eviction`.
    pub resource: Cow<'static, str>,
    /// The namespace; `None` if the resource is not namespaced.
    pub namespace: Option<String>,
    /// The name of the object; `None` if the request is about many objects.
    pub name: Option<String>,
}

impl Attempt {
    pub(crate) fn list(group: &'static str, resource: &'static str, namespace: &str) -> Self {
        Self {
            verb: "list",
            group: group.into(),
            resource: resource.into(),
            namespace: Some(namespace.to_owned()),
            name: None,
        }
    }

    pub(crate) fn on(
        verb: &'static str,
        group: impl Into<Cow<'static, str>>,
        resource: impl Into<Cow<'static, str>>,
        namespace: &str,
        name: &str,
    ) -> Self {
        Self {
            verb,
            group: group.into(),
            resource: resource.into(),
            namespace: Some(namespace.to_owned()),
            name: Some(name.to_owned()),
        }
    }

    /// Creation of an object whose name the server chooses.
    pub(crate) fn create(group: &'static str, resource: &'static str, namespace: &str) -> Self {
        Self {
            verb: "create",
            ..Self::list(group, resource, namespace)
        }
    }

    /// Returns the message about the permission that is missing when the request was forbidden.
    pub(crate) fn missing_permission(&self) -> String {
        let otherwise = if self.group == "coordination.k8s.io" {
            ", or set ONE_AT_A_TIME=false (for the Lease of a leader, LEADER_ELECTION=false) to run \
             without the Lease"
        } else {
            ""
        };
        format!(
            "may not {self}: grant verb `{}` on `{}` in API group `\"{}\"` to this account \
             (the Role in deploy/ has every rule){otherwise}",
            self.verb, self.resource, self.group
        )
    }
}

impl fmt::Display for Attempt {
    /// Writes `get deployments "ingestion" in namespace "posthog"`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if let Some(name) = &self.name {
            write!(f, " \"{name}\"")?;
        }
        match &self.namespace {
            Some(namespace) => write!(f, " in namespace \"{namespace}\""),
            None => Ok(()),
        }
    }
}
