//! Rejoins in groups of the consumer protocol (KIP-848): members are removed and return, and two
//! members process a partition for a limited time only.

use std::sync::{Arc, Mutex};

use consumers::{Stream, Traffic};
use harness::kafka::{JavaEvent, JavaEventKind};
use harness::{Kafka, KafkaConfig};

use super::rejoin::{REJOINING, rejoin};
use super::*;

/// A group of KIP-848.
fn kind(client: Client, static_members: bool) -> Kind {
    Kind {
        client,
        static_members,
        ..Kind::consumer()
    }
}

/// Lets two members rejoin, and checks that they are back and the others have stayed.
async fn rejoins(group: &Group) -> Result<HandoverReport> {
    let id = &group.id;
    let (report, plan) = rejoin(group, &Stop::never(), |_| ()).await;
    assert_eq!(
        report.outcome,
        HandoverOutcome::Rejoined,
        "{id}: {report:?}"
    );
    assert!(report.settled, "{id}: {report:?}");
    let counts = (report.removed, report.returned, report.rebalances);
    assert_eq!(counts, (REJOINING.len(), REJOINING.len(), 1), "{id}");
    assert!(report.double_processing.is_some(), "{id}: {report:?}");
    at_rest(group).await?;
    let described = group.observe().await.described.unwrap();
    assert!(described.removable_members, "{id}");
    for (index, before) in plan.members.iter().enumerate() {
        let has_id = described
            .members
            .iter()
            .any(|now| now.labels.member_id.as_deref() == Some(&before.member_id));
        // Removed members mostly return under the ids that they had.
        assert!(
            has_id || REJOINING.contains(&index),
            "{id}: {before:?} of {described:?}"
        );
    }
    Ok(report)
}

#[tokio::test]
async fn removed_members_of_kip_848_return() -> Result<()> {
    let kinds = [
        ("librdkafka", kind(Client::Librdkafka, false)),
        ("java", kind(Client::Java, false)),
        ("java-static", kind(Client::Java, true)),
    ];
    let rejoined = kinds.map(async |(name, kind)| {
        let group = Group::start(&format!("kip-848-rejoin-{name}"), kind).await?;
        rejoins(&group).await?;
        // Once more: the group is as any other.
        rejoins(&group).await?;
        Ok(group)
    });
    let groups: Vec<Group> = try_join_all(rejoined).await?;
    drop(groups);
    Ok(())
}

/// The end of a rejoin before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The process is killed this long after the stage began.
    Killed(Duration),
    /// A stop is requested when the stage begins.
    Stopped,
}

/// If the process is killed or stopped, the group settles, and the next rejoin works.
#[tokio::test]
async fn rejoin_of_kip_848_that_ends_early_leaves_a_group_that_settles() -> Result<()> {
    use HandoverStage::{Confirming, Dealing, Rejoining};
    let cases = [
        (Confirming, End::Killed(Duration::ZERO)),
        // While the removal is requested, and after it.
        (Rejoining, End::Killed(Duration::ZERO)),
        (Rejoining, End::Killed(Duration::from_millis(100))),
        (Dealing, End::Killed(Duration::ZERO)),
        (Confirming, End::Stopped),
        (Rejoining, End::Stopped),
    ];
    let ended = cases.map(async |(stage, end)| {
        let name = format!("kip-848-ends-{stage:?}-{end:?}").replace(['(', ')', '.'], "-");
        let group = Group::start(&name, kind(Client::Java, false)).await?;
        let (handle, stop) = Stop::channel();
        let (entered, reached) = tokio::sync::oneshot::channel();
        let mut entered = Some(entered);
        let report = |current| {
            if current != stage {
                return;
            }
            if end == End::Stopped {
                handle.stop(StopCause::Signal);
            } else if let Some(entered) = entered.take() {
                let _ = entered.send(());
            }
        };
        let killed = async {
            let Ok(()) = reached.await else {
                return std::future::pending().await;
            };
            if let End::Killed(after) = end {
                tokio::time::sleep(after).await;
            }
        };
        tokio::select! {
            biased;
            () = killed => {}
            (report, _) = rejoin(&group, &stop, report) => {
                assert_eq!(end, End::Stopped, "{name}: {report:?}");
                // A member that had returned by then does not leave again.
                let is_expected = match &report.outcome {
                    HandoverOutcome::Rejoined => stage == Rejoining,
                    HandoverOutcome::Abandoned(reason) => {
                        *reason == AbandonReason::Stopped(StopCause::Signal)
                            || matches!(reason, AbandonReason::NotBack { .. })
                    }
                    HandoverOutcome::Assigned | HandoverOutcome::NotKept { .. } => false,
                };
                assert!(is_expected, "{name}: {report:?}");
            }
        }
        at_rest(&group).await?;
        rejoins(&group).await?;
        Ok(group)
    });
    let groups: Vec<Group> = try_join_all(ended).await?;
    drop(groups);
    Ok(())
}

/// The records per second of each partition.
const RATE: f64 = 20.0;

/// The longest time for which two consumers owned a partition, by their events in the order of
/// their times.
fn longest_overlap(events: &[JavaEvent]) -> Duration {
    let mut owners: BTreeMap<&Partition, Vec<(&str, Duration)>> = BTreeMap::new();
    let mut longest = Duration::ZERO;
    for event in events {
        let consumer = event.consumer.as_str();
        match &event.kind {
            JavaEventKind::Assigned(partitions) => {
                for partition in partitions {
                    let of = owners.entry(partition).or_default();
                    of.push((consumer, event.at));
                }
            }
            JavaEventKind::Revoked(partitions) | JavaEventKind::Lost(partitions) => {
                for partition in partitions {
                    let of = owners.entry(partition).or_default();
                    // From the time at which the second one began to own it.
                    if let [_, .., (_, since)] = of.as_slice() {
                        longest = longest.max(event.at.saturating_sub(*since));
                    }
                    of.retain(|(owner, _)| *owner != consumer);
                }
            }
            JavaEventKind::Member(_)
            | JavaEventKind::Processed { .. }
            | JavaEventKind::Committed(_)
            | JavaEventKind::Refused { .. }
            | JavaEventKind::Left
            | JavaEventKind::Failed(_) => {}
        }
    }
    longest
}

/// The number of times that each record was processed.
fn processed(events: &[JavaEvent]) -> BTreeMap<(Partition, i64), usize> {
    let mut processed = BTreeMap::new();
    for event in events {
        if let JavaEventKind::Processed { records, .. } = &event.kind {
            for (partition, [first, last]) in records {
                for offset in *first..=*last {
                    *processed.entry((partition.clone(), offset)).or_default() += 1;
                }
            }
        }
    }
    processed
}

/// With the default heartbeat interval of the broker (5 s), consumers that process and commit
/// records: none is lost, and two consumers own a partition no longer than the report says.
#[rstest]
#[case::own_commits(vec![
    ("enable.auto.commit", "false"),
    ("commit", "async"),
    ("commit.ms", "500"),
])]
#[case::automatic_commits(vec![("auto.commit.interval.ms", "5000")])]
#[tokio::test(flavor = "multi_thread")]
async fn double_processing_in_kip_848_is_limited_and_no_record_is_lost(
    #[case] mut properties: Vec<(&'static str, &'static str)>,
) -> Result<()> {
    let kafka = Kafka::start_with(&KafkaConfig {
        properties: "group.consumer.heartbeat.interval.ms=5000\n".to_owned(),
        ..KafkaConfig::default()
    })
    .await?;
    // The consumers of the group need it until the end of the process.
    let kafka: &'static Kafka = Box::leak(Box::new(kafka));
    let name = format!("kip-848-records-{}", properties.len());
    properties.extend([("max.poll.records", "50"), ("work.us", "1000")]);
    let kind = Kind {
        properties,
        ..kind(Client::Java, false)
    };
    let group = Group::start_on(kafka, &name, kind).await?;
    let streams = group.topics.iter().flat_map(|(topic, size)| {
        (0..*size).map(|partition| Stream {
            topic: topic.clone(),
            partition,
            rate: RATE,
        })
    });
    let arrived = Arc::<Mutex<BTreeSet<(Partition, i64)>>>::default();
    let arrivals = Arc::clone(&arrived);
    let traffic = Traffic::start(
        &kafka.bootstrap(),
        streams.collect(),
        move |topic, partition, offset| {
            let record = ((topic.to_owned(), partition), offset);
            arrivals.lock().unwrap().insert(record);
        },
    )?;
    let java = group.java.unwrap();
    let prefix = format!("{}-pod-", group.id);
    let deadline = Duration::from_secs(120);
    let pause = Duration::from_millis(200);
    until("records of each partition", deadline, pause, async || {
        let processed = processed(&java.events_of(&prefix));
        let partitions: BTreeSet<&Partition> = processed.keys().map(|(of, _)| of).collect();
        Ok(if partitions.len() == 21 {
            Look::Done(())
        } else {
            Look::Not(format!("{partitions:?}"))
        })
    })
    .await?;
    let report = rejoins(&group).await?;
    traffic.stop()?;
    let arrived = arrived.lock().unwrap().clone();
    until("all records to be processed", deadline, pause, async || {
        let processed = processed(&java.events_of(&prefix));
        let lost = arrived
            .iter()
            .find(|record| !processed.contains_key(record));
        Ok(match lost {
            None => Look::Done(()),
            Some(lost) => Look::Not(format!("{lost:?}, failures {:?}", java.failures())),
        })
    })
    .await?;
    let events = java.events_of(&prefix);
    let reported = report.double_processing.unwrap().to_duration();
    let overlap = longest_overlap(&events);
    assert!(overlap <= reported, "{overlap:?} > {reported:?}");
    // The interval, the batch, and as much again for a machine that is busy with other tests.
    assert!(reported <= Duration::from_secs(10), "{report:?}");
    // Only records of a few seconds are processed twice.
    let processed = processed(&events);
    let twice = processed.values().map(|times| times - 1).sum::<usize>();
    assert!(
        twice < arrived.len(),
        "{twice} of {} records were processed again: {report:?}",
        arrived.len()
    );
    eprintln!(
        "MEASURED {name}: {} records, {twice} again; overlap {overlap:?}, reported {reported:?}",
        arrived.len()
    );
    Ok(())
}
