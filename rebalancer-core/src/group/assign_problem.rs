//! Reasons why the partitions of a group are not redistributed through its coordinator: by an
//! assignment that is handed out, or by members that rejoin.

use crate::wording::plural;
use std::fmt;

use kafka_assignors::{Member, MemberIndex, PartitionIndex, subscribed_alike};
use serde::{Deserialize, Serialize};

use super::{Assignor, ClientFamily, GroupModel, Protocol};

/// Why a group cannot be given an assignment, or would not keep it; or why its members cannot
/// rejoin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum AssignProblem {
    /// The assignor deals the partitions by the rank of the members, or is not one of a classic
    /// group.
    UnsuitableAssignor {
        /// The assignor.
        assignor: Assignor,
    },
    /// The broker computes the assignment (KIP-848).
    ConsumerProtocol,
    /// The members use an assignor that is not known.
    UnknownAssignor {
        /// Its name in the group's metadata.
        name: String,
    },
    /// The members use another assignor than the forecast, so the effect of a rejoin is not known.
    AssignorNotModelled {
        /// Its name in the group's metadata.
        name: String,
    },
    /// The group uses the consumer protocol (KIP-848): after a removal two members would process a
    /// partition for some seconds.
    DoubleProcessing,
    /// The group uses the consumer protocol (KIP-848), and members of it the classic one. If the
    /// others were removed, the broker could turn it into a classic group.
    MixedProtocols {
        /// The number of members of the classic protocol.
        members: usize,
    },
    /// The group uses the consumer protocol (KIP-848), and its broker is older than Kafka 4.0,
    /// which does not remove members of such a group on request.
    BrokerTooOld,
    /// Members that are removed and return claim the same partitions again.
    ClaimsKept {
        /// The assignor.
        assignor: Assignor,
        /// The client library.
        client: ClientFamily,
    },
    /// The brokers do not describe the group: it is read from metrics, or from a document that does
    /// not name the member ids.
    NotDescribed,
    /// The rates of the partitions are unknown, so an assignment cannot be judged.
    NoRates,
    /// The coordinator is not one of Kafka's. Its election of the leader cannot be predicted.
    UnknownCoordinator {
        /// The product.
        product: String,
    },
    /// Ready pods have no member in the group.
    PodsWithoutMember {
        /// The number of pods.
        pods: usize,
        /// The name of one of them.
        example: String,
    },
    /// Assignments of members carry data besides the partitions, which is not known.
    UserData {
        /// The number of members.
        members: usize,
    },
    /// Partitions have no owner.
    Unowned {
        /// The number of partitions.
        partitions: usize,
        /// The name of one of them.
        example: String,
    },
    /// Members subscribe to different topics.
    DifferentSubscriptions {
        /// The id of a member whose subscription differs from that of most members.
        member: String,
    },
    /// Not every partition can be owned by a member in the rack of one of its replicas while all
    /// members own the same number of partitions.
    Racks,
    /// The group's assignor would move a partition.
    NotKept {
        /// The assignor.
        assignor: Assignor,
        /// The client whose implementation was replayed.
        client: ClientFamily,
        /// Whether the rebalancer's own member was part of the replayed group.
        with_own_member: bool,
        /// The name of the partition.
        partition: String,
        /// The id of the member that the partition would be taken from.
        from: String,
        /// The id of the member that would get it. `None` if the assignor would withdraw it first.
        to: Option<String>,
    },
}

impl AssignProblem {
    /// Checks whether the members of a group keep an assignment that they are given.
    ///
    /// # Errors
    /// The problem, if they do not.
    pub fn check(protocol: Protocol, assignor: Assignor) -> Result<(), Self> {
        match (protocol, assignor) {
            (Protocol::Consumer, _) => Err(Self::ConsumerProtocol),
            (Protocol::Classic, Assignor::Sticky | Assignor::CooperativeSticky) => Ok(()),
            (Protocol::Classic, _) => Err(Self::UnsuitableAssignor { assignor }),
        }
    }

    pub(crate) fn unowned(group: &GroupModel) -> Self {
        let mut unowned = group.owners.without_owner();
        let first = unowned.next();
        Self::Unowned {
            partitions: usize::from(first.is_some()) + unowned.count(),
            example: first.map_or_else(String::new, |first| group.topics.partition_name(first)),
        }
    }

    /// The problem of members with different subscriptions. `None` if they are alike.
    pub(crate) fn different_subscriptions(members: &[Member]) -> Option<Self> {
        if subscribed_alike(members) {
            return None;
        }
        let alike = |member: &Member| {
            let same = |other: &&Member| other.subscription == member.subscription;
            members.iter().filter(same).count()
        };
        let odd = members.iter().min_by_key(|member| alike(member))?;
        Some(Self::DifferentSubscriptions {
            member: odd.id.clone(),
        })
    }

    pub(crate) fn not_kept(
        group: &GroupModel,
        members: &[Member],
        client: ClientFamily,
        partition: PartitionIndex,
        (from, to): (Option<MemberIndex>, Option<MemberIndex>),
    ) -> Self {
        let id = |member: MemberIndex| members.get(member.get()).map(|member| member.id.clone());
        Self::NotKept {
            assignor: group.assignor.assignor,
            client,
            with_own_member: members.len() > group.members.len(),
            partition: group.topics.partition_name(partition),
            from: from.and_then(id).unwrap_or_default(),
            to: to.and_then(id),
        }
    }
}

impl fmt::Display for AssignProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnsuitableAssignor { assignor } => write!(
                f,
                "the members use the assignor {assignor}, which computes the owners from the member \
                 ids in each rebalance and would not keep an assignment; set \
                 partition.assignment.strategy of the consumers to cooperative-sticky, in two rolling \
                 restarts: first add it beside {assignor}, then remove {assignor}"
            ),
            Self::ConsumerProtocol => f.write_str(
                "the group uses the consumer protocol (KIP-848), in which the broker computes the \
                 owners of the partitions; no member can hand out an assignment",
            ),
            Self::UnknownAssignor { name } if name == "stream" => f.write_str(
                "the group belongs to Kafka Streams, whose assignments also carry tasks and state; \
                 they are not changed from outside",
            ),
            Self::UnknownAssignor { name } => write!(
                f,
                "the members use the assignor {name}, which is not known; an assignment is handed \
                 out only to members with cooperative-sticky or sticky, which keep it"
            ),
            Self::NotDescribed => f.write_str(
                "the partitions are redistributed among the members that the brokers describe, with \
                 their member ids; read the group from Kafka",
            ),
            Self::AssignorNotModelled { name } if name == "stream" => f.write_str(
                "the group belongs to Kafka Streams, whose assignments also carry tasks and state; \
                 its members are not removed",
            ),
            Self::AssignorNotModelled { name } => write!(
                f,
                "the members use the assignor {name}, which is not the one of the forecast; the effect \
                 of a rejoin is not known"
            ),
            Self::DoubleProcessing => f.write_str(
                "the group uses the consumer protocol (KIP-848), in which a removed member notices its \
                 removal with its next heartbeat (group.consumer.heartbeat.interval.ms, 5 s by \
                 default); until then, and until its current batch is complete, another member would \
                 process the same partitions, so members of such a group are removed only if it is \
                 allowed explicitly",
            ),
            Self::MixedProtocols { members } => write!(
                f,
                "{members} {} the classic protocol in this group of the consumer protocol (KIP-848); no \
                 member is removed, because the broker could turn the group into a classic one; wait \
                 until all members have been migrated",
                plural(*members, "member uses", "members use")
            ),
            Self::BrokerTooOld => f.write_str(
                "the group uses the consumer protocol (KIP-848), and its coordinator is older than Kafka \
                 4.0 by the versions of its APIs (ConsumerGroupDescribe), so it does not remove members \
                 on request; upgrade the brokers, or use the strategy forecast",
            ),
            Self::ClaimsKept { assignor, client } => {
                let (which, remedy) = if *assignor == Assignor::CooperativeSticky {
                    (
                        "a static member",
                        "use the strategy assign, or do without group.instance.id",
                    )
                } else {
                    ("a member", "use the strategy assign, or cooperative-sticky")
                };
                write!(
                    f,
                    "a rejoin has no effect: with {assignor} of the client {client}, {which} that is \
                     removed and returns claims the partitions that it had, and gets them back; {remedy}"
                )
            }
            Self::NoRates => f.write_str(
                "the rates of the partitions are unknown, so the load of an assignment cannot be \
                 computed",
            ),
            Self::UnknownCoordinator { product } => write!(
                f,
                "the group is coordinated by {product}, which elects the leader of a group in another \
                 way than Kafka; an assignment is handed out through Kafka's coordinators only"
            ),
            Self::PodsWithoutMember { pods, example } => write!(
                f,
                "{pods} ready {} no member in the group, such as {example}; wait until it has joined, \
                 or check its log and its group id",
                plural(*pods, "pod has", "pods have")
            ),
            Self::UserData { members } => write!(
                f,
                "the assignments of {members} members carry data besides the partitions, written by \
                 their assignor or their application; a new assignment would lose it"
            ),
            Self::Unowned {
                partitions,
                example,
            } => write!(
                f,
                "{partitions} {} no owner, such as {example}; wait until the group has settled, \
                 and check that its members subscribe to the topic",
                plural(*partitions, "partition has", "partitions have")
            ),
            Self::DifferentSubscriptions { member } => write!(
                f,
                "member {member} subscribes to other topics than other members; an assignment is \
                 handed out only if all members of a group subscribe to the same topics"
            ),
            Self::Racks => f.write_str(
                "members and replicas have racks (client.rack, broker.rack), and no assignment with \
                 equal numbers of partitions has each partition on a member in the rack of a \
                 replica; the assignor would move the others in each rebalance; distribute members \
                 and replicas evenly over the racks, or unset client.rack",
            ),
            Self::NotKept {
                assignor,
                client,
                with_own_member,
                partition,
                from,
                to,
            } => {
                write!(
                    f,
                    "the group would not keep the assignment: {assignor} of the client {client} would \
                     take partition {partition} from member {from}"
                )?;
                if let Some(to) = to {
                    write!(f, " and give it to member {to}")?;
                }
                if *with_own_member {
                    f.write_str(" while the rebalancer's own member is in the group")?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for AssignProblem {}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::cooperative(Protocol::Classic, Assignor::CooperativeSticky, None)]
    #[case::eager(Protocol::Classic, Assignor::Sticky, None)]
    #[case::range(Protocol::Classic, Assignor::Range, Some("two rolling restarts"))]
    #[case::round_robin(Protocol::Classic, Assignor::RoundRobin, Some("remove roundrobin"))]
    #[case::broker(Protocol::Consumer, Assignor::Uniform, Some("KIP-848"))]
    #[case::range_of_broker(Protocol::Consumer, Assignor::Range, Some("KIP-848"))]
    fn only_sticky_assignors_of_classic_groups_keep_an_assignment(
        #[case] protocol: Protocol,
        #[case] assignor: Assignor,
        #[case] message: Option<&str>,
    ) {
        let problem = AssignProblem::check(protocol, assignor).err();
        match (problem, message) {
            (None, None) => {}
            (Some(problem), Some(part)) => {
                let text = problem.to_string();
                assert!(text.contains(part), "{text}");
            }
            (problem, _) => panic!("{problem:?}"),
        }
    }

    #[test]
    fn kept_claims_have_a_remedy() {
        let message = |assignor| {
            let client = ClientFamily::Librdkafka;
            AssignProblem::ClaimsKept { assignor, client }.to_string()
        };
        let eager = message(Assignor::Sticky);
        assert!(
            eager.ends_with("use the strategy assign, or cooperative-sticky"),
            "{eager}"
        );
        let of_static = message(Assignor::CooperativeSticky);
        assert!(
            of_static.contains("a static member that is removed"),
            "{of_static}"
        );
        assert!(
            of_static.ends_with("do without group.instance.id"),
            "{of_static}"
        );
    }

    #[test]
    fn unknown_assignors_are_named() {
        let message = |name: &str| AssignProblem::UnknownAssignor { name: name.into() }.to_string();
        assert!(message("stream").contains("Kafka Streams"));
        assert!(message("my-assignor").contains("my-assignor"));
    }
}
