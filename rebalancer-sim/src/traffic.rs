//! The rates of the partitions.

use std::time::Duration;

use crate::config::SimConfig;
use crate::history::LoadHistory;
use crate::seeded::Seeded;

/// Records per second of every partition: lognormal, and drifting if asked to.
#[derive(Debug, Clone)]
pub(crate) struct Traffic {
    /// The standard normal number behind each partition's rate.
    deviations: Vec<f64>,
    sigma: f64,
    /// Puts the mean rate at the start where the configuration wants it.
    scale: f64,
    rates: Vec<f64>,
    /// What each partition's rate was, as far back as the metrics look.
    past: Vec<LoadHistory>,
}

impl Traffic {
    /// Draws the rates and deals them `config.deals` times; `skew` says how uneven the loads of the
    /// pods are under the rates it is given, and the deal with the highest skew is kept.
    pub(crate) fn draw(
        config: &SimConfig,
        seeded: &mut Seeded,
        skew: impl Fn(&[f64]) -> f64,
    ) -> Self {
        let mut deviations: Vec<f64> = (0..config.partitions)
            .map(|_| seeded.standard_normal())
            .collect();
        let unscaled: f64 = deviations.iter().map(|z| (config.sigma * z).exp()).sum();
        let scale = config.mean_rate * f64::from(config.partitions) / unscaled;
        let mut worst = Self {
            rates: rates(&deviations, config.sigma, scale),
            deviations: deviations.clone(),
            sigma: config.sigma,
            scale,
            past: vec![LoadHistory::default(); config.partitions as usize],
        };
        let mut highest = skew(&worst.rates);
        for _ in 1..config.deals {
            seeded.shuffle(&mut deviations);
            let dealt = rates(&deviations, config.sigma, scale);
            let reached = skew(&dealt);
            if reached > highest {
                highest = reached;
                worst.rates = dealt;
                worst.deviations.clone_from(&deviations);
            }
        }
        worst
    }

    /// Draws the share `drift` of every rate anew. The weights keep the deviations standard
    /// normal, so the skew neither grows nor fades however long it goes on.
    pub(crate) fn drift(&mut self, drift: f64, seeded: &mut Seeded) {
        let kept = (1.0 - drift * drift).sqrt();
        for deviation in &mut self.deviations {
            *deviation = kept * *deviation + drift * seeded.standard_normal();
        }
        self.rates = rates(&self.deviations, self.sigma, self.scale);
    }

    /// Writes down that the rates are those of now, from now on.
    pub(crate) fn record(&mut self, now: Duration, keep: Duration) {
        for (past, rate) in self.past.iter_mut().zip(&self.rates) {
            past.record(now, *rate, keep);
        }
    }

    /// What arrived in each partition per second, on the average of the `window` before now.
    pub(crate) fn averages(&self, now: Duration, window: Duration) -> impl Iterator<Item = f64> {
        self.past.iter().map(move |past| past.average(now, window))
    }

    /// Records per second, by partition.
    pub(crate) fn rates(&self) -> &[f64] {
        &self.rates
    }
}

fn rates(deviations: &[f64], sigma: f64, scale: f64) -> Vec<f64> {
    deviations
        .iter()
        .map(|deviation| scale * (sigma * deviation).exp())
        .collect()
}
