//! The consumer group.

use std::time::Duration;

use rebalancer_core::model::SampleFault;
use rebalancer_core::ports::{GroupObservation, MetricsSource as _, OwnerSample, PortErrorKind};

use super::settings;
use crate::testing::{Reply, Server};
use crate::{GroupMetrics, GroupSource, PrometheusSettings, PrometheusSource};

fn partition(labels: &str, value: &str) -> String {
    format!(r#"{{"metric":{{{labels}}},"value":[1795471462.279,"{value}"]}}"#)
}

fn with_group(url: &str, group: GroupSource) -> PrometheusSource {
    PrometheusSource::new(PrometheusSettings {
        group: Some(group),
        ..settings(url)
    })
    .unwrap()
}

fn lag_exporter() -> GroupSource {
    GroupSource {
        group_id: Some("orders".into()),
        metrics: vec![GroupMetrics::KAFKA_LAG_EXPORTER],
        cooldown: Duration::from_secs(300),
        ..GroupSource::default()
    }
}

fn of_presets(metrics: &[GroupMetrics]) -> GroupSource {
    GroupSource {
        metrics: metrics.to_vec(),
        ..lag_exporter()
    }
}

/// Observes a group through a server that returns these samples for owners, now and before, and
/// for rates.
async fn group_of(
    source: GroupSource,
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
        // One partition had another owner before; one is no longer owned.
        let first = if request.contains("time=") { "/10.0.0.9" } else { "/10.0.0.1" };
        Reply::vector(&[owner(0, first, "1"), owner(1, "/10.0.0.2", "1"), owner(2, "/10.0.0.2", "0")].join(","))
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
