//! The assignment to hand out as a table: the partitions that get other owners, and the expected
//! effect.

use std::fmt::Write as _;

use rebalancer_core::plan::{AssignmentPlan, PlannedMove};
use rebalancer_core::strategy::assign::{AssignmentForecast, OthersForecast};
use rebalancer_core::strategy::forecast::GroupReport;

use super::style::Palette;
use super::text::printable;
use super::wrap::{columns, sentence, short_names};

/// The number of moves in the table: the ones with the highest loads. All are in `--output json`.
const MOST: usize = 20;

/// The shortest width of shortened names.
const SHORTEST_NAME: usize = 8;

/// The moves, heaviest partition first.
pub(super) fn heaviest(plan: &AssignmentPlan) -> Vec<&PlannedMove> {
    let mut heaviest: Vec<&PlannedMove> = plan.moves().iter().collect();
    // The stable sort keeps moves with equal loads in the order of partitions.
    heaviest.sort_by(|a, b| b.load.total_cmp(&a.load));
    heaviest
}

/// Renders the moves, heaviest partition first.
#[must_use]
pub fn moves(plan: &AssignmentPlan, palette: &Palette) -> String {
    let heaviest = heaviest(plan);
    let shown = heaviest.get(..MOST).unwrap_or(&heaviest);
    let partitions: Vec<String> = shown
        .iter()
        .map(|moved| printable(&moved.partition_name()))
        .collect();
    let widest = |texts: &[String], heading: &str| {
        let longest = texts.iter().map(|text| columns(text)).max();
        longest.unwrap_or(0).max(columns(heading))
    };
    let mut partition_width = widest(&partitions, "PARTITION");
    let mut partitions = partitions;
    // Both columns have the names of the same pods, so they are shortened together.
    let mut names: Vec<String> = shown.iter().map(|moved| printable(&moved.from)).collect();
    names.extend(shown.iter().map(|moved| printable(&moved.to)));
    if let Some(width) = palette.width {
        /// The load and the spaces between the columns.
        const OTHERS: usize = 2 + 8 + 2 + 2;
        let half = width.saturating_sub(OTHERS) / 2;
        if partition_width > half {
            partitions = short_names(partitions, half.max(SHORTEST_NAME));
            partition_width = widest(&partitions, "PARTITION");
        }
        let room = width.saturating_sub(OTHERS + partition_width) / 2;
        names = short_names(names, room.max(SHORTEST_NAME));
    }
    let (from, to) = names.split_at(shown.len());
    let from_width = widest(from, "FROM");
    let dim = palette.dim;
    let mut text = format!(
        "{dim}{:partition_width$}  {:>8}  {:from_width$}  TO{dim:#}\n",
        "PARTITION", "LOAD", "FROM"
    );
    for ((moved, partition), (from, to)) in shown.iter().zip(&partitions).zip(from.iter().zip(to)) {
        let load = moved.load;
        let _ = writeln!(
            text,
            "{partition:partition_width$}  {load:>8.3}  {from:from_width$}  {to}"
        );
    }
    if let Some(more @ 1..) = heaviest.len().checked_sub(shown.len()) {
        let _ = writeln!(text, "{dim}… {more} more, all in --output json{dim:#}");
    }
    text
}

/// Renders the expected effect of the best assignment.
#[must_use]
pub fn effect(group: &GroupReport, best: &AssignmentForecast, palette: &Palette) -> String {
    let AssignmentForecast {
        moves,
        moved_percent,
        peak_to_mean,
        fall_percent,
        lowest_peak_to_mean,
        ..
    } = best;
    let before = group.peak_to_mean;
    if *moves == 0 {
        let text = format!(
            "the current one is the best: highest load {before:.2} × mean (lower bound \
             {lowest_peak_to_mean:.2})"
        );
        return sentence("assignment", palette.strong, &text, palette);
    }
    let partitions = if *moves == 1 {
        "partition"
    } else {
        "partitions"
    };
    let text = format!(
        "highest load {before:.2} → {peak_to_mean:.2} × mean (-{fall_percent:.0} %, lower bound \
         {lowest_peak_to_mean:.2}); {moves} {partitions} with {moved_percent:.0} % of the load move",
    );
    let mut text = sentence("assignment", palette.strong, &text, palette);
    if let Some(OthersForecast {
        outliers,
        peak_to_mean_before,
        peak_to_mean,
        fall_percent,
    }) = best.others
    {
        let pods = if outliers == 1 { "pod" } else { "pods" };
        let others = format!(
            "without {outliers} {pods} that no assignment brings to the level of the others: highest \
             load {peak_to_mean_before:.2} → {peak_to_mean:.2} × mean (-{fall_percent:.0} %)"
        );
        text.push_str(&sentence("others", palette.strong, &others, palette));
    }
    text.push_str(&sentence("cost", palette.dim, &best.disturbance(), palette));
    text
}
