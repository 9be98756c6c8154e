//! The consumer group as metrics report it.

use crate::model::{Rate, SampleFault};

/// How metrics name a member of a group; at least one of these, whichever they have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MemberLabels {
    /// The name of its pod.
    pub pod: Option<String>,
    /// Its host's address as the broker sees it: the pod's IP, perhaps after a `/`.
    pub host: Option<String>,
    /// `client.id`.
    pub client_id: Option<String>,
    /// Its member id (`consumer id`).
    pub member_id: Option<String>,
    /// `group.instance.id`.
    pub instance: Option<String>,
}

/// A partition, and who owns it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OwnerSample {
    /// The topic.
    pub topic: String,
    /// The number of the partition.
    pub partition: u32,
    /// The member that owns it; `None` when the metrics say that nobody does.
    pub owner: Option<MemberLabels>,
}

/// What arrives in a partition.
#[derive(Debug, Clone, PartialEq)]
pub struct RateSample {
    /// The topic.
    pub topic: String,
    /// The number of the partition.
    pub partition: u32,
    /// Records or bytes per second, or why the number is none.
    pub rate: Result<Rate, SampleFault>,
}

/// The consumer group at one instant, as metrics know it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GroupObservation {
    /// Who owns what now. A partition that is there twice is told by both its owners.
    pub owners: Vec<OwnerSample>,
    /// Who owned what a cooldown ago; `None` when nobody was asked.
    pub owners_before: Option<Vec<OwnerSample>>,
    /// What arrives in each partition, perhaps of other topics too; `None` when nobody was asked.
    pub rates: Option<Vec<RateSample>>,
    /// What the rates count, for people.
    pub rate_unit: Option<String>,
    /// The metrics do not say which group the owners are in: those of topics that no pod of the
    /// workload owns anything of may be of another.
    pub other_groups: bool,
    /// Why the answer may lack something, in the server's words; `None` when it is complete.
    pub partial: Option<String>,
}
