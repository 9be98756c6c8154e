//! The labels of samples about partitions. Exporters spell some of them differently.

/// A label with one meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    Topic,
    Partition,
    Host,
    ClientId,
    MemberId,
    Instance,
    Cluster,
}

impl Label {
    /// The usual spelling.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::Partition => "partition",
            Self::Host => "member_host",
            Self::ClientId => "client_id",
            Self::MemberId => "member_id",
            Self::Instance => "group_instance_id",
            Self::Cluster => "cluster_name",
        }
    }
}
