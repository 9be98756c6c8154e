//! The consumer group as metrics report it.

use crate::model::{Rate, SampleFault, Seconds};

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

/// The consumer group at one instant, as metrics report it.
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
}
