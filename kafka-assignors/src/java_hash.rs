//! The order in which a Java `HashMap` or `HashSet` is walked.
//!
//! Kafka's sticky and uniform assignors walk members (and sometimes partitions) in the order of a
//! hash table, and who comes first may keep a partition more. `java.util.HashMap` documents no
//! order, but it has one: buckets ascending, and within a bucket as inserted. The hashes of strings
//! and integers are documented.

use crate::Member;

/// `String.hashCode`, over UTF-16 code units.
pub(crate) fn string_hash(text: &str) -> u32 {
    text.encode_utf16().fold(0, |hash: u32, unit| {
        hash.wrapping_mul(31).wrapping_add(u32::from(unit))
    })
}

/// A hash table of Java, as far as the order of its entries goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table {
    mask: u32,
}

impl Table {
    /// A table that grew to hold so many entries: from 16 buckets, doubled whenever more than
    /// three quarters as many entries are in it.
    pub(crate) fn of(entries: usize) -> Self {
        let mut buckets = 16_u32;
        while entries > buckets as usize / 4 * 3 && buckets < 1 << 30 {
            buckets *= 2;
        }
        Self { mask: buckets - 1 }
    }

    /// The bucket of an entry with this `hashCode`.
    pub(crate) fn bucket(self, hash: u32) -> u32 {
        (hash ^ (hash >> 16)) & self.mask
    }
}

/// The places of members as a hash table walks their ids. Members of one bucket come in the order
/// of the list, which stands for the order in which the coordinator knows them.
pub(crate) fn walk(members: &[Member]) -> Vec<usize> {
    let table = Table::of(members.len());
    let mut keys: Vec<(u32, usize)> = members
        .iter()
        .enumerate()
        .map(|(place, member)| (table.bucket(string_hash(&member.id)), place))
        .collect();
    keys.sort_unstable();
    keys.into_iter().map(|(_, place)| place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_hashed_as_java_documents() {
        // From the documentation: s[0]·31^(n-1) + … + s[n-1], in 32 bits.
        assert_eq!(string_hash(""), 0);
        assert_eq!(string_hash("ab"), 97 * 31 + 98);
        assert_eq!(string_hash("Aa"), string_hash("BB"));
        // A character outside the basic plane is two code units.
        assert_eq!(string_hash("\u{1F600}"), 0xD83D * 31 + 0xDE00);
    }

    #[test]
    fn a_table_doubles_beyond_three_quarters() {
        let buckets = |entries| Table::of(entries).mask + 1;
        assert_eq!(
            [0, 12, 13, 24, 25, 1_000].map(buckets),
            [16, 16, 32, 32, 64, 2_048]
        );
    }

    #[test]
    fn high_bits_reach_the_bucket() {
        assert_eq!(Table::of(1).bucket(0x0003_0001), 2);
    }
}
