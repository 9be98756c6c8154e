//! The members and the owned partitions of a JoinGroup response, in terms of the plan.

use std::collections::HashMap;

use kafka_assignors::{Assignment, MemberIndex, PartitionIndex};

use super::plan::HandoverPlan;
use crate::ports::{JoinedMember, MemberAssignment, TopicPartition};

/// The content of a JoinGroup response to the leader.
#[derive(Debug, Clone)]
pub(super) struct Claims {
    /// The member that claims each partition; no owner if no member or several members claim it.
    owners: Assignment,
    /// The partitions that several members claim.
    contested: Vec<PartitionIndex>,
    /// Per member of the plan: its subscription in this response; `None` if it is absent.
    present: Vec<Option<Subscribed>>,
    /// The ids of members that are not in the plan. Each gets an empty assignment.
    strangers: Vec<String>,
    /// The first difference from the plan.
    difference: Option<String>,
}

/// The topics that a member subscribes to.
#[derive(Debug, Clone)]
enum Subscribed {
    /// All topics of the plan.
    All,
    /// Per topic of the plan.
    Some(Vec<bool>),
}

impl Claims {
    /// Reads a response. `ids` are the current ids of the plan's members, by index, and `own` is the
    /// id of the assigner.
    pub(super) fn read(
        plan: &HandoverPlan,
        ids: &[String],
        own: &str,
        members: &[JoinedMember],
    ) -> Self {
        let by_id: HashMap<&str, MemberIndex> = ids
            .iter()
            .map(String::as_str)
            .zip(MemberIndex::all(ids.len()))
            .collect();
        let mut claims = Self {
            owners: Assignment::unowned(plan.topics.partition_count()),
            contested: Vec::new(),
            present: vec![None; plan.members.len()],
            strangers: Vec::new(),
            difference: None,
        };
        for member in members.iter().filter(|member| member.member_id != own) {
            match by_id.get(member.member_id.as_str()) {
                Some(index) => claims.add(plan, *index, member),
                None => {
                    claims.differs(|| format!("member {} has joined", member.member_id));
                    claims.strangers.push(member.member_id.clone());
                }
            }
        }
        let absent = ids.iter().zip(&claims.present);
        let absent = absent.filter(|(_, present)| present.is_none());
        if let Some((id, _)) = absent.into_iter().next() {
            let id = id.clone();
            claims.differs(|| format!("member {id} is missing"));
        }
        claims
    }

    fn add(&mut self, plan: &HandoverPlan, index: MemberIndex, member: &JoinedMember) {
        let id = &member.member_id;
        let Some(subscription) = &member.subscription else {
            self.differs(|| format!("the subscription of member {id} cannot be read"));
            self.set_present(index, Subscribed::Some(vec![false; plan.topics.len()]));
            return;
        };
        let topics: Vec<bool> = plan
            .topics
            .indices()
            .map(|topic| {
                let name = plan.topics.name(topic);
                subscription.topics.iter().any(|topic| topic == name)
            })
            .collect();
        let known = topics.iter().filter(|subscribes| **subscribes).count();
        if known < topics.len() || known < subscription.topics.len() {
            self.differs(|| format!("member {id} has another subscription"));
        }
        for (topic, number) in &subscription.owned {
            let Some(partition) = locate(plan, topic, *number) else {
                self.differs(|| format!("member {id} owns the unknown partition {topic}-{number}"));
                continue;
            };
            self.claim(plan, partition, index);
        }
        let subscribed = if topics.iter().all(|subscribes| *subscribes) {
            Subscribed::All
        } else {
            Subscribed::Some(topics)
        };
        self.set_present(index, subscribed);
    }

    fn claim(&mut self, plan: &HandoverPlan, partition: PartitionIndex, by: MemberIndex) {
        let contested = self.contested.contains(&partition);
        match self.owners.owner(partition) {
            None if !contested => self.owners.set(partition, Some(by)),
            Some(other) if other == by => {}
            None | Some(_) => {
                if !contested {
                    self.contested.push(partition);
                }
                self.owners.set(partition, None);
                let name = plan.topics.partition_name(partition);
                self.differs(|| format!("two members own partition {name}"));
            }
        }
    }

    fn set_present(&mut self, index: MemberIndex, subscribed: Subscribed) {
        if let Some(entry) = self.present.get_mut(index.get()) {
            *entry = Some(subscribed);
        }
    }

    fn differs(&mut self, difference: impl FnOnce() -> String) {
        self.difference.get_or_insert_with(difference);
    }

    /// The first difference from the plan; `None` if the members and their subscriptions are those
    /// of the plan, and no partition is claimed twice.
    pub(super) fn difference(&self) -> Option<&str> {
        self.difference.as_deref()
    }

    /// The member that claims the partition, if exactly one does.
    pub(super) fn owner(&self, partition: PartitionIndex) -> Option<MemberIndex> {
        self.owners.owner(partition)
    }

    /// The members that claim the partitions.
    pub(super) fn owners(&self) -> &Assignment {
        &self.owners
    }

    /// Whether several members claim the partition.
    pub(super) fn is_contested(&self, partition: PartitionIndex) -> bool {
        self.contested.contains(&partition)
    }

    /// Whether the member is in the response.
    pub(super) fn is_present(&self, member: MemberIndex) -> bool {
        matches!(self.present.get(member.get()), Some(Some(_)))
    }

    /// Whether the member is in the response and subscribes to the topic of the partition.
    pub(super) fn may_own(
        &self,
        plan: &HandoverPlan,
        member: MemberIndex,
        partition: PartitionIndex,
    ) -> bool {
        match self.present.get(member.get()) {
            Some(Some(Subscribed::All)) => true,
            Some(Some(Subscribed::Some(topics))) => plan
                .topics
                .locate(partition)
                .and_then(|(topic, _)| topics.get(topic.get()))
                .is_some_and(|subscribes| *subscribes),
            Some(None) | None => false,
        }
    }

    /// The entries of a SyncGroup request that hands out `assignment`: one for every member of the
    /// response, including the assigner.
    pub(super) fn entries(
        &self,
        plan: &HandoverPlan,
        ids: &[String],
        own: &str,
        assignment: &Assignment,
    ) -> Vec<MemberAssignment> {
        let empty = |id: &str| MemberAssignment {
            member_id: id.to_owned(),
            partitions: Vec::new(),
        };
        let partitions = assignment.by_member(plan.members.len());
        let members = ids.iter().zip(&self.present).zip(partitions);
        let present = members.filter(|((_, present), _)| present.is_some());
        present
            .map(|((id, _), partitions)| MemberAssignment {
                member_id: id.clone(),
                partitions: names(plan, &partitions),
            })
            .chain(self.strangers.iter().map(|id| empty(id)))
            .chain([empty(own)])
            .collect()
    }
}

/// The index of a partition of the plan.
pub(super) fn locate(plan: &HandoverPlan, topic: &str, number: u32) -> Option<PartitionIndex> {
    let topic = plan.topics.find(topic)?;
    let mut partitions = plan.topics.partitions(topic);
    partitions.nth(usize::try_from(number).ok()?)
}

fn names(plan: &HandoverPlan, partitions: &[PartitionIndex]) -> Vec<TopicPartition> {
    partitions
        .iter()
        .filter_map(|partition| {
            let (topic, number) = plan.topics.locate(*partition)?;
            let number = u32::try_from(number).ok()?;
            Some((plan.topics.name(topic).to_owned(), number))
        })
        .collect()
}
