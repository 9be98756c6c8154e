//! Each right that is missing.

use harness::kafka::{AclOperation, AclResource, Listener};
use harness::wait::{Look, until};
use harness::{KafkaVersion, Result};
use rebalancer_core::model::Seconds;
use rebalancer_core::ports::{
    CoordinatorErrorKind, GroupCoordinator as _, GroupSource as _, JoinRequest, OwnMember,
    PortErrorKind,
};
use rebalancer_kafka::{Kafka as Adapter, KafkaSettings, PasswordMechanism, Security};
use rstest::rstest;
use std::time::Duration;

use crate::group::{Group, Kind, failure};
use crate::security::password;

fn as_user(user: &str) -> Security {
    Security {
        tls: None,
        sasl: Some(password(PasswordMechanism::Plain, user)),
    }
}

/// Allows a user an operation on the group, and DESCRIBE on the first topics of it.
pub(crate) async fn allow(
    group: &Group,
    user: &str,
    on_group: Option<AclOperation>,
    topics: usize,
) -> Result<()> {
    let admin = group.kafka.admin();
    if let Some(operation) = on_group {
        admin
            .allow(user, operation, AclResource::Group, &group.id)
            .await?;
    }
    for (topic, _) in group.topics.iter().take(topics) {
        let (operation, resource) = (AclOperation::Describe, AclResource::Topic);
        admin.allow(user, operation, resource, topic).await?;
    }
    Ok(())
}

/// The heartbeat interval of a group of KIP-848: that of the brokers, then one of its own. Without
/// the right, and in a classic group, it is not known.
#[tokio::test]
async fn heartbeat_interval_of_the_group_is_read() -> Result<()> {
    let group = Group::start("heartbeat-interval", Kind::consumer()).await?;
    let listener = Listener::SaslPlaintext;
    for user in ["describer", "reader"] {
        allow(&group, user, Some(AclOperation::Read), 2).await?;
    }
    let admin = group.kafka.admin();
    let (operation, resource) = (AclOperation::DescribeConfigs, AclResource::Group);
    admin
        .allow("reader", operation, resource, &group.id)
        .await?;
    let observed = async |user: &str, heartbeat: Option<f64>, note: Option<&str>| {
        let servers = group.kafka.address(listener).to_string();
        let adapter = Adapter::new(KafkaSettings {
            security: as_user(user),
            reads_heartbeat: true,
            ..KafkaSettings::new(servers.parse().unwrap(), group.id.as_str())
        })
        .unwrap();
        until("the heartbeat interval", EFFECTIVE, PAUSE, async || {
            let observation = match adapter.group().await {
                Ok(observation) => observation.unwrap(),
                Err(error) => return Ok(Look::Not(error.to_string())),
            };
            let notes = observation.notes.join("; ");
            let has_note = note.is_none_or(|note| notes.contains(note));
            let expected = heartbeat.map(|seconds| Seconds::new(seconds).unwrap());
            Ok(if observation.heartbeat == expected && has_note {
                Look::Done(())
            } else {
                Look::Not(format!("{:?}, {notes}", observation.heartbeat))
            })
        })
        .await
    };
    observed("reader", Some(0.3), None).await?;
    let name = "consumer.heartbeat.interval.ms";
    admin.set_group_config(&group.id, name, "12000").await?;
    observed("reader", Some(12.0), None).await?;
    let note = "Kafka is assumed: grant DESCRIBE_CONFIGS on group `heartbeat-interval`";
    observed("describer", None, Some(note)).await
}

/// The time until a broker applies a new ACL, on a machine that is busy with a build.
const EFFECTIVE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(200);

/// Observes the group until the ACLs are in effect: whether the user has the right READ on the
/// group.
pub(crate) async fn until_it_may_read(adapter: &Adapter, may_read: bool) -> Result<()> {
    until("the right to read", EFFECTIVE, PAUSE, async || {
        Ok(match adapter.group().await {
            Ok(Some(observation)) if observation.may_read == Some(may_read) => Look::Done(()),
            Ok(observation) => Look::Not(format!("{observation:?}")),
            Err(error) => Look::Not(error.to_string()),
        })
    })
    .await
}

/// Observes the group until the ACLs are in effect and the missing right is the expected one.
async fn assert_forbidden(adapter: &Adapter, expected: &str) -> Result<()> {
    until(
        "the message of a missing right",
        EFFECTIVE,
        PAUSE,
        async || {
            let error = failure(adapter).await;
            let message = error.to_string();
            let named = error.kind == PortErrorKind::Forbidden && message.contains(expected);
            Ok(if named {
                Look::Done(())
            } else {
                Look::Not(message)
            })
        },
    )
    .await
}

#[rstest]
#[case::classic("rights-classic", Kind::classic(KafkaVersion::Current))]
#[case::classic_of_3_9("rights-classic", Kind::classic(KafkaVersion::V3_9))]
#[case::kip_848("rights-consumer", Kind::consumer())]
#[tokio::test]
async fn missing_right_is_named(#[case] name: &str, #[case] kind: Kind) -> Result<()> {
    let is_classic = name == "rights-classic";
    let group = Group::start(name, kind).await?;
    let listener = Listener::SaslPlaintext;

    allow(&group, "without-group", None, 2).await?;
    let expected = format!(
        "not authorized; grant DESCRIBE (or READ, which includes it) on group `{name}` to the user"
    );
    assert_forbidden(
        &group.adapter(listener, as_user("without-group")),
        &expected,
    )
    .await?;

    allow(&group, "without-topic", Some(AclOperation::Read), 1).await?;
    // The broker does not name the topic of a group of KIP-848.
    let expected = if is_classic {
        format!("grant DESCRIBE on topic `{name}-views` to the user")
    } else {
        "grant DESCRIBE on the topics that the group subscribes to to the user".to_owned()
    };
    assert_forbidden(
        &group.adapter(listener, as_user("without-topic")),
        &expected,
    )
    .await?;

    allow(&group, "describer", Some(AclOperation::Describe), 2).await?;
    let adapter = group.adapter(listener, as_user("describer"));
    let what = "the rights of describer";
    let observation = until(what, EFFECTIVE, PAUSE, async || {
        Ok(match adapter.group().await {
            Ok(observation) => Look::Done(observation.unwrap()),
            Err(error) => Look::Not(error.to_string()),
        })
    })
    .await?;
    assert_eq!(observation.owners.len(), 21);
    assert_eq!(observation.may_read, Some(false));
    allow(&group, "reader", Some(AclOperation::Read), 2).await?;
    until_it_may_read(&group.adapter(listener, as_user("reader")), true).await?;
    if is_classic {
        let request = JoinRequest {
            own: OwnMember::Scout,
            member_id: String::new(),
            assignor: "cooperative-sticky".into(),
            session_timeout: Duration::from_secs(6),
            rebalance_timeout: Duration::from_secs(10),
        };
        let coordinator = adapter.coordinator("rebalancer-test");
        let error = coordinator.draw_member_id(&request).await.unwrap_err();
        assert_eq!(error.kind, CoordinatorErrorKind::Forbidden, "{error}");
        let expected = format!("grant READ on group `{name}`");
        assert!(error.to_string().contains(&expected), "{error}");
    }
    Ok(())
}
