//! The names of assignors, clients and group protocols.

use std::fmt;

/// An assignor by its name in Kafka: a value of `partition.assignment.strategy` of the clients or
/// of `group.consumer.assignors` of the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case")
)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum Assignor {
    /// A contiguous run of partitions of each topic, by the rank of the member.
    Range,
    /// One partition after the other, by the rank of the member.
    #[cfg_attr(feature = "serde", serde(rename = "roundrobin"))]
    RoundRobin,
    /// Balanced with as few moves as possible. All members stop during the rebalance.
    Sticky,
    /// Balanced with as few moves as possible. Only partitions that move stop.
    CooperativeSticky,
    /// The broker's default of KIP-848: balanced with as few moves as possible.
    Uniform,
}

impl Assignor {
    /// All assignors.
    pub const ALL: [Self; 5] = [
        Self::Range,
        Self::RoundRobin,
        Self::Sticky,
        Self::CooperativeSticky,
        Self::Uniform,
    ];

    /// The name in Kafka.
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

    /// Whether the assignor depends on the ranks of the members only, see
    /// [`Algorithm::is_positional`](crate::Algorithm::is_positional).
    #[must_use]
    pub fn is_positional(self) -> bool {
        match self {
            Self::Range | Self::RoundRobin => true,
            Self::Sticky | Self::CooperativeSticky | Self::Uniform => false,
        }
    }

    /// Whether the client, or the broker in the consumer protocol, has this assignor.
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

/// The client library of the consumers. Its implementation of the sticky assignors matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case")
)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum ClientFamily {
    /// Kafka's Java client, and libraries that are built on it.
    #[default]
    Java,
    /// librdkafka, and its bindings for Python, Go, .NET, Rust, Node, …
    Librdkafka,
}

impl ClientFamily {
    /// All families.
    pub const ALL: [Self; 2] = [Self::Java, Self::Librdkafka];

    /// The name of the client.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Java => "java",
            Self::Librdkafka => "librdkafka",
        }
    }
}

impl fmt::Display for ClientFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
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
    /// A member computes the assignment for the whole group in each rebalance.
    #[default]
    Classic,
    /// KIP-848: the broker computes a target assignment at each heartbeat that changes the group.
    Consumer,
}

impl Protocol {
    /// The name of the protocol.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Consumer => "consumer",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
