//! The state and the members of a group, as its coordinator describes them.

use std::collections::{BTreeMap, BTreeSet};

use rebalancer_core::model::Seconds;
use rebalancer_core::ports::{
    DescribedGroup, DescribedMember, GroupKind, GroupState, MemberLabels, TopicPartition,
};

use crate::client_family;
use crate::cluster::{call, check_group};
use crate::connection::Connection;
use crate::consumer_protocol::{Assignment, Subscription};
use crate::dialer::Dialer;
use crate::error::{Action, KafkaError};
use crate::error_code::ErrorCode;
use crate::messages::{
    self, ConsumerGroup, ConsumerGroupDescribe, DescribeGroupConfig, DescribeGroups, Request as _,
};

/// The protocol type of consumers.
const CONSUMER: &str = "consumer";

/// Describes a group without its topics. The state of a group that does not exist, or that is of
/// another type than classic and consumer, is `Dead`.
pub(crate) async fn describe(
    coordinator: &mut Connection,
    dialer: &Dialer,
    group: &str,
) -> Result<DescribedGroup, KafkaError> {
    let (described, _) = describe_with_rights(coordinator, dialer, group).await?;
    Ok(described)
}

/// As [`describe`], with whether the account has the right READ on the group, which joining it
/// needs.
pub(crate) async fn describe_with_rights(
    coordinator: &mut Connection,
    dialer: &Dialer,
    group: &str,
) -> Result<(DescribedGroup, Option<bool>), KafkaError> {
    let action = || Action::Describe(group.to_owned());
    let response = call(coordinator, dialer, action, &DescribeGroups { group }).await?;
    let Some(classic) = response.into_iter().next() else {
        return Ok((dead(), None));
    };
    check_group(classic.error, group, coordinator.broker(), action)?;
    let may_read = classic.operations.may_read();
    let classic = of_classic(group, classic);
    if classic.state != GroupState::Dead || !coordinator.supports(&ConsumerGroupDescribe::API) {
        return Ok((classic, may_read));
    }
    let request = ConsumerGroupDescribe { group };
    let response = call(coordinator, dialer, action, &request).await?;
    let Some(consumer) = response.into_iter().next() else {
        return Ok((dead(), may_read));
    };
    match consumer.error {
        // A broker whose coordinator does not know the protocol answers that it does not support
        // it.
        ErrorCode::GROUP_ID_NOT_FOUND | ErrorCode::UNSUPPORTED_VERSION => Ok((dead(), may_read)),
        ErrorCode::TOPIC_AUTHORIZATION_FAILED => {
            Err(KafkaError::NotAuthorizedForTopics { topics: Vec::new() })
        }
        error => {
            check_group(error, group, coordinator.broker(), action)?;
            // The coordinators that report the protocol of each member (Kafka 4.0) also remove
            // members.
            let is_4_0 = matches!(coordinator.version(&ConsumerGroupDescribe::API), Ok(1..));
            let may_read = consumer.operations.may_read();
            Ok((of_consumer(consumer, is_4_0), may_read))
        }
    }
}

/// The setting of the heartbeat interval of the members of a group, in milliseconds.
const HEARTBEAT: &str = "consumer.heartbeat.interval.ms";

/// The heartbeat interval of a group of the consumer protocol (KIP-848), or why it is not known.
pub(crate) async fn heartbeat(
    coordinator: &mut Connection,
    dialer: &Dialer,
    group: &str,
) -> Result<Result<Seconds, String>, KafkaError> {
    if !coordinator.supports(&DescribeGroupConfig::API) {
        return Ok(Err("its coordinator does not report it".to_owned()));
    }
    let action = || Action::GroupConfig(group.to_owned());
    let name = HEARTBEAT;
    let request = DescribeGroupConfig { group, name };
    let (error, value) = call(coordinator, dialer, action, &request).await?;
    let millis = value.and_then(|value| value.parse::<f64>().ok());
    let seconds = millis.and_then(|millis| Seconds::new(millis / 1000.0).ok());
    Ok(match (error, seconds) {
        (ErrorCode::NONE, Some(seconds)) => Ok(seconds),
        (ErrorCode::GROUP_AUTHORIZATION_FAILED, _) => Err(format!(
            "grant DESCRIBE_CONFIGS on group `{group}` to the user"
        )),
        // A broker that does not know settings of groups refuses the type of the resource.
        (ErrorCode::NONE | ErrorCode::INVALID_REQUEST, _) => {
            Err(format!("its coordinator has no setting {HEARTBEAT}"))
        }
        (error, _) => Err(format!("its coordinator answers {error}")),
    })
}

fn dead() -> DescribedGroup {
    DescribedGroup {
        kind: GroupKind::Classic,
        state: GroupState::Dead,
        protocol_type: String::new(),
        assignor: None,
        removable_members: false,
        members: Vec::new(),
        topics: Vec::new(),
        cluster_id: None,
    }
}

fn state(name: String) -> GroupState {
    match name.as_str() {
        "Stable" => GroupState::Stable,
        "PreparingRebalance" | "CompletingRebalance" | "Assigning" | "Reconciling" => {
            GroupState::Rebalancing(name)
        }
        "Empty" => GroupState::Empty,
        "Dead" => GroupState::Dead,
        _ => GroupState::Other(name),
    }
}

fn of_classic(group: &str, described: messages::DescribedGroup) -> DescribedGroup {
    let messages::DescribedGroup {
        error: _,
        state: name,
        protocol_type,
        protocol,
        members,
        operations: _,
    } = described;
    // The metadata of Connect and of others have formats of their own.
    let is_consumer = protocol_type == CONSUMER;
    let mut members: Vec<DescribedMember> = members
        .into_iter()
        .map(|member| classic_member(group, &protocol, is_consumer, member))
        .collect();
    sort(&mut members);
    DescribedGroup {
        kind: GroupKind::Classic,
        state: state(name),
        protocol_type,
        assignor: Some(protocol).filter(|protocol| !protocol.is_empty()),
        removable_members: false,
        members,
        topics: Vec::new(),
        cluster_id: None,
    }
}

fn classic_member(
    group: &str,
    assignor: &str,
    is_consumer: bool,
    member: messages::DescribedMember,
) -> DescribedMember {
    let messages::DescribedMember {
        id,
        instance,
        client_id,
        host,
        metadata,
        assignment,
    } = member;
    // While the group rebalances, the coordinator reports neither.
    let subscription = Subscription::decode(&metadata).ok().filter(|_| is_consumer);
    let assignment = Assignment::decode(&assignment).ok().filter(|_| is_consumer);
    let client = subscription
        .as_ref()
        .and_then(|it| client_family::of_member(group, assignor, &client_id, it));
    let rack = subscription.as_ref().and_then(|it| it.rack.clone());
    DescribedMember {
        labels: labels(id, instance, client_id, host),
        rack,
        // An assignment that cannot be read makes the member as unknown as its subscription would.
        subscription: subscription
            .filter(|_| assignment.is_some())
            .map(|it| sorted(it.topics)),
        has_assignment_user_data: assignment.as_ref().is_some_and(|it| it.has_other_user_data),
        owned: assignment.map_or_else(Vec::new, |it| flattened(it.partitions)),
        client,
        classic_in_consumer_group: false,
    }
}

fn of_consumer(described: ConsumerGroup, removable_members: bool) -> DescribedGroup {
    let ConsumerGroup {
        error: _,
        state: name,
        assignor,
        members,
        operations: _,
    } = described;
    // The broker evaluates regular expressions and does not report the topics. Those that members
    // with the expression own are the known part of them.
    let mut matched: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for member in &members {
        if let Some(regex) = &member.topic_regex {
            let topics = member.assignment.iter().map(|(topic, _)| topic.clone());
            matched.entry(regex.clone()).or_default().extend(topics);
        }
    }
    let mut members: Vec<DescribedMember> = members
        .into_iter()
        .map(|member| {
            let of_regex = member.topic_regex.and_then(|regex| matched.get(&regex));
            let topics = member.topics.into_iter();
            let topics = topics.chain(of_regex.into_iter().flatten().cloned());
            DescribedMember {
                labels: labels(member.id, member.instance, member.client_id, member.host),
                rack: member.rack.filter(|rack| !rack.is_empty()),
                subscription: Some(sorted(topics.collect())),
                owned: flattened(member.assignment),
                client: None,
                classic_in_consumer_group: member.is_classic == Some(true),
                has_assignment_user_data: false,
            }
        })
        .collect();
    sort(&mut members);
    DescribedGroup {
        kind: GroupKind::Consumer,
        state: state(name),
        protocol_type: CONSUMER.to_owned(),
        assignor: Some(assignor).filter(|assignor| !assignor.is_empty()),
        removable_members,
        members,
        topics: Vec::new(),
        cluster_id: None,
    }
}

fn labels(id: String, instance: Option<String>, client_id: String, host: String) -> MemberLabels {
    let set = |text: String| Some(text).filter(|text| !text.is_empty());
    MemberLabels {
        pod: None,
        host: set(host),
        client_id: set(client_id),
        member_id: Some(id),
        instance,
    }
}

fn sort(members: &mut [DescribedMember]) {
    members.sort_by(|one, other| one.labels.member_id.cmp(&other.labels.member_id));
}

fn sorted(mut topics: Vec<String>) -> Vec<String> {
    topics.sort_unstable();
    topics.dedup();
    topics
}

/// Topics with partitions, as a sorted list of partitions. Negative numbers, which no client sends,
/// are left out.
pub(crate) fn flattened(topics: Vec<(String, Vec<i32>)>) -> Vec<TopicPartition> {
    let mut partitions: Vec<TopicPartition> = Vec::new();
    for (topic, numbers) in topics {
        let numbers = numbers
            .into_iter()
            .filter_map(|number| u32::try_from(number).ok());
        partitions.extend(numbers.map(|number| (topic.clone(), number)));
    }
    partitions.sort_unstable();
    partitions.dedup();
    partitions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::AuthorizedOperations;
    use crate::messages::ConsumerGroupMember;
    use rebalancer_core::group::ClientFamily;
    use rstest::rstest;

    #[rstest]
    #[case("Stable", GroupState::Stable)]
    #[case("PreparingRebalance", GroupState::Rebalancing("PreparingRebalance".into()))]
    #[case("CompletingRebalance", GroupState::Rebalancing("CompletingRebalance".into()))]
    #[case("Assigning", GroupState::Rebalancing("Assigning".into()))]
    #[case("Reconciling", GroupState::Rebalancing("Reconciling".into()))]
    #[case("Empty", GroupState::Empty)]
    #[case("Dead", GroupState::Dead)]
    #[case("Resting", GroupState::Other("Resting".into()))]
    fn state_is_recognised(#[case] name: &str, #[case] expected: GroupState) {
        assert_eq!(state(name.to_owned()), expected);
    }

    fn classic(protocol_type: &str, metadata: &[u8], assignment: &[u8]) -> DescribedMember {
        let group = messages::DescribedGroup {
            error: ErrorCode::NONE,
            state: "Stable".into(),
            protocol_type: protocol_type.into(),
            protocol: "cooperative-sticky".into(),
            members: vec![messages::DescribedMember {
                id: "m-1".into(),
                instance: Some("i-1".into()),
                client_id: "pod-1".into(),
                host: "/10.0.0.1".into(),
                metadata: metadata.into(),
                assignment: assignment.into(),
            }],
            operations: AuthorizedOperations(0),
        };
        of_classic("orders", group).members.remove(0)
    }

    /// A subscription of version 3 to `u` and `t`, with the user data of Java and the rack `a`.
    const METADATA: &[u8] = &[
        0, 3, 0, 0, 0, 2, 0, 1, b'u', 0, 1, b't', 0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 5,
        0, 1, b'a',
    ];

    #[test]
    fn member_of_a_classic_group_is_described() {
        let assignment = Assignment::encode(&[("t".into(), vec![3, 1])], None);
        let member = classic("consumer", METADATA, &assignment);
        assert_eq!(
            member,
            DescribedMember {
                labels: MemberLabels {
                    pod: None,
                    host: Some("/10.0.0.1".into()),
                    client_id: Some("pod-1".into()),
                    member_id: Some("m-1".into()),
                    instance: Some("i-1".into()),
                },
                rack: Some("a".into()),
                subscription: Some(vec!["t".into(), "u".into()]),
                owned: vec![("t".into(), 1), ("t".into(), 3)],
                client: Some(ClientFamily::Java),
                classic_in_consumer_group: false,
                has_assignment_user_data: false,
            }
        );
    }

    #[rstest]
    #[case::sticky_data(&Assignment::encode(&[("t".into(), vec![3, 1])], Some(5)), false)]
    #[case::other_data(&[0, 1, 0, 0, 0, 0, 0, 0, 0, 3, 7, 7, 7], true)]
    #[case::no_data(&Assignment::encode(&[("t".into(), vec![3, 1])], None), false)]
    #[case::empty_data(&[0, 1, 0, 0, 0, 0, 0, 0, 0, 0], false)]
    #[case::zero_bytes(&[], false)]
    fn user_data_of_an_assignment_is_noticed(#[case] assignment: &[u8], #[case] expected: bool) {
        let member = classic("consumer", METADATA, assignment);
        assert_eq!(member.has_assignment_user_data, expected);
    }

    #[rstest]
    #[case::rebalancing("consumer", &[], &[])]
    #[case::connect("connect", METADATA, &[])]
    #[case::unreadable_assignment("consumer", METADATA, &[0, 0, 9])]
    #[case::unreadable_subscription("consumer", &[9], &[])]
    fn subscription_that_cannot_be_read_is_unknown(
        #[case] protocol_type: &str,
        #[case] metadata: &[u8],
        #[case] assignment: &[u8],
    ) {
        let member = classic(protocol_type, metadata, assignment);
        assert_eq!(member.subscription, None);
        assert_eq!(member.owned, []);
    }

    #[test]
    fn topics_of_a_regular_expression_are_those_that_members_own() {
        let member = |id: &str, topic: &str| ConsumerGroupMember {
            id: id.into(),
            instance: None,
            rack: None,
            client_id: "c".into(),
            host: "/10.0.0.1".into(),
            topics: vec!["z".into()],
            topic_regex: Some("orders-.*".into()),
            assignment: vec![(topic.into(), vec![0])],
            is_classic: Some(false),
        };
        let group = of_consumer(
            ConsumerGroup {
                error: ErrorCode::NONE,
                state: "Stable".into(),
                assignor: "uniform".into(),
                members: vec![member("b", "orders-b"), member("a", "orders-a")],
                operations: AuthorizedOperations(0),
            },
            true,
        );
        let expected = vec!["orders-a".to_owned(), "orders-b".into(), "z".into()];
        for member in &group.members {
            assert_eq!(member.subscription.as_ref(), Some(&expected));
        }
        assert_eq!(group.members[0].labels.member_id.as_deref(), Some("a"));
        assert_eq!(group.assignor.as_deref(), Some("uniform"));
        assert!(group.removable_members);
    }
}
