//! The expected effect of an assignment.

use serde::{Deserialize, Serialize};

use crate::group::RebalanceProtocol;

/// An assignment, and its expected effect. Loads are in cores, or in the unit of a custom load query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AssignmentForecast {
    /// The number of partitions that get another owner.
    pub moves: usize,
    /// The sum of their loads.
    pub moved_load: f64,
    /// The sum of their loads, in percent of the loads of all ready pods.
    pub moved_percent: f64,
    /// The highest load now.
    pub peak_before: f64,
    /// The expected highest load.
    pub peak: f64,
    /// The expected highest load as a multiple of the mean.
    pub peak_to_mean: f64,
    /// The expected fall of the highest load, in percent.
    pub fall_percent: f64,
    /// A lower bound of the highest load under any assignment with equal numbers of partitions, as a
    /// multiple of the mean.
    pub lowest_peak_to_mean: f64,
    /// The part that the members take in a rebalance, which determines what pauses.
    pub protocol: RebalanceProtocol,
    /// The number of rebalances that the hand-over causes if nothing disturbs it.
    pub rebalances: u32,
}

impl AssignmentForecast {
    /// The rebalances and what pauses in them, as a clause. The document docs/assign.md has
    /// measurements.
    #[must_use]
    pub fn disturbance(&self) -> String {
        let rebalances = self.rebalances;
        match self.protocol {
            RebalanceProtocol::Cooperative => format!(
                "{rebalances} rebalances, in which the members go on consuming; a partition that \
                 moves pauses for a moment, usually less than 0.1 s"
            ),
            RebalanceProtocol::Eager => format!(
                "{rebalances} rebalances, in each of which all partitions pause until every member \
                 has rejoined, usually one heartbeat interval (3 s by default)"
            ),
        }
    }
}
