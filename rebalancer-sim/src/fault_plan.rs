//! The configuration of faults.

use std::time::Duration;

/// The longest time that a client waits for a response.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The latest time after its start at which a lost request takes effect. Proxies and servers do not
/// work much longer on a request whose client has given up.
pub const LATEST_EFFECT: Duration = Duration::from_secs(38);
/// The longest time that a process sleeps beyond the requested duration.
pub const LONGEST_OVERSLEEP: Duration = Duration::from_secs(180);

/// The frequency of each kind of fault. Shares are numbers from 0 to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct FaultPlan {
    /// The seed of all faults.
    pub seed: u64,
    /// The share of calls that fail, stall or are lost.
    pub failing: f64,
    /// The share of calls after which the servers are unreachable for some time.
    pub outages: f64,
    /// The share of responses that are unusual but allowed by the contract of the port.
    pub odd: f64,
    /// The longest latency of a call without faults, in each direction.
    pub latency: Duration,
    /// The share of sleeps after which the process wakes up late.
    pub oversleeping: f64,
    /// The mean time between two disturbances of the cluster; `None` for no disturbances.
    pub disturbed_every: Option<Duration>,
    /// The share of new pods that do not start.
    pub broken_pods: f64,
}

impl FaultPlan {
    /// A plan without faults and without latency.
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

    /// The first field that is not a valid share, with its value.
    pub(crate) fn invalid_share(&self) -> Option<(&'static str, f64)> {
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
