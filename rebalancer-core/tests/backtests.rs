//! The decisions on the metrics of the past.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use rebalancer_core::backtest::{
    BacktestReport, Circumstances, MetricsHistory, PartialSpan, PodSeries, Replay,
};
use rebalancer_core::model::{MinimumPods, Seconds};
use rebalancer_core::{HoldReason, Policy, Snapshot};

/// The loads of six pods that are rotated, and of six that are not, for a target of 0.7.
const SKEWED: [f64; 6] = [1.2, 1.1, 0.8, 0.6, 0.4, 0.3];
const EVEN: [f64; 6] = [0.7, 0.72, 0.68, 0.7, 0.71, 0.69];

/// A history with the loads of all pods at each time, every 10 minutes. `None` is no data.
fn history(times: &[Option<[f64; 6]>]) -> MetricsHistory {
    let series = |value: &dyn Fn(f64) -> f64| {
        (0..6)
            .map(|pod| {
                let mut series = PodSeries::new(format!("orders-{pod}"));
                for (index, loads) in times.iter().enumerate() {
                    if let Some(loads) = loads {
                        series.set(index, value(loads[pod]));
                    }
                }
                series
            })
            .collect::<Vec<_>>()
    };
    MetricsHistory {
        start: Timestamp::UNIX_EPOCH,
        step: SignedDuration::from_mins(10),
        instants: times.len(),
        loads: series(&|load| load),
        sample_ages: Some(series(&|_| 10.0)),
        window_coverage: Some(series(&|_| 1.0)),
        series_counts: Some(series(&|_| 1.0)),
        ..MetricsHistory::default()
    }
}

fn present() -> Snapshot {
    serde_json::from_value(serde_json::json!({
        "workload": {"namespace": "shop", "kind": "StatefulSet", "name": "orders"},
        "target": 0.7,
        "pods": [],
    }))
    .unwrap()
}

fn policy() -> Policy {
    Policy {
        minimum_pods: MinimumPods::new(2).unwrap(),
        cooldown_seconds: Seconds::whole(900),
        ..Policy::default()
    }
}

fn replayed(
    history: &MetricsHistory,
    first: usize,
    circumstances: impl Fn(usize) -> Circumstances,
) -> BacktestReport {
    let (present, policy) = (present(), policy());
    let mut replay = Replay::new(history, first, &present, &policy, None);
    let mut index = first;
    while let Some(at) = replay.next_at() {
        assert_eq!(at, history.at(index));
        replay.run(circumstances(index));
        index += 1;
    }
    replay.finish(vec!["given".to_owned()])
}

fn of_reason(report: &BacktestReport, reason: HoldReason) -> usize {
    let mut holds = report.holds.iter();
    holds
        .find(|hold| hold.reason == reason)
        .map_or(0, |hold| hold.runs)
}

#[test]
fn even_loads_never_lead_to_an_action() {
    let report = replayed(&history(&[Some(EVEN); 5]), 0, |_| Circumstances::default());
    assert_eq!(
        (report.runs, report.actions.len(), report.evictions),
        (5, 0, 0)
    );
    assert_eq!(of_reason(&report, HoldReason::WITHIN_TOLERANCE), 5);
    let hold = &report.holds[0];
    assert_eq!(hold.seconds, Seconds::whole(3000));
    assert_eq!(hold.longest_seconds, Seconds::whole(3000));
    assert!(hold.mean_imbalance.unwrap() < 1.03 && !hold.missing_data);
    assert_eq!(report.step_seconds, Seconds::whole(600));
    assert_eq!(report.until, history(&[]).at(4));
    assert_eq!(report.assumptions[0], "given");
    let acted = report
        .assumptions
        .iter()
        .any(|text| text.contains("without the effect"));
    assert!(!acted, "{:?}", report.assumptions);
}

/// The record of an action is that of a real one: its cooldown applies, then the back-off, because
/// the loads stay as they were.
#[test]
fn cooldown_and_back_off_apply_to_simulated_actions() {
    let mut times = vec![Some(EVEN); 2];
    times.extend([Some(SKEWED); 12]);
    let report = replayed(&history(&times), 0, |_| Circumstances::default());
    let first = &report.actions[0];
    assert_eq!(first.at, history(&[]).at(2));
    assert_eq!(first.pods, ["orders-0", "orders-1", "orders-5", "orders-4"]);
    assert!(
        first.imbalance_expected < first.imbalance_before,
        "{first:?}"
    );
    // One run after each action.
    assert_eq!(of_reason(&report, HoldReason::COOLDOWN), 3);
    // Two cooldowns of 900 s after the first action, and four after the second one.
    assert_eq!(report.actions[1].at, history(&[]).at(5));
    assert_eq!(report.actions[2].at, history(&[]).at(11));
    assert_eq!(report.actions.len(), 3);
    assert_eq!(report.evictions, 12);
    let acted = report
        .assumptions
        .iter()
        .any(|text| text.contains("without the effect"));
    assert!(acted, "{:?}", report.assumptions);
}

#[test]
fn imbalance_with_the_actions_falls_as_each_expected() {
    let mut times = vec![Some(EVEN); 2];
    times.extend([Some(SKEWED), Some(SKEWED), None]);
    let report = replayed(&history(&times), 0, |_| Circumstances::default());
    let action = &report.actions[0];
    let found = &report.imbalance;
    // The action itself finds the imbalance that it is to lower.
    assert_eq!(found.with_actions[..3], found.series[..3]);
    assert_eq!(found.with_actions[2], action.imbalance_before);
    // The next run measures the same loads.
    let (with, expected) = (found.with_actions[3], action.imbalance_expected);
    assert!(
        (with.unwrap() - expected.unwrap()).abs() < 1e-9,
        "{found:?}"
    );
    assert_eq!((found.series[4], found.with_actions[4]), (None, None));
    assert!(found.mean_with_actions < found.mean, "{found:?}");

    let report = replayed(&history(&[Some(EVEN); 5]), 0, |_| Circumstances::default());
    assert_eq!(report.imbalance.with_actions, []);
    assert_eq!(report.imbalance.mean_with_actions, None);
}

#[test]
fn times_before_the_first_run_only_show_ages() {
    let mut times = vec![None; 2];
    times.extend([Some(SKEWED); 3]);
    // The pods began at the third time, so that the fourth one is later than the cooldown.
    let report = replayed(&history(&times), 2, |_| Circumstances::default());
    assert_eq!((report.runs, report.since), (3, history(&[]).at(2)));
    assert_eq!(of_reason(&report, HoldReason::GROUP_NOT_SETTLED), 2);
    assert_eq!(report.actions[0].at, history(&[]).at(4));
}

#[test]
fn time_without_data_is_not_decided() {
    let report = replayed(&history(&[Some(EVEN), None, Some(EVEN)]), 0, |_| {
        Circumstances::default()
    });
    assert_eq!((report.runs, report.runs_without_data), (3, 1));
    let known: Vec<bool> = report
        .imbalance
        .series
        .iter()
        .map(Option::is_some)
        .collect();
    assert_eq!(known, [true, false, true]);
    let hold = report
        .holds
        .iter()
        .find(|hold| hold.reason == HoldReason::WITHIN_TOLERANCE);
    assert_eq!(hold.unwrap().longest_seconds, Seconds::whole(600));
}

#[test]
fn freeze_and_partial_metrics_hold() {
    let mut partial = history(&[Some(SKEWED); 4]);
    partial.partial.push(PartialSpan {
        first: 2,
        last: 3,
        message: "a store was down".into(),
    });
    let report = replayed(&partial, 0, |index| Circumstances {
        frozen: (index < 2).then(|| "always".to_owned()),
        group: None,
    });
    assert_eq!(of_reason(&report, HoldReason::FROZEN), 2);
    assert_eq!(of_reason(&report, HoldReason::METRICS_PARTIAL), 2);
    let missing = report.holds.iter().find(|hold| hold.missing_data).unwrap();
    assert!(missing.message.contains("a store was down"), "{missing:?}");
    assert!(report.actions.is_empty());
}

fn loads() -> impl Strategy<Value = Vec<Option<[f64; 6]>>> {
    prop::collection::vec(
        prop::option::weighted(0.9, prop::array::uniform6(0.0_f64..2.0)),
        1..20,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn each_run_has_one_outcome(times in loads(), first in 0_usize..4) {
        let history = history(&times);
        let report = replayed(&history, first, |_| Circumstances::default());
        let held: usize = report.holds.iter().map(|hold| hold.runs).sum();
        prop_assert_eq!(held + report.actions.len() + report.runs_without_data, report.runs);
        prop_assert_eq!(report.runs, times.len().saturating_sub(first));
        prop_assert_eq!(report.imbalance.series.len(), report.runs);
        for pair in report.actions.windows(2) {
            let apart = pair[1].at.duration_since(pair[0].at).as_secs_f64();
            prop_assert!(apart >= policy().cooldown_seconds.get());
        }
        for hold in &report.holds {
            prop_assert!(hold.longest_seconds <= hold.seconds);
        }
        let again = replayed(&history, first, |_| Circumstances::default());
        prop_assert_eq!(&again, &report);
        let json = serde_json::to_string(&report).unwrap();
        prop_assert!(serde_json::from_str::<BacktestReport>(&json).is_ok());
    }
}
