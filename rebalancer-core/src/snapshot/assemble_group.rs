//! Joins what the metrics say of a consumer group with the pods that Kubernetes lists.

use std::collections::{BTreeMap, HashMap};

use crate::group::{Assignor, ClientFamily, GroupData, GroupMember, GroupTopic, Protocol};
use crate::model::{Pod, Seconds};
use crate::ports::{GroupObservation, MemberLabels, OwnerSample, RateSample};

/// No topic has more partitions than this: Kafka's own limit is far below, and a number in a label
/// must not make us allocate without bound.
const MOST_PARTITIONS: usize = 100_000;

/// What the operator said about the group.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GroupSettings {
    /// `GROUP_ID`.
    pub id: Option<String>,
    /// `GROUP_ASSIGNOR`; `None` for `auto`.
    pub assignor: Option<Assignor>,
    /// `GROUP_CLIENT`.
    pub client: ClientFamily,
    /// `GROUP_PROTOCOL`.
    pub protocol: Protocol,
    /// `session.timeout.ms` of static members; Kafka's default when `None`.
    pub session_timeout: Option<Seconds>,
}

/// The group as the metrics and the operator know it. Whatever does not fit is left out and told
/// in [`GroupData::partial`]; nothing is guessed.
#[must_use]
pub fn assemble_group(
    settings: &GroupSettings,
    observation: Option<GroupObservation>,
    pods: &[Pod],
) -> GroupData {
    let group = GroupData {
        id: settings.id.clone(),
        assignor: settings.assignor,
        client: settings.client,
        protocol: settings.protocol,
        session_timeout_seconds: settings.session_timeout,
        ..GroupData::default()
    };
    let Some(observation) = observation else {
        return group;
    };
    let mut missing = Missing::default();
    missing.0.extend(observation.partial);
    let pods = Pods::new(pods);
    let owned = owners(&observation.owners, &pods, &mut missing);
    let moved_lately = observation.owners_before.map_or(0, |before| {
        // What was wrong with them then is of no interest any more.
        let before = owners(&before, &pods, &mut Missing::default()).by_partition;
        let now = owned.by_partition.iter();
        now.filter(|(partition, owner)| before.get(*partition) != Some(owner))
            .count()
    });
    let mut topics = topics(&owned, observation.rates.as_deref().unwrap_or_default());
    if let Some(rates) = &observation.rates {
        fill_rates(&mut topics, rates, &mut missing);
    }
    GroupData {
        members: pods.with_idle(owned.members),
        topics,
        rate_unit: observation.rate_unit,
        partial: missing.into_words(),
        moved_lately,
        ..group
    }
}

/// What is missing, in words.
#[derive(Default)]
struct Missing(Vec<String>);

impl Missing {
    /// Tells how many there are of something, with the first of them.
    fn some(&mut self, what: &str, of: &[String]) {
        match of {
            [] => {}
            [one] => self.0.push(format!("{what}: {one}")),
            [first, others @ ..] => {
                self.0
                    .push(format!("{what}: {first} and {} more", others.len()));
            }
        }
    }

    fn into_words(self) -> Option<String> {
        (!self.0.is_empty()).then(|| self.0.join("; "))
    }
}

/// The pods of the workload, by everything that metrics may call them.
struct Pods<'a> {
    by_name: HashMap<&'a str, &'a Pod>,
    by_ip: HashMap<&'a str, &'a Pod>,
}

impl<'a> Pods<'a> {
    fn new(pods: &'a [Pod]) -> Self {
        // A pod that has ended may have had an address that another has now.
        let there = || pods.iter().filter(|pod| !pod.has_ended());
        Self {
            by_name: there().map(|pod| (pod.name.as_str(), pod)).collect(),
            by_ip: there()
                .filter_map(|pod| Some((pod.ip.as_deref()?, pod)))
                .collect(),
        }
    }

    /// The pod of a member: by its name, else its address, else the client id, which may hold the
    /// pod's name as a word.
    fn of(&self, labels: &MemberLabels) -> Option<&'a Pod> {
        let by_name = || self.by_name.get(labels.pod.as_deref()?).copied();
        let by_ip = || {
            let host = labels.host.as_deref()?;
            let host = host.rsplit_once('/').map_or(host, |(_, address)| address);
            self.by_ip
                .get(host)
                .or_else(|| self.by_name.get(host))
                .copied()
        };
        let by_client = || {
            let client = labels.client_id.as_deref()?;
            let named = self.by_name.values().copied();
            // A StatefulSet's `app-1` is also the start of `app-10`.
            named
                .filter(|pod| is_word_of(client, &pod.name))
                .max_by_key(|pod| pod.name.len())
        };
        by_name().or_else(by_ip).or_else(by_client)
    }

    /// `members`, and one for each ready pod that has none: it owns nothing.
    fn with_idle(&self, mut members: Vec<GroupMember>) -> Vec<GroupMember> {
        if members.is_empty() {
            return members;
        }
        let mut idle: Vec<&str> = self
            .by_name
            .values()
            .filter(|pod| pod.serves() && members.iter().all(|member| member.pod != pod.name))
            .map(|pod| pod.name.as_str())
            .collect();
        idle.sort_unstable();
        members.extend(idle.into_iter().map(|pod| GroupMember {
            pod: pod.to_owned(),
            ..GroupMember::default()
        }));
        members
    }
}

/// `word` is in `text` with nothing of a name before or after it.
fn is_word_of(text: &str, word: &str) -> bool {
    let part_of_name = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    text.match_indices(word).any(|(start, _)| {
        let (before, rest) = text.split_at(start);
        !part_of_name(before.chars().next_back())
            && !part_of_name(rest.strip_prefix(word).and_then(|rest| rest.chars().next()))
    })
}

/// Who owns what, each owner a member of its own.
struct Owned {
    members: Vec<GroupMember>,
    /// The name of the owner, by topic and partition.
    by_partition: BTreeMap<(String, usize), String>,
}

fn owners(samples: &[OwnerSample], pods: &Pods<'_>, missing: &mut Missing) -> Owned {
    let mut members: BTreeMap<(String, String), GroupMember> = BTreeMap::new();
    let mut found: BTreeMap<(String, usize), (String, String)> = BTreeMap::new();
    let (mut strangers, mut doubles) = (Vec::new(), Vec::new());
    for sample in samples {
        let partition = usize::try_from(sample.partition).unwrap_or(usize::MAX);
        let name = format!("{}-{}", sample.topic, sample.partition);
        if partition >= MOST_PARTITIONS {
            strangers.push(format!("{name}, whose number cannot be"));
            continue;
        }
        let labels = &sample.owner;
        let Some(pod) = pods.of(labels) else {
            strangers.push(format!("{name} of {}", in_words(labels)));
            continue;
        };
        // One pod may have several members, told apart by their ids or client ids.
        let id = labels.member_id.as_ref().or(labels.client_id.as_ref());
        let member = (pod.name.clone(), id.cloned().unwrap_or_default());
        let key = (sample.topic.clone(), partition);
        let other = found.get(&key).filter(|other| **other != member);
        if let Some(other) = other {
            doubles.push(format!("{name} of {} and {}", other.0, member.0));
        }
        found.insert(key, member.clone());
        members.entry(member).or_insert_with(|| GroupMember {
            pod: pod.name.clone(),
            name: None,
            id: labels.member_id.clone(),
            client_id: labels.client_id.clone(),
            instance: labels.instance.clone(),
            topics: None,
        });
    }
    missing.some("partitions of no pod of the workload", &strangers);
    missing.some("partitions with two owners", &doubles);
    let mut of_pod: HashMap<String, usize> = HashMap::new();
    for member in members.values() {
        *of_pod.entry(member.pod.clone()).or_default() += 1;
    }
    for ((pod, id), member) in &mut members {
        let alone = of_pod.get(pod) == Some(&1);
        member.name = (!alone).then(|| format!("{pod}/{id}"));
    }
    let by_partition = found
        .into_iter()
        .filter_map(|(partition, member)| {
            Some((partition, members.get(&member)?.name().to_owned()))
        })
        .collect();
    Owned {
        members: members.into_values().collect(),
        by_partition,
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

/// The topics that somebody owns something of, as long as their owners and rates say they are.
fn topics(owned: &Owned, rates: &[RateSample]) -> BTreeMap<String, GroupTopic> {
    let mut topics: BTreeMap<String, GroupTopic> = BTreeMap::new();
    for ((topic, partition), owner) in &owned.by_partition {
        let owners = &mut topics.entry(topic.clone()).or_default().owners;
        owners.resize(owners.len().max(partition + 1), None);
        if let Some(place) = owners.get_mut(*partition) {
            *place = Some(owner.clone());
        }
    }
    for sample in rates {
        let partition = usize::try_from(sample.partition).unwrap_or(usize::MAX);
        if let Some(topic) = topics.get_mut(&sample.topic)
            && partition < MOST_PARTITIONS
        {
            let length = topic.owners.len().max(partition + 1);
            topic.owners.resize(length, None);
        }
    }
    topics
}

fn fill_rates(
    topics: &mut BTreeMap<String, GroupTopic>,
    samples: &[RateSample],
    missing: &mut Missing,
) {
    let mut rates = HashMap::new();
    let mut faulty = Vec::new();
    for sample in samples {
        let partition = usize::try_from(sample.partition).unwrap_or(usize::MAX);
        match sample.rate {
            Ok(rate) => {
                rates.insert((sample.topic.as_str(), partition), rate);
            }
            Err(fault) if topics.contains_key(&sample.topic) => {
                faulty.push(format!("{}-{partition} ({fault})", sample.topic));
            }
            Err(_) => {}
        }
    }
    missing.some("rates that are none", &faulty);
    let mut without = Vec::new();
    let mut known = true;
    let mut filled = Vec::new();
    for (name, topic) in topics.iter() {
        let of_topic: Vec<_> = (0..topic.owners.len())
            .map(|partition| {
                let rate = rates.get(&(name.as_str(), partition)).copied();
                if rate.is_none() {
                    without.push(format!("{name}-{partition}"));
                }
                rate
            })
            .collect();
        let all: Option<Vec<_>> = of_topic.into_iter().collect();
        known &= all.is_some();
        filled.push(all);
    }
    missing.some("partitions without a rate", &without);
    if known {
        for (topic, rates) in topics.values_mut().zip(filled) {
            topic.rates = rates;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Rate;
    use rstest::rstest;

    fn pods(names: &[&str]) -> Vec<Pod> {
        let pods = names.iter().zip(1..);
        pods.map(|(name, number)| Pod {
            ip: Some(format!("10.0.0.{number}")),
            ..Pod::new(*name)
        })
        .collect()
    }

    fn owner(topic: &str, partition: u32, owner: MemberLabels) -> OwnerSample {
        OwnerSample {
            topic: topic.into(),
            partition,
            owner,
        }
    }

    fn pod(name: &str) -> MemberLabels {
        MemberLabels {
            pod: Some(name.into()),
            ..MemberLabels::default()
        }
    }

    fn client(id: &str) -> MemberLabels {
        MemberLabels {
            client_id: Some(id.into()),
            ..MemberLabels::default()
        }
    }

    fn host(host: &str) -> MemberLabels {
        MemberLabels {
            host: Some(host.into()),
            ..MemberLabels::default()
        }
    }

    fn rate(topic: &str, partition: u32, rate: f64) -> RateSample {
        RateSample {
            topic: topic.into(),
            partition,
            rate: Ok(Rate::new(rate).unwrap()),
        }
    }

    fn group(observation: GroupObservation) -> GroupData {
        let pods = pods(&["app-1", "app-10", "app-2", "other"]);
        let group = assemble_group(&GroupSettings::default(), Some(observation), &pods);
        assert_eq!(group.validate(), Ok(()));
        group
    }

    #[rstest]
    #[case::name(pod("app-10"), Some("app-10"))]
    #[case::address(host("10.0.0.3"), Some("app-2"))]
    #[case::address_as_kafka_writes_it(host("/10.0.0.1"), Some("app-1"))]
    #[case::host_and_address(host("app-1.svc/10.0.0.1"), Some("app-1"))]
    #[case::client_id(client("app-1"), Some("app-1"))]
    #[case::client_id_with_more(client("orders-app-10-StreamThread-1-consumer"), Some("app-10"))]
    #[case::part_of_a_name(client("myapp-2"), None)]
    #[case::another(pod("app-3"), None)]
    #[case::nothing(MemberLabels::default(), None)]
    fn a_member_is_matched_to_its_pod(#[case] labels: MemberLabels, #[case] found: Option<&str>) {
        let group = group(GroupObservation {
            owners: vec![owner("t", 0, labels), owner("t", 1, pod("other"))],
            ..GroupObservation::default()
        });
        let owners = &group.topics["t"].owners;
        assert_eq!(owners[0].as_deref(), found);
        assert_eq!(
            group.partial.is_some(),
            found.is_none(),
            "{:?}",
            group.partial
        );
    }

    #[test]
    fn pods_that_own_nothing_are_members_too() {
        let group = group(GroupObservation {
            owners: vec![owner("t", 0, pod("app-2"))],
            ..GroupObservation::default()
        });
        let pods: Vec<&str> = group
            .members
            .iter()
            .map(|member| member.pod.as_str())
            .collect();
        assert_eq!(pods, ["app-2", "app-1", "app-10", "other"]);
    }

    #[test]
    fn members_of_one_pod_are_kept_apart() {
        let both = |client: &str| MemberLabels {
            client_id: Some(client.into()),
            ..pod("app-1")
        };
        let group = group(GroupObservation {
            owners: vec![owner("t", 0, both("x")), owner("t", 1, both("y"))],
            ..GroupObservation::default()
        });
        let owners = &group.topics["t"].owners;
        assert_eq!(owners[0].as_deref(), Some("app-1/x"));
        assert_eq!(owners[1].as_deref(), Some("app-1/y"));
        assert_eq!(group.partial, None);
    }

    #[test]
    fn what_is_missing_is_told() {
        let group = group(GroupObservation {
            owners: vec![
                owner("t", 0, pod("app-1")),
                owner("t", 0, pod("app-2")),
                owner("t", 1, pod("gone")),
                owner("t", 200_000, pod("app-1")),
            ],
            rates: Some(vec![
                rate("t", 0, 1.0),
                RateSample {
                    rate: Err(crate::model::SampleFault::NotFinite),
                    ..rate("t", 2, 0.0)
                },
                rate("of somebody else", 0, 1.0),
            ]),
            partial: Some("a store is down".into()),
            ..GroupObservation::default()
        });
        assert_eq!(
            group.partial.unwrap(),
            "a store is down; partitions of no pod of the workload: t-1 of pod `gone` and 1 more; \
             partitions with two owners: t-0 of app-1 and app-2; rates that are none: t-2 (the \
             query answered a number that is not finite (NaN or Inf)); partitions without a \
             rate: t-1 and 1 more"
        );
        let topic = &group.topics["t"];
        assert_eq!(topic.owners.len(), 3);
        assert_eq!(topic.rates, None);
        assert_eq!(group.topics.len(), 1);
    }

    #[test]
    fn partitions_that_changed_hands_are_counted() {
        let now = vec![owner("t", 0, pod("app-1")), owner("t", 1, pod("app-2"))];
        let before = vec![owner("t", 0, pod("app-1")), owner("t", 1, pod("gone"))];
        let group = group(GroupObservation {
            owners: now,
            owners_before: Some(before),
            rates: Some(vec![rate("t", 0, 1.5), rate("t", 1, 2.0)]),
            ..GroupObservation::default()
        });
        assert_eq!(group.moved_lately, 1);
        let rates = group.topics["t"].rates.as_ref().unwrap();
        assert_eq!(rates.iter().map(|rate| rate.get()).sum::<f64>(), 3.5);
    }

    #[test]
    fn without_metrics_there_is_what_the_operator_said() {
        let settings = GroupSettings {
            assignor: Some(Assignor::Range),
            ..GroupSettings::default()
        };
        let group = assemble_group(&settings, None, &pods(&["a"]));
        assert_eq!(group.assignor, Some(Assignor::Range));
        assert!(!group.has_owners());
    }
}
