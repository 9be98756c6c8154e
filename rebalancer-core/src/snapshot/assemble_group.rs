//! Joins what the metrics say of a consumer group with the pods that Kubernetes lists.

mod members;
mod owned;

use std::collections::{BTreeMap, HashMap};

use crate::group::{Assignor, ClientFamily, GroupData, GroupTopic, Protocol};
use crate::model::{Pod, Seconds};
use crate::ports::{GroupObservation, RateSample};

use members::Pods;
use owned::Owned;

/// No group has more partitions than this: Kafka's own limit for a cluster is not far above, and a
/// number in a label must not make us allocate without bound.
const MOST_PARTITIONS: usize = 100_000;

/// What to do when no sample came.
const NO_OWNERS: &str = "the metrics name no owner of any partition: look at GROUP_ID, at \
                         GROUP_METRICS or GROUP_ASSIGNMENT_QUERY, and whether the consumers are \
                         scraped";

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
    let now = Owned::of(&observation.owners, &pods);
    // What was wrong with them then is of no interest any more.
    let before = observation.owners_before;
    let before = before.map(|before| Owned::of(&before, &pods));
    now.tell_strangers(observation.other_groups, &mut missing);
    now.tell_doubles(before.as_ref(), &mut missing);
    let nothing = now.partitions().next().is_none()
        && before
            .as_ref()
            .and_then(|before| before.partitions().next())
            .is_none();
    if nothing && missing.0.is_empty() {
        missing.0.push(NO_OWNERS.to_owned());
    }
    let mut topics = topics(
        &now,
        before.as_ref(),
        observation.rates.as_deref().unwrap_or_default(),
        &mut missing,
    );
    if let Some(rates) = &observation.rates {
        fill_rates(&mut topics, rates, &mut missing);
    }
    let moved_lately = before.map_or(0, |before| now.moved_since(&before));
    GroupData {
        members: pods.with_idle(now.members.into_values().collect()),
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

/// The topics that somebody owns something of, or did a cooldown ago, each as long as their owners
/// and rates say it is: a partition that is known and of nobody must not be taken for none.
fn topics(
    now: &Owned,
    before: Option<&Owned>,
    rates: &[RateSample],
    missing: &mut Missing,
) -> BTreeMap<String, GroupTopic> {
    let mut lengths: BTreeMap<&str, usize> = BTreeMap::new();
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
        missing.0.push(format!(
            "the numbers of the partitions make {all} of them, and more than {MOST_PARTITIONS} are \
             not believed"
        ));
        return BTreeMap::new();
    }
    let topic = |length| GroupTopic {
        owners: vec![None; length],
        rates: None,
    };
    let lengths = lengths.into_iter();
    let mut topics: BTreeMap<String, GroupTopic> = lengths
        .map(|(name, length)| (name.to_owned(), topic(length)))
        .collect();
    for ((topic, partition), owners) in &now.owners {
        let owner = now.names(owners).last().map(str::to_owned);
        let topic = topics.get_mut(topic);
        if let Some(place) = topic.and_then(|topic| topic.owners.get_mut(*partition)) {
            *place = owner;
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
    let (mut faulty, mut doubles) = (Vec::new(), Vec::new());
    let ours = |sample: &&RateSample| topics.contains_key(&sample.topic);
    for sample in samples.iter().filter(ours) {
        let partition = usize::try_from(sample.partition).unwrap_or(usize::MAX);
        let name = || format!("{}-{partition}", sample.topic);
        if let Err(fault) = sample.rate {
            faulty.push(format!("{} ({fault})", name()));
        }
        let key = (sample.topic.as_str(), partition);
        if rates.insert(key, sample.rate.ok()).is_some() {
            doubles.push(name());
        }
    }
    missing.some("rates that are none", &faulty);
    missing.some("partitions with two rates", &doubles);
    let mut without = Vec::new();
    let mut known = true;
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
    use crate::ports::{MemberLabels, OwnerSample};
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
            owner: Some(owner),
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
        let mut pods = pods(&["app-1", "app-10", "app-2", "other"]);
        pods[3].ip = Some("fd00::a".into());
        let group = assemble_group(&GroupSettings::default(), Some(observation), &pods);
        assert_eq!(group.validate(), Ok(()));
        group
    }

    #[rstest]
    #[case::name(pod("app-10"), Some("app-10"))]
    #[case::address(host("10.0.0.3"), Some("app-2"))]
    #[case::address_as_kafka_writes_it(host("/10.0.0.1"), Some("app-1"))]
    #[case::host_and_address(host("app-1.svc/10.0.0.1"), Some("app-1"))]
    #[case::address_of_ipv6(host("/fd00:0:0:0:0:0:0:a%eth0"), Some("other"))]
    #[case::name_of_the_host(host("app-10"), Some("app-10"))]
    #[case::address_of_the_exporter_beside(
        MemberLabels { pod: Some("exporter-0".into()), ..host("/10.0.0.2") },
        Some("app-10")
    )]
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
            "a store is down; partitions of no pod of the workload: t-1 of pod `gone`; partitions whose \
             number cannot be: t-200000; partitions with two owners: t-0 of app-1 and app-2; rates \
             that are none: t-2 (the query answered a number that is not finite (NaN or Inf)); \
             partitions without a rate: t-1"
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
    fn an_address_that_several_pods_have_names_none_of_them() {
        let mut pods = pods(&["a", "b", "c"]);
        pods[1].ip = pods[0].ip.clone();
        let owners = vec![
            owner("t", 0, host("10.0.0.1")),
            owner("t", 1, host("10.0.0.3")),
        ];
        let observation = GroupObservation {
            owners,
            ..GroupObservation::default()
        };
        let group = assemble_group(&GroupSettings::default(), Some(observation), &pods);
        assert_eq!(
            group.partial.as_deref(),
            Some("partitions of no pod of the workload: t-0 of host `10.0.0.1`")
        );
    }

    #[test]
    fn partitions_that_are_owned_no_more_are_not_forgotten() {
        let group = group(GroupObservation {
            owners: vec![owner("t", 0, pod("app-1"))],
            owners_before: Some(vec![
                owner("t", 0, pod("app-1")),
                owner("t", 1, pod("app-2")),
                owner("u", 0, pod("app-2")),
            ]),
            ..GroupObservation::default()
        });
        let owners = |topic: &str| group.topics[topic].owners.clone();
        assert_eq!(owners("t"), [Some("app-1".to_owned()), None]);
        assert_eq!(owners("u"), [None]);
        assert_eq!((group.partial.clone(), group.moved_lately), (None, 0));
    }

    #[test]
    fn partitions_that_nobody_owns_are_those_of_a_group_without_members() {
        let nobody = |partition| OwnerSample {
            topic: "t".into(),
            partition,
            owner: None,
        };
        let group = group(GroupObservation {
            owners: vec![nobody(0), nobody(1)],
            ..GroupObservation::default()
        });
        assert_eq!(group.topics["t"].owners, [None, None]);
        assert_eq!(group.partial, None);
    }

    #[test]
    fn no_sample_at_all_is_told() {
        let empty = group(GroupObservation {
            owners_before: Some(Vec::new()),
            rates: Some(Vec::new()),
            ..GroupObservation::default()
        });
        let partial = empty.partial.unwrap();
        assert!(
            partial.contains("name no owner") && partial.contains("GROUP_ID"),
            "{partial}"
        );
        // What went wrong is not told twice.
        let failed = group(GroupObservation {
            partial: Some("no answer".into()),
            ..GroupObservation::default()
        });
        assert_eq!(failed.partial.as_deref(), Some("no answer"));
    }

    #[rstest]
    #[case::left_behind(&["app-1"], None, 1)]
    #[case::as_ever(&["app-1", "app-2"], Some("partitions with two owners: t-0 of app-1 and app-2"), 0)]
    #[case::from_elsewhere(&["other"], Some("partitions with two owners: t-0 of app-1 and app-2"), 1)]
    fn two_owners_pass_where_a_partition_moved(
        #[case] before: &[&str],
        #[case] partial: Option<&str>,
        #[case] moved: usize,
    ) {
        let of = |names: &[&str]| -> Vec<_> {
            names.iter().map(|name| owner("t", 0, pod(name))).collect()
        };
        let group = group(GroupObservation {
            owners: of(&["app-1", "app-2"]),
            owners_before: Some(of(before)),
            ..GroupObservation::default()
        });
        assert_eq!(group.partial.as_deref(), partial);
        assert_eq!(group.moved_lately, moved);
    }

    #[rstest]
    #[case::ended_pod_or_another_reader("t", 0, false, None)]
    #[case::of_ours_alone("t", 2, false, Some("t-2 of pod `gone`"))]
    #[case::of_ours_alone_by_the_client("t", 2, true, Some("t-2 of pod `gone`"))]
    #[case::another_topic("u", 0, false, Some("u-0 of pod `gone`"))]
    #[case::another_topic_by_the_client("u", 0, true, None)]
    fn strangers_are_told_where_they_own_what_nobody_of_ours_does(
        #[case] topic: &str,
        #[case] partition: u32,
        #[case] other_groups: bool,
        #[case] told: Option<&str>,
    ) {
        let owners = vec![
            owner(topic, partition, pod("gone")),
            owner("t", 0, pod("app-1")),
            owner("t", 1, pod("app-2")),
        ];
        let group = group(GroupObservation {
            owners,
            other_groups,
            ..GroupObservation::default()
        });
        let told = told.map(|told| format!("partitions of no pod of the workload: {told}"));
        assert_eq!(group.partial, told);
        assert_eq!(group.topics["t"].owners[..2].iter().flatten().count(), 2);
    }

    #[test]
    fn two_rates_of_one_partition_are_told() {
        let group = group(GroupObservation {
            owners: vec![owner("t", 0, pod("app-1"))],
            rates: Some(vec![
                rate("t", 0, 1.0),
                rate("t", 0, 9.0),
                rate("u", 0, 1.0),
                rate("u", 0, 1.0),
            ]),
            ..GroupObservation::default()
        });
        assert_eq!(
            group.partial.as_deref(),
            Some("partitions with two rates: t-0")
        );
    }

    #[test]
    fn numbers_of_partitions_do_not_add_up_without_bound() {
        let owners = (0..50).map(|number| owner(&format!("t{number}"), 99_999, pod("app-1")));
        let group = group(GroupObservation {
            owners: owners.collect(),
            ..GroupObservation::default()
        });
        let partial = group.partial.unwrap();
        assert!(partial.contains("make 5000000 of them"), "{partial}");
        assert!(group.topics.is_empty());
    }

    #[test]
    fn a_member_that_joined_anew_in_its_pod_has_not_moved() {
        let joined = |id: &str| MemberLabels {
            member_id: Some(id.into()),
            ..pod("app-1")
        };
        let group = group(GroupObservation {
            owners: vec![owner("t", 0, joined("new"))],
            owners_before: Some(vec![owner("t", 0, joined("old"))]),
            ..GroupObservation::default()
        });
        assert_eq!(group.moved_lately, 0);
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
