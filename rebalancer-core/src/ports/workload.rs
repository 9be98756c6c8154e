//! The pod actuator: it reads the workload and its pods, and evicts pods.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::PortError;
use crate::history::Rotation;
use crate::model::{Autoscaler, Pod, PodRef, Rollout, WorkloadRef, WorkloadState};

/// Where pods are read, and evicted.
#[async_trait]
pub trait PodActuator: Send + Sync {
    /// The workload this actuator is for.
    fn workload(&self) -> &WorkloadRef;

    /// The workload with its pods and autoscalers, now.
    ///
    /// # Errors
    /// When the workload does not exist or anything about it could not be read.
    async fn observe(&self) -> Result<WorkloadObservation, PortError>;

    /// One pod, now.
    ///
    /// # Errors
    /// When it could not be read; that it is gone is no error.
    async fn read_pod(&self, pod: &PodRef) -> Result<PodState, PortError>;

    /// The workload's ready pods (owned, Running, Ready, not terminating), now. Any lower bound
    /// that is at least `enough` will do, so that a large workload need not be listed again for
    /// every victim; a number below `enough` must be exact.
    ///
    /// # Errors
    /// When they could not be counted.
    async fn count_ready(&self, enough: usize) -> Result<usize, PortError>;

    /// The workload between two waves: its rollout, and its ready pods as
    /// [`count_ready`](Self::count_ready) counts them.
    ///
    /// # Errors
    /// When it could not be read.
    async fn read_workload(&self, enough: usize) -> Result<WorkloadState, PortError>;

    /// Evicts the pod, with its UID as a precondition; in a dry run the server only says what it
    /// would do.
    async fn evict(&self, pod: &PodRef, dry_run: bool) -> EvictionAnswer;
}

/// The workload, its pods and its autoscalers at one instant.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkloadObservation {
    /// The instant, by the clock of the cluster where it can be known.
    pub taken_at: Timestamp,
    /// How far its controller is; `None` for kinds that do not report it.
    pub rollout: Option<Rollout>,
    /// Its autoscalers, when this port was asked to read them.
    pub autoscalers: Vec<Autoscaler>,
    /// The pods its selector matches, without loads. Pods that it does not own are among them
    /// and marked so.
    pub pods: Vec<Pod>,
    /// What is remembered of the last rotation, where somebody could write it down.
    pub last_rotation: Option<Rotation>,
}

/// What a pod is when it is read again right before its eviction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodState {
    /// The same pod (same UID), not terminating.
    Present {
        /// Its Ready condition.
        ready: bool,
    },
    /// The same pod, which an annotation now asks to leave alone.
    OptedOut,
    /// The same pod, on its way out.
    Terminating,
    /// No pod of that name, or one with another UID: ours is gone.
    Gone,
}

/// What came of asking for an eviction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EvictionAnswer {
    /// Accepted.
    Evicted,
    /// 404, or a UID conflict: the pod was gone already.
    AlreadyGone,
    /// 429: a PodDisruptionBudget forbids it now.
    Blocked {
        /// The budget and its numbers, in the server's words.
        message: String,
        /// The name of the budget, when the server gave it.
        budget: Option<String>,
        /// How long the server asks to wait, when it does.
        retry_after: Option<Duration>,
    },
    /// 429 without a budget: the server is too busy, and did nothing.
    Throttled {
        /// What the server said.
        message: String,
        /// How long the server asks to wait, when it does.
        retry_after: Option<Duration>,
    },
    /// 403: this and every other eviction is forbidden to us.
    Forbidden {
        /// The permission that is missing: verb and resource.
        message: String,
    },
    /// Refused or failed for certain: the pod was not evicted.
    Failed {
        /// What happened.
        message: String,
    },
    /// The answer was lost (timeout, broken connection): it may have taken effect.
    Unknown {
        /// What happened.
        message: String,
    },
}
