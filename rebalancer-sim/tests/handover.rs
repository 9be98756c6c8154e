//! Hand-overs and rejoins over modelled groups: what must hold in every one, with and without
//! faults.

#![expect(clippy::panic, reason = "helpers of tests")]
use std::time::Duration;

use kafka_assignors::coordinator_order::CoordinatorFamily;
use kafka_assignors::{Assignment, MemberIndex, PartitionIndex};
use proptest::prelude::*;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rebalancer_core::execution::StopCause;
use rebalancer_core::group::Protocol;
use rebalancer_core::handover::{
    AbandonReason, CoordinatorRequest, Handover, HandoverEvent, HandoverGoal, HandoverLimits,
    HandoverMember, HandoverOutcome, HandoverPlan, HandoverReport, HandoverStep, HandoverTarget,
    RebalanceProtocol,
};
use rebalancer_core::ports::OwnMember;
use rebalancer_sim::kafka::{
    ClientKind, Disturbance, ElectionOrder, GroupConfig, GroupWorld, RequestFault,
};
use rstest::rstest;

const JAVA: ElectionOrder = ElectionOrder::Table {
    coordinator: CoordinatorFamily::Java,
    at_least: 0,
};
const SCALA: ElectionOrder = ElectionOrder::Table {
    coordinator: CoordinatorFamily::Scala,
    at_least: 0,
};

/// A plan for the group as it is, whose target has the same numbers of partitions per member, dealt
/// at random.
fn plan(world: &GroupWorld, kind: ClientKind, seed: u64) -> HandoverPlan {
    let plan = rejoin(world, kind, 0, seed);
    let mut owners: Vec<Option<MemberIndex>> = plan.current.owners().collect();
    owners.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    HandoverPlan {
        goal: HandoverGoal::Assign(HandoverTarget {
            loads: vec![1.0; owners.len()],
            owners: owners.into_iter().collect(),
            sticky_user_data: false,
        }),
        ..plan
    }
}

/// A plan that lets this number of members rejoin, chosen at random.
fn rejoin(world: &GroupWorld, kind: ClientKind, members: usize, seed: u64) -> HandoverPlan {
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
        assignor: kind.assignor().into(),
        group_protocol: Protocol::Classic,
        protocol: if kind.is_cooperative() {
            RebalanceProtocol::Cooperative
        } else {
            RebalanceProtocol::Eager
        },
        members: group.members.iter().map(HandoverMember::of).collect(),
        goal: HandoverGoal::Rejoin(indices),
        topics,
        current,
        client: Some(kind.client()),
        coordinators: CoordinatorFamily::ALL.to_vec(),
        observed_at: world.now(),
    }
}

/// The assignment in terms of clients instead of members.
fn clients(plan: &HandoverPlan, assignment: &Assignment) -> Assignment {
    let client = |member: MemberIndex| {
        let client_id = &plan.members.get(member.get())?.client_id;
        let number = client_id.strip_prefix("consumer-")?.parse().ok()?;
        Some(MemberIndex::new(number))
    };
    let owners = assignment.owners();
    owners.map(|owner| client(owner?)).collect()
}

/// The circumstances of a hand-over.
struct Circumstances<'a> {
    fault: &'a mut dyn FnMut(&CoordinatorRequest) -> RequestFault,
    /// After this number of requests, a stop is requested.
    stop_after: Option<usize>,
    /// After this number of requests, the process is killed.
    kill_after: Option<usize>,
}

/// Executes a hand-over; `None` if its process was killed.
fn hand_over(
    world: &mut GroupWorld,
    plan: HandoverPlan,
    circumstances: Circumstances<'_>,
) -> Option<HandoverReport> {
    let limits = HandoverLimits::of(plan.protocol);
    let mut handover = Handover::new(plan, limits, world.now());
    let mut sent = 0;
    let mut steps = 0;
    loop {
        steps += 1;
        assert!(steps < 200_000, "the hand-over does not end: {handover:?}");
        match handover.step(world.now()) {
            HandoverStep::Send(request) => {
                if circumstances.kill_after == Some(sent) {
                    world.kill_handover();
                    return None;
                }
                let fault = (circumstances.fault)(&request);
                world.send(request, fault);
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
}

fn undisturbed(world: &mut GroupWorld, plan: HandoverPlan) -> HandoverReport {
    with_fault(world, plan, RequestFault::None, |_| false)
}

/// Executes a hand-over in which some requests have this fault.
fn with_fault(
    world: &mut GroupWorld,
    plan: HandoverPlan,
    fault: RequestFault,
    is_hit: impl Fn(&CoordinatorRequest) -> bool,
) -> HandoverReport {
    let circumstances = Circumstances {
        fault: &mut |request| {
            if is_hit(request) {
                fault
            } else {
                RequestFault::None
            }
        },
        stop_after: None,
        kill_after: None,
    };
    let report = hand_over(world, plan, circumstances);
    report.unwrap_or_else(|| panic!("the process was not killed"))
}

fn joins_as_assigner(request: &CoordinatorRequest) -> bool {
    matches!(request, CoordinatorRequest::Join(join) if join.own == OwnMember::Assigner)
}

fn is_heartbeat_of_scout(request: &CoordinatorRequest) -> bool {
    matches!(request, CoordinatorRequest::Heartbeat { own, .. } if *own == OwnMember::Scout)
}

fn removes_for_election(request: &CoordinatorRequest) -> bool {
    matches!(request, CoordinatorRequest::Leave { reason, .. } if reason.contains("election"))
}

/// The kinds of clients whose members keep an assignment.
fn sticky_kinds() -> impl Iterator<Item = ClientKind> {
    ClientKind::ALL.into_iter().filter(|kind| kind.is_sticky())
}

/// Lets the group settle, and checks that every partition has exactly one owner, or none if no
/// consumer is left.
fn assert_settles(world: &mut GroupWorld, within: Duration) -> Result<(), TestCaseError> {
    let until = world.now() + within;
    while !world.is_settled() && world.now() < until {
        world.run_until(world.now() + Duration::from_millis(100));
    }
    prop_assert!(world.is_settled(), "not settled: {:?}", world.describe());
    prop_assert_eq!(world.violations(), &[] as &[String]);
    let owners = usize::from(!world.describe().members.is_empty());
    for (partition, clients) in world.processing().iter().enumerate() {
        prop_assert_eq!(clients.len(), owners, "{} of {:?}", partition, clients);
    }
    Ok(())
}

#[rstest]
fn group_has_the_target_afterwards(
    #[values(
        ClientKind::JavaCooperative,
        ClientKind::JavaEager,
        ClientKind::LibrdkafkaStatic,
        ClientKind::LibrdkafkaDynamic
    )]
    kind: ClientKind,
    #[values(JAVA, SCALA)] order: ElectionOrder,
    #[values(2, 8, 33)] members: usize,
) {
    for seed in 0..10 {
        let mut config = GroupConfig::new(kind, members, members * 4 + 3, order);
        config.rebalances_on_release = order == JAVA;
        config.seed = seed;
        let mut world = GroupWorld::new(config);
        // The hand-over begins at any time between two heartbeats of the members.
        world.run_until(world.now() + Duration::from_millis(seed * 290));
        let plan = plan(&world, kind, seed);
        let target = clients(&plan, &plan.target().unwrap().owners);
        let before = world.rebalances();
        let report = undisturbed(&mut world, plan);
        assert_eq!(world.violations(), &[] as &[String], "seed {seed}");
        if let HandoverOutcome::Abandoned(AbandonReason::TooManyBlockers { .. }) = report.outcome {
            continue;
        }
        assert_eq!(report.outcome, HandoverOutcome::Assigned, "seed {seed}");
        assert!(report.settled);
        assert_settles(&mut world, Duration::from_secs(1)).unwrap();
        assert_eq!(world.owners(), target, "seed {seed}");
        let rebalances = match kind {
            ClientKind::JavaEager => 3..=3,
            // A static member of librdkafka may join once more after its removal.
            ClientKind::LibrdkafkaStatic => 5..=6,
            ClientKind::JavaCooperative | ClientKind::LibrdkafkaDynamic => 5..=5,
            ClientKind::JavaRange => panic!("members do not keep an assignment"),
        };
        let counted = world.rebalances() - before;
        assert!(rebalances.contains(&counted), "{counted}, seed {seed}");
        assert_eq!(report.rebalances, counted, "seed {seed}");
        // Partitions that move pause for milliseconds, not for a heartbeat interval; a removed
        // dynamic member of librdkafka is back after two seconds, and a member of Java polls.
        let longest = if kind.is_cooperative() {
            0.6
        } else {
            3.0 * 4.0
        };
        // A dynamic member of librdkafka learns of its removal from a heartbeat, and only it loses
        // anything: nothing of it is handed out before it is back.
        let lost = world.late_losses();
        let share = (members * 4 + 3).div_ceil(members) * report.removed;
        let most = if kind == ClientKind::LibrdkafkaDynamic {
            share
        } else {
            0
        };
        assert!(lost <= most, "{lost}, seed {seed}");
        let pause = world.longest_pause().as_secs_f64();
        assert!(pause <= longest, "{pause} s, seed {seed}");
    }
}

#[test]
fn slow_poller_ends_it_before_any_removal() {
    for kind in sticky_kinds().filter(|kind| *kind != ClientKind::LibrdkafkaStatic) {
        let mut config = GroupConfig::new(kind, 6, 24, JAVA);
        config.slow = Some((3, Duration::from_secs(8)));
        let mut world = GroupWorld::new(config);
        let owners = world.owners();
        let report = {
            let plan = plan(&world, kind, 1);
            undisturbed(&mut world, plan)
        };
        if kind == ClientKind::LibrdkafkaDynamic {
            // librdkafka joins in the background.
            assert_eq!(report.outcome, HandoverOutcome::Assigned);
            continue;
        }
        let slow = matches!(
            report.outcome,
            HandoverOutcome::Abandoned(AbandonReason::SlowRejoin { .. })
        );
        assert!(slow, "{report:?}");
        assert_eq!(report.removed, 0);
        assert_settles(&mut world, Duration::from_secs(60)).unwrap();
        assert_eq!(world.owners(), owners);
    }
}

/// A member that begins to sleep after each poll may be removed as the leader while it processes.
/// No other member gets its partitions before it is back.
#[rstest]
fn removed_leader_that_sleeps_keeps_its_partitions(
    #[values(ClientKind::JavaCooperative, ClientKind::JavaEager)] kind: ClientKind,
    #[values(0, 1, 2, 3)] index: usize,
) {
    let mut removed = 0;
    for step in 0..40 {
        let mut world = GroupWorld::new(GroupConfig::new(kind, 4, 21, JAVA));
        let plan = plan(&world, kind, 1);
        let at = world.now() + Duration::from_millis(6_000 + step * 200);
        let sleeps = Disturbance::Slows(index, Duration::from_secs(8));
        world.disturb_at(at, sleeps);
        let report = undisturbed(&mut world, plan);
        removed += report.removed;
        assert_eq!(world.violations(), &[] as &[String], "step {step}");
        assert_settles(&mut world, Duration::from_secs(100)).unwrap();
    }
    assert!(removed > 0);
}

/// The connection of the assigner breaks while its JoinGroup request is parked. The coordinator
/// would make it the leader, which it would not learn, so it leaves at once.
#[rstest]
fn assigner_without_its_connection_does_not_take_the_lead(
    #[values(100, 500, 1_000, 2_000, 3_000, 4_000)] noticed: u64,
) {
    for kind in sticky_kinds() {
        let mut world = GroupWorld::new(GroupConfig::new(kind, 4, 16, JAVA));
        let plan = plan(&world, kind, 1);
        let fault = RequestFault::Breaks {
            arrives: Duration::ZERO,
            noticed: Duration::from_millis(noticed),
        };
        let report = with_fault(&mut world, plan, fault, joins_as_assigner);
        let abandoned = matches!(report.outcome, HandoverOutcome::Abandoned(_));
        assert!(abandoned && report.settled, "{kind:?}: {report:?}");
        // A lead that was taken in vain would be noticed after 50 s only.
        assert!(report.seconds.get() < 25.0, "{kind:?}: {report:?}");
        assert_settles(&mut world, Duration::from_secs(30)).unwrap();
    }
}

/// The heartbeats of the scout arrive late, so the last one arrives after its departure.
#[rstest]
fn late_heartbeats_of_the_scout_change_nothing(#[values(100, 300, 600, 900)] late: u64) {
    for kind in sticky_kinds() {
        for seed in 0..6 {
            let mut config = GroupConfig::new(kind, 4, 16, JAVA);
            config.seed = seed;
            let mut world = GroupWorld::new(config);
            let plan = plan(&world, kind, seed);
            let fault = RequestFault::Slow(Duration::from_millis(late));
            let report = with_fault(&mut world, plan, fault, is_heartbeat_of_scout);
            assert_eq!(report.outcome, HandoverOutcome::Assigned, "seed {seed}");
            assert_settles(&mut world, Duration::from_secs(30)).unwrap();
        }
    }
}

/// A removal that arrives after its sender has given up still finds the join phase held open.
#[rstest]
fn late_removal_arrives_behind_the_barrier(#[values(0, 500, 1_000, 1_900)] late: u64) {
    for kind in sticky_kinds() {
        let mut world = GroupWorld::new(GroupConfig::new(kind, 4, 16, JAVA));
        let plan = plan(&world, kind, 1);
        let fault = RequestFault::Breaks {
            arrives: Duration::from_millis(500 + late),
            noticed: Duration::from_millis(500),
        };
        let report = with_fault(&mut world, plan, fault, removes_for_election);
        assert!(report.settled, "{report:?}");
        // A removal outside the barrier would be a violation.
        assert_settles(&mut world, Duration::from_secs(30)).unwrap();
    }
}

#[test]
fn changed_group_is_left_alone() {
    let kind = ClientKind::JavaCooperative;
    let mut world = GroupWorld::new(GroupConfig::new(kind, 4, 16, JAVA));
    let plan = plan(&world, kind, 1);
    world.disturb_at(world.now() + Duration::from_secs(1), Disturbance::Joins);
    let before = world.rebalances();
    let report = undisturbed(&mut world, plan);
    let changed = matches!(
        report.outcome,
        HandoverOutcome::Abandoned(AbandonReason::GroupChanged { .. })
    );
    assert!(changed, "{report:?}");
    assert_eq!(report.rebalances, 0);
    assert_settles(&mut world, Duration::from_secs(30)).unwrap();
    assert!(world.rebalances() > before);
}

/// A coordinator that orders members in another way than those of Kafka.
#[test]
fn lost_election_leaves_the_group_as_it_was() {
    let kind = ClientKind::LibrdkafkaStatic;
    let mut lost = 0;
    for seed in 0..20 {
        let order = ElectionOrder::Salted(seed);
        let mut world = GroupWorld::new(GroupConfig::new(kind, 8, 32, order));
        let plan = plan(&world, kind, seed);
        let (rebalances, before) = (world.rebalances(), clients(&plan, &plan.current));
        let report = undisturbed(&mut world, plan);
        assert!(report.settled);
        assert_settles(&mut world, Duration::from_secs(30)).unwrap();
        assert_eq!(
            report.rebalances,
            world.rebalances() - rebalances,
            "{report:?}"
        );
        if report.outcome == HandoverOutcome::Abandoned(AbandonReason::ElectionLost) {
            lost += 1;
            assert_eq!(world.owners(), before);
        }
    }
    assert!(lost > 10, "{lost}");
}

/// The members of a rejoin have new ids afterwards, and the others their old ones. The order in
/// which the coordinator elects leaders does not matter.
#[rstest]
fn members_rejoin_under_new_ids(
    #[values(
        ClientKind::JavaCooperative,
        ClientKind::JavaEager,
        ClientKind::JavaRange,
        ClientKind::LibrdkafkaStatic,
        ClientKind::LibrdkafkaDynamic
    )]
    kind: ClientKind,
    #[values(JAVA, SCALA, ElectionOrder::Salted(7))] order: ElectionOrder,
    #[values((2, 1), (8, 3), (8, 7), (33, 4))] (members, removed): (usize, usize),
) {
    let mut moved = 0;
    for seed in 0..6 {
        let mut config = GroupConfig::new(kind, members, members * 4 + 3, order);
        config.rebalances_on_release = order == JAVA;
        config.seed = seed;
        let mut world = GroupWorld::new(config);
        world.run_until(world.now() + Duration::from_millis(seed * 470));
        let plan = rejoin(&world, kind, removed, seed);
        let HandoverGoal::Rejoin(rejoining) = plan.goal.clone() else {
            panic!("{plan:?}");
        };
        let (ids, before) = (world.member_ids(), world.rebalances());
        let leaves = |client: usize| {
            let mut rejoining = rejoining.iter();
            rejoining.any(|member| plan.members[member.get()].member_id == ids[client])
        };
        let report = undisturbed(&mut world, plan.clone());
        assert_eq!(report.outcome, HandoverOutcome::Rejoined, "seed {seed}");
        assert!(report.settled);
        assert_eq!((report.removed, report.returned), (removed, removed));
        assert_settles(&mut world, Duration::from_secs(1)).unwrap();
        for (client, (old, new)) in ids.iter().zip(world.member_ids()).enumerate() {
            assert_eq!(*old != new, leaves(client), "client {client}, seed {seed}");
        }
        let owners = clients(&plan, &plan.current);
        let owners = owners
            .owners()
            .zip(world.owners().owners().collect::<Vec<_>>());
        let changed = owners.filter(|(before, after)| before != after).count();
        assert_eq!(report.moved, Some(changed), "seed {seed}");
        moved += changed;
        // A cooperative group may revoke partitions in one more rebalance.
        assert_eq!(report.rebalances, 2, "seed {seed}");
        let rebalances = world.rebalances() - before;
        assert!((2..=3).contains(&rebalances), "{rebalances}, seed {seed}");
        // Only a dynamic member of librdkafka learns of its removal from a heartbeat.
        let parked = kind != ClientKind::LibrdkafkaDynamic;
        assert!(!parked || world.late_losses() == 0, "seed {seed}");
    }
    match kind {
        // The ids begin with the client ids, which differ here, so the order of the members stays.
        ClientKind::JavaRange => assert_eq!(moved, 0),
        // These members lose their partitions, and get other ones.
        ClientKind::JavaCooperative => assert!(moved > 0 || removed == 1),
        ClientKind::JavaEager | ClientKind::LibrdkafkaStatic | ClientKind::LibrdkafkaDynamic => {}
    }
}

/// Members that die, or sleep after each poll, while they are removed. The group waits for them for
/// a limited time, in which no other member gets their partitions.
#[rstest]
fn rejoin_waits_for_absent_members_for_a_limited_time(
    #[values(
        ClientKind::JavaCooperative,
        ClientKind::JavaEager,
        ClientKind::JavaRange,
        ClientKind::LibrdkafkaDynamic
    )]
    kind: ClientKind,
    #[values(true, false)] dies: bool,
    #[values(0, 2)] index: usize,
) {
    let (mut absent, mut late) = (0, 0);
    for step in 0..40 {
        let mut world = GroupWorld::new(GroupConfig::new(kind, 4, 21, JAVA));
        let plan = rejoin(&world, kind, 3, 1);
        let began = world.now();
        let disturbance = if dies {
            Disturbance::Dies(index)
        } else {
            Disturbance::Slows(index, Duration::from_secs(7))
        };
        world.disturb_at(
            began + Duration::from_millis(6_000 + step * 200),
            disturbance,
        );
        let report = undisturbed(&mut world, plan);
        let took = world.now() - began;
        assert!(took < Duration::from_secs(110), "{took:?}, step {step}");
        assert_eq!(world.violations(), &[] as &[String], "step {step}");
        if report.removed > 0 {
            let is_late = took > Duration::from_secs(20);
            if report.outcome == HandoverOutcome::Rejoined {
                late += usize::from(is_late);
            } else if let HandoverOutcome::Abandoned(AbandonReason::NotBack { .. }) = report.outcome
            {
                absent += 1;
            }
        }
        assert_settles(&mut world, Duration::from_secs(100)).unwrap();
    }
    let removed = rejoin_of(kind).contains(&index);
    if removed && dies {
        assert!(absent > 0);
    }
    if removed && !dies && kind != ClientKind::LibrdkafkaDynamic {
        assert!(late > 0);
    }
}

/// The clients that are removed in the test above.
fn rejoin_of(kind: ClientKind) -> Vec<usize> {
    let world = GroupWorld::new(GroupConfig::new(kind, 4, 21, JAVA));
    let plan = rejoin(&world, kind, 3, 1);
    let members: Assignment = match &plan.goal {
        HandoverGoal::Rejoin(members) => members.iter().copied().map(Some).collect(),
        HandoverGoal::Assign(_) => panic!("{plan:?}"),
    };
    let clients = clients(&plan, &members);
    clients.owners().flatten().map(MemberIndex::get).collect()
}

#[derive(Debug, Clone)]
struct Scenario {
    kind: ClientKind,
    order: ElectionOrder,
    members: usize,
    partitions: usize,
    heartbeat: Duration,
    poll: Duration,
    seed: u64,
    /// Probability in percent that a request or its response is lost, or late.
    faults: u32,
    stop_after: Option<usize>,
    kill_after: Option<usize>,
    disturbances: Vec<(Duration, Disturbance)>,
    /// The number of members that rejoin; `None` if an assignment is handed out.
    rejoins: Option<usize>,
}

fn scenarios() -> impl Strategy<Value = Scenario> {
    let order = prop_oneof![
        3 => (0..40_usize).prop_map(|at_least| ElectionOrder::Table {
            coordinator: CoordinatorFamily::Java,
            at_least,
        }),
        2 => Just(SCALA),
        1 => any::<u64>().prop_map(ElectionOrder::Salted),
    ];
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
        prop::sample::select(ClientKind::ALL.to_vec()),
        order,
        2..13_usize,
        0..40_usize,
        prop::sample::select(vec![500_u64, 3_000]),
        prop::sample::select(vec![0_u64, 50, 200, 900]),
    );
    let circumstances = (
        any::<u64>(),
        prop::sample::select(vec![0_u32, 0, 2, 10]),
        prop::option::weighted(0.3, 0..200_usize),
        prop::option::weighted(0.3, 0..200_usize),
        prop::collection::vec(disturbance, 0..3),
        prop::option::of(1..12_usize),
    );
    (group, circumstances).prop_map(|(group, circumstances)| {
        let (kind, order, members, more, heartbeat, poll) = group;
        let (seed, faults, stop_after, kill_after, mut disturbances, rejoins) = circumstances;
        // Members with `range` do not keep an assignment.
        let rejoins = rejoins.or_else(|| (!kind.is_sticky()).then_some(1));
        let rejoins = rejoins.map(|rejoins| rejoins.min(members - 1));
        // If the process is killed, the barrier ends before removed members that have just become
        // slow are back.
        if rejoins.is_some() && kill_after.is_some() {
            disturbances.retain(|(_, what)| !matches!(what, Disturbance::Slows(..)));
        }
        disturbances.sort_by_key(|(at, _)| *at);
        Scenario {
            kind,
            order,
            members,
            partitions: members + more,
            heartbeat: Duration::from_millis(heartbeat),
            poll: Duration::from_millis(poll),
            seed,
            faults,
            stop_after,
            kill_after,
            disturbances,
            rejoins,
        }
    })
}

/// Executes a hand-over in a scenario, and checks what must hold in all of them.
fn play(scenario: &Scenario) -> Result<Option<HandoverReport>, TestCaseError> {
    let mut config = GroupConfig::new(
        scenario.kind,
        scenario.members,
        scenario.partitions,
        scenario.order,
    );
    config.rebalances_on_release = scenario.order != SCALA;
    config.heartbeat = scenario.heartbeat;
    config.poll = scenario.poll;
    config.seed = scenario.seed;
    config.session = Duration::from_secs(20);
    config.rebalance_timeout = Duration::from_secs(60);
    let mut world = GroupWorld::new(config);
    prop_assert_eq!(world.violations(), &[] as &[String]);
    let plan = match scenario.rejoins {
        Some(members) => rejoin(&world, scenario.kind, members, scenario.seed),
        None => plan(&world, scenario.kind, scenario.seed),
    };
    for (after, disturbance) in &scenario.disturbances {
        world.disturb_at(world.now() + *after, *disturbance);
    }
    let limit = HandoverLimits::of(plan.protocol).total;
    let began = world.now();
    let mut random = ChaCha8Rng::seed_from_u64(scenario.seed);
    let report = hand_over(
        &mut world,
        plan,
        Circumstances {
            fault: &mut |_| match random.random_range(0..400) {
                draw if draw < scenario.faults => RequestFault::LostRequest,
                draw if draw < 2 * scenario.faults => RequestFault::LostResponse,
                draw if draw < 3 * scenario.faults => {
                    RequestFault::Slow(Duration::from_millis(900))
                }
                draw if draw < 4 * scenario.faults => RequestFault::Breaks {
                    arrives: Duration::from_millis(random.random_range(0..900)),
                    noticed: Duration::from_millis(random.random_range(0..5_000)),
                },
                _ => RequestFault::None,
            },
            stop_after: scenario.stop_after,
            kill_after: scenario.kill_after,
        },
    );
    // The limit, and the time in which our members leave or expire.
    let took = world.now().saturating_sub(began);
    prop_assert!(took < limit + Duration::from_secs(30), "took {took:?}");
    if let Some(report) = &report {
        let undisturbed = scenario.faults == 0 && scenario.disturbances.is_empty();
        prop_assert!(report.settled || !undisturbed, "not settled: {report:?}");
    }
    if let Some(report) = &report
        && report.settled
    {
        let ours = world
            .describe()
            .members
            .into_iter()
            .any(|member| member.labels.client_id.as_deref() == Some("rebalancer"));
        prop_assert!(!ours, "settled with members of ours: {report:?}");
    }
    // Members that died expire, and the group may have to wait for them.
    assert_settles(&mut world, Duration::from_secs(200))?;
    Ok(report)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    /// Whatever happens, the group settles, no partition is processed by two clients or lost, and
    /// nothing of ours is left.
    #[test]
    fn no_harm_in_any_scenario(scenario in scenarios()) {
        play(&scenario)?;
    }
}
