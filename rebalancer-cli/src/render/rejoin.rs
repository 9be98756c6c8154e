//! A rejoin as a table: the pods with their members, and the expected effect.

use std::fmt::Write as _;

use rebalancer_core::strategy::forecast::GroupReport;
use rebalancer_core::strategy::rejoin_forecast::{RejoinForecast, RejoiningPod};

use super::style::Palette;
use super::text::printable;
use super::wrap::{append_or_below, columns, sentence, short_names};

/// The shortest width of shortened names.
const SHORTEST_NAME: usize = 8;

/// Renders the pods of the rejoin in a report, with the ids of the members that are removed; empty
/// if there is none.
#[must_use]
pub fn pods(group: &GroupReport, palette: &Palette) -> String {
    /// The columns between the name and the members.
    const NUMBERS: usize = 2 + 8 + 2 + 10 + 2;
    let Some(best) = &group.rejoin else {
        return String::new();
    };
    let names: Vec<String> = best.pods.iter().map(|pod| printable(&pod.name)).collect();
    let names = match palette.width {
        Some(width) => short_names(
            names,
            (width.saturating_sub(NUMBERS) / 2).max(SHORTEST_NAME),
        ),
        None => names,
    };
    let longest = names.iter().map(|name| columns(name)).max();
    let width = longest.unwrap_or(0).max(columns("POD"));
    let dim = palette.dim;
    let mut text = format!(
        "{dim}{:width$}  {:>8}  {:>10}  MEMBERS{dim:#}\n",
        "POD", "LOAD", "PARTITIONS"
    );
    for (pod, name) in best.pods.iter().zip(&names) {
        let RejoiningPod {
            load,
            partitions,
            members,
            ..
        } = pod;
        let members: Vec<String> = members.iter().map(|id| printable(id)).collect();
        let mut row = format!("{name:width$}  {load:>8.3}  {partitions:>10}  ");
        append_or_below(
            &mut row,
            width + NUMBERS,
            &members.join(", "),
            palette.width,
        );
        text.push_str(&row);
    }
    text
}

/// Renders the expected effect of the best rejoin.
#[must_use]
pub fn effect(group: &GroupReport, best: &RejoinForecast, palette: &Palette) -> String {
    let forecast = &best.forecast;
    let (low, high) = forecast.peak_to_mean.interval();
    let mut text = format!(
        "highest load {:.2} → {:.2} × mean ({:+.0} %; {low:.2} to {high:.2} in 9 of 10 cases; it falls \
         with {:.0} % confidence); about {:.0} partitions move",
        group.peak_to_mean,
        forecast.peak_to_mean.mean,
        // Without a `-0`.
        0.0 - forecast.expected_fall_percent,
        forecast.confidence_percent,
        forecast.moved_partitions.mean,
    );
    if group.plans_tried > 1 {
        let _ = write!(
            text,
            "; the best of {} sets of pods tried",
            group.plans_tried
        );
    }
    let mut text = sentence("rejoin", palette.strong, &text, palette);
    let cost = format!("{}; no pod restarts", best.disturbance());
    text.push_str(&sentence("cost", palette.dim, &cost, palette));
    text
}
