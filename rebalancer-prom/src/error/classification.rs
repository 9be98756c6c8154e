//! From errors of the HTTP client, and from HTTP statuses, to [`PromError`].

use std::error::Error as StdError;
use std::time::Duration;

use rebalancer_adapter::{Secrets, causes, excerpt, root_cause, tunnel_failure};
use rebalancer_core::ports::PortErrorKind;
use reqwest::StatusCode;
use rustls::{AlertDescription, CertificateError, Error as TlsError};

use super::{Destination, HttpError, PromError, SentQuery};
use crate::method::QueryMethod;

/// The alerts with which servers reject a client certificate, or the lack of one.
const CLIENT_CERTIFICATE_ALERTS: [AlertDescription; 10] = [
    AlertDescription::CertificateRequired,
    AlertDescription::HandshakeFailure,
    AlertDescription::BadCertificate,
    AlertDescription::UnsupportedCertificate,
    AlertDescription::CertificateRevoked,
    AlertDescription::CertificateExpired,
    AlertDescription::CertificateUnknown,
    AlertDescription::UnknownCA,
    AlertDescription::AccessDenied,
    AlertDescription::DecryptError,
];

impl PromError {
    /// An error while the request was sent or the response was received.
    pub(crate) fn from_http(sent: SentQuery, timeout: Duration, error: reqwest::Error) -> Self {
        // The URL may contain secrets.
        let error = error.without_url();
        Failure::of(&error).into_error(sent, timeout, Box::new(error))
    }

    /// An error of building the client.
    pub(crate) fn client_setup(error: impl StdError + Send + Sync + 'static) -> Self {
        Self::ClientSetup {
            cause: shortened_root_cause(&error),
            source: Box::new(error),
        }
    }
}

/// A failure of the HTTP client, with its cause.
pub(crate) enum Failure {
    /// There was no response in time.
    Timeout,
    /// The server's certificate is not accepted.
    Certificate(String),
    /// The server requires a client certificate, or does not accept the configured one.
    ClientCertificate(AlertDescription),
    /// The TLS handshake failed for a reason other than a certificate.
    TlsHandshake(String),
    /// No connection.
    Unreachable(String),
    /// The connection was closed before the whole response was received.
    Interrupted(String),
}

impl Failure {
    pub(crate) fn of(error: &reqwest::Error) -> Self {
        if error.is_timeout() && error.is_connect() {
            let cause = "connect timeout; the name may not resolve, or the network drops packets";
            return Self::Unreachable(cause.to_owned());
        }
        if error.is_timeout() {
            return Self::Timeout;
        }
        match causes(error).find_map(|cause| cause.downcast_ref()) {
            Some(TlsError::InvalidCertificate(CertificateError::Other(other)))
                if is_authority(other.0.as_ref()) =>
            {
                Self::Certificate("it is the certificate of an authority (CA:TRUE)".to_owned())
            }
            Some(tls @ TlsError::InvalidCertificate(_)) => Self::Certificate(tls.to_string()),
            Some(TlsError::AlertReceived(alert)) if CLIENT_CERTIFICATE_ALERTS.contains(alert) => {
                Self::ClientCertificate(*alert)
            }
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
            Self::ClientCertificate(alert) => PromError::ClientCertificate {
                sent,
                alert,
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

/// Whether the certificate was rejected because it is marked as one of an authority.
fn is_authority(error: &(dyn StdError + Send + Sync + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

pub(crate) fn shortened_root_cause(error: &(dyn StdError + 'static)) -> String {
    let cause = root_cause(error);
    let cause = tunnel_failure(&cause).unwrap_or(&cause);
    excerpt(cause.as_bytes(), &Secrets::default())
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

/// The meaning of an alert about the client certificate, and the remedy.
pub(super) fn client_certificate(to: &Destination, alert: AlertDescription) -> String {
    let settings = "PROMETHEUS_CLIENT_CERTIFICATE_FILE and PROMETHEUS_CLIENT_KEY_FILE";
    if to.client_certificate {
        format!(
            "the server does not accept the client certificate (TLS alert {alert:?}); check that \
             the certificate of {settings} has not expired, and that the server trusts its issuer"
        )
    } else if alert == AlertDescription::CertificateRequired {
        format!("the server requires a client certificate (TLS alert {alert:?}); set {settings}")
    } else {
        format!(
            "the server ended the TLS handshake (TLS alert {alert:?}); if it requires a client \
             certificate, set {settings}"
        )
    }
}

/// The advice for an HTTP status with the server's message.
pub(super) fn status_advice(to: &Destination, status: u16, message: &str) -> &'static str {
    if let Some(advice) = cloud_advice(to, status, message) {
        return advice;
    }
    match StatusCode::from_u16(status) {
        Ok(StatusCode::UNAUTHORIZED) => {
            "check PROMETHEUS_BEARER_TOKEN_FILE, or PROMETHEUS_USERNAME and \
             PROMETHEUS_PASSWORD_FILE, and the tenant header in PROMETHEUS_HEADERS"
        }
        Ok(StatusCode::FORBIDDEN) if to.method == QueryMethod::Post => {
            "the account of PROMETHEUS_BEARER_TOKEN_FILE or PROMETHEUS_USERNAME is not allowed to \
             query with POST; if it may only read (OpenShift), set PROMETHEUS_METHOD=GET; otherwise \
             check its permissions and the tenant header in PROMETHEUS_HEADERS"
        }
        Ok(StatusCode::FORBIDDEN) => {
            "the account of PROMETHEUS_BEARER_TOKEN_FILE or PROMETHEUS_USERNAME is not allowed to \
             query; check its permissions, the tenant header in PROMETHEUS_HEADERS and the \
             parameters of PROMETHEUS_ENDPOINT"
        }
        Ok(StatusCode::NOT_FOUND) => {
            "check the path of PROMETHEUS_ENDPOINT, to which /api/v1/query is added (Mimir: \
             /prometheus; VictoriaMetrics cluster: /select/0/prometheus)"
        }
        Ok(StatusCode::METHOD_NOT_ALLOWED) => match to.method {
            QueryMethod::Post => "the server does not accept POST; set PROMETHEUS_METHOD=GET",
            QueryMethod::Get => "the server does not accept GET; set PROMETHEUS_METHOD=POST",
        },
        Ok(StatusCode::PROXY_AUTHENTICATION_REQUIRED) => {
            "the proxy requires credentials; set them in the environment variable of the proxy \
             (http://USER:PASSWORD@HOST:PORT)"
        }
        Ok(StatusCode::URI_TOO_LONG | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
            if to.method == QueryMethod::Get =>
        {
            "the URL of the GET request is too long for the server or a proxy in front of it; set \
             PROMETHEUS_METHOD=POST, or shorten the query"
        }
        Ok(StatusCode::TOO_MANY_REQUESTS) => "the server limits its queries; try again later",
        Ok(StatusCode::BAD_REQUEST) if message.contains("No required SSL certificate") => {
            "the server requires a client certificate; set PROMETHEUS_CLIENT_CERTIFICATE_FILE and \
             PROMETHEUS_CLIENT_KEY_FILE"
        }
        Ok(StatusCode::BAD_REQUEST) if to.method == QueryMethod::Get => {
            "the server or a proxy in front of it rejects the request; check PROMETHEUS_ENDPOINT, \
             its path and its parameters (OpenShift: https://…:9092?namespace=NAMESPACE)"
        }
        Ok(status) if status.is_server_error() => {
            "the server or a proxy in front of it has failed; check its logs"
        }
        // VictoriaMetrics returns 400 for an unknown path.
        _ => {
            "the server or a proxy in front of it rejects the request; check PROMETHEUS_ENDPOINT, \
             its path and its parameters"
        }
    }
}

/// The advice for servers of clouds that accept only requests with the cloud's own credentials.
fn cloud_advice(to: &Destination, status: u16, message: &str) -> Option<&'static str> {
    if !matches!(status, 401 | 403) {
        return None;
    }
    let message = message.to_ascii_lowercase();
    let is_aws = message.contains("missing authentication token")
        || message.contains("aws4-hmac-sha256")
        || is_below(&to.url, ".amazonaws.com");
    if is_aws {
        return Some(
            "the server accepts only requests that are signed with AWS Signature Version 4; send \
             the queries through a signing proxy beside the program, as in \
             deploy/examples/amazon-managed-prometheus.yaml",
        );
    }
    is_below(&to.url, ".prometheus.monitor.azure.com").then_some(
        "the server accepts only requests with a token of Microsoft Entra ID; send the queries \
         through an authentication proxy beside the program, as in \
         deploy/examples/azure-monitor.yaml",
    )
}

/// Whether the host of a URL is below a domain.
fn is_below(url: &str, domain: &str) -> bool {
    reqwest::Url::parse(url)
        .ok()
        .and_then(|url| url.host_str().map(|host| host.ends_with(domain)))
        .unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::error::Purpose;
    use rebalancer_core::ports::PortError;
    use rstest::rstest;

    fn destination(method: QueryMethod, url: &str) -> Destination {
        Destination {
            url: url.to_owned(),
            method,
            proxy: None,
            client_certificate: false,
        }
    }

    #[rstest]
    #[case(401, PortErrorKind::Unauthorized, "PROMETHEUS_BEARER_TOKEN_FILE")]
    #[case(403, PortErrorKind::Forbidden, "PROMETHEUS_USERNAME")]
    #[case(403, PortErrorKind::Forbidden, "PROMETHEUS_METHOD=GET")]
    #[case(404, PortErrorKind::NotFound, "the path of PROMETHEUS_ENDPOINT")]
    #[case(405, PortErrorKind::Rejected, "PROMETHEUS_METHOD=GET")]
    #[case(407, PortErrorKind::Rejected, "the proxy requires credentials")]
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
                destination: Arc::new(destination(QueryMethod::Post, "http://prom/api/v1/query")),
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

    #[rstest]
    #[case(400, "missing parameter", "?namespace=NAMESPACE")]
    #[case(
        400,
        "No required SSL certificate was sent",
        "PROMETHEUS_CLIENT_KEY_FILE"
    )]
    #[case(403, "no", "the parameters of PROMETHEUS_ENDPOINT")]
    #[case(405, "no", "PROMETHEUS_METHOD=POST")]
    #[case(414, "no", "the URL of the GET request is too long")]
    #[case(431, "no", "PROMETHEUS_METHOD=POST")]
    fn advice_for_get_does_not_propose_get(
        #[case] status: u16,
        #[case] message: &str,
        #[case] expected: &str,
    ) {
        let to = destination(QueryMethod::Get, "http://prom/api/v1/query");
        let advice = status_advice(&to, status, message);
        assert!(advice.contains(expected), "{advice}");
        assert!(!advice.contains("METHOD=GET"), "{advice}");
    }

    #[rstest]
    #[case::signature(
        403,
        "http://prom",
        r#"{"message":"Missing Authentication Token"}"#,
        "AWS Signature"
    )]
    #[case::amazon(
        403,
        "https://aps-workspaces.eu-west-1.amazonaws.com/x",
        "no",
        "AWS Signature"
    )]
    #[case::azure(
        401,
        "https://a.westeurope.prometheus.monitor.azure.com/x",
        "no",
        "Entra ID"
    )]
    #[case::other_status(
        404,
        "https://aps-workspaces.eu-west-1.amazonaws.com/x",
        "no",
        "the path"
    )]
    #[case::other_host(
        403,
        "https://amazonaws.com.example.com/x",
        "no",
        "PROMETHEUS_METHOD=GET"
    )]
    fn server_of_a_cloud_needs_a_proxy(
        #[case] status: u16,
        #[case] url: &str,
        #[case] message: &str,
        #[case] expected: &str,
    ) {
        let advice = status_advice(&destination(QueryMethod::Post, url), status, message);
        assert!(advice.contains(expected), "{advice}");
    }

    #[rstest]
    #[case(
        false,
        AlertDescription::CertificateRequired,
        "requires a client certificate"
    )]
    #[case(
        false,
        AlertDescription::HandshakeFailure,
        "if it requires a client certificate"
    )]
    #[case(true, AlertDescription::UnknownCA, "the server trusts its issuer")]
    fn alert_about_the_client_certificate_names_the_settings(
        #[case] configured: bool,
        #[case] alert: AlertDescription,
        #[case] expected: &str,
    ) {
        let to = Destination {
            client_certificate: configured,
            ..destination(QueryMethod::Post, "https://prom/api/v1/query")
        };
        let message = client_certificate(&to, alert);
        assert!(message.contains(expected), "{message}");
        assert!(
            message.contains("PROMETHEUS_CLIENT_CERTIFICATE_FILE"),
            "{message}"
        );
        assert!(message.contains(&format!("{alert:?}")), "{message}");
    }
}
