//! The group is read from the broker: no exporter, and no settings beside the address and the id.

use std::time::{Duration, Instant};

use consumers::Consumer;
use harness::{Rebalancer, Result, Run, TestNamespace};
use rebalancer_core::group::Assignor;
use serde_json::Value;

use crate::scene::{PODS, Scene};
use crate::{DEADLINE, HEAVY, LIGHT, autoscale, workload};

/// The allowed difference between a rate that the brokers report and the one that was sent.
const NEAR: f64 = 0.25;

/// The program with the group from Kafka.
pub(crate) fn from_kafka(scene: &Scene<'_>) -> Rebalancer {
    scene
        .rebalancer()
        .without_env("GROUP_METRICS")
        .without_env("GROUP_ASSIGNOR")
        .without_env("GROUP_CLIENT")
        .env("KAFKA_BOOTSTRAP_SERVERS", scene.bootstrap())
        .timeout(DEADLINE)
}

/// The consumer group of a report.
pub(crate) fn group(run: &Run) -> Value {
    let report: Value = run.json().unwrap();
    assert_eq!(report["command"], "group", "{run}");
    report["workloads"][0]["consumer_group"].clone()
}

/// Runs `group` until the group has that state, which a rebalance delays.
async fn group_in_state(program: &Rebalancer, state: &str) -> Result<(Run, Value)> {
    let started = Instant::now();
    loop {
        let run = program.clone().run().await?;
        let group = group(&run);
        if group["state"] == state {
            return Ok((run, group));
        }
        assert!(started.elapsed() < DEADLINE, "{run}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Runs `group` until each rate is that of the traffic, which falls behind for a moment on a
/// machine that is busy with other tests.
async fn group_with_rates(program: &Rebalancer, rate: impl Fn(i32) -> f64) -> Result<(Run, Value)> {
    let started = Instant::now();
    loop {
        let run = program.clone().run().await?;
        assert_eq!(run.code, Some(0), "{run}");
        let group = group(&run);
        let mut partitions = group["partitions"].as_array().unwrap().iter();
        let all_near = partitions.all(|partition| {
            let number = i32::try_from(partition["partition"].as_i64().unwrap()).unwrap();
            is_near(partition, rate(number))
        });
        if all_near || started.elapsed() >= DEADLINE {
            return Ok((run, group));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Whether the reported rate of a partition is the one that was sent.
fn is_near(partition: &Value, sent: f64) -> bool {
    let found = partition["rate"].as_f64().unwrap();
    (found - sent).abs() <= NEAR * sent
}

#[tokio::test(flavor = "multi_thread")]
async fn group_and_forecast_need_no_exporter() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let mut scene = Scene::start(&ns, Assignor::CooperativeSticky).await?;
    let owned = scene.settled().await?;
    let heavy = owned.values().next().unwrap().clone();
    let rate = |partition: i32| {
        if heavy.contains(&partition) {
            HEAVY
        } else {
            LIGHT
        }
    };
    scene.arrive(rate)?;
    autoscale(&scene).await?;
    scene.measured().await?;

    let (run, found) = group_with_rates(&from_kafka(&scene).arg("group"), rate).await?;
    for (field, expected) in [
        ("source", "kafka"),
        ("state", "Stable"),
        ("type", "classic"),
        ("protocol_type", "consumer"),
        ("reported_assignor", "cooperative-sticky"),
        ("client", "librdkafka"),
        ("protocol", "classic"),
    ] {
        assert_eq!(found[field], expected, "{field}: {run}");
    }
    assert_eq!(found["assignor"]["known"], "reported", "{run}");
    assert_eq!(found["problem"], Value::Null, "{run}");
    assert!(found["cluster_id"].is_string(), "{run}");
    let members = found["members"].as_array().unwrap();
    assert_eq!(members.len(), PODS, "{run}");
    for member in members {
        let pod = member["pod"].as_str().unwrap();
        assert_eq!(member["client_id"], pod, "{run}");
        assert_eq!(member["partitions"], owned[pod].len(), "{pod}: {run}");
        assert!(member["pod_load"].is_number(), "{run}");
    }
    let partitions = found["partitions"].as_array().unwrap();
    for partition in partitions {
        let number = i32::try_from(partition["partition"].as_i64().unwrap()).unwrap();
        let owner = partition["owner"].as_str().unwrap();
        assert!(owned[owner].contains(&number), "{partition}: {run}");
        let sent = rate(number);
        assert!(is_near(partition, sent), "{partition}: {run}");
        // The consumers keep up and commit twice a second.
        let lag = partition["lag"].as_f64().unwrap();
        assert!(lag <= 5.0 * sent, "{partition}: {run}");
        assert_eq!(partition["behind"], Value::Null, "{partition}: {run}");
    }

    let program = from_kafka(&scene).env("OUTPUT", "table");
    let table = program.args(["group", "--partitions"]).run().await?;
    for part in [
        "read from Kafka",
        "(as the brokers report)",
        "OWNER",
        "settled: ",
    ] {
        assert!(table.stdout.contains(part), "{part}: {table}");
    }

    let run = from_kafka(&scene).arg("forecast").run().await?;
    assert_eq!(run.code, Some(0), "{run}");
    let report = workload(&run);
    assert_eq!(report["group"]["known"], "reported", "{run}");
    assert_eq!(report["group"]["hot_pods"], 1, "{run}");
    let goodness = report["group"]["fit"]["goodness"].as_f64().unwrap();
    assert!(goodness > 0.9, "{run}");
    Ok(())
}

/// A consumer of another program makes the group one that is known in part only.
#[tokio::test(flavor = "multi_thread")]
async fn member_outside_the_workload_is_named() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let mut scene = Scene::start(&ns, Assignor::CooperativeSticky).await?;
    scene.arrive(|_| LIGHT)?;
    autoscale(&scene).await?;
    scene.measured().await?;
    let program = from_kafka(&scene).arg("group");
    let another = Consumer::start(scene.consumers(), "batch-1", || {})?;
    let joined = Instant::now();
    while another.owned().is_empty() {
        assert!(joined.elapsed() < DEADLINE, "it does not join");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let (run, found) = group_in_state(&program, "Stable").await?;
    assert_eq!(run.code, Some(1), "{run}");
    assert_eq!(found["outside_members"][0]["client_id"], "batch-1", "{run}");
    let message = found["problem"]["message"].as_str().unwrap();
    assert!(
        message.contains("do not run in a pod of the workload: client id `batch-1`"),
        "{run}"
    );
    drop(another);
    let pods = scene.workload.pods().await?.len();
    // Nothing was evicted by looking.
    assert_eq!(pods, PODS);
    Ok(())
}

/// The broker has no such group, but one of a similar name.
#[tokio::test(flavor = "multi_thread")]
async fn unknown_group_is_reported_and_nothing_is_evicted() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let mut scene = Scene::start(&ns, Assignor::CooperativeSticky).await?;
    scene.arrive(|_| LIGHT)?;
    autoscale(&scene).await?;
    scene.measured().await?;
    let id = format!("{}-x", ns.name());
    let run = from_kafka(&scene).env("GROUP_ID", &id).run().await?;
    let report = workload(&run);
    assert_eq!(report["decision"]["reason"], "group_unknown", "{run}");
    assert_eq!(run.code, Some(1), "{run}");
    let message = report["decision"]["message"].as_str().unwrap();
    assert!(message.contains(&id), "{run}");
    assert_eq!(scene.workload.pods().await?.len(), PODS);
    Ok(())
}

/// A group of KIP-848 is read and forecast with the broker's assignor, and its members are never
/// removed by the run.
#[tokio::test(flavor = "multi_thread")]
async fn group_of_kip_848_is_forecast_with_the_assignor_of_the_broker() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let mut scene = Scene::start_kip_848(&ns).await?;
    let owned = scene.settled().await?;
    let heavy = owned.values().next().unwrap().clone();
    scene.arrive(|partition| {
        if heavy.contains(&partition) {
            HEAVY
        } else {
            LIGHT
        }
    })?;
    autoscale(&scene).await?;
    scene.measured().await?;

    let run = from_kafka(&scene).arg("group").run().await?;
    assert_eq!(run.code, Some(0), "{run}");
    let found = group(&run);
    for (field, expected) in [
        ("state", "Stable"),
        ("type", "consumer"),
        ("protocol_type", "consumer"),
        ("reported_assignor", "uniform"),
        ("protocol", "consumer"),
    ] {
        assert_eq!(found[field], expected, "{field}: {run}");
    }
    assert_eq!(found["problem"], Value::Null, "{run}");
    for member in found["members"].as_array().unwrap() {
        let pod = member["pod"].as_str().unwrap();
        assert_eq!(member["partitions"], owned[pod].len(), "{pod}: {run}");
    }

    let run = from_kafka(&scene).arg("plan").run().await?;
    assert_eq!(run.code, Some(0), "{run}");
    let report = workload(&run);
    assert_eq!(report["group"]["assignor"], "uniform", "{run}");
    assert_eq!(report["group"]["known"], "reported", "{run}");
    assert_eq!(report["group"]["hot_pods"], 1, "{run}");
    let reason = report["decision"]["reason"].as_str();
    assert!(
        report["decision"]["action"] == "rotate" || reason == Some("no_plan_helps"),
        "{run}"
    );
    assert_eq!(scene.settled().await?, owned, "{run}");
    Ok(())
}
