//! The report: the versioned document of a run.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::decision::Decision;
use crate::execution::{ExecutionOutcome, ExecutionReport};
use crate::group_details::GroupDetails;
use crate::handover::{HandoverDocument, HandoverResult};
use crate::history::RotationOutcome;
use crate::hold_record::HeldSince;
use crate::model::{Seconds, WorkloadRef};

/// The version of the report format. It changes only if a field is removed or changes its meaning.
pub const SCHEMA: &str = "rebalancer/report/v2";

/// The command that made a report. The words are part of the published documents and keep their
/// meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ReportCommand {
    /// Observed, decided and, unless it was a dry run, acted.
    Run,
    /// Observed and decided; plans were not to be executed.
    Plan,
    /// Observed and forecast; plans were not to be executed.
    Forecast,
    /// Decided on a snapshot; nothing was observed.
    Decide,
    /// Observed the consumer group; plans were not to be executed.
    Group,
    /// Ran on a simulated group.
    Demo,
}

/// The report of a command. Every command that decides has the same document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Report {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// The program's version.
    pub version: String,
    /// The command.
    pub command: ReportCommand,
    /// The start of the run; absent if the command decided on snapshots of a file.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// The end of the run; absent if the command decided on snapshots of a file.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<Timestamp>,
    /// Whether every workload was a dry run: the server was only asked whether it would evict the
    /// pods. The `dry_run` of an execution says so of one workload.
    pub dry_run: bool,
    /// The workloads of the run.
    pub workloads: Vec<WorkloadReport>,
}

/// The result for one workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum WorkloadReport {
    /// A decision was made.
    Decided(Box<Decided>),
    /// No decision could be made.
    Failed(Failed),
}

/// The decision for a workload, and its results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Decided {
    /// The decision, with the analysis and every check.
    #[serde(flatten)]
    pub decision: Decision,
    /// The time for which runs have held for this reason; absent if the decision is to act, or
    /// if the run held no lease, which stores it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<HeldSince>,
    /// The execution of the plan; absent if there was no plan, or it was not to be executed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<ExecutionReport>,
    /// The hand-over of the assignment, or the rejoin of members; absent if there was none, or it
    /// was not to be executed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hand_over: Option<HandoverDocument>,
    /// The measured effect of the rotation; absent if the run did not wait for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow_up: Option<FollowUp>,
    /// The consumer group as it was observed; only in the report of `group` and in files for
    /// people, and absent if the workload has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer_group: Option<Box<GroupDetails>>,
}

/// The effect of a rotation, measured by the run that performed it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FollowUp {
    /// The time between the execution and the last measurement, in seconds.
    pub after_seconds: Seconds,
    /// The effect; absent if the group had not settled by then.
    pub outcome: Option<RotationOutcome>,
    /// One sentence about the effect, or why it is unknown.
    pub message: String,
}

/// A workload for which no decision could be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Failed {
    /// The workload.
    pub workload: WorkloadRef,
    /// The attempted action, its object, the failure and the remedy.
    pub error: String,
}

/// The outcome of a run, from the best to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RunOutcome {
    /// There was nothing to do, or everything was done.
    Fine,
    /// There is a plan that was not to be executed, or that waits for approval.
    Planned,
    /// A plan was not executed in full: evictions did not happen, replacements did not become
    /// ready, or a hand-over or rejoin was abandoned or not kept.
    Incomplete,
    /// A workload failed, data for its decision is missing, or a hold that needs an operator has
    /// lasted for long.
    Failed,
}

impl WorkloadReport {
    /// The result for a workload with a decision.
    #[must_use]
    pub fn decided(decision: Decision, execution: Option<ExecutionReport>) -> Self {
        Self::Decided(Box::new(Decided {
            decision,
            held: None,
            execution,
            hand_over: None,
            follow_up: None,
            consumer_group: None,
        }))
    }

    /// Adds the hand-over of the assignment, if there was one.
    #[must_use]
    pub fn with_hand_over(mut self, hand_over: Option<HandoverDocument>) -> Self {
        if let Self::Decided(decided) = &mut self {
            decided.hand_over = hand_over;
        }
        self
    }

    /// The hand-over of the assignment, if there was one.
    #[must_use]
    pub fn hand_over(&self) -> Option<&HandoverDocument> {
        match self {
            Self::Decided(decided) => decided.hand_over.as_ref(),
            Self::Failed(_) => None,
        }
    }

    /// The execution of the plan, if there was one.
    #[must_use]
    pub fn execution(&self) -> Option<&ExecutionReport> {
        match self {
            Self::Decided(decided) => decided.execution.as_ref(),
            Self::Failed(_) => None,
        }
    }

    /// The outcome for this workload.
    #[must_use]
    pub fn outcome(&self) -> RunOutcome {
        let decided = match self {
            Self::Failed(_) => return RunOutcome::Failed,
            Self::Decided(decided) => decided,
        };
        if let Some(reason) = decided.decision.hold_reason() {
            let alerts = decided.held.is_some_and(|held| held.alert);
            return if alerts || decided.decision.means_missing_data() || reason.fails() {
                RunOutcome::Failed
            } else if decided.decision.approval.is_some() {
                RunOutcome::Planned
            } else {
                RunOutcome::Fine
            };
        }
        if let Some(hand_over) = &decided.hand_over {
            return match hand_over.outcome {
                HandoverResult::Assigned | HandoverResult::Rejoined => RunOutcome::Fine,
                HandoverResult::NotKept | HandoverResult::Abandoned => RunOutcome::Incomplete,
            };
        }
        match &decided.execution {
            None => RunOutcome::Planned,
            Some(execution) => match execution.outcome {
                ExecutionOutcome::Incomplete => RunOutcome::Incomplete,
                ExecutionOutcome::Completed if execution.dry_run => RunOutcome::Planned,
                ExecutionOutcome::Completed => RunOutcome::Fine,
            },
        }
    }
}

impl Report {
    /// The outcome of the run: the worst of the outcomes of its workloads.
    #[must_use]
    pub fn outcome(&self) -> RunOutcome {
        self.workloads
            .iter()
            .map(WorkloadReport::outcome)
            .max()
            .unwrap_or(RunOutcome::Fine)
    }
}
