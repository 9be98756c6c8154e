//! What each pod's load is made of.

use serde::{Deserialize, Serialize};

/// Up to so many pods each pair of them is looked at; beyond, each pod is paired with so many
/// others, which is as good and does not grow with the square.
const PARTNERS: usize = 100;

/// A residual is out of the ordinary beyond so many robust standard deviations (Iglewicz and
/// Hoaglin's 3.5), the standard deviation being 1.4826 times the median of the absolute residuals.
const OUTLYING: f64 = 3.5;
const DEVIATIONS_PER_MEDIAN: f64 = 1.4826;

/// A pod is slow by itself only where that is at least this share of what its partitions explain:
/// in a group that fits very well a residual of nothing much would be out of the ordinary too.
const SLOW_SHARE: f64 = 0.25;

/// How loads are explained: `load = base + cost × Σ rates of its partitions + residual`.
///
/// Base and cost are fitted by the method of Theil and Sen (the median of the slopes between pods,
/// then the median of what is left), which up to a quarter of odd pods do not move. A slope weighs as
/// much as the rates of its two pods differ (Jaeckel 1972): between pods that do the same it is nothing
/// but noise, and one hot pod among many alike would be outvoted. Neither base nor cost is below zero:
/// where they would be, the line goes through the origin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Fit {
    /// What a pod spends whatever it owns, in cores.
    pub base: f64,
    /// What a record or byte per second costs, in cores.
    pub cost: f64,
    /// The share of the variance of the loads that is explained, 0 to 1, over the pods that are
    /// not slow by themselves.
    pub goodness: f64,
}

/// What each pod's load is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribution {
    /// The fit; `None` without rates, when each pod's load is shared equally over its partitions.
    pub fit: Option<Fit>,
    /// The load that each partition brings wherever it goes, in cores.
    pub partitions: Vec<f64>,
    /// What a pod spends whatever it owns, in cores.
    pub base: f64,
    /// What each pod spends beyond base and partitions, in cores; below zero where it spends
    /// less, 0 where it was not measured.
    pub residuals: Vec<f64>,
    /// The pods that are slow by themselves: far beyond what their partitions explain.
    pub slow: Vec<usize>,
}

impl Attribution {
    /// Explains `loads`, of which pods that were not measured have none, by the owners of the
    /// partitions (the place of the pod) and by their rates.
    #[must_use]
    pub fn new(loads: &[Option<f64>], owners: &[Option<usize>], rates: Option<&[f64]>) -> Self {
        match rates {
            Some(rates) => Self::by_rates(loads, owners, rates),
            None => Self::by_counts(loads, owners),
        }
    }

    fn by_counts(loads: &[Option<f64>], owners: &[Option<usize>]) -> Self {
        let mut counts = vec![0.0; loads.len()];
        for owner in owners.iter().flatten() {
            if let Some(count) = counts.get_mut(*owner) {
                *count += 1.0;
            }
        }
        let measured: f64 = loads.iter().flatten().sum();
        let owned: f64 = loads
            .iter()
            .zip(&counts)
            .filter_map(|(load, count)| load.map(|_| *count))
            .sum();
        let average = if owned > 0.0 { measured / owned } else { 0.0 };
        let of_owner = |owner: &Option<usize>| {
            let load = (*owner).and_then(|owner| *loads.get(owner)?);
            let count = (*owner).and_then(|owner| counts.get(owner).copied());
            match (load, count) {
                (Some(load), Some(count)) if count > 0.0 => load / count,
                // Of a pod that was not measured, or of nobody.
                (Some(_) | None, Some(_) | None) => average,
            }
        };
        let residual = |(load, count): (&Option<f64>, &f64)| match load {
            // What a pod spends that owns nothing stays with it.
            Some(load) if *count == 0.0 => *load,
            Some(_) | None => 0.0,
        };
        Self {
            fit: None,
            partitions: owners.iter().map(of_owner).collect(),
            base: 0.0,
            residuals: loads.iter().zip(&counts).map(residual).collect(),
            slow: Vec::new(),
        }
    }

    fn by_rates(loads: &[Option<f64>], owners: &[Option<usize>], rates: &[f64]) -> Self {
        let mut sums = vec![0.0; loads.len()];
        for (owner, rate) in owners.iter().zip(rates) {
            if let Some(sum) = owner.and_then(|owner| sums.get_mut(owner)) {
                *sum += rate;
            }
        }
        let points: Vec<(f64, f64)> = sums
            .iter()
            .zip(loads)
            .filter_map(|(sum, load)| Some((*sum, (*load)?)))
            .collect();
        let (base, cost) = line(&points);
        let residuals: Vec<f64> = sums
            .iter()
            .zip(loads)
            .map(|(sum, load)| load.map_or(0.0, |load| load - base - cost * sum))
            .collect();
        let slow = slow(&residuals, &sums, base, cost);
        let ordinary: Vec<(f64, f64)> = (0..)
            .zip(residuals.iter().zip(loads))
            .filter(|(place, _)| !slow.contains(place))
            .filter_map(|(_, (residual, load))| Some((*residual, (*load)?)))
            .collect();
        Self {
            fit: Some(Fit {
                base,
                cost,
                goodness: goodness(&ordinary),
            }),
            partitions: rates.iter().map(|rate| cost * rate).collect(),
            base,
            residuals,
            slow,
        }
    }
}

/// Base and cost of the line through the points of rates and loads.
fn line(points: &[(f64, f64)]) -> (f64, f64) {
    let through_origin = || {
        let slopes = points.iter().filter(|(rate, _)| *rate > 0.0);
        let slopes = slopes.map(|(rate, load)| load / rate);
        (0.0, median(slopes.collect()).unwrap_or(0.0))
    };
    // Of two points any line would be as good.
    if points.len() < 3 {
        return through_origin();
    }
    let slope = |a: &(f64, f64), b: &(f64, f64)| {
        let distance = b.0 - a.0;
        (distance != 0.0).then(|| ((b.1 - a.1) / distance, distance.abs()))
    };
    let reach = PARTNERS.min(points.len() - 1);
    // Each pair once as long as all are within reach.
    let all = points.len() <= PARTNERS;
    let slopes = points.iter().enumerate().flat_map(|(first, a)| {
        (1..=reach).filter_map(move |step| {
            let second = first + step;
            if all && second >= points.len() {
                return None;
            }
            slope(a, points.get(second % points.len())?)
        })
    });
    let Some(cost) = weighted_median(slopes.collect()) else {
        return through_origin();
    };
    let cost = cost.max(0.0);
    let base = median(
        points
            .iter()
            .map(|(rate, load)| load - cost * rate)
            .collect(),
    );
    match base {
        Some(base) if base >= 0.0 => (base, cost),
        Some(_) | None => through_origin(),
    }
}

fn slow(residuals: &[f64], sums: &[f64], base: f64, cost: f64) -> Vec<usize> {
    let spread = median(residuals.iter().map(|residual| residual.abs()).collect()).unwrap_or(0.0);
    let limit = OUTLYING * DEVIATIONS_PER_MEDIAN * spread;
    let pods = residuals.iter().zip(sums).enumerate();
    pods.filter(|(_, (residual, sum))| {
        let explained = base + cost * **sum;
        **residual > limit && **residual > SLOW_SHARE * explained && explained > 0.0
    })
    .map(|(place, _)| place)
    .collect()
}

/// The explained share of the variance of residuals and loads.
fn goodness(points: &[(f64, f64)]) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a number of pods")]
    let count = points.len() as f64;
    let mean = points.iter().map(|(_, load)| load).sum::<f64>() / count;
    let total: f64 = points.iter().map(|(_, load)| (load - mean).powi(2)).sum();
    let left: f64 = points.iter().map(|(residual, _)| residual.powi(2)).sum();
    // Loads that are all alike leave nothing to explain.
    if total > 0.0 {
        (1.0 - left / total).clamp(0.0, 1.0)
    } else {
        1.0
    }
}

/// The median; of an even number the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> Option<f64> {
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

/// The median of values, each with its weight above zero: half of the weight is on either side.
fn weighted_median(mut values: Vec<(f64, f64)>) -> Option<f64> {
    values.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let half = values.iter().map(|(_, weight)| weight).sum::<f64>() / 2.0;
    let mut below = 0.0;
    for (place, (value, weight)) in values.iter().enumerate() {
        below += weight;
        if below > half {
            return Some(*value);
        }
        if below == half {
            let next = values.get(place + 1);
            return Some(next.map_or(*value, |(next, _)| f64::midpoint(*value, *next)));
        }
    }
    // Only what rounding leaves.
    values.last().map(|(value, _)| *value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn base_and_cost_are_found_whatever_a_few_odd_pods_do() {
        let rates: Vec<f64> = (0..12).map(|number| f64::from(number) * 10.0).collect();
        let owners: Vec<Option<usize>> = (0..12).map(Some).collect();
        let mut loads: Vec<Option<f64>> =
            rates.iter().map(|rate| Some(0.2 + 0.01 * rate)).collect();
        loads[3] = Some(5.0);
        loads[7] = None;
        let attribution = Attribution::new(&loads, &owners, Some(&rates));
        let fit = attribution.fit.unwrap();
        assert!(close(fit.base, 0.2) && close(fit.cost, 0.01), "{fit:?}");
        assert!(close(fit.goodness, 1.0));
        assert_eq!(attribution.slow, [3]);
        assert!(close(attribution.residuals[3], 4.5));
        assert!(close(attribution.residuals[7], 0.0));
        assert!(close(attribution.partitions[5], 0.5));
    }

    #[rstest]
    #[case::no_spread(&[5.0, 5.0, 5.0, 5.0], &[1.0, 1.0, 1.1, 0.9], 0.0, 0.2)]
    #[case::two_pods(&[1.0, 3.0], &[0.5, 1.5], 0.0, 0.5)]
    #[case::two_pods_that_differ(&[1.0, 2.0], &[0.5, 0.6], 0.0, 0.4)]
    #[case::below_the_origin(&[1.0, 2.0, 3.0], &[0.1, 1.0, 1.9], 0.0, 0.5)]
    #[case::the_wrong_way(&[1.0, 2.0, 3.0], &[1.9, 1.0, 0.1], 1.0, 0.0)]
    #[case::nothing_arrives(&[0.0, 0.0, 0.0], &[0.1, 0.2, 0.3], 0.0, 0.0)]
    fn neither_base_nor_cost_is_below_zero(
        #[case] rates: &[f64],
        #[case] loads: &[f64],
        #[case] base: f64,
        #[case] cost: f64,
    ) {
        let owners: Vec<Option<usize>> = (0..rates.len()).map(Some).collect();
        let loads: Vec<Option<f64>> = loads.iter().copied().map(Some).collect();
        let fit = Attribution::new(&loads, &owners, Some(rates)).fit.unwrap();
        assert!(close(fit.base, base) && close(fit.cost, cost), "{fit:?}");
    }

    #[test]
    fn pods_that_do_the_same_do_not_outvote_the_one_that_does_more() {
        // As measured: the same but for the last digits, and the loads of some noise.
        let rates = [24.0, 24.000_001, 23.999_999, 24.000_002, 24.0, 72.0];
        let loads = [0.341, 0.339, 0.34, 0.342, 0.34, 0.82].map(Some);
        let owners: Vec<Option<usize>> = (0..6).map(Some).collect();
        let attribution = Attribution::new(&loads, &owners, Some(&rates));
        let fit = attribution.fit.unwrap();
        assert!((fit.cost - 0.01).abs() < 1e-4, "{fit:?}");
        assert!((fit.base - 0.1).abs() < 5e-3, "{fit:?}");
        assert!(fit.goodness > 0.99, "{fit:?}");
        assert_eq!(attribution.slow, [0; 0]);
    }

    #[rstest]
    #[case(&[], None)]
    #[case(&[(2.0, 5.0)], Some(2.0))]
    #[case(&[(3.0, 1.0), (1.0, 1.0)], Some(2.0))]
    #[case(&[(3.0, 1.0), (1.0, 1.0), (9.0, 1.0)], Some(3.0))]
    #[case(&[(3.0, 1.0), (1.0, 1.0), (9.0, 3.0)], Some(9.0))]
    fn half_of_the_weight_is_on_either_side(
        #[case] values: &[(f64, f64)],
        #[case] expected: Option<f64>,
    ) {
        assert_eq!(weighted_median(values.to_vec()), expected);
    }

    #[test]
    fn rates_that_explain_nothing_are_seen() {
        let rates = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let loads = [3.0, 1.0, 2.0, 3.0, 1.0, 2.0].map(Some);
        let owners: Vec<Option<usize>> = (0..6).map(Some).collect();
        let fit = Attribution::new(&loads, &owners, Some(&rates)).fit.unwrap();
        assert!(fit.goodness < 0.3, "{fit:?}");
    }

    #[test]
    fn a_line_worse_than_the_mean_explains_nothing() {
        assert!(close(goodness(&[(1.0, 1.0), (-1.0, 1.5)]), 0.0));
    }

    /// The median of the absolute residuals is 0.1, so that 3.5 deviations are 0.519.
    #[rstest]
    #[case::within_the_ordinary(0.518, 1.0, &[])]
    #[case::out_of_the_ordinary(0.52, 1.0, &[6])]
    #[case::at_a_quarter_of_what_is_explained(0.75, 3.0, &[])]
    #[case::above_a_quarter(0.75, 2.99, &[6])]
    #[case::less_than_explained(-0.9, 1.0, &[])]
    // What a pod spends that owns nothing is no matter of how fast it is.
    #[case::nothing_explained(2.0, 0.0, &[])]
    fn a_pod_is_slow_beyond_the_ordinary(
        #[case] residual: f64,
        #[case] explained: f64,
        #[case] expected: &[usize],
    ) {
        let residuals = [0.1, -0.1, 0.1, -0.1, 0.1, -0.1, residual];
        let rates = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, explained / 0.5];
        assert_eq!(slow(&residuals, &rates, 0.0, 0.5), expected);
    }

    #[test]
    fn without_rates_a_pods_load_is_shared_over_its_partitions() {
        let loads = [Some(3.0), Some(1.0), None, Some(0.5)];
        let owners = [Some(0), Some(0), Some(0), Some(1), Some(2), None];
        let attribution = Attribution::new(&loads, &owners, None);
        assert_eq!(attribution.partitions, [1.0, 1.0, 1.0, 1.0, 1.125, 1.125]);
        assert_eq!(attribution.residuals, [0.0, 0.0, 0.0, 0.5]);
        assert_eq!(attribution.fit, None);
    }

    #[test]
    fn many_pods_are_sampled() {
        let rates: Vec<f64> = (0..1000).map(|n| f64::from(n * 7919 % 1000)).collect();
        let owners: Vec<Option<usize>> = (0..1000).map(Some).collect();
        let loads: Vec<Option<f64>> = rates.iter().map(|rate| Some(1.0 + 0.5 * rate)).collect();
        let fit = Attribution::new(&loads, &owners, Some(&rates)).fit.unwrap();
        assert!(close(fit.base, 1.0) && close(fit.cost, 0.5), "{fit:?}");
    }
}
