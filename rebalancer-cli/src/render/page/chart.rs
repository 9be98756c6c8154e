//! Charts in SVG. Widths are in percent of the page, and heights in pixels, so that text has the
//! same size on a phone.

use std::fmt::Write as _;

use super::escape::escaped;
use super::{Bars, Trend};
use crate::render::sparkline::peaks;

/// The height of a bar, in pixels.
const BAR: usize = 12;
/// The height of a row with a bar, in pixels.
const ROW: usize = 20;
/// The height of a name above its bar, in pixels.
const NAME: usize = 16;
/// The length of a name, in characters, that a phone shows.
const NAME_CHARS: usize = 48;
/// The height above the rows, in pixels, for the labels of the lines.
const TOP: usize = 30;

/// The height of a chart over time, in pixels, between its labels.
const TREND: f64 = 140.0;
/// The height of the labels above and below it.
const LABEL: f64 = 20.0;
/// The maximum number of points of a line.
const POINTS: usize = 1000;

/// Writes a bar for each value, a line for the target and one for the threshold. The marks of a bar
/// are ticks.
pub(super) fn bars(chart: &Bars) -> String {
    let values = chart.bars.iter();
    let values = values.flat_map(|bar| bar.value.iter().chain(&bar.marks).copied());
    let lines = [chart.target, chart.threshold];
    let highest = values
        .chain(lines.into_iter().flatten())
        .fold(0.0, f64::max);
    let percent = |load: f64| {
        if highest > 0.0 {
            load / highest * 100.0
        } else {
            0.0
        }
    };
    let above = if chart.is_named { NAME } else { 0 };
    let height = TOP + (above + ROW) * chart.bars.len();
    let mut svg = format!(
        "<svg width=\"100%\" height=\"{height}\" role=\"img\" aria-label=\"{}\">\n",
        chart.label
    );
    for (index, (bar, row)) in chart.bars.iter().zip(&chart.table.rows).enumerate() {
        let y = TOP + (above + ROW) * index + above + (ROW - BAR) / 2;
        let class = match (bar.value, chart.threshold) {
            (Some(value), Some(threshold)) if value > threshold => "hot",
            _ if bar.stands_out => "cold",
            _ => "even",
        };
        let _ = writeln!(
            svg,
            "<g><title>{}</title><rect class=\"{class}\" x=\"0\" y=\"{y}\" width=\"{:.2}%\" \
             height=\"{BAR}\"/>",
            escaped(&bar.title),
            bar.value.map_or(0.0, percent),
        );
        if let (true, Some(name)) = (chart.is_named, row.first()) {
            let mut name = name.clone();
            if let Some((end, _)) = name.char_indices().nth(NAME_CHARS) {
                name.replace_range(end.., "…");
            }
            let _ = writeln!(
                svg,
                "<text x=\"0\" y=\"{}\">{}</text>",
                y - 4,
                escaped(&name)
            );
        }
        for mark in &bar.marks {
            let _ = writeln!(
                svg,
                "<rect class=\"after\" x=\"{:.2}%\" y=\"{}\" width=\"3\" height=\"{}\"/>",
                percent(*mark),
                y - 2,
                BAR + 4
            );
        }
        svg.push_str("</g>\n");
    }
    for (name, value, label_y) in [
        ("target", chart.target, 11),
        ("threshold", chart.threshold, 24),
    ] {
        let Some(value) = value else { continue };
        let at = percent(value);
        // A label in the right half ends at its line.
        let (anchor, offset) = if at > 50.0 { ("end", -4) } else { ("start", 4) };
        let _ = writeln!(
            svg,
            "<line class=\"{name}\" x1=\"{at:.2}%\" x2=\"{at:.2}%\" y1=\"{}\" y2=\"{height}\"/>\
             <text x=\"{at:.2}%\" dx=\"{offset}\" y=\"{label_y}\" text-anchor=\"{anchor}\">{name} \
             {value:.3}</text>",
            label_y - 9,
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// Writes a line for each series, and a vertical line with two dots for each fall.
pub(super) fn trend(trend: &Trend) -> String {
    let values = trend.series.iter().flat_map(|(_, series)| series);
    let values = values.flatten().copied();
    let falls = trend
        .falls
        .iter()
        .flat_map(|fall| [fall.before, fall.after]);
    let highest = values.chain(falls).fold(1.0, f64::max);
    let y = |value: f64| {
        let share = if highest > 1.0 {
            (value - 1.0) / (highest - 1.0)
        } else {
            0.0
        };
        TREND * (1.0 - share.clamp(0.0, 1.0))
    };
    let count = trend.series.first().map_or(0, |(_, series)| series.len());
    let mut svg = format!(
        "<svg width=\"100%\" height=\"{}\" role=\"img\" aria-label=\"{}\">\n\
         <text x=\"0\" y=\"12\">{highest:.2}</text>\n\
         <svg y=\"{LABEL}\" width=\"100%\" height=\"{TREND}\" viewBox=\"0 0 100 {TREND}\" \
         preserveAspectRatio=\"none\">\n",
        TREND + 2.0 * LABEL,
        trend.label
    );
    // The first series is drawn last, so that it hides the others where they are the same.
    for (index, (_, series)) in trend.series.iter().enumerate().rev() {
        let points = peaks(series, POINTS);
        let mut path = String::new();
        let mut is_open = false;
        for (number, point) in points.iter().enumerate() {
            if let Some(value) = point {
                let command = if is_open { 'L' } else { 'M' };
                let x = percent(number, points.len());
                let _ = write!(path, "{command}{x:.2} {:.1}", y(*value));
            }
            is_open = point.is_some();
        }
        let _ = writeln!(svg, "<path class=\"series{index}\" d=\"{path}\"/>");
    }
    let bottom = LABEL + TREND;
    let _ = writeln!(
        svg,
        "</svg>\n<line x1=\"0\" x2=\"100%\" y1=\"{bottom}\" y2=\"{bottom}\"/>\n\
         <text x=\"0\" y=\"{0}\">1.00 at {1}</text>\n\
         <text x=\"100%\" y=\"{0}\" text-anchor=\"end\">{2}</text>",
        bottom + 15.0,
        escaped(&trend.from),
        escaped(&trend.until)
    );
    for fall in &trend.falls {
        let x = percent(fall.index, count);
        let (before, after) = (LABEL + y(fall.before), LABEL + y(fall.after));
        let _ = writeln!(
            svg,
            "<g><title>{}</title><line x1=\"{x:.2}%\" x2=\"{x:.2}%\" y1=\"{before:.1}\" \
             y2=\"{after:.1}\"/><circle class=\"hot\" cx=\"{x:.2}%\" cy=\"{before:.1}\" r=\"3\"/>\
             <circle class=\"cold\" cx=\"{x:.2}%\" cy=\"{after:.1}\" r=\"3\"/></g>",
            escaped(&fall.title)
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// The place of an element among `count`, in percent of the width.
#[expect(clippy::cast_precision_loss, reason = "an index, far below the limit")]
fn percent(index: usize, count: usize) -> f64 {
    match count {
        0 | 1 => 0.0,
        count => index as f64 / (count - 1) as f64 * 100.0,
    }
}
