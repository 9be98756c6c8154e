//! Rotate outliers: evict the hottest pods together with the coldest.
//!
//! 1. The threshold is the tolerance times the target.
//! 2. *Hottest* are the K most loaded pods, those strictly above the threshold.
//! 3. If there is none, the group is within tolerance.
//! 4. *Coldest* are the K least loaded pods that are not among the hottest.
//! 5. `top` is the mean load of the hottest, `both` of hottest and coldest together;
//!    the improvement is `(top − both) / top × 100` percent.
//! 6. The pods rotate if the improvement is greater than the minimum.
//!
//! The rule is that of the Go program. The improvement describes the chosen pods; it is not a
//! forecast of the loads after the rotation.

use crate::model::{Load, Percent, TopK};
use crate::statistics::mean;

/// The result of the rule for a set of loads.
#[derive(Debug, Clone, PartialEq)]
pub struct RotateOutliers {
    /// Number of hottest pods, from the most loaded on.
    pub hottest: usize,
    /// Number of coldest pods, from the least loaded on.
    pub coldest: usize,
    /// Mean load of the hottest; `None` if there is none.
    pub top_mean: Option<f64>,
    /// Mean load of hottest and coldest together; `None` if there is no hottest.
    pub both_mean: Option<f64>,
    /// The improvement in percent; `None` if there is no hottest.
    pub improvement_percent: Option<f64>,
    /// The conclusion.
    pub verdict: OutlierVerdict,
}

/// The conclusion of the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutlierVerdict {
    /// No pod is above the threshold.
    WithinTolerance,
    /// The loads of hottest and coldest are too similar.
    ImprovementTooSmall,
    /// The hottest and the coldest pods should be evicted.
    Rotate,
}

/// Applies the rule to `loads`, most loaded first.
#[must_use]
pub fn rotate_outliers(
    loads: &[Load],
    threshold: f64,
    top_k: TopK,
    minimum_improvement: Percent,
) -> RotateOutliers {
    debug_assert!(loads.is_sorted_by(|a, b| a >= b), "most loaded first");
    let hottest = loads
        .iter()
        .take(top_k.get())
        .take_while(|load| load.get() > threshold)
        .count();
    if hottest == 0 {
        return RotateOutliers {
            hottest,
            coldest: 0,
            top_mean: None,
            both_mean: None,
            improvement_percent: None,
            verdict: OutlierVerdict::WithinTolerance,
        };
    }
    let coldest = top_k.get().min(loads.len() - hottest);
    let hottest_loads = loads[..hottest].iter();
    let coldest_loads = loads[loads.len() - coldest..].iter();
    let top = mean(hottest_loads.clone().map(|load| load.get()));
    let both = mean(hottest_loads.chain(coldest_loads).map(|load| load.get()));
    // `top` is positive, because it is above the threshold.
    let improvement = (top - both) / top * 100.0;
    RotateOutliers {
        hottest,
        coldest,
        top_mean: Some(top),
        both_mean: Some(both),
        improvement_percent: Some(improvement),
        verdict: if minimum_improvement.is_exceeded_by(improvement) {
            OutlierVerdict::Rotate
        } else {
            OutlierVerdict::ImprovementTooSmall
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn apply(loads: &[f64], k: usize, threshold: f64) -> RotateOutliers {
        let mut loads: Vec<Load> = loads.iter().map(|l| Load::new(*l).unwrap()).collect();
        loads.sort_by(|a, b| b.cmp(a));
        rotate_outliers(
            &loads,
            threshold,
            TopK::new(k).unwrap(),
            Percent::DEFAULT_MINIMUM_IMPROVEMENT,
        )
    }

    // The cases of the Go program's tests, and the worked example.
    #[rstest]
    #[case(&[1.2, 1.1, 0.3, 0.4], 2, 0.5, 34.8, OutlierVerdict::Rotate)]
    #[case(&[0.9, 0.85, 0.8, 0.75], 2, 0.8, 5.7, OutlierVerdict::ImprovementTooSmall)]
    #[case(&[2.5, 2.4, 2.3, 0.5, 0.6, 0.7], 3, 1.0, 37.5, OutlierVerdict::Rotate)]
    #[case(&[1.2, 1.1, 0.8, 0.6, 0.4, 0.3], 2, 1.05, 34.8, OutlierVerdict::Rotate)]
    fn improvement_describes_the_chosen_pods(
        #[case] loads: &[f64],
        #[case] k: usize,
        #[case] threshold: f64,
        #[case] improvement: f64,
        #[case] verdict: OutlierVerdict,
    ) {
        let outcome = apply(loads, k, threshold);
        assert_eq!(outcome.verdict, verdict);
        let rounded = (outcome.improvement_percent.unwrap() * 10.0).round() / 10.0;
        assert_eq!(rounded, improvement);
    }

    #[test]
    fn load_at_the_threshold_is_within_tolerance() {
        let outcome = apply(&[1.0, 0.2, 0.1], 2, 1.0);
        assert_eq!(outcome.verdict, OutlierVerdict::WithinTolerance);
        assert_eq!(outcome.improvement_percent, None);
    }

    #[test]
    fn coldest_never_overlap_hottest() {
        let outcome = apply(&[3.0, 2.0, 0.1], 2, 1.0);
        assert_eq!((outcome.hottest, outcome.coldest), (2, 1));
    }

    #[test]
    fn hottest_pods_alone_do_not_improve() {
        let outcome = apply(&[3.0, 2.0], 2, 1.0);
        assert_eq!((outcome.hottest, outcome.coldest), (2, 0));
        assert_eq!(outcome.verdict, OutlierVerdict::ImprovementTooSmall);
    }
}
