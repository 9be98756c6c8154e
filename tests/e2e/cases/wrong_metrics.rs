//! Metrics that are present but wrong: each fault has its own hold reason, and no pod is evicted.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ::harness::{
    FaultServer, Rebalancer, Result, SecondSeries, Target, TestNamespace, Workload, WorkloadSpec,
    annotation,
};
use rstest::rstest;

use crate::support::{
    Outcome, RunExt as _, VICTIMS, assert_untouched, documents::instant_vector, skewed,
};

/// Runs against every metrics server and checks each outcome; neither run evicts a pod.
async fn with_each(
    ns: &TestNamespace,
    workload: &Workload<'_>,
    code: i32,
    change: impl Fn(Rebalancer) -> Rebalancer,
    look: impl Fn(&Outcome),
) -> Result<()> {
    let before = workload.pods().await?;
    for server in ns.metrics_servers() {
        let program = change(ns.rebalancer(workload));
        let run = program
            .env("PROMETHEUS_ENDPOINT", server.url())
            .ends_with(code)
            .await?;
        look(&run);
        assert_untouched(workload, &before).await?;
    }
    Ok(())
}

async fn seconds(count: u64) {
    tokio::time::sleep(Duration::from_secs(count)).await;
}

/// Pods that have run for some time and are known to cadvisor since a moment ago.
async fn measured_late(ns: &TestNamespace) -> Result<Workload<'_>> {
    let spec = WorkloadSpec::deployment("consumer").loads([1.3, 0.6, 0.4, 0.2]);
    let spec = spec.annotation(annotation::UNMEASURED, "true");
    let consumer = ns.create(spec).await?;
    ns.autoscale(&consumer, Target::Utilization(70)).await?;
    seconds(6).await;
    consumer.set_measured(true).await?;
    let namespace = ns.name();
    let series = format!(
        "container_cpu_usage_seconds_total{{namespace=\"{namespace}\",container=\"consumer\"}}"
    );
    let query = format!("count(rate({series}[1m]))");
    let started = Instant::now();
    for server in ns.metrics_servers() {
        // VictoriaMetrics needs some seconds until a selector finds new series.
        while server.by_pod(&query).await?.get("") != Some(&4.0) {
            let elapsed = started.elapsed();
            assert!(elapsed < Duration::from_secs(50), "{}", server.name());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    Ok(consumer)
}

/// The rate exists, is finite and plausible, but is old.
#[tokio::test]
async fn holds_on_series_that_ended_within_the_window() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = skewed(&ns, WorkloadSpec::deployment("consumer")).await?;
    consumer.set_measured(false).await?;
    seconds(3).await;
    let window = |program: Rebalancer| {
        let program = program.env("METRICS_TIME_WINDOW", "60s");
        let program = program.env("MINIMUM_POD_AGE", "5s").env("COOLDOWN", "1s");
        program.env("MAXIMUM_SAMPLE_AGE", "2s")
    };
    with_each(&ns, &consumer, 1, window, |run| {
        let message = run.held("insufficient_coverage");
        run.assert_says(
            &message,
            &[
                "0 of 8 ready pods have a load",
                "(stale: newest sample ",
                "at most 2 s allowed",
            ],
        );
        let pods = run.workload();
        let pods = pods["pods"].as_array().unwrap();
        assert!(pods.iter().all(|pod| pod["load"].is_number()), "{}", run.0);
    })
    .await
}

/// Waits until both servers have two series of the pod's container within a minute; VictoriaMetrics
/// needs some seconds until a selector that it has seen before finds new series.
pub(crate) async fn wait_for_two_series(ns: &TestNamespace, pod: &str) -> Result<()> {
    let namespace = ns.name();
    let series = format!(
        "container_cpu_usage_seconds_total{{namespace=\"{namespace}\",container=\"consumer\"}}"
    );
    let started = Instant::now();
    for server in ns.metrics_servers() {
        let query = format!("count by (pod) (last_over_time({series}[1m]))");
        while server.by_pod(&query).await?.get(pod) != Some(&2.0) {
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "{}",
                server.name()
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    Ok(())
}

/// The label that separates the series does not matter. Selecting one of them is the remedy.
#[rstest]
#[case::two_jobs("endpoint", "second")]
#[case::two_endpoints_of_the_kubelet("metrics_path", "/metrics/resource")]
#[case::two_clusters("cluster", "other")]
#[case::label_of_the_operator("stage", "second")]
#[tokio::test]
async fn holds_when_two_scrape_jobs_measure_a_pod(
    #[case] label: &'static str,
    #[case] value: &'static str,
) -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = ns
        .create(WorkloadSpec::deployment("consumer").loads([0.9, 0.6, 0.4, 0.2]))
        .await?;
    ns.autoscale(&consumer, Target::Utilization(70)).await?;
    consumer.wait_measured().await?;
    let pods = consumer.pods().await?;
    consumer.duplicate_series(&pods[0], SecondSeries::Label(label, value))?;
    wait_for_two_series(&ns, &pods[0].name).await?;
    // A few samples more than those that a container has after its end.
    seconds(3).await;
    let differ = format!("which differ in {label} (none, {value})");
    with_each(
        &ns,
        &consumer,
        1,
        |program| program,
        |run| {
            let message = run.held("pods_measured_twice");
            run.assert_says(
                &message,
                &[
                    "1 pod has duplicate series in the metrics",
                    &pods[0].name,
                    &differ,
                    "label matcher",
                ],
            );
        },
    )
    .await?;
    with_each(
        &ns,
        &consumer,
        0,
        |program| {
            let program = program.env("PROMETHEUS_MATCHERS", format!("{label}=\"\""));
            program.arg("plan")
        },
        |run| {
            let check = run.check("measured_once");
            assert_eq!(check["verdict"], "pass", "{}", run.0);
        },
    )
    .await
}

/// The cgroup of the container contains another one, whose usage both series report.
#[tokio::test]
async fn outermost_of_nested_cgroups_is_counted() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let loads = [0.9, 0.6, 0.4, 0.2];
    let consumer = ns
        .create(WorkloadSpec::deployment("consumer").loads(loads))
        .await?;
    ns.autoscale(&consumer, Target::Utilization(70)).await?;
    consumer.wait_measured().await?;
    let pods = consumer.pods().await?;
    for pod in &pods {
        consumer.duplicate_series(pod, SecondSeries::NestedCgroup)?;
    }
    wait_for_two_series(&ns, &pods[0].name).await?;
    seconds(3).await;
    with_each(
        &ns,
        &consumer,
        0,
        |program| program.arg("plan"),
        |run| {
            let check = run.check("measured_once");
            assert_eq!(check["verdict"], "pass", "{}", run.0);
            assert_eq!(check["nested_cgroups"], 4, "{}", run.0);
            let message = check["message"].as_str().unwrap();
            run.assert_says(message, &["the container of 4 pods has nested cgroups"]);
            // A doubled load would be 1.8.
            let found = run.workload()["analysis"]["max"].as_f64().unwrap();
            assert!((0.7..1.1).contains(&found), "{}", run.0);
        },
    )
    .await
}

/// The kubelet of one node reports the same counters again and again.
#[tokio::test]
async fn holds_when_counters_of_some_pods_have_stopped() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let spec = WorkloadSpec::deployment("consumer");
    let spec = spec.loads([1.3, 1.2, 0.8, 0.6, 0.5, 0.4, 0.0, 0.0]);
    let consumer = ns.create(spec).await?;
    ns.autoscale(&consumer, Target::Utilization(70)).await?;
    consumer.wait_measured().await?;
    // VictoriaMetrics also uses the last sample before the window.
    seconds(2).await;
    let pods = consumer.pods().await?;
    with_each(
        &ns,
        &consumer,
        1,
        |program| program.env("COOLDOWN", "0s").env("MINIMUM_POD_AGE", "0s"),
        |run| {
            let message = run.held("insufficient_coverage");
            run.assert_says(
                &message,
                &[
                    "6 of 8 ready pods have a load",
                    "load of exactly 0 for the whole window: its counter has stopped on node ",
                    &pods[6].name,
                    &pods[7].name,
                ],
            );
        },
    )
    .await
}

/// The metrics of another cluster: the same names, but none of our pods.
#[tokio::test]
async fn holds_when_only_unknown_pods_are_measured() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let spec = WorkloadSpec::deployment("consumer").pods(3);
    let others = WorkloadSpec::deployment("others").container("consumer");
    let (consumer, others) = tokio::try_join!(
        ns.create(spec.annotation(annotation::UNMEASURED, "true")),
        ns.create(others.loads([1.3, 0.2])),
    )?;
    ns.autoscale(&consumer, Target::Utilization(70)).await?;
    others.wait_measured().await?;
    let example = others.pods().await?[0].name.clone();
    with_each(
        &ns,
        &consumer,
        1,
        |program| program,
        |run| {
            let message = run.held("metrics_of_other_pods");
            run.assert_says(
                &message,
                &[
                    "the metrics contain 0 of 3 ready pods",
                    "2 pods that the workload does not have",
                    &example,
                ],
            );
        },
    )
    .await?;

    // Beside measured pods of our own, other pods are only neighbours.
    consumer.set_measured(true).await?;
    consumer.wait_measured().await?;
    with_each(
        &ns,
        &consumer,
        0,
        |program| program,
        |run| {
            let check = run.check("measured_pods_exist");
            assert_eq!(check["verdict"], "pass", "{}", run.0);
            assert_eq!(
                (&check["measured"], &check["strangers"]),
                (&3.into(), &2.into())
            );
        },
    )
    .await
}

/// The state after a long outage of the metrics server: the rate is computed from a few samples.
#[tokio::test]
async fn holds_when_only_the_end_of_the_window_has_samples() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = measured_late(&ns).await?;
    // The pods are younger than this window, but old enough by MINIMUM_POD_AGE.
    let window = |program: Rebalancer| {
        let program = program.env("METRICS_TIME_WINDOW", "120s");
        program.env("MINIMUM_POD_AGE", "5s").env("COOLDOWN", "1s")
    };
    with_each(&ns, &consumer, 1, window, |run| {
        let message = run.held("insufficient_coverage");
        run.assert_says(
            &message,
            &[
                "0 of 4 ready pods have a load",
                "(no sample in the first half of the window",
            ],
        );
    })
    .await?;

    // A new pod without earlier samples is not a fault of the metrics.
    let young = |program: Rebalancer| {
        let program = program.env("METRICS_TIME_WINDOW", "120s");
        program.env("MINIMUM_POD_AGE", "24h").env("COOLDOWN", "1s")
    };
    with_each(&ns, &consumer, 0, young, |run| {
        let message = run.held("no_eligible_pods");
        run.assert_says(&message, &["0 of 4 pods are eligible: 4 too_young"]);
    })
    .await
}

/// The hottest pod restarts: its rate comes from two cgroups, each with a part of the window.
#[tokio::test]
async fn a_pod_restarted_within_the_window_is_ineligible() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = skewed(&ns, WorkloadSpec::deployment("consumer")).await?;
    let ready = Instant::now();
    let before = consumer.pods().await?;
    let hot = &before[VICTIMS[0]];
    seconds(20).await;
    consumer.restart(hot).await?;
    wait_for_two_series(&ns, &hot.name).await?;
    // The API reports times in whole seconds.
    seconds(2).await;
    // As after any restart, the pod became ready a moment ago.
    let program = |program: Rebalancer| program.env("COOLDOWN", "0s");

    // By its load alone it would be a victim.
    let lenient = |run: Rebalancer| program(run).arg("plan").env("MINIMUM_POD_AGE", "0s");
    with_each(&ns, &consumer, 0, lenient, |run| {
        assert!(run.victims().contains(&hot.uid), "{}", run.0);
    })
    .await?;

    // At any time, every pod is older than that, and the restart is 20 s more recent.
    let strict = |run: Rebalancer| {
        let age = ready.elapsed().as_millis();
        let run = run.env("MINIMUM_POD_AGE", format!("{age}ms"));
        program(run).arg("plan")
    };
    with_each(&ns, &consumer, 0, strict, |run| {
        let expected: Vec<_> = VICTIMS[1..]
            .iter()
            .map(|place| &before[*place].uid)
            .collect();
        let victims = run.victims();
        assert!(!victims.contains(&hot.uid), "{}", run.0);
        assert!(
            expected.iter().any(|uid| victims.contains(uid)),
            "{}",
            run.0
        );
        let pods = run.workload();
        for pod in pods["pods"].as_array().unwrap() {
            let restarted = pod["uid"] == hot.uid.as_str();
            assert_eq!(pod["eligible"], !restarted, "{}", run.0);
            if restarted {
                assert_eq!(pod["reasons"].as_array().unwrap().len(), 1, "{}", run.0);
                assert_eq!(pod["reasons"][0]["reason"], "restarted", "{}", run.0);
                let since = pod["reasons"][0]["restarted_seconds"].as_f64().unwrap();
                assert!(
                    since >= 1.0 && since < ready.elapsed().as_secs_f64(),
                    "{}",
                    run.0
                );
            }
        }
    })
    .await
}

#[tokio::test]
async fn holds_when_all_loads_are_zero() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let spec = WorkloadSpec::deployment("consumer").loads([0.0; 4]);
    let consumer = ns.create(spec).await?;
    ns.autoscale(&consumer, Target::Utilization(70)).await?;
    consumer.wait_measured().await?;
    // VictoriaMetrics also uses the last sample before the window.
    seconds(2).await;
    with_each(
        &ns,
        &consumer,
        1,
        |program| program,
        |run| {
            let message = run.held("loads_all_zero");
            run.assert_says(&message, &["all 4 measured pods have a load of exactly 0"]);
        },
    )
    .await
}

#[tokio::test]
async fn holds_on_an_implausible_load() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let spec = WorkloadSpec::deployment("consumer").loads([60.0, 0.6, 0.5, 0.4, 0.3, 0.2]);
    let consumer = ns.create(spec).await?;
    ns.autoscale(&consumer, Target::Utilization(70)).await?;
    consumer.wait_measured().await?;
    let hot = consumer.pods().await?[0].name.clone();
    with_each(
        &ns,
        &consumer,
        1,
        |program| program,
        |run| {
            let message = run.held("implausible_load");
            let uses = format!("{hot} uses ");
            run.assert_says(&message, &[&uses, "with a request of 1.000", "at most 20"]);
        },
    )
    .await
}

/// No real server can be made to report another time, so this one answers from a script.
#[tokio::test]
async fn holds_when_the_clocks_differ() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let spec = WorkloadSpec::deployment("consumer").pods(3);
    let consumer = ns.create(spec).await?;
    ns.autoscale(&consumer, Target::Utilization(70)).await?;
    let before = consumer.pods().await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let then = now + Duration::from_secs(600);
    // One of everything: a core, a second of age, one series, one series in the first half.
    let pods = before.iter().map(|pod| pod.name.as_str());
    let answer = instant_vector(pods, then.as_secs_f64(), "1");
    let server = FaultServer::json(200, answer).await?;
    let run = ns
        .rebalancer(&consumer)
        .env("PROMETHEUS_ENDPOINT", server.url())
        .env("COOLDOWN", "0s")
        .env("MINIMUM_POD_AGE", "0s")
        .ends_with(1)
        .await?;
    let message = run.held("clocks_apart");
    run.assert_says(
        &message,
        &["s ahead of the cluster's", "at most 60 s allowed"],
    );
    let difference = run.check("clocks_agree")["difference_seconds"]
        .as_f64()
        .unwrap();
    assert!((540.0..=601.0).contains(&difference), "{}", run.0);
    assert_untouched(&consumer, &before).await
}

/// A healthy workload passes all of these checks, and the report contains each of them.
#[tokio::test]
async fn healthy_metrics_pass_every_check() -> Result<()> {
    let shared = crate::support::shared::Shared::open().await?;
    let (consumer, _) = shared.skewed().await?;
    for server in shared.ns.metrics_servers() {
        let program = shared.ns.rebalancer(&consumer).arg("plan");
        let run = program
            .env("PROMETHEUS_ENDPOINT", server.url())
            .ends_with(0)
            .await?;
        for check in [
            "clocks_agree",
            "measured_pods_exist",
            "loads_not_all_zero",
            "load_plausible",
        ] {
            assert_eq!(run.check(check)["verdict"], "pass", "{}", run.0);
        }
        assert_eq!(run.victims().len(), 4, "{}", run.0);
    }
    Ok(())
}
