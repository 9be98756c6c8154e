//! Assembles the settings of the connection to Kafka.

use rebalancer_kafka::{
    InvalidSecurity, KafkaSettings, SecretText, Security, SecuritySetting, SecuritySettings,
};

use super::definition::Definition;
use super::definitions::acting::REMOVE_STATIC_MEMBERS;
use super::definitions::consumer_group::{
    GROUP_ASSIGNMENT_QUERY, GROUP_ID, GROUP_METRICS, GROUP_RATE_QUERY,
};
use super::definitions::decision::REJOIN_CONSUMER_PROTOCOL;
use super::definitions::kafka::{
    KAFKA_BOOTSTRAP_SERVERS, KAFKA_SASL_MECHANISM, KAFKA_SASL_OAUTHBEARER_TOKEN_FILE,
    KAFKA_SASL_PASSWORD, KAFKA_SASL_PASSWORD_FILE, KAFKA_SASL_USERNAME, KAFKA_SECURITY_PROTOCOL,
    KAFKA_SSL_CA_FILE, KAFKA_SSL_CERTIFICATE_FILE, KAFKA_SSL_KEY_FILE, KAFKA_TIMEOUT,
};
use super::definitions::metrics::METRICS_TIME_WINDOW;
use super::layers::Origin;
use super::reader::Reader;

/// The connection to Kafka; `None` if the group is not read from it. `needs_group` is whether the
/// strategy uses the consumer group.
///
/// Variables of the environment with these names are common and may be those of the consumers, from
/// which the environment was copied. Without `KAFKA_BOOTSTRAP_SERVERS` they have no effect, and
/// without `GROUP_ID` all of them have none unless the strategy needs the group.
pub(super) fn kafka(reader: &mut Reader<'_>, needs_group: bool) -> Option<KafkaSettings> {
    if !reader.is_given(&KAFKA_BOOTSTRAP_SERVERS) {
        refuse_without_servers(reader);
        return None;
    }
    if !reader.is_given(&GROUP_ID) {
        let origin = reader.origin(&KAFKA_BOOTSTRAP_SERVERS);
        if needs_group || origin != Some(&Origin::Environment) {
            reader.invalid(&KAFKA_BOOTSTRAP_SERVERS, "GROUP_ID must be set as well");
        }
        return None;
    }
    refuse_metrics(reader);
    let servers = reader.optional(&KAFKA_BOOTSTRAP_SERVERS);
    let group_id = reader.optional(&GROUP_ID);
    let timeout = reader.value(&KAFKA_TIMEOUT);
    let window = reader.value(&METRICS_TIME_WINDOW);
    let protocol = reader.optional(&KAFKA_SECURITY_PROTOCOL);
    let security = SecuritySettings {
        protocol: protocol.unwrap_or_default(),
        mechanism: reader.optional(&KAFKA_SASL_MECHANISM),
        username: reader.optional(&KAFKA_SASL_USERNAME),
        password: reader.optional(&KAFKA_SASL_PASSWORD).map(SecretText::new),
        password_file: reader.optional(&KAFKA_SASL_PASSWORD_FILE),
        token_file: reader.optional(&KAFKA_SASL_OAUTHBEARER_TOKEN_FILE),
        ca_file: reader.optional(&KAFKA_SSL_CA_FILE),
        client_certificate_file: reader.optional(&KAFKA_SSL_CERTIFICATE_FILE),
        client_key_file: reader.optional(&KAFKA_SSL_KEY_FILE),
    };
    // A protocol or mechanism that is not valid would cause further errors.
    let is_valid = protocol.is_some() == reader.is_given(&KAFKA_SECURITY_PROTOCOL)
        && security.mechanism.is_some() == reader.is_given(&KAFKA_SASL_MECHANISM);
    let security = is_valid.then(|| security.resolve())?;
    let security = security.unwrap_or_else(|problems| {
        for problem in problems {
            refuse(reader, problem);
        }
        Security::default()
    });
    Some(KafkaSettings {
        security,
        timeout,
        window,
        reads_heartbeat: reader.value(&REJOIN_CONSUMER_PROTOCOL),
        ..KafkaSettings::new(servers?, group_id?)
    })
}

/// Refuses the metrics of the group, which have no effect beside Kafka.
fn refuse_metrics(reader: &mut Reader<'_>) {
    fn refuse<T, D>(reader: &mut Reader<'_>, setting: &Definition<T, D>) {
        if reader.is_given(setting) {
            reader.invalid(
                setting,
                "KAFKA_BOOTSTRAP_SERVERS is set as well, and Kafka reports owners and rates; \
                 remove one of the two",
            );
        }
    }
    refuse(reader, &GROUP_METRICS);
    refuse(reader, &GROUP_ASSIGNMENT_QUERY);
    refuse(reader, &GROUP_RATE_QUERY);
}

/// Refuses settings of a flag or the file that have no effect without servers.
fn refuse_without_servers(reader: &mut Reader<'_>) {
    fn refuse<T, D>(reader: &mut Reader<'_>, setting: &Definition<T, D>) {
        match reader.origin(setting) {
            Some(Origin::Flag | Origin::File(_)) => {
                reader.invalid(setting, "KAFKA_BOOTSTRAP_SERVERS must be set as well");
            }
            Some(Origin::Environment) | None => {}
        }
    }
    refuse(reader, &KAFKA_SECURITY_PROTOCOL);
    refuse(reader, &KAFKA_SASL_MECHANISM);
    refuse(reader, &KAFKA_SASL_USERNAME);
    refuse(reader, &KAFKA_SASL_PASSWORD);
    refuse(reader, &KAFKA_SASL_PASSWORD_FILE);
    refuse(reader, &KAFKA_SASL_OAUTHBEARER_TOKEN_FILE);
    refuse(reader, &KAFKA_SSL_CA_FILE);
    refuse(reader, &KAFKA_SSL_CERTIFICATE_FILE);
    refuse(reader, &KAFKA_SSL_KEY_FILE);
    refuse(reader, &KAFKA_TIMEOUT);
    refuse(reader, &REMOVE_STATIC_MEMBERS);
}

fn refuse(reader: &mut Reader<'_>, problem: InvalidSecurity) {
    let InvalidSecurity { setting, reason } = problem;
    match setting {
        SecuritySetting::Protocol => reader.invalid(&KAFKA_SECURITY_PROTOCOL, reason),
        SecuritySetting::Mechanism => reader.invalid(&KAFKA_SASL_MECHANISM, reason),
        SecuritySetting::Username => reader.invalid(&KAFKA_SASL_USERNAME, reason),
        SecuritySetting::Password => reader.invalid(&KAFKA_SASL_PASSWORD, reason),
        SecuritySetting::PasswordFile => reader.invalid(&KAFKA_SASL_PASSWORD_FILE, reason),
        SecuritySetting::TokenFile => reader.invalid(&KAFKA_SASL_OAUTHBEARER_TOKEN_FILE, reason),
        SecuritySetting::CaFile => reader.invalid(&KAFKA_SSL_CA_FILE, reason),
        SecuritySetting::ClientCertificateFile => {
            reader.invalid(&KAFKA_SSL_CERTIFICATE_FILE, reason);
        }
        SecuritySetting::ClientKeyFile => reader.invalid(&KAFKA_SSL_KEY_FILE, reason),
    }
}
