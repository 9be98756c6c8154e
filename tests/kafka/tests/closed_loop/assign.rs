//! An assignment is handed out to the group: the pods are evened out in one run, and none restarts.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use harness::wait::{Look, until};
use harness::{Rebalancer, Result, Run, TestNamespace};
use rebalancer_core::group::Assignor;
use serde_json::Value;

use crate::scene::{PODS, Scene};
use crate::{DEADLINE, HEAVY, LIGHT, autoscale, hot, imbalance, run, workload};

/// The program with the strategy, and the group from Kafka.
pub(crate) fn assigning(scene: &Scene<'_>, strategy: &str) -> Rebalancer {
    scene
        .rebalancer()
        .without_env("GROUP_METRICS")
        .without_env("GROUP_ASSIGNOR")
        .without_env("GROUP_CLIENT")
        .env("KAFKA_BOOTSTRAP_SERVERS", scene.bootstrap())
        .env("STRATEGY", strategy)
        .timeout(DEADLINE)
}

/// A group in which one pod owns all heavy partitions, and their owners.
pub(crate) async fn skewed(scene: &mut Scene<'_>) -> Result<BTreeMap<String, Vec<i32>>> {
    autoscale(scene).await?;
    skew(scene).await
}

/// As [`skewed`], of a group with an autoscaler.
pub(crate) async fn skew(scene: &mut Scene<'_>) -> Result<BTreeMap<String, Vec<i32>>> {
    let owned = scene.settled().await?;
    let heavy = owned.values().next().unwrap().clone();
    scene.arrive(|partition| {
        if heavy.contains(&partition) {
            HEAVY
        } else {
            LIGHT
        }
    })?;
    scene.measured().await?;
    Ok(owned)
}

/// The times that a hand-over is tried on a machine that is busy with other tests.
const ATTEMPTS: usize = 4;

/// The reasons why members or coordinator were too slow, before any member was removed.
const SLOW: [&str; 3] = [
    "to rejoin, more than",
    "member ids would be elected leader",
    "did not stay open for the removal",
];

/// Runs the program once no earlier action keeps it from acting. A hand-over for which the machine
/// was too slow is tried again.
pub(crate) async fn act(program: &Rebalancer) -> Result<Run> {
    let mut attempts = 0;
    let pause = Duration::from_secs(1);
    until("a hand-over", 2 * DEADLINE, pause, async || {
        let run = program.clone().timeout(DEADLINE).run().await?;
        let report = workload(&run);
        let reason = &report["decision"]["reason"];
        if reason == "cooldown" || reason == "group_not_settled" {
            return Ok(Look::Not(run.to_string()));
        }
        attempts += 1;
        let message = report["hand_over"]["message"].as_str().unwrap_or_default();
        let slow = SLOW.iter().any(|slow| message.contains(slow));
        if slow && attempts < ATTEMPTS {
            return Ok(Look::Not(run.to_string()));
        }
        assert_eq!(run.code, Some(0), "{run}");
        Ok(Look::Done(run))
    })
    .await
}

/// The owners according to the moves of a report.
pub(crate) fn after(
    mut owned: BTreeMap<String, Vec<i32>>,
    moves: &Value,
) -> BTreeMap<String, Vec<i32>> {
    for moved in moves.as_array().unwrap() {
        let number = i32::try_from(moved["partition"].as_i64().unwrap()).unwrap();
        let (from, to) = (
            moved["from"].as_str().unwrap(),
            moved["to"].as_str().unwrap(),
        );
        let partitions = owned.get_mut(from).unwrap();
        let count = partitions.len();
        partitions.retain(|partition| *partition != number);
        assert_eq!(partitions.len() + 1, count, "{from} does not own {number}");
        owned.get_mut(to).unwrap().push(number);
    }
    owned
        .values_mut()
        .for_each(|partitions| partitions.sort_unstable());
    owned
}

#[tokio::test(flavor = "multi_thread")]
async fn evens_out_a_group_in_one_run_without_a_restart() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let mut scene = Scene::start(&ns, Assignor::CooperativeSticky).await?;
    let owned = skewed(&mut scene).await?;
    let before = scene.consumption().await;
    assert_eq!(hot(&before), 1, "{before:?}");
    let pods = scene.workload.pods().await?;

    // A dry run, and the plan, show the moves and change nothing.
    for program in [
        assigning(&scene, "assign").env("DRY_RUN", "true"),
        assigning(&scene, "assign").arg("plan"),
    ] {
        let shown = run(&program).await?;
        let report = workload(&shown);
        assert_eq!(report["decision"]["action"], "assign", "{shown}");
        assert_eq!(report["hand_over"], Value::Null, "{shown}");
        assert!(!report["moves"].as_array().unwrap().is_empty(), "{shown}");
    }
    assert_eq!(scene.settled().await?, owned);
    let table = assigning(&scene, "assign")
        .env("OUTPUT", "table")
        .arg("plan")
        .run()
        .await?;
    for part in ["ASSIGN: ", "PARTITION", "5 rebalances", "lower bound"] {
        assert!(table.stdout.contains(part), "{part}: {table}");
    }

    let acted = act(&assigning(&scene, "assign").args(["run", "--follow"])).await?;
    let report = workload(&acted);
    assert_eq!(report["decision"]["action"], "assign", "{acted}");
    assert_eq!(report["hand_over"]["outcome"], "assigned", "{acted}");
    assert_eq!(report["hand_over"]["settled"], true, "{acted}");
    assert_eq!(report["victims"], serde_json::json!([]), "{acted}");
    // The group has the planned assignment, and the follow-up says so.
    assert_eq!(
        scene.settled().await?,
        after(owned, &report["moves"]),
        "{acted}"
    );
    let moves = report["moves"].as_array().unwrap().len();
    let message = report["follow_up"]["message"].as_str().unwrap();
    assert!(
        message.contains(&format!("{moves} of {moves} moves are still in place")),
        "{acted}"
    );
    scene.measured().await?;
    let loads = scene.consumption().await;
    assert_eq!(hot(&loads), 0, "{before:?}, then {loads:?}");
    let forecast = report["group"]["assignment"]["peak_to_mean"]
        .as_f64()
        .unwrap();
    let found = imbalance(&loads);
    assert!(
        (found - forecast).abs() < 0.1 * forecast,
        "{found}, not {forecast}: {acted}"
    );
    // No pod has restarted.
    let uids = |pods: &[harness::PodView]| {
        let uids = pods.iter().map(|pod| pod.uid.clone());
        uids.collect::<Vec<_>>()
    };
    assert_eq!(uids(&scene.workload.pods().await?), uids(&pods));
    assert_eq!(pods.len(), PODS);

    // The next run has nothing to do, once the cooldown is over.
    let started = Instant::now();
    loop {
        let next = run(&assigning(&scene, "assign")).await?;
        let report = workload(&next);
        match report["decision"]["reason"].as_str().unwrap_or_default() {
            "within_tolerance" => return Ok(()),
            "cooldown" if started.elapsed() < DEADLINE => {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            _ => panic!("{next}"),
        }
    }
}

/// In a group of KIP-848, members rejoin only on request. No pod restarts, and the run says for how
/// long two members may have processed a partition.
#[tokio::test(flavor = "multi_thread")]
async fn members_of_kip_848_rejoin_on_request() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let mut scene = Scene::start_kip_848(&ns).await?;
    skewed(&mut scene).await?;
    let pods = scene.workload.pods().await?;
    let program = assigning(&scene, "rejoin").env("MINIMUM_CONFIDENCE_PERCENT", "60");
    let held = run(&program).await?;
    let report = workload(&held);
    assert_eq!(report["decision"]["reason"], "double_processing", "{held}");
    let program = program.env("REJOIN_CONSUMER_PROTOCOL", "true");
    let shown = run(&program.clone().arg("plan")).await?;
    let report = workload(&shown);
    assert_eq!(report["decision"]["action"], "rejoin", "{shown}");
    assert_eq!(report["hand_over"], Value::Null, "{shown}");
    let stated = &report["group"]["rejoin"]["double_processing_seconds"];
    // The interval of the test's brokers, which the program reads.
    assert_eq!(*stated, 0.3, "{shown}");
    let message = report["decision"]["message"].as_str().unwrap();
    assert!(message.contains("for up to 0.3 s and"), "{shown}");

    let acted = run(&program.args(["run", "--follow"])).await?;
    let report = workload(&acted);
    assert_eq!(report["decision"]["action"], "rejoin", "{acted}");
    let hand_over = &report["hand_over"];
    assert_eq!(hand_over["outcome"], "rejoined", "{acted}");
    assert_eq!(hand_over["settled"], true, "{acted}");
    assert_eq!(hand_over["returned"], hand_over["rejoins"], "{acted}");
    let seconds = &hand_over["double_processing_seconds"];
    assert!(seconds.is_number(), "{acted}");
    assert_eq!(report["victims"], serde_json::json!([]), "{acted}");
    assert!(report["follow_up"]["message"].is_string(), "{acted}");
    scene.settled().await?;
    let uids = |pods: &[harness::PodView]| {
        let uids = pods.iter().map(|pod| pod.uid.clone());
        uids.collect::<Vec<_>>()
    };
    assert_eq!(uids(&scene.workload.pods().await?), uids(&pods));
    Ok(())
}

/// `range` gives every member the same partitions again.
#[tokio::test(flavor = "multi_thread")]
async fn assignor_that_keeps_nothing_is_a_hold_with_the_remedy() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let mut scene = Scene::start(&ns, Assignor::Range).await?;
    let owned = skewed(&mut scene).await?;
    let held = run(&assigning(&scene, "assign")).await?;
    let report = workload(&held);
    assert_eq!(
        report["decision"]["reason"], "assignor_not_sticky",
        "{held}"
    );
    let message = report["decision"]["message"].as_str().unwrap();
    assert!(
        message.contains("cooperative-sticky, in two rolling restarts"),
        "{held}"
    );
    // Auto steps down to the forecast, which holds for its own reason, and says so.
    let stepped = run(&assigning(&scene, "auto")).await?;
    let report = workload(&stepped);
    assert_eq!(
        report["decision"]["reason"], "positional_assignor",
        "{stepped}"
    );
    let fallback = report["fallback"].as_str().unwrap();
    assert!(
        fallback.starts_with("no assignment, the forecast decides: "),
        "{stepped}"
    );
    assert_eq!(scene.settled().await?, owned);
    Ok(())
}
