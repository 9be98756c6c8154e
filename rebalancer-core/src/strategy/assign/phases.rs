//! The assignments of a hand-over, rebalance by rebalance.
//!
//! In a cooperative group a partition changes its owner in two rebalances: its owner has to revoke
//! it and join again before another member may get it (KIP-429). The leader sees in each JoinGroup
//! response which partitions every member still [claims](Claims) to own.
//!
//! | step | function | who gets a partition |
//! |---|---|---|
//! | restore | [`restore`] | the member that claims it, and a member that was removed and is back its former ones |
//! | phase one | [`phase_one`] | the owner in the target if it claims it; the others have to revoke |
//! | phase two | [`hand_out`] | the owner in the target, unless another member still claims it |
//!
//! An eager group needs [`hand_out`] only, because its members have revoked everything before they
//! join, and claim nothing.
//!
//! Each function gives a partition to one member at most, to no member that does not subscribe to
//! its topic, and to no member while another one claims it. A partition whose former owner is
//! absent stays without owner, because that member may still process it.

use std::collections::BTreeSet;

use kafka_assignors::{Assignment, Member, MemberIndex, PartitionIndex, Topics};

/// The members of a JoinGroup response, and the partitions that they claim to own.
#[derive(Debug, Clone, Copy)]
pub struct Joined<'a> {
    /// The topics of the group.
    pub topics: &'a Topics,
    /// The members of the response. All other arguments refer to members by their indices in this
    /// list.
    pub members: &'a [Member],
    /// Their claims.
    pub claims: &'a Claims,
}

/// The partitions that the members of a JoinGroup response claim to own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    owners: Assignment,
    contested: BTreeSet<PartitionIndex>,
}

impl Claims {
    /// The claims of members to partitions, among `partitions` of all topics. Partitions that do
    /// not exist are ignored.
    #[must_use]
    pub fn new(
        partitions: usize,
        claims: impl IntoIterator<Item = (MemberIndex, PartitionIndex)>,
    ) -> Self {
        let mut owners = Assignment::unowned(partitions);
        let mut contested = BTreeSet::new();
        for (member, partition) in claims {
            match owners.owner(partition) {
                Some(other) if other != member => {
                    contested.insert(partition);
                }
                Some(_) | None => owners.set(partition, Some(member)),
            }
        }
        Self { owners, contested }
    }

    /// The claims of the members of an eager group, who own nothing when they join.
    #[must_use]
    pub fn none(partitions: usize) -> Self {
        Self::new(partitions, [])
    }

    /// The partitions that several members claim. No member gets them until all have revoked them.
    #[must_use]
    pub fn contested(&self) -> &BTreeSet<PartitionIndex> {
        &self.contested
    }

    /// The claim to a partition.
    #[must_use]
    pub fn of(&self, partition: PartitionIndex) -> Claim {
        match self.owners.owner(partition) {
            Some(_) if self.contested.contains(&partition) => Claim::Several,
            Some(member) => Claim::One(member),
            None => Claim::None,
        }
    }
}

/// The claim to a partition in a JoinGroup response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// No member claims the partition.
    None,
    /// One member claims it.
    One(MemberIndex),
    /// Several members claim it.
    Several,
}

/// The owners before the hand-over, as far as they are members of a JoinGroup response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Former {
    owners: Vec<FormerOwner>,
}

/// The owner of a partition before the hand-over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormerOwner {
    /// The partition had no owner.
    Unowned,
    /// A member of the response.
    Present(MemberIndex),
    /// A member that is not in the response.
    Absent,
}

impl Former {
    /// The owners before the hand-over. `new_indices[old]` is the index of a member in the
    /// response: that of its successor if it was removed and is back with another id, and `None` if
    /// it is absent.
    #[must_use]
    pub fn new(owners: &Assignment, new_indices: &[Option<MemberIndex>]) -> Self {
        let former = |owner: Option<MemberIndex>| match owner {
            None => FormerOwner::Unowned,
            Some(owner) => match new_indices.get(owner.get()).copied().flatten() {
                Some(member) => FormerOwner::Present(member),
                None => FormerOwner::Absent,
            },
        };
        Self {
            owners: owners.owners().map(former).collect(),
        }
    }

    /// The former owner of a partition.
    #[must_use]
    pub fn of(&self, partition: PartitionIndex) -> FormerOwner {
        let owner = self.owners.get(partition.get());
        owner.copied().unwrap_or(FormerOwner::Unowned)
    }
}

impl Joined<'_> {
    /// Whether a member of the response subscribes to the topic of a partition.
    fn subscribes(&self, member: MemberIndex, partition: PartitionIndex) -> bool {
        let member = self.members.get(member.get());
        let topic = self.topics.locate(partition);
        member
            .zip(topic)
            .is_some_and(|(member, (topic, _))| member.subscription.contains(topic))
    }

    /// The assignment that gives each partition to the member that `owner` names, if it subscribes.
    fn assign(&self, owner: impl Fn(PartitionIndex) -> Option<MemberIndex>) -> Assignment {
        PartitionIndex::all(self.topics.partition_count())
            .map(|partition| owner(partition).filter(|member| self.subscribes(*member, partition)))
            .collect()
    }
}

/// Returns the assignment that changes nothing: every member keeps what it claims, and each member
/// of `returned`, which were removed and are back, gets what it owned before and no member claims.
#[must_use]
pub fn restore(joined: Joined<'_>, former: &Former, returned: &[MemberIndex]) -> Assignment {
    joined.assign(|partition| match joined.claims.of(partition) {
        Claim::One(member) => Some(member),
        Claim::Several => None,
        Claim::None => match former.of(partition) {
            FormerOwner::Present(member) => Some(member).filter(|member| returned.contains(member)),
            FormerOwner::Unowned | FormerOwner::Absent => None,
        },
    })
}

/// Returns the assignment of the first of the two rebalances: every member keeps the partitions
/// that it claims and owns in `target`, and has to revoke the others.
///
/// With `loads`, the loads of all partitions, a member that has nothing to revoke revokes its
/// lightest partition, and gets it back in the second rebalance. A member that revokes something
/// joins again at once, while others learn of the next rebalance by their next heartbeat (3 s by
/// default), and all partitions that move would wait for that. So the second rebalance takes
/// milliseconds instead.
#[must_use]
pub fn phase_one(joined: Joined<'_>, target: &Assignment, loads: Option<&[f64]>) -> Assignment {
    let claims = joined.claims;
    let mut owners = joined.assign(|partition| match claims.of(partition) {
        Claim::One(member) if target.owner(partition) == Some(member) => Some(member),
        Claim::One(_) | Claim::Several | Claim::None => None,
    });
    let Some(loads) = loads else {
        return owners;
    };
    let mut revokes = vec![false; joined.members.len()];
    for (partition, owner) in owners.iter() {
        if let Claim::One(member) = claims.of(partition)
            && owner != Some(member)
            && let Some(revokes) = revokes.get_mut(member.get())
        {
            *revokes = true;
        }
    }
    let load = |partition: PartitionIndex| loads.get(partition.get()).copied().unwrap_or(0.0);
    let kept = owners.by_member(joined.members.len());
    for (partitions, revokes) in kept.iter().zip(revokes) {
        let lightest = partitions
            .iter()
            .min_by(|a, b| load(**a).total_cmp(&load(**b)));
        if let Some(lightest) = lightest.filter(|_| !revokes) {
            owners.set(*lightest, None);
        }
    }
    owners
}

/// Returns the assignment of the second rebalance, or of the only one in an eager group: each
/// partition goes to its owner in `target`, unless another member claims it.
///
/// A partition that no member claims is assigned unless its former owner is absent. The other
/// partitions have no owner: repeat the rebalance when the members that still claim them have
/// revoked them.
#[must_use]
pub fn hand_out(joined: Joined<'_>, target: &Assignment, former: &Former) -> Assignment {
    joined.assign(|partition| {
        let new = target.owner(partition)?;
        let allowed = match joined.claims.of(partition) {
            Claim::One(member) => member == new,
            Claim::Several => false,
            Claim::None => former.of(partition) != FormerOwner::Absent,
        };
        allowed.then_some(new)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_assignors::Subscription;
    use proptest::prelude::*;

    fn member(index: usize) -> Option<MemberIndex> {
        Some(MemberIndex::new(index))
    }

    fn members(topics: &Topics, count: usize) -> Vec<Member> {
        (0..count)
            .map(|number| Member {
                id: format!("m-{number}"),
                instance: None,
                subscription: Subscription::all(topics),
                rack: None,
            })
            .collect()
    }

    /// Owners as digits; `-` for none.
    fn owners(text: &str) -> Assignment {
        let owner = |digit: char| digit.to_digit(10).and_then(|digit| member(digit as usize));
        text.chars().map(owner).collect()
    }

    fn text(assignment: &Assignment) -> String {
        let digit = |owner: Option<MemberIndex>| {
            owner.map_or("-".to_owned(), |owner| owner.get().to_string())
        };
        assignment.owners().map(digit).collect()
    }

    fn claims(owners: &Assignment) -> Claims {
        let claims = owners.iter();
        Claims::new(
            owners.partition_count(),
            claims.filter_map(|(partition, owner)| Some((owner?, partition))),
        )
    }

    /// A group with one topic whose members claim these owners.
    struct Group {
        topics: Topics,
        members: Vec<Member>,
        claims: Claims,
    }

    impl Group {
        fn new(count: usize, claimed: &str) -> Self {
            let topics = Topics::new([("t".into(), claimed.len())]);
            Self {
                members: members(&topics, count),
                topics,
                claims: claims(&owners(claimed)),
            }
        }

        fn joined(&self) -> Joined<'_> {
            Joined {
                topics: &self.topics,
                members: &self.members,
                claims: &self.claims,
            }
        }
    }

    fn same(count: usize) -> Vec<Option<MemberIndex>> {
        MemberIndex::all(count).map(Some).collect()
    }

    #[test]
    fn restore_gives_a_returned_member_its_former_partitions() {
        // Member 2 left and is back as member 3 of the new list; partition 5 was unowned.
        let former = Former::new(&owners("01220-"), &[member(0), member(1), member(3), None]);
        let group = Group::new(4, "01--0-");
        let restored = restore(group.joined(), &former, &[MemberIndex::new(3)]);
        assert_eq!(text(&restored), "01330-");
        // Another member has got partition 2 meanwhile.
        let group = Group::new(4, "010-0-");
        let restored = restore(group.joined(), &former, &[MemberIndex::new(3)]);
        assert_eq!(text(&restored), "01030-");
    }

    #[test]
    fn restore_leaves_the_partitions_of_an_absent_member_without_owner() {
        let former = Former::new(&owners("0122"), &[member(0), member(1), None]);
        let group = Group::new(2, "01--");
        assert_eq!(text(&restore(group.joined(), &former, &[])), "01--");
    }

    #[test]
    fn restore_does_not_return_what_a_present_member_revoked() {
        let former = Former::new(&owners("0011"), &same(2));
        let group = Group::new(2, "0-11");
        assert_eq!(text(&restore(group.joined(), &former, &[])), "0-11");
    }

    #[test]
    fn contested_partition_goes_to_no_member() {
        let topics = Topics::new([("t".into(), 2)]);
        let both = [(0, 0), (1, 0), (1, 1)];
        let claims = Claims::new(
            2,
            both.map(|(member, partition)| {
                (MemberIndex::new(member), PartitionIndex::new(partition))
            }),
        );
        assert_eq!(claims.of(PartitionIndex::new(0)), Claim::Several);
        assert_eq!(claims.contested().len(), 1);
        let members = members(&topics, 2);
        let joined = Joined {
            topics: &topics,
            members: &members,
            claims: &claims,
        };
        let former = Former::new(&owners("01"), &same(2));
        let target = owners("01");
        assert_eq!(text(&restore(joined, &former, &[])), "-1");
        assert_eq!(text(&phase_one(joined, &target, None)), "-1");
        assert_eq!(text(&hand_out(joined, &target, &former)), "-1");
    }

    #[test]
    fn each_member_revokes_something_in_phase_one() {
        let group = Group::new(4, "00112233");
        let target = owners("10012233");
        let loads = [5.0, 5.0, 5.0, 5.0, 2.0, 1.0, 3.0, 4.0];
        assert_eq!(text(&phase_one(group.joined(), &target, None)), "-0-12233");
        let shorter = phase_one(group.joined(), &target, Some(&loads));
        assert_eq!(text(&shorter), "-0-12--3");
    }

    #[test]
    fn member_that_has_not_revoked_yet_delays_only_its_partitions() {
        let target = owners("10");
        let former = Former::new(&owners("01"), &same(2));
        // Member 1 still claims partition 1; member 0 has revoked partition 0.
        let group = Group::new(2, "-1");
        assert_eq!(text(&hand_out(group.joined(), &target, &former)), "1-");
        let group = Group::new(2, "1-");
        assert_eq!(text(&hand_out(group.joined(), &target, &former)), "10");
    }

    #[test]
    fn eager_group_gets_the_target_except_for_absent_members() {
        let group = Group::new(3, "------");
        let former = Former::new(&owners("01233-"), &[member(0), member(1), member(2), None]);
        let target = owners("102012");
        assert_eq!(text(&hand_out(group.joined(), &target, &former)), "102--2");
    }

    #[test]
    fn unsubscribed_member_gets_nothing() {
        let mut group = Group::new(2, "01-1");
        group.members[1].subscription = Subscription::default();
        let former = Former::new(&owners("0111"), &same(2));
        let target = owners("1101");
        let returned = [MemberIndex::new(1)];
        assert_eq!(text(&restore(group.joined(), &former, &returned)), "0---");
        assert_eq!(text(&phase_one(group.joined(), &target, None)), "----");
        assert_eq!(text(&hand_out(group.joined(), &target, &former)), "--0-");
    }

    /// Simulated members of a cooperative group.
    struct Clients {
        topics: Topics,
        members: Vec<Member>,
        owned: Vec<BTreeSet<PartitionIndex>>,
        /// The members that do not revoke in the next rebalance, as if they had not joined it yet.
        late: Vec<bool>,
    }

    impl Clients {
        fn claims(&self) -> Claims {
            let all = MemberIndex::all(self.owned.len()).zip(&self.owned);
            Claims::new(
                self.topics.partition_count(),
                all.flat_map(|(member, owned)| owned.iter().map(move |one| (member, *one))),
            )
        }

        /// Applies an assignment, and checks that no partition gets a second owner.
        fn apply(&mut self, assignment: &Assignment) {
            let lists = assignment.by_member(self.members.len());
            for (number, assigned) in lists.into_iter().enumerate() {
                let assigned: BTreeSet<PartitionIndex> = assigned.into_iter().collect();
                for partition in assigned.difference(&self.owned[number]) {
                    let (topic, _) = self.topics.locate(*partition).unwrap();
                    assert!(self.members[number].subscription.contains(topic));
                }
                let kept = self.owned[number].clone();
                self.owned[number] = if self.late[number] {
                    kept.union(&assigned).copied().collect()
                } else {
                    assigned
                };
            }
            let mut owners = BTreeSet::new();
            for partition in self.owned.iter().flatten() {
                assert!(owners.insert(*partition), "{partition:?} has two owners");
            }
        }
    }

    /// Pseudo-random numbers.
    fn mixed(seed: u64, number: usize) -> usize {
        let bits = seed ^ (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        usize::try_from(bits.wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 40).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        /// Members leave, return with other ids, and revoke late. The hand-over ends in the target,
        /// and what an absent member owned has no owner.
        #[test]
        fn phases_end_in_the_target(
            count in 1_usize..7,
            partitions in 0_usize..20,
            seed in any::<u64>(),
            absent in prop::option::of(0_usize..7),
            removed in 0_usize..7,
            late in 0_usize..20,
            short in any::<bool>(),
        ) {
            let topics = Topics::new([("a".into(), partitions / 2), ("b".into(), partitions - partitions / 2)]);
            let before: Assignment =
                (0..partitions).map(|number| member(mixed(seed, number) % count)).collect();
            let wanted: Assignment =
                (0..partitions).map(|number| member(mixed(!seed, number) % count)).collect();
            let absent = absent.filter(|absent| *absent < count && *absent != removed % count);
            let removed = removed % count;
            // The removed member returns as the last one of the response.
            let mut new_indices = Vec::new();
            let mut next = 0;
            for old in 0..count {
                let stays = old != removed && Some(old) != absent;
                new_indices.push(stays.then_some(MemberIndex::new(next)));
                next += usize::from(stays);
            }
            new_indices[removed] = member(next);
            let former = Former::new(&before, &new_indices);
            let target = wanted.renumbered(&new_indices);
            let mut owned = vec![BTreeSet::new(); next + 1];
            for (partition, owner) in before.renumbered(&new_indices).iter() {
                if let Some(owner) = owner.filter(|owner| owner.get() != next) {
                    owned[owner.get()].insert(partition);
                }
            }
            let mut clients = Clients {
                members: members(&topics, next + 1),
                topics,
                owned,
                late: vec![false; next + 1],
            };
            let returned = [MemberIndex::new(next)];
            let loads: Vec<f64> = (0..partitions).map(|number| (number % 5) as f64).collect();
            let step = |clients: &mut Clients, step: &dyn Fn(Joined<'_>) -> Assignment| {
                let claims = clients.claims();
                let joined = Joined {
                    topics: &clients.topics,
                    members: &clients.members,
                    claims: &claims,
                };
                let assignment = step(joined);
                clients.apply(&assignment);
                assignment
            };
            let restored = step(&mut clients, &|joined| restore(joined, &former, &returned));
            prop_assert_eq!(&restored, &before.renumbered(&new_indices));
            if let Some(late) = clients.late.get_mut(late) {
                *late = true;
            }
            let first = step(&mut clients, &|joined| {
                phase_one(joined, &target, short.then_some(&loads))
            });
            if short {
                // Each member that owns something revokes something.
                let (then, now) = (restored.counts(next + 1), first.counts(next + 1));
                for (then, now) in then.iter().zip(now) {
                    prop_assert!(*then == 0 || now < *then);
                }
            }
            step(&mut clients, &|joined| hand_out(joined, &target, &former));
            clients.late.fill(false);
            // A late member learns that it has to revoke, and the next rebalance hands the rest
            // out.
            step(&mut clients, &|joined| hand_out(joined, &target, &former));
            let end = step(&mut clients, &|joined| hand_out(joined, &target, &former));
            for (partition, owner) in end.iter() {
                let expected = match former.of(partition) {
                    FormerOwner::Absent => None,
                    FormerOwner::Present(_) | FormerOwner::Unowned => target.owner(partition),
                };
                prop_assert_eq!(owner, expected);
            }
        }
    }
}
