//! The workload itself: its selector, its rollout, and who owns its pods on its behalf.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::params::ListParams;
use rebalancer_adapter::read_json;
use rebalancer_core::history::Rotation;
use rebalancer_core::model::{Rollout, WorkloadRef};
use serde::Deserialize;

use crate::api::{Api, BadPage, METADATA, METADATA_LIST, Page, PageEnd, Pages};
use crate::error::{Attempt, K8sError};
use crate::kind::{GroupVersionKind, WorkloadKind};
use crate::label_selector;
use crate::pods::{OwnerReference, SKIP, controller};

/// The workload at one instant.
#[derive(Debug, Clone)]
pub(crate) struct Workload {
    pub(crate) uid: String,
    /// Its own selector.
    pub(crate) selector: String,
    pub(crate) rollout: Option<Rollout>,
    /// Its wish that its pods be left alone.
    pub(crate) opted_out: Option<String>,
    /// What is written on it of its last rotation, as it stands there.
    pub(crate) last_rotation: Option<String>,
    /// Where it was read.
    pub(crate) place: Place,
}

/// Under which name the API serves a workload.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The resource, in plural.
    pub(crate) resource: String,
    pub(crate) path: String,
}

/// The annotation of a workload that keeps its last rotation for the next run.
pub(crate) const LAST_ROTATION: &str = "rebalancer.io/last-rotation";

impl Workload {
    /// Its last rotation. What cannot be read is as good as none: the ages of its pods say as well
    /// that something was done to them.
    pub(crate) fn rotation(&self, workload: &WorkloadRef) -> Option<Rotation> {
        let text = self.last_rotation.as_deref()?;
        serde_json::from_str(text)
            .inspect_err(|error| {
                tracing::warn!(
                    %workload,
                    %error,
                    "the annotation {LAST_ROTATION} is not one of ours and is not used"
                );
            })
            .ok()
    }
}

#[derive(Deserialize)]
struct Object {
    metadata: Metadata,
    spec: Option<Spec>,
    status: Option<Status>,
}

#[derive(Deserialize)]
struct Metadata {
    uid: String,
    #[serde(default)]
    generation: i64,
    annotations: Option<Annotations>,
}

#[derive(Deserialize)]
struct Annotations {
    #[serde(rename = "rebalancer.io/skip")]
    skip: Option<String>,
    #[serde(rename = "rebalancer.io/last-rotation")]
    last_rotation: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    replicas: Option<u32>,
    selector: LabelSelector,
    update_strategy: UpdateStrategy,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct UpdateStrategy {
    rolling_update: Option<RollingUpdate>,
}

#[derive(Deserialize)]
struct RollingUpdate {
    partition: Option<u32>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    observed_generation: i64,
    replicas: u32,
    updated_replicas: u32,
}

#[derive(Deserialize)]
struct Scale {
    status: Option<ScaleStatus>,
}

#[derive(Deserialize)]
struct ScaleStatus {
    selector: Option<String>,
}

#[derive(Deserialize)]
struct Resources {
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    name: String,
    kind: String,
}

#[derive(Deserialize)]
struct Intermediate<'a> {
    #[serde(borrow)]
    metadata: IntermediateMetadata<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IntermediateMetadata<'a> {
    uid: String,
    #[serde(borrow)]
    owner_references: Option<Vec<OwnerReference<'a>>>,
}

/// Keeps the UIDs of the objects that one controls.
struct OwnedBy<'u> {
    uid: &'u str,
    owned: Vec<String>,
}

impl Pages for OwnedBy<'_> {
    fn restart(&mut self) {
        self.owned.clear();
    }

    fn page(&mut self, body: &[u8]) -> Result<PageEnd, BadPage> {
        let (objects, end) = read_json::<Page<Intermediate<'_>>>(body)?.split("ReplicaSet")?;
        self.owned.extend(objects.into_iter().filter_map(|object| {
            let owner = controller(object.metadata.owner_references.as_deref())?;
            (owner.uid() == self.uid).then_some(object.metadata.uid)
        }));
        Ok(end)
    }
}

impl Metadata {
    fn opted_out(&self) -> Option<String> {
        let value = self.annotations.as_ref()?.skip.as_deref()?;
        value
            .eq_ignore_ascii_case("true")
            .then(|| format!("{SKIP}: {value} (on the workload)"))
    }

    fn last_rotation(&self) -> Option<String> {
        self.annotations.as_ref()?.last_rotation.clone()
    }
}

impl Object {
    fn rollout(&self) -> Rollout {
        let spec = self.spec.as_ref();
        let status = self.status.as_ref();
        let current = status.map_or(0, |status| status.replicas);
        let updated = status.map_or(0, |status| status.updated_replicas);
        // The pods that a StatefulSet's partition keeps at the old template are where they belong.
        let kept = spec
            .and_then(|spec| spec.update_strategy.rolling_update.as_ref()?.partition)
            .unwrap_or(0);
        Rollout {
            generation: self.metadata.generation,
            observed_generation: status.map_or(0, |status| status.observed_generation),
            desired: spec.and_then(|spec| spec.replicas).unwrap_or(1),
            current,
            updated: if kept == 0 {
                updated
            } else {
                updated.saturating_add(kept).min(current.max(updated))
            },
        }
    }
}

const DEPLOYMENTS: &str = "deployments";
const STATEFUL_SETS: &str = "statefulsets";

/// A request for a workload of the API's own kinds, and where it goes.
fn of_apps(workload: &WorkloadRef, resource: &'static str) -> (Attempt, String) {
    let WorkloadRef {
        namespace, name, ..
    } = workload;
    let path = format!("/apis/apps/v1/namespaces/{namespace}/{resource}/{name}");
    let attempt = Attempt::on("get", "apps", resource, namespace, name);
    (attempt, path)
}

/// The same for one of another kind.
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

/// Looks whether there is such a workload, by its metadata alone. That it does not exist is
/// [`K8sError::NotFound`].
pub(crate) async fn exists(
    api: &Api,
    workload: &WorkloadRef,
    kind: &WorkloadKind,
) -> Result<(), K8sError> {
    let (attempt, path) = match kind {
        WorkloadKind::Deployment => of_apps(workload, DEPLOYMENTS),
        WorkloadKind::StatefulSet => of_apps(workload, STATEFUL_SETS),
        WorkloadKind::Scalable(gvk) => {
            let resource = resource_of(api, gvk).await?;
            of_kind(workload, gvk, &resource)
        }
    };
    let _object: Object = api.get(&attempt, &path, Some(METADATA)).await?;
    Ok(())
}

/// Reads the workload. That it does not exist is [`K8sError::NotFound`].
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
    let selector = object
        .spec
        .as_mut()
        .map(|spec| std::mem::take(&mut spec.selector))
        .unwrap_or_default();
    let selector =
        label_selector::text_of(selector).map_err(|error| api.bad_answer(&attempt, &error))?;
    Ok(Workload {
        selector: selector.ok_or_else(|| no_selector(workload))?,
        rollout: Some(object.rollout()),
        opted_out: object.metadata.opted_out(),
        last_rotation: object.metadata.last_rotation(),
        uid: object.metadata.uid,
        place: Place {
            resource: resource.to_owned(),
            path,
        },
    })
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
        api.get::<Object>(&attempt, &path, Some(METADATA)),
        api.get::<Scale>(&of_scale, &scale_path, None),
    );
    let object = object?;
    // Text and not an object: that is what the scale subresource has.
    let selector = scale?
        .status
        .and_then(|status| status.selector)
        .filter(|selector| !selector.trim().is_empty());
    Ok(Workload {
        selector: selector.ok_or_else(|| no_selector(workload))?,
        rollout: None,
        opted_out: object.metadata.opted_out(),
        last_rotation: object.metadata.last_rotation(),
        uid: object.metadata.uid,
        place: Place { resource, path },
    })
}

/// The plural under which a kind is served, which only the API knows.
async fn resource_of(api: &Api, gvk: &GroupVersionKind) -> Result<String, K8sError> {
    let not_served = |detail: String| K8sError::KindNotServed {
        kind: gvk.to_string(),
        detail,
    };
    let attempt = Attempt {
        verb: "get",
        group: gvk.group.clone().into(),
        resource: "the list of resources".into(),
        namespace: None,
        name: None,
    };
    let found: Result<Resources, K8sError> = api.get(&attempt, &gvk.api_path(), None).await;
    let resources = match found {
        Ok(found) => found.resources,
        Err(K8sError::NotFound { .. }) => {
            return Err(not_served(format!("it does not serve {}", gvk.api_path())));
        }
        Err(error) => return Err(error),
    };
    let resource = resources
        .iter()
        .find(|resource| resource.kind == gvk.kind && !resource.name.contains('/'))
        .ok_or_else(|| not_served(format!("{} has no such kind", gvk.api_path())))?;
    let scale = format!("{}/scale", resource.name);
    if !resources.iter().any(|resource| resource.name == scale) {
        return Err(not_served(format!(
            "{} has no scale subresource",
            resource.name
        )));
    }
    Ok(resource.name.clone())
}

fn no_selector(workload: &WorkloadRef) -> K8sError {
    K8sError::NoSelector {
        workload: Box::new(workload.clone()),
    }
}

/// The UIDs whose pods are the workload's: its own, and those of the ReplicaSets it controls.
pub(crate) async fn owners(
    api: &Api,
    namespace: &str,
    kind: &WorkloadKind,
    workload: &Workload,
) -> Result<Vec<String>, K8sError> {
    let mut owned = OwnedBy {
        uid: &workload.uid,
        owned: Vec::new(),
    };
    match kind {
        WorkloadKind::StatefulSet => {}
        WorkloadKind::Deployment | WorkloadKind::Scalable(_) => {
            let attempt = Attempt::list("apps", "replicasets", namespace);
            let path = format!("/apis/apps/v1/namespaces/{namespace}/replicasets");
            let params = ListParams::default().labels(&workload.selector).limit(500);
            api.list_pages(&attempt, &path, &params, Some(METADATA_LIST), &mut owned)
                .await?;
        }
    }
    let mut owners = owned.owned;
    owners.push(workload.uid.clone());
    Ok(owners)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn object(spec: Value, status: Value) -> Object {
        serde_json::from_value(json!({
            "metadata": {"uid": "u", "generation": 4, "annotations": {"rebalancer.io/skip": "true"}},
            "spec": spec,
            "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn a_deployments_rollout_is_read() {
        let object = object(
            json!({"replicas": 6, "selector": {"matchLabels": {"a": "b"}}, "template": {}}),
            json!({"observedGeneration": 3, "replicas": 7, "updatedReplicas": 2, "readyReplicas": 5}),
        );
        assert_eq!(
            object.rollout(),
            Rollout {
                generation: 4,
                observed_generation: 3,
                desired: 6,
                current: 7,
                updated: 2
            }
        );
        assert_eq!(
            object.metadata.opted_out().as_deref(),
            Some("rebalancer.io/skip: true (on the workload)")
        );
    }

    #[test]
    fn a_workload_that_nothing_observed_yet_has_no_replicas() {
        let rollout = object(json!({"replicas": null}), json!({})).rollout();
        assert_eq!(
            (
                rollout.desired,
                rollout.current,
                rollout.observed_generation
            ),
            (1, 0, 0)
        );
    }

    #[rstest]
    #[case(0, 2, 2)]
    #[case(4, 2, 6)]
    // Before anything is to be updated, all are of the one template there is.
    #[case(4, 6, 6)]
    #[case(4, 1, 5)]
    fn pods_kept_by_a_partition_are_not_behind(
        #[case] partition: u32,
        #[case] updated: u32,
        #[case] counted: u32,
    ) {
        let rollout = object(
            json!({"replicas": 6, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": partition}}}),
            json!({"replicas": 6, "updatedReplicas": updated}),
        )
        .rollout();
        assert_eq!(rollout.updated, counted);
    }

    #[test]
    fn only_what_the_workload_controls_owns_its_pods() {
        let set =
            |uid: &str, owner: Value| json!({"metadata": {"uid": uid, "ownerReferences": owner}});
        let sets = json!({"kind": "ReplicaSetList", "items": [
            set("new", json!([{"kind": "Deployment", "uid": "d1", "controller": true}])),
            set("old", json!([{"kind": "Deployment", "uid": "d1", "controller": true}])),
            set("foreign", json!([{"kind": "Deployment", "uid": "d2", "controller": true}])),
            set("adopted by nobody", json!([{"kind": "Deployment", "uid": "d1"}])),
            set("orphan", json!(null)),
        ]});
        let mut owned = OwnedBy {
            uid: "d1",
            owned: Vec::new(),
        };
        owned.page(sets.to_string().as_bytes()).unwrap();
        assert_eq!(owned.owned, ["new", "old"]);
    }
}
