//! The settings that a message is about. Messages of the core and of the driver name no settings;
//! the log and the tables append these hints to them.

use std::fmt;

use rebalancer_core::checks::Check;
use rebalancer_core::execution::{
    ExecutionOutcome, ExecutionReport, PodOutcome, StopCause, StopReason,
};
use rebalancer_core::handover::HandoverDocument;
use rebalancer_core::hold_record::HeldSince;
use rebalancer_core::{Decision, HoldReason};
use rebalancer_driver::ObserveError;

use crate::settings;

/// Settings for the end of a message. Its `Display` is ` (settings: A, B)`, or empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Hint(Vec<&'static str>);

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [] => Ok(()),
            [setting] => write!(f, " (setting: {setting})"),
            settings => write!(f, " (settings: {})", settings.join(", ")),
        }
    }
}

/// The settings that decide whether `decision` holds; none if it rotates.
pub(crate) fn of_decision(decision: &Decision) -> Hint {
    decision.hold_reason().map_or_else(Hint::default, of_reason)
}

/// The settings that decide whether `check` fails; none if it passes.
pub(crate) fn of_check(check: &Check) -> Hint {
    check.hold_reason().map_or_else(Hint::default, of_reason)
}

/// The settings that can change how an execution ends; those of its stop only if it is incomplete.
pub(crate) fn of_execution(report: &ExecutionReport) -> Hint {
    let by_budget = report
        .pods
        .iter()
        .any(|pod| pod.outcome == PodOutcome::Blocked || pod.outcome == PodOutcome::WouldWait);
    let timeout = by_budget.then_some("EVICTION_TIMEOUT");
    let stop = match report.outcome {
        ExecutionOutcome::Completed => None,
        ExecutionOutcome::Incomplete => of_stop(report.stopped),
    };
    Hint(timeout.into_iter().chain(stop).collect())
}

/// The settings that can change how a hand-over ends.
pub(crate) fn of_hand_over(report: &HandoverDocument) -> Hint {
    Hint(of_stop(report.stopped).into_iter().collect())
}

/// The settings that an error of the driver is about.
pub(crate) fn of_error(error: &ObserveError) -> Hint {
    match error {
        ObserveError::Lease(_) => Hint(vec!["ONE_AT_A_TIME"]),
        ObserveError::Stopped(cause) if *cause == StopCause::RunTimeout => {
            Hint(vec!["RUN_TIMEOUT"])
        }
        ObserveError::Stopped(_)
        | ObserveError::Port(_)
        | ObserveError::Both { .. }
        | ObserveError::Snapshot(_) => Hint::default(),
        // Errors of a later version of the driver.
        _ => Hint::default(),
    }
}

/// The settings that decide whether a hold makes the run fail; none if it does not.
pub(crate) fn of_held(held: &HeldSince) -> Hint {
    Hint(if held.alert {
        vec!["HOLD_ALERT_AFTER"]
    } else {
        vec![]
    })
}

fn of_reason(reason: HoldReason) -> Hint {
    let fields = reason.policy_fields();
    let of_policy = settings::all()
        .filter(|setting| {
            setting
                .policy_field()
                .is_some_and(|field| fields.contains(&field))
        })
        .map(|setting| setting.env());
    let others = OTHERS.iter().filter(|(other, _)| *other == reason);
    let others = others.flat_map(|(_, settings)| settings.iter().copied());
    Hint(of_policy.chain(others).collect())
}

/// Settings of hold reasons that are not fields of the policy.
const OTHERS: [(HoldReason, &[&str]); 15] = [
    (HoldReason::ANOTHER_RUN, &["ONE_AT_A_TIME"]),
    (HoldReason::FROZEN, &["FREEZE"]),
    (HoldReason::APPROVAL_PENDING, &["APPROVAL"]),
    (HoldReason::APPROVAL_INVALID, &["APPROVAL"]),
    (HoldReason::APPROVAL_DEFERRED, &["APPROVAL"]),
    (HoldReason::APPROVAL_UNAVAILABLE, &["APPROVAL"]),
    (HoldReason::HOLD_QUERY, &["HOLD_QUERY"]),
    (HoldReason::HOLD_QUERY_PARTIAL, &["HOLD_QUERY"]),
    (HoldReason::NO_PODS_FOUND, &["KUBE_LABEL_SELECTOR"]),
    (
        HoldReason::PODS_MEASURED_TWICE,
        &["PROMETHEUS_MATCHERS", "LOAD_QUERY"],
    ),
    (HoldReason::TARGET_UNKNOWN, &["TARGET_CORES", "HPA_PREFIX"]),
    (HoldReason::RACKS_UNEVEN, &["STRATEGY"]),
    (HoldReason::AUTOSCALER_PAUSED, &["TARGET_CORES"]),
    (
        HoldReason::GROUP_UNKNOWN,
        &["GROUP_ID", "KAFKA_BOOTSTRAP_SERVERS", "GROUP_METRICS"],
    ),
    (HoldReason::POSITIONAL_ASSIGNOR, &["GROUP_ASSIGNOR"]),
];

fn of_stop(reason: Option<StopReason>) -> Option<&'static str> {
    match reason? {
        StopReason::RunTimeout => Some("RUN_TIMEOUT"),
        StopReason::Frozen => Some("FREEZE"),
        StopReason::Unrecorded => Some("MAX_EVICTIONS_PER_DAY"),
        StopReason::MinimumPods => Some("MINIMUM_PODS_REQUIRED"),
        StopReason::ReadyTimeout => Some("READY_TIMEOUT"),
        StopReason::Stopped
        | StopReason::Paused
        | StopReason::PauseUnknown
        | StopReason::ReadyUnknown
        | StopReason::Forbidden
        | StopReason::WaveIncomplete
        | StopReason::LeaseLost
        | StopReason::ReplacementFailed
        | StopReason::WorkloadChanged => None,
        // Reasons of a later version of the core.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::by_env;
    use rstest::rstest;

    #[rstest]
    #[case(&[], "")]
    #[case(&["FREEZE"], " (setting: FREEZE)")]
    #[case(&["COOLDOWN", "FREEZE"], " (settings: COOLDOWN, FREEZE)")]
    fn lists_settings(#[case] settings: &[&'static str], #[case] text: &str) {
        assert_eq!(Hint(settings.to_vec()).to_string(), text);
    }

    #[test]
    fn names_existing_settings() {
        let stops = [
            StopReason::RunTimeout,
            StopReason::Frozen,
            StopReason::MinimumPods,
            StopReason::ReadyTimeout,
        ];
        let stops = stops.into_iter().filter_map(|reason| of_stop(Some(reason)));
        let reasons = HoldReason::all().flat_map(|reason| of_reason(reason).0);
        let others = ["ONE_AT_A_TIME", "EVICTION_TIMEOUT", "HOLD_ALERT_AFTER"];
        for name in stops.chain(reasons).chain(others) {
            assert!(by_env(name).is_some(), "{name}");
        }
    }
}
