//! The sticky assignment of members with the same subscription (Java's `constrainedAssign`).
//!
//! The quota of each member is `total / members` partitions, and `total % members` of them own one
//! more. Members keep what they own up to their quota, lowest partition numbers first. Members that
//! own more keep one partition beyond the quota while extras remain, in the order of Java's hash
//! table. Unowned partitions, by topic and number, go in turn to the members below the quota, by
//! member id; the last ones go to members that are exactly at the quota.
//!
//! If racks matter, unowned partitions with the fewest members in the racks of their replicas come
//! first, and each goes to the next member below the quota in one of these racks, or else to the
//! first one at the quota. The partitions that remain follow as above.

use crate::java_hash::{Table, string_hash};
use crate::{
    Assignment, Member, MemberIndex, PartitionIndex, RackRule, Subscription, TopicIndex, Topics,
};

/// `kept` are the owners of the partitions that stay, apart from the quotas.
pub(super) fn assign(
    topics: &Topics,
    members: &[Member],
    subscription: &Subscription,
    racks: Option<&RackRule<'_>>,
    kept: Assignment,
) -> Assignment {
    let subscribed = subscription.topics();
    let total: usize = subscribed.iter().map(|topic| topics.size(*topic)).sum();
    let quota = total / members.len();
    let extras = total % members.len();

    let owned = kept.counts(members.len());
    let keepers = keepers_of_an_extra(members, &owned, quota, extras);

    let mut keeps: Vec<usize> = owned.iter().map(|owned| quota.min(*owned)).collect();
    for keeper in &keepers {
        keeps[*keeper] += 1;
    }
    let by_id = |a: &MemberIndex, b: &MemberIndex| members[*a].id.cmp(&members[*b].id);
    let all = MemberIndex::all(members.len());
    let mut below: Vec<MemberIndex> = all.clone().filter(|m| owned[*m] < quota).collect();
    below.sort_unstable_by(by_id);
    let mut at_quota: Vec<MemberIndex> = Vec::with_capacity(members.len());
    if keepers.len() < extras {
        at_quota.extend(all.filter(|m| owned[*m] == quota));
        at_quota.sort_unstable_by(by_id);
    }
    let mut missing: Vec<usize> = keeps
        .iter()
        .map(|keeps| quota.saturating_sub(*keeps))
        .collect();

    let mut owners = without_surplus(topics, subscribed, kept, keeps);
    let mut unowned: Vec<PartitionIndex> = subscribed
        .iter()
        .flat_map(|topic| topics.partitions(*topic))
        .filter(|partition| owners.owner(*partition).is_none())
        .collect();
    if let Some(racks) = racks {
        unowned.sort_by_cached_key(|partition| racks.members_near(*partition));
        let mut unfilled = Unfilled {
            below,
            missing,
            turn: 0,
            at_quota,
            extras: extras - keepers.len(),
        };
        unowned.retain(|partition| {
            let member = unfilled.next_near(racks, *partition);
            owners.set(*partition, member);
            member.is_none()
        });
        (below, missing, at_quota) = (unfilled.below, unfilled.missing, unfilled.at_quota);
    }
    let mut unowned = unowned.into_iter();
    while !below.is_empty() && unowned.len() > 0 {
        below.retain(|member| {
            if let Some(partition) = unowned.next() {
                owners.set(partition, Some(*member));
                missing[*member] -= 1;
            }
            if missing[*member] == 0 {
                at_quota.push(*member);
            }
            missing[*member] > 0
        });
    }
    for (member, partition) in at_quota.into_iter().zip(unowned) {
        owners.set(partition, Some(member));
    }
    owners
}

/// The members that get further partitions, while those near the partitions' replicas come first.
struct Unfilled {
    /// The members below the quota, and the index of the one whose turn it is.
    below: Vec<MemberIndex>,
    turn: usize,
    /// The number of partitions that each member lacks to the quota.
    missing: Vec<usize>,
    /// The members at the quota that may get one more.
    at_quota: Vec<MemberIndex>,
    /// The number of members that may still get one more.
    extras: usize,
}

impl Unfilled {
    /// The member that gets a partition because it is in the rack of a replica.
    fn next_near(
        &mut self,
        racks: &RackRule<'_>,
        partition: PartitionIndex,
    ) -> Option<MemberIndex> {
        let near = |member: &MemberIndex| racks.matches(*member, partition);
        let (before, after) = self.below.split_at(self.turn);
        let found = after.iter().chain(before).position(near);
        if let Some(distance) = found {
            let mut index = (self.turn + distance) % self.below.len();
            let member = self.below[index];
            self.missing[member] -= 1;
            if self.missing[member] == 0 {
                self.below.remove(index);
                if self.extras > 0 {
                    self.at_quota.push(member);
                }
            } else {
                index += 1;
            }
            self.turn = index.checked_rem(self.below.len()).unwrap_or(0);
            return Some(member);
        }
        let member = self.at_quota.remove(self.at_quota.iter().position(near)?);
        self.extras -= 1;
        if self.extras == 0 {
            self.at_quota.clear();
        }
        Some(member)
    }
}

/// The members that keep one partition beyond the quota: those that own more than the quota, but at
/// most `extras` of them.
fn keepers_of_an_extra(
    members: &[Member],
    owned: &[usize],
    quota: usize,
    extras: usize,
) -> Vec<MemberIndex> {
    if extras == 0 {
        return Vec::new();
    }
    let mut keepers: Vec<MemberIndex> = MemberIndex::all(members.len())
        .filter(|m| owned[*m] > quota)
        .collect();
    if keepers.len() > extras {
        let table = Table::of(members.len());
        keepers.sort_by_cached_key(|member| table.bucket(string_hash(&members[*member].id)));
        keepers.truncate(extras);
    }
    keepers
}

/// Removes the partitions that each member owns beyond `keeps`. The order is by partition number,
/// then by topic: members keep partition 0 of every topic before any partition 1.
fn without_surplus(
    topics: &Topics,
    subscribed: &[TopicIndex],
    mut owners: Assignment,
    mut keeps: Vec<usize>,
) -> Assignment {
    let mut rest: Vec<_> = subscribed
        .iter()
        .map(|topic| topics.partitions(*topic))
        .collect();
    while !rest.is_empty() {
        rest.retain_mut(|partitions| {
            let Some(partition) = partitions.next() else {
                return false;
            };
            if let Some(owner) = owners.owner(partition) {
                if keeps[owner] == 0 {
                    owners.set(partition, None);
                } else {
                    keeps[owner] -= 1;
                }
            }
            true
        });
    }
    owners
}
