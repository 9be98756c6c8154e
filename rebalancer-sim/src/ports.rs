//! The ports of a simulated world, without faults.

use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rebalancer_core::history::Rotation;
use rebalancer_core::hold_record::HoldRecord;
use rebalancer_core::model::{PodRef, WorkloadRef, WorkloadState};
use rebalancer_core::ports::{
    AutoscalerCandidate, Clock, DisruptionBudget, EvictionAnswer, GroupObservation, GroupSource,
    Journal, JournalEntry, LeaseState, LoadObservation, MetricsSource, PodActuator, PodState,
    PortError, PortErrorKind, RunLease, WorkloadObservation,
};
use rebalancer_core::proposal::ProposedPlan;

use crate::shared::SharedState;

/// The error of a plan that is not approved any more.
pub(crate) const NOT_APPROVED: &str = "the plan is not approved";

/// The metrics of a [`SimWorld`](crate::SimWorld): loads as a rate over the configured window.
///
/// The load of a young pod reads low. A pod is missing until it was scraped twice. A pod that is
/// gone is reported until its samples leave the window.
///
/// The group metrics are those of consumers that export their own assignment, with rates over the
/// same window.
#[derive(Debug, Clone)]
pub struct SimMetrics {
    state: SharedState,
}

impl SimMetrics {
    pub(crate) fn new(state: SharedState) -> Self {
        Self { state }
    }
}

#[async_trait]
impl MetricsSource for SimMetrics {
    async fn loads(&self) -> Result<LoadObservation, PortError> {
        Ok(self.state.lock().answer_loads())
    }

    async fn autoscalers(&self) -> Result<Vec<AutoscalerCandidate>, PortError> {
        Ok(self.state.lock().answer_autoscalers())
    }
}

#[async_trait]
impl GroupSource for SimMetrics {
    async fn group(&self) -> Result<Option<GroupObservation>, PortError> {
        Ok(Some(self.state.lock().answer_group()))
    }
}

/// The pod actuator of a [`SimWorld`](crate::SimWorld).
#[derive(Debug, Clone)]
pub struct SimActuator {
    state: SharedState,
    workload: WorkloadRef,
}

impl SimActuator {
    pub(crate) fn new(state: SharedState, workload: WorkloadRef) -> Self {
        Self { state, workload }
    }
}

#[async_trait]
impl PodActuator for SimActuator {
    fn workload(&self) -> &WorkloadRef {
        &self.workload
    }

    async fn observe(&self) -> Result<WorkloadObservation, PortError> {
        Ok(self.state.lock().answer_observe())
    }

    async fn read_pod(&self, pod: &PodRef) -> Result<PodState, PortError> {
        Ok(self.state.lock().answer_read_pod(pod))
    }

    async fn count_ready(&self, _enough: usize) -> Result<usize, PortError> {
        // Counting is cheap here, so the number is always exact.
        Ok(self.state.lock().answer_count_ready())
    }

    async fn read_workload(&self, _enough: usize) -> Result<WorkloadState, PortError> {
        Ok(self.state.lock().answer_read_workload())
    }

    async fn evict(&self, pod: &PodRef, dry_run: bool) -> EvictionAnswer {
        self.state.lock().answer_evict(pod, dry_run)
    }

    async fn budgets(&self, pods: &[PodRef]) -> Result<Vec<DisruptionBudget>, PortError> {
        Ok(self.state.lock().answer_budgets(pods))
    }
}

/// The virtual clock of a [`SimWorld`](crate::SimWorld). A sleep advances the time of the world and
/// returns immediately. While a response of the group's coordinator is awaited, the time advances
/// from one response to the next, so that the task that awaits it goes on in between.
#[derive(Debug, Clone)]
pub struct SimClock {
    state: SharedState,
}

impl SimClock {
    pub(crate) fn new(state: SharedState) -> Self {
        Self { state }
    }
}

#[async_trait]
impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        self.state.lock().timestamp()
    }

    fn elapsed(&self) -> Duration {
        self.state.lock().elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        let until = {
            let state = self.state.lock();
            state.now.saturating_add(duration)
        };
        // A task that awaits a response of the coordinator goes on at the time of the response.
        std::future::poll_fn(|context| {
            if self.state.lock().advance_towards(until) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

/// The lease of a [`SimWorld`](crate::SimWorld)'s workload, for one run.
#[derive(Debug, Clone)]
pub struct SimLease {
    state: SharedState,
    identity: String,
}

impl SimLease {
    pub(crate) fn new(state: SharedState, identity: String) -> Self {
        Self { state, identity }
    }
}

#[async_trait]
impl RunLease for SimLease {
    async fn acquire(&self) -> Result<LeaseState, PortError> {
        let mut state = self.state.lock();
        let now = state.elapsed();
        Ok(state.acquire_lease(&self.identity, now))
    }

    async fn renew(&self) -> Result<LeaseState, PortError> {
        let mut state = self.state.lock();
        let now = state.elapsed();
        Ok(state.renew_lease(&self.identity, now))
    }

    async fn release(&self) -> Result<(), PortError> {
        self.state.lock().release_lease(&self.identity);
        Ok(())
    }

    fn last_hold(&self) -> Option<HoldRecord> {
        self.state.lock().last_hold.clone()
    }

    fn record_hold(&self, hold: Option<HoldRecord>) {
        self.state.lock().last_hold = hold;
    }
}

/// The journal of a [`SimWorld`](crate::SimWorld). A stored rotation is part of the next
/// observation, and so is a stored plan, which is approved at once.
#[derive(Debug, Clone)]
pub struct SimJournal {
    state: SharedState,
}

impl SimJournal {
    pub(crate) fn new(state: SharedState) -> Self {
        Self { state }
    }
}

#[async_trait]
impl Journal for SimJournal {
    async fn publish(&self, entry: &JournalEntry) -> Result<(), PortError> {
        self.state.lock().published.push(entry.clone());
        Ok(())
    }

    async fn remember(&self, rotation: &Rotation) -> Result<Option<i64>, PortError> {
        self.state.lock().remember(rotation.clone());
        Ok(None)
    }

    async fn propose(&self, plan: &ProposedPlan) -> Result<(), PortError> {
        self.state.lock().propose(plan.clone());
        Ok(())
    }

    async fn use_approval(&self, plan: &ProposedPlan) -> Result<Option<i64>, PortError> {
        if self.state.lock().use_approval(&plan.id) {
            return Ok(None);
        }
        Err(PortError::new(PortErrorKind::Rejected, NOT_APPROVED))
    }
}
