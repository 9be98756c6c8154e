//! The sequence of a run: lease, observation, decision, execution.

use rebalancer_core::hold_record::{HeldSince, HoldRecord};
use rebalancer_core::ports::RunLease;
use rebalancer_core::report::{Failed, WorkloadReport};
use rebalancer_core::{Snapshot, decide};

use crate::approval::approve;
use crate::assign::hand_out;
use crate::context::Run;
use crate::error::ObserveError;
use crate::event::{RunEvent, WaitReason};
use crate::execute::execute_plan;
use crate::lease::{self, LeaseStatus};
use crate::observe::observe_workload;
use crate::ports::{Ports, RunSettings};
use crate::stop::Stop;

/// The result of a run over one workload.
#[derive(Debug, Clone)]
pub struct WorkloadRun {
    /// The report.
    pub report: WorkloadReport,
    /// The snapshot that was decided on; `None` when the workload could not be observed.
    pub snapshot: Option<Snapshot>,
}

/// Observes one workload, decides, and executes the plan when the settings have an execution
/// policy.
///
/// A run that may act holds the lease from before the first observation until after the last
/// action, so that no other run changes the workload in between.
pub async fn run_workload(
    ports: Ports<'_>,
    settings: &RunSettings<'_>,
    stop: &Stop,
) -> WorkloadRun {
    let run = Run {
        ports,
        settings,
        stop,
    };
    let acts = settings.execution.is_some_and(|policy| !policy.dry_run);
    let Some(port) = ports.lease.filter(|_| acts) else {
        return observe_decide_execute(run, LeaseStatus::Unused).await;
    };
    let result = match lease::acquire(run, port).await {
        Ok(held @ LeaseStatus::Held { .. }) => {
            let mut result = observe_decide_execute(run, held).await;
            record_hold(run, port, &mut result);
            result
        }
        Ok(other @ (LeaseStatus::HeldByAnother(_) | LeaseStatus::Unused)) => {
            return observe_decide_execute(run, other).await;
        }
        // The request may have succeeded although its answer was lost, so it is released below.
        Err(error) => failed(run, &error),
    };
    lease::release(run, port, &result.report).await;
    result
}

async fn observe_decide_execute(run: Run<'_>, lease: LeaseStatus) -> WorkloadRun {
    let (held_since, other_run) = match lease {
        LeaseStatus::Unused => (None, None),
        LeaseStatus::Held { since } => (Some(since), None),
        LeaseStatus::HeldByAnother(holder) => (None, Some(holder)),
    };
    let observing = observe_workload(run, other_run);
    let snapshot = match run.during(WaitReason::Observation, observing).await {
        Ok(snapshot) => snapshot,
        Err(error) => return failed(run, &error),
    };
    let observed_at = run.elapsed();
    run.emit(&RunEvent::Observed(&snapshot));
    let decision = decide(&snapshot, run.settings.policy);
    let (decision, own_generation) = approve(run, decision, &snapshot).await;
    run.emit(&RunEvent::Decided(&decision));
    let execution = execute_plan(run, &decision, &snapshot, held_since, own_generation).await;
    let hand_over = hand_out(run, &decision, &snapshot, observed_at, held_since).await;
    WorkloadRun {
        report: WorkloadReport::decided(decision, execution).with_hand_over(hand_over),
        snapshot: Some(snapshot),
    }
}

/// Reports for how long runs have held for the reason of this one, and records it for the next run.
/// A run without a decision keeps the record.
fn record_hold(run: Run<'_>, lease: &dyn RunLease, result: &mut WorkloadRun) {
    let WorkloadReport::Decided(decided) = &mut result.report else {
        return;
    };
    let Some(reason) = decided.decision.hold_reason() else {
        return lease.record_hold(None);
    };
    let taken_at = result
        .snapshot
        .as_ref()
        .and_then(|seen| seen.data().taken_at);
    let now = taken_at.unwrap_or_else(|| run.ports.clock.now());
    let record = HoldRecord::next(lease.last_hold().as_ref(), reason, now);
    let held = HeldSince::of(&record, reason, now, run.settings.hold_alert_after);
    run.emit(&RunEvent::Held(&held));
    decided.held = Some(held);
    lease.record_hold(Some(record));
}

fn failed(run: Run<'_>, error: &ObserveError) -> WorkloadRun {
    let workload = &run.settings.assemble.workload;
    run.emit(&RunEvent::ObserveFailed { workload, error });
    WorkloadRun {
        report: WorkloadReport::Failed(Failed {
            workload: workload.clone(),
            error: error.to_string(),
        }),
        snapshot: None,
    }
}
