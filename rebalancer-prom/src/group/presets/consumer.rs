//! Consumers that export their own assignment.

use super::{GroupMetrics, GroupSelector, OwnerSeries, OwnerValue, Preset};
use crate::group::labels::Label;

impl GroupMetrics {
    /// Consumers that export their own assignment: `kafka_consumer_assignment{topic, partition,
    /// pod, group_id}`, with the value 1 for each partition that they own and 0 for a partition
    /// that they no longer own. PostHog's consumers use the labels `topic_name` and
    /// `partition_id`. Owners only.
    pub const CONSUMER: Self = Self(&PRESET);
}

const PRESET: Preset = Preset {
    name: "consumer",
    owners: Some(OwnerSeries {
        query: owners,
        value: OwnerValue::Flag,
    }),
    offsets: None,
    label_aliases: &[
        (Label::Topic, "topic_name"),
        (Label::Partition, "partition_id"),
    ],
    names_group: true,
    reports_unowned: false,
};

fn owners(group: &GroupSelector<'_>) -> String {
    format!(
        "max by (topic, partition, topic_name, partition_id, {}, client_id, member_id, \
         group_instance_id) ({})",
        group.series.labels.pod,
        group.series.of(
            "kafka_consumer_assignment",
            &format!("group_id={}", group.id)
        )
    )
}
