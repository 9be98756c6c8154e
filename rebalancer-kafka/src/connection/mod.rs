//! Connections to brokers.

mod failure;
mod frame;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rebalancer_adapter::causes;
use rustls::{AlertDescription, Error as TlsError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use crate::address::Address;
use crate::error_code::ErrorCode;
use crate::messages::{self, Api, ApiVersions, Request, VersionRange};
use crate::wire::Malformed;
use frame::{FrameError, read_frame, write_frame};

pub use failure::ConnectFailure;
pub(crate) use failure::{cause_of, too_old};

/// A stream of bytes to a broker: TCP or TLS.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + Sync {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + Sync> Stream for T {}

/// A connection to one broker, with one request at a time.
pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    broker: Address,
    client_id: Arc<str>,
    correlation_id: i32,
    versions: Vec<VersionRange>,
    /// Whether the last request was answered. After a request that was not, the next response would
    /// be the one of another request.
    usable: bool,
    /// The end of the authenticated session.
    expires: Option<Instant>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("broker", &self.broker)
            .field("usable", &self.usable)
            .finish_non_exhaustive()
    }
}

/// Why a request has no response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("no response within {0:?}")]
    Timeout(Duration),
    /// The connection is closed, with the cause.
    #[error("the connection was closed: {0}")]
    Closed(String),
    /// The broker ended TLS with an alert. In TLS 1.3 that is how it rejects a client certificate,
    /// after the handshake of the client is complete.
    #[error("the broker sent the TLS alert {0:?}")]
    Alert(AlertDescription),
    /// The length of the response is not one of Kafka: the first bytes.
    #[error("the response is not one of Kafka")]
    NotKafka([u8; 4]),
    #[error("the response is malformed: {0}")]
    Malformed(#[from] Malformed),
    /// The broker does not support a version of the API that this crate can send.
    #[error("unsupported {name}")]
    Unsupported {
        name: &'static str,
        /// The versions that the crate can send.
        needed: (i16, i16),
        /// The versions that the broker supports.
        supported: Option<(i16, i16)>,
    },
}

/// Why the versions of a broker are not known.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// The broker answered with an error.
    Refused(ConnectFailure),
    /// There was no response.
    Call(CallError),
}

impl From<CallError> for OpenError {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl From<FrameError> for CallError {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Io(error) => {
                match causes(&error).find_map(|cause| cause.downcast_ref::<TlsError>()) {
                    Some(TlsError::AlertReceived(alert)) => Self::Alert(*alert),
                    Some(_) | None => Self::Closed(closed(&error)),
                }
            }
            FrameError::Length(bytes) => Self::NotKafka(bytes),
        }
    }
}

/// The cause of a closed connection.
fn closed(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        "the broker closed it".to_owned()
    } else {
        cause_of(error)
    }
}

impl Connection {
    /// Asks the broker for its versions over a new stream.
    pub(crate) async fn open(
        stream: Box<dyn Stream>,
        broker: Address,
        client_id: Arc<str>,
        limit: Duration,
    ) -> Result<Self, OpenError> {
        let mut connection = Self {
            stream,
            broker,
            client_id,
            correlation_id: 0,
            versions: Vec::new(),
            usable: true,
            expires: None,
        };
        let newest = *ApiVersions::API.versions.end();
        let (mut error, mut versions) = connection.exchange(&ApiVersions, newest, limit).await?;
        if error == ErrorCode::UNSUPPORTED_VERSION {
            (error, versions) = connection.exchange(&ApiVersions, 0, limit).await?;
        }
        if !error.is_none() {
            return Err(OpenError::Refused(ConnectFailure::Refused(error)));
        }
        connection.versions = versions;
        Ok(connection)
    }

    /// The address of the broker.
    pub(crate) fn broker(&self) -> &Address {
        &self.broker
    }

    /// Whether another request can be sent.
    pub(crate) fn is_usable(&self) -> bool {
        self.usable && self.expires.is_none_or(|end| Instant::now() < end)
    }

    /// Limits the time in which requests are sent: the broker closes the connection after it.
    pub(crate) fn expire_after(&mut self, lifetime: Duration) {
        self.expires = Instant::now().checked_add(lifetime);
    }

    /// The newest version of an API that both sides support.
    pub(crate) fn version(&self, api: &Api) -> Result<i16, CallError> {
        let range = self.versions.iter().find(|range| range.key == api.key);
        let (oldest, newest) = (*api.versions.start(), *api.versions.end());
        range
            .map(|range| newest.min(range.max))
            .filter(|&version| version >= oldest)
            .filter(|&version| range.is_some_and(|range| version >= range.min))
            .ok_or(CallError::Unsupported {
                name: api.name,
                needed: (oldest, newest),
                supported: range.map(|range| (range.min, range.max)),
            })
    }

    /// Whether the broker supports an API.
    pub(crate) fn supports(&self, api: &Api) -> bool {
        self.version(api).is_ok()
    }

    /// Sends a request and waits for its response. If the future is dropped before the response,
    /// the connection cannot be used again.
    pub(crate) async fn call<R: Request>(
        &mut self,
        request: &R,
        limit: Duration,
    ) -> Result<R::Response, CallError> {
        let version = self.version(&R::API)?;
        self.exchange(request, version, limit).await
    }

    async fn exchange<R: Request>(
        &mut self,
        request: &R,
        version: i16,
        limit: Duration,
    ) -> Result<R::Response, CallError> {
        if !self.usable {
            let cause = "an earlier request was not answered".to_owned();
            return Err(CallError::Closed(cause));
        }
        if self.expires.is_some_and(|end| Instant::now() >= end) {
            return Err(CallError::Closed("the session has expired".to_owned()));
        }
        self.usable = false;
        self.correlation_id = self.correlation_id.wrapping_add(1);
        let message = messages::encode(request, version, self.correlation_id, &self.client_id);
        let exchange = async {
            write_frame(&mut self.stream, &message).await?;
            read_frame(&mut self.stream).await
        };
        let frame = timeout(limit, exchange)
            .await
            .map_err(|_| CallError::Timeout(limit))??;
        let (id, response) = messages::decode::<R>(version, &frame)?;
        if id != self.correlation_id {
            return Err(Malformed::CorrelationId(id).into());
        }
        self.usable = true;
        Ok(response)
    }
}

#[cfg(test)]
mod tests;
