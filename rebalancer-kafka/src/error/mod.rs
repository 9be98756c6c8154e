//! The errors of this crate.
//!
//! Each kind of failure is a variant. A message says what was attempted, on which object, what
//! happened and what to do. No message contains a secret.

mod action;
mod dial;
mod request;
mod text;

use std::error::Error as StdError;
use std::time::Duration;

use rebalancer_adapter::{SettingFileError, TlsSetupError, root_cause};
use rebalancer_core::ports::{PortError, PortErrorKind};

use crate::address::{Address, InvalidServers};
use crate::connection::ConnectFailure;

pub use action::Action;
pub(crate) use dial::DialError;
pub use request::RequestFailure;

/// The reason why a request to Kafka failed, or could not be sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KafkaError {
    /// The list of servers is not valid.
    #[error("KAFKA_BOOTSTRAP_SERVERS: {0}")]
    BadServers(#[from] InvalidServers),
    /// The group id is empty.
    #[error("GROUP_ID is empty: set the id of the consumer group")]
    EmptyGroupId,
    /// The window of the rates is too short.
    #[error("METRICS_TIME_WINDOW {window:?} is too short: the minimum is 1ms")]
    BadWindow {
        /// The window.
        window: Duration,
    },
    /// A file of the settings cannot be read or used.
    #[error(transparent)]
    File(#[from] SettingFileError),
    /// TLS could not be set up, usually because the system has no CA certificates.
    #[error(
        "cannot set up TLS for Kafka: {cause}; if the system has no CA certificates, set \
         KAFKA_SSL_CA_FILE"
    )]
    TlsSetup {
        /// The root cause.
        cause: String,
        /// The error of the TLS library.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// No bootstrap server could be used.
    #[error("cannot connect to Kafka: {}", text::NoBroker(failures))]
    NoBroker {
        /// The failure of each server that was tried.
        failures: Vec<(Address, ConnectFailure)>,
    },
    /// A broker could not be used under the address that the cluster advertises.
    #[error(
        "cannot connect to {broker}, the address that Kafka advertises for a broker: {failure}; {}",
        text::advertised_remedy(failure)
    )]
    AdvertisedBroker {
        /// The address.
        broker: Address,
        /// The failure.
        failure: ConnectFailure,
    },
    /// A request failed.
    #[error("cannot {action}: {broker}: {failure}; {}", failure.remedy())]
    Request {
        /// The purpose of the request.
        action: Action,
        /// The broker.
        broker: Address,
        /// The failure.
        failure: RequestFailure,
    },
    /// The right on the group is missing.
    #[error(
        "cannot {action}: not authorized; grant {} on group `{group}` to the user of the program, \
         for example with {}",
        text::right_on_group(action.needs_read()),
        text::kafka_acls(if action.needs_read() { "Read" } else { "Describe" }, "group", group)
    )]
    NotAuthorizedForGroup {
        /// The group.
        group: String,
        /// The purpose of the request.
        action: Action,
    },
    /// The right on topics is missing.
    #[error(
        "cannot read the partitions of the group's topics: not authorized; grant DESCRIBE on {} to \
         the user of the program, for example with {}",
        text::topics(topics),
        text::kafka_acls("Describe", "topic", topics.first().map_or("TOPIC", String::as_str))
    )]
    NotAuthorizedForTopics {
        /// The topics; empty if the broker does not name them.
        topics: Vec<String>,
    },
    /// The group does not exist.
    #[error("group `{group}` does not exist, {}", text::other_groups(similar, *visible))]
    UnknownGroup {
        /// The group.
        group: String,
        /// Groups with a similar name, the most similar first.
        similar: Vec<String>,
        /// The number of groups that the user of the program can see.
        visible: usize,
    },
}

impl KafkaError {
    /// Returns the kind of the failure, as the port defines it.
    #[must_use]
    pub fn kind(&self) -> PortErrorKind {
        match self {
            Self::BadServers(_)
            | Self::EmptyGroupId
            | Self::BadWindow { .. }
            | Self::File(_)
            | Self::TlsSetup { .. } => PortErrorKind::Setup,
            Self::NoBroker { failures } => failures
                .first()
                .map_or(PortErrorKind::Unreachable, |(_, failure)| failure.kind()),
            Self::AdvertisedBroker { failure, .. } => failure.kind(),
            Self::Request { failure, .. } => failure.kind(),
            Self::NotAuthorizedForGroup { .. } | Self::NotAuthorizedForTopics { .. } => {
                PortErrorKind::Forbidden
            }
            Self::UnknownGroup { .. } => PortErrorKind::NotFound,
        }
    }

    /// Whether the same reads may succeed shortly after: a broker restarts, or its role moves.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::AdvertisedBroker { failure, .. } => failure.kind() == PortErrorKind::Unreachable,
            Self::Request { failure, .. } => failure.is_transient(),
            Self::BadServers(_)
            | Self::EmptyGroupId
            | Self::BadWindow { .. }
            | Self::File(_)
            | Self::TlsSetup { .. }
            | Self::NoBroker { .. }
            | Self::NotAuthorizedForGroup { .. }
            | Self::NotAuthorizedForTopics { .. }
            | Self::UnknownGroup { .. } => false,
        }
    }
}

impl From<TlsSetupError> for KafkaError {
    fn from(error: TlsSetupError) -> Self {
        match error {
            TlsSetupError::File(error) => Self::File(error),
            TlsSetupError::Library(source) => Self::TlsSetup {
                cause: root_cause(&*source),
                source,
            },
        }
    }
}

impl From<KafkaError> for PortError {
    fn from(error: KafkaError) -> Self {
        Self::from_source(error.kind(), error)
    }
}

#[cfg(test)]
mod tests;
