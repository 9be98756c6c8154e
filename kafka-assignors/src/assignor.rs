//! The names of assignors, clients and group protocols, as Kafka spells them.

use std::fmt;

/// How a group gives partitions to its members, by Kafka's own name for it
/// (`partition.assignment.strategy`, or `group.consumer.assignors` of the broker).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case")
)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub enum Assignor {
    /// Contiguous partitions of each topic by the rank of the member.
    Range,
    /// One partition after the other by the rank of the member.
    #[cfg_attr(feature = "serde", serde(rename = "roundrobin"))]
    RoundRobin,
    /// Balanced, and as few moves as possible; everybody stops while it happens.
    Sticky,
    /// As sticky, but only what moves stops.
    CooperativeSticky,
    /// The broker's own of KIP-848: balanced, and as few moves as possible.
    Uniform,
}

impl Assignor {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Range,
        Self::RoundRobin,
        Self::Sticky,
        Self::CooperativeSticky,
        Self::Uniform,
    ];

    /// Kafka's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::RoundRobin => "roundrobin",
            Self::Sticky => "sticky",
            Self::CooperativeSticky => "cooperative-sticky",
            Self::Uniform => "uniform",
        }
    }

    /// Whether the client and the protocol have this assignor.
    #[must_use]
    pub fn exists_in(self, protocol: Protocol, client: ClientFamily) -> bool {
        match (self, protocol, client) {
            (Self::Range, Protocol::Classic | Protocol::Consumer, _)
            | (Self::RoundRobin | Self::CooperativeSticky, Protocol::Classic, _)
            | (Self::Sticky, Protocol::Classic, ClientFamily::Java)
            | (Self::Uniform, Protocol::Consumer, _) => true,
            (Self::Sticky, Protocol::Classic, ClientFamily::Librdkafka)
            | (Self::RoundRobin | Self::CooperativeSticky | Self::Sticky, Protocol::Consumer, _)
            | (Self::Uniform, Protocol::Classic, _) => false,
        }
    }
}

impl fmt::Display for Assignor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The client library of the consumers. Sticky assignors differ between the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case")
)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub enum ClientFamily {
    /// Kafka's own client, and whatever is built on it.
    #[default]
    Java,
    /// librdkafka, and its bindings for Python, Go, .NET, Rust, Node, …
    Librdkafka,
}

impl ClientFamily {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Java => "java",
            Self::Librdkafka => "librdkafka",
        }
    }
}

/// The group protocol (`group.protocol`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case")
)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub enum Protocol {
    /// A member computes the assignment for all, in rebalances of the whole group.
    #[default]
    Classic,
    /// KIP-848: the broker computes it, at each heartbeat that changes something.
    Consumer,
}

impl Protocol {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Consumer => "consumer",
        }
    }
}
