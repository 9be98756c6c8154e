//! The report: the versioned document of a whole run.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::decision::Decision;
use crate::execution::{ExecutionOutcome, ExecutionReport};
use crate::history::RotationOutcome;
use crate::model::{Seconds, WorkloadRef};

/// The form of the report. It changes only when a field is removed or changes its meaning.
pub const SCHEMA: &str = "rebalancer/report/v1";

/// A whole run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Report {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// The program's version.
    pub version: String,
    /// When the run began.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub started: Timestamp,
    /// When it ended.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub finished: Timestamp,
    /// Nothing was to be changed: a dry run, or a plan that was only to be shown.
    pub dry_run: bool,
    /// Every workload of the run.
    pub workloads: Vec<WorkloadReport>,
}

/// One workload of a run: decided, or failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum WorkloadReport {
    /// A decision was made.
    Decided(Box<Decided>),
    /// None could be made.
    Failed(Failed),
}

/// A workload that was decided on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Decided {
    /// The decision, with the analysis and every check.
    #[serde(flatten)]
    pub decision: Decision,
    /// What became of its plan; absent when there was none, or it was not to be carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<ExecutionReport>,
    /// What came true of it; absent when nobody waited for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow_up: Option<FollowUp>,
}

/// What came true of a rotation, by the run itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FollowUp {
    /// How long after the execution it was looked at last.
    pub after_seconds: Seconds,
    /// What came true; absent when the group had not settled by then.
    pub outcome: Option<RotationOutcome>,
    /// The same in one sentence, or why it is not known.
    pub message: String,
}

/// A workload that could not be decided on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Failed {
    /// The workload.
    pub workload: WorkloadRef,
    /// What was attempted, on what, what happened, and what to do.
    pub error: String,
}

/// What a run came to, from the best to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RunOutcome {
    /// Nothing to do, or all done.
    Fine,
    /// There is a plan, and it was not to be carried out.
    Planned,
    /// A plan was carried out in part.
    Incomplete,
    /// Something failed, or too little was known to decide.
    Failed,
}

impl WorkloadReport {
    /// A workload that was decided on.
    #[must_use]
    pub fn decided(decision: Decision, execution: Option<ExecutionReport>) -> Self {
        Self::Decided(Box::new(Decided {
            decision,
            execution,
            follow_up: None,
        }))
    }

    /// What became of its plan, when one was carried out.
    #[must_use]
    pub fn execution(&self) -> Option<&ExecutionReport> {
        match self {
            Self::Decided(decided) => decided.execution.as_ref(),
            Self::Failed(_) => None,
        }
    }

    /// What it came to.
    #[must_use]
    pub fn outcome(&self) -> RunOutcome {
        let decided = match self {
            Self::Failed(_) => return RunOutcome::Failed,
            Self::Decided(decided) => decided,
        };
        match (&decided.execution, decided.decision.hold_reason()) {
            (_, Some(_)) if decided.decision.means_missing_data() => RunOutcome::Failed,
            (_, Some(_)) => RunOutcome::Fine,
            (None, None) => RunOutcome::Planned,
            (Some(execution), None) => match execution.outcome {
                ExecutionOutcome::Incomplete => RunOutcome::Incomplete,
                ExecutionOutcome::Completed if execution.dry_run => RunOutcome::Planned,
                ExecutionOutcome::Completed => RunOutcome::Fine,
            },
        }
    }
}

impl Report {
    /// What the run came to: what the worst of its workloads came to.
    #[must_use]
    pub fn outcome(&self) -> RunOutcome {
        self.workloads
            .iter()
            .map(WorkloadReport::outcome)
            .max()
            .unwrap_or(RunOutcome::Fine)
    }
}
