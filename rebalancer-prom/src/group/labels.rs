//! The labels of samples about partitions. Exporters spell some of them differently.

use super::presets::GroupMetrics;
use crate::envelope::Labels;

/// A label with one meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    Topic,
    Partition,
    Pod,
    Host,
    ClientId,
    MemberId,
    Instance,
    Cluster,
}

impl Label {
    /// The usual spelling.
    const fn name(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::Partition => "partition",
            Self::Pod => "pod",
            Self::Host => "member_host",
            Self::ClientId => "client_id",
            Self::MemberId => "member_id",
            Self::Instance => "group_instance_id",
            Self::Cluster => "cluster_name",
        }
    }

    /// Returns the value of the label in its usual spelling, or in that of any preset. The
    /// operator's own queries may use each of them.
    pub(super) fn of<'a>(self, labels: &'a Labels<'_>) -> Option<&'a str> {
        let presets = GroupMetrics::ALL.iter();
        let aliases = presets.flat_map(|preset| preset.definition().label_aliases);
        let mut names = std::iter::once(self.name()).chain(
            aliases
                .filter(|(label, _)| *label == self)
                .map(|(_, alias)| *alias),
        );
        names.find_map(|name| labels.get(name))
    }
}
