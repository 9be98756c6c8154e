//! The consumer group as a table: the partitions of each pod, the part of its load that they
//! explain, why pods are hot, and the forecast of each plan.

use std::collections::HashMap;
use std::fmt::Write as _;

use rebalancer_core::Decision;
use rebalancer_core::forecast::{Fit, Forecast};
use rebalancer_core::group::{ClientFamily, KnownAssignor, Protocol};
use rebalancer_core::model::Load;
use rebalancer_core::strategy::forecast::{GroupReport, PlanForecast, PodExplained};

use super::assignment;
use super::rejoin;
use super::style::Palette;
use super::text::printable;
use super::wrap::{append_or_below, columns, common_prefix, sentence, short_names, wrapped};

/// The number of pods in the table. Larger groups are for `--output json`.
const MOST_LOADED: usize = 20;

/// Renders the whole group: its model, its pods, the diagnosis and the plans.
#[must_use]
pub fn whole(decision: &Decision, palette: &Palette) -> String {
    let Some(group) = &decision.group else {
        return String::new();
    };
    let mut text = heading(group).render(palette);
    text.push_str(&pods(decision, group, palette));
    text.push_str(&summary(group, palette));
    text
}

/// Renders the part that accompanies a decision: the diagnosis and the plans.
#[must_use]
pub fn summary(group: &GroupReport, palette: &Palette) -> String {
    let mut text = notes(group, palette);
    text.push_str(&diagnosis(group, palette));
    text.push_str(&match (&group.assignment, &group.rejoin) {
        (Some(best), _) => assignment::effect(group, best, palette),
        (None, Some(best)) => rejoin::effect(group, best, palette),
        (None, None) => plans(group, palette),
    });
    text
}

/// The facts about the group of a decision.
pub(super) fn heading(group: &GroupReport) -> Heading<'_> {
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

/// The facts about a group above its table.
pub(super) struct Heading<'a> {
    pub(super) id: Option<&'a str>,
    pub(super) members: usize,
    pub(super) partitions: usize,
    pub(super) topics: usize,
    pub(super) assignor: KnownAssignor,
    pub(super) client: ClientFamily,
    pub(super) protocol: Protocol,
    pub(super) fit: Option<&'a Fit>,
}

impl Heading<'_> {
    /// The facts for a document.
    pub(super) fn facts(&self) -> Vec<(&'static str, String)> {
        vec![
            ("group", self.id.unwrap_or("–").to_owned()),
            ("members", self.members.to_string()),
            ("topics", self.topics.to_string()),
            ("partitions", self.partitions.to_string()),
            ("assignor", self.assignor.to_string()),
            ("client", self.client.as_str().to_owned()),
            ("protocol", self.protocol.as_str().to_owned()),
        ]
    }

    pub(super) fn render(&self, palette: &Palette) -> String {
        let strong = palette.strong;
        let id = self.id;
        let id = id.map_or_else(String::new, |id| format!(" {}", printable(id)));
        let facts = format!(
            "{} members, {} partitions of {} topic{}; assignor {}; client {}, protocol {}",
            self.members,
            self.partitions,
            self.topics,
            if self.topics == 1 { "" } else { "s" },
            self.assignor,
            self.client.as_str(),
            self.protocol.as_str(),
        );
        let model = match self.fit {
            Some(fit) => format!(
                "load = {:.3} + {:.3e} × rate; {:.0} % of the variance is explained",
                fit.base,
                fit.cost,
                fit.goodness * 100.0
            ),
            None => {
                "no rates (setting: GROUP_RATE_QUERY): each pod's load is split equally over its \
                     partitions, so forecasts are poor"
                    .to_owned()
            }
        };
        let group = sentence(&format!("group{id}"), strong, &facts, palette);
        group + &wrapped(&model, palette.width, 2)
    }
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
    /// The columns after the name.
    const NUMBERS: usize = 2 + 8 + 2 + 10 + 2 + 9 + 2 + 8;
    let names = match palette.width {
        Some(width) => short_names(names, width.saturating_sub(NUMBERS).max(8)),
        None => names,
    };
    let width = names.iter().map(|name| columns(name)).max();
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
        let remark = if explained.slow {
            "slow for reasons other than its partitions"
        } else if explained.behind {
            "behind: its load is not what its rates cost"
        } else {
            ""
        };
        // Without a `-0.000`.
        let residual = (explained.residual * 1e3).round() / 1e3 + 0.0;
        let mut row = format!(
            "{name:width$}  {style}{number:>8}{style:#}  {:>10}  {:>9.3}  {residual:>+8.3}",
            explained.partitions, explained.explained
        );
        if remark.is_empty() {
            row.push('\n');
        } else {
            row.push_str("  ");
            append_or_below(&mut row, width + NUMBERS + 2, remark, palette.width);
        }
        text.push_str(&row);
    }
    if more > 0 {
        let _ = writeln!(text, "{dim}… {more} more pods, all in --output json{dim:#}");
    }
    text.push('\n');
    text
}

fn notes(group: &GroupReport, palette: &Palette) -> String {
    let notes = group.notes.iter();
    notes
        .map(|note| sentence("note", palette.dim, &printable(note), palette))
        .collect()
}

fn diagnosis(group: &GroupReport, palette: &Palette) -> String {
    let warn = palette.warn;
    let mut text = String::new();
    for finding in &group.diagnosis {
        text.push_str(&sentence("why", warn, &finding.message, palette));
    }
    text
}

fn plans(group: &GroupReport, palette: &Palette) -> String {
    /// The columns before the plan.
    const NUMBERS: usize = 9 + 2 + 18 + 2 + 6 + 2 + 10 + 2 + 8 + 2 + 5 + 2;
    let (strong, dim) = (palette.strong, palette.dim);
    let mut text = format!(
        "{dim}{:>9}  {:>18}  {:>6}  {:>10}  {:>8}  {:>5}  PLAN{dim:#}\n",
        "PEAK/MEAN", "IN 9 OF 10 CASES", "FALL", "CONFIDENCE", "HOT PODS", "MOVED",
    );
    let mut row = format!(
        "{:>8.2}×  {:>18}  {:>6}  {:>10}  {:>8}  {:>5}  ",
        group.peak_to_mean, "", "", "", group.hot_pods, "",
    );
    let nothing = "evict nothing: stays like this while members and traffic do not change";
    append_or_below(&mut row, NUMBERS, nothing, palette.width);
    text.push_str(&row);
    let names = group.pods.iter().map(|pod| pod.name.as_str());
    let prefix = palette.width.and_then(|_| common_prefix(names));
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
        let short = |name: &String| {
            let rest = prefix.and_then(|prefix| name.strip_prefix(prefix));
            printable(&rest.map_or_else(|| name.clone(), |rest| format!("…{rest}")))
        };
        let names: Vec<String> = plan.victims.iter().map(short).collect();
        let (mark, style) = if chosen(plan) {
            ("▶ ", strong)
        } else {
            ("", anstyle::Style::new())
        };
        let mut row = format!(
            "{style}{mean:>8.2}×  {range:>18}  {expected_fall_percent:>4.0} %  \
             {confidence_percent:>8.0} %  {:>8.1}  {:>5.0}  ",
            hot_pods.mean, moved_partitions.mean,
        );
        let plan = format!("{mark}evict {}", names.join(", "));
        append_or_below(&mut row, NUMBERS, &plan, palette.width);
        let end = row.trim_end().len();
        row.insert_str(end, &format!("{style:#}"));
        text.push_str(&row);
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
