//! A decision as a table: each pod with its load, its role and its eligibility, then the failed
//! checks, then the decision in one sentence.

use std::fmt::Write as _;

use anstyle::Style;
use rebalancer_core::checks::{Check, CheckDetails, Verdict};
use rebalancer_core::execution::{
    ExecutionOutcome, ExecutionReport, PodOutcome, PodReport, StaticMemberOutcome,
    StaticMemberReport,
};
use rebalancer_core::handover::{HandoverDocument, HandoverResult};
use rebalancer_core::hold_record::HeldSince;
use rebalancer_core::plan::Role;
use rebalancer_core::report::{Failed, FollowUp, WorkloadReport};
use rebalancer_core::{Analysis, Decision, PodAssessment};

use super::approval;
use super::assignment;
use super::bar::Scale;
use super::group;
use super::members;
use super::rejoin;
use super::style::Palette;
use super::text::printable;
use super::wrap::{
    INDENT, append, append_or_below, columns, common_prefix, sentence, short_names, wrapped,
};
use crate::hints;

/// The greatest width of a bar, in characters.
const BAR: usize = 32;
/// The smallest width of a bar; below it, names are shortened.
const SHORTEST_BAR: usize = 12;
/// The shortest width of shortened names.
const SHORTEST_NAME: usize = 8;
/// The number of most loaded pods in the table. Larger workloads are for `--output json`.
const MOST_LOADED: usize = 30;
/// The number of least loaded pods in the table.
const LEAST_LOADED: usize = 15;

/// The details that accompany a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// The pods.
    Pods,
    /// The consumer group, if it is known.
    Group,
    /// The members of the consumer group instead of the decision.
    Members {
        /// Whether each partition is shown as well.
        partitions: bool,
    },
}

/// Renders one workload of a report.
#[must_use]
pub fn workload(report: &WorkloadReport, detail: Detail, palette: &Palette) -> String {
    match report {
        WorkloadReport::Failed(Failed { workload, error }) => {
            failure(&workload.to_string(), error, palette)
        }
        WorkloadReport::Decided(decided) => {
            if let (Detail::Members { partitions }, Some(group)) = (detail, &decided.consumer_group)
            {
                return members::whole(&decided.decision.workload, group, partitions, palette);
            }
            let mut text = decision(&decided.decision, detail, palette);
            if let Some(held) = decided.held.filter(|held| !held.is_first()) {
                text.push_str(&self::held(&held, palette));
            }
            if let Some(report) = &decided.hand_over {
                text.push_str(&handed_over(report, palette));
            }
            if let Some(report) = &decided.execution {
                text.push_str(&execution(report, palette));
            }
            if let Some(follow_up) = &decided.follow_up {
                text.push_str(&followed(follow_up, palette));
            }
            text
        }
    }
}

/// Renders why there is no result for a workload.
pub(super) fn failure(workload: &str, error: &str, palette: &Palette) -> String {
    let (bad, strong) = (palette.bad, palette.strong);
    let error = sentence("error", bad, error, palette);
    format!("{strong}{workload}{strong:#}\n{error}")
}

/// The text with the common prefix of the pods' names replaced by an ellipsis, if it would not fit
/// on one line.
fn with_short_names(text: String, decision: &Decision, palette: &Palette) -> String {
    let names = || decision.pods.iter().map(|pod| pod.name.as_str());
    match (palette.width, common_prefix(names())) {
        (Some(width), Some(prefix)) if columns(&text) > width => text.replace(prefix, "…"),
        (Some(_) | None, Some(_) | None) => text,
    }
}

/// Renders a decision with its pods or its consumer group.
#[must_use]
pub fn decision(decision: &Decision, detail: Detail, palette: &Palette) -> String {
    let mut text = heading(decision, palette);
    match (detail, &decision.group) {
        (Detail::Group | Detail::Members { .. }, Some(_)) => {
            text.push_str(&group::whole(decision, palette))
        }
        (Detail::Pods, Some(known)) => {
            text.push_str(&pods(decision, palette));
            text.push_str(&group::summary(known, palette));
        }
        (Detail::Pods | Detail::Group | Detail::Members { .. }, None) => {
            text.push_str(&pods(decision, palette))
        }
    }
    text.push_str(&last_rotation(&decision.checks, palette));
    text.push_str(&checks(decision, palette));
    if let Some(reason) = &decision.fallback {
        text.push_str(&sentence("fallback", palette.warn, reason, palette));
    }
    if let Some(plan) = decision.assignment() {
        text.push_str(&assignment::moves(plan, palette));
    }
    if let (Some(_), Some(group)) = (decision.rejoin(), &decision.group) {
        text.push_str(&rejoin::pods(group, palette));
    }
    let (word, style) = match decision.hold_reason() {
        None => (action(decision), palette.warn),
        Some(reason) if reason.fails() => (format!("HOLD ({})", reason.as_str()), palette.bad),
        Some(reason) if decision.approval.is_some() => {
            (format!("HOLD ({})", reason.as_str()), palette.warn)
        }
        Some(reason) => (format!("HOLD ({})", reason.as_str()), palette.good),
    };
    let hint = hints::of_decision(decision);
    let message = format!("{}{hint}", decision.message);
    let message = with_short_names(message, decision, palette);
    text.push_str(&sentence(&word, style, &message, palette));
    if let Some(plan) = approval::waiting(decision) {
        for change in approval::changes(plan) {
            let _ = writeln!(text, "  {change}");
        }
        let command = plan.approval_command(&decision.workload);
        text.push_str(&sentence("to approve", palette.strong, &command, palette));
    }
    text
}

/// The word of a decision to act, such as `ROTATE`.
#[must_use]
pub fn action(decision: &Decision) -> String {
    decision.verb().unwrap_or_default().to_uppercase()
}

fn handed_over(report: &HandoverDocument, palette: &Palette) -> String {
    let style = match report.outcome {
        HandoverResult::Assigned | HandoverResult::Rejoined => palette.good,
        HandoverResult::NotKept | HandoverResult::Abandoned => palette.bad,
    };
    let text = format!("{}{}", report.message, hints::of_hand_over(report));
    let label = match report.rejoins {
        Some(_) => "rejoin",
        None => "handed over",
    };
    sentence(label, style, &text, palette)
}

fn held(held: &HeldSince, palette: &Palette) -> String {
    let style = if held.alert {
        palette.bad
    } else {
        Style::new()
    };
    let text = format!("{held}{}", hints::of_held(held));
    format!(
        "{style}{}{style:#}\n",
        wrapped(&text, palette.width, INDENT).trim_end()
    )
}

/// Renders whether the last rotation helped; empty without one. If that is a reason to hold, it is
/// among the failed checks.
fn last_rotation(checks: &[Check], palette: &Palette) -> String {
    let last = checks.iter().find_map(|check| {
        if let CheckDetails::LastRotation(details) = &check.details
            && check.verdict != Verdict::Fail
        {
            Some((details, &check.message))
        } else {
            None
        }
    });
    match last {
        Some((details, message)) if details.is_known() => {
            let style = if details.ineffective == 0 {
                palette.good
            } else {
                palette.warn
            };
            // The message begins with the subject, which is the word before the colon here.
            let outcome = message.trim_start_matches("the last rotation, ");
            sentence("last rotation", style, outcome, palette)
        }
        Some(_) | None => String::new(),
    }
}

fn heading(decision: &Decision, palette: &Palette) -> String {
    let strong = palette.strong;
    let Analysis {
        pods,
        ready,
        eligible,
        mean,
        variance,
        max,
        target,
        threshold,
        ..
    } = decision.analysis;
    let number = |value: Option<f64>| value.map_or("?".into(), |value| format!("{value:.3}"));
    let workload = decision.workload.to_string();
    let counts = format!("{pods} pods, {ready} ready, {eligible} eligible");
    let numbers = format!(
        "mean {}, variance {}, max {}, target {} (│), threshold {} (┃)",
        number(mean),
        number(variance),
        number(max),
        number(target),
        number(threshold),
    );
    let counts = sentence(&workload, strong, &counts, palette);
    if decision.pods.is_empty() {
        return counts;
    }
    counts + &wrapped(&numbers, palette.width, INDENT)
}

/// The indices of the pods to show: in a large workload the most and the least loaded ones, and
/// those with a role.
fn shown(pods: &[PodAssessment]) -> Vec<usize> {
    let measured = pods.iter().filter(|pod| pod.load.is_some()).count();
    let few = pods.len() <= MOST_LOADED + LEAST_LOADED;
    (0..pods.len())
        .filter(|&index| {
            let least_loaded = index < measured && index + LEAST_LOADED >= measured;
            few || index < MOST_LOADED || least_loaded || pods[index].role.is_some()
        })
        .collect()
}

fn pods(decision: &Decision, palette: &Palette) -> String {
    if decision.pods.is_empty() {
        return "\n".to_owned();
    }
    let indices = shown(&decision.pods);
    let names: Vec<String> = indices
        .iter()
        .map(|&index| printable(&decision.pods[index].name))
        .collect();
    let loads: Vec<String> = indices
        .iter()
        .map(|&index| decision.pods[index].load.map(f64::from))
        .map(|load| load.map_or("–".into(), |load| format!("{load:.3}")))
        .collect();
    let widest = |texts: &[String], heading: &str| {
        let longest = texts.iter().map(|text| columns(text)).max();
        longest.unwrap_or(0).max(columns(heading))
    };
    let load_width = widest(&loads, "LOAD");
    // The columns between and after the name and the bar.
    let others = 2 + load_width + 2 + 2 + "coldest".len() + 2 + "ELIGIBLE".len();
    let names = match palette.width {
        Some(width) => {
            let room = width.saturating_sub(others + SHORTEST_BAR);
            short_names(names, room.max(SHORTEST_NAME))
        }
        None => names,
    };
    let width = widest(&names, "POD");
    let bar_width = palette.width.map_or(BAR, |columns| {
        columns
            .saturating_sub(others + width)
            .clamp(SHORTEST_BAR, BAR)
    });
    let highest = decision
        .pods
        .iter()
        .filter_map(|pod| pod.load)
        .max()
        .map_or(0.0, f64::from);
    let Analysis {
        target, threshold, ..
    } = decision.analysis;
    let scale = Scale::new(highest, target, threshold, bar_width);
    let dim = palette.dim;
    let mut text = format!(
        "\n{dim}{:width$}  {:>load_width$}  {:bar_width$}  {:7}  ELIGIBLE{dim:#}\n",
        "POD", "LOAD", "", "ROLE"
    );
    let mut next = 0;
    let mut omitted = |text: &mut String, index: usize| {
        if index > next {
            let _ = writeln!(
                text,
                "{dim}… {} more pods, all in --output json{dim:#}",
                index - next
            );
        }
        next = index + 1;
    };
    let used = width + 2 + load_width + 2 + bar_width + 2 + "coldest".len() + 2;
    for ((&index, name), number) in indices.iter().zip(&names).zip(&loads) {
        omitted(&mut text, index);
        let pod = &decision.pods[index];
        let load = pod.load.map(f64::from);
        let hot = threshold.is_some_and(|threshold| load.is_some_and(|load| load > threshold));
        let bar = scale.bar(load, hot, pod.role == Some(Role::Coldest), palette);
        let role = pod.role.map_or("", Role::as_str);
        let mut row = format!("{name:width$}  {number:>load_width$}  {bar}  {role:7}  ");
        if pod.eligible {
            row.push_str("yes\n");
        } else {
            let reasons: Vec<String> = pod.reasons.iter().map(ToString::to_string).collect();
            let warn = palette.warn;
            let _ = write!(row, "{warn}no{warn:#}: ");
            append_or_below(&mut row, used + 4, &reasons.join("; "), palette.width);
        }
        text.push_str(&row);
    }
    omitted(&mut text, decision.pods.len());
    text.push('\n');
    text
}

/// Renders the failed checks and the number of the others. The one that gives the reason of the
/// hold is the sentence of the decision, which follows.
fn checks(decision: &Decision, palette: &Palette) -> String {
    let checks = &decision.checks;
    let count = |verdict| {
        checks
            .iter()
            .filter(|check| check.verdict == verdict)
            .count()
    };
    let mut text = format!("checks: {} passed", count(Verdict::Pass));
    match count(Verdict::Skipped) {
        0 => {}
        skipped => {
            let _ = write!(text, ", {skipped} not applicable");
        }
    }
    match count(Verdict::Fail) {
        0 => {}
        failed => {
            let _ = write!(text, ", {failed} failed");
        }
    }
    text.push('\n');
    let bad = palette.bad;
    let failed = checks.iter().filter(|check| check.verdict == Verdict::Fail);
    for check in failed.filter(|check| check.message != decision.message) {
        let message = format!("{}{}", check.message, hints::of_check(check));
        let message = with_short_names(message, decision, palette);
        let mut line = format!("  {bad}✗{bad:#} ");
        append(&mut line, 4, &message, palette.width, 4);
        text.push_str(&line);
    }
    text
}

/// Renders the outcome of an execution.
#[must_use]
pub fn execution(report: &ExecutionReport, palette: &Palette) -> String {
    let mut text = String::new();
    for pod in &report.pods {
        let (mark, style) = if pod.outcome == PodOutcome::WouldWait {
            ('…', palette.warn)
        } else if pod.outcome.is_success() {
            ('✓', palette.good)
        } else {
            ('✗', palette.bad)
        };
        let message = pod_outcome(report, pod);
        let mut line = format!("  {style}{mark}{style:#} ");
        append(&mut line, 4, &message, palette.width, 4);
        text.push_str(&line);
    }
    for member in &report.static_members {
        text.push_str(&static_member(member, palette));
    }
    let (word, style) = match report.outcome {
        ExecutionOutcome::Completed => ("DONE", palette.good),
        ExecutionOutcome::Incomplete => ("INCOMPLETE", palette.bad),
    };
    let message = format!("{}{}", report.message, hints::of_execution(report));
    text.push_str(&sentence(word, style, &message, palette));
    if let Some(note) = &report.note {
        text.push_str(&sentence("NOTE", palette.warn, note, palette));
    }
    text
}

/// The outcome for a victim in words.
pub(super) fn pod_outcome(report: &ExecutionReport, pod: &PodReport) -> String {
    let outcome = if report.dry_run && pod.outcome == PodOutcome::Evicted {
        "would be evicted"
    } else if pod.outcome == PodOutcome::WouldWait {
        "would wait"
    } else {
        pod.outcome.as_str()
    };
    match &pod.message {
        Some(message) => format!("{}: {outcome} ({message})", pod.name),
        None => format!("{}: {outcome}", pod.name),
    }
}

/// Renders the outcome for a static member of an evicted pod.
fn static_member(report: &StaticMemberReport, palette: &Palette) -> String {
    let (mark, style, outcome) = match report.outcome {
        StaticMemberOutcome::Removed => ('✓', palette.good, "removed from the group"),
        StaticMemberOutcome::WouldRemove => ('✓', palette.good, "would be removed from the group"),
        StaticMemberOutcome::AlreadyGone => ('✓', palette.good, "has left the group"),
        StaticMemberOutcome::Kept => ('…', palette.warn, "kept in the group"),
        StaticMemberOutcome::Failed => ('✗', palette.bad, "not removed from the group"),
    };
    let StaticMemberReport { instance, pod, .. } = report;
    let mut message = format!("static member {instance} of {pod}: {outcome}");
    if let Some(detail) = &report.message {
        message.push_str(&format!(" ({detail})"));
    }
    let mut line = format!("  {style}{mark}{style:#} ");
    append(&mut line, 4, &message, palette.width, 4);
    line
}

/// Renders the outcome of the rotation.
fn followed(follow_up: &FollowUp, palette: &Palette) -> String {
    let as_forecast = follow_up
        .outcome
        .and_then(|outcome| outcome.is_as_forecast());
    let style = match as_forecast {
        Some(true) => palette.good,
        Some(false) => palette.warn,
        None => palette.dim,
    };
    let after = follow_up.after_seconds.rounded();
    sentence(
        &format!("AFTER {after}"),
        style,
        &follow_up.message,
        palette,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use rebalancer_core::{Policy, Snapshot, decide};

    fn table(json: &str) -> String {
        let snapshot: Snapshot = serde_json::from_str(json).unwrap();
        decision(
            &decide(&snapshot, &Policy::default()),
            Detail::Pods,
            &Palette::plain(),
        )
    }

    #[test]
    fn shows_the_outer_pods_of_thousands() {
        let pods: Vec<String> = (0..5000)
            .map(|index| format!(r#"{{"name": "pod-{index:04}", "load": {index}}}"#))
            .collect();
        let text = table(&format!(r#"{{"target": 1, "pods": [{}]}}"#, pods.join(",")));
        assert!(text.contains("pod-4999") && text.contains("pod-0000"));
        assert!(text.contains("… 4955 more pods, all in --output json"));
        assert!(text.lines().count() < 60);
    }

    #[test]
    fn shows_each_pod_with_a_role_in_a_large_workload() {
        let pods: Vec<String> = (0..240)
            .map(|index| format!(r#"{{"name": "pod-{index:04}", "load": {}}}"#, index + 1))
            .chain((0..20).map(|index| format!(r#"{{"name": "unmeasured-{index}"}}"#)))
            .collect();
        let text = table(&format!(
            r#"{{"target": 100, "pods": [{}]}}"#,
            pods.join(",")
        ));
        for victim in ["pod-0239", "pod-0238", "pod-0000", "pod-0001"] {
            let line = text.lines().find(|line| line.starts_with(victim));
            assert!(line.unwrap().contains("est "), "{text}");
        }
        assert!(
            text.contains("… 195 more pods") && text.contains("… 20 more pods"),
            "{text}"
        );
    }
}
