//! What went on between the runs and their world, for whoever judges it.

use std::time::Duration;

use rebalancer_core::model::{PodRef, Rollout};
use rebalancer_core::ports::{EvictionAnswer, LeaseState, PodState};

/// One request for an eviction, from its beginning on. Instants are lengths of time since the
/// world was handed over.
#[derive(Debug, Clone, PartialEq)]
pub struct EvictionRequest {
    /// The run that made it.
    pub run: usize,
    /// The pod that was asked for.
    pub pod: PodRef,
    /// It was a dry run.
    pub dry_run: bool,
    /// When it was begun.
    pub begun: Duration,
    /// What it did; `None` when it did nothing, or has not yet.
    pub effect: Option<Effect>,
    /// What the run was told; `None` when it was not told anything, or not yet.
    pub answer: Option<EvictionAnswer>,
    /// When it was told so.
    pub answered: Option<Duration>,
    /// Ready pods that others had taken away when this run last counted them.
    pub(crate) taken_at_count: u64,
}

impl EvictionRequest {
    /// It took effect when its run had been told already that the answer was lost.
    #[must_use]
    pub fn answered_before_effect(&self) -> bool {
        matches!((&self.effect, self.answered), (Some(effect), Some(told)) if told < effect.at)
    }
}

/// What an eviction did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// When.
    pub at: Duration,
    /// The pod was a ready one until then.
    pub was_ready: bool,
    /// Ready pods that were left.
    pub ready_left: usize,
    /// Ready pods that others took away since the run last counted them.
    pub taken_since_count: u64,
    /// The ready pods that the budget demanded then.
    pub budget: Option<usize>,
    /// Who held the lease then.
    pub holder: Option<String>,
}

/// Something that a run was told, or did.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceRecord {
    /// The run.
    pub run: usize,
    /// When the call was begun.
    pub begun: Duration,
    /// When it was answered; for a request, which is written down at once, when it was begun.
    pub at: Duration,
    /// What it was.
    pub what: TraceEvent,
}

/// What a run was told, or did. Calls without an answer leave no trace.
#[derive(Debug, Clone, PartialEq)]
pub enum TraceEvent {
    /// The workload was observed.
    Observed,
    /// A pod was read.
    PodRead(PodRef, PodState),
    /// The ready pods were counted.
    ReadyCounted {
        /// The number that was told, which may be a lower bound.
        reported: usize,
        /// Ready pods that others had taken away by then.
        taken: u64,
    },
    /// The workload was read.
    WorkloadRead {
        /// The ready pods.
        ready: usize,
        /// The rollout.
        rollout: Option<Rollout>,
    },
    /// An eviction was asked for: its place among the requests.
    Requested(usize),
    /// The lease was asked for or renewed.
    Lease(LeaseState),
    /// The lease was given back.
    Released,
}
