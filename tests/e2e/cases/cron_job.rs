//! The unchanged manifests of `deploy/`: the CronJob controller creates a Job, and its pod runs.

use ::harness::{Result, TestNamespace, WorkloadSpec, rights::manifest};
use k8s_openapi::api::{batch::v1::CronJob, core::v1::Pod};
use kube::{
    ResourceExt as _,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::support::{assert_untouched, skewed};

/// The report, which follows the log.
fn report(log: &str) -> Value {
    let line = log.lines().find(|line| line.starts_with("{\"schema\""));
    serde_json::from_str(line.unwrap_or_else(|| panic!("no report in {log}"))).unwrap()
}

fn exit_code(pod: &Pod) -> i32 {
    let statuses = pod
        .status
        .as_ref()
        .unwrap()
        .container_statuses
        .as_ref()
        .unwrap();
    let state = statuses[0].state.as_ref().unwrap();
    state.terminated.as_ref().unwrap().exit_code
}

/// Changes the CronJob, as `kubectl edit` does.
async fn edit(ns: &TestNamespace, spec: Value) -> Result<()> {
    let patch = Patch::Strategic(json!({"spec": spec}));
    let api = ns.api::<CronJob>();
    api.patch("pod-rebalancer", &PatchParams::default(), &patch)
        .await
        .unwrap();
    Ok(())
}

/// Sets environment variables of the container; existing ones are replaced.
fn with_environment(variables: &[(&str, &str)]) -> Value {
    let variables: Vec<Value> = variables
        .iter()
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect();
    let container = json!({"name": "rebalancer", "env": variables});
    json!({"jobTemplate": {"spec": {"template": {"spec": {"containers": [container]}}}}})
}

/// Only the schedule of the manifests is changed, since a test cannot wait ten minutes. The
/// workload and the metrics server have the names that the manifests expect.
#[tokio::test]
async fn cron_job_of_the_manifests_runs() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = skewed(&ns, WorkloadSpec::deployment("ingestion-consumer")).await?;
    let before = consumer.pods().await?;
    ns.apply(&manifest()?).await?;
    let applied = ns.api::<CronJob>().get("pod-rebalancer").await.unwrap();
    assert_eq!(applied.spec.schedule, "*/10 * * * *");
    assert_eq!(applied.spec.concurrency_policy.as_deref(), Some("Forbid"));
    edit(&ns, json!({"schedule": "* * * * *"})).await?;

    let (first, log) = ns.fired("pod-rebalancer", &[]).await?;
    assert_eq!(exit_code(&first), 0, "{log}");
    assert!(
        log.contains("\"msg\":\"configuration loaded\",\"workloads\":1,\"dry_run\":true"),
        "{log}"
    );
    // The pods are younger than the window of five minutes.
    assert!(log.contains("\nHOLD (group_not_settled): "), "{log}");
    assert_untouched(&consumer, &before).await?;

    // The settings that the comments of the manifests recommend after a review of the log.
    let settings = [
        ("DRY_RUN", "false"),
        ("METRICS_TIME_WINDOW", "10s"),
        ("OUTPUT", "json"),
    ];
    edit(&ns, with_environment(&settings)).await?;
    let (second, log) = ns.fired("pod-rebalancer", &[first.uid().unwrap()]).await?;
    assert_eq!(exit_code(&second), 0, "{log}");
    let said = report(&log);
    assert_eq!(said["dry_run"], false);
    let execution = &said["workloads"][0]["execution"];
    assert_eq!(execution["message"], "4 of 4 pods evicted", "{log}");
    edit(&ns, json!({"suspend": true})).await?;
    consumer.wait_ready().await?;

    // Its calls used the rights of its service account and a token of its pod.
    let (account, _) = ns.cron_job("pod-rebalancer").await?;
    let calls = ns.audit(&account)?;
    let evictions = calls
        .iter()
        .filter(|call| call.action() == "create pods/eviction");
    assert_eq!(
        evictions.filter(|call| call.code == 201).count(),
        4,
        "{calls:?}"
    );
    let pods = [first.name_any(), second.name_any()];
    for call in &calls {
        let pod = call.pod.as_ref();
        assert!(pod.is_some_and(|pod| pods.contains(pod)), "{call:?}");
    }
    Ok(())
}
