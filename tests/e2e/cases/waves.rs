//! Waves: never fewer ready pods than the minimum.

use std::time::Duration;

use ::harness::{Result, TestNamespace, WorkloadSpec, annotation};

use crate::support::{Outcome, VICTIMS, assert_untouched, skewed, uids};

/// The minimum forbids the plan as one wave, but allows one pod at a time.
#[tokio::test]
async fn each_wave_waits_for_the_previous_replacements() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let spec = WorkloadSpec::deployment("consumer").annotation(annotation::READY_AFTER, "1");
    let consumer = skewed(&ns, spec).await?;
    let before = consumer.pods().await?;
    let program = ns
        .rebalancer(&consumer)
        .env("OUTPUT", "json")
        .env("MINIMUM_PODS_REQUIRED", "7");
    let hold = Outcome(program.clone().run().await?);
    let message = hold.held("minimum_pods");
    hold.assert_says(
        &message,
        &["at most 1 pod unavailable at once would make the plan possible"],
    );
    assert_untouched(&consumer, &before).await?;

    let run = program.env("MAX_UNAVAILABLE", "1").spawn()?.wait();
    tokio::pin!(run);
    let mut fewest = before.len();
    let run = loop {
        tokio::select! {
            run = &mut run => break run?,
            () = tokio::time::sleep(Duration::from_millis(50)) => {
                let pods = consumer.pods().await?;
                let ready = pods.iter().filter(|pod| pod.ready && !pod.terminating).count();
                fewest = fewest.min(ready);
            }
        }
    };
    assert_eq!(run.code, Some(0), "{run}");
    assert_eq!(fewest, 7, "{run}");
    let run = Outcome(run);
    assert_eq!(run.victims(), uids(&before, &VICTIMS));
    assert_eq!(run.outcomes(), ["evicted"; 4]);
    let workload = run.workload();
    let waves: Vec<_> = workload["victims"].as_array().unwrap().iter().collect();
    assert_eq!(waves.last().unwrap()["wave"], 4);
    Ok(())
}

#[tokio::test]
async fn replacements_that_do_not_become_ready_end_the_run() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = skewed(&ns, WorkloadSpec::deployment("consumer")).await?;
    ns.hold_new_pods(true);
    let run = ns
        .rebalancer(&consumer)
        .env("OUTPUT", "json")
        .env("MAX_UNAVAILABLE", "25%")
        .env("READY_TIMEOUT", "3s")
        .run()
        .await?;
    assert_eq!(run.code, Some(3), "{run}");
    let run = Outcome(run);
    let evicted = "evicted";
    let left = "not_attempted";
    assert_eq!(run.outcomes(), [evicted, evicted, left, left]);
    let workload = run.workload();
    assert_eq!(workload["execution"]["stopped"], "ready_timeout");
    let message = workload["execution"]["message"].as_str().unwrap();
    run.assert_says(message, &["ready timeout of 3 s", "6 of 8 pods are ready"]);
    Ok(())
}
