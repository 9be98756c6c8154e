//! The settings of the adapter.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use rebalancer_adapter::ClientCertificate;

use crate::address::BootstrapServers;

/// The settings of a [`Kafka`](crate::Kafka). Their `Debug` shows no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaSettings {
    /// `KAFKA_BOOTSTRAP_SERVERS`.
    pub bootstrap_servers: BootstrapServers,
    /// `GROUP_ID`.
    pub group_id: String,
    /// TLS and authentication.
    pub security: Security,
    /// `KAFKA_TIMEOUT`: the limit for one request, from the connection to the last byte of the
    /// response. Requests that wait for members of the group have limits of their own.
    pub timeout: Duration,
    /// `METRICS_TIME_WINDOW`: the window of the rates, at least one millisecond.
    pub window: Duration,
    /// Whether the heartbeat interval of a group of the consumer protocol (KIP-848) is read.
    pub reads_heartbeat: bool,
}

impl KafkaSettings {
    /// The default of [`timeout`](Self::timeout).
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
    /// The default of [`window`](Self::window).
    pub const DEFAULT_WINDOW: Duration = Duration::from_secs(5 * 60);

    /// Settings with the defaults: no TLS and no authentication.
    #[must_use]
    pub fn new(bootstrap_servers: BootstrapServers, group_id: impl Into<String>) -> Self {
        Self {
            bootstrap_servers,
            group_id: group_id.into(),
            security: Security::default(),
            timeout: Self::DEFAULT_TIMEOUT,
            window: Self::DEFAULT_WINDOW,
            reads_heartbeat: false,
        }
    }
}

/// The security of connections, in a form in which no setting contradicts another.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Security {
    /// TLS; `None` for connections without encryption.
    pub tls: Option<Tls>,
    /// SASL; `None` for connections without it.
    pub sasl: Option<Sasl>,
}

impl Security {
    /// The security protocol, as Kafka names it.
    #[must_use]
    pub fn protocol(&self) -> SecurityProtocol {
        match (&self.tls, &self.sasl) {
            (None, None) => SecurityProtocol::Plaintext,
            (Some(_), None) => SecurityProtocol::Ssl,
            (None, Some(_)) => SecurityProtocol::SaslPlaintext,
            (Some(_), Some(_)) => SecurityProtocol::SaslSsl,
        }
    }
}

/// The files of TLS. They are read when a [`Kafka`](crate::Kafka) is created.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// `KAFKA_SSL_CA_FILE`: PEM certificates of authorities, or the certificate of the brokers
    /// itself. They are trusted in addition to the system's.
    pub ca_file: Option<PathBuf>,
    /// `KAFKA_SSL_CERTIFICATE_FILE` and `KAFKA_SSL_KEY_FILE`: the certificate that the program
    /// presents to brokers.
    pub client_certificate: Option<ClientCertificate>,
}

/// A SASL mechanism with its credentials. The files are read again for each connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sasl {
    /// A user name and a password.
    Password {
        /// `KAFKA_SASL_MECHANISM`.
        mechanism: PasswordMechanism,
        /// `KAFKA_SASL_USERNAME`: not empty.
        username: String,
        /// `KAFKA_SASL_PASSWORD` or `KAFKA_SASL_PASSWORD_FILE`.
        password: Password,
    },
    /// OAUTHBEARER.
    Token {
        /// `KAFKA_SASL_OAUTHBEARER_TOKEN_FILE`: the token. White space around it is not part of it.
        token_file: PathBuf,
    },
}

impl Sasl {
    /// The mechanism, as Kafka names it.
    #[must_use]
    pub fn mechanism(&self) -> SaslMechanism {
        match self {
            Self::Password { mechanism, .. } => match mechanism {
                PasswordMechanism::Plain => SaslMechanism::Plain,
                PasswordMechanism::ScramSha256 => SaslMechanism::ScramSha256,
                PasswordMechanism::ScramSha512 => SaslMechanism::ScramSha512,
            },
            Self::Token { .. } => SaslMechanism::OAuthBearer,
        }
    }
}

/// The source of a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Password {
    /// `KAFKA_SASL_PASSWORD`: the password itself.
    Text(SecretText),
    /// `KAFKA_SASL_PASSWORD_FILE`: a file, which is read again for each connection. A line ending
    /// at the end is not part of the password.
    File(PathBuf),
}

/// A text that `Debug` does not show.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    /// Wraps a secret.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// A SASL mechanism with a user name and a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PasswordMechanism {
    /// `PLAIN`: the password is sent to the broker.
    Plain,
    /// `SCRAM-SHA-256`.
    ScramSha256,
    /// `SCRAM-SHA-512`.
    ScramSha512,
}

/// A text that is not one of the words of a setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not one of {words}")]
pub struct UnknownWord {
    /// The text.
    pub text: String,
    /// The words, separated by commas.
    pub words: String,
}

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
        pub enum $name { $($(#[$variant_meta])* $variant,)* }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word, as in the configuration of Kafka's own clients.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            /// Parses the word in any case.
            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                let known = Self::ALL.iter();
                let mut known = known.filter(|value| value.as_str().eq_ignore_ascii_case(text));
                known.next().copied().ok_or_else(|| UnknownWord {
                    text: text.to_owned(),
                    words: Self::ALL.iter().map(|value| value.as_str()).collect::<Vec<_>>().join(", "),
                })
            }
        }
    };
}

words! {
    /// `KAFKA_SECURITY_PROTOCOL`.
    SecurityProtocol {
        /// Neither encryption nor authentication.
        #[default]
        Plaintext = "PLAINTEXT",
        /// TLS.
        Ssl = "SSL",
        /// SASL without encryption.
        SaslPlaintext = "SASL_PLAINTEXT",
        /// SASL over TLS.
        SaslSsl = "SASL_SSL",
    }
}

words! {
    /// `KAFKA_SASL_MECHANISM`.
    SaslMechanism {
        /// A user name and a password, which is sent to the broker.
        #[default]
        Plain = "PLAIN",
        /// A user name and a password, which is proved and not sent.
        ScramSha256 = "SCRAM-SHA-256",
        /// A user name and a password, which is proved and not sent.
        ScramSha512 = "SCRAM-SHA-512",
        /// A token.
        OAuthBearer = "OAUTHBEARER",
    }
}

/// The settings for security as an operator sets them, each on its own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SecuritySettings {
    /// `KAFKA_SECURITY_PROTOCOL`.
    pub protocol: SecurityProtocol,
    /// `KAFKA_SASL_MECHANISM`.
    pub mechanism: Option<SaslMechanism>,
    /// `KAFKA_SASL_USERNAME`.
    pub username: Option<String>,
    /// `KAFKA_SASL_PASSWORD`.
    pub password: Option<SecretText>,
    /// `KAFKA_SASL_PASSWORD_FILE`.
    pub password_file: Option<PathBuf>,
    /// `KAFKA_SASL_OAUTHBEARER_TOKEN_FILE`.
    pub token_file: Option<PathBuf>,
    /// `KAFKA_SSL_CA_FILE`.
    pub ca_file: Option<PathBuf>,
    /// `KAFKA_SSL_CERTIFICATE_FILE`.
    pub client_certificate_file: Option<PathBuf>,
    /// `KAFKA_SSL_KEY_FILE`.
    pub client_key_file: Option<PathBuf>,
}

/// A setting for security.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecuritySetting {
    /// `KAFKA_SECURITY_PROTOCOL`.
    Protocol,
    /// `KAFKA_SASL_MECHANISM`.
    Mechanism,
    /// `KAFKA_SASL_USERNAME`.
    Username,
    /// `KAFKA_SASL_PASSWORD`.
    Password,
    /// `KAFKA_SASL_PASSWORD_FILE`.
    PasswordFile,
    /// `KAFKA_SASL_OAUTHBEARER_TOKEN_FILE`.
    TokenFile,
    /// `KAFKA_SSL_CA_FILE`.
    CaFile,
    /// `KAFKA_SSL_CERTIFICATE_FILE`.
    ClientCertificateFile,
    /// `KAFKA_SSL_KEY_FILE`.
    ClientKeyFile,
}

impl SecuritySetting {
    /// The name of the environment variable.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Protocol => "KAFKA_SECURITY_PROTOCOL",
            Self::Mechanism => "KAFKA_SASL_MECHANISM",
            Self::Username => "KAFKA_SASL_USERNAME",
            Self::Password => "KAFKA_SASL_PASSWORD",
            Self::PasswordFile => "KAFKA_SASL_PASSWORD_FILE",
            Self::TokenFile => "KAFKA_SASL_OAUTHBEARER_TOKEN_FILE",
            Self::CaFile => "KAFKA_SSL_CA_FILE",
            Self::ClientCertificateFile => "KAFKA_SSL_CERTIFICATE_FILE",
            Self::ClientKeyFile => "KAFKA_SSL_KEY_FILE",
        }
    }
}

/// Settings for security that contradict each other, or of which one is missing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {reason}", setting.name())]
pub struct InvalidSecurity {
    /// The setting to change.
    pub setting: SecuritySetting,
    /// The conflict or the missing setting.
    pub reason: String,
}

impl SecuritySettings {
    /// Returns the security that the settings select.
    ///
    /// # Errors
    /// Every setting that is missing, or that has no effect with the others. A setting without an
    /// effect is an error, because an operator who sets a password expects it to be used.
    pub fn resolve(&self) -> Result<Security, Vec<InvalidSecurity>> {
        let mut problems = Vec::new();
        let (is_tls, is_sasl) = match self.protocol {
            SecurityProtocol::Plaintext => (false, false),
            SecurityProtocol::Ssl => (true, false),
            SecurityProtocol::SaslPlaintext => (false, true),
            SecurityProtocol::SaslSsl => (true, true),
        };
        let tls = self.tls(is_tls, &mut problems);
        let sasl = self.sasl(is_sasl, &mut problems);
        if problems.is_empty() {
            Ok(Security { tls, sasl })
        } else {
            Err(problems)
        }
    }

    fn tls(&self, is_tls: bool, problems: &mut Vec<InvalidSecurity>) -> Option<Tls> {
        let mut problem = |setting, reason: String| {
            problems.push(InvalidSecurity { setting, reason });
        };
        if !is_tls {
            let files = [
                (&self.ca_file, SecuritySetting::CaFile),
                (
                    &self.client_certificate_file,
                    SecuritySetting::ClientCertificateFile,
                ),
                (&self.client_key_file, SecuritySetting::ClientKeyFile),
            ];
            for (_, setting) in files.into_iter().filter(|(file, _)| file.is_some()) {
                let protocol = self.protocol;
                problem(
                    setting,
                    format!(
                        "it needs TLS, but KAFKA_SECURITY_PROTOCOL is {protocol}; set SSL or \
                         SASL_SSL"
                    ),
                );
            }
            return None;
        }
        let client_certificate = match (&self.client_certificate_file, &self.client_key_file) {
            (None, None) => None,
            (Some(certificate_file), Some(key_file)) => Some(ClientCertificate {
                certificate_file: certificate_file.clone(),
                key_file: key_file.clone(),
            }),
            (Some(_), None) => {
                let reason = "KAFKA_SSL_KEY_FILE must be set as well".to_owned();
                problem(SecuritySetting::ClientCertificateFile, reason);
                None
            }
            (None, Some(_)) => {
                let reason = "KAFKA_SSL_CERTIFICATE_FILE must be set as well".to_owned();
                problem(SecuritySetting::ClientKeyFile, reason);
                None
            }
        };
        Some(Tls {
            ca_file: self.ca_file.clone(),
            client_certificate,
        })
    }

    fn sasl(&self, is_sasl: bool, problems: &mut Vec<InvalidSecurity>) -> Option<Sasl> {
        let mut problem = |setting, reason: String| {
            problems.push(InvalidSecurity { setting, reason });
        };
        if !is_sasl {
            let settings = [
                (self.mechanism.is_some(), SecuritySetting::Mechanism),
                (self.username.is_some(), SecuritySetting::Username),
                (self.password.is_some(), SecuritySetting::Password),
                (self.password_file.is_some(), SecuritySetting::PasswordFile),
                (self.token_file.is_some(), SecuritySetting::TokenFile),
            ];
            for (_, setting) in settings.into_iter().filter(|(is_set, _)| *is_set) {
                let protocol = self.protocol;
                problem(
                    setting,
                    format!(
                        "it needs SASL, but KAFKA_SECURITY_PROTOCOL is {protocol}; set \
                         SASL_PLAINTEXT or SASL_SSL"
                    ),
                );
            }
            return None;
        }
        let mechanism = match self.mechanism {
            Some(SaslMechanism::OAuthBearer) => None,
            Some(SaslMechanism::Plain) => Some(PasswordMechanism::Plain),
            Some(SaslMechanism::ScramSha256) => Some(PasswordMechanism::ScramSha256),
            Some(SaslMechanism::ScramSha512) => Some(PasswordMechanism::ScramSha512),
            None => {
                problem(
                    SecuritySetting::Protocol,
                    format!(
                        "{} needs KAFKA_SASL_MECHANISM: set PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 \
                         or OAUTHBEARER",
                        self.protocol
                    ),
                );
                return None;
            }
        };
        let Some(mechanism) = mechanism else {
            let unused = [
                (self.username.is_some(), SecuritySetting::Username),
                (self.password.is_some(), SecuritySetting::Password),
                (self.password_file.is_some(), SecuritySetting::PasswordFile),
            ];
            for (_, setting) in unused.into_iter().filter(|(is_set, _)| *is_set) {
                let reason = "KAFKA_SASL_MECHANISM OAUTHBEARER does not use it; remove it";
                problem(setting, reason.to_owned());
            }
            if self.token_file.is_none() {
                let reason = "OAUTHBEARER needs KAFKA_SASL_OAUTHBEARER_TOKEN_FILE".to_owned();
                problem(SecuritySetting::Mechanism, reason);
            }
            let token_file = self.token_file.clone()?;
            return Some(Sasl::Token { token_file });
        };
        let word = self.mechanism.unwrap_or_default();
        if self.token_file.is_some() {
            problem(
                SecuritySetting::TokenFile,
                format!("KAFKA_SASL_MECHANISM {word} does not use it; remove it"),
            );
        }
        let username = self.username.clone().filter(|name| !name.is_empty());
        if username.is_none() {
            let reason = format!("{word} needs KAFKA_SASL_USERNAME");
            problem(SecuritySetting::Mechanism, reason);
        }
        let password = match (&self.password, &self.password_file) {
            (Some(text), None) => Some(Password::Text(text.clone())),
            (None, Some(file)) => Some(Password::File(file.clone())),
            (None, None) => {
                let reason =
                    format!("{word} needs KAFKA_SASL_PASSWORD_FILE or KAFKA_SASL_PASSWORD");
                problem(SecuritySetting::Mechanism, reason);
                None
            }
            (Some(_), Some(_)) => {
                let reason = "KAFKA_SASL_PASSWORD is set as well; remove one of the two";
                problem(SecuritySetting::PasswordFile, reason.to_owned());
                None
            }
        };
        Some(Sasl::Password {
            mechanism,
            username: username?,
            password: password?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn settings(text: &str) -> SecuritySettings {
        let mut settings = SecuritySettings::default();
        for pair in text.split_whitespace() {
            let (name, value) = pair.split_once('=').unwrap();
            match name {
                "protocol" => settings.protocol = value.parse().unwrap(),
                "mechanism" => settings.mechanism = Some(value.parse().unwrap()),
                "username" => settings.username = Some(value.into()),
                "password" => settings.password_file = Some(value.into()),
                "text" => settings.password = Some(SecretText::new(value)),
                "token" => settings.token_file = Some(value.into()),
                "ca" => settings.ca_file = Some(value.into()),
                "certificate" => settings.client_certificate_file = Some(value.into()),
                "key" => settings.client_key_file = Some(value.into()),
                other => panic!("{other}"),
            }
        }
        settings
    }

    #[rstest]
    #[case("protocol=PLAINTEXT", SecurityProtocol::Plaintext, None)]
    #[case("protocol=ssl ca=a certificate=c key=k", SecurityProtocol::Ssl, None)]
    #[case("protocol=SSL", SecurityProtocol::Ssl, None)]
    #[case(
        "protocol=SASL_PLAINTEXT mechanism=PLAIN username=u password=p",
        SecurityProtocol::SaslPlaintext,
        Some(SaslMechanism::Plain)
    )]
    #[case(
        "protocol=SASL_SSL mechanism=scram-sha-256 username=u password=p",
        SecurityProtocol::SaslSsl,
        Some(SaslMechanism::ScramSha256)
    )]
    #[case(
        "protocol=SASL_SSL mechanism=SCRAM-SHA-512 username=u password=p certificate=c key=k",
        SecurityProtocol::SaslSsl,
        Some(SaslMechanism::ScramSha512)
    )]
    #[case(
        "protocol=SASL_SSL mechanism=OAUTHBEARER token=t ca=a",
        SecurityProtocol::SaslSsl,
        Some(SaslMechanism::OAuthBearer)
    )]
    fn consistent_settings_are_accepted(
        #[case] text: &str,
        #[case] protocol: SecurityProtocol,
        #[case] mechanism: Option<SaslMechanism>,
    ) {
        let security = settings(text).resolve().unwrap();
        assert_eq!(security.protocol(), protocol);
        assert_eq!(security.sasl.as_ref().map(Sasl::mechanism), mechanism);
    }

    #[rstest]
    #[case("ca=a", &["KAFKA_SSL_CA_FILE: it needs TLS, but KAFKA_SECURITY_PROTOCOL is PLAINTEXT"])]
    #[case(
        "username=u password=p",
        &["KAFKA_SASL_USERNAME: it needs SASL", "KAFKA_SASL_PASSWORD_FILE: it needs SASL"]
    )]
    #[case("protocol=SSL key=k", &["KAFKA_SSL_KEY_FILE: KAFKA_SSL_CERTIFICATE_FILE must be set"])]
    #[case("protocol=SSL certificate=k", &["KAFKA_SSL_CERTIFICATE_FILE: KAFKA_SSL_KEY_FILE must"])]
    #[case("protocol=SASL_SSL", &["KAFKA_SECURITY_PROTOCOL: SASL_SSL needs KAFKA_SASL_MECHANISM"])]
    #[case(
        "protocol=SASL_SSL mechanism=PLAIN token=t",
        &[
            "KAFKA_SASL_OAUTHBEARER_TOKEN_FILE: KAFKA_SASL_MECHANISM PLAIN does not use it",
            "KAFKA_SASL_MECHANISM: PLAIN needs KAFKA_SASL_USERNAME",
            "KAFKA_SASL_MECHANISM: PLAIN needs KAFKA_SASL_PASSWORD_FILE",
        ]
    )]
    #[case(
        "protocol=SASL_SSL mechanism=PLAIN username=u password=p text=t",
        &["KAFKA_SASL_PASSWORD_FILE: KAFKA_SASL_PASSWORD is set as well; remove one of the two"]
    )]
    #[case("text=t", &["KAFKA_SASL_PASSWORD: it needs SASL"])]
    #[case(
        "protocol=SASL_SSL mechanism=OAUTHBEARER username=u",
        &[
            "KAFKA_SASL_USERNAME: KAFKA_SASL_MECHANISM OAUTHBEARER does not use it",
            "KAFKA_SASL_MECHANISM: OAUTHBEARER needs KAFKA_SASL_OAUTHBEARER_TOKEN_FILE",
        ]
    )]
    fn every_contradiction_is_reported(#[case] text: &str, #[case] expected: &[&str]) {
        let problems = settings(text).resolve().unwrap_err();
        let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(shown.len(), expected.len(), "{shown:?}");
        for (shown, expected) in shown.iter().zip(expected) {
            assert!(shown.starts_with(expected), "{shown}");
        }
    }

    #[test]
    fn password_is_not_shown() {
        let text = "protocol=SASL_SSL mechanism=PLAIN username=u text=hunter2";
        let security = settings(text).resolve().unwrap();
        let Some(Sasl::Password {
            password: Password::Text(password),
            ..
        }) = &security.sasl
        else {
            panic!("{security:?}");
        };
        assert_eq!(password.expose(), "hunter2");
        let shown = format!("{security:?} {:?}", settings(text));
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn unknown_word_lists_the_known_ones() {
        let error = "TLS".parse::<SecurityProtocol>().unwrap_err().to_string();
        assert_eq!(
            error,
            "`TLS` is not one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"
        );
    }
}
