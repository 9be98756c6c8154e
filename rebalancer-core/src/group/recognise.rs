//! Recognition of the assignor from the owners of the partitions.

use std::fmt;

use kafka_assignors::{Assignment, Assignor, Protocol, Topics};
use serde::{Deserialize, Serialize};

/// The assignor that forecasts use, and the source of this knowledge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KnownAssignor {
    /// The assignor.
    pub assignor: Assignor,
    /// The source of the knowledge.
    pub known: Knowledge,
}

/// The source of the knowledge about the assignor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Knowledge {
    /// The operator set it.
    Set,
    /// The brokers report it.
    Reported,
    /// The owners of the partitions form the assignor's pattern.
    Recognised,
    /// The default for such a group, in the absence of a pattern.
    Assumed,
}

impl fmt::Display for KnownAssignor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match self.known {
            Knowledge::Set => "as configured",
            Knowledge::Reported => "as the brokers report",
            Knowledge::Recognised => {
                "recognised from the partition owners; set it to override this"
            }
            Knowledge::Assumed => "assumed; set it to be sure",
        };
        write!(f, "{} ({source})", self.assignor)
    }
}

/// Determines the assignor of a group: the one that the operator set or the brokers report, else
/// the one whose pattern the owners form, else the default.
///
/// Two patterns are recognised in a classic group. Contiguous runs of each topic, in one order of
/// the members, are the pattern of range. A fixed cycle of the members over all partitions is the
/// pattern of round-robin; a sticky group in which no member was ever replaced has it too, so
/// operators of such a group should set the assignor. The default is cooperative-sticky for a
/// classic group, because both clients' default assignors form a pattern, and uniform, the broker's
/// default, for a group of KIP-848.
#[must_use]
pub fn recognise(
    known: Option<KnownAssignor>,
    protocol: Protocol,
    topics: &Topics,
    owners: &Assignment,
    members: usize,
) -> KnownAssignor {
    let by = |assignor, known| KnownAssignor { assignor, known };
    if let Some(known) = known {
        return known;
    }
    match protocol {
        // A fresh uniform assignment has the pattern of range.
        Protocol::Consumer => by(Assignor::Uniform, Knowledge::Assumed),
        Protocol::Classic if is_range(topics, owners, members) => {
            by(Assignor::Range, Knowledge::Recognised)
        }
        Protocol::Classic if is_round_robin(owners, members) => {
            by(Assignor::RoundRobin, Knowledge::Recognised)
        }
        Protocol::Classic => by(Assignor::CooperativeSticky, Knowledge::Assumed),
    }
}

/// Whether a pattern is significant. With one partition per member, all assignors form the same.
fn is_significant(owners: &Assignment, members: usize) -> bool {
    members > 1 && owners.partition_count() > members
}

/// Whether each topic is assigned in contiguous runs to the members in one order, where the first
/// runs are one partition longer if the division leaves a remainder.
fn is_range(topics: &Topics, owners: &Assignment, members: usize) -> bool {
    let mut ranks = Ranks::new(members);
    let fits = topics.indices().all(|topic| {
        let mut partitions = topics.partitions(topic);
        let quota = partitions.len() / members.max(1);
        let remainder = partitions.len() % members.max(1);
        (0..members).all(|rank| {
            let length = quota + usize::from(rank < remainder);
            let mut run = partitions.by_ref().take(length);
            run.all(|partition| {
                let owner = owners.owner(partition);
                owner.is_some_and(|owner| ranks.agree(owner.get(), rank))
            })
        })
    });
    // At least one topic must have more than one partition per member.
    let has_runs = topics.indices().any(|topic| topics.size(topic) > members);
    is_significant(owners, members) && has_runs && fits
}

/// Whether all partitions are assigned in one fixed cycle of the members.
fn is_round_robin(owners: &Assignment, members: usize) -> bool {
    let mut ranks = Ranks::new(members);
    is_significant(owners, members)
        && owners.iter().all(|(partition, owner)| {
            let rank = partition.get() % members;
            owner.is_some_and(|owner| ranks.agree(owner.get(), rank))
        })
}

/// A bijection between members and ranks that is built while it is checked.
struct Ranks {
    rank_of: Vec<Option<usize>>,
    member_of: Vec<Option<usize>>,
}

impl Ranks {
    fn new(members: usize) -> Self {
        Self {
            rank_of: vec![None; members],
            member_of: vec![None; members],
        }
    }

    /// Whether the member has this rank. The first call with a member or a rank fixes it.
    fn agree(&mut self, member: usize, rank: usize) -> bool {
        let holds = |list: &mut [Option<usize>], key: usize, value: usize| {
            list.get_mut(key)
                .is_some_and(|held| *held.get_or_insert(value) == value)
        };
        holds(&mut self.rank_of, member, rank) && holds(&mut self.member_of, rank, member)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_assignors::MemberIndex;
    use rstest::rstest;

    fn recognised(topics: &[&str], members: usize) -> KnownAssignor {
        let named = topics.iter().zip('a'..);
        let sizes = Topics::new(named.map(|(owners, name)| (name.to_string(), owners.len())));
        let owners: Assignment = topics
            .concat()
            .bytes()
            .map(|owner| (owner != b'-').then(|| MemberIndex::new(usize::from(owner - b'0'))))
            .collect();
        recognise(None, Protocol::Classic, &sizes, &owners, members)
    }

    #[rstest]
    #[case::range(&["00112"], 3, Assignor::Range)]
    #[case::range_of_any_order(&["2221100"], 3, Assignor::Range)]
    #[case::range_of_two_topics(&["00112", "0012"], 3, Assignor::Range)]
    #[case::in_another_order(&["00112", "1102"], 3, Assignor::CooperativeSticky)]
    #[case::longer_at_the_end(&["01122"], 3, Assignor::CooperativeSticky)]
    // Runs of one partition are not significant.
    #[case::one_each_of_two_topics(&["012", "012"], 3, Assignor::RoundRobin)]
    #[case::round_robin(&["0120120"], 3, Assignor::RoundRobin)]
    #[case::round_robin_over_topics(&["20120", "1201"], 3, Assignor::RoundRobin)]
    #[case::each_topic_from_the_start(&["20120", "2012"], 3, Assignor::CooperativeSticky)]
    #[case::mixed(&["0120210"], 3, Assignor::CooperativeSticky)]
    #[case::one_each(&["012"], 3, Assignor::CooperativeSticky)]
    #[case::one_member(&["0000"], 1, Assignor::CooperativeSticky)]
    #[case::unowned(&["0-1201"], 3, Assignor::CooperativeSticky)]
    fn recognises_patterns(
        #[case] topics: &[&str],
        #[case] members: usize,
        #[case] expected: Assignor,
    ) {
        let known = recognised(topics, members);
        assert_eq!(known.assignor, expected);
        let assumed = expected == Assignor::CooperativeSticky;
        assert_eq!(known.known == Knowledge::Assumed, assumed);
    }
}
