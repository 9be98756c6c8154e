//! The lease during an execution: when to renew it, and whether it is still held.
//!
//! The lease is renewed between two actions once the last renewal is older than
//! [`RENEW_AFTER`]. It is not renewed between the read of a pod and its eviction, since the read
//! would then be outdated, unless the last renewal is older than [`SAFE_FOR`]. From then on, every
//! action requires a renewal first, and a failed renewal ends the execution.

use std::time::Duration;

use crate::lease::{RENEW_AFTER, SAFE_FOR};
use crate::ports::LeaseState;

/// The pause after a failed renewal.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// The renewals of the run's lease, on the clock of the execution.
#[derive(Debug, Clone, Copy)]
pub struct LeaseRenewal {
    /// The time at which the last successful renewal was requested.
    renewed: Duration,
    /// The earliest time of the next attempt.
    next_attempt: Duration,
}

impl LeaseRenewal {
    /// A lease whose acquisition or last renewal was requested at `renewed`.
    #[must_use]
    pub fn new(renewed: Duration) -> Self {
        Self {
            renewed,
            next_attempt: renewed,
        }
    }

    /// Whether the lease must be renewed before the next action. `in_eviction` is true
    /// between the read of a pod and its eviction.
    #[must_use]
    pub fn is_due(&self, now: Duration, in_eviction: bool) -> bool {
        let age = self.age(now);
        age > SAFE_FOR || age > RENEW_AFTER && now >= self.next_attempt && !in_eviction
    }

    /// Whether the lease certainly excludes other runs, so that an action may begin.
    #[must_use]
    pub fn is_safe(&self, now: Duration) -> bool {
        self.age(now) <= SAFE_FOR
    }

    /// Applies the result of a renewal that was requested at `asked`.
    ///
    /// # Errors
    /// The reason why the lease no longer protects the run.
    pub fn handle(
        &mut self,
        now: Duration,
        asked: Duration,
        result: Result<LeaseState, String>,
    ) -> Result<(), String> {
        match result {
            Ok(LeaseState::Held) => {
                self.renewed = self.renewed.max(asked);
                Ok(())
            }
            Ok(LeaseState::HeldBy(holder)) => {
                Err(format!("the lease is now held by {}", holder.identity))
            }
            Err(why) => {
                self.next_attempt = now + RETRY_PAUSE;
                if self.age(now) <= SAFE_FOR {
                    return Ok(());
                }
                Err(format!("the lease could not be renewed in time: {why}"))
            }
        }
    }

    fn age(&self, now: Duration) -> Duration {
        now.saturating_sub(self.renewed)
    }
}
