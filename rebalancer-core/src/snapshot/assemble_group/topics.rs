//! The topics of a group, with owners and rates.

use std::collections::{BTreeMap, HashMap};

use super::MOST_PARTITIONS;
use super::missing::Missing;
use super::owned::Owned;
use crate::group::TopicDocument;
use crate::ports::{DescribedTopic, RateSample};

/// Collects the topics of which a member owns a partition now or owned one a cooldown ago.
///
/// The length of a topic is the highest partition number among its owners and rates, so that a
/// partition without an owner is not overlooked. `described` are the topics that the brokers
/// describe.
pub(super) fn topics(
    now: &Owned,
    before: Option<&Owned>,
    described: &[DescribedTopic],
    rates: &[RateSample],
    missing: &mut Missing,
) -> BTreeMap<String, TopicDocument> {
    let described = described.iter();
    let mut lengths: BTreeMap<&str, usize> = described
        .map(|topic| (topic.name.as_str(), topic.partition_racks.len()))
        .collect();
    let before = before.into_iter().flat_map(Owned::partitions);
    for (topic, partition) in now.partitions().chain(before) {
        let length = lengths.entry(topic).or_default();
        *length = (*length).max(partition + 1);
    }
    for sample in rates {
        let partition = usize::try_from(sample.partition).unwrap_or(usize::MAX);
        if let Some(length) = lengths.get_mut(sample.topic.as_str())
            && partition < MOST_PARTITIONS
        {
            *length = (*length).max(partition + 1);
        }
    }
    let all: usize = lengths.values().sum();
    if all > MOST_PARTITIONS {
        missing.add(format!(
            "the partition numbers add up to {all} partitions, more than the limit of \
             {MOST_PARTITIONS}"
        ));
        return BTreeMap::new();
    }
    let unowned = |length| TopicDocument {
        owners: vec![None; length],
        ..TopicDocument::default()
    };
    let mut topics: BTreeMap<String, TopicDocument> = lengths
        .into_iter()
        .map(|(name, length)| (name.to_owned(), unowned(length)))
        .collect();
    for ((topic, partition), owners) in &now.owners {
        let owner = now.names(owners).last().map(str::to_owned);
        let topic = topics.get_mut(topic);
        if let Some(entry) = topic.and_then(|topic| topic.owners.get_mut(*partition)) {
            *entry = owner;
        }
    }
    topics
}

/// Adds the racks of the replicas, if any broker has a rack.
pub(super) fn fill_racks(
    topics: &mut BTreeMap<String, TopicDocument>,
    described: &[DescribedTopic],
) {
    let has_racks =
        |topic: &DescribedTopic| topic.partition_racks.iter().any(|set| !set.is_empty());
    if !described.iter().any(has_racks) {
        return;
    }
    for topic in described {
        if let Some(entry) = topics.get_mut(&topic.name) {
            let mut racks = topic.partition_racks.clone();
            racks.resize(entry.owners.len(), Vec::new());
            entry.replica_racks = Some(racks);
        }
    }
}

/// Adds the rates, if every partition of the group has one.
pub(super) fn fill_rates(
    topics: &mut BTreeMap<String, TopicDocument>,
    samples: &[RateSample],
    missing: &mut Missing,
) {
    let mut rates = HashMap::new();
    let (mut faulty, mut duplicates) = (Vec::new(), Vec::new());
    let of_group = |sample: &&RateSample| topics.contains_key(&sample.topic);
    for sample in samples.iter().filter(of_group) {
        let partition = usize::try_from(sample.partition).unwrap_or(usize::MAX);
        let name = || format!("{}-{partition}", sample.topic);
        if let Err(fault) = sample.rate {
            faulty.push(format!("{} ({fault})", name()));
        }
        let key = (sample.topic.as_str(), partition);
        if rates.insert(key, sample.rate.ok()).is_some() {
            duplicates.push(name());
        }
    }
    missing.add_items("invalid rates", &faulty);
    missing.add_items("partitions with two rates", &duplicates);
    let mut without = Vec::new();
    let mut complete = true;
    let mut filled = Vec::new();
    for (name, topic) in topics.iter() {
        let of_topic: Vec<_> = (0..topic.owners.len())
            .map(|partition| {
                let rate = rates.get(&(name.as_str(), partition));
                if rate.is_none() {
                    without.push(format!("{name}-{partition}"));
                }
                rate.copied().flatten()
            })
            .collect();
        let all: Option<Vec<_>> = of_topic.into_iter().collect();
        complete &= all.is_some();
        filled.push(all);
    }
    missing.add_items("partitions without a rate", &without);
    if complete {
        for (topic, rates) in topics.values_mut().zip(filled) {
            topic.rates = rates;
        }
    }
}
