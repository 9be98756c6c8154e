//! The exposition as a whole. To accept a change: `INSTA_UPDATE=always cargo test -p rebalancer-cli
//! metrics`, and review the diff.

use std::collections::HashSet;

use insta::assert_snapshot;
use jiff::Timestamp;
use rebalancer_core::execution::{ExecutionOutcome, ExecutionReport, PodOutcome, PodReport};
use rebalancer_core::hold_record::{HeldSince, HoldRecord};
use rebalancer_core::model::{MinimumPods, Seconds, WorkloadRef};
use rebalancer_core::policy::{Policy, Strategy};
use rebalancer_core::report::{Decided, Failed, WorkloadReport};
use rebalancer_core::{Decision, HoldReason, Snapshot, decide};
use rstest::rstest;

use super::*;

/// A group with a hot pod, a young one and one that is not ready, and a rotation before.
const GROUP: &str = r#"{"target": 0.7, "taken_at": "2027-01-15T08:00:00Z",
    "workload": {"namespace": "shop", "kind": "Deployment", "name": "orders"},
    "last_rotation": {"time": "2027-01-15T06:00:00Z", "victims": ["a"], "imbalance_before": 2.4,
        "imbalance_hoped": 1.5, "imbalance_range": [1.3, 1.9], "strategy": "forecast"},
    "pods": [
        {"name": "pod-a", "load": 2.5}, {"name": "pod-b", "load": 0.5},
        {"name": "pod-c", "load": 0.5}, {"name": "pod-d", "load": 0.5},
        {"name": "pod-e", "load": 0.1, "age_seconds": 20},
        {"name": "pod-f", "load": 0.6, "ready": false}],
    "group": {"id": "orders", "assignor": "cooperative-sticky",
        "members": [{"pod": "pod-a", "instance": "orders-0"}, {"pod": "pod-b"}, {"pod": "pod-c"},
            {"pod": "pod-d"}, {"pod": "pod-e"}],
        "topics": {"t": {
            "owners": ["pod-a", "pod-a", "pod-b", "pod-b", "pod-c", "pod-c", "pod-d", "pod-d"],
            "rates": [10, 15, 3, 2, 1, 4, 2, 3], "lags": [100, 20, 3, null, 0, 0, 0, 0]}}}}"#;

/// A group for which the forecast finds a plan.
const FORECAST: &str = r#"{"target": 1, "pods": [
    {"name": "a", "load": 2.5}, {"name": "b", "load": 0.5}, {"name": "c", "load": 0.5},
    {"name": "d", "load": 0.5}],
    "group": {"id": "orders", "assignor": "cooperative-sticky", "topics": {"t": {
        "owners": ["a", "a", "b", "b", "c", "c", "d", "d"],
        "rates": [10, 15, 3, 2, 1, 4, 2, 3]}}}}"#;

fn snapshot(json: &str) -> Snapshot {
    serde_json::from_str(json).unwrap()
}

fn policy() -> Policy {
    Policy {
        strategy: Strategy::RotateOutliers,
        minimum_pods: MinimumPods::new(1).unwrap(),
        ..Policy::default()
    }
}

fn time(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// Facts of a run of 12.5 s that ended at this second.
fn facts(second: i64) -> RunFacts {
    RunFacts {
        times: Some(Times {
            started: time(second) - jiff::SignedDuration::from_millis(12_500),
            finished: time(second),
        }),
        ..RunFacts::default()
    }
}

/// The report of a decision whose victims had these outcomes, in the order of the plan.
fn executed(decision: Decision, dry_run: bool, outcomes: &[PodOutcome]) -> WorkloadReport {
    let victims = decision.plan().unwrap().victims().iter();
    let pods = victims.zip(outcomes).map(|(victim, outcome)| PodReport {
        name: victim.name.clone(),
        uid: victim.uid.clone(),
        outcome: *outcome,
        message: None,
        budget: None,
    });
    let pods: Vec<PodReport> = pods.collect();
    let incomplete = pods.iter().any(|pod| !pod.outcome.is_success());
    let execution = ExecutionReport {
        outcome: if incomplete {
            ExecutionOutcome::Incomplete
        } else {
            ExecutionOutcome::Completed
        },
        stopped: None,
        message: String::new(),
        dry_run,
        note: None,
        pods,
        static_members: Vec::new(),
    };
    WorkloadReport::decided(decision, Some(execution))
}

fn rotation() -> Decision {
    decide(&snapshot(GROUP), &policy())
}

fn failed() -> WorkloadReport {
    WorkloadReport::Failed(Failed {
        workload: WorkloadRef {
            namespace: "shop".into(),
            kind: "Rollout.v1alpha1.argoproj.io".into(),
            name: "carts".into(),
        },
        error: "cannot list pods of namespace shop: 403 Forbidden".into(),
    })
}

fn held(reason_since: Option<i64>) -> WorkloadReport {
    let pods = r#"{"target": 0.7, "workload": {"namespace": "shop", "kind": "StatefulSet",
        "name": "mails"}, "pods": [{"name": "a", "load": 1.2}, {"name": "b", "load": 0.3}]}"#;
    let decision = decide(&snapshot(pods), &Policy::default());
    let reason = decision.hold_reason().unwrap();
    let held = reason_since.map(|since| {
        let record = HoldRecord {
            reason: reason.as_str().into(),
            since: time(since),
            runs: 7,
            any_reason: None,
        };
        HeldSince::of(&record, reason, time(0), Seconds::whole(86_400))
    });
    WorkloadReport::Decided(Box::new(Decided {
        decision,
        held,
        execution: None,
        hand_over: None,
        follow_up: None,
        consumer_group: None,
    }))
}

fn exposition(reports: &[WorkloadReport], runs: &[RunFacts], previous: &Previous) -> Exposition {
    Exposition::new(&WorkloadFacts::of_all(reports, runs), Part::All, previous)
}

/// The value of the only series with this beginning.
fn value(text: &str, series: &str) -> Option<f64> {
    let mut lines = text.lines().filter(|line| line.starts_with(series));
    let line = lines.next()?;
    assert_eq!(lines.next(), None, "{series} is not one series: {text}");
    Some(line.rsplit_once(' ').unwrap().1.parse().unwrap())
}

#[test]
fn openmetrics_of_several_workloads() {
    let rotated = executed(
        rotation(),
        false,
        &[
            PodOutcome::Evicted,
            PodOutcome::Evicted,
            PodOutcome::Blocked,
        ],
    );
    let of_rotated = RunFacts {
        group: GroupFacts::of(&snapshot(GROUP)),
        ..facts(60)
    };
    let reports = [rotated, held(Some(-7_200)), failed()];
    let runs = [of_rotated, facts(30), facts(20)];
    let exposition = exposition(&reports, &runs, &Previous::default());
    assert_snapshot!(exposition.openmetrics());
}

#[test]
fn prometheus_text_of_a_forecast_in_a_dry_run() {
    let policy = Policy {
        strategy: Strategy::Forecast,
        ..policy()
    };
    let decision = decide(&snapshot(FORECAST), &policy);
    let report = executed(
        decision,
        true,
        &[PodOutcome::Evicted, PodOutcome::WouldWait],
    );
    let run = RunFacts {
        dry_run: true,
        ..facts(60)
    };
    let text = exposition(&[report], &[run], &Previous::default()).prometheus_text();
    // The sets of words are in the other snapshot.
    let lines = text
        .lines()
        .filter(|line| !line.starts_with("rebalancer_hold_reason{"));
    assert_snapshot!(lines.collect::<Vec<&str>>().join("\n"));
}

#[rstest]
#[case::acted(executed(rotation(), false, &[PodOutcome::Evicted; 4]), RunResult::Acted)]
#[case::planned(executed(rotation(), true, &[PodOutcome::Evicted; 4]), RunResult::Planned)]
#[case::plan(WorkloadReport::decided(rotation(), None), RunResult::Planned)]
#[case::incomplete(executed(rotation(), false, &[PodOutcome::Blocked]), RunResult::Incomplete)]
#[case::held(held(Some(-7_200)), RunResult::Held)]
#[case::held_without_a_lease(held(None), RunResult::Held)]
#[case::needs_operator(held(Some(-90_000)), RunResult::NeedsOperator)]
#[case::failed(failed(), RunResult::Failed)]
#[case::missing_data(
    WorkloadReport::decided(decide(&snapshot(r#"{"pods": []}"#), &Policy::default()), None),
    RunResult::MissingData
)]
fn result_follows_from_the_report(#[case] report: WorkloadReport, #[case] result: RunResult) {
    assert_eq!(RunResult::of(&report), result);
    let text = exposition(&[report], &[facts(0)], &Previous::default()).prometheus_text();
    let states = text
        .lines()
        .filter(|line| line.starts_with("rebalancer_last_run_result{"));
    let current: Vec<&str> = states.filter(|line| line.ends_with(" 1.0")).collect();
    assert_eq!(current.len(), 1, "{text}");
    assert!(current[0].contains(&format!("result=\"{}\"", result.as_str())));
    let success = value(&text, "rebalancer_last_success_timestamp_seconds{");
    assert_eq!(success.is_some(), result.is_success());
}

#[rstest]
#[case::openmetrics(Exposition::openmetrics)]
#[case::prometheus_text(Exposition::prometheus_text)]
fn file_of_either_format_is_continued(#[case] encode: fn(&Exposition) -> String) {
    let rotated = [executed(rotation(), false, &[PodOutcome::Evicted; 4])];
    let first = encode(&exposition(&rotated, &[facts(0)], &Previous::default()));
    let of_orders = WorkloadReport::Failed(Failed {
        workload: rotation().workload,
        error: "no connection".into(),
    });
    let second = exposition(&[of_orders], &[facts(600)], &Previous::parse(&first));
    let second = second.prometheus_text();
    let third = exposition(&rotated, &[facts(1200)], &Previous::parse(&second));
    let third = third.prometheus_text();

    let success = "rebalancer_last_success_timestamp_seconds{";
    let rotation = "rebalancer_last_rotation_timestamp_seconds{";
    assert_eq!(value(&second, success), Some(1_800_000_000.0));
    assert_eq!(value(&second, rotation), Some(1_800_000_000.0));
    assert_eq!(value(&third, success), Some(1_800_001_200.0));
    let last_run = "rebalancer_last_run_timestamp_seconds{";
    assert_eq!(value(&second, last_run), Some(1_800_000_600.0));
    // Gauges of the last run do not survive it.
    assert_eq!(value(&second, "rebalancer_load_mean{"), None);
    let runs = |text: &str, status: &str| {
        let labels = "workload_namespace=\"shop\",workload_kind=\"Deployment\",\
                      workload_name=\"orders\"";
        value(
            text,
            &format!("rebalancer_executions_total{{{labels},status=\"{status}\"}}"),
        )
    };
    assert_eq!(
        (runs(&second, "success"), runs(&second, "error")),
        (Some(1.0), Some(1.0))
    );
    assert_eq!(
        (runs(&third, "success"), runs(&third, "error")),
        (Some(2.0), Some(1.0))
    );
}

#[test]
fn parts_divide_the_metrics() {
    let reports = [executed(rotation(), false, &[PodOutcome::Evicted; 4])];
    let runs = [facts(0)];
    let names = |part| {
        let facts = WorkloadFacts::of_all(&reports, &runs);
        let text = Exposition::new(&facts, part, &Previous::default()).prometheus_text();
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        types.map(str::to_owned).collect::<Vec<String>>()
    };
    let kept = names(Part::Kept);
    assert_eq!(
        kept,
        [
            "rebalancer_last_success_timestamp_seconds gauge",
            "rebalancer_last_rotation_timestamp_seconds gauge"
        ]
    );
    let last_run = names(Part::LastRun);
    assert!(kept.iter().all(|name| !last_run.contains(name)));
    assert_eq!(names(Part::All).len(), kept.len() + last_run.len());
    let failed = [failed()];
    let facts = WorkloadFacts::of_all(&failed, &runs);
    assert!(Exposition::new(&facts, Part::Kept, &Previous::default()).is_empty());
}

/// One series for each pod would grow without a bound, because evictions create pods.
#[test]
fn no_series_has_the_name_of_a_pod() {
    let reports = [executed(rotation(), false, &[PodOutcome::Failed; 4])];
    let text = exposition(&reports, &[facts(0)], &Previous::default()).openmetrics();
    assert!(!text.contains("pod-a"), "{text}");
}

#[test]
fn definitions_are_consistent() {
    let mut names = HashSet::new();
    let reports = [
        executed(rotation(), false, &[PodOutcome::Evicted; 4]),
        held(Some(-7_200)),
        failed(),
    ];
    let runs = [facts(0), facts(0), facts(0)];
    for metric in METRICS {
        let name = metric.name();
        assert!(name.starts_with("rebalancer_"), "{name}");
        assert!(names.insert(name.clone()), "{name} is defined twice");
        assert!(
            !metric.help().is_empty() && !metric.help().ends_with('.'),
            "{name}"
        );
        assert_eq!(
            name.ends_with("_total"),
            metric.kind() == MetricKind::Counter,
            "{name}"
        );
        for facts in WorkloadFacts::of_all(&reports, &runs) {
            for sample in (metric.samples)(&facts) {
                let labels: Vec<&str> = sample.labels.iter().map(|(label, _)| *label).collect();
                assert_eq!(labels, metric.labels(), "{name}");
            }
        }
    }
}

/// Dashboards of the Go program's users keep their queries.
#[test]
fn names_of_the_go_program_exist() {
    let names: Vec<String> = METRICS.iter().map(Metric::name).collect();
    for name in [
        "rebalancer_executions_total",
        "rebalancer_pods_analyzed_total",
        "rebalancer_pods_deleted_total",
        "rebalancer_execution_duration_seconds",
        "rebalancer_load_variance_current",
        "rebalancer_api_errors_total",
    ] {
        assert!(names.iter().any(|known| known == name), "{name}");
    }
}

#[test]
fn every_hold_reason_is_a_series() {
    let text = exposition(&[failed()], &[facts(0)], &Previous::default()).openmetrics();
    for reason in HoldReason::all() {
        assert!(
            text.contains(&format!("reason=\"{reason}\"}} 0.0")),
            "{reason}"
        );
    }
}

/// The lines of an exposition that are not about a run.
fn of_process(text: &str) -> String {
    let names = [
        "rebalancer_leader",
        "rebalancer_next_run",
        "rebalancer_config",
        "rebalancer_missed",
        "rebalancer_run_duration",
    ];
    let lines = text.lines();
    let own = lines.filter(|line| names.iter().any(|name| line.contains(name)));
    own.map(|line| format!("{line}\n")).collect()
}

#[test]
fn served_metrics_are_those_of_the_last_run_and_of_the_process() {
    let served = ServedMetrics::default();
    served.set_leader(true);
    served.set_next_run(time(600));
    served.config_applied(time(0));
    served.add_missed_runs(2);
    for second in [60, 660] {
        let (reports, runs) = ([failed()], [facts(second)]);
        served.run_ended(&WorkloadFacts::of_all(&reports, &runs));
    }
    let open = served.exposition().openmetrics();
    let text = served.exposition().prometheus_text();
    assert_snapshot!(
        "served",
        format!("{}\n{}", of_process(&open), of_process(&text))
    );
    // Counters go on from the run before.
    assert!(text.contains("status=\"error\"} 2.0\n"), "{text}");
    served.config_refused();
    served.set_leader(false);
    let standby = served.exposition().prometheus_text();
    assert!(standby.contains("rebalancer_leader 0.0\n"), "{standby}");
    assert!(standby.contains("_reload_successful 0.0\n"), "{standby}");
    assert!(!standby.contains("rebalancer_executions"), "{standby}");
    assert!(
        standby.contains("rebalancer_run_duration_seconds_count{"),
        "{standby}"
    );

    // A process that leads again has no last run until its next one; counters go on.
    served.set_leader(true);
    let again = served.exposition().prometheus_text();
    assert!(!again.contains("rebalancer_last_run"), "{again}");
    let run = |second| {
        served.run_ended(&WorkloadFacts::of_all(&[failed()], &[facts(second)]));
        served.exposition().prometheus_text()
    };
    let text = run(1260);
    assert!(text.contains("status=\"error\"} 3.0\n"), "{text}");
    // A run that ends after the leadership is not shown later either.
    served.set_leader(false);
    run(1860);
    served.set_leader(true);
    let again = served.exposition().prometheus_text();
    assert!(!again.contains("rebalancer_last_run"), "{again}");
}
