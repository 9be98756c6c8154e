//! The strategies `forecast` and `auto`: each diagnosis, each hold, and the chosen plans.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use proptest::prelude::*;
use rebalancer_core::forecast::Diagnosis;
use std::num::NonZeroUsize;

use rebalancer_core::model::{LoadUnit, MaxUnavailable, MinimumPods, Percent, TopK};
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

/// A group of one topic: the pods a, b, c, … with the rates of their partitions. The load of a pod
/// is 0.01 cores per record per second.
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

/// Six pods with three partitions each. Only the first one has heavy partitions.
const SKEWED: [&[f64]; 6] = [
    &[40.0, 45.0, 50.0],
    &[10.0, 10.0, 15.0],
    &[10.0, 15.0, 10.0],
    &[20.0, 10.0, 10.0],
    &[10.0, 10.0, 20.0],
    &[15.0, 10.0, 10.0],
];

#[test]
fn chooses_few_effective_evictions() {
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
            .ends_with("assignor cooperative-sticky (as configured)")
    );
    // The report describes the group.
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

/// Rates that are uneven, but with which no assignor could do better.
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
    "no eviction or rejoin changes the loads, only which pod has which: the assignor is range (as \
     configured), which depends on the rank of the member ids only; use cooperative-sticky (or \
     uniform, with group.protocol=consumer)"
)]
#[case::recognised(
    with(group("range", &SKEWED, 0.5), |value| {
        value["group"].as_object_mut().unwrap().remove("assignor");
    }),
    "positional_assignor",
    "no eviction or rejoin changes the loads, only which pod has which: the assignor is range (recognised \
     from the partition owners; set it to override this), which depends on the rank of the member \
     ids only; use cooperative-sticky (or uniform, with group.protocol=consumer)"
)]
#[case::capacity(
    group("cooperative-sticky", &SKEWED, 0.2),
    "capacity",
    "the pods use 0.533 cores on average, above the threshold of 0.300: there are too few pods for \
     any distribution of the partitions; scale from 6 to 16"
)]
#[case::hot_partition(
    group("cooperative-sticky", &[
        &[95.0, 5.0, 5.0], &[10.0, 10.0, 15.0], &[10.0, 15.0, 10.0], &[20.0, 10.0, 10.0],
    ], 0.6),
    "hot_partition",
    "partition t-0 makes its owner hot: it alone takes 0.950 cores, above the threshold of 0.900 \
     (currently on a); more partitions or better keys would help, evicting cannot"
)]
#[case::too_few_partitions(
    // An idle consumer still uses some CPU; 0 would mean that its counter has stopped.
    with(group("cooperative-sticky", &[&[95.0], &[10.0], &[20.0], &[]], 0.6), |value| {
        value["pods"][3]["load"] = json!(0.001);
    }),
    "too_few_partitions",
    "3 partitions for 4 pods: each pod has at most one, however they are assigned; add partitions, \
     or run 3 pods"
)]
#[case::remainder(
    group("cooperative-sticky", &[
        &[30.0, 30.0, 30.0], &[30.0, 30.0, 30.0], &[30.0, 30.0], &[30.0, 30.0],
    ], 0.5),
    "remainder",
    "10 partitions do not divide evenly among 4 pods: 2 pods own one more, which makes them hot; \
     with 5 pods they divide evenly"
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
    "evicting has no effect: 6 members are static (group.instance.id, such as a), and the \
     replacement of a pod gets the same partitions back"
)]
#[case::no_plan_helps(
    group("cooperative-sticky", &EVEN, 0.7),
    "no_plan_helps",
    "more than 10 % and at least 80 % confidence are required"
)]
#[case::no_hot_pod(
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
    "too little for a forecast"
)]
#[case::no_group(
    json!({"target": 0.5, "pods": [{"name": "a", "load": 2}, {"name": "b", "load": 0.1}]}),
    "group_unknown",
    "the owners of the partitions are unknown: neither Kafka nor metrics of the consumer group are configured"
)]
#[case::partial(
    with(group("cooperative-sticky", &SKEWED, 0.5), |value| {
        value["group"]["partial"] = json!("a store is down");
    }),
    "group_unknown",
    "the data of the consumer group is incomplete: a store is down"
)]
#[case::rebalancing(
    with(group("cooperative-sticky", &SKEWED, 0.5), |value| {
        value["group"]["topics"]["t"]["owners"][3] = Value::Null;
    }),
    "group_not_settled",
    "1 partition has no owner, such as t-3: the group is rebalancing, or does not consume them"
)]
#[case::rebalanced_recently(
    with(group("cooperative-sticky", &SKEWED, 0.5), |value| {
        value["group"]["moved_lately"] = json!(7);
    }),
    "group_not_settled",
    "7 partitions changed the owner within the cooldown: the loads are not yet those of the \
     current owners"
)]
fn each_hold_has_a_reason_and_a_remedy(
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

/// Plans that violate the minimum of ready pods are not tried, unless they are executed in waves.
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
    // The check of the minimum reports that no eviction is possible.
    let reason = (minimum == 6).then_some(HoldReason::MINIMUM_PODS);
    assert_eq!(decision.hold_reason(), reason, "{}", decision.message);
}

#[test]
fn names_a_heavy_topic_with_uneven_owners() {
    // Each pod has four partitions. Pod a owns most partitions of the heavy topic.
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
        skewed
            .iter()
            .map(|found| found.message(LoadUnit::Cores))
            .collect::<Vec<_>>(),
        [
            "topic heavy makes 99 % of the load, and pods own 1 to 3 of its partitions: assignors \
          balance the partitions of all topics together; consume it in a group of its own"
        ]
    );
}

/// The partitions explain the load of all pods but one.
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
#[case::positional_assignor("range")]
fn slow_pod_is_evicted_alone(#[case] assignor: &str) {
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
        "a uses 1.500 cores, but its partitions explain only 0.300: evict only this pod"
    );
}

#[test]
fn ineligible_slow_pod_is_the_hold_reason() {
    let value = with(one_slow("cooperative-sticky"), |value| {
        value["pods"][0]["opted_out"] = json!("rebalancer.io/skip: true");
    });
    let decision = forecast(value);
    assert_eq!(decision.hold_reason(), Some(HoldReason::SLOW_POD));
    let says =
        "its partitions explain only 0.300: evict only this pod; above it but not eligible: a";
    assert!(decision.message.contains(says), "{}", decision.message);
}

#[test]
fn forecast_without_rates_is_marked_as_poor() {
    let decision = forecast(without_rates(group("cooperative-sticky", &SKEWED, 0.5)));
    let says = "without the rates of the partitions the forecast is poor";
    assert!(decision.message.contains(says), "{}", decision.message);
    assert_eq!(decision.group.unwrap().fit, None);
}

#[test]
fn auto_forecasts_a_known_group() {
    let value = group("cooperative-sticky", &SKEWED, 0.5);
    let auto = decide(&snapshot(value.clone()), &policy(Rule::Auto));
    assert_eq!(auto, forecast(value));
}

#[rstest]
#[case::no_group("neither Kafka nor metrics of the consumer group are configured", |value: &mut Value| {
    value.as_object_mut().unwrap().remove("group");
})]
#[case::partial("a store is down", |value: &mut Value| {
    value["group"]["partial"] = json!("a store is down");
})]
#[case::unexplained("% of the variance of the loads", |value: &mut Value| {
    let loads = [1.2, 0.3, 0.2, 0.9, 0.2, 0.7];
    for (pod, load) in value["pods"].as_array_mut().unwrap().iter_mut().zip(loads) {
        pod["load"] = json!(load);
    }
    value["group"]["topics"]["t"]["rates"] = json!(vec![1; 18]);
})]
fn auto_falls_back_to_rotate_outliers(#[case] reason: &str, #[case] change: fn(&mut Value)) {
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
    let fallback = auto.fallback.unwrap();
    assert!(fallback.contains(reason), "{fallback}");
    assert_eq!(outliers.fallback, None);
}

/// A rate that is wrong for one window is no reason to evict without a forecast.
#[rstest]
#[case::auto(Rule::Auto)]
#[case::forecast(Rule::Forecast)]
fn holds_while_an_offset_that_went_back_is_in_the_window(#[case] strategy: Rule) {
    let value = with(group("cooperative-sticky", &SKEWED, 0.5), |value| {
        value["group"]["offsets_went_back"] = json!({"partitions": ["t-3"], "window_seconds": 300});
    });
    let decision = decide(&snapshot(value), &policy(strategy));
    assert_eq!(decision.hold_reason(), Some(HoldReason::GROUP_UNKNOWN));
    assert_eq!(decision.fallback, None);
    for part in ["partition t-3 went back", "the window of 300 s"] {
        assert!(decision.message.contains(part), "{}", decision.message);
    }
}

/// Each replacement takes over the instance id, so no eviction is promised to help.
#[rstest]
#[case::deployment("Deployment", "orders-0", true)]
#[case::stateful_set("StatefulSet", "static-POD", true)]
#[case::name_of_the_pod("Deployment", "static-POD", false)]
#[case::drawn_at_the_start("StatefulSet", "9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d", false)]
fn instance_id_that_outlives_the_pod_makes_evictions_ineffective(
    #[case] kind: &str,
    #[case] instance: &str,
    #[case] outlives: bool,
) {
    let value = with(group("cooperative-sticky", &SKEWED, 0.5), |value| {
        value["workload"] = json!({"namespace": "n", "kind": kind, "name": "w"});
        let pods = value["pods"].as_array().unwrap().iter();
        let member = |pod: &Value| {
            let name = pod["name"].as_str().unwrap();
            let instance = instance.replace("POD", name);
            json!({"pod": name, "instance": instance})
        };
        value["group"]["members"] = pods.map(member).collect();
    });
    for strategy in [Rule::Forecast, Rule::Auto] {
        let decision = decide(&snapshot(value.clone()), &policy(strategy));
        let ineffective = decision.hold_reason() == Some(HoldReason::STATIC_MEMBERSHIP);
        assert_eq!(ineffective, outlives, "{}", decision.message);
    }
}

#[rstest]
#[case::set_without_owners(json!({"assignor": "roundrobin"}))]
#[case::set_and_known_in_part(json!({"assignor": "range", "partial": "a store is down",
    "topics": {"t": {"owners": ["a"]}}}))]
fn auto_holds_when_the_assignor_is_known_to_be_positional(#[case] known: Value) {
    let value = with(group("range", &SKEWED, 0.5), |value| value["group"] = known);
    let auto = decide(&snapshot(value), &policy(Rule::Auto));
    assert_eq!(auto.hold_reason(), Some(HoldReason::POSITIONAL_ASSIGNOR));
    assert!(
        auto.message
            .starts_with("a is hot, but no eviction or rejoin changes"),
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
    assert_eq!(auto.hold_reason(), Some(HoldReason::GROUP_NOT_SETTLED));
}

/// Settled groups of any assignor.
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
    fn decisions_are_reproducible_and_serializable(value in groups()) {
        let bytes = |decision: &Decision| serde_json::to_string(decision).unwrap();
        let once = forecast(value.clone());
        prop_assert_eq!(bytes(&once), bytes(&forecast(value)));
        let read: Decision = serde_json::from_str(&bytes(&once)).unwrap();
        prop_assert_eq!(bytes(&read), bytes(&once));
    }

    #[test]
    fn plans_meet_the_policy(
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
    fn positional_assignors_evict_slow_pods_only(value in groups()) {
        let positional = ["range", "roundrobin"].contains(&value["group"]["assignor"].as_str().unwrap());
        let decision = forecast(value);
        let report = decision.group.as_ref().unwrap();
        let slow = report.pods.iter().any(|pod| pod.slow);
        if positional && !slow {
            prop_assert!(decision.plan().is_none(), "{}", decision.message);
        }
    }

    #[test]
    fn rotate_outliers_ignores_the_group(value in groups()) {
        let outliers = policy(Rule::RotateOutliers);
        let with_group = decide(&snapshot(value.clone()), &outliers);
        let without = decide(&snapshot(with(value, |value| {
            value.as_object_mut().unwrap().remove("group");
        })), &outliers);
        prop_assert_eq!(with_group, without);
    }
}

/// The group of [`SKEWED`] with partitions of these pods behind.
fn behind(mut group: Value, partitions: &[&str]) -> Value {
    group["group"]["catching_up"] =
        json!({"partitions": partitions, "lag": 9000, "window_seconds": 300});
    group
}

/// The pod uses three times what its rates cost, because it catches up: evicting it would only
/// delay that.
#[test]
fn pod_that_catches_up_is_neither_slow_nor_evicted() {
    let even: [&[f64]; 6] = [&[15.0, 15.0]; 6];
    let mut group = group("cooperative-sticky", &even, 0.3);
    group["pods"][0]["load"] = json!(0.9);
    let slow = forecast(group.clone());
    assert_eq!(
        slow.plan().unwrap().victims()[0].name,
        "a",
        "{}",
        slow.message
    );
    let decision = forecast(behind(group, &["t-1"]));
    assert_eq!(decision.hold_reason(), Some(HoldReason::WITHIN_TOLERANCE));
    let report = decision.group.unwrap();
    assert!(report.pods[0].behind && !report.pods[0].slow, "{report:?}");
    assert_eq!(report.hot_pods, 0);
}

/// The pod is at its CPU limit and falls behind: its rates show the load that it should have.
#[test]
fn pod_that_falls_behind_is_hot_by_its_rates() {
    let mut group = group("cooperative-sticky", &SKEWED, 0.5);
    group["pods"][0]["load"] = json!(0.7);
    let measured = forecast(group.clone());
    assert_eq!(measured.hold_reason(), Some(HoldReason::WITHIN_TOLERANCE));
    let decision = forecast(behind(group, &["t-0", "t-1", "t-2"]));
    let plan = decision.plan().expect(&decision.message);
    assert_eq!(plan.victims()[0].name, "a");
    assert_eq!(plan.victims()[0].role, rebalancer_core::plan::Role::Hottest);
}

#[test]
fn group_that_is_behind_as_a_whole_is_not_settled() {
    let group = behind(
        group("cooperative-sticky", &SKEWED, 0.5),
        &["t-0", "t-4", "t-7"],
    );
    for strategy in [Rule::Forecast, Rule::Auto] {
        let decision = decide(&snapshot(group.clone()), &policy(strategy));
        assert_eq!(decision.hold_reason(), Some(HoldReason::GROUP_NOT_SETTLED));
        assert!(
            decision.message.contains("3 of 6 ready pods are behind"),
            "{}",
            decision.message
        );
    }
}
