//! Dispatch over the eight assignors, and the rebalances that a group needs to settle.

use crate::{
    Assignment, Assignor, ClientFamily, Member, Protocol, Topics, consumer_range,
    cooperative_sticky, librdkafka_cooperative_sticky, librdkafka_sticky, range, roundrobin,
    sticky, uniform,
};

/// Upper bound for the rebalances of [`Algorithm::settle`]. A cooperative group settles within a
/// few rebalances, so a group that reaches this number would never settle.
const MOST_REBALANCES: usize = 16;

/// An assignor as a particular client or the broker implements it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// [`range`].
    Range,
    /// [`roundrobin`].
    RoundRobin,
    /// [`sticky`].
    Sticky,
    /// [`cooperative_sticky`].
    CooperativeSticky,
    /// [`librdkafka_sticky`].
    LibrdkafkaSticky,
    /// [`librdkafka_cooperative_sticky`].
    LibrdkafkaCooperativeSticky,
    /// [`uniform`].
    Uniform,
    /// [`consumer_range`].
    ConsumerRange,
}

/// The assignment of a group that has settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The owners.
    pub assignment: Assignment,
    /// The number of rebalances until the group settled.
    pub rebalances: usize,
}

impl Algorithm {
    /// All algorithms.
    pub const ALL: [Self; 8] = [
        Self::Range,
        Self::RoundRobin,
        Self::Sticky,
        Self::CooperativeSticky,
        Self::LibrdkafkaSticky,
        Self::LibrdkafkaCooperativeSticky,
        Self::Uniform,
        Self::ConsumerRange,
    ];

    /// The implementation of an assignor by this client and protocol. In the consumer protocol only
    /// the broker's assignors apply. For a combination that does not exist
    /// ([`Assignor::exists_in`]), returns the most similar algorithm.
    #[must_use]
    pub fn of(assignor: Assignor, client: ClientFamily, protocol: Protocol) -> Self {
        match (assignor, protocol, client) {
            (Assignor::Range, Protocol::Classic, _) => Self::Range,
            (Assignor::RoundRobin, Protocol::Classic | Protocol::Consumer, _) => Self::RoundRobin,
            (Assignor::Sticky, Protocol::Classic, ClientFamily::Java) => Self::Sticky,
            (Assignor::Sticky, Protocol::Classic, ClientFamily::Librdkafka) => {
                Self::LibrdkafkaSticky
            }
            (Assignor::CooperativeSticky, Protocol::Classic, ClientFamily::Java) => {
                Self::CooperativeSticky
            }
            (Assignor::CooperativeSticky, Protocol::Classic, ClientFamily::Librdkafka) => {
                Self::LibrdkafkaCooperativeSticky
            }
            (Assignor::Range, Protocol::Consumer, _) => Self::ConsumerRange,
            (Assignor::Uniform, Protocol::Classic | Protocol::Consumer, _)
            | (Assignor::Sticky | Assignor::CooperativeSticky, Protocol::Consumer, _) => {
                Self::Uniform
            }
        }
    }

    /// Computes the owners after one rebalance. The previous owners are indices into `members`;
    /// indices beyond the list are ignored.
    #[must_use]
    pub fn assign(self, topics: &Topics, members: &[Member], previous: &Assignment) -> Assignment {
        match self {
            Self::Range => range::assign(topics, members, previous),
            Self::RoundRobin => roundrobin::assign(topics, members, previous),
            Self::Sticky => sticky::assign(topics, members, previous),
            Self::CooperativeSticky => cooperative_sticky::assign(topics, members, previous),
            Self::LibrdkafkaSticky => librdkafka_sticky::assign(topics, members, previous),
            Self::LibrdkafkaCooperativeSticky => {
                librdkafka_cooperative_sticky::assign(topics, members, previous)
            }
            Self::Uniform => uniform::assign(topics, members, previous),
            Self::ConsumerRange => consumer_range::assign(topics, members, previous),
        }
    }

    /// Rebalances until no member has a partition to revoke.
    #[must_use]
    pub fn settle(self, topics: &Topics, members: &[Member], previous: &Assignment) -> Settled {
        let mut assignment = self.assign(topics, members, previous);
        let mut rebalances = 1;
        while self.is_cooperative() && rebalances < MOST_REBALANCES {
            // A member that revoked a partition joins again, which assigns the unowned partitions.
            let revoked = previous
                .owners()
                .zip(assignment.owners())
                .any(|(before, after)| before.is_some() && after.is_none());
            if rebalances == 1 && !revoked {
                break;
            }
            let next = self.assign(topics, members, &assignment);
            rebalances += 1;
            let settled = assignment
                .owners()
                .zip(next.owners())
                .all(|(before, after)| before.is_none() || before == after);
            assignment = next;
            if settled {
                break;
            }
        }
        Settled {
            assignment,
            rebalances,
        }
    }

    /// Whether partitions change their owner in two rebalances, while members keep consuming all
    /// other partitions.
    #[must_use]
    pub fn is_cooperative(self) -> bool {
        match self {
            Self::CooperativeSticky | Self::LibrdkafkaCooperativeSticky => true,
            Self::Range
            | Self::RoundRobin
            | Self::Sticky
            | Self::LibrdkafkaSticky
            | Self::Uniform
            | Self::ConsumerRange => false,
        }
    }

    /// Whether all members stop consuming in each rebalance.
    #[must_use]
    pub fn is_eager(self) -> bool {
        match self {
            Self::Range | Self::RoundRobin | Self::Sticky | Self::LibrdkafkaSticky => true,
            Self::CooperativeSticky
            | Self::LibrdkafkaCooperativeSticky
            | Self::Uniform
            | Self::ConsumerRange => false,
        }
    }

    /// Whether the assignment depends on the ranks of the members only. Replacing a member of a
    /// group with one subscription then yields the same loads, possibly on different members.
    #[must_use]
    pub fn is_positional(self) -> bool {
        match self {
            Self::Range | Self::RoundRobin | Self::ConsumerRange => true,
            Self::Sticky
            | Self::CooperativeSticky
            | Self::LibrdkafkaSticky
            | Self::LibrdkafkaCooperativeSticky
            | Self::Uniform => false,
        }
    }

    /// Whether a member that is removed from its group while it waits in a rebalance, and joins
    /// again in the same rebalance, claims the partitions that it had.
    ///
    /// The eager sticky assignors keep the memory of the last assignment, which they send with each
    /// JoinGroup request, when their member is removed. A static member of librdkafka joins again
    /// with the partitions that it owns. Other members with `cooperative-sticky` lose theirs.
    /// `range`, `roundrobin` and the broker's assignors know no claims of a removed member.
    #[must_use]
    pub fn claims_survive_removal(self, is_static: bool) -> bool {
        match self {
            Self::Sticky | Self::LibrdkafkaSticky => true,
            Self::LibrdkafkaCooperativeSticky => is_static,
            Self::Range
            | Self::RoundRobin
            | Self::CooperativeSticky
            | Self::Uniform
            | Self::ConsumerRange => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::range(Algorithm::Range, false, false)]
    #[case::static_range(Algorithm::Range, true, false)]
    #[case::java_eager(Algorithm::Sticky, false, true)]
    #[case::librdkafka_eager(Algorithm::LibrdkafkaSticky, false, true)]
    #[case::java(Algorithm::CooperativeSticky, false, false)]
    #[case::static_java(Algorithm::CooperativeSticky, true, false)]
    #[case::librdkafka(Algorithm::LibrdkafkaCooperativeSticky, false, false)]
    #[case::static_librdkafka(Algorithm::LibrdkafkaCooperativeSticky, true, true)]
    #[case::broker(Algorithm::Uniform, true, false)]
    fn some_clients_claim_their_partitions_again(
        #[case] algorithm: Algorithm,
        #[case] is_static: bool,
        #[case] claims: bool,
    ) {
        assert_eq!(algorithm.claims_survive_removal(is_static), claims);
    }
}
