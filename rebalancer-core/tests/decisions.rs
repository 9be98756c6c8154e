//! Decisions told as cases: the worked example, every reason to hold, every way to a target, and
//! the defects of the program before this one.
#![expect(clippy::unwrap_used, reason = "what helpers of tests unwrap is there")]

use rebalancer_core::checks::Finding;
use rebalancer_core::snapshot::{TargetOrigin, TargetProblem};
use rebalancer_core::{Decision, ExecutionPolicy, Plan, Policy, Snapshot, decide};
use rstest::rstest;
use serde_json::{Value, json};

fn snapshot(value: Value) -> Snapshot {
    serde_json::from_value(value).unwrap()
}

fn policy(value: Value) -> Policy {
    serde_json::from_value(value).unwrap()
}

/// The worked example: target 0.7, six pods.
fn example() -> Value {
    json!({"target": 0.7, "pods": [
        {"name": "a", "load": 1.2}, {"name": "b", "load": 1.1}, {"name": "c", "load": 0.8},
        {"name": "d", "load": 0.6}, {"name": "e", "load": 0.4}, {"name": "f", "load": 0.3},
    ]})
}

/// The worked example with other fields of the snapshot.
fn example_with(fields: Value) -> Value {
    merged(example(), fields)
}

/// The worked example with other fields of one pod.
fn example_with_pod(index: usize, fields: Value) -> Value {
    let mut example = example();
    let pod = example["pods"][index].take();
    example["pods"][index] = merged(pod, fields);
    example
}

fn merged(mut value: Value, fields: Value) -> Value {
    for (key, field) in fields.as_object().unwrap() {
        value[key] = field.clone();
    }
    value
}

/// A policy under which the worked example rotates.
fn two_left() -> Policy {
    policy(json!({"minimum_pods": 2}))
}

fn names(decision: &Decision) -> Vec<&str> {
    decision
        .plan()
        .map(|plan| plan.victims().iter().map(|v| v.name.as_str()).collect())
        .unwrap_or_default()
}

fn word(decision: &Decision) -> &'static str {
    decision
        .hold_reason()
        .map_or("rotate", |reason| reason.as_str())
}

#[test]
fn the_worked_example_rotates_four() {
    let decision = decide(&snapshot(example()), &two_left());
    assert_eq!(names(&decision), ["a", "b", "f", "e"]);
    let json = serde_json::to_value(&decision).unwrap();
    let roles: Vec<&Value> = json["victims"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| &v["role"])
        .collect();
    assert_eq!(roles, ["hottest", "hottest", "coldest", "coldest"]);
    let analysis = decision.analysis;
    assert!((analysis.threshold.unwrap() - 1.05).abs() < 1e-12);
    assert!((analysis.top_mean.unwrap() - 1.15).abs() < 1e-12);
    assert!((analysis.both_mean.unwrap() - 0.75).abs() < 1e-12);
    assert_eq!(
        format!("{:.1}", analysis.improvement_percent.unwrap()),
        "34.8"
    );
    assert_eq!(
        (analysis.pods, analysis.ready, analysis.eligible),
        (6, 6, 6)
    );
    assert_eq!(format!("{:.3}", analysis.mean.unwrap()), "0.733");
    assert_eq!(format!("{:.4}", analysis.variance.unwrap()), "0.1122");
    assert_eq!(analysis.max, Some(1.2));
    assert_eq!(
        decision.message,
        "evict 4 of 6 pods: a, b above the threshold of 1.050 cores (1.5 × target 0.700) with \
         f, e as the coldest; mean of the hottest 1.150 cores, together with the coldest 0.750: \
         34.8 %, more than 10 %"
    );
}

#[test]
fn the_default_minimum_holds_the_worked_example_and_says_what_would_do() {
    let decision = decide(&snapshot(example()), &Policy::default());
    assert_eq!(word(&decision), "minimum_pods");
    assert_eq!(
        decision.message,
        "4 of 6 ready pods out at once would leave 2, but MINIMUM_PODS_REQUIRED is 3: \
         MAX_UNAVAILABLE=3 would make the plan possible"
    );
    // What would have been is shown all the same.
    assert_eq!(
        format!("{:.1}", decision.analysis.improvement_percent.unwrap()),
        "34.8"
    );
    assert_eq!(
        decision
            .pods
            .iter()
            .filter(|pod| pod.role.is_some())
            .count(),
        4
    );
}

#[test]
fn the_advice_is_good() {
    let policy = policy(json!({"max_unavailable": {"pods": 3}}));
    let decision = decide(&snapshot(example()), &policy);
    let waves: Vec<usize> = decision.plan().unwrap().waves().map(<[_]>::len).collect();
    assert_eq!(waves, [3, 1]);
    assert_eq!(names(&decision), ["a", "b", "f", "e"]);
}

#[rstest]
#[case::no_way(3, "no MAX_UNAVAILABLE makes a plan possible")]
#[case::one_by_one(4, "MAX_UNAVAILABLE=1 would make the plan possible")]
fn the_message_says_which_max_unavailable_does(#[case] pods: usize, #[case] expected: &str) {
    let mut example = example();
    example["pods"]
        .as_array_mut()
        .unwrap()
        .drain(2..6 - (pods - 2));
    let decision = decide(&snapshot(example), &Policy::default());
    assert_eq!(word(&decision), "minimum_pods");
    assert!(decision.message.ends_with(expected), "{}", decision.message);
}

#[rstest]
#[case::generation(
    example_with(json!({"rollout": {"generation": 4, "observed_generation": 3, "desired": 6,
        "current": 6, "updated": 6}})),
    "rollout_in_progress",
    "the controller has not seen the present specification yet (generation 3 of 4)"
)]
#[case::updated(
    example_with(json!({"rollout": {"generation": 4, "observed_generation": 4, "desired": 6,
        "current": 6, "updated": 2}})),
    "rollout_in_progress",
    "a rollout or scaling is under way: 2 of 6 replicas are of the present template"
)]
#[case::surge(
    example_with(json!({"rollout": {"generation": 4, "observed_generation": 4, "desired": 6,
        "current": 7, "updated": 6}})),
    "rollout_in_progress",
    "a rollout or scaling is under way: 7 pods exist for 6 replicas"
)]
#[case::scaling(
    example_with(json!({"autoscalers": [
        {"name": "calm", "current_replicas": 6, "desired_replicas": 6},
        {"name": "busy", "current_replicas": 6, "desired_replicas": 9},
    ]})),
    "autoscaler_scaling",
    "busy is scaling from 6 to 9 replicas"
)]
#[case::new_pod(
    example_with_pod(2, json!({"ready_seconds": 42.0})),
    "group_not_settled",
    "the last pod to become ready, c, did so 42 s ago (cooldown 300 s)"
)]
#[case::terminating(
    example_with_pod(2, json!({"terminating": true})),
    "group_not_settled",
    "1 pod is terminating; no pod became ready lately"
)]
#[case::nobody(
    json!({"target": 1.0, "pods": []}),
    "no_ready_pods",
    "the workload has no ready pod"
)]
#[case::nobody_ready(
    json!({"target": 1.0, "pods": [{"name": "a", "load": 9.0, "ready": false}]}),
    "no_ready_pods",
    "the workload has no ready pod"
)]
#[case::partial(
    example_with(json!({"metrics_partial": "vmstorage-2 did not answer"})),
    "metrics_partial",
    "the metrics may lack something: vmstorage-2 did not answer"
)]
#[case::doubled(
    example_with_pod(3, json!({"series": 2})),
    "pods_measured_twice",
    "1 pod is in the metrics more than once, d 2 times: is the same container scraped by two \
     jobs?"
)]
#[case::uncovered(
    example_with_pod(4, json!({"load": null})),
    "insufficient_coverage",
    "5 of 6 ready pods have a load (83 %, at least 90 % needed); without: e (not measured)"
)]
#[case::nan(
    example_with_pod(4, json!({"load": null, "fault": "not_finite"})),
    "insufficient_coverage",
    "5 of 6 ready pods have a load (83 %, at least 90 % needed); without: e (the query \
     answered a number that is not finite (NaN or Inf))"
)]
#[case::stale(
    example_with_pod(4, json!({"sample_age_seconds": 151.0})),
    "insufficient_coverage",
    "5 of 6 ready pods have a load (83 %, at least 90 % needed); without: e (stale: newest \
     sample 151 s old, at most 150 s allowed)"
)]
#[case::clocks(
    example_with(json!({"clock_difference_seconds": 180.0})),
    "clocks_apart",
    "the metrics server's clock is 180 s ahead of the cluster's (at most 60 s allowed): is the time \
     of both synchronized (NTP)?"
)]
#[case::clocks_explain_staleness(
    merged(
        example_with_pod(4, json!({"sample_age_seconds": 400.0})),
        json!({"clock_difference_seconds": 400.0})
    ),
    "clocks_apart",
    "the metrics server's clock is 400 s ahead of the cluster's (at most 60 s allowed): is the time \
     of both synchronized (NTP)?"
)]
#[case::other_pods(
    json!({"target": 0.7, "strangers": {"pods": 6, "example": "z"},
           "pods": [{"name": "a"}, {"name": "b"}]}),
    "metrics_of_other_pods",
    "the metrics know 0 of 2 ready pods, but 6 pods are measured that the workload does not have, \
     such as z: are the metrics those of this cluster and of this namespace?"
)]
#[case::hole(
    example_with_pod(4, json!({"window_covered": false})),
    "insufficient_coverage",
    "5 of 6 ready pods have a load (83 %, at least 90 % needed); without: e (no sample in the first \
     half of the window: the load is made of the last few samples only)"
)]
#[case::zero(
    json!({"target": 0.7, "pods": [{"name": "a", "load": 0}, {"name": "b", "load": 0}]}),
    "loads_all_zero",
    "all 2 measured pods have a load of exactly 0, which is a counter that stands still rather than \
     an idle group"
)]
#[case::implausible(
    example_with_pod(0, json!({"load": 60.0, "request": 1.0})),
    "implausible_load",
    "1 load is not plausible: a spends 60.000 cores with a request of 1.000, at most 20 would be \
     plausible: is a counter in another unit, or added up over series of others?"
)]
#[case::hot_but_restarted(
    json!({"target": 0.7, "pods": [
        {"name": "a", "load": 2.0, "restarted_seconds": 20}, {"name": "b", "load": 0.6},
        {"name": "c", "load": 0.5}
    ]}),
    "within_tolerance",
    "no eligible pod is above the threshold of 1.050 cores (1.5 × target 0.700); the most loaded \
     spends 0.600; above it but not eligible: a (restarted 20 s ago, at least 300 s needed)"
)]
#[case::nobody_eligible(
    json!({"target": 1.0, "pods": [
        {"name": "a", "load": 9.0, "opted_out": "skip: true"},
        {"name": "b", "load": 0.1, "evictability": "bare"},
    ]}),
    "no_eligible_pods",
    "0 of 2 pods are eligible: 1 bare, 1 opted_out"
)]
#[case::no_target(
    example_with(json!({"target": null})),
    "target_unknown",
    "no HorizontalPodAutoscaler scales the workload: create one, set HPA_PREFIX to find it by \
     name, or set TARGET_CORES"
)]
#[case::balanced(
    example_with(json!({"target": 0.8})),
    "within_tolerance",
    "no eligible pod is above the threshold of 1.200 cores (1.5 × target 0.800); the most loaded \
     spends 1.200"
)]
#[case::hot_but_young(
    json!({"target": 0.7, "pods": [
        {"name": "a", "load": 2.0, "age_seconds": 20}, {"name": "b", "load": 0.6},
        {"name": "c", "load": 0.5}
    ]}),
    "within_tolerance",
    "no eligible pod is above the threshold of 1.050 cores (1.5 × target 0.700); the most loaded \
     spends 0.600; above it but not eligible: a (too young: 20 s of at least 300 s)"
)]
#[case::nobody_to_rotate_with(
    json!({"target": 0.7, "pods": [{"name": "a", "load": 2.0}]}),
    "improvement_too_small",
    "a above the threshold of 1.050 cores (1.5 × target 0.700), but no other pod is eligible to \
     rotate with"
)]
#[case::strangers_only(
    json!({"target": 0.7, "pods": [{"name": "a", "load": 2.0, "owned": false}],
           "rollout": {"generation": 1, "observed_generation": 1, "desired": 2, "current": 2,
                       "updated": 2}}),
    "no_pods_found",
    "0 of 1 selected pods are the workload's, which wants 2: does KUBE_LABEL_SELECTOR match them?"
)]
#[case::alike(
    json!({"target": 0.5, "pods": [
        {"name": "a", "load": 0.9}, {"name": "b", "load": 0.85},
        {"name": "c", "load": 0.8}, {"name": "d", "load": 0.75},
    ]}),
    "improvement_too_small",
    "a, b above the threshold of 0.750 cores (1.5 × target 0.500), but the pods to rotate are too \
     alike: mean of the hottest 0.875 cores, together with the coldest 0.825: 5.7 %, more than \
     10 % is needed"
)]
#[case::minimum(
    example_with_pod(2, json!({"ready": false})),
    "minimum_pods",
    "4 of 5 ready pods out at once would leave 1, but MINIMUM_PODS_REQUIRED is 2: \
     MAX_UNAVAILABLE=3 would make the plan possible"
)]
fn every_reason_to_hold_has_its_message(
    #[case] value: Value,
    #[case] reason: &str,
    #[case] message: &str,
) {
    let decision = decide(&snapshot(value), &two_left());
    assert_eq!(word(&decision), reason, "{}", decision.message);
    assert_eq!(decision.message, message);
    assert_eq!(decision.plan(), None);
    let json = serde_json::to_value(&decision).unwrap();
    assert_eq!(
        json["decision"],
        json!({"action": "hold", "reason": reason, "message": message})
    );
}

#[rstest]
#[case::at_the_minimum(25.0, "improvement_too_small")]
#[case::just_above(24.999, "rotate")]
fn the_improvement_must_be_strictly_above_the_minimum(
    #[case] minimum: f64,
    #[case] expected: &str,
) {
    // (2 − 1.5) / 2 is 25 % to the last bit.
    let value = json!({"target": 1.0, "pods": [
        {"name": "a", "load": 2.0}, {"name": "b", "load": 1.0}, {"name": "c", "load": 1.0},
    ]});
    let policy = policy(json!({
        "top_k": 1, "minimum_pods": 1, "minimum_improvement_percent": minimum,
    }));
    assert_eq!(word(&decide(&snapshot(value), &policy)), expected);
}

#[test]
fn ties_break_by_name() {
    let value = json!({"target": 1.0, "pods": [
        {"name": "d", "load": 0.1}, {"name": "x", "load": 3.0}, {"name": "c", "load": 0.1},
        {"name": "w", "load": 3.0}, {"name": "b", "load": 0.1}, {"name": "v", "load": 3.0},
    ]});
    assert_eq!(
        names(&decide(&snapshot(value), &two_left())),
        ["v", "w", "b", "c"]
    );
}

// Targets: two pods that request 1.0 and 3.0 cores, and whose sidecars request 0.5.
#[rstest]
#[case::utilization(json!([{"type": "utilization", "percent": 70}]), 1.4)]
#[case::above_100(json!([{"type": "utilization", "percent": 150}]), 3.0)]
#[case::average_value(json!([{"type": "average_value", "cores": 0.9}]), 0.9)]
#[case::container(
    json!([{"type": "container_utilization", "container": "consumer", "percent": 50}]),
    1.0
)]
#[case::container_average_value(
    json!([{"type": "container_average_value", "container": "consumer", "cores": 0.8}]),
    0.8
)]
#[case::another_container_beside_ours(
    json!([
        {"type": "container_average_value", "container": "sidecar", "cores": 0.2},
        {"type": "container_average_value", "container": "consumer", "cores": 0.8},
    ]),
    0.8
)]
#[case::several_that_agree(
    json!([{"type": "utilization", "percent": 50}, {"type": "average_value", "cores": 1.0}]),
    1.0
)]
fn a_target_is_resolved(#[case] cpu: Value, #[case] cores: f64) {
    let decision = decide(
        &with_autoscalers(json!([{"name": "hpa", "cpu": cpu}])),
        &Policy::default(),
    );
    assert_eq!(
        decision.analysis.target,
        Some(cores),
        "{}",
        decision.message
    );
}

fn with_autoscalers(autoscalers: Value) -> Snapshot {
    snapshot(
        json!({"container": "consumer", "autoscalers": autoscalers, "pods": [
            {"name": "a", "load": 0.1, "request": 1.0, "other_requests": 0.5},
            {"name": "b", "load": 0.1, "request": 3.0, "other_requests": 0.5},
            // Not eligible, so its request does not count.
            {"name": "c", "load": 0.1, "request": 100.0, "opted_out": "skip: true"},
        ]}),
    )
}

fn target_message(decision: &Decision) -> &str {
    decision
        .checks
        .iter()
        .find(|check| matches!(check.finding, Finding::Target { .. }))
        .map(|check| check.message.as_str())
        .unwrap()
}

#[rstest]
#[case::pods_share(
    json!({"type": "utilization", "percent": 70}),
    "the target is 1.400 cores a pod (HorizontalPodAutoscaler hpa: 70 % of the CPU request, mean \
     request 2.000 cores; other containers of the pods request 0.500 cores more, which the \
     autoscaler averages over as well)"
)]
#[case::containers_share(
    json!({"type": "container_utilization", "container": "consumer", "percent": 50}),
    "the target is 1.000 cores a pod (HorizontalPodAutoscaler hpa: 50 % of the CPU request of \
     container consumer, mean request 2.000 cores)"
)]
#[case::value(
    json!({"type": "average_value", "cores": 0.9}),
    "the target is 0.900 cores a pod (HorizontalPodAutoscaler hpa: 0.9 cores a pod)"
)]
fn a_target_says_where_it_comes_from(#[case] metric: Value, #[case] message: &str) {
    let decision = decide(
        &with_autoscalers(json!([{"name": "hpa", "cpu": [metric]}])),
        &Policy::default(),
    );
    assert_eq!(target_message(&decision), message);
}

#[rstest]
#[case::none(
    json!([]),
    "no HorizontalPodAutoscaler scales the workload: create one, set HPA_PREFIX to find it by \
     name, or set TARGET_CORES"
)]
#[case::none_of_ours(
    json!([
        {"name": "lag", "other_metrics": ["external kafka_lag"]},
        {"name": "side", "cpu": [
            {"type": "container_utilization", "container": "sidecar", "percent": 80}
        ]},
        {"name": "empty"},
    ]),
    "no autoscaler has a CPU metric for container consumer; found lag (external kafka_lag); side \
     (80 % of the CPU request of container sidecar); empty (no metric): set TARGET_CORES"
)]
#[case::two_that_disagree(
    json!([
        {"name": "one", "cpu": [{"type": "utilization", "percent": 70}]},
        {"name": "two", "cpu": [{"type": "average_value", "cores": 0.5}]},
    ]),
    "several CPU targets that disagree: one: 70 % of the CPU request; two: 0.5 cores a pod: leave \
     one, or set TARGET_CORES"
)]
#[case::nothing(
    json!([{"name": "hpa", "cpu": [{"type": "utilization", "percent": 0}]}]),
    "hpa: 0 % of the CPU request gives no positive target: correct it, or set TARGET_CORES"
)]
fn without_a_target_the_hold_lists_what_was_found(
    #[case] autoscalers: Value,
    #[case] message: &str,
) {
    let decision = decide(
        &with_autoscalers(autoscalers),
        &policy(json!({"minimum_coverage_percent": 0})),
    );
    assert_eq!(word(&decision), "target_unknown");
    assert_eq!(decision.message, message);
    assert_eq!(decision.analysis.threshold, None);
}

#[test]
fn a_share_of_a_request_that_is_missing_is_no_target() {
    let decision = decide(
        &snapshot(json!({
            "container": "consumer",
            "autoscalers": [{"name": "hpa", "cpu": [{"type": "utilization", "percent": 70}]}],
            "pods": [
                {"name": "a", "load": 3.0, "request": 1.0},
                {"name": "b", "load": 2.0},
                {"name": "c", "load": 1.0},
            ],
        })),
        &Policy::default(),
    );
    assert_eq!(
        decision.message,
        "the target is a share of the CPU request, but container consumer of pod b (and 1 more) \
         requests no CPU: give it a request, or set TARGET_CORES"
    );
}

#[test]
fn the_operators_target_overrides_the_autoscalers() {
    let decision = decide(
        &snapshot(example_with(json!({"autoscalers": [
            {"name": "hpa", "cpu": [{"type": "average_value", "cores": 9.0}]},
        ]}))),
        &two_left(),
    );
    assert_eq!(decision.analysis.target, Some(0.7));
    let fixed = decision.checks.iter().any(|check| {
        matches!(&check.finding, Finding::Target { target: Some(target), .. }
            if target.origin == TargetOrigin::Fixed)
    });
    assert!(fixed);
}

/// Defect 2: with no autoscaler, or two, the Go program said "balanced".
#[rstest]
#[case::missing(json!([]))]
#[case::two(json!([
    {"name": "one", "cpu": [{"type": "average_value", "cores": 0.5}]},
    {"name": "two", "cpu": [{"type": "average_value", "cores": 0.7}]},
]))]
fn defect_2_an_unknown_target_is_never_called_balanced(#[case] autoscalers: Value) {
    let value = example_with(json!({"target": null, "autoscalers": autoscalers}));
    let decision = decide(&snapshot(value), &two_left());
    assert_eq!(word(&decision), "target_unknown");
    assert!(decision.hold_reason().unwrap().means_missing_data());
    assert!(decision.checks.iter().any(|check| matches!(
        check.finding,
        Finding::Target {
            problem: Some(TargetProblem::NoAutoscaler | TargetProblem::Disagree { .. }),
            ..
        }
    )));
}

/// Defect 3: a pod younger than the rate window has a low rate, and was killed again and again.
#[test]
fn defect_3_a_young_pod_is_not_among_the_coldest() {
    let value = example_with_pod(5, json!({"load": 0.01, "age_seconds": 60.0}));
    let decision = decide(&snapshot(value), &two_left());
    assert_eq!(names(&decision), ["a", "b", "e", "d"]);
    let young = decision.pods.iter().find(|pod| pod.name == "f").unwrap();
    assert_eq!(
        young.reasons[0].to_string(),
        "too young: 60 s of at least 300 s"
    );
}

/// A rate over two lives of a container is neither's load, but the metrics are as they should be.
#[test]
fn a_restarted_pod_is_no_victim_and_covered() {
    let value = example_with_pod(5, json!({"load": 0.01, "restarted_seconds": 60.0}));
    let decision = decide(&snapshot(value), &two_left());
    assert_eq!(names(&decision), ["a", "b", "e", "d"]);
}

/// What other workloads of the namespace spend is of no concern, however much it is.
#[test]
fn measured_pods_of_others_are_no_reason_to_hold() {
    let value = example_with(json!({"strangers": {"pods": 60, "example": "x"}}));
    let decision = decide(&snapshot(value), &two_left());
    assert_eq!(word(&decision), "rotate", "{}", decision.message);
}

/// A CronJob that cannot know better is seen to fail, whatever else holds it.
#[rstest]
#[case::clocks(json!({"clock_difference_seconds": -90.0}))]
#[case::implausible(json!({"pods": [{"name": "a", "load": 60.0, "request": 1.0}]}))]
#[case::zero(json!({"pods": [{"name": "a", "load": 0.0}, {"name": "b", "load": 0.0}]}))]
#[case::other_pods(json!({"pods": [{"name": "a"}], "strangers": {"pods": 1, "example": "x"}}))]
fn metrics_that_lie_lack_knowledge(#[case] fields: Value) {
    let decision = decide(&snapshot(example_with(fields.clone())), &two_left());
    assert!(decision.hold_reason().unwrap().means_missing_data());
    let unsettled = json!({"rollout": {"generation": 2, "observed_generation": 1, "desired": 1,
        "current": 1, "updated": 1}});
    let decision = decide(
        &snapshot(merged(example_with(fields), unsettled)),
        &two_left(),
    );
    assert_eq!(word(&decision), "rollout_in_progress");
    assert!(decision.means_missing_data());
}

/// In another unit than cores no load is beyond belief.
#[test]
fn a_custom_load_may_be_of_any_size() {
    let mut value = example_with(json!({"custom_load": true, "target": 70_000.0}));
    for pod in value["pods"].as_array_mut().unwrap() {
        pod["load"] = json!(pod["load"].as_f64().unwrap() * 100_000.0);
        pod["request"] = json!(1.0);
    }
    let decision = decide(&snapshot(value), &two_left());
    assert_eq!(names(&decision), ["a", "b", "f", "e"]);
}

/// Defect 4: with fewer than 2K pods one was deleted twice.
#[rstest]
#[case(3, &["a", "b", "c"])]
#[case(2, &["a", "b"])]
fn defect_4_nobody_is_hottest_and_coldest(#[case] pods: usize, #[case] expected: &[&str]) {
    let loads = [("a", 3.0), ("b", 2.0), ("c", 0.1)];
    let pods: Vec<Value> = loads[..pods]
        .iter()
        .map(|(name, load)| json!({"name": name, "load": load}))
        .collect();
    let decision = decide(
        &snapshot(json!({"target": 1.0, "pods": pods})),
        &policy(json!({"max_unavailable": {"pods": 1}, "minimum_pods": 1})),
    );
    let chosen: Vec<&str> = decision
        .pods
        .iter()
        .filter(|pod| pod.role.is_some())
        .map(|pod| pod.name.as_str())
        .collect();
    assert_eq!(chosen, expected);
    // All of them hot is no reason to rotate.
    assert_eq!(
        decision.plan().map(Plan::largest_wave),
        (expected.len() == 3).then_some(1)
    );
}

/// Defect 5: another workload's pods with the same container name were deleted and counted.
#[test]
fn defect_5_pods_of_another_workload_are_neither_chosen_nor_counted() {
    let mut value = example();
    let pods = value["pods"].as_array_mut().unwrap();
    pods.push(json!({"name": "x", "load": 9.0, "owned": false}));
    pods.push(json!({"name": "y", "load": 0.0, "owned": false}));
    let decision = decide(&snapshot(value.clone()), &two_left());
    assert_eq!(names(&decision), ["a", "b", "f", "e"]);
    assert_eq!((decision.analysis.pods, decision.analysis.ready), (8, 6));
    // They do not help to keep the minimum either.
    assert_eq!(
        word(&decide(&snapshot(value), &Policy::default())),
        "minimum_pods"
    );
}

/// Defect 7: rollouts, scalings and unready pods were not looked at.
#[rstest]
#[case::rollout(
    json!({"rollout": {"generation": 2, "observed_generation": 2, "desired": 6, "current": 7,
        "updated": 3}}),
    "rollout_in_progress"
)]
#[case::scaling(
    json!({"autoscalers": [{"name": "hpa", "current_replicas": 6, "desired_replicas": 8}]}),
    "autoscaler_scaling"
)]
fn defect_7_a_workload_in_motion_is_left_alone(#[case] fields: Value, #[case] reason: &str) {
    let decision = decide(&snapshot(example_with(fields)), &two_left());
    assert_eq!(word(&decision), reason);
}

/// Defect 7, too.
#[test]
fn defect_7_an_unready_pod_is_neither_chosen_nor_counted() {
    let value = example_with_pod(0, json!({"ready": false}));
    let policy = policy(json!({"minimum_pods": 1}));
    let decision = decide(&snapshot(value), &policy);
    assert_eq!(names(&decision), ["b", "f", "e"]);
    assert_eq!(decision.analysis.ready, 5);
}

/// Defect 8: an AverageValue was read as percent, ContainerResource metrics were unknown, and
/// requests were averaged over strangers.
#[rstest]
#[case::average_value(json!({"type": "average_value", "cores": 0.7}))]
#[case::container(json!({"type": "container_average_value", "container": "consumer", "cores": 0.7}))]
#[case::container_share(
    json!({"type": "container_utilization", "container": "consumer", "percent": 70})
)]
#[case::share(json!({"type": "utilization", "percent": 70}))]
fn defect_8_every_kind_of_cpu_target_is_understood(#[case] metric: Value) {
    let mut value = example_with(json!({
        "target": null,
        "container": "consumer",
        "autoscalers": [{"name": "hpa", "cpu": [metric]}],
    }));
    let pods = value["pods"].as_array_mut().unwrap();
    for pod in pods.iter_mut() {
        pod["request"] = json!(1.0);
    }
    pods.push(json!({"name": "x", "load": 0.5, "owned": false, "request": 64.0}));
    let decision = decide(&snapshot(value), &two_left());
    assert_eq!(decision.analysis.target, Some(0.7));
    assert_eq!(names(&decision), ["a", "b", "f", "e"]);
}

/// The report's words for what a policy is: they are read by others.
#[test]
fn an_execution_policy_has_documented_defaults() {
    assert_eq!(
        serde_json::to_value(ExecutionPolicy::default()).unwrap(),
        json!({
            "minimum_pods": 3,
            "eviction_timeout_seconds": 120.0,
            "ready_timeout_seconds": 300.0,
            "dry_run": false,
        })
    );
}
