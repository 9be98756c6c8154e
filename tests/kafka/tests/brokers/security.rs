//! Each way to secure a connection.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use harness::kafka::{AclOperation, AclResource, Certificates, Listener, USERS};
use harness::{KafkaVersion, Result};
use rebalancer_core::ports::GroupSource as _;
use rebalancer_kafka::{
    ClientCertificate, Password, PasswordMechanism, Sasl, SecretText, Security, Tls,
};
use rstest::rstest;

use crate::group::{Group, Kind};

/// TLS that trusts the broker.
pub(crate) fn tls(certificates: &Certificates) -> Tls {
    Tls {
        ca_file: Some(certificates.ca.clone()),
        client_certificate: None,
    }
}

/// TLS with a client certificate.
pub(crate) fn mutual_tls(certificates: &Certificates, client: &(PathBuf, PathBuf)) -> Tls {
    Tls {
        client_certificate: Some(ClientCertificate {
            certificate_file: client.0.clone(),
            key_file: client.1.clone(),
        }),
        ..tls(certificates)
    }
}

/// A user with its password.
pub(crate) fn password(mechanism: PasswordMechanism, user: &str) -> Sasl {
    let (username, password) = USERS.into_iter().find(|(name, _)| *name == user).unwrap();
    Sasl::Password {
        mechanism,
        username: username.to_owned(),
        password: Password::Text(SecretText::new(password)),
    }
}

/// A file with an unsecured token that expires in some seconds, or has expired.
pub(crate) fn token(user: &str, lifetime: i64) -> tempfile::NamedTempFile {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = i64::try_from(now.as_secs()).unwrap();
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let (issued, expires) = (now + lifetime - 7200, now + lifetime);
    let token = format!(
        "{}.{}.",
        encode(r#"{"alg":"none"}"#),
        encode(&format!(
            r#"{{"sub":"{user}","iat":{issued},"exp":{expires}}}"#
        ))
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), token).unwrap();
    file
}

#[rstest]
#[tokio::test]
async fn group_is_read_over_every_secured_listener(
    #[values(KafkaVersion::Current, KafkaVersion::V3_9)] version: KafkaVersion,
) -> Result<()> {
    let group = Group::start("secured", Kind::classic(version)).await?;
    let admin = group.kafka.admin();
    for user in ["reader", "CN=client"] {
        let (read, describe) = (AclOperation::Read, AclOperation::Describe);
        admin
            .allow(user, read, AclResource::Group, &group.id)
            .await?;
        for (topic, _) in &group.topics {
            admin
                .allow(user, describe, AclResource::Topic, topic)
                .await?;
        }
    }
    let certificates = group.kafka.certificates().unwrap();
    let token = token("reader", 3600);
    let (plain, sha_256, sha_512) = (
        PasswordMechanism::Plain,
        PasswordMechanism::ScramSha256,
        PasswordMechanism::ScramSha512,
    );
    let with_tls = || Some(tls(certificates));
    let with_token = Sasl::Token {
        token_file: token.path().into(),
    };
    let client = mutual_tls(certificates, &certificates.client);
    let cases = [
        (Listener::Plaintext, None, None),
        (Listener::Tls, with_tls(), None),
        (Listener::MutualTls, Some(client), None),
        (
            Listener::SaslPlaintext,
            None,
            Some(password(plain, "reader")),
        ),
        (
            Listener::SaslPlaintext,
            None,
            Some(password(sha_512, "reader")),
        ),
        (
            Listener::SaslTls,
            with_tls(),
            Some(password(plain, "reader")),
        ),
        (
            Listener::SaslTls,
            with_tls(),
            Some(password(sha_256, "reader")),
        ),
        (
            Listener::SaslTls,
            with_tls(),
            Some(password(sha_512, "reader")),
        ),
        (Listener::SaslTls, with_tls(), Some(with_token)),
    ];
    for (listener, tls, sasl) in cases {
        let security = Security { tls, sasl };
        let name = format!("{listener:?} {security:?}");
        let observation = group.adapter(listener, security).group().await;
        let observation = observation.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(observation.unwrap().owners.len(), 21, "{name}");
    }
    Ok(())
}
