//! Establishes connections: TCP, TLS, versions, authentication.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rebalancer_adapter::connect_timeout;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tracing::debug;

use crate::address::Address;
use crate::connection::{CallError, ConnectFailure, Connection, Stream, cause_of};
use crate::error::{DialError, KafkaError};
use crate::sasl;
use crate::settings::Sasl;

/// Establishes connections to the brokers of one cluster.
#[derive(Clone)]
pub(crate) struct Dialer {
    pub(crate) tls: Option<Arc<ClientConfig>>,
    /// Whether the TLS set-up has a client certificate.
    pub(crate) has_client_certificate: bool,
    pub(crate) sasl: Option<Sasl>,
    pub(crate) client_id: Arc<str>,
    /// The limit of one request.
    pub(crate) timeout: Duration,
}

impl Dialer {
    /// Whether connections are encrypted.
    pub(crate) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether connections are authenticated with SASL.
    pub(crate) fn is_sasl(&self) -> bool {
        self.sasl.is_some()
    }

    /// Connects to a broker. The error is a failure of the broker, or one of the settings.
    pub(crate) async fn dial(
        &self,
        broker: &Address,
    ) -> Result<Connection, Result<ConnectFailure, KafkaError>> {
        let connected = async {
            let stream = self.connect(broker).await?;
            let client_id = Arc::clone(&self.client_id);
            let mut connection =
                Connection::open(stream, broker.clone(), client_id, self.timeout).await?;
            if let Some(sasl) = &self.sasl {
                sasl::authenticate(&mut connection, sasl, self.timeout).await?;
            }
            Ok(connection)
        };
        match connected.await {
            Ok(connection) => {
                debug!(%broker, "connected to the broker");
                Ok(connection)
            }
            Err(error) => {
                let failure = match error {
                    DialError::Failure(failure) => failure,
                    DialError::File(error) => return Err(Err(error.into())),
                    DialError::Call(error) => self.failure(error),
                };
                debug!(%broker, %failure, "no connection to the broker");
                Err(Ok(failure))
            }
        }
    }

    /// The failure of one of the first requests of a connection.
    pub(crate) fn failure(&self, error: CallError) -> ConnectFailure {
        ConnectFailure::of_call(error, self.is_tls(), self.has_client_certificate)
    }

    async fn connect(&self, broker: &Address) -> Result<Box<dyn Stream>, ConnectFailure> {
        let limit = connect_timeout(self.timeout);
        let tcp = timeout(limit, connect_tcp(broker))
            .await
            .unwrap_or(Err(ConnectFailure::Timeout(limit)))?;
        // Requests are small, and each waits for its response. If the response does not come, the
        // system must not go on sending the request after the connection was given up.
        tcp.set_nodelay(true)
            .and_then(|()| tcp.set_zero_linger())
            .map_err(|error| ConnectFailure::Io(cause_of(&error)))?;
        let Some(tls) = &self.tls else {
            return Ok(Box::new(tcp));
        };
        let name = ServerName::try_from(broker.host.clone())
            .map_err(|error| ConnectFailure::Certificate(error.to_string()))?;
        let handshake = TlsConnector::from(Arc::clone(tls)).connect(name, tcp);
        match timeout(self.timeout, handshake).await {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err(error)) => Err(ConnectFailure::of_handshake(
                &error,
                self.has_client_certificate,
            )),
            Err(_) => Err(ConnectFailure::TlsHandshake(format!(
                "no response within {:?}",
                self.timeout
            ))),
        }
    }
}

/// Connects to the first address of a host that accepts. Reports the failure of the last one.
async fn connect_tcp(broker: &Address) -> Result<TcpStream, ConnectFailure> {
    let resolved = lookup_host((broker.host.as_str(), broker.port)).await;
    let addresses: Vec<SocketAddr> = match resolved {
        Ok(addresses) => addresses.collect(),
        Err(error) => return Err(ConnectFailure::Resolve(cause_of(&error))),
    };
    let mut last = ConnectFailure::Resolve("it has no address".to_owned());
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = ConnectFailure::Io(refused(&error)),
        }
    }
    Err(last)
}

fn refused(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::ConnectionRefused {
        "connection refused".to_owned()
    } else {
        cause_of(error)
    }
}
