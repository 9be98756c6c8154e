//! seglo's `kafka-lag-exporter`.

use super::{GroupMetrics, GroupSelector, Preset, RateSelector};
use crate::group::labels::Label;

impl GroupMetrics {
    /// seglo's `kafka-lag-exporter`: `kafka_consumergroup_group_lag{cluster_name, group, topic,
    /// partition, member_host, consumer_id, client_id}` and
    /// `kafka_partition_latest_offset{cluster_name, topic, partition}`. Owners and rates.
    ///
    /// The lag is NaN before the first commit. VictoriaMetrics does not store NaN, so the partition
    /// has no owner there until the group commits.
    pub const KAFKA_LAG_EXPORTER: Self = Self(&PRESET);
}

const PRESET: Preset = Preset {
    name: "kafka-lag-exporter",
    owners: Some(owners),
    rates: Some(rates),
    label_aliases: &[(Label::MemberId, "consumer_id")],
    names_group: true,
    no_member: Some("unknown"),
};

/// `count` returns a sample for each series, so that an owner without lag is included.
fn owners(group: &GroupSelector<'_>) -> String {
    format!(
        "count by (cluster_name, topic, partition, member_host, consumer_id, client_id) ({})",
        group.series.of(
            "kafka_consumergroup_group_lag",
            &format!("group={}", group.id)
        )
    )
}

/// Takes the maximum, because two exporters that watch the same cluster report the same rate.
fn rates(rates: &RateSelector<'_>) -> String {
    let offsets = rates.series.of("kafka_partition_latest_offset", "");
    let window = rates.window;
    format!("max by (cluster_name, topic, partition) (rate({offsets}[{window}]))")
}
