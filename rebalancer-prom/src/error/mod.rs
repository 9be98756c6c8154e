//! The errors of this crate.
//!
//! Each kind of failure is a variant. A message says which query was sent where, what happened and
//! what to do. No message contains a secret.

mod classification;
mod purpose;

pub(crate) use classification::{Failure, shortened_root_cause};

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use rebalancer_adapter::{InvalidProxy, SettingFileError, TlsSetupError};
use rebalancer_core::ports::{PortError, PortErrorKind};
use rustls::AlertDescription;

pub use purpose::{Destination, Purpose, SentQuery};

/// Settings for credentials that exclude each other, or of which one is missing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct InvalidCredentials {
    /// The setting to change.
    pub setting: CredentialSetting,
    /// The conflict or the missing setting.
    pub reason: &'static str,
}

/// A setting for credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialSetting {
    /// `PROMETHEUS_BEARER_TOKEN_FILE`.
    BearerTokenFile,
    /// `PROMETHEUS_USERNAME`.
    Username,
    /// `PROMETHEUS_PASSWORD_FILE`.
    PasswordFile,
    /// `PROMETHEUS_HEADERS`.
    Headers,
}

impl CredentialSetting {
    /// Returns the name of the environment variable.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BearerTokenFile => "PROMETHEUS_BEARER_TOKEN_FILE",
            Self::Username => "PROMETHEUS_USERNAME",
            Self::PasswordFile => "PROMETHEUS_PASSWORD_FILE",
            Self::Headers => "PROMETHEUS_HEADERS",
        }
    }
}

impl fmt::Display for InvalidCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.setting.name(), self.reason)
    }
}

/// An error of one of the layers of the HTTP client.
type HttpError = Box<dyn StdError + Send + Sync>;

/// Why the metrics could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PromError {
    /// The base URL cannot be used.
    #[error(
        "PROMETHEUS_ENDPOINT `{url}` cannot be used: {reason}; set a base URL such as \
         http://prometheus:9090"
    )]
    BadUrl {
        /// The URL without user name, password and parameters.
        url: String,
        /// The reason.
        reason: String,
    },
    /// The base URL contains a user name or a password, which would be written to logs.
    #[error(
        "PROMETHEUS_ENDPOINT contains a user name or a password: set PROMETHEUS_USERNAME and \
         PROMETHEUS_PASSWORD_FILE instead"
    )]
    CredentialsInUrl,
    /// The rate window is too short for a PromQL duration.
    #[error("METRICS_TIME_WINDOW {window:?} is too short: the minimum is 1ms")]
    BadWindow {
        /// The window.
        window: Duration,
    },
    /// One of the operator's own queries is empty.
    #[error("{setting} is empty: set a PromQL query or remove the setting")]
    EmptyQuery {
        /// The setting.
        setting: &'static str,
    },
    /// An extra header cannot be sent.
    #[error("PROMETHEUS_HEADERS: {header} cannot be sent: {reason}")]
    BadHeader {
        /// The name of the header, or its number if the name is not valid. An invalid name can be
        /// a secret: the pair `Authorization: Basic …` is split at the first `=`.
        header: String,
        /// The problem of the name or the value. The value is not shown.
        reason: &'static str,
    },
    /// The settings for credentials exclude each other, or one is missing.
    #[error(transparent)]
    BadCredentials(#[from] InvalidCredentials),
    /// A file of the settings cannot be read or used.
    #[error(transparent)]
    File(#[from] SettingFileError),
    /// A client certificate is configured for a server without TLS.
    #[error(
        "PROMETHEUS_CLIENT_CERTIFICATE_FILE is set, but PROMETHEUS_ENDPOINT begins with http://: \
         set an https:// URL, or remove PROMETHEUS_CLIENT_CERTIFICATE_FILE and \
         PROMETHEUS_CLIENT_KEY_FILE"
    )]
    ClientCertificateWithoutTls,
    /// The proxy of the environment cannot be used.
    #[error(transparent)]
    BadProxy(#[from] InvalidProxy),
    /// The HTTP client could not be set up, usually because the system has no CA certificates.
    #[error(
        "cannot set up the HTTP client for Prometheus: {cause}; if the system has no CA \
         certificates, set PROMETHEUS_CA_FILE"
    )]
    ClientSetup {
        /// The root cause.
        cause: String,
        /// The error of the HTTP client or of its TLS library.
        source: HttpError,
    },
    /// The URL of a GET request is longer than the HTTP client can send.
    #[error(
        "{sent}: the URL of the GET request has {length} bytes, more than the limit of {limit}: set \
         PROMETHEUS_METHOD=POST, or shorten the query"
    )]
    UrlTooLong {
        /// The query.
        sent: SentQuery,
        /// The length of the URL, in bytes.
        length: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// No connection.
    #[error("{sent}: no connection: {cause}; check PROMETHEUS_ENDPOINT and that the server is up")]
    Unreachable {
        /// The query.
        sent: SentQuery,
        /// The root cause.
        cause: String,
        /// The HTTP client's error.
        source: HttpError,
    },
    /// The connection was closed before the whole response was received.
    #[error("{sent}: the connection was closed before the whole response was received: {cause}")]
    Interrupted {
        /// The query.
        sent: SentQuery,
        /// The root cause.
        cause: String,
        /// The HTTP client's error.
        source: HttpError,
    },
    /// The server's certificate is not accepted.
    #[error(
        "{sent}: the server's certificate is not accepted: {cause}; add the certificate of its CA, \
         or the server's own if it is self-signed, with PROMETHEUS_CA_FILE, and use a host name \
         that the certificate contains"
    )]
    Certificate {
        /// The query.
        sent: SentQuery,
        /// The problem of the certificate.
        cause: String,
        /// The HTTP client's error.
        source: HttpError,
    },
    /// The server requires a client certificate, or does not accept the configured one.
    #[error("{sent}: {}", classification::client_certificate(&sent.destination, *alert))]
    ClientCertificate {
        /// The query.
        sent: SentQuery,
        /// The alert that the server sent.
        alert: AlertDescription,
        /// The HTTP client's error.
        source: HttpError,
    },
    /// The TLS handshake failed for a reason other than a certificate.
    #[error(
        "{sent}: the TLS handshake failed: {cause}; check that the server uses TLS on this port \
         (https:// or http:// in PROMETHEUS_ENDPOINT)"
    )]
    TlsHandshake {
        /// The query.
        sent: SentQuery,
        /// The problem of the handshake.
        cause: String,
        /// The HTTP client's error.
        source: HttpError,
    },
    /// The whole response was not received within the timeout.
    #[error(
        "{sent}: no response within {timeout:?}; increase PROMETHEUS_TIMEOUT or check the load of \
         the server"
    )]
    Timeout {
        /// The query.
        sent: SentQuery,
        /// The timeout.
        timeout: Duration,
        /// The HTTP client's error.
        source: HttpError,
    },
    /// The server redirects. Redirects are not followed, so that credentials are sent only to the
    /// configured address.
    #[error(
        "{sent}: HTTP {status}, redirect to `{location}`; redirects are not followed: set \
         PROMETHEUS_ENDPOINT to the final address (a login page means that credentials are missing)"
    )]
    Redirect {
        /// The query.
        sent: SentQuery,
        /// The HTTP status.
        status: u16,
        /// The `Location`, without user name, password and parameters.
        location: String,
    },
    /// A status other than success, and not an error about the query.
    #[error(
        "{sent}: HTTP {status}: {message}; {}",
        classification::status_advice(&sent.destination, *status, message)
    )]
    Status {
        /// The query.
        sent: SentQuery,
        /// The HTTP status.
        status: u16,
        /// The server's message, or the beginning of the response.
        message: String,
    },
    /// The server rejects the query or cannot execute it.
    #[error("{sent} was rejected: {error_type}: {message}; the query was: {query}")]
    Promql {
        /// The query.
        sent: SentQuery,
        /// The server's `errorType`.
        error_type: String,
        /// The server's message.
        message: String,
        /// The PromQL, shortened.
        query: String,
    },
    /// The response is not one of the Prometheus API.
    #[error(
        "{sent}: the response is not a Prometheus API response: {reason}; it begins with \
         `{excerpt}`; check the path of PROMETHEUS_ENDPOINT"
    )]
    NotPrometheus {
        /// The query.
        sent: SentQuery,
        /// The reason.
        reason: String,
        /// The beginning of the response.
        excerpt: String,
    },
    /// The response is larger than the limit.
    #[error(
        "{sent}: the response is larger than the limit of {limit} bytes; the query must return one \
         sample per {}",
        sent.purpose.subject()
    )]
    TooLarge {
        /// The query.
        sent: SentQuery,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The result is not an instant vector of numbers.
    #[error(
        "{sent} returned a {found}, but one number per {} is required (an instant vector); the \
         query was: {query}",
        sent.purpose.subject()
    )]
    WrongResultType {
        /// The query.
        sent: SentQuery,
        /// The type of the result: matrix, scalar, string, native histogram.
        found: String,
        /// The PromQL, shortened.
        query: String,
    },
    /// A sample has no label with the name of the pod.
    #[error(
        "{sent} returned a sample without the label `{pod_label}` (its labels: {labels}); {}",
        advice.as_deref().unwrap_or_else(|| sent.purpose.per_pod_advice())
    )]
    SampleWithoutPod {
        /// The query.
        sent: SentQuery,
        /// The label with the name of the pod.
        pod_label: String,
        /// The labels under which the metrics have the pods, if known.
        advice: Option<String>,
        /// The labels of the first such sample.
        labels: String,
    },
    /// A sample has no topic or no partition number.
    #[error(
        "{sent} returned a sample without a topic or a partition number (its labels: {labels}); \
         the query must keep the labels `topic` and `partition`"
    )]
    SampleWithoutPartition {
        /// The query.
        sent: SentQuery,
        /// The labels of the first such sample.
        labels: String,
    },
    /// Pods with more than one sample.
    #[error(
        "{sent} returned more than one sample for {count} pods ({pods}); {}",
        sent.purpose.per_pod_advice()
    )]
    DuplicatePods {
        /// The query.
        sent: SentQuery,
        /// The number of such pods.
        count: usize,
        /// The names of the first of them.
        pods: String,
    },
    /// The response about autoscalers is partial, so an autoscaler may be missing from it.
    #[error("{partial}; an autoscaler may be missing: run again, or set TARGET_CORES")]
    PartialAutoscalers {
        /// The query.
        sent: SentQuery,
        /// Why the response may be incomplete.
        partial: String,
    },
}

impl PromError {
    /// Returns the kind of the failure, as the port defines it.
    #[must_use]
    pub fn kind(&self) -> PortErrorKind {
        match self {
            Self::BadUrl { .. }
            | Self::CredentialsInUrl
            | Self::BadWindow { .. }
            | Self::EmptyQuery { .. }
            | Self::BadHeader { .. }
            | Self::BadCredentials(_)
            | Self::File(_)
            | Self::ClientCertificateWithoutTls
            | Self::BadProxy(_)
            | Self::UrlTooLong { .. }
            | Self::ClientSetup { .. } => PortErrorKind::Setup,
            Self::Unreachable { .. } | Self::Interrupted { .. } => PortErrorKind::Unreachable,
            Self::Certificate { .. }
            | Self::ClientCertificate { .. }
            | Self::TlsHandshake { .. } => PortErrorKind::Tls,
            Self::Timeout { .. } => PortErrorKind::Timeout,
            Self::Status { status, .. } => classification::status_kind(*status),
            Self::Promql { .. } => PortErrorKind::Rejected,
            Self::PartialAutoscalers { .. } => PortErrorKind::Server,
            Self::Redirect { .. }
            | Self::NotPrometheus { .. }
            | Self::TooLarge { .. }
            | Self::WrongResultType { .. }
            | Self::SampleWithoutPod { .. }
            | Self::SampleWithoutPartition { .. }
            | Self::DuplicatePods { .. } => PortErrorKind::BadAnswer,
        }
    }
}

impl From<TlsSetupError> for PromError {
    fn from(error: TlsSetupError) -> Self {
        match error {
            TlsSetupError::File(error) => Self::File(error),
            TlsSetupError::Library(source) => Self::ClientSetup {
                cause: classification::shortened_root_cause(&*source),
                source,
            },
        }
    }
}

impl From<PromError> for PortError {
    fn from(error: PromError) -> Self {
        Self::from_source(error.kind(), error)
    }
}
