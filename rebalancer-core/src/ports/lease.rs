//! The lease: one run at a time acts on a workload.

use async_trait::async_trait;

use super::PortError;
use crate::lease::LeaseHolder;

/// Sees to it that only one run at a time acts on a workload.
///
/// A lease is taken before the workload is observed and given back after the last action. It
/// ends by itself [`lease::DURATION`](crate::lease::DURATION) after it was last renewed, so that
/// a run that died holds nobody up for long.
#[async_trait]
pub trait RunLease: Send + Sync {
    /// Takes the lease, unless another run holds it.
    ///
    /// # Errors
    /// When that could not be told; the lease must then be taken as not held.
    async fn acquire(&self) -> Result<LeaseState, PortError>;

    /// Renews the lease.
    ///
    /// # Errors
    /// When that could not be told; the lease may have been renewed or not.
    async fn renew(&self) -> Result<LeaseState, PortError>;

    /// Gives the lease back, if it is still held.
    ///
    /// # Errors
    /// When it could not be given back; it ends by itself.
    async fn release(&self) -> Result<(), PortError>;
}

/// Who holds a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseState {
    /// This run does.
    Held,
    /// Another run does.
    HeldBy(LeaseHolder),
}
