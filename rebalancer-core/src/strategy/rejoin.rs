//! Strategy `rejoin`: the members of some pods are removed from the group at once and return, so
//! that the group's own assignor deals their partitions again. No pod restarts.
//!
//! 1. The loads are attributed to the partitions ([`Attribution`](crate::forecast::Attribution)).
//! 2. If no pod is above the threshold, and the imbalance is within its own tolerance, the group is
//!    within tolerance.
//! 3. Sets of pods are searched ([`search`](mod@crate::forecast::search)) as for the strategy
//!    `forecast`. The simulated event is one rebalance in which the members of the chosen pods own
//!    nothing and have new member ids. In a group of the consumer protocol (KIP-848), the broker
//!    deals their partitions at once, and again as they return under their own ids. The pods stay,
//!    and so do their residuals.
//! 4. Among the sets whose expected fall of the peak is sufficient, probable and near the best, the
//!    one with the fewest pods is chosen. At least one member always stays.
//! 5. If there is none, no rejoin helps. A diagnosis explains why, if there is one.
//!
//! The limits of evictions do not apply: no pod is unavailable.

use kafka_assignors::subscribed_alike;

use super::assign::{can_rejoin, described_document};
use super::forecast::by_temperature;
use super::group_report::{ExplainedLoads, GroupReport};
use super::rejoin_forecast::{RejoinForecast, RejoiningPod};
use crate::forecast::search::{Candidate, Limits, Measure, search};
use crate::forecast::{Diagnosis, Subject};
use crate::group::{AssignProblem, GroupModel, ServingPodIndex};
use crate::model::{Cores, PodIndex, Seconds};
use crate::plan::{PlannedRejoin, RejoinPlan};
use crate::policy::Policy;
use crate::snapshot::Snapshot;
use crate::statistics::mean;

/// The conclusion of the strategy.
#[derive(Debug, Clone, PartialEq)]
pub enum RejoinVerdict {
    /// No pod is above the threshold, and the imbalance is within its tolerance.
    WithinTolerance,
    /// The rates do not explain the loads, so no forecast is possible.
    Unexplained,
    /// No member is removed from the group, for this reason.
    Problem(AssignProblem),
    /// No rejoin is expected to help enough. A diagnosis explains why, if there is one.
    NoRejoinHelps(Option<Diagnosis>),
    /// The plan is to be executed.
    Rejoin(RejoinPlan),
}

/// The result of the strategy.
#[derive(Debug, Clone, PartialEq)]
pub struct RejoinChoice {
    /// The report on the group.
    pub report: GroupReport,
    /// The conclusion.
    pub verdict: RejoinVerdict,
    /// The pods of the plan, in its order; empty without a plan.
    pub pods: Vec<PodIndex>,
    /// The eligible pods whose expected load is above the threshold, most loaded first.
    pub hot: Vec<PodIndex>,
}

/// Applies the strategy. `eligible` are the pods whose loads are trusted, most loaded first, ties
/// by name. `target_load` is the load per pod that the autoscaler aims at; without it no pod is
/// hot, and only the imbalance counts.
#[must_use]
pub fn rejoin_strategy(
    snapshot: &Snapshot,
    group: &GroupModel,
    eligible: &[PodIndex],
    target_load: Option<Cores>,
    policy: &Policy,
) -> RejoinChoice {
    let explained = ExplainedLoads::new(snapshot, group);
    let threshold = target_load.map(|target| policy.tolerance.get() * target.get());
    let subject = explained.subject(group, target_load, threshold);
    let loads = explained.expected(&subject);
    let above = |level: Option<f64>| {
        by_temperature(group, &loads, eligible, level.unwrap_or(f64::INFINITY))
    };
    let (hot, _) = above(threshold);
    let diagnosis = diagnose(&explained, &subject);
    let mut report = explained.report(snapshot, &subject, diagnosis.clone());
    let tolerance = policy.imbalance_tolerance.map(f64::from);
    let is_uneven = tolerance.is_some_and(|tolerance| report.peak_to_mean > tolerance);
    let described = described_document(snapshot);
    let heartbeat = described
        .as_ref()
        .ok()
        .and_then(|document| document.described.as_ref()?.heartbeat_seconds);
    let allowed = described.and_then(|document| can_rejoin(document, group, policy));
    let mut chosen = Vec::new();
    let verdict = match allowed {
        Err(problem) => RejoinVerdict::Problem(problem),
        Ok(()) if hot.is_empty() && !is_uneven => RejoinVerdict::WithinTolerance,
        Ok(()) if !explained.is_good() => RejoinVerdict::Unexplained,
        Ok(()) => {
            let average = mean(subject.loads().into_iter());
            let tolerated = tolerance.map(|tolerance| tolerance * average);
            let (hot, cold) = above(threshold.into_iter().chain(tolerated).reduce(f64::min));
            let limits = Limits {
                measure: Measure::Rejoin,
                top_k: policy.top_k.get(),
                minimum_fall_percent: policy.minimum_improvement_percent,
                minimum_confidence_percent: policy.minimum_confidence_percent.get(),
            };
            // The forecast knows what cannot change, so the search is not limited by a diagnosis.
            let found = search(&subject, &hot, &cold, None, limits, policy.forecast_seed);
            report.plans_tried = found.tried;
            let best = found.best.get(found.chosen.unwrap_or(0));
            report.rejoin =
                best.map(|best| forecast(&explained, &subject, &loads, best, heartbeat));
            let plan = report.rejoin.as_ref().and_then(plan);
            match (plan, best) {
                (Some(plan), Some(best)) if found.chosen.is_some() => {
                    let in_snapshot = |pod: &ServingPodIndex| group.pods.get(pod.get()).copied();
                    chosen.extend(best.pods.iter().filter_map(in_snapshot));
                    RejoinVerdict::Rejoin(plan)
                }
                _ => RejoinVerdict::NoRejoinHelps(diagnosis.into_iter().next()),
            }
        }
    };
    RejoinChoice {
        report,
        verdict,
        pods: chosen,
        hot: hot
            .iter()
            .filter_map(|pod| group.pods.get(pod.get()).copied())
            .collect(),
    }
}

/// The reasons for hot pods that a rejoin meets as well.
fn diagnose(explained: &ExplainedLoads<'_>, subject: &Subject<'_>) -> Vec<Diagnosis> {
    let group = subject.group;
    let mut found = explained.diagnose(subject);
    found.retain(|diagnosis| match diagnosis {
        // A static member that is removed returns without its partitions.
        Diagnosis::StaticMembership(_) => false,
        Diagnosis::Capacity(_)
        | Diagnosis::PositionalAssignor(_)
        | Diagnosis::TooFewPartitions(_)
        | Diagnosis::HotPartition(_)
        | Diagnosis::Remainder(_)
        | Diagnosis::SkewedTopic(_)
        | Diagnosis::SlowPod(_) => true,
    });
    // Without a hot pod nothing is diagnosed, but the assignor is as positional.
    if found.is_empty()
        && subject.threshold.is_none()
        && subject.algorithm.is_positional()
        && subscribed_alike(&group.members)
    {
        found.push(Diagnosis::positional_assignor(group.assignor));
    }
    found
}

/// The forecast of a set of pods, with their members.
fn forecast(
    explained: &ExplainedLoads<'_>,
    subject: &Subject<'_>,
    loads: &[Option<f64>],
    best: &Candidate,
    heartbeat: Option<Seconds>,
) -> RejoinForecast {
    let group = subject.group;
    let counts = group.partitions_by_pod();
    let members = |pod: ServingPodIndex| {
        let members = group.members.iter().zip(&group.pod_of);
        members
            .filter(|(_, of)| **of == pod)
            .map(|(member, _)| member.id.clone())
            .collect()
    };
    let pods = best.pods.iter().map(|pod| RejoiningPod {
        name: explained.name(*pod).to_owned(),
        load: loads.get(pod.get()).copied().flatten().unwrap_or(0.0),
        partitions: counts.get(pod.get()).copied().unwrap_or(0),
        members: members(*pod),
    });
    RejoinForecast::new(
        group,
        pods.collect(),
        subject.peak(),
        best.forecast,
        heartbeat,
    )
}

/// The plan of a forecast; `None` if the set is empty.
fn plan(forecast: &RejoinForecast) -> Option<RejoinPlan> {
    let pods = forecast.pods.iter().map(|pod| PlannedRejoin {
        pod: pod.name.clone(),
        load: pod.load,
    });
    RejoinPlan::try_from(pods.collect::<Vec<_>>()).ok()
}
