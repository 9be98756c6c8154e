//! Which assignor a group has, told from who owns what.

use serde::{Deserialize, Serialize};

use kafka_assignors::{Assignment, Assignor, Protocol, Topics};

/// The assignor that a forecast goes by, and how it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KnownAssignor {
    /// The assignor.
    pub assignor: Assignor,
    /// How it is known.
    pub known: Knowledge,
}

/// How something is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Knowledge {
    /// The operator said so.
    Set,
    /// The owners of the partitions show its pattern.
    Recognised,
    /// Nothing speaks for another, and it is the usual one of such a group.
    Assumed,
}

impl KnownAssignor {
    /// The assignor in words, with how it is known.
    #[must_use]
    pub fn in_words(self) -> String {
        let how = match self.known {
            Knowledge::Set => "set by GROUP_ASSIGNOR",
            Knowledge::Recognised => "recognised by who owns what; GROUP_ASSIGNOR overrules it",
            Knowledge::Assumed => "assumed; set GROUP_ASSIGNOR to be sure",
        };
        format!("{} ({how})", self.assignor)
    }
}

/// The assignor of a group: the one that was set, else the one whose pattern the owners show, else
/// the usual one.
///
/// Two patterns are unmistakable in a classic group: contiguous runs of each topic in one order of
/// the members are those of range, a fixed cycle of the members over all partitions is that of
/// round-robin (and of a sticky group of which no member was ever replaced: whoever runs one says
/// so). The usual ones are cooperative-sticky in a classic group, since both clients' defaults
/// would show a pattern, and uniform in one of KIP-848, as the broker's default.
#[must_use]
pub fn recognise(
    set: Option<Assignor>,
    protocol: Protocol,
    topics: &Topics,
    owners: &Assignment,
    members: usize,
) -> KnownAssignor {
    let by = |assignor, known| KnownAssignor { assignor, known };
    if let Some(assignor) = set {
        return by(assignor, Knowledge::Set);
    }
    match protocol {
        // A fresh uniform assignment looks like one of range.
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

/// The pattern says something only where each member has more than one partition: with one each
/// every assignor makes the same.
fn telling(owners: &Assignment, members: usize) -> bool {
    members > 1 && owners.partitions() > members
}

/// Each topic goes in runs to the members in one order, the first ones one partition longer where
/// the numbers do not divide.
fn is_range(topics: &Topics, owners: &Assignment, members: usize) -> bool {
    let mut rank_of = vec![None; members];
    let mut ranked = vec![None; members];
    let fits = (0..topics.len()).all(|topic| {
        let range = topics.range(topic);
        let (each, longer) = (range.len() / members.max(1), range.len() % members.max(1));
        let mut next = range.start;
        (0..members).all(|rank| {
            let length = each + usize::from(rank < longer);
            let mut run = next..next + length;
            next += length;
            run.all(|partition| {
                let Some(owner) = owners.owner(partition) else {
                    return false;
                };
                same(&mut rank_of, owner, rank) && same(&mut ranked, rank, owner)
            })
        })
    });
    // A run of one is no run.
    let has_runs = (0..topics.len()).any(|topic| topics.range(topic).len() > members);
    telling(owners, members) && has_runs && fits
}

/// The same cycle of all members over all partitions.
fn is_round_robin(owners: &Assignment, members: usize) -> bool {
    let mut rank_of = vec![None; members];
    let mut ranked = vec![None; members];
    telling(owners, members)
        && owners.owners().enumerate().all(|(partition, owner)| {
            let rank = partition % members;
            owner.is_some_and(|owner| {
                same(&mut rank_of, owner, rank) && same(&mut ranked, rank, owner)
            })
        })
}

/// Whether `place` holds `value`, which it does from the first time on.
fn same(places: &mut [Option<usize>], place: usize, value: usize) -> bool {
    places
        .get_mut(place)
        .is_some_and(|held| *held.get_or_insert(value) == value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn recognised(topics: &[&str], members: usize) -> KnownAssignor {
        let named = topics.iter().zip('a'..);
        let sizes = Topics::new(named.map(|(owners, name)| (name.to_string(), owners.len())));
        let owners: Assignment = topics
            .concat()
            .bytes()
            .map(|owner| (owner != b'-').then(|| usize::from(owner - b'0')))
            .collect();
        recognise(None, Protocol::Classic, &sizes, &owners, members)
    }

    #[rstest]
    #[case::range(&["00112"], 3, Assignor::Range)]
    #[case::range_of_any_order(&["2221100"], 3, Assignor::Range)]
    #[case::range_of_two_topics(&["00112", "0012"], 3, Assignor::Range)]
    #[case::in_another_order(&["00112", "1102"], 3, Assignor::CooperativeSticky)]
    #[case::longer_at_the_end(&["01122"], 3, Assignor::CooperativeSticky)]
    // A run of one is no run.
    #[case::one_each_of_two_topics(&["012", "012"], 3, Assignor::RoundRobin)]
    #[case::round_robin(&["0120120"], 3, Assignor::RoundRobin)]
    #[case::round_robin_over_topics(&["20120", "1201"], 3, Assignor::RoundRobin)]
    #[case::each_topic_from_the_start(&["20120", "2012"], 3, Assignor::CooperativeSticky)]
    #[case::mixed(&["0120210"], 3, Assignor::CooperativeSticky)]
    #[case::one_each(&["012"], 3, Assignor::CooperativeSticky)]
    #[case::one_member(&["0000"], 1, Assignor::CooperativeSticky)]
    #[case::unowned(&["0-1201"], 3, Assignor::CooperativeSticky)]
    fn patterns_are_recognised(
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
