//! Whether the result for a workload is reported.

use rebalancer_core::hold_record::HeldSince;
use rebalancer_core::proposal::ApprovalState;
use rebalancer_core::report::WorkloadReport;

use crate::metrics::RunResult;
use crate::settings::NotifyEvent;

/// The first of these events that the result for a workload is; `None` if it is none of them.
pub(super) fn event_of(report: &WorkloadReport, events: &[NotifyEvent]) -> Option<NotifyEvent> {
    let held = match report {
        WorkloadReport::Decided(decided) => decided.held.as_ref(),
        WorkloadReport::Failed(_) => None,
    };
    let changed = held.is_some_and(|held| held.runs == 1);
    let is_new = match report {
        WorkloadReport::Decided(decided) => {
            let approval = decided.decision.approval.as_ref();
            approval.is_none_or(|approval| approval.state == ApprovalState::Proposed)
        }
        WorkloadReport::Failed(_) => false,
    };
    let is = |event: NotifyEvent| match (event, RunResult::of(report)) {
        (NotifyEvent::Rotations, RunResult::Acted | RunResult::Incomplete)
        | (NotifyEvent::Failures, RunResult::Incomplete | RunResult::Failed) => true,
        // A plan that waits for approval is reported once.
        (NotifyEvent::Plans, RunResult::Planned) => is_new,
        (NotifyEvent::Failures, RunResult::MissingData | RunResult::NeedsOperator) => is_due(held),
        (
            NotifyEvent::HoldChanges,
            RunResult::Held
            | RunResult::Planned
            | RunResult::MissingData
            | RunResult::NeedsOperator,
        ) => changed,
        (
            NotifyEvent::Rotations
            | NotifyEvent::Failures
            | NotifyEvent::HoldChanges
            | NotifyEvent::Plans,
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

/// Whether a hold that lasts is reported by this run: after 1, 2, 4, 8, … runs, so that an outage
/// of a day is not reported by each of its runs. Without a record of the hold, each run reports it.
fn is_due(held: Option<&HeldSince>) -> bool {
    held.is_none_or(|held| held.runs.is_power_of_two())
}
