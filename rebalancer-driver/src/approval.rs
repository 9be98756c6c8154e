//! Lets a plan wait for the approval of a person.

use rebalancer_core::approval::{await_approval, defer};
use rebalancer_core::ports::{Journal, JournalEntry, PortError, PortErrorKind};
use rebalancer_core::proposal::{ApprovalState, PlanApproval, ProposedPlan};
use rebalancer_core::{Action, Decision, HoldReason, Snapshot};

use crate::context::Run;
use crate::event::{JournalWrite, RunEvent};

/// The decision under the rule of [`await_approval`], if this run may act and plans need approval.
/// A new plan is stored and published, and the approval of a plan that is to be executed is
/// removed. If that fails, or may have, the decision is to hold.
///
/// Returns the generation of the workload that the removal caused as well.
pub(crate) async fn approve(
    run: Run<'_>,
    decision: Decision,
    snapshot: &Snapshot,
) -> (Decision, Option<i64>) {
    let acts = run.settings.execution.is_some_and(|policy| !policy.dry_run);
    let Some(expiry) = run.settings.approval.filter(|_| acts) else {
        return (decision, None);
    };
    let taken_at = snapshot.data().taken_at;
    let now = taken_at.unwrap_or_else(|| run.ports.clock.now());
    let mut decision = await_approval(decision, snapshot, run.settings.policy, expiry, now);
    let Some(approval) = decision.approval.take() else {
        return (decision, None);
    };
    match approval.state {
        ApprovalState::Waiting | ApprovalState::Deferred => (about(decision, approval), None),
        ApprovalState::Proposed => (propose(run, decision, approval).await, None),
        ApprovalState::Approved => use_approval(run, decision, approval).await,
    }
}

/// Stores the plan on the workload, and publishes it.
async fn propose(run: Run<'_>, decision: Decision, approval: Box<PlanApproval>) -> Decision {
    let plan = &approval.plan;
    let written = match journal(run) {
        Ok(journal) => store(run, journal, plan).await,
        Err(error) => Err(error),
    };
    match written {
        Ok(()) => about(decision, approval),
        Err(error) => {
            let id = &plan.id;
            let why = "could not be stored on the workload, so it cannot be approved";
            unavailable(decision, format!("plan {id} {why}: {error}"))
        }
    }
}

/// Removes the approval, so that the plan may be executed. If the run must not begin to act by now,
/// it holds, and the plan stays approved.
async fn use_approval(
    run: Run<'_>,
    decision: Decision,
    approval: Box<PlanApproval>,
) -> (Decision, Option<i64>) {
    let id = &approval.plan.id;
    let order = run.order_not_to_act().await;
    let obstacle = match run.stop.requested() {
        Some(cause) => Ok(Some(cause.to_string())),
        None => order,
    };
    match obstacle {
        Ok(None) => {}
        Ok(Some(why)) => return (defer(decision, approval.plan, &why), None),
        Err(why) => {
            let message =
                format!("the approved plan {id} is not executed, and stays approved: {why}");
            return (unavailable(decision, message), None);
        }
    }
    let removed = match journal(run) {
        Ok(journal) => run.write(journal.use_approval(&approval.plan)).await,
        Err(error) => Err(error),
    };
    match removed {
        Ok(generation) => (about(decision, approval), generation),
        Err(error) => {
            let message = format!(
                "the approved plan {id} is not executed, because its approval could not be removed \
                 from the workload, and may be used twice: {error}"
            );
            (unavailable(decision, message), None)
        }
    }
}

fn journal<'a>(run: Run<'a>) -> Result<&'a dyn Journal, PortError> {
    let missing = || {
        PortError::new(
            PortErrorKind::Setup,
            "there is no journal that stores plans",
        )
    };
    run.ports.journal.ok_or_else(missing)
}

fn about(decision: Decision, approval: Box<PlanApproval>) -> Decision {
    Decision {
        approval: Some(approval),
        ..decision
    }
}

fn unavailable(decision: Decision, message: String) -> Decision {
    Decision {
        action: Action::Hold(HoldReason::APPROVAL_UNAVAILABLE),
        message,
        ..decision
    }
}

async fn store(run: Run<'_>, journal: &dyn Journal, plan: &ProposedPlan) -> Result<(), PortError> {
    run.write(journal.propose(plan)).await?;
    let command = plan.approval_command(&run.settings.assemble.workload);
    let entry = JournalEntry {
        pod: None,
        reason: "PlanProposed",
        message: format!(
            "plan {id} waits for approval until {:.0} ({command}, or the annotation \
             rebalancer.io/approve={id}): {}",
            plan.expires,
            plan.message,
            id = plan.id,
        ),
        warning: false,
        at: plan.created,
    };
    if let Err(error) = run.write(journal.publish(&entry)).await {
        run.emit(&RunEvent::JournalFailed {
            write: JournalWrite::Event,
            error: &error,
        });
    }
    Ok(())
}
