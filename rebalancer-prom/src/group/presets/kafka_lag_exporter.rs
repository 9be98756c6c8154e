//! seglo's `kafka-lag-exporter`.

use super::{GroupMetrics, GroupSelector, OffsetSeries, OwnerSeries, OwnerValue, Preset};
use crate::group::labels::Label;

impl GroupMetrics {
    /// seglo's `kafka-lag-exporter`: `kafka_consumergroup_group_lag{cluster_name, group, topic,
    /// partition, member_host, consumer_id, client_id}` and
    /// `kafka_partition_latest_offset{cluster_name, topic, partition}`. Owners and rates. The
    /// exporter is archived; [`KLAG_EXPORTER`](Self::KLAG_EXPORTER) succeeds it.
    ///
    /// The lag is NaN before the first commit. VictoriaMetrics does not store NaN, so the partition
    /// has no owner there until the group commits.
    pub const KAFKA_LAG_EXPORTER: Self = Self(&PRESET);
}

/// The preset. Each series means an owner, whatever the lag is, so `count` is used.
pub(super) const PRESET: Preset = Preset {
    name: "kafka-lag-exporter",
    owners: Some(OwnerSeries {
        query: owners,
        value: OwnerValue::Any,
    }),
    offsets: Some(OffsetSeries {
        metric: "kafka_partition_latest_offset",
        labels: "cluster_name, topic, partition",
    }),
    label_aliases: &[(Label::MemberId, "consumer_id")],
    names_group: true,
    reports_unowned: true,
};

fn owners(group: &GroupSelector<'_>) -> String {
    format!(
        "count by (cluster_name, topic, partition, member_host, consumer_id, client_id) ({})",
        group.series.of(
            "kafka_consumergroup_group_lag",
            &format!("group={}", group.id)
        )
    )
}
