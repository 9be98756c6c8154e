//! A process that is killed while it hands an assignment out.

use tokio::sync::{mpsc, watch};

use super::*;

/// The session timeout of our members, after which the coordinator removes those of a dead process.
const SESSION: Duration = Duration::from_secs(6);

/// The time for the rebalances after a session has expired, on a machine that is busy with other
/// tests. A removed member of librdkafka may have requested a member id that it does not use, which
/// expires with the session timeout of the consumers.
const REJOIN: Duration = Duration::from_secs(20);

/// The places at which the process is killed, in their order, and the number of sessions that
/// expire one after the other before the group is at rest. At the first three and the last four,
/// one of our members is left. In between, the scout expires first, which makes the assigner a
/// member that does not respond.
const PLACES: [(Place, u32); 9] = [
    (Place::ScoutParked, 1),
    (Place::ScoutJoined, 1),
    (Place::In(HandoverStage::Electing), 1),
    (Place::AssignerParked, 2),
    (Place::Removed, 2),
    (Place::In(HandoverStage::Restoring), 1),
    (Place::In(HandoverStage::Revoking), 1),
    (Place::In(HandoverStage::Assigning), 1),
    (Place::In(HandoverStage::Verifying), 1),
];

/// The places in an eager group, in which partitions pause until the group is at rest.
const EAGER_PLACES: [(Place, u32); 4] = [
    (Place::In(HandoverStage::Electing), 1),
    (Place::AssignerParked, 2),
    (Place::Removed, 2),
    (Place::In(HandoverStage::Verifying), 1),
];

/// If the process is killed, the broker removes its members, the group is at rest within the time
/// of their sessions, and the next hand-over works.
#[rstest]
#[tokio::test]
async fn killed_process_leaves_a_group_that_settles(
    #[values(Client::Librdkafka, Client::Java)] client: Client,
) -> Result<()> {
    let cooperative =
        PLACES.map(|(place, sessions)| (place, sessions, Assignor::CooperativeSticky));
    let eager = EAGER_PLACES.map(|(place, sessions)| (place, sessions, Assignor::Sticky));
    // The eager assignor of librdkafka is not Kafka's.
    let eager = eager.into_iter().filter(|_| client == Client::Java);
    let killed = cooperative.into_iter().chain(eager);
    let killed = killed.map(async |(place, sessions, assignor)| {
        let kind = Kind {
            client,
            assignor,
            ..Kind::classic(KafkaVersion::Current)
        };
        let name = format!("kill-{client:?}-{place:?}-{assignor:?}").replace(['(', ')'], "-");
        let group = Group::start(&name, kind).await?;
        killed_at(&group, place).await;
        at_rest_within(&group, sessions * SESSION + REJOIN).await?;
        assign(&group).await?;
        assert_eq!(group.double_owners(None), [] as [&str; 0], "{name}");
        Ok(group)
    });
    let groups: Vec<Group> = try_join_all(killed).await?;
    drop(groups);
    Ok(())
}

/// Begins a hand-over, and drops it at a place, which closes its connections, as the end of the
/// process does.
async fn killed_at(group: &Group, place: Place) {
    for attempt in 1..=ATTEMPTS {
        let _permit = AT_ONCE.acquire().await.unwrap();
        let (reached, mut arrived) = mpsc::unbounded_channel();
        let (_opener, open) = watch::channel(false);
        let watch = Watch::gated(place, reached, open);
        let stop = Stop::never();
        let ended = tokio::select! {
            biased;
            Some(()) = arrived.recv() => return,
            ended = hand_over_watched(group, &stop, &watch, |_| ()) => ended,
        };
        assert!(
            attempt < ATTEMPTS && is_of_a_slow_machine(&ended.0),
            "the hand-over ended before {place:?}: {ended:?}"
        );
    }
}
