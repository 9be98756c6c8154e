//! Who owns which partition.

/// The owner of each partition: partitions as [`Topics`](super::Topics) numbers them, owners by
/// their places in a list of members. Each partition has one owner or none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Assignment {
    /// `NOBODY` where there is no owner: half the size of an `Option<usize>`, and assignments of
    /// ten thousand partitions are made by the hundred.
    owners: Vec<u32>,
}

const NOBODY: u32 = u32::MAX;

impl Assignment {
    /// So many partitions, all without an owner.
    #[must_use]
    pub fn unowned(partitions: usize) -> Self {
        Self {
            owners: vec![NOBODY; partitions],
        }
    }

    /// How many partitions there are.
    #[must_use]
    pub fn partitions(&self) -> usize {
        self.owners.len()
    }

    /// The owner of a partition.
    #[must_use]
    pub fn owner(&self, partition: usize) -> Option<usize> {
        let owner = *self.owners.get(partition)?;
        (owner != NOBODY).then_some(owner as usize)
    }

    /// The owners of all partitions, in their order.
    pub fn owners(&self) -> impl Iterator<Item = Option<usize>> {
        let owners = self.owners.iter();
        owners.map(|owner| (*owner != NOBODY).then_some(*owner as usize))
    }

    /// Gives a partition to an owner, or to nobody; a partition that does not exist is ignored.
    pub fn set(&mut self, partition: usize, owner: Option<usize>) {
        if let Some(place) = self.owners.get_mut(partition) {
            *place = owner
                .and_then(|owner| u32::try_from(owner).ok())
                .unwrap_or(NOBODY);
        }
    }

    /// How many partitions each of so many members owns.
    #[must_use]
    pub fn counts(&self, members: usize) -> Vec<usize> {
        let mut counts = vec![0; members];
        for owner in self.owners().flatten() {
            if let Some(count) = counts.get_mut(owner) {
                *count += 1;
            }
        }
        counts
    }

    /// The partitions of each of so many members, ascending.
    #[must_use]
    pub fn by_member(&self, members: usize) -> Vec<Vec<usize>> {
        let mut partitions: Vec<Vec<usize>> = self
            .counts(members)
            .into_iter()
            .map(Vec::with_capacity)
            .collect();
        for (partition, owner) in self.owners().enumerate() {
            if let Some(list) = owner.and_then(|owner| partitions.get_mut(owner)) {
                list.push(partition);
            }
        }
        partitions
    }

    /// The same with the members at other places: `places[old]` is the new one, `None` for a
    /// member that is gone.
    #[must_use]
    pub fn renumbered(&self, places: &[Option<usize>]) -> Self {
        let owners = self.owners();
        owners
            .map(|owner| owner.and_then(|owner| places.get(owner).copied().flatten()))
            .collect()
    }
}

impl FromIterator<Option<usize>> for Assignment {
    fn from_iter<T: IntoIterator<Item = Option<usize>>>(owners: T) -> Self {
        let owners = owners.into_iter();
        Self {
            owners: owners
                .map(|owner| owner.and_then(|o| u32::try_from(o).ok()).unwrap_or(NOBODY))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_counted_and_listed_by_member() {
        let mut assignment: Assignment = [Some(1), None, Some(0), Some(1)].into_iter().collect();
        assert_eq!(assignment.counts(3), [1, 2, 0]);
        assert_eq!(assignment.by_member(2), [vec![2], vec![0, 3]]);
        assignment.set(1, Some(2));
        assignment.set(9, Some(2));
        assert_eq!(assignment.owner(1), Some(2));
        let moved = assignment.renumbered(&[Some(0), None, Some(1)]);
        assert_eq!(
            moved.owners().collect::<Vec<_>>(),
            [None, Some(1), Some(0), None]
        );
    }
}
