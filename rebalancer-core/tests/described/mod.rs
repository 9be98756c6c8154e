//! Snapshots of groups that their brokers describe.

use rebalancer_core::policy::Strategy as Rule;
use rebalancer_core::{Decision, Policy, Snapshot};
use serde_json::{Value, json};

pub(crate) fn policy(strategy: Rule) -> Policy {
    Policy {
        strategy,
        ..Policy::default()
    }
}

pub(crate) fn snapshot(value: Value) -> Snapshot {
    serde_json::from_value(value).unwrap()
}

/// A group of one topic that its brokers describe: the pods a, b, c, … with the rates of their
/// partitions. The load of a pod is 0.1 cores, and 0.01 cores per record per second.
pub(crate) fn group(assignor: &str, rates: &[Vec<f64>]) -> Value {
    let names: Vec<String> = (0..rates.len())
        .map(|pod| format!("pod-{pod:02}"))
        .collect();
    let pods: Vec<Value> = names
        .iter()
        .zip(rates)
        .map(|(name, rates)| json!({"name": name, "load": 0.1 + rates.iter().sum::<f64>() / 100.0}))
        .collect();
    let members: Vec<Value> = names
        .iter()
        .map(|name| {
            json!({
                "pod": name, "id": format!("consumer-{name}-0a1b"), "client_id": "consumer",
                "host": format!("/10.0.0.{name}"),
            })
        })
        .collect();
    let owners: Vec<&String> = names
        .iter()
        .zip(rates)
        .flat_map(|(name, rates)| rates.iter().map(move |_| name))
        .collect();
    let rates: Vec<f64> = rates.concat();
    json!({
        "target": 0.5,
        "pods": pods,
        "group": {
            "id": "orders",
            "assignor": assignor,
            "members": members,
            "topics": {"t": {"owners": owners, "rates": rates}},
            "described": {
                "kind": "classic", "state": "Stable", "protocol_type": "consumer",
                "assignor": assignor, "client": "java", "cluster_id": "q1Sh-9_ISia_zwGINzRvyQ",
            },
        },
    })
}

/// Four pods with three partitions each. Only the first one has heavy partitions.
pub(crate) fn skewed(assignor: &str) -> Value {
    group(
        assignor,
        &[
            vec![40.0, 35.0, 30.0],
            vec![10.0, 10.0, 15.0],
            vec![10.0, 15.0, 10.0],
            vec![20.0, 10.0, 10.0],
        ],
    )
}

pub(crate) fn with(mut value: Value, change: impl FnOnce(&mut Value)) -> Value {
    change(&mut value);
    value
}

/// A document of the decision reads as the decision.
pub(crate) fn survives_json(decision: &Decision) {
    let json = serde_json::to_value(decision).unwrap();
    let read: Decision = serde_json::from_value(json).unwrap();
    assert_eq!(&read, decision);
}
