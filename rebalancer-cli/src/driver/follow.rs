//! Waits until the group has settled after a rotation, and compares what was forecast with what came
//! true. Nothing is changed by it, and no lease is held meanwhile.

use std::time::Duration;

use rebalancer_core::execution::ExecutionReport;
use rebalancer_core::group::Group;
use rebalancer_core::history::Rotation;
use rebalancer_core::policy::{Policy, Strategy};
use rebalancer_core::report::{Decided, FollowUp};
use rebalancer_core::{Snapshot, decide};
use tracing::{debug, info, warn};

use super::{Order, Ports, Stop, observe, stopped};
use crate::live::{self, Wait};

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(15);

/// Waited for beyond twice what it takes by the policy.
const GRACE: Duration = Duration::from_secs(60);

/// What came true of the rotation of `decided`, once the group has settled; `None` when no pod was
/// evicted, or nothing was hoped for.
pub async fn follow(
    ports: Ports<'_>,
    order: &Order<'_>,
    decided: &Decided,
    snapshot: &Snapshot,
    stop: &mut Stop,
) -> Option<FollowUp> {
    let execution = decided
        .execution
        .as_ref()
        .filter(|report| !report.dry_run)?;
    let victims = evicted(execution);
    if victims.is_empty() {
        return None;
    }
    let last = snapshot.data().last_rotation.as_ref();
    let rotation = Rotation::of(
        &decided.decision,
        order.policy.strategy,
        last,
        ports.clock.now(),
        victims,
    )?;
    let began = ports.clock.elapsed();
    let limit = limit(order.policy);
    info!(
        seconds = limit.as_secs(),
        "waiting for the group to settle, to see what came true"
    );
    let mut why = String::from("it was not looked at yet");
    let outcome = loop {
        let waited = ports.clock.elapsed().saturating_sub(began);
        if waited >= limit {
            break None;
        }
        let wait = Wait::new("waiting for the group to settle".into()).within(waited, limit);
        let pausing = async {
            tokio::select! {
                biased;
                cause = stopped(stop) => Some(cause),
                () = ports.clock.sleep(INTERVAL) => None,
            }
        };
        if let Some(cause) = live::beside(pausing, Some(wait)).await {
            why = cause.to_string();
            break None;
        }
        match observe(ports, order, None, stop).await {
            Err(error) => why = error.to_string(),
            Ok(now) if is_superseded(&rotation, &now) => {
                why = "another run has rotated the workload".to_owned();
                break None;
            }
            Ok(now) => match settled(&now, order.policy) {
                Ok(imbalance) => break Some(rotation.outcome(imbalance)),
                Err(problem) => why = problem,
            },
        }
        debug!(why, "the group has not settled yet");
    };
    live::clear();
    let waited = ports.clock.elapsed().saturating_sub(began);
    let message = match &outcome {
        Some(outcome) => outcome.to_string(),
        None => format!(
            "what came true is not known: after {} s {why}; the next run tells it",
            waited.as_secs()
        ),
    };
    // Also where it is better than forecast: the model does not fit.
    if outcome.and_then(|outcome| outcome.is_as_forecast()) == Some(false) {
        warn!("{message}");
    } else {
        info!("{message}");
    }
    Some(FollowUp {
        after_seconds: waited.into(),
        outcome,
        message,
    })
}

/// The pods that this run evicted, or may have.
fn evicted(execution: &ExecutionReport) -> Vec<String> {
    let pods = execution.pods.iter();
    pods.filter(|pod| pod.outcome.may_have_been_evicted())
        .map(|pod| pod.name.clone())
        .collect()
}

/// Somebody else has evicted pods since.
fn is_superseded(rotation: &Rotation, snapshot: &Snapshot) -> bool {
    let later = snapshot.data().last_rotation.as_ref();
    later.is_some_and(|later| {
        later
            .victims
            .iter()
            .any(|victim| !rotation.victims.contains(victim))
            && later.time > rotation.time
    })
}

/// New pods are old enough, and the cooldown over, after as long as the longer of the two takes; as
/// long again is time enough for those that were late.
fn limit(policy: &Policy) -> Duration {
    let longest = policy
        .cooldown_seconds
        .max(policy.minimum_pod_age_seconds)
        .to_duration();
    longest.saturating_mul(2).saturating_add(GRACE)
}

/// The highest load as a multiple of the mean, once everything is settled and can be trusted; else
/// what is not.
fn settled(snapshot: &Snapshot, policy: &Policy) -> Result<f64, String> {
    // No plan is wanted, and what is remembered is no hindrance.
    let policy = Policy {
        strategy: Strategy::RotateOutliers,
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
    // A group that nobody knows does not become known by waiting.
    let group = snapshot.data().group.as_ref().map(|_| Group::of(snapshot));
    if let Some(Err(problem)) = group
        && problem.passes()
    {
        return Err(problem.to_string());
    }
    let imbalance = decision.analysis.imbalance;
    imbalance.ok_or_else(|| "no pod has a load".to_owned())
}
