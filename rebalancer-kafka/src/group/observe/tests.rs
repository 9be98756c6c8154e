use super::*;
use crate::messages::PartitionMetadata;

fn topic(name: &str, partitions: i32) -> TopicMetadata {
    TopicMetadata {
        error: ErrorCode::NONE,
        name: name.into(),
        partitions: (0..partitions)
            .map(|index| PartitionMetadata {
                index,
                leader: 1,
                replicas: vec![1, 2],
            })
            .collect(),
    }
}

fn broker(id: i32, rack: Option<&str>) -> BrokerMetadata {
    BrokerMetadata {
        id,
        address: Address {
            host: format!("kafka-{id}"),
            port: 9092,
        },
        rack: rack.map(Into::into),
    }
}

fn group(owned: &[(&str, &[u32])]) -> DescribedGroup {
    let member = |(id, partitions): &(&str, &[u32])| rebalancer_core::ports::DescribedMember {
        labels: MemberLabels {
            member_id: Some((*id).into()),
            ..MemberLabels::default()
        },
        rack: None,
        subscription: Some(vec!["t".into()]),
        owned: partitions.iter().map(|&one| ("t".into(), one)).collect(),
        client: None,
        classic_in_consumer_group: false,
        has_assignment_user_data: false,
    };
    DescribedGroup {
        kind: GroupKind::Classic,
        state: GroupState::Stable,
        protocol_type: "consumer".into(),
        assignor: Some("range".into()),
        removable_members: false,
        members: owned.iter().map(member).collect(),
        topics: Vec::new(),
        cluster_id: None,
    }
}

#[test]
fn unowned_and_doubly_owned_partitions_are_reported() {
    let owners = owners(&group(&[("a", &[0, 1]), ("b", &[1])]), &[topic("t", 3)]);
    let shown: Vec<(u32, Option<&str>)> = owners
        .iter()
        .map(|sample| {
            let owner = sample.owner.as_ref();
            let id = owner.map(|owner| owner.member_id.as_deref().unwrap());
            (sample.partition, id)
        })
        .collect();
    assert_eq!(
        shown,
        [(0, Some("a")), (1, Some("a")), (1, Some("b")), (2, None)]
    );
}

#[test]
fn racks_are_those_of_the_replicas() {
    let brokers = [
        broker(1, Some("b")),
        broker(2, Some("a")),
        broker(3, Some("c")),
    ];
    let described = described_topic(&topic("t", 1), &brokers);
    assert_eq!(described.partition_racks, [["a", "b"]]);
    let brokers = [broker(1, None), broker(2, None)];
    let described = described_topic(&topic("t", 2), &brokers);
    assert_eq!(
        described.partition_racks,
        [Vec::<String>::new(), Vec::new()]
    );
}

#[test]
fn rates_and_lags_are_computed_from_offsets() {
    let window = Duration::from_secs(10);
    let topics = [topic("t", 3)];
    let offsets = Offsets::new([("t", 0, 100, 50), ("t", 1, 1000, 20), ("t", 2, 5, 0)]);
    let committed: Committed = [(("t".into(), 0), 90), (("t".into(), 1), 400)].into();
    let rates: Vec<f64> = rates(&topics, &offsets, window)
        .into_iter()
        .map(|sample| sample.rate.unwrap().get())
        .collect();
    assert_eq!(rates, [5.0, 2.0, 0.0]);
    let lags: Vec<Option<u64>> = lags(&topics, &offsets, &committed)
        .into_iter()
        .map(|sample| sample.records)
        .collect();
    assert_eq!(lags, [Some(10), Some(600), None]);
}

#[test]
fn committed_offset_beyond_the_end_is_no_lag() {
    let committed: Committed = [(("t".into(), 0), 90)].into();
    assert_eq!(lag("t", 0, 10, &committed), Some(0));
}

#[test]
fn partitions_without_offsets_make_the_observation_partial() {
    let mut offsets = Offsets::new([("t", 0, 1, 1)]);
    assert_eq!(missing(&offsets), None);
    offsets.missing = (0..7)
        .map(|partition| ("t".into(), partition, "it has no leader".into()))
        .collect();
    let partial = missing(&offsets).unwrap();
    assert!(
        partial.starts_with("the offsets of 7 partitions could not be read"),
        "{partial}"
    );
    assert!(
        partial.contains("t-4: it has no leader; and 2 more)"),
        "{partial}"
    );
}

#[test]
fn topics_are_those_that_members_subscribe_to_or_own() {
    let mut group = group(&[("a", &[0])]);
    group.members[0].subscription = Some(vec!["u".into()]);
    assert_eq!(topics_of(&group), ["t", "u"]);
    group.kind = GroupKind::Other("streams".into());
    assert_eq!(topics_of(&group), Vec::<String>::new());
}

#[test]
fn topics_that_cannot_be_read_are_sorted_by_the_reason() {
    let with = |name: &str, error| TopicMetadata {
        error,
        ..topic(name, 1)
    };
    let broker = broker(1, None).address;
    let missing = with("m", ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    let (found, notes) = existing(vec![topic("b", 1), missing, topic("a", 1)], &broker).unwrap();
    let names: Vec<&str> = found.iter().map(|topic| topic.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(
        notes,
        ["members subscribe to topic `m`, which does not exist"]
    );

    let unauthorized = ErrorCode::TOPIC_AUTHORIZATION_FAILED;
    let topics = vec![
        with("z", unauthorized),
        topic("b", 1),
        with("y", unauthorized),
    ];
    match existing(topics, &broker) {
        Err(KafkaError::NotAuthorizedForTopics { topics }) => assert_eq!(topics, ["y", "z"]),
        other => panic!("{other:?}"),
    }

    let error = existing(vec![with("b", ErrorCode::KAFKA_STORAGE_ERROR)], &broker).unwrap_err();
    assert!(error.is_transient(), "{error}");
}
