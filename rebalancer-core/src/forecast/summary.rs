//! The summary of many simulated executions of a plan.

use serde::{Deserialize, Serialize};

use super::chance::Chance;
use super::membership::LeaveJoinOrder;
use super::replay::{Event, Outcome, Subject};
use crate::group::ServingPodIndex;
use crate::statistics::Spread;

/// The expected effect of a plan on the group.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Forecast {
    /// The number of simulated executions.
    pub samples: usize,
    /// The highest load as a multiple of the mean.
    pub peak_to_mean: Spread,
    /// The highest load as a multiple of the target; absent without a target.
    pub peak_to_target: Option<Spread>,
    /// Pods above the threshold.
    pub hot_pods: Spread,
    /// Partitions that change their owner.
    pub moved_partitions: Spread,
    /// Seconds during which partitions are not consumed, summed over the partitions.
    pub unserved_partition_seconds: Spread,
    /// The expected fall of the highest load in percent; negative if it rises.
    pub expected_fall_percent: f64,
    /// The probability that the highest load falls, in percent.
    pub confidence_percent: f64,
    /// Whether the loads of the partitions are derived from their rates. Otherwise each pod's load
    /// is divided equally among its partitions, and the forecast is less accurate.
    pub by_rates: bool,
}

/// The settings of a simulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    /// The seed. The same seed yields the same forecast.
    pub seed: u64,
    /// The number of simulated executions, at least 1.
    pub samples: usize,
    /// The order of leaves and joins. If `None`, it is drawn for each execution.
    pub order: Option<LeaveJoinOrder>,
}

/// Forecasts the effect of replacing the pods of each wave, one wave after the other.
#[must_use]
pub fn forecast(
    subject: &Subject<'_>,
    waves: &[&[ServingPodIndex]],
    sampling: Sampling,
) -> Forecast {
    let order = sampling.order;
    simulate(subject, Event::Replacement { waves, order }, sampling)
}

/// Forecasts the effect of a rejoin: the members of `pods` are removed from the group at once and
/// return, and no pod restarts. The order of `sampling` has no effect.
#[must_use]
pub fn forecast_rejoin(
    subject: &Subject<'_>,
    pods: &[ServingPodIndex],
    sampling: Sampling,
) -> Forecast {
    simulate(subject, Event::Rejoin(pods), sampling)
}

fn simulate(subject: &Subject<'_>, event: Event<'_>, sampling: Sampling) -> Forecast {
    let outcomes: Vec<Outcome> = (0..sampling.samples.max(1))
        .map(|sample| subject.play(event, Chance::of(sampling.seed, sample)))
        .collect();
    summary(subject, &outcomes)
}

/// Summarises outcomes.
pub(crate) fn summary(subject: &Subject<'_>, outcomes: &[Outcome]) -> Forecast {
    let before = subject.peak();
    let spread = |number: fn(&Outcome) -> f64| Spread::of(outcomes.iter().map(number));
    let peak = spread(|outcome| outcome.peak);
    let falls = outcomes.iter().filter(|outcome| outcome.peak < before);
    #[expect(clippy::cast_precision_loss, reason = "numbers of samples")]
    let confidence = falls.count() as f64 / outcomes.len().max(1) as f64;
    #[expect(clippy::cast_precision_loss, reason = "numbers of pods and partitions")]
    Forecast {
        samples: outcomes.len(),
        peak_to_mean: spread(Outcome::imbalance),
        peak_to_target: subject.target.map(|target| peak.divided_by(target)),
        hot_pods: spread(|outcome| outcome.hot as f64),
        moved_partitions: spread(|outcome| outcome.moved as f64),
        unserved_partition_seconds: spread(|outcome| outcome.unserved),
        expected_fall_percent: if before > 0.0 {
            (before - peak.mean) / before * 100.0
        } else {
            0.0
        },
        confidence_percent: confidence * 100.0,
        by_rates: subject.attribution.fit.is_some(),
    }
}
