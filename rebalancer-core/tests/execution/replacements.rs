//! Waiting for replacements between two waves.

use rebalancer_core::ExecutionPolicy;
use rebalancer_core::execution::{ExecutionEvent, ExecutionOutcome, StopReason};
use rebalancer_core::model::{PodFailure, PodRef, PodUid, Rollout, Seconds, WorkloadState};
use rstest::rstest;

use crate::script::{Script, evicted, policy, rollout, workload};

#[test]
fn second_wave_waits_for_the_replacements_of_the_first() {
    let mut script = Script::new(2, policy());
    script
        .evict("a", 6, evicted())
        .evict("b", 5, evicted())
        .expect("read workload", workload(4))
        .expect("wait 2", ExecutionEvent::Elapsed)
        .expect(
            "read workload",
            ExecutionEvent::WorkloadRead(Err("no connection".into())),
        )
        .expect("wait 2", ExecutionEvent::Elapsed)
        .expect("read workload", workload(6))
        .evict("c", 6, evicted())
        .evict("d", 5, evicted());
    script.ends(["evicted"; 4], None);
}

#[test]
fn missing_replacements_end_the_execution_at_the_ready_timeout() {
    let mut script = Script::new(
        2,
        ExecutionPolicy {
            ready_timeout_seconds: Seconds::whole(3),
            ..policy()
        },
    );
    script
        .evict("a", 6, evicted())
        .evict("b", 5, evicted())
        .expect("read workload", workload(4))
        .expect("wait 2", ExecutionEvent::Elapsed)
        .expect("read workload", workload(5))
        .expect("wait 2", ExecutionEvent::Elapsed)
        .expect("read workload", workload(5));
    let report = script.ends(
        ["evicted", "evicted", "not_attempted", "not_attempted"],
        Some("ready_timeout"),
    );
    assert!(
        report.message.ends_with(
            "the replacements were not ready within the ready timeout of 3 s: 5 of 6 pods are ready"
        ),
        "{}",
        report.message
    );
}

#[rstest]
#[case::scaled(
    rollout(2, 5),
    "the workload was scaled from 6 to 5 replicas meanwhile"
)]
#[case::template(
    rollout(2, 6),
    "the workload's specification was changed meanwhile (generation 1 to 2)"
)]
fn change_of_the_workload_between_waves_ends_the_execution(
    #[case] now: Rollout,
    #[case] why: &str,
) {
    let mut script = Script::new(2, policy());
    script
        .evict("a", 6, evicted())
        .evict("b", 5, evicted())
        .expect(
            "read workload",
            ExecutionEvent::WorkloadRead(Ok(WorkloadState {
                pause: None,
                failures: Vec::new(),
                ready: 6,
                rollout: Some(now),
            })),
        );
    let report = script.ends(
        ["evicted", "evicted", "not_attempted", "not_attempted"],
        Some("workload_changed"),
    );
    assert!(report.message.ends_with(why), "{}", report.message);
}

fn failing(uid: &str, lasting: bool) -> ExecutionEvent {
    let reason = if lasting {
        "CrashLoopBackOff"
    } else {
        "Unschedulable"
    };
    ExecutionEvent::WorkloadRead(Ok(WorkloadState {
        pause: None,
        ready: 5,
        rollout: Some(rollout(1, 6)),
        failures: vec![PodFailure {
            pod: PodRef {
                name: "new".into(),
                uid: PodUid(uid.into()),
            },
            reason: reason.into(),
            message: "back-off 10s".into(),
            lasting,
        }],
    }))
}

#[test]
fn crashing_replacement_ends_the_execution_even_after_the_last_wave() {
    for wave in [2, 4] {
        let mut script = Script::new(wave, policy());
        script.evict("a", 6, evicted()).evict("b", 5, evicted());
        if wave == 4 {
            script.evict("c", 4, evicted()).evict("d", 3, evicted());
        }
        script
            // A pod that failed before the execution is not a replacement.
            .expect("read workload", failing("a", true))
            .expect("wait 2", ExecutionEvent::Elapsed)
            // The pod may still be scheduled.
            .expect("read workload", failing("new", false))
            .expect("wait 2", ExecutionEvent::Elapsed)
            .expect("read workload", failing("new", true));
        let report = script.done();
        assert_eq!(report.stopped, Some(StopReason::ReplacementFailed));
        assert_eq!(report.outcome, ExecutionOutcome::Incomplete);
        assert!(
            report
                .message
                .ends_with("the replacement new does not start: CrashLoopBackOff (back-off 10s)"),
            "{}",
            report.message
        );
    }
}

#[test]
fn ready_timeout_reports_why_replacements_do_not_start() {
    let mut script = Script::new(
        4,
        ExecutionPolicy {
            ready_timeout_seconds: Seconds::whole(1),
            ..policy()
        },
    );
    for (name, ready) in [("a", 6), ("b", 5), ("c", 4), ("d", 3)] {
        script.evict(name, ready, evicted());
    }
    script
        .expect("read workload", failing("new", false))
        .expect("wait 2", ExecutionEvent::Elapsed)
        .expect("read workload", failing("new", false));
    let report = script.done();
    assert_eq!(report.stopped, Some(StopReason::ReadyTimeout));
    assert_eq!(report.outcome, ExecutionOutcome::Incomplete);
    assert!(
        report
            .message
            .ends_with("5 of 6 pods are ready; new does not start: Unschedulable (back-off 10s)"),
        "{}",
        report.message
    );
}

#[rstest]
#[case::by_this_run(2, 2, None)]
#[case::by_this_run_and_another_client(3, 3, Some("workload_changed"))]
#[case::by_another_client_after_this_run(2, 3, Some("workload_changed"))]
fn own_change_of_the_workload_does_not_end_the_execution(
    #[case] acknowledged: i64,
    #[case] read: i64,
    #[case] stopped: Option<&str>,
) {
    let mut script = Script::new(2, policy());
    script.evict("a", 6, evicted());
    script.execution.acknowledge_own_change(acknowledged);
    script.evict("b", 5, evicted()).expect(
        "read workload",
        ExecutionEvent::WorkloadRead(Ok(WorkloadState {
            pause: None,
            ready: 6,
            rollout: Some(rollout(read, 6)),
            failures: Vec::new(),
        })),
    );
    if stopped.is_none() {
        script.evict("c", 6, evicted()).evict("d", 5, evicted());
        script.ends(["evicted"; 4], None);
    } else {
        script.ends(
            ["evicted", "evicted", "not_attempted", "not_attempted"],
            stopped,
        );
    }
}
