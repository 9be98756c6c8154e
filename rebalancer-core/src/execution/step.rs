//! The interface between the execution and its caller: the steps out, the events in.

use std::fmt;
use std::time::Duration;

use super::outcome::StopReason;
use crate::model::WorkloadState;
use crate::plan::Victim;
use crate::ports::{EvictionAnswer, LeaseState, PodState};

/// The next action of an execution.
///
/// The caller must perform every step, so a new kind of step is a breaking change.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Read this pod again; answer with [`ExecutionEvent::PodRead`].
    ReadPod(Victim),
    /// Count the ready pods; answer with [`ExecutionEvent::ReadyCounted`].
    CountReady {
        /// The number of ready pods that suffices. A count of at least this number may be a lower
        /// bound; a smaller one must be exact.
        enough: usize,
    },
    /// Evict this pod; answer with [`ExecutionEvent::EvictionAnswered`].
    Evict(Victim),
    /// Read the workload; answer with [`ExecutionEvent::WorkloadRead`].
    ReadWorkload {
        /// The number of ready pods that suffices, as in [`Step::CountReady`].
        enough: usize,
    },
    /// Renew the lease; answer with [`ExecutionEvent::LeaseRenewed`].
    RenewLease,
    /// Wait for this long; answer with [`ExecutionEvent::Elapsed`].
    Wait(Duration),
    /// Nothing is left to do: the execution has ended.
    Done,
}

/// The result of a [`Step`], or a request from outside.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ExecutionEvent {
    /// The state of the pod, or why it could not be read.
    PodRead(Result<PodState, String>),
    /// The number of ready pods, or why they could not be counted.
    ReadyCounted(Result<usize, String>),
    /// The answer to the eviction request.
    EvictionAnswered(EvictionAnswer),
    /// The state of the workload, or why it could not be read.
    WorkloadRead(Result<WorkloadState, String>),
    /// The result of renewing the lease.
    LeaseRenewed {
        /// The time at which the renewal was requested. A renewed lease is valid from then on.
        asked: Duration,
        /// The holder of the lease, or why it could not be determined.
        state: Result<LeaseState, String>,
    },
    /// The wait is over.
    Elapsed,
    /// The run must end. Pass this event between two actions: wait for the response to a pending
    /// eviction first, so that its outcome is known.
    Stop(StopCause),
    /// A freeze window, given as it was configured, has begun. Pass this event between two
    /// actions, as for a stop. It has no effect once the last eviction has been requested.
    Frozen(String),
    /// Evictions could not be recorded, although a limit counts them; why. Pass this event between
    /// two actions.
    Unrecorded(String),
    /// The operator's order not to act, which was read together with the ready pods, or why it
    /// could not be read. It has no effect once the last eviction has been requested.
    Paused(Result<String, String>),
}

/// The cause of a stop requested by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopCause {
    /// A signal.
    Signal,
    /// The run timeout.
    RunTimeout,
    /// A freeze window has begun.
    Frozen,
    /// The lease no longer excludes other runs.
    LeaseLost,
}

impl StopCause {
    pub(crate) fn reason(self) -> StopReason {
        match self {
            Self::Signal => StopReason::Stopped,
            Self::RunTimeout => StopReason::RunTimeout,
            Self::Frozen => StopReason::Frozen,
            Self::LeaseLost => StopReason::LeaseLost,
        }
    }
}

impl fmt::Display for StopCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Signal => "a stop was requested",
            Self::RunTimeout => "the run timeout was reached",
            Self::Frozen => "a freeze window has begun",
            Self::LeaseLost => "the lease was lost, so another run may be active",
        })
    }
}
