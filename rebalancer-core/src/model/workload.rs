//! The workload, its rollout and its autoscalers.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::pause::Pause;
use super::pod::PodRef;
use super::quantity::Cores;

/// The reference that identifies a workload.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct WorkloadRef {
    /// The namespace of the workload.
    pub namespace: String,
    /// The kind: `Deployment`, `StatefulSet`, or `Kind.version.group` of anything with a scale
    /// subresource.
    pub kind: String,
    /// The name.
    pub name: String,
}

impl Default for WorkloadRef {
    /// The placeholder for a snapshot that does not name its workload.
    fn default() -> Self {
        Self {
            namespace: "default".into(),
            kind: "Deployment".into(),
            name: "workload".into(),
        }
    }
}

impl fmt::Display for WorkloadRef {
    /// `Deployment posthog/ingestion`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// Progress of the workload's controller with the current specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    /// `metadata.generation`.
    pub generation: i64,
    /// `status.observedGeneration`.
    pub observed_generation: i64,
    /// `spec.replicas`.
    pub desired: u32,
    /// `status.replicas`: existing pods, of the old and the new template.
    pub current: u32,
    /// `status.updatedReplicas`: pods of the new template.
    pub updated: u32,
    /// Whether an operator has paused the rollout (`spec.paused`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// Whether the controller updates a pod only when the pod is deleted or evicted (the update
    /// strategy `OnDelete` of a StatefulSet).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub update_on_delete: bool,
}

/// A condition by which a controller reports that a rollout or scaling does not progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RolloutFailure {
    /// The type of the condition: `Progressing` or `ReplicaFailure`.
    pub condition: String,
    /// The reason of the condition, such as `ProgressDeadlineExceeded` or `FailedCreate`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The message of the condition.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

impl RolloutFailure {
    /// The condition of a Deployment that has not progressed within its deadline.
    pub const PROGRESSING: &'static str = "Progressing";
    /// The condition of a workload whose pods cannot be created, for example because of a quota.
    pub const REPLICA_FAILURE: &'static str = "ReplicaFailure";
}

impl fmt::Display for RolloutFailure {
    /// `ReplicaFailure: FailedCreate (pods "a" is forbidden: exceeded quota …)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.condition)?;
        if !self.reason.is_empty() {
            write!(f, ": {}", self.reason)?;
        }
        if !self.message.is_empty() {
            write!(f, " ({})", self.message)?;
        }
        Ok(())
    }
}

/// An object that defines an autoscaler, and that an operator has paused: the autoscaler does not
/// exist meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PausedAutoscaler {
    /// The kind and the name of the object, such as `ScaledObject orders`.
    pub object: String,
    /// The annotation that pauses it, as `key: value`.
    pub annotation: String,
}

/// A CPU metric of an autoscaler.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum CpuMetric {
    /// `Resource` cpu with `averageUtilization`: percent of the pods' CPU requests; may exceed 100.
    Utilization {
        /// `averageUtilization`, in percent of the request.
        percent: u32,
    },
    /// `Resource` cpu with `averageValue`, in cores per pod.
    AverageValue {
        /// `averageValue`, in cores.
        cores: Cores,
    },
    /// `ContainerResource` cpu with `averageUtilization`: percent of the container's request.
    ContainerUtilization {
        /// The container of the metric.
        container: String,
        /// `averageUtilization`, in percent of the container's request.
        percent: u32,
    },
    /// `ContainerResource` cpu with `averageValue`: CPU use of the container, in cores.
    ContainerAverageValue {
        /// The container of the metric.
        container: String,
        /// `averageValue`, in cores.
        cores: Cores,
    },
}

impl fmt::Display for CpuMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Utilization { percent } => write!(f, "{percent} % of the CPU request"),
            Self::AverageValue { cores } => write!(f, "{cores} cores per pod"),
            Self::ContainerUtilization { container, percent } => {
                write!(f, "{percent} % of the CPU request of container {container}")
            }
            Self::ContainerAverageValue { container, cores } => {
                write!(f, "{cores} cores of container {container}")
            }
        }
    }
}

/// A HorizontalPodAutoscaler that scales the workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Autoscaler {
    /// `metadata.name`.
    pub name: String,
    /// The CPU metrics; empty if the autoscaler only uses other metrics.
    #[serde(default)]
    pub cpu: Vec<CpuMetric>,
    /// Descriptions of the other metrics, for messages that list what was found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_metrics: Vec<String>,
    /// `status.currentReplicas`; absent if not reported yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_replicas: Option<u32>,
    /// `status.desiredReplicas`; absent if not reported yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired_replicas: Option<u32>,
}

/// The state of the workload, read again during an execution.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WorkloadState {
    /// Number of ready pods: owned, Running, Ready and not terminating.
    pub ready: usize,
    /// Progress of the controller; `None` if the source does not know rollouts.
    pub rollout: Option<Rollout>,
    /// The pods that cannot start; may be incomplete if enough pods are ready.
    pub failures: Vec<PodFailure>,
    /// The operator's order, in an annotation of the workload, not to act.
    pub pause: Option<Pause>,
}

impl WorkloadState {
    /// The state of a workload with `ready` ready pods, without known rollout and failures.
    #[must_use]
    pub fn with_ready(ready: usize) -> Self {
        Self {
            ready,
            ..Self::default()
        }
    }
}

/// A pod that does not become ready, and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodFailure {
    /// The pod.
    pub pod: PodRef,
    /// The reason in Kubernetes: `CrashLoopBackOff`, `ImagePullBackOff`, `Unschedulable`, …
    pub reason: String,
    /// The message in Kubernetes.
    pub message: String,
    /// Whether waiting does not help: a container crashes or cannot be created. A pod that does not
    /// fit on any node may start later.
    pub lasting: bool,
}
