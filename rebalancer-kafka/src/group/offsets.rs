//! The offsets of partitions, from their leaders.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use futures::future::join_all;
use rebalancer_core::ports::PortErrorKind;
use tokio::time::sleep;
use tracing::debug;

use crate::address::Address;
use crate::cluster::{Cluster, call};
use crate::error::{Action, KafkaError};
use crate::error_code::ErrorCode;
use crate::messages::{ListOffsets, OffsetAt, Timestamp, TopicMetadata};

/// The number of times that partitions are asked for.
const ATTEMPTS: u32 = 3;
/// The pause before leaders are looked up again.
const PAUSE: Duration = Duration::from_millis(300);

/// The offsets of a partition's log, from which its rate and lag derive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LogOffsets {
    /// The offset of the next record.
    pub(crate) end: i64,
    /// The number of records that arrived since the given time.
    pub(crate) arrived: i64,
}

/// The offsets of the partitions of all topics.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    known: HashMap<String, HashMap<i32, LogOffsets>>,
    /// The partitions whose offsets could not be read, with the cause.
    pub(crate) missing: Vec<(String, i32, String)>,
}

impl Offsets {
    /// Offsets for tests: topic, partition, end, and number of records that arrived.
    #[cfg(test)]
    pub(crate) fn new<'a>(known: impl IntoIterator<Item = (&'a str, i32, i64, i64)>) -> Self {
        let mut offsets = Self::default();
        for (topic, partition, end, arrived) in known {
            let partitions = offsets.known.entry(topic.to_owned()).or_default();
            partitions.insert(partition, LogOffsets { end, arrived });
        }
        offsets
    }

    pub(crate) fn of(&self, topic: &str, partition: i32) -> Option<LogOffsets> {
        self.known.get(topic)?.get(&partition).copied()
    }
}

/// The partitions that are asked for, by topic.
type Pending = BTreeMap<String, Vec<i32>>;

/// Reads the offsets of all partitions of the topics at the end of their logs and at a time, in
/// milliseconds since 1970.
pub(crate) async fn read(
    cluster: &mut Cluster<'_>,
    mut topics: Vec<TopicMetadata>,
    since: i64,
    deadline: Instant,
) -> Result<Offsets, KafkaError> {
    let mut offsets = Offsets::default();
    let mut pending: Pending = topics
        .iter()
        .map(|topic| {
            let numbers = topic.partitions.iter().map(|partition| partition.index);
            (topic.name.clone(), numbers.collect())
        })
        .collect();
    for attempt in 1.. {
        let failed = read_once(cluster, &topics, &pending, since, &mut offsets).await?;
        if failed.is_empty() {
            break;
        }
        debug!(
            attempt,
            partitions = failed.len(),
            "offsets could not be read"
        );
        if attempt == ATTEMPTS || Instant::now() + PAUSE > deadline {
            offsets.missing = failed;
            break;
        }
        pending = Pending::new();
        for (topic, partition, _) in failed {
            pending.entry(topic).or_default().push(partition);
        }
        sleep(PAUSE).await;
        let names: Vec<String> = pending.keys().cloned().collect();
        topics = cluster.topics(&names).await?.topics;
    }
    Ok(offsets)
}

/// Asks each leader once, all at the same time. Returns the partitions that failed.
async fn read_once(
    cluster: &Cluster<'_>,
    topics: &[TopicMetadata],
    pending: &Pending,
    since: i64,
    offsets: &mut Offsets,
) -> Result<Vec<(String, i32, String)>, KafkaError> {
    let (by_leader, mut failed) = by_leader(cluster, topics, pending);
    let answers = by_leader.iter().map(|(leader, topics)| async move {
        (topics, of_leader(cluster, leader, topics, since).await)
    });
    for (asked, answer) in join_all(answers).await {
        match answer {
            Ok(answers) => {
                for (topic, partition, answer) in answers {
                    match answer {
                        Ok(found) => {
                            offsets
                                .known
                                .entry(topic)
                                .or_default()
                                .insert(partition, found);
                        }
                        Err(ErrorCode::TOPIC_AUTHORIZATION_FAILED) => {
                            return Err(KafkaError::NotAuthorizedForTopics {
                                topics: vec![topic],
                            });
                        }
                        Err(code) => failed.push((topic, partition, code.to_string())),
                    }
                }
            }
            Err(error) if error.kind() == PortErrorKind::Setup => {
                return Err(error);
            }
            Err(error) => {
                let cause = error.to_string();
                for (topic, partitions) in asked {
                    let with_cause = |&partition| (topic.clone(), partition, cause.clone());
                    failed.extend(partitions.iter().map(with_cause));
                }
            }
        }
    }
    Ok(failed)
}

/// The pending partitions of each leader, and those that have none.
#[expect(clippy::type_complexity, reason = "two lists of partitions")]
fn by_leader(
    cluster: &Cluster<'_>,
    topics: &[TopicMetadata],
    pending: &Pending,
) -> (
    BTreeMap<Address, Vec<(String, Vec<i32>)>>,
    Vec<(String, i32, String)>,
) {
    let mut leaders: HashMap<(&str, i32), &Address> = HashMap::new();
    let brokers: HashMap<i32, &Address> = cluster
        .brokers
        .iter()
        .map(|broker| (broker.id, &broker.address))
        .collect();
    for topic in topics {
        for partition in &topic.partitions {
            if let Some(address) = brokers.get(&partition.leader) {
                leaders.insert((&topic.name, partition.index), address);
            }
        }
    }
    let mut by_leader: BTreeMap<Address, BTreeMap<&str, Vec<i32>>> = BTreeMap::new();
    let mut failed = Vec::new();
    for (topic, partitions) in pending {
        for &partition in partitions {
            match leaders.get(&(topic.as_str(), partition)) {
                Some(&leader) => {
                    let topics = by_leader.entry(leader.clone()).or_default();
                    topics.entry(topic).or_default().push(partition);
                }
                None => failed.push((topic.clone(), partition, "it has no leader".to_owned())),
            }
        }
    }
    let owned = |(topic, partitions): (&str, Vec<i32>)| (topic.to_owned(), partitions);
    let by_leader = by_leader
        .into_iter()
        .map(|(leader, topics)| (leader, topics.into_iter().map(owned).collect()));
    (by_leader.collect(), failed)
}

type Answer = (String, i32, Result<LogOffsets, ErrorCode>);

/// Asks one leader for the offsets at the end and at a time.
async fn of_leader(
    cluster: &Cluster<'_>,
    leader: &Address,
    topics: &[(String, Vec<i32>)],
    since: i64,
) -> Result<Vec<Answer>, KafkaError> {
    let mut connection = cluster.broker(leader).await?;
    let mut read = async |timestamp| {
        let request = ListOffsets { timestamp, topics };
        call(
            &mut connection,
            cluster.dialer(),
            || Action::Offsets,
            &request,
        )
        .await
    };
    // The end is read last, so that no record is counted that is not in the log yet.
    let started = by_partition(read(Timestamp::At(since)).await?);
    let ended = by_partition(read(Timestamp::Latest).await?);
    let mut answers = Vec::new();
    for (topic, partitions) in topics {
        for &partition in partitions {
            let key = (topic.clone(), partition);
            let of = |answers: &HashMap<(String, i32), Result<i64, ErrorCode>>| {
                let unknown = Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
                answers.get(&key).copied().unwrap_or(unknown)
            };
            let answer = of(&ended).and_then(|end| {
                let start = of(&started)?;
                // -1 means that no record is that young.
                let arrived = if start < 0 { 0 } else { (end - start).max(0) };
                Ok(LogOffsets { end, arrived })
            });
            answers.push((key.0, key.1, answer));
        }
    }
    Ok(answers)
}

fn by_partition(
    topics: Vec<(String, Vec<OffsetAt>)>,
) -> HashMap<(String, i32), Result<i64, ErrorCode>> {
    let mut offsets = HashMap::new();
    for (topic, partitions) in topics {
        for partition in partitions {
            let offset = match partition.error {
                ErrorCode::NONE => Ok(partition.offset),
                code => Err(code),
            };
            offsets.insert((topic.clone(), partition.partition), offset);
        }
    }
    offsets
}
