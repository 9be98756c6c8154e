//! Checks: rules on one pod ([`Ineligible`]) and rules on the snapshot as a whole ([`Check`]).
//!
//! A check is one file. It holds the numbers of the check, its message, its verdict, the hold
//! reason of a failure, and what a failure means. The list in this file defines the order. Every
//! check is recorded with its numbers even when it passes; the first failure is the hold reason.

mod assignable;
mod autoscaler;
mod clocks_agree;
mod cooldown;
mod coverage;
mod daily_evictions;
mod eligible_pods;
mod eviction_limit;
mod freeze;
mod group;
mod hold_query;
mod hot_duration;
mod hot_pods;
mod last_rotation;
mod load_plausible;
mod loads_not_all_zero;
mod measured_once;
mod measured_pods_exist;
mod metrics_complete;
mod minimum_ready;
mod one_at_a_time;
mod paused;
mod pod;
mod pods_found;
mod ranking;
mod rollout;
mod rule;
mod settled;
mod target;
mod terminating;

pub use autoscaler::Scaling;
pub(crate) use daily_evictions::{evictions_left_of_day, limited_by_day};
pub(crate) use hot_pods::HotPods;
pub use pod::Ineligible;
pub(crate) use ranking::{Candidate, RankedPod, Ranking};
pub(crate) use rollout::changed_since;
pub(crate) use rule::CheckInput;
pub use rule::{Check, Verdict};
use rule::{Failure, Rule, check};

use serde::{Deserialize, Serialize};

use crate::hold_reason::HoldReason;

/// Defines [`CheckDetails`], [`evaluate`] and [`HOLD_REASONS`] from the list of checks.
macro_rules! checks {
    ($($Name:ident($module:ident::$Numbers:ident),)*) => {
        $(pub use $module::$Numbers;)*

        /// The name of a check, and the numbers that it was applied to.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(tag = "name", rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum CheckDetails {
            $(
                #[doc = concat!("The check [`", stringify!($Numbers), "`].")]
                $Name($Numbers),
            )*
        }

        impl CheckDetails {
            fn failure(&self) -> Failure {
                match self {
                    $(Self::$Name(numbers) => numbers.failure(),)*
                }
            }
        }

        /// Evaluates every check that applies, in order.
        pub(crate) fn evaluate(input: &CheckInput<'_>) -> Vec<Check> {
            [$(check(input, CheckDetails::$Name)),*].into_iter().flatten().collect()
        }

        /// The hold reasons of every check, in the order of the checks.
        pub(crate) const HOLD_REASONS: &[&[HoldReason]] = &[$($Numbers::REASONS),*];
    };
}

// The first check that fails gives the hold reason, so a check that explains more comes first:
// clocks that differ make fresh samples look stale, duplicate series make pods look hot, and
// stopped counters leave pods without a load.
checks! {
    OneAtATime(one_at_a_time::OneAtATime),
    Freeze(freeze::NotFrozen),
    Paused(paused::NotPaused),
    HoldQuery(hold_query::HoldQueryEmpty),
    Rollout(rollout::RolloutComplete),
    Autoscaler(autoscaler::AutoscalerSteady),
    Settled(settled::GroupSettled),
    Cooldown(cooldown::CooldownOver),
    PodsFound(pods_found::PodsFound),
    MetricsComplete(metrics_complete::MetricsComplete),
    ClocksAgree(clocks_agree::ClocksAgree),
    MeasuredOnce(measured_once::MeasuredOnce),
    MeasuredPodsExist(measured_pods_exist::MeasuredPodsExist),
    LoadsNotAllZero(loads_not_all_zero::LoadsNotAllZero),
    Coverage(coverage::Coverage),
    LoadPlausible(load_plausible::LoadPlausible),
    EligiblePods(eligible_pods::EligiblePods),
    Target(target::TargetKnown),
    Group(group::GroupKnown),
    Assignable(assignable::GroupAssignable),
    HotDuration(hot_duration::HotLongEnough),
    LastRotation(last_rotation::LastRotationHelped),
    EvictionLimit(eviction_limit::EvictionsLeft),
    DailyEvictions(daily_evictions::DailyEvictionsLeft),
    MinimumReady(minimum_ready::MinimumReady),
}
