//! Why a connection to a broker could not be established.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use rebalancer_adapter::{Secrets, causes, excerpt, root_cause};
use rebalancer_core::ports::PortErrorKind;
use rustls::{AlertDescription, Error as TlsError};

use super::CallError;
use crate::error_code::ErrorCode;
use crate::settings::SaslMechanism;

/// Why a connection to a broker could not be established. The message is the part after the address
/// of the broker; the remedy is separate, so that a list of brokers shows it once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectFailure {
    /// The host name has no address.
    #[error("the name does not resolve ({0})")]
    Resolve(String),
    /// The connection was refused or failed.
    #[error("{0}")]
    Io(String),
    /// The connection was not established in time.
    #[error("no connection within {0:?}")]
    Timeout(Duration),
    /// The broker does not answer the first request in time.
    #[error("connected, but no response within {0:?}")]
    NoResponse(Duration),
    /// The broker's certificate is not accepted.
    #[error("the broker's certificate is not accepted: {0}")]
    Certificate(String),
    /// The broker requires a client certificate, or does not accept the configured one.
    #[error(
        "the broker {} (TLS alert {alert:?})",
        if *is_configured { "does not accept the client certificate" } else { "ended the TLS handshake" }
    )]
    ClientCertificate {
        /// The alert.
        alert: AlertDescription,
        /// Whether a client certificate is configured.
        is_configured: bool,
    },
    /// The TLS handshake failed for a reason other than a certificate.
    #[error("the TLS handshake failed: {0}")]
    TlsHandshake(String),
    /// The broker answers in TLS, but the connection is not encrypted.
    #[error("the listener uses TLS, but the connection is not encrypted")]
    TlsRequired,
    /// The broker closed the connection instead of answering the first request.
    #[error("the broker closed the connection without a response ({cause})")]
    ClosedAtOnce {
        /// The cause.
        cause: String,
        /// Whether the connection is encrypted.
        is_tls: bool,
    },
    /// The broker closed the connection after a request without authentication.
    #[error("the broker closed the connection after a request without authentication")]
    SaslRequired {
        /// Whether the connection is encrypted.
        is_tls: bool,
    },
    /// The listener does not use SASL.
    #[error("the listener does not use SASL")]
    NoSasl,
    /// The mechanism is not enabled.
    #[error(
        "the SASL mechanism {mechanism} is not enabled; enabled: {}",
        list(enabled)
    )]
    Mechanism {
        /// The mechanism.
        mechanism: SaslMechanism,
        /// The mechanisms that the broker has enabled.
        enabled: Vec<String>,
    },
    /// The credentials are not accepted.
    #[error(
        "authentication with {mechanism}{} failed: {message}",
        username.as_ref().map(|name| format!(" as `{name}`")).unwrap_or_default()
    )]
    Authentication {
        /// The mechanism.
        mechanism: SaslMechanism,
        /// The user name, if the mechanism has one.
        username: Option<String>,
        /// The message of the broker, without secrets.
        message: String,
    },
    /// The broker answered the first requests with an error.
    #[error("the broker refuses the connection: {0}")]
    Refused(ErrorCode),
    /// The server does not speak Kafka's protocol.
    #[error("the response is not one of Kafka ({0})")]
    NotKafka(String),
    /// The broker is too old.
    #[error("{0}")]
    TooOld(String),
}

fn list(words: &[String]) -> String {
    if words.is_empty() {
        return "none".to_owned();
    }
    let text = words.join(", ");
    excerpt(text.as_bytes(), &Secrets::default())
}

impl ConnectFailure {
    /// The action that fixes the failure.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Resolve(_) | Self::Io(_) => {
                "check KAFKA_BOOTSTRAP_SERVERS and that the brokers are up"
            }
            Self::Timeout(_) => "check KAFKA_BOOTSTRAP_SERVERS, network policies and firewalls",
            Self::NoResponse(_) => {
                "check KAFKA_SECURITY_PROTOCOL and the load of the broker, or increase KAFKA_TIMEOUT"
            }
            Self::Certificate(_) => {
                "add the certificate of its CA with KAFKA_SSL_CA_FILE, and use host names that the \
                 certificate contains"
            }
            Self::ClientCertificate {
                is_configured: true,
                ..
            } => {
                "check that the certificate of KAFKA_SSL_CERTIFICATE_FILE has not expired, and \
                 that the broker trusts its issuer"
            }
            Self::ClientCertificate {
                is_configured: false,
                ..
            } => {
                "the listener may require a client certificate: set KAFKA_SSL_CERTIFICATE_FILE \
                 and KAFKA_SSL_KEY_FILE"
            }
            Self::TlsHandshake(_) => "check that the listener uses TLS (KAFKA_SECURITY_PROTOCOL)",
            Self::TlsRequired => "set KAFKA_SECURITY_PROTOCOL to SSL or SASL_SSL",
            Self::ClosedAtOnce { is_tls: false, .. } => {
                "the listener may use TLS (set KAFKA_SECURITY_PROTOCOL to SSL or SASL_SSL), or may \
                 not be one of Kafka"
            }
            Self::ClosedAtOnce { is_tls: true, .. } => {
                "check KAFKA_SECURITY_PROTOCOL, and whether the listener requires a client \
                 certificate (KAFKA_SSL_CERTIFICATE_FILE)"
            }
            Self::SaslRequired { is_tls: false } => {
                "the listener may use SASL: set KAFKA_SECURITY_PROTOCOL to SASL_PLAINTEXT"
            }
            Self::SaslRequired { is_tls: true } => {
                "the listener may use SASL: set KAFKA_SECURITY_PROTOCOL to SASL_SSL"
            }
            Self::NoSasl => "set KAFKA_SECURITY_PROTOCOL to PLAINTEXT or SSL",
            Self::Mechanism { .. } => "set KAFKA_SASL_MECHANISM to one that is enabled",
            Self::Authentication {
                username: Some(_), ..
            } => {
                "check KAFKA_SASL_USERNAME and the password (KAFKA_SASL_PASSWORD_FILE or KAFKA_SASL_PASSWORD)"
            }
            Self::Authentication { username: None, .. } => {
                "check that the token of KAFKA_SASL_OAUTHBEARER_TOKEN_FILE has not expired, and that the broker \
                 accepts its issuer, audience and scope"
            }
            Self::Refused(_) => "check the log of the broker",
            Self::NotKafka(_) => "check the port in KAFKA_BOOTSTRAP_SERVERS",
            Self::TooOld(_) => "Kafka 2.8 or newer is required",
        }
    }

    /// The kind of the failure, as the port defines it.
    #[must_use]
    pub fn kind(&self) -> PortErrorKind {
        match self {
            Self::Resolve(_) | Self::Io(_) | Self::ClosedAtOnce { .. } => {
                PortErrorKind::Unreachable
            }
            Self::Timeout(_) | Self::NoResponse(_) => PortErrorKind::Timeout,
            Self::Certificate(_)
            | Self::ClientCertificate { .. }
            | Self::TlsHandshake(_)
            | Self::TlsRequired => PortErrorKind::Tls,
            Self::SaslRequired { .. }
            | Self::NoSasl
            | Self::Mechanism { .. }
            | Self::Authentication { .. } => PortErrorKind::Unauthorized,
            Self::Refused(_) | Self::TooOld(_) => PortErrorKind::Rejected,
            Self::NotKafka(_) => PortErrorKind::BadAnswer,
        }
    }

    /// Whether every other broker would answer the same. Then no other broker is tried: repeated
    /// failures can lock an account.
    pub(crate) fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Authentication { .. } | Self::Mechanism { .. } | Self::NoSasl
        )
    }

    /// A failure of the TLS handshake.
    pub(crate) fn of_handshake(error: &io::Error, is_configured: bool) -> Self {
        match causes(error).find_map(|cause| cause.downcast_ref::<TlsError>()) {
            Some(tls @ TlsError::InvalidCertificate(_)) => Self::Certificate(tls.to_string()),
            Some(TlsError::AlertReceived(alert)) if is_about_client_certificate(*alert) => {
                Self::ClientCertificate {
                    alert: *alert,
                    is_configured,
                }
            }
            Some(TlsError::InvalidMessage(_)) => {
                Self::TlsHandshake("the response is not TLS".to_owned())
            }
            Some(tls) => Self::TlsHandshake(tls.to_string()),
            None if error.kind() == io::ErrorKind::UnexpectedEof => {
                Self::TlsHandshake("the broker closed the connection".to_owned())
            }
            None => Self::TlsHandshake(cause_of(error)),
        }
    }

    /// A failure of one of the first requests of a connection.
    pub(crate) fn of_call(error: CallError, is_tls: bool, is_configured: bool) -> Self {
        match error {
            CallError::Alert(alert) if is_about_client_certificate(alert) => {
                Self::ClientCertificate {
                    alert,
                    is_configured,
                }
            }
            CallError::Alert(alert) => Self::TlsHandshake(format!("TLS alert {alert:?}")),
            CallError::Timeout(limit) => Self::NoResponse(limit),
            CallError::Closed(cause) => Self::ClosedAtOnce { cause, is_tls },
            // An alert: type 21, version 3.
            CallError::NotKafka([0x15, 3, ..]) if !is_tls => Self::TlsRequired,
            CallError::NotKafka(bytes) => {
                let shown = excerpt(&bytes, &Secrets::default());
                Self::NotKafka(format!("it begins with `{shown}`"))
            }
            CallError::Malformed(reason) => Self::NotKafka(reason.to_string()),
            CallError::Unsupported {
                name,
                needed,
                supported,
            } => Self::TooOld(too_old(name, needed, supported)),
        }
    }
}

/// The message about a broker that does not support a version.
pub(crate) fn too_old(
    name: &str,
    (oldest, newest): (i16, i16),
    supported: Option<(i16, i16)>,
) -> String {
    let needed = if oldest == newest {
        format!("version {oldest}")
    } else {
        format!("a version from {oldest} to {newest}")
    };
    match supported {
        Some((min, max)) => {
            format!("{name} is needed in {needed}, and the broker supports {min} to {max}")
        }
        None => format!("{name} is needed in {needed}, and the broker does not support it"),
    }
}

/// The innermost cause of an I/O error, on one line.
pub(crate) fn cause_of(error: &(dyn StdError + 'static)) -> String {
    excerpt(root_cause(error).as_bytes(), &Secrets::default())
}

/// Whether a server sends the alert when it rejects a client certificate, or the lack of one.
fn is_about_client_certificate(alert: AlertDescription) -> bool {
    [
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
    ]
    .contains(&alert)
}
