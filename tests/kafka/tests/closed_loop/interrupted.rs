//! Hand-overs that a signal to the program ends in the middle.

use std::time::Duration;

use harness::rebalancer::Running;
use harness::wait::{Look, until};
use harness::{Rebalancer, Result, TestNamespace};
use jiff::{SignedDuration, Timestamp};
use rebalancer_core::group::Assignor;
use rebalancer_core::lease;
use serde_json::Value;

use crate::assign::{act, assigning, skew, skewed};
use crate::kafka_source::{from_kafka, group};
use crate::scene::{PODS, Scene};
use crate::{DEADLINE, run, workload};

/// The line of the log at which the program begins to take the lead of the group.
const ELECTS: &str = "hand-over: taking the lead of the group";

/// The program, which retries soon after a hand-over that was abandoned.
fn program(scene: &Scene<'_>) -> Rebalancer {
    assigning(scene, "assign").env("COOLDOWN", "1s")
}

/// Starts a run, and returns when it takes the lead of the group.
async fn in_the_middle(scene: &Scene<'_>) -> Result<Running> {
    let running = program(scene).spawn()?;
    running.wait_logged(ELECTS).await?;
    Ok(running)
}

/// Waits until the brokers report the group as stable, with the consumers of the pods as its only
/// members, and each partition has one owner.
async fn at_rest(scene: &Scene<'_>) -> Result<()> {
    let program = from_kafka(scene).arg("group");
    let pause = Duration::from_millis(500);
    until(
        "the group without our members",
        DEADLINE,
        pause,
        async || {
            let run = program.clone().run().await?;
            let group = group(&run);
            // A member that is not in a pod is a problem.
            let members = group["members"].as_array().map_or(0, Vec::len);
            let is_at_rest = group["state"] == "Stable" && group["problem"].is_null();
            Ok(if is_at_rest && members == PODS {
                Look::Done(())
            } else {
                Look::Not(group.to_string())
            })
        },
    )
    .await?;
    scene.settled().await.map(drop)
}

/// The holder of the Lease of the workload, if there is one.
async fn lease_holder(scene: &Scene<'_>) -> Result<Value> {
    let shown = run(&scene.rebalancer().arg("status")).await?;
    Ok(workload(&shown)["status"]["holder"].clone())
}

/// Dates the last renewal of the Lease back, so that it has expired.
async fn let_the_lease_expire(scene: &Scene<'_>) -> Result<()> {
    let age = SignedDuration::try_from(lease::DURATION).unwrap() + SignedDuration::from_secs(1);
    let renewed = (Timestamp::now() - age).strftime("%Y-%m-%dT%H:%M:%S.000000Z");
    let name = format!("rebalancer-deployment-{}", scene.workload.name());
    let lease = format!(
        "apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: {{name: {name}}}\n\
         spec: {{renewTime: '{renewed}'}}\n"
    );
    scene.ns.apply(&lease).await.map(drop)
}

/// The brokers remove the members of a killed run, and its Lease keeps other runs from acting until
/// it expires.
#[tokio::test(flavor = "multi_thread")]
async fn killed_run_leaves_a_group_that_settles_and_that_the_next_run_assigns() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let mut scene = Scene::start(&ns, Assignor::CooperativeSticky).await?;
    skewed(&mut scene).await?;
    let killed = in_the_middle(&scene).await?.kill().await?;
    assert_eq!(killed.code, None, "{killed}");
    assert_eq!(killed.stdout, "", "{killed}");
    at_rest(&scene).await?;

    let held = run(&program(&scene)).await?;
    assert_eq!(
        workload(&held)["decision"]["reason"],
        "another_run",
        "{held}"
    );
    let_the_lease_expire(&scene).await?;
    // The group's own assignor may have dealt the partitions of the leader that was removed.
    skew(&mut scene).await?;
    let acted = act(&program(&scene)).await?;
    let hand_over = &workload(&acted)["hand_over"];
    assert_eq!(hand_over["outcome"], "assigned", "{acted}");
    assert_eq!(hand_over["settled"], true, "{acted}");
    at_rest(&scene).await?;
    assert_eq!(lease_holder(&scene).await?, Value::Null);
    Ok(())
}

/// SIGTERM ends the hand-over with a group at rest, and the Lease is free.
#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_a_hand_over_in_a_settled_group() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let mut scene = Scene::start(&ns, Assignor::CooperativeSticky).await?;
    skewed(&mut scene).await?;
    let running = in_the_middle(&scene).await?;
    running.terminate().await?;
    let stopped = running.wait().await?;
    assert_eq!(stopped.code, Some(3), "{stopped}");
    let hand_over = &workload(&stopped)["hand_over"];
    assert_eq!(hand_over["outcome"], "abandoned", "{stopped}");
    assert_eq!(hand_over["stopped"], "stopped", "{stopped}");
    assert_eq!(hand_over["settled"], true, "{stopped}");
    let message = hand_over["message"].as_str().unwrap();
    for part in [
        "the hand-over was abandoned: a stop was requested; ",
        "; the group is at rest",
    ] {
        assert!(message.contains(part), "{part}: {stopped}");
    }
    assert!(stopped.stderr.contains(message), "{stopped}");
    assert_eq!(lease_holder(&scene).await?, Value::Null, "{stopped}");
    at_rest(&scene).await
}
