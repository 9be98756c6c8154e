//! The bodies of three responses, separated by a line `%%`: loads, ages and series counts, or the
//! current and previous owners of partitions and their rates. Reading them never panics, no load
//! and no rate is NaN, infinite or negative, no pod occurs twice, and no error shows the secret of
//! the request, even if the server sends it back. A group read from them makes a valid snapshot.

use rebalancer_core::Snapshot;
use rebalancer_core::model::{Pod, WorkloadRef};
use rebalancer_core::ports::{AutoscalerCandidate, GroupObservation};
use rebalancer_core::snapshot::{GroupSettings, assemble_group, choose_autoscalers};
use rebalancer_prom::fuzzing::{SECRET, autoscalers, group, observation, simultaneous_series};
use serde_json::json;

use super::SEPARATOR;

/// Checks the input as responses to the queries of a run.
pub fn check(data: &[u8]) -> bool {
    let bodies = bodies(data);
    let mut accepted = false;
    match observation(200, bodies) {
        Ok(observation) => {
            accepted = true;
            for sample in &observation.samples {
                if let Some(load) = sample.measurement.load() {
                    assert!(load.get().is_finite() && load.get() >= 0.0);
                }
                if let Some(age) = sample.measurement.samples().age {
                    assert!(age.get().is_finite() && age.get() >= 0.0);
                }
                assert!(sample.measurement.samples().series >= 1);
                assert!(!sample.pod.is_empty());
            }
            assert!(
                observation
                    .samples
                    .windows(2)
                    .all(|pair| pair[0].pod < pair[1].pod),
                "a pod is a duplicate or out of order"
            );
            if let Some(partial) = observation.partial {
                hides(&partial);
            }
        }
        Err(error) => hides(&error.to_string()),
    }
    // A response with a failure is a failure, whatever else it contains.
    for status in [400, 503] {
        match observation(status, bodies) {
            Ok(_) => unreachable!("HTTP {status} is not treated as a failure"),
            Err(error) => hides(&error.to_string()),
        }
    }
    match autoscalers(200, bodies[0], &workload().namespace) {
        Ok(found) => {
            let names =
                |pair: &[AutoscalerCandidate]| pair[0].autoscaler.name < pair[1].autoscaler.name;
            assert!(found.windows(2).all(names), "an autoscaler is a duplicate");
            for hpa_prefix in ["", "hpa-"] {
                let chosen = choose_autoscalers(found.clone(), &workload(), hpa_prefix);
                assert!(chosen.autoscalers.len() <= found.len());
            }
        }
        Err(error) => hides(&error.to_string()),
    }
    match simultaneous_series(200, bodies[0]) {
        Ok(counts) => {
            accepted = true;
            assert!(counts.iter().all(|count| *count > 0));
        }
        Err(error) => hides(&error.to_string()),
    }
    accepted | check_group(bodies)
}

/// Checks the bodies as responses about a group.
fn check_group(bodies: [&[u8]; 3]) -> bool {
    let mut accepted = false;
    for other_groups in [false, true] {
        match group(200, bodies, other_groups) {
            Ok(observation) => {
                accepted = true;
                check_assembled(observation);
            }
            Err(error) => hides(&error.to_string()),
        }
    }
    match group(503, bodies, false) {
        Ok(_) => unreachable!("HTTP 503 is not treated as a failure"),
        Err(error) => hides(&error.to_string()),
    }
    accepted
}

/// Joins the observation with pods; some have the names that the seeds use.
fn check_assembled(observation: GroupObservation) {
    let owned = observation.owners.len();
    let pods: Vec<Pod> = ["ingestion-7d4-aaaaa", "ingestion-7d4-bbbbb", "a"]
        .into_iter()
        .zip(1..)
        .map(|(name, number)| Pod {
            ip: Some(format!("10.0.0.{number}")),
            ..Pod::new(name)
        })
        .collect();
    let group = assemble_group(&GroupSettings::default(), Some(observation), &pods);
    if group.partial.is_none() {
        let owners = group.topics.values().flat_map(|topic| &topic.owners);
        assert!(
            owners.flatten().count() <= owned,
            "more owners than observed"
        );
        let rated = |topic: &rebalancer_core::group::TopicDocument| topic.rates.is_some();
        assert!(
            group.topics.values().all(rated),
            "a rate is missing, and the group is not marked as partial"
        );
    }
    let pods: Vec<_> = pods.iter().map(|pod| json!({"name": pod.name})).collect();
    let snapshot = json!({"pods": pods, "group": group});
    if let Err(error) = serde_json::from_value::<Snapshot>(snapshot) {
        unreachable!("the group is inconsistent: {error}");
    }
}

fn workload() -> WorkloadRef {
    WorkloadRef {
        namespace: "posthog".into(),
        kind: "Deployment".into(),
        name: "ingestion".into(),
    }
}

/// The body for each query; a single body is used for all queries.
fn bodies(data: &[u8]) -> [&[u8]; 3] {
    let separator = SEPARATOR.as_bytes();
    let split = |data: &'_ [u8]| {
        data.windows(separator.len())
            .position(|window| window == separator)
    };
    let Some(first) = split(data) else {
        return [data; 3];
    };
    let (loads, rest) = (&data[..first], &data[first + separator.len()..]);
    match split(rest) {
        Some(second) => [loads, &rest[..second], &rest[second + separator.len()..]],
        None => [loads, rest, rest],
    }
}

fn hides(words: &str) {
    assert!(!words.contains(SECRET), "the secret is visible: {words}");
}
