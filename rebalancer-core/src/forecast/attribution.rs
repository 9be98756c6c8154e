//! Attribution of the pods' loads to partitions.

use serde::{Deserialize, Serialize};

use crate::group::ServingPodIndex;
use crate::statistics::{mean, median, weighted_median};

/// The number of pods up to which all pairs are compared. In larger groups each pod is compared
/// with this number of others: the fit is as good, and the effort is linear.
const PARTNERS: usize = 100;

/// A residual is an outlier beyond this number of robust standard deviations (3.5, after Iglewicz
/// and Hoaglin), where the standard deviation is 1.4826 times the median of the absolute residuals.
const OUTLYING: f64 = 3.5;
const DEVIATIONS_PER_MEDIAN: f64 = 1.4826;

/// The smallest residual of a slow pod, relative to the explained load. In a group with a very good
/// fit, negligible residuals would otherwise be outliers.
const SLOW_SHARE: f64 = 0.25;

/// The linear model of the loads: `load = base + cost × Σ rates of the pod's partitions +
/// residual`.
///
/// Base and cost are fitted by the Theil–Sen estimator: the cost is the median of the slopes
/// between pairs of pods, and the base is the median of the remaining loads. Outliers among up to a
/// quarter of the pods do not affect it. The weight of a slope is the difference of the two rates
/// (Jaeckel 1972): between pods with equal rates the slope is only noise, and many of them would
/// outvote a single hot pod. Neither base nor cost is negative; if one would be, the line goes
/// through the origin.
///
/// Loads are in cores, or in the unit of a custom load query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Fit {
    /// The load of a pod without partitions.
    pub base: f64,
    /// The load for each record or byte per second.
    pub cost: f64,
    /// The explained share of the variance of the loads, from 0 to 1, over the pods that are not
    /// slow.
    pub goodness: f64,
}

/// The parts of each pod's load, in cores or in the unit of a custom load query.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribution {
    /// The linear model. `None` without rates: the load of each pod is then divided equally among
    /// its partitions.
    pub fit: Option<Fit>,
    /// The load of each partition on any pod.
    pub partitions: Vec<f64>,
    /// The load of a pod without partitions.
    pub base: f64,
    /// The load of each pod beyond base and partitions. Negative if the pod uses less, 0
    /// if it was not measured.
    pub residuals: Vec<f64>,
    /// The pods whose load their partitions do not explain: their residual is a positive outlier.
    pub slow: Vec<ServingPodIndex>,
}

impl Attribution {
    /// Attributes `loads` (`None` if the pod was not measured) to partitions with these owners and
    /// rates.
    #[must_use]
    pub fn new(
        loads: &[Option<f64>],
        owners: &[Option<ServingPodIndex>],
        rates: Option<&[f64]>,
    ) -> Self {
        match rates {
            Some(rates) => Self::by_rates(loads, owners, rates),
            None => Self::by_counts(loads, owners),
        }
    }

    fn by_counts(loads: &[Option<f64>], owners: &[Option<ServingPodIndex>]) -> Self {
        let mut counts = vec![0.0; loads.len()];
        for owner in owners.iter().flatten() {
            if let Some(count) = counts.get_mut(owner.get()) {
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
        let of_owner = |owner: &Option<ServingPodIndex>| {
            let owner = owner.map(ServingPodIndex::get);
            let load = owner.and_then(|owner| *loads.get(owner)?);
            let count = owner.and_then(|owner| counts.get(owner).copied());
            match (load, count) {
                (Some(load), Some(count)) if count > 0.0 => load / count,
                // The partition is unowned, or its owner was not measured.
                (Some(_) | None, Some(_) | None) => average,
            }
        };
        let residual = |(load, count): (&Option<f64>, &f64)| match load {
            // The load of a pod without partitions is a residual.
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

    fn by_rates(loads: &[Option<f64>], owners: &[Option<ServingPodIndex>], rates: &[f64]) -> Self {
        let mut sums = vec![0.0; loads.len()];
        for (owner, rate) in owners.iter().zip(rates) {
            if let Some(sum) = owner.and_then(|owner| sums.get_mut(owner.get())) {
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
        let ordinary: Vec<(f64, f64)> = ServingPodIndex::all(loads.len())
            .zip(residuals.iter().zip(loads))
            .filter(|(pod, _)| !slow.contains(pod))
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

/// Fits base and cost to points of rate and load.
fn line(points: &[(f64, f64)]) -> (f64, f64) {
    let through_origin = || {
        let slopes = points.iter().filter(|(rate, _)| *rate > 0.0);
        let slopes = slopes.map(|(rate, load)| load / rate);
        (0.0, median(slopes.collect()).unwrap_or(0.0))
    };
    // Two points do not determine a trend.
    if points.len() < 3 {
        return through_origin();
    }
    let slope = |a: &(f64, f64), b: &(f64, f64)| {
        let distance = b.0 - a.0;
        (distance != 0.0).then(|| ((b.1 - a.1) / distance, distance.abs()))
    };
    let reach = PARTNERS.min(points.len() - 1);
    // If all pairs are within reach, each pair occurs once.
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

/// The pods whose residual is a positive outlier. `sums` are the rates of their partitions.
fn slow(residuals: &[f64], sums: &[f64], base: f64, cost: f64) -> Vec<ServingPodIndex> {
    let spread = median(residuals.iter().map(|residual| residual.abs()).collect()).unwrap_or(0.0);
    let limit = OUTLYING * DEVIATIONS_PER_MEDIAN * spread;
    let pods = ServingPodIndex::all(residuals.len()).zip(residuals.iter().zip(sums));
    pods.filter(|(_, (residual, sum))| {
        let explained = base + cost * **sum;
        **residual > limit && **residual > SLOW_SHARE * explained && explained > 0.0
    })
    .map(|(pod, _)| pod)
    .collect()
}

/// The explained share of the variance, from points of residual and load.
fn goodness(points: &[(f64, f64)]) -> f64 {
    let mean = mean(points.iter().map(|(_, load)| *load));
    let total: f64 = points.iter().map(|(_, load)| (load - mean).powi(2)).sum();
    let left: f64 = points.iter().map(|(residual, _)| residual.powi(2)).sum();
    // Equal loads have no variance to explain.
    if total > 0.0 {
        (1.0 - left / total).clamp(0.0, 1.0)
    } else {
        1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    /// One partition per pod.
    fn one_each(pods: usize) -> Vec<Option<ServingPodIndex>> {
        ServingPodIndex::all(pods).map(Some).collect()
    }

    fn pods(indices: &[usize]) -> Vec<ServingPodIndex> {
        indices.iter().copied().map(ServingPodIndex::new).collect()
    }

    #[test]
    fn outliers_do_not_affect_the_fit() {
        let rates: Vec<f64> = (0..12).map(|number| f64::from(number) * 10.0).collect();
        let owners = one_each(12);
        let mut loads: Vec<Option<f64>> =
            rates.iter().map(|rate| Some(0.2 + 0.01 * rate)).collect();
        loads[3] = Some(5.0);
        loads[7] = None;
        let attribution = Attribution::new(&loads, &owners, Some(&rates));
        let fit = attribution.fit.unwrap();
        assert!(close(fit.base, 0.2) && close(fit.cost, 0.01), "{fit:?}");
        assert!(close(fit.goodness, 1.0));
        assert_eq!(attribution.slow, pods(&[3]));
        assert!(close(attribution.residuals[3], 4.5));
        assert!(close(attribution.residuals[7], 0.0));
        assert!(close(attribution.partitions[5], 0.5));
    }

    #[rstest]
    #[case::no_spread(&[5.0, 5.0, 5.0, 5.0], &[1.0, 1.0, 1.1, 0.9], 0.0, 0.2)]
    #[case::two_pods(&[1.0, 3.0], &[0.5, 1.5], 0.0, 0.5)]
    #[case::two_pods_with_different_costs(&[1.0, 2.0], &[0.5, 0.6], 0.0, 0.4)]
    #[case::below_the_origin(&[1.0, 2.0, 3.0], &[0.1, 1.0, 1.9], 0.0, 0.5)]
    #[case::falling_loads(&[1.0, 2.0, 3.0], &[1.9, 1.0, 0.1], 1.0, 0.0)]
    #[case::zero_rates(&[0.0, 0.0, 0.0], &[0.1, 0.2, 0.3], 0.0, 0.0)]
    fn base_and_cost_are_never_negative(
        #[case] rates: &[f64],
        #[case] loads: &[f64],
        #[case] base: f64,
        #[case] cost: f64,
    ) {
        let owners = one_each(rates.len());
        let loads: Vec<Option<f64>> = loads.iter().copied().map(Some).collect();
        let fit = Attribution::new(&loads, &owners, Some(rates)).fit.unwrap();
        assert!(close(fit.base, base) && close(fit.cost, cost), "{fit:?}");
    }

    #[test]
    fn pods_with_equal_rates_do_not_outvote_a_hot_pod() {
        // As measured: equal rates but for the last digits, and loads with some noise.
        let rates = [24.0, 24.000_001, 23.999_999, 24.000_002, 24.0, 72.0];
        let loads = [0.341, 0.339, 0.34, 0.342, 0.34, 0.82].map(Some);
        let owners = one_each(6);
        let attribution = Attribution::new(&loads, &owners, Some(&rates));
        let fit = attribution.fit.unwrap();
        assert!((fit.cost - 0.01).abs() < 1e-4, "{fit:?}");
        assert!((fit.base - 0.1).abs() < 5e-3, "{fit:?}");
        assert!(fit.goodness > 0.99, "{fit:?}");
        assert_eq!(attribution.slow, pods(&[]));
    }

    #[test]
    fn unrelated_rates_have_a_low_goodness() {
        let rates = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let loads = [3.0, 1.0, 2.0, 3.0, 1.0, 2.0].map(Some);
        let owners = one_each(6);
        let fit = Attribution::new(&loads, &owners, Some(&rates)).fit.unwrap();
        assert!(fit.goodness < 0.3, "{fit:?}");
    }

    #[test]
    fn goodness_is_zero_for_a_line_worse_than_the_mean() {
        assert!(close(goodness(&[(1.0, 1.0), (-1.0, 1.5)]), 0.0));
    }

    /// The median of the absolute residuals is 0.1, so 3.5 robust standard deviations are 0.519.
    #[rstest]
    #[case::below_the_outlier_limit(0.518, 1.0, &[])]
    #[case::above_the_outlier_limit(0.52, 1.0, &[6])]
    #[case::at_a_quarter_of_the_explained_load(0.75, 3.0, &[])]
    #[case::above_a_quarter(0.75, 2.99, &[6])]
    #[case::less_than_explained(-0.9, 1.0, &[])]
    // The load of a pod without partitions does not show how fast it is.
    #[case::nothing_explained(2.0, 0.0, &[])]
    fn slow_pods_have_outlying_residuals(
        #[case] residual: f64,
        #[case] explained: f64,
        #[case] expected: &[usize],
    ) {
        let residuals = [0.1, -0.1, 0.1, -0.1, 0.1, -0.1, residual];
        let rates = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, explained / 0.5];
        assert_eq!(slow(&residuals, &rates, 0.0, 0.5), pods(expected));
    }

    #[test]
    fn without_rates_loads_are_divided_equally() {
        let loads = [Some(3.0), Some(1.0), None, Some(0.5)];
        let owners = [Some(0), Some(0), Some(0), Some(1), Some(2), None]
            .map(|owner: Option<usize>| owner.map(ServingPodIndex::new));
        let attribution = Attribution::new(&loads, &owners, None);
        assert_eq!(attribution.partitions, [1.0, 1.0, 1.0, 1.0, 1.125, 1.125]);
        assert_eq!(attribution.residuals, [0.0, 0.0, 0.0, 0.5]);
        assert_eq!(attribution.fit, None);
    }

    #[test]
    fn fits_more_pods_than_partners() {
        let rates: Vec<f64> = (0..1000).map(|n| f64::from(n * 7919 % 1000)).collect();
        let owners = one_each(1000);
        let loads: Vec<Option<f64>> = rates.iter().map(|rate| Some(1.0 + 0.5 * rate)).collect();
        let fit = Attribution::new(&loads, &owners, Some(&rates)).fit.unwrap();
        assert!(close(fit.base, 1.0) && close(fit.cost, 0.5), "{fit:?}");
    }
}
