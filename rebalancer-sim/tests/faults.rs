//! Fault plans, the lease and virtual time.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::time::Duration;

use rebalancer_core::lease;
use rebalancer_core::model::PodRef;
use rebalancer_core::ports::{EvictionAnswer, LeaseState, PodActuator, PodState, RunLease};
use rebalancer_sim::faults::{
    FaultPlan, FaultyPorts, NotFinished, REQUEST_TIMEOUT, RunLimits, VirtualTime,
};
use rebalancer_sim::{SimConfig, SimWorld};

const LIMITS: RunLimits = RunLimits {
    steps: 10_000,
    time: Duration::from_secs(3600),
};

fn world(faults: FaultPlan) -> (SimWorld, VirtualTime) {
    let world = SimWorld::new(SimConfig {
        faults: Some(faults),
        ..SimConfig::default()
    })
    .unwrap();
    let time = VirtualTime::new(world.clone());
    (world, time)
}

fn first_pod(world: &SimWorld, time: &VirtualTime) -> PodRef {
    let observed = time.run(world.actuator().observe(), LIMITS);
    observed.unwrap().unwrap().pods.swap_remove(0).reference()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn sleeps_end_in_chronological_order_and_dropped_sleeps_take_no_time() {
    let (world, time) = world(FaultPlan::none(1));
    let order = std::cell::RefCell::new(Vec::new());
    let sleeper = async |length: u64| {
        time.sleep(seconds(length)).await;
        order.borrow_mut().push((length, time.elapsed().as_secs()));
    };
    let all = async {
        tokio::join!(sleeper(5), sleeper(1), sleeper(3));
        tokio::select! {
            () = time.sleep(seconds(2)) => {}
            () = time.sleep(seconds(100)) => unreachable!("the other sleep is shorter"),
        }
    };
    time.run(all, LIMITS).unwrap();
    assert_eq!(*order.borrow(), [(1, 1), (3, 3), (5, 5)]);
    assert_eq!(world.elapsed(), seconds(7));
}

#[test]
fn limits_stop_futures_that_do_not_complete() {
    let (_, time) = world(FaultPlan::none(1));
    let stuck = time.run(std::future::pending::<()>(), LIMITS);
    assert!(matches!(stuck, Err(NotFinished::Stuck { .. })), "{stuck:?}");
    let long = time.run(time.sleep(seconds(3601)), LIMITS);
    assert!(matches!(long, Err(NotFinished::Time { .. })), "{long:?}");
    let busy = time.run(
        async {
            loop {
                time.sleep(Duration::ZERO).await;
            }
        },
        LIMITS,
    );
    assert!(
        matches!(busy, Err::<(), _>(NotFinished::Steps { .. })),
        "{busy:?}"
    );
}

#[test]
fn eviction_in_transit_arrives_after_its_client_gave_up() {
    let (world, time) = world(FaultPlan {
        latency: seconds(1),
        ..FaultPlan::none(1)
    });
    let ports = FaultyPorts::new(&world, &time, 0);
    let pod = first_pod(&world, &time);
    let impatient = async {
        tokio::select! {
            biased;
            answer = ports.evict(&pod, false) => Some(answer),
            () = time.sleep(Duration::ZERO) => None,
        }
    };
    assert_eq!(time.run(impatient, LIMITS), Ok(None));
    assert_eq!(world.pod(&pod), PodState::Present { ready: true });
    world.advance(seconds(1));
    assert_eq!(world.pod(&pod), PodState::Terminating);
    let effect = world.requests().remove(0).effect.unwrap();
    assert!(effect.was_ready);
    assert_eq!(effect.ready_left, 7);
}

#[test]
fn responses_are_lost_before_and_after_the_effect() {
    let (mut before, mut after, mut late, mut answered) = (0, 0, 0, 0);
    for seed in 0..300 {
        let (world, time) = world(FaultPlan {
            failing: 1.0,
            ..FaultPlan::none(seed)
        });
        let ports = FaultyPorts::new(&world, &time, 0);
        let pod = first_pod(&world, &time);
        let answer = time.run(ports.evict(&pod, false), LIMITS).unwrap();
        assert!(world.elapsed() <= REQUEST_TIMEOUT);
        world.advance(seconds(60));
        let request = world.requests().remove(0);
        match (answer, &request.effect) {
            (EvictionAnswer::Unknown { .. }, None) => before += 1,
            (EvictionAnswer::Unknown { .. }, Some(_)) if request.answered_before_effect() => {
                late += 1
            }
            (EvictionAnswer::Unknown { .. }, Some(_)) => after += 1,
            (EvictionAnswer::Evicted, Some(_)) => answered += 1,
            (refused, effect) => assert_eq!(*effect, None, "{refused:?}"),
        }
    }
    for count in [before, after, late, answered] {
        assert!(count > 10, "{before}, {after}, {late}, {answered}");
    }
}

#[tokio::test]
async fn lease_belongs_to_one_run_until_it_expires_or_is_released() {
    let world = SimWorld::new(SimConfig::default()).unwrap();
    let (one, other) = (world.lease("one"), world.lease("other"));
    assert_eq!(one.acquire().await.unwrap(), LeaseState::Held);
    world.advance(seconds(10));
    let LeaseState::HeldBy(holder) = other.acquire().await.unwrap() else {
        panic!("the lease is held by the other run");
    };
    assert_eq!(holder.identity, "one");
    let left = lease::DURATION - seconds(10);
    assert_eq!(holder.expires_seconds.to_duration(), left);

    // A renewal extends the lease. An expired lease can be acquired by another run and is then
    // lost.
    assert_eq!(one.renew().await.unwrap(), LeaseState::Held);
    world.advance(left);
    assert!(matches!(
        other.acquire().await.unwrap(),
        LeaseState::HeldBy(_)
    ));
    world.advance(seconds(10));
    assert_eq!(other.acquire().await.unwrap(), LeaseState::Held);
    assert!(matches!(one.renew().await.unwrap(), LeaseState::HeldBy(_)));

    // Only the holder can release the lease.
    one.release().await.unwrap();
    assert!(matches!(
        one.acquire().await.unwrap(),
        LeaseState::HeldBy(_)
    ));
    other.release().await.unwrap();
    assert!(matches!(one.renew().await.unwrap(), LeaseState::HeldBy(_)));
    assert_eq!(one.acquire().await.unwrap(), LeaseState::Held);
}

#[test]
fn fault_plan_without_faults_changes_nothing() {
    let (faulty, _) = world(FaultPlan::none(1));
    let plain = SimWorld::new(SimConfig::default()).unwrap();
    for _ in 0..50 {
        assert_eq!(faulty.loads(), plain.loads());
        for world in [&faulty, &plain] {
            world.advance(seconds(60));
        }
    }
}

#[test]
fn share_above_one_is_rejected() {
    let config = SimConfig {
        faults: Some(FaultPlan {
            failing: 1.5,
            ..FaultPlan::none(1)
        }),
        ..SimConfig::default()
    };
    assert_eq!(SimWorld::new(config).unwrap_err().field, "faults.failing");
}
