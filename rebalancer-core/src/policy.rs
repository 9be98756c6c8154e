//! The operator's rules.

use serde::{Deserialize, Serialize};

use crate::model::{MaxUnavailable, MinimumPods, Percent, Seconds, Tolerance, TopK};

/// The strategy: what is done about hot pods, and how it is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Evict the hottest pods together with the coldest: see
    /// [`rotate_outliers`](crate::strategy::rotate_outliers).
    #[default]
    RotateOutliers,
    /// Evict the few pods that the model of the consumer group expects to help: see
    /// [`forecast`](crate::strategy::forecast).
    Forecast,
    /// Hand out a better assignment of partitions, without evictions: see
    /// [`assign`](crate::strategy::assign).
    Assign,
    /// Let the members of a few pods rejoin the group, so that its assignor deals their partitions
    /// again, without evictions: see [`rejoin`](crate::strategy::rejoin).
    Rejoin,
    /// `assign` if the brokers describe the group and it keeps an assignment, else `forecast` if
    /// the consumer group is known well enough, else `rotate-outliers`, which then holds if the
    /// assignor is known to make evictions ineffective.
    Auto,
}

impl Strategy {
    /// Every strategy.
    pub const ALL: [Self; 5] = [
        Self::RotateOutliers,
        Self::Forecast,
        Self::Assign,
        Self::Rejoin,
        Self::Auto,
    ];

    /// The word in settings and documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RotateOutliers => "rotate-outliers",
            Self::Forecast => "forecast",
            Self::Assign => "assign",
            Self::Rejoin => "rejoin",
            Self::Auto => "auto",
        }
    }

    /// Whether the strategy evicts pods. Otherwise it redistributes the partitions through the
    /// coordinator of the group, no pod restarts, and the imbalance has a tolerance of its own.
    #[must_use]
    pub fn evicts(self) -> bool {
        match self {
            Self::RotateOutliers | Self::Forecast | Self::Auto => true,
            Self::Assign | Self::Rejoin => false,
        }
    }

    /// Whether the strategy uses the consumer group.
    #[must_use]
    pub fn uses_group(self) -> bool {
        match self {
            Self::RotateOutliers => false,
            Self::Forecast | Self::Assign | Self::Rejoin | Self::Auto => true,
        }
    }
}

/// A field of [`Policy`], so that a message about the policy can be completed with the name of the
/// operator's setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum PolicyField {
    /// [`Policy::strategy`].
    Strategy,
    /// [`Policy::top_k`].
    TopK,
    /// [`Policy::tolerance`].
    Tolerance,
    /// [`Policy::imbalance_tolerance`].
    ImbalanceTolerance,
    /// [`Policy::minimum_improvement_percent`].
    MinimumImprovementPercent,
    /// [`Policy::minimum_confidence_percent`].
    MinimumConfidencePercent,
    /// [`Policy::rejoin_consumer_protocol`].
    RejoinConsumerProtocol,
    /// [`Policy::forecast_seed`].
    ForecastSeed,
    /// [`Policy::minimum_pods`].
    MinimumPods,
    /// [`Policy::max_unavailable`].
    MaxUnavailable,
    /// [`Policy::max_evictions`].
    MaxEvictions,
    /// [`Policy::max_evictions_per_day`].
    MaxEvictionsPerDay,
    /// [`Policy::minimum_hot_duration_seconds`].
    MinimumHotDurationSeconds,
    /// [`Policy::minimum_pod_age_seconds`].
    MinimumPodAgeSeconds,
    /// [`Policy::cooldown_seconds`].
    CooldownSeconds,
    /// [`Policy::maximum_sample_age_seconds`].
    MaximumSampleAgeSeconds,
    /// [`Policy::minimum_coverage_percent`].
    MinimumCoveragePercent,
    /// [`Policy::ignore_history`].
    IgnoreHistory,
}

impl PolicyField {
    /// Every field, in the order of [`Policy`].
    pub const ALL: [Self; 18] = [
        Self::Strategy,
        Self::TopK,
        Self::Tolerance,
        Self::ImbalanceTolerance,
        Self::MinimumImprovementPercent,
        Self::MinimumConfidencePercent,
        Self::RejoinConsumerProtocol,
        Self::ForecastSeed,
        Self::MinimumPods,
        Self::MaxUnavailable,
        Self::MaxEvictions,
        Self::MaxEvictionsPerDay,
        Self::MinimumHotDurationSeconds,
        Self::MinimumPodAgeSeconds,
        Self::CooldownSeconds,
        Self::MaximumSampleAgeSeconds,
        Self::MinimumCoveragePercent,
        Self::IgnoreHistory,
    ];

    /// The name of the field in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Strategy => "strategy",
            Self::TopK => "top_k",
            Self::Tolerance => "tolerance",
            Self::ImbalanceTolerance => "imbalance_tolerance",
            Self::MinimumImprovementPercent => "minimum_improvement_percent",
            Self::MinimumConfidencePercent => "minimum_confidence_percent",
            Self::RejoinConsumerProtocol => "rejoin_consumer_protocol",
            Self::ForecastSeed => "forecast_seed",
            Self::MinimumPods => "minimum_pods",
            Self::MaxUnavailable => "max_unavailable",
            Self::MaxEvictions => "max_evictions",
            Self::MaxEvictionsPerDay => "max_evictions_per_day",
            Self::MinimumHotDurationSeconds => "minimum_hot_duration_seconds",
            Self::MinimumPodAgeSeconds => "minimum_pod_age_seconds",
            Self::CooldownSeconds => "cooldown_seconds",
            Self::MaximumSampleAgeSeconds => "maximum_sample_age_seconds",
            Self::MinimumCoveragePercent => "minimum_coverage_percent",
            Self::IgnoreHistory => "ignore_history",
        }
    }
}

/// The operator's rules, validated: every field is of a type that holds valid values only.
///
/// In JSON every field may be left out; it then has its default.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// The strategy (default rotate-outliers).
    pub strategy: Strategy,
    /// Maximum number of hottest, and of coldest pods (default 2).
    pub top_k: TopK,
    /// The multiple of the target above which a pod is hot (default 1.5).
    pub tolerance: Tolerance,
    /// The imbalance (max/mean) above which the strategies `assign` and `rejoin` act although no
    /// pod is hot, or there is no target (default: none).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imbalance_tolerance: Option<Tolerance>,
    /// The improvement that a plan must exceed, in percent (default 10).
    pub minimum_improvement_percent: Percent,
    /// Required probability that the highest load falls by a plan of the strategies `forecast` and
    /// `rejoin`, in percent (default 80).
    pub minimum_confidence_percent: Percent,
    /// Whether the strategy `rejoin` may remove members of a group of the consumer protocol
    /// (KIP-848), whose partitions two members may then process for some seconds (default false).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub rejoin_consumer_protocol: bool,
    /// Seed of the forecast: equal seeds give equal forecasts (default 0).
    pub forecast_seed: u64,
    /// Number of ready pods that must be left at any time (default 3).
    pub minimum_pods: MinimumPods,
    /// Maximum number of victims that are evicted at the same time (default: the whole plan).
    pub max_unavailable: MaxUnavailable,
    /// Maximum number of pods that a plan evicts (default: no limit).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_evictions: Option<usize>,
    /// Maximum number of pods of the workload that are evicted within any 24 hours (default: no
    /// limit).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_evictions_per_day: Option<usize>,
    /// The time for which the load of a pod must have been above the threshold, so that the pod
    /// counts as hot (default: none, a pod is hot at once).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum_hot_duration_seconds: Option<Seconds>,
    /// Required age of a victim: the rate of a younger pod is not its load yet (default 300 s, the
    /// rate window).
    pub minimum_pod_age_seconds: Seconds,
    /// Time after which the group is settled if no pod became ready (default 300 s).
    pub cooldown_seconds: Seconds,
    /// Maximum age of the newest sample of a trusted load (default 150 s, half the rate window).
    pub maximum_sample_age_seconds: Seconds,
    /// Required share of the ready pods with a trusted load, in percent (default 90).
    pub minimum_coverage_percent: Percent,
    /// Whether to ignore the record of the last rotation (default false).
    pub ignore_history: bool,
}

impl Policy {
    /// Whether a decision needs the target: the imbalance has a tolerance of its own, which needs
    /// none.
    #[must_use]
    pub fn needs_target(&self) -> bool {
        self.strategy.evicts() || self.imbalance_tolerance.is_none()
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            strategy: Strategy::default(),
            top_k: TopK::DEFAULT,
            tolerance: Tolerance::DEFAULT,
            imbalance_tolerance: None,
            minimum_improvement_percent: Percent::DEFAULT_MINIMUM_IMPROVEMENT,
            minimum_confidence_percent: Percent::DEFAULT_MINIMUM_CONFIDENCE,
            rejoin_consumer_protocol: false,
            forecast_seed: 0,
            minimum_pods: MinimumPods::DEFAULT,
            max_unavailable: MaxUnavailable::All,
            max_evictions: None,
            max_evictions_per_day: None,
            minimum_hot_duration_seconds: None,
            minimum_pod_age_seconds: Seconds::whole(300),
            cooldown_seconds: Seconds::whole(300),
            maximum_sample_age_seconds: Seconds::whole(150),
            minimum_coverage_percent: Percent::DEFAULT_MINIMUM_COVERAGE,
            ignore_history: false,
        }
    }
}

/// The rules of an execution, in addition to the minimum of ready pods in [`Policy`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ExecutionPolicy {
    /// Maximum time that a wave waits for budgets to allow its evictions (default 120 s).
    pub eviction_timeout_seconds: Seconds,
    /// Maximum time to wait until the replacements of a wave are ready (default 300 s).
    pub ready_timeout_seconds: Seconds,
    /// Whether to ask the server for a dry run, which changes nothing.
    pub dry_run: bool,
    /// Whether static members of evicted pods that no other pod takes over are removed from the
    /// consumer group (default true). It has an effect only with Kafka.
    pub remove_static_members: bool,
}

impl Default for ExecutionPolicy {
    fn default() -> Self {
        Self {
            eviction_timeout_seconds: Seconds::whole(120),
            ready_timeout_seconds: Seconds::whole(300),
            dry_run: false,
            remove_static_members: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_as_documented() {
        let policy = Policy::default();
        let json = serde_json::to_value(policy).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "strategy": "rotate-outliers",
                "top_k": 2,
                "tolerance": 1.5,
                "minimum_improvement_percent": 10.0,
                "minimum_confidence_percent": 80.0,
                "forecast_seed": 0,
                "minimum_pods": 3,
                "max_unavailable": "all",
                "minimum_pod_age_seconds": 300.0,
                "cooldown_seconds": 300.0,
                "maximum_sample_age_seconds": 150.0,
                "minimum_coverage_percent": 90.0,
                "ignore_history": false,
            })
        );
        assert_eq!(serde_json::from_value::<Policy>(json).unwrap(), policy);
        assert_eq!(serde_json::from_str::<Policy>("{}").unwrap(), policy);
    }

    #[test]
    fn every_field_has_its_name() {
        let policy = Policy {
            max_evictions: Some(1),
            max_evictions_per_day: Some(1),
            minimum_hot_duration_seconds: Some(Seconds::whole(1)),
            imbalance_tolerance: Some(Tolerance::DEFAULT),
            rejoin_consumer_protocol: true,
            ..Policy::default()
        };
        let json = serde_json::to_value(policy).unwrap();
        let mut fields: Vec<&str> = json
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        let mut names = PolicyField::ALL.map(PolicyField::as_str);
        fields.sort_unstable();
        names.sort_unstable();
        assert_eq!(fields, names);
    }
}
