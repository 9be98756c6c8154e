//! The rates of the partitions.

use std::time::Duration;

use crate::config::SimConfig;
use crate::history::LoadHistory;
use crate::seeded::Seeded;

/// The rate of every partition in records per second: lognormal, and drifting if configured.
#[derive(Debug, Clone)]
pub(crate) struct Traffic {
    /// The standard normal deviate of each partition's rate.
    deviates: Vec<f64>,
    sigma: f64,
    /// The factor that gives the configured mean rate at the start.
    scale: f64,
    rates: Vec<f64>,
    /// The history of each partition's rate.
    past: Vec<LoadHistory>,
}

impl Traffic {
    /// Draws the rates, assigns them to the partitions at random `config.deals` times, and keeps
    /// the assignment with the highest skew. `skew` returns how uneven the loads of the pods are
    /// under the given rates.
    pub(crate) fn draw(
        config: &SimConfig,
        seeded: &mut Seeded,
        skew: impl Fn(&[f64]) -> f64,
    ) -> Self {
        let mut deviates: Vec<f64> = (0..config.partitions)
            .map(|_| seeded.standard_normal())
            .collect();
        let unscaled: f64 = deviates.iter().map(|z| (config.sigma * z).exp()).sum();
        let scale = config.mean_rate * f64::from(config.partitions) / unscaled;
        let mut worst = Self {
            rates: rates(&deviates, config.sigma, scale),
            deviates: deviates.clone(),
            sigma: config.sigma,
            scale,
            past: vec![LoadHistory::default(); config.partitions as usize],
        };
        let mut highest = skew(&worst.rates);
        for _ in 1..config.deals {
            seeded.shuffle(&mut deviates);
            let dealt = rates(&deviates, config.sigma, scale);
            let reached = skew(&dealt);
            if reached > highest {
                highest = reached;
                worst.rates = dealt;
                worst.deviates.clone_from(&deviates);
            }
        }
        worst
    }

    /// Redraws the share `drift` of every rate. The weights keep the deviates standard normal, so
    /// the skew neither grows nor decreases over time.
    pub(crate) fn drift(&mut self, drift: f64, seeded: &mut Seeded) {
        let kept = (1.0 - drift * drift).sqrt();
        for deviate in &mut self.deviates {
            *deviate = kept * *deviate + drift * seeded.standard_normal();
        }
        self.rates = rates(&self.deviates, self.sigma, self.scale);
    }

    /// Adds the current rates to the history.
    pub(crate) fn record(&mut self, now: Duration, keep: Duration) {
        for (past, rate) in self.past.iter_mut().zip(&self.rates) {
            past.record(now, *rate, keep);
        }
    }

    /// The average rate of each partition in the `window` before now.
    pub(crate) fn averages(&self, now: Duration, window: Duration) -> impl Iterator<Item = f64> {
        self.past.iter().map(move |past| past.average(now, window))
    }

    /// The current rates, by partition.
    pub(crate) fn rates(&self) -> &[f64] {
        &self.rates
    }
}

fn rates(deviates: &[f64], sigma: f64, scale: f64) -> Vec<f64> {
    deviates
        .iter()
        .map(|deviate| scale * (sigma * deviate).exp())
        .collect()
}
