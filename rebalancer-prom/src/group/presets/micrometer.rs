//! Kafka's own Java client, through Micrometer (Spring Boot, Quarkus, Micronaut).

use super::jmx::{owners_of_client, preset_of_client};
use super::{GroupMetrics, GroupSelector, Preset};

impl GroupMetrics {
    /// The metrics of Kafka's own Java client since version 2.4, through Micrometer's
    /// `KafkaClientMetrics` and its Prometheus registry. Owners only.
    ///
    /// The metric is that of [`JMX`](Self::JMX) under Micrometer's name,
    /// `kafka_consumer_fetch_manager_preferred_read_replica{topic, partition, client_id}`.
    /// Micrometer looks for new and removed partitions once a minute.
    pub const MICROMETER: Self = Self(&PRESET);
}

const PRESET: Preset = preset_of_client("micrometer", owners);

fn owners(group: &GroupSelector<'_>) -> String {
    owners_of_client(group, "kafka_consumer_fetch_manager_preferred_read_replica")
}
