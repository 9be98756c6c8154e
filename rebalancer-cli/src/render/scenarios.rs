//! Scenarios of a consumer group as a table: the highest load in each, and what changes with it.

use anstyle::Style;
use rebalancer_core::forecast::Spread;
use rebalancer_core::scenario::{ScenarioForecast, ScenarioReport, ScenarioResult};

use super::group::Heading;
use super::style::Palette;
use super::table::failure;
use super::text::printable;
use super::wrap::{append_or_below, sentence};
use crate::scenarios::{ScenariosReport, WorkloadScenarios};

/// The columns before the scenario.
const NUMBERS: usize = 12 + 2 + 18 + 2 + 8 + 2 + 8 + 2 + 9 + 2 + 5 + 2;

/// Renders the document.
#[must_use]
pub fn report(report: &ScenariosReport, palette: &Palette) -> String {
    let workloads: Vec<String> = report
        .workloads
        .iter()
        .map(|of_workload| workload(of_workload, palette))
        .collect();
    workloads.join("\n")
}

fn workload(workload: &WorkloadScenarios, palette: &Palette) -> String {
    let strong = palette.strong;
    let name = printable(&workload.workload.to_string());
    match &workload.group {
        Some(group) => {
            let number =
                |value: Option<f64>| value.map_or("?".into(), |value| format!("{value:.3}"));
            let facts = format!(
                "{} ready pods, target {}, threshold {}",
                group.pods,
                number(group.target),
                number(group.threshold)
            );
            sentence(&name, strong, &facts, palette) + &scenarios(group, palette)
        }
        None => {
            let error = workload.error.as_deref().unwrap_or_default();
            failure(&name, &printable(error), palette)
        }
    }
}

fn scenarios(group: &ScenarioReport, palette: &Palette) -> String {
    let heading = Heading {
        id: group.id.as_deref(),
        members: group.members,
        partitions: group.partitions,
        topics: group.topics,
        assignor: group.assignor,
        client: group.client,
        protocol: group.protocol,
        fit: group.fit.as_ref(),
    };
    let dim = palette.dim;
    let mut text = heading.render(palette);
    text.push_str(&format!(
        "\n{dim}{:>12}  {:>18}  {:>8}  {:>8}  {:>9}  {:>5}  SCENARIO{dim:#}\n",
        "HIGHEST LOAD", "IN 9 OF 10 CASES", "MAX/MEAN", "HOT PODS", "IDLE PODS", "MOVED",
    ));
    let best = best(&group.scenarios);
    for (index, result) in group.scenarios.iter().enumerate() {
        text.push_str(&row(result, best == Some(index), group.threshold, palette));
    }
    text.push('\n');
    for assumption in &group.assumptions {
        text.push_str(&sentence("assumed", dim, &printable(assumption), palette));
    }
    text
}

/// The index of the scenario with the lowest highest load, if it is lower than that of the group as it
/// is.
fn best(results: &[ScenarioResult]) -> Option<usize> {
    let peaks = results
        .iter()
        .enumerate()
        .filter_map(|(index, result)| Some((index, result.expected?.peak.mean)));
    peaks
        .min_by(|(_, a), (_, b)| a.total_cmp(b))
        .map(|(index, _)| index)
        .filter(|index| *index > 0)
}

fn row(
    result: &ScenarioResult,
    is_best: bool,
    threshold: Option<f64>,
    palette: &Palette,
) -> String {
    let description = printable(&result.description);
    let Some(expected) = &result.expected else {
        let problem = result.problem.as_deref().unwrap_or_default();
        let text = format!("{description}: impossible: {}", printable(problem));
        let mut row = format!("{:>12}  {:NUMBERS$}", "–", "", NUMBERS = NUMBERS - 14);
        append_or_below(&mut row, NUMBERS, &text, palette.width);
        return row;
    };
    let ScenarioForecast {
        peak,
        peak_to_mean,
        hot_pods,
        idle_pods,
        moved_partitions,
        unowned_partitions,
        ..
    } = *expected;
    let load = match threshold {
        Some(threshold) if peak.mean > threshold => palette.bad,
        Some(_) => palette.good,
        None => Style::new(),
    };
    let (low, high) = peak.interval();
    let range = if high - low < 0.000_5 {
        String::new()
    } else {
        format!("{low:.3} to {high:.3}")
    };
    let hot = hot_pods.map_or_else(|| "–".to_owned(), count);
    let mut row = format!(
        "{load}{:>12.3}{load:#}  {range:>18}  {:>8.2}  {hot:>8}  {:>9}  {:>5}  ",
        peak.mean,
        peak_to_mean.mean,
        count(idle_pods),
        count(moved_partitions),
    );
    let unowned = match unowned_partitions {
        0 => String::new(),
        count => format!("; {count} partitions without a subscriber"),
    };
    let mark = if is_best { "▶ " } else { "" };
    let text = format!("{mark}{description}{unowned}");
    append_or_below(&mut row, NUMBERS, &text, palette.width);
    row
}

/// A mean number, with a decimal unless every sample has the same number.
fn count(spread: Spread) -> String {
    if spread.p95 - spread.p5 < 1e-9 && (spread.mean - spread.median).abs() < 1e-9 {
        format!("{:.0}", spread.mean)
    } else {
        format!("{:.1}", spread.mean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;
    use rebalancer_core::scenario::ScenarioAxes;
    use rebalancer_core::{Policy, Snapshot};
    use std::collections::BTreeMap;

    /// A group whose first pod has heavy partitions.
    fn skewed() -> Snapshot {
        let rates = [40, 45, 50, 10, 10, 15, 10, 15, 10, 20, 10, 10];
        let names = ["shop-a", "shop-b", "shop-c", "shop-d"];
        let pods: Vec<_> = names
            .iter()
            .zip(rates.chunks(3))
            .map(|(name, rates)| serde_json::json!({"name": name, "load": f64::from(rates.iter().sum::<i32>()) / 100.0}))
            .collect();
        let owners: Vec<&str> = (0..12).map(|partition| names[partition / 3]).collect();
        serde_json::from_value(serde_json::json!({
            "target": 0.5,
            "workload": {"namespace": "shop", "kind": "Deployment", "name": "shop"},
            "pods": pods,
            "group": {"id": "orders", "assignor": "range", "topics": {"t": {"owners": owners, "rates": rates}}},
        }))
        .unwrap()
    }

    fn table(axes: &ScenarioAxes, width: Option<usize>) -> String {
        let scenarios = axes.combinations().unwrap();
        let workload = WorkloadScenarios::of(&skewed(), &Policy::default(), &scenarios);
        report(
            &ScenariosReport::new(vec![workload]),
            &Palette::plain().with_width(width),
        )
    }

    fn axes() -> ScenarioAxes {
        ScenarioAxes {
            replicas: vec![2, 6, 14],
            partitions: BTreeMap::from([("t".to_owned(), vec![24])]),
            ..ScenarioAxes::default()
        }
    }

    #[test]
    fn scenarios_are_rows() {
        assert_snapshot!(table(&axes(), None));
    }

    #[test]
    fn long_rows_continue_below() {
        let axes = ScenarioAxes {
            assignors: rebalancer_core::group::Assignor::ALL.to_vec(),
            protocols: vec![rebalancer_core::group::Protocol::Classic],
            without: vec!["shop-a".to_owned()],
            ..ScenarioAxes::default()
        };
        assert_snapshot!(table(&axes, Some(90)));
    }

    #[test]
    fn error_is_shown_instead() {
        let scenarios = ScenarioAxes {
            without: vec!["other\u{1b}[2J".to_owned()],
            ..ScenarioAxes::default()
        };
        let text = table(&scenarios, None);
        assert!(
            text.contains("error: `other?[2J` is not a ready pod of the workload"),
            "{text}"
        );
    }
}
