//! The sticky assignment of members with the same subscription (Java's `constrainedAssign`).
//!
//! The quota of each member is `total / members` partitions, and `total % members` of them own one
//! more. Members keep what they own up to their quota, lowest partition numbers first. Members that
//! own more keep one partition beyond the quota while extras remain, in the order of Java's hash
//! table. Unowned partitions, by topic and number, go in turn to the members below the quota, by
//! member id; the last ones go to members that are exactly at the quota.

use crate::java_hash::{Table, string_hash};
use crate::{Assignment, Member, MemberIndex, PartitionIndex, TopicIndex, Topics};

pub(super) fn assign(topics: &Topics, members: &[Member], kept: Assignment) -> Assignment {
    let Some(first) = members.first() else {
        return kept;
    };
    let subscribed = first.subscription.topics();
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
    let unowned: Vec<PartitionIndex> = subscribed
        .iter()
        .flat_map(|topic| topics.partitions(*topic))
        .filter(|partition| owners.owner(*partition).is_none())
        .collect();
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
