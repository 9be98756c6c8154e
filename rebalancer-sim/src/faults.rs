//! Faults: what goes wrong between a rebalancer and a world, and in the world by itself.
//!
//! A world whose [`SimConfig::faults`](crate::SimConfig::faults) is a [`FaultPlan`] lets calls of
//! [`FaultyPorts`] fail, stall, be lost before or after they took effect, take effect late, and
//! be answered in any way that the contract of the port allows; and things happen in it: pods
//! crash, are evicted by others, replacements do not come up, budgets and replicas change, the
//! template is rolled out, pods opt out. All of it follows from the seed of the plan, and none of
//! it touches the other randomness of a world, so that the same world can be run with and without.
//!
//! Calls take time, so they need a [`VirtualTime`] to run under.

mod draw;
mod events;
mod ports;
mod requests;
mod time;
mod trace;

use std::time::Duration;

pub(crate) use draw::{Defect, Faults};
pub use ports::FaultyPorts;
pub(crate) use requests::Requests;
pub use time::{NotFinished, RunLimits, Sleep, VirtualTime};
pub use trace::{Effect, EvictionRequest, TraceEvent, TraceRecord};

/// No client of a server waits longer for an answer.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// A request that was lost takes effect so long after it was begun, or never: no proxy and no
/// server works on what nobody waits for any more for much longer.
pub const LATEST_EFFECT: Duration = Duration::from_secs(38);

/// No process sleeps for longer beyond the time it asked for.
pub const LONGEST_OVERSLEEP: Duration = Duration::from_secs(180);

/// How much goes wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct FaultPlan {
    /// Every fault follows from this number.
    pub seed: u64,
    /// Share, 0 to 1, of the calls that fail, stall or are lost.
    pub failing: f64,
    /// Share, 0 to 1, of the calls after which the servers are out of reach for a while.
    pub outages: f64,
    /// Share, 0 to 1, of the answers that are as odd as their contract allows.
    pub odd: f64,
    /// The most that a call takes in either direction when nothing is wrong.
    pub latency: Duration,
    /// Share, 0 to 1, of the waits after which the process wakes up late.
    pub oversleeping: f64,
    /// Something happens to the world so often, on average; `None` for never.
    pub disturbed_every: Option<Duration>,
    /// Share, 0 to 1, of the new pods that do not come up.
    pub broken_pods: f64,
}

impl FaultPlan {
    /// A plan under which nothing goes wrong and calls take no time.
    #[must_use]
    pub fn none(seed: u64) -> Self {
        Self {
            seed,
            failing: 0.0,
            outages: 0.0,
            odd: 0.0,
            latency: Duration::ZERO,
            oversleeping: 0.0,
            disturbed_every: None,
            broken_pods: 0.0,
        }
    }

    /// The first field that is no share, with its value.
    pub(crate) fn invalid(&self) -> Option<(&'static str, f64)> {
        [
            ("faults.failing", self.failing),
            ("faults.outages", self.outages),
            ("faults.odd", self.odd),
            ("faults.oversleeping", self.oversleeping),
            ("faults.broken_pods", self.broken_pods),
        ]
        .into_iter()
        .find(|(_, share)| !(0.0..=1.0).contains(share))
    }
}
