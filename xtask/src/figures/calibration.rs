//! Forecasts compared with recorded consumer groups.

use evaluation::calibration::{Calibration, Case, Effort, Orders, calibrate};
use evaluation::episode::Ids;

use super::plot::{Plot, legend};
use crate::Error;
use crate::svg::{Anchor, BLUE, Font, GREY, INK, RED, Svg};

/// Fewer samples than for the table, so that the check of the picture is fast.
const EFFORT: Effort = Effort {
    draws: 2,
    samples: 100,
};

/// The kinds of groups (client, protocol, assignor), one part of the picture each.
const KINDS: [(&str, &str, &str); 6] = [
    ("java", "classic", "range"),
    ("java", "classic", "sticky"),
    ("java", "classic", "cooperative-sticky"),
    ("java", "consumer", "uniform"),
    ("librdkafka", "classic", "cooperative-sticky"),
    ("librdkafka", "consumer", "uniform"),
];

/// The number of parts per row.
const COLUMNS: u32 = 3;

/// Draws the picture.
pub(super) fn draw() -> Result<String, Error> {
    let calibrations = calibrate(Ids::Known, Orders::Unknown, EFFORT, |_| true)?;
    let mut svg = Svg::new(
        760,
        560,
        "Forecasts, and what real consumer groups did",
        "For six kinds of group: intervals of 90 % of forecasts, sorted by their median, and the \
         outcome of the real group beside each.",
    );
    svg.text(
        20.0,
        52.0,
        Anchor::Start,
        Font::NOTE,
        "20 episodes of each kind, 2 draws of the partitions' rates each; present member ids known, \
         order of leaves and joins not",
    );
    let mut x = 20.0;
    for (colour, text) in [
        (GREY, "interval of 90 %, and its median"),
        (BLUE, "outcome, inside"),
        (RED, "outcome, outside"),
    ] {
        x = legend(&mut svg, (x, 76.0), colour, text);
    }
    for (place, (client, protocol, assignor)) in (0_u32..).zip(KINDS) {
        let is_kind = |kind: &&evaluation::calibration::Kind| {
            kind.client == client && kind.protocol == protocol && kind.assignor == assignor
        };
        let kind = calibrations
            .keys()
            .find(is_kind)
            .ok_or("no such episodes")?;
        let calibration = calibrations.get(kind).ok_or("no such episodes")?;
        let (column, line) = (place % COLUMNS, place / COLUMNS);
        let plot = Plot {
            at: (
                62.0 + 236.0 * f64::from(column),
                118.0 + 222.0 * f64::from(line),
            ),
            size: (206.0, 168.0),
            across: (-1.0, 40.0),
            up: (1.0, 4.5),
        };
        plot.heading(&mut svg, &format!("{assignor}, {client}"));
        plot.grid_up(&mut svg, &[1.0, 2.0, 3.0, 4.0], 0);
        if column == 0 {
            plot.label_up(&mut svg, "highest load / mean load");
        }
        part(&mut svg, &plot, calibration);
    }
    svg.text(
        380.0,
        544.0,
        Anchor::Middle,
        Font::TEXT,
        "forecasts, by their median",
    );
    Ok(svg.finish())
}

fn part(svg: &mut Svg, plot: &Plot, calibration: &Calibration) {
    let mut cases: Vec<&Case> = calibration.cases.iter().collect();
    cases.sort_by(|a, b| a.forecast.median.total_cmp(&b.forecast.median));
    for (place, case) in (0_u32..).zip(cases) {
        let x = plot.x(f64::from(place));
        let at = |number| (x, plot.y(number));
        svg.line(at(case.forecast.p5), at(case.forecast.p95), GREY, 3.5);
        let median = plot.y(case.forecast.median);
        svg.line((x - 2.0, median), (x + 2.0, median), INK, 1.0);
        let colour = if case.is_covered() { BLUE } else { RED };
        svg.dot(at(case.after), 1.9, colour);
    }
    plot.base(svg);
    let text = format!(
        "{:.0} % inside, error {:.1} %",
        calibration.coverage_percent(),
        calibration.error_percent()
    );
    let below = plot.bottom() + 16.0;
    svg.text(plot.at.0, below, Anchor::Start, Font::NOTE, &text);
}
