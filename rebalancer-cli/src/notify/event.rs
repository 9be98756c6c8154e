//! The events that are reported.

use rebalancer_core::hold_record::HeldSince;
use rebalancer_core::report::WorkloadReport;

use crate::metrics::RunResult;

/// A kind of event (`NOTIFY_ON`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotifyEvent {
    /// A run acted: pods were evicted, partitions handed over, or members rejoined, in full or in part.
    Rotations,
    /// A run could not do its work: there was no decision, data is missing, an operator is needed, or a
    /// plan was executed in part.
    Failures,
    /// A run holds for another reason than the run before.
    HoldChanges,
    /// A run has a plan that was not to be executed, such as a dry run.
    Plans,
}

impl NotifyEvent {
    /// Every event.
    pub const ALL: [Self; 4] = [
        Self::Rotations,
        Self::Failures,
        Self::HoldChanges,
        Self::Plans,
    ];

    /// The word of the setting and of the documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rotations => "rotations",
            Self::Failures => "failures",
            Self::HoldChanges => "hold_changes",
            Self::Plans => "plans",
        }
    }

    /// The event of a word, in any case.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|event| event.as_str().eq_ignore_ascii_case(word))
    }

    /// The first of these events that the result for a workload is; `None` if it is none of them.
    #[must_use]
    pub fn of_report(report: &WorkloadReport, events: &[Self]) -> Option<Self> {
        let held = match report {
            WorkloadReport::Decided(decided) => decided.held.as_ref(),
            WorkloadReport::Failed(_) => None,
        };
        let changed = held.is_some_and(|held| held.runs == 1);
        let is = |event: Self| match (event, RunResult::of(report)) {
            (Self::Rotations, RunResult::Acted | RunResult::Incomplete)
            | (Self::Failures, RunResult::Incomplete | RunResult::Failed)
            | (Self::Plans, RunResult::Planned) => true,
            (Self::Failures, RunResult::MissingData | RunResult::NeedsOperator) => is_due(held),
            (
                Self::HoldChanges,
                RunResult::Held | RunResult::MissingData | RunResult::NeedsOperator,
            ) => changed,
            (
                Self::Rotations | Self::Failures | Self::HoldChanges | Self::Plans,
                RunResult::Acted
                | RunResult::Held
                | RunResult::Planned
                | RunResult::Incomplete
                | RunResult::MissingData
                | RunResult::NeedsOperator
                | RunResult::Failed,
            ) => false,
        };
        events.iter().copied().find(|event| is(*event))
    }
}

/// Whether a hold that lasts is reported by this run: after 1, 2, 4, 8, … runs, so that an outage of a
/// day is not reported by each of its runs. Without a record of the hold, each run reports it.
fn is_due(held: Option<&HeldSince>) -> bool {
    held.is_none_or(|held| held.runs.is_power_of_two())
}
