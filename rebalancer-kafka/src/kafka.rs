//! The adapter for one consumer group.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rebalancer_core::ports::{GroupObservation, GroupSource, PortError};

use crate::coordinator::KafkaCoordinator;
use crate::dialer::Dialer;
use crate::error::KafkaError;
use crate::group;
use crate::settings::KafkaSettings;
use crate::tls;

/// The `client.id` of connections that only read.
const CLIENT_ID: &str = "rebalancer";

/// Access to one consumer group of a Kafka cluster.
#[derive(Clone)]
pub struct Kafka {
    settings: KafkaSettings,
    dialer: Dialer,
}

impl fmt::Debug for Kafka {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The TLS set-up contains the key of the client certificate.
        f.debug_struct("Kafka")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Kafka {
    /// Checks the settings and reads the certificates. Opens no connection.
    ///
    /// # Errors
    /// If a setting is not valid, or a file of TLS cannot be used. The files of passwords and
    /// tokens are read for each connection.
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
        let has_client_certificate = settings
            .security
            .tls
            .as_ref()
            .is_some_and(|tls| tls.client_certificate.is_some());
        let dialer = Dialer {
            tls,
            has_client_certificate,
            sasl: settings.security.sasl.clone(),
            client_id: CLIENT_ID.into(),
            timeout: settings.timeout,
        };
        Ok(Self { settings, dialer })
    }

    /// Returns access to the coordinator of the group, for members that have this `client.id`.
    /// Opens no connection.
    #[must_use]
    pub fn coordinator(&self, client_id: impl Into<String>) -> KafkaCoordinator {
        let mut dialer = self.dialer.clone();
        dialer.client_id = client_id.into().into();
        let settings = &self.settings;
        let servers = settings.bootstrap_servers.clone();
        KafkaCoordinator::new(dialer, servers, settings.group_id.clone())
    }
}

#[async_trait]
impl GroupSource for Kafka {
    async fn group(&self) -> Result<Option<GroupObservation>, PortError> {
        let observation = group::observe(&self.settings, &self.dialer).await?;
        Ok(Some(observation))
    }
}

#[cfg(test)]
mod tests;
