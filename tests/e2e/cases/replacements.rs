//! Replacements that do not start: the run ends, reports the cause, and evicts no further pod.

use ::harness::{PodView, Result, StartFailure, TestNamespace, Workload, WorkloadSpec};
use rstest::rstest;

use crate::support::{Outcome, RunExt as _, VICTIMS, skewed, uids};

const EVICTED: &str = "evicted";
const LEFT: &str = "not_attempted";

/// The pod that replaced the first victim; panics unless only that victim is gone.
async fn one_replaced(workload: &Workload<'_>, before: &[PodView]) -> Result<PodView> {
    let now = workload.pods().await?;
    let out = &before[VICTIMS[0]].uid;
    for pod in before {
        let stays = now
            .iter()
            .any(|other| other.uid == pod.uid && !other.terminating);
        assert_eq!(stays, pod.uid != *out, "{}", pod.name);
    }
    let mut new = now
        .into_iter()
        .filter(|pod| before.iter().all(|old| old.uid != pod.uid));
    let replacement = new.next().expect("no replacement");
    assert_eq!(new.next(), None, "a second replacement");
    Ok(replacement)
}

/// The message of a run that stopped after the first of four waves.
fn ended(run: &Outcome, stopped: &str) -> String {
    assert_eq!(run.outcomes(), [EVICTED, LEFT, LEFT, LEFT], "{}", run.0);
    let execution = &run.workload()["execution"];
    assert_eq!(execution["outcome"], "incomplete", "{}", run.0);
    assert_eq!(execution["stopped"], stopped, "{}", run.0);
    execution["message"].as_str().unwrap().to_owned()
}

/// A failure that waiting does not fix ends the run: `READY_TIMEOUT` is longer than the test's
/// limit.
#[rstest]
#[case::crash(WorkloadSpec::deployment("consumer"), StartFailure::CrashLoopBackOff, &[
    "does not start: CrashLoopBackOff (container consumer: back-off 20s restarting failed container=consumer",
    "; it last ended with Error)",
])]
#[case::image_not_found(WorkloadSpec::deployment("consumer"), StartFailure::ErrImagePull, &[
    "does not start: ErrImagePull (container consumer: rpc error: code = NotFound",
    "failed to pull and unpack image \"docker.io/library/consumer:1\": not found)",
])]
#[case::image_back_off(WorkloadSpec::stateful_set("consumer"), StartFailure::ImagePullBackOff, &[
    "does not start: ImagePullBackOff (container consumer: Back-off pulling image \"consumer:1\")",
])]
#[tokio::test]
async fn a_replacement_that_cannot_start_ends_the_run_at_once(
    #[case] spec: WorkloadSpec,
    #[case] failure: StartFailure,
    #[case] says: &[&str],
) -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = skewed(&ns, spec).await?;
    let before = consumer.pods().await?;
    ns.fail_new_pods(Some(failure));
    let run = ns
        .rebalancer(&consumer)
        .env("MAX_UNAVAILABLE", "1")
        .env("READY_TIMEOUT", "10m")
        .ends_with(3)
        .await?;
    let message = ended(&run, "replacement_failed");
    let replacement = one_replaced(&consumer, &before).await?;
    let name = format!("the replacement {} ", replacement.name);
    run.assert_says(&message, &["1 of 4 pods evicted, 3 not attempted", &name]);
    run.assert_says(&message, says);
    Ok(())
}

/// All victims are evicted, so only the report can show that the replacements are missing.
#[tokio::test]
async fn a_replacement_that_crashes_after_the_last_wave_is_reported() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = skewed(&ns, WorkloadSpec::deployment("consumer")).await?;
    let before = consumer.pods().await?;
    ns.fail_new_pods(Some(StartFailure::CrashLoopBackOff));
    let program = ns.rebalancer(&consumer).env("READY_TIMEOUT", "10m");
    let run = program.ends_with(3).await?;
    assert_eq!(run.victims(), uids(&before, &VICTIMS));
    assert_eq!(run.outcomes(), [EVICTED; 4]);
    let execution = &run.workload()["execution"];
    assert_eq!(execution["outcome"], "incomplete", "{}", run.0);
    assert_eq!(execution["stopped"], "replacement_failed", "{}", run.0);
    let message = execution["message"].as_str().unwrap();
    run.assert_says(message, &["4 of 4 pods evicted", "CrashLoopBackOff"]);
    Ok(())
}

/// A node may be added, so the run waits; afterwards it reports the scheduler's message.
#[tokio::test]
async fn an_unschedulable_replacement_is_awaited_and_named() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = skewed(&ns, WorkloadSpec::deployment("consumer")).await?;
    let before = consumer.pods().await?;
    ns.fail_new_pods(Some(StartFailure::Unschedulable));
    let run = ns
        .rebalancer(&consumer)
        .env("MAX_UNAVAILABLE", "1")
        .env("READY_TIMEOUT", "3s")
        .ends_with(3)
        .await?;
    let message = ended(&run, "ready_timeout");
    let replacement = one_replaced(&consumer, &before).await?;
    let words = format!(
        "not ready within the ready timeout of 3 s: 7 of 8 pods are ready; {} does not start: \
         Unschedulable (0/3 nodes are available: 3 Insufficient cpu.",
        replacement.name
    );
    run.assert_says(&message, &["1 of 4 pods evicted, 3 not attempted", &words]);
    Ok(())
}
