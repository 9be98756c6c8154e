//! The static members of evicted pods leave the group once the pods are gone.

use harness::{Result, TestNamespace};
use rebalancer_core::group::Assignor;
use serde_json::Value;

use crate::kafka_source::from_kafka;
use crate::scene::{PODS, Scene};
use crate::{HEAVY, LIGHT, autoscale, run, workload};

/// The members have the names of their pods as `group.instance.id`, so a replacement has another
/// one.
#[tokio::test(flavor = "multi_thread")]
async fn static_member_of_an_evicted_pod_is_removed() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let mut scene = Scene::start_static(&ns, Assignor::CooperativeSticky).await?;
    let owned = scene.settled().await?;
    let heavy = owned.values().next().unwrap().clone();
    scene.arrive(|partition| {
        if heavy.contains(&partition) {
            HEAVY
        } else {
            LIGHT
        }
    })?;
    autoscale(&scene).await?;
    scene.measured().await?;
    let program = from_kafka(&scene).env("STRATEGY", "rotate-outliers");

    // A dry run says what a run would do, and changes nothing.
    let dry = run(&program.clone().env("DRY_RUN", "true")).await?;
    let members = members(&workload(&dry));
    assert!(!members.is_empty(), "{dry}");
    assert!(
        members.iter().all(|(_, outcome)| outcome == "would_remove"),
        "{dry}"
    );
    assert_eq!(scene.settled().await?, owned, "{dry}");

    let acted = run(&program).await?;
    let report = workload(&acted);
    assert_eq!(report["execution"]["outcome"], "completed", "{acted}");
    let mut evicted = names(&report["execution"]["pods"], "name");
    evicted.sort_unstable();
    let mut removed = self::members(&report);
    removed.sort_unstable();
    let expected = evicted
        .iter()
        .map(|pod| (pod.clone(), "removed".to_owned()));
    assert_eq!(removed, expected.collect::<Vec<_>>(), "{acted}");
    for member in report["execution"]["static_members"].as_array().unwrap() {
        assert_eq!(member["instance"], member["pod"], "{acted}");
    }
    // Without the removal, the partitions would wait longer than the limit of this wait.
    scene.workload.wait_ready().await?;
    let settled = scene.settled().await?;
    assert_eq!(settled.len(), PODS);
    assert!(
        evicted.iter().all(|pod| !settled.contains_key(pod)),
        "{settled:?}"
    );
    Ok(())
}

/// The pods and the outcomes of the static members in a report.
fn members(report: &Value) -> Vec<(String, String)> {
    let members = &report["execution"]["static_members"];
    let (pods, outcomes) = (names(members, "pod"), names(members, "outcome"));
    pods.into_iter().zip(outcomes).collect()
}

fn names(list: &Value, field: &str) -> Vec<String> {
    let list = list.as_array().into_iter().flatten();
    list.map(|one| one[field].as_str().unwrap().to_owned())
        .collect()
}
