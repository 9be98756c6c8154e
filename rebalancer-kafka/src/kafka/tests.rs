use std::net::SocketAddr;

use rebalancer_core::ports::PortErrorKind;
use rstest::rstest;

use super::*;
use crate::settings::{Security, Tls};
use crate::testing::{self, ScriptedBroker, Stub, key};

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

const TOPIC: &str = "t";

/// The responses of a broker without faults: one partition, 100 records within the window.
fn healthy(api: i16, number: usize, stub: &Stub) -> Option<Vec<u8>> {
    Some(match api {
        key::METADATA => testing::metadata(stub.address, TOPIC, &[1]),
        key::FIND_COORDINATOR => testing::coordinator(0, stub.address),
        key::DESCRIBE_GROUPS => testing::group(0, TOPIC),
        key::OFFSET_FETCH => testing::committed(),
        // First the start of the window, then the end of the log.
        key::LIST_OFFSETS => {
            testing::offsets(TOPIC, 0, if number.is_multiple_of(2) { 400 } else { 500 })
        }
        other => panic!("request {other}"),
    })
}

async fn observe(
    broker: &ScriptedBroker,
    timeout: Duration,
) -> Result<GroupObservation, PortError> {
    let settings = KafkaSettings {
        timeout,
        window: Duration::from_secs(10),
        ..KafkaSettings::new(broker.address.to_string().parse().unwrap(), "orders")
    };
    let kafka = Kafka::new(settings).unwrap();
    kafka.group().await.map(Option::unwrap)
}

fn rates(observation: &GroupObservation) -> Vec<f64> {
    let rates = observation.rates.iter().flatten();
    rates.map(|sample| sample.rate.unwrap().get()).collect()
}

const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn healthy_group_is_observed() {
    let broker = ScriptedBroker::start(healthy).await;
    let observation = observe(&broker, LONG).await.unwrap();
    assert_eq!(rates(&observation), [10.0]);
    assert_eq!(observation.partial, None);
}

/// Faults of the first two requests of an API, after which the broker is healthy again.
#[rstest]
#[case::coordinator_not_available(key::FIND_COORDINATOR, Some(15))]
#[case::coordinator_loads(key::DESCRIBE_GROUPS, Some(14))]
#[case::coordinator_moved(key::DESCRIBE_GROUPS, Some(16))]
#[case::coordinator_restarts(key::DESCRIBE_GROUPS, None)]
#[case::connection_lost(key::OFFSET_FETCH, None)]
#[case::leader_restarts(key::LIST_OFFSETS, None)]
#[case::leader_moved(key::LIST_OFFSETS, Some(6))]
#[tokio::test]
async fn reads_are_repeated_while_brokers_move(#[case] faulty: i16, #[case] error: Option<i16>) {
    let broker = ScriptedBroker::start(move |api, number, stub| {
        if api != faulty || number >= 2 {
            return healthy(api, number, stub);
        }
        Some(match api {
            key::FIND_COORDINATOR => testing::coordinator(error?, stub.address),
            key::DESCRIBE_GROUPS => testing::group(error?, TOPIC),
            key::LIST_OFFSETS => testing::offsets(TOPIC, error?, -1),
            _ => return None,
        })
    })
    .await;
    let observation = observe(&broker, LONG).await.unwrap();
    assert_eq!(rates(&observation), [10.0]);
    assert_eq!(observation.partial, None);
}

#[tokio::test]
async fn repeated_reads_end_with_the_timeout() {
    let broker = ScriptedBroker::start(|api, number, stub| match api {
        key::DESCRIBE_GROUPS => Some(testing::group(14, TOPIC)),
        _ => healthy(api, number, stub),
    })
    .await;
    let error = observe(&broker, Duration::from_millis(700))
        .await
        .unwrap_err();
    assert_eq!(error.kind, PortErrorKind::Server);
    let message = error.to_string();
    assert!(
        message.contains("COORDINATOR_LOAD_IN_PROGRESS"),
        "{message}"
    );
}

#[tokio::test]
async fn unreachable_coordinator_is_named() {
    let nothing: SocketAddr = "127.0.0.1:1".parse().unwrap();
    let broker = ScriptedBroker::start(move |api, number, stub| match api {
        key::FIND_COORDINATOR => Some(testing::coordinator(0, nothing)),
        _ => healthy(api, number, stub),
    })
    .await;
    let error = observe(&broker, Duration::from_millis(700))
        .await
        .unwrap_err();
    assert_eq!(error.kind, PortErrorKind::Unreachable);
    let message = error.to_string();
    assert!(
        message.starts_with("cannot connect to 127.0.0.1:1, the address that Kafka advertises"),
        "{message}"
    );
}

#[rstest]
#[case::no_leader(&[1, -1], "t-1: it has no leader")]
#[case::unknown_leader(&[1, 9], "t-1: it has no leader")]
#[tokio::test]
async fn partition_without_leader_makes_the_observation_partial(
    #[case] leaders: &'static [i32],
    #[case] expected: &str,
) {
    let broker = ScriptedBroker::start(move |api, number, stub| match api {
        key::METADATA => Some(testing::metadata(stub.address, TOPIC, leaders)),
        _ => healthy(api, number, stub),
    })
    .await;
    let observation = observe(&broker, LONG).await.unwrap();
    assert_eq!(rates(&observation), [10.0]);
    assert_eq!(observation.owners.len(), 2);
    assert_eq!(observation.owners[1].owner, None);
    let partial = observation.partial.unwrap();
    assert!(partial.contains(expected), "{partial}");
}

#[tokio::test]
async fn missing_right_on_a_topic_is_not_partial() {
    let broker = ScriptedBroker::start(|api, number, stub| match api {
        key::LIST_OFFSETS => Some(testing::offsets(TOPIC, 29, -1)),
        _ => healthy(api, number, stub),
    })
    .await;
    let error = observe(&broker, LONG).await.unwrap_err();
    assert_eq!(error.kind, PortErrorKind::Forbidden);
    assert!(
        error.to_string().contains("DESCRIBE on topic `t`"),
        "{error}"
    );
}

#[tokio::test]
async fn partition_without_young_records_has_the_rate_zero() {
    let broker = ScriptedBroker::start(|api, number, stub| match api {
        key::LIST_OFFSETS if number == 0 => Some(testing::offsets(TOPIC, 0, -1)),
        _ => healthy(api, number, stub),
    })
    .await;
    let observation = observe(&broker, LONG).await.unwrap();
    assert_eq!(rates(&observation), [0.0]);
}
