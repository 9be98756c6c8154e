//! The ports of a world with faults and latency.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rebalancer_core::history::Rotation;
use rebalancer_core::model::{PodRef, WorkloadRef, WorkloadState};
use rebalancer_core::plan::Victim;
use rebalancer_core::ports::{
    AutoscalerCandidate, Clock, DisruptionBudget, EvictionAnswer, GroupObservation, GroupSource,
    Journal, JournalEntry, LeaseState, LoadObservation, MetricsSource, PodActuator, PodState,
    PortError, PortErrorKind, RunLease, WorkloadObservation,
};
use rebalancer_core::proposal::ProposedPlan;

use super::time::VirtualTime;
use crate::coordinator::SimCoordinator;
use crate::fault_draws::{CallFailure, CallOutcome};
use crate::ports::NOT_APPROVED;
use crate::shared::SharedState;
use crate::state::{Request, Response, State};
use crate::timeline::WorldEvent;
use crate::trace::{EvictionRequest, TraceEvent, TraceRecord};
use crate::world::SimWorld;

/// All ports of one run on a [`SimWorld`], under its fault plan. A call sees the state at the time
/// at which it reaches the server. Its effect occurs then too, even if the run has given up
/// waiting.
#[derive(Debug, Clone)]
pub struct FaultyPorts {
    state: SharedState,
    time: VirtualTime,
    workload: WorkloadRef,
    run: usize,
    identity: String,
}

impl FaultyPorts {
    /// The ports of the run with this number. Every run needs its own.
    #[must_use]
    pub fn new(world: &SimWorld, time: &VirtualTime, run: usize) -> Self {
        Self {
            state: world.shared().clone(),
            time: time.clone(),
            workload: world.config().workload,
            run,
            identity: format!("run-{run}"),
        }
    }

    /// The identity of this run as a lease holder.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The coordinator port of this run.
    #[must_use]
    pub fn coordinator(&self) -> SimCoordinator {
        SimCoordinator::new(self.state.clone(), true, Some(self.run))
    }

    /// Performs a call that changes nothing. `trace` returns the event to record.
    async fn read<T>(
        &self,
        answer: impl FnOnce(&mut State) -> T,
        trace: impl FnOnce(&T) -> Option<TraceEvent>,
    ) -> Result<T, PortError> {
        let (begun, outcome) = self.draw();
        let CallOutcome {
            arrives, answered, ..
        } = outcome;
        if let (Some(arrives), None) = (arrives, outcome.failure) {
            self.time.sleep(arrives).await;
            let answer = answer(&mut self.state.lock());
            self.time.sleep(answered.saturating_sub(arrives)).await;
            if let Some(what) = trace(&answer) {
                self.record(begun, what);
            }
            return Ok(answer);
        }
        self.time.sleep(answered).await;
        Err(port_error(outcome.failure))
    }

    /// Sends a request that changes the world. The error is why there is no response, or `None` if
    /// the request has not arrived yet.
    async fn send(&self, request: Request) -> Result<Response, Option<CallFailure>> {
        let (_, outcome) = self.draw();
        let number = {
            let mut state = self.state.lock();
            let number = state.requests.add(request);
            if let Some(arrives) = outcome.arrives {
                state.schedule(arrives, WorldEvent::Arrived(number));
            }
            number
        };
        self.time.sleep(outcome.answered).await;
        if outcome.failure.is_some() {
            return Err(outcome.failure);
        }
        let response = self.state.lock().requests.response(number);
        response.ok_or(None)
    }

    async fn lease(
        &self,
        request: impl FnOnce(String, Duration) -> Request,
    ) -> Result<LeaseState, PortError> {
        let begun = self.time.elapsed();
        match self.send(request(self.identity.clone(), begun)).await {
            Ok(Response::Lease(state)) => {
                self.record(begun, TraceEvent::Lease(state.clone()));
                Ok(state)
            }
            Ok(Response::Eviction(_) | Response::Done | Response::Refused) => Err(port_error(None)),
            Err(failure) => Err(port_error(failure)),
        }
    }

    fn draw(&self) -> (Duration, CallOutcome) {
        let mut state = self.state.lock();
        let now = state.elapsed();
        (now, state.faults.call_outcome(now))
    }

    fn record(&self, begun: Duration, what: TraceEvent) {
        let mut state = self.state.lock();
        let at = state.elapsed();
        state.trace.push(TraceRecord {
            run: self.run,
            begun,
            at,
            what,
        });
    }

    /// Records an eviction request, and returns its index.
    fn record_request(&self, pod: &PodRef, dry_run: bool) -> usize {
        let mut state = self.state.lock();
        let begun = state.elapsed();
        let index = state.eviction_requests.len();
        let counted = state.trace.iter().rev().find_map(|traced| {
            match (&traced.what, traced.run == self.run) {
                (TraceEvent::ReadyCounted { taken, .. }, true) => Some(*taken),
                (
                    TraceEvent::Observed
                    | TraceEvent::PodRead(..)
                    | TraceEvent::ReadyCounted { .. }
                    | TraceEvent::WorkloadRead { .. }
                    | TraceEvent::Requested(_)
                    | TraceEvent::GroupRequested
                    | TraceEvent::ApprovalUsed(..)
                    | TraceEvent::Lease(_)
                    | TraceEvent::Released,
                    _,
                ) => None,
            }
        });
        // A run that has not counted the ready pods cannot attribute a loss to others.
        let taken_at_count = counted.unwrap_or(state.taken);
        state.eviction_requests.push(EvictionRequest {
            run: self.run,
            pod: pod.clone(),
            dry_run,
            begun,
            effect: None,
            answer: None,
            answered: None,
            taken_at_count,
        });
        state.trace.push(TraceRecord {
            run: self.run,
            begun,
            at: begun,
            what: TraceEvent::Requested(index),
        });
        index
    }
}

fn port_error(failure: Option<CallFailure>) -> PortError {
    match failure {
        Some(CallFailure::Refused(kind)) => {
            PortError::new(kind, "simulated fault: request refused")
        }
        Some(CallFailure::Lost(kind)) => PortError::new(kind, "simulated fault: response lost"),
        None => PortError::new(
            PortErrorKind::Timeout,
            "simulated fault: no response in time",
        ),
    }
}

#[async_trait]
impl MetricsSource for FaultyPorts {
    async fn loads(&self) -> Result<LoadObservation, PortError> {
        let answer = |state: &mut State| {
            let mut loads = state.answer_loads();
            if state.faults.odd() {
                state.faults.distort_loads(&mut loads);
            }
            loads
        };
        self.read(answer, |_| None).await
    }

    async fn autoscalers(&self) -> Result<Vec<AutoscalerCandidate>, PortError> {
        let answer = |state: &mut State| {
            let mut autoscalers = state.answer_autoscalers();
            if state.faults.odd() {
                state.faults.distort_autoscalers(&mut autoscalers);
            }
            autoscalers
        };
        self.read(answer, |_| None).await
    }
}

#[async_trait]
impl GroupSource for FaultyPorts {
    async fn group(&self) -> Result<Option<GroupObservation>, PortError> {
        let answer = |state: &mut State| {
            let mut group = state.answer_group();
            if state.faults.odd() {
                state.faults.distort_group(&mut group);
            }
            Some(group)
        };
        self.read(answer, |_| None).await
    }
}

#[async_trait]
impl PodActuator for FaultyPorts {
    fn workload(&self) -> &WorkloadRef {
        &self.workload
    }

    async fn observe(&self) -> Result<WorkloadObservation, PortError> {
        let answer = |state: &mut State| {
            let mut observation = state.answer_observe();
            if state.faults.odd() {
                state
                    .faults
                    .distort_autoscalers(&mut observation.autoscalers);
            }
            observation
        };
        self.read(answer, |_| Some(TraceEvent::Observed)).await
    }

    async fn read_pod(&self, pod: &PodRef) -> Result<PodState, PortError> {
        self.read(
            |state| state.answer_read_pod(pod),
            |read| Some(TraceEvent::PodRead(pod.clone(), *read)),
        )
        .await
    }

    async fn count_ready(&self, enough: usize) -> Result<usize, PortError> {
        let answer = |state: &mut State| {
            let ready = state.answer_count_ready();
            // A lower bound of at least `enough` is a valid answer.
            let reported = if ready > enough && state.faults.odd() {
                enough + state.faults.below(ready - enough)
            } else {
                ready
            };
            (reported, state.taken)
        };
        let trace = |counted: &(usize, u64)| {
            Some(TraceEvent::ReadyCounted {
                reported: counted.0,
                taken: counted.1,
            })
        };
        Ok(self.read(answer, trace).await?.0)
    }

    async fn read_workload(&self, enough: usize) -> Result<WorkloadState, PortError> {
        let answer = |state: &mut State| {
            let mut workload = state.answer_read_workload();
            if workload.ready >= enough && state.faults.odd() {
                workload.ready = enough;
                workload.failures.clear();
            }
            workload
        };
        let trace = |workload: &WorkloadState| {
            Some(TraceEvent::WorkloadRead {
                ready: workload.ready,
                rollout: workload.rollout,
            })
        };
        self.read(answer, trace).await
    }

    async fn evict(&self, pod: &PodRef, dry_run: bool) -> EvictionAnswer {
        let index = self.record_request(pod, dry_run);
        let refusal = {
            let mut state = self.state.lock();
            let odd = state.faults.odd();
            odd.then(|| (state.faults.refusal(), state.faults.round_trip()))
        };
        let answer = match refusal {
            Some((refusal, round_trip)) => {
                self.time.sleep(round_trip).await;
                refusal
            }
            None => match self.send(Request::Evict(index)).await {
                Ok(Response::Eviction(answer)) => answer,
                Ok(Response::Lease(_) | Response::Done | Response::Refused) => unknown(),
                Err(Some(CallFailure::Refused(kind))) => refused(kind),
                Err(Some(CallFailure::Lost(_)) | None) => unknown(),
            },
        };
        let mut state = self.state.lock();
        let now = state.elapsed();
        if let Some(request) = state.eviction_requests.get_mut(index) {
            request.answer = Some(answer.clone());
            request.answered = Some(now);
        }
        answer
    }

    async fn budgets(&self, pods: &[PodRef]) -> Result<Vec<DisruptionBudget>, PortError> {
        self.read(|state| state.answer_budgets(pods), |_| None)
            .await
    }
}

fn unknown() -> EvictionAnswer {
    EvictionAnswer::Unknown {
        message: "simulated fault: response lost".into(),
    }
}

/// The answer to an eviction that is refused with this kind of error.
fn refused(kind: PortErrorKind) -> EvictionAnswer {
    let message = String::from("simulated fault: request refused");
    if kind == PortErrorKind::Forbidden {
        EvictionAnswer::Forbidden { message }
    } else {
        EvictionAnswer::Failed { message }
    }
}

#[async_trait]
impl RunLease for FaultyPorts {
    async fn acquire(&self) -> Result<LeaseState, PortError> {
        self.lease(Request::Acquire).await
    }

    async fn renew(&self) -> Result<LeaseState, PortError> {
        self.lease(Request::Renew).await
    }

    async fn release(&self) -> Result<(), PortError> {
        // Whatever the result, this run no longer relies on the lease.
        self.record(self.time.elapsed(), TraceEvent::Released);
        match self.send(Request::Release(self.identity.clone())).await {
            Ok(_) => Ok(()),
            Err(failure) => Err(port_error(failure)),
        }
    }
}

#[async_trait]
impl Journal for FaultyPorts {
    async fn publish(&self, entry: &JournalEntry) -> Result<(), PortError> {
        match self.send(Request::Publish(entry.clone())).await {
            Ok(_) => Ok(()),
            Err(failure) => Err(port_error(failure)),
        }
    }

    async fn remember(&self, rotation: &Rotation) -> Result<Option<i64>, PortError> {
        match self.send(Request::Remember(rotation.clone())).await {
            Ok(_) => Ok(None),
            Err(failure) => Err(port_error(failure)),
        }
    }

    async fn propose(&self, plan: &ProposedPlan) -> Result<(), PortError> {
        match self.send(Request::Propose(plan.clone())).await {
            Ok(_) => Ok(()),
            Err(failure) => Err(port_error(failure)),
        }
    }

    async fn use_approval(&self, plan: &ProposedPlan) -> Result<Option<i64>, PortError> {
        let begun = self.time.elapsed();
        match self.send(Request::UseApproval(plan.id.clone())).await {
            Ok(Response::Refused) => Err(PortError::new(PortErrorKind::Rejected, NOT_APPROVED)),
            Ok(_) => {
                let pods = plan.victims.iter().map(Victim::reference).collect();
                self.record(begun, TraceEvent::ApprovalUsed(plan.id.clone(), pods));
                Ok(None)
            }
            Err(failure) => Err(port_error(failure)),
        }
    }
}

#[async_trait]
impl Clock for FaultyPorts {
    fn now(&self) -> Timestamp {
        self.state.lock().timestamp()
    }

    fn elapsed(&self) -> Duration {
        self.time.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        let late = self.state.lock().faults.oversleep();
        self.time.sleep(duration.saturating_add(late)).await;
    }
}
