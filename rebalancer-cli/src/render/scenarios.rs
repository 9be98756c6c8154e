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

/// The facts about the group.
pub(super) fn heading(group: &ScenarioReport) -> Heading<'_> {
    Heading {
        id: group.id.as_deref(),
        members: group.members,
        partitions: group.partitions,
        topics: group.topics,
        assignor: group.assignor,
        client: group.client,
        protocol: group.protocol,
        fit: group.fit.as_ref(),
    }
}

fn scenarios(group: &ScenarioReport, palette: &Palette) -> String {
    let dim = palette.dim;
    let mut text = heading(group).render(palette);
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

/// The index of the scenario with the lowest highest load, if it is lower than that of the group as
/// it is.
pub(super) fn best(results: &[ScenarioResult]) -> Option<usize> {
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
    let description = printable(&described(result));
    let Some(expected) = &result.expected else {
        let mut row = format!("{:>12}  {:NUMBERS$}", "–", "", NUMBERS = NUMBERS - 14);
        append_or_below(&mut row, NUMBERS, &description, palette.width);
        return row;
    };
    let load = match threshold {
        Some(threshold) if expected.peak.mean > threshold => palette.bad,
        Some(_) => palette.good,
        None => Style::new(),
    };
    let [peak, range, peak_to_mean, hot, idle, moved] = numbers(expected);
    let mut row = format!(
        "{load}{peak:>12}{load:#}  {range:>18}  {peak_to_mean:>8}  {hot:>8}  {idle:>9}  {moved:>5}  "
    );
    let mark = if is_best { "▶ " } else { "" };
    let text = format!("{mark}{description}");
    append_or_below(&mut row, NUMBERS, &text, palette.width);
    row
}

/// The scenario in words, with what is wrong with it.
pub(super) fn described(result: &ScenarioResult) -> String {
    let description = &result.description;
    match &result.expected {
        None => {
            let problem = result.problem.as_deref().unwrap_or_default();
            format!("{description}: impossible: {problem}")
        }
        Some(expected) => match expected.unowned_partitions {
            0 => description.clone(),
            count => format!("{description}; {count} partitions without a subscriber"),
        },
    }
}

/// The highest load and its interval, which may be empty, the imbalance, and the numbers of hot
/// pods, of idle pods, and of moved partitions.
pub(super) fn numbers(expected: &ScenarioForecast) -> [String; 6] {
    let (low, high) = expected.peak.interval();
    let range = if high - low < 0.000_5 {
        String::new()
    } else {
        format!("{low:.3} to {high:.3}")
    };
    [
        format!("{:.3}", expected.peak.mean),
        range,
        format!("{:.2}", expected.peak_to_mean.mean),
        expected.hot_pods.map_or_else(|| "–".to_owned(), count),
        count(expected.idle_pods),
        count(expected.moved_partitions),
    ]
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
pub(super) mod tests {
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

    /// The scenarios of that group.
    pub(in crate::render) fn document(axes: &ScenarioAxes) -> ScenariosReport {
        let scenarios = axes.combinations().unwrap();
        let workload = WorkloadScenarios::of(&skewed(), &Policy::default(), &scenarios);
        ScenariosReport::new(vec![workload])
    }

    fn table(axes: &ScenarioAxes, width: Option<usize>) -> String {
        report(&document(axes), &Palette::plain().with_width(width))
    }

    pub(in crate::render) fn axes() -> ScenarioAxes {
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
