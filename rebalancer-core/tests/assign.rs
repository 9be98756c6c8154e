//! The strategies `assign` and `auto` on groups that their brokers describe: each hold, the chosen
//! assignments, and the plans of their hand-over.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod described;

use std::collections::BTreeMap;
use std::time::Duration;

use described::{group, policy, skewed, snapshot, survives_json, with};
use kafka_assignors::MemberIndex;
use proptest::prelude::*;
use rebalancer_core::group::{AssignProblem, Protocol, RebalanceProtocol};
use rebalancer_core::handover::{HandoverGoal, HandoverPlan, HandoverPlanError, HandoverWork};
use rebalancer_core::history::Rotation;
use rebalancer_core::model::{Percent, Tolerance};
use rebalancer_core::plan::{AssignmentPlan, PlannedMove, PlannedRejoin, RejoinPlan};
use rebalancer_core::policy::Strategy as Rule;
use rebalancer_core::{Decision, HoldReason, Policy, decide};
use rstest::rstest;
use serde_json::{Value, json};

fn assign(value: Value) -> Decision {
    decide(&snapshot(value), &policy(Rule::Assign))
}

/// The load of each pod after the moves, by the rates of the document.
fn loads_after(value: &Value, plan: &AssignmentPlan) -> BTreeMap<String, f64> {
    let topic = &value["group"]["topics"]["t"];
    let pods = value["pods"].as_array().unwrap().iter();
    let mut loads: BTreeMap<String, f64> = pods
        .map(|pod| (pod["name"].as_str().unwrap().to_owned(), 0.1))
        .collect();
    let owners = topic["owners"].as_array().unwrap().iter();
    for (partition, (owner, rate)) in owners.zip(topic["rates"].as_array().unwrap()).enumerate() {
        let moved = plan
            .moves()
            .iter()
            .find(|moved| moved.partition as usize == partition);
        let owner = moved.map_or(owner.as_str().unwrap(), |moved| {
            assert_eq!(owner.as_str(), Some(moved.from.as_str()));
            &moved.to
        });
        *loads.get_mut(owner).unwrap() += rate.as_f64().unwrap() / 100.0;
    }
    loads
}

#[rstest]
#[case::cooperative("cooperative-sticky", RebalanceProtocol::Cooperative, 5)]
#[case::eager("sticky", RebalanceProtocol::Eager, 3)]
fn hands_heavy_partitions_to_other_members(
    #[case] assignor: &str,
    #[case] protocol: RebalanceProtocol,
    #[case] rebalances: u32,
) {
    let value = skewed(assignor);
    let decision = assign(value.clone());
    let plan = decision.assignment().expect(&decision.message);
    assert_eq!(decision.plan(), None);
    assert_eq!(decision.hold_reason(), None);
    let report = decision.group.as_ref().unwrap();
    let forecast = report.assignment.as_ref().unwrap();
    assert_eq!(forecast.moves, plan.moves().len());
    assert_eq!(forecast.protocol, protocol);
    assert_eq!(forecast.rebalances, rebalances);
    // The forecast is what the moves lead to.
    let after = loads_after(&value, plan);
    let peak = after.values().copied().fold(0.0, f64::max);
    assert!(
        (peak - forecast.peak).abs() < 1e-6,
        "{after:?} {forecast:?}"
    );
    assert!(peak < 0.75, "{after:?}");
    assert!(
        decision.message.starts_with("assign ") && decision.message.contains("pod-00 above"),
        "{}",
        decision.message
    );
    // The document is complete.
    let json = serde_json::to_value(&decision).unwrap();
    assert_eq!(json["decision"]["action"], "assign");
    assert_eq!(json["victims"], json!([]));
    assert_eq!(json["moves"].as_array().unwrap().len(), plan.moves().len());
    assert_eq!(serde_json::from_value::<Decision>(json).unwrap(), decision);
}

#[test]
fn plan_of_a_hand_over_has_the_members_and_the_target() {
    let value = skewed("cooperative-sticky");
    let decision = assign(value.clone());
    let plan = decision.assignment().expect(&decision.message);
    let observed_at = Duration::from_secs(7);
    let handover = HandoverPlan::new(&snapshot(value.clone()), plan, observed_at).unwrap();
    assert_eq!(handover.assignor, "cooperative-sticky");
    assert_eq!(handover.work(), HandoverWork::Moves(plan.moves().len()));
    assert_eq!(handover.members.len(), 4);
    assert_eq!(handover.members[2].member_id, "consumer-pod-02-0a1b");
    assert_eq!(handover.observed_at, observed_at);
    assert!(!handover.target().unwrap().sticky_user_data);
    // A plan for another group is refused.
    let mut moved: PlannedMove = plan.moves()[0].clone();
    std::mem::swap(&mut moved.from, &mut moved.to);
    let other = AssignmentPlan::try_from(vec![moved]).unwrap();
    let error = HandoverPlan::new(&snapshot(value), &other, observed_at).unwrap_err();
    assert!(
        matches!(error, HandoverPlanError::OtherGroup { .. }),
        "{error}"
    );
}

#[test]
fn plan_of_a_rejoin_has_all_members_of_its_pods() {
    let value = skewed("range");
    let plan = |pods: &[&str]| {
        let pods = pods.iter().map(|pod| PlannedRejoin {
            pod: (*pod).into(),
            load: 0.5,
        });
        RejoinPlan::try_from(pods.collect::<Vec<_>>()).unwrap()
    };
    let rejoin = |value: &Value, pods: &[&str]| {
        HandoverPlan::rejoin(&snapshot(value.clone()), &plan(pods), Duration::ZERO)
    };
    let handover = rejoin(&value, &["pod-02", "pod-00"]).unwrap();
    let members = [0, 2].map(MemberIndex::new).to_vec();
    assert_eq!(handover.goal, HandoverGoal::Rejoin(members));
    assert_eq!(handover.assignor, "range");
    assert_eq!(handover.work(), HandoverWork::Rejoins(2));
    // A plan for another group, or one that leaves no member, is refused.
    let error = |value: &Value, pods: &[&str]| rejoin(value, pods).unwrap_err().to_string();
    assert_eq!(
        error(&value, &["pod-00", "pod-77"]),
        "the plan does not belong to the group of the snapshot: pod pod-77 has no member"
    );
    assert_eq!(
        error(&value, &["pod-00", "pod-01", "pod-02", "pod-03"]),
        "all 4 members would be removed; at least one has to stay in the group"
    );
    let mut other = value;
    other["group"]["described"]["kind"] = "consumer".into();
    other["group"]["protocol"] = "consumer".into();
    let refused = |value: &Value| rejoin(value, &["pod-00"]).unwrap_err();
    let unsuitable = HandoverPlanError::Unsuitable;
    assert_eq!(refused(&other), unsuitable(AssignProblem::BrokerTooOld));
    other["group"]["described"]["removable_members"] = true.into();
    let handover = rejoin(&other, &["pod-00"]).unwrap();
    assert_eq!(handover.group_protocol, Protocol::Consumer);
    assert_eq!(handover.protocol, RebalanceProtocol::Cooperative);
    other["group"]["described"]["classic_members"] = 1.into();
    let mixed = AssignProblem::MixedProtocols { members: 1 };
    assert_eq!(refused(&other), unsuitable(mixed));
}

#[rstest]
#[case::range(|_: &mut Value| {}, "range", HoldReason::ASSIGNOR_NOT_STICKY, "cooperative-sticky, in two rolling")]
#[case::round_robin(|_: &mut Value| {}, "roundrobin", HoldReason::ASSIGNOR_NOT_STICKY, "remove roundrobin")]
#[case::kip_848(
    |value: &mut Value| {
        value["group"]["protocol"] = "consumer".into();
        value["group"]["described"]["kind"] = "consumer".into();
    },
    "uniform",
    HoldReason::CONSUMER_PROTOCOL,
    "KIP-848"
)]
#[case::connect(
    |value: &mut Value| value["group"]["described"]["protocol_type"] = "connect".into(),
    "sticky",
    HoldReason::GROUP_UNKNOWN,
    "of type connect"
)]
#[case::streams(
    |value: &mut Value| {
        value["group"]["described"]["assignor"] = "stream".into();
    },
    "sticky",
    HoldReason::ASSIGNOR_NOT_STICKY,
    "Kafka Streams"
)]
#[case::configured_assignor_differs_from_the_reported_one(
    |value: &mut Value| value["group"]["described"]["assignor"] = "my-own".into(),
    "cooperative-sticky",
    HoldReason::ASSIGNOR_NOT_STICKY,
    "the assignor my-own"
)]
#[case::redpanda(
    |value: &mut Value| {
        value["group"]["described"]["cluster_id"] = "redpanda.1a2b".into();
    },
    "cooperative-sticky",
    HoldReason::COORDINATOR_UNKNOWN,
    "Redpanda"
)]
#[case::read_from_metrics(
    |value: &mut Value| {
        value["group"].as_object_mut().unwrap().remove("described");
    },
    "cooperative-sticky",
    HoldReason::GROUP_UNKNOWN,
    "read the group from Kafka"
)]
#[case::without_rates(
    |value: &mut Value| {
        value["group"]["topics"]["t"].as_object_mut().unwrap().remove("rates");
    },
    "cooperative-sticky",
    HoldReason::GROUP_UNKNOWN,
    "the rates of the partitions are unknown"
)]
#[case::pod_without_member(
    |value: &mut Value| {
        value["group"]["described"]["pods_without_member"] = json!(["pod-09"]);
    },
    "cooperative-sticky",
    HoldReason::MEMBERS_MISSING,
    "1 ready pod has no member in the group, such as pod-09"
)]
#[case::different_subscriptions(
    |value: &mut Value| {
        value["group"]["topics"]["u"] = json!({"owners": ["pod-00"], "rates": [1.0]});
        for member in 1..4 {
            value["group"]["members"][member]["topics"] = json!(["t"]);
        }
    },
    "cooperative-sticky",
    HoldReason::DIFFERENT_SUBSCRIPTIONS,
    "consumer-pod-00-0a1b subscribes to other topics"
)]
#[case::user_data(
    |value: &mut Value| {
        value["group"]["described"]["assignments_with_user_data"] = 4.into();
    },
    "cooperative-sticky",
    HoldReason::ASSIGNMENT_USER_DATA,
    "the assignments of 4 members carry data"
)]
#[case::racks(
    |value: &mut Value| {
        let topic = &mut value["group"]["topics"]["t"];
        topic["replica_racks"] = json!(vec![vec!["r1"]; 11].into_iter().chain([vec!["r2"]])
            .collect::<Vec<_>>());
        for member in 0..4 {
            value["group"]["members"][member]["rack"] = if member == 0 { "r2" } else { "r1" }.into();
        }
    },
    "cooperative-sticky",
    HoldReason::RACKS_UNEVEN,
    "client.rack"
)]
#[case::balanced(
    |value: &mut Value| value["target"] = 5.0.into(),
    "cooperative-sticky",
    HoldReason::WITHIN_TOLERANCE,
    "no eligible pod is above the threshold of 7.500"
)]
#[case::rates_of_other_topics(
    |value: &mut Value| {
        value["group"]["topics"]["t"]["rates"] =
            json!([1.0, 1.0, 1.0, 90.0, 90.0, 90.0, 9.0, 50.0, 9.0, 70.0, 2.0, 80.0]);
    },
    "cooperative-sticky",
    HoldReason::LOADS_UNEXPLAINED,
    "of the variance of the loads"
)]
#[case::no_target(
    |value: &mut Value| {
        value.as_object_mut().unwrap().remove("target");
    },
    "cooperative-sticky",
    HoldReason::TARGET_UNKNOWN,
    "no HorizontalPodAutoscaler"
)]
fn each_hold_has_a_reason_and_a_remedy(
    #[case] change: fn(&mut Value),
    #[case] assignor: &str,
    #[case] reason: HoldReason,
    #[case] message: &str,
) {
    let decision = assign(with(skewed(assignor), change));
    assert_eq!(decision.hold_reason(), Some(reason), "{}", decision.message);
    assert!(decision.message.contains(message), "{}", decision.message);
    assert_eq!(decision.assignment(), None);
    survives_json(&decision);
}

/// No assignment lowers the load of the pod with the heavy partition, but the other hot pod can be
/// relieved.
#[test]
fn other_hot_pods_are_relieved_beside_one_that_stands_out() {
    let rates = [
        vec![150.0, 1.0, 1.0],
        vec![30.0, 30.0, 30.0],
        vec![5.0, 5.0, 5.0],
        vec![5.0, 5.0, 5.0],
    ];
    let value = with(group("cooperative-sticky", &rates), |value| {
        value["target"] = 0.4.into()
    });
    let decision = assign(value.clone());
    let message = &decision.message;
    let plan = decision.assignment().expect(message);
    let after = loads_after(&value, plan);
    assert!((after["pod-00"] - 1.62).abs() < 1e-9, "{after:?}");
    let second = after
        .into_values()
        .filter(|load| *load < 1.6)
        .fold(0.0, f64::max);
    assert!(second <= 0.6, "{second}");
    let part = "without 1 pod that no assignment brings to the level of the others, it falls from";
    assert!(message.contains(part), "{message}");
}

#[test]
fn heavy_partition_is_named_if_no_assignment_helps() {
    let rates = [
        vec![90.0, 1.0, 1.0],
        vec![20.0, 20.0, 20.0],
        vec![20.0, 21.0, 20.0],
    ];
    let value = with(group("cooperative-sticky", &rates), |value| {
        value["target"] = 0.6.into()
    });
    let decision = assign(value);
    assert_eq!(
        decision.hold_reason(),
        Some(HoldReason::HOT_PARTITION),
        "{}",
        decision.message
    );
}

#[test]
fn small_improvement_is_not_worth_a_hand_over() {
    let value = skewed("cooperative-sticky");
    let policy = Policy {
        minimum_improvement_percent: Percent::new(60.0).unwrap(),
        ..policy(Rule::Assign)
    };
    let decision = decide(&snapshot(value), &policy);
    assert_eq!(
        decision.hold_reason(),
        Some(HoldReason::NO_ASSIGNMENT_HELPS),
        "{}",
        decision.message
    );
    assert!(
        decision.message.contains("more than 60 % is required"),
        "{}",
        decision.message
    );
}

#[rstest]
#[case::above(1.5, None)]
#[case::within(2.0, Some(HoldReason::WITHIN_TOLERANCE))]
fn imbalance_triggers_an_assignment_without_an_autoscaler(
    #[case] tolerance: f64,
    #[case] reason: Option<HoldReason>,
) {
    let value = with(skewed("cooperative-sticky"), |value| {
        value.as_object_mut().unwrap().remove("target");
    });
    let policy = Policy {
        imbalance_tolerance: Some(Tolerance::new(tolerance).unwrap()),
        ..policy(Rule::Assign)
    };
    let decision = decide(&snapshot(value), &policy);
    assert_eq!(decision.hold_reason(), reason, "{}", decision.message);
    assert!(
        decision.message.contains("the imbalance (max/mean)"),
        "{}",
        decision.message
    );
}

#[test]
fn pods_that_may_not_be_evicted_are_relieved() {
    let value = with(skewed("cooperative-sticky"), |value| {
        for pod in value["pods"].as_array_mut().unwrap() {
            pod["opted_out"] = "cluster-autoscaler.kubernetes.io/safe-to-evict: false".into();
        }
    });
    let decision = assign(value.clone());
    assert!(decision.assignment().is_some(), "{}", decision.message);
    let decision = decide(&snapshot(value), &policy(Rule::Forecast));
    assert_eq!(decision.hold_reason(), Some(HoldReason::NO_ELIGIBLE_PODS));
}

#[test]
fn auto_assigns_in_a_group_that_keeps_it() {
    let decision = decide(&snapshot(skewed("cooperative-sticky")), &policy(Rule::Auto));
    assert!(decision.assignment().is_some(), "{}", decision.message);
    assert_eq!(decision.fallback, None);
}

#[rstest]
#[case::read_from_metrics(
    |value: &mut Value| {
        value["group"].as_object_mut().unwrap().remove("described");
    },
    None
)]
#[case::redpanda(
    |value: &mut Value| {
        value["group"]["described"]["cluster_id"] = "redpanda.1a2b".into();
    },
    Some("no assignment, the forecast decides: the group is coordinated by Redpanda")
)]
fn auto_falls_back_to_the_forecast(#[case] change: fn(&mut Value), #[case] fallback: Option<&str>) {
    let value = with(skewed("cooperative-sticky"), change);
    let decision = decide(&snapshot(value.clone()), &policy(Rule::Auto));
    assert_eq!(decision.assignment(), None);
    let forecast = decide(&snapshot(value), &policy(Rule::Forecast));
    assert_eq!(decision.action, forecast.action);
    match (&decision.fallback, fallback) {
        (None, None) => {}
        (Some(message), Some(part)) => assert!(message.contains(part), "{message}"),
        (message, _) => panic!("{message:?}"),
    }
}

#[rstest]
#[case::did_not_help(None, 400, Some(HoldReason::ROTATION_DID_NOT_HELP), "did not help")]
#[case::abandoned(
    Some("the members took 9.0 s to rejoin"),
    400,
    Some(HoldReason::ROTATION_DID_NOT_HELP),
    "was abandoned: the members took 9.0 s"
)]
#[case::long_ago(Some("the members took 9.0 s to rejoin"), 700, None, "assign ")]
#[case::within_the_cooldown(None, 100, Some(HoldReason::COOLDOWN), "cooldown")]
fn ineffective_hand_over_is_not_repeated_at_once(
    #[case] abandoned: Option<&str>,
    #[case] seconds: i64,
    #[case] reason: Option<HoldReason>,
    #[case] message: &str,
) {
    let value = skewed("cooperative-sticky");
    let before = assign(value.clone());
    let time = jiff::Timestamp::from_second(1_800_000_000 - seconds).unwrap();
    let rotation = before
        .hand_over(None, time, abandoned.map(str::to_owned))
        .unwrap();
    assert_eq!(rotation.strategy, Rule::Assign);
    assert_eq!(rotation.moves, before.assignment().unwrap().moves().len());
    assert!(rotation.imbalance_hoped < rotation.imbalance_before);
    let record = serde_json::to_string(&rotation).unwrap();
    assert_eq!(serde_json::from_str::<Rotation>(&record).unwrap(), rotation);
    let decision = assign(with(value, |value| {
        value["taken_at"] = "2027-01-15T08:00:00Z".into();
        value["last_rotation"] = serde_json::to_value(&rotation).unwrap();
    }));
    assert_eq!(decision.hold_reason(), reason, "{}", decision.message);
    assert!(decision.message.contains(message), "{}", decision.message);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the loads: a plan is one that the forecast describes, lowers the highest load
    /// enough, keeps the number of partitions of each pod within one, and can be handed out.
    #[test]
    fn assignments_meet_the_policy(
        rates in proptest::collection::vec(proptest::collection::vec(1.0..60.0f64, 3), 3..8),
        target in 0.3..2.0f64,
        minimum in 0.0..40.0f64,
    ) {
        let value = with(group("cooperative-sticky", &rates), |value| value["target"] = target.into());
        let policy = Policy {
            minimum_improvement_percent: Percent::new(minimum).unwrap(),
            ..policy(Rule::Assign)
        };
        let seen = snapshot(value.clone());
        let decision = decide(&seen, &policy);
        prop_assert_eq!(&decide(&seen, &policy), &decision);
        let json = serde_json::to_value(&decision).unwrap();
        prop_assert_eq!(&serde_json::from_value::<Decision>(json).unwrap(), &decision);
        if let Some(plan) = decision.assignment() {
            let forecast = decision.group.as_ref().unwrap().assignment.as_ref().unwrap();
            prop_assert!(forecast.improvement_percent() > minimum);
            let after = loads_after(&value, plan);
            let peak = after.values().copied().fold(0.0, f64::max);
            prop_assert!((peak - forecast.peak).abs() < 1e-6, "{after:?} {forecast:?}");
            let handover = HandoverPlan::new(&seen, plan, Duration::ZERO).unwrap();
            let target = &handover.target().unwrap().owners;
            let counts = target.by_member(handover.members.len());
            prop_assert!(counts.iter().all(|partitions| partitions.len() == 3), "{counts:?}");
        } else {
            prop_assert!(decision.hold_reason().is_some());
        }
    }
}
