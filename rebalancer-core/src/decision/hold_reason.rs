//! Why nobody is evicted.

use serde::{Deserialize, Serialize};

use crate::checks::Finding;
use crate::forecast::Diagnosis;

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
    /// The consumer group is not known well enough to forecast anything.
    GroupUnknown,
    /// The rates of the partitions do not explain the loads.
    LoadsUnexplained,
    /// The assignor gives the same loads out again, whoever is evicted.
    PositionalAssignor,
    /// Static members get the same partitions back.
    StaticMembership,
    /// There are fewer partitions than pods.
    TooFewPartitions,
    /// One partition makes whoever owns it hot.
    HotPartition,
    /// No plan helps, and the partitions do not divide among the pods.
    Remainder,
    /// No plan helps, and one topic that makes most of the load is spread unevenly.
    SkewedTopic,
    /// A pod is slow by itself, and may not be evicted.
    SlowPod,
    /// All pods together have too much to do.
    Capacity,
    /// No plan is expected to lower the highest load enough, or likely enough.
    NoPlanHelps,
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
            Self::GroupUnknown => "group_unknown",
            Self::LoadsUnexplained => "loads_unexplained",
            Self::PositionalAssignor => "positional_assignor",
            Self::StaticMembership => "static_membership",
            Self::TooFewPartitions => "too_few_partitions",
            Self::HotPartition => "hot_partition",
            Self::Remainder => "remainder",
            Self::SkewedTopic => "skewed_topic",
            Self::SlowPod => "slow_pod",
            Self::Capacity => "capacity",
            Self::NoPlanHelps => "no_plan_helps",
        }
    }

    /// The hold says that something needed is not known or not trusted, rather than that there
    /// is nothing to do or that now is not the time.
    #[must_use]
    pub fn means_missing_data(self) -> bool {
        match self {
            Self::MetricsPartial
            | Self::PodsMeasuredTwice
            | Self::NoPodsFound
            | Self::ClocksApart
            | Self::MetricsOfOtherPods
            | Self::InsufficientCoverage
            | Self::LoadsAllZero
            | Self::ImplausibleLoad
            | Self::TargetUnknown
            | Self::GroupUnknown
            | Self::LoadsUnexplained => true,
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
            | Self::MinimumPods
            | Self::PositionalAssignor
            | Self::StaticMembership
            | Self::TooFewPartitions
            | Self::HotPartition
            | Self::Remainder
            | Self::SkewedTopic
            | Self::SlowPod
            | Self::Capacity
            | Self::NoPlanHelps => false,
        }
    }

    /// The reason that goes with a failed check.
    pub(super) fn of(finding: &Finding) -> Self {
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
            Finding::Group(known) => match &known.problem {
                Some(problem) if problem.is_transient() => Self::GroupNotSettled,
                Some(_) | None => Self::GroupUnknown,
            },
        }
    }

    /// The reason that goes with a diagnosis.
    pub(super) fn by(diagnosis: &Diagnosis) -> Self {
        match diagnosis {
            Diagnosis::Capacity { .. } => Self::Capacity,
            Diagnosis::PositionalAssignor { .. } => Self::PositionalAssignor,
            Diagnosis::StaticMembership { .. } => Self::StaticMembership,
            Diagnosis::TooFewPartitions { .. } => Self::TooFewPartitions,
            Diagnosis::HotPartition { .. } => Self::HotPartition,
            Diagnosis::Remainder { .. } => Self::Remainder,
            Diagnosis::SkewedTopic { .. } => Self::SkewedTopic,
            Diagnosis::SlowPod { .. } => Self::SlowPod,
        }
    }
}
