//! Which of the permissions that a configuration needs the account has.

use std::borrow::Cow;

use http::{Request, header};
use serde::Deserialize;
use serde_json::json;

use crate::api::Api;
use crate::attempt::Attempt;
use crate::connection::Connection;
use crate::error::K8sError;
use crate::kind::{InvalidWorkloadKind, WorkloadKind};
use crate::permissions::{Importance, PERMISSIONS, Usage};
use crate::settings::Settings;
use crate::workload;

/// A permission that a configuration uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Right {
    /// The verb of the RBAC rule.
    pub verb: &'static str,
    /// The API group; empty for the core API.
    pub group: Cow<'static, str>,
    /// The resource, with its subresource if there is one.
    pub resource: Cow<'static, str>,
    /// The name of the only object that it is needed for; `None` for all objects of the namespace.
    pub name: Option<String>,
    /// The importance to the configuration.
    pub importance: Importance,
    /// The purpose.
    pub why: &'static str,
}

/// Returns the permissions that a configuration uses. `resource` is the resource of a custom kind,
/// in plural; other kinds do not need it.
///
/// # Errors
/// [`InvalidWorkloadKind`] if the kind of the workload is not valid.
pub fn rights(
    settings: &Settings,
    usage: Usage,
    resource: Option<&str>,
) -> Result<Vec<Right>, InvalidWorkloadKind> {
    let kind = settings.workload.kind.parse()?;
    Ok(of_kind(&kind, settings, usage, resource))
}

/// Returns the permissions for the Lease of a leader, in its namespace.
#[must_use]
pub fn leader_rights(lease: &str) -> [Right; 3] {
    let right = |verb, name: Option<&str>, why| Right {
        verb,
        group: "coordination.k8s.io".into(),
        resource: "leases".into(),
        name: name.map(str::to_owned),
        importance: Importance::ToLead,
        why,
    };
    [
        right("get", Some(lease), "which process of `serve` is the leader"),
        right("update", Some(lease), "becoming the leader, and staying it"),
        // The name of an object that does not exist cannot be restricted.
        right("create", None, "the Lease of the first leader"),
    ]
}

/// As [`rights`], with the API server's name for the resource of a custom kind. Only for such a
/// kind is a request sent.
pub(crate) async fn used(
    api: &Api,
    kind: &WorkloadKind,
    settings: &Settings,
    usage: Usage,
) -> Result<Vec<Right>, K8sError> {
    let resource = match kind {
        WorkloadKind::Scalable(gvk) => Some(workload::resource_of(api, gvk).await?),
        WorkloadKind::Deployment | WorkloadKind::StatefulSet => None,
    };
    Ok(of_kind(kind, settings, usage, resource.as_deref()))
}

fn of_kind(
    kind: &WorkloadKind,
    settings: &Settings,
    usage: Usage,
    resource: Option<&str>,
) -> Vec<Right> {
    let name = &settings.workload.name;
    let listed = PERMISSIONS.iter().filter_map(|rule| {
        // Of these, only the object of the workload is read and patched.
        let is_workload = matches!(rule.resource, "deployments" | "statefulsets");
        Some(Right {
            verb: rule.verb,
            group: rule.group.into(),
            resource: rule.resource.into(),
            name: is_workload.then(|| name.clone()),
            importance: rule.need.importance(kind, settings, usage)?,
            why: rule.why,
        })
    });
    let mut rights: Vec<Right> = listed.collect();
    if let (WorkloadKind::Scalable(gvk), Some(resource)) = (kind, resource) {
        let memory = usage.importance_of_memory();
        rights.extend(of_custom_kind(&gvk.group, resource, name, memory));
    }
    rights
}

/// The permissions for a custom kind.
fn of_custom_kind(group: &str, resource: &str, name: &str, memory: Importance) -> [Right; 4] {
    let right = |verb, resource: String, importance, why| Right {
        verb,
        group: group.to_owned().into(),
        resource: resource.into(),
        name: Some(name.to_owned()),
        importance,
        why,
    };
    let required = Importance::Required;
    [
        right(
            "get",
            resource.to_owned(),
            required,
            "the workload's rollout",
        ),
        right(
            "get",
            format!("{resource}/scale"),
            required,
            "the workload's selector",
        ),
        Right {
            verb: "list",
            group: "apps".into(),
            resource: "replicasets".into(),
            name: None,
            importance: required,
            why: "which pods the workload owns",
        },
        right(
            "patch",
            resource.to_owned(),
            memory,
            "its annotations: the last rotation, a plan that waits for approval",
        ),
    ]
}

/// The response to a `SelfSubjectAccessReview`.
#[derive(Deserialize)]
struct Review {
    status: Status,
}

#[derive(Deserialize)]
struct Status {
    allowed: bool,
}

impl Connection {
    /// Whether the account has a permission in a namespace.
    ///
    /// # Errors
    /// If the API server does not respond.
    pub async fn is_granted(&self, namespace: &str, right: &Right) -> Result<bool, K8sError> {
        is_granted(&Api::new(self.clone()), namespace, right).await
    }
}

/// Whether the account has a permission in a namespace. Every account may ask.
pub(crate) async fn is_granted(
    api: &Api,
    namespace: &str,
    right: &Right,
) -> Result<bool, K8sError> {
    let (resource, subresource) = right
        .resource
        .split_once('/')
        .unwrap_or((&right.resource, ""));
    let attempt = Attempt {
        namespace: None,
        ..Attempt::create("authorization.k8s.io", "selfsubjectaccessreviews", "")
    };
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {
            "namespace": namespace,
            "verb": right.verb,
            "group": right.group,
            "resource": resource,
            "subresource": subresource,
            "name": right.name.as_deref().unwrap_or_default(),
        }},
    });
    let request = Request::post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json")
        .body(review.to_string().into_bytes());
    match api.write_for::<Review>(&attempt, request).await? {
        Ok(review) => Ok(review.status.allowed),
        Err(refusal) => Err(refusal.into_error(&attempt, api.server())),
    }
}
