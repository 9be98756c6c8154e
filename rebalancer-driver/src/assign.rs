//! Hands out the assignment of a decision, or lets members rejoin, while the lease is kept and
//! freeze windows are watched.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rebalancer_core::execution::{LeaseRenewal, StopCause};
use rebalancer_core::handover::{
    HandoverDocument, HandoverGoal, HandoverLimits, HandoverPlan, HandoverReport, HandoverStage,
    HandoverWork,
};
use rebalancer_core::ports::GroupCoordinator;
use rebalancer_core::{Action, Decision, Snapshot};
use tokio::sync::oneshot;

use crate::context::Run;
use crate::event::{RunEvent, Wait, WaitReason};
use crate::hand_over::hand_over;
use crate::lease;
use crate::ports::{Ports, RunSettings};
use crate::records::Records;
use crate::stop::{Stop, StopHandle};

/// The interval at which the lease and the freeze windows are checked during a hand-over.
const WATCH: Duration = Duration::from_secs(1);

/// Hands out the assignment of the decision, or lets its members rejoin; `None` if the decision is
/// neither, the settings have no execution policy, or it is a dry run. `observed_at` is the time
/// after the group was read for the snapshot, and `lease_held_since` when the lease that the run
/// holds was requested, both on the monotonic clock.
pub async fn assign(
    decision: &Decision,
    snapshot: &Snapshot,
    settings: &RunSettings<'_>,
    ports: Ports<'_>,
    observed_at: Duration,
    lease_held_since: Option<Duration>,
    stop: &Stop,
) -> Option<HandoverDocument> {
    let run = Run {
        ports,
        settings,
        stop,
    };
    hand_out(run, decision, snapshot, observed_at, lease_held_since).await
}

pub(crate) async fn hand_out(
    run: Run<'_>,
    decision: &Decision,
    snapshot: &Snapshot,
    observed_at: Duration,
    lease_held_since: Option<Duration>,
) -> Option<HandoverDocument> {
    let planned = planned(decision, snapshot)?;
    let policy = run.settings.execution?;
    if policy.dry_run {
        return None;
    }
    let mut records = Records::new(run, false, decision, snapshot);
    let document = match prepare(run, decision, snapshot, observed_at).await {
        Ok((plan, coordinator)) => {
            let work = plan.work();
            run.emit(&RunEvent::HandOverStarted { work });
            let limits = HandoverLimits::of(plan.protocol);
            let report = perform(
                run,
                plan,
                limits,
                coordinator,
                &mut records,
                lease_held_since,
            );
            let report = report.await;
            run.emit(&RunEvent::WaitEnded);
            HandoverDocument::new(&report, work)
        }
        Err(why) => HandoverDocument::not_begun(&why, planned),
    };
    run.emit(&RunEvent::HandedOver(&document));
    records.handed_over(&document).await;
    Some(document)
}

/// The work that the decision wants done through the coordinator of the group, if any.
fn planned(decision: &Decision, snapshot: &Snapshot) -> Option<HandoverWork> {
    match &decision.action {
        Action::Assign(plan) => Some(HandoverWork::Moves(plan.moves().len())),
        Action::Rejoin(plan) => {
            let group = snapshot.data().group.as_ref();
            let members = group.into_iter().flat_map(|group| &group.members);
            let members = members.filter(|member| plan.contains(&member.pod));
            Some(HandoverWork::Rejoins(members.count()))
        }
        Action::Rotate(_) | Action::Hold(_) => None,
        // Actions of a later version of the core.
        _ => None,
    }
}

/// The plan of the hand-over or the rejoin, and the coordinator; otherwise why it cannot begin.
async fn prepare<'a>(
    run: Run<'a>,
    decision: &Decision,
    snapshot: &Snapshot,
    observed_at: Duration,
) -> Result<(HandoverPlan, &'a dyn GroupCoordinator), String> {
    if let Some(why) = run.order_not_to_act().await? {
        return Err(why);
    }
    let coordinator = run
        .ports
        .coordinator
        .ok_or("no connection to the coordinator of the group")?;
    let plan = match (decision.assignment(), decision.rejoin()) {
        (Some(plan), _) => HandoverPlan::new(snapshot, plan, observed_at),
        (None, Some(plan)) => HandoverPlan::rejoin(snapshot, plan, observed_at),
        (None, None) => return Err("the decision is not to redistribute the partitions".to_owned()),
    };
    let plan = plan.map_err(|error| error.to_string())?;
    Ok((plan, coordinator))
}

/// Performs the hand-over. The rotation is remembered when the first member joins, so that the next
/// run knows about it even if this one is killed.
async fn perform(
    run: Run<'_>,
    plan: HandoverPlan,
    limits: HandoverLimits,
    coordinator: &dyn GroupCoordinator,
    records: &mut Records<'_>,
    lease_held_since: Option<Duration>,
) -> HandoverReport {
    let (handle, stop) = Stop::channel();
    let (probing, has_begun) = oneshot::channel();
    let began = run.elapsed();
    let mut probing = Some(probing);
    let reason = match plan.goal {
        HandoverGoal::Assign(_) => WaitReason::HandOver,
        HandoverGoal::Rejoin(_) => WaitReason::Rejoin,
    };
    let lease = &Mutex::new(lease_held_since.map(LeaseRenewal::new));
    let handle = &handle;
    // The closure owns the sender, which is dropped with the hand-over.
    let entered = move |stage: HandoverStage| {
        let elapsed = run.elapsed().saturating_sub(began);
        let wait = Wait::new(reason(stage)).within(elapsed, limits.total);
        run.emit(&RunEvent::Waiting(&wait));
        if stage != HandoverStage::Confirming
            && let Some(probing) = probing.take()
        {
            // A process that was suspended may have lost the lease meanwhile.
            if locked(lease).is_some_and(|lease| !lease.is_safe(run.elapsed())) {
                return handle.stop(StopCause::LeaseLost);
            }
            // The receiver is gone only if the hand-over has ended.
            let _ = probing.send(());
        }
    };
    let handing = hand_over(plan, limits, coordinator, run.ports.clock, &stop, entered);
    let recording = async {
        if has_begun.await.is_ok() {
            records.hand_over_began().await;
        }
    };
    let acting = async { tokio::join!(handing, recording).0 };
    tokio::select! {
        biased;
        report = acting => report,
        never = watch(run, handle, lease) => match never {},
    }
}

/// Requests the stop of the hand-over when the run is stopped, a freeze window begins, or the lease
/// is lost. Keeps the lease.
async fn watch(
    run: Run<'_>,
    handle: &StopHandle,
    lease: &Mutex<Option<LeaseRenewal>>,
) -> std::convert::Infallible {
    loop {
        tokio::select! {
            biased;
            cause = run.stop.wait() => {
                handle.stop(cause);
                // The hand-over ends within seconds, so nothing else needs watching.
                std::future::pending::<()>().await;
            }
            () = run.ports.clock.sleep(WATCH) => {}
        }
        let window = run.settings.freeze.window_at(run.ports.clock.now());
        if window.is_some() {
            handle.stop(StopCause::Frozen);
        }
        let is_due = locked(lease).is_some_and(|lease| lease.is_due(run.elapsed(), false));
        if is_due {
            let (asked, state) = lease::renew(run).await;
            let now = run.elapsed();
            let renewed = locked(lease)
                .as_mut()
                .map(|lease| lease.handle(now, asked, state));
            if matches!(renewed, Some(Err(_))) {
                handle.stop(StopCause::LeaseLost);
            }
        }
    }
}

fn locked(lease: &Mutex<Option<LeaseRenewal>>) -> MutexGuard<'_, Option<LeaseRenewal>> {
    lease.lock().unwrap_or_else(PoisonError::into_inner)
}
