//! What an actuator is told about its workload.

use rebalancer_core::model::WorkloadRef;

/// Everything a [`KubernetesActuator`](crate::KubernetesActuator) needs to know besides the
/// connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The workload. Its kind is `Deployment`, `StatefulSet` or `Kind.version.group` of anything
    /// with a scale subresource.
    pub workload: WorkloadRef,
    /// The measured container: its CPU request is what the target is a share of.
    pub container: String,
    /// When set, pods must match this label selector as well as the workload's own.
    pub label_selector: Option<String>,
    /// The autoscaler is looked for under this prefix and the workload's name when none refers to
    /// the workload. Empty: one that refers to something else is never taken.
    pub hpa_prefix: String,
    /// Whether the workload's autoscalers are read.
    pub autoscalers: Autoscalers,
    /// How a pod is taken away.
    pub eviction_method: EvictionMethod,
    /// Seconds that a pod gets to end in; `None` leaves it the pod's own
    /// `terminationGracePeriodSeconds`.
    pub grace_period: Option<u32>,
    /// Pods asked for in one answer: the more, the fewer requests and the more memory. 0 counts as
    /// 1.
    pub page_size: u32,
}

impl Settings {
    /// Pods asked for in one answer unless set otherwise: about a megabyte, or two in JSON.
    pub const DEFAULT_PAGE_SIZE: u32 = 250;

    /// The defaults for a workload: its container has the workload's name, autoscalers are
    /// required, pods are evicted with their own grace period.
    #[must_use]
    pub fn new(workload: WorkloadRef) -> Self {
        Self {
            container: workload.name.clone(),
            workload,
            label_selector: None,
            hpa_prefix: String::new(),
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
    /// The target comes from them: failing to read them is an error.
    #[default]
    Required,
    /// The target is set by hand: they only tell whether the workload is being scaled, so a 403 or
    /// 404 counts as having none.
    IfPermitted,
    /// Someone else reads them: no request is made.
    No,
}

/// How a pod is taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EvictionMethod {
    /// Through the eviction subresource, so that PodDisruptionBudgets hold.
    #[default]
    Evict,
    /// By a plain delete, which no budget holds back.
    Delete,
}
