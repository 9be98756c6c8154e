//! The consumer group: its members and the owners of the partitions.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use kafka_assignors::{Algorithm, Assignment, Member, MemberIndex, Subscription, Topics};
use rebalancer_core::group::Protocol;

use crate::pod::PodKey;
use crate::topic::TOPIC;

/// A consumer group whose members all subscribe to one topic.
#[derive(Debug, Clone)]
pub(crate) struct ConsumerGroup {
    algorithm: Algorithm,
    protocol: Protocol,
    topics: Topics,
    members: Vec<GroupMember>,
    /// The assignment; owners are indices of `members`.
    owners: Assignment,
    /// Whether the membership has changed since the last rebalance.
    unsettled: bool,
    /// The owners of the partitions after each change.
    past: VecDeque<(Duration, Vec<Option<ServingMember>>)>,
}

/// A member and its pod.
#[derive(Debug, Clone)]
struct GroupMember {
    pod: PodKey,
    member: Member,
    /// Whether this is a static member whose pod is gone. Until its session expires it keeps its
    /// partitions, which are not consumed.
    absent: bool,
}

/// The member that consumes a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServingMember {
    pub(crate) pod: PodKey,
    pub(crate) id: String,
    pub(crate) instance: Option<String>,
}

/// A member of a group that was observed elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ObservedMember {
    pub(crate) pod: PodKey,
    pub(crate) id: String,
    pub(crate) instance: Option<String>,
    /// Whether this is a static member whose pod is gone.
    pub(crate) absent: bool,
}

impl ConsumerGroup {
    /// A group after its first rebalance.
    pub(crate) fn new(
        algorithm: Algorithm,
        protocol: Protocol,
        partitions: usize,
        members: impl IntoIterator<Item = (PodKey, String, Option<String>)>,
    ) -> Self {
        let mut group = Self {
            algorithm,
            protocol,
            topics: Topics::new([(TOPIC.to_owned(), partitions)]),
            members: Vec::new(),
            owners: Assignment::unowned(partitions),
            unsettled: false,
            past: VecDeque::new(),
        };
        for (pod, id, instance) in members {
            group.add(pod, id, instance);
        }
        group.rebalance(Duration::ZERO, Duration::ZERO);
        group
    }

    /// Adds a member, and returns whether a rebalance is due. A static member whose session has not
    /// expired gets its partitions back without a rebalance.
    pub(crate) fn join(&mut self, pod: PodKey, id: String, instance: Option<String>) -> bool {
        let known = self
            .members
            .iter_mut()
            .find(|known| instance.is_some() && known.absent && known.member.instance == instance);
        if let Some(known) = known {
            known.pod = pod;
            known.member.id = id;
            known.absent = false;
            return false;
        }
        self.add(pod, id, instance);
        self.unsettled = true;
        true
    }

    fn add(&mut self, pod: PodKey, id: String, instance: Option<String>) {
        self.members.push(GroupMember {
            pod,
            member: Member {
                id,
                instance,
                subscription: Subscription::all(&self.topics),
                rack: None,
            },
            absent: false,
        });
    }

    /// Replaces the members and the owners of the partitions, who are indices of `members`.
    pub(crate) fn adopt(
        &mut self,
        members: Vec<ObservedMember>,
        owners: Assignment,
        unsettled: bool,
    ) {
        self.members.clear();
        for member in members {
            self.add(member.pod, member.id, member.instance);
            if let Some(added) = self.members.last_mut() {
                added.absent = member.absent;
            }
        }
        self.owners = owners;
        self.unsettled = unsettled;
    }

    /// Whether the pod's static member is absent.
    pub(crate) fn is_absent(&self, pod: PodKey) -> bool {
        let mut members = self.members.iter();
        members.any(|member| member.pod == pod && member.absent)
    }

    /// Whether the pod has a member.
    pub(crate) fn has(&self, pod: PodKey) -> bool {
        self.members.iter().any(|member| member.pod == pod)
    }

    /// Removes the pod's member, and returns whether a rebalance is due. Its partitions are unowned
    /// until then. There is no effect if the pod has no member.
    pub(crate) fn leave(&mut self, pod: PodKey) -> bool {
        self.remove(|member| member.pod == pod)
    }

    /// Marks the pod's static member as absent, and returns whether there is one. Its partitions
    /// are not consumed, and the group does not notice.
    pub(crate) fn mark_absent(&mut self, pod: PodKey) -> bool {
        let member = self
            .members
            .iter_mut()
            .find(|member| member.pod == pod && member.member.instance.is_some());
        match member {
            Some(member) => {
                member.absent = true;
                true
            }
            None => false,
        }
    }

    /// Removes the pod's static member if it is still absent, and returns whether a rebalance is
    /// due.
    pub(crate) fn session_ended(&mut self, pod: PodKey) -> bool {
        self.remove(|member| member.pod == pod && member.absent)
    }

    /// Removes the members with these ids. Returns the pod of each, or `None` if there is no such
    /// member.
    pub(crate) fn remove_members(&mut self, ids: &[&str]) -> Vec<Option<PodKey>> {
        let pods = ids
            .iter()
            .map(|id| {
                let mut members = self.members.iter();
                let found = members.find(|member| member.member.id == *id);
                found.map(|member| member.pod)
            })
            .collect();
        self.remove(|member| ids.contains(&member.member.id.as_str()));
        pods
    }

    fn remove(&mut self, goes: impl Fn(&GroupMember) -> bool) -> bool {
        let mut next = 0;
        let new_indices: Vec<Option<MemberIndex>> = self
            .members
            .iter()
            .map(|member| {
                let index = (!goes(member)).then_some(MemberIndex::new(next));
                next += usize::from(index.is_some());
                index
            })
            .collect();
        if next == self.members.len() {
            return false;
        }
        self.members.retain(|member| !goes(member));
        self.owners = self.owners.renumbered(&new_indices);
        self.unsettled = true;
        true
    }

    /// Whether the membership has changed since the last rebalance.
    pub(crate) fn is_unsettled(&self) -> bool {
        self.unsettled
    }

    /// Whether a rebalance is delayed. In the consumer protocol (KIP-848) the broker assigns
    /// immediately; the members of a classic group learn of the change with their next heartbeat.
    pub(crate) fn delays_rebalance(&self) -> bool {
        match self.protocol {
            Protocol::Classic => true,
            Protocol::Consumer => false,
        }
    }

    /// Rebalances until no member has to give up partitions.
    pub(crate) fn rebalance(&mut self, now: Duration, keep: Duration) {
        let members: Vec<Member> = self.members.iter().map(|m| m.member.clone()).collect();
        let settled = self.algorithm.settle(&self.topics, &members, &self.owners);
        self.owners = settled.assignment;
        self.unsettled = false;
        self.remember(now, keep);
    }

    /// Adds the current owners to the history. Changes older than `keep` before now are dropped.
    pub(crate) fn remember(&mut self, now: Duration, keep: Duration) {
        let owners = self.owners().collect();
        self.past.push_back((now, owners));
        let oldest = now.saturating_sub(keep);
        // The last change before the oldest time gives the owners at that time.
        while self
            .past
            .get(1)
            .is_some_and(|(second, _)| *second <= oldest)
        {
            self.past.pop_front();
        }
    }

    /// The member that consumes each partition.
    pub(crate) fn owners(&self) -> impl Iterator<Item = Option<ServingMember>> {
        self.serving().map(|member| {
            member.map(|member| ServingMember {
                pod: member.pod,
                id: member.member.id.clone(),
                instance: member.member.instance.clone(),
            })
        })
    }

    /// Every member with the partitions that it owns, including absent static members, as the
    /// coordinator of the group describes them.
    pub(crate) fn described(&self) -> impl Iterator<Item = (ServingMember, Vec<u32>)> {
        let members = MemberIndex::all(self.members.len()).zip(&self.members);
        members.map(|(index, member)| {
            let owners = (0..).zip(self.owners.owners());
            let owned = owners.filter(|(_, owner)| *owner == Some(index));
            let serving = ServingMember {
                pod: member.pod,
                id: member.member.id.clone(),
                instance: member.member.instance.clone(),
            };
            (serving, owned.map(|(number, _)| number).collect())
        })
    }

    fn serving(&self) -> impl Iterator<Item = Option<&GroupMember>> {
        let owners = self.owners.owners();
        owners.map(|owner| {
            self.members
                .get(owner?.get())
                .filter(|member| !member.absent)
        })
    }

    /// The owners of the partitions at an earlier time within the history.
    pub(crate) fn owners_at(&self, at: Duration) -> &[Option<ServingMember>] {
        let changes = self.past.iter();
        let last = changes.take_while(|(since, _)| *since <= at).last();
        last.or(self.past.front())
            .map_or(&[], |(_, owners)| owners.as_slice())
    }

    /// The number of partitions that a pod consumes.
    pub(crate) fn partitions_of(&self, pod: PodKey) -> usize {
        let owners = self.serving().flatten();
        owners.filter(|member| member.pod == pod).count()
    }

    /// The sum of the rates of each pod's partitions, for pods with partitions.
    pub(crate) fn rate_by_pod(&self, rates: &[f64]) -> BTreeMap<PodKey, f64> {
        let mut sums = BTreeMap::new();
        for (owner, rate) in self.serving().zip(rates) {
            if let Some(member) = owner {
                *sums.entry(member.pod).or_insert(0.0) += rate;
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: Duration = Duration::from_secs(100);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn group(members: &[&str], instances: bool) -> ConsumerGroup {
        let members = members.iter().zip(0..);
        ConsumerGroup::new(
            Algorithm::CooperativeSticky,
            Protocol::Classic,
            6,
            members.map(|(id, key)| {
                let instance = instances.then(|| format!("i-{id}"));
                (PodKey(key), (*id).to_owned(), instance)
            }),
        )
    }

    fn owned(group: &ConsumerGroup) -> Vec<Option<u64>> {
        group.owners().map(|owner| Some(owner?.pod.0)).collect()
    }

    #[test]
    fn partitions_of_a_departed_member_are_unowned_until_the_rebalance() {
        let mut group = group(&["a", "b", "c"], false);
        assert!(group.leave(PodKey(1)) && group.is_unsettled());
        assert!(!group.leave(PodKey(1)), "the member has already left");
        assert_eq!(owned(&group).iter().flatten().count(), 4);
        group.rebalance(at(10), KEEP);
        assert!(owned(&group).iter().all(Option::is_some));
        assert!(!group.has(PodKey(1)) && !group.is_unsettled());
        assert_eq!(group.partitions_of(PodKey(0)), 3);
    }

    #[test]
    fn returning_static_member_gets_its_partitions_back() {
        let mut group = group(&["a", "b", "c"], true);
        let before = owned(&group);
        assert!(group.mark_absent(PodKey(1)) && !group.is_unsettled());
        assert_eq!(owned(&group).iter().flatten().count(), 4);
        assert!(!group.join(PodKey(7), "d".into(), Some("i-b".into())));
        let after: Vec<_> = before
            .iter()
            .map(|pod| pod.map(|pod| if pod == 1 { 7 } else { pod }))
            .collect();
        assert_eq!(owned(&group), after);
        assert!(!group.session_ended(PodKey(1)), "the member has returned");
    }

    #[test]
    fn absent_static_member_is_removed_when_its_session_expires() {
        let mut group = group(&["a", "b", "c"], true);
        group.mark_absent(PodKey(1));
        // Another instance id makes it an additional member.
        assert!(group.join(PodKey(7), "d".into(), Some("i-d".into())));
        assert!(group.session_ended(PodKey(1)) && !group.has(PodKey(1)));
        group.rebalance(at(45), KEEP);
        assert_eq!(group.partitions_of(PodKey(7)), 2);
    }

    #[test]
    fn history_is_kept_for_the_requested_time() {
        let mut group = group(&["a", "b"], false);
        let first = group.owners_at(at(0)).to_vec();
        group.join(PodKey(9), "z".into(), None);
        group.rebalance(at(50), KEEP);
        assert_eq!(group.owners_at(at(49)), first);
        assert_ne!(group.owners_at(at(50)), first);
        group.remember(at(1000), KEEP);
        assert_eq!(group.past.len(), 2);
    }
}
