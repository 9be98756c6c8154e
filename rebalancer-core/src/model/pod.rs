//! One pod of the workload, reduced to what a decision needs.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::measurement::{Measurement, SampleFault, SampleInfo};
use super::quantity::{Cores, Load, Seconds};

/// The UID of a pod. A name does not identify a pod, because the replacement of a StatefulSet's pod
/// has the same name.
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

/// The deletion of a terminating pod, which the API still lists.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Deletion {
    /// Seconds since the deletion was requested; absent if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_seconds: Option<Seconds>,
    /// Seconds since the end of the pod's grace period; absent during the grace period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdue_seconds: Option<Seconds>,
    /// `metadata.finalizers`: the pod stays until their owners have removed them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub finalizers: Vec<String>,
    /// `spec.nodeName`: without finalizers, the pod stays until the kubelet of its node has
    /// confirmed that its containers ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
}

impl fmt::Display for Deletion {
    /// `for 12 s`, or `for 3 d, 3 d beyond its grace period: finalizer example.com/a`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.requested_seconds {
            Some(seconds) => write!(f, "for {}", seconds.rounded())?,
            None => f.write_str("since an unknown time")?,
        }
        let Some(overdue) = self.overdue_seconds else {
            return Ok(());
        };
        write!(f, ", {} beyond its grace period: ", overdue.rounded())?;
        match (self.finalizers.as_slice(), &self.node) {
            ([], Some(node)) => write!(f, "node {node} has not confirmed its end"),
            ([], None) => f.write_str("it was on no node"),
            ([finalizer], _) => write!(f, "finalizer {finalizer}"),
            (finalizers, _) => write!(f, "finalizers {}", finalizers.join(", ")),
        }
    }
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
    /// The deletion of a terminating pod, if its details are known.
    pub deletion: Option<Box<Deletion>>,
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
    /// Seconds since a pod that is not ready was ready or was created; `None` if unknown.
    pub unready_seconds: Option<Seconds>,
    /// Seconds since the last restart of the measured container; `None` if it never restarted.
    pub restarted_seconds: Option<Seconds>,
    /// CPU request of the measured container, in cores.
    pub request: Option<Cores>,
    /// CPU request of the pod as a whole (`spec.resources`), in cores, if the pod has one.
    pub pod_request: Option<Cores>,
    /// Sum of the CPU requests of the pod's other containers, in cores; 0 if they have none.
    pub other_requests: Load,
    /// The hash of the template that the pod was created from, if its controller labels it.
    pub template: Option<String>,
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
            deletion: None,
            owned: true,
            evictability: Evictability::default(),
            opted_out: None,
            age_seconds: None,
            ready_seconds: None,
            unready_seconds: None,
            restarted_seconds: None,
            request: None,
            pod_request: None,
            other_requests: Load::ZERO,
            template: None,
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

    /// The CPU request that an autoscaler's metric of the whole pod leaves for the measured
    /// container: the pod's request without those of the other containers, or the container's own
    /// request if the pod has none.
    #[must_use]
    pub fn share_of_pod_request(&self) -> Option<Cores> {
        match self.pod_request {
            Some(of_pod) => Cores::new(of_pod.get() - self.other_requests.get()).ok(),
            None => self.request,
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
    /// The deletion of a terminating pod, if its details are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deletion: Option<Box<Deletion>>,
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
    /// Seconds since a pod that is not ready was ready or was created; absent if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unready_seconds: Option<Seconds>,
    /// Seconds since the last restart of the measured container; absent if it never restarted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    restarted_seconds: Option<Seconds>,
    /// Whether the metrics have samples in the first half of the rate window.
    #[serde(default = "yes")]
    window_covered: bool,
    /// CPU request of the measured container, in cores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request: Option<Cores>,
    /// CPU request of the pod as a whole (`spec.resources`), in cores, if the pod has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pod_request: Option<Cores>,
    /// Sum of the CPU requests of the pod's other containers, in cores; 0 if they have none.
    #[serde(default)]
    other_requests: Load,
    /// The hash of the template that the pod was created from, if its controller labels it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    template: Option<String>,
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
            deletion: document.deletion,
            owned: document.owned,
            evictability: document.evictability,
            opted_out: document.opted_out,
            age_seconds: document.age_seconds,
            ready_seconds: document.ready_seconds,
            unready_seconds: document.unready_seconds,
            restarted_seconds: document.restarted_seconds,
            request: document.request,
            pod_request: document.pod_request,
            other_requests: document.other_requests,
            template: document.template,
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
            deletion: pod.deletion,
            owned: pod.owned,
            evictability: pod.evictability,
            opted_out: pod.opted_out,
            age_seconds: pod.age_seconds,
            ready_seconds: pod.ready_seconds,
            unready_seconds: pod.unready_seconds,
            restarted_seconds: pod.restarted_seconds,
            window_covered: samples.window_covered,
            request: pod.request,
            pod_request: pod.pod_request,
            other_requests: pod.other_requests,
            template: pod.template,
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
    fn request_of_the_pod_is_shared_with_the_other_containers() {
        let pod = |of_pod: Option<f64>, own: Option<f64>| Pod {
            pod_request: of_pod.and_then(|cores| Cores::new(cores).ok()),
            request: own.and_then(|cores| Cores::new(cores).ok()),
            other_requests: Load::new(0.25).unwrap(),
            ..Pod::new("a")
        };
        let share = |pod: Pod| pod.share_of_pod_request().map(Cores::get);
        assert_eq!(share(pod(Some(1.0), None)), Some(0.75));
        // What is not divided among the containers belongs to the measured one.
        assert_eq!(share(pod(Some(1.0), Some(0.5))), Some(0.75));
        assert_eq!(share(pod(None, Some(0.5))), Some(0.5));
        assert_eq!(share(pod(Some(0.25), None)), None);
        assert_eq!(share(pod(None, None)), None);
    }

    #[test]
    fn deletion_names_what_keeps_the_pod() {
        let deletion = |seconds: u32, overdue: u32, finalizers: &[&str], node: Option<&str>| {
            let deletion = Deletion {
                requested_seconds: Some(Seconds::whole(seconds)),
                overdue_seconds: (overdue > 0).then(|| Seconds::whole(overdue)),
                finalizers: finalizers.iter().map(ToString::to_string).collect(),
                node: node.map(ToOwned::to_owned),
            };
            deletion.to_string()
        };
        assert_eq!(deletion(12, 0, &["a/b"], Some("n1")), "for 12 s");
        assert_eq!(
            deletion(259_230, 259_200, &[], Some("n1")),
            "for 3 d, 3 d beyond its grace period: node n1 has not confirmed its end"
        );
        assert_eq!(
            deletion(330, 300, &["a/b", "c/d"], Some("n1")),
            "for 330 s, 300 s beyond its grace period: finalizers a/b, c/d"
        );
        assert_eq!(
            deletion(330, 300, &[], None),
            "for 330 s, 300 s beyond its grace period: it was on no node"
        );
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
