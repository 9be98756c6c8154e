//! The owners of all partitions.

use crate::{MemberIndex, PartitionIndex};

/// The owner of each partition of a group. Each partition has one owner or none.
///
/// Owners are indices into a list of members, which the assignment does not contain: after a
/// change of that list, [`renumbered`](Self::renumbered) yields the assignment for the new one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Assignment {
    /// One entry per partition; `UNOWNED` if it has no owner. This takes a quarter of the memory of
    /// `Option<usize>`, and forecasts copy assignments of 10,000 partitions hundreds of times.
    owners: Vec<u32>,
}

const UNOWNED: u32 = u32::MAX;

fn pack(owner: Option<MemberIndex>) -> u32 {
    owner
        .and_then(|owner| u32::try_from(owner.get()).ok())
        .unwrap_or(UNOWNED)
}

fn unpack(owner: u32) -> Option<MemberIndex> {
    (owner != UNOWNED).then_some(MemberIndex::new(owner as usize))
}

impl Assignment {
    /// An assignment in which no partition has an owner.
    #[must_use]
    pub fn unowned(partitions: usize) -> Self {
        Self {
            owners: vec![UNOWNED; partitions],
        }
    }

    /// The number of partitions.
    #[must_use]
    pub fn partition_count(&self) -> usize {
        self.owners.len()
    }

    /// The owner of a partition. `None` if it has no owner or does not exist.
    #[must_use]
    pub fn owner(&self, partition: PartitionIndex) -> Option<MemberIndex> {
        unpack(*self.owners.get(partition.get())?)
    }

    /// The owners of all partitions, in order.
    pub fn owners(&self) -> impl ExactSizeIterator<Item = Option<MemberIndex>> {
        self.owners.iter().map(|owner| unpack(*owner))
    }

    /// All partitions with their owners.
    pub fn iter(&self) -> impl Iterator<Item = (PartitionIndex, Option<MemberIndex>)> {
        PartitionIndex::all(self.owners.len()).zip(self.owners())
    }

    /// The partitions without an owner, ascending.
    pub fn without_owner(&self) -> impl Iterator<Item = PartitionIndex> {
        self.iter()
            .filter(|(_, owner)| owner.is_none())
            .map(|(partition, _)| partition)
    }

    /// Sets or removes the owner of a partition. Ignores a partition that does not exist.
    pub fn set(&mut self, partition: PartitionIndex, owner: Option<MemberIndex>) {
        if let Some(entry) = self.owners.get_mut(partition.get()) {
            *entry = pack(owner);
        }
    }

    /// The number of partitions that each member owns, in a group of `members` members.
    #[must_use]
    pub fn counts(&self, members: usize) -> Vec<usize> {
        let mut counts = vec![0; members];
        for owner in self.owners().flatten() {
            if let Some(count) = counts.get_mut(owner.get()) {
                *count += 1;
            }
        }
        counts
    }

    /// The partitions that each member owns, ascending, in a group of `members` members.
    #[must_use]
    pub fn by_member(&self, members: usize) -> Vec<Vec<PartitionIndex>> {
        let mut partitions: Vec<Vec<PartitionIndex>> = self
            .counts(members)
            .into_iter()
            .map(Vec::with_capacity)
            .collect();
        for (partition, owner) in self.iter() {
            if let Some(list) = owner.and_then(|owner| partitions.get_mut(owner.get())) {
                list.push(partition);
            }
        }
        partitions
    }

    /// Returns the assignment for a changed list of members: `new_indices[old]` is the new index of
    /// a member, or `None` if it left the group.
    #[must_use]
    pub fn renumbered(&self, new_indices: &[Option<MemberIndex>]) -> Self {
        self.owners()
            .map(|owner| new_indices.get(owner?.get()).copied().flatten())
            .collect()
    }
}

impl FromIterator<Option<MemberIndex>> for Assignment {
    fn from_iter<T: IntoIterator<Item = Option<MemberIndex>>>(owners: T) -> Self {
        Self {
            owners: owners.into_iter().map(pack).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(index: usize) -> Option<MemberIndex> {
        Some(MemberIndex::new(index))
    }

    #[test]
    fn counts_and_lists_partitions_by_member() {
        let mut assignment: Assignment = [member(1), None, member(0), member(1)]
            .into_iter()
            .collect();
        assert_eq!(assignment.counts(3), [1, 2, 0]);
        let partitions = [0, 2, 3].map(PartitionIndex::new);
        assert_eq!(
            assignment.by_member(2),
            [vec![partitions[1]], vec![partitions[0], partitions[2]]]
        );
        assert_eq!(
            assignment.without_owner().collect::<Vec<_>>(),
            [PartitionIndex::new(1)]
        );
        assignment.set(PartitionIndex::new(1), member(2));
        assignment.set(PartitionIndex::new(9), member(2));
        assert_eq!(assignment.owner(PartitionIndex::new(1)), member(2));
        let moved = assignment.renumbered(&[member(0), None, member(1)]);
        assert_eq!(
            moved.owners().collect::<Vec<_>>(),
            [None, member(1), member(0), None]
        );
    }
}
