//! The document of `pause`, `resume`, `approve`, `status` and `history`.

use jiff::Timestamp;
use rebalancer_core::history::Rotation;
use rebalancer_core::lease::LeaseHolder;
use rebalancer_core::model::{Pause, WorkloadRef};
use rebalancer_core::policy::Strategy;
use rebalancer_core::proposal::ProposedPlan;
use serde::Serialize;

/// The schema of the document.
pub const SCHEMA: &str = "rebalancer/steering/v1";

/// The result of a command that steers the runs of workloads.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SteeringReport {
    /// The schema of this document: `rebalancer/steering/v1`.
    pub schema: String,
    /// The command.
    pub command: SteeringCommand,
    /// Whether the API server only checked what the command would have written; absent if not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// Every workload of the configuration; for `approve` with an id, those with this plan.
    pub workloads: Vec<SteeredWorkload>,
}

/// A command that steers the runs of workloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SteeringCommand {
    /// Runs do not act until the pause ends.
    Pause,
    /// Runs act again.
    Resume,
    /// The next run executes the plan that waits.
    Approve,
    /// The state of a workload is shown.
    Status,
    /// The recorded actions are shown.
    History,
}

/// The result for one workload.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SteeredWorkload {
    /// The workload.
    pub workload: WorkloadRef,
    /// Why the command failed for this workload; absent if it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Whether annotations of the workload were changed; only for `pause`, `resume` and
    /// `approve`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed: Option<bool>,
    /// The operator's order not to act; absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,
    /// The order before the command; only for `pause` and `resume`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause_before: Option<Pause>,
    /// The plan that waits for approval; only for `approve` and `status`, and absent if there is
    /// none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Box<ProposedPlan>>,
    /// Whether that plan is approved; absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved: Option<bool>,
    /// The state of the workload; only for `status`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Box<WorkloadStatus>>,
    /// The recorded actions, newest first; only for `history`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<Vec<HistoryEntry>>,
    /// Remarks: what could not be read, and what removes a pause.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl SteeredWorkload {
    /// The result for a workload, without any contents.
    #[must_use]
    pub fn of(workload: WorkloadRef) -> Self {
        Self {
            workload,
            error: None,
            changed: None,
            pause: None,
            pause_before: None,
            plan: None,
            approved: None,
            status: None,
            history: None,
            notes: Vec::new(),
        }
    }
}

/// The state of a workload, as far as its objects record it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WorkloadStatus {
    /// The time of the status, by the clock of the cluster.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub at: Timestamp,
    /// The active freeze window, as the operator wrote it; absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freeze_window: Option<String>,
    /// The run that holds the Lease, and so may act at present; absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holder: Option<LeaseHolder>,
    /// The time at which the last run with the Lease ended, or the present one renewed the Lease.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub last_run: Option<Timestamp>,
    /// The hold of the last run with the Lease; absent if it did not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_hold: Option<LastHold>,
    /// The record of the last rotation; absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_rotation: Option<Rotation>,
    /// The end of the cooldown after the last rotation; absent if it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub cooldown_until: Option<Timestamp>,
    /// The number of recorded evictions within the last 24 hours.
    pub evictions_of_last_day: usize,
    /// The maximum number of evictions within 24 hours; absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_evictions_per_day: Option<usize>,
}

/// The recorded hold of the last run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LastHold {
    /// The hold reason.
    pub reason: String,
    /// The time of the first of the runs that held for this reason.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub since: Timestamp,
    /// The number of consecutive runs that held for this reason.
    pub runs: u32,
}

/// A recorded action: by the annotation of the workload, by Events, or by both.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HistoryEntry {
    /// The time of the action.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub time: Timestamp,
    /// The strategy that decided; absent if only an Event records the action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// The number of evicted pods; absent if it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evictions: Option<usize>,
    /// The number of partitions that got another owner without evictions; absent if there were
    /// none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moves: Option<usize>,
    /// The names of evicted pods, as far as they are known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pods: Vec<String>,
    /// The imbalance (max/mean) before the action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imbalance_before: Option<f64>,
    /// The imbalance that was expected after the action; only for the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imbalance_expected: Option<f64>,
    /// The imbalance when the next action was decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imbalance_after: Option<f64>,
    /// Why the action was abandoned; absent if it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abandoned: Option<String>,
    /// The reason of the Event about the action, such as `Rotated`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// The message of the Event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
