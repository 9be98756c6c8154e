//! The iteration order of a Java `HashMap` or `HashSet`.
//!
//! Kafka's sticky and uniform assignors iterate over members (and sometimes partitions) in the
//! order of a hash table, and the first one may keep one partition more. `java.util.HashMap` does
//! not document an order. In practice it is: buckets ascending, and insertion order within a
//! bucket. The hash codes of strings and integers are documented.

use crate::{Member, MemberIndex};

/// `String.hashCode`, over UTF-16 code units.
pub(crate) fn string_hash(text: &str) -> u32 {
    text.encode_utf16().fold(0, |hash: u32, unit| {
        hash.wrapping_mul(31).wrapping_add(u32::from(unit))
    })
}

/// Mixes the high bits of a `hashCode` into the low ones, which select the bucket.
pub(crate) fn spread(hash: u32) -> u32 {
    hash ^ (hash >> 16)
}

/// `HashMap.MAXIMUM_CAPACITY`.
const MAXIMUM_BUCKETS: u32 = 1 << 30;

/// The number of buckets of a Java hash table, which determines its iteration order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table {
    mask: u32,
}

impl Table {
    /// A table that grew to hold `entries` entries: it starts with 16 buckets and doubles whenever
    /// the entries exceed three quarters of the buckets.
    pub(crate) fn of(entries: usize) -> Self {
        let mut table = Self { mask: 15 };
        while entries > table.buckets() as usize / 4 * 3 && table.buckets() < MAXIMUM_BUCKETS {
            table = table.doubled();
        }
        table
    }

    /// The bucket of an entry with this `hashCode`.
    pub(crate) fn bucket(self, hash: u32) -> u32 {
        spread(hash) & self.mask
    }

    /// The number of buckets.
    pub(crate) fn buckets(self) -> u32 {
        self.mask + 1
    }

    /// A table with twice the number of buckets, up to the maximum of Java.
    pub(crate) fn doubled(self) -> Self {
        if self.buckets() < MAXIMUM_BUCKETS {
            Self {
                mask: self.mask * 2 + 1,
            }
        } else {
            self
        }
    }
}

/// The members in the iteration order of a hash table with their ids as keys. Members in the same
/// bucket are in the order of the list, which stands for the order in which the coordinator added
/// them.
pub(crate) fn iteration_order(members: &[Member]) -> Vec<MemberIndex> {
    let table = Table::of(members.len());
    let mut keys: Vec<(u32, MemberIndex)> = MemberIndex::all(members.len())
        .zip(members)
        .map(|(index, member)| (table.bucket(string_hash(&member.id)), index))
        .collect();
    keys.sort_unstable();
    keys.into_iter().map(|(_, index)| index).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_strings_as_java_documents() {
        // From the documentation: s[0]·31^(n-1) + … + s[n-1], in 32 bits.
        assert_eq!(string_hash(""), 0);
        assert_eq!(string_hash("ab"), 97 * 31 + 98);
        assert_eq!(string_hash("Aa"), string_hash("BB"));
        // A character outside the basic plane consists of two code units.
        assert_eq!(string_hash("\u{1F600}"), 0xD83D * 31 + 0xDE00);
    }

    #[test]
    fn table_doubles_beyond_three_quarters() {
        let buckets = |entries| Table::of(entries).mask + 1;
        assert_eq!(
            [0, 12, 13, 24, 25, 1_000].map(buckets),
            [16, 16, 32, 32, 64, 2_048]
        );
    }

    #[test]
    fn high_bits_affect_the_bucket() {
        assert_eq!(Table::of(1).bucket(0x0003_0001), 2);
    }
}
