//! The state of a workload for people who steer its runs: pause, records, lease and Events. And the
//! annotations that pause and resume.

use jiff::Timestamp;
use kube::core::params::ListParams;
use rebalancer_core::history::Rotation;
use rebalancer_core::model::WorkloadRef;
use rebalancer_core::proposal::Proposal;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::annotations::{LAST_ROTATION, PauseAnnotations};
use crate::api::Api;
use crate::attempt::Attempt;
use crate::clock::MicroTime;
use crate::error::K8sError;
use crate::journal::CONTROLLER;
use crate::kind::WorkloadKind;
use crate::lease::{KubernetesLease, ObservedLease};
use crate::pages::PAGE;
use crate::suggestions;
use crate::workload::{self, Place};

/// Reads and changes how one workload is steered, made by
/// [`KubernetesActuator::steering`](crate::KubernetesActuator::steering).
pub struct KubernetesSteering {
    api: Api,
    workload: WorkloadRef,
    kind: WorkloadKind,
    lease: KubernetesLease,
}

/// The annotations of a workload about its runs.
#[derive(Debug, Clone)]
pub struct SteeredObject {
    /// The time of the response, by the clock of the API server.
    pub at: Timestamp,
    /// The annotations that ask not to act.
    pub pause: PauseAnnotations,
    /// The record of the last rotation, if there is one that can be read.
    pub last_rotation: Option<Rotation>,
    /// The plan that waits for approval, if one is stored.
    pub proposal: Option<Proposal>,
    uid: String,
    place: Place,
}

/// An Event that a run published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedEvent {
    /// The time of the action.
    pub time: Timestamp,
    /// The machine-readable word.
    pub reason: String,
    /// The sentence for people.
    pub message: String,
    /// The pod concerned; `None` if the Event is about the workload as a whole.
    pub pod: Option<String>,
}

/// The fields of an Event that are read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    involved_object: Reference,
    related: Option<Reference>,
    event_time: Option<MicroTime>,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    reporting_component: String,
}

#[derive(Deserialize)]
struct Reference {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    uid: String,
}

/// A written object, of which nothing is read.
#[derive(Deserialize)]
struct Written {
    #[serde(rename = "metadata")]
    _metadata: serde::de::IgnoredAny,
}

impl KubernetesSteering {
    pub(crate) fn new(
        api: Api,
        workload: WorkloadRef,
        kind: WorkloadKind,
        lease: KubernetesLease,
    ) -> Self {
        Self {
            api,
            workload,
            kind,
            lease,
        }
    }

    /// Reads the annotations of the workload.
    ///
    /// # Errors
    /// If the workload does not exist or could not be read.
    pub async fn read(&self) -> Result<SteeredObject, K8sError> {
        let read = workload::read_annotations(&self.api, &self.workload, &self.kind).await;
        let (place, found) = match read {
            Err(K8sError::NotFound { from_api: true, .. }) => {
                return Err(suggestions::not_found(&self.api, &self.workload).await);
            }
            read => read?,
        };
        Ok(SteeredObject {
            at: self.api.now(),
            pause: PauseAnnotations::of(&found.annotations),
            last_rotation: found
                .value(LAST_ROTATION)
                .and_then(|text| serde_json::from_str(&text).ok()),
            proposal: workload::proposal(&found.annotations),
            uid: found.uid,
            place,
        })
    }

    /// Sets annotations of the workload, and removes those without a value. In a dry run the server
    /// only checks the request.
    ///
    /// # Errors
    /// If the annotations were not written.
    pub async fn annotate(
        &self,
        object: &SteeredObject,
        annotations: &[(&str, Option<&str>)],
        dry_run: bool,
    ) -> Result<(), K8sError> {
        let values: Map<String, Value> = annotations
            .iter()
            .map(|(name, value)| ((*name).to_owned(), json!(value)))
            .collect();
        let WorkloadRef {
            namespace, name, ..
        } = &self.workload;
        let (group, resource) = (self.kind.group().to_owned(), object.place.resource.clone());
        let attempt = Attempt::on("patch", group, resource, namespace, name);
        let values = Value::Object(values);
        let request = workload::patch_annotations(&object.place, &values, dry_run);
        let answer = self.api.write_for::<Written>(&attempt, request).await?;
        answer
            .map(drop)
            .map_err(|refusal| refusal.into_error(&attempt, self.api.server()))
    }

    /// Reads the lease of the workload.
    ///
    /// # Errors
    /// If it could not be read. A Lease that does not exist is not an error.
    pub async fn lease(&self) -> Result<ObservedLease, K8sError> {
        self.lease.observe().await
    }

    /// Reads the Events that runs published about the workload and its pods, oldest first.
    ///
    /// # Errors
    /// If the Events could not be listed.
    pub async fn events(&self, object: &SteeredObject) -> Result<Vec<PublishedEvent>, K8sError> {
        let namespace = &self.workload.namespace;
        let attempt = Attempt::list("", "events", namespace);
        let path = format!("/api/v1/namespaces/{namespace}/events");
        let params = ListParams::default()
            .fields(&format!("reportingComponent={CONTROLLER}"))
            .limit(PAGE);
        let events: Vec<Event> = self.api.list(&attempt, "Event", &path, &params).await?;
        let mut ours: Vec<PublishedEvent> = events
            .into_iter()
            .filter(|event| event.reporting_component == CONTROLLER)
            .filter_map(|event| published(event, &object.uid))
            .collect();
        ours.sort_by_key(|event| event.time);
        Ok(ours)
    }
}

/// The Event, if it is about the workload with this UID or one of its pods.
fn published(event: Event, workload: &str) -> Option<PublishedEvent> {
    let MicroTime(time) = event.event_time?;
    let about = event.involved_object;
    let is_of_pod =
        about.kind == "Pod" && event.related.is_some_and(|related| related.uid == workload);
    (is_of_pod || about.uid == workload).then_some(PublishedEvent {
        time,
        reason: event.reason,
        message: event.message,
        pod: is_of_pod.then_some(about.name),
    })
}
