//! Events in the life of a cluster: listings expire, tokens are replaced, pods are deleted by
//! others.

use std::time::{Duration, Instant};

use ::harness::{
    FaultProxy, Result, TestNamespace, WorkloadSpec,
    proxy::{Canned, Fault, Seen, Turn},
};
use rstest::rstest;
use serde_json::json;

use super::{
    acting::{LOADS, PAIR, assert_accounted, program, workloads},
    listed,
};
use crate::support::{
    Outcome, RunExt as _, VICTIMS, account, assert_untouched, evict_rules, shared::Shared, uids,
};

pub(super) const EVICTION: &str = "create pods/eviction";
const CONTINUED: &str = "list pods, continued";

/// The message of the API.
fn expired() -> Fault {
    Fault::Answer(Canned::api(
        410,
        "Expired",
        "The provided continue parameter is too old to display a consistent list result.",
    ))
}

pub(super) fn count(seen: &[Seen], call: &str) -> usize {
    seen.iter().filter(|seen| seen.call == call).count()
}

/// Eight pods in pages of three; the second page is no longer available.
#[rstest]
// The listing of the observation, and of the first count.
#[case::observing(1, 3)]
#[case::counting(3, 4)]
#[tokio::test]
async fn expired_listing_restarts(#[case] page: usize, #[case] at_least: usize) -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, before) = shared.skewed().await?;
    let proxy = FaultProxy::kubernetes(&shared.ns).await?;
    proxy.page_size(3);
    proxy.fault(CONTINUED, Turn::Only(page), expired());
    let run = shared
        .ns
        .rebalancer(&consumer)
        .env("KUBECONFIG", proxy.kubeconfig())
        .env("DRY_RUN", "true")
        .ends_with(0)
        .await?;
    let seen = proxy.seen();
    assert_eq!(run.victims(), uids(&before, &VICTIMS));
    assert_eq!(run.outcomes(), ["evicted"; 4]);
    super::assert_broken(&seen, 1);
    assert!(count(&seen, CONTINUED) >= at_least, "{}", listed(&seen));
    let place = seen.iter().position(|seen| seen.fault.is_some()).unwrap();
    // Other calls may come in between during the observation.
    let next = seen[place + 1..]
        .iter()
        .find(|seen| seen.call.starts_with("list pods"))
        .unwrap();
    assert_eq!(next.call, "list pods", "{}", listed(&seen));
    assert_untouched(&consumer, &before).await
}

#[tokio::test]
async fn repeatedly_expired_listing_is_an_error() -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, before) = shared.skewed().await?;
    let proxy = FaultProxy::kubernetes(&shared.ns).await?;
    proxy.page_size(3);
    proxy.fault(CONTINUED, Turn::From(1), expired());
    let run = shared
        .ns
        .rebalancer(&consumer)
        .env("KUBECONFIG", proxy.kubeconfig())
        // Other tests use this workload at the same time.
        .env("ONE_AT_A_TIME", "false")
        .ends_with(1)
        .await?;
    run.assert_says(&run.error(), &["list pods", "(410)", "too old"]);
    assert_eq!(count(&proxy.seen(), "list pods"), 3);
    assert_untouched(&consumer, &before).await
}

/// Files written with an editor end with a line break.
#[tokio::test]
async fn token_file_may_end_with_a_line_break() -> Result<()> {
    let shared = Shared::open().await?;
    let ns = TestNamespace::start().await?;
    let file = ns.dir().join("token");
    let reader = account(&shared.ns, "line-break", &evict_rules()).await?;
    std::fs::write(&file, format!("{}\n", reader.token)).unwrap();
    let proxy = FaultProxy::kubernetes(&ns).await?;
    let kubeconfig = ns.dir().join("token-file.kubeconfig");
    proxy.write_kubeconfig(&kubeconfig, json!({"tokenFile": file}))?;
    let program = shared.ns.rebalancer_for("consumer").arg("plan");
    let run = program.env("KUBECONFIG", kubeconfig).ends_with(0).await?;
    assert_eq!(run.victims().len(), 4);
    Ok(())
}

/// The kubelet replaces the token of a pod long before it expires; a token may be revoked at any
/// time. In both cases the file contains a new token when the old one is refused.
#[tokio::test]
async fn replaced_token_is_read_again() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let workloads = workloads(&ns, ["consumer".to_owned()]).await?;
    let consumer = &workloads["consumer"];
    let before = consumer.pods().await?;
    let old = account(&ns, "evictor", &evict_rules()).await?;
    let new = ns.account("evictor").await?;
    assert_ne!(old.token, new.token);
    let file = ns.dir().join("token");
    std::fs::write(&file, &old.token).unwrap();
    let proxy = FaultProxy::kubernetes(&ns).await?;
    let kubeconfig = ns.dir().join("token-file.kubeconfig");
    proxy.write_kubeconfig(&kubeconfig, json!({"tokenFile": file}))?;

    ns.hold_new_pods(true);
    let running = program(&ns, consumer, &proxy)
        .env("KUBECONFIG", kubeconfig)
        .env("MAX_UNAVAILABLE", "1")
        .env("READY_TIMEOUT", "20s")
        .spawn()?;
    until("eviction", || Ok(count(&proxy.seen(), EVICTION) > 0)).await?;
    std::fs::write(&file, &new.token).unwrap();
    proxy.refuse_token(&old.token);
    ns.hold_new_pods(false);
    let run = Outcome(running.wait().await?);
    let seen = proxy.seen();
    assert_eq!(run.0.code, Some(0), "{}\n{}", run.0, listed(&seen));
    assert_eq!(run.outcomes(), ["evicted"; 2]);
    assert_accounted(&run, &seen, &before, &consumer.pods().await?);
    Ok(())
}

/// Polls until the condition is true.
pub(super) async fn until(what: &str, so: impl Fn() -> Result<bool>) -> Result<()> {
    let started = Instant::now();
    while !so()? {
        assert!(started.elapsed() < Duration::from_secs(120), "no {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// The pod is deleted between its read and its eviction. A StatefulSet gives the name to a new
/// pod, which the API distinguishes by the UID (409); otherwise the pod does not exist (404).
#[rstest]
#[case::deployment(WorkloadSpec::deployment("consumer"), 404)]
#[case::stateful_set(WorkloadSpec::stateful_set("consumer"), 409)]
#[tokio::test]
async fn pod_is_gone_when_its_eviction_arrives(
    #[case] spec: WorkloadSpec,
    #[case] status: u16,
) -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = ns.create(spec.loads(LOADS)).await?;
    consumer.wait_measured().await?;
    let before = consumer.pods().await?;
    let proxy = FaultProxy::kubernetes(&ns).await?;
    let late = Fault::Latency(Duration::from_secs(20));
    proxy.fault(EVICTION, Turn::Only(1), late);
    let running = program(&ns, &consumer, &proxy).spawn()?;
    until("eviction", || Ok(count(&proxy.seen(), EVICTION) > 0)).await?;
    ns.evict(&before[PAIR[0]]).await?;
    let after = consumer.wait_ready().await?;
    assert!(after.iter().all(|pod| pod.uid != before[PAIR[0]].uid));
    let run = Outcome(running.wait().await?);
    let seen = proxy.seen();
    assert_eq!(run.0.code, Some(0), "{}\n{}", run.0, listed(&seen));
    assert_eq!(run.outcomes(), ["already_gone", "evicted"]);
    let first = seen.iter().find(|seen| seen.call == EVICTION).unwrap();
    assert_eq!(first.status, Some(status), "{}", listed(&seen));
    // The new pod is not evicted.
    let after = consumer.wait_ready().await?;
    let gone = |place: &usize| !after.iter().any(|pod| pod.uid == before[*place].uid);
    assert!(PAIR.iter().all(gone));
    assert_eq!(count(&seen, EVICTION), 2, "{}", listed(&seen));
    Ok(())
}
