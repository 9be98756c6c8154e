//! The lines about a decision: its checks by subject, the pods that may not be evicted, and what
//! each strategy would do.

use std::collections::BTreeMap;

use rebalancer_core::checks::{Check, CheckDetails, Verdict};
use rebalancer_core::{Action, Decision, HoldReason, Policy, Snapshot, Strategy, decide};

use super::{CheckLine, CheckStatus, Subject};
use crate::hints;

/// The lines of the checks on the workload that do not depend on loads, on a snapshot without any.
/// The one on autoscalers is left out unless they are known.
pub(crate) fn without_loads(
    snapshot: &Snapshot,
    policy: &Policy,
    autoscalers_known: bool,
) -> Vec<CheckLine> {
    let decision = decide(snapshot, policy);
    let applies = |check: &&Check| {
        let of_autoscalers = matches!(check.details, CheckDetails::Autoscaler(_));
        let of_workload = matches!(
            check.details,
            CheckDetails::Freeze(_)
                | CheckDetails::Paused(_)
                | CheckDetails::Rollout(_)
                | CheckDetails::Settled(_)
                | CheckDetails::Cooldown(_)
                | CheckDetails::PodsFound(_)
        );
        of_workload || of_autoscalers && autoscalers_known
    };
    let checks = decision.checks.iter().filter(applies);
    checks.filter_map(line).collect()
}

/// The decisions of every strategy on one snapshot.
pub(crate) struct Decisions {
    configured: Strategy,
    all: Vec<(Strategy, Decision)>,
}

impl Decisions {
    /// Decides with every strategy. `policy` has the configured one.
    pub(crate) fn on(snapshot: &Snapshot, policy: &Policy) -> Self {
        let decided = |strategy| {
            let policy = Policy {
                strategy,
                ..*policy
            };
            (strategy, decide(snapshot, &policy))
        };
        Self {
            configured: policy.strategy,
            all: Strategy::ALL.map(decided).into(),
        }
    }

    fn of(&self, strategy: Strategy) -> Option<&Decision> {
        let mut all = self.all.iter();
        all.find(|(other, _)| *other == strategy)
            .map(|(_, decision)| decision)
    }

    /// The lines of the checks on a subject. Checks on the consumer group are those of the
    /// strategies that use it, and no more than a warning for one that does not.
    pub(crate) fn checks(&self, subject: Subject) -> Vec<CheckLine> {
        let configured = self.of(self.configured);
        let mut lines = of_subject(configured, subject);
        if subject == Subject::ConsumerGroup && lines.is_empty() {
            lines = of_subject(self.of(Strategy::Forecast), subject);
            for line in &mut lines {
                line.status = line.status.min(CheckStatus::Warning);
            }
        }
        lines
    }

    /// The line about the eligible pods, and why others are not.
    pub(crate) fn pods(&self) -> Option<CheckLine> {
        self.of(self.configured).map(pods)
    }

    /// One line for each strategy.
    pub(crate) fn strategies(&self) -> Vec<CheckLine> {
        let lines = self.all.iter().map(|(strategy, decision)| {
            strategy_line(*strategy, decision, *strategy == self.configured)
        });
        lines.collect()
    }
}

fn of_subject(decision: Option<&Decision>, subject: Subject) -> Vec<CheckLine> {
    let checks = decision.into_iter().flat_map(|decision| &decision.checks);
    checks
        .filter(|check| subject_of(&check.details) == subject)
        .filter_map(line)
        .collect()
}

/// The subject of a check.
fn subject_of(details: &CheckDetails) -> Subject {
    match details {
        CheckDetails::MetricsComplete(_)
        | CheckDetails::ClocksAgree(_)
        | CheckDetails::MeasuredOnce(_)
        | CheckDetails::MeasuredPodsExist(_)
        | CheckDetails::LoadsNotAllZero(_)
        | CheckDetails::Coverage(_)
        | CheckDetails::LoadPlausible(_)
        | CheckDetails::HoldQuery(_) => Subject::Metrics,
        CheckDetails::Group(_) | CheckDetails::Assignable(_) => Subject::ConsumerGroup,
        CheckDetails::OneAtATime(_)
        | CheckDetails::Freeze(_)
        | CheckDetails::Paused(_)
        | CheckDetails::HotDuration(_)
        | CheckDetails::Rollout(_)
        | CheckDetails::Autoscaler(_)
        | CheckDetails::Settled(_)
        | CheckDetails::Cooldown(_)
        | CheckDetails::PodsFound(_)
        | CheckDetails::EligiblePods(_)
        | CheckDetails::Target(_)
        | CheckDetails::LastRotation(_)
        | CheckDetails::EvictionLimit(_)
        | CheckDetails::DailyEvictions(_)
        | CheckDetails::MinimumReady(_) => Subject::Workload,
        // Checks of a later version of the core.
        _ => Subject::Workload,
    }
}

/// The line of a check; `None` if it does not apply.
fn line(check: &Check) -> Option<CheckLine> {
    match check.verdict {
        Verdict::Skipped => None,
        Verdict::Pass => Some(CheckLine::new(CheckStatus::Ok, &check.message)),
        Verdict::Fail => {
            // Either makes a run exit with 1.
            let reason = check.hold_reason();
            let fails = check.means_missing_data() || reason.is_some_and(HoldReason::fails);
            let status = if fails {
                CheckStatus::Error
            } else {
                CheckStatus::Warning
            };
            let message = format!("{}{}", check.message, hints::of_check(check));
            let line = CheckLine::new(status, message);
            Some(match reason {
                Some(reason) => line.with_fix(reason.remedy()),
                None => line,
            })
        }
    }
}

fn pods(decision: &Decision) -> CheckLine {
    let analysis = &decision.analysis;
    let mut message = format!(
        "{} pods, {} ready, {} may be evicted",
        analysis.pods, analysis.ready, analysis.eligible
    );
    // By the first reason of each pod.
    let mut reasons: BTreeMap<&str, (usize, String)> = BTreeMap::new();
    for pod in &decision.pods {
        if let Some(reason) = pod.reasons.first() {
            let example = || (0, format!("{}: {reason}", pod.name));
            reasons.entry(reason.as_str()).or_insert_with(example).0 += 1;
        }
    }
    for (count, example) in reasons.values() {
        message.push_str(&format!("; {count} not ({example})"));
    }
    let status = if reasons.is_empty() {
        CheckStatus::Ok
    } else {
        CheckStatus::Info
    };
    CheckLine::new(status, message)
}

fn strategy_line(strategy: Strategy, decision: &Decision, is_configured: bool) -> CheckLine {
    let action = match &decision.action {
        Action::Rotate(plan) => format!("would evict {} pods", plan.victims().len()),
        Action::Assign(plan) => format!("would move {} partitions", plan.moves().len()),
        Action::Rejoin(plan) => {
            format!("would let the members of {} pods rejoin", plan.pods().len())
        }
        Action::Hold(reason) => format!("holds ({})", reason.as_str()),
        // Actions of a later version of the core.
        _ => "decides".to_owned(),
    };
    let name = strategy.as_str();
    let configured = if is_configured { " (configured)" } else { "" };
    let message = format!("{name}{configured}: {action}: {}", decision.message);
    let reason = decision.hold_reason().filter(|reason| !reason.may_last());
    let status = match reason {
        _ if !is_configured => CheckStatus::Info,
        None => CheckStatus::Ok,
        Some(reason) if reason.means_missing_data() => CheckStatus::Error,
        Some(_) => CheckStatus::Warning,
    };
    let line = CheckLine::new(status, message);
    match reason {
        Some(reason) => line.with_fix(reason.remedy()),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn decisions(snapshot: serde_json::Value, strategy: Strategy) -> Decisions {
        let snapshot: Snapshot = serde_json::from_value(snapshot).unwrap();
        let policy = Policy {
            strategy,
            ..Policy::default()
        };
        Decisions::on(&snapshot, &policy)
    }

    fn with_loads(loads: &[f64]) -> serde_json::Value {
        let pods = loads.iter().enumerate();
        let pods = pods.map(|(index, load)| json!({"name": format!("pod-{index}"), "load": load}));
        json!({"target": 0.7, "pods": pods.collect::<Vec<_>>()})
    }

    #[test]
    fn missing_data_is_an_error_and_a_balanced_workload_is_not() {
        let balanced = decisions(with_loads(&[0.7, 0.7, 0.7, 0.7]), Strategy::RotateOutliers);
        let lines = balanced.strategies();
        assert_eq!(lines[0].status, CheckStatus::Ok, "{lines:?}");
        assert!(
            lines[0]
                .message
                .starts_with("rotate-outliers (configured): holds (within_tolerance)")
        );
        let metrics = balanced.checks(Subject::Metrics);
        assert!(!metrics.is_empty());
        assert!(
            metrics.iter().all(|line| line.status == CheckStatus::Ok),
            "{metrics:?}"
        );

        let unmeasured =
            json!({"target": 0.7, "pods": [{"name": "a"}, {"name": "b"}, {"name": "c"}]});
        let blind = decisions(unmeasured, Strategy::RotateOutliers);
        assert_eq!(blind.strategies()[0].status, CheckStatus::Error);
        let failed = blind.checks(Subject::Metrics);
        let failed = failed.iter().find(|line| line.status == CheckStatus::Error);
        assert!(failed.unwrap().fix.is_some());
    }

    #[test]
    fn workload_is_checked_without_loads() {
        let pods: Vec<_> = ["a", "b", "c"].map(|name| json!({"name": name})).into();
        let snapshot = json!({"pods": pods, "frozen": "* * * * *"});
        let snapshot: Snapshot = serde_json::from_value(snapshot).unwrap();
        let lines = without_loads(&snapshot, &Policy::default(), true);
        // The freeze window, and nothing that is only unknown without loads.
        let failed: Vec<_> = lines
            .iter()
            .filter(|line| line.status > CheckStatus::Ok)
            .collect();
        assert_eq!(failed.len(), 1, "{lines:?}");
        assert!(failed[0].message.contains("* * * * *"), "{lines:?}");
        assert!(lines.len() > 1, "{lines:?}");
    }

    #[test]
    fn unknown_group_is_a_warning_unless_the_strategy_needs_it() {
        let loads = with_loads(&[0.7, 0.7, 0.7, 0.7]);
        for (strategy, status) in [
            (Strategy::RotateOutliers, CheckStatus::Warning),
            (Strategy::Forecast, CheckStatus::Error),
        ] {
            let lines = decisions(loads.clone(), strategy).checks(Subject::ConsumerGroup);
            let worst = lines.iter().map(|line| line.status).max();
            assert_eq!(worst, Some(status), "{strategy:?}: {lines:?}");
        }
    }

    #[test]
    fn other_strategies_are_information_with_what_is_missing() {
        let lines = decisions(
            with_loads(&[1.4, 1.4, 0.7, 0.7, 0.7, 0.7, 0.2, 0.2]),
            Strategy::RotateOutliers,
        )
        .strategies();
        assert!(lines[0].message.contains("would evict"), "{lines:?}");
        let names: Vec<&str> = lines
            .iter()
            .filter_map(|line| line.message.split_once(':'))
            .map(|(name, _)| name)
            .collect();
        assert_eq!(
            names,
            [
                "rotate-outliers (configured)",
                "forecast",
                "assign",
                "rejoin",
                "auto"
            ]
        );
        for line in &lines[1..4] {
            assert_eq!(line.status, CheckStatus::Info);
            assert!(line.fix.is_some(), "{line:?}");
        }
    }

    #[test]
    fn pods_that_may_not_be_evicted_are_counted_by_reason() {
        let pods = json!([
            {"name": "a", "load": 0.7},
            {"name": "b", "load": 0.7, "ready": false},
            {"name": "c"},
            {"name": "d"},
        ]);
        let decisions = decisions(
            json!({"target": 0.7, "pods": pods}),
            Strategy::RotateOutliers,
        );
        let line = decisions.pods().unwrap();
        assert_eq!(line.status, CheckStatus::Info);
        assert_eq!(
            line.message,
            "4 pods, 3 ready, 1 may be evicted; 2 not (c: not measured); 1 not (b: not ready)"
        );
    }
}
