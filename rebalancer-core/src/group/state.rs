//! The type and the state of a group, as its brokers name them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The type of a group, by its protocol.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(with = "String")
)]
#[serde(from = "String", into = "String")]
pub enum GroupKind {
    /// The members compute the assignment: the classic protocol.
    Classic,
    /// The coordinator computes the assignment: KIP-848.
    Consumer,
    /// Another type, such as `streams` (KIP-1071) or `share`, as the brokers name it.
    Other(String),
}

impl GroupKind {
    /// The name, as the brokers write it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Classic => "classic",
            Self::Consumer => "consumer",
            Self::Other(name) => name,
        }
    }
}

impl From<String> for GroupKind {
    fn from(name: String) -> Self {
        match name.as_str() {
            "classic" => Self::Classic,
            "consumer" => Self::Consumer,
            _ => Self::Other(name),
        }
    }
}

impl From<GroupKind> for String {
    fn from(kind: GroupKind) -> Self {
        match kind {
            GroupKind::Other(name) => name,
            GroupKind::Classic | GroupKind::Consumer => kind.as_str().to_owned(),
        }
    }
}

impl fmt::Display for GroupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The state of a group, as its coordinator reports it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(with = "String")
)]
#[serde(from = "String", into = "String")]
pub enum GroupState {
    /// Every member has its assignment.
    Stable,
    /// The group is rebalancing: `PreparingRebalance`, `CompletingRebalance`, `Assigning` or
    /// `Reconciling`.
    Rebalancing(String),
    /// The group has no members.
    Empty,
    /// The group does not exist.
    Dead,
    /// Another state, as the brokers name it.
    Other(String),
}

impl GroupState {
    /// The name, as the brokers write it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Stable => "Stable",
            Self::Empty => "Empty",
            Self::Dead => "Dead",
            Self::Rebalancing(name) | Self::Other(name) => name,
        }
    }
}

impl From<String> for GroupState {
    fn from(name: String) -> Self {
        match name.as_str() {
            "Stable" => Self::Stable,
            "Empty" => Self::Empty,
            "Dead" => Self::Dead,
            "PreparingRebalance" | "CompletingRebalance" | "Assigning" | "Reconciling" => {
                Self::Rebalancing(name)
            }
            _ => Self::Other(name),
        }
    }
}

impl From<GroupState> for String {
    fn from(state: GroupState) -> Self {
        match state {
            GroupState::Rebalancing(name) | GroupState::Other(name) => name,
            GroupState::Stable | GroupState::Empty | GroupState::Dead => state.as_str().to_owned(),
        }
    }
}

impl fmt::Display for GroupState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("Stable", GroupState::Stable)]
    #[case("Empty", GroupState::Empty)]
    #[case("Dead", GroupState::Dead)]
    #[case("PreparingRebalance", GroupState::Rebalancing("PreparingRebalance".into()))]
    #[case("Reconciling", GroupState::Rebalancing("Reconciling".into()))]
    #[case("NotReady", GroupState::Other("NotReady".into()))]
    fn state_keeps_its_name(#[case] name: &str, #[case] state: GroupState) {
        assert_eq!(GroupState::from(name.to_owned()), state);
        assert_eq!(String::from(state.clone()), name);
        assert_eq!(state.to_string(), name);
    }

    #[rstest]
    #[case("classic", GroupKind::Classic)]
    #[case("consumer", GroupKind::Consumer)]
    #[case("streams", GroupKind::Other("streams".into()))]
    fn kind_keeps_its_name(#[case] name: &str, #[case] kind: GroupKind) {
        assert_eq!(GroupKind::from(name.to_owned()), kind);
        assert_eq!(String::from(kind.clone()), name);
        assert_eq!(kind.to_string(), name);
    }
}
