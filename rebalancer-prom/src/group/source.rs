//! The settings for the consumer group, and its queries.

use std::time::Duration;

use super::presets::{GroupMetrics, GroupSelector, RateSelector};
use crate::literal::{regex_literal, string_literal};
use crate::query::{SeriesSelection, duration};

/// The source of the consumer group in the metrics.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupSource {
    /// `GROUP_ID`.
    pub group_id: Option<String>,
    /// `GROUP_METRICS`: the first preset with owners and the first preset with rates are used.
    pub metrics: Vec<GroupMetrics>,
    /// `GROUP_ASSIGNMENT_QUERY`: PromQL that returns one sample for each partition and its owner,
    /// with the labels `topic`, `partition` (or `topic_name`, `partition_id`) and one of `pod`,
    /// `member_host`, `client_id`. The value 0 means that the partition is no longer owned. Sent
    /// verbatim, instead of the query of `metrics`.
    pub assignment_query: Option<String>,
    /// `GROUP_RATE_QUERY`: PromQL that returns what arrives in each partition per second, with the
    /// labels `topic` and `partition`. Sent verbatim, instead of the query of `metrics`.
    pub rate_query: Option<String>,
    /// `COOLDOWN`: the age of the owners that the current owners are compared with.
    pub cooldown: Duration,
}

impl GroupSource {
    /// Returns the query for the owners; `None` if no setting says how to find them.
    #[must_use]
    pub fn assignment(
        &self,
        series: &SeriesSelection,
        namespace: &str,
        workload: &str,
    ) -> Option<String> {
        if let Some(query) = &self.assignment_query {
            return Some(query.clone());
        }
        let id = string_literal(self.group_id.as_deref()?);
        // The names of the pods of a Deployment and of a StatefulSet begin with its name. Both
        // servers anchor regular expressions.
        let labels = &series.labels;
        let pods = format!(
            "{}={},{}=~{}",
            labels.namespace,
            string_literal(namespace),
            labels.pod,
            string_literal(&format!("{}-.+", regex_literal(workload)))
        );
        let owners = self.metrics.iter().find_map(|m| m.definition().owners)?;
        Some(owners(&GroupSelector {
            id: &id,
            pods: &pods,
            series,
        }))
    }

    /// Whether the owners may be those of other groups as well, because the metrics do not name
    /// the group.
    pub(crate) fn sees_other_groups(&self) -> bool {
        let mut presets = self.metrics.iter().map(|metrics| metrics.definition());
        let assigning = presets.find(|preset| preset.owners.is_some());
        self.assignment_query.is_none() && assigning.is_some_and(|preset| !preset.names_group)
    }

    /// Returns the query for the rates; `None` if no setting says how to find them.
    #[must_use]
    pub fn rate(&self, series: &SeriesSelection, window: Duration) -> Option<String> {
        if let Some(query) = &self.rate_query {
            return Some(query.clone());
        }
        let rates = self.metrics.iter().find_map(|m| m.definition().rates)?;
        Some(rates(&RateSelector {
            window: &duration(window),
            series,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::LabelNames;
    use rstest::rstest;

    fn source(metrics: &[GroupMetrics]) -> GroupSource {
        GroupSource {
            group_id: Some("or\"ders".into()),
            metrics: metrics.to_vec(),
            ..GroupSource::default()
        }
    }

    #[rstest]
    #[case(
        &[GroupMetrics::CONSUMER],
        Some(r#"max by (topic, partition, topic_name, partition_id, pod, client_id, member_id, group_instance_id) (kafka_consumer_assignment{group_id="or\"ders"})"#),
        None
    )]
    #[case(
        &[GroupMetrics::JMX, GroupMetrics::KAFKA_EXPORTER],
        Some(r#"count by (topic, partition, pod, client_id) (kafka_consumer_consumer_fetch_manager_metrics_preferred_read_replica{namespace="ns",pod=~"my\\.app-.+"})"#),
        Some("max by (topic, partition) (rate(kafka_topic_partition_current_offset[5m]))")
    )]
    #[case(
        &[GroupMetrics::KAFKA_LAG_EXPORTER],
        Some(r#"count by (cluster_name, topic, partition, member_host, consumer_id, client_id) (kafka_consumergroup_group_lag{group="or\"ders"})"#),
        Some("max by (cluster_name, topic, partition) (rate(kafka_partition_latest_offset[5m]))")
    )]
    #[case(
        &[GroupMetrics::KAFKA_EXPORTER],
        None,
        Some("max by (topic, partition) (rate(kafka_topic_partition_current_offset[5m]))")
    )]
    #[case(&[], None, None)]
    fn presets_define_the_queries(
        #[case] metrics: &[GroupMetrics],
        #[case] assignment: Option<&str>,
        #[case] rate: Option<&str>,
    ) {
        let source = source(metrics);
        let series = SeriesSelection::default();
        assert_eq!(
            source.assignment(&series, "ns", "my.app").as_deref(),
            assignment
        );
        assert_eq!(
            source.rate(&series, Duration::from_secs(300)).as_deref(),
            rate
        );
    }

    #[test]
    fn every_preset_has_the_matchers_and_the_names_of_labels() {
        let series = SeriesSelection {
            labels: LabelNames {
                pod: "exported_pod".parse().unwrap(),
                namespace: "exported_namespace".parse().unwrap(),
                ..LabelNames::default()
            },
            matchers: r#"cluster="eu""#.parse().unwrap(),
        };
        for preset in GroupMetrics::ALL {
            let source = source(&[preset]);
            let queries = [
                source.assignment(&series, "ns", "app"),
                source.rate(&series, Duration::from_secs(300)),
            ];
            for query in queries.into_iter().flatten() {
                assert_eq!(query.matches(r#"cluster="eu"}"#).count(), 1, "{query}");
                let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                let own = words.filter(|word| matches!(*word, "pod" | "namespace"));
                assert_eq!(own.count(), 0, "{query}");
            }
        }
    }

    #[test]
    fn custom_queries_precede_presets() {
        let own = GroupSource {
            assignment_query: Some("owners".into()),
            rate_query: Some("rates".into()),
            group_id: None,
            ..source(&GroupMetrics::ALL)
        };
        let series = SeriesSelection {
            matchers: r#"cluster="eu""#.parse().unwrap(),
            ..SeriesSelection::default()
        };
        assert_eq!(
            own.assignment(&series, "ns", "app").as_deref(),
            Some("owners")
        );
        assert_eq!(
            own.rate(&series, Duration::from_secs(1)).as_deref(),
            Some("rates")
        );
    }

    #[rstest]
    #[case(&[GroupMetrics::JMX], None, true)]
    #[case(&[GroupMetrics::KAFKA_EXPORTER, GroupMetrics::JMX], None, true)]
    #[case(&[GroupMetrics::CONSUMER, GroupMetrics::JMX], None, false)]
    #[case(&[GroupMetrics::JMX], Some("owners"), false)]
    fn only_the_java_client_does_not_name_the_group(
        #[case] metrics: &[GroupMetrics],
        #[case] own: Option<&str>,
        #[case] sees_other_groups: bool,
    ) {
        let source = GroupSource {
            assignment_query: own.map(str::to_owned),
            ..source(metrics)
        };
        assert_eq!(source.sees_other_groups(), sees_other_groups);
    }
}
