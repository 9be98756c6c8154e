//! danielqsj's `kafka_exporter`.

use super::{GroupMetrics, Preset, RateSelector};

impl GroupMetrics {
    /// danielqsj's `kafka_exporter`: `kafka_topic_partition_current_offset{topic, partition}`.
    /// Rates only: the exporter counts members and does not report owners.
    pub const KAFKA_EXPORTER: Self = Self(&PRESET);
}

const PRESET: Preset = Preset {
    name: "kafka-exporter",
    owners: None,
    rates: Some(rates),
    label_aliases: &[],
    names_group: true,
    no_member: None,
};

/// Takes the maximum, because two exporters that watch the same cluster report the same rate.
fn rates(rates: &RateSelector<'_>) -> String {
    let offsets = rates.series.of("kafka_topic_partition_current_offset", "");
    let window = rates.window;
    format!("max by (topic, partition) (rate({offsets}[{window}]))")
}
