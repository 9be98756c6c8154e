//! A plan that waits for approval, in lines.

use rebalancer_core::Decision;
use rebalancer_core::proposal::{ApprovalState, ProposedPlan};

use super::text::printable;

/// The number of pods or partitions that are named.
const NAMED: usize = 20;

/// The plan that a decision waits for; `None` if it does not.
pub(crate) fn waiting(decision: &Decision) -> Option<&ProposedPlan> {
    let approval = decision.approval.as_ref()?;
    match approval.state {
        ApprovalState::Proposed | ApprovalState::Waiting => Some(&approval.plan),
        ApprovalState::Approved | ApprovalState::Deferred => None,
    }
}

/// The changes of a plan, one a line.
pub(crate) fn changes(plan: &ProposedPlan) -> Vec<String> {
    let victims = plan.victims.iter().map(|victim| {
        let (role, load) = (victim.role.as_str(), victim.load.get());
        format!("evict {} ({role}, load {load:.3})", victim.name)
    });
    let moves = plan.moves.iter().map(|moved| {
        let partition = moved.partition_name();
        let (load, from, to) = (moved.load, &moved.from, &moved.to);
        format!("move {partition} (load {load:.3}) from {from} to {to}")
    });
    let rejoins = plan.rejoins.iter().map(|planned| {
        let (pod, load) = (&planned.pod, planned.load);
        format!("let the members of {pod} (load {load:.3}) rejoin")
    });
    let mut all = victims.chain(moves).chain(rejoins);
    let mut lines: Vec<String> = all
        .by_ref()
        .take(NAMED)
        .map(|line| printable(&line))
        .collect();
    match all.count() {
        0 => {}
        more => lines.push(format!("and {more} more, all in JSON")),
    }
    lines
}
