//! One pod of the workload, reduced to what a decision needs.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::quantity::{Cores, Load, Seconds};

/// The UID of a pod. A name is not enough: the replacement of a StatefulSet's pod has the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct PodUid(pub String);

impl fmt::Display for PodUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What names one pod beyond doubt within its namespace.
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
    /// All containers ended in success.
    Succeeded,
    /// All containers ended, at least one in failure.
    Failed,
    /// The node does not say.
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
    /// A controller will replace it.
    #[default]
    Evictable,
    /// No controller owns it: nothing would replace it.
    Bare,
    /// A static pod of a kubelet, mirrored into the API.
    Mirror,
    /// A DaemonSet's pod: its replacement lands on the same node at once.
    DaemonSet,
}

/// Why the metrics' answer for a pod is not a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SampleFault {
    /// NaN or an infinity.
    #[error("the query answered a number that is not finite (NaN or Inf)")]
    NotFinite,
    /// Below zero.
    #[error("the query answered a negative number")]
    Negative,
}

/// One pod at the instant of the snapshot.
///
/// In JSON only `name` is required. Whatever is left out describes a healthy pod that has been
/// running for long, so that a person can write a snapshot by hand; the adapters fill in every
/// field they can know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Pod {
    /// `metadata.name`, unique in the snapshot.
    pub name: String,
    /// `metadata.uid`, unique in the snapshot; a snapshot puts the name where it was left out.
    #[serde(default)]
    pub uid: PodUid,
    /// `status.podIP`, where it is known: some metrics name a group's members by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// What the pod spends; absent when it was not measured, which is never the same as zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<Load>,
    /// Why there is no load although the metrics answered for the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<SampleFault>,
    /// Age of the newest sample the load is made of, in seconds; absent when not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_age_seconds: Option<Seconds>,
    /// How often the same container was found in the metrics; above 1 when, say, two scrape jobs
    /// see it and its load is counted twice.
    #[serde(default = "once")]
    pub series: u32,
    /// `status.phase`.
    #[serde(default)]
    pub phase: PodPhase,
    /// The Ready condition is true.
    #[serde(default = "yes")]
    pub ready: bool,
    /// `metadata.deletionTimestamp` is set.
    #[serde(default)]
    pub terminating: bool,
    /// Owned by the workload, through its ReplicaSet where there is one.
    #[serde(default = "yes")]
    pub owned: bool,
    /// Whether a controller would replace it.
    #[serde(default)]
    pub evictability: Evictability,
    /// The annotation by which the pod asks to be left alone, as `key: value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opted_out: Option<String>,
    /// Seconds since the pod was created; absent means long ago.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_seconds: Option<Seconds>,
    /// Seconds since the pod became Ready; absent means long ago.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_seconds: Option<Seconds>,
    /// Seconds since the measured container was last restarted; absent when it never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarted_seconds: Option<Seconds>,
    /// The metrics have samples from the first half of the rate window; false when the load is
    /// made of less, say after the metrics server was down.
    #[serde(default = "yes")]
    pub window_covered: bool,
    /// CPU request of the measured container, in cores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Cores>,
    /// Sum of the CPU requests of the pod's other containers, in cores; 0 when they have none.
    #[serde(default)]
    pub other_requests: Load,
}

impl Pod {
    /// A healthy, ready pod of the workload that was not measured yet; its UID is its name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            uid: PodUid(name.clone()),
            name,
            ip: None,
            load: None,
            fault: None,
            sample_age_seconds: None,
            series: once(),
            phase: PodPhase::default(),
            ready: yes(),
            terminating: false,
            owned: yes(),
            evictability: Evictability::default(),
            opted_out: None,
            age_seconds: None,
            ready_seconds: None,
            restarted_seconds: None,
            window_covered: yes(),
            request: None,
            other_requests: Load::ZERO,
        }
    }

    /// The same pod with a load.
    #[must_use]
    pub fn with_load(mut self, load: Load) -> Self {
        self.load = Some(load);
        self
    }

    /// What names this pod.
    #[must_use]
    pub fn reference(&self) -> PodRef {
        PodRef {
            name: self.name.clone(),
            uid: self.uid.clone(),
        }
    }

    /// All its containers have ended for good.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        match self.phase {
            PodPhase::Succeeded | PodPhase::Failed => true,
            PodPhase::Pending | PodPhase::Running | PodPhase::Unknown => false,
        }
    }

    /// The pod counts as one of the workload's ready pods: owned, Running, Ready and not
    /// terminating.
    #[must_use]
    pub fn serves(&self) -> bool {
        self.owned && self.phase == PodPhase::Running && self.ready && !self.terminating
    }
}

fn yes() -> bool {
    true
}

fn once() -> u32 {
    1
}
