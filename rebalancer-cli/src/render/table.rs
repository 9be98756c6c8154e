//! The decision for people: every pod with its load, its role and why it is or is not eligible,
//! then the checks that failed, then the decision in one sentence.

use std::fmt::Write as _;

use rebalancer_core::checks::{Check, Verdict};
use rebalancer_core::execution::{ExecutionOutcome, ExecutionReport, PodOutcome};
use rebalancer_core::plan::Role;
use rebalancer_core::report::{Failed, FollowUp, WorkloadReport};
use rebalancer_core::{Analysis, Decision, PodAssessment};

use super::bar::Scale;
use super::group;
use super::style::Palette;

/// Characters of a bar.
const BAR: usize = 32;
/// Pods of a table: a workload of thousands is for `--output json`.
const MOST_LOADED: usize = 30;
const LEAST_LOADED: usize = 15;

/// What a decision is shown with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Its pods.
    Pods,
    /// The consumer group, where there is one.
    Group,
}

/// One workload of a report.
#[must_use]
pub fn workload(report: &WorkloadReport, detail: Detail, palette: &Palette) -> String {
    match report {
        WorkloadReport::Failed(failed) => failure(failed, palette),
        WorkloadReport::Decided(decided) => {
            let mut text = decision(&decided.decision, detail, palette);
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

/// A decision, with its pods or its consumer group.
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
    let _ = writeln!(text, "{style}{word}{style:#}: {}", decision.message);
    text
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

/// The places of the pods to show: in a large workload the most and the least loaded, and
/// whoever has a role.
fn shown(pods: &[PodAssessment]) -> Vec<usize> {
    let measured = pods.iter().filter(|pod| pod.load.is_some()).count();
    let few = pods.len() <= MOST_LOADED + LEAST_LOADED;
    (0..pods.len())
        .filter(|&place| {
            let least_loaded = place < measured && place + LEAST_LOADED >= measured;
            few || place < MOST_LOADED || least_loaded || pods[place].role.is_some()
        })
        .collect()
}

fn pods(decision: &Decision, palette: &Palette) -> String {
    let places = shown(&decision.pods);
    let names: Vec<String> = places
        .iter()
        .map(|&place| printable(&decision.pods[place].name))
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
    let mut left_out = |text: &mut String, place: usize| {
        if place > next {
            let _ = writeln!(
                text,
                "{dim}… {} pods more, all in --output json{dim:#}",
                place - next
            );
        }
        next = place + 1;
    };
    for (&place, name) in places.iter().zip(&names) {
        left_out(&mut text, place);
        let pod = &decision.pods[place];
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
    left_out(&mut text, decision.pods.len());
    text.push('\n');
    text
}

/// The name without what would move the cursor: a snapshot may come from anywhere.
pub(super) fn printable(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

fn eligibility(pod: &PodAssessment, palette: &Palette) -> String {
    if pod.eligible {
        return "yes".into();
    }
    let reasons: Vec<String> = pod.reasons.iter().map(ToString::to_string).collect();
    let warn = palette.warn;
    format!("{warn}no{warn:#}: {}", reasons.join("; "))
}

/// The checks that failed, and how many did not.
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
            let _ = write!(text, ", {skipped} without anything to check");
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
        let _ = writeln!(text, "  {bad}✗{bad:#} {}", check.message);
    }
    text
}

/// What became of a plan.
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
    let (word, style) = match report.outcome {
        ExecutionOutcome::Completed => ("DONE", palette.good),
        ExecutionOutcome::Incomplete => ("INCOMPLETE", palette.bad),
    };
    let _ = writeln!(text, "{style}{word}{style:#}: {}", report.message);
    text
}

/// What came true of it.
fn followed(follow_up: &FollowUp, palette: &Palette) -> String {
    let as_forecast = follow_up
        .outcome
        .and_then(|outcome| outcome.is_as_forecast());
    let style = match as_forecast {
        Some(true) => palette.good,
        Some(false) => palette.warn,
        None => palette.dim,
    };
    let after = follow_up.after_seconds.in_words();
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
    fn each_pod_is_shown_with_its_load_its_role_and_why_it_is_not_eligible() {
        let text = table(
            r#"{"target": 0.7, "pods": [
                {"name": "a", "load": 1.2}, {"name": "b", "load": 0.3},
                {"name": "c", "load": 0.5, "age_seconds": 20}, {"name": "d", "terminating": true}
            ]}"#,
        );
        let line = |pod: &str| {
            text.lines()
                .find(|line| line.starts_with(pod))
                .unwrap()
                .to_owned()
        };
        assert!(
            line("a ").contains("1.200") && line("a ").ends_with("hottest  yes"),
            "{text}"
        );
        assert!(line("b ").ends_with("coldest  yes"), "{text}");
        assert!(
            line("c ").ends_with("no: too young: 20 s of at least 300 s"),
            "{text}"
        );
        assert!(
            line("d ").ends_with("no: terminating; not measured"),
            "{text}"
        );
        assert!(text.contains("✗ 1 pod is terminating"), "{text}");
        assert!(
            text.lines()
                .last()
                .unwrap()
                .starts_with("HOLD (group_not_settled): "),
            "{text}"
        );
        assert!(!text.contains('\u{1b}'), "no colour: {text}");
    }

    #[test]
    fn of_thousands_of_pods_the_outer_ones_are_shown() {
        let pods: Vec<String> = (0..5000)
            .map(|index| format!(r#"{{"name": "pod-{index:04}", "load": {index}}}"#))
            .collect();
        let text = table(&format!(r#"{{"target": 1, "pods": [{}]}}"#, pods.join(",")));
        assert!(text.contains("pod-4999") && text.contains("pod-0000"));
        assert!(text.contains("… 4955 pods more, all in --output json"));
        assert!(text.lines().count() < 60);
    }

    #[test]
    fn whoever_has_a_role_is_shown_however_many_pods_there_are() {
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
            text.contains("… 195 pods more") && text.contains("… 20 pods more"),
            "{text}"
        );
    }
}
