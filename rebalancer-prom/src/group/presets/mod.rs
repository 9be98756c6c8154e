//! The exporters whose metrics of consumer groups are known (`GROUP_METRICS`): one file each.
//!
//! To add an exporter, write a file with its [`Preset`] and its [`GroupMetrics`] constant, and add
//! both to the lists here.

mod consumer;
mod jmx;
mod kafka_exporter;
mod kafka_lag_exporter;
mod klag_exporter;
mod micrometer;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use super::labels::Label;
use crate::envelope::Labels;
use crate::literal::string_literal;
use crate::query::SeriesSelection;

/// An exporter whose metrics of consumer groups are known (`GROUP_METRICS`).
#[derive(Clone, Copy)]
pub struct GroupMetrics(&'static Preset);

impl GroupMetrics {
    /// All presets.
    pub const ALL: [Self; 6] = [
        Self::CONSUMER,
        Self::JMX,
        Self::MICROMETER,
        Self::KAFKA_EXPORTER,
        Self::KAFKA_LAG_EXPORTER,
        Self::KLAG_EXPORTER,
    ];
}

/// The definition of a preset.
pub(super) struct Preset {
    /// The word in `GROUP_METRICS`.
    name: &'static str,
    /// The series about the owners of partitions; `None` if the exporter does not report owners.
    pub(super) owners: Option<OwnerSeries>,
    /// The series about the offsets of partitions; `None` if the exporter does not report them.
    pub(super) offsets: Option<OffsetSeries>,
    /// Labels that the exporter spells differently than usual.
    pub(super) label_aliases: &'static [(Label, &'static str)],
    /// Whether the metrics name the group. If not, the owners may be those of other groups, and
    /// consumers without a group.
    pub(super) names_group: bool,
    /// Whether a partition without an owner has a sample, whose labels of the member are `unknown`
    /// or empty.
    pub(super) reports_unowned: bool,
}

/// The series from which the owners of partitions are read.
pub(super) struct OwnerSeries {
    /// Builds the PromQL for the owners of a group's partitions.
    pub(super) query: fn(&GroupSelector<'_>) -> String,
    /// The meaning of a sample's value.
    pub(super) value: OwnerValue,
}

/// The meaning of the value of a sample about an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OwnerValue {
    /// 0 means that the member no longer owns the partition.
    Flag,
    /// Each sample means an owner, whatever its value is.
    Any,
    /// One of the two, which the values of all samples show. For a query of the operator.
    Inferred,
}

/// The series from which the rates of partitions are computed: the offset of the next record.
pub(super) struct OffsetSeries {
    /// The name of the metric.
    pub(super) metric: &'static str,
    /// The labels that identify a partition.
    pub(super) labels: &'static str,
}

/// The label that separates the statistics in the response to the rate query.
pub(super) const STATISTIC: &str = "rebalancer_statistic";

/// The value of [`STATISTIC`] for how often an offset went back within the window.
pub(super) const RESETS: &str = "resets";

/// The value of [`STATISTIC`] for the difference between the offsets that several series report
/// for one partition.
pub(super) const SPREAD: &str = "spread";

impl OffsetSeries {
    /// Returns the PromQL for the records that arrive in each partition per second, together with
    /// the statistics that show whether the rate can be trusted. One query for all of them, so that
    /// they belong to the same instant.
    ///
    /// Takes the maximum, because two exporters that watch the same cluster report the same rate.
    pub(super) fn query(&self, rates: &RateSelector<'_>) -> String {
        let labels = self.labels;
        let (offsets, window) = (rates.series.of(self.metric, ""), rates.window);
        let labelled = |statistic: &str, vector: &str| {
            format!("label_replace({vector}, \"{STATISTIC}\", \"{statistic}\", \"\", \"\")")
        };
        let resets = format!("max by ({labels}) (resets({offsets}[{window}]))");
        let spread = format!("max by ({labels}) ({offsets}) - min by ({labels}) ({offsets})");
        format!(
            "max by ({labels}) (rate({offsets}[{window}])) or {} or {}",
            labelled(RESETS, &resets),
            labelled(SPREAD, &spread)
        )
    }

    /// Returns the PromQL for every series of one partition.
    pub(super) fn of_partition(
        &self,
        series: &SeriesSelection,
        topic: &str,
        partition: u32,
    ) -> String {
        let topic = string_literal(topic);
        series.of(
            self.metric,
            &format!("topic={topic},partition=\"{partition}\""),
        )
    }
}

/// The series of one group.
pub(super) struct GroupSelector<'a> {
    /// The id of the group, as a PromQL string literal.
    pub(super) id: &'a str,
    /// Label matchers that select the workload's pods.
    pub(super) pods: &'a str,
    /// The operator's matchers, and the names of labels.
    pub(super) series: &'a SeriesSelection,
}

/// The rates of one window.
pub(super) struct RateSelector<'a> {
    /// The window, such as `5m`.
    pub(super) window: &'a str,
    /// The operator's matchers.
    pub(super) series: &'a SeriesSelection,
}

impl GroupMetrics {
    /// Returns the word in `GROUP_METRICS`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.0.name
    }

    pub(super) fn definition(self) -> &'static Preset {
        self.0
    }
}

/// Returns the value of a label in its usual spelling, or in that of any preset. The operator's own
/// queries may use each of them.
pub(super) fn label_value<'a>(label: Label, labels: &'a Labels<'_>) -> Option<&'a str> {
    let presets = GroupMetrics::ALL.iter();
    let aliases = presets.flat_map(|preset| preset.definition().label_aliases);
    let mut aliases = aliases.filter(|(aliased, _)| *aliased == label);
    let usual = labels.get(label.name());
    usual.or_else(|| aliases.find_map(|(_, alias)| labels.get(alias)))
}

impl PartialEq for GroupMetrics {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for GroupMetrics {}

impl Hash for GroupMetrics {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for GroupMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GroupMetrics({})", self.as_str())
    }
}

impl fmt::Display for GroupMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for GroupMetrics {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL
            .into_iter()
            .find(|preset| preset.as_str().eq_ignore_ascii_case(text.trim()));
        found.ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            format!("`{text}` is not one of {known}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preset_is_parsed_from_its_name_in_any_case() {
        for preset in GroupMetrics::ALL {
            assert_eq!(preset.as_str().to_uppercase().parse(), Ok(preset));
        }
        let error = "burrow".parse::<GroupMetrics>().unwrap_err();
        assert!(error.contains("kafka-lag-exporter"), "{error}");
    }
}
