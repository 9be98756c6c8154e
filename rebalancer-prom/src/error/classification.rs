//! From errors of the HTTP client, and from HTTP statuses, to [`PromError`].

use std::error::Error as StdError;
use std::time::Duration;

use prometheus_http_query::Error as SendError;
use rebalancer_adapter::{Secrets, causes, excerpt, root_cause};
use rebalancer_core::ports::PortErrorKind;
use reqwest::StatusCode;

use super::{HttpError, PromError, SentQuery};

impl PromError {
    /// An error while the request was sent.
    pub(crate) fn from_sending(sent: SentQuery, timeout: Duration, error: SendError) -> Self {
        let http = match &error {
            SendError::Client(client) => client.inner(),
            // Not errors of sending: the base URL was parsed when the source was created.
            SendError::Prometheus(_)
            | SendError::EmptySeriesSelector
            | SendError::ParseUrl(_)
            | _ => None,
        };
        let failure = match http {
            Some(http) => Failure::of(http),
            None => Failure::Unreachable(shortened_root_cause(&error)),
        };
        failure.into_error(sent, timeout, Box::new(error))
    }

    /// An error while the response was received.
    pub(crate) fn from_receiving(
        sent: SentQuery,
        timeout: Duration,
        error: reqwest::Error,
    ) -> Self {
        let error = error.without_url();
        Failure::of(&error).into_error(sent, timeout, Box::new(error))
    }

    /// An error of building the client.
    pub(crate) fn client_setup(error: reqwest::Error) -> Self {
        Self::ClientSetup {
            cause: shortened_root_cause(&error),
            source: error,
        }
    }
}

/// A failure of the HTTP client, with its cause.
enum Failure {
    Timeout,
    Certificate(String),
    TlsHandshake(String),
    Unreachable(String),
    Interrupted(String),
}

impl Failure {
    fn of(error: &reqwest::Error) -> Self {
        if error.is_timeout() && error.is_connect() {
            let cause = "connect timeout; the name may not resolve, or the network drops packets";
            return Self::Unreachable(cause.to_owned());
        }
        if error.is_timeout() {
            return Self::Timeout;
        }
        match causes(error).find_map(|cause| cause.downcast_ref()) {
            Some(tls @ rustls::Error::InvalidCertificate(_)) => Self::Certificate(tls.to_string()),
            Some(tls) => Self::TlsHandshake(tls.to_string()),
            None if error.is_connect() => Self::Unreachable(shortened_root_cause(error)),
            None => Self::Interrupted(shortened_root_cause(error)),
        }
    }

    fn into_error(self, sent: SentQuery, timeout: Duration, source: HttpError) -> PromError {
        match self {
            Self::Timeout => PromError::Timeout {
                sent,
                timeout,
                source,
            },
            Self::Certificate(cause) => PromError::Certificate {
                sent,
                cause,
                source,
            },
            Self::TlsHandshake(cause) => PromError::TlsHandshake {
                sent,
                cause,
                source,
            },
            Self::Unreachable(cause) => PromError::Unreachable {
                sent,
                cause,
                source,
            },
            Self::Interrupted(cause) => PromError::Interrupted {
                sent,
                cause,
                source,
            },
        }
    }
}

fn shortened_root_cause(error: &(dyn StdError + 'static)) -> String {
    excerpt(root_cause(error).as_bytes(), &Secrets::default())
}

/// The kind of failure that an HTTP status means.
pub(super) fn status_kind(status: u16) -> PortErrorKind {
    match status {
        401 => PortErrorKind::Unauthorized,
        403 => PortErrorKind::Forbidden,
        404 => PortErrorKind::NotFound,
        408 | 504 => PortErrorKind::Timeout,
        429 | 500.. => PortErrorKind::Server,
        _ => PortErrorKind::Rejected,
    }
}

/// The advice for an HTTP status.
pub(super) fn status_advice(status: u16) -> &'static str {
    match StatusCode::from_u16(status) {
        Ok(StatusCode::UNAUTHORIZED) => {
            "check PROMETHEUS_BEARER_TOKEN_FILE, or PROMETHEUS_USERNAME and \
             PROMETHEUS_PASSWORD_FILE, and the tenant header in PROMETHEUS_HEADERS"
        }
        Ok(StatusCode::FORBIDDEN) => {
            "the account of PROMETHEUS_BEARER_TOKEN_FILE or PROMETHEUS_USERNAME is not allowed to \
             query; check its permissions and the tenant header in PROMETHEUS_HEADERS"
        }
        Ok(StatusCode::NOT_FOUND) => {
            "check the path of PROMETHEUS_ENDPOINT, to which /api/v1/query is added (Mimir: \
             /prometheus; VictoriaMetrics cluster: /select/0/prometheus)"
        }
        Ok(StatusCode::TOO_MANY_REQUESTS) => "the server limits its queries; try again later",
        Ok(status) if status.is_server_error() => {
            "the server or a proxy in front of it has failed; check its logs"
        }
        // VictoriaMetrics returns 400 for an unknown path.
        _ => {
            "the server or a proxy in front of it rejects the request; check PROMETHEUS_ENDPOINT \
             and its path"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Purpose;
    use rebalancer_core::ports::PortError;
    use rstest::rstest;

    #[rstest]
    #[case(401, PortErrorKind::Unauthorized, "PROMETHEUS_BEARER_TOKEN_FILE")]
    #[case(403, PortErrorKind::Forbidden, "PROMETHEUS_USERNAME")]
    #[case(404, PortErrorKind::NotFound, "the path of PROMETHEUS_ENDPOINT")]
    #[case(405, PortErrorKind::Rejected, "PROMETHEUS_ENDPOINT")]
    #[case(429, PortErrorKind::Server, "try again later")]
    #[case(500, PortErrorKind::Server, "its logs")]
    #[case(504, PortErrorKind::Timeout, "its logs")]
    fn status_has_a_kind_and_advice(
        #[case] status: u16,
        #[case] kind: PortErrorKind,
        #[case] advice: &str,
    ) {
        let error = PromError::Status {
            sent: SentQuery {
                purpose: Purpose::Load,
                url: "http://prom/api/v1/query".into(),
            },
            status,
            message: "nope".into(),
        };
        assert_eq!(error.kind(), kind);
        let message = PortError::from(error).message;
        assert!(message.contains(advice), "{message}");
        let status = format!("HTTP {status}: nope");
        assert!(message.contains(&status), "{message}");
    }
}
