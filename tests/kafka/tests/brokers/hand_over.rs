//! Hand-overs of an assignment to groups of real consumers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use consumers::Partition;
use harness::kafka::Listener;
use harness::wait::{Look, until};
use harness::{KafkaVersion, Result};
use kafka_assignors::coordinator_order::CoordinatorFamily;
use kafka_assignors::{Assignment, MemberIndex, Topics};
use rebalancer_core::execution::StopCause;
use rebalancer_core::handover::{
    AbandonReason, HandoverLimits, HandoverMember, HandoverOutcome, HandoverPlan, HandoverReport,
    HandoverStage, RebalanceProtocol,
};
use rebalancer_core::ports::{Clock as _, DescribedGroup, GroupCoordinator as _, GroupState};
use rebalancer_driver::{Stop, SystemClock, hand_over};
use rebalancer_kafka::Security;
use rstest::rstest;

use crate::group::{Group, Kind};

/// The client id of our members.
const CLIENT_ID: &str = "rebalancer-test";

/// The partitions of each member, by its client id.
type Owners = BTreeMap<String, BTreeSet<Partition>>;

fn owned(group: &Group) -> Owners {
    let consumers = group.consumers.iter();
    consumers
        .map(|consumer| (consumer.pod().to_owned(), consumer.owned()))
        .collect()
}

/// A plan for the group as it is described, in which each partition goes to the owner of the next one.
/// The number of partitions of each member stays the same.
fn plan(described: &DescribedGroup, clock: &SystemClock) -> HandoverPlan {
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
        assignor: described.assignor.clone().unwrap(),
        protocol: RebalanceProtocol::Cooperative,
        loads: vec![1.0; topics.partition_count()],
        members: described.members.iter().map(HandoverMember::of).collect(),
        topics,
        current,
        target: owners.into_iter().collect(),
        coordinators: CoordinatorFamily::ALL.to_vec(),
        sticky_user_data: false,
        observed_at: clock.elapsed(),
    }
}

/// The owners in the plan's target.
fn target(plan: &HandoverPlan) -> Owners {
    let by_member = plan.target.by_member(plan.members.len());
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

/// A hand-over to the group, which is asked to stop when it enters a stage.
async fn hand_over_to(
    group: &Group,
    stop_at: Option<HandoverStage>,
) -> (HandoverReport, HandoverPlan) {
    let clock = SystemClock::new();
    let adapter = group.adapter(Listener::Plaintext, Security::default());
    let described = group.observe().await.described.unwrap();
    let plan = plan(&described, &clock);
    let limits = HandoverLimits::of(plan.protocol);
    let coordinator = adapter.coordinator(CLIENT_ID);
    let (handle, stop) = Stop::channel();
    let entered = move |stage| {
        if stop_at == Some(stage) {
            handle.stop(StopCause::Signal);
        }
    };
    let report = hand_over(plan.clone(), limits, &coordinator, &clock, &stop, entered).await;
    let left = coordinator.describe().await.unwrap();
    let ours = left.members.iter().filter(|member| {
        let client_id = member.labels.client_id.as_deref();
        client_id.is_some_and(|client_id| client_id.starts_with("rebalancer"))
    });
    assert_eq!(ours.count(), 0, "{left:?}");
    (report, plan)
}

#[rstest]
#[tokio::test]
async fn group_takes_and_keeps_the_target(
    #[values(KafkaVersion::Current, KafkaVersion::V3_9)] version: KafkaVersion,
    #[values(false, true)] static_members: bool,
) -> Result<()> {
    let name = format!(
        "hand-over-{}",
        if static_members { "static" } else { "dynamic" }
    );
    let kind = Kind {
        static_members,
        ..Kind::classic(version)
    };
    let group = Group::start(&name, kind).await?;
    let (report, plan) = hand_over_to(&group, None).await;
    assert_eq!(report.outcome, HandoverOutcome::Assigned, "{report:?}");
    assert!(report.settled);
    // Probe, leadership, restore, two phases (or a little more if members lag), and the departure.
    assert!((4..=7).contains(&report.rebalances), "{report:?}");
    group.settled().await?;
    assert_eq!(owned(&group), target(&plan));
    // Nothing moves afterwards.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(owned(&group), target(&plan));
    Ok(())
}

/// If the process is killed, the broker removes its members, and the next hand-over works.
#[rstest]
#[tokio::test]
async fn killed_process_leaves_a_group_that_settles(
    #[values(
        HandoverStage::Probing,
        HandoverStage::Electing,
        HandoverStage::Restoring,
        HandoverStage::Revoking,
        HandoverStage::Assigning,
        HandoverStage::Verifying
    )]
    stage: HandoverStage,
) -> Result<()> {
    let name = format!("kill-{stage:?}").to_lowercase();
    let group = Group::start(&name, Kind::classic(KafkaVersion::Current)).await?;
    {
        let clock = SystemClock::new();
        let adapter = group.adapter(Listener::Plaintext, Security::default());
        let plan = plan(&group.observe().await.described.unwrap(), &clock);
        let limits = HandoverLimits::of(plan.protocol);
        let coordinator = adapter.coordinator(CLIENT_ID);
        let stop = Stop::never();
        let (entered, killed) = tokio::sync::oneshot::channel();
        let mut entered = Some(entered);
        let report = |reached| {
            if reached == stage
                && let Some(entered) = entered.take()
            {
                let _ = entered.send(());
            }
        };
        // Dropping the future closes the connections, as the end of the process does.
        tokio::select! {
            biased;
            _ = killed => {}
            _ = hand_over(plan, limits, &coordinator, &clock, &stop, report) => {
                panic!("the hand-over ended before {stage:?}");
            }
        }
    }
    group.settled().await?;
    let adapter = group.adapter(Listener::Plaintext, Security::default());
    let coordinator = adapter.coordinator(CLIENT_ID);
    until(
        "our members to expire",
        Duration::from_secs(60),
        Duration::from_millis(200),
        async || {
            let described = coordinator.describe().await.unwrap();
            let at_rest = described.state == GroupState::Stable
                && described.members.len() == group.consumers.len();
            Ok(if at_rest {
                Look::Done(())
            } else {
                Look::Not(format!("{described:?}"))
            })
        },
    )
    .await?;
    group.settled().await?;
    let (report, plan) = hand_over_to(&group, None).await;
    assert_eq!(report.outcome, HandoverOutcome::Assigned, "{report:?}");
    group.settled().await?;
    assert_eq!(owned(&group), target(&plan));
    Ok(())
}

/// Whatever the stage, a stop request ends in a group at rest without members of ours.
#[rstest]
#[tokio::test]
async fn stop_request_ends_in_a_settled_group(
    #[values(
        HandoverStage::Probing,
        HandoverStage::Electing,
        HandoverStage::Restoring,
        HandoverStage::Revoking,
        HandoverStage::Assigning
    )]
    stage: HandoverStage,
) -> Result<()> {
    let name = format!("stop-{stage:?}").to_lowercase();
    let group = Group::start(&name, Kind::classic(KafkaVersion::Current)).await?;
    let (report, _) = hand_over_to(&group, Some(stage)).await;
    assert!(report.settled, "{report:?}");
    assert_eq!(
        report.outcome,
        HandoverOutcome::Abandoned(AbandonReason::Stopped(StopCause::Signal))
    );
    group.settled().await?;
    let adapter = group.adapter(Listener::Plaintext, Security::default());
    let described = adapter.coordinator(CLIENT_ID).describe().await.unwrap();
    assert_eq!(described.state, GroupState::Stable);
    assert_eq!(described.members.len(), group.consumers.len());
    Ok(())
}
