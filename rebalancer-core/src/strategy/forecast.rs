//! The forecast strategy: evict the fewest pods that the model of the consumer group needs.
//!
//! 1. The loads are attributed to the partitions ([`Attribution`]).
//! 2. If no eligible pod is above the threshold, the group is within tolerance.
//! 3. Reasons that evictions cannot change are reported ([`Diagnosis`]). Then only evictions of slow
//!    pods can help.
//! 4. Otherwise plans are searched ([`search`](mod@crate::forecast::search)). Among the plans whose
//!    expected fall of the peak is sufficient, probable and near the best, the one with the fewest
//!    evictions is chosen.
//! 5. If there is none, no plan helps, and the best one is reported with its forecast.

use kafka_assignors::Algorithm;
use serde::{Deserialize, Serialize};

use crate::forecast::search::{Candidate, Found, Limits, search};
use crate::forecast::{Attribution, Diagnosis, Fit, Forecast, Subject, diagnose};
use crate::group::{ClientFamily, GroupModel, KnownAssignor, Protocol, ServingPodIndex};
use crate::model::{Cores, PodIndex};
use crate::policy::Policy;
use crate::snapshot::Snapshot;

/// The maximum number of plans in a report.
const PLANS: usize = 4;

/// The explained share of the variance below which the rates do not explain the loads, so that no
/// forecast is possible.
const LEAST_GOODNESS: f64 = 0.5;

/// The report on a consumer group: its properties, the explanation of its loads, and the forecasts of
/// plans.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GroupReport {
    /// `group.id`, if known.
    pub id: Option<String>,
    /// The assignor, and the source of this knowledge.
    #[serde(flatten)]
    pub assignor: KnownAssignor,
    /// The client library.
    pub client: ClientFamily,
    /// The group protocol.
    pub protocol: Protocol,
    /// The number of members.
    pub members: usize,
    /// The number of topics.
    pub topics: usize,
    /// The number of partitions.
    pub partitions: usize,
    /// The linear model of the loads. Absent without rates: each pod's load is then divided equally
    /// among its partitions, and forecasts are less accurate.
    pub fit: Option<Fit>,
    /// The highest load as a multiple of the mean, over the ready pods. It stays the same without
    /// evictions, as long as the traffic does.
    pub peak_to_mean: f64,
    /// Pods above the threshold.
    pub hot_pods: usize,
    /// The reasons for hot pods that were found.
    pub diagnosis: Vec<ReportedDiagnosis>,
    /// The number of plans that were tried.
    pub plans_tried: usize,
    /// The best of them, by the expected fall of the peak, descending.
    pub plans: Vec<PlanForecast>,
    /// The plan that was chosen.
    pub chosen: Option<PlanForecast>,
    /// The explanation of each ready pod's load.
    pub pods: Vec<PodExplained>,
    /// Remarks about the data of the group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl GroupReport {
    /// The message for rates that do not explain the loads.
    pub(crate) fn unexplained(&self) -> String {
        let explained = self.fit.as_ref().map_or(0.0, |fit| fit.goodness * 100.0);
        format!(
            "the rates of the partitions explain {explained:.0} % of the variance of the loads, too \
             little for a forecast: check that the rates are those of the topics that the pods \
             consume"
        )
    }
}

/// A diagnosis with its message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReportedDiagnosis {
    /// The diagnosis, with its numbers.
    #[serde(flatten)]
    pub diagnosis: Diagnosis,
    /// The message, which includes the remedy.
    pub message: String,
}

/// A plan with its forecast.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PlanForecast {
    /// The pods to evict, by name.
    pub victims: Vec<String>,
    /// The expected effect.
    pub forecast: Forecast,
}

/// The parts of a pod's load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PodExplained {
    /// The name of the pod.
    pub name: String,
    /// The number of partitions that it owns.
    pub partitions: usize,
    /// The load that base and partitions explain.
    pub explained: f64,
    /// The load beyond that; negative if the pod uses less.
    pub residual: f64,
    /// Whether the pod is slow: its partitions do not explain its load.
    pub slow: bool,
    /// Whether the pod has partitions that are behind, so that its load is not what its rates cost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub behind: bool,
}

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
    let pods: Vec<_> = group
        .pods
        .iter()
        .filter_map(|pod| snapshot.pods().get(pod.get()))
        .collect();
    let names: Vec<&str> = pods.iter().map(|pod| pod.name.as_str()).collect();
    let measured = pods.iter().map(|pod| pod.load().map(f64::from));
    // The load of a pod that is behind does not show what its partitions cost.
    let loads: Vec<Option<f64>> = ServingPodIndex::all(pods.len())
        .zip(measured)
        .map(|(pod, load)| load.filter(|_| !group.behind.contains(&pod)))
        .collect();
    let attribution = Attribution::new(&loads, &group.pod_owners(), group.rates.as_deref());
    let threshold = policy.tolerance.get() * target.get();
    let subject = Subject {
        group,
        attribution: &attribution,
        algorithm: Algorithm::of(group.assignor.assignor, group.client, group.protocol),
        target: Some(target.get()),
        threshold: Some(threshold),
    };
    let expected = expected_loads(&subject, &loads);
    let (hot, cold) = by_temperature(group, &expected, eligible, threshold);
    let diagnosis = diagnose(&subject, &names);
    let structural = diagnosis.iter().find(|found| found.is_structural());
    let explained = attribution
        .fit
        .as_ref()
        .is_none_or(|fit| fit.goodness >= LEAST_GOODNESS);
    let slow: Vec<ServingPodIndex> = hot
        .iter()
        .copied()
        .filter(|pod| attribution.slow.contains(pod))
        .collect();
    let found = if hot.is_empty() || !explained {
        Found::default()
    } else {
        let limits = Limits {
            top_k: policy.top_k.get(),
            evictions: most_evictions(snapshot.ready(), policy),
            wave_size: policy.max_unavailable.wave_size(snapshot.ready()),
            minimum_fall_percent: policy.minimum_improvement_percent,
            minimum_confidence_percent: policy.minimum_confidence_percent.get(),
        };
        let only = structural.map(|_| slow.as_slice());
        search(&subject, &hot, &cold, only, limits, policy.forecast_seed)
    };
    let chosen = found.chosen.and_then(|index| found.best.get(index));
    let verdict = match (chosen, structural) {
        _ if hot.is_empty() => ForecastVerdict::WithinTolerance,
        _ if !explained => ForecastVerdict::Unexplained,
        (Some(_), _) => ForecastVerdict::Rotate,
        (None, Some(structural)) => ForecastVerdict::Structural(structural.clone()),
        (None, None) => ForecastVerdict::NoPlanHelps,
    };
    let in_snapshot = |pod: &ServingPodIndex| group.pods.get(pod.get()).copied();
    let victims = chosen.map_or_else(Vec::new, |plan| {
        plan.pods.iter().filter_map(in_snapshot).collect()
    });
    let name = |pod: &ServingPodIndex| {
        let name = names.get(pod.get());
        name.map_or_else(String::new, ToString::to_string)
    };
    let plan_forecast = |candidate: &Candidate| PlanForecast {
        victims: candidate.pods.iter().map(name).collect(),
        forecast: candidate.forecast,
    };
    let unit = snapshot.load_unit();
    let report = GroupReport {
        id: snapshot
            .data()
            .group
            .as_ref()
            .and_then(|group| group.id.clone()),
        assignor: group.assignor,
        client: group.client,
        protocol: group.protocol,
        members: group.members.len(),
        topics: group.topics.len(),
        partitions: group.topics.partition_count(),
        fit: attribution.fit.clone(),
        peak_to_mean: subject.imbalance(),
        hot_pods: subject
            .loads()
            .into_iter()
            .filter(|load| *load > threshold)
            .count(),
        diagnosis: diagnosis
            .into_iter()
            .map(|diagnosis| ReportedDiagnosis {
                message: diagnosis.message(unit),
                diagnosis,
            })
            .collect(),
        plans_tried: found.tried,
        plans: found.best.iter().take(PLANS).map(plan_forecast).collect(),
        chosen: chosen.map(plan_forecast),
        pods: explained_pods(&subject, &names),
        notes: snapshot
            .data()
            .group
            .as_ref()
            .map_or_else(Vec::new, |group| group.notes.clone()),
    };
    ForecastChoice {
        report,
        verdict,
        victims,
        hot: hot.iter().filter_map(in_snapshot).collect(),
    }
}

/// The measured loads; for a pod that is behind, the load that its rates explain, which it has once
/// it keeps up.
fn expected_loads(subject: &Subject<'_>, loads: &[Option<f64>]) -> Vec<Option<f64>> {
    let mut expected = loads.to_vec();
    if !subject.group.behind.is_empty() {
        let explained = subject.loads();
        for pod in &subject.group.behind {
            if let Some(load) = expected.get_mut(pod.get()) {
                *load = explained.get(pod.get()).copied();
            }
        }
    }
    expected
}

/// The maximum number of evictions in a plan: each wave must leave enough ready pods. At least 1, so
/// that the check of the minimum has a plan to report if no eviction is possible.
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
fn by_temperature(
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

fn explained_pods(subject: &Subject<'_>, names: &[&str]) -> Vec<PodExplained> {
    let counts = subject.group.partitions_by_pod();
    let loads = subject.loads();
    let attribution = subject.attribution;
    let numbers = loads.iter().zip(&attribution.residuals).zip(counts);
    ServingPodIndex::all(names.len())
        .zip(names.iter().zip(numbers))
        .map(
            |(pod, (name, ((load, residual), partitions)))| PodExplained {
                name: (*name).to_owned(),
                partitions,
                explained: load - residual,
                residual: *residual,
                slow: attribution.slow.contains(&pod),
                behind: subject.group.behind.contains(&pod),
            },
        )
        .collect()
}
