//! The workload, its rollout and its autoscalers.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::pod::PodRef;
use super::quantity::Cores;

/// What names a workload.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct WorkloadRef {
    /// The namespace it lives in.
    pub namespace: String,
    /// Its kind: `Deployment`, `StatefulSet`, or `Kind.version.group` of anything with a scale
    /// subresource.
    pub kind: String,
    /// Its name.
    pub name: String,
}

impl Default for WorkloadRef {
    /// The workload of a snapshot written by hand that does not name one.
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

/// How far the workload's controller has come with the present specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    /// `metadata.generation`.
    pub generation: i64,
    /// `status.observedGeneration`.
    pub observed_generation: i64,
    /// `spec.replicas`.
    pub desired: u32,
    /// `status.replicas`: pods that exist, of the old and the new template.
    pub current: u32,
    /// `status.updatedReplicas`: pods of the new template.
    pub updated: u32,
}

/// A CPU metric that an autoscaler scales by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum CpuMetric {
    /// `Resource` cpu with `averageUtilization`: percent of the pods' CPU requests; may be above
    /// 100.
    Utilization {
        /// `averageUtilization`, in percent of the request.
        percent: u32,
    },
    /// `Resource` cpu with `averageValue`, in cores a pod.
    AverageValue {
        /// `averageValue`, in cores.
        cores: Cores,
    },
    /// `ContainerResource` cpu with `averageUtilization`: percent of that container's request.
    ContainerUtilization {
        /// The container the metric is of.
        container: String,
        /// `averageUtilization`, in percent of the container's request.
        percent: u32,
    },
    /// `ContainerResource` cpu with `averageValue`: that container's use in cores.
    ContainerAverageValue {
        /// The container the metric is of.
        container: String,
        /// `averageValue`, in cores.
        cores: Cores,
    },
}

impl fmt::Display for CpuMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Utilization { percent } => write!(f, "{percent} % of the CPU request"),
            Self::AverageValue { cores } => write!(f, "{cores} cores a pod"),
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
    /// Its CPU metrics; empty when it scales by something else only.
    #[serde(default)]
    pub cpu: Vec<CpuMetric>,
    /// Its other metrics, in words, so that a message can list what was found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_metrics: Vec<String>,
    /// `status.currentReplicas`; absent when not reported yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_replicas: Option<u32>,
    /// `status.desiredReplicas`; absent when not reported yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired_replicas: Option<u32>,
}

/// The workload read again while a plan is carried out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WorkloadState {
    /// Its ready pods now: owned, Running, Ready and not terminating.
    pub ready: usize,
    /// Its rollout now; `None` when the source does not know rollouts.
    pub rollout: Option<Rollout>,
    /// Its pods that cannot start; need not be complete when enough pods are ready.
    pub failures: Vec<PodFailure>,
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

/// A pod that is not coming up, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodFailure {
    /// The pod.
    pub pod: PodRef,
    /// The word of Kubernetes for it: `CrashLoopBackOff`, `ImagePullBackOff`, `Unschedulable`, …
    pub reason: String,
    /// Its further words.
    pub message: String,
    /// It will not pass by waiting: a container crashes or cannot be created. That no node has
    /// room may pass.
    pub lasting: bool,
}
