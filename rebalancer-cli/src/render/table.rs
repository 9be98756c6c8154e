//! A decision as a table: each pod with its load, its role and its eligibility, then the failed
//! checks, then the decision in one sentence.

use std::fmt::Write as _;

use rebalancer_core::checks::{Check, Verdict};
use rebalancer_core::execution::{ExecutionOutcome, ExecutionReport, PodOutcome};
use rebalancer_core::hold_record::HeldSince;
use rebalancer_core::plan::Role;
use rebalancer_core::report::{Failed, FollowUp, WorkloadReport};
use rebalancer_core::{Analysis, Decision, PodAssessment};

use anstyle::Style;

use super::bar::Scale;
use super::group;
use super::style::Palette;
use super::text::printable;
use crate::hints::{self, Hint};

/// The width of a bar, in characters.
const BAR: usize = 32;
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
}

/// Renders one workload of a report.
#[must_use]
pub fn workload(report: &WorkloadReport, detail: Detail, palette: &Palette) -> String {
    match report {
        WorkloadReport::Failed(failed) => failure(failed, palette),
        WorkloadReport::Decided(decided) => {
            let mut text = decision(&decided.decision, detail, palette);
            if let Some(held) = decided.held.filter(|held| !held.is_first()) {
                text.push_str(&self::held(&held, palette));
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

fn failure(failed: &Failed, palette: &Palette) -> String {
    let (bad, strong) = (palette.bad, palette.strong);
    format!(
        "{strong}{}{strong:#}\n{bad}error{bad:#}: {}\n",
        failed.workload, failed.error
    )
}

/// Renders a decision with its pods or its consumer group.
#[must_use]
pub fn decision(decision: &Decision, detail: Detail, palette: &Palette) -> String {
    let mut text = heading(decision, palette);
    match (detail, &decision.group) {
        (Detail::Group, Some(_)) => text.push_str(&group::whole(decision, palette)),
        (Detail::Pods, Some(known)) => {
            text.push_str(&pods(decision, palette));
            text.push_str(&group::summary(known, palette));
        }
        (Detail::Pods | Detail::Group, None) => text.push_str(&pods(decision, palette)),
    }
    text.push_str(&checks(&decision.checks, palette));
    let (word, style) = match decision.hold_reason() {
        None => ("ROTATE".to_owned(), palette.warn),
        Some(reason) if reason.means_missing_data() => {
            (format!("HOLD ({})", reason.as_str()), palette.bad)
        }
        Some(reason) => (format!("HOLD ({})", reason.as_str()), palette.good),
    };
    let hint = hints::of_decision(decision);
    let _ = writeln!(text, "{style}{word}{style:#}: {}{hint}", decision.message);
    text
}

fn held(held: &HeldSince, palette: &Palette) -> String {
    let style = if held.alert {
        palette.bad
    } else {
        Style::new()
    };
    format!("{style}{held}{style:#}{}\n", hints::of_held(held))
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
    format!(
        "{strong}{}{strong:#}: {pods} pods, {ready} ready, {eligible} eligible\n\
         mean {}, variance {}, max {}, target {} (│), threshold {} (┃)\n",
        decision.workload,
        number(mean),
        number(variance),
        number(max),
        number(target),
        number(threshold),
    )
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
    let indices = shown(&decision.pods);
    let names: Vec<String> = indices
        .iter()
        .map(|&index| printable(&decision.pods[index].name))
        .collect();
    let width = names.iter().map(|name| name.chars().count()).max();
    let width = width.unwrap_or(0).max("POD".len());
    let highest = decision
        .pods
        .iter()
        .filter_map(|pod| pod.load)
        .max()
        .map_or(0.0, f64::from);
    let Analysis {
        target, threshold, ..
    } = decision.analysis;
    let scale = Scale::new(highest, target, threshold, BAR);
    let dim = palette.dim;
    let mut text = format!(
        "\n{dim}{:width$}  {:>8}  {:BAR$}  {:8} ELIGIBLE{dim:#}\n",
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
    for (&index, name) in indices.iter().zip(&names) {
        omitted(&mut text, index);
        let pod = &decision.pods[index];
        let load = pod.load.map(f64::from);
        let hot = threshold.is_some_and(|threshold| load.is_some_and(|load| load > threshold));
        let bar = scale.bar(load, hot, pod.role == Some(Role::Coldest), palette);
        let number = load.map_or("–".into(), |load| format!("{load:.3}"));
        let role = pod.role.map_or("", Role::as_str);
        let _ = writeln!(
            text,
            "{name:width$}  {number:>8}  {bar}  {role:8} {}",
            eligibility(pod, palette)
        );
    }
    omitted(&mut text, decision.pods.len());
    text.push('\n');
    text
}

fn eligibility(pod: &PodAssessment, palette: &Palette) -> String {
    if pod.eligible {
        return "yes".into();
    }
    let reasons: Vec<String> = pod.reasons.iter().map(ToString::to_string).collect();
    let warn = palette.warn;
    format!("{warn}no{warn:#}: {}", reasons.join("; "))
}

/// Renders the failed checks and the number of the others.
fn checks(checks: &[Check], palette: &Palette) -> String {
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
    for check in checks.iter().filter(|check| check.verdict == Verdict::Fail) {
        let hint = hints::of_check(check);
        let _ = writeln!(text, "  {bad}✗{bad:#} {}{hint}", check.message);
    }
    text
}

/// Renders the outcome of an execution.
#[must_use]
pub fn execution(report: &ExecutionReport, palette: &Palette) -> String {
    let mut text = String::new();
    for pod in &report.pods {
        let (mark, style) = if pod.outcome.is_success() {
            ('✓', palette.good)
        } else {
            ('✗', palette.bad)
        };
        let outcome = if report.dry_run && pod.outcome == PodOutcome::Evicted {
            "would be evicted"
        } else {
            pod.outcome.as_str()
        };
        let _ = write!(text, "  {style}{mark}{style:#} {}: {outcome}", pod.name);
        match &pod.message {
            Some(message) => {
                let _ = writeln!(text, " ({message})");
            }
            None => text.push('\n'),
        }
    }
    let (word, style, hint) = match report.outcome {
        ExecutionOutcome::Completed => ("DONE", palette.good, Hint::default()),
        ExecutionOutcome::Incomplete => ("INCOMPLETE", palette.bad, hints::of_execution(report)),
    };
    let _ = writeln!(text, "{style}{word}{style:#}: {}{hint}", report.message);
    text
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
    format!("{style}AFTER {after}{style:#}: {}\n", follow_up.message)
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
