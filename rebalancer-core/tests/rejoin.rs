//! The strategy `rejoin` on groups that their brokers describe: each hold, and the chosen sets of
//! pods.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests may panic"
)]

mod described;

use std::collections::BTreeSet;

use described::{group, policy, skewed, snapshot, survives_json, with};
use proptest::prelude::*;
use rebalancer_core::checks::{CheckDetails, Verdict};
use rebalancer_core::group::RebalanceProtocol;
use rebalancer_core::history::Rotation;
use rebalancer_core::model::{MinimumPods, Percent, Seconds, Tolerance, TopK};
use rebalancer_core::plan::{PlannedRejoin, Role};
use rebalancer_core::policy::Strategy as Rule;
use rebalancer_core::strategy::rejoin_forecast::RejoinForecast;
use rebalancer_core::{Decision, HoldReason, Policy, decide};
use rstest::rstest;
use serde_json::{Value, json};

fn rejoin(value: Value) -> Decision {
    decide(&snapshot(value), &policy(Rule::Rejoin))
}

fn pods(decision: &Decision) -> Vec<&str> {
    let plan = decision.rejoin().expect(&decision.message);
    plan.pods()
        .iter()
        .map(|planned| planned.pod.as_str())
        .collect()
}

fn forecast(decision: &Decision) -> &RejoinForecast {
    decision.group.as_ref().unwrap().rejoin.as_ref().unwrap()
}

/// Six pods with four partitions each. All heavy ones are on the first pod.
fn piled_up(assignor: &str) -> Value {
    let light = || vec![6.0, 7.0, 5.0, 6.0];
    let rates = [
        vec![30.0, 30.0, 30.0, 30.0],
        light(),
        light(),
        light(),
        light(),
        light(),
    ];
    group(assignor, &rates)
}

fn consumer_protocol(value: &mut Value) {
    value["group"]["protocol"] = "consumer".into();
    value["group"]["described"]["kind"] = "consumer".into();
    value["group"]["described"]["removable_members"] = true.into();
    value["group"]["described"]
        .as_object_mut()
        .unwrap()
        .remove("client");
}

/// The policy that also lets members of groups of the consumer protocol rejoin.
fn with_consumer_protocol() -> Policy {
    Policy {
        rejoin_consumer_protocol: true,
        ..policy(Rule::Rejoin)
    }
}

fn static_members(value: &mut Value) {
    for member in value["group"]["members"].as_array_mut().unwrap() {
        member["instance"] = format!("static-{}", member["pod"].as_str().unwrap()).into();
    }
}

fn librdkafka(value: &mut Value) {
    value["group"]["client"] = "librdkafka".into();
    value["group"]["described"]["client"] = "librdkafka".into();
}

#[test]
fn members_with_heavy_partitions_rejoin_with_others() {
    let decision = rejoin(piled_up("cooperative-sticky"));
    let names = pods(&decision);
    assert!(names.len() > 1 && names[0] == "pod-00", "{names:?}");
    assert_eq!(decision.plan(), None);
    assert_eq!(decision.assignment(), None);
    assert_eq!(decision.hold_reason(), None);
    assert_eq!(decision.verb(), Some("rejoin"));
    let best = forecast(&decision);
    assert_eq!(best.protocol, RebalanceProtocol::Cooperative);
    assert_eq!(best.rebalances, 2);
    assert_eq!(best.members(), names.len());
    assert_eq!(best.pods[0].members, ["consumer-pod-00-0a1b"]);
    assert_eq!(best.pods[0].partitions, 4);
    assert!(best.forecast.expected_fall_percent > 10.0, "{best:?}");
    assert!(
        (best.peak_before - 1.3).abs() < 1e-6 && best.peak < 1.2,
        "{best:?}"
    );
    for part in [
        "pod-00",
        "no pod restarts",
        "is expected to fall",
        "% confidence",
    ] {
        assert!(decision.message.contains(part), "{}", decision.message);
    }
    let roles = decision.pods.iter().filter_map(|pod| pod.role);
    assert_eq!(roles.filter(|role| *role == Role::Hottest).count(), 1);
    assert_eq!(
        serde_json::to_value(&decision).unwrap()["decision"]["action"],
        "rejoin"
    );
    survives_json(&decision);
}

#[rstest]
#[case::java(|_: &mut Value| {})]
#[case::static_members_of_java(static_members)]
#[case::librdkafka(librdkafka)]
#[case::redpanda(|value: &mut Value| {
    value["group"]["described"]["cluster_id"] = "redpanda.1a2b".into();
})]
#[case::different_subscriptions(|value: &mut Value| {
    value["group"]["topics"]["u"] = json!({"owners": ["pod-01"], "rates": [1.0]});
    for member in [0, 2, 3, 4, 5] {
        value["group"]["members"][member]["topics"] = json!(["t"]);
    }
})]
#[case::pods_that_may_not_be_evicted(|value: &mut Value| {
    for pod in value["pods"].as_array_mut().unwrap() {
        pod["opted_out"] = "cluster-autoscaler.kubernetes.io/safe-to-evict: false".into();
    }
})]
fn more_groups_are_suitable_than_for_an_assignment(#[case] change: fn(&mut Value)) {
    let decision = rejoin(with(piled_up("cooperative-sticky"), change));
    assert!(pods(&decision).contains(&"pod-00"));
    survives_json(&decision);
}

/// With several members in a pod, other ranks give the pods other sums.
#[test]
fn positional_assignor_deals_differently_to_pods_with_several_members() {
    let rates: Vec<Vec<f64>> = (0..4)
        .map(|pod| {
            vec![
                if pod == 0 { 40.0 } else { 5.0 },
                if pod == 0 { 40.0 } else { 6.0 },
            ]
        })
        .collect();
    let value = with(group("range", &rates), |value| {
        let mut members = Vec::new();
        let mut owners = Vec::new();
        for pod in 0..4 {
            for thread in 0..2 {
                let name = format!("pod-{pod:02}-{thread}");
                let id = format!("consumer-1-{pod}{thread}345678-1234-1234-1234-123456789abc");
                owners.push(name.clone());
                members.push(json!({"pod": format!("pod-{pod:02}"), "name": name, "id": id}));
            }
        }
        value["group"]["members"] = members.into();
        value["group"]["topics"]["t"]["owners"] = owners.into();
        value["target"] = 0.4.into();
    });
    let decision = rejoin(value);
    let names = pods(&decision);
    assert_eq!(forecast(&decision).members(), 2 * names.len());
    assert_eq!(forecast(&decision).protocol, RebalanceProtocol::Eager);
}

#[rstest]
#[case::read_from_metrics(
    |value: &mut Value| {
        value["group"].as_object_mut().unwrap().remove("described");
    },
    "cooperative-sticky",
    HoldReason::GROUP_UNKNOWN,
    "read the group from Kafka"
)]
#[case::consumer_protocol(
    consumer_protocol,
    "uniform",
    HoldReason::DOUBLE_PROCESSING,
    "group.consumer.heartbeat.interval.ms, 5 s by default"
)]
#[case::kafka_streams(
    |value: &mut Value| value["group"]["described"]["assignor"] = "stream".into(),
    "cooperative-sticky",
    HoldReason::ASSIGNOR_NOT_MODELLED,
    "Kafka Streams"
)]
#[case::other_assignor_than_configured(
    |value: &mut Value| value["group"]["described"]["assignor"] = "range".into(),
    "cooperative-sticky",
    HoldReason::ASSIGNOR_NOT_MODELLED,
    "the assignor range"
)]
#[case::eager_sticky(
    |_: &mut Value| {},
    "sticky",
    HoldReason::CLAIMS_KEPT,
    "use the strategy assign"
)]
#[case::static_members_of_librdkafka(
    |value: &mut Value| {
        static_members(value);
        librdkafka(value);
    },
    "cooperative-sticky",
    HoldReason::CLAIMS_KEPT,
    "do without group.instance.id"
)]
#[case::pod_without_member(
    |value: &mut Value| {
        value["group"]["described"]["pods_without_member"] = json!(["pod-09"]);
    },
    "cooperative-sticky",
    HoldReason::MEMBERS_MISSING,
    "1 ready pod has no member in the group, such as pod-09"
)]
#[case::range(
    |_: &mut Value| {},
    "range",
    HoldReason::POSITIONAL_ASSIGNOR,
    "no eviction or rejoin changes the loads"
)]
#[case::static_range(
    static_members,
    "range",
    HoldReason::POSITIONAL_ASSIGNOR,
    "no eviction or rejoin changes the loads"
)]
#[case::balanced(
    |value: &mut Value| value["target"] = 5.0.into(),
    "cooperative-sticky",
    HoldReason::WITHIN_TOLERANCE,
    "no eligible pod is above the threshold of 7.500"
)]
#[case::rates_of_other_topics(
    |value: &mut Value| {
        *value = skewed("cooperative-sticky");
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
    let decision = rejoin(with(piled_up(assignor), change));
    assert_eq!(decision.hold_reason(), Some(reason), "{}", decision.message);
    assert!(decision.message.contains(message), "{}", decision.message);
    assert_eq!(decision.rejoin(), None);
    survives_json(&decision);
}

/// The coordinator may report the interval after which a removed member knows of its removal.
#[test]
fn double_processing_lasts_for_the_heartbeat_interval_of_the_group() {
    let mut value = with(piled_up("uniform"), consumer_protocol);
    value["group"]["described"]["heartbeat_seconds"] = 12.0.into();
    let decision = decide(&snapshot(value), &with_consumer_protocol());
    let best = forecast(&decision);
    assert_eq!(best.double_processing_seconds, Some(Seconds::whole(12)));
    assert!(best.heartbeat_is_known);
    let cost = best.disturbance();
    assert!(
        cost.contains("for up to 12 s (the heartbeat interval of the group)"),
        "{cost}"
    );
    let message = &decision.message;
    assert!(message.contains("for up to 12 s and"), "{message}");
    survives_json(&decision);
}

/// The broker moves single partitions, and two members may process them for some seconds.
#[test]
fn members_of_the_consumer_protocol_rejoin_on_request() {
    let value = with(piled_up("uniform"), consumer_protocol);
    let decision = decide(&snapshot(value), &with_consumer_protocol());
    let names = pods(&decision);
    assert!(names.contains(&"pod-00"), "{names:?}");
    let best = forecast(&decision);
    assert_eq!(best.double_processing_seconds, Some(Seconds::whole(5)));
    assert_eq!(best.protocol, RebalanceProtocol::Cooperative);
    assert_eq!(best.rebalances, 1);
    let cost = best.disturbance();
    for part in [
        "two members may process them for up to 5 s",
        "group.consumer.heartbeat.interval.ms",
        "assumed: the default of",
        "processed again",
    ] {
        assert!(cost.contains(part), "{cost}");
    }
    let message = &decision.message;
    assert!(
        message
            .ends_with("two members may process a partition for up to 5 s and the current batch"),
        "{message}"
    );
    survives_json(&decision);
    // A classic group is not affected by the permission.
    let classic = piled_up("cooperative-sticky");
    let allowed = decide(&snapshot(classic.clone()), &with_consumer_protocol());
    assert_eq!(pods(&allowed), pods(&rejoin(classic)));
    assert_eq!(forecast(&allowed).double_processing_seconds, None);
}

#[rstest]
#[case::members_of_the_classic_protocol(
    |value: &mut Value| value["group"]["described"]["classic_members"] = 1.into(),
    HoldReason::MIXED_PROTOCOLS,
    "1 member uses the classic protocol"
)]
#[case::older_than_4_0(
    |value: &mut Value| value["group"]["described"]["removable_members"] = false.into(),
    HoldReason::BROKER_TOO_OLD,
    "older than Kafka 4.0"
)]
#[case::other_assignor(
    |value: &mut Value| value["group"]["described"]["assignor"] = "load-aware".into(),
    HoldReason::ASSIGNOR_NOT_MODELLED,
    "the assignor load-aware"
)]
#[case::configured_as_classic(
    |value: &mut Value| {
        value["group"]["protocol"] = "classic".into();
        value["group"]["assignor"] = "range".into();
        value["group"]["described"]["assignor"] = "range".into();
    },
    HoldReason::ASSIGNOR_NOT_MODELLED,
    "range of the consumer protocol"
)]
#[case::pod_without_member(
    |value: &mut Value| {
        value["group"]["described"]["pods_without_member"] = json!(["pod-09"]);
    },
    HoldReason::MEMBERS_MISSING,
    "pod-09"
)]
fn some_groups_of_the_consumer_protocol_are_left_alone(
    #[case] change: fn(&mut Value),
    #[case] reason: HoldReason,
    #[case] message: &str,
) {
    let value = with(piled_up("uniform"), |value| {
        consumer_protocol(value);
        change(value);
    });
    let decision = decide(&snapshot(value), &with_consumer_protocol());
    assert_eq!(decision.hold_reason(), Some(reason), "{}", decision.message);
    assert!(decision.message.contains(message), "{}", decision.message);
    survives_json(&decision);
}

#[test]
fn auto_lets_no_member_rejoin() {
    let auto = Policy {
        rejoin_consumer_protocol: true,
        ..policy(Rule::Auto)
    };
    for value in [
        piled_up("cooperative-sticky"),
        with(piled_up("uniform"), consumer_protocol),
        with(piled_up("cooperative-sticky"), |value| {
            value["group"]["described"]["cluster_id"] = "redpanda.1a2b".into();
        }),
    ] {
        let decision = decide(&snapshot(value), &auto);
        assert_eq!(decision.rejoin(), None);
    }
}

#[test]
fn limits_of_evictions_do_not_apply() {
    let unlimited = rejoin(piled_up("cooperative-sticky"));
    let limited = Policy {
        max_evictions: Some(0),
        minimum_pods: MinimumPods::new(100).unwrap(),
        ..policy(Rule::Rejoin)
    };
    let decision = decide(&snapshot(piled_up("cooperative-sticky")), &limited);
    assert_eq!(pods(&decision), pods(&unlimited));
}

#[rstest]
#[case::above(2.0, None)]
#[case::within(3.0, Some(HoldReason::WITHIN_TOLERANCE))]
fn imbalance_triggers_a_rejoin_without_an_autoscaler(
    #[case] tolerance: f64,
    #[case] reason: Option<HoldReason>,
) {
    let value = with(piled_up("cooperative-sticky"), |value| {
        value.as_object_mut().unwrap().remove("target");
    });
    let policy = Policy {
        imbalance_tolerance: Some(Tolerance::new(tolerance).unwrap()),
        ..policy(Rule::Rejoin)
    };
    let decision = decide(&snapshot(value), &policy);
    assert_eq!(decision.hold_reason(), reason, "{}", decision.message);
    assert!(
        decision.message.contains("the imbalance (max/mean)"),
        "{}",
        decision.message
    );
}

/// Without a target no pod is hot, but the reason is the same.
#[test]
fn positional_assignor_is_named_without_a_target() {
    let value = with(piled_up("range"), |value| {
        value.as_object_mut().unwrap().remove("target");
    });
    let policy = Policy {
        imbalance_tolerance: Some(Tolerance::new(1.5).unwrap()),
        ..policy(Rule::Rejoin)
    };
    let decision = decide(&snapshot(value), &policy);
    assert_eq!(
        decision.hold_reason(),
        Some(HoldReason::POSITIONAL_ASSIGNOR),
        "{}",
        decision.message
    );
}

#[test]
fn small_fall_is_not_worth_a_rejoin() {
    let policy = Policy {
        minimum_improvement_percent: Percent::new(90.0).unwrap(),
        ..policy(Rule::Rejoin)
    };
    let decision = decide(&snapshot(piled_up("cooperative-sticky")), &policy);
    assert_eq!(
        decision.hold_reason(),
        Some(HoldReason::NO_PLAN_HELPS),
        "{}",
        decision.message
    );
    for part in [
        "no rejoin helps: the best of",
        "more than 90 % and at least 80 % confidence",
    ] {
        assert!(decision.message.contains(part), "{}", decision.message);
    }
    assert!(forecast(&decision).forecast.expected_fall_percent < 90.0);
    survives_json(&decision);
}

#[test]
fn only_member_stays() {
    let value = with(group("cooperative-sticky", &[vec![90.0, 20.0]]), |value| {
        value["group"]["described"]["pods_without_member"] = json!([]);
    });
    let decision = rejoin(value);
    assert_eq!(decision.rejoin(), None);
    assert!(
        decision.message.contains("at least one member must stay"),
        "{}",
        decision.message
    );
}

#[rstest]
#[case::did_not_help(None, 400, Some(HoldReason::ROTATION_DID_NOT_HELP), "did not help")]
#[case::abandoned(
    Some("the members took 9.0 s to rejoin"),
    400,
    Some(HoldReason::ROTATION_DID_NOT_HELP),
    "the members took 9.0 s"
)]
#[case::long_ago(
    Some("the members took 9.0 s to rejoin"),
    700,
    None,
    "rejoin the group"
)]
fn ineffective_rejoin_is_not_repeated_at_once(
    #[case] abandoned: Option<&str>,
    #[case] seconds: i64,
    #[case] reason: Option<HoldReason>,
    #[case] message: &str,
) {
    let value = piled_up("cooperative-sticky");
    let before = rejoin(value.clone());
    let time = jiff::Timestamp::from_second(1_800_000_000 - seconds).unwrap();
    let rotation = before
        .hand_over(None, time, abandoned.map(str::to_owned))
        .unwrap();
    assert_eq!(rotation.strategy, Rule::Rejoin);
    assert!(rotation.moves >= 1 && rotation.victims.is_empty());
    assert!(rotation.imbalance_hoped < rotation.imbalance_before);
    let (low, high) = rotation.imbalance_range.unwrap();
    assert!(low <= rotation.imbalance_hoped && rotation.imbalance_hoped <= high);
    let record = serde_json::to_string(&rotation).unwrap();
    assert_eq!(serde_json::from_str::<Rotation>(&record).unwrap(), rotation);
    let decision = rejoin(with(value, |value| {
        value["taken_at"] = "2027-01-15T08:00:00Z".into();
        value["last_rotation"] = serde_json::to_value(&rotation).unwrap();
    }));
    assert_eq!(decision.hold_reason(), reason, "{}", decision.message);
    assert!(decision.message.contains(message), "{}", decision.message);
}

#[test]
fn check_names_what_prevents_a_rejoin() {
    let verdict = |value: Value| {
        let decision = rejoin(value);
        let checks = decision.checks.iter();
        let mut found = checks.filter(|check| matches!(check.details, CheckDetails::Assignable(_)));
        found.next().map(|check| check.verdict)
    };
    assert_eq!(verdict(skewed("cooperative-sticky")), Some(Verdict::Pass));
    assert_eq!(verdict(skewed("sticky")), Some(Verdict::Fail));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever the loads: a plan leaves a member, has distinct pods that are in the group, at most
    /// 2 × K of them, and is expected to lower the highest load by more than the minimum.
    #[test]
    fn rejoins_meet_the_policy(
        rates in proptest::collection::vec(proptest::collection::vec(1.0..60.0f64, 3), 1..6),
        target in 0.3..2.0f64,
        minimum in 0.0..40.0f64,
        confidence in 0.0..100.0f64,
        top_k in 1_usize..4,
        assignor in prop::sample::select(vec!["cooperative-sticky", "range", "roundrobin"]),
        librdkafka in any::<bool>(),
    ) {
        let value = with(group(assignor, &rates), |value| {
            value["target"] = target.into();
            if librdkafka {
                self::librdkafka(value);
            }
        });
        let policy = Policy {
            minimum_improvement_percent: Percent::new(minimum).unwrap(),
            minimum_confidence_percent: Percent::new(confidence).unwrap(),
            top_k: TopK::new(top_k).unwrap(),
            ..policy(Rule::Rejoin)
        };
        let seen = snapshot(value);
        let decision = decide(&seen, &policy);
        prop_assert_eq!(&decide(&seen, &policy), &decision);
        survives_json(&decision);
        // Even the best set of those that do not help enough leaves a member.
        let best = decision.group.as_ref().and_then(|report| report.rejoin.as_ref());
        if let Some(best) = best {
            prop_assert!(best.members() < rates.len());
            prop_assert!(best.pods.len() <= 2 * top_k);
        }
        if let Some(plan) = decision.rejoin() {
            let best = best.unwrap();
            let names: BTreeSet<&str> = plan.pods().iter().map(|planned| planned.pod.as_str()).collect();
            prop_assert_eq!(names.len(), plan.pods().len());
            let planned: Vec<&str> = best.pods.iter().map(|pod| pod.name.as_str()).collect();
            let of_plan = |planned: &PlannedRejoin| planned.pod.clone();
            prop_assert_eq!(plan.pods().iter().map(of_plan).collect::<Vec<_>>(), planned);
            prop_assert!(best.forecast.expected_fall_percent > minimum);
            prop_assert!(best.forecast.confidence_percent >= confidence);
        } else {
            prop_assert!(decision.hold_reason().is_some());
        }
    }
}
