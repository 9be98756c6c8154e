//! The metrics of a resident process, which stand beside those of its runs.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::facts::seconds;
use super::metric::Labels;

/// A metric of a resident process that has one value and no labels.
#[derive(Debug)]
pub struct ProcessMetric {
    /// The name without its unit.
    base: &'static str,
    unit: Option<&'static str>,
    /// The meaning, as a clause.
    help: &'static str,
    value: fn(&ProcessFacts) -> Option<f64>,
}

/// Every metric of a resident process with one value; all are gauges.
pub static PROCESS_METRICS: &[ProcessMetric] = &[
    ProcessMetric {
        base: "rebalancer_leader",
        unit: None,
        help: "Whether this process is the leader and runs: 1, or 0 for a standby",
        value: |facts| Some(f64::from(u8::from(facts.leader))),
    },
    ProcessMetric {
        base: "rebalancer_next_run_timestamp",
        unit: Some("seconds"),
        help: "The time of the schedule at which the next run begins, if this process is the leader",
        value: |facts| facts.next_run.map(seconds),
    },
    ProcessMetric {
        base: "rebalancer_config_last_reload_successful",
        unit: None,
        help: "Whether the configuration was valid when it last changed: 1, or 0 if earlier settings apply",
        value: |facts| Some(f64::from(u8::from(facts.config_is_valid))),
    },
    ProcessMetric {
        base: "rebalancer_config_last_reload_success_timestamp",
        unit: Some("seconds"),
        help: "The time at which the settings that apply were read",
        value: |facts| facts.config_read.map(seconds),
    },
];

/// The counter of times of the schedule at which no run began.
pub static MISSED_RUNS: (&str, &str) = (
    "rebalancer_missed_runs",
    "The times of the schedule without a run: a run had not ended, or the process was suspended",
);

/// The histogram of the durations of runs, with the labels of the workload.
pub static RUN_DURATION: (&str, &str) = (
    "rebalancer_run_duration",
    "The durations of the runs of the workload",
);

impl ProcessMetric {
    /// The name of the series, with the unit.
    #[must_use]
    pub fn name(&self) -> String {
        match self.unit {
            Some(unit) => format!("{}_{unit}", self.base),
            None => self.base.to_owned(),
        }
    }

    /// The unit.
    #[must_use]
    pub fn unit(&self) -> Option<&'static str> {
        self.unit
    }

    /// The meaning, as a clause.
    #[must_use]
    pub fn help(&self) -> &'static str {
        self.help
    }
}

/// The facts about a resident process.
#[derive(Debug, Clone, Default)]
pub(super) struct ProcessFacts {
    pub(super) leader: bool,
    pub(super) next_run: Option<Timestamp>,
    pub(super) config_is_valid: bool,
    pub(super) config_read: Option<Timestamp>,
    pub(super) missed_runs: u64,
    /// The durations of the runs of each workload, by its labels.
    pub(super) durations: BTreeMap<Labels, Durations>,
}

/// The upper bounds of the buckets of durations, in seconds. Runs that only look take less than a
/// second, and runs that act take minutes.
const BOUNDS: [f64; 11] = [
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    180.0,
    600.0,
    1800.0,
    f64::INFINITY,
];

/// A histogram of durations.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Durations {
    sum: f64,
    count: u64,
    /// The number of durations in each bucket that are in no lower one.
    buckets: [u64; BOUNDS.len()],
}

impl Durations {
    pub(super) fn observe(&mut self, seconds: f64) {
        self.sum += seconds;
        self.count += 1;
        let bucket = BOUNDS.iter().position(|bound| seconds <= *bound);
        if let Some(count) = bucket.and_then(|index| self.buckets.get_mut(index)) {
            *count += 1;
        }
    }
}

impl Collector for ProcessFacts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for metric in PROCESS_METRICS {
            let Some(value) = (metric.value)(self) else {
                continue;
            };
            let unit = metric.unit.map(|unit| Unit::Other(unit.to_owned()));
            let gauge = MetricType::Gauge;
            encoder
                .encode_descriptor(metric.base, metric.help, unit.as_ref(), gauge)?
                .encode_gauge(&value)?;
        }
        let (name, help) = MISSED_RUNS;
        encoder
            .encode_descriptor(name, help, None, MetricType::Counter)?
            .encode_counter::<NoLabelSet, _, f64>(&self.missed_runs, None)?;
        if self.durations.is_empty() {
            return Ok(());
        }
        let ((name, help), unit) = (RUN_DURATION, Unit::Seconds);
        let mut family =
            encoder.encode_descriptor(name, help, Some(&unit), MetricType::Histogram)?;
        for (labels, durations) in &self.durations {
            let buckets: Vec<(f64, u64)> = BOUNDS.into_iter().zip(durations.buckets).collect();
            let mut series = family.encode_family(labels)?;
            series.encode_histogram::<NoLabelSet>(
                durations.sum,
                durations.count,
                &buckets,
                None,
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duration_is_in_the_lowest_bucket_that_has_it() {
        let mut durations = Durations::default();
        for seconds in [0.1, 0.5, 0.6, 1e9] {
            durations.observe(seconds);
        }
        assert_eq!(durations.buckets[..2], [2, 1]);
        assert_eq!(durations.buckets[BOUNDS.len() - 1], 1);
        assert_eq!((durations.count, durations.sum), (4, 1e9 + 1.2));
    }
}
