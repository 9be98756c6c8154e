//! The order of the evictions in a wave, and retries of those that had no effect.

use std::time::Duration;

use rebalancer_core::ExecutionPolicy;
use rebalancer_core::execution::ExecutionEvent;
use rebalancer_core::model::{Seconds, WorkloadState};
use rebalancer_core::ports::EvictionAnswer;
use rstest::rstest;
use serde_json::json;

use crate::script::{
    Script, answered, blocked, counted, evicted, policy, present, rollout, workload,
};

#[test]
fn all_victims_are_evicted_in_one_wave() {
    let mut script = Script::new(4, policy());
    script
        .expect("read a", present())
        .expect("count 3", counted(6))
        .expect("evict a", evicted())
        .expect("read b", present())
        .expect("count 3", counted(5))
        .expect("evict b", evicted())
        .evict("c", 4, evicted())
        .evict("d", 3, evicted());
    script.ends(["evicted"; 4], None);
    // The complete document.
    let pod =
        |name: &str| json!({"name": name, "uid": format!("uid-{name}"), "outcome": "evicted"});
    assert_eq!(
        serde_json::to_value(script.done()).unwrap(),
        json!({
            "outcome": "completed",
            "message": "4 of 4 pods evicted",
            "dry_run": false,
            "pods": [pod("a"), pod("b"), pod("c"), pod("d")],
        })
    );
}

#[test]
fn blocked_evictions_are_retried_hottest_first() {
    let mut script = Script::new(4, policy());
    script
        .evict("a", 6, blocked(None))
        .evict("b", 6, evicted())
        // The coldest pods wait for the hottest.
        .expect("wait 5", ExecutionEvent::Elapsed)
        .expect("read workload", workload(5))
        .evict("a", 6, evicted())
        .evict("c", 5, blocked(None))
        .evict("d", 5, evicted())
        .expect("wait 5", ExecutionEvent::Elapsed)
        .expect("read workload", workload(5))
        .evict("c", 5, evicted());
    let report = script.ends(["evicted"; 4], None);
    assert_eq!(
        report.pods[0].message, None,
        "the message of the budget is outdated"
    );
}

#[rstest]
#[case::none(None, "wait 5")]
#[case::at_once(Some(0), "wait 1")]
#[case::short(Some(3), "wait 3")]
#[case::long(Some(3600), "wait 30")]
fn pause_follows_the_server_within_limits(#[case] retry_after: Option<u64>, #[case] step: &str) {
    let mut script = Script::new(4, policy());
    for name in ["a", "b"] {
        script.evict(name, 6, blocked(retry_after));
    }
    assert_eq!(script.step(), step);
    // An early event has no effect.
    script.execution.handle(script.now, ExecutionEvent::Elapsed);
    assert_eq!(script.step(), step);
}

#[test]
fn blocked_evictions_end_with_the_eviction_timeout() {
    let mut script = Script::new(
        2,
        ExecutionPolicy {
            eviction_timeout_seconds: Seconds::whole(12),
            ..policy()
        },
    );
    script
        .evict("a", 6, blocked(None))
        .evict("b", 6, evicted())
        .expect("wait 5", ExecutionEvent::Elapsed)
        .expect("read workload", workload(5))
        .evict("a", 6, blocked(None))
        .expect("wait 5", ExecutionEvent::Elapsed)
        .expect("read workload", workload(5))
        .evict("a", 6, blocked(None));
    let report = script.ends(
        ["blocked", "evicted", "not_attempted", "not_attempted"],
        Some("wave_incomplete"),
    );
    assert_eq!(
        report.pods[0].message.as_deref(),
        Some("budget consumer-pdb allows no disruption")
    );
    assert_eq!(
        report.message,
        "1 of 4 pods evicted, 1 blocked, 2 not attempted (PodDisruptionBudget consumer-pdb); ended early: not every pod of \
         the wave was evicted, so the next wave was not started"
    );
}

#[test]
fn coldest_stay_if_no_hottest_was_evicted() {
    let mut script = Script::new(4, policy());
    let failed = || {
        answered(EvictionAnswer::Failed {
            message: "500".into(),
        })
    };
    script.evict("a", 6, failed()).evict("b", 6, failed());
    let report = script.ends(["failed", "failed", "not_attempted", "not_attempted"], None);
    assert_eq!(
        report.pods[2].message.as_deref(),
        Some("none of the hottest pods was evicted, so evicting this one would not help")
    );
}

#[test]
fn busy_server_is_retried_and_not_reported_as_a_budget() {
    let mut script = Script::new(
        2,
        ExecutionPolicy {
            eviction_timeout_seconds: Seconds::whole(8),
            ..policy()
        },
    );
    let busy = || {
        answered(EvictionAnswer::Throttled {
            message: "too many requests".into(),
            retry_after: Some(Duration::from_secs(7)),
        })
    };
    script
        .evict("a", 6, busy())
        .evict("b", 6, evicted())
        .expect("wait 7", ExecutionEvent::Elapsed)
        .expect("read workload", workload(5))
        .evict("a", 6, busy());
    let report = script.ends(
        ["failed", "evicted", "not_attempted", "not_attempted"],
        Some("wave_incomplete"),
    );
    assert_eq!(report.pods[0].message.as_deref(), Some("too many requests"));
}

#[rstest]
#[case::scaled(Ok(WorkloadState { ready: 6, rollout: Some(rollout(2, 7)), failures: vec![], pause: None }), Some("workload_changed"))]
#[case::unreadable(Err("no connection".into()), Some("ready_unknown"))]
fn workload_is_read_after_a_pause_for_a_budget(
    #[case] read: Result<WorkloadState, String>,
    #[case] stopped: Option<&str>,
) {
    let mut script = Script::new(
        4,
        ExecutionPolicy {
            eviction_timeout_seconds: Seconds::whole(8),
            ..policy()
        },
    );
    script
        .evict("a", 6, blocked(None))
        .evict("b", 6, evicted())
        .expect("wait 5", ExecutionEvent::Elapsed)
        .expect("read workload", ExecutionEvent::WorkloadRead(read));
    script.ends(
        ["blocked", "evicted", "not_attempted", "not_attempted"],
        stopped,
    );
}
