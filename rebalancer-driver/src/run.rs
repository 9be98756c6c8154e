//! The sequence of a run, and what its steps share.

use std::time::Duration;

use rebalancer_core::ports::PortError;
use rebalancer_core::report::{Failed, WorkloadReport};
use rebalancer_core::{Snapshot, decide};

use crate::event::{RunEvent, Wait, WaitReason};
use crate::execute::execute_plan;
use crate::lease::{self, LeaseStatus};
use crate::observe::{ObserveError, observe_workload};
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
        return run.with_lease(LeaseStatus::Unused).await;
    };
    let result = match lease::acquire(run, port).await {
        Ok(held @ LeaseStatus::Held { .. }) => run.with_lease(held).await,
        Ok(other @ (LeaseStatus::HeldByAnother(_) | LeaseStatus::Unused)) => {
            return run.with_lease(other).await;
        }
        // The request may have succeeded although its answer was lost, so it is released below.
        Err(error) => run.failed(&error),
    };
    lease::release(run, port, &result.report).await;
    result
}

/// The time that a request may still take after the run was asked to stop. The report must be
/// written before the process is killed.
const GRACE_AFTER_STOP: Duration = Duration::from_secs(5);

/// The error of a request that was cut short by a stop.
pub(crate) const CUT_SHORT: &str = "the run was asked to stop before there was an answer";

/// What the steps of a run share.
#[derive(Clone, Copy)]
pub(crate) struct Run<'a> {
    pub(crate) ports: Ports<'a>,
    pub(crate) settings: &'a RunSettings<'a>,
    pub(crate) stop: &'a Stop,
}

impl Run<'_> {
    async fn with_lease(self, lease: LeaseStatus) -> WorkloadRun {
        let (held_since, other_run) = match lease {
            LeaseStatus::Unused => (None, None),
            LeaseStatus::Held { since } => (Some(since), None),
            LeaseStatus::HeldByAnother(holder) => (None, Some(holder)),
        };
        let observing = observe_workload(self, other_run);
        let snapshot = match self.during(WaitReason::Observation, observing).await {
            Ok(snapshot) => snapshot,
            Err(error) => return self.failed(&error),
        };
        self.emit(&RunEvent::Observed(&snapshot));
        let decision = decide(&snapshot, self.settings.policy);
        self.emit(&RunEvent::Decided(&decision));
        let execution = execute_plan(self, &decision, &snapshot, held_since).await;
        WorkloadRun {
            report: WorkloadReport::decided(decision, execution),
            snapshot: Some(snapshot),
        }
    }

    fn failed(self, error: &ObserveError) -> WorkloadRun {
        let workload = &self.settings.assemble.workload;
        self.emit(&RunEvent::ObserveFailed { workload, error });
        WorkloadRun {
            report: WorkloadReport::Failed(Failed {
                workload: workload.clone(),
                error: error.to_string(),
            }),
            snapshot: None,
        }
    }

    pub(crate) fn emit(self, event: &RunEvent<'_>) {
        self.ports.observer.event(event);
    }

    /// The time on the monotonic clock.
    pub(crate) fn elapsed(self) -> Duration {
        self.ports.clock.elapsed()
    }

    /// Awaits `future` and reports the wait until it is ready.
    pub(crate) async fn during<T>(self, reason: WaitReason, future: impl Future<Output = T>) -> T {
        self.emit(&RunEvent::Waiting(&Wait::new(reason)));
        let output = future.await;
        self.emit(&RunEvent::WaitEnded);
        output
    }

    /// Awaits `request`; `None` when the run was asked to stop and the grace time has passed
    /// since.
    pub(crate) async fn before_stop<T>(self, request: impl Future<Output = T>) -> Option<T> {
        let cut_short = async {
            self.stop.wait().await;
            self.ports.clock.sleep(GRACE_AFTER_STOP).await;
        };
        tokio::select! {
            biased;
            output = request => Some(output),
            () = cut_short => None,
        }
    }

    /// Awaits a request that changes nothing. The error is the message of the port.
    pub(crate) async fn ask<T>(
        self,
        request: impl Future<Output = Result<T, PortError>>,
    ) -> Result<T, String> {
        match self.before_stop(request).await {
            Some(answer) => answer.map_err(|error| {
                self.emit(&RunEvent::PortFailed { error: &error });
                error.to_string()
            }),
            None => Err(CUT_SHORT.into()),
        }
    }
}
