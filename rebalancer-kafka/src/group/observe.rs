//! One observation of a group: its members, topics, rates and lag.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rebalancer_core::model::{Rate, SampleFault};
use rebalancer_core::ports::{
    DescribedGroup, DescribedTopic, GroupKind, GroupObservation, GroupState, LagSample,
    MemberLabels, OwnerSample, RateSample,
};
use tokio::time::sleep;
use tracing::debug;

use super::described::{self, describe_with_rights};
use super::offsets::{self, Offsets};
use super::unknown;
use crate::address::Address;
use crate::cluster::{Cluster, call, check_group};
use crate::connection::Connection;
use crate::dialer::Dialer;
use crate::error::{Action, KafkaError, RequestFailure};
use crate::error_code::ErrorCode;
use crate::messages::{BrokerMetadata, OffsetFetch, TopicMetadata};
use crate::settings::KafkaSettings;

/// The first pause before a repeated observation, which doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause before a repeated observation.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// The unit of the rates.
const RATE_UNIT: &str = "records/s";
/// The maximum number of partitions in a remark.
const SHOWN: usize = 5;

/// Observes the group. All requests are reads, so the whole observation is repeated if a broker
/// restarts or the coordinator moves, until the timeout has passed.
pub(crate) async fn observe(
    settings: &KafkaSettings,
    dialer: &Dialer,
) -> Result<GroupObservation, KafkaError> {
    let deadline = Instant::now() + settings.timeout;
    let mut pause = FIRST_PAUSE;
    loop {
        match observe_once(settings, dialer, deadline).await {
            Err(error) if error.is_transient() && Instant::now() + pause < deadline => {
                debug!(%error, "reading the group again");
                sleep(pause).await;
                pause = (2 * pause).min(LONGEST_PAUSE);
            }
            result => return result,
        }
    }
}

async fn observe_once(
    settings: &KafkaSettings,
    dialer: &Dialer,
    deadline: Instant,
) -> Result<GroupObservation, KafkaError> {
    let group = settings.group_id.as_str();
    let mut cluster = Cluster::connect(dialer, &settings.bootstrap_servers).await?;
    let mut coordinator = cluster.coordinator(group).await?;
    let (mut described, may_read) = describe_with_rights(&mut coordinator, dialer, group).await?;
    if described.state == GroupState::Dead {
        described = unknown::of_other_type(&cluster, group).await?;
    }
    described.cluster_id.clone_from(&cluster.cluster_id);
    let (mut heartbeat, mut remarks) = (None, Vec::new());
    if settings.reads_heartbeat && described.kind == GroupKind::Consumer {
        match described::heartbeat(&mut coordinator, dialer, group).await? {
            Ok(interval) => heartbeat = Some(interval),
            Err(why) => remarks.push(format!(
                "the heartbeat interval of the group is not known, and the default of Kafka is assumed: {why}"
            )),
        }
    }
    let names = topics_of(&described);
    if names.is_empty() {
        return Ok(GroupObservation {
            may_read,
            heartbeat,
            notes: remarks,
            ..without_topics(described)
        });
    }
    // Committed offsets first: a record that is consumed in between reduces the lag and does not
    // make it negative.
    let committed = committed_offsets(&mut coordinator, dialer, group).await?;
    let metadata = cluster.topics(&names).await?;
    let (topics, mut notes) = existing(metadata.topics, cluster.connected_broker())?;
    notes.append(&mut remarks);
    described.topics = topics
        .iter()
        .map(|topic| described_topic(topic, &cluster.brokers))
        .collect();
    let since = milliseconds_before_now(settings.window);
    let offsets = offsets::read(&mut cluster, topics.clone(), since, deadline).await?;
    Ok(GroupObservation {
        owners: owners(&described, &topics),
        rates: Some(rates(&topics, &offsets, settings.window)),
        rate_window: Some(settings.window.into()),
        rate_unit: Some(RATE_UNIT.to_owned()),
        partial: missing(&offsets),
        notes,
        lags: Some(lags(&topics, &offsets, &committed)),
        described: Some(described),
        may_read,
        heartbeat,
        ..GroupObservation::default()
    })
}

/// The observation of a group whose members subscribe to nothing that is known.
fn without_topics(described: DescribedGroup) -> GroupObservation {
    GroupObservation {
        rates: Some(Vec::new()),
        rate_unit: Some(RATE_UNIT.to_owned()),
        lags: Some(Vec::new()),
        described: Some(described),
        ..GroupObservation::default()
    }
}

/// The topics that members subscribe to or own.
fn topics_of(group: &DescribedGroup) -> Vec<String> {
    if matches!(group.kind, GroupKind::Other(_)) {
        return Vec::new();
    }
    let subscribed = group.members.iter().flat_map(|member| &member.subscription);
    let owned = group.members.iter().flat_map(|member| &member.owned);
    let topics: BTreeSet<&String> = subscribed
        .flatten()
        .chain(owned.map(|(topic, _)| topic))
        .collect();
    topics.into_iter().cloned().collect()
}

/// Committed offsets by partition.
type Committed = HashMap<(String, i32), i64>;

async fn committed_offsets(
    coordinator: &mut Connection,
    dialer: &Dialer,
    group: &str,
) -> Result<Committed, KafkaError> {
    let action = || Action::CommittedOffsets(group.to_owned());
    let (error, topics) = call(coordinator, dialer, action, &OffsetFetch { group }).await?;
    check_group(error, group, coordinator.broker(), action)?;
    let mut committed = Committed::new();
    for (topic, partitions) in topics {
        for partition in partitions {
            if partition.error.is_none() && partition.offset >= 0 {
                committed.insert((topic.clone(), partition.partition), partition.offset);
            }
        }
    }
    Ok(committed)
}

/// The topics that exist, and a remark about each subscribed topic that does not.
fn existing(
    topics: Vec<TopicMetadata>,
    broker: &Address,
) -> Result<(Vec<TopicMetadata>, Vec<String>), KafkaError> {
    let mut notes = Vec::new();
    let mut found = Vec::new();
    let mut unauthorized = Vec::new();
    for mut topic in topics {
        match topic.error {
            ErrorCode::NONE | ErrorCode::LEADER_NOT_AVAILABLE => {
                topic.partitions.sort_by_key(|partition| partition.index);
                found.push(topic);
            }
            ErrorCode::TOPIC_AUTHORIZATION_FAILED => unauthorized.push(topic.name),
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION | ErrorCode::INVALID_TOPIC_EXCEPTION => {
                notes.push(format!(
                    "members subscribe to topic `{}`, which does not exist",
                    topic.name
                ));
            }
            code => {
                return Err(KafkaError::Request {
                    action: Action::Topics,
                    broker: broker.clone(),
                    failure: RequestFailure::Code(code),
                });
            }
        }
    }
    if !unauthorized.is_empty() {
        unauthorized.sort_unstable();
        return Err(KafkaError::NotAuthorizedForTopics {
            topics: unauthorized,
        });
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok((found, notes))
}

/// A topic with the racks of each partition's replicas.
fn described_topic(topic: &TopicMetadata, brokers: &[BrokerMetadata]) -> DescribedTopic {
    let racks: HashMap<i32, &str> = brokers
        .iter()
        .filter_map(|broker| Some((broker.id, broker.rack.as_deref()?)))
        .collect();
    let of_partition = |replicas: &[i32]| -> Vec<String> {
        let racks: BTreeSet<&str> = replicas
            .iter()
            .filter_map(|replica| racks.get(replica).copied())
            .collect();
        racks.into_iter().map(ToOwned::to_owned).collect()
    };
    DescribedTopic {
        name: topic.name.clone(),
        partition_racks: topic
            .partitions
            .iter()
            .map(|partition| of_partition(&partition.replicas))
            .collect(),
    }
}

/// Each partition with its owner. A partition that two members own appears twice.
fn owners(group: &DescribedGroup, topics: &[TopicMetadata]) -> Vec<OwnerSample> {
    let mut owned: BTreeMap<(&str, u32), Vec<&MemberLabels>> = BTreeMap::new();
    for topic in topics {
        for partition in numbers(topic) {
            owned.insert((&topic.name, partition), Vec::new());
        }
    }
    for member in &group.members {
        for (topic, partition) in &member.owned {
            let owners = owned.entry((topic, *partition)).or_default();
            owners.push(&member.labels);
        }
    }
    let mut samples = Vec::new();
    for ((topic, partition), owners) in owned {
        let sample = |owner: Option<MemberLabels>| OwnerSample {
            topic: topic.to_owned(),
            partition,
            owner,
        };
        if owners.is_empty() {
            samples.push(sample(None));
        }
        samples.extend(owners.into_iter().map(|owner| sample(Some(owner.clone()))));
    }
    samples
}

/// The numbers of a topic's partitions, which are never negative.
fn numbers(topic: &TopicMetadata) -> impl Iterator<Item = u32> {
    let partitions = topic.partitions.iter();
    partitions.filter_map(|partition| u32::try_from(partition.index).ok())
}

/// The partitions with known offsets: topic, number, and offsets.
fn with_offsets<'a>(
    topics: &'a [TopicMetadata],
    offsets: &'a Offsets,
) -> impl Iterator<Item = (&'a str, i32, u32, offsets::LogOffsets)> {
    topics.iter().flat_map(move |topic| {
        topic.partitions.iter().filter_map(move |partition| {
            let number = u32::try_from(partition.index).ok()?;
            let found = offsets.of(&topic.name, partition.index)?;
            Some((topic.name.as_str(), partition.index, number, found))
        })
    })
}

fn rates(topics: &[TopicMetadata], offsets: &Offsets, window: Duration) -> Vec<RateSample> {
    with_offsets(topics, offsets)
        .map(|(topic, _, partition, found)| {
            #[expect(clippy::cast_precision_loss, reason = "a rate needs no 53 bits")]
            let rate = found.arrived as f64 / window.as_secs_f64();
            RateSample {
                topic: topic.to_owned(),
                partition,
                rate: Rate::new(rate).map_err(|_| SampleFault::NotFinite),
            }
        })
        .collect()
}

fn lags(topics: &[TopicMetadata], offsets: &Offsets, committed: &Committed) -> Vec<LagSample> {
    with_offsets(topics, offsets)
        .map(|(topic, index, partition, found)| LagSample {
            topic: topic.to_owned(),
            partition,
            records: lag(topic, index, found.end, committed),
        })
        .collect()
}

fn lag(topic: &str, partition: i32, end: i64, committed: &Committed) -> Option<u64> {
    let committed = *committed.get(&(topic.to_owned(), partition))?;
    // A topic that was created again may have committed offsets beyond its end.
    Some(u64::try_from(end - committed).unwrap_or_default())
}

/// Why rates and lags are incomplete.
fn missing(offsets: &Offsets) -> Option<String> {
    let missing: Vec<String> = offsets
        .missing
        .iter()
        .map(|(topic, partition, cause)| format!("{topic}-{partition}: {cause}"))
        .collect();
    let (first, more) = shown(&missing)?;
    Some(format!(
        "the offsets of {} partitions could not be read, so their rates are unknown ({first}{more})",
        missing.len()
    ))
}

/// The first entries of a list, and the text about the others.
fn shown(list: &[String]) -> Option<(String, String)> {
    if list.is_empty() {
        return None;
    }
    let more = match list.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    Some((list[..list.len().min(SHOWN)].join("; "), more))
}

/// The start of the window, in milliseconds since 1970.
fn milliseconds_before_now(window: Duration) -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(now.saturating_sub(window).as_millis()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
