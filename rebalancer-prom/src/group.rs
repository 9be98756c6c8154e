//! The consumer group: what is asked, and what becomes of the answers.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rebalancer_core::model::{Rate, SampleFault};
use rebalancer_core::ports::{GroupObservation, MemberLabels, OwnerSample, RateSample};

use crate::envelope::Labels;
use crate::error::PromError;
use crate::query::{duration, string};
use crate::transport::{Answer, Samples};

/// An exporter whose metrics of consumer groups are known (`GROUP_METRICS`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GroupMetrics {
    /// Consumers that export their own assignment: `kafka_consumer_assignment{topic, partition,
    /// pod, group_id}`, 1 for each partition that they own. Owners only.
    Consumer,
    /// The Java client's metrics through the Prometheus JMX exporter with its default format:
    /// `kafka_consumer_consumer_fetch_manager_metrics_records_lag{topic, partition, client_id}`,
    /// of each consumer for the partitions that it owns. Owners only.
    Jmx,
    /// danielqsj's kafka_exporter: `kafka_topic_partition_current_offset{topic, partition}`. Rates
    /// only: it counts members and does not say who owns what.
    KafkaExporter,
    /// seglo's kafka-lag-exporter: `kafka_consumergroup_group_lag{group, topic, partition,
    /// member_host, consumer_id, client_id}` and `kafka_partition_latest_offset{topic,
    /// partition}`. Owners and rates.
    KafkaLagExporter,
}

impl GroupMetrics {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Consumer,
        Self::Jmx,
        Self::KafkaExporter,
        Self::KafkaLagExporter,
    ];

    /// Its word in `GROUP_METRICS`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Consumer => "consumer",
            Self::Jmx => "jmx",
            Self::KafkaExporter => "kafka-exporter",
            Self::KafkaLagExporter => "kafka-lag-exporter",
        }
    }

    /// PromQL for the owners of a group's partitions. Counting makes a sample of each series,
    /// whatever its value is: an owner without any lag is one as well.
    fn assignment(self, group: &str, pods: &str) -> Option<String> {
        let id = string(group);
        match self {
            Self::Consumer => Some(format!(
                "max by (topic, partition, pod, client_id, member_id, group_instance_id) \
                 (kafka_consumer_assignment{{group_id={id}}})"
            )),
            // The client does not say which group it is in: the workload's pods tell.
            Self::Jmx => Some(format!(
                "count by (topic, partition, pod, client_id) \
                 (kafka_consumer_consumer_fetch_manager_metrics_records_lag{{{pods}}})"
            )),
            Self::KafkaExporter => None,
            Self::KafkaLagExporter => Some(format!(
                "count by (topic, partition, member_host, consumer_id, client_id) \
                 (kafka_consumergroup_group_lag{{group={id}}})"
            )),
        }
    }

    /// PromQL for what arrives in each partition, in records per second.
    fn rate(self, window: Duration) -> Option<String> {
        let window = duration(window);
        let of = |metric: &str| {
            Some(format!(
                "max by (topic, partition) (rate({metric}[{window}]))"
            ))
        };
        match self {
            Self::Consumer | Self::Jmx => None,
            Self::KafkaExporter => of("kafka_topic_partition_current_offset"),
            Self::KafkaLagExporter => of("kafka_partition_latest_offset"),
        }
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
            let known: Vec<&str> = Self::ALL.into_iter().map(Self::as_str).collect();
            format!("`{text}` is not one of {}", known.join(", "))
        })
    }
}

/// Where the consumer group is found in the metrics.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupSource {
    /// `GROUP_ID`.
    pub group_id: Option<String>,
    /// `GROUP_METRICS`: of several the first that has owners and the first that has rates.
    pub metrics: Vec<GroupMetrics>,
    /// `GROUP_ASSIGNMENT_QUERY`: PromQL that yields one sample for each partition and its owner,
    /// with the labels `topic`, `partition` and one of `pod`, `member_host`, `client_id`. A sample
    /// of 0 says that it is not owned any more. Sent verbatim, in place of that of `metrics`.
    pub assignment_query: Option<String>,
    /// `GROUP_RATE_QUERY`: PromQL that yields what arrives in each partition per second, with the
    /// labels `topic` and `partition`. Sent verbatim, in place of that of `metrics`.
    pub rate_query: Option<String>,
    /// `COOLDOWN`: owners are compared with those of so long ago.
    pub cooldown: Duration,
}

impl GroupSource {
    /// The query for the owners, and whether it is the operator's own; `None` when nothing says how
    /// to find them.
    #[must_use]
    pub fn assignment(&self, namespace: &str, workload: &str) -> Option<String> {
        if let Some(query) = &self.assignment_query {
            return Some(query.clone());
        }
        let group = self.group_id.as_deref()?;
        // The names of a Deployment's and of a StatefulSet's pods begin with its own; literal in a
        // regular expression, which both servers anchor.
        let pods = format!(
            "namespace={},pod=~{}",
            string(namespace),
            string(&format!("{}-.+", literal(workload)))
        );
        let mut queries = self.metrics.iter();
        queries.find_map(|preset| preset.assignment(group, &pods))
    }

    /// The query for the rates; `None` when nothing says how to find them.
    #[must_use]
    pub fn rate(&self, window: Duration) -> Option<String> {
        let presets = || self.metrics.iter().find_map(|preset| preset.rate(window));
        self.rate_query.clone().or_else(presets)
    }
}

/// A text as a regular expression that matches it alone. Kubernetes names hold letters, digits,
/// `-` and `.`, of which the last alone means something.
fn literal(name: &str) -> String {
    name.replace('.', "\\.")
}

/// The owners of an answer, and whether it may lack something. Samples of 0 are no owners.
pub(crate) fn owners(answer: &Answer) -> Result<(Vec<OwnerSample>, Option<String>), PromError> {
    let Samples { samples, partial } = answer.samples()?;
    let mut owners = Vec::with_capacity(samples.len());
    for sample in samples {
        let Some(value) = sample.value else {
            return Err(answer.wrong_type("vector of native histograms"));
        };
        let (topic, partition) = place(answer, &sample.labels)?;
        let label = |names: &[&str]| {
            let mut values = names.iter().filter_map(|name| sample.labels.get(name));
            values.next().map(str::to_owned)
        };
        let owner = MemberLabels {
            pod: label(&["pod"]),
            host: label(&["member_host"]),
            client_id: label(&["client_id"]),
            member_id: label(&["member_id", "consumer_id"]),
            instance: label(&["group_instance_id"]),
        };
        if value.number != 0.0 {
            owners.push(OwnerSample {
                topic,
                partition,
                owner,
            });
        }
    }
    Ok((owners, partial.map(|partial| partial.to_string())))
}

/// The rates of an answer, and whether it may lack something.
pub(crate) fn rates(answer: &Answer) -> Result<(Vec<RateSample>, Option<String>), PromError> {
    let Samples { samples, partial } = answer.samples()?;
    let mut rates = Vec::with_capacity(samples.len());
    for sample in samples {
        let Some(value) = sample.value else {
            return Err(answer.wrong_type("vector of native histograms"));
        };
        let (topic, partition) = place(answer, &sample.labels)?;
        let rate = if value.number.is_finite() {
            Rate::new(value.number).map_err(|_| SampleFault::Negative)
        } else {
            Err(SampleFault::NotFinite)
        };
        rates.push(RateSample {
            topic,
            partition,
            rate,
        });
    }
    Ok((rates, partial.map(|partial| partial.to_string())))
}

/// The topic and the partition that a sample is of.
fn place(answer: &Answer, labels: &Labels<'_>) -> Result<(String, u32), PromError> {
    let partition = labels
        .get("partition")
        .and_then(|number| number.parse().ok());
    match (labels.get("topic"), partition) {
        (Some(topic), Some(partition)) => Ok((topic.to_owned(), partition)),
        (Some(_) | None, Some(_) | None) => Err(PromError::SampleWithoutPartition {
            labels: answer.words(&labels.to_string()),
            asked: answer.asked.clone(),
        }),
    }
}

/// Puts the answers together.
pub(crate) fn observation(
    (owners, partial): (Vec<OwnerSample>, Option<String>),
    before: Option<(Vec<OwnerSample>, Option<String>)>,
    rates: Option<(Vec<RateSample>, Option<String>)>,
) -> GroupObservation {
    let of_rates = rates.as_ref().and_then(|(_, partial)| partial.clone());
    let partial: Vec<String> = partial.into_iter().chain(of_rates).collect();
    GroupObservation {
        owners,
        // Of the past a part is enough to see that something moved.
        owners_before: before.map(|(owners, _)| owners),
        rate_unit: rates.is_some().then(|| "per second".to_owned()),
        rates: rates.map(|(rates, _)| rates),
        partial: (!partial.is_empty()).then(|| partial.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
        &[GroupMetrics::Consumer],
        Some(r#"max by (topic, partition, pod, client_id, member_id, group_instance_id) (kafka_consumer_assignment{group_id="or\"ders"})"#),
        None
    )]
    #[case(
        &[GroupMetrics::Jmx, GroupMetrics::KafkaExporter],
        Some(r#"count by (topic, partition, pod, client_id) (kafka_consumer_consumer_fetch_manager_metrics_records_lag{namespace="ns",pod=~"my\\.app-.+"})"#),
        Some("max by (topic, partition) (rate(kafka_topic_partition_current_offset[5m]))")
    )]
    #[case(
        &[GroupMetrics::KafkaLagExporter],
        Some(r#"count by (topic, partition, member_host, consumer_id, client_id) (kafka_consumergroup_group_lag{group="or\"ders"})"#),
        Some("max by (topic, partition) (rate(kafka_partition_latest_offset[5m]))")
    )]
    #[case(&[GroupMetrics::KafkaExporter], None, Some("max by (topic, partition) (rate(kafka_topic_partition_current_offset[5m]))"))]
    #[case(&[], None, None)]
    fn the_queries_are_these(
        #[case] metrics: &[GroupMetrics],
        #[case] assignment: Option<&str>,
        #[case] rate: Option<&str>,
    ) {
        let source = source(metrics);
        assert_eq!(source.assignment("ns", "my.app").as_deref(), assignment);
        assert_eq!(source.rate(Duration::from_secs(300)).as_deref(), rate);
    }

    #[test]
    fn the_operators_own_queries_come_first() {
        let own = GroupSource {
            assignment_query: Some("owners".into()),
            rate_query: Some("rates".into()),
            group_id: None,
            ..source(&GroupMetrics::ALL)
        };
        assert_eq!(own.assignment("ns", "app").as_deref(), Some("owners"));
        assert_eq!(own.rate(Duration::from_secs(1)).as_deref(), Some("rates"));
    }

    #[test]
    fn an_exporter_is_found_by_its_name() {
        for preset in GroupMetrics::ALL {
            assert_eq!(preset.as_str().to_uppercase().parse(), Ok(preset));
        }
        let error = "burrow".parse::<GroupMetrics>().unwrap_err();
        assert!(error.contains("kafka-lag-exporter"), "{error}");
    }
}
