//! Sequences of events that a modelled coordinator does not produce.

use kafka_assignors::Topics;
use kafka_assignors::coordinator_order::CoordinatorFamily;
use rstest::rstest;

use super::*;
use crate::group::{Protocol, RebalanceProtocol};
use crate::handover::plan::HandoverTarget;
use crate::handover::step::Connection;
use crate::ports::{DescribedMember, GroupKind, MemberLabels};

const T0: Duration = Duration::from_secs(100);

/// The coordinator's description of dynamic consumers of one process, with these ids.
fn described(ids: &[&str], state: GroupState) -> DescribedGroup {
    let members = ids.iter().map(|id| DescribedMember {
        labels: MemberLabels {
            pod: None,
            host: Some("/10.0.0.1".into()),
            client_id: Some("orders".into()),
            member_id: Some((*id).into()),
            instance: None,
        },
        subscription: Some(vec!["orders".into()]),
        ..DescribedMember::default()
    });
    DescribedGroup {
        kind: GroupKind::Classic,
        state,
        protocol_type: "consumer".into(),
        assignor: Some("cooperative-sticky".into()),
        removable_members: false,
        members: members.collect(),
        topics: Vec::new(),
        cluster_id: None,
    }
}

fn preparing() -> GroupState {
    GroupState::Rebalancing("PreparingRebalance".into())
}

/// A hand-over to the members `a`, `b` and `c`, in which `a` leads.
fn hand_over() -> Handover {
    let topics = Topics::new([("orders".to_owned(), 3)]);
    let owners: Assignment = MemberIndex::all(3).map(Some).collect();
    let members = described(&["a", "b", "c"], GroupState::Stable).members;
    let plan = HandoverPlan {
        assignor: "cooperative-sticky".into(),
        group_protocol: Protocol::Classic,
        protocol: RebalanceProtocol::Cooperative,
        members: members.iter().map(HandoverMember::of).collect(),
        goal: HandoverGoal::Assign(HandoverTarget {
            owners: owners.clone(),
            loads: vec![1.0; 3],
            sticky_user_data: false,
        }),
        topics,
        current: owners,
        client: None,
        coordinators: CoordinatorFamily::ALL.to_vec(),
        observed_at: T0,
    };
    let limits = HandoverLimits::of(plan.protocol);
    let mut handover = Handover::new(plan, limits, T0);
    handover.leader = Some(MemberIndex::new(0));
    handover.rebalances = 2;
    handover
        .own
        .choose(OwnMember::Assigner, "assigner".to_owned());
    handover.own.choose(OwnMember::Scout, "scout".to_owned());
    handover.own.start_heartbeats(OwnMember::Scout, 5, T0);
    handover.own.park(OwnMember::Assigner);
    handover.own.occupy(Connection::Own(OwnMember::Assigner));
    handover
}

fn error(kind: CoordinatorErrorKind) -> CoordinatorError {
    CoordinatorError::new(kind, kind.to_string())
}

/// The ids that are asked to leave in the end.
fn leaving(handover: &Handover) -> Vec<String> {
    let members = handover.own.all();
    members.into_iter().map(|member| member.member_id).collect()
}

/// The coordinator checks the member before the generation.
#[rstest]
#[case(CoordinatorErrorKind::IllegalGeneration, &["assigner", "scout"])]
#[case(CoordinatorErrorKind::UnknownMember, &["assigner"])]
#[case(CoordinatorErrorKind::FencedInstance, &["assigner"])]
fn member_that_the_coordinator_still_has_is_asked_to_leave(
    #[case] kind: CoordinatorErrorKind,
    #[case] left: &[&str],
) {
    let mut handover = hand_over();
    let until = T0 + Duration::from_secs(3);
    handover.enter(Stage::Holding { until });
    let response = CoordinatorResponse::Heartbeat(OwnMember::Scout, Err(error(kind)));
    handover.handle(T0, HandoverEvent::Response(response));
    assert!(matches!(handover.stage, Stage::Leaving(_)), "{handover:?}");
    assert_eq!(leaving(&handover), left);
}

/// The session may have expired since the coordinator handled a heartbeat that took long.
#[rstest]
#[case(1_900, true)]
#[case(2_100, false)]
fn members_are_removed_only_right_after_the_renewal(#[case] took: u64, #[case] removes: bool) {
    let mut handover = hand_over();
    handover.enter(Stage::RenewingBarrier { sent: None });
    let step = handover.step(T0);
    assert!(
        matches!(
            step,
            HandoverStep::Send(CoordinatorRequest::Heartbeat { .. })
        ),
        "{step:?}"
    );
    let result = Err(error(CoordinatorErrorKind::RebalanceInProgress));
    let response = CoordinatorResponse::Heartbeat(OwnMember::Scout, result);
    let now = T0 + Duration::from_millis(took);
    handover.handle(now, HandoverEvent::Response(response));
    assert_eq!(
        matches!(handover.stage, Stage::Removing),
        removes,
        "{handover:?}"
    );
}

/// Another member is elected if the leader stays, so the assigner would be a follower that is dealt
/// partitions.
#[test]
fn lead_is_not_taken_from_a_leader_that_stays() {
    let mut handover = hand_over();
    handover.removed = vec![MemberIndex::new(0), MemberIndex::new(1)];
    handover.enter(Stage::Removing);
    handover.awaiting = true;
    let results = vec![Err(CoordinatorErrorKind::FencedInstance), Ok(())];
    let response = CoordinatorResponse::Left(Ok(results));
    handover.handle(T0, HandoverEvent::Response(response));
    assert_eq!(handover.removed, [MemberIndex::new(1)]);
    handover.awaiting = true;
    let group = described(&["a", "b2", "c", "scout", "assigner"], preparing());
    let response = CoordinatorResponse::Described(Ok(group));
    handover.handle(T0, HandoverEvent::Response(response));
    assert!(matches!(handover.stage, Stage::Leaving(_)), "{handover:?}");
    assert_eq!(leaving(&handover), ["assigner", "scout"]);
    assert_eq!(
        handover.abandoned,
        Some(AbandonReason::changed(
            "a member could not be removed: another member has the instance id"
        ))
    );
}

/// Without the scout in its generation, the join phase is not held open any more.
#[rstest]
#[case(CoordinatorErrorKind::IllegalGeneration, &["assigner", "scout"])]
#[case(CoordinatorErrorKind::UnknownMember, &["assigner"])]
fn lead_is_not_taken_without_the_barrier(
    #[case] kind: CoordinatorErrorKind,
    #[case] left: &[&str],
) {
    let mut handover = hand_over();
    handover.removed = vec![MemberIndex::new(0)];
    handover.await_return(T0, Duration::from_secs(3));
    let response = CoordinatorResponse::Heartbeat(OwnMember::Scout, Err(error(kind)));
    handover.handle(T0, HandoverEvent::Response(response));
    assert!(matches!(handover.stage, Stage::AwaitingReturn(_)));
    handover.awaiting = true;
    let group = described(&["a2", "b", "c", "scout", "assigner"], preparing());
    let response = CoordinatorResponse::Described(Ok(group));
    handover.handle(T0, HandoverEvent::Response(response));
    assert!(matches!(handover.stage, Stage::Leaving(_)), "{handover:?}");
    assert_eq!(leaving(&handover), left);
}

/// A consumer of the same process that restarts meanwhile has the same labels as the removed one.
#[rstest]
#[case::removed_one_is_back(&["a2", "b", "c"], true)]
#[case::another_one_has_restarted(&["b2", "c"], false)]
#[case::both(&["a2", "b2", "c"], false)]
fn removed_member_is_back_only_if_it_is_certain(#[case] ids: &[&str], #[case] is_back: bool) {
    let mut handover = hand_over();
    handover.removed = vec![MemberIndex::new(0)];
    handover.find_returned(&described(ids, preparing()));
    assert_eq!(handover.removed_are_back(), is_back);
}

/// While a coordinator moves, requests fail at once.
#[test]
fn leaving_is_tried_again_until_the_coordinator_is_back() {
    let mut handover = hand_over();
    handover.own.stop_heartbeats(OwnMember::Scout);
    handover.conclude(T0);
    let mut now = T0;
    let mut attempts = 0;
    while matches!(handover.stage, Stage::Leaving(_)) {
        match handover.step(now) {
            HandoverStep::Send(CoordinatorRequest::Leave { .. }) => {
                attempts += 1;
                let result = Err(error(CoordinatorErrorKind::CoordinatorChanged));
                let response = CoordinatorResponse::Left(result);
                handover.handle(now, HandoverEvent::Response(response));
            }
            HandoverStep::WaitUntil(until) => now = until,
            step @ (HandoverStep::Send(_) | HandoverStep::Done) => panic!("{step:?}"),
        }
    }
    assert_eq!(now - T0, Duration::from_millis(5_100));
    assert_eq!(attempts, 18);
}

/// Nothing is removed for a member whose subscription cannot be read: the assigner could not give
/// it back what it has.
#[test]
fn unreadable_subscription_ends_it_before_any_removal() {
    let handover = hand_over();
    let mut group = described(&["a", "b", "c"], GroupState::Stable);
    // The owners are not described here.
    assert_eq!(
        handover.difference(&group, &[]).as_deref(),
        Some("partition orders-0 has another owner")
    );
    if let Some(member) = group.members.get_mut(1) {
        member.subscription = None;
    }
    assert_eq!(
        handover.difference(&group, &[]).as_deref(),
        Some("the subscription of member b cannot be read")
    );
}
