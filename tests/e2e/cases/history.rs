//! The records of a run for people and for the next run, and the limits that the operator sets.

use ::harness::{Result, TestNamespace, Workload, WorkloadSpec};
use k8s_openapi::{
    api::{apps::v1::Deployment, coordination::v1::Lease, events::v1::Event},
    jiff::Timestamp,
};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::gates::annotate;
use crate::support::{RunExt as _, VICTIMS, assert_untouched, skewed};

const ANNOTATION: &str = "rebalancer.io/last-rotation";
const LAST_HOLD: &str = "rebalancer.io/last-hold";
const LEASE: &str = "rebalancer-deployment-consumer";

/// Records a rotation at `seconds` from now that did not help, after ten others that did
/// not help.
async fn remember(ns: &TestNamespace, consumer: &Workload<'_>, seconds: i64) -> Result<()> {
    let time = Timestamp::from_second(Timestamp::now().as_second() + seconds).unwrap();
    let rotation = json!({
        "time": time.to_string(), "victims": ["gone"], "imbalance_before": 1.1,
        "imbalance_hoped": 1.0, "strategy": "rotate-outliers", "futile": 10,
    });
    annotate(ns, consumer, json!({ANNOTATION: rotation.to_string()})).await
}

#[tokio::test]
async fn a_rotation_is_published_as_events_and_recorded() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = skewed(&ns, WorkloadSpec::deployment("consumer")).await?;
    let before = consumer.pods().await?;
    let run = ns.rebalancer(&consumer).ends_with(0).await?;
    let names: Vec<&str> = VICTIMS
        .iter()
        .map(|place| before[*place].name.as_str())
        .collect();

    let object = ns.api::<Deployment>().get("consumer").await.unwrap();
    let text = &object.metadata.annotations.unwrap()[ANNOTATION];
    let kept: Value = serde_json::from_str(text).unwrap();
    assert_eq!(kept["victims"], json!(names), "{kept}");
    assert_eq!(
        kept["imbalance_before"],
        run.workload()["analysis"]["imbalance"]
    );
    assert!(kept["imbalance_hoped"].as_f64() < kept["imbalance_before"].as_f64());

    let events = ns.api::<Event>().list(&Default::default()).await.unwrap();
    let ours: Vec<Event> = events
        .items
        .into_iter()
        .filter(|event| event.reporting_controller.as_deref() == Some("rebalancer.io/rebalancer"))
        .collect();
    for name in &names {
        let event = ours.iter().find(|event| {
            let about = event.regarding.as_ref().unwrap();
            about.kind.as_deref() == Some("Pod") && about.name.as_deref() == Some(*name)
        });
        let note = event.unwrap().note.clone().unwrap_or_default();
        run.assert_says(&note, &["evicted as one of the", "threshold 1.050 cores"]);
    }
    let whole = ours
        .iter()
        .find(|event| event.regarding.as_ref().unwrap().kind.as_deref() == Some("Deployment"))
        .unwrap();
    run.assert_says(
        whole.note.as_deref().unwrap(),
        &["4 of 4 pods evicted", "more than 10 %"],
    );
    assert_eq!(ours.len(), 5);
    Ok(())
}

#[tokio::test]
async fn a_recorded_rotation_holds_unless_history_is_ignored() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = skewed(&ns, WorkloadSpec::deployment("consumer")).await?;
    let before = consumer.pods().await?;
    // Pods that became ready a moment ago would cause another hold.
    let program = ns.rebalancer(&consumer).env("COOLDOWN", "1s");

    remember(&ns, &consumer, 3600).await?;
    let run = program.clone().ends_with(0).await?;
    let message = run.held("cooldown");
    run.assert_says(&message, &["the last rotation was 0 s ago (cooldown 1 s)"]);

    remember(&ns, &consumer, -10).await?;
    let run = program.clone().ends_with(0).await?;
    let message = run.held("rotation_did_not_help");
    run.assert_says(
        &message,
        &[
            "(max/mean) was 1.10 before it",
            "1.00 was expected",
            "the next is allowed 2048 s after",
        ],
    );
    assert_untouched(&consumer, &before).await?;

    // An annotation that cannot be read counts as no history.
    annotate(&ns, &consumer, json!({ANNOTATION: "yesterday"})).await?;
    let run = program.clone().arg("plan").ends_with(0).await?;
    assert!(run.0.stderr.contains("last-rotation"), "{}", run.0);
    assert_eq!(run.workload()["decision"]["action"], "rotate");

    remember(&ns, &consumer, -10).await?;
    let run = program.env("IGNORE_HISTORY", "true").ends_with(0).await?;
    assert_eq!(run.outcomes(), ["evicted"; 4]);
    Ok(())
}

#[tokio::test]
async fn freeze_window_and_eviction_limit_are_respected() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = skewed(&ns, WorkloadSpec::deployment("consumer")).await?;
    let before = consumer.pods().await?;
    let run = ns
        .rebalancer(&consumer)
        .env("FREEZE", "* * * * * Europe/Berlin")
        .ends_with(0)
        .await?;
    let message = run.held("frozen");
    run.assert_says(&message, &["`* * * * * Europe/Berlin`"]);
    assert_untouched(&consumer, &before).await?;

    let run = ns
        .rebalancer(&consumer)
        .env("MAX_EVICTIONS", "3")
        .ends_with(0)
        .await?;
    // The hottest and the coldest pod. A third victim without a counterpart would be of no use.
    let roles: Vec<Value> = run.workload()["victims"]
        .as_array()
        .unwrap()
        .iter()
        .map(|victim| victim["role"].clone())
        .collect();
    assert_eq!(roles, ["hottest", "coldest"]);
    assert_eq!(run.outcomes(), ["evicted"; 2]);
    Ok(())
}

#[tokio::test]
async fn lasting_hold_is_recorded_in_the_lease_and_fails_the_run() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = skewed(&ns, WorkloadSpec::deployment("consumer")).await?;
    let before = consumer.pods().await?;
    let program = ns
        .rebalancer(&consumer)
        .env("MINIMUM_PODS_REQUIRED", "6")
        .env("COOLDOWN", "1s");
    let leases = ns.api::<Lease>();
    let record = async || -> Value {
        let lease = leases.get(LEASE).await.unwrap();
        let text = &lease.metadata.annotations.unwrap()[LAST_HOLD];
        serde_json::from_str(text).unwrap()
    };

    let run = program.clone().ends_with(0).await?;
    run.held("minimum_pods");
    let first = run.workload()["held"].clone();
    assert_eq!(
        (&first["runs"], &first["alert"]),
        (&json!(1), &json!(false))
    );
    assert_eq!(record().await["since"], first["since"]);

    let an_hour_ago = Timestamp::from_second(Timestamp::now().as_second() - 3600).unwrap();
    let older = json!({"reason": "minimum_pods", "since": an_hour_ago.to_string(), "runs": 12});
    let older = json!({"metadata": {"annotations": {LAST_HOLD: older.to_string()}}});
    leases
        .patch(LEASE, &PatchParams::default(), &Patch::Merge(older))
        .await
        .unwrap();
    let alerting = program.clone().env("HOLD_ALERT_AFTER", "1h");
    let run = alerting.clone().ends_with(1).await?;
    run.held("minimum_pods");
    let second = run.workload()["held"].clone();
    assert_eq!(
        (&second["runs"], &second["alert"]),
        (&json!(13), &json!(true))
    );
    assert_eq!(second["since"], an_hour_ago.to_string());
    let log = run.log();
    let warned = log.iter().any(|line| {
        let message = line["msg"].as_str().unwrap_or_default();
        line["level"] == "warn"
            && message.contains("held for this reason for 60 min, in 13 consecutive runs since")
            && message.ends_with("it needs an operator (setting: HOLD_ALERT_AFTER)")
    });
    assert!(warned, "{}", run.0);

    // Reasons that alternate, none of which may last.
    let other = json!({
        "reason": "rollout_in_progress", "since": Timestamp::now().to_string(), "runs": 1,
        "any_reason": {"since": an_hour_ago.to_string(), "runs": 12},
    });
    let other = json!({"metadata": {"annotations": {LAST_HOLD: other.to_string()}}});
    leases
        .patch(LEASE, &PatchParams::default(), &Patch::Merge(other))
        .await
        .unwrap();
    let run = alerting.clone().ends_with(1).await?;
    run.held("minimum_pods");
    let third = run.workload()["held"].clone();
    assert_eq!(
        (&third["runs"], &third["any_reason"]["runs"]),
        (&json!(1), &json!(13))
    );
    run.assert_says(
        &run.0.stderr,
        &["and for alternating reasons for 60 min, in 13 consecutive runs since"],
    );

    // Another reason, which may last.
    let frozen = alerting.clone().env("FREEZE", "* * * * * Europe/Berlin");
    let run = frozen.clone().ends_with(0).await?;
    run.held("frozen");
    assert_eq!(record().await["runs"], 1);
    let run = frozen.ends_with(0).await?;
    assert_eq!(run.workload()["held"]["runs"], 2);

    // Without the Lease there is no record.
    let run = alerting.env("ONE_AT_A_TIME", "false").ends_with(0).await?;
    run.held("minimum_pods");
    assert_eq!(run.workload()["held"], Value::Null);
    assert_untouched(&consumer, &before).await?;

    // A rotation ends the hold.
    program
        .env("MINIMUM_PODS_REQUIRED", "2")
        .ends_with(0)
        .await?;
    let lease = leases.get(LEASE).await.unwrap();
    let annotations = lease.metadata.annotations.unwrap();
    assert!(!annotations.contains_key(LAST_HOLD));
    Ok(())
}

#[tokio::test]
async fn run_timeout_ends_the_run() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = skewed(&ns, WorkloadSpec::deployment("consumer")).await?;
    ns.hold_new_pods(true);
    let run = ns
        .rebalancer(&consumer)
        .env("MAX_UNAVAILABLE", "1")
        .env("RUN_TIMEOUT", "12s")
        .ends_with(3)
        .await?;
    let execution = run.workload()["execution"].clone();
    assert_eq!(execution["stopped"], "run_timeout");
    run.assert_says(
        execution["message"].as_str().unwrap(),
        &["the run timeout was reached"],
    );
    assert_eq!(run.outcomes()[1..], ["not_attempted"; 3]);
    assert!(run.0.elapsed.as_secs() < 50, "{}", run.0);
    Ok(())
}
