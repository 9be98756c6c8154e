//! The execution: told as plain stories, and against a world that does what it likes.
#![expect(clippy::unwrap_used, reason = "what helpers of tests unwrap is there")]

mod world;

use std::time::Duration;

use rebalancer_core::execution::{
    Awaited, Baseline, Execution, ExecutionEvent, ExecutionOutcome, ExecutionReport, Step,
    StopCause, StopReason, Waiting,
};
use rebalancer_core::lease::LeaseHolder;
use rebalancer_core::model::{
    Load, MinimumPods, PodFailure, PodRef, PodUid, Rollout, Seconds, WorkloadState,
};
use rebalancer_core::plan::{Role, Victim};
use rebalancer_core::ports::{EvictionAnswer, LeaseState, PodState};
use rebalancer_core::{ExecutionPolicy, Plan};
use rstest::rstest;
use serde_json::{Value, json};

/// Hottest a and b, coldest c and d, in waves of `wave`.
fn plan(wave: usize) -> Plan {
    let victims = ["a", "b", "c", "d"];
    let victims = victims.iter().enumerate().map(|(index, name)| Victim {
        name: (*name).into(),
        uid: PodUid(format!("uid-{name}")),
        role: if index < 2 {
            Role::Hottest
        } else {
            Role::Coldest
        },
        load: Load::ZERO,
        wave: index / wave + 1,
    });
    Plan::try_from(victims.collect::<Vec<_>>()).unwrap()
}

fn policy() -> ExecutionPolicy {
    ExecutionPolicy {
        minimum_pods: MinimumPods::new(2).unwrap(),
        ..ExecutionPolicy::default()
    }
}

fn rollout(generation: i64, desired: u32) -> Rollout {
    Rollout {
        generation,
        observed_generation: generation,
        desired,
        current: desired,
        updated: desired,
    }
}

fn present() -> ExecutionEvent {
    ExecutionEvent::PodRead(Ok(PodState::Present { ready: true }))
}

fn read(state: PodState) -> ExecutionEvent {
    ExecutionEvent::PodRead(Ok(state))
}

fn counted(ready: usize) -> ExecutionEvent {
    ExecutionEvent::ReadyCounted(Ok(ready))
}

fn evicted() -> ExecutionEvent {
    ExecutionEvent::EvictionAnswered(EvictionAnswer::Evicted)
}

fn answered(answer: EvictionAnswer) -> ExecutionEvent {
    ExecutionEvent::EvictionAnswered(answer)
}

fn blocked(retry_after: Option<u64>) -> ExecutionEvent {
    answered(EvictionAnswer::Blocked {
        message: "budget consumer-pdb allows no disruption".into(),
        budget: Some("consumer-pdb".into()),
        retry_after: retry_after.map(Duration::from_secs),
    })
}

fn lost() -> ExecutionEvent {
    answered(EvictionAnswer::Unknown {
        message: "timed out".into(),
    })
}

fn workload(ready: usize) -> ExecutionEvent {
    ExecutionEvent::WorkloadRead(Ok(WorkloadState {
        failures: Vec::new(),
        ready,
        rollout: Some(rollout(1, 6)),
    }))
}

fn before() -> Baseline {
    Baseline {
        ready: 6,
        rollout: Some(rollout(1, 6)),
        pods: ["a", "b", "c", "d", "e", "f"]
            .map(|uid| PodUid(uid.into()))
            .into(),
    }
}

/// A story under way: each line says which step is expected, and what comes of it.
struct Story {
    execution: Execution,
    now: Duration,
}

impl Story {
    fn new(wave: usize, policy: ExecutionPolicy) -> Self {
        let now = Duration::from_secs(1000);
        let execution = Execution::new(&plan(wave), policy, before(), now);
        Self { execution, now }
    }

    /// The present step, in short.
    fn step(&self) -> String {
        match self.execution.step(self.now) {
            Step::ReadPod(victim) => format!("read {}", victim.name),
            Step::CountReady { enough } => format!("count {enough}"),
            Step::Evict(victim) => format!("evict {}", victim.name),
            Step::ReadWorkload { .. } => "look".into(),
            Step::Wait(pause) => format!("wait {}", pause.as_secs_f64()),
            Step::RenewLease => "renew".into(),
            Step::Done => "done".into(),
        }
    }

    #[track_caller]
    fn tell(&mut self, step: &str, event: ExecutionEvent) -> &mut Self {
        assert_eq!(self.step(), step);
        if let Step::Wait(pause) = self.execution.step(self.now) {
            self.now += pause;
        }
        self.execution.handle(self.now, event);
        self
    }

    /// The pod is read, the ready pods are counted, and it is asked for.
    #[track_caller]
    fn ask(&mut self, name: &str, ready: usize, answer: ExecutionEvent) -> &mut Self {
        self.tell(&format!("read {name}"), present());
        assert!(self.step().starts_with("count "), "{}", self.step());
        self.execution.handle(self.now, counted(ready));
        self.tell(&format!("evict {name}"), answer)
    }

    #[track_caller]
    fn done(&self) -> ExecutionReport {
        assert_eq!(self.step(), "done");
        assert!(self.execution.is_done());
        let report = self.execution.report();
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(
            serde_json::from_str::<ExecutionReport>(&json).unwrap(),
            report
        );
        report
    }

    /// The outcomes in plan order and the reason it ended early, as documents have them.
    #[track_caller]
    fn ends(&mut self, outcomes: [&str; 4], stopped: Option<&str>) -> ExecutionReport {
        // The replacements are back at once, unless the story says otherwise.
        if self.step() == "look" {
            self.execution.handle(self.now, workload(6));
        }
        let report = self.done();
        let json = serde_json::to_value(&report).unwrap();
        let got: Vec<&Value> = json["pods"]
            .as_array()
            .unwrap()
            .iter()
            .map(|pod| &pod["outcome"])
            .collect();
        assert_eq!(got, outcomes, "{}", report.message);
        assert_eq!(json.get("stopped"), stopped.map(Value::from).as_ref());
        let complete = outcomes
            .iter()
            .all(|o| ["evicted", "already_gone"].contains(o));
        let expected = if complete { "completed" } else { "incomplete" };
        assert_eq!(json["outcome"], expected);
        report
    }
}

#[test]
fn all_are_evicted_in_one_wave() {
    let mut story = Story::new(4, policy());
    story
        .tell("read a", present())
        .tell("count 3", counted(6))
        .tell("evict a", evicted())
        .tell("read b", present())
        .tell("count 3", counted(5))
        .tell("evict b", evicted())
        .ask("c", 4, evicted())
        .ask("d", 3, evicted());
    story.ends(["evicted"; 4], None);
    // The whole document, word for word.
    let pod =
        |name: &str| json!({"name": name, "uid": format!("uid-{name}"), "outcome": "evicted"});
    assert_eq!(
        serde_json::to_value(story.done()).unwrap(),
        json!({
            "outcome": "completed",
            "message": "4 of 4 pods evicted",
            "dry_run": false,
            "pods": [pod("a"), pod("b"), pod("c"), pod("d")],
        })
    );
}

#[test]
fn the_blocked_try_again_in_the_next_round_the_hottest_first() {
    let mut story = Story::new(4, policy());
    story
        .ask("a", 6, blocked(None))
        .ask("b", 6, evicted())
        // The coldest wait for the hottest.
        .tell("wait 5", ExecutionEvent::Elapsed)
        .tell("look", workload(5))
        .ask("a", 6, evicted())
        .ask("c", 5, blocked(None))
        .ask("d", 5, evicted())
        .tell("wait 5", ExecutionEvent::Elapsed)
        .tell("look", workload(5))
        .ask("c", 5, evicted());
    let report = story.ends(["evicted"; 4], None);
    assert_eq!(
        report.pods[0].message, None,
        "the budget's words are out of date"
    );
}

#[rstest]
#[case::none(None, "wait 5")]
#[case::at_once(Some(0), "wait 1")]
#[case::short(Some(3), "wait 3")]
#[case::long(Some(3600), "wait 30")]
fn the_server_may_say_when_to_try_again(#[case] retry_after: Option<u64>, #[case] step: &str) {
    let mut story = Story::new(4, policy());
    for name in ["a", "b"] {
        story.ask(name, 6, blocked(retry_after));
    }
    assert_eq!(story.step(), step);
    // Too early changes nothing.
    story.execution.handle(story.now, ExecutionEvent::Elapsed);
    assert_eq!(story.step(), step);
}

#[test]
fn the_blocked_stay_blocked_when_the_eviction_timeout_is_over() {
    let mut story = Story::new(
        2,
        ExecutionPolicy {
            eviction_timeout_seconds: Seconds::whole(12),
            ..policy()
        },
    );
    story
        .ask("a", 6, blocked(None))
        .ask("b", 6, evicted())
        .tell("wait 5", ExecutionEvent::Elapsed)
        .tell("look", workload(5))
        .ask("a", 6, blocked(None))
        .tell("wait 5", ExecutionEvent::Elapsed)
        .tell("look", workload(5))
        .ask("a", 6, blocked(None));
    let report = story.ends(
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
fn a_refusal_of_the_permission_ends_it() {
    let mut story = Story::new(4, policy());
    let message = "may not create pods/eviction".to_owned();
    story.ask("a", 6, evicted()).ask(
        "b",
        5,
        answered(EvictionAnswer::Forbidden {
            message: message.clone(),
        }),
    );
    let report = story.ends(
        ["evicted", "failed", "not_attempted", "not_attempted"],
        Some("forbidden"),
    );
    assert_eq!(report.pods[1].message, Some(message));
}

#[rstest]
#[case::gone(read(PodState::Gone), "already_gone")]
#[case::going(read(PodState::Terminating), "already_gone")]
#[case::unready(read(PodState::Present { ready: false }), "failed")]
#[case::unreadable(ExecutionEvent::PodRead(Err("no connection".into())), "failed")]
fn a_pod_no_longer_fit_is_not_asked_for(#[case] event: ExecutionEvent, #[case] outcome: &str) {
    let mut story = Story::new(4, policy());
    story
        .tell("read a", event)
        .ask("b", 6, evicted())
        .ask("c", 5, evicted())
        .ask("d", 4, evicted());
    story.ends([outcome, "evicted", "evicted", "evicted"], None);
}

#[rstest]
#[case::gone(EvictionAnswer::AlreadyGone, "already_gone")]
#[case::failed(EvictionAnswer::Failed { message: "500".into() }, "failed")]
fn an_answer_for_certain_is_the_last_word_on_a_pod(
    #[case] answer: EvictionAnswer,
    #[case] outcome: &str,
) {
    let mut story = Story::new(4, policy());
    story
        .ask("a", 6, answered(answer))
        .ask("b", 6, evicted())
        .ask("c", 5, evicted())
        .ask("d", 4, evicted());
    story.ends([outcome, "evicted", "evicted", "evicted"], None);
}

#[rstest]
#[case::gone(
    read(PodState::Gone),
    "evicted",
    "the response was lost, and the pod is gone: timed out"
)]
#[case::going(
    read(PodState::Terminating),
    "evicted",
    "the response was lost, and the pod is gone: timed out"
)]
#[case::there(
    present(),
    "unknown",
    "the response was lost, and the pod still exists: timed out"
)]
#[case::unreadable(
    ExecutionEvent::PodRead(Err("no connection".into())),
    "unknown",
    "the response was lost (timed out), and the pod could not be read: no connection"
)]
fn after_a_lost_answer_the_pod_is_read_and_never_asked_for_again(
    #[case] event: ExecutionEvent,
    #[case] outcome: &str,
    #[case] message: &str,
) {
    let mut story = Story::new(4, policy());
    story
        .ask("a", 6, lost())
        .tell("read a", event)
        .ask("b", 6, evicted())
        .ask("c", 5, evicted())
        .ask("d", 4, evicted());
    let report = story.ends([outcome, "evicted", "evicted", "evicted"], None);
    assert_eq!(report.pods[0].message.as_deref(), Some(message));
}

/// The lost eviction may take effect after the next one: its pod is not counted on.
#[test]
fn a_pod_in_doubt_is_not_counted_as_ready() {
    let mut story = Story::new(4, policy());
    story
        .ask("a", 4, lost())
        .tell("read a", present())
        .tell("read b", present())
        .tell("count 4", counted(4))
        .tell("evict b", evicted())
        .tell("read c", present())
        .tell("count 4", counted(3));
    let report = story.ends(
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
fn the_minimum_is_kept_in_the_middle_of_a_wave() {
    let mut story = Story::new(4, policy());
    story
        .ask("a", 6, evicted())
        .ask("b", 3, evicted())
        .tell("read c", present())
        .tell("count 3", counted(2));
    let report = story.ends(
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
fn without_a_count_nobody_is_evicted() {
    let mut story = Story::new(4, policy());
    story.tell("read a", present()).tell(
        "count 3",
        ExecutionEvent::ReadyCounted(Err("no connection".into())),
    );
    story.ends(["not_attempted"; 4], Some("ready_unknown"));
}

#[test]
fn the_second_wave_waits_for_the_replacements_of_the_first() {
    let mut story = Story::new(2, policy());
    story
        .ask("a", 6, evicted())
        .ask("b", 5, evicted())
        .tell("look", workload(4))
        .tell("wait 2", ExecutionEvent::Elapsed)
        .tell(
            "look",
            ExecutionEvent::WorkloadRead(Err("no connection".into())),
        )
        .tell("wait 2", ExecutionEvent::Elapsed)
        .tell("look", workload(6))
        .ask("c", 6, evicted())
        .ask("d", 5, evicted());
    story.ends(["evicted"; 4], None);
}

#[test]
fn replacements_that_never_come_end_it_at_the_ready_timeout() {
    let mut story = Story::new(
        2,
        ExecutionPolicy {
            ready_timeout_seconds: Seconds::whole(3),
            ..policy()
        },
    );
    story
        .ask("a", 6, evicted())
        .ask("b", 5, evicted())
        .tell("look", workload(4))
        .tell("wait 2", ExecutionEvent::Elapsed)
        .tell("look", workload(5))
        .tell("wait 2", ExecutionEvent::Elapsed)
        .tell("look", workload(5));
    let report = story.ends(
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
fn a_change_of_the_workload_between_waves_ends_it(#[case] now: Rollout, #[case] why: &str) {
    let mut story = Story::new(2, policy());
    story.ask("a", 6, evicted()).ask("b", 5, evicted()).tell(
        "look",
        ExecutionEvent::WorkloadRead(Ok(WorkloadState {
            failures: Vec::new(),
            ready: 6,
            rollout: Some(now),
        })),
    );
    let report = story.ends(
        ["evicted", "evicted", "not_attempted", "not_attempted"],
        Some("workload_changed"),
    );
    assert!(report.message.ends_with(why), "{}", report.message);
}

#[test]
fn a_dry_run_asks_for_everybody_once_and_waits_for_nobody() {
    let mut story = Story::new(
        2,
        ExecutionPolicy {
            dry_run: true,
            ..policy()
        },
    );
    // Nothing happens to the pods, so those that would be out are subtracted.
    story
        .tell("read a", present())
        .tell("count 3", counted(6))
        .tell("evict a", evicted())
        .tell("read b", present())
        .tell("count 4", counted(6))
        .tell("evict b", evicted())
        .tell("read c", present())
        .tell("count 3", counted(6))
        .tell("evict c", evicted())
        .tell("read d", present())
        .tell("count 4", counted(6))
        .tell("evict d", blocked(None));
    let report = story.ends(["evicted", "evicted", "evicted", "blocked"], None);
    assert!(report.dry_run);
    assert_eq!(
        report.message,
        "dry run: 3 of 4 pods would be evicted, 1 blocked (PodDisruptionBudget consumer-pdb)"
    );
}

#[test]
fn a_dry_run_reaches_the_minimum_where_the_run_would() {
    let mut story = Story::new(
        4,
        ExecutionPolicy {
            dry_run: true,
            ..policy()
        },
    );
    story
        .ask("a", 3, evicted())
        .tell("read b", present())
        .tell("count 4", counted(3));
    story.ends(
        ["evicted", "not_attempted", "not_attempted", "not_attempted"],
        Some("minimum_pods"),
    );
}

#[rstest]
#[case::before_reading(vec![], ["not_attempted"; 4])]
#[case::before_counting(vec![present()], ["not_attempted"; 4])]
#[case::before_asking(vec![present(), counted(6)], ["not_attempted"; 4])]
#[case::after_asking(
    vec![present(), counted(6), evicted()],
    ["evicted", "not_attempted", "not_attempted", "not_attempted"]
)]
fn a_stop_between_two_actions_ends_it(
    #[case] events: Vec<ExecutionEvent>,
    #[case] outcomes: [&str; 4],
) {
    let mut story = Story::new(4, policy());
    for event in events {
        story.execution.handle(story.now, event);
    }
    story
        .execution
        .handle(story.now, ExecutionEvent::Stop(StopCause::Signal));
    let report = story.ends(outcomes, Some("stopped"));
    assert!(
        report
            .message
            .ends_with("ended early: a stop was requested")
    );
}

#[test]
fn a_stop_still_lets_us_look_after_a_lost_answer() {
    let mut story = Story::new(4, policy());
    story.ask("a", 6, lost());
    story
        .execution
        .handle(story.now, ExecutionEvent::Stop(StopCause::Signal));
    story.tell("read a", read(PodState::Gone));
    story.ends(
        ["evicted", "not_attempted", "not_attempted", "not_attempted"],
        Some("stopped"),
    );
}

#[test]
fn a_stop_while_waiting_for_a_budget_leaves_the_blocked_blocked() {
    let mut story = Story::new(4, policy());
    for name in ["a", "b"] {
        story.ask(name, 6, blocked(None));
    }
    story
        .execution
        .handle(story.now, ExecutionEvent::Stop(StopCause::Signal));
    story.ends(
        ["blocked", "blocked", "not_attempted", "not_attempted"],
        Some("stopped"),
    );
}

#[test]
fn whoever_is_cut_off_while_asking_reports_that_it_is_not_known() {
    let mut story = Story::new(4, policy());
    story.tell("read a", present()).tell("count 3", counted(6));
    let report = serde_json::to_value(story.execution.report()).unwrap();
    assert_eq!(report["pods"][0]["outcome"], "unknown");
    assert_eq!(report["outcome"], "incomplete");
    assert_eq!(
        report["message"],
        "0 of 4 pods evicted, 1 unknown, 3 not attempted"
    );
}

#[test]
fn without_a_hot_pod_no_cold_one_goes() {
    let mut story = Story::new(4, policy());
    let failed = || {
        answered(EvictionAnswer::Failed {
            message: "500".into(),
        })
    };
    story.ask("a", 6, failed()).ask("b", 6, failed());
    let report = story.ends(["failed", "failed", "not_attempted", "not_attempted"], None);
    assert_eq!(
        report.pods[2].message.as_deref(),
        Some("none of the hottest pods was evicted, so evicting this one would not help")
    );
}

#[test]
fn a_server_that_is_too_busy_is_asked_again_later_and_is_no_budget() {
    let mut story = Story::new(
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
    story
        .ask("a", 6, busy())
        .ask("b", 6, evicted())
        .tell("wait 7", ExecutionEvent::Elapsed)
        .tell("look", workload(5))
        .ask("a", 6, busy());
    let report = story.ends(
        ["failed", "evicted", "not_attempted", "not_attempted"],
        Some("wave_incomplete"),
    );
    assert_eq!(report.pods[0].message.as_deref(), Some("too many requests"));
}

#[rstest]
#[case::scaled(Ok(WorkloadState { ready: 6, rollout: Some(rollout(2, 7)), failures: vec![] }), Some("workload_changed"))]
#[case::unreadable(Err("no connection".into()), Some("ready_unknown"))]
fn a_pause_for_a_budget_ends_with_a_look_at_the_workload(
    #[case] read: Result<WorkloadState, String>,
    #[case] stopped: Option<&str>,
) {
    let mut story = Story::new(
        4,
        ExecutionPolicy {
            eviction_timeout_seconds: Seconds::whole(8),
            ..policy()
        },
    );
    story
        .ask("a", 6, blocked(None))
        .ask("b", 6, evicted())
        .tell("wait 5", ExecutionEvent::Elapsed)
        .tell("look", ExecutionEvent::WorkloadRead(read));
    story.ends(
        ["blocked", "evicted", "not_attempted", "not_attempted"],
        stopped,
    );
}

fn trouble(uid: &str, lasting: bool) -> ExecutionEvent {
    let reason = if lasting {
        "CrashLoopBackOff"
    } else {
        "Unschedulable"
    };
    ExecutionEvent::WorkloadRead(Ok(WorkloadState {
        ready: 5,
        rollout: Some(rollout(1, 6)),
        failures: vec![PodFailure {
            pod: PodRef {
                name: "new".into(),
                uid: PodUid(uid.into()),
            },
            reason: reason.into(),
            message: "in the server's words".into(),
            lasting,
        }],
    }))
}

#[test]
fn a_replacement_that_crashes_ends_it_also_after_the_last_wave() {
    for wave in [2, 4] {
        let mut story = Story::new(wave, policy());
        story.ask("a", 6, evicted()).ask("b", 5, evicted());
        if wave == 4 {
            story.ask("c", 4, evicted()).ask("d", 3, evicted());
        }
        story
            // A pod that was broken before is not of our making.
            .tell("look", trouble("a", true))
            .tell("wait 2", ExecutionEvent::Elapsed)
            // Room for it may be found yet.
            .tell("look", trouble("new", false))
            .tell("wait 2", ExecutionEvent::Elapsed)
            .tell("look", trouble("new", true));
        let report = story.done();
        assert_eq!(report.stopped, Some(StopReason::ReplacementFailed));
        assert_eq!(report.outcome, ExecutionOutcome::Incomplete);
        assert!(
            report.message.ends_with(
                "the replacement new does not start: CrashLoopBackOff (in the server's words)"
            ),
            "{}",
            report.message
        );
    }
}

#[test]
fn what_keeps_replacements_away_is_told_when_their_time_is_over() {
    let mut story = Story::new(
        4,
        ExecutionPolicy {
            ready_timeout_seconds: Seconds::whole(1),
            ..policy()
        },
    );
    for (name, ready) in [("a", 6), ("b", 5), ("c", 4), ("d", 3)] {
        story.ask(name, ready, evicted());
    }
    story
        .tell("look", trouble("new", false))
        .tell("wait 2", ExecutionEvent::Elapsed)
        .tell("look", trouble("new", false));
    let report = story.done();
    assert_eq!(report.stopped, Some(StopReason::ReadyTimeout));
    assert_eq!(report.outcome, ExecutionOutcome::Incomplete);
    assert!(
        report.message.ends_with(
            "5 of 6 pods are ready; new does not start: Unschedulable (in the server's words)"
        ),
        "{}",
        report.message
    );
}

#[test]
fn a_stop_while_the_last_replacements_start_leaves_a_plan_that_is_done() {
    let mut story = Story::new(4, policy());
    for (name, ready) in [("a", 6), ("b", 5), ("c", 4), ("d", 3)] {
        story.ask(name, ready, evicted());
    }
    story
        .execution
        .handle(story.now, ExecutionEvent::Stop(StopCause::RunTimeout));
    let report = story.ends(["evicted"; 4], Some("run_timeout"));
    assert_eq!(report.outcome, ExecutionOutcome::Completed);
}

fn frozen() -> ExecutionEvent {
    ExecutionEvent::Frozen("* 8-17 * * MON-FRI Europe/Berlin".into())
}

#[rstest]
#[case::before_the_first(vec![], ["not_attempted"; 4])]
#[case::before_asking(vec![present(), counted(6)], ["not_attempted"; 4])]
#[case::in_a_wave(
    vec![present(), counted(6), evicted()],
    ["evicted", "not_attempted", "not_attempted", "not_attempted"]
)]
#[case::between_waves(
    vec![present(), counted(6), evicted(), present(), counted(5), evicted(), workload(4)],
    ["evicted", "evicted", "not_attempted", "not_attempted"]
)]
#[case::while_a_budget_forbids(
    vec![present(), counted(6), blocked(None), present(), counted(6), blocked(None)],
    ["blocked", "blocked", "not_attempted", "not_attempted"]
)]
fn a_freeze_window_ends_it_where_an_eviction_is_left(
    #[case] events: Vec<ExecutionEvent>,
    #[case] outcomes: [&str; 4],
) {
    let mut story = Story::new(2, policy());
    for event in events {
        story.execution.handle(story.now, event);
    }
    assert!(story.execution.has_evictions_left());
    story.execution.handle(story.now, frozen());
    let report = story.ends(outcomes, Some("frozen"));
    let words = "ended early: the freeze window `* 8-17 * * MON-FRI Europe/Berlin` has begun";
    assert!(report.message.ends_with(words), "{}", report.message);
}

#[test]
fn a_freeze_window_still_lets_us_look_after_a_lost_answer() {
    let mut story = Story::new(4, policy());
    story.ask("a", 6, lost());
    story.execution.handle(story.now, frozen());
    story.tell("read a", read(PodState::Gone));
    story.ends(
        ["evicted", "not_attempted", "not_attempted", "not_attempted"],
        Some("frozen"),
    );
}

#[rstest]
#[case::while_the_last_replacements_start(evicted(), None)]
#[case::while_the_last_answer_is_lost(lost(), Some(read(PodState::Gone)))]
fn a_freeze_window_after_the_last_eviction_changes_nothing(
    #[case] answer: ExecutionEvent,
    #[case] next: Option<ExecutionEvent>,
) {
    let mut story = Story::new(4, policy());
    for (name, ready) in [("a", 6), ("b", 5), ("c", 4)] {
        story.ask(name, ready, evicted());
    }
    story.ask("d", 3, answer);
    assert!(!story.execution.has_evictions_left());
    story.execution.handle(story.now, frozen());
    if let Some(next) = next {
        story.tell("read d", next);
        story.execution.handle(story.now, frozen());
    }
    // The replacements are waited for all the same.
    story
        .tell("look", workload(5))
        .tell("wait 2", ExecutionEvent::Elapsed);
    story.ends(["evicted"; 4], None);
}

#[test]
fn what_is_waited_for_is_told_with_its_limits() {
    let mut story = Story::new(4, policy());
    assert_eq!(story.execution.waiting(), None);
    // The coldest wait too, and for the hottest alone.
    story
        .ask("a", 6, blocked(None))
        .ask("b", 6, blocked(Some(3)));
    let waiting = |awaited, until| Waiting {
        awaited,
        since: Duration::from_secs(1000),
        until: Duration::from_secs(until),
    };
    let evictions = Awaited::Evictions {
        pods: 2,
        budgets: ["consumer-pdb".to_owned()].into(),
    };
    assert_eq!(story.execution.waiting(), Some(waiting(evictions, 1120)));

    let mut story = Story::new(2, policy());
    let busy = EvictionAnswer::Throttled {
        message: "busy".into(),
        retry_after: None,
    };
    story.ask("a", 6, answered(busy)).ask("b", 6, evicted());
    let evictions = Awaited::Evictions {
        pods: 1,
        budgets: [].into(),
    };
    assert_eq!(story.execution.waiting(), Some(waiting(evictions, 1120)));

    let mut story = Story::new(2, policy());
    story.ask("a", 6, evicted()).ask("b", 5, evicted());
    let replacements = Some(waiting(Awaited::Replacements { wanted: 6 }, 1300));
    assert_eq!(story.execution.waiting(), replacements);
    story.tell("look", workload(4));
    assert_eq!(story.execution.waiting(), replacements);
}

fn leased() -> Story {
    let mut story = Story::new(4, policy());
    story.execution = story.execution.clone().with_lease(story.now);
    story
}

fn renewed(story: &Story, state: Result<LeaseState, String>) -> ExecutionEvent {
    ExecutionEvent::LeaseRenewed {
        asked: story.now,
        state,
    }
}

#[test]
fn a_lease_is_renewed_between_actions_and_what_was_seen_before_is_seen_again() {
    let mut story = leased();
    story.now += Duration::from_secs(21);
    let event = renewed(&story, Ok(LeaseState::Held));
    story
        .tell("renew", event)
        .tell("read a", present())
        .tell("count 3", counted(6));
    story.now += Duration::from_secs(51);
    let event = renewed(&story, Ok(LeaseState::Held));
    story
        .tell("renew", event)
        .ask("a", 6, evicted())
        .ask("b", 5, evicted());
}

#[test]
fn nothing_is_evicted_once_another_run_holds_the_lease() {
    let mut story = leased();
    story.ask("a", 6, evicted());
    story.now += Duration::from_secs(21);
    let holder = LeaseHolder {
        identity: "pod-7".into(),
        expires_seconds: Seconds::whole(80),
    };
    let event = renewed(&story, Ok(LeaseState::HeldBy(holder)));
    story.tell("renew", event);
    let report = story.ends(
        ["evicted", "not_attempted", "not_attempted", "not_attempted"],
        Some("lease_lost"),
    );
    assert!(report.message.ends_with("the lease is now held by pod-7"));
}

#[test]
fn a_lease_that_cannot_be_renewed_is_relied_on_only_so_long() {
    let mut story = leased();
    story.now += Duration::from_secs(21);
    let event = renewed(&story, Err("no connection".into()));
    story.tell("renew", event).ask("a", 6, evicted());
    story.now += Duration::from_secs(30);
    let event = renewed(&story, Err("no connection".into()));
    story.tell("renew", event);
    let report = story.ends(
        ["evicted", "not_attempted", "not_attempted", "not_attempted"],
        Some("lease_lost"),
    );
    assert!(
        report
            .message
            .ends_with("the lease could not be renewed in time: no connection")
    );
}

#[rstest]
#[case::by_us(2, 2, None)]
#[case::by_us_and_somebody_else(3, 3, Some("workload_changed"))]
#[case::by_somebody_else_after_us(2, 3, Some("workload_changed"))]
fn a_change_of_our_own_does_not_end_it(
    #[case] told: i64,
    #[case] seen: i64,
    #[case] stopped: Option<&str>,
) {
    let mut story = Story::new(2, policy());
    story.ask("a", 6, evicted());
    story.execution.acknowledge_own_change(told);
    story.ask("b", 5, evicted()).tell(
        "look",
        ExecutionEvent::WorkloadRead(Ok(WorkloadState {
            ready: 6,
            rollout: Some(rollout(seen, 6)),
            failures: Vec::new(),
        })),
    );
    if stopped.is_none() {
        story.ask("c", 6, evicted()).ask("d", 5, evicted());
        story.ends(["evicted"; 4], None);
    } else {
        story.ends(
            ["evicted", "evicted", "not_attempted", "not_attempted"],
            stopped,
        );
    }
}
