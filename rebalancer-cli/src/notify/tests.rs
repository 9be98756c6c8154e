//! Snapshots of the documents, and the events that are reported.

use insta::assert_snapshot;
use jiff::Timestamp;
use rebalancer_core::execution::{ExecutionOutcome, ExecutionReport};
use rebalancer_core::hold_record::{HeldSince, HoldRecord};
use rebalancer_core::model::{MinimumPods, Seconds, WorkloadRef};
use rebalancer_core::policy::Policy;
use rebalancer_core::report::{Failed, WorkloadReport};
use rebalancer_core::{Snapshot, decide};
use rstest::rstest;
use serde_json::Value;

use super::document;
use crate::commands::run::untimed_report;
use crate::render::tests::awaiting;
use crate::settings::{NotifyEvent, NotifyFormat};
use rebalancer_core::report::{Report, ReportCommand};

const UNEVEN: &str = r#"{"target": 0.7, "pods": [
    {"name": "a", "load": 1.2}, {"name": "b", "load": 1.1}, {"name": "c", "load": 0.8},
    {"name": "d", "load": 0.6}, {"name": "e", "load": 0.4}, {"name": "f", "load": 0.3}]}"#;
const EVEN: &str = r#"{"target": 0.7, "pods": [
    {"name": "a", "load": 0.7}, {"name": "b", "load": 0.7}, {"name": "c", "load": 0.7}]}"#;
const UNMEASURED: &str = r#"{"target": 0.7, "pods": [
    {"name": "a", "load": null}, {"name": "b", "load": null}, {"name": "c", "load": 0.7}]}"#;

fn decided(json: &str, execution: Option<ExecutionReport>) -> WorkloadReport {
    let snapshot: Snapshot = serde_json::from_str(json).unwrap();
    let policy = Policy {
        minimum_pods: MinimumPods::new(2).unwrap(),
        ..Policy::default()
    };
    WorkloadReport::decided(decide(&snapshot, &policy), execution)
}

/// A run that holds for the same reason as so many runs before it.
fn held(json: &str, runs: u32) -> WorkloadReport {
    with_hold(decided(json, None), runs)
}

fn with_hold(mut report: WorkloadReport, runs: u32) -> WorkloadReport {
    let WorkloadReport::Decided(decided) = &mut report else {
        panic!("{report:?}");
    };
    let reason = decided.decision.hold_reason().unwrap();
    let record = HoldRecord {
        reason: reason.as_str().into(),
        since: Timestamp::UNIX_EPOCH,
        runs,
        any_reason: None,
    };
    let now = Timestamp::from_second(600).unwrap();
    let never = Seconds::new(0.0).unwrap();
    decided.held = Some(HeldSince::of(&record, reason, now, never));
    report
}

/// A run that waits for approval; `runs` is the number of consecutive runs that wait.
fn awaiting_for(is_stored: bool, runs: u32) -> WorkloadReport {
    with_hold(WorkloadReport::decided(awaiting(is_stored), None), runs)
}

#[test]
fn plan_that_waits_is_described_with_the_command_that_approves_it() {
    let report = report(vec![awaiting_for(false, 1)]);
    let document = document(&report, NotifyFormat::Json, &[Plans]).unwrap();
    let document: Value = serde_json::from_str(&document).unwrap();
    let workload = &document["workloads"][0];
    assert_eq!(workload["summary"], "a plan waits for approval");
    assert_eq!(workload["result"], "planned");
    let text = workload["lines"].to_string();
    for part in [
        "waits for approval until 2026-01-02T04:00:00Z: evict 4 of 6 pods",
        "evict a (hottest, load 1.200)",
        "rebalancer approve -n default deployment/workload --id ",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

fn executed(outcome: ExecutionOutcome, dry_run: bool) -> WorkloadReport {
    let execution = ExecutionReport {
        outcome,
        stopped: None,
        message: "2 of 4 pods evicted, 2 not attempted".into(),
        dry_run,
        note: None,
        pods: Vec::new(),
        static_members: Vec::new(),
    };
    decided(UNEVEN, Some(execution))
}

fn failed(name: &str) -> WorkloadReport {
    WorkloadReport::Failed(Failed {
        workload: WorkloadRef {
            name: name.into(),
            ..WorkloadRef::default()
        },
        error: "cannot list pods of namespace default: <403> & Forbidden".into(),
    })
}

fn report(workloads: Vec<WorkloadReport>) -> Report {
    untimed_report(ReportCommand::Run, workloads)
}

#[rstest]
#[case::slack(NotifyFormat::Slack, "slack")]
#[case::teams(NotifyFormat::Teams, "teams")]
#[case::json(NotifyFormat::Json, "json")]
fn documents(#[case] format: NotifyFormat, #[case] name: &str) {
    let reports = vec![
        executed(ExecutionOutcome::Incomplete, false),
        held(UNMEASURED, 1),
        failed("orders"),
        held(EVEN, 7),
    ];
    let document = document(&report(reports), format, &NotifyEvent::ALL).unwrap();
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_snapshot!(name, serde_json::to_string_pretty(&document).unwrap());
}

#[test]
fn message_about_one_workload_has_its_headline_as_the_title() {
    let document = document(
        &report(vec![failed("orders")]),
        NotifyFormat::Slack,
        &NotifyEvent::ALL,
    );
    let document: Value = serde_json::from_str(&document.unwrap()).unwrap();
    assert_eq!(
        document["text"],
        "*Deployment default/orders: the run failed*"
    );
    let line = "cannot list pods of namespace default: &lt;403&gt; &amp; Forbidden";
    assert_eq!(document["attachments"][0]["text"], line);
    assert_eq!(document["attachments"][0]["title"], Value::Null);
}

#[rstest]
#[case::slack(NotifyFormat::Slack, "/attachments", 16)]
#[case::teams(NotifyFormat::Teams, "/attachments/0/content/body", 32)]
#[case::json(NotifyFormat::Json, "/workloads", 40)]
fn chat_messages_are_bounded(
    #[case] format: NotifyFormat,
    #[case] pointer: &str,
    #[case] parts: usize,
) {
    let reports = (0..40).map(|number| failed(&format!("orders-{number}")));
    let document = document(&report(reports.collect()), format, &NotifyEvent::ALL).unwrap();
    let counted = document.contains("and 25 more workloads");
    assert_eq!(counted, format != NotifyFormat::Json, "{document}");
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(
        document.pointer(pointer).unwrap().as_array().unwrap().len(),
        parts
    );
}

use NotifyEvent::{Failures, HoldChanges, Plans, Rotations};

#[rstest]
#[case::acted(executed(ExecutionOutcome::Completed, false), &[Rotations])]
#[case::in_part(executed(ExecutionOutcome::Incomplete, false), &[Rotations, Failures])]
#[case::dry_run(executed(ExecutionOutcome::Completed, true), &[Plans])]
#[case::plan(decided(UNEVEN, None), &[Plans])]
#[case::proposed(awaiting_for(false, 1), &[HoldChanges, Plans])]
#[case::proposed_again(awaiting_for(false, 2), &[Plans])]
#[case::waits(awaiting_for(true, 3), &[])]
#[case::no_decision(failed("orders"), &[Failures])]
#[case::another_reason(held(EVEN, 1), &[HoldChanges])]
#[case::the_same_reason(held(EVEN, 2), &[])]
#[case::without_a_record(decided(EVEN, None), &[])]
#[case::blind(held(UNMEASURED, 1), &[Failures, HoldChanges])]
#[case::blind_again(held(UNMEASURED, 2), &[Failures])]
#[case::blind_for_the_third_time(held(UNMEASURED, 3), &[])]
#[case::blind_for_the_fourth_time(held(UNMEASURED, 4), &[Failures])]
#[case::blind_without_a_record(decided(UNMEASURED, None), &[Failures])]
fn each_event_is_reported_if_it_is_chosen(
    #[case] workload: WorkloadReport,
    #[case] events: &[NotifyEvent],
) {
    for event in NotifyEvent::ALL {
        let found = super::event::event_of(&workload, &[event]);
        assert_eq!(found.is_some(), events.contains(&event), "{event:?}");
    }
    let report = report(vec![workload]);
    let sent = document(&report, NotifyFormat::Json, &NotifyEvent::ALL);
    assert_eq!(sent.is_some(), !events.is_empty());
}
