//! Failures of requests to a connected broker.

use std::time::Duration;

use rebalancer_core::ports::PortErrorKind;

use crate::connection::{CallError, too_old};
use crate::error_code::ErrorCode;

/// Why a request to a connected broker failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestFailure {
    /// There was no response in time.
    #[error("no response within {0:?}")]
    Timeout(Duration),
    /// The connection was closed.
    #[error("the connection was closed before the response ({0})")]
    Closed(String),
    /// The response could not be decoded.
    #[error("the response is malformed: {0}")]
    Malformed(String),
    /// The broker is too old.
    #[error("{0}")]
    TooOld(String),
    /// The broker answered with an error.
    #[error("the broker answers {0}")]
    Code(ErrorCode),
}

impl RequestFailure {
    /// The action that fixes the failure.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Timeout(_) => "increase KAFKA_TIMEOUT or check the load of the broker",
            Self::Closed(_) => {
                "check the log of the broker, and proxies between it and the program"
            }
            Self::Malformed(_) => "check that the server is a Kafka broker from 2.8 to 4.4",
            Self::TooOld(_) => "Kafka 2.8 or newer is required",
            Self::Code(code) if code.is_transient() => {
                "the brokers start or change their roles; run again, and check them if it lasts"
            }
            Self::Code(ErrorCode::GROUP_MAX_SIZE_REACHED) => {
                "the group has as many members as the brokers allow (group.max.size); a hand-over \
                 needs two more for some seconds"
            }
            Self::Code(ErrorCode::INVALID_SESSION_TIMEOUT) => {
                "group.min.session.timeout.ms of the brokers must be at most 30000, or 10000 in a \
                 group with an eager assignor such as sticky; its default is 6000"
            }
            Self::Code(_) => "check the log of the broker",
        }
    }

    /// The kind of the failure, as the port defines it.
    #[must_use]
    pub fn kind(&self) -> PortErrorKind {
        match self {
            Self::Timeout(_) => PortErrorKind::Timeout,
            Self::Closed(_) => PortErrorKind::Unreachable,
            Self::Malformed(_) => PortErrorKind::BadAnswer,
            Self::TooOld(_) => PortErrorKind::Rejected,
            Self::Code(code) if code.is_transient() => PortErrorKind::Server,
            Self::Code(ErrorCode::UNKNOWN_SERVER_ERROR) => PortErrorKind::Server,
            Self::Code(_) => PortErrorKind::Rejected,
        }
    }

    /// Whether the same read may succeed shortly after: a broker restarts, or its role moves.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Closed(_) => true,
            Self::Code(code) => code.is_transient(),
            Self::Timeout(_) | Self::Malformed(_) | Self::TooOld(_) => false,
        }
    }
}

impl From<CallError> for RequestFailure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Timeout(limit) => Self::Timeout(limit),
            CallError::Closed(cause) => Self::Closed(cause),
            CallError::Alert(alert) => Self::Closed(format!("TLS alert {alert:?}")),
            CallError::NotKafka(_) => Self::Malformed("its length is not valid".to_owned()),
            CallError::Malformed(reason) => Self::Malformed(reason.to_string()),
            CallError::Unsupported {
                name,
                needed,
                supported,
            } => Self::TooOld(too_old(name, needed, supported)),
        }
    }
}
