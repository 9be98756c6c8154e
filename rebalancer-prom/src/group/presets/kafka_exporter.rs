//! danielqsj's `kafka_exporter`.

use super::{GroupMetrics, OffsetSeries, Preset};

impl GroupMetrics {
    /// danielqsj's `kafka_exporter`: `kafka_topic_partition_current_offset{topic, partition}`.
    /// Rates only: the exporter counts members and does not report owners.
    pub const KAFKA_EXPORTER: Self = Self(&PRESET);
}

const PRESET: Preset = Preset {
    name: "kafka-exporter",
    owners: None,
    offsets: Some(OffsetSeries {
        metric: "kafka_topic_partition_current_offset",
        labels: "topic, partition",
    }),
    label_aliases: &[],
    names_group: true,
    reports_unowned: false,
};
