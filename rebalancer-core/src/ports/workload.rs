//! The pod actuator: it reads the workload and its pods, and evicts pods.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{AutoscalerCandidate, PortError};
use crate::history::Rotation;
use crate::model::{
    Pause, PausedAutoscaler, Pod, PodRef, PodUid, Rollout, RolloutFailure, WorkloadRef,
    WorkloadState,
};
use crate::proposal::Proposal;

/// Reads one workload and its pods, and evicts pods.
#[async_trait]
pub trait PodActuator: Send + Sync {
    /// The workload of this actuator.
    fn workload(&self) -> &WorkloadRef;

    /// Reads the workload, its pods and its autoscalers.
    ///
    /// # Errors
    /// If the workload does not exist, or a part of it could not be read.
    async fn observe(&self) -> Result<WorkloadObservation, PortError>;

    /// Reads one pod.
    ///
    /// # Errors
    /// If the pod could not be read. A pod that is gone is not an error.
    async fn read_pod(&self, pod: &PodRef) -> Result<PodState, PortError>;

    /// Counts the workload's ready pods: owned, Running, Ready and not terminating.
    ///
    /// The result may be a lower bound if it is at least `enough`, so that a large workload need
    /// not be listed again for every victim. A result below `enough` must be exact.
    ///
    /// # Errors
    /// If the pods could not be counted.
    async fn count_ready(&self, enough: usize) -> Result<usize, PortError>;

    /// Reads the rollout of the workload and counts its ready pods, as
    /// [`count_ready`](Self::count_ready) does.
    ///
    /// # Errors
    /// If the workload could not be read.
    async fn read_workload(&self, enough: usize) -> Result<WorkloadState, PortError>;

    /// Evicts the pod, with its UID as a precondition. In a dry run the server only reports
    /// whether it would evict the pod.
    async fn evict(&self, pod: &PodRef, dry_run: bool) -> EvictionAnswer;

    /// Reads the PodDisruptionBudgets that cover any of `pods` and may not allow the evictions of
    /// all of them at once. A dry run counts its evictions against them, because
    /// [`evict`](Self::evict) checks each one alone.
    ///
    /// An actuator whose evictions respect no budgets returns none, as the default does.
    ///
    /// # Errors
    /// If the budgets could not be read. The dry run then proceeds without them.
    async fn budgets(&self, _pods: &[PodRef]) -> Result<Vec<DisruptionBudget>, PortError> {
        Ok(Vec::new())
    }

    /// Reads the operator's order not to act again, right before an action. `None` if there is
    /// none.
    ///
    /// An actuator whose workloads have no annotations returns `None`, as the default does.
    ///
    /// # Errors
    /// If the workload could not be read. The run then does not act.
    async fn pause(&self) -> Result<Option<Pause>, PortError> {
        Ok(None)
    }
}

/// A PodDisruptionBudget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisruptionBudget {
    /// The name.
    pub name: String,
    /// The number of ready pods that it allows to be evicted at present.
    pub allowed: usize,
    /// The pods that it covers, among those that were asked about.
    pub pods: BTreeSet<PodUid>,
}

/// The workload, its pods and its autoscalers at one instant.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkloadObservation {
    /// The time of the observation, by the clock of the cluster if it is known.
    pub taken_at: Timestamp,
    /// The progress of the rollout; `None` for kinds of workload that do not report it.
    pub rollout: Option<Rollout>,
    /// The conditions of the workload that report that its rollout does not progress.
    pub rollout_failures: Vec<RolloutFailure>,
    /// The autoscalers of the workload's namespace, if this port was configured to read them.
    pub autoscalers: Vec<AutoscalerCandidate>,
    /// The paused object that would define the workload's autoscaler, if none exists and one was
    /// found.
    pub paused_autoscaler: Option<PausedAutoscaler>,
    /// The pods that match the workload's selector, without loads. Pods that the workload does not
    /// own are included and marked.
    pub pods: Vec<Pod>,
    /// The last rotation, if one was stored.
    pub last_rotation: Option<Rotation>,
    /// The operator's order, in an annotation of the workload, not to act.
    pub pause: Option<Pause>,
    /// The plan that waits for approval, if one is stored.
    pub proposal: Option<Proposal>,
}

impl WorkloadObservation {
    /// A workload of `pods` without known rollout, autoscalers and last rotation.
    #[must_use]
    pub fn new(taken_at: Timestamp, pods: Vec<Pod>) -> Self {
        Self {
            taken_at,
            rollout: None,
            rollout_failures: Vec::new(),
            autoscalers: Vec::new(),
            paused_autoscaler: None,
            pods,
            last_rotation: None,
            pause: None,
            proposal: None,
        }
    }
}

/// The state of a pod right before its eviction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodState {
    /// The pod exists with the same UID and is not terminating.
    Present {
        /// The pod's Ready condition.
        ready: bool,
    },
    /// The pod exists with the same UID, and an annotation now opts it out of eviction.
    OptedOut,
    /// The pod exists with the same UID and is terminating.
    Terminating,
    /// The pod is gone: no pod has its name, or only one with another UID.
    Gone,
}

/// The answer to an eviction request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EvictionAnswer {
    /// The eviction was accepted.
    Evicted,
    /// HTTP 404 or a UID conflict: the pod was already gone.
    AlreadyGone,
    /// HTTP 429 from a PodDisruptionBudget, which does not allow the eviction for now.
    Blocked {
        /// The budget and its numbers, as reported by the server.
        message: String,
        /// The name of the budget, if the server reported it.
        budget: Option<String>,
        /// The pause that the server asked for, if any.
        retry_after: Option<Duration>,
    },
    /// HTTP 429 without a budget: the server was too busy and did nothing.
    Throttled {
        /// The message of the server.
        message: String,
        /// The pause that the server asked for, if any.
        retry_after: Option<Duration>,
    },
    /// HTTP 403: the permission to evict pods is missing.
    Forbidden {
        /// The missing permission: verb and resource.
        message: String,
    },
    /// The request was refused or failed, and certainly had no effect.
    Failed {
        /// The failure.
        message: String,
    },
    /// The response was lost (timeout, broken connection). The request may have taken effect.
    Unknown {
        /// The failure.
        message: String,
    },
}
