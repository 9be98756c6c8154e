//! A broker that is restarted while assignments are handed out.

use harness::{Kafka, KafkaConfig};
use tokio::sync::{mpsc, watch};

use super::*;

const CASES: [(Client, Place); 7] = [
    (Client::Java, Place::In(HandoverStage::Probing)),
    (Client::Java, Place::Removed),
    (Client::Java, Place::In(HandoverStage::Restoring)),
    (Client::Java, Place::In(HandoverStage::Assigning)),
    (Client::Java, Place::In(HandoverStage::Verifying)),
    (Client::Librdkafka, Place::Removed),
    (Client::Librdkafka, Place::In(HandoverStage::Assigning)),
];

/// The hand-overs wait for each other, each at its place, and then the broker is killed.
#[tokio::test]
async fn restarted_broker_has_groups_that_settle() -> Result<()> {
    let kafka = Kafka::start_with(&KafkaConfig::default()).await?;
    // The consumers of the groups need it until the end of the process.
    let kafka: &'static Kafka = Box::leak(Box::new(kafka));
    let (reached, mut arrivals) = mpsc::unbounded_channel();
    let (opener, open) = watch::channel(false);
    let restart = async {
        for _ in CASES {
            arrivals.recv().await.unwrap();
        }
        kafka.kill().await?;
        opener.send(true).unwrap();
        kafka.start_again().await
    };
    let hand_overs = try_join_all(CASES.map(async |(client, place)| {
        let kind = Kind {
            client,
            ..Kind::classic(KafkaVersion::Current)
        };
        let name = format!("restart-{client:?}-{place:?}").replace(['(', ')'], "-");
        let group = Group::start_on(kafka, &name, kind).await?;
        let watch = Watch::gated(place, reached.clone(), open.clone());
        let (report, plan) = hand_over_watched(&group, &Stop::never(), &watch, |_| ()).await;
        let limit = HandoverLimits::of(plan.protocol).total + Duration::from_secs(30);
        assert!(
            report.seconds.get() < limit.as_secs_f64(),
            "{name}: {report:?}"
        );
        at_rest(&group).await?;
        assert_eq!(group.double_owners(None), [] as [&str; 0], "{name}");
        Ok(group)
    }));
    let ((), groups) = futures::future::try_join(restart, hand_overs).await?;
    drop(groups);
    Ok(())
}
