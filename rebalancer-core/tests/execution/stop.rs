//! Stops and freeze windows.

use rebalancer_core::execution::{ExecutionEvent, ExecutionOutcome, StopCause};
use rebalancer_core::ports::PodState;
use rstest::rstest;

use crate::script::{Script, blocked, counted, evicted, lost, policy, present, read, workload};

#[rstest]
#[case::before_reading(vec![], ["not_attempted"; 4])]
#[case::before_counting(vec![present()], ["not_attempted"; 4])]
#[case::before_the_request(vec![present(), counted(6)], ["not_attempted"; 4])]
#[case::after_the_request(
    vec![present(), counted(6), evicted()],
    ["evicted", "not_attempted", "not_attempted", "not_attempted"]
)]
fn stop_between_two_actions_ends_the_execution(
    #[case] events: Vec<ExecutionEvent>,
    #[case] outcomes: [&str; 4],
) {
    let mut script = Script::new(4, policy());
    for event in events {
        script.execution.handle(script.now, event);
    }
    script
        .execution
        .handle(script.now, ExecutionEvent::Stop(StopCause::Signal));
    let report = script.ends(outcomes, Some("stopped"));
    assert!(
        report
            .message
            .ends_with("ended early: a stop was requested")
    );
}

#[test]
fn pod_of_a_lost_eviction_is_read_after_a_stop() {
    let mut script = Script::new(4, policy());
    script.evict("a", 6, lost());
    script
        .execution
        .handle(script.now, ExecutionEvent::Stop(StopCause::Signal));
    script.expect("read a", read(PodState::Gone));
    script.ends(
        ["evicted", "not_attempted", "not_attempted", "not_attempted"],
        Some("stopped"),
    );
}

#[test]
fn stop_during_a_wait_for_a_budget_leaves_blocked_pods() {
    let mut script = Script::new(4, policy());
    for name in ["a", "b"] {
        script.evict(name, 6, blocked(None));
    }
    script
        .execution
        .handle(script.now, ExecutionEvent::Stop(StopCause::Signal));
    script.ends(
        ["blocked", "blocked", "not_attempted", "not_attempted"],
        Some("stopped"),
    );
}

#[test]
fn eviction_without_a_response_is_reported_as_unknown() {
    let mut script = Script::new(4, policy());
    script
        .expect("read a", present())
        .expect("count 3", counted(6));
    let report = serde_json::to_value(script.execution.report()).unwrap();
    assert_eq!(report["pods"][0]["outcome"], "unknown");
    assert_eq!(report["outcome"], "incomplete");
    assert_eq!(
        report["message"],
        "0 of 4 pods evicted, 1 unknown, 3 not attempted"
    );
}

#[test]
fn stop_after_the_last_eviction_leaves_a_completed_plan() {
    let mut script = Script::new(4, policy());
    for (name, ready) in [("a", 6), ("b", 5), ("c", 4), ("d", 3)] {
        script.evict(name, ready, evicted());
    }
    script
        .execution
        .handle(script.now, ExecutionEvent::Stop(StopCause::RunTimeout));
    let report = script.ends(["evicted"; 4], Some("run_timeout"));
    assert_eq!(report.outcome, ExecutionOutcome::Completed);
}

fn frozen() -> ExecutionEvent {
    ExecutionEvent::Frozen("* 8-17 * * MON-FRI Europe/Berlin".into())
}

#[rstest]
#[case::before_the_first_eviction(vec![], ["not_attempted"; 4])]
#[case::before_the_request(vec![present(), counted(6)], ["not_attempted"; 4])]
#[case::in_a_wave(
    vec![present(), counted(6), evicted()],
    ["evicted", "not_attempted", "not_attempted", "not_attempted"]
)]
#[case::between_waves(
    vec![present(), counted(6), evicted(), present(), counted(5), evicted(), workload(4)],
    ["evicted", "evicted", "not_attempted", "not_attempted"]
)]
#[case::while_a_budget_blocks(
    vec![present(), counted(6), blocked(None), present(), counted(6), blocked(None)],
    ["blocked", "blocked", "not_attempted", "not_attempted"]
)]
fn freeze_window_ends_the_execution_if_an_eviction_is_left(
    #[case] events: Vec<ExecutionEvent>,
    #[case] outcomes: [&str; 4],
) {
    let mut script = Script::new(2, policy());
    for event in events {
        script.execution.handle(script.now, event);
    }
    assert!(script.execution.has_evictions_left());
    script.execution.handle(script.now, frozen());
    let report = script.ends(outcomes, Some("frozen"));
    let words = "ended early: the freeze window `* 8-17 * * MON-FRI Europe/Berlin` has begun";
    assert!(report.message.ends_with(words), "{}", report.message);
}

#[test]
fn pod_of_a_lost_eviction_is_read_in_a_freeze_window() {
    let mut script = Script::new(4, policy());
    script.evict("a", 6, lost());
    script.execution.handle(script.now, frozen());
    script.expect("read a", read(PodState::Gone));
    script.ends(
        ["evicted", "not_attempted", "not_attempted", "not_attempted"],
        Some("frozen"),
    );
}

#[rstest]
#[case::while_the_last_replacements_start(evicted(), None)]
#[case::while_the_last_response_is_lost(lost(), Some(read(PodState::Gone)))]
fn freeze_window_after_the_last_eviction_has_no_effect(
    #[case] answer: ExecutionEvent,
    #[case] next: Option<ExecutionEvent>,
) {
    let mut script = Script::new(4, policy());
    for (name, ready) in [("a", 6), ("b", 5), ("c", 4)] {
        script.evict(name, ready, evicted());
    }
    script.evict("d", 3, answer);
    assert!(!script.execution.has_evictions_left());
    script.execution.handle(script.now, frozen());
    if let Some(next) = next {
        script.expect("read d", next);
        script.execution.handle(script.now, frozen());
    }
    // The execution still waits for the replacements.
    script
        .expect("read workload", workload(5))
        .expect("wait 2", ExecutionEvent::Elapsed);
    script.ends(["evicted"; 4], None);
}

fn events_from_outside() -> [(ExecutionEvent, &'static str, &'static str); 3] {
    [
        (
            ExecutionEvent::Paused(Ok("the workload is frozen".into())),
            "paused",
            "ended early: the workload is frozen",
        ),
        (
            ExecutionEvent::Paused(Err("no answer".into())),
            "pause_unknown",
            "the annotations of the workload could not be read: no answer",
        ),
        (
            ExecutionEvent::Unrecorded("forbidden".into()),
            "unrecorded",
            "evictions are limited, and could not be recorded for the next run: forbidden",
        ),
    ]
}

#[test]
fn pause_ends_the_execution_instead_of_a_count_of_ready_pods() {
    for (event, stopped, words) in events_from_outside() {
        let mut script = Script::new(4, policy());
        script.evict("a", 6, evicted());
        script.expect("read b", present());
        script.expect("count 3", event);
        let outcomes = ["evicted", "not_attempted", "not_attempted", "not_attempted"];
        let report = script.ends(outcomes, Some(stopped));
        assert!(report.message.ends_with(words), "{}", report.message);
    }
}

#[test]
fn pause_after_the_last_eviction_has_no_effect() {
    for (event, ..) in events_from_outside() {
        let mut script = Script::new(4, policy());
        for (name, ready) in [("a", 6), ("b", 5), ("c", 4), ("d", 3)] {
            script.evict(name, ready, evicted());
        }
        let step = script.execution.step(script.now);
        script.execution.handle(script.now, event);
        assert_eq!(script.execution.step(script.now), step);
    }
}
