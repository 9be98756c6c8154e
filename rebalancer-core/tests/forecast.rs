//! The strategies `forecast` and `auto`: each diagnosis, each hold, and that what they choose is
//! what they promise.
#![expect(clippy::unwrap_used, reason = "what helpers of tests unwrap is there")]

use proptest::prelude::*;
use rebalancer_core::forecast::Diagnosis;
use std::num::NonZeroUsize;

use rebalancer_core::model::{MaxUnavailable, MinimumPods, Percent, TopK};
use rebalancer_core::policy::Strategy as Rule;
use rebalancer_core::{Decision, HoldReason, Policy, Snapshot, decide};
use rstest::rstest;
use serde_json::{Value, json};

fn policy(strategy: Rule) -> Policy {
    Policy {
        strategy,
        ..Policy::default()
    }
}

fn snapshot(value: Value) -> Snapshot {
    serde_json::from_value(value).unwrap()
}

/// A group of one topic: the pods a, b, c, … with the rates of their partitions; a pod spends a
/// hundredth of a core for each record per second and nothing else.
fn group(assignor: &str, rates: &[&[f64]], target: f64) -> Value {
    let names: Vec<String> = ('a'..).take(rates.len()).map(String::from).collect();
    let pods: Vec<Value> = names
        .iter()
        .zip(rates)
        .map(|(name, rates)| json!({"name": name, "load": rates.iter().sum::<f64>() / 100.0}))
        .collect();
    let owners: Vec<&String> = names
        .iter()
        .zip(rates)
        .flat_map(|(name, rates)| rates.iter().map(move |_| name))
        .collect();
    let rates: Vec<f64> = rates.concat();
    json!({
        "target": target,
        "pods": pods,
        "group": {"assignor": assignor, "topics": {"t": {"owners": owners, "rates": rates}}},
    })
}

fn forecast(value: Value) -> Decision {
    decide(&snapshot(value), &policy(Rule::Forecast))
}

/// Six pods with three partitions each, all alike but for the first, which has the heavy ones.
const SKEWED: [&[f64]; 6] = [
    &[40.0, 45.0, 50.0],
    &[10.0, 10.0, 15.0],
    &[10.0, 15.0, 10.0],
    &[20.0, 10.0, 10.0],
    &[10.0, 10.0, 20.0],
    &[15.0, 10.0, 10.0],
];

#[test]
fn few_evictions_that_help_are_chosen() {
    let decision = forecast(group("cooperative-sticky", &SKEWED, 0.5));
    let plan = decision.plan().expect(&decision.message);
    let report = decision.group.as_ref().unwrap();
    let chosen = report.chosen.as_ref().unwrap();
    let names: Vec<&str> = plan
        .victims()
        .iter()
        .map(|victim| victim.name.as_str())
        .collect();
    assert_eq!(names, chosen.victims);
    assert_eq!(names[0], "a");
    assert!(names.len() <= 2, "{names:?}");
    assert!(chosen.forecast.expected_fall_percent >= 10.0);
    assert!(chosen.forecast.confidence_percent >= 80.0);
    assert!(
        decision
            .message
            .contains("; the highest load is expected to fall by "),
        "{}",
        decision.message
    );
    assert!(
        decision
            .message
            .ends_with("assignor cooperative-sticky (set by GROUP_ASSIGNOR)")
    );
    // Every plan has fewer hot pods and the numbers of pods and partitions are those of the group.
    assert_eq!(
        (report.members, report.partitions, report.hot_pods),
        (6, 18, 1)
    );
    assert!(chosen.forecast.moved_partitions.p5 >= 3.0);
}

fn without_rates(mut value: Value) -> Value {
    let topic = value["group"]["topics"]["t"].as_object_mut().unwrap();
    topic.remove("rates");
    value
}

fn with(mut value: Value, change: impl FnOnce(&mut Value)) -> Value {
    change(&mut value);
    value
}

/// Uneven rates that no assignor that counts partitions could do better with.
const EVEN: [&[f64]; 4] = [
    &[40.0, 40.0, 39.0],
    &[31.0, 30.0, 30.0],
    &[30.0, 30.0, 31.0],
    &[30.0, 29.0, 30.0],
];

#[rstest]
#[case::positional_assignor(
    group("range", &SKEWED, 0.5),
    "positional_assignor",
    "evicting cannot change the loads, only who carries which: the assignor is range (set by \
     GROUP_ASSIGNOR), which goes by the rank of the member ids; use cooperative-sticky (or \
     uniform, with group.protocol=consumer)"
)]
#[case::recognised(
    with(group("range", &SKEWED, 0.5), |value| {
        value["group"].as_object_mut().unwrap().remove("assignor");
    }),
    "positional_assignor",
    "evicting cannot change the loads, only who carries which: the assignor is range (recognised \
     by who owns what; GROUP_ASSIGNOR overrules it), which goes by the rank of the member ids; \
     use cooperative-sticky (or uniform, with group.protocol=consumer)"
)]
#[case::capacity(
    group("cooperative-sticky", &SKEWED, 0.2),
    "capacity",
    "the pods spend 0.533 cores on average, above the threshold of 0.300: however the partitions \
     are spread there are too few pods; scale from 6 to 16"
)]
#[case::hot_partition(
    group("cooperative-sticky", &[
        &[95.0, 5.0, 5.0], &[10.0, 10.0, 15.0], &[10.0, 15.0, 10.0], &[20.0, 10.0, 10.0],
    ], 0.6),
    "hot_partition",
    "whoever owns partition t-0 is hot: it alone takes 0.950 cores, above the threshold of 0.900 \
     (now on a); more partitions or better keys would help, evicting cannot"
)]
#[case::too_few_partitions(
    group("cooperative-sticky", &[&[95.0], &[10.0], &[20.0], &[]], 0.6),
    "too_few_partitions",
    "3 partitions for 4 pods: each pod has one or none, however they are given out; add \
     partitions, or run 3 pods"
)]
#[case::remainder(
    group("cooperative-sticky", &[
        &[30.0, 30.0, 30.0], &[30.0, 30.0, 30.0], &[30.0, 30.0], &[30.0, 30.0],
    ], 0.5),
    "remainder",
    "10 partitions do not divide among 4 pods: 2 of them carry one more, which makes them hot; 5 \
     pods divide them evenly"
)]
#[case::static_membership(
    with(group("cooperative-sticky", &SKEWED, 0.5), |value| {
        value["workload"] = json!({"namespace": "n", "kind": "StatefulSet", "name": "w"});
        value["group"]["members"] = ["a", "b", "c", "d", "e", "f"]
            .iter()
            .map(|pod| json!({"pod": pod, "instance": pod}))
            .collect();
    }),
    "static_membership",
    "evicting changes nothing: 6 members are static (group.instance.id), and the replacement of a \
     pod gets the same partitions back"
)]
#[case::no_plan_helps(
    group("cooperative-sticky", &EVEN, 0.7),
    "no_plan_helps",
    "at least 10 % and 80 % confidence are needed"
)]
#[case::nobody_hot(
    group("range", &SKEWED, 5.0),
    "within_tolerance",
    "no eligible pod is above the threshold of 7.500 cores"
)]
#[case::unexplained(
    with(group("cooperative-sticky", &SKEWED, 0.5), |value| {
        for (pod, load) in value["pods"].as_array_mut().unwrap().iter_mut().zip([
            0.2, 1.0, 0.3, 1.1, 0.2, 0.9,
        ]) {
            pod["load"] = json!(load);
        }
    }),
    "loads_unexplained",
    "too little to forecast anything"
)]
#[case::nothing_known(
    json!({"target": 0.5, "pods": [{"name": "a", "load": 2}, {"name": "b", "load": 0.1}]}),
    "group_unknown",
    "nobody says who owns which partition: set GROUP_METRICS or GROUP_ASSIGNMENT_QUERY"
)]
#[case::partial(
    with(group("cooperative-sticky", &SKEWED, 0.5), |value| {
        value["group"]["partial"] = json!("a store is down");
    }),
    "group_unknown",
    "the group is known in part only: a store is down"
)]
#[case::rebalancing(
    with(group("cooperative-sticky", &SKEWED, 0.5), |value| {
        value["group"]["topics"]["t"]["owners"][3] = Value::Null;
    }),
    "group_not_settled",
    "1 partitions have no owner, t-3 for one: the group is rebalancing, or does not consume them"
)]
#[case::rebalanced_lately(
    with(group("cooperative-sticky", &SKEWED, 0.5), |value| {
        value["group"]["moved_lately"] = json!(7);
    }),
    "group_not_settled",
    "7 partitions changed hands within the cooldown: the loads are not those of the present \
     owners yet"
)]
fn each_hold_has_its_reason_and_its_advice(
    #[case] value: Value,
    #[case] reason: &str,
    #[case] says: &str,
) {
    let decision = forecast(value);
    assert_eq!(
        decision.hold_reason().map(HoldReason::as_str),
        Some(reason),
        "{}",
        decision.message
    );
    assert!(decision.message.contains(says), "{}", decision.message);
}

/// A plan that the minimum of ready pods forbids is not even tried; one that goes in waves is.
#[rstest]
#[case::of_six(3, MaxUnavailable::All, 3)]
#[case::one_may_be_out(5, MaxUnavailable::All, 1)]
#[case::in_waves(5, MaxUnavailable::Pods(NonZeroUsize::MIN), 4)]
#[case::none_may_be_out(6, MaxUnavailable::All, 1)]
fn plans_leave_enough_ready_pods(
    #[case] minimum: usize,
    #[case] max_unavailable: MaxUnavailable,
    #[case] largest: usize,
) {
    let policy = Policy {
        minimum_pods: MinimumPods::new(minimum).unwrap(),
        max_unavailable,
        minimum_confidence_percent: Percent::new(50.0).unwrap(),
        ..policy(Rule::Forecast)
    };
    let decision = decide(
        &snapshot(group("cooperative-sticky", &SKEWED, 0.5)),
        &policy,
    );
    let plans = &decision.group.as_ref().unwrap().plans;
    let sizes = plans.iter().map(|plan| plan.victims.len());
    assert_eq!(sizes.max(), Some(largest), "{plans:?}");
    // What is possible at all is judged by the check, which says so.
    let reason = (minimum == 6).then_some(HoldReason::MinimumPods);
    assert_eq!(decision.hold_reason(), reason, "{}", decision.message);
}

#[test]
fn a_topic_that_makes_the_load_and_is_spread_unevenly_is_named() {
    // Each pod has four partitions; one has most of the heavy topic's.
    let owners =
        |names: &[&str]| -> Vec<String> { names.iter().map(ToString::to_string).collect() };
    let decision = forecast(json!({
        "target": 1.0,
        "pods": [
            {"name": "a", "load": 2.0}, {"name": "b", "load": 1.0}, {"name": "c", "load": 0.6},
        ],
        "group": {"assignor": "cooperative-sticky", "topics": {
            "heavy": {
                "owners": owners(&["a", "a", "a", "b", "b", "c"]),
                "rates": [100, 100, 100, 100, 100, 100],
            },
            "light": {
                "owners": owners(&["a", "b", "b", "c", "c", "c"]),
                "rates": [1, 1, 1, 1, 1, 1],
            },
        }},
    }));
    let report = decision.group.unwrap();
    let found = report.diagnosis.iter().map(|finding| &finding.diagnosis);
    let skewed: Vec<&Diagnosis> = found
        .filter(|found| matches!(found, Diagnosis::SkewedTopic { .. }))
        .collect();
    assert_eq!(
        skewed.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "topic heavy makes 99 % of the load, and pods own 1 to 3 of its partitions: assignors \
          even out partitions of all topics together; consume it in a group of its own"
        ]
    );
}

/// All but one pod spend what their partitions cost.
fn one_slow(assignor: &str) -> Value {
    let rates: [&[f64]; 6] = [
        &[20.0, 10.0],
        &[15.0, 20.0],
        &[10.0, 20.0],
        &[15.0, 10.0],
        &[10.0, 15.0],
        &[20.0, 20.0],
    ];
    with(group(assignor, &rates, 0.5), |value| {
        value["pods"][0]["load"] = json!(1.5);
    })
}

#[rstest]
#[case("cooperative-sticky")]
#[case::whatever_the_assignor("range")]
fn a_pod_that_is_slow_by_itself_is_evicted_alone(#[case] assignor: &str) {
    let decision = forecast(one_slow(assignor));
    let plan = decision.plan().expect(&decision.message);
    let names: Vec<&str> = plan
        .victims()
        .iter()
        .map(|victim| victim.name.as_str())
        .collect();
    assert_eq!(names, ["a"]);
    let report = decision.group.unwrap();
    assert!(report.pods.iter().all(|pod| pod.slow == (pod.name == "a")));
    let said = &report.diagnosis.last().unwrap().message;
    assert_eq!(
        said,
        "a spends 1.500 cores where its partitions explain 0.300: it is slow by itself; evicting \
         it alone is right"
    );
}

#[test]
fn a_slow_pod_that_may_not_be_evicted_is_the_reason() {
    let value = with(one_slow("cooperative-sticky"), |value| {
        value["pods"][0]["opted_out"] = json!("rebalancer.io/skip: true");
    });
    let decision = forecast(value);
    assert_eq!(decision.hold_reason(), Some(HoldReason::SlowPod));
    let says = "it is slow by itself; evicting it alone is right; above it but not eligible: a";
    assert!(decision.message.contains(says), "{}", decision.message);
}

#[test]
fn without_rates_the_forecast_says_that_it_is_a_poor_one() {
    let decision = forecast(without_rates(group("cooperative-sticky", &SKEWED, 0.5)));
    let says = "without the rates of the partitions this is a poor forecast";
    assert!(decision.message.contains(says), "{}", decision.message);
    assert_eq!(decision.group.unwrap().fit, None);
}

#[test]
fn auto_forecasts_where_it_can() {
    let value = group("cooperative-sticky", &SKEWED, 0.5);
    let auto = decide(&snapshot(value.clone()), &policy(Rule::Auto));
    assert_eq!(auto, forecast(value));
}

#[rstest]
#[case::nothing_known(|value: &mut Value| {
    value.as_object_mut().unwrap().remove("group");
})]
#[case::partial(|value: &mut Value| value["group"]["partial"] = json!("a store is down"))]
#[case::unexplained(|value: &mut Value| {
    let loads = [1.2, 0.3, 0.2, 0.9, 0.2, 0.7];
    for (pod, load) in value["pods"].as_array_mut().unwrap().iter_mut().zip(loads) {
        pod["load"] = json!(load);
    }
    value["group"]["topics"]["t"]["rates"] = json!(vec![1; 18]);
})]
fn auto_falls_back_to_outliers(#[case] change: fn(&mut Value)) {
    let value = with(group("cooperative-sticky", &SKEWED, 0.5), change);
    let of = |strategy| Policy {
        minimum_pods: MinimumPods::new(1).unwrap(),
        ..policy(strategy)
    };
    let auto = decide(&snapshot(value.clone()), &of(Rule::Auto));
    let outliers = decide(&snapshot(value), &of(Rule::RotateOutliers));
    assert!(outliers.plan().is_some(), "{}", outliers.message);
    assert_eq!(auto.action, outliers.action, "{}", auto.message);
    assert_eq!(auto.message, outliers.message);
}

#[rstest]
#[case::set_without_owners(json!({"assignor": "roundrobin"}))]
#[case::set_and_known_in_part(json!({"assignor": "range", "partial": "a store is down",
    "topics": {"t": {"owners": ["a"]}}}))]
fn auto_holds_when_the_assignor_is_known_to_be_positional(#[case] known: Value) {
    let value = with(group("range", &SKEWED, 0.5), |value| value["group"] = known);
    let auto = decide(&snapshot(value), &policy(Rule::Auto));
    assert_eq!(auto.hold_reason(), Some(HoldReason::PositionalAssignor));
    assert!(
        auto.message
            .starts_with("a is hot, but evicting cannot change"),
        "{}",
        auto.message
    );
}

#[test]
fn auto_waits_while_the_group_rebalances() {
    let value = with(group("cooperative-sticky", &SKEWED, 0.5), |value| {
        value["group"]["moved_lately"] = json!(1);
    });
    let auto = decide(&snapshot(value), &policy(Rule::Auto));
    assert_eq!(auto.hold_reason(), Some(HoldReason::GroupNotSettled));
}

/// Groups of any kind, settled, in which somebody is hot.
fn groups() -> impl Strategy<Value = Value> {
    let assignor = prop::sample::select(vec![
        "range",
        "roundrobin",
        "sticky",
        "cooperative-sticky",
        "uniform",
    ]);
    let rates = prop::collection::vec(prop::collection::vec(0.0..50.0, 3), 4..9);
    (assignor, rates, 0.05..0.6).prop_map(|(assignor, rates, target)| {
        let rates: Vec<&[f64]> = rates.iter().map(Vec::as_slice).collect();
        with(group(assignor, &rates, target), |value| {
            if assignor == "uniform" {
                value["group"]["protocol"] = json!("consumer");
            }
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_same_snapshot_gives_the_same_bytes(value in groups()) {
        let bytes = |decision: &Decision| serde_json::to_string(decision).unwrap();
        let once = forecast(value.clone());
        prop_assert_eq!(bytes(&once), bytes(&forecast(value)));
        // And it survives being written down.
        let read: Decision = serde_json::from_str(&bytes(&once)).unwrap();
        prop_assert_eq!(bytes(&read), bytes(&once));
    }

    #[test]
    fn what_is_evicted_keeps_the_promise_of_its_forecast(
        value in groups(),
        minimum in 0.0..40.0,
        confidence in 50.0..100.0,
        top_k in 1_usize..4,
        limit in prop::option::of(1_usize..4),
    ) {
        let policy = Policy {
            minimum_improvement_percent: Percent::new(minimum).unwrap(),
            minimum_confidence_percent: Percent::new(confidence).unwrap(),
            top_k: TopK::new(top_k).unwrap(),
            max_evictions: limit,
            ..policy(Rule::Forecast)
        };
        let decision = decide(&snapshot(value), &policy);
        if let Some(plan) = decision.plan() {
            let chosen = decision.group.as_ref().unwrap().chosen.as_ref().unwrap();
            prop_assert!(chosen.forecast.expected_fall_percent >= minimum);
            prop_assert!(chosen.forecast.confidence_percent >= confidence);
            let names: Vec<&String> = plan.victims().iter().map(|victim| &victim.name).collect();
            prop_assert_eq!(names, chosen.victims.iter().collect::<Vec<_>>());
            prop_assert!(plan.victims().len() <= limit.unwrap_or(usize::MAX));
            prop_assert!(plan.victims().len() <= 2 * top_k);
        }
    }

    #[test]
    fn under_an_assignor_that_goes_by_rank_nobody_is_evicted_unless_slow(value in groups()) {
        let positional = ["range", "roundrobin"].contains(&value["group"]["assignor"].as_str().unwrap());
        let decision = forecast(value);
        let report = decision.group.as_ref().unwrap();
        let slow = report.pods.iter().any(|pod| pod.slow);
        if positional && !slow {
            prop_assert!(decision.plan().is_none(), "{}", decision.message);
        }
    }

    /// The loads that nobody asked a forecast for are decided on as ever.
    #[test]
    fn rotate_outliers_knows_no_group(value in groups()) {
        let outliers = policy(Rule::RotateOutliers);
        let with_group = decide(&snapshot(value.clone()), &outliers);
        let without = decide(&snapshot(with(value, |value| {
            value.as_object_mut().unwrap().remove("group");
        })), &outliers);
        prop_assert_eq!(with_group, without);
    }
}
