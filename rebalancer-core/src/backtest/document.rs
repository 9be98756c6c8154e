//! The document of a backtest.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::hold_reason::HoldReason;
use crate::model::Seconds;
use crate::policy::Strategy;

/// The decisions of the past. Imbalances (max/mean) are over the eligible pods.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BacktestReport {
    /// The strategy.
    pub strategy: Strategy,
    /// The time of the first run.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub since: Timestamp,
    /// The time of the last run.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub until: Timestamp,
    /// The interval between two runs, in seconds.
    pub step_seconds: Seconds,
    /// The number of runs.
    pub runs: usize,
    /// The number of runs without a load of any pod, which would have failed.
    pub runs_without_data: usize,
    /// The number of pods that would have been evicted, each eviction counted.
    pub evictions: usize,
    /// The runs that would have acted, in order.
    pub actions: Vec<BacktestAction>,
    /// The reasons of the other runs, the most frequent first.
    pub holds: Vec<BacktestHold>,
    /// The imbalance over time.
    pub imbalance: BacktestImbalance,
    /// The assumptions of the results about facts that are not known.
    pub assumptions: Vec<String>,
}

/// A run that would have acted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BacktestAction {
    /// The time of the run.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub at: Timestamp,
    /// `rotate`, `assign` or `rejoin`.
    pub action: String,
    /// The pods that would have been evicted, or whose members would have rejoined, in order.
    pub pods: Vec<String>,
    /// The number of partitions that would have been handed to another member.
    pub moves: usize,
    /// The decision in one sentence.
    pub message: String,
    /// The imbalance before it.
    pub imbalance_before: Option<f64>,
    /// The imbalance that the decision expected afterwards: by the forecast of the group if there
    /// is one, else if the hottest pods fell to the mean of the chosen pods.
    pub imbalance_expected: Option<f64>,
    /// The 90 % interval of the forecast; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imbalance_range: Option<(f64, f64)>,
}

/// A hold reason, and how often runs held for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BacktestHold {
    /// The reason.
    pub reason: HoldReason,
    /// Whether the reason means missing data, so that the runs would have failed.
    pub missing_data: bool,
    /// The number of runs.
    pub runs: usize,
    /// The time that these runs stand for, in seconds.
    pub seconds: Seconds,
    /// The longest time without another outcome, in seconds.
    pub longest_seconds: Seconds,
    /// The mean imbalance of these runs; absent if it was not known in any of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_imbalance: Option<f64>,
    /// The time of the last of these runs.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub last: Timestamp,
    /// The message of the last of these runs.
    pub message: String,
}

/// The imbalance over time, as it was measured and as the actions may have changed it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BacktestImbalance {
    /// The lowest.
    pub min: Option<f64>,
    /// The mean.
    pub mean: Option<f64>,
    /// The highest.
    pub max: Option<f64>,
    /// The last one that is known.
    pub last: Option<f64>,
    /// The imbalance of each run; null where it is not known.
    pub series: Vec<Option<f64>>,
    /// The mean with the actions; absent without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_with_actions: Option<f64>,
    /// The imbalance of each run with the actions before it, if each lowered the imbalance above 1
    /// by the part that its decision expected, until the next action; absent without actions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub with_actions: Vec<Option<f64>>,
}

impl BacktestImbalance {
    /// Summarises the imbalance of each run, and that with the actions.
    pub(super) fn of(series: Vec<Option<f64>>, with_actions: Vec<Option<f64>>) -> Self {
        let known = || series.iter().flatten().copied();
        Self {
            min: known().reduce(f64::min),
            mean: mean(&series),
            max: known().reduce(f64::max),
            last: known().next_back(),
            mean_with_actions: mean(&with_actions),
            series,
            with_actions,
        }
    }
}

/// The mean of the known values; `None` if there are none.
fn mean(series: &[Option<f64>]) -> Option<f64> {
    let known = || series.iter().flatten().copied();
    known().next()?;
    Some(crate::statistics::mean(known()))
}
