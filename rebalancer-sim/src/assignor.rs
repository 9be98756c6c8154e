//! Which member owns which partition.

use std::fmt;
use std::sync::Arc;

/// The id the group's coordinator gave a member: client id and a random UUID.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(Arc<str>);

impl MemberId {
    /// A member id of this text.
    #[must_use]
    pub fn new(id: &str) -> Self {
        Self(id.into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a group assigns the partitions of its topic to its members. Both are simplified: one topic,
/// all members subscribed to it, a rebalance takes no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Assignor {
    /// Balances the numbers of partitions and keeps what it can, as `sticky` and
    /// `cooperative-sticky` do: partitions without an owner go, in order, to the member with the
    /// fewest; then the fullest member gives its highest partition to the emptiest until the
    /// numbers are within one. Ties break by member id. Which of its partitions a member gives
    /// up is where the real ones differ from this and from each other.
    #[default]
    Sticky,
    /// Contiguous blocks by rank of the member ids, the first ranks one larger when the numbers
    /// do not divide, as `range` does with one topic. It knows no previous owners.
    Range,
}

impl Assignor {
    /// The new owner of each partition.
    ///
    /// `members` are sorted and without duplicates; `previous` holds the present owner of each
    /// partition, and owners that are no longer members count as none. Without members no
    /// partition has an owner; otherwise each has, and the numbers of partitions of any two
    /// members differ by one at most.
    #[must_use]
    pub fn assign(
        self,
        members: &[MemberId],
        previous: &[Option<MemberId>],
    ) -> Vec<Option<MemberId>> {
        if members.is_empty() {
            return vec![None; previous.len()];
        }
        let held = match self {
            Self::Sticky => sticky(members, previous),
            Self::Range => range(members.len(), previous.len()),
        };
        let mut owners = vec![None; previous.len()];
        for (member, partitions) in members.iter().zip(held) {
            for partition in partitions {
                if let Some(owner) = owners.get_mut(partition) {
                    *owner = Some(member.clone());
                }
            }
        }
        owners
    }
}

/// The partitions of each member, by its rank.
fn sticky(members: &[MemberId], previous: &[Option<MemberId>]) -> Vec<Vec<usize>> {
    let mut held = vec![Vec::new(); members.len()];
    let mut unowned = Vec::new();
    for (partition, owner) in previous.iter().enumerate() {
        let kept = owner
            .as_ref()
            .and_then(|owner| members.binary_search(owner).ok())
            .and_then(|rank| held.get_mut(rank));
        match kept {
            Some(partitions) => partitions.push(partition),
            None => unowned.push(partition),
        }
    }
    for partition in unowned {
        // `min_by_key` takes the first of equals: the lowest member id.
        if let Some(emptiest) = held.iter_mut().min_by_key(|partitions| partitions.len()) {
            emptiest.push(partition);
        }
    }
    for partitions in &mut held {
        partitions.sort_unstable();
    }
    while let Some((fullest, emptiest)) = worth_a_move(&held) {
        let Some(partition) = held.get_mut(fullest).and_then(Vec::pop) else {
            break;
        };
        if let Some(partitions) = held.get_mut(emptiest) {
            partitions.push(partition);
        }
    }
    held
}

/// The ranks of the fullest and the emptiest member, if their numbers differ by more than one.
fn worth_a_move(held: &[Vec<usize>]) -> Option<(usize, usize)> {
    let sizes = || held.iter().map(Vec::len).enumerate();
    // `max_by_key` takes the last of equals, hence the reversal.
    let (fullest, most) = sizes().rev().max_by_key(|(_, size)| *size)?;
    let (emptiest, fewest) = sizes().min_by_key(|(_, size)| *size)?;
    (most > fewest + 1).then_some((fullest, emptiest))
}

/// The partitions of each member, by its rank.
fn range(members: usize, partitions: usize) -> Vec<Vec<usize>> {
    let (each, larger) = (partitions / members, partitions % members);
    let mut next = 0;
    (0..members)
        .map(|rank| {
            let first = next;
            next += each + usize::from(rank < larger);
            (first..next).collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ids(names: &[&str]) -> Vec<MemberId> {
        names.iter().map(|name| MemberId::new(name)).collect()
    }

    fn owned_by(owners: &[Option<MemberId>]) -> String {
        owners
            .iter()
            .map(|owner| owner.as_ref().map_or("-", MemberId::as_str))
            .collect()
    }

    fn owners(text: &str) -> Vec<Option<MemberId>> {
        text.chars()
            .map(|name| (name != '-').then(|| MemberId::new(&name.to_string())))
            .collect()
    }

    #[rstest::rstest]
    #[case::fresh("abc", "-------", "abcabca")]
    #[case::kept("abc", "ccbbaab", "ccbbaab")]
    #[case::a_victims_partitions_go_to_the_emptiest("ab", "abcabc", "abaabb")]
    #[case::a_newcomer_takes_the_highest_of_the_fullest("abz", "abababa", "ababzbz")]
    #[case::nobody("", "abc", "---")]
    fn sticky_keeps_what_it_can(#[case] members: &str, #[case] before: &str, #[case] after: &str) {
        let members: Vec<_> = members.chars().map(String::from).collect();
        let members = ids(&members.iter().map(String::as_str).collect::<Vec<_>>());
        let assigned = Assignor::Sticky.assign(&members, &owners(before));
        assert_eq!(owned_by(&assigned), after);
    }

    #[test]
    fn range_gives_blocks_by_rank() {
        let assigned = Assignor::Range.assign(&ids(&["a", "b", "c"]), &owners("ccccccca"));
        assert_eq!(owned_by(&assigned), "aaabbbcc");
    }

    proptest! {
        #[test]
        fn every_partition_has_one_owner_and_numbers_are_within_one(
            members in prop::collection::btree_set("[a-z]{1,3}", 1..12),
            before in prop::collection::vec(prop::option::of("[a-z]{1,3}"), 0..60),
            assignor in prop::sample::select(vec![Assignor::Sticky, Assignor::Range]),
        ) {
            let members: Vec<_> = members.iter().map(|id| MemberId::new(id)).collect();
            let before: Vec<_> = before
                .iter()
                .map(|owner| owner.as_deref().map(MemberId::new))
                .collect();
            let after = assignor.assign(&members, &before);
            prop_assert_eq!(after.len(), before.len());
            prop_assert!(after.iter().flatten().all(|owner| members.contains(owner)));
            prop_assert_eq!(after.iter().flatten().count(), before.len());
            let counts: Vec<_> = members
                .iter()
                .map(|member| after.iter().flatten().filter(|owner| *owner == member).count())
                .collect();
            prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1);
        }

        #[test]
        fn sticky_moves_nothing_when_nothing_changes(
            members in prop::collection::btree_set("[a-z]{1,3}", 1..12),
            partitions in 0_usize..60,
        ) {
            let members: Vec<_> = members.iter().map(|id| MemberId::new(id)).collect();
            let once = Assignor::Sticky.assign(&members, &vec![None; partitions]);
            prop_assert_eq!(&Assignor::Sticky.assign(&members, &once), &once);
        }
    }
}
