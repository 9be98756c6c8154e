//! The duration of forecasts: `cargo bench -p rebalancer-core --bench forecast`.
#![expect(
    clippy::expect_used,
    reason = "a failed set-up must fail the benchmark"
)]

use divan::Bencher;
use kafka_assignors::Algorithm;
use rebalancer_core::forecast::{Attribution, Sampling, Subject, forecast};
use rebalancer_core::group::{Assignor, ClientFamily, Protocol, ServingPodIndex};
use rebalancer_core::policy::Strategy;
use rebalancer_core::{Policy, Snapshot, decide};
use serde_json::{Value, json};

fn main() {
    divan::main();
}

/// A kind of group: assignor, client, protocol.
type Kind = (Assignor, ClientFamily, Protocol);

const KINDS: [Kind; 7] = [
    (Assignor::Range, ClientFamily::Java, Protocol::Classic),
    (Assignor::RoundRobin, ClientFamily::Java, Protocol::Classic),
    (Assignor::Sticky, ClientFamily::Java, Protocol::Classic),
    (
        Assignor::CooperativeSticky,
        ClientFamily::Java,
        Protocol::Classic,
    ),
    (
        Assignor::CooperativeSticky,
        ClientFamily::Librdkafka,
        Protocol::Classic,
    ),
    (Assignor::Uniform, ClientFamily::Java, Protocol::Consumer),
    (Assignor::Range, ClientFamily::Java, Protocol::Consumer),
];

fn name((assignor, client, protocol): Kind) -> String {
    format!("{assignor} {} {}", client.as_str(), protocol.as_str())
}

/// A settled group with ten partitions per pod and rates between 1 and 100.
fn snapshot(kind: Kind, pods: usize) -> Snapshot {
    let partitions = pods * 10;
    let pod = |number: usize| format!("pod-{:04}", number % pods);
    // Pseudo-random and reproducible.
    let rate = |partition: usize| 1 + partition.wrapping_mul(2_654_435_761) % 100;
    let owners: Vec<String> = (0..partitions).map(pod).collect();
    let rates: Vec<usize> = (0..partitions).map(rate).collect();
    let load = |number: usize| -> usize {
        (0..partitions)
            .filter(|partition| partition % pods == number)
            .map(rate)
            .sum()
    };
    let pods: Vec<Value> = (0..pods)
        .map(|number| json!({"name": pod(number), "load": load(number)}))
        .collect();
    let (assignor, client, protocol) = kind;
    serde_json::from_value(json!({
        "target": 400,
        "pods": pods,
        "group": {
            "assignor": assignor, "client": client, "protocol": protocol,
            "topics": {"t": {"owners": owners, "rates": rates}},
        },
    }))
    .expect("a snapshot")
}

/// One forecast of 100 samples for the replacement of two pods.
fn one(bencher: Bencher<'_, '_>, kind: Kind, pods: usize) {
    let snapshot = snapshot(kind, pods);
    let group = snapshot.group_model().expect("a group");
    let loads: Vec<Option<f64>> = snapshot
        .pods()
        .iter()
        .map(|pod| pod.load().map(f64::from))
        .collect();
    let attribution = Attribution::new(&loads, &group.pod_owners(), group.rates.as_deref());
    let (assignor, client, protocol) = kind;
    let subject = Subject {
        group: &group,
        attribution: &attribution,
        algorithm: Algorithm::of(assignor, client, protocol),
        target: Some(400.0),
        threshold: Some(600.0),
    };
    let sampling = Sampling {
        seed: 1,
        samples: 100,
        order: None,
    };
    let victims = [0, pods / 2].map(ServingPodIndex::new);
    bencher.bench(|| forecast(&subject, &[&victims], sampling));
}

#[divan::bench(args = KINDS.map(name), sample_count = 5)]
fn thousand_pods(bencher: Bencher<'_, '_>, kind: &str) {
    let kind = KINDS
        .into_iter()
        .find(|known| name(*known) == kind)
        .expect("a kind");
    one(bencher, kind, 1_000);
}

#[divan::bench(args = [10, 30, 100, 300, 1_000], sample_count = 5)]
fn growth_cooperative_sticky(bencher: Bencher<'_, '_>, pods: usize) {
    one(bencher, KINDS[3], pods);
}

#[divan::bench(args = [10, 30, 100, 300, 1_000], sample_count = 5)]
fn growth_uniform(bencher: Bencher<'_, '_>, pods: usize) {
    one(bencher, KINDS[5], pods);
}

/// A complete decision, including the search, for 50 pods and 500 partitions.
#[divan::bench(args = KINDS.map(name), sample_count = 20)]
fn decide_with_search(bencher: Bencher<'_, '_>, kind: &str) {
    let kind = KINDS
        .into_iter()
        .find(|known| name(*known) == kind)
        .expect("a kind");
    let snapshot = snapshot(kind, 50);
    let policy = Policy {
        strategy: Strategy::Forecast,
        ..Policy::default()
    };
    bencher.bench(|| decide(&snapshot, &policy));
}
