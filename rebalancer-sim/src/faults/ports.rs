//! The ports of a world whose calls take time and go wrong.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rebalancer_core::history::Rotation;
use rebalancer_core::model::{Autoscaler, PodRef, WorkloadRef, WorkloadState};
use rebalancer_core::ports::{
    Clock, EvictionAnswer, GroupObservation, Journal, JournalEntry, LeaseState, LoadObservation,
    MetricsSource, PodActuator, PodState, PortError, PortErrorKind, RunLease, WorkloadObservation,
};

use super::draw::{CallFailure, CallOutcome};
use super::requests::{Answer, Request};
use super::time::VirtualTime;
use super::trace::{EvictionRequest, TraceEvent, TraceRecord};
use crate::state::State;
use crate::timeline::WorldEvent;
use crate::world::SimWorld;

/// Every port of one run over a [`SimWorld`], under its fault plan. A question is answered as
/// things stood when it reached the server; what it changes happens then too, even when nobody
/// waits for the answer any more.
#[derive(Debug, Clone)]
pub struct FaultyPorts {
    world: SimWorld,
    time: VirtualTime,
    workload: WorkloadRef,
    run: usize,
    identity: String,
}

impl FaultyPorts {
    /// The ports of the run of this number; each run needs its own.
    #[must_use]
    pub fn new(world: &SimWorld, time: &VirtualTime, run: usize) -> Self {
        Self {
            world: world.clone(),
            time: time.clone(),
            workload: world.config().workload,
            run,
            identity: format!("run-{run}"),
        }
    }

    /// Who this run is to the lease.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Asks something that changes nothing. `trace` says what is to be remembered of the answer.
    async fn ask<T>(
        &self,
        answer: impl FnOnce(&mut State) -> T,
        trace: impl FnOnce(&T) -> Option<TraceEvent>,
    ) -> Result<T, PortError> {
        let (begun, fate) = self.draw();
        let CallOutcome {
            arrives, answered, ..
        } = fate;
        if let (Some(arrives), None) = (arrives, fate.trouble) {
            self.time.sleep(arrives).await;
            let answer = answer(&mut self.world.lock());
            self.time.sleep(answered.saturating_sub(arrives)).await;
            if let Some(what) = trace(&answer) {
                self.note(begun, what);
            }
            return Ok(answer);
        }
        self.time.sleep(answered).await;
        Err(in_words(fate.trouble))
    }

    /// Sends a request that changes something; the answer, or why there is none.
    async fn send(&self, request: Request) -> Result<Answer, Option<CallFailure>> {
        let (_, fate) = self.draw();
        let number = {
            let mut state = self.world.lock();
            let number = state.requests.add(request);
            if let Some(arrives) = fate.arrives {
                state.plan(arrives, WorldEvent::Arrived(number));
            }
            number
        };
        self.time.sleep(fate.answered).await;
        if fate.trouble.is_some() {
            return Err(fate.trouble);
        }
        let answer = self.world.lock().requests.answer(number);
        answer.ok_or(None)
    }

    async fn lease(
        &self,
        request: impl FnOnce(String, Duration) -> Request,
    ) -> Result<LeaseState, PortError> {
        let begun = self.time.elapsed();
        match self.send(request(self.identity.clone(), begun)).await {
            Ok(Answer::Lease(state)) => {
                self.note(begun, TraceEvent::Lease(state.clone()));
                Ok(state)
            }
            Ok(Answer::Eviction(_) | Answer::Done) => Err(in_words(None)),
            Err(trouble) => Err(in_words(trouble)),
        }
    }

    fn draw(&self) -> (Duration, CallOutcome) {
        let mut state = self.world.lock();
        let now = state.elapsed();
        (now, state.faults.fate(now))
    }

    fn note(&self, begun: Duration, what: TraceEvent) {
        let mut state = self.world.lock();
        let at = state.elapsed();
        state.trace.push(TraceRecord {
            run: self.run,
            begun,
            at,
            what,
        });
    }

    /// Writes down that an eviction is asked for; its place among those.
    fn note_request(&self, pod: &PodRef, dry_run: bool) -> usize {
        let mut state = self.world.lock();
        let begun = state.elapsed();
        let place = state.asked.len();
        let counted = state.trace.iter().rev().find_map(|traced| {
            match (&traced.what, traced.run == self.run) {
                (TraceEvent::ReadyCounted { taken, .. }, true) => Some(*taken),
                (
                    TraceEvent::Observed
                    | TraceEvent::PodRead(..)
                    | TraceEvent::ReadyCounted { .. }
                    | TraceEvent::WorkloadRead { .. }
                    | TraceEvent::Requested(_)
                    | TraceEvent::Lease(_)
                    | TraceEvent::Released,
                    _,
                ) => None,
            }
        });
        // Who has not counted has nobody else to blame.
        let taken_at_count = counted.unwrap_or(state.taken);
        state.asked.push(EvictionRequest {
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
            what: TraceEvent::Requested(place),
        });
        place
    }
}

fn in_words(trouble: Option<CallFailure>) -> PortError {
    match trouble {
        Some(CallFailure::Refused(kind)) => {
            PortError::new(kind, "refused, as the fault plan has it")
        }
        Some(CallFailure::Lost(kind)) => PortError::new(kind, "lost, as the fault plan has it"),
        None => PortError::new(PortErrorKind::Timeout, "no answer in time"),
    }
}

#[async_trait]
impl MetricsSource for FaultyPorts {
    async fn loads(&self) -> Result<LoadObservation, PortError> {
        let answer = |state: &mut State| {
            let mut loads = state.answer_loads();
            if state.faults.odd() {
                state.faults.bend_loads(&mut loads);
            }
            loads
        };
        self.ask(answer, |_| None).await
    }

    async fn group(&self) -> Result<Option<GroupObservation>, PortError> {
        let answer = |state: &mut State| {
            let mut group = state.answer_group();
            if state.faults.odd() {
                state.faults.bend_group(&mut group);
            }
            Some(group)
        };
        self.ask(answer, |_| None).await
    }

    async fn autoscalers(&self) -> Result<Vec<Autoscaler>, PortError> {
        let answer = |state: &mut State| {
            let mut autoscalers = state.answer_autoscalers();
            if state.faults.odd() {
                state.faults.bend_autoscalers(&mut autoscalers);
            }
            autoscalers
        };
        self.ask(answer, |_| None).await
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
                state.faults.bend_autoscalers(&mut observation.autoscalers);
            }
            observation
        };
        self.ask(answer, |_| Some(TraceEvent::Observed)).await
    }

    async fn read_pod(&self, pod: &PodRef) -> Result<PodState, PortError> {
        self.ask(
            |state| state.answer_read_pod(pod),
            |read| Some(TraceEvent::PodRead(pod.clone(), *read)),
        )
        .await
    }

    async fn count_ready(&self, enough: usize) -> Result<usize, PortError> {
        let answer = |state: &mut State| {
            let ready = state.answer_count_ready();
            // Any lower bound that is at least enough will do.
            let told = if ready > enough && state.faults.odd() {
                enough + state.faults.below(ready - enough)
            } else {
                ready
            };
            (told, state.taken)
        };
        let trace = |counted: &(usize, u64)| {
            Some(TraceEvent::ReadyCounted {
                reported: counted.0,
                taken: counted.1,
            })
        };
        Ok(self.ask(answer, trace).await?.0)
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
        self.ask(answer, trace).await
    }

    async fn evict(&self, pod: &PodRef, dry_run: bool) -> EvictionAnswer {
        let place = self.note_request(pod, dry_run);
        let refusal = {
            let mut state = self.world.lock();
            let odd = state.faults.odd();
            odd.then(|| (state.faults.refusal(), state.faults.round_trip()))
        };
        let answer = match refusal {
            Some((refusal, round_trip)) => {
                self.time.sleep(round_trip).await;
                refusal
            }
            None => match self.send(Request::Evict(place)).await {
                Ok(Answer::Eviction(answer)) => answer,
                Ok(Answer::Lease(_) | Answer::Done) => unknown(),
                Err(Some(CallFailure::Refused(kind))) => refused(kind),
                Err(Some(CallFailure::Lost(_)) | None) => unknown(),
            },
        };
        let mut state = self.world.lock();
        let now = state.elapsed();
        if let Some(asked) = state.asked.get_mut(place) {
            asked.answer = Some(answer.clone());
            asked.answered = Some(now);
        }
        answer
    }
}

fn unknown() -> EvictionAnswer {
    EvictionAnswer::Unknown {
        message: "lost, as the fault plan has it".into(),
    }
}

/// What a refusal of this kind says about an eviction.
fn refused(kind: PortErrorKind) -> EvictionAnswer {
    let message = String::from("refused, as the fault plan has it");
    match kind {
        PortErrorKind::Forbidden => EvictionAnswer::Forbidden { message },
        PortErrorKind::Unreachable
        | PortErrorKind::Tls
        | PortErrorKind::Timeout
        | PortErrorKind::Unauthorized
        | PortErrorKind::NotFound
        | PortErrorKind::Rejected
        | PortErrorKind::Server
        | PortErrorKind::BadAnswer
        | PortErrorKind::Setup => EvictionAnswer::Failed { message },
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
        // Whatever comes of it, this run counts on the lease no more.
        self.note(self.time.elapsed(), TraceEvent::Released);
        match self.send(Request::Release(self.identity.clone())).await {
            Ok(_) => Ok(()),
            Err(trouble) => Err(in_words(trouble)),
        }
    }
}

#[async_trait]
impl Journal for FaultyPorts {
    async fn publish(&self, entry: &JournalEntry) -> Result<(), PortError> {
        match self.send(Request::Publish(entry.clone())).await {
            Ok(_) => Ok(()),
            Err(trouble) => Err(in_words(trouble)),
        }
    }

    async fn remember(&self, rotation: &Rotation) -> Result<Option<i64>, PortError> {
        match self.send(Request::Remember(rotation.clone())).await {
            Ok(_) => Ok(None),
            Err(trouble) => Err(in_words(trouble)),
        }
    }
}

#[async_trait]
impl Clock for FaultyPorts {
    fn now(&self) -> Timestamp {
        self.world.now()
    }

    fn elapsed(&self) -> Duration {
        self.time.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        let late = self.world.lock().faults.oversleep();
        self.time.sleep(duration.saturating_add(late)).await;
    }
}
