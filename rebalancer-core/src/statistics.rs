//! Means, medians, percentiles, and the spread of a set of values.

use serde::{Deserialize, Serialize};

/// Returns the mean, or 0 for no values.
#[must_use]
pub fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0u32), |(sum, count), value| (sum + value, count + 1));
    if count == 0 {
        0.0
    } else {
        sum / f64::from(count)
    }
}

/// Returns the median; for an even number of values, the mean of the middle two.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    let middle = values.len() / 2;
    let even = values.len().is_multiple_of(2);
    if values.is_empty() {
        return None;
    }
    let (lower, upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    let upper = *upper;
    if !even {
        return Some(upper);
    }
    let lower = lower.iter().copied().max_by(f64::total_cmp)?;
    Some(f64::midpoint(lower, upper))
}

/// Returns the median of pairs of value and positive weight: half of the total weight is on either
/// side of it.
pub(crate) fn weighted_median(mut values: Vec<(f64, f64)>) -> Option<f64> {
    values.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let half = values.iter().map(|(_, weight)| weight).sum::<f64>() / 2.0;
    let mut below = 0.0;
    for (index, (value, weight)) in values.iter().enumerate() {
        below += weight;
        if below > half {
            return Some(*value);
        }
        if below == half {
            let next = values.get(index + 1);
            return Some(next.map_or(*value, |(next, _)| f64::midpoint(*value, *next)));
        }
    }
    // Reached only through rounding.
    values.last().map(|(value, _)| *value)
}

/// Returns the value below which `share` of the sorted `values` lies, interpolated between the two
/// nearest values. 0 for no values.
fn percentile(values: &[f64], share: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a number of samples")]
    let position = share * values.len().saturating_sub(1) as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index of the list"
    )]
    let below = position.floor() as usize;
    match (values.get(below), values.get(below + 1)) {
        (Some(low), Some(high)) => low + (high - low) * position.fract(),
        (Some(low), None) => *low,
        (None, _) => 0.0,
    }
}

/// The ratio of the highest to the mean load. 1 if all loads are zero.
#[must_use]
pub fn imbalance(peak: f64, mean: f64) -> f64 {
    if mean > 0.0 { peak / mean } else { 1.0 }
}

/// The distribution of a number over the samples of a forecast.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Spread {
    /// The mean, which is the expected value.
    pub mean: f64,
    /// The median. As a forecast of a single outcome it has the smallest error, because a few
    /// extreme samples shift the mean.
    pub median: f64,
    /// The 5th percentile.
    pub p5: f64,
    /// The 95th percentile.
    pub p95: f64,
}

impl Spread {
    /// The spread of `values`, of which there is at least one.
    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_unstable_by(f64::total_cmp);
        Self {
            mean: mean(values.iter().copied()),
            median: percentile(&values, 0.5),
            p5: percentile(&values, 0.05),
            p95: percentile(&values, 0.95),
        }
    }

    /// The spread of the values divided by `divisor`.
    pub(crate) fn divided_by(self, divisor: f64) -> Self {
        Self {
            mean: self.mean / divisor,
            median: self.median / divisor,
            p5: self.p5 / divisor,
            p95: self.p95 / divisor,
        }
    }

    /// Whether a value lies between the 5th and the 95th percentile, both included.
    #[must_use]
    pub fn holds(&self, value: f64) -> bool {
        (self.p5..=self.p95).contains(&value)
    }

    /// The interval to display beside the mean: from the 5th to the 95th percentile, widened to
    /// contain the mean. If less than 5 % of the samples are extreme, the mean lies outside the
    /// percentiles. The mean is displayed nevertheless, because decisions are based on it.
    #[must_use]
    pub fn interval(&self) -> (f64, f64) {
        (self.p5.min(self.mean), self.p95.max(self.mean))
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

    #[rstest]
    #[case::extreme_samples_above(1.46, 1.8)]
    #[case::extreme_samples_below(1.46, 1.0)]
    #[case::equal_samples(1.46, 1.46)]
    fn interval_contains_the_mean(#[case] usual: f64, #[case] extreme: f64) {
        // 3 % of the samples are extreme, so that both percentiles are the usual value.
        let values = (0..100).map(|number| if number < 3 { extreme } else { usual });
        let spread = Spread::of(values);
        assert_eq!((spread.p5, spread.p95), (usual, usual));
        let (low, high) = spread.interval();
        assert!(low <= spread.mean && spread.mean <= high, "{spread:?}");
        let shown = |value: f64| (value * 100.0).round();
        assert!(shown(low) <= shown(spread.mean) && shown(spread.mean) <= shown(high));
    }

    #[rstest]
    #[case(&[], None)]
    #[case(&[(2.0, 5.0)], Some(2.0))]
    #[case(&[(3.0, 1.0), (1.0, 1.0)], Some(2.0))]
    #[case(&[(3.0, 1.0), (1.0, 1.0), (9.0, 1.0)], Some(3.0))]
    #[case(&[(3.0, 1.0), (1.0, 1.0), (9.0, 3.0)], Some(9.0))]
    fn weighted_median_halves_the_weight(
        #[case] values: &[(f64, f64)],
        #[case] expected: Option<f64>,
    ) {
        assert_eq!(weighted_median(values.to_vec()), expected);
    }
}
