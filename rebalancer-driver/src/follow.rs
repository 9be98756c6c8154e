//! Waits until the group has settled after a rotation, and compares the outcome with the
//! forecast. Changes nothing and holds no lease.

use std::time::Duration;

use rebalancer_core::execution::ExecutionReport;
use rebalancer_core::handover::HandoverResult;
use rebalancer_core::history::{Rotation, RotationOutcome};
use rebalancer_core::plan::{AssignmentPlan, PlannedMove};
use rebalancer_core::policy::{Policy, Strategy};
use rebalancer_core::report::{Decided, FollowUp};
use rebalancer_core::{Snapshot, decide};

use crate::context::Run;
use crate::event::{RunEvent, Wait, WaitReason};
use crate::observe::observe_workload;
use crate::ports::{Ports, RunSettings};
use crate::stop::Stop;

/// The time between two observations.
const INTERVAL: Duration = Duration::from_secs(15);

/// The time that is allowed beyond twice the time that the policy implies.
const GRACE: Duration = Duration::from_secs(60);

/// Waits until the group has settled after the rotation in `decided`, and returns the outcome.
/// `None` if nothing was evicted, handed out or rejoined, or if there is no expected outcome to
/// compare with. `snapshot` is the one that was decided on.
pub async fn follow(
    ports: Ports<'_>,
    settings: &RunSettings<'_>,
    decided: &Decided,
    snapshot: &Snapshot,
    stop: &Stop,
) -> Option<FollowUp> {
    let run = Run {
        ports,
        settings,
        stop,
    };
    let rotation = rotation(run, decided, snapshot)?;
    let began = run.elapsed();
    let limit = limit(settings.policy);
    run.emit(&RunEvent::FollowUpStarted { limit });
    let outcome = until_settled(run, &rotation, began, limit).await;
    run.emit(&RunEvent::WaitEnded);
    let waited = run.elapsed().saturating_sub(began);
    let message = match &outcome {
        Ok((outcome, now)) => match decided.decision.assignment() {
            Some(plan) => format!("{outcome}; {}", kept(plan, now)),
            None => outcome.to_string(),
        },
        Err(reason) => format!(
            "the outcome is not known: after {} s {reason}; the next run evaluates it",
            waited.as_secs()
        ),
    };
    let follow_up = FollowUp {
        after_seconds: waited.into(),
        outcome: outcome.ok().map(|(outcome, _)| outcome),
        message,
    };
    run.emit(&RunEvent::FollowedUp(&follow_up));
    Some(follow_up)
}

/// The rotation to evaluate: the evictions, the hand-over or the rejoin of this run.
fn rotation(run: Run<'_>, decided: &Decided, snapshot: &Snapshot) -> Option<Rotation> {
    let last = snapshot.data().last_rotation.as_ref();
    let now = run.ports.clock.now();
    if let Some(hand_over) = &decided.hand_over {
        let has_target = hand_over.outcome != HandoverResult::Abandoned;
        return decided
            .decision
            .hand_over(last, now, None)
            .filter(|_| has_target);
    }
    let execution = decided.execution.as_ref()?;
    if execution.dry_run {
        return None;
    }
    let victims = evicted(execution);
    if victims.is_empty() {
        return None;
    }
    let strategy = run.settings.policy.strategy;
    decided.decision.rotation(strategy, last, now, victims)
}

fn evicted(execution: &ExecutionReport) -> Vec<String> {
    let pods = execution.pods.iter();
    pods.filter(|pod| pod.outcome.may_have_been_evicted())
        .map(|pod| pod.name.clone())
        .collect()
}

/// Observes the group until it has settled. The error is why that did not happen within `limit`.
async fn until_settled(
    run: Run<'_>,
    rotation: &Rotation,
    began: Duration,
    limit: Duration,
) -> Result<(RotationOutcome, Snapshot), String> {
    let cooldown = run.settings.policy.cooldown_seconds.to_duration();
    let mut reason = String::from("it was not observed yet");
    loop {
        let waited = run.elapsed().saturating_sub(began);
        if waited >= limit {
            return Err(reason);
        }
        let wait = Wait::new(WaitReason::Settling).within(waited, limit);
        run.emit(&RunEvent::Waiting(&wait));
        tokio::select! {
            biased;
            cause = run.stop.wait() => return Err(cause.to_string()),
            () = run.ports.clock.sleep(INTERVAL) => {}
        }
        match observe_workload(run, None).await {
            Err(error) => reason = error.to_string(),
            Ok(now) if is_superseded(rotation, &now) => {
                return Err("another run has rotated the workload".to_owned());
            }
            Ok(now) => match settled(&now, run.settings.policy) {
                // A hand-over restarts no pod, so the ages of the pods do not show whether the
                // loads are those of the new owners.
                Ok(_) if rotation.moves > 0 && waited < cooldown => {
                    reason = "the loads are partly those of the owners before".to_owned();
                }
                Ok(imbalance) => return Ok((rotation.outcome(imbalance), now)),
                Err(problem) => reason = problem,
            },
        }
        run.emit(&RunEvent::NotSettled { reason: &reason });
    }
}

/// The number of moves that the group has kept, as a clause.
fn kept(plan: &AssignmentPlan, snapshot: &Snapshot) -> String {
    let group = snapshot.data().group.as_ref();
    let owner = |moved: &PlannedMove| {
        let topic = group?.topics.get(&moved.topic)?;
        let partition = usize::try_from(moved.partition).ok()?;
        topic.owners.get(partition)?.as_deref()
    };
    let moves = plan.moves();
    let kept = moves.iter().filter(|moved| owner(moved) == Some(&moved.to));
    format!(
        "{} of {} moves are still in place",
        kept.count(),
        moves.len()
    )
}

/// Whether another run has evicted other pods since, or has moved partitions.
fn is_superseded(rotation: &Rotation, snapshot: &Snapshot) -> bool {
    let later = snapshot.data().last_rotation.as_ref();
    later.is_some_and(|later| {
        let mut victims = later.victims.iter();
        let others = victims.any(|victim| !rotation.victims.contains(victim));
        // The record of this rotation has the same moves.
        let moves = later.victims.is_empty()
            && (later.moves != rotation.moves || !rotation.victims.is_empty());
        (others || moves) && later.time > rotation.time
    })
}

/// The longest that the group may take to settle: twice the time until new pods are old enough
/// and the cooldown is over, and a grace time.
fn limit(policy: &Policy) -> Duration {
    let longest = policy
        .cooldown_seconds
        .max(policy.minimum_pod_age_seconds)
        .to_duration();
    longest.saturating_mul(2).saturating_add(GRACE)
}

/// Returns the imbalance once the group has settled and its loads can be trusted; otherwise the
/// reason why not.
fn settled(snapshot: &Snapshot, policy: &Policy) -> Result<f64, String> {
    // Only the checks of the loads matter here, not whether another plan would be made. The
    // eligible pods must be those of the decision.
    let policy = Policy {
        strategy: if policy.strategy.evicts() {
            Strategy::RotateOutliers
        } else {
            Strategy::Assign
        },
        ignore_history: true,
        max_evictions: None,
        ..*policy
    };
    let decision = decide(snapshot, &policy);
    if let Some(check) = decision
        .checks
        .iter()
        .find(|check| check.means_untrusted_loads())
    {
        return Err(check.message.clone());
    }
    // Only problems that pass with time are worth waiting for.
    let group = snapshot
        .data()
        .group
        .as_ref()
        .map(|_| snapshot.group_model());
    if let Some(Err(problem)) = group
        && problem.is_transient()
    {
        return Err(problem.to_string());
    }
    let imbalance = decision.analysis.imbalance;
    imbalance.ok_or_else(|| "no pod has a load".to_owned())
}
