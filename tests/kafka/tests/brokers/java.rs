//! The Java consumers of the harness: they process and commit records, and report it.

use std::collections::BTreeMap;
use std::time::Duration;

use harness::kafka::{JavaConsumers, JavaEvent, JavaEventKind, Kafka, double_owners};
use harness::wait::{Look, until};
use harness::{KafkaVersion, Result};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rstest::rstest;

const PARTITIONS: i32 = 4;
/// The number of records in each partition.
const RECORDS: i64 = 100;

/// The committed offset of each partition, and how often each record was processed.
fn progress(events: &[JavaEvent]) -> (BTreeMap<i32, i64>, BTreeMap<(i32, i64), usize>) {
    let mut committed = BTreeMap::new();
    let mut processed = BTreeMap::new();
    for event in events {
        if let JavaEventKind::Committed(offsets) = &event.kind {
            for ((_, partition), offset) in offsets {
                committed.insert(*partition, *offset);
            }
        } else if let JavaEventKind::Processed { since, records } = &event.kind {
            assert!(*since <= event.at);
            for ((_, partition), [first, last]) in records {
                for offset in *first..=*last {
                    *processed.entry((*partition, offset)).or_default() += 1;
                }
            }
        }
    }
    (committed, processed)
}

#[rstest]
#[tokio::test]
async fn java_consumers_report_records_and_commits(
    #[values("sync", "async")] commit: &str,
) -> Result<()> {
    let kafka = Kafka::secured(KafkaVersion::Current).await?;
    let java = JavaConsumers::shared(KafkaVersion::Current).await?;
    let group = format!("processed-{commit}");
    kafka.admin().create_topic(&group, PARTITIONS).await?;
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka.bootstrap());
    let producer: BaseProducer = config.create().unwrap();
    for partition in 0..PARTITIONS {
        for _ in 0..RECORDS {
            let record = BaseRecord::<str, str>::to(&group).partition(partition);
            producer.send(record.payload("x")).unwrap();
        }
    }
    producer.flush(Duration::from_secs(30)).unwrap();
    let bootstrap = kafka.bootstrap();
    let settings = [
        ("bootstrap.servers", bootstrap.as_str()),
        ("group.id", &group),
        ("topics", &group),
        ("auto.offset.reset", "earliest"),
        ("enable.auto.commit", "false"),
        ("heartbeat.interval.ms", "300"),
        ("session.timeout.ms", "6000"),
        ("max.poll.records", "20"),
        ("work.us", "1000"),
        ("commit", commit),
    ];
    let names = ["a", "b"].map(|name| format!("{group}-{name}"));
    for name in &names {
        java.join(name, &settings)?;
    }
    let deadline = Duration::from_secs(60);
    let pause = Duration::from_millis(100);
    until("all offsets to be committed", deadline, pause, async || {
        let (committed, _) = progress(&java.events_of(&group));
        let all = (0..PARTITIONS).all(|partition| committed.get(&partition) == Some(&RECORDS));
        let failures = java.failures();
        Ok(if all {
            Look::Done(())
        } else {
            Look::Not(format!("{committed:?}, failures {failures:?}"))
        })
    })
    .await?;
    for name in &names {
        java.leave(name)?;
    }
    until("the consumers to be closed", deadline, pause, async || {
        Ok(if names.iter().all(|name| java.is_over(name)) {
            Look::Done(())
        } else {
            Look::Not(format!("{:?}", java.events_of(&group).last()))
        })
    })
    .await?;
    let events = java.events_of(&group);
    assert_eq!(double_owners(&events), [] as [&str; 0]);
    let (_, processed) = progress(&events);
    let expected = usize::try_from(i64::from(PARTITIONS) * RECORDS).unwrap();
    assert_eq!(processed.len(), expected);
    Ok(())
}
