//! The expected effect of an assignment.

use serde::{Deserialize, Serialize};

use crate::group::RebalanceProtocol;
use crate::statistics::mean;

/// An assignment, and its expected effect. Loads are in cores, or in the unit of a custom load
/// query.
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
    /// A lower bound of the highest load under any assignment with equal numbers of partitions, as
    /// a multiple of the mean.
    pub lowest_peak_to_mean: f64,
    /// The part that the members take in a rebalance, which determines what pauses.
    pub protocol: RebalanceProtocol,
    /// The number of rebalances that the hand-over causes if nothing disturbs it.
    pub rebalances: u32,
    /// The expected effect on the other pods, if no assignment brings some pods to their level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub others: Option<OthersForecast>,
}

/// The expected effect of an assignment on the pods that are level with each other, where others
/// stand out whatever they own: they are slow for reasons of their own, or own a heavy partition.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OthersForecast {
    /// The number of pods that stand out.
    pub outliers: usize,
    /// The highest load of the other pods now, that is the highest load after so many higher ones,
    /// as a multiple of the mean of all pods.
    pub peak_to_mean_before: f64,
    /// The expected highest load of the other pods, as a multiple of the mean of all pods.
    pub peak_to_mean: f64,
    /// The expected fall of their highest load, in percent.
    pub fall_percent: f64,
}

impl OthersForecast {
    /// Compares the loads by rank, so that a heavy partition that only changes its owner is no
    /// improvement. `None` if no pod stands out, or no other pod is left.
    pub(crate) fn new(before: &[f64], after: &[f64], outliers: usize) -> Option<Self> {
        let average = mean(before.iter().copied());
        let ranked = |loads: &[f64]| {
            let mut loads = loads.to_vec();
            loads.sort_by(|a, b| b.total_cmp(a));
            loads.get(outliers).copied()
        };
        let (before, after) = (ranked(before)?, ranked(after)?);
        (outliers > 0 && average > 0.0).then(|| Self {
            outliers,
            peak_to_mean_before: before / average,
            peak_to_mean: after / average,
            fall_percent: fall_percent(before, after),
        })
    }
}

/// The fall of a load, in percent of the load before; 0 if that is 0.
pub(crate) fn fall_percent(before: f64, after: f64) -> f64 {
    if before > 0.0 {
        100.0 * (before - after) / before
    } else {
        0.0
    }
}

impl AssignmentForecast {
    /// The expected improvement in percent: the fall of the highest load, or that of the other pods
    /// if some stand out whatever they own, whichever is greater.
    #[must_use]
    pub fn improvement_percent(&self) -> f64 {
        let others = self.others.map(|others| others.fall_percent);
        others.into_iter().fold(self.fall_percent, f64::max)
    }

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
