//! Errors of a run.

use rebalancer_core::execution::StopCause;
use rebalancer_core::ports::{PortError, PortErrorKind};
use rebalancer_core::snapshot::InvalidSnapshot;

/// Why a workload could not be observed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObserveError {
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
    /// Both ports failed.
    #[error("{metrics}; and {workload}")]
    Both {
        /// The error of the metrics source.
        #[source]
        metrics: PortError,
        /// The error of Kubernetes.
        workload: PortError,
    },
    /// The observations contradict each other.
    #[error("the observations of the workload contradict each other: {0}; run again")]
    Snapshot(#[from] InvalidSnapshot),
    /// The lease could not be acquired.
    #[error("{0}; nothing was evicted, because another run may be active")]
    Lease(#[source] PortError),
    /// The run was asked to stop first.
    #[error("{0} before a decision was made; nothing was evicted")]
    Stopped(StopCause),
}

impl ObserveError {
    /// The error of a lease that could not be acquired.
    pub(crate) fn from_lease(error: PortError) -> Self {
        if error.kind == PortErrorKind::NotFound {
            // The workload does not exist, so running without the lease would not help.
            Self::Port(error)
        } else {
            Self::Lease(error)
        }
    }
}
