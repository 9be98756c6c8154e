//! The state of a resident process that its probes and metrics show.

use std::sync::{Mutex, PoisonError};

use crate::metrics::ServedMetrics;

/// The state of a resident process.
#[derive(Debug, Default)]
pub(crate) struct Status {
    pub(crate) metrics: ServedMetrics,
    readiness: Mutex<Readiness>,
}

/// Whether the process is ready: it is the leader, or may become it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Readiness {
    /// The API server has not yet answered whether this process is the leader.
    #[default]
    Starting,
    Ready,
    /// A signal asked the process to stop.
    Stopping,
}

impl Status {
    /// Sets the readiness. A process that stops does not become ready again.
    pub(crate) fn set_readiness(&self, new: Readiness) {
        let mut readiness = self
            .readiness
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if *readiness != Readiness::Stopping {
            *readiness = new;
        }
    }

    pub(crate) fn readiness(&self) -> Readiness {
        *self
            .readiness
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_that_stops_does_not_become_ready_again() {
        let status = Status::default();
        assert_eq!(status.readiness(), Readiness::Starting);
        status.set_readiness(Readiness::Ready);
        assert_eq!(status.readiness(), Readiness::Ready);
        status.set_readiness(Readiness::Stopping);
        status.set_readiness(Readiness::Ready);
        assert_eq!(status.readiness(), Readiness::Stopping);
    }
}
