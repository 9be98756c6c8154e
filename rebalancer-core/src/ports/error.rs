//! The error of a port.

use std::error::Error as StdError;

/// A port could not answer. The adapter's own typed error is the source.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct PortError {
    /// What kind of trouble it is, for those who act on it.
    pub kind: PortErrorKind,
    /// What was attempted, on what, what happened, and what to do: one line for a person.
    pub message: String,
    /// The adapter's error.
    #[source]
    pub source: Option<Box<dyn StdError + Send + Sync>>,
}

impl PortError {
    /// An error with no further cause.
    pub fn new(kind: PortErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// Wraps an adapter's error: its `Display` becomes the message.
    pub fn from_source(kind: PortErrorKind, source: impl StdError + Send + Sync + 'static) -> Self {
        Self {
            kind,
            message: source.to_string(),
            source: Some(Box::new(source)),
        }
    }
}

/// What kind of trouble a port met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PortErrorKind {
    /// No connection, or it broke.
    Unreachable,
    /// Certificates or the handshake.
    Tls,
    /// No answer in time.
    Timeout,
    /// 401: who we are was not accepted.
    Unauthorized,
    /// 403: we may not do this.
    Forbidden,
    /// 404: it does not exist.
    NotFound,
    /// Our request was refused as wrong (a PromQL error, an invalid object).
    Rejected,
    /// The server is in trouble (5xx).
    Server,
    /// An answer came that is not of the expected form.
    BadAnswer,
    /// The adapter was set up wrongly (a token file that cannot be read, no such context).
    Setup,
}
