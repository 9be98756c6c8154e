//! Kafka's own Java client, through the Prometheus JMX exporter.

use super::{GroupMetrics, GroupSelector, OwnerSeries, OwnerValue, Preset};

impl GroupMetrics {
    /// The metrics of Kafka's own Java client since version 2.4, through the Prometheus JMX
    /// exporter with its default format. Owners only.
    ///
    /// A consumer has `kafka_consumer_consumer_fetch_manager_metrics_preferred_read_replica{topic,
    /// partition, client_id}` for exactly the partitions that it reads. `records_lag` appears only
    /// after the first fetch.
    pub const JMX: Self = Self(&PRESET);
}

const PRESET: Preset = preset_of_client("jmx", owners);

fn owners(group: &GroupSelector<'_>) -> String {
    owners_of_client(
        group,
        "kafka_consumer_consumer_fetch_manager_metrics_preferred_read_replica",
    )
}

/// A preset of metrics that the client itself reports about the partitions that it reads.
pub(super) const fn preset_of_client(
    name: &'static str,
    owners: fn(&GroupSelector<'_>) -> String,
) -> Preset {
    Preset {
        name,
        owners: Some(OwnerSeries {
            query: owners,
            value: OwnerValue::Any,
        }),
        offsets: None,
        label_aliases: &[],
        names_group: false,
        reports_unowned: false,
    }
}

/// Selects the workload's pods, because the client does not report its group. `count` returns a
/// sample for each series, whatever its value is.
pub(super) fn owners_of_client(group: &GroupSelector<'_>, metric: &str) -> String {
    format!(
        "count by (topic, partition, {}, client_id) ({})",
        group.series.labels.pod,
        group.series.of(metric, group.pods)
    )
}
