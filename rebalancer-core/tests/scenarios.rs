//! What-if: the loads of a group with other replicas, another assignor, or more partitions.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may panic"
)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use rebalancer_core::group::{Assignor, Protocol};
use rebalancer_core::scenario::{
    Scenario, ScenarioForecast, ScenarioProblem, ScenarioReport, ScenarioResult, what_if,
};
use rebalancer_core::{Policy, Snapshot};
use rstest::rstest;
use serde_json::{Value, json};

/// The cores per unit of rate.
const COST: f64 = 0.01;

/// A group of the topic `t`: the owning pod and the rate of each partition. The loads are exactly
/// what the rates explain.
fn group(pods: usize, partitions: &[(usize, f64)], kind: &str, assignor: &str) -> Value {
    let name = |pod: usize| format!("orders-{pod}");
    let load = |pod: usize| {
        let rates = partitions.iter().filter(|(owner, _)| *owner == pod);
        COST * rates.map(|(_, rate)| rate).sum::<f64>()
    };
    let listed: Vec<Value> = (0..pods)
        .map(|pod| json!({"name": name(pod), "load": load(pod)}))
        .collect();
    let owners: Vec<String> = partitions.iter().map(|(owner, _)| name(*owner)).collect();
    let rates: Vec<f64> = partitions.iter().map(|(_, rate)| *rate).collect();
    json!({
        "target": 0.5,
        "workload": {"namespace": "shop", "kind": kind, "name": "orders"},
        "pods": listed,
        "group": {"assignor": assignor, "topics": {"t": {"owners": owners, "rates": rates}}},
    })
}

fn evaluated(group: Value, scenarios: &[Scenario]) -> Result<ScenarioReport, ScenarioProblem> {
    let snapshot: Snapshot = serde_json::from_value(group).unwrap();
    what_if(&snapshot, &Policy::default(), scenarios)
}

/// The expected loads of one scenario.
fn expected(group: Value, scenario: Scenario) -> ScenarioForecast {
    let report = evaluated(group, &[scenario]).unwrap();
    let [_, result] = report.scenarios.as_slice() else {
        panic!("{report:?}");
    };
    result.expected.unwrap()
}

/// Eight equal partitions on four pods.
fn even() -> Value {
    let partitions: Vec<(usize, f64)> = (0..8).map(|partition| (partition / 2, 20.0)).collect();
    group(4, &partitions, "Deployment", "cooperative-sticky")
}

fn replicas(replicas: usize) -> Scenario {
    Scenario {
        replicas: Some(replicas),
        ..Scenario::default()
    }
}

fn assert_close(found: f64, expected: f64) {
    assert!(
        (found - expected).abs() < 1e-9,
        "{found} and not {expected}"
    );
}

#[rstest]
// Two partitions of 0.2 cores each.
#[case::as_it_is(Scenario::default(), 0.4, 0.0, 0.0)]
#[case::the_same_number(replicas(4), 0.4, 0.0, 0.0)]
#[case::one_partition_each(replicas(8), 0.2, 0.0, 4.0)]
#[case::more_pods_than_partitions(replicas(11), 0.2, 3.0, 4.0)]
#[case::two_pods(replicas(2), 0.8, 0.0, 4.0)]
#[case::one_pod(replicas(1), 1.6, 0.0, 6.0)]
#[case::without_a_pod(
    Scenario { without: vec!["orders-3".into()], ..Scenario::default() },
    0.6, 0.0, 2.0
)]
#[case::replaced_pod(
    Scenario { without: vec!["orders-3".into()], ..replicas(4) },
    0.4, 0.0, 2.0
)]
// The load of the topic is 1.6 cores; 16 partitions have 0.1 each.
#[case::twice_the_partitions(
    Scenario { partitions: BTreeMap::from([("t".into(), 16)]), ..Scenario::default() },
    0.4, 0.0, 0.0
)]
#[case::more_partitions_and_pods(
    Scenario { partitions: BTreeMap::from([("t".into(), 16)]), ..replicas(16) },
    0.1, 0.0, 4.0
)]
#[case::another_assignor(
    Scenario { assignor: Some(Assignor::RoundRobin), ..Scenario::default() },
    0.4, 0.0, 8.0
)]
#[case::another_protocol(
    Scenario { protocol: Some(Protocol::Consumer), ..Scenario::default() },
    0.4, 0.0, 8.0
)]
fn loads_follow_from_the_partitions(
    #[case] scenario: Scenario,
    #[case] peak: f64,
    #[case] idle: f64,
    #[case] least_moved: f64,
) {
    let found = expected(even(), scenario);
    assert_close(found.peak.mean, peak);
    assert_close(found.peak.p95, peak);
    assert_close(found.idle_pods.mean, idle);
    // A sticky assignor moves what it must; the moves that it needs depend on ids.
    assert!(found.moved_partitions.p5 >= least_moved, "{found:?}");
    assert_eq!(found.unowned_partitions, 0);
    let hot = found.hot_pods.unwrap();
    assert_eq!(hot.mean > 0.0, peak > 0.75, "{found:?}");
}

#[test]
fn the_first_result_is_the_group_as_it_is() {
    let group = group(2, &[(0, 90.0), (0, 10.0), (1, 20.0)], "Deployment", "range");
    let report = evaluated(group, &[replicas(3)]).unwrap();
    assert_eq!((report.pods, report.members, report.partitions), (2, 2, 3));
    assert_eq!((report.target, report.threshold), (Some(0.5), Some(0.75)));
    let first = &report.scenarios[0];
    assert_eq!(first.description, "as it is");
    assert_eq!(first.scenario, Scenario::default());
    let expected = first.expected.unwrap();
    assert_eq!((expected.samples, expected.moved_partitions.mean), (1, 0.0));
    // With two pods the line of the loads goes through the origin.
    assert!(expected.peak.mean > 0.9, "{expected:?}");
    assert_eq!(report.scenarios[1].description, "3 pods");
}

/// The pods with the highest ordinals leave, so the heavy pod 0 stays.
#[rstest]
#[case::stateful_set("StatefulSet", true)]
#[case::deployment("Deployment", false)]
fn scale_down_removes_the_highest_ordinals(#[case] kind: &str, #[case] known: bool) {
    let partitions: Vec<(usize, f64)> = (0..12).map(|pod| (pod, 10.0)).collect();
    let report = evaluated(
        group(12, &partitions, kind, "cooperative-sticky"),
        &[replicas(11)],
    )
    .unwrap();
    let ordinals = "a scale-down removes the pods with the highest ordinals";
    assert_eq!(
        report.assumptions.iter().any(|text| text == ordinals),
        known
    );
    let drawn = report
        .assumptions
        .iter()
        .any(|text| text.contains("drawn at random"));
    assert_eq!(drawn, !known, "{:?}", report.assumptions);
    let moved = report.scenarios[1].expected.unwrap().moved_partitions;
    assert_eq!((moved.p5, moved.p95), (1.0, 1.0));
}

#[rstest]
#[case::no_such_assignor(
    Scenario {
        assignor: Some(Assignor::CooperativeSticky),
        protocol: Some(Protocol::Consumer),
        ..Scenario::default()
    },
    "no assignor cooperative-sticky in a group of the consumer protocol"
)]
#[case::no_pod_is_left(
    Scenario {
        without: ["orders-0", "orders-1", "orders-2", "orders-3"].map(String::from).into(),
        ..Scenario::default()
    },
    "no pod is left"
)]
fn impossible_scenario_has_a_problem(#[case] scenario: Scenario, #[case] problem: &str) {
    let report = evaluated(even(), &[scenario, replicas(8)]).unwrap();
    let [_, impossible, possible] = report.scenarios.as_slice() else {
        panic!("{report:?}");
    };
    let found = impossible.problem.as_deref().unwrap();
    assert!(found.contains(problem), "{found}");
    assert_eq!(impossible.expected, None);
    assert!(possible.expected.is_some() && possible.problem.is_none());
}

#[test]
fn assignor_implies_the_protocol_that_has_it() {
    let scenario = Scenario {
        assignor: Some(Assignor::Uniform),
        ..Scenario::default()
    };
    let report = evaluated(even(), &[scenario]).unwrap();
    let ScenarioResult {
        assignor, protocol, ..
    } = &report.scenarios[1];
    assert_eq!(
        (*assignor, *protocol),
        (Assignor::Uniform, Protocol::Consumer)
    );
    assert!(
        report
            .assumptions
            .iter()
            .any(|text| text.contains("restarts every pod")),
        "{:?}",
        report.assumptions
    );
}

#[rstest]
#[case::pod(
    Scenario { without: vec!["orders-9".into()], ..Scenario::default() },
    "`orders-9` is not a ready pod of the workload; its ready pods are orders-0, orders-1"
)]
#[case::topic(
    Scenario { partitions: BTreeMap::from([("payments".into(), 16)]), ..Scenario::default() },
    "the group does not consume topic `payments`; its topics are t"
)]
#[case::fewer_partitions(
    Scenario { partitions: BTreeMap::from([("t".into(), 4)]), ..Scenario::default() },
    "topic `t` has 8 partitions, and Kafka cannot remove any: 4 are too few"
)]
fn names_must_exist(#[case] scenario: Scenario, #[case] message: &str) {
    let problem = evaluated(even(), &[scenario]).unwrap_err();
    assert!(problem.to_string().starts_with(message), "{problem}");
}

#[test]
fn unknown_or_unexplained_group_has_no_results() {
    let mut unowned = even();
    unowned["group"]["topics"]["t"]["owners"][3] = Value::Null;
    let problem = evaluated(unowned, &[]).unwrap_err().to_string();
    assert!(problem.contains("no owner, such as t-3"), "{problem}");
    let mut unexplained = even();
    for (pod, (load, rate)) in [(0.9, 10.0), (0.1, 20.0), (0.8, 30.0), (0.2, 40.0)]
        .iter()
        .enumerate()
    {
        unexplained["pods"][pod]["load"] = json!(load);
        unexplained["group"]["topics"]["t"]["rates"][2 * pod] = json!(rate);
    }
    let problem = evaluated(unexplained, &[]).unwrap_err();
    assert!(
        problem.to_string().contains("explain")
            && matches!(problem, ScenarioProblem::Unexplained { .. }),
        "{problem}"
    );
}

/// A slow pod keeps its residual load, unless it is replaced.
#[test]
fn residual_load_stays_with_its_pod() {
    let mut slow = even();
    slow["pods"][0]["load"] = json!(1.4);
    let stays = expected(slow.clone(), replicas(5));
    assert!(stays.peak.p5 > 1.0, "{stays:?}");
    let replaced = Scenario {
        without: vec!["orders-0".into()],
        ..replicas(4)
    };
    let gone = expected(slow, replaced);
    assert!(gone.peak.p95 < 0.6, "{gone:?}");
}

/// Owners and rates of up to 24 partitions on up to 8 pods.
fn groups() -> impl Strategy<Value = (usize, Vec<(usize, f64)>)> {
    (1_usize..8).prop_flat_map(|pods| {
        let partitions = prop::collection::vec((0..pods, 1.0_f64..100.0), 1..24);
        (Just(pods), partitions)
    })
}

fn scenarios() -> impl Strategy<Value = Scenario> {
    let assignors = prop::option::of(prop::sample::select(Assignor::ALL.to_vec()));
    let protocols = prop::option::of(prop::sample::select(vec![
        Protocol::Classic,
        Protocol::Consumer,
    ]));
    let replicas = prop::option::of(1_usize..12);
    let partitions = prop::option::of(24_usize..40);
    (replicas, assignors, protocols, partitions, any::<bool>()).prop_map(
        |(replicas, assignor, protocol, partitions, without)| Scenario {
            replicas,
            assignor,
            protocol,
            partitions: partitions
                .map(|count| ("t".to_owned(), count))
                .into_iter()
                .collect(),
            without: without.then(|| "orders-0".to_owned()).into_iter().collect(),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn results_are_consistent(
        (pods, partitions) in groups(),
        scenario in scenarios(),
        assignor in prop::sample::select(vec!["range", "roundrobin", "sticky", "cooperative-sticky"]),
        kind in prop::sample::select(vec!["Deployment", "StatefulSet"]),
    ) {
        let group = group(pods, &partitions, kind, assignor);
        let report = evaluated(group.clone(), std::slice::from_ref(&scenario));
        // Two or three pods may have loads that no line explains.
        prop_assume!(!matches!(report, Err(ScenarioProblem::Unexplained { .. })));
        let report = report.unwrap();
        prop_assert_eq!(report.scenarios.len(), 2);
        for result in &report.scenarios {
            let Some(expected) = &result.expected else {
                prop_assert!(result.problem.is_some());
                continue;
            };
            let (count, pods) = (result.partitions as f64, result.pods as f64);
            prop_assert!(expected.peak_to_mean.p5 >= 1.0 - 1e-9);
            prop_assert!(expected.idle_pods.p5 >= (pods - count).max(0.0), "{:?}", expected);
            prop_assert!(expected.idle_pods.p95 <= pods - 1.0, "{:?}", expected);
            prop_assert!(expected.moved_partitions.p95 <= report.partitions as f64);
            prop_assert!(expected.hot_pods.unwrap().p95 <= pods);
            prop_assert_eq!(expected.unowned_partitions, 0);
        }
        // The same arguments yield the same report.
        let again = evaluated(group, std::slice::from_ref(&scenario)).unwrap();
        prop_assert_eq!(&again, &report);
        let json = serde_json::to_string(&report).unwrap();
        prop_assert_eq!(&serde_json::from_str::<ScenarioReport>(&json).unwrap(), &report);
    }

    /// The sum over all pods is that of the partitions and of a base load for each pod.
    #[test]
    fn no_load_is_lost(pods in 3_usize..8, rates in prop::collection::vec(1.0_f64..100.0, 3..24), replicas in 1_usize..12) {
        let partitions: Vec<(usize, f64)> = rates.iter().enumerate().map(|(index, rate)| (index % pods, *rate)).collect();
        let report = evaluated(group(pods, &partitions, "Deployment", "cooperative-sticky"), &[self::replicas(replicas)]);
        prop_assume!(!matches!(report, Err(ScenarioProblem::Unexplained { .. })));
        let report = report.unwrap();
        let fit = report.fit.as_ref().unwrap();
        prop_assume!(fit.goodness > 0.999_999);
        let expected = report.scenarios[1].expected.unwrap();
        let total = fit.base * replicas as f64 + fit.cost * rates.iter().sum::<f64>();
        let mean = total / replicas as f64;
        // Every sample has the same mean, so the means of peak and imbalance agree.
        prop_assert!((expected.peak.mean / expected.peak_to_mean.mean - mean).abs() < 1e-6 * mean);
    }
}
