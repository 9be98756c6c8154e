//! The document of `pause`, `resume`, `approve`, `status` and `history` as text.

use std::fmt::Write as _;

use jiff::Timestamp;
use rebalancer_core::history::Rotation;

use super::approval;
use super::style::Palette;
use super::text::printable;
use super::wrap::append;
use crate::steering::{
    HistoryEntry, SteeredWorkload, SteeringCommand, SteeringReport, WorkloadStatus,
};

/// The column at which values begin.
const VALUES: usize = 17;
/// The number of pods that a line names.
const PODS: usize = 5;

/// Renders the document.
#[must_use]
pub fn report(report: &SteeringReport, palette: &Palette) -> String {
    let workloads = report.workloads.iter().map(|workload| {
        // The log has the error.
        if workload.error.is_some() {
            return String::new();
        }
        let mut text = match report.command {
            SteeringCommand::Pause | SteeringCommand::Resume => changed(workload, report.dry_run),
            SteeringCommand::Approve => approved(workload, report.dry_run),
            SteeringCommand::Status => status(workload, palette),
            SteeringCommand::History => history(workload, palette),
        };
        for note in &workload.notes {
            let _ = writeln!(text, "note: {}", printable(note));
        }
        text
    });
    let workloads: Vec<String> = workloads.filter(|text| !text.is_empty()).collect();
    workloads.join(match report.command {
        SteeringCommand::Pause | SteeringCommand::Resume | SteeringCommand::Approve => "",
        SteeringCommand::Status | SteeringCommand::History => "\n",
    })
}

/// The line of `pause` or `resume`.
fn changed(workload: &SteeredWorkload, dry_run: bool) -> String {
    let name = &workload.workload;
    let (done, before) = if dry_run {
        ("dry run: would be ", "now")
    } else {
        ("", "before")
    };
    let line = match (&workload.pause, &workload.pause_before, workload.changed) {
        (Some(pause), _, Some(true)) => format!("{name}: {done}paused: {pause}"),
        (Some(pause), _, _) => format!("{name}: already paused: {pause}"),
        (None, Some(pause), _) => format!("{name}: {done}resumed; {before}, {pause}"),
        (None, None, Some(true)) => {
            format!("{name}: {done}resumed; a pause that was over is removed")
        }
        (None, None, _) => format!("{name}: not paused, nothing to resume"),
    };
    printable(&line) + "\n"
}

/// The line of `approve`, and the changes of the plan.
fn approved(workload: &SteeredWorkload, dry_run: bool) -> String {
    let Some(plan) = &workload.plan else {
        return String::new();
    };
    let is = match (workload.changed, dry_run) {
        (Some(false), _) => "is already",
        (_, true) => "would be",
        (_, false) => "is",
    };
    let mut line = format!(
        "{}: plan {} {is} approved until {:.0}: {}",
        workload.workload, plan.id, plan.expires, plan.message
    );
    if let Some(pause) = &workload.pause {
        let _ = write!(line, "; but {pause}");
    }
    let mut text = printable(&line) + "\n";
    for change in approval::changes(plan) {
        let _ = writeln!(text, "  {change}");
    }
    text
}

fn title(workload: &SteeredWorkload, palette: &Palette) -> String {
    let strong = palette.strong;
    let name = printable(&workload.workload.to_string());
    format!("{strong}{name}{strong:#}\n")
}

fn status(workload: &SteeredWorkload, palette: &Palette) -> String {
    let mut text = title(workload, palette);
    let Some(status) = &workload.status else {
        return text;
    };
    let mut line = |name: &str, value: &str| {
        let mut line = format!("  {name:width$}", width = VALUES - 2);
        append(&mut line, VALUES, &printable(value), palette.width, VALUES);
        text.push_str(&line);
    };
    let paused = match &workload.pause {
        Some(pause) => format!("yes: {pause}"),
        None => "no".to_owned(),
    };
    line("paused", &paused);
    if let Some(window) = &status.freeze_window {
        line("frozen", &format!("by the freeze window `{window}`"));
    }
    if let Some(plan) = &workload.plan {
        let state = if workload.approved == Some(true) {
            "is approved, and may be executed until"
        } else {
            "waits for approval until"
        };
        let expires = plan.expires;
        let text = format!("{} {state} {expires:.0}: {}", plan.id, plan.message);
        line("plan", &text);
        for change in approval::changes(plan) {
            line("", &change);
        }
        if workload.approved == Some(false) {
            line("", &plan.approval_command(&workload.workload));
        }
    }
    line("running", &running(status));
    line("last run", &last_run(status));
    line("last rotation", &last_rotation(status));
    line("next action", &next_action(workload, status));
    let evictions = match status.max_evictions_per_day {
        Some(limit) => format!("{} of at most {limit}", status.evictions_of_last_day),
        None => status.evictions_of_last_day.to_string(),
    };
    line(
        "evictions",
        &format!("{evictions} within the last 24 hours"),
    );
    text
}

fn running(status: &WorkloadStatus) -> String {
    match &status.holder {
        Some(holder) => format!(
            "{}, whose lease expires in {}",
            holder.identity,
            holder.expires_seconds.rounded()
        ),
        None => "no run holds the Lease".to_owned(),
    }
}

fn last_run(status: &WorkloadStatus) -> String {
    let Some(at) = status.last_run else {
        return "none is recorded: no run that acts has ended yet".to_owned();
    };
    match &status.last_hold {
        Some(hold) => format!(
            "{at:.0}: held for {}, in {} consecutive runs since {:.0}",
            hold.reason, hold.runs, hold.since
        ),
        None => format!("{at:.0}: did not hold"),
    }
}

fn last_rotation(status: &WorkloadStatus) -> String {
    let Some(last) = &status.last_rotation else {
        return "none is recorded".to_owned();
    };
    format!("{:.0}: {}", last.time, rotation(last))
}

fn rotation(last: &Rotation) -> String {
    let done = actions(Some(last.victims.len()), Some(last.moves), &last.victims);
    let abandoned = last.abandoned.as_ref();
    let abandoned = abandoned.map_or_else(String::new, |why| format!(", abandoned: {why}"));
    format!(
        "{done}; imbalance {:.2}, expected {:.2}{abandoned}",
        last.imbalance_before, last.imbalance_hoped
    )
}

fn actions(evictions: Option<usize>, moves: Option<usize>, pods: &[String]) -> String {
    let mut text = match (evictions, moves) {
        (_, Some(1)) => "1 partition moved".to_owned(),
        (_, Some(moves)) if moves > 0 => format!("{moves} partitions moved"),
        (Some(1), _) => "1 pod evicted".to_owned(),
        (Some(evictions), _) => format!("{evictions} pods evicted"),
        (None, _) => String::new(),
    };
    if !pods.is_empty() {
        let shown = pods
            .iter()
            .take(PODS)
            .cloned()
            .collect::<Vec<_>>()
            .join(", ");
        let _ = write!(text, " ({shown}");
        if pods.len() > PODS {
            let _ = write!(text, ", and {} more", pods.len() - PODS);
        }
        text.push(')');
    }
    text
}

/// The time from which a run may act, as far as it is recorded.
fn next_action(workload: &SteeredWorkload, status: &WorkloadStatus) -> String {
    let pause = workload.pause.as_ref();
    if pause.is_some_and(|pause| pause.until.is_none()) {
        return "not before the workload is resumed".to_owned();
    }
    let paused = pause.and_then(|pause| Some((pause.until?, "the pause")));
    let cooldown = status.cooldown_until.map(|until| (until, "the cooldown"));
    let latest: Option<(Timestamp, &str)> = paused.into_iter().chain(cooldown).max();
    match latest {
        Some((until, what)) => format!("from {until:.0} on, the end of {what}"),
        None => "allowed now, if the next run finds a reason".to_owned(),
    }
}

fn history(workload: &SteeredWorkload, palette: &Palette) -> String {
    let mut text = title(workload, palette);
    let entries = workload.history.as_deref().unwrap_or_default();
    if entries.is_empty() {
        text.push_str("  no action is recorded\n");
    }
    for found in entries {
        let mut line = format!("  {:.0}  ", found.time);
        let indent = line.len();
        append(
            &mut line,
            indent,
            &printable(&entry(found)),
            palette.width,
            indent,
        );
        text.push_str(&line);
    }
    text
}

fn entry(entry: &HistoryEntry) -> String {
    let mut parts = Vec::new();
    if let Some(strategy) = entry.strategy {
        parts.push(strategy.as_str().to_owned());
    }
    let done = actions(entry.evictions, entry.moves, &entry.pods);
    if !done.is_empty() {
        parts.push(done.trim_start().to_owned());
    }
    let expected = entry.imbalance_expected;
    match (entry.imbalance_before, entry.imbalance_after, expected) {
        (Some(before), Some(after), _) => {
            parts.push(format!("imbalance {before:.2} → {after:.2}"));
        }
        (Some(before), None, Some(expected)) => {
            parts.push(format!("imbalance {before:.2} → expected {expected:.2}"));
        }
        (Some(before), None, None) => parts.push(format!("imbalance {before:.2}")),
        (None, _, _) => {}
    }
    if let Some(why) = &entry.abandoned {
        parts.push(format!("abandoned: {why}"));
    }
    // The record has the numbers of the message already.
    match (&entry.event, &entry.message) {
        (Some(event), Some(message)) if entry.strategy.is_none() => {
            parts.push(format!("{event}: {message}"));
        }
        (Some(event), _) => parts.push(event.clone()),
        (None, _) => {}
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;
    use rebalancer_core::model::WorkloadRef;
    use rebalancer_core::proposal::ProposedPlan;
    use serde_json::json;

    fn workload() -> SteeredWorkload {
        SteeredWorkload::of(WorkloadRef {
            namespace: "shop".into(),
            kind: "Deployment".into(),
            name: "consumer".into(),
        })
    }

    fn rendered(command: SteeringCommand, workload: SteeredWorkload) -> String {
        let document = SteeringReport {
            schema: crate::steering::SCHEMA.to_owned(),
            command,
            dry_run: false,
            workloads: vec![workload],
        };
        report(&document, &Palette::plain())
    }

    fn last() -> Rotation {
        serde_json::from_value(json!({
            "time": "2026-01-02T18:00:00Z", "victims": ["a", "b", "c", "d", "e", "f"],
            "imbalance_before": 2.0, "imbalance_hoped": 1.5, "strategy": "rotate-outliers",
            "earlier": [
                {"time": "2026-01-02T12:00:00Z", "moves": 7, "imbalance_before": 3.0,
                    "imbalance_after": 2.0, "strategy": "assign"},
                {"time": "2026-01-01T12:00:00Z", "evictions": 1, "imbalance_before": 1.9,
                    "strategy": "forecast"},
            ],
        }))
        .unwrap()
    }

    #[test]
    fn status_has_what_the_objects_record() {
        let at: Timestamp = "2026-01-02T18:03:00Z".parse().unwrap();
        let status = WorkloadStatus {
            at,
            freeze_window: None,
            holder: None,
            last_run: Some(at),
            last_hold: Some(crate::steering::LastHold {
                reason: "cooldown".into(),
                since: "2026-01-02T18:02:00Z".parse().unwrap(),
                runs: 2,
            }),
            last_rotation: Some(last()),
            cooldown_until: Some("2026-01-02T18:05:00Z".parse().unwrap()),
            evictions_of_last_day: 6,
            max_evictions_per_day: Some(12),
        };
        let workload = SteeredWorkload {
            status: Some(Box::new(status)),
            ..workload()
        };
        assert_snapshot!(rendered(SteeringCommand::Status, workload), @"
        Deployment shop/consumer
          paused         no
          running        no run holds the Lease
          last run       2026-01-02T18:03:00Z: held for cooldown, in 2 consecutive runs since 2026-01-02T18:02:00Z
          last rotation  2026-01-02T18:00:00Z: 6 pods evicted (a, b, c, d, e, and 1 more); imbalance 2.00, expected 1.50
          next action    from 2026-01-02T18:05:00Z on, the end of the cooldown
          evictions      6 of at most 12 within the last 24 hours
        ");
    }

    fn plan() -> ProposedPlan {
        serde_json::from_value(json!({
            "id": "3f2a9c11", "created": "2026-01-02T18:00:00Z", "expires": "2026-01-02T19:00:00Z",
            "message": "assign 25 partitions to other members",
            "moves": (0..25).map(|partition| json!({
                "topic": "orders", "partition": partition, "from": "a", "to": "b", "load": 0.125,
            })).collect::<Vec<_>>(),
        }))
        .unwrap()
    }

    #[test]
    fn approved_plan_is_shown_with_its_changes() {
        let workload = SteeredWorkload {
            plan: Some(Box::new(plan())),
            approved: Some(true),
            changed: Some(true),
            ..workload()
        };
        let text = rendered(SteeringCommand::Approve, workload);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            "Deployment shop/consumer: plan 3f2a9c11 is approved until 2026-01-02T19:00:00Z: assign 25 \
             partitions to other members"
        );
        assert_eq!(lines[1], "  move orders-0 (load 0.125) from a to b");
        assert_eq!((lines.len(), lines[21]), (22, "  and 5 more, all in JSON"));
    }

    #[test]
    fn history_has_a_line_for_each_action() {
        let workload = SteeredWorkload {
            history: Some(crate::steering::entries(Some(&last()), Vec::new())),
            ..workload()
        };
        assert_snapshot!(rendered(SteeringCommand::History, workload), @"
        Deployment shop/consumer
          2026-01-02T18:00:00Z  rotate-outliers; 6 pods evicted (a, b, c, d, e, and 1 more); imbalance 2.00 → expected 1.50
          2026-01-02T12:00:00Z  assign; 7 partitions moved; imbalance 3.00 → 2.00
          2026-01-01T12:00:00Z  forecast; 1 pod evicted; imbalance 1.90
        ");
    }
}
