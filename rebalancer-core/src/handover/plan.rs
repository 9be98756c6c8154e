//! The plan of a hand-over: the group as it was read, and its target.

use std::time::Duration;

use kafka_assignors::coordinator_order::CoordinatorFamily;
use kafka_assignors::{Assignment, MemberIndex, PartitionIndex, Topics};

use crate::group::{Assignor, ClientFamily, GroupProblem, MemberDocument, RebalanceProtocol};
use crate::plan::{AssignmentPlan, PlannedMove};
use crate::ports::DescribedMember;
use crate::snapshot::Snapshot;
use crate::strategy::assign::{AssignProblem, suitable};
use crate::strategy::group_report::ExplainedLoads;

/// A member of the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandoverMember {
    /// The member id.
    pub member_id: String,
    /// `group.instance.id` of a static member.
    pub instance: Option<String>,
    /// `client.id`.
    pub client_id: String,
    /// The host, as the coordinator reports it.
    pub host: String,
}

impl HandoverMember {
    /// The member that the coordinator describes.
    #[must_use]
    pub fn of(described: &DescribedMember) -> Self {
        let labels = &described.labels;
        Self {
            member_id: labels.member_id.clone().unwrap_or_default(),
            instance: labels.instance.clone(),
            client_id: labels.client_id.clone().unwrap_or_default(),
            host: labels.host.clone().unwrap_or_default(),
        }
    }

    /// The member of a snapshot's group; `None` without a member id.
    fn of_document(member: &MemberDocument) -> Option<Self> {
        Some(Self {
            member_id: member.id.clone()?,
            instance: member.instance.clone(),
            client_id: member.client_id.clone().unwrap_or_default(),
            host: member.host.clone().unwrap_or_default(),
        })
    }

    /// Whether `other` is this member under a new id: it has the same instance id, or, if neither has
    /// one, the same client id. Both have the same host.
    #[must_use]
    pub(crate) fn is_same_client(&self, other: &Self) -> bool {
        self.host == other.host
            && self.instance == other.instance
            && self.client_id == other.client_id
    }
}

/// The plan of a hand-over.
#[derive(Debug, Clone, PartialEq)]
pub struct HandoverPlan {
    /// The assignor of the group, as Kafka names it.
    pub assignor: String,
    /// The part that the members take in a rebalance.
    pub protocol: RebalanceProtocol,
    /// The topics of the group.
    pub topics: Topics,
    /// The members; assignments refer to them by index.
    pub members: Vec<HandoverMember>,
    /// The owners when the group was read. Each partition has one.
    pub current: Assignment,
    /// The owners to hand out. Each partition has one.
    pub target: Assignment,
    /// The load of each partition, in any unit. Used to choose partitions whose short pause costs
    /// least; unknown loads count as 0.
    pub loads: Vec<f64>,
    /// The client library of the members; `None` if it is not known. It determines when members are
    /// removed.
    pub client: Option<ClientFamily>,
    /// The families that the coordinator may belong to.
    pub coordinators: Vec<CoordinatorFamily>,
    /// Whether assignments carry the user data of sticky assignors; see
    /// [`SyncRequest::sticky_user_data`](crate::ports::SyncRequest::sticky_user_data).
    pub sticky_user_data: bool,
    /// The time at which the group was read for the plan, as an elapsed time. The hand-over reads it
    /// again some seconds later, and begins only if nothing has changed.
    pub observed_at: Duration,
}

/// Why a plan of moves cannot be handed out to the group of a snapshot.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HandoverPlanError {
    /// The group cannot be modelled.
    #[error(transparent)]
    Group(#[from] GroupProblem),
    /// The group is given no assignment.
    #[error(transparent)]
    Unsuitable(#[from] AssignProblem),
    /// The plan belongs to another group: the partition does not exist, has another owner, or a member
    /// does not exist.
    #[error(
        "the plan does not belong to the group of the snapshot: it moves {partition} from {from} to {to}"
    )]
    OtherGroup {
        /// The name of the partition.
        partition: String,
        /// The owner in the plan.
        from: String,
        /// The owner afterwards.
        to: String,
    },
}

impl HandoverPlan {
    /// The plan that hands out `plan` to the group of `snapshot`, which was observed at `observed_at`.
    ///
    /// # Errors
    /// If the group cannot be given an assignment, or the plan was made for another group.
    pub fn new(
        snapshot: &Snapshot,
        plan: &AssignmentPlan,
        observed_at: Duration,
    ) -> Result<Self, HandoverPlanError> {
        let group = snapshot.group_model()?;
        let document = snapshot.data().group.as_ref();
        let document = document.ok_or(AssignProblem::NotDescribed)?;
        let described = suitable(document, &group)?;
        let members = document.members.iter().map(HandoverMember::of_document);
        let members: Option<Vec<HandoverMember>> = members.collect();
        let member = |name: &str| {
            let mut named = document
                .members
                .iter()
                .zip(MemberIndex::all(group.members.len()));
            named.find_map(|(member, index)| (member.name() == name).then_some(index))
        };
        let mut target = group.owners.clone();
        for moved in plan.moves() {
            let (partition, to) = partition(&group.topics, moved)
                .filter(|partition| group.owners.owner(*partition) == member(&moved.from))
                .zip(member(&moved.to))
                .ok_or_else(|| HandoverPlanError::OtherGroup {
                    partition: moved.partition_name(),
                    from: moved.from.clone(),
                    to: moved.to.clone(),
                })?;
            target.set(partition, Some(to));
        }
        let loads = ExplainedLoads::new(snapshot, &group);
        Ok(Self {
            assignor: described.assignor.clone().unwrap_or_default(),
            protocol: RebalanceProtocol::of(group.assignor.assignor),
            members: members.ok_or(AssignProblem::NotDescribed)?,
            current: group.owners,
            target,
            loads: loads.attribution().partitions.clone(),
            topics: group.topics,
            client: described.client,
            coordinators: CoordinatorFamily::ALL.to_vec(),
            // sarama takes the previous assignment from there. Other clients ignore it, but their group
            // could not be upgraded to KIP-848 while such an assignment is current.
            sticky_user_data: group.assignor.assignor == Assignor::Sticky
                && described.client.is_none(),
            observed_at,
        })
    }

    /// The number of partitions that change their owner.
    #[must_use]
    pub fn moves(&self) -> usize {
        let pairs = self.current.owners().zip(self.target.owners());
        pairs.filter(|(from, to)| from != to).count()
    }
}

/// The partition of a move; `None` if it does not exist.
fn partition(topics: &Topics, moved: &PlannedMove) -> Option<PartitionIndex> {
    let topic = topics.find(&moved.topic)?;
    topics
        .partitions(topic)
        .nth(usize::try_from(moved.partition).ok()?)
}
