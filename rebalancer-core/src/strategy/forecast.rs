//! Forecast: evict only what the model of the consumer group says will help, and as little.
//!
//! 1. The loads are attributed to the partitions ([`Attribution`]).
//! 2. With no eligible pod above the threshold, the group is within tolerance.
//! 3. What cannot be changed by evictions is told ([`Diagnosis`]); then only pods that are slow by
//!    themselves are worth evicting.
//! 4. Otherwise plans are searched ([`search`](mod@crate::forecast::search)): the one with the fewest
//!    evictions is taken among those whose expected fall of the peak is near the best, at least
//!    the minimum improvement, and likely.
//! 5. With none, no plan helps: the best one is told with its forecast.

use serde::{Deserialize, Serialize};

use crate::forecast::search::{Limits, search};
use crate::forecast::{Attribution, Diagnosis, Fit, Forecast, Subject, diagnose};
use crate::group::{ClientFamily, Group, KnownAssignor, Protocol};
use crate::model::Cores;
use crate::policy::Policy;
use crate::snapshot::Snapshot;
use kafka_assignors::Algorithm;

/// How many pods and plans a report lists.
const PLANS: usize = 4;

/// Below this share of explained variance the rates do not explain the loads, and no forecast is
/// made of them.
const LEAST_GOODNESS: f64 = 0.5;

/// What the model of the consumer group says: the group, what explains its loads, and what plans
/// would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GroupReport {
    /// `group.id`, where it is known.
    pub id: Option<String>,
    /// The assignor, and how it is known.
    #[serde(flatten)]
    pub assignor: KnownAssignor,
    /// The client library.
    pub client: ClientFamily,
    /// The group protocol.
    pub protocol: Protocol,
    /// Members.
    pub members: usize,
    /// Topics.
    pub topics: usize,
    /// Partitions.
    pub partitions: usize,
    /// How the loads are explained; absent without rates, when each pod's load is shared equally
    /// over its partitions and forecasts are poorer.
    pub fit: Option<Fit>,
    /// The highest load as a multiple of the mean, over the ready pods: what stays when nothing is
    /// done, as long as the traffic does.
    pub peak_to_mean: f64,
    /// Pods above the threshold.
    pub hot_pods: usize,
    /// Why pods are hot, as far as it can be told.
    pub diagnosis: Vec<Finding>,
    /// How many plans were tried.
    pub plans_tried: usize,
    /// The best of them, the largest expected fall of the peak first.
    pub plans: Vec<PlanForecast>,
    /// The plan that was chosen.
    pub chosen: Option<PlanForecast>,
    /// What explains each ready pod.
    pub pods: Vec<PodExplained>,
}

/// A diagnosis, with its sentence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Finding {
    /// What it is, with its numbers.
    #[serde(flatten)]
    pub diagnosis: Diagnosis,
    /// One line for a person, with what would help.
    pub message: String,
}

/// A plan that was tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PlanForecast {
    /// The pods to evict, by name.
    pub victims: Vec<String>,
    /// What it is expected to do.
    pub forecast: Forecast,
}

/// What a pod's load is made of, in cores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PodExplained {
    /// Its name.
    pub name: String,
    /// The partitions that it owns.
    pub partitions: usize,
    /// What base and partitions explain.
    pub explained: f64,
    /// What it spends beyond that; below 0 where it spends less.
    pub residual: f64,
    /// It is slow by itself.
    pub slow: bool,
}

/// What follows.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// No eligible pod is above the threshold.
    WithinTolerance,
    /// The rates do not explain the loads: nothing can be forecast.
    Unexplained,
    /// Evicting cannot help, and this is why.
    Structural(Diagnosis),
    /// No plan is expected to help enough.
    NoPlanHelps,
    /// The chosen plan is to be carried out.
    Rotate,
}

/// The outcome of the strategy.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecasted {
    /// What it is based on.
    pub report: GroupReport,
    /// What follows.
    pub verdict: Verdict,
    /// The pods of the chosen plan by their places in the snapshot, in the order of their turn.
    pub victims: Vec<usize>,
}

/// Applies the strategy. `eligible` are places in the snapshot, most loaded first, ties by name.
#[must_use]
pub fn forecast_strategy(
    snapshot: &Snapshot,
    group: &Group,
    eligible: &[usize],
    target: Cores,
    policy: &Policy,
) -> Forecasted {
    let pods: Vec<_> = group
        .pods
        .iter()
        .filter_map(|place| snapshot.pods().get(*place))
        .collect();
    let names: Vec<&str> = pods.iter().map(|pod| pod.name.as_str()).collect();
    let loads: Vec<Option<f64>> = pods.iter().map(|pod| pod.load.map(f64::from)).collect();
    let attribution = Attribution::new(&loads, &group.pod_owners(), group.rates.as_deref());
    let threshold = policy.tolerance.get() * target.get();
    let subject = Subject {
        group,
        attribution: &attribution,
        algorithm: Algorithm::of(group.assignor.assignor, group.client, group.protocol),
        target: Some(target.get()),
        threshold: Some(threshold),
    };
    let (hot, cold) = by_temperature(group, &loads, eligible, threshold);
    let diagnosis = diagnose(&subject, &names);
    let structural = diagnosis.iter().find(|found| found.is_structural());
    let explained = attribution
        .fit
        .as_ref()
        .is_none_or(|fit| fit.goodness >= LEAST_GOODNESS);
    let slow: Vec<usize> = hot
        .iter()
        .copied()
        .filter(|pod| attribution.slow.contains(pod))
        .collect();
    let found = if hot.is_empty() || !explained {
        Default::default()
    } else {
        let limits = Limits {
            top_k: policy.top_k.get(),
            evictions: most_evictions(snapshot.ready(), policy),
            wave_size: policy.max_unavailable.wave_size(snapshot.ready()),
            minimum_fall_percent: policy.minimum_improvement_percent.get(),
            minimum_confidence_percent: policy.minimum_confidence_percent.get(),
        };
        let only = structural.map(|_| slow.as_slice());
        search(&subject, &hot, &cold, only, limits, policy.forecast_seed)
    };
    let chosen = found.chosen.and_then(|place| found.best.get(place));
    let verdict = match (chosen, structural) {
        _ if hot.is_empty() => Verdict::WithinTolerance,
        _ if !explained => Verdict::Unexplained,
        (Some(_), _) => Verdict::Rotate,
        (None, Some(structural)) => Verdict::Structural(structural.clone()),
        (None, None) => Verdict::NoPlanHelps,
    };
    let place = |pod: &usize| group.pods.get(*pod).copied();
    let victims = chosen.map_or_else(Vec::new, |plan| {
        plan.pods.iter().filter_map(place).collect()
    });
    let name = |pod: &usize| {
        names
            .get(*pod)
            .map_or_else(String::new, ToString::to_string)
    };
    let plan_forecast = |candidate: &crate::forecast::search::Candidate| PlanForecast {
        victims: candidate.pods.iter().map(name).collect(),
        forecast: candidate.forecast,
    };
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
        partitions: group.topics.partitions(),
        fit: attribution.fit.clone(),
        peak_to_mean: subject.imbalance(),
        hot_pods: subject
            .loads()
            .into_iter()
            .filter(|load| *load > threshold)
            .count(),
        diagnosis: diagnosis
            .into_iter()
            .map(|diagnosis| Finding {
                message: diagnosis.to_string(),
                diagnosis,
            })
            .collect(),
        plans_tried: found.tried,
        plans: found.best.iter().take(PLANS).map(plan_forecast).collect(),
        chosen: chosen.map(plan_forecast),
        pods: explained_pods(&subject, &names),
    };
    Forecasted {
        report,
        verdict,
        victims,
    }
}

/// How many pods a plan may evict: a wave that leaves too few ready pods is no plan. Never 0, so that
/// where nothing is possible the check says so of the best plan there would be.
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
    group: &Group,
    loads: &[Option<f64>],
    eligible: &[usize],
    threshold: f64,
) -> (Vec<usize>, Vec<usize>) {
    // The places of the serving pods are ascending.
    let in_group = eligible
        .iter()
        .filter_map(|place| group.pods.binary_search(place).ok());
    let load = |pod: &usize| loads.get(*pod).copied().flatten().unwrap_or(0.0);
    let (hot, mut cold): (Vec<usize>, Vec<usize>) = in_group.partition(|pod| load(pod) > threshold);
    // The sort is stable, but equals are to stay in the order of their names as well.
    cold.reverse();
    cold.sort_by(|a, b| load(a).total_cmp(&load(b)));
    (hot, cold)
}

fn explained_pods(subject: &Subject<'_>, names: &[&str]) -> Vec<PodExplained> {
    let mut counts = vec![0; names.len()];
    for pod in subject.group.pod_owners().into_iter().flatten() {
        if let Some(count) = counts.get_mut(pod) {
            *count += 1;
        }
    }
    let loads = subject.loads();
    let residuals = &subject.attribution.residuals;
    let numbers = loads.iter().zip(residuals).zip(counts);
    (0..)
        .zip(names.iter().zip(numbers))
        .map(
            |(pod, (name, ((load, residual), partitions)))| PodExplained {
                name: (*name).to_owned(),
                partitions,
                explained: load - residual,
                residual: *residual,
                slow: subject.attribution.slow.contains(&pod),
            },
        )
        .collect()
}
