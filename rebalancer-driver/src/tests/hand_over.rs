//! Hand-overs to the group of the simulated world.

use std::collections::BTreeMap;

use futures::FutureExt as _;
use kafka_assignors::coordinator_order::CoordinatorFamily;
use kafka_assignors::{MemberIndex, Topics};
use rebalancer_core::group::{Assignor, ClientFamily};
use rebalancer_core::handover::{
    AbandonReason, HandoverGoal, HandoverLimits, HandoverMember, HandoverOutcome, HandoverPlan,
    HandoverReport, HandoverStage, HandoverTarget, RebalanceProtocol,
};
use rebalancer_core::ports::DescribedGroup;
use rebalancer_sim::PartitionView;

use super::*;
use crate::hand_over;

/// Java eager and cooperative, librdkafka dynamic and static.
fn world(assignor: Assignor, client: ClientFamily, static_members: bool) -> SimWorld {
    let config = SimConfig {
        pods: 6,
        partitions: 33,
        described: true,
        client,
        static_members,
        ..SimConfig::seeded(4)
    };
    SimWorld::new(config.with_assignor(assignor)).unwrap()
}

/// The index of a partition's owner in the described group.
fn owners(group: &DescribedGroup, partitions: usize) -> Vec<usize> {
    let mut owners = vec![usize::MAX; partitions];
    for (index, member) in group.members.iter().enumerate() {
        for (_, number) in &member.owned {
            owners[*number as usize] = index;
        }
    }
    owners
}

/// A plan that reverses the order of the partitions, so that the counts stay.
fn reversal(world: &SimWorld) -> HandoverPlan {
    let group = world.described_group();
    let config = world.config();
    let current = owners(&group, config.partitions as usize);
    let assignment = |owners: Vec<usize>| {
        let owners = owners.into_iter();
        owners.map(|owner| Some(MemberIndex::new(owner))).collect()
    };
    let mut target = current.clone();
    target.reverse();
    HandoverPlan {
        assignor: config.assignor.as_str().to_owned(),
        group_protocol: config.protocol,
        protocol: RebalanceProtocol::of(config.assignor),
        topics: Topics::new([(group.topics[0].name.clone(), current.len())]),
        members: group.members.iter().map(HandoverMember::of).collect(),
        goal: HandoverGoal::Assign(HandoverTarget {
            owners: assignment(target),
            loads: vec![1.0; current.len()],
            sticky_user_data: false,
        }),
        current: assignment(current),
        client: None,
        coordinators: CoordinatorFamily::ALL.to_vec(),
        observed_at: world.clock().elapsed(),
    }
}

fn perform(world: &SimWorld, plan: HandoverPlan) -> HandoverReport {
    let (coordinator, clock) = (world.coordinator(), world.clock());
    let limits = HandoverLimits::of(plan.protocol);
    let stop = Stop::never();
    block_on(hand_over(plan, limits, &coordinator, &clock, &stop, |_| {}))
}

fn pods(partitions: &[PartitionView]) -> Vec<String> {
    let pod = |partition: &PartitionView| partition.owner.as_ref().unwrap().pod.clone();
    partitions.iter().map(pod).collect()
}

#[rstest]
#[case::java_eager(Assignor::Sticky, ClientFamily::Java, false, 3)]
#[case::java(Assignor::CooperativeSticky, ClientFamily::Java, false, 5)]
#[case::java_static(Assignor::CooperativeSticky, ClientFamily::Java, true, 5)]
#[case::librdkafka(Assignor::CooperativeSticky, ClientFamily::Librdkafka, false, 5)]
// A removed static member of librdkafka discards a response, and joins once more.
#[case::librdkafka_static(Assignor::CooperativeSticky, ClientFamily::Librdkafka, true, 6)]
#[test]
fn loads_follow_the_owners_after_a_hand_over(
    #[case] assignor: Assignor,
    #[case] client: ClientFamily,
    #[case] static_members: bool,
    #[case] rebalances: u32,
) {
    let world = world(assignor, client, static_members);
    let mut expected = pods(&world.partitions());
    expected.reverse();
    let report = perform(&world, reversal(&world));
    assert_eq!(report.outcome, HandoverOutcome::Assigned, "{report:?}");
    assert!(report.settled);
    assert_eq!(report.rebalances, rebalances);
    assert_eq!(world.handover_rebalances(), rebalances);
    assert_eq!(world.handover_violations(), [] as [String; 0]);
    assert_eq!(pods(&world.partitions()), expected);

    // The group keeps them, and the loads are those of the new owners.
    world.advance(Duration::from_secs(600));
    let partitions = world.partitions();
    assert_eq!(pods(&partitions), expected);
    let mut rates: BTreeMap<String, f64> = BTreeMap::new();
    for partition in &partitions {
        *rates
            .entry(partition.owner.as_ref().unwrap().pod.clone())
            .or_default() += partition.rate;
    }
    let config = world.config();
    let total: f64 = rates.values().sum();
    let cost = (config.mean_load - config.base_load) * f64::from(config.pods) / total;
    for pod in world.loads() {
        let expected = config.base_load + cost * rates[&pod.name];
        assert!(
            (pod.load - expected).abs() < 1e-9,
            "{pod:?}, not {expected}"
        );
    }
}

/// The members of two pods rejoin, and no pod restarts.
#[rstest]
#[case::java_range(Assignor::Range, ClientFamily::Java, false)]
#[case::java(Assignor::CooperativeSticky, ClientFamily::Java, false)]
#[case::java_static(Assignor::CooperativeSticky, ClientFamily::Java, true)]
#[case::librdkafka(Assignor::CooperativeSticky, ClientFamily::Librdkafka, false)]
#[test]
fn members_rejoin_and_every_partition_is_owned(
    #[case] assignor: Assignor,
    #[case] client: ClientFamily,
    #[case] static_members: bool,
) {
    let world = world(assignor, client, static_members);
    let ids = |world: &SimWorld| -> BTreeMap<String, String> {
        let members = world.described_group().members.into_iter();
        members
            .map(|member| {
                let labels = member.labels;
                (labels.client_id.unwrap(), labels.member_id.unwrap())
            })
            .collect()
    };
    let before = ids(&world);
    let plan = HandoverPlan {
        goal: HandoverGoal::Rejoin([0, 2].map(MemberIndex::new).to_vec()),
        ..reversal(&world)
    };
    let rejoining: Vec<String> = [0, 2]
        .map(|index: usize| plan.members[index].client_id.clone())
        .into();
    let report = perform(&world, plan);
    assert_eq!(report.outcome, HandoverOutcome::Rejoined, "{report:?}");
    assert!(report.settled);
    assert_eq!((report.removed, report.returned), (2, 2));
    assert_eq!(world.handover_violations(), [] as [String; 0]);
    let after = ids(&world);
    for (client_id, id) in &before {
        let rejoined = after[client_id] != *id;
        assert_eq!(rejoined, rejoining.contains(client_id), "{client_id}");
    }
    assert!(world.partitions().iter().all(|p| p.owner.is_some()));
    world.advance(Duration::from_secs(600));
    assert!(world.partitions().iter().all(|p| p.owner.is_some()));
    assert_eq!(world.loads().len(), before.len());
}

#[test]
fn eviction_meanwhile_ends_the_hand_over_and_no_partition_is_lost() {
    let world = world(Assignor::CooperativeSticky, ClientFamily::Java, false);
    let plan = reversal(&world);
    let pods = block_on(world.actuator().observe()).unwrap().pods;
    block_on(world.actuator().evict(&pods[0].reference(), false));
    // The member leaves after three seconds, before the group is confirmed.
    let report = perform(&world, plan);
    assert!(
        matches!(
            report.outcome,
            HandoverOutcome::Abandoned(AbandonReason::GroupChanged { .. })
        ),
        "{report:?}"
    );
    world.advance(Duration::from_secs(120));
    assert!(
        world
            .partitions()
            .iter()
            .all(|partition| partition.owner.is_some())
    );
    assert!(world.loads().iter().all(|pod| pod.partitions > 0));
    assert_eq!(world.handover_violations(), [] as [String; 0]);
}

/// The pod ends while the assigner leads the group, and its replacement joins some time later.
#[rstest]
#[case::dynamic_member(false)]
#[case::static_member(true)]
#[test]
fn pod_that_ends_in_the_middle_is_replaced(#[case] static_members: bool) {
    let world = world(
        Assignor::CooperativeSticky,
        ClientFamily::Librdkafka,
        static_members,
    );
    let plan = reversal(&world);
    let pods = block_on(world.actuator().observe()).unwrap().pods;
    let (coordinator, clock) = (world.coordinator(), world.clock());
    let limits = HandoverLimits::of(plan.protocol);
    let actuator = world.actuator();
    let mut evicted = false;
    let entered = |stage| {
        if stage == HandoverStage::Electing && !evicted {
            evicted = true;
            actuator.evict(&pods[2].reference(), false).now_or_never();
        }
    };
    let stop = Stop::never();
    let report = block_on(hand_over(
        plan,
        limits,
        &coordinator,
        &clock,
        &stop,
        entered,
    ));
    assert!(evicted);
    let partitions = world.partitions();
    let unowned = partitions.iter().filter(|p| p.owner.is_none()).count();
    world.advance(Duration::from_secs(300));
    assert_eq!(
        world.handover_violations(),
        [] as [String; 0],
        "{report:?}, {unowned}"
    );
    assert!(
        world.partitions().iter().all(|p| p.owner.is_some()),
        "{report:?}"
    );
    let loads = world.loads();
    assert_eq!(loads.len(), 6, "{loads:?}");
    assert!(loads.iter().all(|pod| pod.partitions > 0), "{loads:?}");
    let members = world.described_group().members;
    assert_eq!(members.len(), 6, "{members:?}");
}
