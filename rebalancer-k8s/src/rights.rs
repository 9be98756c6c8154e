//! Which of the permissions that a configuration needs the account has.

use std::borrow::Cow;

use http::{Request, header};
use rebalancer_core::model::WorkloadRef;
use serde::Deserialize;
use serde_json::json;

use crate::api::Api;
use crate::attempt::Attempt;
use crate::error::K8sError;
use crate::kind::WorkloadKind;
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
    /// The importance to the configuration.
    pub importance: Importance,
    /// The purpose.
    pub why: &'static str,
}

/// Returns the permissions that a configuration uses. Only for a custom kind is a request sent: the
/// API server knows the name of its resource.
pub(crate) async fn used(
    api: &Api,
    kind: &WorkloadKind,
    settings: &Settings,
    usage: Usage,
) -> Result<Vec<Right>, K8sError> {
    let listed = PERMISSIONS.iter().filter_map(|rule| {
        Some(Right {
            verb: rule.verb,
            group: rule.group.into(),
            resource: rule.resource.into(),
            importance: rule.need.importance(kind, settings, usage)?,
            why: rule.why,
        })
    });
    let mut rights: Vec<Right> = listed.collect();
    if let WorkloadKind::Scalable(gvk) = kind {
        let resource = workload::resource_of(api, gvk).await?;
        rights.extend(of_custom_kind(&gvk.group, &resource));
    }
    Ok(rights)
}

/// The permissions for a custom kind.
fn of_custom_kind(group: &str, resource: &str) -> [Right; 4] {
    let right = |verb, group: &str, resource: String, importance, why| Right {
        verb,
        group: group.to_owned().into(),
        resource: resource.into(),
        importance,
        why,
    };
    let required = Importance::Required;
    let memory = Importance::Optional {
        without: "rotations are not remembered, and the cooldown depends only on the ages of the pods",
    };
    [
        right(
            "get",
            group,
            resource.to_owned(),
            required,
            "the workload's rollout",
        ),
        right(
            "get",
            group,
            format!("{resource}/scale"),
            required,
            "the workload's selector",
        ),
        right(
            "list",
            "apps",
            "replicasets".to_owned(),
            required,
            "which pods the workload owns",
        ),
        right(
            "patch",
            group,
            resource.to_owned(),
            memory,
            "the last rotation, as an annotation",
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

/// Whether the account has a permission in the namespace of the workload. Every account may ask.
pub(crate) async fn is_granted(
    api: &Api,
    workload: &WorkloadRef,
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
            "namespace": workload.namespace,
            "verb": right.verb,
            "group": right.group,
            "resource": resource,
            "subresource": subresource,
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
