//! The records of groups to which an assignment is handed out: none is lost, none is processed by
//! two consumers at once, and the group keeps the assignment.

use std::time::Duration;

use consumers::Commits;
use consumers::trial::{Account, Disturbance, Kind, Trial};
use harness::{Kafka, KafkaVersion, Result};
use rebalancer_core::group::{Assignor, ClientFamily};
use rebalancer_core::handover::HandoverOutcome;
use rebalancer_core::handover::HandoverStage::{self, Electing, Restoring};
use rstest::rstest;
use tokio::sync::Semaphore;

/// `cargo xtask handover` tries larger groups, at the default heartbeat.
fn trial(name: &str, kind: Kind, seed: u64) -> Trial {
    Trial {
        name: name.to_owned(),
        kind,
        version: KafkaVersion::Current,
        members: 6,
        partitions: 39,
        seed,
        properties: vec![
            ("heartbeat.interval.ms", "300"),
            ("session.timeout.ms", "6000"),
        ],
        rate_window: Duration::from_secs(4),
        calm: Duration::from_millis(1500),
        hold: Duration::from_secs(3),
    }
}

#[rstest]
#[case::dynamic(ClientFamily::Librdkafka, false, Commits::ByApplication)]
#[case::static_members(ClientFamily::Librdkafka, true, Commits::Automatic)]
#[case::java(ClientFamily::Java, false, Commits::ByApplication)]
#[tokio::test(flavor = "multi_thread")]
async fn every_record_is_processed_by_one_consumer_at_a_time(
    #[case] client: ClientFamily,
    #[case] static_members: bool,
    #[case] commits: Commits,
) -> Result<()> {
    let kafka = Kafka::shared().await?;
    let kind = Kind {
        client,
        assignor: Assignor::CooperativeSticky,
        static_members,
        commits,
    };
    let name = format!("account-{}-{static_members}", client.as_str());
    let trial = trial(&name, kind, 7);
    let outcome = trial.run(kafka, &Semaphore::new(1)).await?;
    let report = &outcome.report;
    assert_eq!(report.outcome, HandoverOutcome::Assigned, "{report:?}");
    assert!(outcome.planned_moves > 0, "{outcome:?}");
    let [before, after] = outcome.imbalance;
    assert!(after < before, "{outcome:?}");
    assert!(outcome.is_kept(), "{outcome:?}");
    assert_eq!(outcome.hand_over.moved.len(), outcome.planned_moves);
    assert_clean(&outcome.account);
    Ok(())
}

/// Panics if a record was lost, or was another consumer's at the same time.
fn assert_clean(account: &Account) {
    assert!(account.records > 500, "{account:?}");
    assert_eq!(account.lost, 0, "{account:?}");
    assert_eq!(account.processed_by_two, [], "{account:?}");
    assert_eq!(account.owned_by_two, [], "{account:?}");
    assert_eq!(account.early_commits, [], "{account:?}");
}

/// The process dies as the leader of the group, before it has handed anything out; or a consumer
/// leaves while the leader is elected.
#[rstest]
#[case::kill(ClientFamily::Java, Restoring, Disturbance::Kill)]
#[case::leave(ClientFamily::Librdkafka, Electing, Disturbance::Leave)]
#[tokio::test(flavor = "multi_thread")]
async fn every_record_is_processed_by_one_consumer_at_a_time_despite_a_disturbance(
    #[case] client: ClientFamily,
    #[case] stage: HandoverStage,
    #[case] disturbance: Disturbance,
) -> Result<()> {
    let kafka = Kafka::shared().await?;
    let kind = Kind {
        client,
        assignor: Assignor::CooperativeSticky,
        static_members: false,
        commits: Commits::ByApplication,
    };
    let trial = trial(&format!("account-{disturbance:?}"), kind, 7);
    let active = Semaphore::new(1);
    let disturbed = trial.run_disturbed(kafka, &active, stage, disturbance);
    assert_clean(&disturbed.await?);
    Ok(())
}
