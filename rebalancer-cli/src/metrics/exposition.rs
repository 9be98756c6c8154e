//! The metrics of several workloads as text.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, prometheus_text, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::facts::WorkloadFacts;
use super::list::METRICS;
use super::metric::{Labels, Metric, MetricKind, workload_labels};
use super::previous::Previous;
use super::process::ProcessFacts;

/// The metrics of several workloads.
#[derive(Debug, Clone, Default)]
pub struct Exposition {
    runs: Arc<Families>,
    /// The process that runs more than once.
    process: Option<Arc<ProcessFacts>>,
}

/// A part of the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All metrics.
    All,
    /// The metrics that describe the last run.
    LastRun,
    /// The metrics whose values outlive a run that has none.
    Kept,
}

impl Part {
    fn has(self, metric: &Metric) -> bool {
        match self {
            Self::All => true,
            Self::LastRun => !metric.kept,
            Self::Kept => metric.kept,
        }
    }
}

impl Exposition {
    /// The metrics of these workloads. Counters go on from the values of `previous`, and kept
    /// values that this run lacks are taken from there.
    #[must_use]
    pub fn new(workloads: &[WorkloadFacts<'_>], part: Part, previous: &Previous) -> Self {
        let families: Vec<Family> = METRICS
            .iter()
            .filter(|metric| part.has(metric))
            .map(|metric| Family::new(metric, workloads, previous))
            .filter(|family| !family.samples.is_empty())
            .collect();
        Self {
            runs: Arc::new(Families(families)),
            process: None,
        }
    }

    /// Adds the metrics of a resident process.
    pub(super) fn with_process(self, process: Arc<ProcessFacts>) -> Self {
        Self {
            process: Some(process),
            ..self
        }
    }

    /// Whether no workload has a sample.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.0.is_empty()
    }

    /// The exposition in the OpenMetrics text format.
    #[must_use]
    pub fn openmetrics(&self) -> String {
        let mut exposition = String::new();
        // Writing to a string cannot fail.
        let _ = text::encode(&mut exposition, &self.registry());
        exposition
    }

    /// The exposition in the Prometheus text format, which the textfile collector and the
    /// Pushgateway read. They would take a counter in the OpenMetrics format for a metric without a
    /// type.
    #[must_use]
    pub fn prometheus_text(&self) -> String {
        let mut exposition = String::new();
        // Writing to a string cannot fail.
        let _ = prometheus_text::encode(&mut exposition, &self.registry());
        exposition
    }

    fn registry(&self) -> Registry {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Arc::clone(&self.runs)));
        if let Some(process) = &self.process {
            registry.register_collector(Box::new(Arc::clone(process)));
        }
        registry
    }
}

/// A metric with its samples.
#[derive(Debug)]
struct Family {
    metric: &'static Metric,
    samples: Vec<(Labels, f64)>,
}

impl Family {
    fn new(metric: &'static Metric, workloads: &[WorkloadFacts<'_>], previous: &Previous) -> Self {
        let name = metric.name();
        let mut samples = Vec::new();
        for facts in workloads {
            let of_workload = workload_labels(facts);
            let own = (metric.samples)(facts);
            if own.is_empty() && metric.kept {
                let kept = previous.value(&name, &of_workload);
                samples.extend(kept.map(|value| (of_workload.clone(), value)));
            }
            for sample in own {
                let mut labels = of_workload.clone();
                let own = sample.labels.into_iter();
                labels.extend(own.map(|(label, word)| (label, word.to_owned())));
                let before = match metric.kind {
                    MetricKind::Counter => previous.value(&name, &labels),
                    MetricKind::Gauge => None,
                };
                samples.push((labels, sample.value + before.unwrap_or(0.0).max(0.0)));
            }
        }
        Self { metric, samples }
    }
}

/// The metrics of an exposition, in order.
#[derive(Debug, Default)]
struct Families(Vec<Family>);

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for Family { metric, samples } in &self.0 {
            let kind = match metric.kind {
                MetricKind::Gauge => MetricType::Gauge,
                MetricKind::Counter => MetricType::Counter,
            };
            let unit = metric.unit.map(|unit| Unit::Other(unit.to_owned()));
            let mut family =
                encoder.encode_descriptor(metric.base, metric.help, unit.as_ref(), kind)?;
            for (labels, value) in samples {
                let mut series = family.encode_family(labels)?;
                match metric.kind {
                    MetricKind::Gauge => series.encode_gauge(value)?,
                    MetricKind::Counter => {
                        series.encode_counter::<NoLabelSet, _, f64>(value, None)?;
                    }
                }
            }
        }
        Ok(())
    }
}
