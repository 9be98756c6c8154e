//! The content of a document about a report.

use std::collections::HashMap;

use rebalancer_core::checks::{Check, Verdict};
use rebalancer_core::execution::{ExecutionOutcome, ExecutionReport, PodOutcome};
use rebalancer_core::group_details::{GroupDetails, PartitionDetails};
use rebalancer_core::handover::HandoverResult;
use rebalancer_core::plan::{AssignmentPlan, Role};
use rebalancer_core::report::{Decided, Report, WorkloadReport};
use rebalancer_core::strategy::forecast::{GroupReport, PlanForecast, PodExplained};
use rebalancer_core::{Analysis, Decision};

use super::{Align, Bar, Bars, Block, Section, Table, Tone, number};
use crate::hints;
use crate::render::{approval, assignment, group, rejoin, style::Palette, table};

/// The number of pods in a document: the most loaded ones, and those with a role. The JSON report
/// has all of them.
const MOST_PODS: usize = 200;
/// The number of partitions in a table of a document, heaviest first.
const MOST_PARTITIONS: usize = 200;

/// The line about the program and the run.
pub(super) fn subtitle(report: &Report) -> String {
    let command = serde_word(&report.command);
    let mut subtitle = format!("rebalancer {}, {command}", report.version);
    if report.dry_run {
        subtitle.push_str(", dry run");
    }
    if let Some(finished) = report.finished {
        subtitle.push_str(&format!(", {finished:.0}"));
    }
    subtitle
}

/// The word of a value in the JSON report.
fn serde_word(value: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

/// The section about a workload.
pub(super) fn section(report: &WorkloadReport) -> Section {
    match report {
        WorkloadReport::Failed(failed) => {
            Section::failed(failed.workload.to_string(), &failed.error)
        }
        WorkloadReport::Decided(decided) => {
            let decision = &decided.decision;
            let (verdict, tone) = match decision.hold_reason() {
                None => (table::action(decision), Tone::Notable),
                Some(reason) => {
                    let tone = if reason.fails() {
                        Tone::Bad
                    } else if decision.approval.is_some() {
                        Tone::Notable
                    } else {
                        Tone::Good
                    };
                    (format!("HOLD ({})", reason.as_str()), tone)
                }
            };
            Section {
                title: decision.workload.to_string(),
                verdict,
                tone,
                message: format!("{}{}", decision.message, hints::of_decision(decision)),
                blocks: blocks(decided),
            }
        }
    }
}

fn blocks(decided: &Decided) -> Vec<Block> {
    let decision = &decided.decision;
    let mut blocks = Vec::new();
    let reasons = [
        decision.fallback.clone(),
        decided.held.map(|held| held.to_string()),
    ];
    blocks.extend(reasons.into_iter().flatten().map(Block::Paragraph));
    if let Some(plan) = approval::waiting(decision) {
        let command = plan.approval_command(&decision.workload);
        blocks.push(Block::Heading("Plan that waits for approval"));
        blocks.push(Block::Paragraph(format!("To approve it: {command}")));
        let changes = approval::changes(plan).into_iter();
        blocks.push(Block::List(
            changes.map(|line| (Tone::Plain, line)).collect(),
        ));
    }
    blocks.extend(results(decided));
    blocks.push(Block::Facts(facts(&decision.analysis)));
    if !decision.pods.is_empty() {
        blocks.push(Block::Heading("Loads"));
        blocks.push(Block::Bars(loads(decision)));
    }
    if let Some(plan) = decision.assignment() {
        blocks.push(Block::Heading("Partitions that move"));
        blocks.push(Block::Table(moves(plan)));
        blocks.extend(and_more(plan.moves().len(), MOST_PARTITIONS));
    }
    if let Some(group) = &decision.group {
        blocks.extend(of_group(group));
    }
    if !decision.checks.is_empty() {
        blocks.push(Block::Heading("Checks"));
        blocks.push(Block::List(checks(&decision.checks)));
    }
    if let Some(group) = &decided.consumer_group {
        blocks.push(Block::Heading("Partitions"));
        blocks.push(Block::Table(partitions(group)));
        blocks.extend(and_more(group.partitions.len(), MOST_PARTITIONS));
    }
    blocks
}

/// The execution, the hand-over, and their effect.
fn results(decided: &Decided) -> Vec<Block> {
    let mut blocks = Vec::new();
    if let Some(execution) = &decided.execution {
        blocks.push(Block::Heading("Execution"));
        blocks.push(Block::List(execution_lines(execution)));
    }
    if let Some(hand_over) = &decided.hand_over {
        let tone = match hand_over.outcome {
            HandoverResult::Assigned | HandoverResult::Rejoined => Tone::Good,
            HandoverResult::NotKept | HandoverResult::Abandoned => Tone::Bad,
        };
        let text = format!("{}{}", hand_over.message, hints::of_hand_over(hand_over));
        blocks.push(Block::Heading("Execution"));
        blocks.push(Block::List(vec![(tone, text)]));
    }
    if let Some(follow_up) = &decided.follow_up {
        let outcome = follow_up.outcome;
        let tone = match outcome.and_then(|outcome| outcome.is_as_forecast()) {
            Some(true) => Tone::Good,
            Some(false) => Tone::Notable,
            None => Tone::Plain,
        };
        let after = follow_up.after_seconds.rounded();
        blocks.push(Block::List(vec![(
            tone,
            format!("after {after}: {}", follow_up.message),
        )]));
        if let Some(outcome) = outcome {
            let number = |value: f64| format!("{value:.2}");
            let forecast = outcome.forecast.map_or_else(
                || "–".to_owned(),
                |(low, high)| format!("{low:.2} to {high:.2}"),
            );
            blocks.push(Block::Table(Table {
                columns: vec![
                    ("imbalance (max/mean) before", Align::Right),
                    ("expected", Align::Right),
                    ("in 9 of 10 cases", Align::Right),
                    ("measured", Align::Right),
                ],
                rows: vec![vec![
                    number(outcome.before),
                    number(outcome.hoped),
                    forecast,
                    number(outcome.now),
                ]],
            }));
        }
    }
    blocks
}

fn execution_lines(execution: &ExecutionReport) -> Vec<(Tone, String)> {
    let total = match execution.outcome {
        ExecutionOutcome::Completed => Tone::Good,
        ExecutionOutcome::Incomplete => Tone::Bad,
    };
    let message = format!("{}{}", execution.message, hints::of_execution(execution));
    let mut lines = vec![(total, message)];
    lines.extend(
        execution
            .note
            .iter()
            .map(|note| (Tone::Notable, note.clone())),
    );
    lines.extend(execution.pods.iter().map(|pod| {
        let tone = if pod.outcome == PodOutcome::WouldWait {
            Tone::Notable
        } else if pod.outcome.is_success() {
            Tone::Good
        } else {
            Tone::Bad
        };
        (tone, table::pod_outcome(execution, pod))
    }));
    lines
}

fn facts(analysis: &Analysis) -> Vec<(&'static str, String)> {
    vec![
        ("pods", analysis.pods.to_string()),
        ("ready", analysis.ready.to_string()),
        ("eligible", analysis.eligible.to_string()),
        ("mean", number(analysis.mean)),
        ("max", number(analysis.max)),
        ("imbalance", number(analysis.imbalance)),
        ("target", number(analysis.target)),
        ("threshold", number(analysis.threshold)),
    ]
}

/// The loads of the pods, and what is expected of them.
fn loads(decision: &Decision) -> Bars {
    let changes = decision.assignment().map(changes).unwrap_or_default();
    let has_after = !changes.is_empty();
    let mut columns = vec![("pod", Align::Left), ("load", Align::Right)];
    if has_after {
        columns.push(("afterwards", Align::Right));
    }
    let bars_before = columns.len();
    columns.extend([("role", Align::Left), ("not eligible", Align::Left)]);
    let (mut bars, mut rows) = (Vec::new(), Vec::new());
    let pods = decision.pods.iter().enumerate();
    for (_, pod) in pods.filter(|(index, pod)| *index < MOST_PODS || pod.role.is_some()) {
        let load = pod.load.map(f64::from);
        let change = changes.get(pod.name.as_str());
        let after = load
            .zip(change)
            .map(|(load, change)| (load + change).max(0.0));
        let reasons: Vec<String> = pod.reasons.iter().map(ToString::to_string).collect();
        let mut cells = vec![pod.name.clone(), number(load)];
        if has_after {
            cells.push(number(after));
        }
        cells.push(pod.role.map_or("", Role::as_str).to_owned());
        cells.push(reasons.join("; "));
        rows.push(cells);
        bars.push(Bar {
            value: load,
            marks: after.into_iter().collect(),
            title: match (load, after) {
                (Some(load), Some(after)) => {
                    format!("{}: {load:.3}, afterwards {after:.3}", pod.name)
                }
                (Some(load), None) => format!("{}: {load:.3}", pod.name),
                (None, _) => format!("{}: not measured", pod.name),
            },
            stands_out: pod.role == Some(Role::Coldest),
        });
    }
    Bars {
        label: "Loads of the pods",
        is_named: false,
        omitted: (decision.pods.len() - rows.len(), "pods"),
        bars,
        target: decision.analysis.target,
        threshold: decision.analysis.threshold,
        table: Table { columns, rows },
        bars_before,
    }
}

/// The change of load of each pod that gives or gets partitions.
fn changes(plan: &AssignmentPlan) -> HashMap<&str, f64> {
    let mut changes: HashMap<&str, f64> = HashMap::new();
    for moved in plan.moves() {
        *changes.entry(&moved.from).or_default() -= moved.load;
        *changes.entry(&moved.to).or_default() += moved.load;
    }
    changes
}

fn moves(plan: &AssignmentPlan) -> Table {
    let moves = assignment::heaviest(plan);
    let row = |moved: &rebalancer_core::plan::PlannedMove| {
        vec![
            moved.partition_name(),
            format!("{:.3}", moved.load),
            moved.from.clone(),
            moved.to.clone(),
        ]
    };
    Table {
        columns: vec![
            ("partition", Align::Left),
            ("load", Align::Right),
            ("from", Align::Left),
            ("to", Align::Left),
        ],
        rows: moves.into_iter().take(MOST_PARTITIONS).map(row).collect(),
    }
}

/// The line below a table of partitions that has only `shown` of them.
fn and_more(all: usize, shown: usize) -> Option<Block> {
    let more = all.saturating_sub(shown);
    (more > 0).then(|| Block::Paragraph(format!("and {more} more partitions")))
}

/// The pods of a group, by the measured load, highest first: their partitions, and the load that
/// these explain.
fn members(group: &GroupReport) -> Table {
    let mut pods: Vec<&PodExplained> = group.pods.iter().collect();
    let measured = |pod: &PodExplained| pod.explained + pod.residual;
    pods.sort_by(|a, b| measured(b).total_cmp(&measured(a)));
    let row = |pod: &PodExplained| {
        let notes = [(pod.slow, "slow"), (pod.behind, "catching up")];
        let notes = notes.into_iter().filter(|(applies, _)| *applies);
        vec![
            pod.name.clone(),
            pod.partitions.to_string(),
            number(Some(pod.explained)),
            number(Some(pod.residual)),
            notes.map(|(_, note)| note).collect::<Vec<_>>().join(", "),
        ]
    };
    Table {
        columns: vec![
            ("pod", Align::Left),
            ("partitions", Align::Right),
            ("load explained", Align::Right),
            ("beyond that", Align::Right),
            ("note", Align::Left),
        ],
        rows: pods.into_iter().take(MOST_PODS).map(row).collect(),
    }
}

/// The partitions of a group, by rate, highest first.
fn partitions(group: &GroupDetails) -> Table {
    let mut all: Vec<&PartitionDetails> = group.partitions.iter().collect();
    let rate = |partition: &PartitionDetails| partition.rate.unwrap_or(0.0);
    // Stable: without rates, by topic and number.
    all.sort_by(|a, b| rate(b).total_cmp(&rate(a)));
    let row = |partition: &PartitionDetails| {
        let text = |value: Option<String>| value.unwrap_or_else(|| "–".into());
        vec![
            format!("{}-{}", partition.topic, partition.partition),
            text(partition.owner.clone()),
            number(partition.rate),
            text(partition.lag.map(|lag| lag.to_string())),
            if partition.behind { "catching up" } else { "" }.to_owned(),
        ]
    };
    Table {
        columns: vec![
            ("partition", Align::Left),
            ("owner", Align::Left),
            ("rate", Align::Right),
            ("lag", Align::Right),
            ("note", Align::Left),
        ],
        rows: all.into_iter().take(MOST_PARTITIONS).map(row).collect(),
    }
}

fn of_group(group: &GroupReport) -> Vec<Block> {
    let mut facts = group::heading(group).facts();
    facts.push(("highest load / mean", format!("{:.2}", group.peak_to_mean)));
    let mut blocks = vec![Block::Heading("Consumer group"), Block::Facts(facts)];
    let plain = Palette::plain();
    let findings = group.diagnosis.iter();
    let mut lines: Vec<(Tone, String)> = findings
        .map(|finding| (Tone::Notable, finding.message.clone()))
        .collect();
    let notes = group.notes.iter().map(|note| (Tone::Plain, note.clone()));
    lines.extend(notes);
    if !lines.is_empty() {
        blocks.push(Block::List(lines));
    }
    let effect = |text: String| -> Vec<Block> {
        let lines = text.lines().map(str::trim);
        lines
            .map(|line| Block::Paragraph(line.to_owned()))
            .collect()
    };
    if !group.pods.is_empty() {
        blocks.push(Block::Table(members(group)));
    }
    match (&group.assignment, &group.rejoin) {
        (Some(best), _) => blocks.extend(effect(assignment::effect(group, best, &plain))),
        (None, Some(best)) => blocks.extend(effect(rejoin::effect(group, best, &plain))),
        (None, None) if group.plans.is_empty() => {}
        (None, None) => {
            blocks.push(Block::Heading("Forecasts of evictions"));
            blocks.push(Block::Table(plans(group)));
        }
    }
    blocks
}

fn plans(group: &GroupReport) -> Table {
    let row = |plan: &PlanForecast| {
        let forecast = &plan.forecast;
        let (low, high) = forecast.peak_to_mean.interval();
        let mark = if Some(plan) == group.chosen.as_ref() {
            "▶ "
        } else {
            ""
        };
        vec![
            format!("{mark}{}", plan.victims.join(", ")),
            format!("{:.2}", forecast.peak_to_mean.mean),
            format!("{low:.2} to {high:.2}"),
            format!("{:.0} %", forecast.expected_fall_percent),
            format!("{:.0} %", forecast.confidence_percent),
            format!("{:.0}", forecast.moved_partitions.mean),
        ]
    };
    Table {
        columns: vec![
            ("evict", Align::Left),
            ("highest load / mean", Align::Right),
            ("in 9 of 10 cases", Align::Right),
            ("fall", Align::Right),
            ("confidence", Align::Right),
            ("partitions moved", Align::Right),
        ],
        rows: group.plans.iter().map(row).collect(),
    }
}

fn checks(checks: &[Check]) -> Vec<(Tone, String)> {
    let line = |check: &Check| match check.verdict {
        Verdict::Pass => (Tone::Good, check.message.clone()),
        Verdict::Fail => (
            Tone::Bad,
            format!("{}{}", check.message, hints::of_check(check)),
        ),
        Verdict::Skipped => (Tone::Plain, check.message.clone()),
    };
    // Failures first; the sort is stable.
    let mut sorted: Vec<&Check> = checks.iter().collect();
    sorted.sort_by_key(|check| match check.verdict {
        Verdict::Fail => 0,
        Verdict::Pass => 1,
        Verdict::Skipped => 2,
    });
    sorted.into_iter().map(line).collect()
}
