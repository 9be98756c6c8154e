//! Assembles the settings of the consumer group.

use std::time::Duration;

use rebalancer_core::model::WorkloadRef;
use rebalancer_core::policy::{Policy, Strategy};
use rebalancer_core::snapshot::GroupSettings;
use rebalancer_kafka::KafkaSettings;
use rebalancer_prom::{GroupQueries, SeriesSelection};

use super::definitions::acting::REMOVE_STATIC_MEMBERS;
use super::definitions::consumer_group::{
    GROUP_ASSIGNMENT_QUERY, GROUP_ASSIGNOR, GROUP_CLIENT, GROUP_ID, GROUP_METRICS, GROUP_PROTOCOL,
    GROUP_RATE_QUERY, GROUP_SESSION_TIMEOUT,
};
use super::definitions::decision::STRATEGY;
use super::definitions::kafka::KAFKA_BOOTSTRAP_SERVERS;
use super::kafka::kafka;
use super::reader::Reader;

/// The sources of the group and the configured facts about it.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// The queries of the metrics; `None` if no setting mentions the group, or with Kafka.
    pub(super) metrics: Option<GroupQueries>,
    /// The connection to Kafka; `None` if the group is not read from it.
    pub(super) kafka: Option<KafkaSettings>,
    /// The configured facts; `None` if no setting mentions the group.
    pub(super) settings: Option<GroupSettings>,
}

/// The settings of the group.
pub(super) fn group(
    reader: &mut Reader<'_>,
    workload: &WorkloadRef,
    series: &SeriesSelection,
    policy: &Policy,
) -> Group {
    let is_mentioned = reader.is_given(&GROUP_ID)
        || reader.is_given(&GROUP_METRICS)
        || reader.is_given(&GROUP_ASSIGNMENT_QUERY)
        || reader.is_given(&GROUP_RATE_QUERY)
        || reader.is_given(&GROUP_ASSIGNOR)
        || reader.is_given(&GROUP_CLIENT)
        || reader.is_given(&GROUP_PROTOCOL)
        || reader.is_given(&GROUP_SESSION_TIMEOUT);
    let settings = GroupSettings {
        id: reader.optional(&GROUP_ID),
        assignor: reader.value(&GROUP_ASSIGNOR),
        client: reader.optional(&GROUP_CLIENT),
        protocol: reader.optional(&GROUP_PROTOCOL),
        session_timeout: reader
            .is_given(&GROUP_SESSION_TIMEOUT)
            .then(|| reader.value(&GROUP_SESSION_TIMEOUT).into()),
        removes_static_members: reader.value(&REMOVE_STATIC_MEMBERS),
    };
    let uses_group = policy.strategy.uses_group();
    let has_servers = reader.is_given(&KAFKA_BOOTSTRAP_SERVERS);
    let kafka = kafka(reader, uses_group);
    // The errors of Kafka's settings do not suggest that metrics are missing.
    if kafka.is_some() || (has_servers && (uses_group || is_mentioned)) {
        return Group {
            metrics: None,
            kafka,
            settings: Some(settings),
        };
    }
    if !policy.strategy.evicts() && !has_servers {
        let strategy = policy.strategy.as_str();
        reader.invalid(
            &STRATEGY,
            format!(
                "{strategy} needs a connection to the brokers of the group: set \
                 KAFKA_BOOTSTRAP_SERVERS"
            ),
        );
    }
    let source = source(reader, policy);
    check_assignor(reader, &settings);
    check_owners(reader, &source, workload, series, policy.strategy);
    Group {
        metrics: is_mentioned.then_some(source),
        kafka: None,
        settings: is_mentioned.then_some(settings),
    }
}

fn source(reader: &mut Reader<'_>, policy: &Policy) -> GroupQueries {
    let source = GroupQueries {
        group_id: reader.optional(&GROUP_ID),
        metrics: reader.optional(&GROUP_METRICS).unwrap_or_default(),
        assignment_query: reader.optional(&GROUP_ASSIGNMENT_QUERY),
        rate_query: reader.optional(&GROUP_RATE_QUERY),
        cooldown: Duration::try_from_secs_f64(policy.cooldown_seconds.get()).unwrap_or_default(),
    };
    if !source.metrics.is_empty() && source.group_id.is_none() {
        reader.invalid(&GROUP_METRICS, "GROUP_ID must be set as well");
    }
    source
}

/// Checks that the assignor exists in the client library and the protocol.
fn check_assignor(reader: &mut Reader<'_>, settings: &GroupSettings) {
    let protocol = settings.protocol.unwrap_or_default();
    let client = settings.client.unwrap_or_default();
    if let Some(assignor) = settings.assignor
        && !assignor.exists_in(protocol, client)
    {
        let problem = format!(
            "there is no {assignor} in a group with GROUP_PROTOCOL={} and GROUP_CLIENT={}",
            protocol.as_str(),
            client.as_str()
        );
        reader.invalid(&GROUP_ASSIGNOR, problem);
    }
}

/// Checks that the owners of the partitions are available where they are needed: rates without
/// owners are useless, and a forecast needs owners.
fn check_owners(
    reader: &mut Reader<'_>,
    source: &GroupQueries,
    workload: &WorkloadRef,
    series: &SeriesSelection,
    strategy: Strategy,
) {
    const REMEDY: &str = "set GROUP_ASSIGNMENT_QUERY, or GROUP_METRICS to consumer, jmx, \
                          micrometer, klag-exporter or kafka-lag-exporter; or read the group from \
                          Kafka with KAFKA_BOOTSTRAP_SERVERS";
    if source
        .assignment(series, &workload.namespace, &workload.name)
        .is_some()
    {
        return;
    }
    if source.rate_query.is_some() {
        reader.invalid(
            &GROUP_RATE_QUERY,
            format!("no setting provides the owners of the partitions: {REMEDY}"),
        );
    } else if source.metrics.is_empty() {
        if strategy == Strategy::Forecast {
            reader.invalid(
                &STRATEGY,
                format!("forecast needs the owners of the partitions: {REMEDY}"),
            );
        }
    } else if source.group_id.is_some() {
        let presets: Vec<&str> = source
            .metrics
            .iter()
            .map(|preset| preset.as_str())
            .collect();
        let presets = presets.join(", ");
        reader.invalid(
            &GROUP_METRICS,
            format!("{presets} does not provide the owners of the partitions: {REMEDY}"),
        );
    }
}
