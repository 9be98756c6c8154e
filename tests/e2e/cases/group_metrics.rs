//! The consumer group, as each exporter reports it to both metrics servers.
//!
//! One workload stands for many groups, which differ only in their metrics.

mod fake_groups;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ::harness::{FaultProxy, MetricsServer, PodView, Rebalancer, Result, Target, TestNamespace};
use rstest::rstest;
use serde_json::Value;

use crate::label_names::{self, WITH_DOTS};
use crate::support::{Outcome, RunExt as _, assert_untouched, shared::Shared};
use fake_groups::{
    FakeGroups, MOVED, MOVED_TO, OWNERS, RATES, TWO_CLUSTERS, WENT_BACK, moved, offsets, topic,
};

/// Loads that follow from the rates and owners: the first pod is hot because of its partitions.
const VICTIM: usize = 0;

fn server(ns: &TestNamespace, which: usize) -> &MetricsServer {
    ns.metrics_servers()[which]
}

impl FakeGroups {
    /// The program with the forecast strategy and a group.
    fn program(&self, which: usize, group: &str, metrics: &str) -> Rebalancer {
        let program = self.ns.rebalancer(&self.ns.workload(fake_groups::spec()));
        program
            .env("PROMETHEUS_ENDPOINT", server(&self.ns, which).url())
            .env("STRATEGY", "forecast")
            .env("GROUP_ID", group)
            .env("GROUP_METRICS", metrics)
            .env("MINIMUM_PODS_REQUIRED", "2")
            .env("COOLDOWN", "5s")
    }

    /// The outcome of `plan`, and the group in the snapshot that it saves.
    async fn plan(&self, program: Rebalancer, code: i32) -> Result<(Outcome, Value)> {
        let file = tempfile::NamedTempFile::new().unwrap();
        let program = program.args(["plan", "--save"]).arg(file.path());
        let run = program.ends_with(code).await?;
        let snapshot = std::fs::read_to_string(file.path()).unwrap();
        let snapshot: Value = serde_json::from_str(&snapshot).unwrap();
        assert_untouched(&self.ns.workload(fake_groups::spec()), &self.pods).await?;
        Ok((run, snapshot["group"].clone()))
    }
}

/// The topic's owners are the pods of `owners`, and its rates are [`RATES`].
fn assert_group(group: &Value, name: &str, owners: &[usize], pods: &[PodView], rated: bool) {
    assert!(group.get("partial").is_none(), "{group}");
    assert!(group.get("moved_lately").is_none(), "{group}");
    let topics = group["topics"].as_object().unwrap();
    assert_eq!(topics.keys().collect::<Vec<_>>(), [name]);
    let expected: Vec<&str> = owners.iter().map(|pod| pods[*pod].name.as_str()).collect();
    assert_eq!(topics[name]["owners"], Value::from(expected));
    let members = group["members"].as_array().unwrap();
    let of_pods: BTreeSet<&str> = members
        .iter()
        .filter_map(|member| member["pod"].as_str())
        .collect();
    let all: BTreeSet<&str> = pods.iter().map(|pod| pod.name.as_str()).collect();
    assert_eq!(of_pods, all);
    if !rated {
        assert!(topics[name].get("rates").is_none(), "{group}");
        return;
    }
    let rates = topics[name]["rates"].as_array().unwrap();
    assert_eq!(rates.len(), RATES.len());
    for (seen, expected) in rates.iter().zip(RATES) {
        let seen = seen.as_f64().unwrap();
        assert!(
            (seen - expected).abs() <= expected * 0.12,
            "{seen} for {expected}: {group}"
        );
    }
}

/// The plan evicts the hot pod and at most one other.
fn assert_few_victims(run: &Outcome, pods: &[PodView]) {
    let victims = run.victims();
    assert!((1..=2).contains(&victims.len()), "{}", run.0);
    assert!(victims.contains(&pods[VICTIM].uid), "{}", run.0);
}

#[rstest]
#[case::consumer("consumer,kafka-exporter", true)]
#[case::client("jmx,kafka-exporter", true)]
#[case::micrometer("micrometer,kafka-exporter", true)]
#[case::lag_exporter("kafka-lag-exporter", true)]
#[case::successor_of_lag_exporter("klag-exporter", true)]
#[case::lag_exporter_for_owners("kafka-exporter,kafka-lag-exporter", true)]
#[case::without_rates("consumer", false)]
#[tokio::test]
async fn each_exporter_describes_the_group(
    #[case] metrics: &str,
    #[case] rated: bool,
    #[values(0, 1, 2, 3)] which: usize,
) -> Result<()> {
    let fake_groups = FakeGroups::open().await?;
    let program = fake_groups.program(which, "orders", metrics);
    let (run, group) = fake_groups.plan(program.clone(), 0).await?;
    assert_group(&group, &topic("orders"), &OWNERS, &fake_groups.pods, rated);
    assert_eq!(group["id"], "orders");
    let check = run.check("group");
    assert_eq!(check["verdict"], "pass", "{}", run.0);
    assert_eq!(
        (&check["members"], &check["partitions"]),
        (&4.into(), &12.into())
    );
    if !rated {
        return Ok(());
    }
    assert_few_victims(&run, &fake_groups.pods);

    // The fit finds the base and the cost from which the loads were made.
    let forecast = program.arg("forecast").ends_with(0).await?;
    let group = &forecast.workload()["group"];
    assert_eq!(group["assignor"], "cooperative-sticky", "{}", forecast.0);
    assert!(
        group["fit"]["goodness"].as_f64().unwrap() > 0.97,
        "{}",
        forecast.0
    );
    assert_eq!(group["hot_pods"], 1, "{}", forecast.0);
    assert!(
        !group["plans"].as_array().unwrap().is_empty(),
        "{}",
        forecast.0
    );
    Ok(())
}

/// The group of the past is read from the metrics, and each action has its forecast.
#[rstest]
#[case::prometheus(0)]
#[case::victoria_metrics(1)]
#[tokio::test]
async fn backtest_forecasts_the_effect_on_the_past_group(#[case] which: usize) -> Result<()> {
    let fake_groups = FakeGroups::open().await?;
    let program = fake_groups
        .program(which, "orders", "consumer,kafka-exporter")
        .args(["backtest", "--since", "30s", "--step", "3s", "-o", "json"]);
    let started = Instant::now();
    loop {
        let run = program.clone().run().await?;
        assert_eq!(run.code, Some(0), "{run}");
        let document: Value = run.json()?;
        let backtest = &document["workloads"][0]["backtest"];
        assert_eq!(backtest["strategy"], "forecast", "{run}");
        let first = &backtest["actions"][0];
        if first.is_null() {
            assert!(started.elapsed() < Duration::from_secs(120), "{run}");
            tokio::time::sleep(Duration::from_secs(1)).await;
            continue;
        }
        let victim = Value::from(fake_groups.pods[VICTIM].name.as_str());
        assert!(first["pods"].as_array().unwrap().contains(&victim), "{run}");
        let range = first["imbalance_range"].as_array().unwrap();
        assert!(
            range[0].as_f64() <= first["imbalance_expected"].as_f64(),
            "{run}"
        );
        return assert_untouched(
            &fake_groups.ns.workload(fake_groups::spec()),
            &fake_groups.pods,
        )
        .await;
    }
}

/// Scenarios of the live group: other replicas, another assignor.
#[rstest]
#[case::prometheus(0)]
#[case::victoria_metrics(1)]
#[tokio::test]
async fn scenarios_are_evaluated_on_the_live_group(#[case] which: usize) -> Result<()> {
    let fake_groups = FakeGroups::open().await?;
    let program = fake_groups
        .program(which, "orders", "consumer,kafka-exporter")
        .args(["forecast", "-o", "json", "--replicas", "2..13"]);
    let without = format!("--without={}", fake_groups.pods[VICTIM].name);
    let run = program.clone().arg(&without).run().await?;
    assert_eq!(run.code, Some(0), "{run}");
    let document: Value = run.json()?;
    assert_eq!(document["schema"], "rebalancer/scenarios/v1", "{run}");
    let group = &document["workloads"][0]["group"];
    assert_eq!(
        (&group["pods"], &group["partitions"]),
        (&4.into(), &12.into())
    );
    let scenarios = group["scenarios"].as_array().unwrap();
    assert_eq!(scenarios.len(), 13, "{run}");
    assert_eq!(scenarios[0]["description"], "as it is");
    let peak = |index: usize| {
        scenarios[index]["expected"]["peak"]["mean"]
            .as_f64()
            .unwrap()
    };
    let idle = |index: usize| {
        scenarios[index]["expected"]["idle_pods"]["mean"]
            .as_f64()
            .unwrap()
    };
    // Scenario n has n + 1 pods.
    assert!(peak(1) > peak(3) && peak(3) > peak(12), "{run}");
    assert_eq!((idle(1), idle(11), idle(12)), (0.0, 0.0, 1.0), "{run}");
    assert_untouched(
        &fake_groups.ns.workload(fake_groups::spec()),
        &fake_groups.pods,
    )
    .await?;

    let unknown = program.arg("--without=nobody").run().await?;
    assert_eq!(unknown.code, Some(1), "{unknown}");
    let document: Value = unknown.json()?;
    let error = document["workloads"][0]["error"].as_str().unwrap();
    assert!(error.contains("`nobody` is not a ready pod"), "{unknown}");
    assert!(error.contains(&fake_groups.pods[VICTIM].name), "{unknown}");
    Ok(())
}

/// The labels of pods and namespaces have the names of OpenTelemetry, with dots.
#[tokio::test]
async fn presets_use_the_configured_names_of_labels() -> Result<()> {
    let fake_groups = FakeGroups::open().await?;
    let ns = &fake_groups.ns;
    for server in label_names::servers(ns, WITH_DOTS).await? {
        label_names::wait_measured(ns, &server, WITH_DOTS, fake_groups.pods.len()).await?;
        let offsets = format!(
            "kafka_topic_partition_current_offset{{topic=\"{}\"}}",
            topic("orders")
        );
        label_names::wait_for_series(&server, &offsets, RATES.len()).await?;
        for preset in ["consumer", "jmx", "micrometer"] {
            let program = fake_groups
                .program(0, "orders", &format!("{preset},kafka-exporter"))
                .env("PROMETHEUS_ENDPOINT", server.url())
                .envs(label_names::settings(WITH_DOTS));
            let (run, group) = fake_groups.plan(program, 0).await?;
            assert_group(&group, &topic("orders"), &OWNERS, &fake_groups.pods, true);
            assert_few_victims(&run, &fake_groups.pods);
        }
    }
    Ok(())
}

#[tokio::test]
async fn only_the_victims_of_a_forecast_are_evicted() -> Result<()> {
    // The topic of the group, with its rates.
    let fake_groups = FakeGroups::open().await?;
    let ns = TestNamespace::start().await?;
    let consumer = ns.create(fake_groups::spec()).await?;
    ns.autoscale(&consumer, Target::Utilization(70)).await?;
    let before = consumer.pods().await?;
    ns.expose("consumers", fake_groups::assignment_of(ns.name(), &before));
    consumer.wait_measured().await?;
    let run = fake_groups
        .program(0, ns.name(), "consumer,kafka-exporter")
        .env("KUBE_NAMESPACE", ns.name())
        .ends_with(0)
        .await?;
    assert_few_victims(&run, &before);
    let victims = run.victims();
    assert_eq!(run.outcomes(), vec!["evicted"; victims.len()], "{}", run.0);
    let after = consumer.wait_ready().await?;
    for pod in &before {
        let stayed = after.iter().any(|other| other.uid == pod.uid);
        assert_eq!(stayed, !victims.contains(&pod.uid), "{}", pod.name);
    }
    Ok(())
}

#[rstest]
#[case::client_id(r#"kafka_consumergroup_group_lag{group="by-client"}"#)]
#[case::address(r#"kafka_consumergroup_group_lag{group="orders"}"#)]
#[case::pod(r#"kafka_consumer_assignment{group_id="orders"}"#)]
#[case::lag_that_is_zero_at_the_end_of_the_topic(
    r#"max by (topic, partition, pod) (kafka_consumer_fetch_manager_records_lag{client_id="large"})"#
)]
#[case::lag_made_a_flag(r#"kafka_consumer_fetch_manager_records_lag{client_id="small"} * 0 + 1"#)]
#[tokio::test]
async fn custom_queries_match_members_by_the_labels_of_their_samples(
    #[case] owners: &str,
    #[values(0, 1, 2, 3)] which: usize,
) -> Result<()> {
    let fake_groups = FakeGroups::open().await?;
    let rates = format!(
        "max by (topic, partition) (rate(kafka_topic_partition_current_offset{{topic={:?}}}[10s]))",
        topic("orders")
    );
    let program = fake_groups.program(which, "orders", "");
    let program = program.without_env("GROUP_METRICS").without_env("GROUP_ID");
    let program = program.env("GROUP_ASSIGNMENT_QUERY", owners);
    let program = program.env("GROUP_RATE_QUERY", rates);
    let (run, group) = fake_groups.plan(program, 0).await?;
    assert_group(&group, &topic("orders"), &OWNERS, &fake_groups.pods, true);
    assert_few_victims(&run, &fake_groups.pods);
    Ok(())
}

#[rstest]
#[tokio::test]
async fn positional_assignor_is_recognised(#[values(0, 1, 2, 3)] which: usize) -> Result<()> {
    let fake_groups = FakeGroups::open().await?;
    let program = fake_groups.program(which, "ranged", "kafka-exporter,kafka-lag-exporter");
    let (run, _) = fake_groups
        .plan(program.env("GROUP_ASSIGNOR", "auto"), 0)
        .await?;
    let message = run.held("positional_assignor");
    run.assert_says(&message, &["the assignor is range (recognised"]);
    Ok(())
}

#[rstest]
#[case::lacks_an_owner(
    "gap",
    "group_not_settled",
    0,
    "1 partition has no owner, such as groups.orders-3"
)]
#[case::without_members(
    "empty",
    "group_not_settled",
    0,
    "12 partitions have no owner, such as groups.orders-0"
)]
#[case::owner_unknown(
    "stranger",
    "group_unknown",
    1,
    "partitions owned by no pod of the workload: groups.orders-5 of pod `consumer-gone`"
)]
#[case::two_owners(
    "duplicated",
    "group_unknown",
    1,
    "partitions with two owners: groups.orders-7 of "
)]
#[case::lacks_a_rate(
    "unrated",
    "group_unknown",
    1,
    "partitions without a rate: groups.unrated-11"
)]
#[case::never_heard_of(
    "nobody",
    "group_unknown",
    1,
    "the metrics report no owner of any partition"
)]
#[tokio::test]
async fn a_partially_known_group_is_refused_with_what_is_missing(
    #[case] group: &str,
    #[case] reason: &str,
    #[case] code: i32,
    #[case] says: &str,
    #[values(0, 1, 2, 3)] which: usize,
) -> Result<()> {
    let fake_groups = FakeGroups::open().await?;
    let metrics = if group == "empty" {
        "kafka-exporter,kafka-lag-exporter"
    } else {
        "consumer,kafka-exporter"
    };
    let program = fake_groups.program(which, group, metrics);
    let (run, _) = fake_groups.plan(program.clone(), code).await?;
    let message = run.held(reason);
    run.assert_says(&message, &[says]);

    // If the problem is permanent, `auto` uses the rule that needs no group.
    let program = program
        .env("STRATEGY", "auto")
        .env("REBALANCE_TOP_K_PODS", "1");
    let (run, _) = fake_groups.plan(program, 0).await?;
    if reason == "group_not_settled" {
        run.assert_says(&run.held(reason), &[says]);
    } else {
        let message = run.check("group")["message"].as_str().unwrap().to_owned();
        run.assert_says(&message, &["no forecast, rotate-outliers decides", says]);
        assert!(
            run.victims().contains(&fake_groups.pods[VICTIM].uid),
            "{}",
            run.0
        );
    }
    Ok(())
}

/// If all lags are 0 or 1, a lag of 0 and a partition without an owner look the same.
#[rstest]
#[tokio::test]
async fn owner_values_with_two_meanings_are_refused(#[values(0, 1)] which: usize) -> Result<()> {
    let fake_groups = FakeGroups::open().await?;
    let program = fake_groups.program(which, "orders", "kafka-exporter").env(
        "GROUP_ASSIGNMENT_QUERY",
        r#"kafka_consumer_fetch_manager_records_lag{client_id="small"}"#,
    );
    let (run, _) = fake_groups.plan(program, 1).await?;
    let message = run.held("group_unknown");
    run.assert_says(
        &message,
        &[
            "only 0 for partition groups.orders-11",
            "`== 1`",
            "`* 0 + 1`",
        ],
    );
    Ok(())
}

#[rstest]
#[tokio::test]
async fn static_members_are_recognised_by_their_ids(
    #[values("kafka-lag-exporter", "klag-exporter")] metrics: &str,
    #[values(0, 1)] which: usize,
) -> Result<()> {
    let fake_groups = FakeGroups::open().await?;
    let program = fake_groups.program(which, "static", metrics);
    let (run, group) = fake_groups.plan(program, 0).await?;
    let message = run.held("static_membership");
    run.assert_says(&message, &["4 members are static", "such as orders-"]);
    assert_eq!(group["members"][0]["client_id"], "consumer-g-1", "{group}");
    Ok(())
}

#[rstest]
#[tokio::test]
async fn partition_with_empty_owner_labels_has_no_owner(
    #[values("kafka-lag-exporter", "klag-exporter")] metrics: &str,
    #[values(0, 1)] which: usize,
) -> Result<()> {
    let fake_groups = FakeGroups::open().await?;
    let program = fake_groups.program(which, "lacking", metrics);
    let (run, _) = fake_groups.plan(program, 0).await?;
    let message = run.held("group_not_settled");
    run.assert_says(
        &message,
        &["1 partition has no owner, such as groups.orders-6"],
    );
    Ok(())
}

#[rstest]
#[tokio::test]
async fn consumers_of_kafka_streams_outside_the_group_are_left_out(
    #[values(0, 1)] which: usize,
) -> Result<()> {
    let fake_groups = FakeGroups::open().await?;
    let program = fake_groups.program(which, "orders", "micrometer,kafka-exporter");
    let (run, group) = fake_groups.plan(program, 0).await?;
    assert_group(&group, &topic("orders"), &OWNERS, &fake_groups.pods, true);
    let notes = group["notes"].to_string();
    run.assert_says(
        &notes,
        &[
            "12 partitions of restore consumers of Kafka Streams, such as of topic \
             orders-counts-changelog",
            "global consumers of Kafka Streams, such as of topic currencies",
            "threads of Kafka Streams among the members: 4",
        ],
    );
    assert_eq!(run.workload()["group"]["notes"], group["notes"]);
    Ok(())
}

#[rstest]
#[tokio::test]
async fn offsets_of_two_clusters_name_the_label_and_a_matcher(
    #[values(0, 1)] which: usize,
) -> Result<()> {
    let fake_groups = FakeGroups::open().await?;
    let program = fake_groups.program(which, TWO_CLUSTERS, "consumer,kafka-exporter");
    let (run, _) = fake_groups.plan(program.clone(), 1).await?;
    let message = run.held("group_unknown");
    run.assert_says(
        &message,
        &[
            "the series of partition groups.two-clusters-",
            "they differ in env (prod, test)",
            r#"PROMETHEUS_MATCHERS='env=~"|prod"'"#,
        ],
    );

    // The matcher selects one cluster, and does not exclude series without the label.
    let program = program.env("PROMETHEUS_MATCHERS", r#"env=~"|prod""#);
    let (run, group) = fake_groups.plan(program, 0).await?;
    assert_group(
        &group,
        &topic(TWO_CLUSTERS),
        &OWNERS,
        &fake_groups.pods,
        true,
    );
    assert_few_victims(&run, &fake_groups.pods);
    Ok(())
}

/// Prometheus takes an offset that went back for the restart of a counter.
#[tokio::test]
async fn offset_that_went_back_is_not_forecast_until_the_window_has_passed() -> Result<()> {
    let fake_groups = FakeGroups::open().await?;
    let resets = async |which: usize| -> Result<f64> {
        let name = topic(WENT_BACK);
        let query = format!(
            "sum by (pod) (label_replace(resets(kafka_topic_partition_current_offset{{\
             topic={name:?}}}[10s]), \"pod\", \"any\", \"\", \"\"))"
        );
        let by_pod = server(&fake_groups.ns, which).by_pod(&query).await?;
        Ok(by_pod.get("any").copied().unwrap_or_default())
    };
    let wait_until = async |went_back: bool| -> Result<()> {
        let started = Instant::now();
        for which in [0, 1] {
            while (resets(which).await? > 0.0) != went_back {
                assert!(
                    started.elapsed() < Duration::from_secs(60),
                    "still {went_back}"
                );
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        Ok(())
    };
    let program = |which| fake_groups.program(which, WENT_BACK, "consumer,kafka-exporter");
    for which in [0, 1] {
        let (run, _) = fake_groups.plan(program(which), 0).await?;
        assert_eq!(run.check("group")["verdict"], "pass", "{}", run.0);
    }
    let mut base = 1e6;
    for which in [0, 1] {
        for strategy in ["forecast", "auto"] {
            // Once for each run: the servers show it for the window only.
            base -= 5_000.0;
            fake_groups
                .ns
                .expose("went-back", offsets(WENT_BACK, "", base));
            wait_until(true).await?;
            let program = program(which).env("STRATEGY", strategy);
            let (run, group) = fake_groups.plan(program, 1).await?;
            let message = run.held("group_unknown");
            run.assert_says(
                &message,
                &[
                    "such as groups.went-back-0, went back",
                    "the window of 10 s",
                ],
            );
            assert_eq!(
                group["offsets_went_back"]["window_seconds"], 10.0,
                "{group}"
            );
            wait_until(false).await?;
        }
    }
    for which in [0, 1] {
        let (run, _) = fake_groups.plan(program(which), 0).await?;
        assert_eq!(run.check("group")["verdict"], "pass", "{}", run.0);
    }
    Ok(())
}

/// With `auto`, log, table and report say that no forecast was made, and why.
#[tokio::test]
async fn fallback_to_rotate_outliers_is_reported() -> Result<()> {
    let fake_groups = FakeGroups::open().await?;
    let program = fake_groups.program(0, "nobody", "consumer");
    let program = program.env("STRATEGY", "auto").env("LOG_LEVEL", "info");
    let (run, _) = fake_groups.plan(program.clone(), 0).await?;
    let says = [
        "no forecast, rotate-outliers decides: ",
        "the metrics report no owner of any partition",
    ];
    let fallback = run.workload()["fallback"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    run.assert_says(&fallback, &says[1..]);
    let log = run.log();
    let messages: Vec<&str> = log.iter().filter_map(|line| line["msg"].as_str()).collect();
    assert!(
        messages
            .iter()
            .any(|message| says.iter().all(|part| message.contains(part))),
        "{messages:?}"
    );
    assert!(!messages.contains(&"consumer group read"), "{messages:?}");
    let table = program
        .arg("plan")
        .env("OUTPUT", "table")
        .ends_with(0)
        .await?;
    let table = table
        .0
        .stdout
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    run.assert_says(&table, &["no forecast, rotate-outliers decides: ", says[1]]);
    Ok(())
}

/// Custom queries can yield infinities and NaN.
#[rstest]
#[case::nan(
    "0 / 0 * ",
    0,
    "invalid rates: groups.orders-0 (the query answered a number that is not finite"
)]
// This server returns no NaN.
#[case::nan("0 / 0 * ", 1, "partitions without a rate: groups.orders-0")]
#[case::negative(
    "-1 * ",
    0,
    "invalid rates: groups.orders-0 (the query answered a negative"
)]
#[case::negative(
    "-1 * ",
    1,
    "invalid rates: groups.orders-0 (the query answered a negative"
)]
#[tokio::test]
async fn invalid_rates_are_refused(
    #[case] times: &str,
    #[case] which: usize,
    #[case] says: &str,
) -> Result<()> {
    let fake_groups = FakeGroups::open().await?;
    let rates = format!(
        "{times}max by (topic, partition) (kafka_topic_partition_current_offset{{topic={:?}}})",
        topic("orders")
    );
    let program = fake_groups.program(which, "orders", "consumer");
    let (run, _) = fake_groups
        .plan(program.env("GROUP_RATE_QUERY", rates), 1)
        .await?;
    let message = run.held("group_unknown");
    run.assert_says(&message, &[says, "and 11 more"]);
    Ok(())
}

/// VictoriaMetrics does not store the NaN of kafka-lag-exporter, so it lacks the partition.
#[tokio::test]
async fn a_partition_without_commits_has_an_owner_where_nan_is_stored() -> Result<()> {
    let fake_groups = FakeGroups::open().await?;
    let program = |which| fake_groups.program(which, "uncommitted", "kafka-lag-exporter");
    let (_, group) = fake_groups.plan(program(0), 0).await?;
    assert_group(&group, &topic("orders"), &OWNERS, &fake_groups.pods, true);
    let (run, _) = fake_groups.plan(program(1), 0).await?;
    let message = run.held("group_not_settled");
    run.assert_says(
        &message,
        &["1 partition has no owner, such as groups.orders-4"],
    );
    Ok(())
}

/// For a while the loads still include those of the previous owners.
#[tokio::test]
async fn partition_moved_within_the_cooldown_holds() -> Result<()> {
    const COOLDOWN: &str = "30s";
    let fake_groups = FakeGroups::open().await?;
    let to = &fake_groups.pods[MOVED_TO].name;
    // The selector of the program's own query: VictoriaMetrics caches for some seconds which series
    // a selector finds, so a selector that was used before does not find a new series at once.
    let owned = async |which: usize, offset: &str| -> Result<f64> {
        let query =
            format!("sum by (pod) (kafka_consumer_assignment{{group_id=\"moving\"}} {offset})");
        let by_pod = server(&fake_groups.ns, which).by_pod(&query).await?;
        Ok(by_pod.get(to).copied().unwrap_or_default())
    };
    let owns_more = async |than: f64, offset: &str| -> Result<()> {
        let started = Instant::now();
        for which in [0, 1] {
            while owned(which, offset).await? <= than {
                assert!(started.elapsed() < Duration::from_secs(120), "still {than}");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        Ok(())
    };
    let program = |which| {
        let program = fake_groups.program(which, "moving", "consumer,kafka-exporter");
        program.env("COOLDOWN", COOLDOWN)
    };
    // Exposed for longer than the cooldown, without a move yet.
    tokio::time::sleep(Duration::from_secs(32)).await;
    for which in [0, 1] {
        let (run, _) = fake_groups.plan(program(which), 0).await?;
        assert_eq!(run.check("group")["verdict"], "pass", "{}", run.0);
    }
    let before = owned(0, "").await?;
    moved(&fake_groups);
    owns_more(before, "").await?;
    for which in [0, 1] {
        let (run, _) = fake_groups.plan(program(which), 0).await?;
        let message = run.held("group_not_settled");
        run.assert_says(
            &message,
            &["1 partition changed the owner within the cooldown"],
        );
    }
    owns_more(before, &format!("offset {COOLDOWN}")).await?;
    for which in [0, 1] {
        let (run, group) = fake_groups.plan(program(which), 0).await?;
        assert_eq!(run.check("group")["verdict"], "pass", "{}", run.0);
        let owner = &group["topics"][topic("orders")]["owners"][MOVED];
        assert_eq!(owner, to.as_str(), "{group}");
    }
    Ok(())
}

/// The words of a decision without its numbers, which differ between runs.
fn gist(run: &Outcome) -> Value {
    let workload = run.workload();
    let each = |list: &str, fields: &[&str]| -> Vec<Vec<Value>> {
        let list = workload[list].as_array().unwrap();
        let of = |entry: &Value| fields.iter().map(|field| entry[*field].clone()).collect();
        list.iter().map(of).collect()
    };
    serde_json::json!({
        "action": workload["decision"]["action"],
        "reason": workload["decision"]["reason"],
        "victims": each("victims", &["name", "uid", "role"]),
        "pods": each("pods", &["name", "eligible", "role"]),
        "checks": each("checks", &["name", "verdict"]),
        "group": workload["group"],
    })
}

fn queries(proxy: &FaultProxy) -> Vec<String> {
    let calls = proxy.seen().into_iter().map(|seen| seen.call);
    let mut queries: Vec<_> = calls.filter(|call| call.starts_with("query")).collect();
    queries.sort();
    queries
}

#[rstest]
#[tokio::test]
async fn without_group_settings_no_group_query_is_sent(
    #[values(0, 1, 2, 3)] which: usize,
) -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, _) = shared.skewed().await?;
    let plan = async |strategy: Option<&str>| -> Result<(Value, Vec<String>)> {
        let proxy = FaultProxy::prometheus(server(&shared.ns, which)).await?;
        let program = shared.ns.rebalancer(&consumer).arg("plan");
        let program = program.env("PROMETHEUS_ENDPOINT", proxy.url());
        let program = match strategy {
            Some(strategy) => program.env("STRATEGY", strategy),
            None => program,
        };
        let run = program.ends_with(0).await?;
        Ok((gist(&run), queries(&proxy)))
    };
    let (unset, asked) = plan(None).await?;
    assert_eq!(
        asked,
        [
            "query duplicates",
            "query freshness",
            "query load",
            "query window"
        ]
    );
    assert_eq!(unset["action"], "rotate");
    assert_eq!(unset["group"], Value::Null);
    assert_eq!(
        plan(Some("rotate-outliers")).await?,
        (unset.clone(), asked.clone())
    );

    // The log says that there is no forecast, and the default rule decides.
    let (mut auto, asked_by_auto) = plan(Some("auto")).await?;
    assert_eq!(asked_by_auto, asked);
    let checks = auto["checks"].as_array_mut().unwrap();
    checks.retain(|check| check[0] != "group");
    assert_eq!(auto, unset);
    Ok(())
}

#[tokio::test]
async fn current_owners_previous_owners_and_rates_are_queried_once() -> Result<()> {
    let fake_groups = FakeGroups::open().await?;
    let proxy = FaultProxy::prometheus(server(&fake_groups.ns, 0)).await?;
    let program = fake_groups.program(0, "orders", "kafka-lag-exporter");
    fake_groups
        .plan(program.env("PROMETHEUS_ENDPOINT", proxy.url()), 0)
        .await?;
    let asked = queries(&proxy);
    assert_eq!(asked.len(), 7, "{asked:?}");
    assert_eq!(
        asked.iter().filter(|query| *query == "query group").count(),
        3
    );
    Ok(())
}
