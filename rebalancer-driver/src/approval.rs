//! Lets a plan wait for the approval of a person.

use rebalancer_core::approval::await_approval;
use rebalancer_core::ports::{Journal, JournalEntry, PortError, PortErrorKind};
use rebalancer_core::proposal::{ApprovalState, ProposedPlan};
use rebalancer_core::{Action, Decision, HoldReason, Snapshot};

use crate::context::Run;
use crate::event::{JournalWrite, RunEvent};

/// The decision under the rule of [`await_approval`], if this run may act and plans need approval. A new
/// plan is stored and published, and the approval of a plan that is to be executed is removed. If that
/// fails, or may have, the decision is to hold.
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
    let written = match (approval.state, run.ports.journal) {
        (ApprovalState::Waiting, _) => Ok(None),
        (ApprovalState::Proposed, Some(journal)) => propose(run, journal, &approval.plan).await,
        (ApprovalState::Approved, Some(journal)) => {
            run.write(journal.use_approval(&approval.plan)).await
        }
        (ApprovalState::Proposed | ApprovalState::Approved, None) => Err(PortError::new(
            PortErrorKind::Setup,
            "there is no journal that stores plans",
        )),
    };
    let error = match written {
        Ok(generation) => {
            decision.approval = Some(approval);
            return (decision, generation);
        }
        Err(error) => error,
    };
    let id = &approval.plan.id;
    let message = if approval.state == ApprovalState::Approved {
        format!(
            "the approved plan {id} is not executed, because its approval could not be removed from \
                 the workload, and may be used twice: {error}"
        )
    } else {
        format!("plan {id} could not be stored on the workload, so it cannot be approved: {error}")
    };
    let decision = Decision {
        action: Action::Hold(HoldReason::APPROVAL_UNAVAILABLE),
        message,
        ..decision
    };
    (decision, None)
}

async fn propose(
    run: Run<'_>,
    journal: &dyn Journal,
    plan: &ProposedPlan,
) -> Result<Option<i64>, PortError> {
    run.write(journal.propose(plan)).await?;
    let entry = JournalEntry {
        pod: None,
        reason: "PlanProposed",
        message: format!(
            "plan {id} waits for approval until {:.0} (rebalancer approve --id {id}, or the annotation \
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
    Ok(None)
}
