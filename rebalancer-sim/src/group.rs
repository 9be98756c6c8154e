//! The consumer group: members, and who owns what.

use std::collections::BTreeMap;

use crate::assignor::{Assignor, MemberId};
use crate::pod::PodKey;

/// One consumer group on one topic. It rebalances at once whenever a member joins or leaves.
#[derive(Debug, Clone)]
pub(crate) struct ConsumerGroup {
    assignor: Assignor,
    members: BTreeMap<MemberId, PodKey>,
    /// The owner of each partition, by partition.
    owners: Vec<Option<MemberId>>,
}

impl ConsumerGroup {
    /// A group that has just started, with all of its first members joined at once.
    pub(crate) fn new(
        assignor: Assignor,
        partitions: usize,
        members: BTreeMap<MemberId, PodKey>,
    ) -> Self {
        let mut group = Self {
            assignor,
            members,
            owners: vec![None; partitions],
        };
        group.rebalance();
        group
    }

    pub(crate) fn join(&mut self, member: MemberId, pod: PodKey) {
        self.members.insert(member, pod);
        self.rebalance();
    }

    /// The pod has a member.
    pub(crate) fn has(&self, pod: PodKey) -> bool {
        self.members.values().any(|of| *of == pod)
    }

    /// The pod's member leaves; a pod that never joined changes nothing.
    pub(crate) fn leave(&mut self, pod: PodKey) {
        let before = self.members.len();
        self.members.retain(|_, of| *of != pod);
        if self.members.len() != before {
            self.rebalance();
        }
    }

    /// The pod and the member id that own each partition, by partition.
    pub(crate) fn owners(&self) -> impl Iterator<Item = Option<(PodKey, &MemberId)>> {
        self.owners.iter().map(|owner| {
            let member = owner.as_ref()?;
            self.members.get(member).map(|pod| (*pod, member))
        })
    }

    /// The sum of the rates of each pod's partitions; pods without partitions are left out.
    pub(crate) fn rate_by_pod(&self, rates: &[f64]) -> BTreeMap<PodKey, f64> {
        let mut sums = BTreeMap::new();
        for (owner, rate) in self.owners().zip(rates) {
            if let Some((pod, _)) = owner {
                *sums.entry(pod).or_insert(0.0) += rate;
            }
        }
        sums
    }

    fn rebalance(&mut self) {
        let members: Vec<MemberId> = self.members.keys().cloned().collect();
        self.owners = self.assignor.assign(&members, &self.owners);
    }
}
