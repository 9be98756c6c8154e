//! Snapshots of the documents, and properties of both formats.

use insta::assert_snapshot;
use rebalancer_core::execution::{ExecutionOutcome, ExecutionReport, PodOutcome, PodReport};
use rebalancer_core::group_details::GroupDetails;
use rebalancer_core::history::RotationOutcome;
use rebalancer_core::model::{MinimumPods, PodUid, Seconds, WorkloadRef};
use rebalancer_core::policy::{Policy, Strategy};
use rebalancer_core::report::{Failed, FollowUp, Report, ReportCommand, WorkloadReport};
use rebalancer_core::{Snapshot, decide};
use rstest::rstest;

use super::Page;
use crate::commands::run::untimed_report;
use crate::render::tests::{GROUP, awaiting, described};
use crate::render::{backtest, scenarios};
use crate::settings::ReportFormat;

const UNEVEN: &str = r#"{"target": 0.7, "pods": [
    {"name": "a", "load": 1.2}, {"name": "b", "load": 1.1}, {"name": "c", "load": 0.8},
    {"name": "d", "load": 0.6}, {"name": "e", "load": 0.4}, {"name": "f", "load": 0.3},
    {"name": "g", "load": 0.5, "ready": false}]}"#;

fn decided(json: &str, strategy: Strategy) -> WorkloadReport {
    let snapshot: Snapshot = serde_json::from_str(json).unwrap();
    let policy = Policy {
        strategy,
        minimum_pods: MinimumPods::new(1).unwrap(),
        ..Policy::default()
    };
    let mut report = WorkloadReport::decided(decide(&snapshot, &policy), None);
    if let WorkloadReport::Decided(decided) = &mut report {
        decided.consumer_group = GroupDetails::of(&snapshot).map(Box::new);
    }
    report
}

fn html(report: &Report) -> String {
    Page::of_report(report).html()
}

fn markdown(report: &Report) -> String {
    Page::of_report(report).markdown()
}

fn report(workloads: Vec<WorkloadReport>) -> Report {
    untimed_report(ReportCommand::Run, workloads)
}

/// A rotation of which one pod was not evicted, and its measured effect.
fn executed() -> WorkloadReport {
    let mut report = decided(UNEVEN, Strategy::RotateOutliers);
    let WorkloadReport::Decided(decided) = &mut report else {
        panic!("{report:?}");
    };
    let pod = |name: &str, outcome, message: Option<&str>| PodReport {
        name: name.into(),
        uid: PodUid(name.into()),
        outcome,
        message: message.map(str::to_owned),
        budget: None,
    };
    decided.execution = Some(ExecutionReport {
        outcome: ExecutionOutcome::Incomplete,
        stopped: None,
        message: "1 of 2 pods evicted, 1 blocked".into(),
        dry_run: false,
        note: None,
        pods: vec![
            pod("a", PodOutcome::Evicted, None),
            pod("b", PodOutcome::Blocked, Some("PodDisruptionBudget tight")),
        ],
        static_members: Vec::new(),
    });
    decided.follow_up = Some(FollowUp {
        after_seconds: Seconds::new(300.0).unwrap(),
        outcome: Some(RotationOutcome {
            before: 1.71,
            hoped: 1.2,
            forecast: Some((1.1, 1.4)),
            now: 1.3,
        }),
        message: "imbalance 1.71 before, 1.30 now".into(),
    });
    report
}

#[test]
fn plan_that_waits_for_approval_is_shown_with_the_command_that_approves_it() {
    let decision = awaiting(true);
    let id = decision.approval.as_ref().unwrap().plan.id.clone();
    let report = report(vec![WorkloadReport::decided(decision, None)]);
    let command = format!("rebalancer approve -n default deployment/workload --id {id}");
    for text in [html(&report), markdown(&report)] {
        for part in [
            command.as_str(),
            "evict a (hottest, load 1.200)",
            "HOLD (approval",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}

fn failed(error: &str) -> WorkloadReport {
    WorkloadReport::Failed(Failed {
        workload: WorkloadRef::default(),
        error: error.into(),
    })
}

/// Documents with every kind of block.
fn examples() -> Vec<(&'static str, Page)> {
    let reports = [
        ("executed", report(vec![executed()])),
        ("forecast", report(vec![decided(GROUP, Strategy::Forecast)])),
        (
            "assign",
            report(vec![decided(&described(), Strategy::Assign)]),
        ),
        (
            "several",
            report(vec![
                decided(UNEVEN, Strategy::RotateOutliers),
                failed("cannot list pods: 403 <Forbidden> & \"more\""),
            ]),
        ),
    ];
    let reports = reports.iter();
    let mut pages: Vec<_> = reports
        .map(|(name, report)| (*name, Page::of_report(report)))
        .collect();
    let actions = vec![
        backtest::tests::action(1_790_010_000, &["orders-a", "orders-<b>"]),
        backtest::tests::action(1_790_060_000, &["orders-c"]),
    ];
    let acted = backtest::tests::example(actions);
    let held = backtest::tests::example(Vec::new());
    let what_if = scenarios::tests::document(&scenarios::tests::axes());
    pages.push(("backtest", Page::of_backtest(&acted)));
    pages.push(("backtest_held", Page::of_backtest(&held)));
    pages.push(("what_if", Page::of_scenarios(&what_if)));
    pages
}

#[test]
fn documents() {
    for (name, page) in examples() {
        assert_snapshot!(format!("{name}_markdown"), page.markdown());
        assert_snapshot!(format!("{name}_html"), page.html());
    }
}

/// The names of the elements that are open at each end tag match, and all are closed at the end.
fn assert_well_formed(html: &str) {
    const VOID: [&str; 1] = ["!DOCTYPE"];
    let mut open: Vec<&str> = Vec::new();
    for part in html.split('<').skip(1) {
        let (tag, _) = part
            .split_once('>')
            .unwrap_or_else(|| panic!("no end: {part}"));
        let name = tag.trim_start_matches('/');
        let name = name.split([' ', '/']).next().unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "{part}");
        } else if !tag.ends_with('/') && !VOID.contains(&name) {
            open.push(name);
        }
    }
    assert_eq!(open, Vec::<&str>::new());
}

#[test]
fn html_is_well_formed_and_needs_nothing_else() {
    for (name, page) in examples() {
        let html = page.html();
        assert_well_formed(&html);
        for foreign in ["<script", "<link", "src=", "url(", "@import", "http"] {
            assert!(!html.contains(foreign), "{name}: {foreign}");
        }
    }
}

#[rstest]
#[case::element("<script>alert(1)</script>")]
#[case::attribute("\"><img onerror='x'>")]
#[case::control("\u{1b}[31m\u{0}")]
fn foreign_text_is_no_markup(#[case] text: &str) {
    let report = report(vec![failed(text)]);
    let html = html(&report);
    assert_well_formed(&html);
    assert!(
        !html.contains("<script>") && !html.contains("<img"),
        "{html}"
    );
    assert!(
        !html.contains('\u{1b}') && !html.contains('\u{0}'),
        "{html}"
    );
    let markdown = markdown(&report);
    assert!(
        !markdown.contains(" <script>") && !markdown.contains('\u{1b}'),
        "{markdown}"
    );
}

#[test]
fn cell_of_a_table_is_one_cell() {
    let markdown = markdown(&report(vec![decided(
        r#"{"target": 0.7, "pods": [{"name": "a|b\nc", "load": 1.2}]}"#,
        Strategy::RotateOutliers,
    )]));
    assert!(markdown.contains(r"| a\|b c | 1.200 |"), "{markdown}");
}

#[test]
fn large_workloads_are_shortened() {
    let pods: Vec<String> = (0..1000)
        .map(|number| format!(r#"{{"name": "pod-{number}", "load": 0.7}}"#))
        .collect();
    let json = format!(r#"{{"target": 0.7, "pods": [{}]}}"#, pods.join(","));
    let report = report(vec![decided(&json, Strategy::RotateOutliers)]);
    let html = html(&report);
    assert!(html.contains("and 800 more pods"), "{html}");
    assert!(markdown(&report).contains("and 955 more pods"));
}

/// The line of a chart is interrupted where the value is not known.
#[test]
fn gap_in_the_time_is_a_gap_in_the_line() {
    let page = Page::of_backtest(&backtest::tests::example(Vec::new()));
    let html = page.html();
    let (_, path) = html.split_once("<path class=\"series0\" d=\"").unwrap();
    let (path, _) = path.split_once('"').unwrap();
    assert_eq!(path.matches('M').count(), 2, "{path}");
    assert_eq!(path.matches(['M', 'L']).count(), 95, "{path}");
}

#[test]
fn workload_without_a_backtest_says_why() {
    let mut document = backtest::tests::example(Vec::new());
    document.workloads[0].backtest = None;
    document.workloads[0].error = Some("no <history>".into());
    let page = Page::of_backtest(&document);
    assert!(page.html().contains("<b>ERROR</b>no &lt;history&gt;"));
    assert!(page.markdown().contains("**ERROR**: no \\<history>"));
}

#[rstest]
#[case("report.html", Some(ReportFormat::Html))]
#[case("out.d/REPORT.HTM", Some(ReportFormat::Html))]
#[case("report.md", Some(ReportFormat::Markdown))]
#[case("report", None)]
#[case("out.html/report", None)]
fn format_follows_from_the_name(#[case] file: &str, #[case] format: Option<ReportFormat>) {
    assert_eq!(ReportFormat::of(file), format);
}
