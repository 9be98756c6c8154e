//! Settings of the decision.

use std::time::Duration;

use rebalancer_core::model::{Cores, MinimumPods, Percent, Tolerance, TopK};
use rebalancer_core::policy::{Policy, PolicyField, Strategy};
use rebalancer_driver::RunSettings;

use crate::freeze::Freeze;

use super::metrics::METRICS_TIME_WINDOW;
use crate::settings::types::TargetSource;

use crate::settings::definition::{
    Absent, Attributes, Defaulted, Definition, Fallback, Optional, Setting,
};
use crate::settings::value;

/// Every setting of the section, in the order of help.
pub(super) const SETTINGS: &[&dyn Setting] = &[
    &STRATEGY,
    &REBALANCE_TOP_K_PODS,
    &TOLERANCE_MULTIPLIER,
    &IMBALANCE_TOLERANCE,
    &MINIMUM_IMPROVEMENT_PERCENT,
    &MINIMUM_CONFIDENCE_PERCENT,
    &REJOIN_CONSUMER_PROTOCOL,
    &MINIMUM_PODS_REQUIRED,
    &HPA_PREFIX,
    &TARGET_CORES,
    &TARGET_SOURCE,
    &MINIMUM_POD_AGE,
    &COOLDOWN,
    &MINIMUM_COVERAGE_PERCENT,
    &MAXIMUM_SAMPLE_AGE,
    &MAX_EVICTIONS,
    &MAX_EVICTIONS_PER_DAY,
    &MINIMUM_HOT_DURATION,
    &HOLD_QUERY,
    &FREEZE,
    &IGNORE_HISTORY,
    &HOLD_ALERT_AFTER,
];

pub(in crate::settings) static STRATEGY: Defaulted<Strategy> = Definition {
    name: "STRATEGY",
    help: "What is done about hot pods: rotate-outliers, forecast (needs the consumer group), assign \
           (moves partitions without evictions; needs KAFKA_BOOTSTRAP_SERVERS), rejoin (lets members \
           rejoin without evictions; needs the same), or auto (the first of assign, forecast and \
           rotate-outliers that the group allows)",
    value: &value::STRATEGY,
    default: Fallback::Value(|| Policy::default().strategy),
    attributes: Attributes::policy(PolicyField::Strategy),
};

pub(in crate::settings) static REBALANCE_TOP_K_PODS: Defaulted<TopK> = Definition {
    name: "REBALANCE_TOP_K_PODS",
    help: "Maximum number of hottest pods to evict, and number of coldest pods to evict with them, even \
           if fewer are hot; at least 1",
    value: &value::COUNT,
    default: Fallback::Value(|| Policy::default().top_k),
    attributes: Attributes::policy(PolicyField::TopK),
};

pub(in crate::settings) static TOLERANCE_MULTIPLIER: Defaulted<Tolerance> = Definition {
    name: "TOLERANCE_MULTIPLIER",
    help: "Multiple of the target above which a pod is hot; at least 1.0",
    value: &value::TOLERANCE,
    default: Fallback::Value(|| Policy::default().tolerance),
    attributes: Attributes::policy(PolicyField::Tolerance),
};

pub(in crate::settings) static IMBALANCE_TOLERANCE: Optional<Tolerance> = Definition {
    name: "IMBALANCE_TOLERANCE",
    help: "With assign and rejoin, the imbalance (highest load divided by the mean) above which \
           partitions are moved although no pod is hot; needs no autoscaler; at least 1.0",
    value: &value::TOLERANCE,
    default: Absent("none"),
    attributes: Attributes::policy(PolicyField::ImbalanceTolerance),
};

pub(in crate::settings) static MINIMUM_IMPROVEMENT_PERCENT: Defaulted<Percent> = Definition {
    name: "MINIMUM_IMPROVEMENT_PERCENT",
    help: "Improvement that a plan must exceed; with forecast, assign and rejoin, the expected decrease \
           of the highest load; 0 to 100",
    value: &value::PERCENT,
    default: Fallback::Value(|| Policy::default().minimum_improvement_percent),
    attributes: Attributes::policy(PolicyField::MinimumImprovementPercent),
};

pub(in crate::settings) static MINIMUM_CONFIDENCE_PERCENT: Defaulted<Percent> = Definition {
    name: "MINIMUM_CONFIDENCE_PERCENT",
    help: "Probability with which a forecast plan must lower the highest load; 0 to 100",
    value: &value::PERCENT,
    default: Fallback::Value(|| Policy::default().minimum_confidence_percent),
    attributes: Attributes::policy(PolicyField::MinimumConfidencePercent),
};

pub(in crate::settings) static REJOIN_CONSUMER_PROTOCOL: Defaulted<bool> = Definition {
    name: "REJOIN_CONSUMER_PROTOCOL",
    help: "Whether rejoin may remove members of a group of the consumer protocol (KIP-848; Kafka 4.0 or \
           newer). Two members may then process the same partitions for up to the heartbeat interval of \
           the group (5 s by default) and the current batch",
    value: &value::BOOLEAN,
    default: Fallback::Value(|| Policy::default().rejoin_consumer_protocol),
    attributes: Attributes::policy(PolicyField::RejoinConsumerProtocol),
};

pub(in crate::settings) static MINIMUM_PODS_REQUIRED: Defaulted<MinimumPods> = Definition {
    name: "MINIMUM_PODS_REQUIRED",
    help: "Number of ready pods that must remain at any time; at least 1",
    value: &value::MINIMUM_PODS,
    default: Fallback::Value(|| Policy::default().minimum_pods),
    attributes: Attributes::policy(PolicyField::MinimumPods),
};

pub(in crate::settings) static HPA_PREFIX: Defaulted<String> = Definition {
    name: "HPA_PREFIX",
    help: "If set, and no HorizontalPodAutoscaler refers to the workload, the one named \
           HPA_PREFIX + DEPLOYMENT_NAME is used",
    value: &value::PREFIX,
    default: Fallback::Value(String::new),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static TARGET_CORES: Optional<Cores> = Definition {
    name: "TARGET_CORES",
    help: "Target load per pod, in cores (or the unit of LOAD_QUERY)",
    value: &value::CORES,
    default: Absent("from the autoscaler"),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static TARGET_SOURCE: Defaulted<TargetSource> = Definition {
    name: "TARGET_SOURCE",
    help: "Source of the autoscalers: kubernetes, or prometheus (kube-state-metrics)",
    value: &value::TARGET_SOURCE,
    default: Fallback::Value(TargetSource::default),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static MINIMUM_POD_AGE: Defaulted<Duration> = Definition {
    name: "MINIMUM_POD_AGE",
    help: "Minimum age of a victim: the rate of a younger pod is not yet its load",
    value: &value::DURATION,
    default: Fallback::SameAs(&METRICS_TIME_WINDOW),
    attributes: Attributes::policy(PolicyField::MinimumPodAgeSeconds),
};

pub(in crate::settings) static COOLDOWN: Defaulted<Duration> = Definition {
    name: "COOLDOWN",
    help: "Hold if a pod became ready, or the last rotation happened, more recently than this",
    value: &value::DURATION,
    default: Fallback::SameAs(&METRICS_TIME_WINDOW),
    attributes: Attributes::policy(PolicyField::CooldownSeconds),
};

pub(in crate::settings) static MINIMUM_COVERAGE_PERCENT: Defaulted<Percent> = Definition {
    name: "MINIMUM_COVERAGE_PERCENT",
    help: "Share of the ready pods that must have a trusted load; 0 to 100",
    value: &value::PERCENT,
    default: Fallback::Value(|| Policy::default().minimum_coverage_percent),
    attributes: Attributes::policy(PolicyField::MinimumCoveragePercent),
};

pub(in crate::settings) static MAXIMUM_SAMPLE_AGE: Defaulted<Duration> = Definition {
    name: "MAXIMUM_SAMPLE_AGE",
    help: "Maximum age of a load's newest sample; an older load is not trusted",
    value: &value::POSITIVE_DURATION,
    default: Fallback::Derived {
        from: &METRICS_TIME_WINDOW,
        derive: |window| window / 2,
        words: "half of",
    },
    attributes: Attributes::policy(PolicyField::MaximumSampleAgeSeconds),
};

pub(in crate::settings) static MAX_EVICTIONS: Optional<TopK> = Definition {
    name: "MAX_EVICTIONS",
    help: "Maximum number of evictions of a run, over all workloads",
    value: &value::COUNT,
    default: Absent("none"),
    attributes: Attributes {
        policy_field: Some(PolicyField::MaxEvictions),
        ..Attributes::WHOLE_RUN
    },
};

pub(in crate::settings) static MAX_EVICTIONS_PER_DAY: Optional<TopK> = Definition {
    name: "MAX_EVICTIONS_PER_DAY",
    help: "Maximum number of evictions of a workload within any 24 hours, by the record in its annotation",
    value: &value::COUNT,
    default: Absent("none"),
    attributes: Attributes::policy(PolicyField::MaxEvictionsPerDay),
};

pub(in crate::settings) static MINIMUM_HOT_DURATION: Optional<Duration> = Definition {
    name: "MINIMUM_HOT_DURATION",
    help: "A pod counts as hot only if its load has been above the threshold for this long; a gap in the \
           metrics begins the time again",
    value: &value::POSITIVE_DURATION,
    default: Absent("none"),
    attributes: Attributes::policy(PolicyField::MinimumHotDurationSeconds),
};

pub(in crate::settings) static HOLD_QUERY: Optional<String> = Definition {
    name: "HOLD_QUERY",
    help: "PromQL of which any sample in the result holds, such as \
           `ALERTS{alertname=\"DeployInProgress\",alertstate=\"firing\"}`",
    value: &value::PROMQL,
    default: Absent("none"),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static FREEZE: Optional<Freeze> = Definition {
    name: "FREEZE",
    help: "Hold in every minute that matches, such as `* 8-17 * * MON-FRI Europe/Berlin`",
    value: &value::FREEZE,
    default: Absent("none"),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static IGNORE_HISTORY: Defaulted<bool> = Definition {
    name: "IGNORE_HISTORY",
    help: "Ignore the recorded last rotation: neither its time nor its failure to help causes a \
           hold",
    value: &value::BOOLEAN,
    default: Fallback::Value(|| Policy::default().ignore_history),
    attributes: Attributes::policy(PolicyField::IgnoreHistory),
};

pub(in crate::settings) static HOLD_ALERT_AFTER: Defaulted<Duration> = Definition {
    name: "HOLD_ALERT_AFTER",
    help: "Exit with 1 when runs have held for this long, for one reason or for several that \
           alternate, each of which needs an operator to end; 0s for never",
    value: &value::DURATION,
    default: Fallback::Value(|| RunSettings::DEFAULT_HOLD_ALERT_AFTER.to_duration()),
    attributes: Attributes::USUAL,
};
