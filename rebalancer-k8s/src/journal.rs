//! The record of a run: Events for users, and an annotation for the next run.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use http::{Request, header};
use rebalancer_core::history::Rotation;
use rebalancer_core::model::WorkloadRef;
use rebalancer_core::ports::{Journal, JournalEntry, PortError, PortErrorKind};
use rebalancer_core::proposal::ProposedPlan;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::annotations::{APPROVE, LAST_ROTATION, PLAN};
use crate::api::Api;
use crate::attempt::Attempt;
use crate::clock::MicroTime;
use crate::error::K8sError;
use crate::kind::WorkloadKind;
use crate::workload::{self, Place, Workload};

/// The reporting controller, by which alerts find the Events.
pub(crate) const CONTROLLER: &str = "rebalancer.io/rebalancer";
/// The longest note that the API accepts, in bytes.
const MAX_NOTE: usize = 1024;
/// The longest name of a reporting instance that the API accepts, in bytes.
const MAX_INSTANCE: usize = 128;
/// The longest plan that is stored, in bytes. All annotations of an object together have 256 KiB.
const MAX_PLAN: usize = 192 * 1024;

/// The [`Journal`] of one workload, made by
/// [`KubernetesActuator::journal`](crate::KubernetesActuator::journal).
pub struct KubernetesJournal {
    api: Api,
    workload: WorkloadRef,
    kind: WorkloadKind,
    identity: String,
    subject: Arc<Subject>,
}

/// The identity of the workload's object, as it was last read.
#[derive(Default)]
pub(crate) struct Subject(Mutex<Option<Known>>);

#[derive(Clone)]
struct Known {
    uid: String,
    place: Place,
}

impl Subject {
    pub(crate) fn learn(&self, workload: &Workload) {
        *self.lock() = Some(Known {
            uid: workload.uid.clone(),
            place: workload.place.clone(),
        });
    }

    /// The address of the object, if it has been read.
    pub(crate) fn place(&self) -> Option<Place> {
        self.known().map(|known| known.place)
    }

    fn known(&self) -> Option<Known> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The fields of a written object that are read.
#[derive(Deserialize)]
struct Written {
    metadata: WrittenMetadata,
}

#[derive(Deserialize)]
struct WrittenMetadata {
    generation: Option<i64>,
}

impl KubernetesJournal {
    pub(crate) fn new(
        api: Api,
        workload: WorkloadRef,
        kind: WorkloadKind,
        identity: String,
        subject: Arc<Subject>,
    ) -> Self {
        Self {
            api,
            workload,
            kind,
            identity,
            subject,
        }
    }

    /// Returns the identity of the workload's object. Reads the object unless an observation has
    /// read it before.
    async fn known(&self) -> Result<Known, K8sError> {
        if let Some(known) = self.subject.known() {
            return Ok(known);
        }
        let read = workload::read(&self.api, &self.workload, &self.kind).await?;
        self.subject.learn(&read);
        Ok(Known {
            uid: read.uid,
            place: read.place,
        })
    }

    fn event(&self, entry: &JournalEntry, uid: &str) -> Value {
        let WorkloadRef {
            namespace, name, ..
        } = &self.workload;
        let workload = json!({
            "apiVersion": self.kind.api_version(),
            "kind": self.kind.kind(),
            "namespace": namespace,
            "name": name,
            "uid": uid,
        });
        let mut event = json!({
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            // The server shortens a prefix that is too long.
            "metadata": {"generateName": format!("{name}-"), "namespace": namespace},
            "eventTime": MicroTime(entry.at),
            "type": if entry.warning { "Warning" } else { "Normal" },
            "reason": entry.reason,
            "action": "Rotate",
            "note": shorten(&entry.message, MAX_NOTE),
            "reportingController": CONTROLLER,
            "reportingInstance": shorten(&self.identity, MAX_INSTANCE),
        });
        if let Some(pod) = &entry.pod {
            event["metadata"]["generateName"] = json!(format!("{}-", pod.name));
            event["action"] = json!("Evict");
            event["regarding"] = json!({
                "apiVersion": "v1",
                "kind": "Pod",
                "namespace": namespace,
                "name": pod.name,
                "uid": pod.uid.0,
            });
            event["related"] = workload;
        } else {
            event["regarding"] = workload;
        }
        event
    }

    async fn send(
        &self,
        attempt: &Attempt,
        request: Result<Request<Vec<u8>>, http::Error>,
    ) -> Result<Written, K8sError> {
        let answer = self.api.write_for(attempt, request).await?;
        answer.map_err(|refusal| refusal.into_error(attempt, self.api.server()))
    }

    async fn post(&self, entry: &JournalEntry) -> Result<(), K8sError> {
        let known = self.known().await?;
        let namespace = &self.workload.namespace;
        let attempt = Attempt::create("events.k8s.io", "events", namespace);
        let path =
            format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events?fieldManager=rebalancer");
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json")
            .body(self.event(entry, &known.uid).to_string().into_bytes());
        self.send(&attempt, request).await.map(drop)
    }

    /// Writes the record. Returns the generation of the workload that results from it.
    async fn annotate(&self, rotation: &Rotation) -> Result<Option<i64>, K8sError> {
        let place = self.known().await?.place;
        let text = serde_json::to_string(rotation)
            .map_err(|error| self.api.bad_answer(&self.patching(&place), &error))?;
        let annotations = json!({LAST_ROTATION: text});
        let is_written = |now: &Workload| now.last_rotation.as_deref() == Some(text.as_str());
        let generation = self.patch(&place, &annotations, is_written).await?;
        Ok(self.of_own_change(generation))
    }

    /// Writes annotations, and returns the generation of the workload. If the response is lost,
    /// `is_written` decides by the workload as it is read then whether they were written.
    async fn patch(
        &self,
        place: &Place,
        annotations: &Value,
        is_written: impl Fn(&Workload) -> bool,
    ) -> Result<Option<i64>, K8sError> {
        let request = workload::patch_annotations(place, annotations, false);
        match self.send(&self.patching(place), request).await {
            Ok(written) => Ok(written.metadata.generation),
            // The patch certainly had no effect.
            Err(error @ (K8sError::Forbidden { .. } | K8sError::Rejected { .. })) => Err(error),
            // The patch may have taken effect although the response was lost. Read the workload.
            Err(error) => match workload::read(&self.api, &self.workload, &self.kind).await {
                Ok(now) if is_written(&now) => Ok(now.rollout.map(|rollout| rollout.generation)),
                Ok(_) | Err(_) => Err(error),
            },
        }
    }

    fn patching(&self, place: &Place) -> Attempt {
        let WorkloadRef {
            namespace, name, ..
        } = &self.workload;
        let group = self.kind.group().to_owned();
        Attempt::on("patch", group, place.resource.clone(), namespace, name)
    }

    /// The generation that an annotation caused. Only a Deployment gets a new one. A new generation
    /// of another kind is caused by another change.
    fn of_own_change(&self, generation: Option<i64>) -> Option<i64> {
        match self.kind {
            WorkloadKind::Deployment => generation,
            WorkloadKind::StatefulSet | WorkloadKind::Scalable(_) => None,
        }
    }

    /// Writes the plan with this id, and removes an approval.
    async fn store(&self, text: &str, id: &str) -> Result<(), K8sError> {
        let place = self.known().await?.place;
        let annotations = json!({PLAN: text, APPROVE: null});
        let is_written = |now: &Workload| {
            let stored = now.proposal.as_ref();
            let stored = stored.and_then(|proposal| proposal.plan.as_ref());
            stored.is_some_and(|plan| plan.id == id)
        };
        self.patch(&place, &annotations, is_written).await.map(drop)
    }

    /// Removes the plan and its approval. A request whose response is lost may have succeeded; the
    /// error is returned nevertheless, because the approval may have been used by another run.
    async fn remove(&self, id: &str) -> Result<Option<i64>, K8sError> {
        let place = self.known().await?.place;
        let request = workload::patch_approval(&place, id);
        let written = self.send(&self.patching(&place), request).await?;
        Ok(self.of_own_change(written.metadata.generation))
    }
}

#[async_trait]
impl Journal for KubernetesJournal {
    async fn publish(&self, entry: &JournalEntry) -> Result<(), PortError> {
        Ok(self.post(entry).await?)
    }

    async fn remember(&self, rotation: &Rotation) -> Result<Option<i64>, PortError> {
        Ok(self.annotate(rotation).await?)
    }

    async fn propose(&self, plan: &ProposedPlan) -> Result<(), PortError> {
        let invalid = |error: String| PortError::new(PortErrorKind::Rejected, error);
        let text = serde_json::to_string(plan).map_err(|error| invalid(error.to_string()))?;
        if text.len() > MAX_PLAN {
            return Err(invalid(format!(
                "it has {} KiB, and an annotation may have {} KiB",
                text.len().div_ceil(1024),
                MAX_PLAN / 1024
            )));
        }
        Ok(self.store(&text, &plan.id).await?)
    }

    async fn use_approval(&self, plan: &ProposedPlan) -> Result<Option<i64>, PortError> {
        Ok(self.remove(&plan.id).await?)
    }
}

/// Shortens a text to at most `max` bytes. A shortened text ends with an ellipsis.
fn shorten(text: &str, max: usize) -> String {
    const ELLIPSIS: &str = "…";
    if text.len() <= max {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(max - ELLIPSIS.len());
    format!("{}{ELLIPSIS}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("short", "short")]
    #[case("eight by", "eight by")]
    #[case("nine byte", "nine …")]
    #[case("four é more", "four …")]
    fn shortens_a_text_between_characters(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(shorten(text, 8), expected);
    }
}
