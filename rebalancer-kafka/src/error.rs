//! The errors of this crate.
//!
//! Each kind of failure is a variant. A message says what was attempted, on which object, what
//! happened and what to do. No message contains a secret.

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use rebalancer_adapter::{TlsSetupError, root_cause};
use rebalancer_core::ports::{PortError, PortErrorKind};

use crate::address::InvalidServers;

/// Why a group could not be read from Kafka.
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
    /// A file of the settings cannot be read.
    #[error("{setting}: cannot read {}: {source}", path.display())]
    UnreadableFile {
        /// The setting that names the file.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// The I/O error.
        source: io::Error,
    },
    /// The content of a file of the settings cannot be used.
    #[error("{setting}: {} cannot be used: {reason}", path.display())]
    BadFile {
        /// The setting that names the file.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// The problem. The content is not shown.
        reason: String,
    },
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
}

impl KafkaError {
    /// Returns the kind of the failure, as the port defines it.
    #[must_use]
    pub fn kind(&self) -> PortErrorKind {
        match self {
            Self::BadServers(_)
            | Self::EmptyGroupId
            | Self::BadWindow { .. }
            | Self::UnreadableFile { .. }
            | Self::BadFile { .. }
            | Self::TlsSetup { .. } => PortErrorKind::Setup,
        }
    }
}

impl From<TlsSetupError> for KafkaError {
    fn from(error: TlsSetupError) -> Self {
        match error {
            TlsSetupError::UnreadableFile {
                setting,
                path,
                source,
            } => Self::UnreadableFile {
                setting,
                path,
                source,
            },
            TlsSetupError::BadFile {
                setting,
                path,
                reason,
            } => Self::BadFile {
                setting,
                path,
                reason,
            },
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
