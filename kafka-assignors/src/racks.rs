//! The effect of racks on the sticky assignors (KIP-881).

use std::collections::BTreeSet;

use crate::{Assignment, ClientFamily, Member, MemberIndex, PartitionIndex, Topics};

/// The rack rule of a sticky assignor: a member keeps a partition only if one of the partition's
/// replicas is in the member's rack.
///
/// The rule applies if the replicas of some partition are in the rack of some member, and not all
/// partitions have replicas in the same racks. Members without a rack keep every partition. In
/// librdkafka, a member with an empty rack keeps none.
///
/// Source: `AbstractStickyAssignor.RackInfo` of the Java client, and `rd_kafka_racks_mismatch` of
/// librdkafka.
#[derive(Debug, Clone)]
pub struct RackRule<'a> {
    topics: &'a Topics,
    /// The rack of each member.
    racks: Vec<Option<&'a str>>,
}

impl<'a> RackRule<'a> {
    /// The rule for a group. `None` if racks have no effect.
    #[must_use]
    pub fn new(client: ClientFamily, topics: &'a Topics, members: &'a [Member]) -> Option<Self> {
        // The usual case is decided without an allocation.
        if !topics.has_replica_racks() || members.iter().all(|member| member.rack.is_none()) {
            return None;
        }
        let racks: Vec<Option<&str>> = members
            .iter()
            .map(|member| {
                let rack = member.rack.as_deref();
                rack.filter(|rack| match client {
                    ClientFamily::Java => !rack.is_empty(),
                    ClientFamily::Librdkafka => true,
                })
            })
            .collect();
        let subscribed: BTreeSet<_> = members
            .iter()
            .flat_map(|member| member.subscription.topics())
            .collect();
        let sets = || {
            subscribed
                .iter()
                .flat_map(|topic| topics.partitions(**topic))
                .map(|partition| topics.replica_racks(partition))
        };
        let of_replicas: BTreeSet<&str> = sets().flatten().map(String::as_str).collect();
        let overlap = racks
            .iter()
            .flatten()
            .any(|rack| !rack.is_empty() && of_replicas.contains(rack));
        let differ = sets().any(|set| set.len() != of_replicas.len());
        (overlap && differ).then_some(Self { topics, racks })
    }

    /// Whether a member must not keep a partition.
    #[must_use]
    pub fn mismatch(&self, member: MemberIndex, partition: PartitionIndex) -> bool {
        self.rack(member)
            .is_some_and(|rack| !self.topics.replica_racks(partition).contains(rack))
    }

    /// Whether a member has a rack, and a replica of the partition is in it.
    pub(crate) fn matches(&self, member: MemberIndex, partition: PartitionIndex) -> bool {
        self.rack(member)
            .is_some_and(|rack| self.topics.replica_racks(partition).contains(rack))
    }

    /// The number of members in the racks of a partition's replicas.
    pub(crate) fn members_near(&self, partition: PartitionIndex) -> usize {
        let near = self.topics.replica_racks(partition);
        let racks = self.racks.iter().flatten();
        racks.filter(|rack| near.contains(**rack)).count()
    }

    /// Removes the owners that must not keep their partition. Returns whether there were any.
    pub(crate) fn drop_mismatches(&self, owners: &mut Assignment) -> bool {
        let mut dropped = false;
        for partition in PartitionIndex::all(owners.partition_count()) {
            let owner = owners.owner(partition);
            if owner.is_some_and(|owner| self.mismatch(owner, partition)) {
                owners.set(partition, None);
                dropped = true;
            }
        }
        dropped
    }

    fn rack(&self, member: MemberIndex) -> Option<&'a str> {
        self.racks.get(member.get()).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Subscription;
    use rstest::rstest;

    /// The racks of the replicas of each partition, the rack of each member (`-` for none), and
    /// whether member 0 must not keep partition 0.
    #[rstest]
    #[case::other_rack(&["y", "x"], &["x", "-"], Some(true))]
    #[case::own_rack(&["xy", "y"], &["x", "-"], Some(false))]
    #[case::no_rack(&["y", "x"], &["-", "x"], Some(false))]
    #[case::replicas_in_the_same_racks(&["xy", "xy"], &["z", "x"], None)]
    #[case::no_common_rack(&["x", "y"], &["z", "z"], None)]
    #[case::no_member_has_a_rack(&["x", "y"], &["-", "-"], None)]
    #[case::unknown_replicas(&["", ""], &["x", "y"], None)]
    #[case::unknown_replicas_of_one_partition(&["", "x"], &["x", "y"], Some(true))]
    fn racks_matter(
        #[case] replicas: &[&str],
        #[case] members: &[&str],
        #[case] mismatch: Option<bool>,
    ) {
        let topics = Topics::new([("t".into(), replicas.len())])
            .with_replica_racks(replicas.iter().map(|racks| racks.chars().map(String::from)));
        let members: Vec<Member> = members
            .iter()
            .map(|rack| Member {
                id: String::new(),
                instance: None,
                subscription: Subscription::all(&topics),
                rack: (*rack != "-").then(|| (*rack).to_owned()),
            })
            .collect();
        for client in [ClientFamily::Java, ClientFamily::Librdkafka] {
            let rule = RackRule::new(client, &topics, &members);
            let first =
                |rule: RackRule<'_>| rule.mismatch(MemberIndex::new(0), PartitionIndex::new(0));
            assert_eq!(rule.map(first), mismatch, "{client}");
        }
    }

    #[test]
    fn librdkafka_takes_an_empty_rack_for_a_rack() {
        let topics = Topics::new([("t".into(), 2)])
            .with_replica_racks(["x", "y"].map(|rack| [rack.to_owned()]));
        let members = ["", "x"].map(|rack| Member {
            id: String::new(),
            instance: None,
            subscription: Subscription::all(&topics),
            rack: Some(rack.to_owned()),
        });
        let mismatch = |client| {
            RackRule::new(client, &topics, &members)
                .map(|rule| rule.mismatch(MemberIndex::new(0), PartitionIndex::new(0)))
        };
        assert_eq!(mismatch(ClientFamily::Java), Some(false));
        assert_eq!(mismatch(ClientFamily::Librdkafka), Some(true));
    }
}
