//! The order in which a coordinator iterates over its members.

use kafka_assignors::coordinator_order::{CoordinatorFamily, MemberTable};

/// The order in which a coordinator iterates over its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElectionOrder {
    /// A hash table of a known family, which once held `at_least` members.
    Table {
        /// The family.
        coordinator: CoordinatorFamily,
        /// The largest number of members that the table held before.
        at_least: usize,
    },
    /// An order that cannot be predicted, as of Redpanda, with this salt.
    Salted(u64),
}

impl ElectionOrder {
    /// The index of the first of `ids`, which are sorted by age. `largest` is the largest number of
    /// members since the group began.
    pub(super) fn first(self, ids: &[&str], largest: usize) -> Option<usize> {
        match self {
            Self::Table {
                coordinator,
                at_least,
            } => {
                let table = MemberTable::smallest(coordinator, largest.max(at_least));
                table.elected(ids, &[]).map(|index| index.get())
            }
            Self::Salted(salt) => {
                let hash = |id: &str| {
                    // FNV-1a.
                    id.bytes().fold(salt ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
                        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
                    })
                };
                let indices = 0..ids.len();
                indices.min_by_key(|index| ids.get(*index).map(|id| hash(id)))
            }
        }
    }
}
