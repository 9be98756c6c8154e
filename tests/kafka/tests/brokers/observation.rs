//! Every field of an observation.

use std::time::Duration;

use harness::{KafkaVersion, Result};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use rebalancer_core::group::ClientFamily;
use rebalancer_core::ports::{
    GroupKind, GroupObservation, GroupSource as _, GroupState, MemberLabels,
};
use rebalancer_kafka::{Kafka as Adapter, KafkaSettings};
use rstest::rstest;

use crate::group::{Group, Kind};

/// Compares the members, owners and topics with the real consumers.
fn check(group: &Group, observation: &GroupObservation, static_members: bool) {
    let described = observation.described.as_ref().unwrap();
    assert_eq!(described.state, GroupState::Stable);
    assert_eq!(described.protocol_type, "consumer");
    assert!(described.cluster_id.is_some());
    let topics: Vec<String> = group.topics.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(described.members.len(), group.consumers.len());
    for consumer in &group.consumers {
        let pod = Some(consumer.pod().to_owned());
        let member = described.members.iter();
        let mut member = member.filter(|member| member.labels.client_id == pod);
        let member = member.next().unwrap();
        let labels = MemberLabels {
            pod: None,
            host: Some("/127.0.0.1".into()),
            client_id: pod.clone(),
            member_id: Some(consumer.id()),
            instance: pod.filter(|_| static_members),
        };
        assert_eq!(member.labels, labels);
        assert_eq!(member.subscription.as_ref(), Some(&topics));
        let owned: Vec<(String, u32)> = consumer
            .owned()
            .into_iter()
            .map(|(topic, partition)| (topic, u32::try_from(partition).unwrap()))
            .collect();
        assert_eq!(member.owned, owned, "{}", consumer.pod());
        let mut sampled: Vec<(String, u32)> = observation
            .owners
            .iter()
            .filter(|sample| sample.owner.as_ref() == Some(&labels))
            .map(|sample| (sample.topic.clone(), sample.partition))
            .collect();
        sampled.sort();
        assert_eq!(sampled, owned);
    }
    assert!(
        observation
            .owners
            .iter()
            .all(|sample| sample.owner.is_some())
    );
    assert_eq!(observation.owners.len(), 21);
    assert_eq!(observation.rates.as_ref().unwrap().len(), 21);
    assert_eq!(observation.lags.as_ref().unwrap().len(), 21);
    assert_eq!(observation.rate_unit.as_deref(), Some("records/s"));
    assert_eq!(observation.partial, None);
    assert_eq!(observation.notes, Vec::<String>::new());
    for (topic, (name, size)) in described.topics.iter().zip(&group.topics) {
        assert_eq!(&topic.name, name);
        let size = usize::try_from(*size).unwrap();
        assert_eq!(topic.partition_racks, vec![["rack-a"]; size]);
    }
}

#[rstest]
#[tokio::test]
async fn classic_group_is_described_as_it_is(
    #[values(KafkaVersion::Current, KafkaVersion::V3_9)] version: KafkaVersion,
    #[values(false, true)] static_members: bool,
) -> Result<()> {
    // librdkafka sends an empty rack if none is configured.
    let rack = static_members.then_some("rack-b");
    let kind = Kind {
        static_members,
        properties: rack.map(|rack| ("client.rack", rack)).into_iter().collect(),
        ..Kind::classic(version)
    };
    let group = Group::start(&format!("classic-{static_members}"), kind).await?;
    let observation = group.observe().await;
    check(&group, &observation, static_members);
    let described = observation.described.unwrap();
    assert_eq!(described.kind, GroupKind::Classic);
    assert_eq!(described.assignor.as_deref(), Some("cooperative-sticky"));
    for member in &described.members {
        assert_eq!(member.client, Some(ClientFamily::Librdkafka), "{member:?}");
        assert_eq!(member.rack.as_deref(), Some(rack.unwrap_or_default()));
    }
    Ok(())
}

#[tokio::test]
async fn group_of_kip_848_is_described_as_it_is() -> Result<()> {
    let group = Group::start("kip-848", Kind::consumer()).await?;
    let observation = group.observe().await;
    check(&group, &observation, false);
    let described = observation.described.unwrap();
    assert_eq!(described.kind, GroupKind::Consumer);
    assert_eq!(described.assignor.as_deref(), Some("uniform"));
    let classic = described.members.iter();
    assert!(
        !classic
            .clone()
            .any(|member| member.classic_in_consumer_group)
    );
    Ok(())
}

/// The number of records, and of those committed, in each of three partitions.
const RECORDS: [(i32, usize, i64); 3] = [(0, 300, 290), (1, 60, 0), (2, 0, 0)];

#[rstest]
#[tokio::test]
async fn rates_and_lags_are_those_of_the_records(
    #[values(KafkaVersion::Current, KafkaVersion::V3_9)] version: KafkaVersion,
) -> Result<()> {
    let kafka = harness::Kafka::secured(version).await?;
    let topic = "measured-records";
    kafka.admin().create_topic(topic, 4).await?;
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka.bootstrap());
    let producer: BaseProducer = config.create().unwrap();
    let send = |partition, records, timestamp| {
        for _ in 0..records {
            let record = BaseRecord::<str, str>::to(topic).partition(partition);
            let mut record = record.payload("x");
            record.timestamp = timestamp;
            producer.send(record).unwrap();
        }
    };
    for (partition, records, _) in RECORDS {
        send(partition, records, None);
    }
    // Records from before the window count for the lag only.
    send(3, 50, Some(1_600_000_000_000));
    producer.flush(Duration::from_secs(30)).unwrap();
    config.set("group.id", "measured");
    let committer: BaseConsumer = config.create().unwrap();
    let mut committed = TopicPartitionList::new();
    let offsets = RECORDS.map(|(partition, _, offset)| (partition, offset));
    for (partition, offset) in offsets.into_iter().chain([(3, 10)]) {
        committed
            .add_partition_offset(topic, partition, Offset::Offset(offset))
            .unwrap();
    }
    committer.commit(&committed, CommitMode::Sync).unwrap();
    drop(committer);

    let kind = Kind {
        properties: vec![("enable.auto.commit", "false")],
        ..Kind::classic(version)
    };
    let group = Group::of_topics(kafka, "measured", kind, vec![(topic.into(), 4)]).await?;
    let window = Duration::from_secs(600);
    let adapter = Adapter::new(KafkaSettings {
        window,
        ..KafkaSettings::new(group.kafka.bootstrap().parse().unwrap(), "measured")
    })
    .unwrap();
    let observation = adapter.group().await.unwrap().unwrap();
    let rates: Vec<f64> = observation
        .rates
        .unwrap()
        .into_iter()
        .map(|sample| sample.rate.unwrap().get() * window.as_secs_f64())
        .collect();
    assert_eq!(
        rates.iter().map(|rate| rate.round()).collect::<Vec<_>>(),
        [300.0, 60.0, 0.0, 0.0]
    );
    let lags: Vec<Option<u64>> = observation
        .lags
        .unwrap()
        .into_iter()
        .map(|sample| sample.records)
        .collect();
    assert_eq!(lags, [Some(10), Some(60), Some(0), Some(40)]);
    Ok(())
}

#[tokio::test]
async fn lag_without_committed_offset_is_unknown() -> Result<()> {
    let kind = Kind {
        properties: vec![("enable.auto.commit", "false")],
        ..Kind::classic(KafkaVersion::Current)
    };
    let group = Group::start("uncommitted", kind).await?;
    let observation = group.observe().await;
    let lags = observation.lags.unwrap();
    assert_eq!(lags.len(), 21);
    assert!(lags.iter().all(|sample| sample.records.is_none()));
    Ok(())
}
