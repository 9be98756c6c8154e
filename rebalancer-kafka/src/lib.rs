//! The adapter for Kafka: it reads a consumer group from the brokers.
//!
//! [`KafkaSettings`] say which cluster and which group. [`Kafka::new`] checks them and reads the
//! certificates; it opens no connection. Files with secrets are read again for each connection,
//! because tokens and passwords are rotated while a program runs.
//!
//! ```no_run
//! use rebalancer_kafka::{BootstrapServers, Kafka, KafkaError, KafkaSettings};
//!
//! # fn example() -> Result<(), KafkaError> {
//! let servers: BootstrapServers = "kafka-0:9092,kafka-1:9092".parse()?;
//! let kafka = Kafka::new(KafkaSettings::new(servers, "orders"))?;
//! # Ok(())
//! # }
//! ```

mod address;
mod error;
mod kafka;
mod settings;
mod tls;

pub use address::{Address, BootstrapServers, InvalidServers};
pub use error::KafkaError;
pub use kafka::Kafka;
pub use rebalancer_adapter::ClientCertificate;
pub use settings::{
    InvalidSecurity, KafkaSettings, Password, PasswordMechanism, Sasl, SaslMechanism, SecretText,
    Security, SecurityProtocol, SecuritySetting, SecuritySettings, Tls, UnknownWord,
};
