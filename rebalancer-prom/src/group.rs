//! The consumer group: what is asked, and what becomes of the answers.

mod topics;

use std::collections::BTreeSet;
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
    /// pod, group_id}`, 1 for each partition that they own and 0 for one that they gave back. The
    /// consumers of PostHog say `topic_name` and `partition_id`. Owners only.
    Consumer,
    /// The metrics of Kafka's own Java client, from 2.4 on, through the Prometheus JMX exporter with
    /// its default format:
    /// `kafka_consumer_consumer_fetch_manager_metrics_preferred_read_replica{topic, partition,
    /// client_id}`, which a consumer has of each partition that it owns, and of no other. Its
    /// `records_lag` is only there once something was fetched. Owners only.
    Jmx,
    /// danielqsj's kafka_exporter: `kafka_topic_partition_current_offset{topic, partition}`. Rates
    /// only: it counts members and does not say who owns what.
    KafkaExporter,
    /// seglo's kafka-lag-exporter: `kafka_consumergroup_group_lag{cluster_name, group, topic,
    /// partition, member_host, consumer_id, client_id}` and
    /// `kafka_partition_latest_offset{cluster_name, topic, partition}`. Owners and rates. Where
    /// nothing was committed yet the lag is NaN, which VictoriaMetrics does not store: there the
    /// partition has no owner until something is.
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
                "max by (topic, partition, topic_name, partition_id, pod, client_id, member_id, \
                 group_instance_id) (kafka_consumer_assignment{{group_id={id}}})"
            )),
            // The client does not say which group it is in: the workload's pods tell.
            Self::Jmx => Some(format!(
                "count by (topic, partition, pod, client_id) \
                 (kafka_consumer_consumer_fetch_manager_metrics_preferred_read_replica{{{pods}}})"
            )),
            Self::KafkaExporter => None,
            Self::KafkaLagExporter => Some(format!(
                "count by (cluster_name, topic, partition, member_host, consumer_id, client_id) \
                 (kafka_consumergroup_group_lag{{group={id}}})"
            )),
        }
    }

    /// PromQL for what arrives in each partition, in records per second.
    fn rate(self, window: Duration) -> Option<String> {
        let window = duration(window);
        let of = |labels: &str, metric: &str| {
            Some(format!("max by ({labels}) (rate({metric}[{window}]))"))
        };
        // Of two exporters that watch the same cluster one is as good as the other.
        match self {
            Self::Consumer | Self::Jmx => None,
            Self::KafkaExporter => of("topic, partition", "kafka_topic_partition_current_offset"),
            Self::KafkaLagExporter => of(
                "cluster_name, topic, partition",
                "kafka_partition_latest_offset",
            ),
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
    /// with the labels `topic`, `partition` (or `topic_name`, `partition_id`) and one of `pod`,
    /// `member_host`, `client_id`. A sample of 0 says that it is not owned any more. Sent verbatim, in place of that of `metrics`.
    pub assignment_query: Option<String>,
    /// `GROUP_RATE_QUERY`: PromQL that yields what arrives in each partition per second, with the
    /// labels `topic` and `partition`. Sent verbatim, in place of that of `metrics`.
    pub rate_query: Option<String>,
    /// `COOLDOWN`: owners are compared with those of so long ago.
    pub cooldown: Duration,
}

impl GroupSource {
    /// The query for the owners; `None` when nothing says how to find them.
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

    /// Whether the owners may be those of other groups as well, since the client's own metrics do
    /// not name the group.
    pub(crate) fn sees_other_groups(&self) -> bool {
        let mut presets = self.metrics.iter();
        let assigning = presets.find(|preset| preset.assignment("", "").is_some());
        self.assignment_query.is_none() && assigning == Some(&GroupMetrics::Jmx)
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

/// The word of kafka-lag-exporter for the member and the host of a group that has no members.
const NOBODY: &str = "unknown";

/// What an answer says of the owners.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    samples: Vec<OwnerSample>,
    /// The Kafka clusters that they are in, where the metrics say so.
    clusters: BTreeSet<String>,
    /// Why the answer may lack something.
    partial: Option<String>,
}

impl Owners {
    /// Reads the owners. Samples of 0 are none.
    pub(crate) fn from_answer(answer: &Answer) -> Result<Self, PromError> {
        let Samples { samples, partial } = answer.samples()?;
        let mut owners = Self {
            samples: Vec::with_capacity(samples.len()),
            clusters: BTreeSet::new(),
            partial: partial.map(|partial| partial.to_string()),
        };
        for sample in samples {
            let Some(value) = sample.value else {
                return Err(answer.wrong_type("vector of native histograms"));
            };
            let (topic, partition) = place(answer, &sample.labels)?;
            if value.number != 0.0 {
                let cluster = sample.labels.get(CLUSTER).map(|name| answer.words(name));
                owners.clusters.extend(cluster);
                owners.samples.push(OwnerSample {
                    topic,
                    partition,
                    owner: owner(&sample.labels),
                });
            }
        }
        Ok(owners)
    }
}

/// The member that the labels name; `None` where they say that there is none.
fn owner(labels: &Labels<'_>) -> Option<MemberLabels> {
    let label = |names: &[&str]| {
        let mut values = names.iter().filter_map(|name| labels.get(name));
        values.next().map(str::to_owned)
    };
    let owner = MemberLabels {
        pod: label(&["pod"]),
        host: label(&["member_host"]),
        client_id: label(&["client_id"]),
        member_id: label(&["member_id", "consumer_id"]),
        instance: label(&["group_instance_id"]),
    };
    let nobody = [&owner.host, &owner.member_id]
        .iter()
        .all(|said| said.as_deref() == Some(NOBODY));
    (!nobody).then_some(owner)
}

/// What an answer says of the rates.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    /// With the Kafka cluster that each is of, where the metrics say so.
    samples: Vec<(Option<String>, RateSample)>,
    /// Why the answer may lack something.
    partial: Option<String>,
}

impl Rates {
    /// Reads the rates.
    pub(crate) fn from_answer(answer: &Answer) -> Result<Self, PromError> {
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
            let cluster = sample.labels.get(CLUSTER).map(|name| answer.words(name));
            let rate = RateSample {
                topic,
                partition,
                rate,
            };
            rates.push((cluster, rate));
        }
        Ok(Self {
            samples: rates,
            partial: partial.map(|partial| partial.to_string()),
        })
    }

    /// Those of that cluster, where both are known.
    fn of_cluster(self, cluster: Option<&String>) -> Vec<RateSample> {
        let here = |of: &Option<String>| match (of, cluster) {
            (Some(of), Some(cluster)) => of == cluster,
            (Some(_) | None, Some(_) | None) => true,
        };
        let rates = self.samples.into_iter().filter(|(of, _)| here(of));
        rates.map(|(_, rate)| rate).collect()
    }
}

/// The label for the Kafka cluster, in kafka-lag-exporter's word.
const CLUSTER: &str = "cluster_name";

/// The topic and the partition that a sample is of.
fn place(answer: &Answer, labels: &Labels<'_>) -> Result<(String, u32), PromError> {
    let either = |one: &str, other: &str| labels.get(one).or_else(|| labels.get(other));
    let partition = either("partition", "partition_id").and_then(|number| number.parse().ok());
    match (either("topic", "topic_name"), partition) {
        (Some(topic), Some(partition)) => Ok((topic.to_owned(), partition)),
        (Some(_) | None, Some(_) | None) => Err(PromError::SampleWithoutPartition {
            labels: answer.words(&labels.to_string()),
            asked: answer.asked.clone(),
        }),
    }
}

/// Puts the answers together.
pub(crate) fn observation(
    owners: Owners,
    before: Option<Owners>,
    rates: Option<Rates>,
    other_groups: bool,
) -> GroupObservation {
    let of_rates = rates.as_ref().and_then(|rates| rates.partial.clone());
    let mut partial: Vec<String> = owners.partial.into_iter().chain(of_rates).collect();
    if owners.clusters.len() > 1 {
        let clusters: Vec<String> = owners.clusters.iter().cloned().collect();
        partial.push(format!(
            "the group is in the Kafka clusters {}: choose one in a GROUP_ASSIGNMENT_QUERY",
            clusters.join(", ")
        ));
    }
    let rates = rates.map(|rates| rates.of_cluster(owners.clusters.first()));
    let mut owners = owners.samples;
    // Of the past a part is enough to see that something moved.
    let mut before = before.map(|before| before.samples);
    partial.extend(topics::by_their_names(
        &mut owners,
        before.as_mut().unwrap_or(&mut Vec::new()),
        rates.as_deref().unwrap_or_default(),
    ));
    GroupObservation {
        owners,
        owners_before: before,
        rate_unit: rates.is_some().then(|| "per second".to_owned()),
        rates,
        other_groups,
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
        Some(r#"max by (topic, partition, topic_name, partition_id, pod, client_id, member_id, group_instance_id) (kafka_consumer_assignment{group_id="or\"ders"})"#),
        None
    )]
    #[case(
        &[GroupMetrics::Jmx, GroupMetrics::KafkaExporter],
        Some(r#"count by (topic, partition, pod, client_id) (kafka_consumer_consumer_fetch_manager_metrics_preferred_read_replica{namespace="ns",pod=~"my\\.app-.+"})"#),
        Some("max by (topic, partition) (rate(kafka_topic_partition_current_offset[5m]))")
    )]
    #[case(
        &[GroupMetrics::KafkaLagExporter],
        Some(r#"count by (cluster_name, topic, partition, member_host, consumer_id, client_id) (kafka_consumergroup_group_lag{group="or\"ders"})"#),
        Some("max by (cluster_name, topic, partition) (rate(kafka_partition_latest_offset[5m]))")
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

    #[rstest]
    #[case(&[GroupMetrics::Jmx], None, true)]
    #[case(&[GroupMetrics::KafkaExporter, GroupMetrics::Jmx], None, true)]
    #[case(&[GroupMetrics::Consumer, GroupMetrics::Jmx], None, false)]
    #[case(&[GroupMetrics::Jmx], Some("owners"), false)]
    fn the_client_alone_does_not_name_the_group(
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

    #[test]
    fn an_exporter_is_found_by_its_name() {
        for preset in GroupMetrics::ALL {
            assert_eq!(preset.as_str().to_uppercase().parse(), Ok(preset));
        }
        let error = "burrow".parse::<GroupMetrics>().unwrap_err();
        assert!(error.contains("kafka-lag-exporter"), "{error}");
    }
}
