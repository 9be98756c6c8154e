//! The duration of the search for an assignment: `cargo bench -p rebalancer-core --bench target`.
#![expect(
    clippy::expect_used,
    reason = "a failed set-up must fail the benchmark"
)]
#![expect(clippy::print_stdout, reason = "the quality belongs to the duration")]

use divan::Bencher;
use kafka_assignors::ClientFamily;
use rebalancer_core::Snapshot;
use rebalancer_core::forecast::Attribution;
use rebalancer_core::group::GroupModel;
use rebalancer_core::strategy::assign::target;
use serde_json::{Value, json};

fn main() {
    divan::main();
}

const CLIENTS: [ClientFamily; 2] = [ClientFamily::Java, ClientFamily::Librdkafka];

/// Logarithms of the rates, of mean 0 and standard deviation 1, from a fixed sequence.
fn normal(number: u32) -> f64 {
    // The sum of twelve uniform numbers.
    let uniform = |term: u32| {
        let mixed = (number * 12 + term).wrapping_mul(2_654_435_761);
        let mixed = (mixed ^ (mixed >> 15)).wrapping_mul(2_246_822_519);
        f64::from(mixed ^ (mixed >> 13)) / f64::from(u32::MAX)
    };
    (0..12).map(uniform).sum::<f64>() - 6.0
}

/// A settled group with log-normal rates, and pods with base load.
fn group(pods: u32, partitions: u32, sigma: f64) -> (GroupModel, Attribution) {
    let rates: Vec<f64> = (0..partitions)
        .map(|number| (sigma * normal(number)).exp())
        .collect();
    let name = |pod: u32| format!("pod-{pod:04}");
    let owners: Vec<String> = (0..partitions).map(|number| name(number % pods)).collect();
    let mut loads: Vec<f64> = (0..pods).map(|_| 0.5).collect();
    for (rate, pod) in rates.iter().zip((0..pods as usize).cycle()) {
        loads[pod] += rate * 0.1;
    }
    let pods: Vec<Value> = loads
        .iter()
        .zip(0..)
        .map(|(load, pod)| json!({"name": name(pod), "load": load}))
        .collect();
    let snapshot: Snapshot = serde_json::from_value(json!({
        "target": 2.0,
        "pods": pods,
        "group": {
            "assignor": "cooperative-sticky",
            "topics": {"t": {"owners": owners, "rates": rates}},
        },
    }))
    .expect("a snapshot");
    let group = snapshot.group_model().expect("a group");
    let loads: Vec<Option<f64>> = snapshot
        .pods()
        .iter()
        .map(|pod| pod.load().map(f64::from))
        .collect();
    let attribution = Attribution::new(&loads, &group.pod_owners(), group.rates.as_deref());
    (group, attribution)
}

/// The numbers of pods and partitions, and sigma of the rates. With 0.6 no single partition is
/// heavy enough to determine the peak of a large group.
const GROUPS: [(u32, u32, f64); 6] = [
    (16, 128, 1.2),
    (100, 1_000, 1.2),
    (100, 10_000, 1.2),
    (1_000, 1_000, 1.2),
    (1_000, 10_000, 1.2),
    (1_000, 10_000, 0.6),
];

#[divan::bench(args = GROUPS, sample_count = 10)]
fn targets(bencher: Bencher<'_, '_>, (pods, partitions, sigma): (u32, u32, f64)) {
    let (group, attribution) = group(pods, partitions, sigma);
    let found = target(&group, &attribution, &CLIENTS, 3.0).expect("a target");
    println!(
        "imbalance {:.3} to {:.3}, {:.4} of the bound, {} of {partitions} partitions move",
        found.before.imbalance,
        found.after.imbalance,
        found.after.peak / found.lower_bound,
        found.moves.len()
    );
    bencher.bench_local(|| target(&group, &attribution, &CLIENTS, 3.0));
}
