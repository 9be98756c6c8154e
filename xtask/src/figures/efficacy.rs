//! Evictions and peaks of each strategy, per tick.

use evaluation::efficacy::{Efficacy, Setting, measure};
use rebalancer_core::group::{Assignor, ClientFamily};
use rebalancer_core::policy::Strategy;

use super::plot::{Plot, legend};
use crate::Error;
use crate::svg::{Anchor, BLUE, Font, GREEN, ORANGE, Svg};

/// Fewer worlds than for the table, so that the check of the picture is fast.
const WORLDS: u64 = 20;

/// Draws the picture.
pub(super) fn draw() -> Result<String, Error> {
    let setting = Setting::of(Assignor::CooperativeSticky, ClientFamily::Java, 0..WORLDS);
    let mut svg = Svg::new(
        760,
        390,
        "Evictions and imbalance, run by run",
        "Two line charts over ten runs: evictions so far, and the highest load as a multiple of the \
         mean, for rotate-outliers, for the forecast and for assign.",
    );
    let note = format!(
        "mean of {WORLDS} simulated groups: 16 pods, 128 partitions, sigma 1.2, cooperative-sticky \
         (Java client), steady traffic"
    );
    svg.text(20.0, 52.0, Anchor::Start, Font::NOTE, &note);
    let evictions = Plot {
        at: (66.0, 120.0),
        size: (290.0, 200.0),
        across: (0.0, 10.0),
        up: (0.0, 25.0),
    };
    let peaks = Plot {
        at: (440.0, 120.0),
        up: (1.4, 2.4),
        ..evictions
    };
    let runs: Vec<f64> = (0..=10).map(f64::from).collect();
    for (plot, heading, label) in [
        (&evictions, "Evictions so far", "pods of a group"),
        (&peaks, "Imbalance", "highest load / mean load"),
    ] {
        plot.grid_across(&mut svg, &runs, 0);
        plot.heading(&mut svg, heading);
        plot.label_up(&mut svg, label);
        plot.label_across(&mut svg, "runs, ten minutes apart");
    }
    evictions.grid_up(&mut svg, &[0.0, 5.0, 10.0, 15.0, 20.0, 25.0], 0);
    peaks.grid_up(&mut svg, &[1.4, 1.6, 1.8, 2.0, 2.2, 2.4], 1);
    let mut x = 20.0;
    for (strategy, colour) in [
        (Strategy::RotateOutliers, ORANGE),
        (Strategy::Forecast, BLUE),
        (Strategy::Assign, GREEN),
    ] {
        let efficacy = measure(&setting, strategy)?;
        x = legend(&mut svg, (x, 78.0), colour, strategy.as_str());
        let mut sum = 0.0;
        let sums = efficacy.evictions_per_tick().into_iter().map(|number| {
            sum += number;
            sum
        });
        curve(
            &mut svg,
            &evictions,
            colour,
            std::iter::once(0.0).chain(sums),
        );
        curve(&mut svg, &peaks, colour, peaks_of(&efficacy));
    }
    Ok(svg.finish())
}

fn peaks_of(efficacy: &Efficacy) -> impl Iterator<Item = f64> {
    std::iter::once(efficacy.first_peak()).chain(efficacy.peaks())
}

/// Draws a line with a dot at each number, labelled with the last number.
fn curve(svg: &mut Svg, plot: &Plot, colour: &str, numbers: impl Iterator<Item = f64>) {
    let points: Vec<(f64, f64)> = (0_u32..)
        .zip(numbers)
        .map(|(place, number)| plot.point(f64::from(place), number))
        .collect();
    svg.polyline(&points, colour);
    for point in points {
        svg.dot(point, 3.0, colour);
    }
}
