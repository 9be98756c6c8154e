use std::future::pending;
use std::time::Duration;

use rebalancer_core::ports::PortErrorKind;
use rstest::rstest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::*;
use crate::messages::{
    ApiVersions, ConsumerGroupDescribe, DescribeGroupConfig, DescribeGroups, FindCoordinator,
    Heartbeat, JoinGroup, LeaveGroup, ListGroups, ListOffsets, Metadata, OffsetFetch,
    SaslAuthenticate, SaslHandshake, SyncGroup,
};

const LIMIT: Duration = Duration::from_secs(5);

fn broker() -> Address {
    Address {
        host: "kafka".into(),
        port: 9092,
    }
}

/// Reads one request and returns its key, version and correlation id.
async fn request(stream: &mut DuplexStream) -> (i16, i16, i32) {
    let length = stream.read_u32().await.unwrap();
    let mut body = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    let key = i16::from_be_bytes([body[0], body[1]]);
    let version = i16::from_be_bytes([body[2], body[3]]);
    let id = i32::from_be_bytes([body[4], body[5], body[6], body[7]]);
    (key, version, id)
}

async fn respond(stream: &mut DuplexStream, id: i32, body: &[u8]) {
    let length = u32::try_from(4 + body.len()).unwrap();
    stream.write_u32(length).await.unwrap();
    stream.write_i32(id).await.unwrap();
    stream.write_all(body).await.unwrap();
}

/// The body of an ApiVersions response of version 3 with one API.
fn versions(key: i16, min: i16, max: i16) -> Vec<u8> {
    let mut body = vec![0, 0, 2];
    for number in [key, min, max] {
        body.extend(number.to_be_bytes());
    }
    body.extend([0, 0, 0, 0, 0, 0]);
    body
}

/// Opens a connection to a broker that supports the given versions of one API.
async fn connected(key: i16, min: i16, max: i16) -> (Connection, DuplexStream) {
    let (ours, mut theirs) = duplex(1 << 16);
    let open = Connection::open(Box::new(ours), broker(), "me".into(), LIMIT);
    let answer = async {
        let (asked, version, id) = request(&mut theirs).await;
        assert_eq!((asked, version), (18, 3));
        respond(&mut theirs, id, &versions(key, min, max)).await;
        theirs
    };
    let (connection, theirs) = tokio::join!(open, answer);
    (connection.unwrap(), theirs)
}

#[tokio::test]
async fn older_broker_is_asked_again_with_version_0() {
    let (ours, mut theirs) = duplex(1 << 16);
    let open = Connection::open(Box::new(ours), broker(), "me".into(), LIMIT);
    let answer = async {
        let (_, _, id) = request(&mut theirs).await;
        respond(&mut theirs, id, &[0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 2]).await;
        let (key, version, id) = request(&mut theirs).await;
        assert_eq!((key, version), (18, 0));
        respond(&mut theirs, id, &[0, 0, 0, 0, 0, 1, 0, 12, 0, 0, 0, 4]).await;
    };
    let (connection, ()) = tokio::join!(open, answer);
    assert_eq!(connection.unwrap().version(&Heartbeat::API).unwrap(), 3);
}

/// An API of which this crate has versions 4 to 6.
const API: Api = Api {
    key: 7,
    name: "Test",
    versions: 4..=6,
    flexible_from: i16::MAX,
};

#[rstest]
#[case::same(4, 6, Some(6))]
#[case::newer_broker(0, 9, Some(6))]
#[case::older_broker(0, 5, Some(5))]
#[case::oldest(0, 4, Some(4))]
#[case::too_old(0, 3, None)]
#[case::too_new(7, 9, None)]
#[tokio::test]
async fn newest_common_version_is_chosen(
    #[case] min: i16,
    #[case] max: i16,
    #[case] expected: Option<i16>,
) {
    let (connection, _theirs) = connected(API.key, min, max).await;
    assert_eq!(connection.version(&API).ok(), expected);
    assert_eq!(connection.supports(&API), expected.is_some());
}

/// The oldest and the newest supported broker. The ranges are the `validVersions` of
/// `clients/src/main/resources/common/message/*Request.json` in the tag 2.8.2 of
/// <https://github.com/apache/kafka>, and of `common/message/*Request.json` in
/// `org.apache.kafka:kafka-clients:4.4.0`.
#[rstest]
#[case::api_versions(ApiVersions::API, (0, 3), (0, 5), [3, 3])]
#[case::describe_configs(DescribeGroupConfig::API, (0, 4), (1, 4), [4, 4])]
#[case::describe_groups(DescribeGroups::API, (0, 5), (0, 6), [4, 4])]
#[case::find_coordinator(FindCoordinator::API, (0, 3), (0, 6), [2, 2])]
#[case::heartbeat(Heartbeat::API, (0, 4), (0, 4), [3, 3])]
#[case::join_group(JoinGroup::API, (0, 7), (0, 9), [7, 9])]
#[case::leave_group(LeaveGroup::API, (0, 4), (0, 5), [4, 5])]
#[case::list_groups(ListGroups::API, (0, 4), (0, 5), [4, 5])]
#[case::list_offsets(ListOffsets::API, (0, 6), (1, 11), [5, 5])]
#[case::metadata(Metadata::API, (0, 11), (0, 13), [8, 8])]
#[case::offset_fetch(OffsetFetch::API, (0, 7), (1, 10), [5, 5])]
#[case::sasl_authenticate(SaslAuthenticate::API, (0, 2), (0, 2), [1, 1])]
#[case::sasl_handshake(SaslHandshake::API, (0, 1), (0, 1), [1, 1])]
#[case::sync_group(SyncGroup::API, (0, 5), (0, 5), [5, 5])]
#[tokio::test]
async fn each_api_has_a_version_of_kafka_2_8_and_of_4_4(
    #[case] api: Api,
    #[case] oldest: (i16, i16),
    #[case] newest: (i16, i16),
    #[case] expected: [i16; 2],
) {
    for ((min, max), expected) in [oldest, newest].into_iter().zip(expected) {
        let (connection, _theirs) = connected(api.key, min, max).await;
        let version = connection.version(&api);
        assert_eq!(version.ok(), Some(expected), "{min} to {max}");
    }
}

/// Kafka 2.8 has no groups of KIP-848, so the API is only used where a broker has it.
#[tokio::test]
async fn groups_of_kip_848_are_described_from_kafka_3_7_on() {
    let api = ConsumerGroupDescribe::API;
    for (max, expected) in [(0, 0), (1, 1)] {
        let (connection, _theirs) = connected(api.key, 0, max).await;
        assert_eq!(connection.version(&api).ok(), Some(expected));
    }
    let (connection, _theirs) = connected(Metadata::API.key, 0, 11).await;
    assert!(!connection.supports(&api));
}

#[tokio::test]
async fn missing_api_is_explained() {
    let (mut connection, _theirs) = connected(7, 0, 1).await;
    let request = FindCoordinator { group: "g" };
    let error = connection.call(&request, LIMIT).await.unwrap_err();
    let failure = ConnectFailure::of_call(error, false, false);
    assert_eq!(
        failure.to_string(),
        "FindCoordinator is needed in version 2, and the broker does not support it"
    );
    assert_eq!(failure.kind(), PortErrorKind::Rejected);
}

const HEARTBEAT: Heartbeat<'_> = Heartbeat {
    group: "g",
    generation: 1,
    member_id: "m",
};

#[tokio::test]
async fn connection_is_unusable_after_a_timeout() {
    let (mut connection, mut theirs) = connected(12, 0, 4).await;
    let limit = Duration::from_millis(1);
    let error = connection.call(&HEARTBEAT, limit).await.unwrap_err();
    assert!(matches!(error, CallError::Timeout(_)), "{error:?}");
    assert!(!connection.is_usable());
    // The late response is not taken for the one of the next request.
    let (_, _, id) = request(&mut theirs).await;
    respond(&mut theirs, id, &[0, 0, 0, 0, 0, 0]).await;
    let error = connection.call(&HEARTBEAT, LIMIT).await.unwrap_err();
    assert!(matches!(error, CallError::Closed(_)), "{error:?}");
}

#[tokio::test]
async fn connection_is_unusable_after_a_cancelled_request() {
    let (mut connection, _theirs) = connected(12, 0, 4).await;
    tokio::select! {
        biased;
        _ = connection.call(&HEARTBEAT, LIMIT) => panic!("there is no response"),
        () = tokio::task::yield_now() => {}
    }
    assert!(!connection.is_usable());
}

#[tokio::test]
async fn expired_session_sends_nothing() {
    let (mut connection, mut theirs) = connected(12, 0, 4).await;
    connection.expire_after(Duration::ZERO);
    let error = connection.call(&HEARTBEAT, LIMIT).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the connection was closed: the session has expired"
    );
    drop(connection);
    let mut sent = Vec::new();
    theirs.read_to_end(&mut sent).await.unwrap();
    assert!(sent.is_empty(), "{sent:?}");
}

/// The responses of servers that are not as expected, as the bytes after the request.
#[rstest]
#[case::tls(b"\x15\x03\x03\x00\x02\x02\x28", "the listener uses TLS")]
#[case::http(
    b"HTTP/1.1 400 Bad Request\r\n",
    "the response is not one of Kafka (it begins with `HTTP`)"
)]
#[case::closed(b"", "the broker closed the connection without a response")]
#[case::closed_within(b"\x00\x00\x00\x09\x00", "the broker closed the connection without a")]
#[case::negative_length(b"\xff\xff\xff\xff\x00", "the response is not one of Kafka")]
#[case::too_long(b"\x7f\xff\xff\xff\x00", "the response is not one of Kafka")]
#[case::malformed(
    b"\x00\x00\x00\x06\x00\x00\x00\x01\x00\x00",
    "the response is not one of Kafka (it ends within a value)"
)]
#[case::wrong_id(
    b"\x00\x00\x00\x0c\x00\x00\x00\x09\x00\x00\x01\x00\x00\x00\x00\x00",
    "the correlation id 9 of another request"
)]
#[tokio::test]
async fn foreign_server_is_explained(#[case] bytes: &[u8], #[case] expected: &str) {
    let (ours, mut theirs) = duplex(1 << 16);
    let open = Connection::open(Box::new(ours), broker(), "me".into(), LIMIT);
    let answer = async {
        request(&mut theirs).await;
        theirs.write_all(bytes).await.unwrap();
        drop(theirs);
    };
    let (opened, ()) = tokio::join!(open, answer);
    let error = match opened {
        Err(OpenError::Call(error)) => error,
        other => panic!("{other:?}"),
    };
    let failure = ConnectFailure::of_call(error, false, false);
    let message = failure.to_string();
    assert!(message.contains(expected), "{message}");
    assert!(!failure.remedy().is_empty());
}

#[tokio::test]
async fn silent_server_is_a_timeout() {
    let (ours, theirs) = duplex(1 << 16);
    let limit = Duration::from_millis(1);
    let open = Connection::open(Box::new(ours), broker(), "me".into(), limit);
    let opened = tokio::select! {
        opened = open => opened,
        () = pending() => unreachable!(),
    };
    drop(theirs);
    assert!(matches!(
        opened,
        Err(OpenError::Call(CallError::Timeout(_)))
    ));
}

#[rstest]
#[case(
    AlertDescription::CertificateRequired,
    false,
    "the broker ended the TLS handshake"
)]
#[case(
    AlertDescription::UnknownCA,
    true,
    "the broker does not accept the client certificate"
)]
#[case(AlertDescription::UnrecognisedName, true, "the TLS handshake failed")]
fn alert_after_the_handshake_is_about_the_client_certificate(
    #[case] alert: AlertDescription,
    #[case] is_configured: bool,
    #[case] expected: &str,
) {
    let failure = ConnectFailure::of_call(CallError::Alert(alert), true, is_configured);
    assert!(failure.to_string().starts_with(expected), "{failure}");
    assert_eq!(failure.kind(), PortErrorKind::Tls);
}
