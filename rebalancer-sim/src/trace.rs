//! The trace of all calls between the runs and their world, for tests that check invariants.
//!
//! Times are durations since the start of the simulation.

use std::time::Duration;

use rebalancer_core::model::{PodRef, Rollout};
use rebalancer_core::ports::{EvictionAnswer, LeaseState, PodState};

/// An eviction request.
#[derive(Debug, Clone, PartialEq)]
pub struct EvictionRequest {
    /// The run that made the request.
    pub run: usize,
    /// The pod to evict.
    pub pod: PodRef,
    /// Whether the request was a dry run.
    pub dry_run: bool,
    /// The start of the request.
    pub begun: Duration,
    /// The effect; `None` if the request had no effect, or not yet.
    pub effect: Option<Effect>,
    /// The answer that the run received; `None` if it received none, or not yet.
    pub answer: Option<EvictionAnswer>,
    /// The time of the answer.
    pub answered: Option<Duration>,
    /// Ready pods that others had taken away when this run last counted the ready pods.
    pub(crate) taken_at_count: u64,
}

impl EvictionRequest {
    /// Whether the request took effect after its run had received an answer.
    #[must_use]
    pub fn answered_before_effect(&self) -> bool {
        matches!(
            (&self.effect, self.answered),
            (Some(effect), Some(answered)) if answered < effect.at
        )
    }
}

/// The effect of an eviction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// The time of the effect.
    pub at: Duration,
    /// Whether the pod was ready until then.
    pub was_ready: bool,
    /// The number of ready pods that remained.
    pub ready_left: usize,
    /// Ready pods that others took away since the run last counted the ready pods.
    pub taken_since_count: u64,
    /// The number of ready pods that the budget demanded.
    pub budget: Option<usize>,
    /// The holder of the lease.
    pub holder: Option<String>,
}

/// An event of a run, with its times.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceRecord {
    /// The run.
    pub run: usize,
    /// The start of the call.
    pub begun: Duration,
    /// The time of the answer. For an eviction request, which is recorded immediately, the start.
    pub at: Duration,
    /// The event.
    pub what: TraceEvent,
}

/// A call of a run that was answered, or an eviction request. Calls without an answer leave no
/// trace.
#[derive(Debug, Clone, PartialEq)]
pub enum TraceEvent {
    /// The workload was observed.
    Observed,
    /// A pod was read.
    PodRead(PodRef, PodState),
    /// The ready pods were counted.
    ReadyCounted {
        /// The reported number, which may be a lower bound.
        reported: usize,
        /// Ready pods that others had taken away by then.
        taken: u64,
    },
    /// The workload was read.
    WorkloadRead {
        /// The number of ready pods.
        ready: usize,
        /// The rollout.
        rollout: Option<Rollout>,
    },
    /// An eviction was requested: its index among the eviction requests.
    Requested(usize),
    /// The coordinator of the group was asked for something else than a description.
    GroupRequested,
    /// The approval of a plan with these pods was used: its id, and the pods to evict.
    ApprovalUsed(String, Vec<PodRef>),
    /// The lease was acquired or renewed.
    Lease(LeaseState),
    /// The lease was released.
    Released,
}
