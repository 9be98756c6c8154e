//! Replacements that do not come up: the run ends, says what was seen, and takes no further pod.

use ::harness::{PodView, Result, Trouble, Workload, WorkloadSpec, World};
use rstest::rstest;

use crate::support::{Outcome, RunExt as _, VICTIMS, skewed, uids};

const EVICTED: &str = "evicted";
const LEFT: &str = "not_attempted";

/// Panics unless the first victim alone is out of the pods of before; the pod in its place.
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

/// What the run says of its end, when the first of four waves is out and the others are left.
fn ended(run: &Outcome, stopped: &str) -> String {
    assert_eq!(run.outcomes(), [EVICTED, LEFT, LEFT, LEFT], "{}", run.0);
    let execution = &run.workload()["execution"];
    assert_eq!(execution["outcome"], "incomplete", "{}", run.0);
    assert_eq!(execution["stopped"], stopped, "{}", run.0);
    execution["message"].as_str().unwrap().to_owned()
}

/// What waiting does not mend is not waited for: `READY_TIMEOUT` is longer than a run may take here.
#[rstest]
#[case::crash(WorkloadSpec::deployment("consumer"), Trouble::CrashLoopBackOff, &[
    "does not start: CrashLoopBackOff (container consumer: back-off 20s restarting failed container=consumer",
    "; it last ended with Error)",
])]
#[case::image_not_found(WorkloadSpec::deployment("consumer"), Trouble::ErrImagePull, &[
    "does not start: ErrImagePull (container consumer: rpc error: code = NotFound",
    "failed to pull and unpack image \"docker.io/library/consumer:1\": not found)",
])]
#[case::image_back_off(WorkloadSpec::stateful_set("consumer"), Trouble::ImagePullBackOff, &[
    "does not start: ImagePullBackOff (container consumer: Back-off pulling image \"consumer:1\")",
])]
#[tokio::test]
async fn one_that_cannot_start_ends_the_run_at_once(
    #[case] spec: WorkloadSpec,
    #[case] trouble: Trouble,
    #[case] says: &[&str],
) -> Result<()> {
    let world = World::start().await?;
    let consumer = skewed(&world, spec).await?;
    let before = consumer.pods().await?;
    world.trouble_new_pods(Some(trouble));
    let run = world
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

/// All victims are out, and nobody would see that there is nothing in their place.
#[tokio::test]
async fn one_that_crashes_after_the_last_wave_is_told() -> Result<()> {
    let world = World::start().await?;
    let consumer = skewed(&world, WorkloadSpec::deployment("consumer")).await?;
    let before = consumer.pods().await?;
    world.trouble_new_pods(Some(Trouble::CrashLoopBackOff));
    let program = world.rebalancer(&consumer).env("READY_TIMEOUT", "10m");
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

/// A node may come, so that it is waited for; then it is named with the scheduler's words.
#[tokio::test]
async fn one_that_finds_no_room_is_waited_for_and_named() -> Result<()> {
    let world = World::start().await?;
    let consumer = skewed(&world, WorkloadSpec::deployment("consumer")).await?;
    let before = consumer.pods().await?;
    world.trouble_new_pods(Some(Trouble::Unschedulable));
    let run = world
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
