//! The owners of partitions according to the samples, and contradictions among these.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::MOST_PARTITIONS;
use super::described::subscription;
use super::members::Pods;
use super::missing::Missing;
use super::static_members::instance_id;
use crate::group::{MemberDocument, OutsideMember};
use crate::ports::{DescribedGroup, MemberLabels, OwnerSample};

/// A topic and a partition number.
type PartitionKey = (String, usize);

/// The identity of a member: its pod, and an id in case the pod has several.
type MemberKey = (String, String);

/// The owners of partitions.
#[derive(Default)]
pub(super) struct Owned {
    /// All owners, with their names.
    pub(super) members: BTreeMap<MemberKey, MemberDocument>,
    /// The owners of each partition: none, one, or several if the metrics contradict each other.
    pub(super) owners: BTreeMap<PartitionKey, BTreeSet<MemberKey>>,
    /// The members of a described group that do not run in a pod of the workload.
    pub(super) outside: Vec<OutsideMember>,
    /// Partitions whose owner is not a pod of the workload, and the labels of that owner.
    unknown: Vec<(PartitionKey, String)>,
    /// Partitions with a number beyond the limit.
    out_of_range: Vec<String>,
}

impl Owned {
    /// The owners according to the samples. `group` is the group id, if it is known.
    pub(super) fn of(samples: &[OwnerSample], pods: &Pods<'_>, group: Option<&str>) -> Self {
        let mut owned = Self::default();
        for sample in samples {
            let number = usize::try_from(sample.partition).unwrap_or(usize::MAX);
            if number >= MOST_PARTITIONS {
                let name = format!("{}-{}", sample.topic, sample.partition);
                owned.out_of_range.push(name);
                continue;
            }
            let key = (sample.topic.clone(), number);
            let Some(labels) = &sample.owner else {
                owned.owners.entry(key).or_default();
                continue;
            };
            let Some(pod) = pods.of(labels) else {
                owned.unknown.push((key, describe(labels)));
                continue;
            };
            // A pod may have several members, which have different ids or client ids.
            let id = labels.member_id.as_ref().or(labels.client_id.as_ref());
            let member = (pod.name.clone(), id.cloned().unwrap_or_default());
            let owners = owned.owners.entry(key).or_default();
            owners.insert(member.clone());
            owned
                .members
                .entry(member)
                .or_insert_with(|| MemberDocument {
                    pod: pod.name.clone(),
                    name: None,
                    id: labels.member_id.clone(),
                    client_id: labels.client_id.clone(),
                    instance: instance_id(labels, group),
                    ..MemberDocument::default()
                });
        }
        owned.name_members();
        owned
    }

    /// The members and owners of a group that its brokers describe.
    pub(super) fn described(group: &DescribedGroup, pods: &Pods<'_>) -> Self {
        let mut owned = Self::default();
        let topics = group.topics.iter().map(|topic| topic.name.as_str());
        let topics: BTreeSet<&str> = topics.collect();
        for member in &group.members {
            let labels = &member.labels;
            let Some(pod) = pods.of(labels) else {
                let partitions = member.owned.iter();
                owned.outside.push(OutsideMember {
                    id: labels.member_id.clone(),
                    client_id: labels.client_id.clone(),
                    instance: labels.instance.clone(),
                    host: labels.host.clone(),
                    partitions: partitions
                        .map(|(topic, number)| format!("{topic}-{number}"))
                        .collect(),
                });
                continue;
            };
            let id = labels.member_id.clone().unwrap_or_default();
            let key = (pod.name.clone(), id);
            for (topic, number) in &member.owned {
                let number = usize::try_from(*number).unwrap_or(usize::MAX);
                if number >= MOST_PARTITIONS {
                    owned.out_of_range.push(format!("{topic}-{number}"));
                    continue;
                }
                let owners = owned.owners.entry((topic.clone(), number)).or_default();
                owners.insert(key.clone());
            }
            let document = MemberDocument {
                pod: pod.name.clone(),
                name: None,
                id: labels.member_id.clone(),
                client_id: labels.client_id.clone(),
                instance: labels.instance.clone(),
                host: labels.host.clone(),
                rack: member.rack.clone(),
                topics: subscription(member, &topics),
            };
            owned.members.insert(key, document);
        }
        owned.name_members();
        owned
    }

    fn name_members(&mut self) {
        let mut of_pod: HashMap<String, usize> = HashMap::new();
        for (pod, _) in self.members.keys() {
            *of_pod.entry(pod.clone()).or_default() += 1;
        }
        for ((pod, id), member) in &mut self.members {
            let alone = of_pod.get(pod) == Some(&1);
            member.name = (!alone).then(|| format!("{pod}/{id}"));
        }
    }

    /// The names of the owners of a partition.
    pub(super) fn names<'a>(
        &'a self,
        owners: &'a BTreeSet<MemberKey>,
    ) -> impl Iterator<Item = &'a str> {
        let members = owners.iter().filter_map(|key| self.members.get(key));
        members.map(MemberDocument::name)
    }

    /// Whether the members are threads of Kafka Streams, for operators.
    pub(super) fn streams_note(&self) -> Option<String> {
        let of_streams = |member: &MemberDocument| {
            let client_id = member.client_id.as_deref().unwrap_or_default();
            client_id.contains("-StreamThread-")
        };
        let threads = self.members.values().filter(|member| of_streams(member));
        match threads.count() {
            0 => None,
            threads => Some(format!(
                "threads of Kafka Streams among the members: {threads}; its own assignor, which also \
                 considers state stores, is not modelled, so forecasts are less accurate"
            )),
        }
    }

    /// The partitions that a member owns, or that are reported to have no owner.
    pub(super) fn partitions(&self) -> impl Iterator<Item = &PartitionKey> {
        self.owners.keys()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }

    /// Reports owners that are not pods of the workload, for partitions without another owner. If a
    /// pod of the workload owns the partition as well, the unknown owner is an ended pod whose
    /// series still exist, or belongs to another group that consumes the topic.
    pub(super) fn report_unknown_owners(&self, other_groups: bool, missing: &mut Missing) {
        let topics: BTreeSet<&str> = self.partitions().map(|(topic, _)| topic.as_str()).collect();
        let is_of_group =
            |(topic, _): &PartitionKey| !other_groups || topics.contains(topic.as_str());
        let unknown: Vec<String> = self
            .unknown
            .iter()
            .filter(|(key, _)| is_of_group(key) && !self.owners.contains_key(key))
            .map(|((topic, partition), labels)| format!("{topic}-{partition} of {labels}"))
            .collect();
        missing.add_items("partitions owned by no pod of the workload", &unknown);
    }

    /// Reports partition numbers beyond the limit.
    pub(super) fn report_out_of_range(&self, missing: &mut Missing) {
        missing.add_items("partition numbers out of range", &self.out_of_range);
    }

    /// Reports partitions with several owners. Not reported are those that had one of the owners
    /// before: a rebalance leaves the series of the old owner for a while, and the partition counts
    /// as moved.
    pub(super) fn report_duplicate_owners(&self, before: Option<&Self>, missing: &mut Missing) {
        let has_moved = |key: &PartitionKey, owners: &BTreeSet<MemberKey>| {
            let before = before.and_then(|before| before.owners.get(key));
            before.is_some_and(|before| before.len() == 1 && before.is_subset(owners))
        };
        let duplicates: Vec<String> = self
            .owners
            .iter()
            .filter(|(key, owners)| owners.len() > 1 && !has_moved(key, owners))
            .map(|((topic, partition), owners)| {
                let owners: Vec<&str> = self.names(owners).collect();
                format!("{topic}-{partition} of {}", owners.join(" and "))
            })
            .collect();
        missing.add_items("partitions with two owners", &duplicates);
    }

    /// The number of partitions that had other owners. Owners are compared by name, so that a
    /// member that rejoined in the same pod counts as the same.
    pub(super) fn moved_since(&self, before: &Self) -> usize {
        let owned = self.owners.iter().filter(|(_, owners)| !owners.is_empty());
        let moved = owned.filter(|(key, owners)| {
            let owners_before = before.owners.get(*key);
            !owners_before.is_some_and(|of| before.names(of).eq(self.names(owners)))
        });
        moved.count()
    }
}

/// The labels of an owner, for a message.
fn describe(labels: &MemberLabels) -> String {
    let labels = [
        ("pod", &labels.pod),
        ("host", &labels.host),
        ("client id", &labels.client_id),
        ("member id", &labels.member_id),
    ];
    let known: Vec<String> = labels
        .iter()
        .filter_map(|(label, value)| Some(format!("{label} `{}`", value.as_ref()?)))
        .collect();
    if known.is_empty() {
        "an unknown owner (the samples have none of the labels pod, member_host and client_id)"
            .into()
    } else {
        known.join(", ")
    }
}
