//! The bodies of the answers about loads, ages and copies, with a line `%%` between: reading them
//! never panics, no load is NaN, infinite or negative, no pod is there twice, and no error shows
//! the secret of the request, even where the server sends it back.

use rebalancer_core::model::WorkloadRef;
use rebalancer_prom::fuzzing::{SECRET, autoscalers, observation};

use super::SEPARATOR;

/// Reads the input as answers to the queries of a run.
pub fn check(data: &[u8]) -> bool {
    let bodies = bodies(data);
    let mut accepted = false;
    match observation(200, bodies) {
        Ok(observation) => {
            accepted = true;
            for sample in &observation.samples {
                if let Ok(load) = sample.load {
                    assert!(load.get().is_finite() && load.get() >= 0.0);
                }
                if let Some(age) = sample.age {
                    assert!(age.get().is_finite() && age.get() >= 0.0);
                }
                assert!(sample.series >= 1);
                assert!(!sample.pod.is_empty());
            }
            assert!(
                observation
                    .samples
                    .windows(2)
                    .all(|pair| pair[0].pod < pair[1].pod),
                "a pod twice, or out of order"
            );
            if let Some(partial) = observation.partial {
                hides(&partial);
            }
        }
        Err(error) => hides(&error.to_string()),
    }
    // Whatever a server says beside a failure, it is a failure.
    for status in [400, 503] {
        match observation(status, bodies) {
            Ok(_) => unreachable!("a failure (HTTP {status}) is taken for an answer"),
            Err(error) => hides(&error.to_string()),
        }
    }
    for hpa_prefix in ["", "hpa-"] {
        match autoscalers(200, bodies[0], &workload(), hpa_prefix) {
            // Named ones, each once.
            Ok(found) => assert!(found.windows(2).all(|pair| pair[0].name < pair[1].name)),
            Err(error) => hides(&error.to_string()),
        }
    }
    accepted
}

fn workload() -> WorkloadRef {
    WorkloadRef {
        namespace: "posthog".into(),
        kind: "Deployment".into(),
        name: "ingestion".into(),
    }
}

/// The body for each query; one stands for all where there are no others.
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
    assert!(!words.contains(SECRET), "a secret is shown: {words}");
}
