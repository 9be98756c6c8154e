//! The settings of an actuator.

use rebalancer_core::model::WorkloadRef;

/// The settings of a [`KubernetesActuator`](crate::KubernetesActuator).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The workload. Its kind is `Deployment`, `StatefulSet` or `Kind.version.group` of anything
    /// with a scale subresource.
    pub workload: WorkloadRef,
    /// The measured container. The target is a share of its CPU request.
    pub container: String,
    /// A label selector that pods must match in addition to the workload's own selector.
    pub label_selector: Option<String>,
    /// Whether the autoscalers of the workload's namespace are read.
    pub autoscalers: Autoscalers,
    /// The request that removes a pod.
    pub eviction_method: EvictionMethod,
    /// The grace period of an evicted pod, in seconds. `None` is the pod's own
    /// `terminationGracePeriodSeconds`.
    pub grace_period: Option<u32>,
    /// Number of pods per page of a list. Larger pages mean fewer requests and more memory. 0 is
    /// treated as 1.
    pub page_size: u32,
}

impl Settings {
    /// The default number of pods per page: about one megabyte, or two in JSON.
    pub const DEFAULT_PAGE_SIZE: u32 = 250;

    /// Returns the defaults for a workload: the container has the workload's name, autoscalers are
    /// required, and pods are evicted with their own grace period.
    #[must_use]
    pub fn new(workload: WorkloadRef) -> Self {
        Self {
            container: workload.name.clone(),
            workload,
            label_selector: None,
            autoscalers: Autoscalers::default(),
            eviction_method: EvictionMethod::default(),
            grace_period: None,
            page_size: Self::DEFAULT_PAGE_SIZE,
        }
    }
}

/// Whether the workload's HorizontalPodAutoscalers are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Autoscalers {
    /// The target comes from the autoscalers. A failure to read them is an error.
    #[default]
    Required,
    /// The target is configured, and the autoscalers only show whether the workload is being
    /// scaled. A 403 or 404 is treated as no autoscalers.
    IfPermitted,
    /// No autoscaler is read, because the caller has another source.
    No,
}

/// The request that removes a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EvictionMethod {
    /// An eviction, which respects PodDisruptionBudgets.
    #[default]
    Evict,
    /// A delete, which ignores PodDisruptionBudgets.
    Delete,
}
