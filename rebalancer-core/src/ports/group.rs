//! The consumer group: as metrics report it, or as its brokers describe it.

use async_trait::async_trait;

use super::PortError;
use crate::group::ClientFamily;
pub use crate::group::{GroupKind, GroupState};
use crate::model::{Rate, SampleFault, Seconds};

/// The source of the state of the consumer group: metrics, or the brokers of the group.
#[async_trait]
pub trait GroupSource: Send + Sync {
    /// The consumer group of the workload; `None` if the source has no queries for one.
    ///
    /// # Errors
    /// If there was no trustworthy response.
    async fn group(&self) -> Result<Option<GroupObservation>, PortError>;
}

/// The labels that identify a member of a group in metrics. At least one of them is set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MemberLabels {
    /// The name of the member's pod.
    pub pod: Option<String>,
    /// The address of the member's host as the broker sees it: the pod's IP, possibly after a `/`.
    pub host: Option<String>,
    /// The `client.id`.
    pub client_id: Option<String>,
    /// The member id (`consumer id`).
    pub member_id: Option<String>,
    /// The `group.instance.id`.
    pub instance: Option<String>,
}

/// A partition and its owner.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OwnerSample {
    /// The topic.
    pub topic: String,
    /// The number of the partition.
    pub partition: u32,
    /// The member that owns the partition; `None` if the metrics report it as unowned.
    pub owner: Option<MemberLabels>,
}

/// The incoming rate of a partition.
#[derive(Debug, Clone, PartialEq)]
pub struct RateSample {
    /// The topic.
    pub topic: String,
    /// The number of the partition.
    pub partition: u32,
    /// The rate in records or bytes per second, or why the value is not a valid rate.
    pub rate: Result<Rate, SampleFault>,
}

/// Partitions whose offset went back within the window of the rates, so that their rates are wrong:
/// a rate takes it for the restart of a counter.
#[derive(Debug, Clone, PartialEq)]
pub struct OffsetsWentBack {
    /// The topics and numbers of the partitions, possibly including other topics.
    pub partitions: Vec<(String, u32)>,
    /// The window of the rates. The rates are right again once it has passed.
    pub window_seconds: Seconds,
}

/// The lag of a partition: the records between the committed offset of the group and the end of the
/// log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LagSample {
    /// The topic.
    pub topic: String,
    /// The number of the partition.
    pub partition: u32,
    /// The number of records; `None` if the group has no committed offset for the partition.
    pub records: Option<u64>,
}

/// A member of a group, as the coordinator describes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DescribedMember {
    /// The ids, the client and the host of the member. Never a pod, which brokers do not know.
    pub labels: MemberLabels,
    /// The rack (`client.rack`) as the member reports it: `None` if it reports none. librdkafka
    /// reports an empty one by default, which its assignor takes for a rack of its own.
    pub rack: Option<String>,
    /// The topics that the member subscribes to, ascending; `None` if its metadata cannot be read.
    pub subscription: Option<Vec<String>>,
    /// The partitions that the member owns: topic and number, ascending.
    pub owned: Vec<(String, u32)>,
    /// The client library, if the metadata of the member shows it.
    pub client: Option<ClientFamily>,
    /// Whether the member uses the classic protocol in a group of KIP-848.
    pub classic_in_consumer_group: bool,
    /// Whether the member's assignment carries user data other than that of sticky assignors. The
    /// leader of a classic group adds it, if its assignor communicates more than partitions.
    pub has_assignment_user_data: bool,
}

/// A topic that a group consumes, as the brokers describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedTopic {
    /// The name.
    pub name: String,
    /// The racks of the replicas of each partition from 0 on: sorted and without duplicates; empty
    /// if the brokers have no racks.
    pub partition_racks: Vec<Vec<String>>,
}

/// A group as its brokers describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedGroup {
    /// The type of the group.
    pub kind: GroupKind,
    /// The state of the group.
    pub state: GroupState,
    /// The protocol type: `consumer` for consumers, `connect` for Kafka Connect.
    pub protocol_type: String,
    /// The assignor, by the name that Kafka uses, such as `cooperative-sticky`; `None` while the
    /// group has none.
    pub assignor: Option<String>,
    /// Whether the coordinator removes members of the consumer protocol (KIP-848) that a LeaveGroup
    /// request names, as Kafka does from 4.0 on. `false` for a group of another protocol.
    pub removable_members: bool,
    /// The members, by member id.
    pub members: Vec<DescribedMember>,
    /// The topics that members subscribe to, by name.
    pub topics: Vec<DescribedTopic>,
    /// The id of the cluster.
    pub cluster_id: Option<String>,
}

/// The consumer group at one instant.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GroupObservation {
    /// The current owner of each partition. A partition with duplicate series appears once for
    /// each owner.
    pub owners: Vec<OwnerSample>,
    /// The owners one cooldown earlier; `None` if they were not queried.
    pub owners_before: Option<Vec<OwnerSample>>,
    /// The rate of each partition, possibly including other topics; `None` if the rates were not
    /// queried.
    pub rates: Option<Vec<RateSample>>,
    /// The window of the rates; `None` if it is unknown.
    pub rate_window: Option<Seconds>,
    /// The unit of the rates, for display.
    pub rate_unit: Option<String>,
    /// Partitions whose rates are wrong; `None` if the offset of none went back.
    pub offsets_went_back: Option<OffsetsWentBack>,
    /// Whether the metrics do not name the group. Owners of topics of which no pod of the workload
    /// owns a partition may then belong to another group.
    pub other_groups: bool,
    /// Why the response may be incomplete, as reported by the server; `None` if it is complete.
    pub partial: Option<String>,
    /// Remarks for operators that do not make the observation incomplete.
    pub notes: Vec<String>,
    /// The group as its brokers describe it; `None` if the observation comes from metrics.
    pub described: Option<DescribedGroup>,
    /// The lag of each partition; `None` if the source does not report lags.
    pub lags: Option<Vec<LagSample>>,
    /// Whether the account may READ the group, which it needs to join it; `None` if the source does
    /// not report it.
    pub may_read: Option<bool>,
    /// The heartbeat interval of a group of the consumer protocol (KIP-848), after which a removed
    /// member knows of its removal; `None` if it was not read, or in another group.
    pub heartbeat: Option<Seconds>,
}
