//! The workload: its selector, its rollout, and the owners of its pods.

mod custom;
mod object;
mod owners;
mod resource;

use std::borrow::Cow;

use http::{Request, header};
use rebalancer_core::history::Rotation;
use rebalancer_core::model::{Rollout, RolloutFailure, WorkloadRef};
use rebalancer_core::proposal::Proposal;
use serde_json::{Value, json};

use crate::annotations::{self, APPROVE, Annotation, LAST_ROTATION, PLAN, PauseAnnotations};
use crate::api::{Api, METADATA};
use crate::attempt::Attempt;
use crate::error::K8sError;
use crate::kind::{GroupVersionKind, WorkloadKind};
use crate::label_selector;

use custom::{CustomObject, Scale};
use object::{Metadata, Object};
pub(crate) use resource::resource_of;

pub(crate) use owners::owners;

/// The workload at one instant.
#[derive(Debug, Clone)]
pub(crate) struct Workload {
    pub(crate) uid: String,
    /// The workload's own label selector.
    pub(crate) selector: String,
    pub(crate) rollout: Option<Rollout>,
    /// The conditions that report that the rollout does not progress.
    pub(crate) rollout_failures: Vec<RolloutFailure>,
    /// The annotation that exempts all its pods from eviction.
    pub(crate) opted_out: Option<String>,
    /// The annotation with its last rotation, not parsed.
    pub(crate) last_rotation: Option<String>,
    /// The annotations that ask not to act.
    pub(crate) pause: PauseAnnotations,
    /// The plan that waits for approval.
    pub(crate) proposal: Option<Proposal>,
    /// The address of its object.
    pub(crate) place: Place,
}

/// The address of an object at the API server.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The resource, in plural.
    pub(crate) resource: String,
    pub(crate) path: String,
}

impl Workload {
    /// The last rotation. An annotation that cannot be parsed is ignored with a warning: the ages
    /// of the pods also show that they were replaced.
    pub(crate) fn rotation(&self, workload: &WorkloadRef) -> Option<Rotation> {
        let text = self.last_rotation.as_deref()?;
        serde_json::from_str(text)
            .inspect_err(|error| {
                tracing::warn!(
                    %workload,
                    %error,
                    "ignoring the annotation {LAST_ROTATION}: it is not a rotation"
                );
            })
            .ok()
    }

    fn new(
        metadata: Metadata,
        selector: String,
        rollout: Option<Rollout>,
        rollout_failures: Vec<RolloutFailure>,
        place: Place,
    ) -> Self {
        let annotations = &metadata.annotations;
        Self {
            selector,
            rollout,
            rollout_failures,
            opted_out: annotations::opt_out_of_workload(annotations),
            last_rotation: annotations::value_of(annotations, LAST_ROTATION)
                .map(|text| text.into_owned()),
            pause: PauseAnnotations::of(annotations),
            proposal: proposal(annotations),
            uid: metadata.uid,
            place,
        }
    }
}

/// The plan that waits for approval. A plan that cannot be parsed is ignored with a warning: the
/// plan of the next run replaces it.
pub(crate) fn proposal(annotations: &[Annotation]) -> Option<Proposal> {
    let value = |name| annotations::value_of(annotations, name);
    let plan = value(PLAN).and_then(|text| {
        serde_json::from_str(&text)
            .inspect_err(|error| {
                tracing::warn!(%error, "ignoring the annotation {PLAN}: it is not a plan");
            })
            .ok()
    });
    let approved = value(APPROVE).map(Cow::into_owned);
    (plan.is_some() || approved.is_some()).then_some(Proposal { plan, approved })
}

const DEPLOYMENTS: &str = "deployments";
const STATEFUL_SETS: &str = "statefulsets";

/// The request for a workload of the group `apps`, and its path.
fn of_apps(workload: &WorkloadRef, resource: &'static str) -> (Attempt, String) {
    let WorkloadRef {
        namespace, name, ..
    } = workload;
    let path = format!("/apis/apps/v1/namespaces/{namespace}/{resource}/{name}");
    let attempt = Attempt::on("get", "apps", resource, namespace, name);
    (attempt, path)
}

/// The request for a workload of another kind, and its path.
fn of_kind(workload: &WorkloadRef, gvk: &GroupVersionKind, resource: &str) -> (Attempt, String) {
    let WorkloadRef {
        namespace, name, ..
    } = workload;
    let path = format!(
        "{}/namespaces/{namespace}/{resource}/{name}",
        gvk.api_path()
    );
    let (group, resource) = (gvk.group.clone(), resource.to_owned());
    let attempt = Attempt::on("get", group, resource, namespace, name);
    (attempt, path)
}

/// The metadata of a workload that is read on its own.
pub(crate) struct Annotated {
    pub(crate) uid: String,
    pub(crate) annotations: Vec<Annotation>,
}

impl Annotated {
    /// The value of the annotation `name`.
    pub(crate) fn value(&self, name: &str) -> Option<String> {
        annotations::value_of(&self.annotations, name).map(Cow::into_owned)
    }
}

/// Reads only the metadata of the workload. [`K8sError::NotFound`] if it does not exist.
pub(crate) async fn read_annotations(
    api: &Api,
    workload: &WorkloadRef,
    kind: &WorkloadKind,
) -> Result<(Place, Annotated), K8sError> {
    let (attempt, path) = match kind {
        WorkloadKind::Deployment => of_apps(workload, DEPLOYMENTS),
        WorkloadKind::StatefulSet => of_apps(workload, STATEFUL_SETS),
        WorkloadKind::Scalable(gvk) => {
            let resource = resource_of(api, gvk).await?;
            of_kind(workload, gvk, &resource)
        }
    };
    let object: Object = api.get(&attempt, &path, Some(METADATA)).await?;
    let place = Place {
        resource: attempt.resource.into_owned(),
        path,
    };
    let Metadata {
        uid, annotations, ..
    } = object.metadata;
    Ok((place, Annotated { uid, annotations }))
}

/// The request that sets these annotations of a workload, and removes those that are `null`.
pub(crate) fn patch_annotations(
    place: &Place,
    annotations: &Value,
    dry_run: bool,
) -> Result<Request<Vec<u8>>, http::Error> {
    let changes = json!({"metadata": {"annotations": annotations}});
    patch(place, "application/merge-patch+json", &changes, dry_run)
}

/// The request that removes the plan and its approval. The server refuses it unless the plan with
/// this id is approved, so that of several such requests only one succeeds.
pub(crate) fn patch_approval(place: &Place, id: &str) -> Result<Request<Vec<u8>>, http::Error> {
    let path = |name: &str| format!("/metadata/annotations/{}", name.replace('/', "~1"));
    let changes = json!([
        {"op": "test", "path": path(APPROVE), "value": id},
        {"op": "remove", "path": path(APPROVE)},
        {"op": "remove", "path": path(PLAN)},
    ]);
    patch(place, "application/json-patch+json", &changes, false)
}

fn patch(
    place: &Place,
    content_type: &str,
    changes: &Value,
    dry_run: bool,
) -> Result<Request<Vec<u8>>, http::Error> {
    let dry_run = if dry_run { "&dryRun=All" } else { "" };
    Request::patch(format!("{}?fieldManager=rebalancer{dry_run}", place.path))
        .header(header::CONTENT_TYPE, content_type)
        .header(header::ACCEPT, METADATA)
        .body(changes.to_string().into_bytes())
}

/// Reads only the annotations that ask not to act, of a workload at a known place.
pub(crate) async fn read_pause(
    api: &Api,
    workload: &WorkloadRef,
    kind: &WorkloadKind,
    place: &Place,
) -> Result<PauseAnnotations, K8sError> {
    let (group, resource) = (kind.group().to_owned(), place.resource.clone());
    let attempt = Attempt::on("get", group, resource, &workload.namespace, &workload.name);
    let object: Object = api.get(&attempt, &place.path, Some(METADATA)).await?;
    Ok(PauseAnnotations::of(&object.metadata.annotations))
}

/// Reads the workload. [`K8sError::NotFound`] if it does not exist.
pub(crate) async fn read(
    api: &Api,
    workload: &WorkloadRef,
    kind: &WorkloadKind,
) -> Result<Workload, K8sError> {
    let resource = match kind {
        WorkloadKind::Deployment => DEPLOYMENTS,
        WorkloadKind::StatefulSet => STATEFUL_SETS,
        WorkloadKind::Scalable(gvk) => return read_scalable(api, workload, gvk).await,
    };
    let (attempt, path) = of_apps(workload, resource);
    let mut object: Object = api.get(&attempt, &path, None).await?;
    let selector = label_selector::text_of(object.take_selector())
        .map_err(|error| api.bad_answer(&attempt, &error))?
        .ok_or_else(|| no_selector(workload))?;
    let rollout = Some(object.rollout());
    let failures = object.take_failures();
    let place = Place {
        resource: resource.to_owned(),
        path,
    };
    Ok(Workload::new(
        object.metadata,
        selector,
        rollout,
        failures,
        place,
    ))
}

async fn read_scalable(
    api: &Api,
    workload: &WorkloadRef,
    gvk: &GroupVersionKind,
) -> Result<Workload, K8sError> {
    let WorkloadRef {
        namespace, name, ..
    } = workload;
    let resource = resource_of(api, gvk).await?;
    let (attempt, path) = of_kind(workload, gvk, &resource);
    let scale_path = format!("{path}/scale");
    let of_scale = Attempt::on(
        "get",
        gvk.group.clone(),
        format!("{resource}/scale"),
        namespace,
        name,
    );
    let (object, scale) = tokio::join!(
        api.get::<CustomObject>(&attempt, &path, None),
        api.get::<Scale>(&of_scale, &scale_path, None),
    );
    let (object, scale) = (object?, scale?);
    let (rollout, failures) = (object.rollout(&scale), object.failures());
    // The scale subresource has the selector as text.
    let selector = scale
        .status
        .and_then(|status| status.selector)
        .filter(|selector| !selector.trim().is_empty());
    let selector = selector.ok_or_else(|| no_selector(workload))?;
    let place = Place { resource, path };
    Ok(Workload::new(
        object.metadata,
        selector,
        rollout,
        failures,
        place,
    ))
}

/// Reads an object as a Deployment or StatefulSet, and as an object of any other kind, for the fuzz
/// target. Returns the failures of its rollout in each reading.
#[cfg(feature = "fuzzing")]
pub(crate) fn failures(body: &[u8]) -> serde_json::Result<[Vec<RolloutFailure>; 2]> {
    let mut object: Object = rebalancer_adapter::read_json(body)?;
    let custom: CustomObject = rebalancer_adapter::read_json(body)?;
    let _selector = label_selector::text_of(object.take_selector());
    let _rollout = object.rollout();
    if let Ok(scale) = rebalancer_adapter::read_json::<Scale>(body) {
        let _rollout = custom.rollout(&scale);
    }
    Ok([object.take_failures(), custom.failures()])
}

fn no_selector(workload: &WorkloadRef) -> K8sError {
    K8sError::NoSelector {
        workload: Box::new(workload.clone()),
    }
}
