//! A backtest as text: the imbalance over time, the runs that would have acted, and the hold
//! reasons.

use rebalancer_core::backtest::{BacktestAction, BacktestImbalance, BacktestReport};
use rebalancer_core::model::Seconds;

use super::sparkline::{bounds, sparkline};
use super::style::Palette;
use super::table::failure;
use super::text::printable;
use super::wrap::{append_or_below, columns, sentence, wrapped};
use crate::backtest::{BacktestDocument, WorkloadBacktest};

/// The width of a sparkline where the width of the terminal is not known.
const WIDTH: usize = 80;

/// The maximum number of actions in the table. More are for `--output json`.
const ACTIONS: usize = 50;

/// Renders the document.
#[must_use]
pub fn report(report: &BacktestDocument, palette: &Palette) -> String {
    let workloads: Vec<String> = report
        .workloads
        .iter()
        .map(|of_workload| workload(of_workload, palette))
        .collect();
    workloads.join("\n")
}

fn workload(workload: &WorkloadBacktest, palette: &Palette) -> String {
    let strong = palette.strong;
    let name = printable(&workload.workload.to_string());
    match &workload.backtest {
        Some(backtest) => {
            sentence(&name, strong, &facts(backtest), palette) + &body(backtest, palette)
        }
        None => {
            let error = workload.error.as_deref().unwrap_or_default();
            failure(&name, &printable(error), palette)
        }
    }
}

/// The runs and their time, in words.
pub(super) fn facts(backtest: &BacktestReport) -> String {
    let without_data = match backtest.runs_without_data {
        0 => String::new(),
        runs => format!(", {runs} of them without data"),
    };
    format!(
        "{} runs{without_data}, one every {}, from {} to {}; strategy {}",
        backtest.runs,
        minutes(backtest.step_seconds),
        backtest.since,
        backtest.until,
        backtest.strategy.as_str()
    )
}

/// A duration in minutes or a larger unit if it is one of whole minutes.
fn minutes(seconds: Seconds) -> String {
    let whole = seconds.get() % 60.0 == 0.0 && seconds.get() < 7200.0;
    if whole {
        format!("{:.0} min", seconds.get() / 60.0)
    } else {
        seconds.rounded()
    }
}

fn body(backtest: &BacktestReport, palette: &Palette) -> String {
    let mut text = imbalance(&backtest.imbalance, palette);
    text.push_str(&actions(&backtest.actions, palette));
    text.push_str(&holds(backtest, palette));
    text.push('\n');
    for assumption in &backtest.assumptions {
        text.push_str(&sentence(
            "assumed",
            palette.dim,
            &printable(assumption),
            palette,
        ));
    }
    let (word, sense, fails) = conclusion(backtest);
    let style = if fails { palette.warn } else { palette.good };
    text.push_str(&sentence(word, style, &sense, palette));
    text
}

/// An imbalance; a dash if it is not known.
pub(super) fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.2}"))
}

fn imbalance(imbalance: &BacktestImbalance, palette: &Palette) -> String {
    let numbers = format!(
        "imbalance (max/mean): min {}, mean {}, max {}, last {}",
        number(imbalance.min),
        number(imbalance.mean),
        number(imbalance.max),
        number(imbalance.last)
    );
    let width = palette.width.unwrap_or(WIDTH).saturating_sub(2).min(WIDTH);
    let both = imbalance.series.iter().chain(&imbalance.with_actions);
    let scale = bounds(both);
    let line = |series: &[Option<f64>]| format!("  {}\n", sparkline(series, width, scale));
    let mut text = wrapped(&numbers, palette.width, 2) + &line(&imbalance.series);
    if imbalance.mean_with_actions.is_some() {
        let mean = number(imbalance.mean_with_actions);
        let words = format!("with the actions, as each expected: mean {mean}");
        text.push_str(&wrapped(&words, palette.width, 2));
        text.push_str(&line(&imbalance.with_actions));
    }
    text
}

fn actions(actions: &[BacktestAction], palette: &Palette) -> String {
    /// The columns before the pods.
    const NUMBERS: usize = 20 + 2 + 6 + 2 + 9 + 2 + 8 + 2;
    if actions.is_empty() {
        return String::new();
    }
    let dim = palette.dim;
    let mut text = format!(
        "\n{dim}{:20}  {:6}  {:>9}  {:>8}  PODS{dim:#}\n",
        "TIME", "ACTION", "IMBALANCE", "EXPECTED"
    );
    for action in actions.iter().take(ACTIONS) {
        let what = match action.moves {
            0 => printable(&action.pods.join(", ")),
            moves => format!("{moves} partitions"),
        };
        let time = action.at.to_string();
        let mut row = format!(
            "{time:20}  {:6}  {:>9}  {:>8}  ",
            action.action,
            number(action.imbalance_before),
            number(action.imbalance_expected),
        );
        append_or_below(&mut row, NUMBERS, &what, palette.width);
        text.push_str(&row);
    }
    if actions.len() > ACTIONS {
        let more = actions.len() - ACTIONS;
        text.push_str(&format!(
            "{dim}… {more} more, all in --output json{dim:#}\n"
        ));
    }
    text
}

fn holds(backtest: &BacktestReport, palette: &Palette) -> String {
    if backtest.holds.is_empty() {
        return String::new();
    }
    let names = backtest.holds.iter().map(|hold| hold.reason.as_str());
    let width = names.map(columns).max().unwrap_or(0).max("HOLD".len());
    let dim = palette.dim;
    let mut text = format!(
        "\n{dim}{:width$}  {:>5}  {:>7}  {:>7}  IMBALANCE{dim:#}\n",
        "HOLD", "RUNS", "TIME", "LONGEST"
    );
    for hold in &backtest.holds {
        let style = if hold.missing_data {
            palette.bad
        } else {
            anstyle::Style::new()
        };
        text.push_str(&format!(
            "{style}{:width$}{style:#}  {:>5}  {:>7}  {:>7}  {:>9}\n",
            hold.reason.as_str(),
            hold.runs,
            hold.seconds.rounded(),
            hold.longest_seconds.rounded(),
            number(hold.mean_imbalance),
        ));
    }
    text
}

/// The result in a word and a sentence, and whether runs would have failed.
pub(super) fn conclusion(backtest: &BacktestReport) -> (&'static str, String, bool) {
    let failing: usize = backtest
        .holds
        .iter()
        .filter(|hold| hold.missing_data)
        .map(|hold| hold.runs)
        .sum();
    let failing = match failing + backtest.runs_without_data {
        0 => String::new(),
        runs => format!("; {runs} runs would have failed because of missing data"),
    };
    let (word, text) = match backtest.actions.len() {
        0 => ("HOLD", "no run would have acted".to_owned()),
        count => {
            let runs = if count == 1 { "run" } else { "runs" };
            let evictions = match backtest.evictions {
                0 => String::new(),
                1 => " and evicted 1 pod".to_owned(),
                pods => format!(" and evicted {pods} pods"),
            };
            ("ACT", format!("{count} {runs} would have acted{evictions}"))
        }
    };
    (word, format!("{text}{failing}"), !failing.is_empty())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use insta::assert_snapshot;
    use jiff::Timestamp;
    use rebalancer_core::backtest::BacktestHold;
    use rebalancer_core::model::WorkloadRef;
    use rebalancer_core::{HoldReason, Strategy};

    pub(in crate::render) fn example(actions: Vec<BacktestAction>) -> BacktestDocument {
        let at = |second: i64| Timestamp::from_second(1_790_000_100 + second).unwrap();
        let series: Vec<Option<f64>> = (0..96)
            .map(|index| (index != 50).then(|| 1.0 + f64::from(index % 24) / 24.0))
            .collect();
        let has_acted = !actions.is_empty();
        let with_actions = series.iter().enumerate();
        let with_actions = with_actions.map(|(index, value)| {
            let left = if index > 66 { 0.3 } else { 1.0 };
            value.map(|value| 1.0 + (value - 1.0) * left)
        });
        let with_actions = with_actions.collect();
        let hold = |reason, missing_data, runs: u32| BacktestHold {
            reason,
            missing_data,
            runs: runs as usize,
            seconds: Seconds::whole(900 * runs),
            longest_seconds: Seconds::whole(900),
            mean_imbalance: (!missing_data).then_some(1.25),
            last: at(0),
            message: String::new(),
        };
        BacktestDocument::new(vec![WorkloadBacktest {
            workload: WorkloadRef {
                namespace: "shop".into(),
                kind: "Deployment".into(),
                name: "orders".into(),
            },
            backtest: Some(BacktestReport {
                strategy: Strategy::RotateOutliers,
                since: at(0),
                until: at(95 * 900),
                step_seconds: Seconds::whole(900),
                runs: 96,
                runs_without_data: 1,
                evictions: actions.iter().map(|action| action.pods.len()).sum(),
                actions,
                holds: vec![
                    hold(HoldReason::WITHIN_TOLERANCE, false, 90),
                    hold(HoldReason::INSUFFICIENT_COVERAGE, true, 3),
                ],
                imbalance: BacktestImbalance {
                    min: Some(1.0),
                    mean: Some(1.48),
                    max: Some(1.96),
                    last: Some(1.96),
                    mean_with_actions: has_acted.then_some(1.2),
                    with_actions: if has_acted { with_actions } else { Vec::new() },
                    series,
                },
                assumptions: vec!["the target of 0.7 applies to the whole past".to_owned()],
            }),
            error: None,
        }])
    }

    pub(in crate::render) fn action(second: i64, pods: &[&str]) -> BacktestAction {
        BacktestAction {
            at: Timestamp::from_second(second).unwrap(),
            action: "rotate".to_owned(),
            pods: pods.iter().map(ToString::to_string).collect(),
            moves: 0,
            message: String::new(),
            imbalance_before: Some(1.9),
            imbalance_expected: Some(1.3),
            imbalance_range: None,
        }
    }

    #[test]
    fn backtest_with_actions() {
        let actions = vec![
            action(1_790_010_000, &["orders-a", "orders-b\u{1b}[2J"]),
            action(1_790_020_000, &["orders-c"]),
        ];
        assert_snapshot!(report(&example(actions), &Palette::plain()));
    }

    #[test]
    fn backtest_without_actions_in_40_columns() {
        assert_snapshot!(report(
            &example(Vec::new()),
            &Palette::plain().with_width(Some(40))
        ));
    }
}
