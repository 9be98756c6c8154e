use rebalancer_core::ports::PortErrorKind as Kind;
use rstest::rstest;

use super::*;
use crate::error_code::ErrorCode;
use crate::settings::SaslMechanism;

fn address(text: &str) -> Address {
    let servers: crate::BootstrapServers = text.parse().unwrap();
    servers.addresses()[0].clone()
}

fn no_broker(failures: &[(&str, ConnectFailure)]) -> KafkaError {
    let failures = failures.iter();
    KafkaError::NoBroker {
        failures: failures
            .map(|(server, failure)| (address(server), failure.clone()))
            .collect(),
    }
}

fn refused() -> ConnectFailure {
    ConnectFailure::Io("connection refused".into())
}

fn request(failure: RequestFailure) -> KafkaError {
    KafkaError::Request {
        action: Action::Describe("orders".into()),
        broker: address("kafka-1:9092"),
        failure,
    }
}

#[rstest]
#[case(
    no_broker(&[("a:1", refused()), ("[::1]:2", ConnectFailure::Resolve("no such host".into()))]),
    Kind::Unreachable,
    "cannot connect to Kafka: a:1: connection refused; [::1]:2: the name does not resolve (no such \
     host); check KAFKA_BOOTSTRAP_SERVERS and that the brokers are up"
)]
#[case(
    no_broker(&[("a:1", ConnectFailure::Mechanism {
        mechanism: SaslMechanism::Plain,
        enabled: vec!["SCRAM-SHA-512".into(), "GSSAPI".into()],
    })]),
    Kind::Unauthorized,
    "cannot connect to Kafka: a:1: the SASL mechanism PLAIN is not enabled; enabled: SCRAM-SHA-512, \
     GSSAPI; set KAFKA_SASL_MECHANISM to one that is enabled"
)]
#[case(
    KafkaError::AdvertisedBroker { broker: address("kafka-1.internal:9092"), failure: refused() },
    Kind::Unreachable,
    "cannot connect to kafka-1.internal:9092, the address that Kafka advertises for a broker: \
     connection refused; check that the broker is up, and that the address in its \
     `advertised.listeners` can be reached from here"
)]
#[case(
    KafkaError::AdvertisedBroker {
        broker: address("kafka-1:9092"),
        failure: ConnectFailure::Certificate("expired".into()),
    },
    Kind::Tls,
    "cannot connect to kafka-1:9092, the address that Kafka advertises for a broker: the broker's \
     certificate is not accepted: expired; add the certificate of its CA with KAFKA_SSL_CA_FILE, and \
     use host names that the certificate contains"
)]
#[case(
    request(RequestFailure::Timeout(Duration::from_secs(30))),
    Kind::Timeout,
    "cannot read the members of group `orders`: kafka-1:9092: no response within 30s; increase \
     KAFKA_TIMEOUT or check the load of the broker"
)]
#[case(
    request(RequestFailure::Code(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS)),
    Kind::Server,
    "cannot read the members of group `orders`: kafka-1:9092: the broker answers \
     COORDINATOR_LOAD_IN_PROGRESS; the brokers start or change their roles; run again, and check them \
     if it lasts"
)]
#[case(
    request(RequestFailure::Code(ErrorCode(999))),
    Kind::Rejected,
    "cannot read the members of group `orders`: kafka-1:9092: the broker answers error 999; check the \
     log of the broker"
)]
#[case(
    request(RequestFailure::Code(ErrorCode::GROUP_MAX_SIZE_REACHED)),
    Kind::Rejected,
    "cannot read the members of group `orders`: kafka-1:9092: the broker answers \
     GROUP_MAX_SIZE_REACHED; the group has as many members as the brokers allow (group.max.size); a \
     hand-over needs two more for some seconds"
)]
#[case(
    request(RequestFailure::Code(ErrorCode::INVALID_SESSION_TIMEOUT)),
    Kind::Rejected,
    "cannot read the members of group `orders`: kafka-1:9092: the broker answers \
     INVALID_SESSION_TIMEOUT; group.min.session.timeout.ms of the brokers must be at most 30000, or \
     10000 in a group with an eager assignor such as sticky; its default is 6000"
)]
#[case(
    KafkaError::NotAuthorizedForGroup { group: "orders".into(), action: Action::Join("orders".into()) },
    Kind::Forbidden,
    "cannot join group `orders`: not authorized; grant READ on group `orders` to the user of the \
     program, for example with kafka-acls --add --allow-principal User:NAME --operation Read --group \
     orders"
)]
#[case(
    KafkaError::NotAuthorizedForTopics { topics: vec!["a".into(), "b".into()] },
    Kind::Forbidden,
    "cannot read the partitions of the group's topics: not authorized; grant DESCRIBE on topics `a`, \
     `b` to the user of the program, for example with kafka-acls --add --allow-principal User:NAME \
     --operation Describe --topic a"
)]
#[case(
    KafkaError::UnknownGroup { group: "x".into(), similar: Vec::new(), visible: 0 },
    Kind::NotFound,
    "group `x` does not exist, and the user of the program can see no other group; check GROUP_ID, and \
     grant DESCRIBE on the group"
)]
#[case(
    KafkaError::UnknownGroup { group: "x".into(), similar: Vec::new(), visible: 7 },
    Kind::NotFound,
    "group `x` does not exist, and none of the 7 other groups has a similar name; check GROUP_ID"
)]
#[case(
    KafkaError::UnknownGroup { group: "x".into(), similar: vec!["y".into(), "z".into()], visible: 7 },
    Kind::NotFound,
    "group `x` does not exist, but there is `y`, `z`; check GROUP_ID"
)]
fn message_has_action_cause_and_remedy(
    #[case] error: KafkaError,
    #[case] kind: Kind,
    #[case] message: &str,
) {
    assert_eq!(error.kind(), kind);
    assert_eq!(error.to_string(), message);
    assert_eq!(PortError::from(error).message, message);
}

#[rstest]
#[case(request(RequestFailure::Closed("reset".into())), true)]
#[case(request(RequestFailure::Code(ErrorCode::NOT_COORDINATOR)), true)]
#[case(KafkaError::AdvertisedBroker { broker: address("a:1"), failure: refused() }, true)]
#[case(request(RequestFailure::Timeout(Duration::ZERO)), false)]
#[case(request(RequestFailure::Code(ErrorCode::INVALID_GROUP_ID)), false)]
#[case(no_broker(&[("a:1", refused())]), false)]
#[case(KafkaError::EmptyGroupId, false)]
fn only_reads_from_moving_brokers_are_repeated(#[case] error: KafkaError, #[case] repeated: bool) {
    assert_eq!(error.is_transient(), repeated);
}
