//! The clock.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

/// Time, for whoever drives an execution: the real one, or a simulated one.
#[async_trait]
pub trait Clock: Send + Sync {
    /// The present instant, which somebody may set back.
    fn now(&self) -> Timestamp;

    /// Time since some fixed instant; it never runs backwards.
    fn elapsed(&self) -> Duration;

    /// Returns after `duration`.
    async fn sleep(&self, duration: Duration);
}
