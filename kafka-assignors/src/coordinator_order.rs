//! The order in which a coordinator iterates over the members of a classic group.
//!
//! When the leader of a group leaves, the coordinator elects the first of the other members in the
//! iteration order of its hash table, whose keys are the member ids. So the next leader is
//! predictable, and a client that can choose among several member ids can choose one that is
//! elected.
//!
//! | coordinator | table | order |
//! |---|---|---|
//! | [`Java`](CoordinatorFamily::Java): Kafka 4, and 3.7 to 3.9 with the new coordinator | `java.util.HashMap` | by bucket, then by age |
//! | [`Scala`](CoordinatorFamily::Scala): Kafka 2.8 to 3.9, built for Scala 2.13 | `scala.collection.mutable.HashMap` | by bucket, then by hash, then by age |
//!
//! Other coordinators are not predictable: Redpanda salts its hash table, and a Kafka built for
//! Scala 2.12 iterates from the last bucket.
//!
//! Both tables start with 16 buckets, double when they are three quarters full, and never shrink.
//! The number of buckets therefore depends on the largest number of members since the coordinator
//! loaded the group, which a client does not know. An [`Election`] asks for the four smallest
//! sizes that are possible.
//!
//! Java turns a bucket with more than eight entries into a tree, whose order is not reproduced
//! here. With the random ids of Kafka, such a bucket does not occur in practice.
//!
//! Sources: `ClassicGroup.remove` and `GroupMetadata.remove` of Kafka, `java.util.HashMap`, and
//! `scala.collection.mutable.HashMap` of Scala 2.13.

use crate::MemberIndex;
use crate::java_hash::{Table, spread, string_hash};

/// The number of table sizes that an [`Election`] asks for: the smallest one, and two, four and
/// eight times as many buckets.
pub const TABLE_SIZES: usize = 4;

/// The implementation of a coordinator, as far as it determines the order of the members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CoordinatorFamily {
    /// The coordinator in Java: Kafka 4, and 3.7 to 3.9 if the new coordinator is enabled.
    Java,
    /// The coordinator in Scala, built for Scala 2.13: Kafka 3.9 and older.
    Scala,
}

impl CoordinatorFamily {
    /// All families.
    pub const ALL: [Self; 2] = [Self::Java, Self::Scala];
}

/// A position in the iteration order: the bucket, then the order within the bucket. Entries with
/// equal positions are in the order of their age.
type Position = (u32, i32);

/// A coordinator's table of the members of a group.
#[derive(Debug, Clone, Copy)]
pub struct MemberTable {
    coordinator: CoordinatorFamily,
    table: Table,
}

impl MemberTable {
    /// The smallest table that can hold `members` members.
    #[must_use]
    pub fn smallest(coordinator: CoordinatorFamily, members: usize) -> Self {
        let table = match coordinator {
            CoordinatorFamily::Java => Table::of(members),
            // Scala's table doubles when it becomes three quarters full, Java's afterwards.
            CoordinatorFamily::Scala => Table::of(members.saturating_add(1)),
        };
        Self { coordinator, table }
    }

    /// A table with twice as many buckets.
    #[must_use]
    pub fn doubled(self) -> Self {
        Self {
            table: self.table.doubled(),
            ..self
        }
    }

    /// The number of buckets.
    #[must_use]
    pub fn buckets(self) -> u32 {
        self.table.buckets()
    }

    /// The members in iteration order. `ids` are sorted by age: the member that joined first comes
    /// first.
    #[must_use]
    pub fn order<S: AsRef<str>>(self, ids: &[S]) -> Vec<MemberIndex> {
        let mut positions: Vec<(Position, MemberIndex)> = ids
            .iter()
            .zip(MemberIndex::all(ids.len()))
            .map(|(id, index)| (self.position(id.as_ref()), index))
            .collect();
        positions.sort_unstable();
        positions.into_iter().map(|(_, index)| index).collect()
    }

    /// The member that is elected when the members in `removed`, one of which is the leader, leave.
    /// `ids` are sorted by age. `None` if no member remains.
    #[must_use]
    pub fn elected<S: AsRef<str>>(self, ids: &[S], removed: &[MemberIndex]) -> Option<MemberIndex> {
        ids.iter()
            .zip(MemberIndex::all(ids.len()))
            .filter(|(_, index)| !removed.contains(index))
            .map(|(id, index)| (self.position(id.as_ref()), index))
            .min()
            .map(|(_, index)| index)
    }

    /// The members that the coordinator would elect instead of `newcomer`, the youngest member.
    #[must_use]
    pub fn ahead_of<S: AsRef<str>>(self, newcomer: &str, ids: &[S]) -> Vec<MemberIndex> {
        let position = self.position(newcomer);
        ids.iter()
            .zip(MemberIndex::all(ids.len()))
            .filter(|(id, _)| self.position(id.as_ref()) <= position)
            .map(|(_, index)| index)
            .collect()
    }

    /// The members in the first bucket. In a Java table, no member that joins later precedes them,
    /// whatever its id is. In a Scala table, only an id with a lower hash does, which is rare.
    #[must_use]
    pub fn first_bucket<S: AsRef<str>>(self, ids: &[S]) -> Vec<MemberIndex> {
        ids.iter()
            .zip(MemberIndex::all(ids.len()))
            .filter(|(id, _)| self.table.bucket(string_hash(id.as_ref())) == 0)
            .map(|(_, index)| index)
            .collect()
    }

    fn position(self, id: &str) -> Position {
        let hash = string_hash(id);
        let within = match self.coordinator {
            CoordinatorFamily::Java => 0,
            // Scala sorts the entries of a bucket by the mixed hash as a signed number.
            CoordinatorFamily::Scala => spread(hash).cast_signed(),
        };
        (self.table.bucket(hash), within)
    }
}

/// The election of a member that joins as the last one.
///
/// ```
/// use kafka_assignors::coordinator_order::{CoordinatorFamily, Election, TABLE_SIZES};
///
/// let rivals = ["consumer-1-4e0c", "consumer-2-91b7"];
/// // The rivals, the leader that is removed, and the candidate.
/// let election = Election::new(&CoordinatorFamily::ALL, rivals.len() + 2, &rivals);
/// let drawn = (0..200).map(|number| format!("candidate-{number}"));
/// let winner = drawn.max_by_key(|id| election.sizes_won(id)).expect("a candidate");
/// assert_eq!(election.sizes_won(&winner), TABLE_SIZES);
/// ```
#[derive(Debug, Clone)]
pub struct Election {
    /// Per coordinator and size, ascending: the table and the first rival. `None` without rivals.
    tables: Vec<[(MemberTable, Option<Position>); TABLE_SIZES]>,
}

impl Election {
    /// The election among `rivals` and one candidate that joins after them.
    ///
    /// `rivals` are the ids of all members that are in the table at the time of the election,
    /// except the candidate: not those that are removed, but every other member of the group,
    /// including one that will leave later. `members` is the largest number of members that the
    /// table is known to have held at once, including the candidate and those that are removed.
    ///
    /// `coordinators` are the families that the coordinator may belong to; the candidate must win
    /// in each.
    #[must_use]
    pub fn new<S: AsRef<str>>(
        coordinators: &[CoordinatorFamily],
        members: usize,
        rivals: &[S],
    ) -> Self {
        let sizes = |coordinator: &CoordinatorFamily| {
            let mut table = MemberTable::smallest(*coordinator, members);
            std::array::from_fn(|_| {
                let this = table;
                table = table.doubled();
                let positions = rivals.iter().map(|id| this.position(id.as_ref()));
                (this, positions.min())
            })
        };
        Self {
            tables: coordinators.iter().map(sizes).collect(),
        }
    }

    /// The number of table sizes, from the smallest one on, at which the candidate is elected. It
    /// is elected with certainty at [`TABLE_SIZES`] (unless the group once had more than about six
    /// times as many members), and is not elected at 0.
    ///
    /// Among *n* rivals, about one in 8 *n* random ids reaches [`TABLE_SIZES`], and one in *n* the
    /// smallest size.
    #[must_use]
    pub fn sizes_won(&self, candidate: &str) -> usize {
        let won = |tables: &[(MemberTable, Option<Position>); TABLE_SIZES]| {
            tables
                .iter()
                .take_while(|(table, first)| {
                    first.is_none_or(|first| table.position(candidate) < first)
                })
                .count()
        };
        self.tables.iter().map(won).min().unwrap_or(0)
    }
}

/// Whether a leader that is a Java client may iterate over `candidate` before all other members.
///
/// Java's sticky assignors then give partitions to it even if it subscribes to no topic (see
/// [`sticky`](mod@crate::sticky)). Answers yes if the candidate shares the first non-empty bucket,
/// because the order within a bucket is that of the coordinator's response.
#[must_use]
pub fn may_come_first_in_java_client<S: AsRef<str>>(candidate: &str, others: &[S]) -> bool {
    let table = Table::of(others.len() + 1);
    let own = table.bucket(string_hash(candidate));
    others
        .iter()
        .all(|id| table.bucket(string_hash(id.as_ref())) >= own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn indices(indices: &[usize]) -> Vec<MemberIndex> {
        indices.iter().copied().map(MemberIndex::new).collect()
    }

    /// With 16 buckets: `p` has hash 112 (bucket 0), `q` bucket 1, `@` hash 64 (bucket 0).
    #[rstest]
    #[case::by_bucket(CoordinatorFamily::Java, &["q", "p"], &[1, 0])]
    #[case::java_by_age_within_a_bucket(CoordinatorFamily::Java, &["p", "@"], &[0, 1])]
    #[case::scala_by_hash_within_a_bucket(CoordinatorFamily::Scala, &["p", "@"], &[1, 0])]
    // Both have the hash 2112.
    #[case::scala_by_age_with_equal_hashes(CoordinatorFamily::Scala, &["BB", "Aa"], &[0, 1])]
    fn members_are_ordered(
        #[case] coordinator: CoordinatorFamily,
        #[case] ids: &[&str],
        #[case] expected: &[usize],
    ) {
        let table = MemberTable::smallest(coordinator, ids.len());
        assert_eq!(table.order(ids), indices(expected));
        let order = table.order(ids);
        assert_eq!(table.elected(ids, &[]), order.first().copied());
        assert_eq!(table.elected(ids, &order[..1]), order.get(1).copied());
        assert_eq!(table.elected(ids, &order), None);
    }

    #[test]
    fn scala_compares_hashes_as_signed_numbers() {
        // The hash of this id has the highest bit set, so that it is negative.
        let negative = "consumer-20";
        assert!(spread(string_hash(negative)).cast_signed() < 0);
        let table = MemberTable::smallest(CoordinatorFamily::Scala, 2);
        let bucket = table.position(negative).0;
        let positive = (0..)
            .map(|number| format!("{number}"))
            .find(|id| table.position(id).0 == bucket && table.position(id).1 > 0)
            .unwrap();
        assert_eq!(
            table.order(&[positive.as_str(), negative]),
            indices(&[1, 0])
        );
    }

    #[test]
    fn scala_grows_one_entry_earlier() {
        let buckets = |coordinator, members| MemberTable::smallest(coordinator, members).buckets();
        for (members, java, scala) in [
            (1, 16, 16),
            (11, 16, 16),
            (12, 16, 32),
            (13, 32, 32),
            (24, 32, 64),
        ] {
            assert_eq!(buckets(CoordinatorFamily::Java, members), java, "{members}");
            assert_eq!(
                buckets(CoordinatorFamily::Scala, members),
                scala,
                "{members}"
            );
        }
    }

    #[test]
    fn a_newcomer_is_behind_the_members_of_its_bucket() {
        let java = MemberTable::smallest(CoordinatorFamily::Java, 3);
        assert_eq!(java.ahead_of("@", &["p", "q"]), indices(&[0]));
        assert_eq!(java.first_bucket(&["p", "q", "@"]), indices(&[0, 2]));
        let scala = MemberTable::smallest(CoordinatorFamily::Scala, 3);
        assert_eq!(scala.ahead_of("@", &["p", "q"]), indices(&[]));
    }

    /// The buckets at 16, 32, 64 and 128: `p` 0, 16, 48, 112; `q` one more; `@` 0, 0, 0, 64;
    /// `A` one more; `!` 1, 1, 33, 33.
    #[rstest]
    #[case::behind_a_rival(&["p"], "q", 0)]
    #[case::same_bucket(&["p"], "p", 0)]
    #[case::bucket_depends_on_the_size(&["A"], "p", 1)]
    #[case::lower_at_three_sizes(&["!"], "@", 3)]
    #[case::lower_at_all_sizes(&["q"], "p", 4)]
    #[case::no_rival(&[], "q", 4)]
    fn election_counts_table_sizes(
        #[case] rivals: &[&str],
        #[case] candidate: &str,
        #[case] won: usize,
    ) {
        let election = Election::new(&[CoordinatorFamily::Java], 3, rivals);
        assert_eq!(election.sizes_won(candidate), won);
    }

    #[test]
    fn candidate_that_shares_the_first_bucket_may_come_first() {
        assert!(may_come_first_in_java_client("@", &["p", "q"]));
        assert!(may_come_first_in_java_client("p", &["q"]));
        assert!(!may_come_first_in_java_client("q", &["p"]));
    }

    proptest! {
        /// A candidate that wins at a size is elected by a table of that size.
        #[test]
        fn winners_are_elected(
            seeds in prop::collection::vec(any::<u64>(), 1..40),
            scala in any::<bool>(),
        ) {
            let coordinator = if scala { CoordinatorFamily::Scala } else { CoordinatorFamily::Java };
            let mut ids: Vec<String> = seeds.iter().map(|seed| format!("consumer-{seed:x}")).collect();
            let candidate = ids.pop().unwrap_or_default();
            prop_assume!(!ids.contains(&candidate));
            let won = Election::new(&[coordinator], ids.len() + 1, &ids).sizes_won(&candidate);
            let mut table = MemberTable::smallest(coordinator, ids.len() + 1);
            let mut all = ids.clone();
            all.push(candidate.clone());
            let last = MemberIndex::new(ids.len());
            let mut elected = 0;
            while elected < TABLE_SIZES && table.elected(&all, &[]) == Some(last) {
                prop_assert!(table.ahead_of(&candidate, &ids).is_empty());
                table = table.doubled();
                elected += 1;
            }
            prop_assert_eq!(won, elected);
            // The rivals ahead of it are those whose removal makes it win.
            let table = MemberTable::smallest(coordinator, ids.len() + 1);
            let ahead = table.ahead_of(&candidate, &ids);
            prop_assert_eq!(table.elected(&all, &ahead), Some(last));
        }

        /// Without the members of the first bucket, some id wins at all sizes.
        #[test]
        fn only_the_first_bucket_is_unbeatable(seeds in prop::collection::vec(any::<u64>(), 1..12)) {
            let mut ids: Vec<String> = seeds.iter().map(|seed| format!("consumer-{seed:x}")).collect();
            let table = MemberTable::smallest(CoordinatorFamily::Java, ids.len() + 1);
            let blockers = table.first_bucket(&ids);
            let mut index = MemberIndex::all(ids.len());
            ids.retain(|_| !blockers.contains(&index.next().unwrap_or(MemberIndex::new(0))));
            let election = Election::new(&CoordinatorFamily::ALL, ids.len() + 1, &ids);
            let mut drawn = (0..20_000).map(|number| format!("candidate-{number}"));
            prop_assert!(drawn.any(|id| election.sizes_won(&id) == TABLE_SIZES));
        }
    }
}
