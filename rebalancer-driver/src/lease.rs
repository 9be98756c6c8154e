//! Acquires, renews and releases the lease that excludes other runs.

use std::time::Duration;

use rebalancer_core::execution::PodOutcome;
use rebalancer_core::lease::LeaseHolder;
use rebalancer_core::ports::{LeaseState, RunLease};
use rebalancer_core::report::WorkloadReport;

use crate::context::Run;
use crate::error::ObserveError;
use crate::event::{RunEvent, WaitReason};

/// The lease as a run knows it.
pub(crate) enum LeaseStatus {
    /// The run needs no lease.
    Unused,
    /// The run holds the lease.
    Held {
        /// The time of its request, on the monotonic clock.
        since: Duration,
    },
    /// Another run holds the lease.
    HeldByAnother(LeaseHolder),
}

pub(crate) async fn acquire(
    run: Run<'_>,
    lease: &dyn RunLease,
) -> Result<LeaseStatus, ObserveError> {
    let since = run.elapsed();
    let acquiring = async {
        tokio::select! {
            biased;
            state = lease.acquire() => state.map_err(ObserveError::from_lease),
            cause = run.stop.wait() => Err(ObserveError::Stopped(cause)),
        }
    };
    match run.during(WaitReason::LeaseAcquisition, acquiring).await? {
        LeaseState::Held => {
            run.emit(&RunEvent::LeaseAcquired);
            Ok(LeaseStatus::Held { since })
        }
        LeaseState::HeldBy(holder) => {
            run.emit(&RunEvent::LeaseHeldByAnother(&holder));
            Ok(LeaseStatus::HeldByAnother(holder))
        }
    }
}

/// Renews the lease. Returns the time of the request, and the holder or why it could not be
/// determined.
pub(crate) async fn renew(run: Run<'_>) -> (Duration, Result<LeaseState, String>) {
    let asked = run.elapsed();
    let state = match run.ports.lease {
        Some(lease) => run.ask(lease.renew()).await,
        None => Err("there is no lease to renew".into()),
    };
    (asked, state)
}

/// Releases the lease, unless an eviction may still take effect, or the group is not at rest after
/// a hand-over: then no other run may act until the lease expires.
pub(crate) async fn release(run: Run<'_>, lease: &dyn RunLease, report: &WorkloadReport) {
    if has_unknown_eviction(report) || is_restless(report) {
        run.emit(&RunEvent::LeaseKept);
        return;
    }
    let releasing = run.before_stop(lease.release());
    match run.during(WaitReason::LeaseRelease, releasing).await {
        Some(Ok(())) => run.emit(&RunEvent::LeaseReleased),
        Some(Err(error)) => run.emit(&RunEvent::LeaseNotReleased { error: &error }),
        None => {}
    }
}

fn has_unknown_eviction(report: &WorkloadReport) -> bool {
    report
        .execution()
        .into_iter()
        .flat_map(|execution| &execution.pods)
        .any(|pod| pod.outcome == PodOutcome::Unknown)
}

/// Whether the group was not seen at rest after a hand-over.
fn is_restless(report: &WorkloadReport) -> bool {
    report
        .hand_over()
        .is_some_and(|hand_over| !hand_over.settled)
}
