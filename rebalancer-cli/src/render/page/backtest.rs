//! The content of a document about a backtest.

use rebalancer_core::backtest::{BacktestAction, BacktestReport};

use super::{Align, Block, Fall, Section, Table, Tone, Trend};
use crate::backtest::WorkloadBacktest;
use crate::render::backtest::{conclusion, facts, number};

/// The number of actions in a document. The JSON report has all of them.
const MOST_ACTIONS: usize = 200;

/// The section about a workload.
pub(super) fn section(workload: &WorkloadBacktest) -> Section {
    let title = workload.workload.to_string();
    let Some(backtest) = &workload.backtest else {
        return Section::failed(title, workload.error.as_deref().unwrap_or_default());
    };
    let (verdict, message, fails) = conclusion(backtest);
    let tone = match (fails, backtest.actions.is_empty()) {
        (true, _) => Tone::Bad,
        (false, true) => Tone::Good,
        (false, false) => Tone::Notable,
    };
    Section {
        title,
        verdict: verdict.to_owned(),
        tone,
        message,
        blocks: blocks(backtest),
    }
}

fn blocks(backtest: &BacktestReport) -> Vec<Block> {
    let imbalance = &backtest.imbalance;
    let mut numbers = vec![
        ("runs", backtest.runs.to_string()),
        ("actions", backtest.actions.len().to_string()),
        ("evictions", backtest.evictions.to_string()),
        ("lowest", number(imbalance.min)),
        ("mean", number(imbalance.mean)),
        ("highest", number(imbalance.max)),
    ];
    if imbalance.mean_with_actions.is_some() {
        let mean = number(imbalance.mean_with_actions);
        numbers.push(("mean with the actions", mean));
    }
    let mut blocks = vec![
        Block::Paragraph(facts(backtest)),
        Block::Heading("Imbalance (max/mean)"),
        Block::Facts(numbers),
        Block::Trend(trend(backtest)),
    ];
    let actions = &backtest.actions;
    if !actions.is_empty() {
        blocks.push(Block::Heading("Actions"));
        blocks.push(Block::Table(Table {
            columns: vec![
                ("time", Align::Left),
                ("action", Align::Left),
                ("imbalance", Align::Right),
                ("expected", Align::Right),
                ("in 9 of 10 cases", Align::Right),
                ("pods or partitions", Align::Left),
            ],
            rows: actions.iter().take(MOST_ACTIONS).map(row).collect(),
        }));
        let more = actions.len().saturating_sub(MOST_ACTIONS);
        if more > 0 {
            blocks.push(Block::Paragraph(format!("and {more} more actions")));
        }
    }
    if !backtest.holds.is_empty() {
        blocks.push(Block::Heading("Holds"));
        blocks.push(Block::Table(holds(backtest)));
    }
    blocks.push(Block::Heading("Assumptions"));
    blocks.push(Block::remarks(&backtest.assumptions));
    blocks
}

fn trend(backtest: &BacktestReport) -> Trend {
    let imbalance = &backtest.imbalance;
    let mut series = vec![("measured", imbalance.series.clone())];
    if !imbalance.with_actions.is_empty() {
        series.push(("expected with the actions", imbalance.with_actions.clone()));
    }
    let actions = backtest.actions.iter().take(MOST_ACTIONS);
    Trend {
        label: "Imbalance of the loads over time",
        series,
        from: backtest.since.to_string(),
        until: backtest.until.to_string(),
        falls: actions
            .filter_map(|action| fall(action, backtest))
            .collect(),
    }
}

fn fall(action: &BacktestAction, backtest: &BacktestReport) -> Option<Fall> {
    let since = action.at.duration_since(backtest.since).as_secs_f64();
    let index = since / backtest.step_seconds.get();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index, 0 if it is not finite"
    )]
    let index = index.round() as usize;
    let (before, after) = (action.imbalance_before?, action.imbalance_expected?);
    Some(Fall {
        index,
        before,
        after,
        title: format!(
            "{}: {} {}, {before:.2}, expected {after:.2}",
            action.at,
            action.action,
            affected(action)
        ),
    })
}

fn affected(action: &BacktestAction) -> String {
    match action.moves {
        0 => action.pods.join(", "),
        moves => format!("{moves} partitions"),
    }
}

fn row(action: &BacktestAction) -> Vec<String> {
    let range = action.imbalance_range;
    vec![
        action.at.to_string(),
        action.action.clone(),
        number(action.imbalance_before),
        number(action.imbalance_expected),
        range.map_or_else(String::new, |(low, high)| format!("{low:.2} to {high:.2}")),
        affected(action),
    ]
}

fn holds(backtest: &BacktestReport) -> Table {
    let rows = backtest.holds.iter().map(|hold| {
        vec![
            hold.reason.as_str().to_owned(),
            hold.runs.to_string(),
            hold.seconds.rounded(),
            hold.longest_seconds.rounded(),
            number(hold.mean_imbalance),
            hold.message.clone(),
        ]
    });
    Table {
        columns: vec![
            ("reason", Align::Left),
            ("runs", Align::Right),
            ("time", Align::Right),
            ("longest", Align::Right),
            ("mean imbalance", Align::Right),
            ("the last of them", Align::Left),
        ],
        rows: rows.collect(),
    }
}
