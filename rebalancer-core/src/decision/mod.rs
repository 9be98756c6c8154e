//! The decision: rotate or hold, always with the analysis and every check.

mod conclude;
mod document;
mod hold_reason;

pub use hold_reason::HoldReason;

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use crate::checks::{self, Check, Ineligible, Verdict};
use crate::model::{Load, Pod, PodUid, Seconds, WorkloadRef};
use crate::plan::{Plan, Role, Victim};
use crate::policy::{Policy, Strategy};
use crate::snapshot::{Snapshot, resolve};
use crate::statistics::mean;
use crate::strategy::forecast::GroupReport;
use crate::strategy::{Candidates, Choice, Judgement, choose};
use conclude::{Scene, conclude};
use document::DecisionDocument;

/// What to do about a snapshot, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "DecisionDocument", into = "DecisionDocument")]
pub struct Decision {
    /// The workload it is about.
    pub workload: WorkloadRef,
    /// What to do.
    pub action: Action,
    /// The whole decision in one sentence, with its numbers.
    pub message: String,
    /// The numbers.
    pub analysis: Analysis,
    /// Every check on the snapshot, passed or not.
    pub checks: Vec<Check>,
    /// What the model of the consumer group says, where there is one and the strategy asks for it.
    pub group: Option<Box<GroupReport>>,
    /// Every pod: most loaded first, then those without a load by name.
    pub pods: Vec<PodAssessment>,
}

impl Decision {
    /// The plan, when the decision is to rotate.
    #[must_use]
    pub fn plan(&self) -> Option<&Plan> {
        match &self.action {
            Action::Rotate(plan) => Some(plan),
            Action::Hold(_) => None,
        }
    }

    /// Something needed is not known or not trusted: the reason to hold says so, or a check whose
    /// failure does not pass by itself, however many others failed before it. So metrics that
    /// vanished are seen even while the group never settles.
    #[must_use]
    pub fn means_missing_data(&self) -> bool {
        let reason = self.hold_reason();
        reason.is_some_and(HoldReason::means_missing_data)
            || self.checks.iter().any(Check::means_missing_data)
    }

    /// The reason, when the decision is to hold.
    #[must_use]
    pub fn hold_reason(&self) -> Option<HoldReason> {
        match self.action {
            Action::Rotate(_) => None,
            Action::Hold(reason) => Some(reason),
        }
    }
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Carry out this plan.
    Rotate(Plan),
    /// Evict nobody.
    Hold(HoldReason),
}

/// The numbers of a decision, all loads in cores. Means, variance and maximum are over the
/// eligible pods; what could not be computed is absent.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Analysis {
    /// Pods in the snapshot.
    pub pods: usize,
    /// Pods that are owned, Running, Ready and not terminating.
    pub ready: usize,
    /// Pods that may be victims.
    pub eligible: usize,
    /// Mean load.
    pub mean: Option<f64>,
    /// Population variance of the loads, in cores².
    pub variance: Option<f64>,
    /// The highest load.
    pub max: Option<f64>,
    /// The highest load as a multiple of the mean; absent when the mean is 0.
    pub imbalance: Option<f64>,
    /// The target.
    pub target: Option<f64>,
    /// Tolerance × target: a pod above it is hot.
    pub threshold: Option<f64>,
    /// Mean load of the hottest.
    pub top_mean: Option<f64>,
    /// Mean load of hottest and coldest together.
    pub both_mean: Option<f64>,
    /// `(top_mean − both_mean) / top_mean × 100`: of the chosen pods, not a forecast.
    pub improvement_percent: Option<f64>,
}

/// What a decision makes of one pod.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PodAssessment {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: PodUid,
    /// Its load, in cores; absent when not measured.
    pub load: Option<Load>,
    /// Age of the newest sample behind the load, in seconds; absent when not known.
    pub sample_age_seconds: Option<Seconds>,
    /// Its age, in seconds; absent when not known.
    pub age_seconds: Option<Seconds>,
    /// It may be a victim.
    pub eligible: bool,
    /// Why it may not, every reason.
    pub reasons: Vec<Ineligible>,
    /// Its role, by the strategy, whether or not the plan is carried out.
    pub role: Option<Role>,
}

/// Decides what to do about one workload.
///
/// Pure: the same snapshot and policy give the same decision, whatever the order of the pods.
/// The strategy is applied even when a check fails, so that the decision shows what would have
/// been; the action is then to hold with the reason of the first check that failed.
#[must_use]
pub fn decide(snapshot: &Snapshot, policy: &Policy) -> Decision {
    let pods = snapshot.pods();
    let freshness_known = snapshot.data().freshness_known;
    let reasons: Vec<Vec<Ineligible>> = pods
        .iter()
        .map(|pod| checks::ineligible(pod, policy, freshness_known))
        .collect();
    let order = in_order(pods);
    let in_turn: Vec<&Pod> = order.iter().map(|(_, place)| &pods[*place]).collect();
    // The eligible pods in that order: their ranks, and their loads.
    let mut eligible = Vec::with_capacity(order.len());
    let mut loads = Vec::with_capacity(order.len());
    for (rank, (load, place)) in order.iter().enumerate() {
        if let (Reverse(Some(load)), true) = (load, reasons[*place].is_empty()) {
            eligible.push(rank);
            loads.push(*load);
        }
    }
    let eligible_pods: Vec<&Pod> = eligible.iter().map(|rank| in_turn[*rank]).collect();
    let target = resolve(snapshot, &eligible_pods);
    let threshold = target
        .as_ref()
        .ok()
        .map(|target| policy.tolerance.get() * target.cores.get());
    let group = match policy.strategy {
        Strategy::RotateOutliers => None,
        Strategy::Forecast | Strategy::Auto => Some(snapshot.group_model()),
    };
    let choice = target.as_ref().ok().and_then(|target| {
        let candidates = Candidates {
            snapshot,
            policy,
            order: &order,
            in_turn: &in_turn,
            eligible: &eligible,
            loads: &loads,
            target: target.cores,
        };
        choose(&candidates, group.as_ref())
    });
    let Choice {
        mut roles,
        judgement,
        report,
    } = choice.unwrap_or_default();
    roles.truncate(policy.max_evictions.unwrap_or(usize::MAX).max(1));
    let chosen = victims(&in_turn, &roles);
    let ready = snapshot.ready();
    let distribution = distribution(&loads);
    let outliers = judgement.as_ref().and_then(Judgement::outliers);
    let would_rotate = judgement.as_ref().is_some_and(Judgement::rotates);
    let plan = would_rotate
        .then(|| Plan::new(chosen.clone(), policy.max_unavailable.wave_size(ready)))
        .flatten();

    let mut checks = vec![
        checks::one_at_a_time(snapshot),
        checks::freeze(snapshot),
        checks::rollout(snapshot),
        checks::autoscaler(snapshot),
        checks::settled(snapshot, policy),
        checks::cooldown(snapshot, policy),
        checks::pods_found(snapshot),
        checks::metrics_complete(snapshot),
        // Clocks that are apart make fresh samples look stale, and double pods look hot: what
        // explains more comes first.
        checks::clocks_agree(snapshot),
        checks::measured_once(snapshot),
        checks::measured_pods_exist(snapshot, policy),
        checks::coverage(snapshot, policy),
        checks::loads_not_all_zero(snapshot, policy),
        checks::load_plausible(snapshot),
        checks::eligibility(reasons.iter().map(Vec::as_slice)),
        checks::target(&target),
    ];
    // Nobody who does without the group is told about it.
    checks.extend(group.as_ref().map(|group| checks::group(group, policy)));
    checks.extend([
        checks::last_rotation(snapshot, distribution.imbalance, would_rotate, policy),
        checks::eviction_limit(would_rotate, policy),
        checks::minimum_ready(ready, plan.as_ref(), policy),
    ]);
    let analysis = Analysis {
        pods: pods.len(),
        ready,
        eligible: eligible.len(),
        target: target.as_ref().ok().map(|target| target.cores.get()),
        threshold,
        top_mean: outliers.and_then(|outliers| outliers.top_mean),
        both_mean: outliers.and_then(|outliers| outliers.both_mean),
        improvement_percent: outliers.and_then(|outliers| outliers.improvement_percent),
        ..distribution
    };
    let assessments = assess(pods, reasons, &order, &roles);
    let (action, message) = match checks.iter().find(|check| check.verdict == Verdict::Fail) {
        Some(check) => (
            Action::Hold(HoldReason::of(&check.finding)),
            check.message.clone(),
        ),
        None => conclude(
            judgement.as_ref(),
            Scene {
                plan,
                chosen: &chosen,
                pods: &assessments,
                analysis: &analysis,
                policy,
            },
        ),
    };
    Decision {
        workload: snapshot.workload().clone(),
        action,
        message,
        analysis,
        checks,
        group: report,
        pods: assessments,
    }
}

/// The places of the pods, most loaded first, ties by name, those without a load last. The loads
/// go along, since to look each up in its pod while sorting is slow in a large workload.
fn in_order(pods: &[Pod]) -> Vec<(Reverse<Option<Load>>, usize)> {
    let mut order: Vec<_> = pods.iter().map(|pod| Reverse(pod.load)).zip(0..).collect();
    order.sort_unstable_by(|(load, index), (other_load, other): &(_, usize)| {
        load.cmp(other_load)
            .then_with(|| pods[*index].name.cmp(&pods[*other].name))
    });
    order
}

fn victims(in_turn: &[&Pod], roles: &[(usize, Role)]) -> Vec<Victim> {
    roles
        .iter()
        .filter_map(|(rank, role)| {
            let pod = in_turn[*rank];
            Some(Victim {
                name: pod.name.clone(),
                uid: pod.uid.clone(),
                role: *role,
                load: pod.load?,
                wave: 1,
            })
        })
        .collect()
}

/// Mean, variance and maximum.
fn distribution(loads: &[Load]) -> Analysis {
    if loads.is_empty() {
        return Analysis::default();
    }
    let values = || loads.iter().map(|load| load.get());
    let average = mean(values());
    Analysis {
        mean: Some(average),
        variance: Some(mean(values().map(|value| (value - average).powi(2)))),
        max: loads.first().map(|load| load.get()),
        imbalance: loads
            .first()
            .filter(|_| average > 0.0)
            .map(|load| load.get() / average),
        ..Analysis::default()
    }
}

/// What is made of each pod, in the given order; roles are by rank in it.
fn assess(
    pods: &[Pod],
    mut reasons: Vec<Vec<Ineligible>>,
    order: &[(Reverse<Option<Load>>, usize)],
    roles: &[(usize, Role)],
) -> Vec<PodAssessment> {
    let mut assessments = Vec::with_capacity(order.len());
    for batch in order.chunks(64) {
        // Pods and their names lie all over the memory: a look at some of them, each on its own,
        // before any is copied lets the processor fetch them together. A third of the time of a
        // large decision would be waiting otherwise.
        let first = |text: &str| text.as_bytes().first().copied().unwrap_or_default();
        let seen = batch.iter().fold(0, |seen, (_, place)| {
            seen ^ first(&pods[*place].name) ^ first(&pods[*place].uid.0)
        });
        std::hint::black_box(seen);
        assessments.extend(batch.iter().map(|(load, place)| {
            let pod = &pods[*place];
            let reasons = std::mem::take(&mut reasons[*place]);
            PodAssessment {
                name: pod.name.clone(),
                uid: pod.uid.clone(),
                load: load.0,
                sample_age_seconds: pod.sample_age_seconds,
                age_seconds: pod.age_seconds,
                eligible: reasons.is_empty(),
                reasons,
                role: None,
            }
        }));
    }
    for (rank, role) in roles {
        assessments[*rank].role = Some(*role);
    }
    assessments
}
