//! Hand-overs of an assignment to groups of real consumers, and rejoins of their members.

mod changes;
mod consumer;
mod killed;
mod rejoin;
mod restart;
mod secured;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use consumers::Partition;
use futures::future::try_join_all;
use harness::kafka::Listener;
use harness::wait::{Look, until};
use harness::{Kafka, KafkaVersion, Result};
use kafka_assignors::coordinator_order::CoordinatorFamily;
use kafka_assignors::{Assignment, MemberIndex, Topics};
use rebalancer_core::execution::StopCause;
use rebalancer_core::group::{Assignor, ClientFamily, GroupKind, Protocol};
use rebalancer_core::handover::{
    AbandonReason, HandoverGoal, HandoverLimits, HandoverMember, HandoverOutcome, HandoverPlan,
    HandoverReport, HandoverStage, HandoverTarget, RebalanceProtocol,
};
use rebalancer_core::ports::{
    Clock as _, DescribedGroup, GroupCoordinator as _, GroupSource as _, GroupState,
};
use rebalancer_driver::{Stop, SystemClock, hand_over};
use rebalancer_kafka::{Kafka as Adapter, Security};
use rstest::rstest;
use tokio::sync::Semaphore;

use crate::group::{Client, Group, Kind};
use watch::{Place, Watch, Watched};

/// The client id of our members.
const CLIENT_ID: &str = "rebalancer-test";
/// The heartbeat interval of the consumers.
const HEARTBEAT: Duration = Duration::from_millis(300);

/// The partitions of each member, by its client id.
type Owners = BTreeMap<String, BTreeSet<Partition>>;

fn owned(group: &Group) -> Owners {
    let consumers = group.consumers.iter();
    consumers
        .map(|consumer| (consumer.pod().to_owned(), consumer.owned()))
        .collect()
}

/// A plan for the group as it is described, in which each partition goes to the owner of the next
/// one. The number of partitions of each member stays the same.
fn plan(described: &DescribedGroup, client: ClientFamily, clock: &SystemClock) -> HandoverPlan {
    let assignor = described.assignor.clone().unwrap();
    let eager =
        described.kind == GroupKind::Classic && assignor != Assignor::CooperativeSticky.as_str();
    let topics = described.topics.iter();
    let topics = Topics::new(topics.map(|topic| (topic.name.clone(), topic.partition_racks.len())));
    let mut current = Assignment::unowned(topics.partition_count());
    for (member, index) in described
        .members
        .iter()
        .zip(MemberIndex::all(described.members.len()))
    {
        for (topic, number) in &member.owned {
            let topic = topics.find(topic).unwrap();
            let partition = topics.partitions(topic).nth(*number as usize).unwrap();
            current.set(partition, Some(index));
        }
    }
    assert_eq!(current.without_owner().count(), 0, "{described:?}");
    let mut owners: Vec<Option<MemberIndex>> = current.owners().collect();
    owners.rotate_left(1);
    HandoverPlan {
        group_protocol: if described.kind == GroupKind::Classic {
            Protocol::Classic
        } else {
            Protocol::Consumer
        },
        protocol: if eager {
            RebalanceProtocol::Eager
        } else {
            RebalanceProtocol::Cooperative
        },
        members: described.members.iter().map(HandoverMember::of).collect(),
        goal: HandoverGoal::Assign(HandoverTarget {
            owners: owners.into_iter().collect(),
            loads: vec![1.0; topics.partition_count()],
            sticky_user_data: assignor == Assignor::Sticky.as_str(),
        }),
        assignor,
        topics,
        current,
        client: Some(client),
        coordinators: CoordinatorFamily::ALL.to_vec(),
        observed_at: clock.elapsed(),
    }
}

/// The owners in the plan's target.
fn target(plan: &HandoverPlan) -> Owners {
    let target = plan.target().unwrap();
    let by_member = target.owners.by_member(plan.members.len());
    let members = plan.members.iter().zip(by_member);
    members
        .map(|(member, partitions)| {
            let partitions = partitions.into_iter().map(|partition| {
                let (topic, number) = plan.topics.locate(partition).unwrap();
                (
                    plan.topics.name(topic).to_owned(),
                    i32::try_from(number).unwrap(),
                )
            });
            (member.client_id.clone(), partitions.collect())
        })
        .collect()
}

/// Hand-overs at the same time. More of them keep two cores so busy that members and coordinators
/// respond too slowly.
static AT_ONCE: Semaphore = Semaphore::const_new(6);

/// Executes a hand-over to the group, when few others are executed.
async fn hand_over_to(
    group: &Group,
    stop: &Stop,
    entered: impl FnMut(HandoverStage),
) -> (HandoverReport, HandoverPlan) {
    let _permit = AT_ONCE.acquire().await.unwrap();
    hand_over_watched(group, stop, &Watch::default(), entered).await
}

/// Executes a hand-over to the group, with a watch of its requests.
async fn hand_over_watched(
    group: &Group,
    stop: &Stop,
    watch: &Watch,
    entered: impl FnMut(HandoverStage),
) -> (HandoverReport, HandoverPlan) {
    let adapter = group.adapter(Listener::Plaintext, Security::default());
    let clock = SystemClock::new();
    let plan = planned(&adapter, group.client(), &clock).await;
    let report = execute(plan.clone(), &adapter, &clock, stop, watch, entered).await;
    (report, plan)
}

/// The plan for the group of an adapter as the coordinator describes it.
async fn planned(adapter: &Adapter, client: ClientFamily, clock: &SystemClock) -> HandoverPlan {
    let observation = adapter.group().await.unwrap().unwrap();
    plan(&observation.described.unwrap(), client, clock)
}

/// Executes a plan with the connection of an adapter.
async fn execute(
    plan: HandoverPlan,
    adapter: &Adapter,
    clock: &SystemClock,
    stop: &Stop,
    watch: &Watch,
    mut entered: impl FnMut(HandoverStage),
) -> HandoverReport {
    let limits = HandoverLimits {
        heartbeat: HEARTBEAT,
        ..HandoverLimits::of(plan.protocol)
    };
    let coordinator = Watched {
        coordinator: adapter.coordinator(CLIENT_ID),
        watch,
    };
    let entered = |stage| {
        watch.enter(stage);
        entered(stage);
    };
    hand_over(plan, limits, &coordinator, clock, stop, entered).await
}

/// The number of times that a hand-over is tried on a machine that is busy with other tests.
const ATTEMPTS: usize = 5;

/// Whether the hand-over was abandoned because members or the coordinator responded too slowly,
/// before any member was removed.
fn is_of_a_slow_machine(report: &HandoverReport) -> bool {
    matches!(
        report.outcome,
        HandoverOutcome::Abandoned(
            AbandonReason::SlowRejoin { .. }
                | AbandonReason::NoWinningId { .. }
                | AbandonReason::NotParked { .. }
        )
    )
}

/// Executes a hand-over that assigns its target, and checks that the group keeps it.
async fn assign(group: &Group) -> Result<HandoverReport> {
    let adapter = group.adapter(Listener::Plaintext, Security::default());
    assign_by(group, &adapter).await
}

/// As [`assign`], with the connection of an adapter.
async fn assign_by(group: &Group, adapter: &Adapter) -> Result<HandoverReport> {
    let id = &group.id;
    let mut attempts = 0;
    let (report, plan) = loop {
        attempts += 1;
        let permit = AT_ONCE.acquire().await.unwrap();
        let clock = SystemClock::new();
        let plan = planned(adapter, group.client(), &clock).await;
        let (stop, watch) = (Stop::never(), Watch::default());
        let report = execute(plan.clone(), adapter, &clock, &stop, &watch, |_| ()).await;
        drop(permit);
        if attempts == ATTEMPTS || !is_of_a_slow_machine(&report) {
            break (report, plan);
        }
        assert!(report.settled, "{id}: {report:?}");
        assert_eq!(ours(group).await, 0, "{id}");
    };
    assert_eq!(
        report.outcome,
        HandoverOutcome::Assigned,
        "{id}: {report:?}"
    );
    assert!(report.settled, "{id}: {report:?}");
    assert_eq!(ours(group).await, 0, "{id}");
    group.settled().await?;
    assert_eq!(owned(group), target(&plan), "{id}");
    Ok(report)
}

/// The number of members of ours in the group.
async fn ours(group: &Group) -> usize {
    let adapter = group.adapter(Listener::Plaintext, Security::default());
    our_members(&adapter.coordinator(CLIENT_ID).describe().await.unwrap())
}

/// The number of members of ours in a group.
fn our_members(described: &DescribedGroup) -> usize {
    let client_ids = described.members.iter();
    let client_ids = client_ids.filter_map(|member| member.labels.client_id.as_deref());
    client_ids
        .filter(|client_id| client_id.starts_with(CLIENT_ID))
        .count()
}

/// Waits until the group has its own members and no others, and each partition has one owner.
async fn at_rest(group: &Group) -> Result<()> {
    at_rest_within(group, Duration::from_secs(60)).await
}

/// Waits until the group has its own members and no others, which must be so within the limit, and
/// each partition has one owner.
async fn at_rest_within(group: &Group, limit: Duration) -> Result<()> {
    let adapter = group.adapter(Listener::Plaintext, Security::default());
    let coordinator = adapter.coordinator(CLIENT_ID);
    until(
        format!("group {} without our members", group.id),
        limit,
        Duration::from_millis(200),
        async || {
            let described = match coordinator.describe().await {
                Ok(described) => described,
                Err(error) => return Ok(Look::Not(error.to_string())),
            };
            let members: BTreeSet<&str> = described
                .members
                .iter()
                .filter_map(|member| member.labels.client_id.as_deref())
                .collect();
            let expected = group.consumers.iter().map(|consumer| consumer.pod());
            let at_rest = described.state == GroupState::Stable && expected.eq(members);
            Ok(if at_rest {
                Look::Done(())
            } else {
                Look::Not(format!("{described:?}"))
            })
        },
    )
    .await?;
    group.settled().await
}

/// The groups to which assignments are handed out: assignor, whether members are static, version.
fn kinds(client: Client) -> Vec<(&'static str, Kind)> {
    use Assignor::{CooperativeSticky, Sticky};
    use KafkaVersion::{Current, V3_9};
    let kind = |assignor, static_members, version| Kind {
        client,
        assignor,
        static_members,
        ..Kind::classic(version)
    };
    let mut kinds = vec![
        ("cooperative", kind(CooperativeSticky, false, Current)),
        ("cooperative-static", kind(CooperativeSticky, true, Current)),
        ("cooperative-3-9", kind(CooperativeSticky, false, V3_9)),
        (
            "cooperative-static-3-9",
            kind(CooperativeSticky, true, V3_9),
        ),
    ];
    if client == Client::Java {
        // The eager assignor of librdkafka is not Kafka's.
        kinds.extend([
            ("sticky", kind(Sticky, false, Current)),
            ("sticky-static", kind(Sticky, true, Current)),
            ("sticky-3-9", kind(Sticky, false, V3_9)),
        ]);
    }
    kinds
}

#[rstest]
#[tokio::test]
async fn group_takes_and_keeps_the_target(
    #[values(Client::Librdkafka, Client::Java)] client: Client,
) -> Result<()> {
    let handed_over = kinds(client).into_iter().map(async |(name, kind)| {
        // Probe, election and departure; restore and two phases as well, unless it is eager.
        let eager = kind.assignor == Assignor::Sticky;
        let expected = if eager { 3 } else { 5 };
        let group = Group::start(&format!("hand-over-{client:?}-{name}"), kind).await?;
        let report = assign(&group).await?;
        // An assignment is handed out again if members lag.
        let rebalances = expected..=expected + 2;
        assert!(
            rebalances.contains(&report.rebalances),
            "{name}: {report:?}"
        );
        let assigned = owned(&group);
        // Nothing moves afterwards.
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(owned(&group), assigned, "{name}");
        assert_eq!(group.double_owners(None), [] as [&str; 0], "{name}");
        Ok(group)
    });
    // The groups end together: the end of a consumer blocks the thread.
    let groups: Vec<Group> = try_join_all(handed_over).await?;
    drop(groups);
    Ok(())
}

/// Members often subscribe to a topic before it exists, or after it was deleted.
#[rstest]
#[tokio::test]
async fn topic_that_does_not_exist_is_no_obstacle(
    #[values(Client::Librdkafka, Client::Java)] client: Client,
) -> Result<()> {
    let kind = Kind {
        client,
        ..Kind::classic(KafkaVersion::Current)
    };
    let kafka = Kafka::secured(kind.version).await?;
    let name = format!("missing-topic-{client:?}");
    let existing = format!("{name}-orders");
    kafka.admin().create_topic(&existing, 9).await?;
    let topics = vec![(existing, 9), (format!("{name}-gone"), 0)];
    let group = Group::of_topics(kafka, &name, kind, topics).await?;
    assign(&group).await.map(drop)
}

/// The stages in which a hand-over acts.
const ACTING: [HandoverStage; 5] = [
    HandoverStage::Probing,
    HandoverStage::Electing,
    HandoverStage::Restoring,
    HandoverStage::Revoking,
    HandoverStage::Assigning,
];

/// In any stage, a stop request ends in a group at rest without members of ours.
#[rstest]
#[tokio::test]
async fn stop_request_ends_in_a_settled_group(
    #[values(Client::Librdkafka, Client::Java)] client: Client,
) -> Result<()> {
    let stopped = ACTING.map(async |stage| {
        let kind = Kind {
            client,
            ..Kind::classic(KafkaVersion::Current)
        };
        let group = Group::start(&format!("stop-{client:?}-{stage:?}"), kind).await?;
        let mut attempts = 0;
        let report = loop {
            attempts += 1;
            let (handle, stop) = Stop::channel();
            let entered = |reached| {
                if reached == stage {
                    handle.stop(StopCause::Signal);
                }
            };
            let (report, _) = hand_over_to(&group, &stop, entered).await;
            if attempts == ATTEMPTS || !is_of_a_slow_machine(&report) {
                break report;
            }
        };
        assert!(report.settled, "{stage:?}: {report:?}");
        assert_eq!(
            report.outcome,
            HandoverOutcome::Abandoned(AbandonReason::Stopped(StopCause::Signal)),
            "{stage:?}"
        );
        assert_eq!(ours(&group).await, 0, "{stage:?}");
        at_rest(&group).await?;
        assert_eq!(group.double_owners(None), [] as [&str; 0], "{stage:?}");
        Ok(group)
    });
    let groups: Vec<Group> = try_join_all(stopped).await?;
    drop(groups);
    Ok(())
}

/// A Kafka built for Scala 2.12 elects members in an order that is not known.
#[tokio::test]
async fn lost_election_leaves_a_group_that_settles() -> Result<()> {
    let clients = [Client::Librdkafka, Client::Java];
    let lost = clients.map(async |client| {
        let kind = Kind {
            client,
            ..Kind::classic(KafkaVersion::V3_9Scala212)
        };
        let group = Group::start(&format!("lost-election-{client:?}"), kind).await?;
        // One of five or six members is elected, so ours is sometimes elected by chance.
        for _ in 0..12 {
            let (report, plan) = hand_over_to(&group, &Stop::never(), |_| ()).await;
            assert!(report.settled, "{client:?}: {report:?}");
            assert_eq!(ours(&group).await, 0, "{client:?}");
            at_rest(&group).await?;
            assert_eq!(group.double_owners(None), [] as [&str; 0], "{client:?}");
            if report.outcome == HandoverOutcome::Assigned {
                assert_eq!(owned(&group), target(&plan), "{client:?}");
                continue;
            }
            if is_of_a_slow_machine(&report) {
                continue;
            }
            assert_eq!(
                report.outcome,
                HandoverOutcome::Abandoned(AbandonReason::ElectionLost),
                "{client:?}"
            );
            return Ok(group);
        }
        panic!("{client:?}: no election was lost");
    });
    let groups: Vec<Group> = try_join_all(lost).await?;
    drop(groups);
    Ok(())
}
