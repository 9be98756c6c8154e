//! The consumer group: members, and who owns what.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use kafka_assignors::{Algorithm, Assignment, Member, Subscription, Topics};
use rebalancer_core::group::Protocol;

use crate::pod::PodKey;

/// The topic that the group consumes.
pub(crate) const TOPIC: &str = "events";

/// One consumer group on one topic, whose members all subscribe to it.
#[derive(Debug, Clone)]
pub(crate) struct ConsumerGroup {
    algorithm: Algorithm,
    protocol: Protocol,
    topics: Topics,
    members: Vec<GroupMember>,
    /// Owners are places in `members`.
    owners: Assignment,
    /// Members came or went, and the group has not rebalanced yet.
    unsettled: bool,
    /// Who owned what, from the instants on at which that changed.
    past: VecDeque<(Duration, Vec<Option<Owner>>)>,
}

/// A member, and the pod that it runs in.
#[derive(Debug, Clone)]
struct GroupMember {
    pod: PodKey,
    member: Member,
    /// A static member whose pod is gone: it keeps its partitions until its session ends, and
    /// serves none of them.
    absent: bool,
}

/// Whoever owns a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) pod: PodKey,
    pub(crate) id: String,
    pub(crate) instance: Option<String>,
}

impl ConsumerGroup {
    /// A group that has just started, with all of its first members joined at once.
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

    /// A member joins, or takes the place that it had: a static one whose session has not ended
    /// gets its partitions back, and nothing is assigned anew. Whether a rebalance is due.
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
                subscription: Subscription::new([0]),
            },
            absent: false,
        });
    }

    /// The pod has a member.
    pub(crate) fn has(&self, pod: PodKey) -> bool {
        self.members.iter().any(|member| member.pod == pod)
    }

    /// The pod's member leaves, whose partitions then have no owner until the group rebalances.
    /// Whether that is due; a pod that never joined changes nothing.
    pub(crate) fn leave(&mut self, pod: PodKey) -> bool {
        self.remove(|member| member.pod == pod)
    }

    /// The pod of a static member ends: nobody serves its partitions, and the group does not know.
    /// Whether there is such a member.
    pub(crate) fn desert(&mut self, pod: PodKey) -> bool {
        let deserter = self
            .members
            .iter_mut()
            .find(|member| member.pod == pod && member.member.instance.is_some());
        match deserter {
            Some(member) => {
                member.absent = true;
                true
            }
            None => false,
        }
    }

    /// The session of a pod's static member ends, unless it has come back. Whether a rebalance is
    /// due.
    pub(crate) fn session_ended(&mut self, pod: PodKey) -> bool {
        self.remove(|member| member.pod == pod && member.absent)
    }

    fn remove(&mut self, goes: impl Fn(&GroupMember) -> bool) -> bool {
        let mut next = 0;
        let places: Vec<Option<usize>> = self
            .members
            .iter()
            .map(|member| {
                let place = (!goes(member)).then_some(next);
                next += usize::from(place.is_some());
                place
            })
            .collect();
        if next == self.members.len() {
            return false;
        }
        self.members.retain(|member| !goes(member));
        self.owners = self.owners.renumbered(&places);
        self.unsettled = true;
        true
    }

    /// Members came or went, and the group has not rebalanced yet.
    pub(crate) fn is_unsettled(&self) -> bool {
        self.unsettled
    }

    /// The broker of the newer protocol assigns anew at once; the members of a classic group first
    /// have to hear of it.
    pub(crate) fn gathers(&self) -> bool {
        match self.protocol {
            Protocol::Classic => true,
            Protocol::Consumer => false,
        }
    }

    /// Gives the partitions out anew, until nobody has to give anything up any more.
    pub(crate) fn rebalance(&mut self, now: Duration, keep: Duration) {
        let members: Vec<Member> = self.members.iter().map(|m| m.member.clone()).collect();
        let settled = self.algorithm.settle(&self.topics, &members, &self.owners);
        self.owners = settled.assignment;
        self.unsettled = false;
        self.remember(now, keep);
    }

    /// Writes down who owns what from now on; what is older than `keep` before now is forgotten.
    pub(crate) fn remember(&mut self, now: Duration, keep: Duration) {
        let owners = self.owners().collect();
        self.past.push_back((now, owners));
        let oldest = now.saturating_sub(keep);
        // The last change before the oldest instant says who owned what then.
        while self
            .past
            .get(1)
            .is_some_and(|(second, _)| *second <= oldest)
        {
            self.past.pop_front();
        }
    }

    /// Who owns each partition, as far as it is served.
    pub(crate) fn owners(&self) -> impl Iterator<Item = Option<Owner>> {
        self.serving().map(|member| {
            member.map(|member| Owner {
                pod: member.pod,
                id: member.member.id.clone(),
                instance: member.member.instance.clone(),
            })
        })
    }

    fn serving(&self) -> impl Iterator<Item = Option<&GroupMember>> {
        let owners = self.owners.owners();
        owners.map(|owner| self.members.get(owner?).filter(|member| !member.absent))
    }

    /// Who owned each partition at an instant that is not forgotten yet.
    pub(crate) fn owners_at(&self, at: Duration) -> &[Option<Owner>] {
        let changes = self.past.iter();
        let last = changes.take_while(|(since, _)| *since <= at).last();
        last.or(self.past.front())
            .map_or(&[], |(_, owners)| owners.as_slice())
    }

    /// How many partitions a pod owns.
    pub(crate) fn partitions_of(&self, pod: PodKey) -> usize {
        let owners = self.serving().flatten();
        owners.filter(|member| member.pod == pod).count()
    }

    /// The sum of the rates of each pod's partitions; pods without partitions are left out.
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
    fn what_a_member_leaves_behind_is_nobodys_until_the_group_rebalances() {
        let mut group = group(&["a", "b", "c"], false);
        assert!(group.leave(PodKey(1)) && group.is_unsettled());
        assert!(!group.leave(PodKey(1)), "it is gone already");
        assert_eq!(owned(&group).iter().flatten().count(), 4);
        group.rebalance(at(10), KEEP);
        assert!(owned(&group).iter().all(Option::is_some));
        assert!(!group.has(PodKey(1)) && !group.is_unsettled());
        assert_eq!(group.partitions_of(PodKey(0)), 3);
    }

    #[test]
    fn a_static_member_gets_back_what_it_had() {
        let mut group = group(&["a", "b", "c"], true);
        let before = owned(&group);
        assert!(group.desert(PodKey(1)) && !group.is_unsettled());
        assert_eq!(owned(&group).iter().flatten().count(), 4);
        assert!(!group.join(PodKey(7), "d".into(), Some("i-b".into())));
        let after: Vec<_> = before
            .iter()
            .map(|pod| pod.map(|pod| if pod == 1 { 7 } else { pod }))
            .collect();
        assert_eq!(owned(&group), after);
        assert!(!group.session_ended(PodKey(1)), "it came back");
    }

    #[test]
    fn a_static_member_that_stays_away_is_out_when_its_session_ends() {
        let mut group = group(&["a", "b", "c"], true);
        group.desert(PodKey(1));
        // Of another name: it is one more.
        assert!(group.join(PodKey(7), "d".into(), Some("i-d".into())));
        assert!(group.session_ended(PodKey(1)) && !group.has(PodKey(1)));
        group.rebalance(at(45), KEEP);
        assert_eq!(group.partitions_of(PodKey(7)), 2);
    }

    #[test]
    fn the_past_is_remembered_as_long_as_it_is_asked_for() {
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
