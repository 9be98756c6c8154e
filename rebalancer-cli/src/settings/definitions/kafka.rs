//! Settings of the connection to Kafka.

use std::path::PathBuf;
use std::time::Duration;

use rebalancer_kafka::{BootstrapServers, KafkaSettings, SaslMechanism, SecurityProtocol};

use crate::settings::definition::{
    Absent, Attributes, Defaulted, Definition, Fallback, Optional, Setting,
};
use crate::settings::value;

/// Every setting of the section, in the order of help.
pub(in crate::settings) const SETTINGS: &[&dyn Setting] = &[
    &KAFKA_BOOTSTRAP_SERVERS,
    &KAFKA_SECURITY_PROTOCOL,
    &KAFKA_SASL_MECHANISM,
    &KAFKA_SASL_USERNAME,
    &KAFKA_SASL_PASSWORD,
    &KAFKA_SASL_PASSWORD_FILE,
    &KAFKA_SASL_OAUTHBEARER_TOKEN_FILE,
    &KAFKA_SSL_CA_FILE,
    &KAFKA_SSL_CERTIFICATE_FILE,
    &KAFKA_SSL_KEY_FILE,
    &KAFKA_TIMEOUT,
];

pub(in crate::settings) static KAFKA_BOOTSTRAP_SERVERS: Optional<BootstrapServers> = Definition {
    name: "KAFKA_BOOTSTRAP_SERVERS",
    help: "Brokers to connect to first; with it, the group GROUP_ID is read from Kafka: members, \
           owners, assignor, rates and lag",
    value: &value::SERVERS,
    default: Absent("none"),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static KAFKA_SECURITY_PROTOCOL: Optional<SecurityProtocol> = Definition {
    name: "KAFKA_SECURITY_PROTOCOL",
    help: "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL",
    value: &value::SECURITY_PROTOCOL,
    default: Absent("PLAINTEXT"),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static KAFKA_SASL_MECHANISM: Optional<SaslMechanism> = Definition {
    name: "KAFKA_SASL_MECHANISM",
    help: "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER",
    value: &value::SASL_MECHANISM,
    default: Absent("none"),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static KAFKA_SASL_USERNAME: Optional<String> = Definition {
    name: "KAFKA_SASL_USERNAME",
    help: "User name for PLAIN and SCRAM",
    value: &value::NAME,
    default: Absent("none"),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static KAFKA_SASL_PASSWORD: Optional<String> = Definition {
    name: "KAFKA_SASL_PASSWORD",
    help: "Password for PLAIN and SCRAM, instead of KAFKA_SASL_PASSWORD_FILE",
    value: &value::PASSWORD,
    default: Absent("none"),
    attributes: Attributes::SECRET,
};

pub(in crate::settings) static KAFKA_SASL_PASSWORD_FILE: Optional<PathBuf> = Definition {
    name: "KAFKA_SASL_PASSWORD_FILE",
    help: "File with the password for PLAIN and SCRAM, read again for each connection",
    value: &value::FILE,
    default: Absent("none"),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static KAFKA_SASL_OAUTHBEARER_TOKEN_FILE: Optional<PathBuf> = Definition {
    name: "KAFKA_SASL_OAUTHBEARER_TOKEN_FILE",
    help: "File with the token for OAUTHBEARER, read again for each connection",
    value: &value::FILE,
    default: Absent("none"),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static KAFKA_SSL_CA_FILE: Optional<PathBuf> = Definition {
    name: "KAFKA_SSL_CA_FILE",
    help: "PEM file with certificates that are trusted in addition to those of the system, read \
           once at the start",
    value: &value::FILE,
    default: Absent("none"),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static KAFKA_SSL_CERTIFICATE_FILE: Optional<PathBuf> = Definition {
    name: "KAFKA_SSL_CERTIFICATE_FILE",
    help: "PEM file with the client certificate, read once at the start",
    value: &value::FILE,
    default: Absent("none"),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static KAFKA_SSL_KEY_FILE: Optional<PathBuf> = Definition {
    name: "KAFKA_SSL_KEY_FILE",
    help: "PEM file with the private key of the client certificate, not encrypted",
    value: &value::FILE,
    default: Absent("none"),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static KAFKA_TIMEOUT: Defaulted<Duration> = Definition {
    name: "KAFKA_TIMEOUT",
    help: "Timeout of each request to a broker, including the connection, and of reading the group as a \
           whole",
    value: &value::POSITIVE_DURATION,
    default: Fallback::Value(|| KafkaSettings::DEFAULT_TIMEOUT),
    attributes: Attributes::USUAL,
};
