//! The purposes of requests, for messages.

use std::fmt;

/// The purpose of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// `FindCoordinator`.
    FindCoordinator(String),
    /// `DescribeGroups` or `ConsumerGroupDescribe`.
    Describe(String),
    /// `DescribeConfigs` for the group.
    GroupConfig(String),
    /// `ListGroups`.
    ListGroups,
    /// `Metadata` for topics.
    Topics,
    /// `OffsetFetch`.
    CommittedOffsets(String),
    /// `ListOffsets`.
    Offsets,
    /// `JoinGroup`.
    Join(String),
    /// `SyncGroup`.
    Sync(String),
    /// `Heartbeat`.
    Heartbeat(String),
    /// `LeaveGroup`.
    Leave(String),
}

impl Action {
    /// Whether the request needs the right READ on the group, and not only DESCRIBE.
    #[must_use]
    pub fn needs_read(&self) -> bool {
        match self {
            Self::Join(_) | Self::Sync(_) | Self::Heartbeat(_) | Self::Leave(_) => true,
            Self::FindCoordinator(_)
            | Self::Describe(_)
            | Self::GroupConfig(_)
            | Self::ListGroups
            | Self::Topics
            | Self::CommittedOffsets(_)
            | Self::Offsets => false,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FindCoordinator(group) => write!(f, "find the coordinator of group `{group}`"),
            Self::Describe(group) => write!(f, "read the members of group `{group}`"),
            Self::GroupConfig(group) => write!(f, "read the settings of group `{group}`"),
            Self::ListGroups => f.write_str("list the groups"),
            Self::Topics => f.write_str("read the partitions of the group's topics"),
            Self::CommittedOffsets(group) => {
                write!(f, "read the committed offsets of group `{group}`")
            }
            Self::Offsets => f.write_str("read the offsets of the group's partitions"),
            Self::Join(group) => write!(f, "join group `{group}`"),
            Self::Sync(group) => write!(f, "hand out the assignment of group `{group}`"),
            Self::Heartbeat(group) => write!(f, "send a heartbeat to group `{group}`"),
            Self::Leave(group) => write!(f, "remove members from group `{group}`"),
        }
    }
}
