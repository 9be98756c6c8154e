//! The content of a document about scenarios of consumer groups.

use rebalancer_core::scenario::{ScenarioReport, ScenarioResult};

use super::{Align, Bar, Bars, Block, Section, Table, Tone, number};
use crate::render::scenarios::{best, described, heading, numbers};
use crate::scenarios::WorkloadScenarios;

/// The section about a workload.
pub(super) fn section(workload: &WorkloadScenarios) -> Section {
    let title = workload.workload.to_string();
    let Some(group) = &workload.group else {
        return Section::failed(title, workload.error.as_deref().unwrap_or_default());
    };
    let peak = |index: usize| {
        let expected = group.scenarios.get(index)?.expected?;
        Some(expected.peak.mean)
    };
    let best = best(&group.scenarios);
    let (tone, message) = match best.and_then(|index| group.scenarios.get(index)) {
        Some(result) => (
            Tone::Notable,
            format!(
                "{}: the highest load is {} (now {})",
                result.description,
                number(best.and_then(peak)),
                number(peak(0))
            ),
        ),
        None => (
            Tone::Good,
            "no scenario has a lower highest load than the group as it is".to_owned(),
        ),
    };
    let mut facts = vec![
        ("ready pods", group.pods.to_string()),
        ("target", number(group.target)),
        ("threshold", number(group.threshold)),
    ];
    facts.extend(heading(group).facts());
    let mut blocks = vec![
        Block::Facts(facts),
        Block::Heading("Highest load"),
        Block::Bars(bars(group, best)),
    ];
    if !group.assumptions.is_empty() {
        blocks.push(Block::Heading("Assumptions"));
        blocks.push(Block::remarks(&group.assumptions));
    }
    Section {
        title,
        verdict: "WHAT IF".to_owned(),
        tone,
        message,
        blocks,
    }
}

fn bars(group: &ScenarioReport, best: Option<usize>) -> Bars {
    let scenarios = group.scenarios.iter().enumerate();
    let bar = |(index, result): (usize, &ScenarioResult)| {
        let peak = result.expected.map(|expected| expected.peak);
        let interval = peak.map(|peak| peak.interval());
        let value = peak.map(|peak| peak.mean);
        Bar {
            value,
            marks: interval
                .filter(|(low, high)| high - low >= 0.000_5)
                .map_or_else(Vec::new, |(low, high)| vec![low, high]),
            title: format!("{}: {}", described(result), number(value)),
            stands_out: best == Some(index),
        }
    };
    let row = |result: &ScenarioResult| {
        let mut cells = vec![described(result)];
        match &result.expected {
            Some(expected) => cells.extend(numbers(expected)),
            None => cells.extend([const { String::new() }; 6]),
        }
        cells
    };
    Bars {
        label: "Highest load of a pod in each scenario",
        is_named: true,
        bars: scenarios.map(bar).collect(),
        target: group.target,
        threshold: group.threshold,
        table: Table {
            columns: vec![
                ("scenario", Align::Left),
                ("highest load", Align::Right),
                ("in 9 of 10 cases", Align::Right),
                ("max/mean", Align::Right),
                ("hot pods", Align::Right),
                ("idle pods", Align::Right),
                ("moved", Align::Right),
            ],
            rows: group.scenarios.iter().map(row).collect(),
        },
        bars_before: 2,
        omitted: (0, "scenarios"),
    }
}
