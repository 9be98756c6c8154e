//! Rejoins: members are removed behind the barrier, and the group's own assignor deals again.

use super::*;

/// The members of a plan that rejoin.
pub(super) const REJOINING: [usize; 2] = [1, 2];

/// Lets two members of the group rejoin.
pub(super) async fn rejoin(
    group: &Group,
    stop: &Stop,
    entered: impl FnMut(HandoverStage),
) -> (HandoverReport, HandoverPlan) {
    let _permit = AT_ONCE.acquire().await.unwrap();
    let clock = SystemClock::new();
    let adapter = group.adapter(Listener::Plaintext, Security::default());
    let described = group.observe().await.described.unwrap();
    let plan = HandoverPlan {
        goal: HandoverGoal::Rejoin(REJOINING.map(MemberIndex::new).to_vec()),
        ..plan(&described, group.client(), &clock)
    };
    let limits = HandoverLimits {
        heartbeat: HEARTBEAT,
        ..HandoverLimits::of(plan.protocol)
    };
    let coordinator = adapter.coordinator(CLIENT_ID);
    let report = hand_over(plan.clone(), limits, &coordinator, &clock, stop, entered).await;
    (report, plan)
}

/// Lets two members rejoin, and checks that they have new ids, and the others their old ones.
async fn rejoins(group: &Group) -> Result<HandoverReport> {
    let id = &group.id;
    let (mut report, mut plan) = rejoin(group, &Stop::never(), |_| ()).await;
    for _ in 1..ATTEMPTS {
        if !is_of_a_slow_machine(&report) {
            break;
        }
        at_rest(group).await?;
        (report, plan) = rejoin(group, &Stop::never(), |_| ()).await;
    }
    assert_eq!(
        report.outcome,
        HandoverOutcome::Rejoined,
        "{id}: {report:?}"
    );
    assert!(report.settled, "{id}: {report:?}");
    let counts = (report.removed, report.returned, report.rebalances);
    assert_eq!(counts, (REJOINING.len(), REJOINING.len(), 2), "{id}");
    at_rest(group).await?;
    let described = group.observe().await.described.unwrap();
    for (index, before) in plan.members.iter().enumerate() {
        let stayed = described
            .members
            .iter()
            .any(|now| now.labels.member_id.as_deref() == Some(&before.member_id));
        assert_ne!(stayed, REJOINING.contains(&index), "{id}: {described:?}");
    }
    assert_eq!(group.double_owners(None), [] as [&str; 0], "{id}");
    Ok(report)
}

#[rstest]
#[tokio::test]
async fn members_rejoin_and_the_group_deals_again(
    #[values(Client::Librdkafka, Client::Java)] client: Client,
) -> Result<()> {
    let kinds = [
        (Assignor::Range, KafkaVersion::Current),
        (Assignor::CooperativeSticky, KafkaVersion::Current),
        // The order in which the coordinator elects leaders is not known.
        (Assignor::Range, KafkaVersion::V3_9Scala212),
    ];
    let rejoined = kinds.map(async |(assignor, version)| {
        let kind = Kind {
            client,
            assignor,
            ..Kind::classic(version)
        };
        let name = format!("rejoin-{client:?}-{assignor:?}-{version:?}");
        let group = Group::start(&name, kind).await?;
        rejoins(&group).await?;
        Ok(group)
    });
    let groups: Vec<Group> = try_join_all(rejoined).await?;
    drop(groups);
    Ok(())
}

/// If the process is killed or stopped, the group settles, and the next rejoin works.
#[tokio::test]
async fn rejoin_that_ends_early_leaves_a_group_that_settles() -> Result<()> {
    use HandoverStage::{Dealing, Leaving, Probing, Rejoining};
    let cases = [
        (Probing, true),
        (Rejoining, true),
        (Leaving, true),
        (Dealing, true),
        (Probing, false),
        (Rejoining, false),
    ];
    let ended = cases.map(async |(stage, kill)| {
        let kind = Kind {
            client: Client::Java,
            assignor: Assignor::Range,
            ..Kind::classic(KafkaVersion::Current)
        };
        let name = format!("rejoin-{}-{stage:?}", if kill { "kill" } else { "stop" });
        let group = Group::start(&name, kind).await?;
        let (handle, stop) = Stop::channel();
        let (entered, killed) = tokio::sync::oneshot::channel();
        let mut entered = Some(entered);
        let report = |reached| {
            if reached == stage && !kill {
                handle.stop(StopCause::Signal);
            } else if reached == stage
                && let Some(entered) = entered.take()
            {
                let _ = entered.send(());
            }
        };
        tokio::select! {
            biased;
            Ok(()) = killed => {}
            (report, _) = rejoin(&group, &stop, report) => {
                assert!(!kill, "{name}: {report:?}");
                assert!(report.settled, "{name}: {report:?}");
                let stopped = AbandonReason::Stopped(StopCause::Signal);
                assert_eq!(report.outcome, HandoverOutcome::Abandoned(stopped), "{name}");
                assert_eq!(ours(&group).await, 0, "{name}");
            }
        }
        at_rest(&group).await?;
        assert_eq!(group.double_owners(None), [] as [&str; 0], "{name}");
        if stage == Rejoining {
            rejoins(&group).await?;
        }
        Ok(group)
    });
    let groups: Vec<Group> = try_join_all(ended).await?;
    drop(groups);
    Ok(())
}
