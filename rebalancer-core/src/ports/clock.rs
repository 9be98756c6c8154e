//! The clock.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

/// The time source of the driver: the system clock, or a simulated one.
#[async_trait]
pub trait Clock: Send + Sync {
    /// The current wall-clock time. It may be set back.
    fn now(&self) -> Timestamp;

    /// The time since an arbitrary fixed instant. It never decreases.
    fn elapsed(&self) -> Duration;

    /// Returns after `duration`.
    async fn sleep(&self, duration: Duration);
}
