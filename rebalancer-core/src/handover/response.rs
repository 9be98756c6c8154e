//! The members and the owned partitions of a JoinGroup response, in terms of the plan.

use std::collections::HashMap;

use kafka_assignors::{Assignment, Member, MemberIndex, PartitionIndex, Subscription};

use super::plan::HandoverPlan;
use crate::ports::{JoinedMember, JoinedSubscription, MemberAssignment, TopicPartition};
use crate::strategy::assign::phases::{Claim, Claims, Former, Joined};

/// The content of a JoinGroup response to the leader. Members have the indices of the plan.
#[derive(Debug, Clone)]
pub(super) struct JoinResponse<'a> {
    plan: &'a HandoverPlan,
    /// The members of the plan. One that is absent subscribes to no topic.
    members: Vec<Member>,
    present: Vec<bool>,
    claims: Claims,
    /// The ids of members that are not in the plan. Each gets an empty assignment.
    unknown: Vec<String>,
    /// The first difference from the plan.
    difference: Option<String>,
}

impl<'a> JoinResponse<'a> {
    /// Reads a response. `ids` are the current ids of the plan's members, by index, and `own` is
    /// the id of the assigner.
    pub(super) fn read(
        plan: &'a HandoverPlan,
        ids: &[String],
        own: &str,
        joined: &[JoinedMember],
    ) -> Self {
        let indices = MemberIndex::all(ids.len());
        let by_id: HashMap<&str, MemberIndex> =
            ids.iter().map(String::as_str).zip(indices).collect();
        let absent = |id: &String| Member {
            id: id.clone(),
            instance: None,
            subscription: Subscription::default(),
            rack: None,
        };
        let mut members: Vec<Member> = ids.iter().map(absent).collect();
        let mut present = vec![false; ids.len()];
        let mut claims = Vec::new();
        let mut unknown = Vec::new();
        let mut differences = Vec::new();
        for member in joined.iter().filter(|member| member.member_id != own) {
            let id = &member.member_id;
            let Some(index) = by_id.get(id.as_str()) else {
                differences.push(format!("member {id} has joined"));
                unknown.push(id.clone());
                continue;
            };
            if let Some(present) = present.get_mut(index.get()) {
                *present = true;
            }
            let Some(subscription) = &member.subscription else {
                differences.push(format!("the subscription of member {id} cannot be read"));
                // It was readable before: the member keeps what no other member claims.
                if let Some(member) = members.get_mut(index.get()) {
                    member.subscription = Subscription::all(&plan.topics);
                }
                continue;
            };
            // A topic that does not exist has no partitions to hand out.
            let topics = subscribed(plan, subscription);
            if topics != Subscription::all(&plan.topics) {
                differences.push(format!("member {id} has another subscription"));
            }
            if let Some(member) = members.get_mut(index.get()) {
                member.subscription = topics;
            }
            for (topic, number) in &subscription.owned {
                match locate(plan, topic, *number) {
                    Some(partition) => claims.push((*index, partition)),
                    None => differences.push(format!(
                        "member {id} owns the unknown partition {topic}-{number}"
                    )),
                }
            }
        }
        if let Some((id, _)) = ids.iter().zip(&present).find(|(_, present)| !**present) {
            differences.push(format!("member {id} is missing"));
        }
        let claims = Claims::new(plan.topics.partition_count(), claims);
        if let Some(partition) = claims.contested().first() {
            let name = plan.topics.partition_name(*partition);
            differences.push(format!("two members own partition {name}"));
        }
        Self {
            plan,
            members,
            present,
            claims,
            unknown,
            difference: differences.into_iter().next(),
        }
    }

    /// The first difference from the plan; `None` if the members and their subscriptions are those
    /// of the plan, and no partition is claimed twice.
    pub(super) fn difference(&self) -> Option<&str> {
        self.difference.as_deref()
    }

    /// The response as the phases of a hand-over see it.
    pub(super) fn joined(&self) -> Joined<'_> {
        Joined {
            topics: &self.plan.topics,
            members: &self.members,
            claims: &self.claims,
        }
    }

    /// These owners, as far as they are in the response.
    pub(super) fn former(&self, owners: &Assignment) -> Former {
        let indices = MemberIndex::all(self.present.len()).zip(&self.present);
        let present: Vec<Option<MemberIndex>> = indices
            .map(|(index, present)| present.then_some(index))
            .collect();
        Former::new(owners, &present)
    }

    /// Whether each member claims exactly its partitions of `assignment`.
    pub(super) fn claims_are(&self, assignment: &Assignment) -> bool {
        let claimed = |partition: PartitionIndex| match self.claims.of(partition) {
            Claim::One(member) => Some(member),
            Claim::None | Claim::Several => None,
        };
        let mut owners = assignment.iter();
        owners.all(|(partition, owner)| claimed(partition) == owner)
    }

    /// The entries of a SyncGroup request that hands out `assignment`: one for every member of the
    /// response, including the assigner.
    pub(super) fn entries(
        &self,
        ids: &[String],
        own: &str,
        assignment: &Assignment,
    ) -> Vec<MemberAssignment> {
        let entry = |id: &str, partitions| MemberAssignment {
            member_id: id.to_owned(),
            partitions,
        };
        let partitions = assignment.by_member(self.members.len());
        let members = ids.iter().zip(&self.present).zip(partitions);
        members
            .filter(|((_, present), _)| **present)
            .map(|((id, _), partitions)| entry(id, self.names(&partitions)))
            .chain(self.unknown.iter().map(|id| entry(id, Vec::new())))
            .chain([entry(own, Vec::new())])
            .collect()
    }

    fn names(&self, partitions: &[PartitionIndex]) -> Vec<TopicPartition> {
        let topics = &self.plan.topics;
        let name = |partition: &PartitionIndex| {
            let (topic, number) = topics.locate(*partition)?;
            Some((topics.name(topic).to_owned(), u32::try_from(number).ok()?))
        };
        partitions.iter().filter_map(name).collect()
    }
}

fn subscribed(plan: &HandoverPlan, subscription: &JoinedSubscription) -> Subscription {
    let topics = subscription.topics.iter();
    Subscription::new(topics.filter_map(|topic| plan.topics.find(topic)))
}

/// The index of a partition of the plan.
pub(super) fn locate(plan: &HandoverPlan, topic: &str, number: u32) -> Option<PartitionIndex> {
    let topic = plan.topics.find(topic)?;
    let mut partitions = plan.topics.partitions(topic);
    partitions.nth(usize::try_from(number).ok()?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kafka_assignors::Topics;
    use rstest::rstest;

    use super::*;
    use crate::group::{Protocol, RebalanceProtocol};
    use crate::handover::plan::{HandoverGoal, HandoverMember};
    use crate::strategy::assign::phases;

    fn plan() -> HandoverPlan {
        let member = |id: &str| HandoverMember {
            member_id: id.into(),
            instance: None,
            client_id: id.into(),
            host: "/10.0.0.1".into(),
        };
        HandoverPlan {
            assignor: "cooperative-sticky".into(),
            group_protocol: Protocol::Classic,
            protocol: RebalanceProtocol::Cooperative,
            topics: Topics::new([("orders".to_owned(), 2)]),
            members: ["a", "b"].map(member).to_vec(),
            current: MemberIndex::all(2).map(Some).collect(),
            goal: HandoverGoal::Rejoin(Vec::new()),
            client: None,
            coordinators: Vec::new(),
            observed_at: Duration::ZERO,
        }
    }

    fn joined(id: &str, topics: Option<&[&str]>, owned: u32) -> JoinedMember {
        JoinedMember {
            member_id: id.into(),
            instance: None,
            subscription: topics.map(|topics| JoinedSubscription {
                topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
                owned: vec![("orders".into(), owned)],
            }),
        }
    }

    /// A topic that does not exist has no partitions, so it is no difference from the plan.
    #[rstest]
    #[case(Some(&["orders"][..]), None)]
    #[case(Some(&["orders", "gone"][..]), None)]
    #[case(Some(&["gone"][..]), Some("member b has another subscription"))]
    #[case(None, Some("the subscription of member b cannot be read"))]
    fn subscription_is_compared_in_terms_of_the_plan(
        #[case] topics: Option<&[&str]>,
        #[case] difference: Option<&str>,
    ) {
        let plan = plan();
        let ids = ["a".to_owned(), "b".to_owned()];
        let members = [joined("a", Some(&["orders"]), 0), joined("b", topics, 1)];
        let response = JoinResponse::read(&plan, &ids, "assigner", &members);
        assert_eq!(response.difference(), difference);
    }

    /// A member that cannot be read keeps the partitions that no other member claims.
    #[test]
    fn restore_takes_nothing_from_a_member_that_cannot_be_read() {
        let plan = plan();
        let ids = ["a".to_owned(), "b".to_owned()];
        let members = [joined("a", Some(&["orders"]), 0), joined("b", None, 1)];
        let response = JoinResponse::read(&plan, &ids, "assigner", &members);
        let all: Vec<MemberIndex> = MemberIndex::all(2).collect();
        let restored = phases::restore(response.joined(), &response.former(&plan.current), &all);
        assert_eq!(restored, plan.current);
    }
}
