//! The definition of a metric.

use super::facts::WorkloadFacts;

/// The labels that identify the workload. Every metric has them: two CronJobs on one node may write
/// their files into one directory, whose reader refuses a series that occurs twice.
pub const WORKLOAD_LABELS: [&str; 3] = ["workload_namespace", "workload_kind", "workload_name"];

/// The labels of a series, in order.
pub(super) type Labels = Vec<(&'static str, String)>;

/// The labels of a workload.
pub(super) fn workload_labels(facts: &WorkloadFacts<'_>) -> Labels {
    let workload = facts.workload();
    let values = [&workload.namespace, &workload.kind, &workload.name];
    let pairs = WORKLOAD_LABELS.into_iter().zip(values);
    pairs.map(|(label, value)| (label, value.clone())).collect()
}

/// A metric of a workload.
#[derive(Debug)]
pub struct Metric {
    /// The name without its unit and the suffix `_total`.
    pub(super) base: &'static str,
    /// The unit, which is the end of the name.
    pub(super) unit: Option<&'static str>,
    /// Whether the metric is a gauge or a counter.
    pub(super) kind: MetricKind,
    /// The labels in addition to [`WORKLOAD_LABELS`].
    pub(super) labels: &'static [&'static str],
    /// The meaning, as a clause.
    pub(super) help: &'static str,
    /// Whether the value outlives a run that has none.
    pub(super) kept: bool,
    /// The samples. Without any, the metric is absent.
    pub(super) samples: fn(&WorkloadFacts<'_>) -> Vec<Sample>,
}

/// The type of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// A value that describes the last run.
    Gauge,
    /// A number of occurrences since the first run.
    Counter,
}

/// A value with its own labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The labels in addition to those of the workload. The values are words of the program, so
    /// their number is bounded.
    pub(super) labels: Vec<(&'static str, &'static str)>,
    /// The value.
    pub(super) value: f64,
}

impl Metric {
    /// The name of the series: with the unit, and with `_total` for a counter.
    #[must_use]
    pub fn name(&self) -> String {
        let total = match self.kind {
            MetricKind::Counter => "_total",
            MetricKind::Gauge => "",
        };
        match self.unit {
            Some(unit) => format!("{}_{unit}{total}", self.base),
            None => format!("{}{total}", self.base),
        }
    }

    /// Whether the metric is a gauge or a counter.
    #[must_use]
    pub fn kind(&self) -> MetricKind {
        self.kind
    }

    /// The unit.
    #[must_use]
    pub fn unit(&self) -> Option<&'static str> {
        self.unit
    }

    /// The labels in addition to [`WORKLOAD_LABELS`].
    #[must_use]
    pub fn labels(&self) -> &'static [&'static str] {
        self.labels
    }

    /// The meaning, as a clause.
    #[must_use]
    pub fn help(&self) -> &'static str {
        self.help
    }

    /// Whether the value of an earlier run stays if this run has none.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.kept
    }
}

impl Sample {
    /// The samples of a metric without own labels; none for an unknown value.
    pub(super) fn one(value: Option<f64>) -> Vec<Self> {
        let value = value.filter(|value| value.is_finite());
        let sample = value.map(|value| Self {
            labels: Vec::new(),
            value,
        });
        sample.into_iter().collect()
    }

    /// One sample for each known value of a label.
    pub(super) fn each(
        label: &'static str,
        values: impl IntoIterator<Item = (&'static str, Option<f64>)>,
    ) -> Vec<Self> {
        let known = values.into_iter().filter_map(|(word, value)| {
            let value = value.filter(|value| value.is_finite())?;
            Some(Self {
                labels: vec![(label, word)],
                value,
            })
        });
        known.collect()
    }

    /// One sample for each word: 1 for `current`, 0 for the others. All words are present in every
    /// exposition, because a query with a look-back would still see a series that has ended as 1.
    pub(super) fn state(
        label: &'static str,
        words: impl IntoIterator<Item = &'static str>,
        current: Option<&'static str>,
    ) -> Vec<Self> {
        let states = words.into_iter().map(|word| {
            let value = if current == Some(word) { 1.0 } else { 0.0 };
            (word, Some(value))
        });
        Self::each(label, states)
    }
}
