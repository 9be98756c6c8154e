//! Tests of [`assemble_group`].

use super::*;
use crate::model::Rate;
use crate::ports::{MemberLabels, OffsetsWentBack, OwnerSample, RateSample};
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

fn group(observation: GroupObservation) -> GroupDocument {
    let mut pods = pods(&["app-1", "app-10", "app-2", "other"]);
    pods[3].ip = Some("fd00::a".into());
    let group = assemble_group(&GroupSettings::default(), Some(observation), &pods);
    assert_eq!(group.validate(), Ok(()));
    group
}

#[rstest]
#[case::name(pod("app-10"), Some("app-10"))]
#[case::address(host("10.0.0.3"), Some("app-2"))]
#[case::address_in_java_format(host("/10.0.0.1"), Some("app-1"))]
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
fn matches_members_to_pods(#[case] labels: MemberLabels, #[case] found: Option<&str>) {
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
fn pods_without_partitions_are_members() {
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
fn members_of_one_pod_have_different_names() {
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
fn describes_missing_data() {
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
            rate("of another group", 0, 1.0),
        ]),
        partial: Some("a store is down".into()),
        ..GroupObservation::default()
    });
    assert_eq!(
        group.partial.unwrap(),
        "a store is down; partitions owned by no pod of the workload: t-1 of pod `gone`; partition \
         numbers out of range: t-200000; partitions with two owners: t-0 of app-1 and app-2; \
         invalid rates: t-2 (the query answered a number that is not finite (NaN or Inf)); \
         partitions without a rate: t-1"
    );
    let topic = &group.topics["t"];
    assert_eq!(topic.owners.len(), 3);
    assert_eq!(topic.rates, None);
    assert_eq!(group.topics.len(), 1);
}

#[test]
fn counts_moved_partitions() {
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
fn shared_addresses_match_no_pod() {
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
        Some("partitions owned by no pod of the workload: t-0 of host `10.0.0.1`")
    );
}

#[test]
fn keeps_partitions_that_lost_their_owner() {
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
fn keeps_unowned_partitions_of_a_group_without_members() {
    let unowned = |partition| OwnerSample {
        topic: "t".into(),
        partition,
        owner: None,
    };
    let group = group(GroupObservation {
        owners: vec![unowned(0), unowned(1)],
        ..GroupObservation::default()
    });
    assert_eq!(group.topics["t"].owners, [None, None]);
    assert_eq!(group.partial, None);
}

#[test]
fn reports_an_empty_observation() {
    let empty = group(GroupObservation {
        owners_before: Some(Vec::new()),
        rates: Some(Vec::new()),
        ..GroupObservation::default()
    });
    let partial = empty.partial.unwrap();
    assert!(
        partial.contains("report no owner") && partial.contains("group id"),
        "{partial}"
    );
    // A failure that explains it is not reported twice.
    let failed = group(GroupObservation {
        partial: Some("no answer".into()),
        ..GroupObservation::default()
    });
    assert_eq!(failed.partial.as_deref(), Some("no answer"));
}

#[rstest]
#[case::left_by_a_rebalance(&["app-1"], None, 1)]
#[case::same_two_before(&["app-1", "app-2"], Some("partitions with two owners: t-0 of app-1 and app-2"), 0)]
#[case::from_a_third_owner(&["other"], Some("partitions with two owners: t-0 of app-1 and app-2"), 1)]
fn two_owners_of_a_moved_partition_are_not_reported(
    #[case] before: &[&str],
    #[case] partial: Option<&str>,
    #[case] moved: usize,
) {
    let of =
        |names: &[&str]| -> Vec<_> { names.iter().map(|name| owner("t", 0, pod(name))).collect() };
    let group = group(GroupObservation {
        owners: of(&["app-1", "app-2"]),
        owners_before: Some(of(before)),
        ..GroupObservation::default()
    });
    assert_eq!(group.partial.as_deref(), partial);
    assert_eq!(group.moved_lately, moved);
}

#[rstest]
#[case::partition_with_a_known_owner("t", 0, false, None)]
#[case::partition_without_a_known_owner("t", 2, false, Some("t-2 of pod `gone`"))]
#[case::partition_without_a_known_owner_by_the_client("t", 2, true, Some("t-2 of pod `gone`"))]
#[case::another_topic("u", 0, false, Some("u-0 of pod `gone`"))]
#[case::another_topic_by_the_client("u", 0, true, None)]
fn reports_unknown_owners_of_partitions_without_a_known_owner(
    #[case] topic: &str,
    #[case] partition: u32,
    #[case] other_groups: bool,
    #[case] reported: Option<&str>,
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
    let reported = reported
        .map(|partition| format!("partitions owned by no pod of the workload: {partition}"));
    assert_eq!(group.partial, reported);
    assert_eq!(group.topics["t"].owners[..2].iter().flatten().count(), 2);
}

#[test]
fn reports_two_rates_of_one_partition() {
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
fn limits_the_number_of_partitions() {
    let owners = (0..50).map(|number| owner(&format!("t{number}"), 99_999, pod("app-1")));
    let group = group(GroupObservation {
        owners: owners.collect(),
        ..GroupObservation::default()
    });
    let partial = group.partial.unwrap();
    assert!(
        partial.contains("add up to 5000000 partitions"),
        "{partial}"
    );
    assert!(group.topics.is_empty());
}

#[test]
fn member_that_rejoined_in_its_pod_has_not_moved() {
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
fn without_metrics_keeps_the_settings() {
    let settings = GroupSettings {
        assignor: Some(Assignor::Range),
        ..GroupSettings::default()
    };
    let group = assemble_group(&settings, None, &pods(&["a"]));
    assert_eq!(group.assignor, Some(Assignor::Range));
    assert!(!group.has_owners());
}

/// kafka-lag-exporter reports the member id and the client id, which show the instance id.
#[test]
fn static_members_are_recognised_by_their_ids() {
    let member = |id: &str| MemberLabels {
        client_id: Some("consumer-g-1".into()),
        member_id: Some(format!("{id}-9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d")),
        ..host("/10.0.0.1")
    };
    let group = group(GroupObservation {
        owners: vec![
            owner("t", 0, member("orders-0")),
            owner("t", 1, member("consumer-g-1")),
        ],
        ..GroupObservation::default()
    });
    let instances: Vec<Option<&str>> = group.members[..2]
        .iter()
        .map(|member| member.instance.as_deref())
        .collect();
    assert_eq!(instances, [None, Some("orders-0")]);
}

#[test]
fn offsets_that_went_back_are_those_of_the_group() {
    let observed = |partitions: &[(&str, u32)]| GroupObservation {
        owners: vec![owner("t", 0, pod("app-1"))],
        offsets_went_back: Some(OffsetsWentBack {
            partitions: partitions
                .iter()
                .map(|(topic, number)| ((*topic).to_owned(), *number))
                .collect(),
            window_seconds: Seconds::whole(300),
        }),
        ..GroupObservation::default()
    };
    let found = group(observed(&[("u", 1), ("t", 3), ("t", 3)])).offsets_went_back;
    assert_eq!(found.unwrap().partitions, ["t-3"]);
    assert_eq!(group(observed(&[("u", 1)])).offsets_went_back, None);
}

#[test]
fn notes_say_what_is_approximate() {
    let streams = MemberLabels {
        client_id: Some("orders-1-StreamThread-2-consumer".into()),
        ..pod("app-1")
    };
    let group = group(GroupObservation {
        owners: vec![owner("t", 0, streams), owner("t", 1, pod("app-2"))],
        notes: vec!["one".into()],
        ..GroupObservation::default()
    });
    assert_eq!(group.notes[0], "one");
    assert!(
        group.notes[1].starts_with("threads of Kafka Streams among the members: 1"),
        "{:?}",
        group.notes
    );
}

mod described {
    use super::*;
    use crate::group::{GroupKind, GroupState, OutsideMember};
    use crate::ports::{DescribedGroup, DescribedMember, DescribedTopic, LagSample};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn member(id: &str, host: &str, owned: &[u32]) -> DescribedMember {
        DescribedMember {
            labels: MemberLabels {
                pod: None,
                host: Some(host.into()),
                client_id: Some("consumer".into()),
                member_id: Some(id.into()),
                instance: None,
            },
            rack: None,
            subscription: Some(vec!["t".into()]),
            owned: owned
                .iter()
                .map(|number| ("t".to_owned(), *number))
                .collect(),
            client: Some(ClientFamily::Librdkafka),
            classic_in_consumer_group: false,
            has_assignment_user_data: false,
        }
    }

    fn described(members: Vec<DescribedMember>) -> DescribedGroup {
        DescribedGroup {
            kind: GroupKind::Classic,
            state: GroupState::Stable,
            protocol_type: "consumer".into(),
            assignor: Some("cooperative-sticky".into()),
            removable_members: false,
            members,
            topics: vec![DescribedTopic {
                name: "t".into(),
                partition_racks: vec![Vec::new(); 4],
            }],
            cluster_id: Some("abc".into()),
        }
    }

    fn assembled(settings: &GroupSettings, described: DescribedGroup) -> GroupDocument {
        let observation = GroupObservation {
            described: Some(described),
            ..GroupObservation::default()
        };
        let group = assemble_group(settings, Some(observation), &pods(&["a", "b", "c"]));
        assert_eq!(group.validate(), Ok(()));
        group
    }

    fn of(described: DescribedGroup) -> GroupDocument {
        assembled(&GroupSettings::default(), described)
    }

    #[test]
    fn members_owners_and_properties_are_those_of_the_brokers() {
        let mut member_of_b = member("m2", "/10.0.0.2", &[3]);
        member_of_b.labels.instance = Some("i".into());
        member_of_b.rack = Some("r1".into());
        let mut group = described(vec![member("m1", "/10.0.0.1", &[0, 1]), member_of_b]);
        group.topics[0].partition_racks[2] = vec!["r2".into()];
        let group = of(group);
        assert_eq!(group.partial, None);
        let owners: Vec<_> = group.topics["t"]
            .owners
            .iter()
            .map(Option::as_deref)
            .collect();
        assert_eq!(owners, [Some("a"), Some("a"), None, Some("b")]);
        let racks = group.topics["t"].replica_racks.as_ref().unwrap();
        assert_eq!(racks.iter().map(Vec::len).collect::<Vec<_>>(), [0, 0, 1, 0]);
        let b = &group.members[1];
        assert_eq!(
            (b.pod.as_str(), b.id.as_deref(), b.instance.as_deref()),
            ("b", Some("m2"), Some("i"))
        );
        assert_eq!((b.rack.as_deref(), b.topics.clone()), (Some("r1"), None));
        assert_eq!(group.client, ClientFamily::Librdkafka);
        let known = group.known_assignor().unwrap().to_string();
        assert_eq!(known, "cooperative-sticky (as the brokers report)");
        let described = group.described.unwrap();
        assert_eq!(described.cluster_id.as_deref(), Some("abc"));
    }

    #[test]
    fn ready_pods_without_a_member_are_named_and_not_guessed() {
        let group = of(described(vec![
            member("m1", "/10.0.0.1", &[0, 1, 2, 3]),
            member("m2", "/10.0.0.2", &[]),
        ]));
        let pods: Vec<&str> = group
            .members
            .iter()
            .map(|member| member.pod.as_str())
            .collect();
        assert_eq!(pods, ["a", "b"]);
        let described = group.described.unwrap();
        assert_eq!(described.pods_without_member, ["c"]);
        assert!(
            group.notes[0].starts_with("ready pods without a member in the group: c"),
            "{:?}",
            group.notes
        );
    }

    #[test]
    fn members_outside_the_workload_are_named() {
        let mut of_another = member("m3", "/10.9.9.9", &[3]);
        of_another.labels.client_id = Some("batch-1".into());
        let group = of(described(vec![
            member("m1", "/10.0.0.1", &[0, 1, 2]),
            of_another,
        ]));
        assert_eq!(
            group.partial.as_deref(),
            Some(
                "members that do not run in a pod of the workload: client id `batch-1` at host \
                 10.9.9.9 (1 partition); members of pods that are gone expire with their session \
                 (45 s by default), and members of another workload need a group of their own"
            )
        );
        assert_eq!(
            group.described.unwrap().outside_members,
            [OutsideMember {
                id: Some("m3".into()),
                client_id: Some("batch-1".into()),
                instance: None,
                host: Some("/10.9.9.9".into()),
                partitions: vec!["t-3".into()],
            }]
        );
    }

    /// An instance id or a client id shows the pod where the address is that of a node.
    #[rstest]
    #[case(Some("b"), "consumer", Some("b"))]
    #[case(Some("orders-b"), "consumer-a", Some("b"))]
    #[case(None, "consumer-a", Some("a"))]
    #[case(None, "consumer", None)]
    fn ids_match_members_behind_another_address(
        #[case] instance: Option<&str>,
        #[case] client_id: &str,
        #[case] pod: Option<&str>,
    ) {
        let mut member = member("m1", "/192.168.0.1", &[0]);
        member.labels.instance = instance.map(str::to_owned);
        member.labels.client_id = Some(client_id.into());
        let group = of(described(vec![member]));
        let found = group.members.first().map(|member| member.pod.as_str());
        assert_eq!(found, pod);
    }

    #[test]
    fn settings_override_the_brokers_and_a_note_says_so() {
        let settings = GroupSettings {
            assignor: Some(Assignor::Range),
            client: Some(ClientFamily::Java),
            protocol: Some(Protocol::Classic),
            ..GroupSettings::default()
        };
        let group = assembled(
            &settings,
            described(vec![member("m1", "/10.0.0.1", &[0, 1, 2, 3])]),
        );
        assert_eq!(group.assignor, Some(Assignor::Range));
        assert_eq!(group.client, ClientFamily::Java);
        let known = group.known_assignor().unwrap().to_string();
        assert_eq!(known, "range (as configured)");
        let notes = group.notes.join("\n");
        assert!(
            notes.contains(
                "the configured assignor is range, but the brokers report cooperative-sticky"
            ) && notes.contains("the configured client is java, but the brokers report librdkafka"),
            "{notes}"
        );
        assert!(!notes.contains("protocol"), "{notes}");
    }

    #[test]
    fn group_of_kip_848_has_the_consumer_protocol() {
        let mut member = member("m1", "/10.0.0.1", &[0, 1, 2, 3]);
        member.classic_in_consumer_group = true;
        member.client = None;
        let group = of(DescribedGroup {
            kind: GroupKind::Consumer,
            assignor: Some("uniform".into()),
            ..described(vec![member])
        });
        assert_eq!(group.protocol, Protocol::Consumer);
        assert_eq!(group.assignor, Some(Assignor::Uniform));
        assert_eq!(group.client, ClientFamily::Java);
        let described = group.described.unwrap();
        assert_eq!((described.classic_members, described.client), (1, None));
        assert!(
            group.notes[0].starts_with("members that use the classic protocol in this group"),
            "{:?}",
            group.notes
        );
    }

    /// LeaveGroup removes members of classic groups only.
    #[rstest]
    #[case(GroupKind::Classic, true, true)]
    #[case(GroupKind::Classic, false, false)]
    #[case(GroupKind::Consumer, true, false)]
    fn static_members_of_classic_groups_are_removed(
        #[case] kind: GroupKind,
        #[case] set: bool,
        #[case] expected: bool,
    ) {
        let settings = GroupSettings {
            removes_static_members: set,
            ..GroupSettings::default()
        };
        let described = DescribedGroup {
            kind,
            ..described(vec![member("m1", "/10.0.0.1", &[0, 1, 2, 3])])
        };
        let group = assembled(&settings, described);
        assert_eq!(group.removes_static_members, expected);
    }

    #[test]
    fn assignments_with_user_data_are_counted() {
        let mut of_sarama = member("m1", "/10.0.0.1", &[0, 1]);
        of_sarama.has_assignment_user_data = true;
        let group = of(described(vec![
            of_sarama,
            member("m2", "/10.0.0.2", &[2, 3]),
        ]));
        assert_eq!(group.described.unwrap().assignments_with_user_data, 1);
    }

    #[test]
    fn subscriptions_that_differ_are_kept() {
        let mut group = described(vec![member("m1", "/10.0.0.1", &[0, 1, 2, 3])]);
        group.topics.push(DescribedTopic {
            name: "u".into(),
            partition_racks: vec![Vec::new()],
        });
        let mut both = member("m2", "/10.0.0.2", &[]);
        both.subscription = Some(vec!["t".into(), "u".into()]);
        let mut of_a_missing_topic = member("m3", "/10.0.0.3", &[]);
        of_a_missing_topic.subscription = Some(vec!["u".into(), "v".into()]);
        group.members.extend([both, of_a_missing_topic]);
        let group = of(group);
        let topics: Vec<_> = group
            .members
            .iter()
            .map(|member| member.topics.clone())
            .collect();
        assert_eq!(
            topics,
            [Some(vec!["t".to_owned()]), None, Some(vec!["u".to_owned()])]
        );
        assert_eq!(group.topics["u"].owners, [None]);
    }

    #[test]
    fn lags_show_partitions_that_are_behind() {
        let lag = |partition, records| LagSample {
            topic: "t".into(),
            partition,
            records,
        };
        let observation = GroupObservation {
            described: Some(described(vec![member("m1", "/10.0.0.1", &[0, 1, 2, 3])])),
            rates: Some((0..4).map(|partition| rate("t", partition, 10.0)).collect()),
            rate_window: Some(Seconds::whole(60)),
            lags: Some(vec![
                lag(0, Some(5)),
                lag(1, None),
                lag(2, Some(601)),
                lag(3, Some(600)),
            ]),
            ..GroupObservation::default()
        };
        let group = assemble_group(&GroupSettings::default(), Some(observation), &pods(&["a"]));
        let lags = group.topics["t"].lags.clone().unwrap();
        assert_eq!(lags, [Some(5), None, Some(601), Some(600)]);
        let behind = group.catching_up.unwrap();
        assert_eq!(
            (behind.partitions, behind.lag),
            (vec!["t-2".to_owned()], 601)
        );
        assert!(
            group.notes[0].starts_with("partitions with a lag larger than what arrived"),
            "{:?}",
            group.notes
        );
    }

    #[test]
    fn group_without_a_topic_is_incomplete() {
        let group = of(DescribedGroup {
            topics: Vec::new(),
            ..described(vec![member("m1", "/10.0.0.1", &[])])
        });
        assert_eq!(group.partial.as_deref(), Some(NO_TOPICS));
    }

    /// Addresses, ids and numbers of pods and of others, so that they match in part.
    fn members() -> impl Strategy<Value = Vec<DescribedMember>> {
        let member = (
            0..5_u8,
            prop::option::of("[a-d]"),
            prop::option::of(prop::collection::vec("[tuv]", 0..3)),
            prop::collection::vec(("[tuv]", 0..6_u32), 0..4),
        );
        let member = member.prop_map(|(host, instance, subscription, owned)| DescribedMember {
            labels: MemberLabels {
                host: Some(format!("/10.0.0.{host}")),
                client_id: Some("consumer".into()),
                member_id: Some(format!("m{host}")),
                instance,
                pod: None,
            },
            rack: None,
            subscription,
            owned,
            client: None,
            classic_in_consumer_group: false,
            has_assignment_user_data: false,
        });
        prop::collection::vec(member, 0..6)
    }

    proptest! {
        /// No partition is lost: each is owned by a member of the workload, by a named member
        /// outside it, or by none.
        #[test]
        fn document_of_any_described_group_is_valid(
            mut members in members(),
            sizes in prop::collection::vec(0..5_usize, 0..3),
        ) {
            for (index, member) in members.iter_mut().enumerate() {
                member.labels.member_id = Some(format!("m{index}"));
            }
            let topics = sizes.iter().zip(["t", "u", "v"]);
            let topics: Vec<DescribedTopic> = topics
                .map(|(size, name)| DescribedTopic {
                    name: name.into(),
                    partition_racks: vec![Vec::new(); *size],
                })
                .collect();
            let all = members.len();
            let group = of(DescribedGroup { topics: topics.clone(), ..described(members.clone()) });
            let shown = group.described.unwrap();
            prop_assert_eq!(group.members.len() + shown.outside_members.len(), all);
            prop_assert_eq!(group.partial.is_none(), shown.outside_members.is_empty()
                && !topics.is_empty()
                && !has_two_owners(&members));
            for topic in &topics {
                let found = group.topics[&topic.name].owners.len();
                prop_assert!(found >= topic.partition_racks.len());
            }
            let outside: BTreeSet<&String> = shown
                .outside_members
                .iter()
                .flat_map(|member| &member.partitions)
                .collect();
            for (topic, number) in members.iter().flat_map(|member| &member.owned) {
                let number_in_list = usize::try_from(*number).unwrap();
                let owner = group.topics.get(topic).and_then(|topic| topic.owners.get(number_in_list));
                let is_owned = owner.is_some_and(Option::is_some);
                let name = format!("{topic}-{number}");
                prop_assert!(is_owned || outside.contains(&name), "{}", name);
            }
        }
    }

    /// Whether two different members in pods own the same partition.
    fn has_two_owners(members: &[DescribedMember]) -> bool {
        let pods = pods(&["a", "b", "c"]);
        let pods = Pods::new(&pods);
        let mut owners = std::collections::HashMap::new();
        let inside = members
            .iter()
            .filter(|member| pods.of(&member.labels).is_some());
        inside
            .flat_map(|member| {
                member
                    .owned
                    .iter()
                    .map(move |one| (one, &member.labels.member_id))
            })
            .any(|(one, id)| owners.insert(one, id).is_some_and(|before| before != id))
    }
}
