//! Rejoins in modelled groups of the consumer protocol (KIP-848): what must hold in every one, with
//! and without faults.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may panic"
)]

use std::time::Duration;

use kafka_assignors::{Assignment, MemberIndex, PartitionIndex};
use proptest::prelude::*;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rebalancer_core::execution::StopCause;
use rebalancer_core::group::Protocol;
use rebalancer_core::handover::{
    AbandonReason, Handover, HandoverEvent, HandoverGoal, HandoverLimits, HandoverMember,
    HandoverOutcome, HandoverPlan, HandoverReport, HandoverStep, RebalanceProtocol,
};
use rebalancer_sim::kafka::{ConsumerGroupConfig, ConsumerGroupWorld, Disturbance, RequestFault};
use rstest::rstest;

/// A plan that lets this number of members rejoin, chosen at random.
fn rejoin(world: &ConsumerGroupWorld, members: usize, seed: u64) -> HandoverPlan {
    let group = world.describe();
    let topics = world.topics().clone();
    let mut current = Assignment::unowned(topics.partition_count());
    for (index, member) in group.members.iter().enumerate() {
        for (_, number) in &member.owned {
            let partition = PartitionIndex::new(*number as usize);
            current.set(partition, Some(MemberIndex::new(index)));
        }
    }
    let mut indices: Vec<MemberIndex> = MemberIndex::all(group.members.len()).collect();
    indices.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    indices.truncate(members);
    HandoverPlan {
        assignor: "uniform".into(),
        group_protocol: Protocol::Consumer,
        protocol: RebalanceProtocol::Cooperative,
        members: group.members.iter().map(HandoverMember::of).collect(),
        goal: HandoverGoal::Rejoin(indices),
        topics,
        current,
        client: None,
        coordinators: Vec::new(),
        observed_at: world.now(),
    }
}

/// The circumstances of a rejoin.
struct Circumstances<'a> {
    fault: &'a mut dyn FnMut(usize) -> RequestFault,
    /// After this number of requests, a stop is requested.
    stop_after: Option<usize>,
    /// After this number of requests, the process is killed.
    kill_after: Option<usize>,
}

/// Executes a rejoin; `None` if its process was killed.
fn execute(
    world: &mut ConsumerGroupWorld,
    plan: HandoverPlan,
    circumstances: Circumstances<'_>,
) -> Option<HandoverReport> {
    let limits = HandoverLimits::of(plan.protocol);
    let mut handover = Handover::new(plan, limits, world.now());
    let mut sent = 0;
    for _ in 0..200_000 {
        match handover.step(world.now()) {
            HandoverStep::Send(request) => {
                if circumstances.kill_after == Some(sent) {
                    world.kill();
                    return None;
                }
                world.send(request, (circumstances.fault)(sent));
                sent += 1;
                if circumstances.stop_after == Some(sent) {
                    handover.handle(world.now(), HandoverEvent::Stop(StopCause::Signal));
                }
            }
            HandoverStep::WaitUntil(until) => {
                let until = until.min(world.now() + Duration::from_secs(600));
                if let Some(response) = world.run_until(until) {
                    handover.handle(world.now(), HandoverEvent::Response(response));
                }
            }
            HandoverStep::Done => return Some(handover.report()),
        }
    }
    panic!("the rejoin does not end: {handover:?}");
}

fn undisturbed(world: &mut ConsumerGroupWorld, plan: HandoverPlan) -> HandoverReport {
    let circumstances = Circumstances {
        fault: &mut |_| RequestFault::None,
        stop_after: None,
        kill_after: None,
    };
    execute(world, plan, circumstances).unwrap()
}

/// Lets the group settle, and checks that every partition is processed by one client.
fn assert_settles(world: &mut ConsumerGroupWorld) -> Result<(), TestCaseError> {
    let until = world.now() + Duration::from_secs(200);
    while !world.is_settled() && world.now() < until {
        world.run_until(world.now() + Duration::from_millis(100));
    }
    prop_assert!(world.is_settled(), "not settled: {:?}", world.describe());
    prop_assert_eq!(world.violations(), &[] as &[String]);
    for (partition, clients) in world.processing().iter().enumerate() {
        prop_assert_eq!(clients.len(), 1, "partition {} of {:?}", partition, clients);
    }
    Ok(())
}

/// The members return under the ids that they had, and the partitions of the removed ones are dealt
/// again. Two members process a partition for at most a heartbeat interval and a batch, and no
/// longer than the report says.
#[rstest]
fn members_return_and_the_broker_deals_again(
    #[values((2, 1), (8, 3), (8, 7), (33, 4))] (members, removed): (usize, usize),
    #[values(0, 1000)] assignment_interval: u64,
    #[values(100, 3000)] poll: u64,
) {
    let mut moved = 0;
    let mut longest = Duration::ZERO;
    for seed in 0..6 {
        let mut config = ConsumerGroupConfig::new(members, members * 4 + 3);
        config.assignment_interval = Duration::from_millis(assignment_interval);
        config.poll = Duration::from_millis(poll);
        config.seed = seed;
        let most = config.heartbeat + config.poll + Duration::from_millis(100);
        let mut world = ConsumerGroupWorld::new(config);
        let before = world.processing();
        let ids = world.client_ids();
        let plan = rejoin(&world, removed, seed);
        let report = undisturbed(&mut world, plan);
        assert_eq!(report.outcome, HandoverOutcome::Rejoined, "seed {seed}");
        assert!(report.settled);
        assert_eq!((report.removed, report.returned), (removed, removed));
        assert_eq!(report.rebalances, 1);
        assert_settles(&mut world).unwrap();
        assert_eq!(world.client_ids(), ids);
        let after = world.processing();
        let changed = before.iter().zip(&after).filter(|(b, a)| b != a).count();
        assert_eq!(report.moved, Some(changed), "seed {seed}");
        moved += changed;
        let double = world.longest_double_processing();
        assert!(double <= most, "{double:?}, seed {seed}");
        let reported = report.double_processing.unwrap().to_duration();
        assert!(double <= reported, "{double:?} > {reported:?}, seed {seed}");
        assert!(
            reported <= most + Duration::from_millis(200),
            "{reported:?}"
        );
        longest = longest.max(double);
    }
    assert!(moved > 0);
    // The model shows what the plan warns of.
    assert!(longest > Duration::ZERO, "{longest:?}");
}

/// Nothing is removed from a group that is not as it was read, or that has members of the classic
/// protocol, or whose broker is too old.
#[test]
fn changed_group_is_left_alone() {
    let mut world = ConsumerGroupWorld::new(ConsumerGroupConfig::new(4, 16));
    let plan = rejoin(&world, 2, 1);
    world.disturb_at(world.now() + Duration::from_secs(1), Disturbance::Joins);
    let report = undisturbed(&mut world, plan);
    let changed = matches!(
        report.outcome,
        HandoverOutcome::Abandoned(AbandonReason::GroupChanged { .. })
    );
    assert!(changed, "{report:?}");
    assert_eq!((report.rebalances, report.removed), (0, 0));
    assert_eq!(report.double_processing, None);
    assert_settles(&mut world).unwrap();
    assert_eq!(world.longest_double_processing(), Duration::ZERO);
}

/// A member whose application polls rarely processes its last batch beside the new owner. The
/// report has the time until it was back.
#[test]
fn slow_member_is_waited_for() {
    let mut world = ConsumerGroupWorld::new(ConsumerGroupConfig::new(4, 21));
    let plan = rejoin(&world, 3, 1);
    let slow = Duration::from_secs(12);
    for index in 0..4 {
        world.disturb_at(world.now(), Disturbance::Slows(index, slow));
    }
    let report = undisturbed(&mut world, plan);
    assert_eq!(report.outcome, HandoverOutcome::Rejoined, "{report:?}");
    let reported = report.double_processing.unwrap().to_duration();
    assert!(reported > Duration::from_secs(5), "{report:?}");
    assert!(world.longest_double_processing() <= reported, "{report:?}");
    assert_settles(&mut world).unwrap();
}

/// A removed member that has died does not come back; the others have its partitions.
#[test]
fn dead_member_is_reported() {
    let mut world = ConsumerGroupWorld::new(ConsumerGroupConfig::new(4, 21));
    let plan = rejoin(&world, 3, 1);
    // The group is confirmed 6 s after it was read for the plan.
    let removed_at = world.now() + Duration::from_secs(6);
    for index in 0..3 {
        world.disturb_at(
            removed_at + Duration::from_millis(20),
            Disturbance::Dies(index),
        );
    }
    let report = undisturbed(&mut world, plan);
    let not_back = matches!(
        report.outcome,
        HandoverOutcome::Abandoned(AbandonReason::NotBack { .. })
    );
    assert!(not_back, "{report:?}");
    assert_eq!(report.double_processing, None);
    assert_settles(&mut world).unwrap();
}

#[derive(Debug, Clone)]
struct Scenario {
    members: usize,
    partitions: usize,
    assignment_interval: Duration,
    poll: Duration,
    seed: u64,
    /// Probability in percent that a request or its response is lost, or late.
    faults: u32,
    stop_after: Option<usize>,
    kill_after: Option<usize>,
    disturbances: Vec<(Duration, Disturbance)>,
    rejoins: usize,
}

fn scenarios() -> impl Strategy<Value = Scenario> {
    let disturbance = (0..25_000_u64, 0..12_usize, 0..4_u8).prop_map(|(at, index, what)| {
        let disturbance = match what {
            0 => Disturbance::Joins,
            1 => Disturbance::Leaves(index),
            2 => Disturbance::Dies(index),
            _ => Disturbance::Slows(index, Duration::from_secs(4)),
        };
        (Duration::from_millis(at), disturbance)
    });
    let group = (
        2..13_usize,
        0..40_usize,
        prop::sample::select(vec![0_u64, 1_000]),
        prop::sample::select(vec![50_u64, 200, 900]),
    );
    let circumstances = (
        any::<u64>(),
        prop::sample::select(vec![0_u32, 0, 2, 10]),
        prop::option::weighted(0.3, 0..60_usize),
        prop::option::weighted(0.3, 0..60_usize),
        prop::collection::vec(disturbance, 0..3),
        1..12_usize,
    );
    (group, circumstances).prop_map(|(group, circumstances)| {
        let (members, more, assignment_interval, poll) = group;
        let (seed, faults, stop_after, kill_after, mut disturbances, rejoins) = circumstances;
        disturbances.sort_by_key(|(at, _)| *at);
        Scenario {
            members,
            partitions: members + more,
            assignment_interval: Duration::from_millis(assignment_interval),
            poll: Duration::from_millis(poll),
            seed,
            faults,
            stop_after,
            kill_after,
            disturbances,
            rejoins: rejoins.min(members - 1),
        }
    })
}

/// Executes a rejoin in a scenario, and checks what must hold in all of them.
fn play(scenario: &Scenario) -> Result<(), TestCaseError> {
    let mut config = ConsumerGroupConfig::new(scenario.members, scenario.partitions);
    config.assignment_interval = scenario.assignment_interval;
    config.poll = scenario.poll;
    config.seed = scenario.seed;
    config.session = Duration::from_secs(20);
    let heartbeat = config.heartbeat;
    let mut world = ConsumerGroupWorld::new(config);
    prop_assert_eq!(world.violations(), &[] as &[String]);
    let plan = rejoin(&world, scenario.rejoins, scenario.seed);
    for (after, disturbance) in &scenario.disturbances {
        world.disturb_at(world.now() + *after, *disturbance);
    }
    let limit = HandoverLimits::of(plan.protocol).total;
    let began = world.now();
    let mut random = ChaCha8Rng::seed_from_u64(scenario.seed);
    let report = execute(
        &mut world,
        plan,
        Circumstances {
            fault: &mut |_| match random.random_range(0..300) {
                draw if draw < scenario.faults => RequestFault::LostRequest,
                draw if draw < 2 * scenario.faults => RequestFault::LostResponse,
                draw if draw < 3 * scenario.faults => {
                    RequestFault::Slow(Duration::from_millis(900))
                }
                _ => RequestFault::None,
            },
            stop_after: scenario.stop_after,
            kill_after: scenario.kill_after,
        },
    );
    let took = world.now().saturating_sub(began);
    prop_assert!(took < limit, "took {took:?}");
    let is_disturbed = scenario.faults > 0 || !scenario.disturbances.is_empty();
    if let Some(report) = &report {
        let ended_early = scenario.stop_after.is_some() || is_disturbed;
        let rejoined = report.outcome == HandoverOutcome::Rejoined;
        prop_assert!(rejoined || ended_early, "{report:?}");
        prop_assert_eq!(
            rejoined && report.removed != report.returned,
            false,
            "{:?}",
            report
        );
    }
    assert_settles(&mut world)?;
    // The slowest member that may be drawn polls every 4 s.
    let most = heartbeat + Duration::from_millis(4_100);
    let double = world.longest_double_processing();
    prop_assert!(
        double <= most,
        "two members processed a partition for {double:?}"
    );
    if let Some(reported) = report.and_then(|report| report.double_processing) {
        prop_assert!(
            double <= reported.to_duration(),
            "{double:?} > {reported:?}"
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Whatever happens, the group settles, each partition is processed by one client in the end,
    /// and two clients process one only after a removal, for a limited time.
    #[test]
    fn no_lasting_harm_in_any_scenario(scenario in scenarios()) {
        play(&scenario)?;
    }
}
