//! The wait of an execution, for progress displays.

use std::collections::BTreeSet;
use std::time::Duration;

/// A wait of the execution. The times are those of its clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The event that ends the wait.
    pub awaited: Awaited,
    /// The start of the wait.
    pub since: Duration,
    /// The deadline of the wait.
    pub until: Duration,
}

/// The event for which an execution waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Awaited {
    /// All replacements are ready.
    Replacements {
        /// The number of ready pods to reach: that of the baseline.
        wanted: usize,
    },
    /// The server accepts evictions that it has refused for now.
    Evictions {
        /// The number of refused evictions.
        pods: usize,
        /// The PodDisruptionBudgets that refused them; empty if the server was too busy.
        budgets: BTreeSet<String>,
    },
}
