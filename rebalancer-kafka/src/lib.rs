//! The adapter for Kafka: reads a consumer group from the brokers, hands assignments out to it, and
//! removes members.
//!
//! [`KafkaSettings`] say which cluster and which group. [`Kafka::new`] checks them and reads the
//! certificates; it opens no connection. Files with secrets are read again for each connection,
//! because tokens and passwords are rotated while a program runs.
//!
//! ```no_run
//! use rebalancer_kafka::{BootstrapServers, Kafka, KafkaError, KafkaSettings};
//!
//! use rebalancer_core::ports::{GroupSource, PortError};
//!
//! # async fn example() -> Result<(), PortError> {
//! let servers: BootstrapServers = "kafka-0:9092,kafka-1:9092".parse().map_err(KafkaError::from)?;
//! let kafka = Kafka::new(KafkaSettings::new(servers, "orders"))?;
//! if let Some(group) = kafka.group().await? {
//!     println!("{} partitions", group.owners.len());
//! }
//! # Ok(())
//! # }
//! ```

mod address;
mod client_family;
mod cluster;
mod connection;
mod consumer_protocol;
mod coordinator;
mod dialer;
mod error;
mod error_code;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod group;
mod kafka;
mod messages;
mod sasl;
mod settings;
#[cfg(test)]
mod testing;
mod tls;
mod wire;

pub use address::{Address, BootstrapServers, InvalidServers};
pub use connection::ConnectFailure;
pub use coordinator::KafkaCoordinator;
pub use error::{Action, KafkaError, RequestFailure};
pub use error_code::ErrorCode;
pub use kafka::Kafka;
pub use rebalancer_adapter::ClientCertificate;
pub use settings::{
    InvalidSecurity, KafkaSettings, Password, PasswordMechanism, Sasl, SaslMechanism, SecretText,
    Security, SecurityProtocol, SecuritySetting, SecuritySettings, Tls, UnknownWord,
};
