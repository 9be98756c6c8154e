//! The lease port: only one run at a time acts on a workload.

use async_trait::async_trait;

use super::PortError;
use crate::hold_record::HoldRecord;
use crate::lease::LeaseHolder;

/// The lease of one run on its workload.
///
/// A run acquires the lease before it observes the workload and releases it after the last action.
/// The lease expires [`lease::DURATION`](crate::lease::DURATION) after its last renewal, so that a
/// run that crashed does not block others for long.
#[async_trait]
pub trait RunLease: Send + Sync {
    /// Acquires the lease, unless another run holds it.
    ///
    /// # Errors
    /// If the result is unknown. The caller must treat the lease as not held.
    async fn acquire(&self) -> Result<LeaseState, PortError>;

    /// Renews the lease.
    ///
    /// # Errors
    /// If the result is unknown: the lease may or may not have been renewed.
    async fn renew(&self) -> Result<LeaseState, PortError>;

    /// Releases the lease if this run still holds it.
    ///
    /// # Errors
    /// If the lease could not be released. It then expires.
    async fn release(&self) -> Result<(), PortError>;

    /// The hold that the previous run recorded in the lease, as of the acquisition. `None` if there
    /// is none, or if the lease stores no holds.
    fn last_hold(&self) -> Option<HoldRecord> {
        None
    }

    /// Sets the hold that [`release`](Self::release) records for the next run; `None` removes the
    /// record. Without a call the record stays. Ignored if the lease stores no holds.
    fn record_hold(&self, _hold: Option<HoldRecord>) {}
}

/// The holder of a lease, as seen by one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseState {
    /// This run holds the lease.
    Held,
    /// Another run holds the lease.
    HeldBy(LeaseHolder),
}
