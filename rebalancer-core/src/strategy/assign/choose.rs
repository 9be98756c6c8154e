//! The strategy: whether a better assignment is worth a hand-over.
//!
//! 1. The loads are attributed to the partitions ([`Attribution`](crate::forecast::Attribution)).
//! 2. If no pod is above the threshold, and the imbalance is within its own tolerance, the group is
//!    within tolerance.
//! 3. The target is computed ([`target`]). If it lowers the peak by more than the minimum
//!    improvement, it is handed out. Where pods stand out whatever they own, it suffices that it
//!    lowers the highest load of the others by more than that.
//! 4. Otherwise no assignment helps. A diagnosis explains why, if there is one.

use super::suitable::{clients, described_document, suitable};
use super::target::{Target, target};
use crate::forecast::Diagnosis;
use crate::group::{AssignProblem, GroupModel, RebalanceProtocol, ServingPodIndex};
use crate::model::{Cores, PodIndex};
use crate::plan::{AssignmentPlan, PlannedMove};
use crate::policy::Policy;
use crate::snapshot::Snapshot;
use crate::statistics::mean;
use crate::strategy::assignment_forecast::{AssignmentForecast, OthersForecast, fall_percent};
use crate::strategy::forecast::by_temperature;
use crate::strategy::group_report::{ExplainedLoads, GroupReport};

/// The conclusion of the strategy.
#[derive(Debug, Clone, PartialEq)]
pub enum AssignVerdict {
    /// No pod is above the threshold, and the imbalance is within its tolerance.
    WithinTolerance,
    /// The rates do not explain the loads, so no assignment can be judged.
    Unexplained,
    /// The group is given no assignment, for this reason.
    Problem(AssignProblem),
    /// No assignment lowers the highest load enough. A diagnosis explains why, if there is one.
    NoAssignmentHelps(Option<Diagnosis>),
    /// The plan is to be executed.
    Assign(AssignmentPlan),
}

/// The result of the strategy.
#[derive(Debug, Clone, PartialEq)]
pub struct AssignChoice {
    /// The report on the group.
    pub report: GroupReport,
    /// The conclusion.
    pub verdict: AssignVerdict,
    /// The eligible pods whose expected load is above the threshold, most loaded first.
    pub hot: Vec<PodIndex>,
}

/// Applies the strategy. `eligible` are the pods whose loads are trusted, most loaded first.
/// `target_load` is the load per pod that the autoscaler aims at; without it no pod is hot, and
/// only the imbalance counts.
#[must_use]
pub fn assign_strategy(
    snapshot: &Snapshot,
    group: &GroupModel,
    eligible: &[PodIndex],
    target_load: Option<Cores>,
    policy: &Policy,
) -> AssignChoice {
    let explained = ExplainedLoads::new(snapshot, group);
    let threshold = target_load.map(|target| policy.tolerance.get() * target.get());
    let subject = explained.subject(group, target_load, threshold);
    let loads = explained.expected(&subject);
    let (hot, _) = by_temperature(group, &loads, eligible, threshold.unwrap_or(f64::INFINITY));
    let diagnosis = explained.diagnose(&subject);
    let diagnosis: Vec<Diagnosis> = diagnosis.into_iter().filter(limits_assignments).collect();
    let mut report = explained.report(snapshot, &subject, diagnosis.clone());
    let is_uneven = policy
        .imbalance_tolerance
        .is_some_and(|tolerance| report.peak_to_mean > tolerance.get());
    let described = described_document(snapshot).and_then(|document| suitable(document, group));
    let verdict = match described {
        Err(problem) => AssignVerdict::Problem(problem),
        Ok(_) if hot.is_empty() && !is_uneven => AssignVerdict::WithinTolerance,
        Ok(_) if !explained.is_good() => AssignVerdict::Unexplained,
        Ok(described) => {
            let average = mean(subject.loads().into_iter());
            let tolerated = policy
                .imbalance_tolerance
                .map(|tolerance| tolerance.get() * average);
            // Without a threshold or a tolerance, the pods are balanced as if none stood out.
            let enough = threshold.into_iter().chain(tolerated).reduce(f64::min);
            let found = target(
                group,
                explained.attribution(),
                &clients(described),
                enough.unwrap_or(0.0),
            );
            match found {
                Err(problem) => AssignVerdict::Problem(problem),
                Ok(target) => {
                    let expected = forecast(group, &target);
                    let minimum = policy.minimum_improvement_percent.get();
                    let helps = expected.improvement_percent() > minimum;
                    report.assignment = Some(expected);
                    match plan(snapshot, group, &target) {
                        Some(plan) if helps => AssignVerdict::Assign(plan),
                        Some(_) | None => {
                            AssignVerdict::NoAssignmentHelps(diagnosis.into_iter().next())
                        }
                    }
                }
            }
        }
    };
    let in_snapshot = |pod: &ServingPodIndex| group.pods.get(pod.get()).copied();
    AssignChoice {
        report,
        verdict,
        hot: hot.iter().filter_map(in_snapshot).collect(),
    }
}

/// The expected effect of the target.
fn forecast(group: &GroupModel, target: &Target) -> AssignmentForecast {
    let protocol = RebalanceProtocol::of(group.assignor.assignor);
    let total: f64 = target.before.pods.iter().sum();
    let average = mean(target.before.pods.iter().copied());
    AssignmentForecast {
        moves: target.moves.len(),
        moved_load: target.moved_load,
        moved_percent: if total > 0.0 {
            100.0 * target.moved_load / total
        } else {
            0.0
        },
        peak_before: target.before.peak,
        peak: target.after.peak,
        peak_to_mean: target.after.imbalance,
        fall_percent: fall_percent(target.before.peak, target.after.peak),
        lowest_peak_to_mean: if average > 0.0 {
            (target.lower_bound / average).max(1.0)
        } else {
            1.0
        },
        protocol,
        rebalances: match protocol {
            RebalanceProtocol::Cooperative => 5,
            RebalanceProtocol::Eager => 3,
        },
        others: OthersForecast::new(&target.before.pods, &target.after.pods, target.outliers),
    }
}

/// Whether a diagnosis says something about assignments, and not only about evictions.
fn limits_assignments(diagnosis: &Diagnosis) -> bool {
    match diagnosis {
        Diagnosis::Capacity(_)
        | Diagnosis::TooFewPartitions(_)
        | Diagnosis::HotPartition(_)
        | Diagnosis::SlowPod(_) => true,
        Diagnosis::PositionalAssignor(_)
        | Diagnosis::StaticMembership(_)
        | Diagnosis::Remainder(_)
        | Diagnosis::SkewedTopic(_) => false,
    }
}

/// The moves of the target by name; `None` if there is none.
fn plan(snapshot: &Snapshot, group: &GroupModel, target: &Target) -> Option<AssignmentPlan> {
    let members = &snapshot.data().group.as_ref()?.members;
    let name = |member: kafka_assignors::MemberIndex| {
        let member = members.get(member.get());
        member.map(|member| member.name().to_owned())
    };
    let moves = target.moves.iter().filter_map(|moved| {
        let (topic, partition) = group.topics.locate(moved.partition)?;
        Some(PlannedMove {
            topic: group.topics.name(topic).to_owned(),
            partition: u32::try_from(partition).ok()?,
            from: name(moved.from)?,
            to: name(moved.to)?,
            load: moved.load,
        })
    });
    AssignmentPlan::try_from(moves.collect::<Vec<_>>()).ok()
}
