//! A cluster: its brokers, the coordinator of a group, and topics.

use tracing::debug;

use crate::address::{Address, BootstrapServers};
use crate::connection::{CallError, ConnectFailure, Connection};
use crate::dialer::Dialer;
use crate::error::{Action, KafkaError, RequestFailure};
use crate::error_code::ErrorCode;
use crate::messages::{BrokerMetadata, ClusterMetadata, FindCoordinator, Metadata, Request};

/// A cluster, through one connected broker.
pub(crate) struct Cluster<'a> {
    dialer: &'a Dialer,
    /// A connection to the first bootstrap server that answered.
    any: Connection,
    pub(crate) brokers: Vec<BrokerMetadata>,
    pub(crate) cluster_id: Option<String>,
}

impl<'a> Cluster<'a> {
    /// Connects to the first bootstrap server that answers.
    pub(crate) async fn connect(
        dialer: &'a Dialer,
        servers: &BootstrapServers,
    ) -> Result<Self, KafkaError> {
        let mut failures = Vec::new();
        for address in servers.addresses() {
            let failure = match dialer.dial(address).await {
                Ok(mut any) => match first_metadata(&mut any, dialer).await {
                    Ok(metadata) => {
                        let ClusterMetadata {
                            brokers,
                            cluster_id,
                            topics: _,
                        } = metadata;
                        debug!(brokers = brokers.len(), ?cluster_id, "read the cluster");
                        return Ok(Self {
                            dialer,
                            any,
                            brokers,
                            cluster_id,
                        });
                    }
                    Err(failure) => failure,
                },
                Err(Ok(failure)) => failure,
                Err(Err(setup)) => return Err(setup),
            };
            let is_final = failure.is_final();
            failures.push((address.clone(), failure));
            if is_final {
                break;
            }
        }
        Err(KafkaError::NoBroker { failures })
    }

    /// Sends a request to the connected broker.
    pub(crate) async fn call<R: Request>(
        &mut self,
        action: impl FnOnce() -> Action,
        request: &R,
    ) -> Result<R::Response, KafkaError> {
        call(&mut self.any, self.dialer, action, request).await
    }

    /// Finds the coordinator of a group and connects to it.
    pub(crate) async fn coordinator(&mut self, group: &str) -> Result<Connection, KafkaError> {
        let action = || Action::FindCoordinator(group.to_owned());
        let found = self.call(action, &FindCoordinator { group }).await?;
        check_group(found.error, group, self.any.broker(), action)?;
        connect(self.dialer, &found.address).await
    }

    /// Connects to a broker by its advertised address.
    pub(crate) async fn broker(&self, address: &Address) -> Result<Connection, KafkaError> {
        connect(self.dialer, address).await
    }

    /// Reads topics, and the brokers again.
    pub(crate) async fn topics(
        &mut self,
        topics: &[String],
    ) -> Result<ClusterMetadata, KafkaError> {
        let metadata = self.call(|| Action::Topics, &Metadata { topics }).await?;
        self.brokers.clone_from(&metadata.brokers);
        Ok(metadata)
    }

    /// The address of the connected broker.
    pub(crate) fn connected_broker(&self) -> &Address {
        self.any.broker()
    }

    /// The dialer of the cluster's connections.
    pub(crate) fn dialer(&self) -> &'a Dialer {
        self.dialer
    }
}

/// The first request of a connection after its set-up. A listener that requires SASL closes the
/// connection at it.
async fn first_metadata(
    connection: &mut Connection,
    dialer: &Dialer,
) -> Result<ClusterMetadata, ConnectFailure> {
    let request = Metadata { topics: &[] };
    connection
        .call(&request, dialer.timeout)
        .await
        .map_err(|error| {
            if matches!(error, CallError::Closed(_)) && !dialer.is_sasl() {
                let is_tls = dialer.is_tls();
                ConnectFailure::SaslRequired { is_tls }
            } else {
                dialer.failure(error)
            }
        })
}

/// Connects to a broker by its advertised address.
async fn connect(dialer: &Dialer, address: &Address) -> Result<Connection, KafkaError> {
    dialer.dial(address).await.map_err(|error| match error {
        Ok(failure) => KafkaError::AdvertisedBroker {
            broker: address.clone(),
            failure,
        },
        Err(setup) => setup,
    })
}

/// Sends a request within the usual limit.
pub(crate) async fn call<R: Request>(
    connection: &mut Connection,
    dialer: &Dialer,
    action: impl FnOnce() -> Action,
    request: &R,
) -> Result<R::Response, KafkaError> {
    let result = connection.call(request, dialer.timeout).await;
    result.map_err(|error| KafkaError::Request {
        action: action(),
        broker: connection.broker().clone(),
        failure: error.into(),
    })
}

/// Checks the error code of a response about a group.
pub(crate) fn check_group(
    error: ErrorCode,
    group: &str,
    broker: &Address,
    action: impl FnOnce() -> Action,
) -> Result<(), KafkaError> {
    match error {
        ErrorCode::NONE => Ok(()),
        ErrorCode::GROUP_AUTHORIZATION_FAILED => Err(KafkaError::NotAuthorizedForGroup {
            group: group.to_owned(),
            action: action(),
        }),
        code => Err(KafkaError::Request {
            action: action(),
            broker: broker.clone(),
            failure: RequestFailure::Code(code),
        }),
    }
}
