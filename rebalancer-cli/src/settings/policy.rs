//! Assembles the rules of a decision and of its execution.

use rebalancer_core::model::TopK;
use rebalancer_core::policy::{ExecutionPolicy, Policy};

use super::definitions::acting::{
    DRY_RUN, EVICTION_TIMEOUT, MAX_UNAVAILABLE, READY_TIMEOUT, REMOVE_STATIC_MEMBERS,
};
use super::definitions::decision::{
    COOLDOWN, IGNORE_HISTORY, IMBALANCE_TOLERANCE, MAX_EVICTIONS, MAX_EVICTIONS_PER_DAY,
    MAXIMUM_SAMPLE_AGE, MINIMUM_CONFIDENCE_PERCENT, MINIMUM_COVERAGE_PERCENT, MINIMUM_HOT_DURATION,
    MINIMUM_IMPROVEMENT_PERCENT, MINIMUM_POD_AGE, MINIMUM_PODS_REQUIRED, REBALANCE_TOP_K_PODS,
    REJOIN_CONSUMER_PROTOCOL, STRATEGY, TOLERANCE_MULTIPLIER,
};
use super::reader::Reader;

/// The rules of the decision.
pub(super) fn policy(reader: &mut Reader<'_>) -> Policy {
    Policy {
        strategy: reader.value(&STRATEGY),
        top_k: reader.value(&REBALANCE_TOP_K_PODS),
        tolerance: reader.value(&TOLERANCE_MULTIPLIER),
        imbalance_tolerance: reader.optional(&IMBALANCE_TOLERANCE),
        minimum_improvement_percent: reader.value(&MINIMUM_IMPROVEMENT_PERCENT),
        minimum_confidence_percent: reader.value(&MINIMUM_CONFIDENCE_PERCENT),
        rejoin_consumer_protocol: reader.value(&REJOIN_CONSUMER_PROTOCOL),
        forecast_seed: Policy::default().forecast_seed,
        minimum_pods: reader.value(&MINIMUM_PODS_REQUIRED),
        max_unavailable: reader.value(&MAX_UNAVAILABLE),
        max_evictions: reader.optional(&MAX_EVICTIONS).map(TopK::get),
        max_evictions_per_day: reader.optional(&MAX_EVICTIONS_PER_DAY).map(TopK::get),
        minimum_hot_duration_seconds: reader.optional(&MINIMUM_HOT_DURATION).map(Into::into),
        minimum_pod_age_seconds: reader.value(&MINIMUM_POD_AGE).into(),
        cooldown_seconds: reader.value(&COOLDOWN).into(),
        maximum_sample_age_seconds: reader.value(&MAXIMUM_SAMPLE_AGE).into(),
        minimum_coverage_percent: reader.value(&MINIMUM_COVERAGE_PERCENT),
        ignore_history: reader.value(&IGNORE_HISTORY),
    }
}

/// The rules of the execution.
pub(super) fn execution(reader: &mut Reader<'_>) -> ExecutionPolicy {
    ExecutionPolicy {
        eviction_timeout_seconds: reader.value(&EVICTION_TIMEOUT).into(),
        ready_timeout_seconds: reader.value(&READY_TIMEOUT).into(),
        dry_run: reader.value(&DRY_RUN),
        remove_static_members: reader.value(&REMOVE_STATIC_MEMBERS),
    }
}
