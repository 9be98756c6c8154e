//! The words of a notification about one workload.

use rebalancer_core::model::WorkloadRef;
use rebalancer_core::report::{Decided, WorkloadReport};

use crate::hints;
use crate::metrics::RunResult;
use crate::render::approval;
use crate::settings::NotifyEvent;

/// The urgency of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Urgency {
    /// All is well.
    Good,
    /// Worth a look.
    Notable,
    /// Something does not work.
    Bad,
}

/// A part of a notification: the result of a run for one workload.
pub(super) struct Section<'a> {
    pub(super) workload: &'a WorkloadRef,
    pub(super) event: NotifyEvent,
    pub(super) result: RunResult,
    /// The word of the action, or that of the hold reason.
    pub(super) action: Option<&'static str>,
    pub(super) reason: Option<&'static str>,
    /// The result in some words, without the workload.
    pub(super) summary: String,
    /// Sentences about the decision and its results.
    pub(super) lines: Vec<String>,
}

impl<'a> Section<'a> {
    /// The section about a report.
    pub(super) fn new(report: &'a WorkloadReport, event: NotifyEvent) -> Self {
        let result = RunResult::of(report);
        match report {
            WorkloadReport::Failed(failed) => Self {
                workload: &failed.workload,
                event,
                result,
                action: None,
                reason: None,
                summary: "the run failed".to_owned(),
                lines: vec![failed.error.clone()],
            },
            WorkloadReport::Decided(decided) => {
                let action = decided.decision.verb();
                let reason = decided.decision.hold_reason();
                let reason = reason.map(|reason| reason.as_str());
                Self {
                    workload: &decided.decision.workload,
                    event,
                    result,
                    action,
                    reason,
                    summary: if approval::waiting(&decided.decision).is_some() {
                        "a plan waits for approval".to_owned()
                    } else {
                        summary(result, action.or(reason).unwrap_or_default())
                    },
                    lines: lines(decided),
                }
            }
        }
    }

    /// The workload and the summary.
    pub(super) fn headline(&self) -> String {
        format!("{}: {}", self.workload, self.summary)
    }

    pub(super) fn urgency(&self) -> Urgency {
        match self.result {
            RunResult::Acted | RunResult::Held => Urgency::Good,
            RunResult::Planned => Urgency::Notable,
            RunResult::Incomplete
            | RunResult::MissingData
            | RunResult::NeedsOperator
            | RunResult::Failed => Urgency::Bad,
        }
    }
}

fn summary(result: RunResult, word: &str) -> String {
    match result {
        RunResult::Acted => format!("{word}, done"),
        RunResult::Incomplete => format!("{word}, incomplete"),
        RunResult::Planned => format!("{word}, planned and not executed"),
        RunResult::Held => format!("hold ({word})"),
        RunResult::MissingData => format!("hold ({word}): data is missing or not trusted"),
        RunResult::NeedsOperator => format!("hold ({word}): it needs an operator"),
        RunResult::Failed => "the run failed".to_owned(),
    }
}

fn lines(decided: &Decided) -> Vec<String> {
    let decision = &decided.decision;
    let mut lines = vec![format!(
        "{}{}",
        decision.message,
        hints::of_decision(decision)
    )];
    if let Some(plan) = approval::waiting(decision) {
        lines.extend(approval::changes(plan));
        lines.push(plan.approval_command(&decision.workload));
    }
    let other = decision.other_missing_data();
    lines.extend(other.map(|check| format!("{}{}", check.message, hints::of_check(check))));
    if let Some(held) = &decided.held {
        lines.push(held.to_string());
    }
    if let Some(execution) = &decided.execution {
        let hint = hints::of_execution(execution);
        lines.push(format!("{}{hint}", execution.message));
    }
    if let Some(hand_over) = &decided.hand_over {
        let hint = hints::of_hand_over(hand_over);
        lines.push(format!("{}{hint}", hand_over.message));
    }
    lines.extend(
        decided
            .follow_up
            .as_ref()
            .map(|effect| effect.message.clone()),
    );
    lines
}
