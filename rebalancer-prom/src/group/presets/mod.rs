//! The exporters whose metrics of consumer groups are known (`GROUP_METRICS`): one file each.
//!
//! To add an exporter, write a file with its [`Preset`] and its [`GroupMetrics`] constant, and add
//! both to the lists here.

mod consumer;
mod jmx;
mod kafka_exporter;
mod kafka_lag_exporter;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use super::labels::Label;
use crate::envelope::Labels;
use crate::query::SeriesSelection;

/// An exporter whose metrics of consumer groups are known (`GROUP_METRICS`).
#[derive(Clone, Copy)]
pub struct GroupMetrics(&'static Preset);

impl GroupMetrics {
    /// All presets.
    pub const ALL: [Self; 4] = [
        Self::CONSUMER,
        Self::JMX,
        Self::KAFKA_EXPORTER,
        Self::KAFKA_LAG_EXPORTER,
    ];
}

/// The definition of a preset.
pub(super) struct Preset {
    /// The word in `GROUP_METRICS`.
    name: &'static str,
    /// Builds the PromQL for the owners of a group's partitions; `None` if the exporter does not
    /// report owners.
    pub(super) owners: Option<fn(&GroupSelector<'_>) -> String>,
    /// Builds the PromQL for the records that arrive in each partition per second; `None` if the
    /// exporter does not report them.
    pub(super) rates: Option<fn(&RateSelector<'_>) -> String>,
    /// Labels that the exporter spells differently than usual.
    pub(super) label_aliases: &'static [(Label, &'static str)],
    /// Whether the metrics name the group. If not, the owners may be those of other groups as well.
    pub(super) names_group: bool,
    /// The value of the host and of the member id if the group has no members.
    pub(super) no_member: Option<&'static str>,
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
