//! The coordinator port against real coordinators.

use std::time::Duration;

use harness::kafka::{Kafka, Listener};
use harness::{KafkaVersion, Result};
use rebalancer_core::ports::{
    CoordinatorError, CoordinatorErrorKind, GroupCoordinator, GroupState, JoinRequest,
    LeavingMember, MemberAssignment, OwnMember, SyncRequest,
};
use rebalancer_kafka::Security;
use rstest::rstest;

use crate::group::{Group, Kind, adapter};

const ASSIGNOR: &str = "cooperative-sticky";

fn request(own: OwnMember, member_id: &str) -> JoinRequest {
    JoinRequest {
        own,
        member_id: member_id.into(),
        assignor: ASSIGNOR.into(),
        session_timeout: Duration::from_secs(6),
        rebalance_timeout: Duration::from_secs(10),
    }
}

fn sync(own: OwnMember, member_id: &str, generation: i32) -> SyncRequest {
    SyncRequest {
        own,
        member_id: member_id.into(),
        generation,
        assignor: ASSIGNOR.into(),
        assignments: Vec::new(),
        sticky_user_data: false,
    }
}

fn leaving(member_id: &str) -> LeavingMember {
    LeavingMember {
        member_id: member_id.into(),
        instance: None,
    }
}

fn kind<T>(result: Result<T, CoordinatorError>) -> CoordinatorErrorKind {
    match result {
        Ok(_) => panic!("an error is expected"),
        Err(error) => error.kind,
    }
}

/// Two own members in a group of their own: the whole protocol, with its errors.
#[rstest]
#[tokio::test]
async fn own_members_join_sync_and_leave(
    #[values(KafkaVersion::Current, KafkaVersion::V3_9, KafkaVersion::V3_9Scala212)]
    version: KafkaVersion,
) -> Result<()> {
    let (scout, assigner) = (OwnMember::Scout, OwnMember::Assigner);
    let kafka = Kafka::secured(version).await?;
    let coordinator = adapter(kafka, Listener::Plaintext, "own", Security::default());
    let coordinator = coordinator.coordinator("rebalancer-test");
    let none = coordinator.describe().await.unwrap();
    assert_eq!(none.state, GroupState::Dead);

    let short = JoinRequest {
        session_timeout: Duration::from_secs(1),
        ..request(scout, "")
    };
    let refused = kind(coordinator.draw_member_id(&short).await);
    assert_eq!(refused, CoordinatorErrorKind::InvalidSessionTimeout);

    // The first member of an empty group leads it.
    let first = coordinator
        .draw_member_id(&request(scout, ""))
        .await
        .unwrap();
    assert!(first.starts_with("rebalancer-test-"), "{first}");
    let joined = coordinator.join(&request(scout, &first)).await.unwrap();
    assert_eq!(
        (joined.leader.as_str(), joined.assignor.as_str()),
        (first.as_str(), ASSIGNOR)
    );
    assert_eq!(joined.members.len(), 1);
    assert_eq!(joined.members[0].member_id, first);
    let subscription = joined.members[0].subscription.as_ref().unwrap();
    assert_eq!(
        (subscription.topics.len(), subscription.owned.len()),
        (0, 0)
    );
    let assignment = MemberAssignment {
        member_id: first.clone(),
        partitions: vec![("t".into(), 1), ("t".into(), 2), ("u".into(), 0)],
    };
    let leads = SyncRequest {
        assignments: vec![assignment.clone()],
        sticky_user_data: true,
        ..sync(scout, &first, joined.generation)
    };
    let own = coordinator.sync(&leads).await.unwrap();
    assert_eq!(own, assignment.partitions);
    coordinator
        .heartbeat(scout, &first, joined.generation)
        .await
        .unwrap();
    let stable = coordinator.describe().await.unwrap();
    assert_eq!(stable.state, GroupState::Stable);
    assert_eq!(stable.assignor.as_deref(), Some(ASSIGNOR));
    assert_eq!(stable.members[0].owned, assignment.partitions);
    // The user data of sticky assignors is known.
    assert!(!stable.members[0].has_assignment_user_data);
    assert_eq!(
        stable.members[0].labels.client_id.as_deref(),
        Some("rebalancer-test")
    );
    assert!(stable.cluster_id.is_some());

    // A second member parks until the first one rejoins.
    let second = coordinator
        .draw_member_id(&request(assigner, ""))
        .await
        .unwrap();
    let request_of_second = request(assigner, &second);
    let parked = coordinator.join(&request_of_second);
    let drives = async {
        loop {
            let beat = coordinator
                .heartbeat(scout, &first, joined.generation)
                .await;
            match beat {
                Err(error) => break error.kind,
                Ok(()) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    tokio::pin!(parked);
    let noticed = tokio::select! {
        noticed = drives => noticed,
        joined = &mut parked => panic!("it does not wait: {joined:?}"),
    };
    assert_eq!(noticed, CoordinatorErrorKind::RebalanceInProgress);
    let rebalancing = coordinator.describe().await.unwrap();
    assert_eq!(
        rebalancing.state,
        GroupState::Rebalancing("PreparingRebalance".into())
    );
    assert_eq!(rebalancing.members.len(), 2);
    // Removing the first member elects the second one, which is parked.
    let left = coordinator
        .leave(&[leaving(&first), leaving("unknown")], "test")
        .await;
    assert_eq!(
        left.unwrap(),
        [Ok(()), Err(CoordinatorErrorKind::UnknownMember)]
    );
    let joined = parked.await.unwrap();
    assert_eq!(joined.leader, second);
    let old = coordinator
        .heartbeat(scout, &first, joined.generation)
        .await;
    assert_eq!(kind(old), CoordinatorErrorKind::UnknownMember);
    let stale = coordinator
        .sync(&sync(assigner, &second, joined.generation - 1))
        .await;
    assert_eq!(kind(stale), CoordinatorErrorKind::IllegalGeneration);
    coordinator
        .leave(&[leaving(&second)], "test")
        .await
        .unwrap()[0]
        .unwrap();
    let empty = coordinator.describe().await.unwrap();
    assert_eq!(empty.state, GroupState::Empty);
    Ok(())
}

/// A scout in a group of real consumers learns the leader, and nothing moves.
#[rstest]
#[tokio::test]
async fn scout_learns_the_leader_of_a_real_group(
    #[values(KafkaVersion::Current, KafkaVersion::V3_9)] version: KafkaVersion,
) -> Result<()> {
    let group = Group::start("scouted", Kind::classic(version)).await?;
    let before: Vec<_> = group
        .consumers
        .iter()
        .map(consumers::Member::owned)
        .collect();
    let adapter = group.adapter(Listener::Plaintext, Security::default());
    let coordinator = adapter.coordinator("rebalancer-test");
    let scout = OwnMember::Scout;
    let range = JoinRequest {
        assignor: "range".into(),
        ..request(scout, "")
    };
    let other = kind(coordinator.draw_member_id(&range).await);
    assert_eq!(other, CoordinatorErrorKind::InconsistentProtocol);

    let id = coordinator
        .draw_member_id(&request(scout, ""))
        .await
        .unwrap();
    let joined = coordinator.join(&request(scout, &id)).await.unwrap();
    let ids: Vec<String> = group.consumers.iter().map(consumers::Member::id).collect();
    assert!(ids.contains(&joined.leader), "{} of {ids:?}", joined.leader);
    assert_eq!(joined.members, []);
    let own = coordinator
        .sync(&sync(scout, &id, joined.generation))
        .await
        .unwrap();
    assert_eq!(own, []);
    let described = coordinator.describe().await.unwrap();
    assert_eq!(described.state, GroupState::Stable);
    assert_eq!(described.members.len(), 5);
    coordinator.leave(&[leaving(&id)], "test").await.unwrap()[0].unwrap();
    group.settled().await?;
    let after: Vec<_> = group
        .consumers
        .iter()
        .map(consumers::Member::owned)
        .collect();
    assert_eq!(before, after);
    Ok(())
}

/// A request that was cancelled closes its connection, and the next one opens another.
#[tokio::test]
async fn cancelled_request_does_not_answer_the_next_one() -> Result<()> {
    let group = Group::start("cancelled", Kind::classic(KafkaVersion::Current)).await?;
    let adapter = group.adapter(Listener::Plaintext, Security::default());
    let coordinator = adapter.coordinator("rebalancer-test");
    let scout = OwnMember::Scout;
    let id = coordinator
        .draw_member_id(&request(scout, ""))
        .await
        .unwrap();
    let request = request(scout, &id);
    let limit = Duration::from_millis(5);
    let cancelled = tokio::time::timeout(limit, coordinator.join(&request)).await;
    assert!(cancelled.is_err(), "{cancelled:?}");
    coordinator.leave(&[leaving(&id)], "test").await.unwrap();
    let gone = coordinator.heartbeat(scout, &id, 1).await;
    assert_eq!(kind(gone), CoordinatorErrorKind::UnknownMember);
    Ok(())
}
