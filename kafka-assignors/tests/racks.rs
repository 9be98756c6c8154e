//! Comparison of the sticky assignors with recordings of Kafka's own code, for groups with racks
//! and members without topics.

use std::collections::BTreeMap;

use kafka_assignors::{Algorithm, Assignment, Member, MemberIndex, Subscription, Topics};
use rstest::rstest;
use serde::Deserialize;

const JAVA: &str = include_str!("recorded/racks-java.jsonl");
const LIBRDKAFKA: &str = include_str!("recorded/racks-librdkafka.jsonl");

/// One rebalance.
#[derive(Deserialize)]
struct Recording {
    assignor: String,
    /// The racks of the replicas of each partition, by topic.
    racks: BTreeMap<String, Vec<Vec<String>>>,
    members: Vec<RecordedMember>,
    previous: Owners,
    owners: Owners,
}

type Owners = BTreeMap<String, Vec<Option<String>>>;

#[derive(Deserialize)]
struct RecordedMember {
    id: String,
    topics: Vec<String>,
    rack: Option<String>,
}

fn assignment(members: &[Member], owners: &Owners) -> Assignment {
    let index = |owner: &String| members.iter().position(|member| member.id == *owner);
    let owners = owners.values().flatten();
    owners
        .map(|owner| owner.as_ref().and_then(index).map(MemberIndex::new))
        .collect()
}

#[rstest]
#[case::java(JAVA, &[
    ("sticky", Algorithm::Sticky),
    ("cooperative-sticky", Algorithm::CooperativeSticky),
])]
#[case::librdkafka(LIBRDKAFKA, &[
    // Recorded before the step that withholds the partitions that move.
    ("cooperative-sticky", Algorithm::LibrdkafkaSticky),
])]
fn matches_recorded_clients(#[case] recordings: &str, #[case] algorithms: &[(&str, Algorithm)]) {
    let mut compared = 0;
    for (number, line) in recordings.lines().enumerate() {
        let recording: Recording = serde_json::from_str(line).unwrap();
        let sizes = recording.racks.iter();
        let topics = Topics::new(sizes.map(|(name, racks)| (name.clone(), racks.len())))
            .with_replica_racks(recording.racks.values().flatten().cloned());
        let members: Vec<Member> = recording
            .members
            .iter()
            .map(|member| Member {
                id: member.id.clone(),
                instance: None,
                subscription: Subscription::new(
                    member.topics.iter().map(|name| topics.find(name).unwrap()),
                ),
                rack: member.rack.clone(),
            })
            .collect();
        let (_, algorithm) = algorithms
            .iter()
            .find(|(name, _)| *name == recording.assignor)
            .unwrap();
        let previous = assignment(&members, &recording.previous);
        let owners = algorithm.assign(&topics, &members, &previous);
        let expected = assignment(&members, &recording.owners);
        assert_eq!(
            owners,
            expected,
            "{algorithm:?}, line {}: {line}",
            number + 1
        );
        compared += 1;
    }
    assert!(compared >= 300, "{compared}");
}
