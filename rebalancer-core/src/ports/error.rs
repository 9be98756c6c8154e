//! The error of a port.

use std::error::Error as StdError;

/// The failure of a port. The adapter's own typed error is the source.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct PortError {
    /// The class of the failure, for callers that react to it.
    pub kind: PortErrorKind,
    /// One line for the operator: the attempted action, its object, the failure and the remedy.
    pub message: String,
    /// The adapter's error.
    #[source]
    pub source: Option<Box<dyn StdError + Send + Sync>>,
}

impl PortError {
    /// An error without a source.
    pub fn new(kind: PortErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// Wraps an adapter's error, whose `Display` becomes the message.
    pub fn from_source(kind: PortErrorKind, source: impl StdError + Send + Sync + 'static) -> Self {
        Self {
            kind,
            message: source.to_string(),
            source: Some(Box::new(source)),
        }
    }
}

/// The class of a port's failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PortErrorKind {
    /// The connection could not be established, or was lost.
    Unreachable,
    /// The TLS handshake failed, or a certificate was rejected.
    Tls,
    /// There was no response in time.
    Timeout,
    /// HTTP 401: the credentials were not accepted.
    Unauthorized,
    /// HTTP 403: the permission is missing.
    Forbidden,
    /// HTTP 404: the object does not exist.
    NotFound,
    /// The server rejected the request as invalid (a PromQL error, an invalid object).
    Rejected,
    /// The server failed (HTTP 5xx).
    Server,
    /// The response does not have the expected form.
    BadAnswer,
    /// The adapter is misconfigured (an unreadable token file, an unknown context).
    Setup,
}

impl PortErrorKind {
    /// The word for logs, such as `not_found`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Rejected => "rejected",
            Self::Server => "server",
            Self::BadAnswer => "bad_answer",
            Self::Setup => "setup",
        }
    }
}
