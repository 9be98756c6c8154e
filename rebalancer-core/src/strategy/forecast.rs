//! The forecast strategy: evicts the fewest pods that are expected to even out the group.
//!
//! 1. The loads are attributed to the partitions ([`Attribution`](crate::forecast::Attribution)).
//! 2. If no eligible pod is above the threshold, the group is within tolerance.
//! 3. Reasons that evictions cannot change are reported ([`Diagnosis`]). Then only evictions of
//!    slow pods can help.
//! 4. Otherwise plans are searched ([`search`](mod@crate::forecast::search)). Among the plans whose
//!    expected fall of the peak is sufficient, probable and near the best, the one with the fewest
//!    evictions is chosen.
//! 5. If there is none, no plan helps, and the best one is reported with its forecast.

use crate::forecast::Diagnosis;
use crate::forecast::search::{Candidate, Found, Limits, Measure, search};
use crate::group::{GroupModel, ServingPodIndex};
use crate::model::{Cores, PodIndex};
use crate::policy::Policy;
use crate::snapshot::Snapshot;

use super::group_report::ExplainedLoads;
#[doc(inline)]
pub use super::group_report::{GroupReport, PlanForecast, PodExplained, ReportedDiagnosis};

/// The maximum number of plans in a report.
const PLANS: usize = 4;

/// The conclusion of the strategy.
#[derive(Debug, Clone, PartialEq)]
pub enum ForecastVerdict {
    /// No eligible pod is above the threshold.
    WithinTolerance,
    /// The rates do not explain the loads, so no forecast is possible.
    Unexplained,
    /// Evictions cannot help, for this reason.
    Structural(Diagnosis),
    /// No plan is expected to help enough.
    NoPlanHelps,
    /// The chosen plan is to be executed.
    Rotate,
}

/// The result of the strategy.
#[derive(Debug, Clone, PartialEq)]
pub struct ForecastChoice {
    /// The report on the group.
    pub report: GroupReport,
    /// The conclusion.
    pub verdict: ForecastVerdict,
    /// The pods of the chosen plan, in the order of eviction.
    pub victims: Vec<PodIndex>,
    /// The eligible pods whose expected load is above the threshold, most loaded first.
    pub hot: Vec<PodIndex>,
}

/// Applies the strategy. `eligible` are the eligible pods, most loaded first, ties by name.
#[must_use]
pub fn forecast_strategy(
    snapshot: &Snapshot,
    group: &GroupModel,
    eligible: &[PodIndex],
    target: Cores,
    policy: &Policy,
) -> ForecastChoice {
    let explained = ExplainedLoads::new(snapshot, group);
    let threshold = policy.tolerance.get() * target.get();
    let subject = explained.subject(group, Some(target), Some(threshold));
    let expected = explained.expected(&subject);
    let (hot, cold) = by_temperature(group, &expected, eligible, threshold);
    let diagnosis = explained.diagnose(&subject);
    let structural = diagnosis.iter().find(|found| found.is_structural());
    let slow: Vec<ServingPodIndex> = hot
        .iter()
        .copied()
        .filter(|pod| subject.attribution.slow.contains(pod))
        .collect();
    let found = if hot.is_empty() || !explained.is_good() {
        Found::default()
    } else {
        let limits = Limits {
            measure: Measure::Evict {
                most: most_evictions(snapshot.ready(), policy),
                wave_size: policy.max_unavailable.wave_size(snapshot.ready()),
            },
            top_k: policy.top_k.get(),
            minimum_fall_percent: policy.minimum_improvement_percent,
            minimum_confidence_percent: policy.minimum_confidence_percent.get(),
        };
        let only = structural.map(|_| slow.as_slice());
        search(&subject, &hot, &cold, only, limits, policy.forecast_seed)
    };
    let chosen = found.chosen.and_then(|index| found.best.get(index));
    let verdict = match (chosen, structural) {
        _ if hot.is_empty() => ForecastVerdict::WithinTolerance,
        _ if !explained.is_good() => ForecastVerdict::Unexplained,
        (Some(_), _) => ForecastVerdict::Rotate,
        (None, Some(structural)) => ForecastVerdict::Structural(structural.clone()),
        (None, None) => ForecastVerdict::NoPlanHelps,
    };
    let in_snapshot = |pod: &ServingPodIndex| group.pods.get(pod.get()).copied();
    let victims = chosen.map_or_else(Vec::new, |plan| {
        plan.pods.iter().filter_map(in_snapshot).collect()
    });
    let plan_forecast = |candidate: &Candidate| PlanForecast {
        victims: candidate
            .pods
            .iter()
            .map(|pod| explained.name(*pod).to_owned())
            .collect(),
        forecast: candidate.forecast,
    };
    let plans = found.best.iter().take(PLANS).map(plan_forecast).collect();
    let chosen = chosen.map(plan_forecast);
    let report = GroupReport {
        plans_tried: found.tried,
        plans,
        chosen,
        ..explained.report(snapshot, &subject, diagnosis)
    };
    ForecastChoice {
        report,
        verdict,
        victims,
        hot: hot.iter().filter_map(in_snapshot).collect(),
    }
}

/// The maximum number of evictions in a plan: each wave must leave enough ready pods. At least 1,
/// so that the check of the minimum has a plan to report if no eviction is possible.
fn most_evictions(ready: usize, policy: &Policy) -> usize {
    let limit = policy.max_evictions.unwrap_or(usize::MAX);
    let at_once = ready.saturating_sub(policy.minimum_pods.get());
    let most = if policy.max_unavailable.wave_size(ready) <= at_once {
        limit
    } else {
        limit.min(at_once)
    };
    most.max(1)
}

/// The eligible pods of the group above the threshold, most loaded first, and the others, least
/// loaded first.
pub(super) fn by_temperature(
    group: &GroupModel,
    loads: &[Option<f64>],
    eligible: &[PodIndex],
    threshold: f64,
) -> (Vec<ServingPodIndex>, Vec<ServingPodIndex>) {
    // The serving pods are ascending.
    let in_group = eligible.iter().filter_map(|pod| {
        let index = group.pods.binary_search(pod).ok()?;
        Some(ServingPodIndex::new(index))
    });
    let load = |pod: &ServingPodIndex| loads.get(pod.get()).copied().flatten().unwrap_or(0.0);
    let (mut hot, mut cold): (Vec<_>, Vec<_>) = in_group.partition(|pod| load(pod) > threshold);
    // The expected load of a pod that is behind differs from the measured one.
    hot.sort_by(|a, b| load(b).total_cmp(&load(a)));
    // The stable sort keeps equal loads in the order of names, which `reverse` restores first.
    cold.reverse();
    cold.sort_by(|a, b| load(a).total_cmp(&load(b)));
    (hot, cold)
}
