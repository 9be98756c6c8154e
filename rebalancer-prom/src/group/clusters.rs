//! Messages about several Kafka clusters behind one metric name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::labels::Label;
use super::owners::OwnerRules;
use crate::error::PromError;
use crate::literal::{regex_literal, string_literal};
use crate::response::QueryResponse;

/// The maximum number of values of a label in a message.
const VALUES: usize = 4;

/// Labels that separate the replicas of one exporter rather than Kafka clusters.
const REPLICA_LABELS: [&str; 9] = [
    "instance",
    "pod",
    "pod_name",
    "job",
    "endpoint",
    "service",
    "container",
    "node",
    "replica",
];

/// The remedy: a matcher that selects one of the values of a label. The matcher is part of every
/// query, so it also selects series without the label, such as those of the pods' loads.
fn matcher(label: &str, value: &str) -> String {
    let value = string_literal(&format!("|{}", regex_literal(value)));
    format!("PROMETHEUS_MATCHERS='{label}=~{value}'")
}

/// The message for members of one group in several clusters.
pub(super) fn of_group(clusters: &BTreeSet<String>, rules: OwnerRules) -> String {
    let remedy = match clusters.first() {
        Some(first) if !rules.is_custom() => {
            format!("select one with {}", matcher(Label::Cluster.name(), first))
        }
        Some(_) | None => "select one in GROUP_ASSIGNMENT_QUERY".to_owned(),
    };
    format!(
        "the group exists in the Kafka clusters {}: {remedy}",
        listed(clusters)
    )
}

/// The message for topics that exist in several clusters.
pub(super) fn of_topics(clusters: &BTreeSet<String>) -> String {
    let label = Label::Cluster.name();
    let remedy = clusters.first().map_or_else(String::new, |first| {
        format!(": select one with {}", matcher(label, first))
    });
    format!(
        "the topics of the group exist in the Kafka clusters {}, and the owners do not name theirs\
         {remedy}",
        listed(clusters)
    )
}

fn listed(values: &BTreeSet<String>) -> String {
    let shown: Vec<&str> = values.iter().take(VALUES).map(String::as_str).collect();
    match values.len().checked_sub(VALUES) {
        None | Some(0) => shown.join(", "),
        Some(more) => format!("{} and {more} more", shown.join(", ")),
    }
}

/// A partition whose series report offsets that cannot be those of one partition.
#[derive(Debug)]
pub(crate) struct Dispute {
    topic: String,
    partition: u32,
    spread: f64,
    /// The labels in which the series differ, with their values. Labels of replicas come last.
    differing: Vec<(String, BTreeSet<String>)>,
}

impl Dispute {
    /// The dispute about a partition. The labels in which its series differ are unknown.
    pub(crate) fn new((topic, partition, spread): (&str, u32, f64)) -> Self {
        Self {
            topic: topic.to_owned(),
            partition,
            spread,
            differing: Vec::new(),
        }
    }

    /// Reads the labels in which the series of the partition differ.
    pub(crate) fn read_labels(&mut self, response: &QueryResponse) -> Result<(), PromError> {
        let series = response.samples()?.samples;
        let mut values: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for (name, _) in series.iter().flat_map(|sample| sample.labels.iter()) {
            values.entry(name).or_default();
        }
        for (name, values) in &mut values {
            let of_series = series.iter().map(|sample| sample.labels.get(name));
            values.extend(of_series.map(|value| response.without_secrets(value.unwrap_or(""))));
        }
        let differing = values.into_iter().filter(|(_, values)| values.len() > 1);
        self.differing = differing
            .map(|(name, values)| (response.without_secrets(name), values))
            .collect();
        self.differing
            .sort_by_key(|(name, _)| REPLICA_LABELS.contains(&name.as_str()));
        Ok(())
    }
}

impl fmt::Display for Dispute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            topic,
            partition,
            spread,
            differing,
        } = self;
        write!(
            f,
            "the series of partition {topic}-{partition} report offsets that are {spread:.0} apart, \
             more than its traffic explains: they belong to several Kafka clusters, or an exporter \
             has stopped"
        )?;
        for (index, (label, values)) in differing.iter().take(2).enumerate() {
            let start = if index == 0 {
                "; they differ in"
            } else {
                " and"
            };
            write!(f, "{start} {label} ({})", listed(values))?;
        }
        let value = differing.first().and_then(|(label, values)| {
            let value = values.iter().find(|value| !value.is_empty())?;
            Some(matcher(label, value))
        });
        match value {
            Some(matcher) => write!(f, ": select one, for example with {matcher}"),
            None => f.write_str(": select one in GROUP_RATE_QUERY"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn values(values: &[&str]) -> BTreeSet<String> {
        values.iter().map(ToString::to_string).collect()
    }

    #[rstest]
    #[case::cluster(
        &[("cluster", ["eu", "us"]), ("instance", ["a:9308", "b:9308"])],
        "; they differ in cluster (eu, us) and instance (a:9308, b:9308): select one, for example \
         with PROMETHEUS_MATCHERS='cluster=~\"|eu\"'"
    )]
    #[case::label_that_one_lacks(
        &[("env", ["", "prod"])],
        "; they differ in env (, prod): select one, for example with \
         PROMETHEUS_MATCHERS='env=~\"|prod\"'"
    )]
    #[case::unknown(&[], ": select one in GROUP_RATE_QUERY")]
    fn dispute_names_the_labels_and_a_matcher(
        #[case] differing: &[(&str, [&str; 2])],
        #[case] ending: &str,
    ) {
        let mut dispute = Dispute::new(("orders", 3, 5_000.4));
        let differing = differing.iter();
        dispute.differing = differing
            .map(|(label, of)| ((*label).to_owned(), values(of)))
            .collect();
        let message = dispute.to_string();
        assert!(
            message.contains("partition orders-3 report offsets that are 5000 apart"),
            "{message}"
        );
        assert!(message.ends_with(ending), "{message}");
    }

    #[test]
    fn group_in_several_clusters_names_a_matcher() {
        let clusters = values(&["one", "two"]);
        let preset = OwnerRules {
            value: crate::group::presets::OwnerValue::Any,
            ..OwnerRules::CUSTOM
        };
        assert_eq!(
            of_group(&clusters, preset),
            "the group exists in the Kafka clusters one, two: select one with \
             PROMETHEUS_MATCHERS='cluster_name=~\"|one\"'"
        );
        let custom = of_group(&clusters, OwnerRules::CUSTOM);
        assert!(
            custom.ends_with("select one in GROUP_ASSIGNMENT_QUERY"),
            "{custom}"
        );
    }

    #[test]
    fn matcher_quotes_the_value() {
        assert_eq!(
            matcher("bootstrap", "kafka-1.eu:9092"),
            r#"PROMETHEUS_MATCHERS='bootstrap=~"|kafka-1\\.eu:9092"'"#
        );
    }

    #[test]
    fn long_lists_are_shortened() {
        assert_eq!(
            listed(&values(&["a", "b", "c", "d", "e", "f"])),
            "a, b, c, d and 2 more"
        );
    }
}
