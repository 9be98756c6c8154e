//! The operator's rules.

use serde::{Deserialize, Serialize};

use crate::model::{MaxUnavailable, MinimumPods, Percent, Seconds, Tolerance, TopK};

/// The rule that chooses victims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Evict the hottest pods together with the coldest: see
    /// [`rotate_outliers`](crate::strategy::rotate_outliers).
    #[default]
    RotateOutliers,
    /// Evict what the model of the consumer group says will help, and as little: see
    /// [`forecast`](crate::strategy::forecast).
    Forecast,
    /// `forecast` where the consumer group is known well enough, else `rotate-outliers`, which then
    /// still holds when the assignor is known to make it ineffective.
    Auto,
}

impl Strategy {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::RotateOutliers, Self::Forecast, Self::Auto];

    /// The word, as settings and documents have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RotateOutliers => "rotate-outliers",
            Self::Forecast => "forecast",
            Self::Auto => "auto",
        }
    }
}

/// The operator's rules, validated: every field is of a type that holds valid values only.
///
/// In JSON every field may be left out; the default stands in.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// The rule that chooses victims.
    pub strategy: Strategy,
    /// How many of the hottest, and how many of the coldest pods at most (default 2).
    pub top_k: TopK,
    /// The multiple of the target above which a pod is hot (default 1.5).
    pub tolerance: Tolerance,
    /// The improvement that a plan must exceed, in percent (default 10).
    pub minimum_improvement_percent: Percent,
    /// How likely the highest load must be to fall by a plan of the forecast strategy, in percent
    /// (default 80).
    pub minimum_confidence_percent: Percent,
    /// The seed of the forecast: the same one gives the same forecast (default 0).
    pub forecast_seed: u64,
    /// The ready pods that must be left at any time (default 3).
    pub minimum_pods: MinimumPods,
    /// How many victims may be out at the same time (default: the whole plan).
    pub max_unavailable: MaxUnavailable,
    /// How many pods a plan may evict at most (default: no limit).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_evictions: Option<usize>,
    /// A younger pod's rate is not yet its load (default 300 s, the rate window).
    pub minimum_pod_age_seconds: Seconds,
    /// The group is settled when no pod became ready for this long (default 300 s).
    pub cooldown_seconds: Seconds,
    /// A load whose newest sample is older is not trusted (default 150 s, half the rate window).
    pub maximum_sample_age_seconds: Seconds,
    /// Share of the ready pods that must have a fresh load, in percent (default 90).
    pub minimum_coverage_percent: Percent,
    /// Do not hold for what is remembered of the last rotation (default false).
    pub ignore_history: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            strategy: Strategy::default(),
            top_k: TopK::DEFAULT,
            tolerance: Tolerance::DEFAULT,
            minimum_improvement_percent: Percent::DEFAULT_MINIMUM_IMPROVEMENT,
            minimum_confidence_percent: Percent::DEFAULT_MINIMUM_CONFIDENCE,
            forecast_seed: 0,
            minimum_pods: MinimumPods::DEFAULT,
            max_unavailable: MaxUnavailable::All,
            max_evictions: None,
            minimum_pod_age_seconds: Seconds::whole(300),
            cooldown_seconds: Seconds::whole(300),
            maximum_sample_age_seconds: Seconds::whole(150),
            minimum_coverage_percent: Percent::DEFAULT_MINIMUM_COVERAGE,
            ignore_history: false,
        }
    }
}

/// How a plan is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ExecutionPolicy {
    /// The ready pods that must be left at any time (default 3).
    pub minimum_pods: MinimumPods,
    /// How long a wave may wait for budgets to allow its evictions (default 120 s).
    pub eviction_timeout_seconds: Seconds,
    /// How long to wait for a wave's replacements to be ready (default 300 s).
    pub ready_timeout_seconds: Seconds,
    /// Ask the server what it would do, and change nothing.
    pub dry_run: bool,
}

impl Default for ExecutionPolicy {
    fn default() -> Self {
        Self {
            minimum_pods: MinimumPods::DEFAULT,
            eviction_timeout_seconds: Seconds::whole(120),
            ready_timeout_seconds: Seconds::whole(300),
            dry_run: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_as_documented() {
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
}
