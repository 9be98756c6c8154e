//! The plan of a hand-over: the group as it was read, and the goal.

use std::time::Duration;

use kafka_assignors::coordinator_order::CoordinatorFamily;
use kafka_assignors::{Assignment, MemberIndex, PartitionIndex, Topics};

use crate::group::{
    Assignor, ClientFamily, DescribedDocument, GroupDocument, GroupModel, GroupProblem,
    MemberDocument, Protocol, RebalanceProtocol,
};
use crate::plan::{AssignmentPlan, PlannedMove, RejoinPlan};
use crate::ports::{DescribedMember, GroupKind};
use crate::snapshot::Snapshot;
use crate::strategy::assign::{AssignProblem, can_remove_consumers, suitable};
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

    /// Whether `other` is this member under a new id: it has the same instance id, or, if neither
    /// has one, the same client id. Both have the same host.
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
    /// The protocol of the group. In the consumer protocol (KIP-848) members can rejoin, but no
    /// assignment can be handed out.
    pub group_protocol: Protocol,
    /// The part that the members take in a rebalance.
    pub protocol: RebalanceProtocol,
    /// The topics of the group.
    pub topics: Topics,
    /// The members; assignments refer to them by index.
    pub members: Vec<HandoverMember>,
    /// The owners when the group was read. Each partition has one.
    pub current: Assignment,
    /// The goal.
    pub goal: HandoverGoal,
    /// The client library of the members; `None` if it is not known. It determines when members are
    /// removed.
    pub client: Option<ClientFamily>,
    /// The families that the coordinator may belong to.
    pub coordinators: Vec<CoordinatorFamily>,
    /// The time at which the group was read for the plan, as an elapsed time. The hand-over reads
    /// it again some seconds later, and begins only if nothing has changed.
    pub observed_at: Duration,
}

/// The goal of a hand-over.
#[derive(Debug, Clone, PartialEq)]
pub enum HandoverGoal {
    /// The group gets this assignment, and keeps it.
    Assign(HandoverTarget),
    /// These members are removed at once and return, and the group's own assignor deals the
    /// partitions again. At least one member, but not all, each once.
    Rejoin(Vec<MemberIndex>),
}

/// The planned work of a hand-over, for documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandoverWork {
    /// This number of partitions gets other owners.
    Moves(usize),
    /// This number of members rejoins.
    Rejoins(usize),
}

/// An assignment to hand out.
#[derive(Debug, Clone, PartialEq)]
pub struct HandoverTarget {
    /// The owners. Each partition has one.
    pub owners: Assignment,
    /// The load of each partition, in any unit. Used to choose partitions whose short pause costs
    /// least; unknown loads count as 0.
    pub loads: Vec<f64>,
    /// Whether assignments carry the user data of sticky assignors; see
    /// [`SyncRequest::sticky_user_data`](crate::ports::SyncRequest::sticky_user_data).
    pub sticky_user_data: bool,
}

/// Why a plan cannot be handed out to the group of a snapshot.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HandoverPlanError {
    /// The group cannot be modelled.
    #[error(transparent)]
    Group(#[from] GroupProblem),
    /// The group is given no assignment, or no member of it is removed.
    #[error(transparent)]
    Unsuitable(#[from] AssignProblem),
    /// No member of a group of this type is removed.
    #[error(
        "its type is {kind}, and members are removed from groups of consumers only; use the strategy \
         forecast"
    )]
    NotOfConsumers {
        /// The type of the group.
        kind: GroupKind,
    },
    /// The plan of a rejoin belongs to another group: the pod has no member.
    #[error("the plan does not belong to the group of the snapshot: pod {pod} has no member")]
    NoMember {
        /// The name of the pod.
        pod: String,
    },
    /// The plan of a rejoin contains the pods of all members.
    #[error("all {members} members would be removed; at least one has to stay in the group")]
    NoMemberStays {
        /// The number of members.
        members: usize,
    },
    /// The plan belongs to another group: the partition does not exist, has another owner, or a
    /// member does not exist.
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
    /// The plan that hands out `plan` to the group of `snapshot`, which was observed at
    /// `observed_at`.
    ///
    /// # Errors
    /// If the group cannot be given an assignment, or the plan was made for another group.
    pub fn new(
        snapshot: &Snapshot,
        plan: &AssignmentPlan,
        observed_at: Duration,
    ) -> Result<Self, HandoverPlanError> {
        let group = snapshot.group_model()?;
        let document = group_document(snapshot)?;
        let described = suitable(document, &group)?;
        let member = |name: &str| {
            let mut named = document
                .members
                .iter()
                .zip(MemberIndex::all(group.members.len()));
            named.find_map(|(member, index)| (member.name() == name).then_some(index))
        };
        let mut owners = group.owners.clone();
        for moved in plan.moves() {
            let (partition, to) = partition(&group.topics, moved)
                .filter(|partition| group.owners.owner(*partition) == member(&moved.from))
                .zip(member(&moved.to))
                .ok_or_else(|| HandoverPlanError::OtherGroup {
                    partition: moved.partition_name(),
                    from: moved.from.clone(),
                    to: moved.to.clone(),
                })?;
            owners.set(partition, Some(to));
        }
        let loads = ExplainedLoads::new(snapshot, &group);
        let target = HandoverTarget {
            owners,
            loads: loads.attribution().partitions.clone(),
            // sarama takes the previous assignment from there. Other clients ignore it, but their
            // group could not be upgraded to KIP-848 while such an assignment is current.
            sticky_user_data: group.assignor.assignor == Assignor::Sticky
                && described.client.is_none(),
        };
        let goal = HandoverGoal::Assign(target);
        Self::with_goal(document, described, group, goal, observed_at)
    }

    /// The plan that lets all members of the pods of `plan` rejoin the group of `snapshot`, which
    /// was observed at `observed_at`.
    ///
    /// # Errors
    /// If brokers do not describe the group, or do not remove its members, or the plan was made for
    /// another group.
    pub fn rejoin(
        snapshot: &Snapshot,
        plan: &RejoinPlan,
        observed_at: Duration,
    ) -> Result<Self, HandoverPlanError> {
        let group = snapshot.group_model()?;
        let document = group_document(snapshot)?;
        let described = document.described.as_ref();
        let described = described.ok_or(AssignProblem::NotDescribed)?;
        match described.kind {
            GroupKind::Classic => {}
            GroupKind::Consumer => can_remove_consumers(described)?,
            GroupKind::Other(_) => {
                return Err(HandoverPlanError::NotOfConsumers {
                    kind: described.kind.clone(),
                });
            }
        }
        let has_member = |pod: &str| document.members.iter().any(|member| member.pod == pod);
        if let Some(planned) = plan.pods().iter().find(|planned| !has_member(&planned.pod)) {
            return Err(HandoverPlanError::NoMember {
                pod: planned.pod.clone(),
            });
        }
        let members = document.members.iter();
        let removed: Vec<MemberIndex> = members
            .zip(MemberIndex::all(document.members.len()))
            .filter(|(member, _)| plan.contains(&member.pod))
            .map(|(_, index)| index)
            .collect();
        let members = document.members.len();
        if removed.len() == members {
            return Err(HandoverPlanError::NoMemberStays { members });
        }
        let goal = HandoverGoal::Rejoin(removed);
        Self::with_goal(document, described, group, goal, observed_at)
    }

    fn with_goal(
        document: &GroupDocument,
        described: &DescribedDocument,
        group: GroupModel,
        goal: HandoverGoal,
        observed_at: Duration,
    ) -> Result<Self, HandoverPlanError> {
        let members = document.members.iter().map(HandoverMember::of_document);
        let members: Option<Vec<HandoverMember>> = members.collect();
        Ok(Self {
            assignor: described.assignor.clone().unwrap_or_default(),
            group_protocol: if described.kind == GroupKind::Classic {
                Protocol::Classic
            } else {
                Protocol::Consumer
            },
            protocol: RebalanceProtocol::of_group(&group),
            members: members.ok_or(AssignProblem::NotDescribed)?,
            current: group.owners,
            topics: group.topics,
            goal,
            client: described.client,
            coordinators: CoordinatorFamily::ALL.to_vec(),
            observed_at,
        })
    }

    /// The planned work.
    #[must_use]
    pub fn work(&self) -> HandoverWork {
        match &self.goal {
            HandoverGoal::Assign(target) => {
                let pairs = self.current.owners().zip(target.owners.owners());
                HandoverWork::Moves(pairs.filter(|(from, to)| from != to).count())
            }
            HandoverGoal::Rejoin(members) => HandoverWork::Rejoins(members.len()),
        }
    }

    /// The assignment to hand out; `None` if members rejoin.
    #[must_use]
    pub fn target(&self) -> Option<&HandoverTarget> {
        match &self.goal {
            HandoverGoal::Assign(target) => Some(target),
            HandoverGoal::Rejoin(_) => None,
        }
    }
}

fn group_document(snapshot: &Snapshot) -> Result<&GroupDocument, AssignProblem> {
    let document = snapshot.data().group.as_ref();
    document.ok_or(AssignProblem::NotDescribed)
}

/// The partition of a move; `None` if it does not exist.
fn partition(topics: &Topics, moved: &PlannedMove) -> Option<PartitionIndex> {
    let topic = topics.find(&moved.topic)?;
    topics
        .partitions(topic)
        .nth(usize::try_from(moved.partition).ok()?)
}
