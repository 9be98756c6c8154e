//! Who owns what, as the samples of owners say it, and what is odd about that.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::members::Pods;
use super::{MOST_PARTITIONS, Missing};
use crate::group::GroupMember;
use crate::ports::{MemberLabels, OwnerSample};

/// A topic and the number of a partition.
type Place = (String, usize);

/// What tells members apart: a pod, and an id for where it has several.
type MemberKey = (String, String);

/// Who owns what, each owner a member of its own.
#[derive(Default)]
pub(super) struct Owned {
    /// With their names.
    pub(super) members: BTreeMap<MemberKey, GroupMember>,
    /// The owners of each partition: none, one, or more in metrics that lie.
    pub(super) owners: BTreeMap<Place, BTreeSet<MemberKey>>,
    /// Partitions of owners that are no pod of the workload, and who those are, in words.
    strangers: Vec<(Place, String)>,
    /// Numbers that no partition has.
    impossible: Vec<String>,
}

impl Owned {
    pub(super) fn of(samples: &[OwnerSample], pods: &Pods<'_>) -> Self {
        let mut owned = Self::default();
        for sample in samples {
            let number = usize::try_from(sample.partition).unwrap_or(usize::MAX);
            if number >= MOST_PARTITIONS {
                let name = format!("{}-{}", sample.topic, sample.partition);
                owned.impossible.push(name);
                continue;
            }
            let place = (sample.topic.clone(), number);
            let Some(labels) = &sample.owner else {
                owned.owners.entry(place).or_default();
                continue;
            };
            let Some(pod) = pods.of(labels) else {
                owned.strangers.push((place, in_words(labels)));
                continue;
            };
            // One pod may have several members, told apart by their ids or client ids.
            let id = labels.member_id.as_ref().or(labels.client_id.as_ref());
            let key = (pod.name.clone(), id.cloned().unwrap_or_default());
            let owners = owned.owners.entry(place).or_default();
            owners.insert(key.clone());
            owned.members.entry(key).or_insert_with(|| GroupMember {
                pod: pod.name.clone(),
                name: None,
                id: labels.member_id.clone(),
                client_id: labels.client_id.clone(),
                instance: labels.instance.clone(),
                topics: None,
            });
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

    /// The owners of a partition, by their names.
    pub(super) fn names<'a>(
        &'a self,
        owners: &'a BTreeSet<MemberKey>,
    ) -> impl Iterator<Item = &'a str> {
        let members = owners.iter().filter_map(|key| self.members.get(key));
        members.map(GroupMember::name)
    }

    /// The partitions that anybody of ours owns, or that are known to have no owner.
    pub(super) fn partitions(&self) -> impl Iterator<Item = &Place> {
        self.owners.keys()
    }

    /// Strangers are of interest where they own what nobody of ours does. What a pod of ours owns as
    /// well is what an ended pod leaves behind for a while, or another group that reads the same.
    pub(super) fn tell_strangers(&self, other_groups: bool, missing: &mut Missing) {
        let topics: BTreeSet<&str> = self.partitions().map(|(topic, _)| topic.as_str()).collect();
        let of_our_group = |(topic, _): &Place| !other_groups || topics.contains(topic.as_str());
        let of_interest = |place: &Place| of_our_group(place) && !self.owners.contains_key(place);
        let strangers = self.strangers.iter();
        let told: Vec<String> = strangers
            .filter(|(place, _)| of_interest(place))
            .map(|((topic, partition), who)| format!("{topic}-{partition} of {who}"))
            .collect();
        missing.some("partitions of no pod of the workload", &told);
        missing.some("partitions whose number cannot be", &self.impossible);
    }

    /// Two owners that a partition did not have before are what a rebalance leaves behind for a
    /// while, and count as a move; the same two as before are no news that passes.
    pub(super) fn tell_doubles(&self, before: Option<&Self>, missing: &mut Missing) {
        let passes = |place: &Place, owners: &BTreeSet<MemberKey>| {
            let before = before.and_then(|before| before.owners.get(place));
            before.is_some_and(|before| before.len() == 1 && before.is_subset(owners))
        };
        let doubles: Vec<String> = self
            .owners
            .iter()
            .filter(|(place, owners)| owners.len() > 1 && !passes(place, owners))
            .map(|((topic, partition), owners)| {
                let owners: Vec<&str> = self.names(owners).collect();
                format!("{topic}-{partition} of {}", owners.join(" and "))
            })
            .collect();
        missing.some("partitions with two owners", &doubles);
    }

    /// How many of the partitions had other owners, by their names, so that a member of a pod that
    /// only joined anew counts as the same.
    pub(super) fn moved_since(&self, before: &Self) -> usize {
        let names_then = |owners| before.names(owners);
        let owned = self.owners.iter().filter(|(_, owners)| !owners.is_empty());
        let moved = owned.filter(|(place, owners)| {
            let before = before.owners.get(*place);
            !before.is_some_and(|of| names_then(of).eq(self.names(owners)))
        });
        moved.count()
    }
}

fn in_words(labels: &MemberLabels) -> String {
    let said = [
        ("pod", &labels.pod),
        ("host", &labels.host),
        ("client id", &labels.client_id),
        ("member id", &labels.member_id),
    ];
    let said: Vec<String> = said
        .iter()
        .filter_map(|(label, value)| Some(format!("{label} `{}`", value.as_ref()?)))
        .collect();
    if said.is_empty() {
        "nobody: the samples bear none of the labels pod, member_host, client_id".into()
    } else {
        said.join(", ")
    }
}
