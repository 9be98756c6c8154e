//! Rotating the outliers evens out the default world for most seeds.
//!
//! Of the seeds 0 to 49, 98 % start with one to three hot pods, 80 % end within the tolerance, and
//! 78 % do so after one to six rotations. The others have a partition that alone makes its owner
//! hot, or bad luck. The test allows these shares to drop to 70 %.
//!
//! The rule in this test is a simple one; the actual rule is in the core.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests may panic"
)]

use std::time::Duration;

use rebalancer_core::model::PodRef;
use rebalancer_core::ports::{Clock, EvictionAnswer, MetricsSource, PodActuator};
use rebalancer_sim::{SimConfig, SimWorld};

const SEEDS: u64 = 50;
const TICK: Duration = Duration::from_secs(600);
const WINDOW: f64 = 300.0;
const TOP_K: usize = 2;
const TOLERANCE: f64 = 1.5;
const MINIMUM_PODS: usize = 3;

struct Tick {
    loads: Vec<f64>,
    hot: usize,
    evicted: usize,
}

/// One run of the rule through the ports.
async fn tick(world: &SimWorld) -> Tick {
    let threshold = TOLERANCE * world.config().target();
    let metrics = world.metrics().loads().await.unwrap();
    let actuator = world.actuator();
    let pods = actuator.observe().await.unwrap().pods;
    let mut eligible: Vec<(f64, PodRef)> = metrics
        .samples
        .iter()
        .map(|sample| {
            let pod = pods.iter().find(|pod| pod.name == sample.pod).unwrap();
            assert!(pod.serves() && pod.ready_seconds.unwrap().get() >= WINDOW);
            (sample.measurement.load().unwrap().get(), pod.reference())
        })
        .collect();
    assert_eq!(eligible.len(), pods.len());
    eligible.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let loads: Vec<f64> = eligible.iter().map(|(load, _)| *load).collect();
    let hot = loads.iter().filter(|load| **load > threshold).count();
    let hottest = hot.min(TOP_K);
    let coldest = TOP_K.min(loads.len() - hottest);
    let mut evicted = 0;
    if hottest > 0 && loads.len() - hottest - coldest >= MINIMUM_PODS {
        let (from_top, from_bottom) = (eligible.iter(), eligible.iter().rev());
        for (_, pod) in from_top.take(hottest).chain(from_bottom.take(coldest)) {
            assert_eq!(actuator.evict(pod, false).await, EvictionAnswer::Evicted);
            evicted += 1;
        }
    }
    Tick {
        loads,
        hot,
        evicted,
    }
}

#[tokio::test(flavor = "current_thread")]
async fn most_worlds_are_even_within_6_rotations() {
    let (mut one_to_three, mut rotated_and_evened, mut evened) = (0, 0, 0);
    for seed in 0..SEEDS {
        let world = SimWorld::new(SimConfig::seeded(seed)).unwrap();
        let mut ticks = Vec::new();
        for _ in 0..7 {
            ticks.push(tick(&world).await);
            world.clock().sleep(TICK).await;
        }
        let first_even = ticks.iter().position(|tick| tick.hot == 0);
        let line: Vec<String> = ticks
            .iter()
            .take(first_even.unwrap_or(6) + 1)
            .map(|tick| {
                let max = tick.loads.first().unwrap();
                format!("{max:.2} ({} hot, {} out)", tick.hot, tick.evicted)
            })
            .collect();
        println!("seed {seed:2}: {}", line.join(" -> "));
        one_to_three += u64::from((1..=3).contains(&ticks[0].hot));
        evened += u64::from(first_even.is_some());
        rotated_and_evened += u64::from(first_even.is_some_and(|tick| tick > 0));
        if let Some(even) = first_even {
            assert!(
                ticks[even..].iter().all(|tick| tick.evicted == 0),
                "seed {seed}: the load changed with constant traffic and without evictions"
            );
        }
    }
    println!(
        "of {SEEDS} worlds {one_to_three} start with 1 to 3 hot pods, {evened} end within the \
         tolerance, {rotated_and_evened} of them after rotations"
    );
    assert!(one_to_three * 100 >= SEEDS * 90, "{one_to_three}");
    assert!(evened * 100 >= SEEDS * 70, "{evened}");
    assert!(
        rotated_and_evened * 100 >= SEEDS * 70,
        "{rotated_and_evened}"
    );
}
