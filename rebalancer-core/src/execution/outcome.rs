//! The report of an execution: the outcome of every victim, and why the execution ended.

use serde::{Deserialize, Serialize};

use super::static_members::StaticMemberReport;
use crate::model::PodUid;

/// The outcome of one victim. The words are part of the published documents and keep their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PodOutcome {
    /// The pod was evicted. In a dry run: the server would have evicted it.
    Evicted,
    /// The pod was gone or terminating before its eviction was requested.
    AlreadyGone,
    /// Only in a dry run: the server would evict the pod, but not at the same time as the pods of
    /// its wave before it, because a PodDisruptionBudget does not allow it. A real run waits for
    /// the budget up to the eviction timeout.
    WouldWait,
    /// A PodDisruptionBudget blocked the eviction until the eviction timeout.
    Blocked,
    /// The eviction was refused or failed, or the pod was no longer suitable. This run did not
    /// evict it.
    Failed,
    /// The response to the eviction request was lost, and its effect is unknown.
    Unknown,
    /// The eviction was never requested.
    NotAttempted,
}

impl PodOutcome {
    /// The word in the documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Evicted => "evicted",
            Self::AlreadyGone => "already_gone",
            Self::WouldWait => "would_wait",
            Self::Blocked => "blocked",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::NotAttempted => "not_attempted",
        }
    }

    /// Whether this run evicted the pod or may have: an eviction without a response may have taken
    /// effect.
    #[must_use]
    pub fn may_have_been_evicted(self) -> bool {
        match self {
            Self::Evicted | Self::Unknown => true,
            Self::AlreadyGone
            | Self::WouldWait
            | Self::Blocked
            | Self::Failed
            | Self::NotAttempted => false,
        }
    }

    /// Whether the pod has left the group, as the plan intended. In a dry run: whether it is
    /// expected to.
    #[must_use]
    pub fn is_success(self) -> bool {
        match self {
            Self::Evicted | Self::AlreadyGone | Self::WouldWait => true,
            Self::Blocked | Self::Failed | Self::Unknown | Self::NotAttempted => false,
        }
    }
}

/// The reason why an execution ended before its plan was complete. The words are part of the
/// published documents and keep their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StopReason {
    /// A stop was requested.
    Stopped,
    /// The run timeout was reached.
    RunTimeout,
    /// A freeze window had begun.
    Frozen,
    /// An annotation of the workload asks not to act.
    Paused,
    /// The annotations of the workload, which may ask not to act, could not be read.
    PauseUnknown,
    /// Evictions could not be recorded, although a limit counts them.
    Unrecorded,
    /// Another eviction would have left too few ready pods.
    MinimumPods,
    /// The ready pods could not be counted.
    ReadyUnknown,
    /// The permission to evict pods is missing.
    Forbidden,
    /// Not every pod of a wave was evicted, so the next wave was not started.
    WaveIncomplete,
    /// Another run may be active.
    LeaseLost,
    /// A replacement cannot start.
    ReplacementFailed,
    /// The replacements were not ready within the ready timeout.
    ReadyTimeout,
    /// The workload was changed during the execution.
    WorkloadChanged,
}

/// The overall outcome of an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ExecutionOutcome {
    /// Every victim is out and, unless the run was stopped, all replacements are ready.
    Completed,
    /// At least one victim remains, or the replacements did not become ready.
    Incomplete,
}

/// The result of executing a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ExecutionReport {
    /// The overall outcome.
    pub outcome: ExecutionOutcome,
    /// Why the execution ended early; absent if it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<StopReason>,
    /// A summary in one sentence, with the numbers.
    pub message: String,
    /// Whether this was a dry run: the server was only asked whether it would evict the pods.
    pub dry_run: bool,
    /// A remark about the accuracy of a dry run; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Every victim, in the order of the plan.
    pub pods: Vec<PodReport>,
    /// The static members of evicted pods that no other pod takes over. Only with Kafka; absent if
    /// there are none, or if they are not to be removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub static_members: Vec<StaticMemberReport>,
}

/// The result for one victim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PodReport {
    /// The name of the pod.
    pub name: String,
    /// The UID of the pod.
    pub uid: PodUid,
    /// The outcome.
    pub outcome: PodOutcome,
    /// Details of the outcome, such as the error or the numbers of the budget that blocked the
    /// eviction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The PodDisruptionBudget that blocked the eviction, or for which it would wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<String>,
}
