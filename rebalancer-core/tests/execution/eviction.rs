//! One eviction: the checks right before it, and the meaning of its answer.

use rebalancer_core::execution::ExecutionEvent;
use rebalancer_core::ports::{EvictionAnswer, PodState};
use rstest::rstest;

use crate::script::{Script, answered, counted, evicted, lost, policy, present, read};

#[test]
fn missing_permission_ends_the_execution() {
    let mut script = Script::new(4, policy());
    let message = "may not create pods/eviction".to_owned();
    script.evict("a", 6, evicted()).evict(
        "b",
        5,
        answered(EvictionAnswer::Forbidden {
            message: message.clone(),
        }),
    );
    let report = script.ends(
        ["evicted", "failed", "not_attempted", "not_attempted"],
        Some("forbidden"),
    );
    assert_eq!(report.pods[1].message, Some(message));
}

#[rstest]
#[case::gone(read(PodState::Gone), "already_gone")]
#[case::terminating(read(PodState::Terminating), "already_gone")]
#[case::unready(read(PodState::Present { ready: false }), "failed")]
#[case::unreadable(ExecutionEvent::PodRead(Err("no connection".into())), "failed")]
fn unsuitable_pod_is_not_evicted(#[case] event: ExecutionEvent, #[case] outcome: &str) {
    let mut script = Script::new(4, policy());
    script
        .expect("read a", event)
        .evict("b", 6, evicted())
        .evict("c", 5, evicted())
        .evict("d", 4, evicted());
    script.ends([outcome, "evicted", "evicted", "evicted"], None);
}

#[rstest]
#[case::gone(EvictionAnswer::AlreadyGone, "already_gone")]
#[case::failed(EvictionAnswer::Failed { message: "500".into() }, "failed")]
fn definite_answer_is_final(#[case] answer: EvictionAnswer, #[case] outcome: &str) {
    let mut script = Script::new(4, policy());
    script
        .evict("a", 6, answered(answer))
        .evict("b", 6, evicted())
        .evict("c", 5, evicted())
        .evict("d", 4, evicted());
    script.ends([outcome, "evicted", "evicted", "evicted"], None);
}

#[rstest]
#[case::gone(
    read(PodState::Gone),
    "evicted",
    "the response was lost, and the pod is gone: timed out"
)]
#[case::terminating(
    read(PodState::Terminating),
    "evicted",
    "the response was lost, and the pod is gone: timed out"
)]
#[case::present(
    present(),
    "unknown",
    "the response was lost, and the pod still exists: timed out"
)]
#[case::unreadable(
    ExecutionEvent::PodRead(Err("no connection".into())),
    "unknown",
    "the response was lost (timed out), and the pod could not be read: no connection"
)]
fn pod_is_read_and_not_evicted_again_after_a_lost_response(
    #[case] event: ExecutionEvent,
    #[case] outcome: &str,
    #[case] message: &str,
) {
    let mut script = Script::new(4, policy());
    script
        .evict("a", 6, lost())
        .expect("read a", event)
        .evict("b", 6, evicted())
        .evict("c", 5, evicted())
        .evict("d", 4, evicted());
    let report = script.ends([outcome, "evicted", "evicted", "evicted"], None);
    assert_eq!(report.pods[0].message.as_deref(), Some(message));
}

/// The lost eviction may take effect after the next one.
#[test]
fn pod_with_unknown_outcome_does_not_count_as_ready() {
    let mut script = Script::new(4, policy());
    script
        .evict("a", 4, lost())
        .expect("read a", present())
        .expect("read b", present())
        .expect("count 4", counted(4))
        .expect("evict b", evicted())
        .expect("read c", present())
        .expect("count 4", counted(3));
    let report = script.ends(
        ["unknown", "evicted", "not_attempted", "not_attempted"],
        Some("minimum_pods"),
    );
    assert!(
        report.message.ends_with(
            "3 pods are ready and 1 eviction without a response may still take effect, so \
             evicting c would leave fewer than the minimum of 2 ready pods"
        ),
        "{}",
        report.message
    );
}

#[test]
fn minimum_is_kept_within_a_wave() {
    let mut script = Script::new(4, policy());
    script
        .evict("a", 6, evicted())
        .evict("b", 3, evicted())
        .expect("read c", present())
        .expect("count 3", counted(2));
    let report = script.ends(
        ["evicted", "evicted", "not_attempted", "not_attempted"],
        Some("minimum_pods"),
    );
    assert_eq!(
        report.message,
        "2 of 4 pods evicted, 2 not attempted; ended early: 2 pods are ready, so evicting c would \
         leave fewer than the minimum of 2 ready pods"
    );
}

#[test]
fn evicts_nothing_without_a_count_of_ready_pods() {
    let mut script = Script::new(4, policy());
    script.expect("read a", present()).expect(
        "count 3",
        ExecutionEvent::ReadyCounted(Err("no connection".into())),
    );
    script.ends(["not_attempted"; 4], Some("ready_unknown"));
}
