//! The settings for the consumer group, and its queries.

use std::time::Duration;

use super::owners::OwnerRules;
use super::presets::{
    GroupMetrics, GroupSelector, OffsetSeries, OwnerSeries, Preset, RateSelector,
};
use crate::literal::{regex_literal, string_literal};
use crate::query::{SeriesSelection, duration};

/// The source of the consumer group in the metrics.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupQueries {
    /// `GROUP_ID`.
    pub group_id: Option<String>,
    /// `GROUP_METRICS`: the first preset with owners and the first preset with rates are used.
    pub metrics: Vec<GroupMetrics>,
    /// `GROUP_ASSIGNMENT_QUERY`: PromQL that returns one sample for each partition and its owner,
    /// with the labels `topic`, `partition` (or `topic_name`, `partition_id`) and one of `pod`,
    /// `member_host`, `client_id`. If all values are 0 or 1, 0 means that the partition is no
    /// longer owned; otherwise each sample means an owner. Sent verbatim, instead of the query of
    /// `metrics`.
    pub assignment_query: Option<String>,
    /// `GROUP_RATE_QUERY`: PromQL that returns what arrives in each partition per second, with the
    /// labels `topic` and `partition`. Sent verbatim, instead of the query of `metrics`.
    pub rate_query: Option<String>,
    /// `COOLDOWN`: the age of the owners that the current owners are compared with.
    pub cooldown: Duration,
}

impl GroupQueries {
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
        let (_, owners) = self.owner_series()?;
        Some((owners.query)(&GroupSelector {
            id: &id,
            pods: &pods,
            series,
        }))
    }

    /// The first preset with owners.
    fn owner_series(&self) -> Option<(&'static Preset, &'static OwnerSeries)> {
        let mut presets = self.metrics.iter().map(|metrics| metrics.definition());
        presets.find_map(|preset| Some((preset, preset.owners.as_ref()?)))
    }

    /// The rules by which the samples of the owner query are read.
    pub(crate) fn owner_rules(&self) -> OwnerRules {
        match self.owner_series() {
            Some((preset, owners)) if self.assignment_query.is_none() => OwnerRules {
                value: owners.value,
                reports_unowned: preset.reports_unowned,
                names_group: preset.names_group,
            },
            Some(_) | None => OwnerRules::CUSTOM,
        }
    }

    /// Whether the owners may be those of other groups as well, because the metrics do not name
    /// the group.
    pub(crate) fn sees_other_groups(&self) -> bool {
        let of_preset = self.owner_series();
        self.assignment_query.is_none() && of_preset.is_some_and(|(preset, _)| !preset.names_group)
    }

    /// Returns the query for the rates; `None` if no setting says how to find them.
    #[must_use]
    pub fn rate(&self, series: &SeriesSelection, window: Duration) -> Option<String> {
        if let Some(query) = &self.rate_query {
            return Some(query.clone());
        }
        Some(self.offset_series()?.query(&RateSelector {
            window: &duration(window),
            series,
        }))
    }

    /// Returns the query for every series about the offset of one partition; `None` if the rates
    /// are those of the operator's own query.
    pub(crate) fn offsets_of(
        &self,
        series: &SeriesSelection,
        topic: &str,
        partition: u32,
    ) -> Option<String> {
        let offsets = self.offset_series().filter(|_| self.rate_query.is_none())?;
        Some(offsets.of_partition(series, topic, partition))
    }

    /// The series of the first preset with rates.
    fn offset_series(&self) -> Option<&'static OffsetSeries> {
        let mut presets = self.metrics.iter().map(|metrics| metrics.definition());
        presets.find_map(|preset| preset.offsets.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::LabelNames;
    use rstest::rstest;

    fn source(metrics: &[GroupMetrics]) -> GroupQueries {
        GroupQueries {
            group_id: Some("or\"ders".into()),
            metrics: metrics.to_vec(),
            ..GroupQueries::default()
        }
    }

    const CURRENT_OFFSET_RATES: &str = "max by (topic, partition) \
        (rate(kafka_topic_partition_current_offset[5m])) or \
        label_replace(max by (topic, partition) (resets(kafka_topic_partition_current_offset[5m])), \
        \"rebalancer_statistic\", \"resets\", \"\", \"\") or \
        label_replace(max by (topic, partition) (kafka_topic_partition_current_offset) - \
        min by (topic, partition) (kafka_topic_partition_current_offset), \
        \"rebalancer_statistic\", \"spread\", \"\", \"\")";
    const LATEST_OFFSET_RATES: &str = "max by (cluster_name, topic, partition) \
        (rate(kafka_partition_latest_offset[5m])) or \
        label_replace(max by (cluster_name, topic, partition) \
        (resets(kafka_partition_latest_offset[5m])), \
        \"rebalancer_statistic\", \"resets\", \"\", \"\") or \
        label_replace(max by (cluster_name, topic, partition) (kafka_partition_latest_offset) - \
        min by (cluster_name, topic, partition) (kafka_partition_latest_offset), \
        \"rebalancer_statistic\", \"spread\", \"\", \"\")";

    #[rstest]
    #[case(
        &[GroupMetrics::CONSUMER],
        Some(r#"max by (topic, partition, topic_name, partition_id, pod, client_id, member_id, group_instance_id) (kafka_consumer_assignment{group_id="or\"ders"})"#),
        None
    )]
    #[case(
        &[GroupMetrics::JMX, GroupMetrics::KAFKA_EXPORTER],
        Some(r#"count by (topic, partition, pod, client_id) (kafka_consumer_consumer_fetch_manager_metrics_preferred_read_replica{namespace="ns",pod=~"my\\.app-.+"})"#),
        Some(CURRENT_OFFSET_RATES)
    )]
    #[case(
        &[GroupMetrics::MICROMETER],
        Some(r#"count by (topic, partition, pod, client_id) (kafka_consumer_fetch_manager_preferred_read_replica{namespace="ns",pod=~"my\\.app-.+"})"#),
        None
    )]
    #[case(
        &[GroupMetrics::KLAG_EXPORTER],
        Some(r#"count by (cluster_name, topic, partition, member_host, consumer_id, client_id) (kafka_consumergroup_group_lag{group="or\"ders"})"#),
        Some(LATEST_OFFSET_RATES)
    )]
    #[case(
        &[GroupMetrics::KAFKA_LAG_EXPORTER],
        Some(r#"count by (cluster_name, topic, partition, member_host, consumer_id, client_id) (kafka_consumergroup_group_lag{group="or\"ders"})"#),
        Some(LATEST_OFFSET_RATES)
    )]
    #[case(
        &[GroupMetrics::KAFKA_EXPORTER],
        None,
        Some(CURRENT_OFFSET_RATES)
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
                let selectors = query.matches("kafka_").count();
                assert_eq!(
                    query.matches(r#"cluster="eu"}"#).count(),
                    selectors,
                    "{query}"
                );
                let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                let own = words.filter(|word| matches!(*word, "pod" | "namespace"));
                assert_eq!(own.count(), 0, "{query}");
            }
        }
    }

    #[test]
    fn custom_queries_precede_presets() {
        let own = GroupQueries {
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
        let source = GroupQueries {
            assignment_query: own.map(str::to_owned),
            ..source(metrics)
        };
        assert_eq!(source.sees_other_groups(), sees_other_groups);
    }
}
