//! The sticky assignment of members that subscribe alike.
//!
//! Everyone may own `total / members` partitions, and `total % members` of them one more. Members keep
//! what they own up to that, lowest partition numbers first; who owns enough for one more keeps it as
//! long as there is one more to be had, in the order of Java's hash table. What is free goes in the
//! order of topics and numbers, one each in turn, to those below the quota by member id; the last
//! ones go to those that are just at the quota.

use crate::java_hash::{Table, string_hash};
use crate::{Assignment, Member, Topics};

pub(super) fn assign(topics: &Topics, members: &[Member], kept: Assignment) -> Assignment {
    let Some(first) = members.first() else {
        return kept;
    };
    let wanted = first.subscription.topics();
    let total: usize = wanted.iter().map(|topic| topics.range(*topic).len()).sum();
    let quota = total / members.len();
    let extras = total % members.len();

    let owned = kept.counts(members.len());
    let keepers = keepers_of_an_extra(members, &owned, quota, extras);

    let mut keeps: Vec<usize> = owned.iter().map(|owned| quota.min(*owned)).collect();
    for keeper in &keepers {
        keeps[*keeper] += 1;
    }
    let by_id = |a: &usize, b: &usize| members[*a].id.cmp(&members[*b].id);
    let mut below: Vec<usize> = (0..members.len()).filter(|m| owned[*m] < quota).collect();
    below.sort_unstable_by(by_id);
    let mut level: Vec<usize> = Vec::with_capacity(members.len());
    if keepers.len() < extras {
        level.extend((0..members.len()).filter(|m| owned[*m] == quota));
        level.sort_unstable_by(by_id);
    }
    let mut missing: Vec<usize> = keeps
        .iter()
        .map(|keeps| quota.saturating_sub(*keeps))
        .collect();

    let mut owners = without_surplus(topics, wanted, kept, keeps);
    let free: Vec<usize> = wanted
        .iter()
        .flat_map(|topic| topics.range(*topic))
        .filter(|partition| owners.owner(*partition).is_none())
        .collect();
    let mut free = free.into_iter();
    while !below.is_empty() && free.len() > 0 {
        below.retain(|member| {
            if let Some(partition) = free.next() {
                owners.set(partition, Some(*member));
                missing[*member] -= 1;
            }
            if missing[*member] == 0 {
                level.push(*member);
            }
            missing[*member] > 0
        });
    }
    for (member, partition) in level.into_iter().zip(free) {
        owners.set(partition, Some(member));
    }
    owners
}

/// Who keeps a partition beyond the quota: those that own one, but no more than there are extras.
fn keepers_of_an_extra(
    members: &[Member],
    owned: &[usize],
    quota: usize,
    extras: usize,
) -> Vec<usize> {
    if extras == 0 {
        return Vec::new();
    }
    let mut keepers: Vec<usize> = (0..members.len()).filter(|m| owned[*m] > quota).collect();
    if keepers.len() > extras {
        let table = Table::of(members.len());
        keepers.sort_by_cached_key(|member| table.bucket(string_hash(&members[*member].id)));
        keepers.truncate(extras);
    }
    keepers
}

/// Takes from each member what it owns beyond what it keeps. Partition numbers count before topics:
/// 0 of every topic is kept before any 1.
fn without_surplus(
    topics: &Topics,
    wanted: &[usize],
    mut owners: Assignment,
    mut keeps: Vec<usize>,
) -> Assignment {
    let mut rest: Vec<_> = wanted.iter().map(|topic| topics.range(*topic)).collect();
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
