//! Decisions as cases: the worked example, every hold reason, every origin of a target, and the
//! defects of the Go program.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use rebalancer_core::checks::CheckDetails;
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
         f, e as the coldest; mean of the hottest 1.150 cores, together with the coldest 0.750 \
         cores: improvement 34.8 %, more than 10 %"
    );
}

#[test]
fn default_minimum_holds_the_worked_example_with_advice() {
    let decision = decide(&snapshot(example()), &Policy::default());
    assert_eq!(word(&decision), "minimum_pods");
    assert_eq!(
        decision.message,
        "evicting 4 of 6 ready pods at once would leave 2, less than the minimum of 3 ready pods: at \
         most 3 pods unavailable at once would make the plan possible"
    );
    // The decision shows what the strategy would do nevertheless.
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
fn advised_wave_size_makes_the_plan_possible() {
    let policy = policy(json!({"max_unavailable": {"pods": 3}}));
    let decision = decide(&snapshot(example()), &policy);
    let waves: Vec<usize> = decision.plan().unwrap().waves().map(<[_]>::len).collect();
    assert_eq!(waves, [3, 1]);
    assert_eq!(names(&decision), ["a", "b", "f", "e"]);
}

#[rstest]
#[case::impossible(3, "no smaller wave makes a plan possible")]
#[case::one_by_one(4, "at most 1 pod unavailable at once would make the plan possible")]
fn message_advises_a_wave_size(#[case] pods: usize, #[case] expected: &str) {
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
    "the controller has not observed the current specification yet (generation 3 of 4)"
)]
#[case::updated(
    example_with(json!({"rollout": {"generation": 4, "observed_generation": 4, "desired": 6,
        "current": 6, "updated": 2}})),
    "rollout_in_progress",
    "a rollout or scaling is in progress: 2 of 6 replicas are up to date"
)]
#[case::surge(
    example_with(json!({"rollout": {"generation": 4, "observed_generation": 4, "desired": 6,
        "current": 7, "updated": 6}})),
    "rollout_in_progress",
    "a rollout or scaling is in progress: 7 pods exist for 6 replicas"
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
    "the newest ready pod, c, became ready 42 s ago (cooldown 300 s)"
)]
#[case::terminating(
    example_with_pod(2, json!({"terminating": true})),
    "group_not_settled",
    "1 pod is terminating: c; no pod became ready recently"
)]
#[case::no_pods(
    json!({"target": 1.0, "pods": []}),
    "no_ready_pods",
    "the workload has no ready pod"
)]
#[case::scaled_to_zero(
    json!({"target": 1.0, "pods": [],
           "rollout": {"generation": 1, "observed_generation": 1, "desired": 0, "current": 0,
                       "updated": 0}}),
    "scaled_to_zero",
    "the workload is scaled to 0 replicas and has no pods"
)]
#[case::no_ready_pods(
    json!({"target": 1.0, "pods": [{"name": "a", "load": 9.0, "ready": false}]}),
    "no_ready_pods",
    "the workload has no ready pod"
)]
#[case::partial(
    example_with(json!({"metrics_partial": "vmstorage-2 did not answer"})),
    "metrics_partial",
    "the metrics may be incomplete: vmstorage-2 did not answer"
)]
#[case::duplicate_series(
    example_with_pod(3, json!({"series": 2})),
    "pods_measured_twice",
    "1 pod has duplicate series in the metrics (d: 2 series): check whether two jobs scrape the same \
     container"
)]
#[case::uncovered(
    example_with_pod(4, json!({"load": null})),
    "insufficient_coverage",
    "5 of 6 ready pods have a load (83 %, at least 90 % required); without a load: e (not measured)"
)]
#[case::nan(
    example_with_pod(4, json!({"load": null, "fault": "not_finite"})),
    "insufficient_coverage",
    "5 of 6 ready pods have a load (83 %, at least 90 % required); without a load: e (the query \
     answered a number that is not finite (NaN or Inf))"
)]
#[case::stale(
    example_with_pod(4, json!({"sample_age_seconds": 151.0})),
    "insufficient_coverage",
    "5 of 6 ready pods have a load (83 %, at least 90 % required); without a load: e (stale: newest \
     sample 151 s old, at most 150 s allowed)"
)]
#[case::clocks(
    example_with(json!({"clock_difference_seconds": 180.0})),
    "clocks_apart",
    "the clock of the metrics server is 180 s ahead of the cluster's (at most 60 s allowed): check \
     that both are synchronized (NTP)"
)]
#[case::clocks_explain_staleness(
    merged(
        example_with_pod(4, json!({"sample_age_seconds": 400.0})),
        json!({"clock_difference_seconds": 400.0})
    ),
    "clocks_apart",
    "the clock of the metrics server is 400 s ahead of the cluster's (at most 60 s allowed): check \
     that both are synchronized (NTP)"
)]
#[case::other_pods(
    json!({"target": 0.7, "strangers": {"pods": 6, "example": "z"},
           "pods": [{"name": "a"}, {"name": "b"}]}),
    "metrics_of_other_pods",
    "the metrics contain 0 of 2 ready pods, but 6 pods that the workload does not have (for example \
     z): check that the metrics are those of this cluster and of this namespace"
)]
#[case::hole(
    example_with_pod(4, json!({"window_covered": false})),
    "insufficient_coverage",
    "5 of 6 ready pods have a load (83 %, at least 90 % required); without a load: e (no sample in the first \
     half of the window: the load is made of the last few samples only)"
)]
#[case::zero(
    json!({"target": 0.7, "pods": [{"name": "a", "load": 0}, {"name": "b", "load": 0}]}),
    "loads_all_zero",
    "all 2 measured pods have a load of exactly 0: the counters have stopped (an idle consumer still \
     uses some CPU)"
)]
#[case::implausible(
    example_with_pod(0, json!({"load": 60.0, "request": 1.0})),
    "implausible_load",
    "1 load is implausible: a uses 60.000 cores with a request of 1.000 (at most 20 is plausible): \
     check whether a counter is in another unit, or is a sum of several series"
)]
#[case::hot_but_restarted(
    json!({"target": 0.7, "pods": [
        {"name": "a", "load": 2.0, "restarted_seconds": 20}, {"name": "b", "load": 0.6},
        {"name": "c", "load": 0.5}
    ]}),
    "within_tolerance",
    "no eligible pod is above the threshold of 1.050 cores (1.5 × target 0.700); the highest load \
     is 0.600 cores; above it but not eligible: a (restarted 20 s ago, at least 300 s required)"
)]
#[case::no_eligible_pods(
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
    "no HorizontalPodAutoscaler scales the workload: create one, find it by a name prefix, or set a \
     fixed target"
)]
#[case::balanced(
    example_with(json!({"target": 0.8})),
    "within_tolerance",
    "no eligible pod is above the threshold of 1.200 cores (1.5 × target 0.800); the highest load \
     is 1.200 cores"
)]
#[case::hot_but_young(
    json!({"target": 0.7, "pods": [
        {"name": "a", "load": 2.0, "age_seconds": 20}, {"name": "b", "load": 0.6},
        {"name": "c", "load": 0.5}
    ]}),
    "within_tolerance",
    "no eligible pod is above the threshold of 1.050 cores (1.5 × target 0.700); the highest load \
     is 0.600 cores; above it but not eligible: a (too young: 20 s of at least 300 s)"
)]
#[case::no_pod_to_rotate_with(
    json!({"target": 0.7, "pods": [{"name": "a", "load": 2.0}]}),
    "improvement_too_small",
    "a above the threshold of 1.050 cores (1.5 × target 0.700), but no other pod is eligible to \
     rotate with"
)]
#[case::only_pods_of_others(
    json!({"target": 0.7, "pods": [{"name": "a", "load": 2.0, "owned": false}],
           "rollout": {"generation": 1, "observed_generation": 1, "desired": 2, "current": 2,
                       "updated": 2}}),
    "no_pods_found",
    "0 of 1 selected pods belong to the workload, which wants 2: check that the label selector \
     matches its pods"
)]
#[case::alike(
    json!({"target": 0.5, "pods": [
        {"name": "a", "load": 0.9}, {"name": "b", "load": 0.85},
        {"name": "c", "load": 0.8}, {"name": "d", "load": 0.75},
    ]}),
    "improvement_too_small",
    "a, b above the threshold of 0.750 cores (1.5 × target 0.500), but the loads of the \
     chosen pods are too similar: mean of the hottest 0.875 cores, together with the coldest 0.825 \
     cores: improvement 5.7 %, more than 10 % is required"
)]
#[case::minimum(
    example_with_pod(2, json!({"ready": false})),
    "minimum_pods",
    "evicting 4 of 5 ready pods at once would leave 1, less than the minimum of 2 ready pods: at \
     most 3 pods unavailable at once would make the plan possible"
)]
fn every_hold_reason_has_its_message(
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
fn improvement_must_exceed_the_minimum(#[case] minimum: f64, #[case] expected: &str) {
    // (2 − 1.5) / 2 is exactly 25 %.
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
fn every_cpu_metric_gives_a_target(#[case] cpu: Value, #[case] cores: f64) {
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
        .find(|check| matches!(check.details, CheckDetails::Target(_)))
        .map(|check| check.message.as_str())
        .unwrap()
}

#[rstest]
#[case::pods_share(
    json!({"type": "utilization", "percent": 70}),
    "the target is 1.400 cores per pod (HorizontalPodAutoscaler hpa: 70 % of the CPU request, mean \
     request 2.000 cores; the autoscaler also averages over the 0.500 cores that other containers \
     of the pods request)"
)]
#[case::containers_share(
    json!({"type": "container_utilization", "container": "consumer", "percent": 50}),
    "the target is 1.000 cores per pod (HorizontalPodAutoscaler hpa: 50 % of the CPU request of \
     container consumer, mean request 2.000 cores)"
)]
#[case::value(
    json!({"type": "average_value", "cores": 0.9}),
    "the target is 0.900 cores per pod (HorizontalPodAutoscaler hpa: 0.9 cores per pod)"
)]
fn target_message_names_the_origin(#[case] metric: Value, #[case] message: &str) {
    let decision = decide(
        &with_autoscalers(json!([{"name": "hpa", "cpu": [metric]}])),
        &Policy::default(),
    );
    assert_eq!(target_message(&decision), message);
}

#[rstest]
#[case::none(
    json!([]),
    "no HorizontalPodAutoscaler scales the workload: create one, find it by a name prefix, or set a \
     fixed target"
)]
#[case::none_of_ours(
    json!([
        {"name": "lag", "other_metrics": ["external kafka_lag"]},
        {"name": "side", "cpu": [
            {"type": "container_utilization", "container": "sidecar", "percent": 80}
        ]},
        {"name": "empty"},
    ]),
    "no autoscaler has a CPU metric of container consumer (found: lag (external kafka_lag); side \
     (80 % of the CPU request of container sidecar); empty (no metric)): set a fixed target"
)]
#[case::two_that_disagree(
    json!([
        {"name": "one", "cpu": [{"type": "utilization", "percent": 70}]},
        {"name": "two", "cpu": [{"type": "average_value", "cores": 0.5}]},
    ]),
    "several CPU metrics give different targets (one: 70 % of the CPU request; two: 0.5 cores per \
     pod): remove all but one, or set a fixed target"
)]
#[case::nothing(
    json!([{"name": "hpa", "cpu": [{"type": "utilization", "percent": 0}]}]),
    "hpa: 0 % of the CPU request does not give a positive target: correct it, or set a fixed target"
)]
fn unknown_target_lists_the_autoscalers_found(#[case] autoscalers: Value, #[case] message: &str) {
    let decision = decide(
        &with_autoscalers(autoscalers),
        &policy(json!({"minimum_coverage_percent": 0})),
    );
    assert_eq!(word(&decision), "target_unknown");
    assert_eq!(decision.message, message);
    assert_eq!(decision.analysis.threshold, None);
}

#[test]
fn utilization_needs_a_request_of_every_eligible_pod() {
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
        "the target is a percentage of the CPU request, but container consumer of pod b (and of 1 \
         more pods) has no CPU request: add one, or set a fixed target"
    );
}

#[test]
fn fixed_target_overrides_the_autoscalers() {
    let decision = decide(
        &snapshot(example_with(json!({"autoscalers": [
            {"name": "hpa", "cpu": [{"type": "average_value", "cores": 9.0}]},
        ]}))),
        &two_left(),
    );
    assert_eq!(decision.analysis.target, Some(0.7));
    let fixed = decision.checks.iter().any(|check| {
        matches!(&check.details, CheckDetails::Target(known)
            if known.target.as_ref().is_some_and(|target| target.origin == TargetOrigin::Fixed))
    });
    assert!(fixed);
}

/// Defect 2: without an autoscaler, or with two, the Go program reported "balanced".
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
        &check.details,
        CheckDetails::Target(known) if matches!(
            known.problem,
            Some(TargetProblem::NoAutoscaler | TargetProblem::Disagree { .. })
        )
    )));
}

/// Defect 3: a pod younger than the rate window has a low rate, so it was deleted again and again.
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

/// The rate across a restart is not a load, but the metrics are complete.
#[test]
fn restarted_pod_is_covered_but_not_a_victim() {
    let value = example_with_pod(5, json!({"load": 0.01, "restarted_seconds": 60.0}));
    let decision = decide(&snapshot(value), &two_left());
    assert_eq!(names(&decision), ["a", "b", "e", "d"]);
}

#[test]
fn unknown_pods_beside_measured_pods_do_not_hold() {
    let value = example_with(json!({"strangers": {"pods": 60, "example": "x"}}));
    let decision = decide(&snapshot(value), &two_left());
    assert_eq!(word(&decision), "rotate", "{}", decision.message);
}

/// A CronJob without usable data fails, whichever check fails first.
#[rstest]
#[case::clocks(json!({"clock_difference_seconds": -90.0}))]
#[case::implausible(json!({"pods": [{"name": "a", "load": 60.0, "request": 1.0}]}))]
#[case::zero(json!({"pods": [{"name": "a", "load": 0.0}, {"name": "b", "load": 0.0}]}))]
#[case::other_pods(json!({"pods": [{"name": "a"}], "strangers": {"pods": 1, "example": "x"}}))]
fn untrusted_metrics_are_missing_data_behind_another_reason(#[case] fields: Value) {
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

#[test]
fn custom_load_may_be_of_any_size_and_has_no_unit() {
    let mut value = example_with(json!({"custom_load": true, "target": 70_000.0}));
    for pod in value["pods"].as_array_mut().unwrap() {
        pod["load"] = json!(pod["load"].as_f64().unwrap() * 100_000.0);
        pod["request"] = json!(1.0);
    }
    let decision = decide(&snapshot(value), &two_left());
    assert_eq!(names(&decision), ["a", "b", "f", "e"]);
    assert_eq!(
        decision.message,
        "evict 4 of 6 pods: a, b above the threshold of 105000.000 (1.5 × target 70000.000) with f, \
         e as the coldest; mean of the hottest 115000.000, together with the coldest 75000.000: \
         improvement 34.8 %, more than 10 %"
    );
    assert_eq!(
        target_message(&decision),
        "the target is 70000.000 per pod (set by the operator)"
    );
    let messages = decision.checks.iter().map(|check| check.message.as_str());
    let with_unit = messages
        .chain([decision.message.as_str()])
        .filter(|message| message.contains(" cores") && !message.contains("no load in cores"));
    assert_eq!(with_unit.collect::<Vec<_>>(), Vec::<&str>::new());
}

/// Defect 4: with fewer than 2K pods, one pod was deleted twice.
#[rstest]
#[case(3, &["a", "b", "c"])]
#[case(2, &["a", "b"])]
fn defect_4_no_pod_is_hottest_and_coldest(#[case] pods: usize, #[case] expected: &[&str]) {
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
    // If every pod is hot, there is nothing to rotate with.
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
    // They do not count for the minimum either.
    assert_eq!(
        word(&decide(&snapshot(value), &Policy::default())),
        "minimum_pods"
    );
}

/// Defect 7: rollouts, scalings and unready pods were ignored.
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

/// Defect 7, unready pods.
#[test]
fn defect_7_an_unready_pod_is_neither_chosen_nor_counted() {
    let value = example_with_pod(0, json!({"ready": false}));
    let policy = policy(json!({"minimum_pods": 1}));
    let decision = decide(&snapshot(value), &policy);
    assert_eq!(names(&decision), ["b", "f", "e"]);
    assert_eq!(decision.analysis.ready, 5);
}

/// Defect 8: an AverageValue was read as percent, ContainerResource metrics were unknown, and
/// requests were averaged over the pods of other workloads.
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

#[test]
fn an_execution_policy_has_documented_defaults() {
    assert_eq!(
        serde_json::to_value(ExecutionPolicy::default()).unwrap(),
        json!({
            "eviction_timeout_seconds": 120.0,
            "ready_timeout_seconds": 300.0,
            "dry_run": false,
            "remove_static_members": true,
        })
    );
}

#[rstest]
#[case::one_hot(0.8, &["a", "f", "e"], true)]
#[case::two_hot(1.1, &["a", "b", "f", "e"], false)]
fn plan_with_more_cold_than_hot_pods_says_so(
    #[case] second: f64,
    #[case] victims: &[&str],
    #[case] says: bool,
) {
    let decision = decide(
        &snapshot(example_with_pod(1, json!({"load": second}))),
        &two_left(),
    );
    assert_eq!(names(&decision), victims, "{}", decision.message);
    let text = "f, e as the coldest (only 1 pod is hot, but up to 2 of the coldest are evicted \
                with it)";
    assert_eq!(
        decision.message.contains(text),
        says,
        "{}",
        decision.message
    );
}
