//! Snapshots of the tables and of the help. To accept a change of wording:
//! `INSTA_UPDATE=always cargo test -p rebalancer-cli render`, and review the diff.

use std::time::Duration;

use insta::assert_snapshot;
use jiff::Timestamp;
use rebalancer_core::approval::{DEFAULT_EXPIRY, await_approval};
use rebalancer_core::execution::{
    ExecutionOutcome, ExecutionReport, PodOutcome, PodReport, StaticMemberOutcome,
    StaticMemberReport, StopReason,
};
use rebalancer_core::group_details::GroupDetails;
use rebalancer_core::handover::{
    AbandonReason, HandoverDocument, HandoverOutcome, HandoverReport, HandoverWork,
};
use rebalancer_core::hold_record::{HeldSince, HoldRecord};
use rebalancer_core::model::{MinimumPods, Percent, PodUid, Seconds, WorkloadRef};
use rebalancer_core::policy::{Policy, Strategy};
use rebalancer_core::proposal::Proposal;
use rebalancer_core::report::{Decided, Failed, FollowUp, WorkloadReport};
use rebalancer_core::{Decision, Snapshot, decide};
use rstest::rstest;

use super::style::Palette;
use super::table::{Detail, workload};

fn snapshot(json: &str) -> Snapshot {
    serde_json::from_str(json).unwrap()
}

fn two_pods_may_remain() -> Policy {
    Policy {
        minimum_pods: MinimumPods::new(2).unwrap(),
        ..Policy::default()
    }
}

fn forecast() -> Policy {
    Policy {
        strategy: Strategy::Forecast,
        minimum_pods: MinimumPods::new(1).unwrap(),
        ..Policy::default()
    }
}

const UNEVEN: &str = r#"{"target": 0.7, "pods": [
    {"name": "a", "load": 1.2}, {"name": "b", "load": 1.1}, {"name": "c", "load": 0.8},
    {"name": "d", "load": 0.6}, {"name": "e", "load": 0.4}, {"name": "f", "load": 0.3}]}"#;

/// Six pods, of which four are rotated.
fn rotation() -> Decision {
    decide(&snapshot(UNEVEN), &two_pods_may_remain())
}

/// A rotation that needs approval: the decision of a later run if the plan `is_stored`, else that
/// of the run that proposes it.
pub(crate) fn awaiting(is_stored: bool) -> Decision {
    let at: Timestamp = "2026-01-02T03:00:00Z".parse().unwrap();
    let await_run = |snapshot: &Snapshot| {
        let policy = two_pods_may_remain();
        await_approval(
            decide(snapshot, &policy),
            snapshot,
            &policy,
            DEFAULT_EXPIRY,
            at,
        )
    };
    let first = await_run(&snapshot(UNEVEN));
    if !is_stored {
        return first;
    }
    let mut data = snapshot(UNEVEN).data().clone();
    data.proposal = Some(Proposal {
        plan: first.approval.map(|approval| approval.plan),
        approved: None,
    });
    await_run(&Snapshot::new(data).unwrap())
}

#[test]
fn plan_that_waits_for_approval() {
    let report = WorkloadReport::decided(awaiting(false), None);
    assert_snapshot!(render(&report, Detail::Pods));
}

fn render(report: &WorkloadReport, detail: Detail) -> String {
    let text = workload(report, detail, &Palette::plain());
    assert!(!text.contains('\u{1b}'), "{text}");
    text
}

fn render_decision(json: &str, policy: &Policy, detail: Detail) -> String {
    let decision = decide(&snapshot(json), policy);
    render(&WorkloadReport::decided(decision, None), detail)
}

#[test]
fn rotate() {
    let report = WorkloadReport::decided(rotation(), None);
    assert_snapshot!(render(&report, Detail::Pods));
}

#[test]
fn hold_with_ineligible_pods() {
    assert_snapshot!(render_decision(
        r#"{"target": 0.7, "pods": [
            {"name": "a", "load": 1.2}, {"name": "b", "load": 0.3},
            {"name": "c", "load": 0.5, "age_seconds": 20}, {"name": "d", "terminating": true},
            {"name": "e\u001b[2J", "load": 0.6, "ready": false}]}"#,
        &Policy::default(),
        Detail::Pods,
    ));
}

#[test]
fn hold_below_the_minimum_of_pods() {
    assert_snapshot!(render_decision(
        r#"{"target": 0.7, "pods": [
            {"name": "a", "load": 1.2}, {"name": "b", "load": 1.1}, {"name": "c", "load": 0.8},
            {"name": "d", "load": 0.6}, {"name": "e", "load": 0.4}, {"name": "f", "load": 0.3}]}"#,
        &Policy::default(),
        Detail::Pods,
    ));
}

#[test]
fn hold_because_of_missing_data() {
    assert_snapshot!(render_decision(
        r#"{"pods": [{"name": "a", "load": 1.2}, {"name": "b"}, {"name": "c"}]}"#,
        &Policy::default(),
        Detail::Pods,
    ));
}

#[test]
fn hold_without_replicas() {
    assert_snapshot!(render_decision(
        r#"{"target": 0.7, "pods": [], "rollout": {"generation": 1, "observed_generation": 1,
            "desired": 0, "current": 0, "updated": 0}}"#,
        &Policy::default(),
        Detail::Pods,
    ));
}

pub(super) const GROUP: &str = r#"{"target": 1, "pods": [
    {"name": "a", "load": 2.5}, {"name": "b", "load": 0.5}, {"name": "c", "load": 0.5},
    {"name": "d", "load": 0.5}],
    "group": {"id": "orders", "assignor": "cooperative-sticky", "topics": {"t": {
        "owners": ["a", "a", "b", "b", "c", "c", "d", "d"],
        "rates": [10, 15, 3, 2, 1, 4, 2, 3]}}}}"#;

#[test]
fn group_with_forecasts() {
    assert_snapshot!(render_decision(GROUP, &forecast(), Detail::Group));
}

/// The load of the pod that is behind is the one that its rates explain.
#[test]
fn group_with_a_pod_that_is_behind() {
    let json = GROUP.replace(
        r#""id": "orders""#,
        r#""id": "orders", "catching_up":
            {"partitions": ["t-0"], "lag": 90000, "window_seconds": 300}"#,
    );
    assert_snapshot!(render_decision(&json, &forecast(), Detail::Group));
}

#[test]
fn rotate_by_forecast() {
    assert_snapshot!(render_decision(GROUP, &forecast(), Detail::Pods));
}

#[test]
fn group_without_rates() {
    assert_snapshot!(render_decision(
        r#"{"target": 1, "pods": [{"name": "a", "load": 2.5}, {"name": "b", "load": 0.5}],
            "group": {"assignor": "range", "topics": {"t": {"owners": ["a", "a", "b", "b"]}}}}"#,
        &forecast(),
        Detail::Group,
    ));
}

#[test]
fn error() {
    let report = WorkloadReport::Failed(Failed {
        workload: WorkloadRef::default(),
        error: "cannot list pods of namespace default: 403 Forbidden".into(),
    });
    assert_snapshot!(render(&report, Detail::Pods));
}

fn pod(name: &str, outcome: PodOutcome, message: Option<&str>) -> PodReport {
    PodReport {
        name: name.into(),
        uid: PodUid(name.into()),
        outcome,
        message: message.map(str::to_owned),
        budget: None,
    }
}

#[test]
fn run_report_of_an_incomplete_rotation() {
    let execution = ExecutionReport {
        outcome: ExecutionOutcome::Incomplete,
        stopped: Some(StopReason::WaveIncomplete),
        message: "1 of 4 pods evicted, 1 blocked, 2 not attempted".into(),
        dry_run: false,
        note: None,
        pods: vec![
            pod("a", PodOutcome::Evicted, None),
            pod(
                "b",
                PodOutcome::Blocked,
                Some("PodDisruptionBudget consumer"),
            ),
            pod("f", PodOutcome::NotAttempted, None),
            pod("e", PodOutcome::NotAttempted, None),
        ],
        static_members: Vec::new(),
    };
    let report = WorkloadReport::decided(rotation(), Some(execution));
    assert_snapshot!(render(&report, Detail::Pods));
}

#[test]
fn run_report_of_a_dry_run_with_a_budget() {
    let waits = "PodDisruptionBudget tight allows 1 disruption at a time";
    let execution = ExecutionReport {
        outcome: ExecutionOutcome::Completed,
        stopped: None,
        message: "dry run: 1 of 2 pods would be evicted at once, 1 would wait for \
                  PodDisruptionBudget tight (allows 1 disruption) up to the eviction timeout"
            .into(),
        dry_run: true,
        note: None,
        pods: vec![
            pod("a", PodOutcome::Evicted, None),
            pod("b", PodOutcome::WouldWait, Some(waits)),
        ],
        static_members: Vec::new(),
    };
    let report = WorkloadReport::decided(rotation(), Some(execution));
    assert_snapshot!(render(&report, Detail::Pods));
}

#[test]
fn run_report_of_a_dry_run_without_the_budgets() {
    let execution = ExecutionReport {
        outcome: ExecutionOutcome::Completed,
        stopped: None,
        message: "dry run: 1 of 1 pods would be evicted".into(),
        dry_run: true,
        note: Some(
            "each eviction was checked alone, so PodDisruptionBudgets may allow fewer at once: may \
             not list poddisruptionbudgets"
                .into(),
        ),
        pods: vec![pod("a", PodOutcome::Evicted, None)],
        static_members: Vec::new(),
    };
    let report = WorkloadReport::decided(rotation(), Some(execution));
    assert_snapshot!(render(&report, Detail::Pods));
}

#[test]
fn run_report_of_a_dry_run() {
    let execution = ExecutionReport {
        outcome: ExecutionOutcome::Completed,
        stopped: None,
        message: "dry run: 2 of 2 pods would be evicted".into(),
        dry_run: true,
        note: None,
        pods: vec![
            pod("a", PodOutcome::Evicted, None),
            pod("b", PodOutcome::AlreadyGone, None),
        ],
        static_members: Vec::new(),
    };
    let report = WorkloadReport::decided(rotation(), Some(execution));
    assert_snapshot!(render(&report, Detail::Pods));
}

fn static_member(
    pod: &str,
    outcome: StaticMemberOutcome,
    message: Option<&str>,
) -> StaticMemberReport {
    StaticMemberReport {
        instance: format!("orders-{pod}"),
        id: format!("orders-{pod}-1"),
        pod: pod.into(),
        uid: PodUid(pod.into()),
        outcome,
        message: message.map(str::to_owned),
    }
}

#[test]
fn run_report_with_static_members() {
    use StaticMemberOutcome::{AlreadyGone, Failed, Kept, Removed};
    let execution = ExecutionReport {
        outcome: ExecutionOutcome::Completed,
        stopped: None,
        message: "4 of 4 pods evicted".into(),
        dry_run: false,
        note: None,
        pods: ["a", "b", "f", "e"]
            .map(|name| pod(name, PodOutcome::Evicted, None))
            .into(),
        static_members: vec![
            static_member("a", Removed, None),
            static_member("b", AlreadyGone, None),
            static_member(
                "f",
                Kept,
                Some("another process has joined with its instance id"),
            ),
            static_member(
                "e",
                Failed,
                Some("the coordinator did not remove it: not authorized"),
            ),
        ],
    };
    let report = WorkloadReport::decided(rotation(), Some(execution));
    assert_snapshot!(render(&report, Detail::Pods));
}

#[test]
fn run_report_of_a_dry_run_with_a_static_member() {
    let execution = ExecutionReport {
        outcome: ExecutionOutcome::Completed,
        stopped: None,
        message: "dry run: 1 of 1 pods would be evicted".into(),
        dry_run: true,
        note: None,
        pods: vec![pod("a", PodOutcome::Evicted, None)],
        static_members: vec![static_member("a", StaticMemberOutcome::WouldRemove, None)],
    };
    let report = WorkloadReport::decided(rotation(), Some(execution));
    assert_snapshot!(render(&report, Detail::Pods));
}

#[test]
fn run_report_with_a_follow_up() {
    let report = WorkloadReport::Decided(Box::new(Decided {
        decision: rotation(),
        held: None,
        execution: None,
        hand_over: None,
        consumer_group: None,
        follow_up: Some(FollowUp {
            after_seconds: Duration::from_secs(660).into(),
            outcome: None,
            message: "the outcome is not known: after 660 s Prometheus is gone".into(),
        }),
    }));
    assert_snapshot!(render(&report, Detail::Pods));
}

#[rstest]
#[case::hour(3_600, "run_report_of_a_lasting_hold")]
#[case::days(259_200, "run_report_of_a_hold_that_needs_an_operator")]
fn run_report_of_a_lasting_hold(#[case] seconds: u32, #[case] name: &str) {
    let pods =
        r#"{"target": 0.7, "pods": [{"name": "a", "load": 1.2}, {"name": "b", "load": 0.3}]}"#;
    let decision = decide(&snapshot(pods), &Policy::default());
    let reason = decision.hold_reason().unwrap();
    let since = Timestamp::UNIX_EPOCH;
    let now = Timestamp::from_second(seconds.into()).unwrap();
    let record = HoldRecord {
        reason: reason.as_str().into(),
        since,
        runs: 7,
        any_reason: None,
    };
    let held = HeldSince::of(&record, reason, now, Seconds::whole(86_400));
    let report = WorkloadReport::Decided(Box::new(Decided {
        decision,
        held: Some(held),
        execution: None,
        hand_over: None,
        follow_up: None,
        consumer_group: None,
    }));
    assert_snapshot!(name, render(&report, Detail::Pods));
}

/// Names as Kubernetes generates them, an ineligible pod, and a rotation before.
const LONG_NAMES: &str = r#"{"target": 0.7, "taken_at": "2027-01-15T08:00:00Z",
    "workload": {"namespace": "posthog", "kind": "Deployment", "name": "events-ingestion"},
    "last_rotation": {"time": "2027-01-15T06:00:00Z", "victims": ["a"], "imbalance_before": 2.4,
        "imbalance_hoped": 1.5, "strategy": "rotate-outliers"},
    "pods": [
    {"name": "events-ingestion-6b7b87f58f-4r8hp", "load": 1.4},
    {"name": "events-ingestion-6b7b87f58f-685sp", "load": 1.2},
    {"name": "events-ingestion-6b7b87f58f-dmnsw", "load": 0.9},
    {"name": "events-ingestion-6b7b87f58f-dxz4d", "load": 0.7},
    {"name": "events-ingestion-6b7b87f58f-mrq2z", "load": 0.6},
    {"name": "events-ingestion-6b7b87f58f-thg8n", "load": 0.5, "age_seconds": 200},
    {"name": "events-ingestion-6b7b87f58f-zf7q8", "load": 0.3},
    {"name": "events-ingestion-6b7b87f58f-zzsfl", "load": 0.2}],
    "group": {"id": "ingestion", "assignor": "cooperative-sticky", "topics": {"t": {
        "owners": ["events-ingestion-6b7b87f58f-4r8hp", "events-ingestion-6b7b87f58f-4r8hp",
            "events-ingestion-6b7b87f58f-685sp", "events-ingestion-6b7b87f58f-685sp",
            "events-ingestion-6b7b87f58f-dmnsw", "events-ingestion-6b7b87f58f-dxz4d",
            "events-ingestion-6b7b87f58f-mrq2z", "events-ingestion-6b7b87f58f-thg8n",
            "events-ingestion-6b7b87f58f-zf7q8", "events-ingestion-6b7b87f58f-zzsfl"],
        "rates": [7, 7, 6, 6, 9, 7, 6, 5, 3, 2]}}}}"#;

fn render_at(width: usize, strategy: Strategy, detail: Detail) -> String {
    let policy = Policy {
        strategy,
        ..Policy::default()
    };
    let decision = decide(&snapshot(LONG_NAMES), &policy);
    let execution = ExecutionReport {
        outcome: ExecutionOutcome::Incomplete,
        stopped: Some(StopReason::WaveIncomplete),
        message: "1 of 2 pods evicted, 1 blocked (PodDisruptionBudget events-ingestion)".into(),
        dry_run: false,
        note: None,
        pods: vec![
            pod(
                "events-ingestion-6b7b87f58f-4r8hp",
                PodOutcome::Evicted,
                None,
            ),
            pod(
                "events-ingestion-6b7b87f58f-685sp",
                PodOutcome::Blocked,
                Some("Cannot evict pod as it would violate the pod's disruption budget."),
            ),
        ],
        static_members: Vec::new(),
    };
    let report = WorkloadReport::decided(decision, Some(execution));
    workload(&report, detail, &Palette::plain().with_width(Some(width)))
}

#[rstest]
#[case(80)]
#[case(100)]
#[case(160)]
fn table_fits_the_terminal(#[case] width: usize) {
    let text = render_at(width, Strategy::RotateOutliers, Detail::Pods);
    assert_snapshot!(format!("width_{width}"), text);
    let text = render_at(width, Strategy::Forecast, Detail::Group);
    assert_snapshot!(format!("group_width_{width}"), text);
}

#[test]
fn lines_fit_every_width_and_words_are_not_broken() {
    let words = |text: &str| {
        text.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let whole = words(&render_at(500, Strategy::RotateOutliers, Detail::Pods));
    for width in 80..=200 {
        for (strategy, detail) in [
            (Strategy::RotateOutliers, Detail::Pods),
            (Strategy::Forecast, Detail::Pods),
            (Strategy::Forecast, Detail::Group),
        ] {
            let text = render_at(width, strategy, detail);
            for line in text.lines() {
                assert!(line.chars().count() <= width, "{width}: {line:?}");
            }
        }
        let text = render_at(width, Strategy::RotateOutliers, Detail::Pods);
        for word in words(&text) {
            let is_drawn = word.contains(['…', '█', '│', '┃']) || whole.contains(&word);
            assert!(is_drawn, "{width}: {word:?} is a part of a word");
        }
    }
}

#[test]
fn sentence_of_the_decision_is_shown_once() {
    for json in [
        LONG_NAMES,
        r#"{"pods": [{"name": "a", "load": 1.2}, {"name": "b"}]}"#,
    ] {
        let decision = decide(&snapshot(json), &Policy::default());
        let message = decision.message.clone();
        let text = render(&WorkloadReport::decided(decision, None), Detail::Pods);
        assert_eq!(text.matches(&message).count(), 1, "{text}");
    }
}

#[rstest]
#[case::helped(2.4, 0, "last rotation: 2.0 h ago, helped")]
#[case::did_not_help(1.5, 1, "last rotation: 2.0 h ago, did not help")]
fn table_shows_whether_the_last_rotation_helped(
    #[case] before: f64,
    #[case] ineffective: u32,
    #[case] line: &str,
) {
    let mut document: serde_json::Value = serde_json::from_str(LONG_NAMES).unwrap();
    document["last_rotation"]["imbalance_before"] = before.into();
    document["last_rotation"]["futile"] = ineffective.into();
    let text = render_decision(&document.to_string(), &Policy::default(), Detail::Pods);
    let shown = text.lines().filter(|shown| shown.starts_with(line));
    assert_eq!(shown.count(), 1, "{text}");
}

#[test]
fn help_fits_80_columns() {
    let help = crate::args::command()
        .term_width(80)
        .render_long_help()
        .to_string();
    for line in help.lines() {
        assert!(line.chars().count() <= 80, "{line:?}");
    }
}

#[test]
fn help() {
    assert_snapshot!(crate::args::command().render_help());
}

#[test]
fn help_in_full() {
    assert_snapshot!(crate::args::command().render_long_help());
}

/// A group as its brokers describe it: two members in one pod, a static member, a pod without a
/// member, a member of another workload, and a partition that is behind.
const DESCRIBED: &str = r#"{"workload": {"namespace": "shop", "kind": "Deployment", "name": "orders"},
    "pods": [
    {"name": "orders-6b7b87f58f-4r8hp", "load": 1.4},
    {"name": "orders-6b7b87f58f-685sp", "load": 0.5},
    {"name": "orders-6b7b87f58f-dmnsw"},
    {"name": "orders-6b7b87f58f-dxz4d", "load": 0.2}],
    "group": {"id": "orders", "assignor": "cooperative-sticky", "client": "librdkafka",
        "rate_unit": "records/s",
        "described": {"kind": "classic", "state": "Stable", "protocol_type": "consumer",
            "assignor": "cooperative-sticky", "client": "librdkafka",
            "cluster_id": "cmViYWxhbmNlci10ZXN0cw",
            "pods_without_member": ["orders-6b7b87f58f-dxz4d"]},
        "members": [
            {"pod": "orders-6b7b87f58f-4r8hp", "name": "orders-6b7b87f58f-4r8hp/rdkafka-1",
                "id": "rdkafka-1", "client_id": "rdkafka", "host": "/10.0.0.1", "rack": "eu-1a"},
            {"pod": "orders-6b7b87f58f-4r8hp", "name": "orders-6b7b87f58f-4r8hp/rdkafka-2",
                "id": "rdkafka-2", "client_id": "rdkafka", "host": "/10.0.0.1", "rack": "eu-1a"},
            {"pod": "orders-6b7b87f58f-685sp", "id": "orders-1-x", "client_id": "rdkafka",
                "instance": "orders-1", "host": "/10.0.0.2", "rack": ""},
            {"pod": "orders-6b7b87f58f-dmnsw", "id": "rdkafka-3", "client_id": "rdkafka",
                "host": "/10.0.0.3", "topics": ["payments"]}],
        "catching_up": {"partitions": ["orders-1"], "lag": 90210, "window_seconds": 300},
        "notes": ["ready pods without a member in the group: orders-6b7b87f58f-dxz4d"],
        "topics": {
            "orders": {"owners": ["orders-6b7b87f58f-4r8hp/rdkafka-1",
                    "orders-6b7b87f58f-4r8hp/rdkafka-2", "orders-6b7b87f58f-685sp"],
                "rates": [800, 412.25, 17.5], "lags": [12, 90210, null]},
            "payments": {"owners": ["orders-6b7b87f58f-dmnsw"], "rates": [0.5], "lags": [0]}}}}"#;

fn members_of(json: &str, partitions: bool, width: Option<usize>) -> String {
    let snapshot = snapshot(json);
    let mut report = WorkloadReport::decided(decide(&snapshot, &forecast()), None);
    let WorkloadReport::Decided(decided) = &mut report else {
        panic!("{report:?}");
    };
    decided.consumer_group = GroupDetails::of(&snapshot).map(Box::new);
    let palette = Palette::plain().with_width(width);
    workload(&report, Detail::Members { partitions }, &palette)
}

#[rstest]
#[case(80)]
#[case(120)]
fn members_of_a_group(#[case] width: usize) {
    let text = members_of(DESCRIBED, true, Some(width));
    assert_snapshot!(format!("members_width_{width}"), text);
}

#[test]
fn members_of_a_group_by_metrics() {
    assert_snapshot!(members_of(GROUP, false, None));
}

#[test]
fn members_outside_the_workload_and_a_rebalance() {
    let json = r#"{"pods": [{"name": "a", "load": 0.5}], "group": {"id": "orders",
        "described": {"kind": "consumer", "state": "Reconciling", "protocol_type": "consumer",
            "outside_members": [
                {"client_id": "batch\u001b[2J", "host": "/10.9.9.9", "partitions": ["t-0", "t-1"]},
                {"instance": "i", "id": "m"}]},
        "protocol": "consumer", "members": [{"pod": "a"}], "partial": "members outside",
        "topics": {"t": {"owners": [null, null, "a"]}}}}"#;
    let text = members_of(json, false, Some(100));
    assert!(!text.contains('\u{1b}'), "{text}");
    assert_snapshot!(text);
}

#[test]
fn lines_of_members_fit_every_width() {
    for width in 80..=160 {
        for line in members_of(DESCRIBED, true, Some(width)).lines() {
            assert!(line.chars().count() <= width, "{width}: {line:?}");
        }
    }
}

/// Pods whose names Kubernetes generated, as members of a group that its brokers describe. The
/// first two own the heavy partitions.
pub(super) fn described() -> String {
    let pods = ["4r8hp", "685sp", "dmnsw", "dxz4d"].map(|pod| format!("events-6b7b87f58f-{pod}"));
    let rates = [[400, 350, 60], [300, 90, 80], [90, 60, 50], [80, 70, 30]];
    let load = |rates: &[u32]| f64::from(rates.iter().sum::<u32>()).mul_add(0.001, 0.1);
    let loads = pods
        .iter()
        .zip(&rates)
        .map(|(pod, rates)| serde_json::json!({"name": pod, "load": load(rates)}));
    let members = pods
        .iter()
        .map(|pod| serde_json::json!({"pod": pod, "id": format!("id-{pod}")}));
    let owners = pods.iter().flat_map(|pod| [pod, pod, pod]);
    serde_json::json!({
        "target": 0.4,
        "pods": loads.collect::<Vec<_>>(),
        "group": {
            "id": "events",
            "assignor": "cooperative-sticky",
            "members": members.collect::<Vec<_>>(),
            "topics": {"events": {"owners": owners.collect::<Vec<_>>(), "rates": rates.concat()}},
            "described": {
                "kind": "classic", "state": "Stable", "protocol_type": "consumer",
                "assignor": "cooperative-sticky", "client": "java",
            },
        },
    })
    .to_string()
}

fn assign(minimum_improvement: f64) -> Decision {
    described_by(Strategy::Assign, minimum_improvement)
}

fn described_by(strategy: Strategy, minimum_improvement: f64) -> Decision {
    let policy = Policy {
        strategy,
        minimum_improvement_percent: Percent::new(minimum_improvement).unwrap(),
        ..Policy::default()
    };
    decide(&snapshot(&described()), &policy)
}

#[rstest]
#[case::wide(None, "rejoin")]
#[case::narrow(Some(80), "rejoin_in_80_columns")]
fn rejoin(#[case] width: Option<usize>, #[case] name: &str) {
    let palette = Palette {
        width,
        ..Palette::plain()
    };
    let report = WorkloadReport::decided(described_by(Strategy::Rejoin, 10.0), None);
    let text = workload(&report, Detail::Pods, &palette);
    assert_snapshot!(name, text);
}

/// In a group of KIP-848, the cost has the seconds for which two members may process a partition.
#[test]
fn rejoin_in_a_group_of_kip_848() {
    let mut value: serde_json::Value = serde_json::from_str(&described()).unwrap();
    let group = &mut value["group"];
    for (name, text) in [("assignor", "uniform"), ("protocol", "consumer")] {
        group[name] = text.into();
    }
    for (name, text) in [("assignor", "uniform"), ("kind", "consumer")] {
        group["described"][name] = text.into();
    }
    group["described"]["removable_members"] = true.into();
    let policy = Policy {
        strategy: Strategy::Rejoin,
        rejoin_consumer_protocol: true,
        ..Policy::default()
    };
    let decision = decide(&snapshot(&value.to_string()), &policy);
    assert_snapshot!(render(
        &WorkloadReport::decided(decision, None),
        Detail::Pods
    ));
    // Without permission it is a hold that names the setting.
    let policy = Policy {
        rejoin_consumer_protocol: false,
        ..policy
    };
    let decision = decide(&snapshot(&value.to_string()), &policy);
    let text = render(&WorkloadReport::decided(decision, None), Detail::Pods);
    assert!(text.contains("REJOIN_CONSUMER_PROTOCOL"), "{text}");
}

#[test]
fn rejoin_that_does_not_help_enough() {
    let report = WorkloadReport::decided(described_by(Strategy::Rejoin, 90.0), None);
    assert_snapshot!(render(&report, Detail::Pods));
}

/// The table of a rejoin is as wide as the terminal, and no wider.
#[test]
fn lines_of_a_rejoin_fit_every_width() {
    for width in 80..=160 {
        let palette = Palette {
            width: Some(width),
            ..Palette::plain()
        };
        let report = WorkloadReport::decided(described_by(Strategy::Rejoin, 10.0), None);
        for line in workload(&report, Detail::Pods, &palette).lines() {
            assert!(line.chars().count() <= width, "{width}: {line:?}");
        }
    }
}

#[rstest]
#[case::wide(None, "assignment")]
#[case::narrow(Some(80), "assignment_in_80_columns")]
fn assignment(#[case] width: Option<usize>, #[case] name: &str) {
    let palette = Palette {
        width,
        ..Palette::plain()
    };
    let report = WorkloadReport::decided(assign(10.0), None);
    let text = workload(&report, Detail::Pods, &palette);
    assert_snapshot!(name, text);
}

#[test]
fn assignment_that_does_not_help_enough() {
    let report = WorkloadReport::decided(assign(90.0), None);
    assert_snapshot!(render(&report, Detail::Pods));
}

#[test]
fn assignment_that_was_abandoned() {
    let handed_over = HandoverReport {
        outcome: HandoverOutcome::Abandoned(AbandonReason::SlowRejoin {
            took: Duration::from_secs(9),
            limit: Duration::from_secs(6),
        }),
        rebalances: 2,
        probe_seconds: None,
        seconds: Seconds::whole(16),
        removed: 0,
        returned: 0,
        moved: Some(0),
        double_processing: None,
        settled: true,
    };
    let report = WorkloadReport::decided(assign(10.0), None).with_hand_over(Some(
        HandoverDocument::new(&handed_over, HandoverWork::Moves(5)),
    ));
    let text = render(&report, Detail::Pods);
    let last = text.lines().last().unwrap();
    assert_eq!(
        last,
        "handed over: the hand-over was abandoned: the members took 9.0 s to rejoin, more than 6.0 s: \
         every rebalance takes as long; reduce the time between polls (`max.poll.records`, the work per \
         batch); 2 rebalances in 16.0 s; the group is at rest"
    );
}
