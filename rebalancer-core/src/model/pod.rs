//! One pod of the workload, reduced to what a decision needs.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::measurement::{Measurement, SampleFault, SampleInfo};
use super::quantity::{Cores, Load, Seconds};

/// The UID of a pod. A name does not identify a pod, because the replacement of a StatefulSet's pod has
/// the same name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct PodUid(pub String);

impl fmt::Display for PodUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A reference that identifies one pod within its namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PodRef {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: PodUid,
}

/// `status.phase` of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum PodPhase {
    /// Accepted, not all containers started.
    Pending,
    /// Bound to a node, at least one container runs.
    #[default]
    Running,
    /// All containers ended successfully.
    Succeeded,
    /// All containers ended, at least one with a failure.
    Failed,
    /// The node does not report the phase.
    Unknown,
}

impl fmt::Display for PodPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Unknown => "Unknown",
        })
    }
}

/// Whether evicting the pod leads to a replacement by a controller of the workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Evictability {
    /// A controller replaces the pod.
    #[default]
    Evictable,
    /// No controller owns the pod, so nothing would replace it.
    Bare,
    /// The mirror of a kubelet's static pod.
    Mirror,
    /// A DaemonSet owns the pod, so its replacement starts on the same node at once.
    DaemonSet,
}

/// One pod at the instant of the snapshot.
///
/// In JSON only `name` is required. A field that is left out describes a healthy pod that has been
/// running for long, so that a person can write a snapshot by hand; the adapters fill in every
/// field that they know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "PodDocument", into = "PodDocument")]
pub struct Pod {
    /// `metadata.name`, unique in the snapshot.
    pub name: String,
    /// `metadata.uid`, unique in the snapshot; a snapshot uses the name of a pod without a UID.
    pub uid: PodUid,
    /// `status.podIP`, if known: some metrics identify the members of a group by it.
    pub ip: Option<String>,
    /// `spec.nodeName`, if known.
    pub node: Option<String>,
    /// The load of the pod, or why there is none.
    pub measurement: Measurement,
    /// `status.phase`.
    pub phase: PodPhase,
    /// Whether the Ready condition is true.
    pub ready: bool,
    /// Whether `metadata.deletionTimestamp` is set.
    pub terminating: bool,
    /// Whether the workload owns the pod, through its ReplicaSet if there is one.
    pub owned: bool,
    /// Whether a controller would replace the pod.
    pub evictability: Evictability,
    /// The annotation that opts the pod out, as `key: value`.
    pub opted_out: Option<String>,
    /// Seconds since the pod was created; `None` means long ago.
    pub age_seconds: Option<Seconds>,
    /// Seconds since the pod became Ready; `None` means long ago.
    pub ready_seconds: Option<Seconds>,
    /// Seconds since the last restart of the measured container; `None` if it never restarted.
    pub restarted_seconds: Option<Seconds>,
    /// CPU request of the measured container, in cores.
    pub request: Option<Cores>,
    /// Sum of the CPU requests of the pod's other containers, in cores; 0 if they have none.
    pub other_requests: Load,
}

impl Pod {
    /// A healthy, ready pod of the workload without a measurement; its UID is its name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            uid: PodUid(name.clone()),
            name,
            ip: None,
            node: None,
            measurement: Measurement::default(),
            phase: PodPhase::default(),
            ready: true,
            terminating: false,
            owned: true,
            evictability: Evictability::default(),
            opted_out: None,
            age_seconds: None,
            ready_seconds: None,
            restarted_seconds: None,
            request: None,
            other_requests: Load::ZERO,
        }
    }

    /// Sets the load. The samples behind it stay as they are.
    #[must_use]
    pub fn with_load(mut self, load: Load) -> Self {
        self.measurement = Measurement::Load(load, *self.measurement.samples());
        self
    }

    /// The load, if the pod has one.
    #[must_use]
    pub fn load(&self) -> Option<Load> {
        self.measurement.load()
    }

    /// The reference that identifies this pod.
    #[must_use]
    pub fn reference(&self) -> PodRef {
        PodRef {
            name: self.name.clone(),
            uid: self.uid.clone(),
        }
    }

    /// Whether all containers have ended for good.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        match self.phase {
            PodPhase::Succeeded | PodPhase::Failed => true,
            PodPhase::Pending | PodPhase::Running | PodPhase::Unknown => false,
        }
    }

    /// Whether the pod counts as a ready pod of the workload: owned, Running, Ready and not
    /// terminating.
    #[must_use]
    pub fn serves(&self) -> bool {
        self.owned && self.phase == PodPhase::Running && self.ready && !self.terminating
    }
}

/// The form of a pod in documents.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "Pod"))]
#[serde(deny_unknown_fields)]
struct PodDocument {
    /// `metadata.name`, unique in the snapshot.
    name: String,
    /// `metadata.uid`, unique in the snapshot; the name if left out.
    #[serde(default)]
    uid: PodUid,
    /// `status.podIP`, if known: some metrics identify the members of a group by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ip: Option<String>,
    /// `spec.nodeName`, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    /// The load of the pod; absent if it was not measured, which is never the same as zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    load: Option<Load>,
    /// Why there is no load although the metrics contain the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fault: Option<SampleFault>,
    /// Age of the newest sample behind the load, in seconds; absent if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sample_age_seconds: Option<Seconds>,
    /// Number of series of the measured container; more than one are duplicates, for example of two
    /// scrape jobs, so that the load is counted more than once.
    #[serde(default = "one")]
    series: u32,
    /// `status.phase`.
    #[serde(default)]
    phase: PodPhase,
    /// Whether the Ready condition is true.
    #[serde(default = "yes")]
    ready: bool,
    /// Whether `metadata.deletionTimestamp` is set.
    #[serde(default)]
    terminating: bool,
    /// Whether the workload owns the pod, through its ReplicaSet if there is one.
    #[serde(default = "yes")]
    owned: bool,
    /// Whether a controller would replace the pod.
    #[serde(default)]
    evictability: Evictability,
    /// The annotation that opts the pod out, as `key: value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    opted_out: Option<String>,
    /// Seconds since the pod was created; absent means long ago.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    age_seconds: Option<Seconds>,
    /// Seconds since the pod became Ready; absent means long ago.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ready_seconds: Option<Seconds>,
    /// Seconds since the last restart of the measured container; absent if it never restarted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    restarted_seconds: Option<Seconds>,
    /// Whether the metrics have samples in the first half of the rate window.
    #[serde(default = "yes")]
    window_covered: bool,
    /// CPU request of the measured container, in cores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request: Option<Cores>,
    /// Sum of the CPU requests of the pod's other containers, in cores; 0 if they have none.
    #[serde(default)]
    other_requests: Load,
}

fn yes() -> bool {
    true
}

fn one() -> u32 {
    1
}

/// A document that contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("pod `{name}` has both a `load` and a `fault`: give one of them")]
pub struct InvalidPod {
    /// The name of the pod.
    pub name: String,
}

impl TryFrom<PodDocument> for Pod {
    type Error = InvalidPod;
    fn try_from(document: PodDocument) -> Result<Self, Self::Error> {
        let samples = SampleInfo {
            age: document.sample_age_seconds,
            series: document.series,
            window_covered: document.window_covered,
        };
        let measurement = match (document.load, document.fault) {
            (None, None) => Measurement::Missing(samples),
            (None, Some(fault)) => Measurement::Faulty(fault, samples),
            (Some(load), None) => Measurement::Load(load, samples),
            (Some(_), Some(_)) => {
                return Err(InvalidPod {
                    name: document.name,
                });
            }
        };
        Ok(Self {
            name: document.name,
            uid: document.uid,
            ip: document.ip,
            node: document.node,
            measurement,
            phase: document.phase,
            ready: document.ready,
            terminating: document.terminating,
            owned: document.owned,
            evictability: document.evictability,
            opted_out: document.opted_out,
            age_seconds: document.age_seconds,
            ready_seconds: document.ready_seconds,
            restarted_seconds: document.restarted_seconds,
            request: document.request,
            other_requests: document.other_requests,
        })
    }
}

impl From<Pod> for PodDocument {
    fn from(pod: Pod) -> Self {
        let (load, fault) = match pod.measurement {
            Measurement::Missing(_) => (None, None),
            Measurement::Faulty(fault, _) => (None, Some(fault)),
            Measurement::Load(load, _) => (Some(load), None),
        };
        let samples = *pod.measurement.samples();
        Self {
            name: pod.name,
            uid: pod.uid,
            ip: pod.ip,
            node: pod.node,
            load,
            fault,
            sample_age_seconds: samples.age,
            series: samples.series,
            phase: pod.phase,
            ready: pod.ready,
            terminating: pod.terminating,
            owned: pod.owned,
            evictability: pod.evictability,
            opted_out: pod.opted_out,
            age_seconds: pod.age_seconds,
            ready_seconds: pod.ready_seconds,
            restarted_seconds: pod.restarted_seconds,
            window_covered: samples.window_covered,
            request: pod.request,
            other_requests: pod.other_requests,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn document_keeps_the_order_and_the_names_of_its_fields() {
        let load = Load::new(1.5).unwrap();
        let samples = SampleInfo {
            age: Some(Seconds::whole(3)),
            series: 2,
            window_covered: false,
        };
        let pod = Pod {
            measurement: Measurement::Load(load, samples),
            ..Pod::new("a")
        };
        let text = serde_json::to_string(&pod).unwrap();
        assert_eq!(
            text,
            r#"{"name":"a","uid":"a","load":1.5,"sample_age_seconds":3.0,"series":2,"#.to_owned()
                + r#""phase":"Running","ready":true,"terminating":false,"owned":true,"#
                + r#""evictability":"evictable","window_covered":false,"other_requests":0.0}"#
        );
        assert_eq!(serde_json::from_str::<Pod>(&text).unwrap(), pod);
    }

    #[test]
    fn faulty_pod_survives_a_round_trip() {
        let json = json!({"name": "a", "fault": "negative", "series": 3});
        let pod: Pod = serde_json::from_value(json).unwrap();
        assert_eq!(pod.load(), None);
        assert_eq!(pod.measurement.duplicate_series(), Some(3));
        let json = serde_json::to_value(&pod).unwrap();
        assert_eq!(json["fault"], "negative");
        assert_eq!(serde_json::from_value::<Pod>(json).unwrap(), pod);
    }

    #[test]
    fn load_and_fault_contradict_each_other() {
        let json = json!({"name": "a", "load": 1.0, "fault": "negative"});
        let error = serde_json::from_value::<Pod>(json).unwrap_err();
        assert_eq!(
            error.to_string(),
            "pod `a` has both a `load` and a `fault`: give one of them"
        );
    }
}
