//! Settings of the execution.

use std::time::Duration;

use rebalancer_core::approval::DEFAULT_EXPIRY;
use rebalancer_core::model::MaxUnavailable;
use rebalancer_core::policy::{ExecutionPolicy, Policy, PolicyField};
use rebalancer_k8s::EvictionMethod;

use crate::settings::definition::{
    Absent, Attributes, Defaulted, Definition, Fallback, Optional, Setting,
};
use crate::settings::types::ApprovalMode;
use crate::settings::value;

/// Every setting of the section, in the order of help.
pub(super) const SETTINGS: &[&dyn Setting] = &[
    &DRY_RUN,
    &APPROVAL,
    &APPROVAL_EXPIRY,
    &EVICTION_METHOD,
    &EVICTION_TIMEOUT,
    &READY_TIMEOUT,
    &RUN_TIMEOUT,
    &MAX_CONCURRENT_WORKLOADS,
    &ONE_AT_A_TIME,
    &MAX_UNAVAILABLE,
    &GRACE_PERIOD,
    &REMOVE_STATIC_MEMBERS,
];

pub(in crate::settings) static DRY_RUN: Defaulted<bool> = Definition {
    name: "DRY_RUN",
    help: "Let the API server check every eviction without executing it. With the flag, pause and resume \
           write nothing either",
    value: &value::BOOLEAN,
    default: Fallback::Value(|| false),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static APPROVAL: Defaulted<ApprovalMode> = Definition {
    name: "APPROVAL",
    help: "none, or manual: a plan waits on the workload until a person approves it (`rebalancer approve`)",
    value: &value::APPROVAL,
    default: Fallback::Value(ApprovalMode::default),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static APPROVAL_EXPIRY: Defaulted<Duration> = Definition {
    name: "APPROVAL_EXPIRY",
    help: "Time for which a plan may be approved and executed",
    value: &value::POSITIVE_DURATION,
    default: Fallback::Value(|| DEFAULT_EXPIRY.to_duration()),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static EVICTION_METHOD: Defaulted<EvictionMethod> = Definition {
    name: "EVICTION_METHOD",
    help: "evict (respects PodDisruptionBudgets) or delete (does not)",
    value: &value::EVICTION_METHOD,
    default: Fallback::Value(EvictionMethod::default),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static EVICTION_TIMEOUT: Defaulted<Duration> = Definition {
    name: "EVICTION_TIMEOUT",
    help: "Maximum time that a wave waits for PodDisruptionBudgets",
    value: &value::DURATION,
    default: Fallback::Value(|| {
        ExecutionPolicy::default()
            .eviction_timeout_seconds
            .to_duration()
    }),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static READY_TIMEOUT: Defaulted<Duration> = Definition {
    name: "READY_TIMEOUT",
    help: "Maximum time to wait until a wave's replacements are ready",
    value: &value::POSITIVE_DURATION,
    default: Fallback::Value(|| {
        ExecutionPolicy::default()
            .ready_timeout_seconds
            .to_duration()
    }),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static RUN_TIMEOUT: Optional<Duration> = Definition {
    name: "RUN_TIMEOUT",
    help: "Maximum duration of the run of a workload: afterwards no action is started, and the \
           report is written",
    value: &value::POSITIVE_DURATION,
    default: Absent("none"),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static MAX_CONCURRENT_WORKLOADS: Defaulted<usize> = Definition {
    name: "MAX_CONCURRENT_WORKLOADS",
    help: "Number of workloads of the file that run at the same time; with MAX_EVICTIONS, they run \
           one after the other",
    value: &value::WORKLOADS,
    default: Fallback::Value(|| 4),
    attributes: Attributes::WHOLE_RUN,
};

pub(in crate::settings) static ONE_AT_A_TIME: Defaulted<bool> = Definition {
    name: "ONE_AT_A_TIME",
    help: "Hold while another run holds the workload's Lease",
    value: &value::BOOLEAN,
    default: Fallback::Value(|| true),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static MAX_UNAVAILABLE: Defaulted<MaxUnavailable> = Definition {
    name: "MAX_UNAVAILABLE",
    help: "Size of a wave: all, a number of pods, or a percentage of the ready pods",
    value: &value::PODS_OR_PERCENT,
    default: Fallback::Value(|| Policy::default().max_unavailable),
    attributes: Attributes::policy(PolicyField::MaxUnavailable),
};

pub(in crate::settings) static GRACE_PERIOD: Optional<u32> = Definition {
    name: "GRACE_PERIOD",
    help: "Termination grace period, in whole seconds; at least 1s",
    value: &value::GRACE_PERIOD,
    default: Absent("the pod's own"),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static REMOVE_STATIC_MEMBERS: Defaulted<bool> = Definition {
    name: "REMOVE_STATIC_MEMBERS",
    help: "With KAFKA_BOOTSTRAP_SERVERS: remove static members of evicted pods from the group once \
           the pod is gone, unless another pod takes over their group.instance.id",
    value: &value::BOOLEAN,
    default: Fallback::Value(|| ExecutionPolicy::default().remove_static_members),
    attributes: Attributes::USUAL,
};
