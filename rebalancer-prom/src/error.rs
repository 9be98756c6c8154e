//! Everything that can go wrong, each failure its own variant, worded for whoever runs the
//! program: what was asked, of whom, what happened, what to do. No text holds a secret.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use prometheus_http_query::Error as SendError;
use rebalancer_adapter::{Secrets, causes, excerpt, root_cause};
use rebalancer_core::ports::{PortError, PortErrorKind};
use reqwest::StatusCode;

use crate::authentication::InvalidCredentials;

/// What a query is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// The CPU rate of each pod.
    Load,
    /// The operator's own query for the load of each pod.
    CustomLoad,
    /// The age of the newest sample of each pod.
    Freshness,
    /// The operator's own query for the age of the newest sample of each pod.
    CustomFreshness,
    /// How often each container is found.
    Copies,
    /// Which pods have samples from the first half of the rate window.
    Window,
    /// What kube-state-metrics says about autoscalers.
    Autoscalers,
    /// Who owns which partition of the consumer group.
    GroupAssignment,
    /// The same, a cooldown ago.
    GroupAssignmentBefore,
    /// What arrives in each partition.
    GroupRate,
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Load => "the load query",
            Self::CustomLoad => "the load query (LOAD_QUERY)",
            Self::Freshness => "the freshness query",
            Self::CustomFreshness => "the freshness query (FRESHNESS_QUERY)",
            Self::Copies => "the query for doubled series",
            Self::Window => "the query for the first half of the window",
            Self::Autoscalers => "the autoscaler query (TARGET_SOURCE=prometheus)",
            Self::GroupAssignment => "the query for the owners of partitions",
            Self::GroupAssignmentBefore => "the query for the owners of partitions a cooldown ago",
            Self::GroupRate => "the query for the rates of partitions",
        })
    }
}

impl Purpose {
    /// What there has to be one sample of.
    fn subject(self) -> &'static str {
        match self {
            Self::Load
            | Self::CustomLoad
            | Self::Freshness
            | Self::CustomFreshness
            | Self::Copies
            | Self::Window => "pod",
            Self::Autoscalers => "autoscaler and metric",
            Self::GroupAssignment | Self::GroupAssignmentBefore | Self::GroupRate => "partition",
        }
    }

    /// What to do about samples that do not name one pod each.
    fn per_pod_advice(self) -> &'static str {
        match self {
            Self::CustomLoad => "aggregate LOAD_QUERY `by (pod)`, e.g. `sum by (pod) (…)`",
            Self::CustomFreshness => {
                "aggregate FRESHNESS_QUERY `by (pod)`, e.g. `time() - max by (pod) (timestamp(…))`"
            }
            Self::Load
            | Self::Freshness
            | Self::Copies
            | Self::Window
            | Self::Autoscalers
            | Self::GroupAssignment
            | Self::GroupAssignmentBefore
            | Self::GroupRate => {
                "the series of container_cpu_usage_seconds_total must carry the label `pod`; with \
                 other labels set LOAD_QUERY"
            }
        }
    }
}

/// Which query was sent where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// What the query was for.
    pub purpose: Purpose,
    /// The URL it was sent to, without user name, password and parameters.
    pub url: String,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.purpose, self.url)
    }
}

/// An error of the HTTP client, through one of its layers or another.
type HttpError = Box<dyn StdError + Send + Sync>;

/// Why the metrics could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PromError {
    /// The base URL cannot be used.
    #[error(
        "PROMETHEUS_ENDPOINT `{url}` cannot be used: {reason}; give a base URL such as \
         http://prometheus:9090"
    )]
    BadUrl {
        /// The URL without user name, password and parameters.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The base URL holds a user name or a password, which would end up in logs.
    #[error(
        "PROMETHEUS_ENDPOINT holds a user name or password: put them into PROMETHEUS_USERNAME and \
         PROMETHEUS_PASSWORD_FILE"
    )]
    CredentialsInUrl,
    /// The window is too short to be written as a PromQL duration.
    #[error("METRICS_TIME_WINDOW {window:?} is too short: it must be at least 1ms")]
    BadWindow {
        /// The window.
        window: Duration,
    },
    /// A query of the operator's is empty.
    #[error("{setting} is empty: give a PromQL query or leave the setting out")]
    EmptyQuery {
        /// The setting.
        setting: &'static str,
    },
    /// An extra header cannot be sent.
    #[error("PROMETHEUS_HEADERS: {header} cannot be sent: {reason}")]
    BadHeader {
        /// Which header: its name where it can be one, else its place among the pairs. What is no
        /// name may be a secret: `Authorization: Basic …` is taken apart at the first `=`.
        header: String,
        /// What is wrong with its name or value; the value is not shown.
        reason: &'static str,
    },
    /// The settings for credentials exclude each other, or one is missing.
    #[error(transparent)]
    BadCredentials(#[from] InvalidCredentials),
    /// A file of the settings cannot be read.
    #[error("{setting}: cannot read {}: {source}", path.display())]
    UnreadableFile {
        /// The setting that names the file.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it cannot be read.
        source: io::Error,
    },
    /// A file of the settings can be read, but what is in it cannot be used.
    #[error("{setting}: {} cannot be used: {reason}", path.display())]
    BadFile {
        /// The setting that names the file.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with its content, which is not shown.
        reason: String,
    },
    /// The HTTP client could not be made, mostly for want of certificates to trust.
    #[error(
        "the HTTP client for Prometheus cannot be set up: {cause}; without certificates of the \
         system give some with PROMETHEUS_CA_FILE"
    )]
    ClientSetup {
        /// The innermost cause.
        cause: String,
        /// The HTTP client's error.
        source: reqwest::Error,
    },
    /// No connection.
    #[error("{asked}: no connection: {cause}; check PROMETHEUS_ENDPOINT and that the server is up")]
    Unreachable {
        /// Which query, sent where.
        asked: Asked,
        /// The innermost cause.
        cause: String,
        /// The HTTP client's error.
        source: HttpError,
    },
    /// The connection broke before the whole answer was here.
    #[error("{asked}: the connection broke before the whole answer was received: {cause}")]
    Interrupted {
        /// Which query, sent where.
        asked: Asked,
        /// The innermost cause.
        cause: String,
        /// The HTTP client's error.
        source: HttpError,
    },
    /// The server's certificate is not accepted.
    #[error(
        "{asked}: the server's certificate is not accepted: {cause}; trust its authority with \
         PROMETHEUS_CA_FILE, and use a host name that the certificate is made out to"
    )]
    Certificate {
        /// Which query, sent where.
        asked: Asked,
        /// What is wrong with the certificate.
        cause: String,
        /// The HTTP client's error.
        source: HttpError,
    },
    /// The TLS handshake failed for another reason than the certificate.
    #[error(
        "{asked}: the TLS handshake failed: {cause}; check that the server speaks TLS on that port \
         (https:// or http:// in PROMETHEUS_ENDPOINT)"
    )]
    TlsHandshake {
        /// Which query, sent where.
        asked: Asked,
        /// What happened.
        cause: String,
        /// The HTTP client's error.
        source: HttpError,
    },
    /// No whole answer in time.
    #[error(
        "{asked}: no answer within {timeout:?}; raise PROMETHEUS_TIMEOUT or look at the load of \
         the server"
    )]
    Timeout {
        /// Which query, sent where.
        asked: Asked,
        /// The time that was given.
        timeout: Duration,
        /// The HTTP client's error.
        source: HttpError,
    },
    /// The server sends us elsewhere. Redirects are not followed: credentials must not go where
    /// the settings do not say.
    #[error(
        "{asked}: HTTP {status}, redirected to `{location}`; redirects are not followed: set \
         PROMETHEUS_ENDPOINT to the final address (a login page means that credentials are missing)"
    )]
    Redirect {
        /// Which query, sent where.
        asked: Asked,
        /// The HTTP status.
        status: u16,
        /// The `Location`, without user name, password and parameters.
        location: String,
    },
    /// Another status than success, and no complaint about the query.
    #[error("{asked}: HTTP {status}: {message}; {}", advice(*status))]
    Status {
        /// Which query, sent where.
        asked: Asked,
        /// The HTTP status.
        status: u16,
        /// The server's words, or the beginning of its answer.
        message: String,
    },
    /// The server does not accept or cannot carry out the query.
    #[error("{asked} was refused: {error_type}: {message}; the query was: {query}")]
    Promql {
        /// Which query, sent where.
        asked: Asked,
        /// The server's `errorType`.
        error_type: String,
        /// The server's words.
        message: String,
        /// The query, shortened.
        query: String,
    },
    /// The answer is not what a Prometheus server answers.
    #[error(
        "{asked}: the answer is not one of the Prometheus API: {reason}; it begins: `{excerpt}`; \
         check the path of PROMETHEUS_ENDPOINT"
    )]
    NotPrometheus {
        /// Which query, sent where.
        asked: Asked,
        /// What is wrong with it.
        reason: String,
        /// The beginning of the answer.
        excerpt: String,
    },
    /// The answer is longer than is accepted.
    #[error(
        "{asked}: the answer is longer than {limit} bytes and was not read further; the query must \
         yield one sample per {}", asked.purpose.subject()
    )]
    TooLarge {
        /// Which query, sent where.
        asked: Asked,
        /// The number of bytes accepted.
        limit: usize,
    },
    /// The query yields something else than an instant vector of numbers.
    #[error(
        "{asked} yields a {found}, but one number per {} is needed (an instant vector); the query \
         was: {query}", asked.purpose.subject()
    )]
    WrongResultType {
        /// Which query, sent where.
        asked: Asked,
        /// What it yields: matrix, scalar, string, native histogram.
        found: String,
        /// The query, shortened.
        query: String,
    },
    /// A sample does not say which pod it is of.
    #[error("{asked} yields a sample without the label `pod` (its labels: {labels}); {}", asked.purpose.per_pod_advice())]
    SampleWithoutPod {
        /// Which query, sent where.
        asked: Asked,
        /// The labels of the first such sample.
        labels: String,
    },
    /// A sample does not say which partition it is of.
    #[error(
        "{asked} yields a sample without a topic and the number of a partition (its labels: \
         {labels}); the query must keep the labels `topic` and `partition`"
    )]
    SampleWithoutPartition {
        /// Which query, sent where.
        asked: Asked,
        /// The labels of the first such sample.
        labels: String,
    },
    /// Pods with more than one sample.
    #[error("{asked} yields more than one sample for {count} pods ({pods}); {}", asked.purpose.per_pod_advice())]
    DuplicatePods {
        /// Which query, sent where.
        asked: Asked,
        /// How many pods.
        count: usize,
        /// The first of them.
        pods: String,
    },
    /// The answer about autoscalers may lack something, so an autoscaler may be missing in it.
    #[error("{partial}; the autoscalers cannot be known from it: try again, or set TARGET_CORES")]
    PartialAutoscalers {
        /// Which query, sent where.
        asked: Asked,
        /// Why the answer may lack something.
        partial: String,
    },
}

impl PromError {
    /// What kind of trouble it is, in the words of the port.
    #[must_use]
    pub fn kind(&self) -> PortErrorKind {
        match self {
            Self::BadUrl { .. }
            | Self::CredentialsInUrl
            | Self::BadWindow { .. }
            | Self::EmptyQuery { .. }
            | Self::BadHeader { .. }
            | Self::BadCredentials(_)
            | Self::UnreadableFile { .. }
            | Self::BadFile { .. }
            | Self::ClientSetup { .. } => PortErrorKind::Setup,
            Self::Unreachable { .. } | Self::Interrupted { .. } => PortErrorKind::Unreachable,
            Self::Certificate { .. } | Self::TlsHandshake { .. } => PortErrorKind::Tls,
            Self::Timeout { .. } => PortErrorKind::Timeout,
            Self::Status { status, .. } => match *status {
                401 => PortErrorKind::Unauthorized,
                403 => PortErrorKind::Forbidden,
                404 => PortErrorKind::NotFound,
                408 | 504 => PortErrorKind::Timeout,
                429 | 500.. => PortErrorKind::Server,
                _ => PortErrorKind::Rejected,
            },
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

    /// An error while the request was sent.
    pub(crate) fn from_sending(asked: Asked, timeout: Duration, error: SendError) -> Self {
        let http = match &error {
            SendError::Client(client) => client.inner(),
            // Not of sending: the base URL was parsed when the source was made.
            SendError::Prometheus(_)
            | SendError::EmptySeriesSelector
            | SendError::ParseUrl(_)
            | _ => None,
        };
        match http {
            Some(http) => Self::from_http(asked, timeout, http)(Box::new(error)),
            None => Self::unsent(asked, Box::new(error)),
        }
    }

    /// An error while the answer was received.
    pub(crate) fn from_receiving(asked: Asked, timeout: Duration, error: reqwest::Error) -> Self {
        let error = error.without_url();
        Self::from_http(asked, timeout, &error)(Box::new(error))
    }

    fn unsent(asked: Asked, source: HttpError) -> Self {
        Self::Unreachable {
            asked,
            cause: innermost(source.as_ref()),
            source,
        }
    }

    /// Finds the variant for an error of the HTTP client; what is returned takes the error as
    /// the source, which its owner may only give away after it was looked at.
    fn from_http(
        asked: Asked,
        timeout: Duration,
        http: &reqwest::Error,
    ) -> impl FnOnce(HttpError) -> Self + use<> {
        enum Found {
            Timeout,
            Certificate(String),
            Tls(String),
            Unreachable(String),
            Interrupted(String),
        }
        let found = if http.is_timeout() && http.is_connect() {
            Found::Unreachable(
                "not connected in time; the name may not resolve, or the network drops packets"
                    .into(),
            )
        } else if http.is_timeout() {
            Found::Timeout
        } else if let Some(tls) = tls_error(http) {
            if matches!(tls, rustls::Error::InvalidCertificate(_)) {
                Found::Certificate(tls.to_string())
            } else {
                Found::Tls(tls.to_string())
            }
        } else if http.is_connect() {
            Found::Unreachable(innermost(http))
        } else {
            Found::Interrupted(innermost(http))
        };
        move |source| match found {
            Found::Timeout => Self::Timeout {
                asked,
                timeout,
                source,
            },
            Found::Certificate(cause) => Self::Certificate {
                asked,
                cause,
                source,
            },
            Found::Tls(cause) => Self::TlsHandshake {
                asked,
                cause,
                source,
            },
            Found::Unreachable(cause) => Self::Unreachable {
                asked,
                cause,
                source,
            },
            Found::Interrupted(cause) => Self::Interrupted {
                asked,
                cause,
                source,
            },
        }
    }

    pub(crate) fn client_setup(error: reqwest::Error) -> Self {
        Self::ClientSetup {
            cause: innermost(&error),
            source: error,
        }
    }
}

impl From<PromError> for PortError {
    fn from(error: PromError) -> Self {
        Self::from_source(error.kind(), error)
    }
}

/// What to do about an HTTP status.
fn advice(status: u16) -> &'static str {
    match StatusCode::from_u16(status) {
        Ok(StatusCode::UNAUTHORIZED) => {
            "check PROMETHEUS_BEARER_TOKEN_FILE, or PROMETHEUS_USERNAME and \
             PROMETHEUS_PASSWORD_FILE, and the tenant header in PROMETHEUS_HEADERS"
        }
        Ok(StatusCode::FORBIDDEN) => {
            "the identity of PROMETHEUS_BEARER_TOKEN_FILE or PROMETHEUS_USERNAME may not query \
             there; check it and the tenant header in PROMETHEUS_HEADERS"
        }
        Ok(StatusCode::NOT_FOUND) => {
            "check the path of PROMETHEUS_ENDPOINT, to which /api/v1/query is added (Mimir: \
             /prometheus; VictoriaMetrics cluster: /select/0/prometheus)"
        }
        Ok(StatusCode::TOO_MANY_REQUESTS) => "the server limits its queries; try again later",
        Ok(status) if status.is_server_error() => {
            "the server or a proxy before it is in trouble; look at its logs"
        }
        // VictoriaMetrics answers an unknown path with 400.
        _ => {
            "the server or a proxy before it refuses the request; check PROMETHEUS_ENDPOINT and \
             its path"
        }
    }
}

/// The TLS error in the chain of sources, if there is one.
fn tls_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

/// The message of the innermost cause, shortened.
fn innermost(error: &(dyn StdError + 'static)) -> String {
    excerpt(root_cause(error).as_bytes(), &Secrets::default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(401, PortErrorKind::Unauthorized, "PROMETHEUS_BEARER_TOKEN_FILE")]
    #[case(403, PortErrorKind::Forbidden, "PROMETHEUS_USERNAME")]
    #[case(404, PortErrorKind::NotFound, "the path of PROMETHEUS_ENDPOINT")]
    #[case(405, PortErrorKind::Rejected, "PROMETHEUS_ENDPOINT")]
    #[case(429, PortErrorKind::Server, "try again later")]
    #[case(500, PortErrorKind::Server, "its logs")]
    #[case(504, PortErrorKind::Timeout, "its logs")]
    fn a_status_has_its_kind_and_advice(
        #[case] status: u16,
        #[case] kind: PortErrorKind,
        #[case] advice: &str,
    ) {
        let error = PromError::Status {
            asked: Asked {
                purpose: Purpose::Load,
                url: "http://prom/api/v1/query".into(),
            },
            status,
            message: "nope".into(),
        };
        assert_eq!(error.kind(), kind);
        let message = PortError::from(error).message;
        assert!(message.contains(advice), "{message}");
        assert!(
            message.contains(&format!("HTTP {status}: nope")),
            "{message}"
        );
    }
}
