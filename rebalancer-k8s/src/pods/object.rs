//! The fields of a pod that are read, in JSON and in protobuf.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use rebalancer_core::model::{Evictability, PodPhase, PodRef, PodUid};
use serde::{Deserialize, Deserializer};

use crate::annotations::{self, Annotation};
use crate::cpu_quantity::Quantity;
use crate::object_meta::{OwnerReference, Time, controller, null_as_default, text};
use crate::pages::{BadPage, ListMetadata};

/// A list of pods. The pods are encoded, see [`PodObject`].
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PodList {
    #[prost(message, required, tag = "1")]
    pub(super) metadata: ListMetadata,
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub(super) items: Vec<Bytes>,
}

/// A pod as the API sends it.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
pub(crate) struct PodObject {
    #[prost(message, required, tag = "1")]
    pub(super) metadata: Metadata,
    #[prost(message, required, tag = "2")]
    pub(super) spec: Spec,
    #[prost(message, required, tag = "3")]
    #[serde(default)]
    pub(super) status: Status,
}

#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) name: Bytes,
    #[prost(bytes = "bytes", tag = "5")]
    pub(super) uid: Bytes,
    #[prost(message, optional, tag = "8")]
    pub(super) creation_timestamp: Option<Time>,
    #[prost(message, optional, tag = "9")]
    pub(super) deletion_timestamp: Option<Time>,
    #[prost(int64, optional, tag = "10")]
    pub(super) deletion_grace_period_seconds: Option<i64>,
    #[prost(message, repeated, tag = "11")]
    #[serde(default, deserialize_with = "annotations::from_json")]
    labels: Vec<Annotation>,
    #[prost(message, repeated, tag = "12")]
    #[serde(default, deserialize_with = "annotations::from_json")]
    annotations: Vec<Annotation>,
    #[prost(message, repeated, tag = "13")]
    #[serde(default, deserialize_with = "null_as_default")]
    owner_references: Vec<OwnerReference>,
    #[prost(bytes = "bytes", repeated, tag = "14")]
    #[serde(default, deserialize_with = "null_as_default")]
    pub(super) finalizers: Vec<Bytes>,
}

#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spec {
    #[prost(message, repeated, tag = "2")]
    containers: Vec<Container>,
    #[prost(bytes = "bytes", tag = "10")]
    #[serde(default, deserialize_with = "null_as_default")]
    pub(super) node_name: Bytes,
    #[prost(message, repeated, tag = "20")]
    #[serde(default, deserialize_with = "null_as_default")]
    init_containers: Vec<Container>,
    /// The resources of the pod as a whole (KEP-2837).
    #[prost(message, optional, tag = "40")]
    resources: Option<Resources>,
}

#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Container {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) name: Bytes,
    #[prost(message, required, tag = "8")]
    #[serde(default, deserialize_with = "null_as_default")]
    resources: Resources,
    #[prost(bytes = "bytes", tag = "24")]
    #[serde(default, deserialize_with = "null_as_default")]
    restart_policy: Bytes,
}

#[derive(Clone, PartialEq, prost::Message, Deserialize)]
pub(super) struct Resources {
    #[prost(message, repeated, tag = "2")]
    #[serde(default, deserialize_with = "cpu_request_from_json")]
    requests: Vec<Request>,
}

/// A resource request, as an entry of a protobuf map.
#[derive(Clone, PartialEq, prost::Message)]
struct Request {
    #[prost(bytes = "bytes", tag = "1")]
    resource: Bytes,
    #[prost(message, required, tag = "2")]
    quantity: Quantity,
}

#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    #[prost(bytes = "bytes", tag = "1")]
    #[serde(default)]
    pub(super) phase: Bytes,
    #[prost(message, repeated, tag = "2")]
    #[serde(default, deserialize_with = "null_as_default")]
    pub(super) conditions: Vec<Condition>,
    #[prost(bytes = "bytes", tag = "3")]
    #[serde(default)]
    pub(super) message: Bytes,
    #[prost(bytes = "bytes", tag = "4")]
    #[serde(default)]
    pub(super) reason: Bytes,
    #[prost(bytes = "bytes", tag = "6")]
    #[serde(default, rename = "podIP")]
    pub(super) pod_ip: Bytes,
    #[prost(message, optional, tag = "7")]
    start_time: Option<Time>,
    #[prost(message, repeated, tag = "8")]
    #[serde(default, deserialize_with = "null_as_default")]
    container_statuses: Vec<ContainerStatus>,
    #[prost(message, repeated, tag = "10")]
    #[serde(default, deserialize_with = "null_as_default")]
    init_container_statuses: Vec<ContainerStatus>,
}

#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Condition {
    #[prost(bytes = "bytes", tag = "1")]
    #[serde(rename = "type")]
    pub(super) kind: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) status: Bytes,
    #[prost(message, optional, tag = "4")]
    pub(super) last_transition_time: Option<Time>,
    #[prost(bytes = "bytes", tag = "5")]
    #[serde(default)]
    pub(super) reason: Bytes,
    #[prost(bytes = "bytes", tag = "6")]
    #[serde(default)]
    pub(super) message: Bytes,
}

#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ContainerStatus {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) name: Bytes,
    #[prost(message, optional, tag = "2")]
    pub(super) state: Option<ContainerState>,
    #[prost(message, optional, tag = "3")]
    last_state: Option<ContainerState>,
    #[prost(int32, tag = "5")]
    #[serde(default)]
    pub(super) restart_count: i32,
}

/// The state of a container. At most one field is set.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
pub(super) struct ContainerState {
    #[prost(message, optional, tag = "1")]
    pub(super) waiting: Option<Waiting>,
    #[prost(message, optional, tag = "2")]
    pub(super) running: Option<Running>,
    #[prost(message, optional, tag = "3")]
    pub(super) terminated: Option<Terminated>,
}

#[derive(Clone, PartialEq, prost::Message, Deserialize)]
pub(super) struct Waiting {
    #[prost(bytes = "bytes", tag = "1")]
    #[serde(default)]
    pub(super) reason: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    #[serde(default)]
    pub(super) message: Bytes,
}

#[derive(Clone, Copy, PartialEq, prost::Message, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Running {
    #[prost(message, optional, tag = "1")]
    pub(super) started_at: Option<Time>,
}

#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Terminated {
    #[prost(bytes = "bytes", tag = "3")]
    #[serde(default)]
    pub(super) reason: Bytes,
    #[prost(bytes = "bytes", tag = "4")]
    #[serde(default)]
    pub(super) message: Bytes,
    #[prost(message, optional, tag = "6")]
    pub(super) finished_at: Option<Time>,
}

/// Reads the CPU request from a JSON object of resource requests or `null`.
fn cpu_request_from_json<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Request>, D::Error> {
    #[derive(Deserialize)]
    struct Requests {
        cpu: Option<Quantity>,
    }

    let requests = Option::<Requests>::deserialize(deserializer)?;
    Ok(requests
        .and_then(|requests| requests.cpu)
        .map(|quantity| Request {
            resource: Bytes::from_static(b"cpu"),
            quantity,
        })
        .into_iter()
        .collect())
}

/// The labels that hold the hash of a pod's template, or the name of its revision: of an Argo
/// Rollout, of a Deployment, and of a StatefulSet and most other kinds.
const TEMPLATE_LABELS: [&str; 3] = [
    "rollouts-pod-template-hash",
    "pod-template-hash",
    "controller-revision-hash",
];

impl Resources {
    fn cpu_request(&self) -> Option<&Quantity> {
        self.requests
            .iter()
            .find(|request| request.resource == "cpu")
            .map(|request| &request.quantity)
    }
}

impl Container {
    /// The CPU request.
    pub(super) fn cpu_request(&self) -> Option<&Quantity> {
        self.resources.cpu_request()
    }
}

impl Spec {
    /// The CPU request of the pod as a whole.
    pub(super) fn cpu_request(&self) -> Option<&Quantity> {
        self.resources.as_ref()?.cpu_request()
    }
}

impl ContainerStatus {
    /// The previous end of the container.
    pub(super) fn last_end(&self) -> Option<&Terminated> {
        self.last_state.as_ref()?.terminated.as_ref()
    }
}

impl PodObject {
    /// Fails unless the pod has a valid name and UID.
    pub(super) fn check_identity(&self) -> Result<(), BadPage> {
        for text in [&self.metadata.name, &self.metadata.uid] {
            if text.is_empty() {
                return Err(BadPage::Nameless);
            }
            std::str::from_utf8(text).map_err(|_| BadPage::NotUtf8)?;
        }
        Ok(())
    }

    pub(super) fn reference(&self) -> PodRef {
        PodRef {
            name: text(&self.metadata.name),
            uid: PodUid(text(&self.metadata.uid)),
        }
    }

    pub(crate) fn has_uid(&self, uid: &PodUid) -> bool {
        self.metadata.uid == uid.0
    }

    pub(crate) fn terminating(&self) -> bool {
        self.metadata.deletion_timestamp.is_some_and(Time::is_set)
    }

    pub(crate) fn ready(&self) -> bool {
        self.ready_condition().is_some()
    }

    /// Whether the pod is running, ready and not terminating.
    pub(super) fn serves(&self) -> bool {
        self.status.phase == "Running" && self.ready() && !self.terminating()
    }

    /// The `Ready` condition.
    pub(super) fn readiness(&self) -> Option<&Condition> {
        let mut conditions = self.status.conditions.iter();
        conditions.find(|condition| condition.kind == "Ready")
    }

    /// The `Ready` condition, if it is true.
    pub(super) fn ready_condition(&self) -> Option<&Condition> {
        self.readiness()
            .filter(|condition| condition.status == "True")
    }

    /// The hash of the template that the pod was created from.
    pub(super) fn template(&self) -> Option<String> {
        let labels = &self.metadata.labels;
        let hash = |label: &&str| annotations::value_of(labels, label);
        let hash = TEMPLATE_LABELS.iter().find_map(hash)?;
        Some(hash.into_owned()).filter(|hash| !hash.is_empty())
    }

    pub(crate) fn labels(&self) -> BTreeMap<String, String> {
        annotations::to_map(&self.metadata.labels)
    }

    /// The statuses of all containers, init containers last.
    pub(super) fn container_statuses(&self) -> impl Iterator<Item = &ContainerStatus> {
        let Status {
            container_statuses,
            init_container_statuses,
            ..
        } = &self.status;
        container_statuses.iter().chain(init_container_statuses)
    }

    pub(super) fn controller(&self) -> Option<&OwnerReference> {
        controller(&self.metadata.owner_references)
    }

    /// The containers that run as long as the pod: regular containers, and sidecars, which are init
    /// containers with the restart policy `Always`.
    pub(super) fn running_containers(&self) -> impl Iterator<Item = &Container> {
        let sidecars = self
            .spec
            .init_containers
            .iter()
            .filter(|container| container.restart_policy == "Always");
        self.spec.containers.iter().chain(sidecars)
    }

    /// The phase. A phase that this version does not know is `Unknown`.
    pub(super) fn phase(&self) -> PodPhase {
        match self.status.phase.as_ref() {
            b"Pending" => PodPhase::Pending,
            b"Running" => PodPhase::Running,
            b"Succeeded" => PodPhase::Succeeded,
            b"Failed" => PodPhase::Failed,
            _ => PodPhase::Unknown,
        }
    }

    /// The annotation that exempts the pod from eviction at the instant `now`.
    pub(crate) fn opted_out(&self, now: Timestamp) -> Option<String> {
        // A pod that has not started has the age 0.
        annotations::opt_out_of_pod(&self.metadata.annotations, || {
            let started = self.status.start_time.map(Time::instant);
            let started = started.and_then(Result::ok).flatten();
            started.map_or(Duration::ZERO, |started| {
                now.duration_since(started).try_into().unwrap_or_default()
            })
        })
    }

    pub(super) fn evictability(&self) -> Evictability {
        match self.controller() {
            _ if annotations::is_mirror(&self.metadata.annotations) => Evictability::Mirror,
            None => Evictability::Bare,
            Some(owner) if owner.kind == "DaemonSet" => Evictability::DaemonSet,
            Some(_) => Evictability::Evictable,
        }
    }
}
