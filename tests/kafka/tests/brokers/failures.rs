//! Each failure with its message.

use harness::kafka::{Kafka, Listener};
use harness::{KafkaVersion, Result};
use rebalancer_core::ports::PortErrorKind;
use rebalancer_kafka::{
    Kafka as Adapter, Password, PasswordMechanism, Sasl, SecretText, Security, Tls,
};
use rstest::rstest;

use crate::group::{Group, Kind, adapter, at, failure};
use crate::security::{mutual_tls, password, tls, token};

const VERSIONS: [KafkaVersion; 2] = [KafkaVersion::Current, KafkaVersion::V3_9];

/// Checks the kind of an error and the parts of its message.
async fn expect(adapter: &Adapter, kind: PortErrorKind, parts: &[&str]) {
    let error = failure(adapter).await;
    let message = error.to_string();
    assert_eq!(error.kind, kind, "{message}");
    for part in parts {
        assert!(message.contains(part), "no `{part}` in: {message}");
    }
    assert!(!message.contains("hunter2"), "{message}");
}

#[tokio::test]
async fn wrong_use_of_tls_is_explained() -> Result<()> {
    for version in VERSIONS {
        let kafka = Kafka::secured(version).await?;
        let certificates = kafka.certificates().unwrap();
        let of = |listener, tls| {
            let security = Security { tls, sasl: None };
            adapter(kafka, listener, "g", security)
        };
        let trusting = tls(certificates);
        expect(
            &of(Listener::Tls, Some(Tls::default())),
            PortErrorKind::Tls,
            &[
                "the broker's certificate is not accepted: ",
                "KAFKA_SSL_CA_FILE",
            ],
        )
        .await;
        let port = kafka.address(Listener::Tls).port();
        let security = Security {
            tls: Some(trusting.clone()),
            sasl: None,
        };
        expect(
            &at(&format!("localhost:{port}"), "g", security),
            PortErrorKind::Tls,
            &[
                "localhost",
                "the broker's certificate is not accepted: ",
                "host names",
            ],
        )
        .await;
        expect(
            &of(Listener::Plaintext, Some(trusting.clone())),
            PortErrorKind::Tls,
            &[
                "the TLS handshake failed: ",
                "check that the listener uses TLS",
            ],
        )
        .await;
        let error = failure(&of(Listener::Tls, None)).await;
        let message = error.to_string();
        assert!(
            message.contains("set KAFKA_SECURITY_PROTOCOL to SSL or SASL_SSL"),
            "{message}"
        );
        for client in [None, Some(&certificates.stranger)] {
            let (tls, setting) = match client {
                None => (trusting.clone(), "set KAFKA_SSL_CERTIFICATE_FILE"),
                Some(files) => (
                    mutual_tls(certificates, files),
                    "the broker trusts its issuer",
                ),
            };
            expect(
                &of(Listener::MutualTls, Some(tls)),
                PortErrorKind::Tls,
                &["TLS alert", setting],
            )
            .await;
        }
    }
    Ok(())
}

#[tokio::test]
async fn failed_authentication_is_explained() -> Result<()> {
    let wrong = |mechanism| Sasl::Password {
        mechanism,
        username: "reader".into(),
        password: Password::Text(SecretText::new("hunter2")),
    };
    let (plain, scram) = (PasswordMechanism::Plain, PasswordMechanism::ScramSha256);
    let unauthorized = PortErrorKind::Unauthorized;
    for version in VERSIONS {
        let kafka = Kafka::secured(version).await?;
        let certificates = kafka.certificates().unwrap();
        let of = |listener, sasl| {
            let tls = (listener == Listener::OnlyPlain).then(|| tls(certificates));
            adapter(kafka, listener, "g", Security { tls, sasl })
        };
        for mechanism in [plain, scram, PasswordMechanism::ScramSha512] {
            expect(
                &of(Listener::SaslPlaintext, Some(wrong(mechanism))),
                unauthorized,
                &[
                    "as `reader` failed: Authentication failed",
                    "check KAFKA_SASL_USERNAME and the password",
                ],
            )
            .await;
        }
        let expired = token("reader", -600);
        let with_token = Sasl::Token {
            token_file: expired.path().into(),
        };
        expect(
            &of(Listener::SaslPlaintext, Some(with_token)),
            unauthorized,
            &[
                "authentication with OAUTHBEARER failed: ",
                "has not expired",
            ],
        )
        .await;
        expect(
            &of(Listener::OnlyPlain, Some(password(scram, "reader"))),
            unauthorized,
            &[
                "the SASL mechanism SCRAM-SHA-256 is not enabled; enabled: PLAIN",
                "set KAFKA_SASL_MECHANISM",
            ],
        )
        .await;
        expect(
            &of(Listener::Plaintext, Some(password(plain, "reader"))),
            unauthorized,
            &[
                "the listener does not use SASL",
                "set KAFKA_SECURITY_PROTOCOL to PLAINTEXT or SSL",
            ],
        )
        .await;
        expect(
            &of(Listener::SaslPlaintext, None),
            unauthorized,
            &["set KAFKA_SECURITY_PROTOCOL to SASL_PLAINTEXT"],
        )
        .await;
    }
    Ok(())
}

#[rstest]
#[case::refused("127.0.0.1:1", "127.0.0.1:1: connection refused")]
#[case::no_name("kafka.invalid:9092", "kafka.invalid:9092: the name does not resolve")]
#[tokio::test]
async fn unreachable_servers_are_listed_with_their_causes(
    #[case] server: &str,
    #[case] expected: &str,
) {
    let servers = format!("{server},127.0.0.1:2");
    expect(
        &at(&servers, "g", Security::default()),
        PortErrorKind::Unreachable,
        &[
            "cannot connect to Kafka: ",
            expected,
            "; 127.0.0.1:2: connection refused; check KAFKA_BOOTSTRAP_SERVERS",
        ],
    )
    .await;
}

#[rstest]
#[tokio::test]
async fn unknown_group_names_similar_ones(
    #[values(KafkaVersion::Current, KafkaVersion::V3_9)] version: KafkaVersion,
) -> Result<()> {
    let group = Group::start("known-orders", Kind::classic(version)).await?;
    let of = |name| adapter(group.kafka, Listener::Plaintext, name, Security::default());
    expect(
        &of("known-ordres"),
        PortErrorKind::NotFound,
        &[
            "group `known-ordres` does not exist, but there is `known-orders`",
            "check GROUP_ID",
        ],
    )
    .await;
    expect(
        &of("zzz"),
        PortErrorKind::NotFound,
        &["group `zzz` does not exist, and "],
    )
    .await;
    // The first server of the list is down, and the second one answers.
    let servers = format!("127.0.0.1:1,{}", group.kafka.bootstrap());
    let security = Security::default();
    expect(
        &at(&servers, "known-ordres", security),
        PortErrorKind::NotFound,
        &["`known-orders`"],
    )
    .await;
    Ok(())
}
