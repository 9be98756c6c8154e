//! The consumer group.

use std::time::Duration;

use rebalancer_core::model::SampleFault;
use rebalancer_core::ports::{GroupObservation, GroupSource as _, OwnerSample, PortErrorKind};

use super::settings;
use crate::testing::{Reply, Server};
use crate::{GroupMetrics, GroupQueries, PrometheusSettings, PrometheusSource};

fn partition(labels: &str, value: &str) -> String {
    format!(r#"{{"metric":{{{labels}}},"value":[1795471462.279,"{value}"]}}"#)
}

fn with_group(url: &str, group: GroupQueries) -> PrometheusSource {
    PrometheusSource::new(PrometheusSettings {
        group: Some(group),
        ..settings(url)
    })
    .unwrap()
}

fn lag_exporter() -> GroupQueries {
    GroupQueries {
        group_id: Some("orders".into()),
        metrics: vec![GroupMetrics::KAFKA_LAG_EXPORTER],
        cooldown: Duration::from_secs(300),
        ..GroupQueries::default()
    }
}

fn of_presets(metrics: &[GroupMetrics]) -> GroupQueries {
    GroupQueries {
        metrics: metrics.to_vec(),
        ..lag_exporter()
    }
}

/// Observes a group through a server that returns these samples for owners, now and before, and
/// for rates.
async fn group_of(
    source: GroupQueries,
    owners: Vec<String>,
    rates: Vec<String>,
) -> GroupObservation {
    let server = Server::start(move |request| {
        let samples = if request.contains("rate(") {
            &rates
        } else {
            &owners
        };
        Reply::vector(&samples.join(","))
    })
    .await;
    with_group(&server.url, source)
        .group()
        .await
        .unwrap()
        .unwrap()
}

fn topics(owners: &[OwnerSample]) -> Vec<&str> {
    owners.iter().map(|sample| sample.topic.as_str()).collect()
}

#[tokio::test]
async fn group_has_owners_now_and_before_and_rates() {
    let server = Server::start(|request| {
        if request.contains("latest_offset") {
            let of = |number: u32, rate| partition(&format!(r#""topic":"t","partition":"{number}""#), rate);
            return Reply::vector(&[of(0, "2.5"), of(1, "NaN")].join(","));
        }
        let owner = |number: u32, host: &str, value| {
            let labels = format!(
                r#""topic":"t","partition":"{number}","member_host":"{host}","consumer_id":"m-{number}""#
            );
            partition(&labels, value)
        };
        // One partition had another owner before.
        let first = if request.contains("time=") { "/10.0.0.9" } else { "/10.0.0.1" };
        Reply::vector(&[owner(0, first, "1"), owner(1, "/10.0.0.2", "1")].join(","))
    })
    .await;
    let source = with_group(&server.url, lag_exporter());
    let group = source.group().await.unwrap().unwrap();
    let hosts = |owners: &[OwnerSample]| -> Vec<String> {
        owners
            .iter()
            .map(|sample| sample.owner.clone().unwrap().host.unwrap())
            .collect()
    };
    assert_eq!(hosts(&group.owners), ["/10.0.0.1", "/10.0.0.2"]);
    assert_eq!(
        hosts(&group.owners_before.unwrap()),
        ["/10.0.0.9", "/10.0.0.2"]
    );
    let second = group.owners[1].owner.as_ref().unwrap();
    assert_eq!(second.member_id.as_deref(), Some("m-1"));
    assert!(!group.other_groups);
    let rates: Vec<_> = group
        .rates
        .unwrap()
        .into_iter()
        .map(|sample| sample.rate)
        .collect();
    assert_eq!(rates[0].map(f64::from), Ok(2.5));
    assert_eq!(rates[1], Err(SampleFault::NotFinite));
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn sample_without_a_partition_is_an_error() {
    let server = Server::always(Reply::vector(&partition(
        r#""topic":"t","partition":"x""#,
        "1",
    )))
    .await;
    let error = with_group(&server.url, lag_exporter())
        .group()
        .await
        .unwrap_err();
    assert_eq!(error.kind, PortErrorKind::BadAnswer);
    assert!(
        error
            .message
            .contains("without a topic or a partition number"),
        "{error}"
    );
}

#[tokio::test]
async fn no_group_query_is_sent_without_a_group() {
    let server = Server::always(Reply::vector("")).await;
    let source = PrometheusSource::new(settings(&server.url)).unwrap();
    assert_eq!(source.group().await.unwrap(), None);
    assert!(server.requests().is_empty());
}

/// The labels of PostHog's consumers.
#[tokio::test]
async fn consumer_may_use_other_labels_for_topic_and_partition() {
    let owner = |number: u32, value| {
        let labels =
            format!(r#""topic_name":"t.u","partition_id":"{number}","pod":"app-{number}""#);
        partition(&labels, value)
    };
    let source = of_presets(&[GroupMetrics::CONSUMER]);
    let group = group_of(source, vec![owner(3, "1"), owner(4, "0")], Vec::new()).await;
    assert_eq!(group.owners.len(), 1);
    let OwnerSample {
        topic,
        partition,
        owner,
    } = &group.owners[0];
    assert_eq!((topic.as_str(), *partition), ("t.u", 3));
    assert_eq!(owner.as_ref().unwrap().pod.as_deref(), Some("app-3"));
    assert_eq!(group.rates, None);
}

/// The client writes `_` for `.`, which would leave each partition without a rate. Version 4.1
/// writes both names.
#[tokio::test]
async fn topics_of_the_java_client_are_joined_with_those_of_another_exporter() {
    let owner = |topic: &str| {
        let labels = format!(r#""topic":"{topic}","partition":"0","pod":"app-0","client_id":"c""#);
        partition(&labels, "1")
    };
    let rate = partition(r#""topic":"a.b_c","partition":"0""#, "7");
    let source = of_presets(&[GroupMetrics::JMX, GroupMetrics::KAFKA_EXPORTER]);
    for owners in [vec![owner("a_b_c")], vec![owner("a_b_c"), owner("a.b_c")]] {
        let group = group_of(source.clone(), owners, vec![rate.clone()]).await;
        assert_eq!(topics(&group.owners), ["a.b_c"]);
        assert_eq!(topics(&group.owners_before.unwrap()), ["a.b_c"]);
        assert!(group.other_groups);
        assert_eq!(group.partial, None);
    }
}

/// One exporter may watch several clusters that have topics of the same name.
#[tokio::test]
async fn rates_are_those_of_the_cluster_of_the_group() {
    let owner = |cluster: &str, number: u32| {
        let labels = format!(
            r#""cluster_name":"{cluster}","topic":"t","partition":"{number}","member_host":"/10.0.0.1""#
        );
        partition(&labels, "1")
    };
    let rate = |cluster: &str, rate| {
        let labels = format!(r#""cluster_name":"{cluster}","topic":"t","partition":"0""#);
        partition(&labels, rate)
    };
    let rates = || vec![rate("one", "1"), rate("two", "2")];
    let group = group_of(lag_exporter(), vec![owner("two", 0)], rates()).await;
    let found: Vec<f64> = group
        .rates
        .unwrap()
        .iter()
        .map(|of| of.rate.unwrap().get())
        .collect();
    assert_eq!(found, [2.0]);
    assert_eq!(group.partial, None);

    let owners = vec![owner("two", 0), owner("one", 1)];
    let partial = group_of(lag_exporter(), owners, rates())
        .await
        .partial
        .unwrap();
    assert!(partial.contains("clusters one, two"), "{partial}");
}

#[tokio::test]
async fn group_without_members_has_unowned_partitions() {
    let labels = r#""topic":"t","partition":"0","member_host":"unknown","consumer_id":"unknown","client_id":"unknown""#;
    let group = group_of(lag_exporter(), vec![partition(labels, "12")], Vec::new()).await;
    assert_eq!(group.owners.len(), 1);
    assert_eq!(group.owners[0].owner, None);
}

#[tokio::test]
async fn warning_makes_the_group_partial() {
    let server = Server::start(|request| {
        let owner = partition(r#""topic":"t","partition":"0","member_host":"/10.0.0.1""#, "1");
        let warnings = if request.contains("rate(") {
            r#","warnings":["store 2 is down"]"#
        } else {
            ""
        };
        Reply::json(&format!(
            r#"{{"status":"success","data":{{"resultType":"vector","result":[{owner}]}}{warnings}}}"#
        ))
    })
    .await;
    let source = with_group(&server.url, lag_exporter());
    let partial = source.group().await.unwrap().unwrap().partial.unwrap();
    assert!(partial.contains("store 2 is down"), "{partial}");
    assert!(partial.contains("the partition rate query"), "{partial}");
}

#[tokio::test]
async fn wrong_result_type_names_partitions() {
    let server = Server::always(Reply::json(
        r#"{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}"#,
    ))
    .await;
    let error = with_group(&server.url, lag_exporter())
        .group()
        .await
        .unwrap_err();
    assert!(
        error.message.contains("one number per partition"),
        "{error}"
    );
}

/// The successor of kafka-lag-exporter has empty labels instead of `unknown`.
#[tokio::test]
async fn lag_exporter_with_empty_labels_reports_unowned_partitions() {
    let unowned = partition(r#""cluster_name":"c","topic":"t","partition":"0""#, "1");
    let owned = partition(
        r#""cluster_name":"c","topic":"t","partition":"1","member_host":"/10.0.0.1""#,
        "1",
    );
    for metrics in [
        GroupMetrics::KLAG_EXPORTER,
        GroupMetrics::KAFKA_LAG_EXPORTER,
    ] {
        let owners = vec![unowned.clone(), owned.clone()];
        let group = group_of(of_presets(&[metrics]), owners, Vec::new()).await;
        let has_owner: Vec<bool> = group.owners.iter().map(|of| of.owner.is_some()).collect();
        assert_eq!(has_owner, [false, true], "{metrics}");
        assert_eq!(group.partial, None);
    }
}

#[tokio::test]
async fn consumers_outside_the_group_are_left_out_and_noted() {
    let owner = |topic: &str, client: &str| {
        let labels = format!(
            r#""topic":"{topic}","partition":"0","pod":"orders-7f-1","client_id":"{client}""#
        );
        partition(&labels, "1")
    };
    let owners = vec![
        owner("orders", "orders-1-StreamThread-1-consumer"),
        owner(
            "orders-counts-repartition",
            "orders-1-StreamThread-1-consumer",
        ),
        owner(
            "orders-counts-changelog",
            "orders-1-StreamThread-1-restore-consumer",
        ),
        owner("currencies", "orders-1-global-consumer"),
    ];
    for metrics in [GroupMetrics::JMX, GroupMetrics::MICROMETER] {
        let group = group_of(of_presets(&[metrics]), owners.clone(), Vec::new()).await;
        assert_eq!(
            topics(&group.owners),
            ["orders", "orders-counts-repartition"]
        );
        assert_eq!(topics(&group.owners_before.unwrap()).len(), 2);
        assert_eq!(group.notes.len(), 1);
        assert!(group.notes[0].contains("restore consumers of Kafka Streams"));
        assert_eq!(group.partial, None);
    }
    // Exporters that ask the broker report members of the group only.
    let group = group_of(of_presets(&[GroupMetrics::CONSUMER]), owners, Vec::new()).await;
    assert_eq!(group.owners.len(), 4);
}

#[tokio::test]
async fn offsets_that_went_back_are_reported_with_the_window() {
    let statistic = |topic: &str, number: u32, name: &str, value: &str| {
        let labels =
            format!(r#""topic":"{topic}","partition":"{number}","rebalancer_statistic":"{name}""#);
        partition(&labels, value)
    };
    let rates = vec![
        partition(r#""topic":"t","partition":"0""#, "29775"),
        partition(r#""topic":"t","partition":"1""#, "47"),
        statistic("t", 0, "resets", "1"),
        statistic("t", 1, "resets", "0"),
        statistic("t", 0, "spread", "0"),
    ];
    let owners = vec![partition(
        r#""topic":"t","partition":"0","member_host":"/10.0.0.1""#,
        "1",
    )];
    let group = group_of(lag_exporter(), owners, rates).await;
    let went_back = group.offsets_went_back.unwrap();
    assert_eq!(went_back.partitions, [("t".to_owned(), 0)]);
    assert_eq!(went_back.window_seconds.get(), 300.0);
    assert_eq!(group.rates.unwrap().len(), 2);
    assert_eq!(group.partial, None);
}

/// Two clusters have a topic of the same name, and nothing but a label of the scrape separates
/// them.
#[tokio::test]
async fn offsets_of_several_clusters_name_the_label() {
    let server = |spread: &'static str| {
        Server::start(move |request| {
            if request.contains("rate(") {
                let rate = partition(r#""topic":"a.b","partition":"0""#, "10");
                let labels = r#""topic":"a.b","partition":"0","rebalancer_statistic":"spread""#;
                return Reply::vector(&[rate, partition(labels, spread)].join(","));
            }
            if request.contains("current_offset") {
                let of = |env: &str| {
                    let labels = format!(
                        r#""topic":"a.b","partition":"0","instance":"{env}:9308","env":"{env}""#
                    );
                    partition(&labels, "1")
                };
                return Reply::vector(&[of("prod"), of("test")].join(","));
            }
            Reply::vector(&partition(
                r#""topic":"a_b","partition":"0","pod":"app-0","client_id":"c""#,
                "1",
            ))
        })
    };
    let observe = async |spread| {
        let server = server(spread).await;
        let source = of_presets(&[GroupMetrics::JMX, GroupMetrics::KAFKA_EXPORTER]);
        let group = with_group(&server.url, source)
            .group()
            .await
            .unwrap()
            .unwrap();
        (group.partial, server.requests().len())
    };
    let (partial, requests) = observe("7000").await;
    let partial = partial.unwrap();
    for part in [
        "partition a.b-0 report offsets that are 7000 apart",
        "they differ in env (prod, test) and instance",
        r#"PROMETHEUS_MATCHERS='env=~"|prod"'"#,
    ] {
        assert!(partial.contains(part), "{partial}");
    }
    assert_eq!(requests, 4);
    // Two exporters of one cluster are scraped at different times.
    assert_eq!(observe("5000").await, (None, 3));
}

/// The owners do not say in which of the clusters they are.
#[tokio::test]
async fn rates_of_several_clusters_are_not_mixed() {
    let rate = |cluster: &str, topic: &str| {
        let labels = format!(r#""cluster_name":"{cluster}","topic":"{topic}","partition":"0""#);
        partition(&labels, "1")
    };
    let owner = partition(r#""topic":"t","partition":"0","pod":"app-0""#, "1");
    let source = of_presets(&[GroupMetrics::CONSUMER, GroupMetrics::KLAG_EXPORTER]);
    let rates = vec![rate("one", "t"), rate("two", "t")];
    let group = group_of(source.clone(), vec![owner.clone()], rates).await;
    let partial = group.partial.unwrap();
    assert!(partial.contains("Kafka clusters one, two"), "{partial}");
    assert_eq!(group.rates.unwrap().len(), 1);
    let rates = vec![rate("one", "t"), rate("two", "u")];
    assert_eq!(group_of(source, vec![owner], rates).await.partial, None);
}
