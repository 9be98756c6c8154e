//! The time of a decision, by the number of pods.

use divan::{Bencher, black_box};
use rebalancer_core::model::{Cores, Load, Measurement, Pod, SampleInfo, Seconds};
use rebalancer_core::snapshot::InvalidSnapshot;
use rebalancer_core::{Policy, Snapshot, SnapshotData, decide};

fn main() {
    divan::main();
}

/// A settled workload that is rotated. Its loads have no order, and a few pods are not eligible.
fn snapshot(pods: u32) -> Result<Snapshot, InvalidSnapshot> {
    let pods = (0..pods)
        .map(|index| {
            // A fixed sequence without a pattern (Knuth's multiplicative hash).
            let mixed = index.wrapping_mul(2_654_435_761);
            let load = f64::from(mixed >> 8) / f64::from(1 << 24) * 3.0;
            let mut pod = Pod::new(format!("consumer-7d9c5b8f6d-{mixed:08x}"));
            let samples = SampleInfo {
                age: Some(Seconds::whole(mixed % 60)),
                ..SampleInfo::default()
            };
            pod.measurement = Load::new(load).map_or(Measurement::default(), |load| {
                Measurement::Load(load, samples)
            });
            pod.age_seconds = Some(Seconds::whole(if index % 100 == 0 { 10 } else { 86_400 }));
            pod.ready_seconds = Some(Seconds::whole(86_400));
            pod
        })
        .collect();
    Snapshot::new(SnapshotData {
        target: Cores::new(1.0).ok(),
        freshness_known: true,
        pods,
        ..SnapshotData::default()
    })
}

#[divan::bench(args = [1_000, 10_000, 100_000])]
fn decisions(bencher: Bencher<'_, '_>, pods: u32) {
    let Ok(snapshot) = snapshot(pods) else {
        return;
    };
    let policy = Policy::default();
    assert!(decide(&snapshot, &policy).plan().is_some());
    bencher.bench_local(|| decide(black_box(&snapshot), black_box(&policy)));
}
