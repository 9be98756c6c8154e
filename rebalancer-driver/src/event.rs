//! Events of a run, and the observers that receive them.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rebalancer_core::execution::{ExecutionReport, StaticMemberReport};
use rebalancer_core::handover::{HandoverDocument, HandoverStage, HandoverWork};
use rebalancer_core::hold_record::HeldSince;
use rebalancer_core::lease::LeaseHolder;
use rebalancer_core::model::WorkloadRef;
use rebalancer_core::plan::Victim;
use rebalancer_core::ports::{EvictionAnswer, PortError};
use rebalancer_core::report::FollowUp;
use rebalancer_core::snapshot::AutoscalerByName;
use rebalancer_core::{Decision, Snapshot};

use crate::error::ObserveError;

/// Receives the events of a run, in order.
pub trait RunObserver: Send + Sync {
    /// Handles one event. The run waits for this call, so it must not block.
    fn event(&self, event: &RunEvent<'_>);
}

/// An observer that ignores every event.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoObserver;

impl RunObserver for NoObserver {
    fn event(&self, _: &RunEvent<'_>) {}
}

impl<T: RunObserver + ?Sized> RunObserver for &T {
    fn event(&self, event: &RunEvent<'_>) {
        (**self).event(event);
    }
}

impl<T: RunObserver + ?Sized> RunObserver for Arc<T> {
    fn event(&self, event: &RunEvent<'_>) {
        (**self).event(event);
    }
}

/// Passes each event to both observers, the first one first.
impl<A: RunObserver, B: RunObserver> RunObserver for (A, B) {
    fn event(&self, event: &RunEvent<'_>) {
        self.0.event(event);
        self.1.event(event);
    }
}

/// Something that happened in a run.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunEvent<'a> {
    /// A wait has begun, or the one in progress has changed. It lasts until the next of these or
    /// until [`RunEvent::WaitEnded`].
    Waiting(&'a Wait),
    /// The wait is over.
    WaitEnded,
    /// The run holds the lease.
    LeaseAcquired,
    /// Another run holds the lease. The workload is observed, but not changed.
    LeaseHeldByAnother(&'a LeaseHolder),
    /// The lease was not released on purpose: an eviction may still take effect, or the group is
    /// not at rest after a hand-over, so no other run may act until the lease expires.
    LeaseKept,
    /// The lease was released.
    LeaseReleased,
    /// The lease could not be released, and will expire.
    LeaseNotReleased {
        /// The error of the port.
        error: &'a PortError,
    },
    /// The metrics source returned the loads.
    LoadsRead {
        /// The number of samples.
        samples: usize,
    },
    /// The workload and its pods were read.
    WorkloadRead {
        /// The number of pods.
        pods: usize,
    },
    /// The consumer group was read.
    GroupRead {
        /// The number of partitions with a known owner.
        owned_partitions: usize,
    },
    /// The consumer group could not be read; the run goes on without it.
    GroupUnknown {
        /// The error of the port.
        error: &'a PortError,
    },
    /// The autoscalers could not be read; the run goes on with the configured target.
    AutoscalersUnknown {
        /// The error of the port.
        error: &'a PortError,
    },
    /// An autoscaler was chosen by its name although it scales another object.
    AutoscalerChosenByName(&'a AutoscalerByName),
    /// The workload could not be observed; the run ends.
    ObserveFailed {
        /// The workload.
        workload: &'a WorkloadRef,
        /// Why it could not be observed.
        error: &'a ObserveError,
    },
    /// Everything that the decision needs was read.
    Observed(&'a Snapshot),
    /// The decision was made.
    Decided(&'a Decision),
    /// The decision is to hold, and the time for which runs have held for this reason is known.
    Held(&'a HeldSince),
    /// The PodDisruptionBudgets could not be read; the dry run checks each eviction alone.
    BudgetsUnknown {
        /// The error of the port.
        error: &'a PortError,
    },
    /// An eviction is about to be requested.
    EvictionRequested {
        /// The pod.
        victim: &'a Victim,
        /// Whether the server only checks whether it would evict.
        dry_run: bool,
    },
    /// The request for an eviction was answered, or its answer was lost.
    EvictionAnswered {
        /// The pod.
        victim: &'a Victim,
        /// The answer.
        answer: &'a EvictionAnswer,
        /// Whether the server only checked whether it would evict.
        dry_run: bool,
    },
    /// The number of ready pods, while replacements start; emitted when it changes.
    ReplacementsPending {
        /// The number of ready pods.
        ready: usize,
        /// The number that is waited for.
        wanted: usize,
    },
    /// A port failed during the execution, which decides what follows from it.
    PortFailed {
        /// The error of the port.
        error: &'a PortError,
    },
    /// The execution pauses before its next step.
    Paused(Duration),
    /// The execution is over.
    Executed(&'a ExecutionReport),
    /// The hand-over of an assignment, or the rejoin of members, has begun.
    HandOverStarted {
        /// The planned work.
        work: HandoverWork,
    },
    /// The hand-over of an assignment, or the rejoin of members, is over, or did not begin.
    HandedOver(&'a HandoverDocument),
    /// The outcome for a static member of an evicted pod is known.
    StaticMemberSettled(&'a StaticMemberReport),
    /// The journal failed; the run goes on.
    JournalFailed {
        /// The entry that could not be written.
        write: JournalWrite,
        /// The error of the port.
        error: &'a PortError,
    },
    /// The follow-up of a rotation has begun.
    FollowUpStarted {
        /// The longest that it may take.
        limit: Duration,
    },
    /// The group has not settled yet.
    NotSettled {
        /// The missing condition.
        reason: &'a str,
    },
    /// The follow-up of a rotation is over.
    FollowedUp(&'a FollowUp),
}

/// An entry of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JournalWrite {
    /// An event for people and their alerts.
    Event,
    /// The rotation, for later runs.
    Rotation,
}

/// A wait in progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// The reason for the wait.
    pub reason: WaitReason,
    /// The time that has passed already.
    pub elapsed: Duration,
    /// The time after which the run gives up, counted from the beginning of the wait.
    pub limit: Option<Duration>,
}

impl Wait {
    /// A wait that begins now and has no limit of its own.
    pub(crate) fn new(reason: WaitReason) -> Self {
        Self {
            reason,
            elapsed: Duration::ZERO,
            limit: None,
        }
    }

    /// Sets the limit of the wait, and the part of it that has passed.
    pub(crate) fn within(self, elapsed: Duration, limit: Duration) -> Self {
        Self {
            elapsed,
            limit: Some(limit),
            ..self
        }
    }
}

/// The reason for a wait. Its `Display` is a phrase for people.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitReason {
    /// The lease is being acquired.
    LeaseAcquisition,
    /// The lease is being renewed.
    LeaseRenewal,
    /// The lease is being released.
    LeaseRelease,
    /// Loads and pods are being read.
    Observation,
    /// Replacements of evicted pods are starting.
    Replacements {
        /// The number of ready pods, once it is known.
        ready: Option<usize>,
        /// The number that is waited for.
        wanted: usize,
    },
    /// Evictions that were refused for now are tried again later.
    Evictions {
        /// The number of pods.
        pods: usize,
        /// The PodDisruptionBudgets that refused; empty when the API server was too busy.
        budgets: BTreeSet<String>,
    },
    /// Evicted pods have to be gone before their static members are removed.
    StaticMembers {
        /// The number of members.
        members: usize,
    },
    /// The group is settling after a rotation.
    Settling,
    /// An assignment is being handed out.
    HandOver(HandoverStage),
    /// Members are removed from the group, and rejoin.
    Rejoin(HandoverStage),
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeaseAcquisition => f.write_str("acquiring the lease"),
            Self::LeaseRenewal => f.write_str("renewing the lease"),
            Self::LeaseRelease => f.write_str("releasing the lease"),
            Self::Observation => f.write_str("reading metrics and pods"),
            Self::Replacements {
                ready: Some(ready),
                wanted,
            } => write!(
                f,
                "waiting for replacements, {ready} of {wanted} pods are ready"
            ),
            Self::Replacements { ready: None, .. } => f.write_str("waiting for replacements"),
            Self::Evictions { pods, budgets } => {
                f.write_str("waiting for ")?;
                if budgets.is_empty() {
                    f.write_str("the API server, which is too busy,")?;
                } else {
                    let names: Vec<&str> = budgets.iter().map(String::as_str).collect();
                    write!(f, "PodDisruptionBudget {}", names.join(", "))?;
                }
                let evictions = if *pods == 1 { "eviction" } else { "evictions" };
                write!(f, " to allow {pods} {evictions}")
            }
            Self::HandOver(stage) => write!(f, "handing out the assignment: {stage}"),
            Self::Rejoin(stage) => write!(f, "letting members rejoin: {stage}"),
            Self::StaticMembers { members } => {
                let noun = if *members == 1 { "member" } else { "members" };
                write!(
                    f,
                    "waiting to remove {members} static {noun} of evicted pods"
                )
            }
            Self::Settling => f.write_str("waiting for the group to settle"),
        }
    }
}
