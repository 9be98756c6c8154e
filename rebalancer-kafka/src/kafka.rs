//! The adapter for one consumer group.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;

use crate::error::KafkaError;
use crate::settings::KafkaSettings;
use crate::tls;

/// Access to one consumer group of a Kafka cluster.
#[derive(Clone)]
pub struct Kafka {
    settings: KafkaSettings,
    tls: Option<Arc<ClientConfig>>,
}

impl fmt::Debug for Kafka {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The TLS set-up contains the key of the client certificate.
        f.debug_struct("Kafka")
            .field("settings", &self.settings)
            .field("tls", &self.tls.is_some())
            .finish()
    }
}

impl Kafka {
    /// Checks the settings and reads the certificates. Opens no connection.
    ///
    /// # Errors
    /// If a setting is not valid, or a file of TLS cannot be used. The files of passwords and tokens
    /// are read for each connection.
    pub fn new(settings: KafkaSettings) -> Result<Self, KafkaError> {
        if settings.group_id.is_empty() {
            return Err(KafkaError::EmptyGroupId);
        }
        if settings.window < Duration::from_millis(1) {
            return Err(KafkaError::BadWindow {
                window: settings.window,
            });
        }
        let tls = match &settings.security.tls {
            Some(tls) => Some(Arc::new(tls::client_config(tls)?)),
            None => None,
        };
        Ok(Self { settings, tls })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Security, Tls};

    fn settings() -> KafkaSettings {
        KafkaSettings::new("kafka:9092".parse().unwrap(), "orders")
    }

    #[test]
    fn bad_settings_are_errors() {
        let error = Kafka::new(KafkaSettings {
            group_id: String::new(),
            ..settings()
        });
        assert!(matches!(error, Err(KafkaError::EmptyGroupId)));
        let error = Kafka::new(KafkaSettings {
            window: Duration::ZERO,
            ..settings()
        });
        assert!(matches!(error, Err(KafkaError::BadWindow { .. })));
    }

    #[test]
    fn bad_ca_file_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let tls = Tls {
            ca_file: Some(file.path().into()),
            client_certificate: None,
        };
        let error = Kafka::new(KafkaSettings {
            security: Security {
                tls: Some(tls),
                sasl: None,
            },
            ..settings()
        })
        .unwrap_err()
        .to_string();
        assert!(error.starts_with("KAFKA_SSL_CA_FILE: "), "{error}");
        assert!(error.contains("no PEM certificate"), "{error}");
    }
}
