//! Two runs never act at the same time.

use ::harness::{Result, TestNamespace, WorkloadSpec};
use k8s_openapi::{api::coordination::v1::Lease, jiff::Timestamp};

use crate::support::{RunExt as _, VICTIMS, assert_untouched, skewed, uids};

/// Another holder's lease on the workload `consumer`, renewed `seconds_ago` seconds ago.
async fn lease_of_another(ns: &TestNamespace, seconds_ago: i64) -> Result<()> {
    let renewed = Timestamp::from_second(Timestamp::now().as_second() - seconds_ago)
        .unwrap()
        .strftime("%Y-%m-%dT%H:%M:%S.000000Z");
    ns
        .apply(&format!(
            "apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: {{name: rebalancer-deployment-consumer}}\n\
             spec: {{holderIdentity: the-other-one, leaseDurationSeconds: 90, leaseTransitions: 0, \
             acquireTime: '{renewed}', renewTime: '{renewed}'}}\n"
        ))
        .await
        .map(drop)
}

#[tokio::test]
async fn run_holds_for_another_run_and_takes_over_after_its_death() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = skewed(&ns, WorkloadSpec::deployment("consumer")).await?;
    let before = consumer.pods().await?;
    lease_of_another(&ns, 0).await?;
    let run = ns.rebalancer(&consumer).ends_with(0).await?;
    let message = run.held("another_run");
    run.assert_says(&message, &["the-other-one", "its lease expires in"]);
    assert_untouched(&consumer, &before).await?;
    // A dry run changes nothing, so it does not need the lease.
    let program = ns.rebalancer(&consumer).arg("--dry-run");
    assert_eq!(program.ends_with(0).await?.outcomes(), ["evicted"; 4]);

    lease_of_another(&ns, 91).await?;
    let run = ns.rebalancer(&consumer).ends_with(0).await?;
    assert_eq!(run.victims(), uids(&before, &VICTIMS));
    let lease = ns
        .api::<Lease>()
        .get("rebalancer-deployment-consumer")
        .await
        .unwrap();
    let spec = lease.spec.unwrap();
    assert_eq!(spec.holder_identity.unwrap_or_default(), "", "given back");
    assert_eq!(spec.lease_transitions, Some(1));
    Ok(())
}

#[tokio::test]
async fn only_one_of_two_concurrent_runs_acts() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = skewed(&ns, WorkloadSpec::deployment("consumer")).await?;
    let before = consumer.pods().await?;
    let program = ns.rebalancer(&consumer).env("OUTPUT", "json");
    let (one, other) = tokio::join!(program.clone().run(), program.clone().run());
    let reasons: Vec<String> = [one?, other?]
        .into_iter()
        .map(|run| {
            assert_eq!(run.code, Some(0), "{run}");
            let report: serde_json::Value = run.json().unwrap();
            let decision = &report["workloads"][0]["decision"];
            decision["reason"].as_str().unwrap().to_owned()
        })
        .collect();
    let acted = reasons.iter().filter(|reason| *reason == "above_threshold");
    assert_eq!(acted.count(), 1, "{reasons:?}");
    // The other run started while the first one acted, or after it.
    assert!(
        reasons
            .iter()
            .any(|reason| ["another_run", "group_not_settled"].contains(&reason.as_str())),
        "{reasons:?}"
    );
    let left = consumer.pods().await?;
    let gone = before.iter().filter(|pod| {
        left.iter()
            .all(|other| other.uid != pod.uid || other.terminating)
    });
    assert_eq!(gone.count(), VICTIMS.len());
    Ok(())
}

/// A lease for a mistyped name would never be deleted.
#[tokio::test]
async fn missing_workload_leaves_no_lease() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let run = ns.rebalancer_for("consumre").ends_with(1).await?;
    let error = run.error();
    run.assert_says(&error, &["there is no Deployment \"consumre\""]);
    assert!(!error.contains("ONE_AT_A_TIME"), "{error}");
    let leases = ns.api::<Lease>().list(&Default::default()).await;
    assert_eq!(leases.unwrap().items, []);
    Ok(())
}
