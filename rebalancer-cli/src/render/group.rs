//! The consumer group as a table: the partitions of each pod, the part of its load that they
//! explain, why pods are hot, and the forecast of each plan.

use std::collections::HashMap;
use std::fmt::Write as _;

use rebalancer_core::Decision;
use rebalancer_core::forecast::Forecast;
use rebalancer_core::model::Load;
use rebalancer_core::strategy::forecast::{GroupReport, PlanForecast, PodExplained};

use super::style::Palette;
use super::text::printable;

/// The number of pods in the table. Larger groups are for `--output json`.
const MOST_LOADED: usize = 20;

/// Renders the whole group: its model, its pods, the diagnosis and the plans.
#[must_use]
pub fn whole(decision: &Decision, palette: &Palette) -> String {
    let Some(group) = &decision.group else {
        return String::new();
    };
    let mut text = heading(group, palette);
    text.push_str(&pods(decision, group, palette));
    text.push_str(&summary(group, palette));
    text
}

/// Renders the part that accompanies a decision: the diagnosis and the plans.
#[must_use]
pub fn summary(group: &GroupReport, palette: &Palette) -> String {
    let mut text = diagnosis(group, palette);
    text.push_str(&plans(group, palette));
    text
}

fn heading(group: &GroupReport, palette: &Palette) -> String {
    let strong = palette.strong;
    let id = group
        .id
        .as_deref()
        .map_or_else(String::new, |id| format!(" {}", printable(id)));
    let mut text = format!(
        "{strong}group{id}{strong:#}: {} members, {} partitions of {} topic{}; assignor {}; client {}, \
         protocol {}\n",
        group.members,
        group.partitions,
        group.topics,
        if group.topics == 1 { "" } else { "s" },
        group.assignor,
        group.client.as_str(),
        group.protocol.as_str(),
    );
    let _ = match &group.fit {
        Some(fit) => writeln!(
            text,
            "load = {:.3} + {:.3e} × rate; {:.0} % of the variance is explained",
            fit.base,
            fit.cost,
            fit.goodness * 100.0
        ),
        None => writeln!(
            text,
            "no rates (setting: GROUP_RATE_QUERY): each pod's load is split equally over its \
             partitions, so forecasts are poor"
        ),
    };
    text
}

fn pods(decision: &Decision, group: &GroupReport, palette: &Palette) -> String {
    let by_name: HashMap<&str, &PodExplained> = group
        .pods
        .iter()
        .map(|pod| (pod.name.as_str(), pod))
        .collect();
    // The pods of a decision are sorted by load, highest first.
    let mut known = decision
        .pods
        .iter()
        .filter_map(|pod| Some((pod, *by_name.get(pod.name.as_str())?)));
    let shown: Vec<_> = known.by_ref().take(MOST_LOADED).collect();
    let more = known.count();
    let names: Vec<String> = shown.iter().map(|(pod, _)| printable(&pod.name)).collect();
    let width = names.iter().map(|name| name.chars().count()).max();
    let width = width.unwrap_or(0).max("POD".len());
    let dim = palette.dim;
    let mut text = format!(
        "\n{dim}{:width$}  {:>8}  {:>10}  {:>9}  {:>8}{dim:#}\n",
        "POD", "LOAD", "PARTITIONS", "EXPLAINED", "RESIDUAL"
    );
    for ((pod, explained), name) in shown.iter().zip(&names) {
        let load = pod.load.map(Load::get);
        let hot = load > decision.analysis.threshold && load.is_some();
        let style = if hot { palette.bad } else { palette.good };
        let number = load.map_or("–".into(), |load| format!("{load:.3}"));
        let slow = if explained.slow {
            "  slow for reasons other than its partitions"
        } else {
            ""
        };
        let _ = writeln!(
            text,
            "{name:width$}  {style}{number:>8}{style:#}  {:>10}  {:>9.3}  {:>+8.3}{slow}",
            explained.partitions, explained.explained, explained.residual
        );
    }
    if more > 0 {
        let _ = writeln!(text, "{dim}… {more} more pods, all in --output json{dim:#}");
    }
    text.push('\n');
    text
}

fn diagnosis(group: &GroupReport, palette: &Palette) -> String {
    let warn = palette.warn;
    let mut text = String::new();
    for finding in &group.diagnosis {
        let _ = writeln!(text, "{warn}why{warn:#}: {}", finding.message);
    }
    text
}

fn plans(group: &GroupReport, palette: &Palette) -> String {
    let (strong, dim) = (palette.strong, palette.dim);
    let mut text = format!(
        "{dim}{:>9}  {:>18}  {:>6}  {:>10}  {:>8}  {:>5}  PLAN{dim:#}\n\
         {:>8.2}×  {:>18}  {:>6}  {:>10}  {:>8}  {:>5}  evict nothing: stays like this while members \
         and traffic do not change\n",
        "PEAK/MEAN",
        "IN 9 OF 10 CASES",
        "FALL",
        "CONFIDENCE",
        "HOT PODS",
        "MOVED",
        group.peak_to_mean,
        "",
        "",
        "",
        group.hot_pods,
        "",
    );
    let chosen = |plan: &PlanForecast| Some(plan) == group.chosen.as_ref();
    for plan in &group.plans {
        let Forecast {
            peak_to_mean,
            hot_pods,
            moved_partitions,
            expected_fall_percent,
            confidence_percent,
            ..
        } = plan.forecast;
        let mean = peak_to_mean.mean;
        let (low, high) = peak_to_mean.interval();
        let range = format!("{low:.2} to {high:.2}");
        let names: Vec<String> = plan.victims.iter().map(|name| printable(name)).collect();
        let (mark, style) = if chosen(plan) {
            ("▶ ", strong)
        } else {
            ("", anstyle::Style::new())
        };
        let _ = writeln!(
            text,
            "{style}{mean:>8.2}×  {range:>18}  {expected_fall_percent:>4.0} %  \
             {confidence_percent:>8.0} %  {:>8.1}  {:>5.0}  {mark}evict {}{style:#}",
            hot_pods.mean,
            moved_partitions.mean,
            names.join(", ")
        );
    }
    if group.plans_tried > group.plans.len() {
        let _ = writeln!(
            text,
            "{dim}the best of {} plans tried{dim:#}",
            group.plans_tried
        );
    }
    text
}
