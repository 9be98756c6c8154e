//! Dispatch over the eight assignors, and the rebalances that a group needs until it settles.

use crate::{
    Assignment, Assignor, ClientFamily, Member, Protocol, Topics, consumer_range,
    cooperative_sticky, librdkafka_cooperative_sticky, librdkafka_sticky, range, roundrobin,
    sticky, uniform,
};

/// A group whose members give up and get partitions in turns settles within a few rebalances; this
/// many would mean that it never does.
const MOST_REBALANCES: usize = 16;

/// An assignor as one client or the broker computes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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

/// What a group comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Who owns what.
    pub assignment: Assignment,
    /// How many rebalances it took.
    pub rebalances: usize,
}

impl Algorithm {
    /// All of them.
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

    /// The algorithm that an assignor is with this client and protocol. In the consumer protocol
    /// only the broker's count; what a group cannot have ([`Assignor::exists_in`]) is taken for
    /// what comes nearest.
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

    /// One rebalance. `previous` owners are places in `members`; those of members that left are
    /// nobody.
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

    /// Rebalances until nobody has anything to give up any more.
    #[must_use]
    pub fn settle(self, topics: &Topics, members: &[Member], previous: &Assignment) -> Settled {
        let mut assignment = self.assign(topics, members, previous);
        let mut rebalances = 1;
        while self.is_cooperative() && rebalances < MOST_REBALANCES {
            // A member that lost something joins again, and what is free is given out.
            let gave_up = previous
                .owners()
                .zip(assignment.owners())
                .any(|(before, after)| before.is_some() && after.is_none());
            if rebalances == 1 && !gave_up {
                break;
            }
            let next = self.assign(topics, members, &assignment);
            rebalances += 1;
            let settled = next == assignment
                || assignment
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

    /// Partitions change their owner in two rebalances, and nobody stops for what stays.
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

    /// Everybody stops in each rebalance.
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

    /// It goes by the ranks of the members alone: with one subscription and as many members as
    /// before the same loads come out again, only who carries which may change.
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
}
