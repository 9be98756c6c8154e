//! A forecast: what the imagined executions of a plan came to, taken together.

use serde::{Deserialize, Serialize};

use super::chance::Chance;
use super::membership::Order;
use super::replay::{Outcome, Subject};

/// How a number is spread over the samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Spread {
    /// The mean: what is to be expected of many.
    pub mean: f64,
    /// The median: half are lower, half higher. As a forecast of one number it errs least, since the
    /// mean is drawn away by few that are far out.
    pub median: f64,
    /// The 5th percentile: one in twenty is lower.
    pub p5: f64,
    /// The 95th percentile: one in twenty is higher.
    pub p95: f64,
}

impl Spread {
    /// The spread of `values`, of which there is at least one; percentiles are interpolated
    /// between the two nearest values.
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_unstable_by(f64::total_cmp);
        #[expect(clippy::cast_precision_loss, reason = "a number of samples")]
        let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
        Self {
            mean,
            median: percentile(&values, 0.5),
            p5: percentile(&values, 0.05),
            p95: percentile(&values, 0.95),
        }
    }

    /// Whether a value lies between the percentiles, both included.
    #[must_use]
    pub fn holds(&self, value: f64) -> bool {
        (self.p5..=self.p95).contains(&value)
    }
}

/// The value below which that share of the sorted `values` lies.
fn percentile(values: &[f64], share: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a number of samples")]
    let place = share * values.len().saturating_sub(1) as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place in the list"
    )]
    let below = place.floor() as usize;
    let value = |place: usize| values.get(place).copied();
    match (value(below), value(below + 1)) {
        (Some(low), Some(high)) => low + (high - low) * place.fract(),
        (Some(low), None) => low,
        (None, _) => 0.0,
    }
}

/// What a plan is expected to do to the group.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Forecast {
    /// How many executions were imagined.
    pub samples: usize,
    /// The highest load as a multiple of the mean.
    pub peak_to_mean: Spread,
    /// The highest load as a multiple of the target; absent without a target.
    pub peak_to_target: Option<Spread>,
    /// Pods above the threshold.
    pub hot_pods: Spread,
    /// Partitions that will have another owner.
    pub moved_partitions: Spread,
    /// Seconds during which partitions are not served, summed over the partitions.
    pub unserved_partition_seconds: Spread,
    /// How far the highest load is expected to fall, in percent; below 0 when it rises.
    pub expected_fall_percent: f64,
    /// How likely the highest load is to fall, in percent.
    pub confidence_percent: f64,
    /// The costs of the partitions are known by their rates; otherwise each pod's load is shared
    /// equally over its partitions, and the forecast is a poorer one.
    pub by_rates: bool,
}

/// What is imagined, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    /// The seed: the same one gives the same forecast.
    pub seed: u64,
    /// How many executions are imagined, at least 1.
    pub samples: usize,
    /// The order of leaves and joins, where it is known; each is as likely otherwise.
    pub order: Option<Order>,
}

/// Forecasts the replacement of the pods of each wave, one wave after the other.
#[must_use]
pub fn forecast(subject: &Subject<'_>, waves: &[&[usize]], sampling: Sampling) -> Forecast {
    let outcomes: Vec<Outcome> = (0..sampling.samples.max(1))
        .map(|sample| subject.play(waves, sampling.order, Chance::of(sampling.seed, sample)))
        .collect();
    summary(subject, &outcomes)
}

/// Takes outcomes together.
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
        peak_to_target: subject.target.map(|target| Spread {
            mean: peak.mean / target,
            median: peak.median / target,
            p5: peak.p5 / target,
            p95: peak.p95 / target,
        }),
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

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(&[1.0], 1.0, 1.0, 1.0, 1.0)]
    #[case(&[2.0, 1.0], 1.5, 1.5, 1.05, 1.95)]
    #[case(&[5.0, 1.0, 4.0, 2.0, 3.0], 3.0, 3.0, 1.2, 4.8)]
    #[case(&[1.0, 1.0, 7.0], 3.0, 1.0, 1.0, 6.4)]
    fn percentiles_are_interpolated(
        #[case] values: &[f64],
        #[case] mean: f64,
        #[case] median: f64,
        #[case] p5: f64,
        #[case] p95: f64,
    ) {
        let spread = Spread::of(values.iter().copied());
        for (found, expected) in [
            (spread.mean, mean),
            (spread.median, median),
            (spread.p5, p5),
            (spread.p95, p95),
        ] {
            assert!((found - expected).abs() < 1e-12, "{spread:?}");
        }
        assert!(spread.holds(mean) && !spread.holds(p95 + 0.1));
    }
}
