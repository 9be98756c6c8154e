//! The numbers of a decision.

use serde::{Deserialize, Serialize};

use crate::checks::Ranking;
use crate::policy::Policy;
use crate::snapshot::ResolvedTarget;
use crate::statistics::{imbalance, mean};
use crate::strategy::Choice;

/// The numbers of a decision. Loads are in cores, or in the unit of a custom load query. A number
/// that could not be computed is absent.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Analysis {
    /// Number of pods in the snapshot.
    pub pods: usize,
    /// Number of ready pods: owned, Running, Ready and not terminating.
    pub ready: usize,
    /// Number of pods that may be victims.
    pub eligible: usize,
    /// Mean load of the eligible pods.
    pub mean: Option<f64>,
    /// Population variance of the loads of the eligible pods.
    pub variance: Option<f64>,
    /// Highest load of an eligible pod.
    pub max: Option<f64>,
    /// Imbalance (max/mean) over the eligible pods; absent if the mean is 0.
    pub imbalance: Option<f64>,
    /// The target.
    pub target: Option<f64>,
    /// Tolerance × target: a pod with a higher load is hot.
    pub threshold: Option<f64>,
    /// Mean load of the hottest pods.
    pub top_mean: Option<f64>,
    /// Mean load of the hottest and the coldest pods together.
    pub both_mean: Option<f64>,
    /// `(top_mean − both_mean) / top_mean × 100`. It describes the chosen pods, and is not a
    /// forecast.
    pub improvement_percent: Option<f64>,
}

impl Analysis {
    pub(super) fn new(
        ranking: &Ranking<'_>,
        policy: &Policy,
        target: Option<&ResolvedTarget>,
        choice: &Choice<'_>,
    ) -> Self {
        let target = target.map(|target| target.cores.get());
        let outliers = choice.outliers();
        Self {
            pods: ranking.pods().len(),
            ready: ranking.ready(),
            eligible: ranking.eligible().len(),
            target,
            threshold: target.map(|target| policy.tolerance.get() * target),
            top_mean: outliers.and_then(|outliers| outliers.top_mean),
            both_mean: outliers.and_then(|outliers| outliers.both_mean),
            improvement_percent: outliers.and_then(|outliers| outliers.improvement_percent),
            ..Self::of_loads(ranking)
        }
    }

    /// The numbers of the loads of the eligible pods.
    fn of_loads(ranking: &Ranking<'_>) -> Self {
        let Some(first) = ranking.eligible().first() else {
            return Self::default();
        };
        let loads = || ranking.eligible().iter().map(|pod| pod.load.get());
        let average = mean(loads());
        let max = first.load.get();
        Self {
            mean: Some(average),
            variance: Some(mean(loads().map(|load| (load - average).powi(2)))),
            max: Some(max),
            imbalance: (average > 0.0).then(|| imbalance(max, average)),
            ..Self::default()
        }
    }
}
