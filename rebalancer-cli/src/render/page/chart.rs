//! The loads of pods as a bar chart in SVG.

use std::fmt::Write as _;

use super::Loads;
use super::escape::escaped;

/// The height of a row, in pixels.
const ROW: usize = 20;
/// The height of a bar, in pixels.
const BAR: usize = 12;
/// The height above the rows, in pixels, for the labels of the lines.
const TOP: usize = 30;

/// Writes the chart: a bar for each pod, a line for the target and one for the threshold. A bar with a
/// load afterwards has a tick there. Widths are in percent of the page, and heights in pixels, so that text
/// has the same size on a phone.
pub(super) fn svg(loads: &Loads) -> String {
    let all = loads.rows.iter().flat_map(|row| [row.load, row.after]);
    let lines = [loads.target, loads.threshold];
    let highest = all.chain(lines).flatten().fold(0.0, f64::max);
    let percent = |load: f64| {
        if highest > 0.0 {
            load / highest * 100.0
        } else {
            0.0
        }
    };
    let height = TOP + ROW * loads.rows.len();
    let mut svg = format!(
        "<svg width=\"100%\" height=\"{height}\" role=\"img\" aria-label=\"Loads of the pods\">\n"
    );
    for (index, row) in loads.rows.iter().enumerate() {
        let y = TOP + ROW * index + (ROW - BAR) / 2;
        let title = match (row.load, row.after) {
            (Some(load), Some(after)) => format!("{}: {load:.3}, afterwards {after:.3}", row.pod),
            (Some(load), None) => format!("{}: {load:.3}", row.pod),
            (None, _) => format!("{}: not measured", row.pod),
        };
        let class = match (row.load, loads.threshold) {
            (Some(load), Some(threshold)) if load > threshold => "hot",
            _ if row.role == "coldest" => "cold",
            _ => "even",
        };
        let _ = writeln!(
            svg,
            "<g><title>{}</title><rect class=\"{class}\" x=\"0\" y=\"{y}\" width=\"{:.2}%\" \
             height=\"{BAR}\"/>",
            escaped(&title),
            row.load.map_or(0.0, percent),
        );
        if let Some(after) = row.after {
            let _ = writeln!(
                svg,
                "<rect class=\"after\" x=\"{:.2}%\" y=\"{}\" width=\"3\" height=\"{}\"/>",
                percent(after),
                y - 2,
                BAR + 4
            );
        }
        svg.push_str("</g>\n");
    }
    for (name, value, label_y) in [
        ("target", loads.target, 11),
        ("threshold", loads.threshold, 24),
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
