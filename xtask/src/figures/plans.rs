//! The forecast effect of plans on one simulated group, compared with no action.

use evaluation::efficacy::Setting;
use kafka_assignors::Algorithm;
use rebalancer_core::decision::Decision;
use rebalancer_core::forecast::{Attribution, Sampling, Subject, forecast};
use rebalancer_core::group::{Assignor, ClientFamily, ServingPodIndex};
use rebalancer_core::policy::{Policy, Strategy};
use rebalancer_core::{Snapshot, decide};
use serde_json::{Value, json};

use super::plot::Plot;
use crate::Error;
use crate::svg::{Anchor, BLUE, Font, GREY, INK, ORANGE, Svg};

/// The seeds of a world in which a plan helps, and of one in which no plan helps enough.
const WORLDS: [(u64, &str); 2] = [
    (4, "A group in which a plan helps"),
    (
        2,
        "A group in which no plan helps enough: no pod is evicted",
    ),
];

/// The number of sampled executions of each plan.
const SAMPLES: u32 = 400;

/// The start-up time of its pods, in seconds.
const STARTUP: u32 = 30;

/// The number of bars per distribution.
const BARS: usize = 70;

/// The height of a row and of its bars, in pixels.
const ROW: f64 = 52.0;
const TALLEST: f64 = 32.0;

/// A plan and the results of its sampled executions.
struct Row {
    name: String,
    colour: &'static str,
    /// Highest loads as multiples of the mean, ascending.
    peaks: Vec<f64>,
}

/// Draws the picture.
pub(super) fn draw() -> Result<String, Error> {
    let mut svg = Svg::new(
        760,
        790,
        "What plans are forecast to do, beside doing nothing",
        "For each plan the distribution of the highest load as a multiple of the mean over imagined \
         executions, with its mean and its interval of 90 %, and a line at the present value; for a \
         group in which a plan helps, and for one in which none does.",
    );
    svg.text(
        20.0,
        52.0,
        Anchor::Start,
        Font::NOTE,
        "16 pods (#1 is the most loaded), 128 partitions of very different rates, \
         cooperative-sticky (Java client); 400 samples each",
    );
    let mut top = 112.0;
    for (world, heading) in WORLDS {
        let (now, rows) = rows(&snapshot(world)?)?;
        let plot = Plot {
            at: (196.0, top),
            size: (444.0, count(rows.len()) * ROW),
            across: (1.2, 3.0),
            up: (0.0, 1.0),
        };
        plot.grid_across(
            &mut svg,
            &[1.2, 1.4, 1.6, 1.8, 2.0, 2.2, 2.4, 2.6, 2.8, 3.0],
            1,
        );
        svg.text(20.0, top - 24.0, Anchor::Start, Font::HEADING, heading);
        let x = plot.x(now);
        svg.dashed((x, top), (x, plot.bottom()), INK);
        let text = format!("nothing is done: {now:.2}");
        svg.text(x, top - 6.0, Anchor::Middle, Font::TEXT, &text);
        let bottoms = (1..=rows.len()).map(|place| top + count(place) * ROW);
        for (row, bottom) in rows.iter().zip(bottoms) {
            row.draw(&mut svg, &plot, bottom - 14.0, now);
        }
        plot.base(&mut svg);
        top = plot.bottom() + 92.0;
        plot.label_across(&mut svg, "highest load / mean load");
    }
    Ok(svg.finish())
}

impl Row {
    fn draw(&self, svg: &mut Svg, plot: &Plot, y: f64, now: f64) {
        let width = plot.size.0 / count(BARS);
        let bins = self.bins(plot);
        let most = bins.iter().copied().max().unwrap_or(1).max(1);
        let mut x = plot.at.0;
        for bin in bins {
            let tall = TALLEST * count(bin) / count(most);
            if bin > 0 {
                svg.rect((x, y - tall), (width - 1.0, tall), self.colour);
            }
            x += width;
        }
        let under = y + 6.0;
        let at = |share| plot.x(self.percentile(share));
        svg.line((at(0.05), under), (at(0.95), under), INK, 1.5);
        let mean = self.peaks.iter().sum::<f64>() / count(self.peaks.len().max(1));
        svg.dot((plot.x(mean), under), 3.5, INK);
        svg.text(
            plot.at.0 - 12.0,
            y - 12.0,
            Anchor::End,
            Font::TEXT,
            &self.name,
        );
        let falls = self.peaks.iter().filter(|peak| **peak < now).count();
        let share = count(falls) / count(self.peaks.len().max(1)) * 100.0;
        let right = plot.right() + 10.0;
        let texts = [format!("mean {mean:.2}"), format!("falls in {share:.0} %")];
        for (text, up) in texts.iter().zip([18.0, 3.0]) {
            svg.text(right, y - up, Anchor::Start, Font::NOTE, text);
        }
    }

    fn bins(&self, plot: &Plot) -> Vec<usize> {
        let mut bins = vec![0; BARS];
        for peak in &self.peaks {
            let share = (plot.x(*peak) - plot.at.0) / plot.size.0;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a share of a number of bars"
            )]
            let bin = (share * count(BARS)) as usize;
            if let Some(bin) = bins.get_mut(bin.min(BARS - 1)) {
                *bin += 1;
            }
        }
        bins
    }

    fn percentile(&self, share: f64) -> f64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a number of samples"
        )]
        let place = (share * count(self.peaks.len().saturating_sub(1))) as usize;
        self.peaks.get(place).copied().unwrap_or(0.0)
    }
}

/// The current max/mean, and the plans: the finalists of the search, and the plan of
/// rotate-outliers.
fn rows(snapshot: &Snapshot) -> Result<(f64, Vec<Row>), Error> {
    let group = snapshot
        .group_model()
        .map_err(|problem| problem.to_string())?;
    let pods = snapshot.pods();
    let loads: Vec<Option<f64>> = pods.iter().map(|pod| pod.load().map(f64::from)).collect();
    let attribution = Attribution::new(&loads, &group.pod_owners(), group.rates.as_deref());
    let subject = Subject {
        group: &group,
        attribution: &attribution,
        algorithm: Algorithm::of(group.assignor.assignor, group.client, group.protocol),
        target: None,
        threshold: None,
    };
    let row = |victims: &[String], name: &str, colour| {
        let place = |name: &String| pods.iter().position(|pod| pod.name == *name);
        let victims: Vec<ServingPodIndex> = victims
            .iter()
            .filter_map(place)
            .map(ServingPodIndex::new)
            .collect();
        let once = |seed: u32| {
            let sampling = Sampling {
                seed: seed.into(),
                samples: 1,
                order: None,
            };
            forecast(&subject, &[&victims], sampling).peak_to_mean.mean
        };
        let mut peaks: Vec<f64> = (0..SAMPLES).map(once).collect();
        peaks.sort_unstable_by(f64::total_cmp);
        Row {
            name: name.to_owned(),
            colour,
            peaks,
        }
    };
    let by_forecast = decided(snapshot, Strategy::Forecast);
    // Most loaded first.
    let ranked: Vec<&str> = by_forecast
        .pods
        .iter()
        .map(|pod| pod.name.as_str())
        .collect();
    let ranks = |victims: &[String]| {
        let rank = |name: &String| ranked.iter().position(|other| other == name);
        let ranks = victims.iter().filter_map(rank);
        let ranks: Vec<String> = ranks.map(|rank| format!("#{}", rank + 1)).collect();
        ranks.join(" ")
    };
    let report = by_forecast.group.as_ref().ok_or("no forecast was made")?;
    let chosen = report.chosen.as_ref().map(|plan| &plan.victims);
    let mut plans: Vec<&Vec<String>> = report.plans.iter().map(|plan| &plan.victims).collect();
    plans.sort_by_key(|victims| victims.len());
    let mut rows: Vec<Row> = plans
        .into_iter()
        .map(|victims| {
            let is_chosen = chosen == Some(victims);
            let what = if is_chosen { "chosen:" } else { "evict" };
            let name = format!("{what} {}", ranks(victims));
            row(victims, &name, if is_chosen { BLUE } else { GREY })
        })
        .collect();
    let outliers = decided(snapshot, Strategy::RotateOutliers);
    let victims: Vec<String> = outliers
        .plan()
        .ok_or("the rule of outliers would hold")?
        .victims()
        .iter()
        .map(|victim| victim.name.clone())
        .collect();
    let name = format!("outliers: {}", ranks(&victims));
    rows.push(row(&victims, &name, ORANGE));
    Ok((subject.imbalance(), rows))
}

fn decided(snapshot: &Snapshot, strategy: Strategy) -> Decision {
    let policy = Policy {
        strategy,
        ..Policy::default()
    };
    decide(snapshot, &policy)
}

/// The initial state of the world of a seed.
fn snapshot(seed: u64) -> Result<Snapshot, Error> {
    let setting = Setting::of(Assignor::CooperativeSticky, ClientFamily::Java, 0..1);
    let world = setting.world(seed, Strategy::Forecast)?;
    let pods: Vec<Value> = world
        .loads()
        .iter()
        .map(|pod| {
            json!({
                "name": pod.name, "load": pod.load, "age_seconds": 7200,
                "ready_seconds": 7200 - STARTUP,
            })
        })
        .collect();
    let partitions = world.partitions();
    let owners: Vec<Option<String>> = partitions
        .iter()
        .map(|partition| Some(partition.owner.as_ref()?.pod.clone()))
        .collect();
    let rates: Vec<f64> = partitions.iter().map(|partition| partition.rate).collect();
    Ok(serde_json::from_value(json!({
        "target": world.config().target(),
        "pods": pods,
        "group": {
            "assignor": "cooperative-sticky",
            "topics": {"orders": {"owners": owners, "rates": rates}},
        },
    }))?)
}

#[expect(clippy::cast_precision_loss, reason = "a small number")]
fn count(number: usize) -> f64 {
    number as f64
}
