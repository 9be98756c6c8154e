//! Plans and dry runs change nothing.

use ::harness::{Rebalancer, Result};

use crate::support::{
    Outcome, READ_RULES, RunExt as _, VICTIMS, account, assert_untouched, evict_rules,
    shared::Shared, uids,
};

#[tokio::test]
async fn plan_needs_no_right_to_write_and_changes_nothing() -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, before) = shared.skewed().await?;
    let account = account(&shared.ns, "planner", READ_RULES).await?;
    let program = shared
        .ns
        .rebalancer(&consumer)
        .env("KUBECONFIG", &account.kubeconfig)
        .arg("plan");
    let plan = program.clone().ends_with(0).await?;
    assert_eq!(plan.victims(), uids(&before, &VICTIMS));
    assert!(plan.workload().get("execution").is_none(), "{}", plan.0);
    let plan = program.arg("--exit-code").ends_with(10).await?;
    assert_eq!(plan.victims(), uids(&before, &VICTIMS));

    let calls = shared.ns.audit(&account)?;
    assert!(!calls.is_empty());
    for call in calls {
        assert!(["get", "list"].contains(&call.verb.as_str()), "{call:?}");
        assert_eq!(call.code, 200, "{call:?}");
    }
    assert_untouched(&consumer, &before).await
}

#[tokio::test]
async fn dry_run_sends_dry_run_evictions() -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, before) = shared.skewed().await?;
    let account = account(&shared.ns, "dry-runner", &evict_rules()).await?;
    let program = shared
        .ns
        .rebalancer(&consumer)
        .env("KUBECONFIG", &account.kubeconfig);
    let run = program.clone().env("DRY_RUN", "true").ends_with(0).await?;
    assert_eq!(run.report()["dry_run"], true);
    assert_eq!(run.victims(), uids(&before, &VICTIMS));
    assert_eq!(run.outcomes(), ["evicted"; 4]);
    assert_eq!(run.workload()["execution"]["dry_run"], true);
    let message = run.workload()["execution"]["message"].clone();
    run.assert_says(
        message.as_str().unwrap(),
        &["dry run: 4 of 4 pods would be evicted"],
    );
    program
        .args(["--dry-run", "--exit-code"])
        .ends_with(10)
        .await?;

    let mut calls = shared.ns.audit(&account)?;
    calls.retain(|call| !["get", "list"].contains(&call.verb.as_str()));
    assert_eq!(calls.len(), 8, "{calls:?}");
    for call in calls {
        assert_eq!(call.action(), "create pods/eviction");
        assert!(call.uri.ends_with("dryRun=All"), "{}", call.uri);
        let options = &call.request["deleteOptions"];
        assert_eq!(options["dryRun"][0], "All");
        let uid = options["preconditions"]["uid"].as_str().unwrap();
        assert!(
            before
                .iter()
                .any(|pod| pod.uid == uid && pod.name == call.name)
        );
    }
    assert_untouched(&consumer, &before).await
}

#[tokio::test]
async fn saved_snapshot_gives_the_same_decision() -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, before) = shared.skewed().await?;
    let file = shared.ns.dir().join("saved.json");
    let plan = shared
        .ns
        .rebalancer(&consumer)
        .args(["plan", "--save"])
        .arg(&file)
        .ends_with(0)
        .await?;
    let decide = Rebalancer::new()
        .env("METRICS_TIME_WINDOW", "10s")
        .env("OUTPUT", "json")
        .args(["decide", "--exit-code", "--snapshot"])
        .arg(&file)
        .run()
        .await?;
    assert_eq!(decide.code, Some(10), "{decide}");
    let mut decision = Outcome(decide).workload();
    assert_eq!(decision, plan.workload());
    assert_eq!(decision["victims"].take().as_array().unwrap().len(), 4);
    assert_untouched(&consumer, &before).await
}
