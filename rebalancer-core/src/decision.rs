//! The decision: rotate or hold, always with the analysis and every check.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use crate::checks::{self, Check, Finding, Ineligible, Verdict, list_some};
use crate::model::{Load, Pod, PodUid, Seconds, TopK, WorkloadRef};
use crate::plan::{InvalidPlan, Plan, Role, Victim};
use crate::policy::{Policy, Strategy};
use crate::snapshot::{Snapshot, mean, resolve};
use crate::strategy::rotate_outliers::{self, RotateOutliers, rotate_outliers};

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
    pub fn lacks_knowledge(&self) -> bool {
        let reason = self.hold_reason();
        reason.is_some_and(HoldReason::lacks_knowledge)
            || self.checks.iter().any(Check::lacks_knowledge)
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

/// Why nobody is evicted. The words never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum HoldReason {
    /// Another run is acting on the workload.
    AnotherRun,
    /// The operator said that nothing may be done at this time.
    Frozen,
    /// The last rotation was too short a time ago.
    Cooldown,
    /// The last rotation did not help, and it is too early to try again.
    RotationDidNotHelp,
    /// The run has evicted as many pods as it may.
    EvictionLimit,
    /// The workload's controller is rolling out or scaling.
    RolloutInProgress,
    /// An autoscaler is scaling.
    AutoscalerScaling,
    /// A pod became ready within the cooldown, or is terminating.
    GroupNotSettled,
    /// Pods are to be there, and none of the workload's was found.
    NoPodsFound,
    /// The workload has no ready pod.
    NoReadyPods,
    /// The metrics may lack something.
    MetricsPartial,
    /// The metrics count pods more than once.
    PodsMeasuredTwice,
    /// The clocks of the metrics server and of the cluster are apart.
    ClocksApart,
    /// The metrics measure pods, and none of them is the workload's.
    MetricsOfOtherPods,
    /// Too few of the ready pods have a load to trust.
    InsufficientCoverage,
    /// Every load is exactly zero.
    LoadsAllZero,
    /// A load is beyond what a pod can spend.
    ImplausibleLoad,
    /// No pod may be a victim.
    NoEligiblePods,
    /// There is no target, or several.
    TargetUnknown,
    /// No pod is above the threshold.
    WithinTolerance,
    /// Hottest and coldest are too close to each other.
    ImprovementTooSmall,
    /// Too few ready pods would be left.
    MinimumPods,
}

impl HoldReason {
    /// The word, as documents have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AnotherRun => "another_run",
            Self::Frozen => "frozen",
            Self::Cooldown => "cooldown",
            Self::RotationDidNotHelp => "rotation_did_not_help",
            Self::EvictionLimit => "eviction_limit",
            Self::RolloutInProgress => "rollout_in_progress",
            Self::AutoscalerScaling => "autoscaler_scaling",
            Self::GroupNotSettled => "group_not_settled",
            Self::NoPodsFound => "no_pods_found",
            Self::NoReadyPods => "no_ready_pods",
            Self::MetricsPartial => "metrics_partial",
            Self::PodsMeasuredTwice => "pods_measured_twice",
            Self::ClocksApart => "clocks_apart",
            Self::MetricsOfOtherPods => "metrics_of_other_pods",
            Self::InsufficientCoverage => "insufficient_coverage",
            Self::LoadsAllZero => "loads_all_zero",
            Self::ImplausibleLoad => "implausible_load",
            Self::NoEligiblePods => "no_eligible_pods",
            Self::TargetUnknown => "target_unknown",
            Self::WithinTolerance => "within_tolerance",
            Self::ImprovementTooSmall => "improvement_too_small",
            Self::MinimumPods => "minimum_pods",
        }
    }

    /// The hold says that something needed is not known or not trusted, rather than that there
    /// is nothing to do or that now is not the time.
    #[must_use]
    pub fn lacks_knowledge(self) -> bool {
        match self {
            Self::MetricsPartial
            | Self::PodsMeasuredTwice
            | Self::NoPodsFound
            | Self::ClocksApart
            | Self::MetricsOfOtherPods
            | Self::InsufficientCoverage
            | Self::LoadsAllZero
            | Self::ImplausibleLoad
            | Self::TargetUnknown => true,
            Self::AnotherRun
            | Self::Frozen
            | Self::Cooldown
            | Self::RotationDidNotHelp
            | Self::EvictionLimit
            | Self::RolloutInProgress
            | Self::AutoscalerScaling
            | Self::GroupNotSettled
            | Self::NoReadyPods
            | Self::NoEligiblePods
            | Self::WithinTolerance
            | Self::ImprovementTooSmall
            | Self::MinimumPods => false,
        }
    }

    /// The reason that goes with a failed check.
    fn of(finding: &Finding) -> Self {
        match finding {
            Finding::OneAtATime { .. } => Self::AnotherRun,
            Finding::Freeze { .. } => Self::Frozen,
            Finding::Cooldown { .. } => Self::Cooldown,
            Finding::LastRotation { .. } => Self::RotationDidNotHelp,
            Finding::EvictionLimit { .. } => Self::EvictionLimit,
            Finding::Rollout { .. } => Self::RolloutInProgress,
            Finding::Autoscaler { .. } => Self::AutoscalerScaling,
            Finding::Settled { .. } => Self::GroupNotSettled,
            Finding::PodsFound { .. } => Self::NoPodsFound,
            Finding::MetricsComplete { .. } => Self::MetricsPartial,
            Finding::MeasuredOnce { .. } => Self::PodsMeasuredTwice,
            Finding::Coverage { percent: None, .. } => Self::NoReadyPods,
            Finding::Coverage {
                percent: Some(_), ..
            } => Self::InsufficientCoverage,
            Finding::ClocksAgree(_) => Self::ClocksApart,
            Finding::MeasuredPodsExist(_) => Self::MetricsOfOtherPods,
            Finding::LoadsNotAllZero(_) => Self::LoadsAllZero,
            Finding::LoadPlausible(_) => Self::ImplausibleLoad,
            Finding::EligiblePods { .. } => Self::NoEligiblePods,
            Finding::Target { .. } => Self::TargetUnknown,
            Finding::MinimumReady { .. } => Self::MinimumPods,
        }
    }
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
    let outliers = threshold.map(|threshold| match policy.strategy {
        Strategy::RotateOutliers => rotate_outliers(
            &loads,
            threshold,
            top_k(policy),
            policy.minimum_improvement_percent,
        ),
    });
    let mut roles = outliers
        .as_ref()
        .map(|outliers| roles(&in_turn, &eligible, outliers))
        .unwrap_or_default();
    roles.truncate(policy.max_evictions.unwrap_or(usize::MAX).max(1));
    let chosen = victims(&in_turn, &roles);
    let ready = snapshot.ready();
    let distribution = distribution(&loads);
    let would_rotate = outliers
        .as_ref()
        .is_some_and(|outliers| outliers.verdict == rotate_outliers::Verdict::Rotate);
    let plan = would_rotate
        .then(|| Plan::new(chosen.clone(), policy.max_unavailable.wave_size(ready)))
        .flatten();

    let checks = vec![
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
        checks::last_rotation(snapshot, distribution.imbalance, would_rotate, policy),
        checks::eviction_limit(would_rotate, policy),
        checks::minimum_ready(ready, plan.as_ref(), policy),
    ];
    let analysis = Analysis {
        pods: pods.len(),
        ready,
        eligible: eligible.len(),
        target: target.as_ref().ok().map(|target| target.cores.get()),
        threshold,
        top_mean: outliers.as_ref().and_then(|outliers| outliers.top_mean),
        both_mean: outliers.as_ref().and_then(|outliers| outliers.both_mean),
        improvement_percent: outliers
            .as_ref()
            .and_then(|outliers| outliers.improvement_percent),
        ..distribution
    };
    let assessments = assess(pods, reasons, &order, &roles);
    let (action, message) = match checks.iter().find(|check| check.verdict == Verdict::Fail) {
        Some(check) => (
            Action::Hold(HoldReason::of(&check.finding)),
            check.message.clone(),
        ),
        None => conclude(
            outliers.as_ref(),
            plan,
            &chosen,
            &assessments,
            &analysis,
            policy,
        ),
    };
    Decision {
        workload: snapshot.workload().clone(),
        action,
        message,
        analysis,
        checks,
        pods: assessments,
    }
}

/// How many of each kind a plan may hold: half of what may be evicted at all, so that hottest and
/// coldest go together as long as there is room for two.
fn top_k(policy: &Policy) -> TopK {
    let limit = policy.max_evictions.unwrap_or(usize::MAX);
    let most = policy.top_k.get().min((limit / 2).max(1));
    TopK::new(most).unwrap_or(policy.top_k)
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

/// The ranks of the hottest, by load descending, then of the coldest, by load ascending; ties by
/// name, ascending.
fn roles(in_turn: &[&Pod], eligible: &[usize], outliers: &RotateOutliers) -> Vec<(usize, Role)> {
    let (hottest, others) = eligible.split_at(outliers.hottest);
    let load = |rank: &usize| in_turn[*rank].load;
    // Only the end of the list is put the other way round, from the first of the equals on.
    let warmest = others
        .len()
        .checked_sub(outliers.coldest)
        .and_then(|first| others.get(first))
        .and_then(load);
    let first = others.partition_point(|rank| load(rank) > warmest);
    let mut coldest = others[first..].to_vec();
    coldest.sort_unstable_by_key(|rank| (load(rank), in_turn[*rank].name.as_str()));
    coldest.truncate(outliers.coldest);
    let hottest = hottest.iter().map(|rank| (*rank, Role::Hottest));
    let coldest = coldest.into_iter().map(|rank| (rank, Role::Coldest));
    hottest.chain(coldest).collect()
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

/// The action when no check failed, and the sentence that says why.
fn conclude(
    outliers: Option<&RotateOutliers>,
    plan: Option<Plan>,
    chosen: &[Victim],
    pods: &[PodAssessment],
    analysis: &Analysis,
    policy: &Policy,
) -> (Action, String) {
    let number = Option::unwrap_or_default;
    let threshold = format!(
        "{:.3} cores ({} × target {:.3})",
        number(analysis.threshold),
        policy.tolerance,
        number(analysis.target)
    );
    let change = || {
        format!(
            "mean of the hottest {:.3} cores, together with the coldest {:.3}: {:.1} %",
            number(analysis.top_mean),
            number(analysis.both_mean),
            number(analysis.improvement_percent)
        )
    };
    let named = |role: Role| {
        let names = chosen
            .iter()
            .filter(|victim| victim.role == role)
            .map(|victim| victim.name.clone());
        list_some(names)
    };
    let minimum = policy.minimum_improvement_percent;
    match (outliers.map(|outliers| outliers.verdict), plan) {
        (Some(rotate_outliers::Verdict::Rotate), Some(plan)) => {
            let message = format!(
                "evict {} of {} pods: {} above the threshold of {threshold} with {} as the \
                 coldest; {}, more than {minimum} %",
                plan.victims().len(),
                analysis.pods,
                named(Role::Hottest),
                named(Role::Coldest),
                change(),
            );
            (Action::Rotate(plan), message)
        }
        (Some(rotate_outliers::Verdict::ImprovementTooSmall), _) => {
            let why = if outliers.is_some_and(|outliers| outliers.coldest == 0) {
                "but no other pod is eligible to rotate with".into()
            } else {
                format!(
                    "but the pods to rotate are too alike: {}, more than {minimum} % is needed",
                    change()
                )
            };
            (
                Action::Hold(HoldReason::ImprovementTooSmall),
                format!(
                    "{} above the threshold of {threshold}, {why}",
                    named(Role::Hottest)
                ),
            )
        }
        // Without a target or without a plan a check has failed.
        (
            Some(rotate_outliers::Verdict::WithinTolerance | rotate_outliers::Verdict::Rotate)
            | None,
            _,
        ) => (
            Action::Hold(HoldReason::WithinTolerance),
            format!(
                "no eligible pod is above the threshold of {threshold}; the most loaded spends \
                 {:.3}{}",
                number(analysis.max),
                hot_but_ineligible(pods, analysis.threshold),
            ),
        ),
    }
}

/// Names the pods above the threshold that may not be victims, with the reasons.
fn hot_but_ineligible(pods: &[PodAssessment], threshold: Option<f64>) -> String {
    let mut hot = pods
        .iter()
        .take_while(|pod| pod.load.map(Load::get) > threshold)
        .filter(|pod| !pod.eligible)
        .map(|pod| {
            let reasons: Vec<String> = pod.reasons.iter().map(ToString::to_string).collect();
            format!("{} ({})", pod.name, reasons.join("; "))
        })
        .peekable();
    if hot.peek().is_none() {
        return String::new();
    }
    format!("; above it but not eligible: {}", list_some(hot))
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

/// A decision as documents have it.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct DecisionDocument {
    workload: WorkloadRef,
    decision: ActionDocument,
    analysis: Analysis,
    victims: Vec<Victim>,
    checks: Vec<Check>,
    pods: Vec<PodAssessment>,
}

/// Why pods are evicted.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
enum RotateReason {
    /// Pods are above the threshold, and the improvement is above the minimum.
    AboveThreshold,
}

/// The action as documents have it.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "action", rename_all = "snake_case")]
enum ActionDocument {
    Rotate {
        reason: RotateReason,
        message: String,
    },
    Hold {
        reason: HoldReason,
        message: String,
    },
}

impl From<Decision> for DecisionDocument {
    fn from(decision: Decision) -> Self {
        let message = decision.message;
        let (action, victims) = match decision.action {
            Action::Rotate(plan) => (
                ActionDocument::Rotate {
                    reason: RotateReason::AboveThreshold,
                    message,
                },
                plan.victims().to_vec(),
            ),
            Action::Hold(reason) => (ActionDocument::Hold { reason, message }, Vec::new()),
        };
        Self {
            workload: decision.workload,
            decision: action,
            analysis: decision.analysis,
            victims,
            checks: decision.checks,
            pods: decision.pods,
        }
    }
}

impl TryFrom<DecisionDocument> for Decision {
    type Error = InvalidPlan;
    fn try_from(document: DecisionDocument) -> Result<Self, Self::Error> {
        let (action, message) = match document.decision {
            ActionDocument::Rotate { message, .. } => {
                let plan = Plan::try_from(document.victims)?;
                (Action::Rotate(plan), message)
            }
            ActionDocument::Hold { reason, message } => (Action::Hold(reason), message),
        };
        Ok(Self {
            workload: document.workload,
            action,
            message,
            analysis: document.analysis,
            checks: document.checks,
            pods: document.pods,
        })
    }
}
