//! Renewal and loss of the lease.

use std::time::Duration;

use rebalancer_core::execution::ExecutionEvent;
use rebalancer_core::lease::LeaseHolder;
use rebalancer_core::model::Seconds;
use rebalancer_core::ports::LeaseState;

use crate::script::{Script, counted, evicted, policy, present};

fn leased() -> Script {
    let mut script = Script::new(4, policy());
    script.execution = script.execution.clone().with_lease(script.now);
    script
}

fn renewed(script: &Script, state: Result<LeaseState, String>) -> ExecutionEvent {
    ExecutionEvent::LeaseRenewed {
        asked: script.now,
        state,
    }
}

#[test]
fn lease_is_renewed_between_actions_and_the_pod_is_read_again() {
    let mut script = leased();
    script.now += Duration::from_secs(21);
    let event = renewed(&script, Ok(LeaseState::Held));
    script
        .expect("renew", event)
        .expect("read a", present())
        .expect("count 3", counted(6));
    script.now += Duration::from_secs(51);
    let event = renewed(&script, Ok(LeaseState::Held));
    script
        .expect("renew", event)
        .evict("a", 6, evicted())
        .evict("b", 5, evicted());
}

#[test]
fn evicts_nothing_once_another_run_holds_the_lease() {
    let mut script = leased();
    script.evict("a", 6, evicted());
    script.now += Duration::from_secs(21);
    let holder = LeaseHolder {
        identity: "pod-7".into(),
        expires_seconds: Seconds::whole(80),
    };
    let event = renewed(&script, Ok(LeaseState::HeldBy(holder)));
    script.expect("renew", event);
    let report = script.ends(
        ["evicted", "not_attempted", "not_attempted", "not_attempted"],
        Some("lease_lost"),
    );
    assert!(report.message.ends_with("the lease is now held by pod-7"));
}

#[test]
fn unrenewed_lease_is_trusted_for_a_limited_time() {
    let mut script = leased();
    script.now += Duration::from_secs(21);
    let event = renewed(&script, Err("no connection".into()));
    script.expect("renew", event).evict("a", 6, evicted());
    script.now += Duration::from_secs(30);
    let event = renewed(&script, Err("no connection".into()));
    script.expect("renew", event);
    let report = script.ends(
        ["evicted", "not_attempted", "not_attempted", "not_attempted"],
        Some("lease_lost"),
    );
    assert!(
        report
            .message
            .ends_with("the lease could not be renewed in time: no connection")
    );
}
