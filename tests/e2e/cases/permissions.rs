//! Permissions: those in `deploy/` are sufficient, and each missing one is named.

use std::collections::BTreeSet;

use ::harness::{
    Account, AuditEntry, Rebalancer, Result, Right, TestNamespace, Workload, WorkloadSpec,
    rights::{self, manifest, suspended, with_optional},
};
use rebalancer_k8s::{Need, PERMISSIONS};
use rstest::rstest;

use crate::support::{RunExt as _, account, assert_untouched, shared::Shared, skewed};

/// The rights in the Role of a manifest.
fn granted(manifest: &str) -> BTreeSet<Right> {
    rights::granted(manifest).unwrap()
}

/// The adapter's statement of the rights that it needs.
fn needed(needs: &[Need]) -> BTreeSet<Right> {
    let of = PERMISSIONS.iter().filter(|rule| needs.contains(&rule.need));
    of.map(|rule| Right {
        verb: rule.verb.to_owned(),
        group: rule.group.to_owned(),
        resource: rule.resource.to_owned(),
    })
    .collect()
}

/// Every right that a run on a Deployment uses.
const DEPLOYMENT: [Need; 8] = [
    Need::Always,
    Need::Deployment,
    Need::Autoscalers,
    Need::Evict,
    Need::Budgets,
    Need::Lease,
    Need::Events,
    Need::DeploymentMemory,
];

/// The rights without which even a dry run fails. A dry run takes no lease and records nothing.
const DRY_RUN: [Need; 4] = [
    Need::Always,
    Need::Deployment,
    Need::Autoscalers,
    Need::Evict,
];

/// The actions of an account, as [`Right`] displays them.
fn used(calls: &[AuditEntry]) -> BTreeSet<String> {
    calls.iter().map(AuditEntry::action).collect()
}

/// An account with exactly these rights.
async fn with_rights(ns: &TestNamespace, name: &str, rights: &BTreeSet<Right>) -> Result<Account> {
    let rules: Vec<String> = rights
        .iter()
        .map(|right| {
            let Right {
                verb,
                group,
                resource,
            } = right;
            format!("{{apiGroups: ['{group}'], resources: [{resource}], verbs: [{verb}]}}")
        })
        .collect();
    account(ns, name, &format!("[{}]", rules.join(", "))).await
}

fn program(ns: &TestNamespace, workload: &Workload<'_>, account: &Account) -> Rebalancer {
    let program = ns.rebalancer(workload);
    program.env("KUBECONFIG", &account.kubeconfig)
}

#[test]
fn role_grants_exactly_the_needs_of_the_adapter() {
    let mut needs = DEPLOYMENT.to_vec();
    needs.extend([Need::StatefulSet, Need::StatefulSetMemory]);
    assert_eq!(granted(&manifest().unwrap()), needed(&needs));
}

/// The optional rules, which are comments in the manifest.
#[test]
fn role_lists_every_optional_right() {
    let mut all = granted(&with_optional(&manifest().unwrap()));
    all.retain(|right| right.group != "argoproj.io");
    let mut needs = DEPLOYMENT.to_vec();
    needs.extend([
        Need::StatefulSet,
        Need::StatefulSetMemory,
        Need::PausedAutoscalers,
        Need::Delete,
        Need::Suggestions,
    ]);
    assert_eq!(all, needed(&needs));
}

/// The environment of the CronJob, with another metrics address and workload.
#[tokio::test]
async fn rights_of_the_manifests_suffice_and_are_all_used() -> Result<()> {
    let ns = TestNamespace::start().await?;
    ns.apply(&suspended(&manifest()?)).await?;
    let consumer = skewed(&ns, WorkloadSpec::deployment("consumer")).await?;
    let (account, environment) = ns.cron_job("pod-rebalancer").await?;
    let namespace = ("KUBE_NAMESPACE".to_owned(), ns.name().to_owned());
    assert!(environment.contains(&namespace), "{environment:?}");
    let cron_job = Rebalancer::new()
        .envs(environment)
        .env("PROMETHEUS_ENDPOINT", ns.prometheus().url())
        .env("KUBECONFIG", &account.kubeconfig)
        .env("DEPLOYMENT_NAME", consumer.name())
        .env("METRICS_TIME_WINDOW", "10s");
    // The manifest is delivered with DRY_RUN=true.
    let before = consumer.pods().await?;
    let run = cron_job.clone().ends_with(0).await?;
    assert_eq!(run.report()["dry_run"], true);
    assert_untouched(&consumer, &before).await?;

    let run = cron_job.env("DRY_RUN", "false").ends_with(0).await?;
    assert_eq!(run.outcomes(), ["evicted"; 4]);
    consumer.wait_ready().await?;
    let of_deployment = needed(&DEPLOYMENT).iter().map(Right::to_string).collect();
    assert_eq!(used(&ns.audit(&account)?), of_deployment);

    let keeper = ns
        .create(WorkloadSpec::stateful_set("keeper").pods(2))
        .await?;
    let run = program(&ns, &keeper, &account)
        .env("COOLDOWN", "1h")
        .env("TARGET_CORES", "0.7")
        .ends_with(0)
        .await?;
    run.held("group_not_settled");
    let calls = ns.audit(&account)?;
    // The lease is read before it is first created.
    let refused = |call: &&AuditEntry| call.code >= 300 && call.action() != "get leases";
    assert_eq!(calls.iter().find(refused), None);
    let mut all: BTreeSet<String> = granted(&manifest().unwrap())
        .iter()
        .map(Right::to_string)
        .collect();
    // The run held, so it had nothing to record.
    all.remove("patch statefulsets");
    assert_eq!(used(&calls), all);
    Ok(())
}

#[tokio::test]
async fn each_missing_right_is_named_and_no_pod_is_evicted() -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, before) = shared.skewed().await?;
    let all = needed(&DRY_RUN);
    for (number, missing) in all.iter().enumerate() {
        let mut rights = all.clone();
        rights.remove(missing);
        let name = format!("without-{number}");
        let account = with_rights(&shared.ns, &name, &rights).await?;
        // A dry run, so that a faulty eviction would not remove pods that other cases need.
        let program = program(&shared.ns, &consumer, &account).env("DRY_RUN", "true");
        let run = match missing.to_string().as_str() {
            // A permission that is used after the decision cannot be checked before it.
            "create pods/eviction" | "get pods" => program.ends_with(3).await?,
            _ => program.ends_with(1).await?,
        };
        let Right {
            verb,
            group,
            resource,
        } = missing;
        let grant = format!("grant verb `{verb}` on `{resource}` in API group `\"{group}\"`");
        run.assert_says(&run.0.stdout.replace("\\\"", "\""), &[&grant]);
        run.assert_says(&run.0.stderr.replace("\\\"", "\""), &[&grant]);
        assert!(!run.outcomes().contains(&"evicted".to_owned()), "{}", run.0);
    }
    assert_untouched(&consumer, &before).await
}

#[tokio::test]
async fn rejected_eviction_ends_the_run_at_once() -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, before) = shared.skewed().await?;
    let mut rights = needed(&DEPLOYMENT);
    rights.retain(|right| right.resource != "pods/eviction");
    let account = with_rights(&shared.ns, "reader", &rights).await?;
    let run = program(&shared.ns, &consumer, &account)
        .ends_with(3)
        .await?;
    assert_eq!(run.workload()["execution"]["stopped"], "forbidden");
    let left = "not_attempted";
    assert_eq!(run.outcomes(), ["failed", left, left, left]);
    let calls = shared.ns.audit(&account)?;
    let refused = calls.iter().filter(|call| call.code == 403);
    assert_eq!(refused.count(), 1, "{calls:?}");
    assert_untouched(&consumer, &before).await
}

/// Permissions outside the default Role are also named when a setting needs them.
#[rstest]
#[case::delete(&[("EVICTION_METHOD", "delete")], 3, "grant verb `delete` on `pods`")]
#[case::stateful_set(&[("WORKLOAD_KIND", "StatefulSet")], 1, "grant verb `get` on `statefulsets`")]
#[case::another_kind(&[("WORKLOAD_KIND", "ReplicaSet.v1.apps")], 1, "grant verb `get` on `replicasets")]
#[tokio::test]
async fn missing_right_for_a_setting_is_named(
    #[case] settings: &[(&str, &str)],
    #[case] code: i32,
    #[case] says: &str,
) -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, before) = shared.skewed().await?;
    let name = format!(
        "kind-{code}-{}",
        settings[0].1.to_lowercase().replace('.', "-")
    );
    let account = with_rights(&shared.ns, &name, &needed(&DEPLOYMENT)).await?;
    let program = program(&shared.ns, &consumer, &account).env("DRY_RUN", "true");
    let run = program
        .envs(settings.iter().copied())
        .ends_with(code)
        .await?;
    run.assert_says(&run.0.stderr, &[says]);
    assert_untouched(&consumer, &before).await
}

#[tokio::test]
async fn the_rights_to_autoscalers_are_not_needed_with_another_target() -> Result<()> {
    let shared = Shared::open().await?;
    let (consumer, _) = shared.skewed().await?;
    let rights = needed(&[Need::Always, Need::Deployment]);
    let account = with_rights(&shared.ns, "without-autoscalers", &rights).await?;
    let program = program(&shared.ns, &consumer, &account).arg("plan");
    let fixed = program
        .clone()
        .env("TARGET_CORES", "0.7")
        .ends_with(0)
        .await?;
    let metrics = program
        .env("TARGET_SOURCE", "prometheus")
        .ends_with(0)
        .await?;
    assert_eq!(fixed.victims().len(), 4);
    assert_eq!(metrics.victims(), fixed.victims());
    Ok(())
}

/// Without permission to list other objects, the message only has fewer suggestions.
#[tokio::test]
async fn missing_workload_is_named_without_the_right_to_list() -> Result<()> {
    let shared = Shared::open().await?;
    let account = with_rights(&shared.ns, "short-sighted", &needed(&DEPLOYMENT)).await?;
    let run = shared
        .ns
        .rebalancer_for("consumr")
        .env("KUBECONFIG", &account.kubeconfig)
        .ends_with(1)
        .await?;
    run.assert_says(
        &run.error(),
        &[
            "there is no Deployment \"consumr\"",
            "this account may not list",
        ],
    );
    Ok(())
}
