//! Too few pods for the total load.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Kind;
use super::view::{View, float};
use crate::model::LoadUnit;

/// The relative error that the rounding of a sum of loads can reach.
const ROUNDING: f64 = 1e-9;

/// All pods together have a higher load than the threshold allows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Capacity {
    /// The mean load.
    pub mean: f64,
    /// The threshold.
    pub threshold: f64,
    /// The number of ready pods.
    pub pods: usize,
    /// The number of pods that would lower the mean to the target.
    pub needed: usize,
}

impl Kind for Capacity {
    const STRUCTURAL: bool = true;

    fn fmt(&self, unit: LoadUnit, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            mean,
            threshold,
            pods,
            needed,
        } = self;
        write!(
            f,
            "the pods use {} on average, above the threshold of {threshold:.3}: there are too few \
             pods for any distribution of the partitions; scale from {pods} to {needed}",
            unit.amount(*mean)
        )
    }
}

pub(super) fn find(view: &View<'_>) -> Option<Capacity> {
    let total: f64 = view.loads.iter().sum();
    let pods = view.pods();
    let mean = total / float(pods);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of pods"
    )]
    // Rounding of the sum must not add a pod.
    let needed = |target: f64| (total / target * (1.0 - ROUNDING)).ceil() as usize;
    (mean > view.threshold).then(|| Capacity {
        mean,
        threshold: view.threshold,
        pods,
        needed: view.subject.target.map_or(pods, needed),
    })
}

#[cfg(test)]
mod tests {
    use crate::forecast::diagnosis::case::{BIT, Case};
    use rstest::rstest;

    #[rstest]
    #[case::below(&[1.5, 0.5 - BIT], None)]
    #[case::at(&[1.5, 0.5], None)]
    #[case::above(
        &[1.5, 0.5 + BIT],
        Some("the pods use 1.000 cores on average, above the threshold of 1.000: there are too few \
              pods for any distribution of the partitions; scale from 2 to 5")
    )]
    #[case::exact_number_of_pods(
        &[1.5, 1.0],
        Some("the pods use 1.250 cores on average, above the threshold of 1.000: there are too few \
              pods for any distribution of the partitions; scale from 2 to 5")
    )]
    #[case::one_pod(
        &[1.25],
        Some("the pods use 1.250 cores on average, above the threshold of 1.000: there are too few \
              pods for any distribution of the partitions; scale from 1 to 3")
    )]
    fn capacity(#[case] loads: &[f64], #[case] message: Option<&str>) {
        let loads: Vec<[f64; 2]> = loads.iter().map(|load| [load / 2.0, load / 2.0]).collect();
        let pods: Vec<&[f64]> = loads.iter().map(|loads| &loads[..]).collect();
        assert_eq!(Case::of(&pods).message("capacity").as_deref(), message);
    }

    #[test]
    fn rounding_adds_no_pod() {
        // 1.1 + 1.1 + 1.1 is slightly more than 3.3, and that divided by 0.3 slightly more than 11.
        let case = Case::of(&[&[1.1], &[1.1], &[1.1]]).with(|case| case.target = Some(0.3));
        let message = case.message("capacity").unwrap();
        assert!(message.ends_with("scale from 3 to 11"), "{message}");
    }
}
