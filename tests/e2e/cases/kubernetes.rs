//! Reported situations in Kubernetes, on the real API server.

use std::time::{Duration, Instant};

use ::harness::{
    FaultProxy, PodView, Result, Target, TestNamespace, WorkloadSpec,
    proxy::{Canned, Fault, Turn},
};
use k8s_openapi::api::{
    apps::v1::ReplicaSet,
    autoscaling::v2::HorizontalPodAutoscaler,
    core::v1::{Pod, ResourceQuota},
};
use kube::{
    Api,
    api::{
        ApiResource, DeleteParams, DynamicObject, EvictParams, GroupVersionKind, Patch,
        PatchParams, PostParams,
    },
};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{
    Outcome, READ_RULES, RunExt as _, SKEWED, account, assert_untouched, skewed, uids,
};

/// Deadline for the servers to act on a change.
const DEADLINE: Duration = Duration::from_secs(60);

/// Repeats an action of the test until the server accepts it.
async fn eventually<T, E: std::fmt::Debug>(
    what: &str,
    mut action: impl AsyncFnMut() -> std::result::Result<T, E>,
) -> T {
    let started = Instant::now();
    loop {
        match action().await {
            Ok(done) => return done,
            Err(error) => assert!(started.elapsed() < DEADLINE, "{what}: {error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Defines a kind, whose objects may have any field.
async fn define(ns: &TestNamespace, group: &str, kind: &str, scale: bool) -> Result<()> {
    let plural = format!("{}s", kind.to_ascii_lowercase());
    let subresources = if scale {
        "{status: {}, scale: {specReplicasPath: .spec.replicas, \
         statusReplicasPath: .status.HPAReplicas, labelSelectorPath: .status.selector}}"
    } else {
        "{status: {}}"
    };
    ns.apply(&format!(
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n\
         metadata: {{name: {plural}.{group}}}\nspec:\n  group: {group}\n  scope: Namespaced\n  \
         names: {{plural: {plural}, singular: {}, kind: {kind}}}\n  versions:\n  \
         - name: v1alpha1\n    served: true\n    storage: true\n    subresources: {subresources}\n    \
         schema: {{openAPIV3Schema: {{type: object, x-kubernetes-preserve-unknown-fields: true}}}}\n",
        kind.to_ascii_lowercase(),
    ))
    .await
    .map(drop)
}

/// An object of a defined kind. The server needs a moment to serve a new kind.
async fn create(ns: &TestNamespace, group: &str, object: Value) -> (Api<DynamicObject>, String) {
    let kind = object["kind"].as_str().unwrap().to_owned();
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1alpha1", &kind));
    let api: Api<DynamicObject> = Api::namespaced_with(ns.client().clone(), ns.name(), &resource);
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    let created = eventually(&kind, async || {
        api.create(&PostParams::default(), &object).await
    });
    let uid = created.await.metadata.uid.unwrap();
    (api, uid)
}

/// The deletion is real. The snapshot then says that it was requested long ago.
#[tokio::test]
async fn pod_in_terminating_is_named_and_later_not_counted() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = skewed(&ns, WorkloadSpec::deployment("consumer")).await?;
    let before = consumer.pods().await?;
    let stuck = &before[3];
    let pods = ns.api::<Pod>();
    let finalizer = json!({"metadata": {"finalizers": ["example.com/keep"]}});
    let params = PatchParams::default();
    pods.patch(&stuck.name, &params, &Patch::Merge(&finalizer))
        .await
        .unwrap();
    pods.delete(&stuck.name, &DeleteParams::default())
        .await
        .unwrap();
    eventually("a replacement", async || {
        let ready = |pod: &&PodView| pod.ready && !pod.terminating;
        let count = consumer.pods().await.unwrap().iter().filter(ready).count();
        (count == SKEWED.len()).then_some(()).ok_or(count)
    })
    .await;
    consumer.wait_measured().await?;

    let snapshot = ns.dir().join("snapshot.json");
    let run = ns
        .rebalancer(&consumer)
        .env("COOLDOWN", "0s")
        .args(["plan", "--save"])
        .arg(&snapshot)
        .ends_with(0)
        .await?;
    let message = run.held("group_not_settled");
    run.assert_says(&message, &["1 pod is terminating: ", &stuck.name, " (for "]);

    let mut saved: Value = serde_json::from_slice(&std::fs::read(&snapshot).unwrap()).unwrap();
    let listed = saved["pods"].as_array_mut().unwrap();
    let pod = listed
        .iter_mut()
        .find(|pod| pod["uid"] == stuck.uid.as_str())
        .unwrap();
    assert_eq!(pod["terminating"], true);
    assert_eq!(pod["deletion"]["finalizers"], json!(["example.com/keep"]));
    let fields = pod.as_object_mut().unwrap();
    fields.remove("load");
    fields.remove("fault");
    fields.insert("ready".into(), false.into());
    fields["deletion"]["requested_seconds"] = 259_230.into();
    fields["deletion"]["overdue_seconds"] = 259_200.into();
    std::fs::write(&snapshot, saved.to_string()).unwrap();
    let decide = ::harness::Rebalancer::new()
        .env("COOLDOWN", "0s")
        .env("MINIMUM_POD_AGE", "0s")
        .env("OUTPUT", "json")
        .args(["decide", "--snapshot"])
        .arg(&snapshot)
        .run()
        .await?;
    let decision = Outcome(decide).workload();
    assert_eq!(decision["decision"]["action"], "rotate", "{decision}");
    assert_eq!(decision["analysis"]["ready"], 8, "{decision}");
    let listed = decision["pods"].as_array().unwrap();
    let pod = listed
        .iter()
        .find(|pod| pod["uid"] == stuck.uid.as_str())
        .unwrap();
    assert_eq!(pod["reasons"][0]["reason"], "terminating", "{decision}");
    let text = ::harness::Rebalancer::new()
        .env("COOLDOWN", "0s")
        .env("MINIMUM_POD_AGE", "0s")
        .args(["decide", "--snapshot"])
        .arg(&snapshot)
        .run()
        .await?;
    assert!(text.stdout.contains("example.com/keep"), "{text}");
    let released = json!({"metadata": {"finalizers": null}});
    pods.patch(&stuck.name, &params, &Patch::Merge(&released))
        .await
        .unwrap();
    Ok(())
}

/// The controller that counts the pods of a quota does not run, so the test sets the count.
#[tokio::test]
async fn quota_that_stops_a_scaling_is_an_error() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let mut consumer = ns
        .create(WorkloadSpec::deployment("consumer").pods(4))
        .await?;
    let before = consumer.pods().await?;
    let hard = json!({"pods": "4"});
    let quota: ResourceQuota = serde_json::from_value(json!({
        "metadata": {"name": "four"}, "spec": {"hard": hard},
    }))
    .unwrap();
    let quotas = ns.api::<ResourceQuota>();
    quotas.create(&PostParams::default(), &quota).await.unwrap();
    let counted = json!({"status": {"hard": hard, "used": hard}});
    let params = PatchParams::default();
    quotas
        .patch_status("four", &params, &Patch::Merge(&counted))
        .await
        .unwrap();
    // The admission plugin needs a moment to learn of the quota.
    tokio::time::sleep(Duration::from_secs(1)).await;
    consumer.scale(6).await?;
    let program = ns.rebalancer(&consumer).env("TARGET_CORES", "0.7");
    let started = Instant::now();
    let run = loop {
        let run = program.clone().env("OUTPUT", "json").run().await?;
        let held = Outcome(run);
        if held.workload()["decision"]["reason"] == "rollout_stuck" {
            break held;
        }
        assert!(started.elapsed() < DEADLINE, "{}", held.0);
    };
    assert_eq!(run.0.code, Some(1), "{}", run.0);
    let message = run.held("rollout_stuck");
    run.assert_says(
        &message,
        &["4 of 6 replicas", "ReplicaFailure", "exceeded quota: four"],
    );
    assert_untouched(&consumer, &before).await
}

/// An autoscaler of Kubernetes 1.37 may have no replicas. Nothing is wrong with that, however long
/// it lasts.
#[tokio::test]
async fn workload_without_replicas_holds_and_acts_again_later() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let spec = WorkloadSpec::deployment("consumer").loads(SKEWED);
    let mut consumer = ns.create(spec).await?;
    ns.autoscale(&consumer, Target::Utilization(70)).await?;
    consumer.wait_measured().await?;
    // Only an external metric, such as the lag of the group, can scale from zero.
    let to_zero = json!({"spec": {"minReplicas": 0, "metrics": [
        {"type": "Resource", "resource": {
            "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}},
        {"type": "External", "external": {
            "metric": {"name": "lag"}, "target": {"type": "AverageValue", "averageValue": "1k"}}},
    ]}});
    ns.api::<HorizontalPodAutoscaler>()
        .patch("consumer", &PatchParams::default(), &Patch::Merge(to_zero))
        .await
        .unwrap();
    ns.set_autoscaler_status("consumer", 0, 0).await?;
    consumer.scale(0).await?;
    let program = ns.rebalancer(&consumer).env("HOLD_ALERT_AFTER", "1ms");
    let reason = |held: &Outcome| held.workload()["decision"]["reason"].clone();
    let run = eventually("the pods end", async || {
        let run = program.clone().env("OUTPUT", "json").run().await.unwrap();
        let held = Outcome(run);
        match reason(&held).as_str() {
            Some("scaled_to_zero") => Ok(held),
            _ => Err(held.0.to_string()),
        }
    })
    .await;
    assert_eq!(run.0.code, Some(0), "{}", run.0);
    let message = run.held("scaled_to_zero");
    run.assert_says(&message, &["scaled to 0 replicas and has no pods"]);

    // It lasts, and is still no failure. The samples of the former pods do not matter.
    let run = program.clone().ends_with(0).await?;
    run.held("scaled_to_zero");
    assert_eq!(run.workload()["held"]["alert"], false, "{}", run.0);
    let plan = program.clone().arg("plan").ends_with(0).await?;
    plan.held("scaled_to_zero");
    assert_eq!(consumer.pods().await?, []);

    ns.set_autoscaler_status("consumer", 2, 2).await?;
    consumer.scale(2).await?;
    consumer.wait_ready().await?;
    let run = program.env("OUTPUT", "json").run().await?;
    assert_ne!(reason(&Outcome(run)), "scaled_to_zero");
    Ok(())
}

/// An Argo Rollout that waits in a step of its canary: 6 pods of one template, and 2 hot ones of
/// another.
#[tokio::test]
async fn paused_canary_of_a_custom_kind_is_not_evicted() -> Result<()> {
    let ns = TestNamespace::start().await?;
    define(&ns, "argoproj.io", "Rollout", true).await?;
    let (rollouts, uid) = create(
        &ns,
        "argoproj.io",
        json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
            "metadata": {"name": "orders"}, "spec": {"replicas": 8}}),
    )
    .await;
    let status = json!({"status": {"HPAReplicas": 8, "replicas": 8, "updatedReplicas": 2,
        "observedGeneration": "1", "selector": "app=orders", "phase": "Paused"}});
    rollouts
        .patch_status("orders", &PatchParams::default(), &Patch::Merge(&status))
        .await
        .unwrap();
    let mut workloads = Vec::new();
    for (hash, loads) in [("5f7", vec![0.4; 6]), ("9c4", vec![1.3; 2])] {
        let labels = json!({"app": "orders", "rollouts-pod-template-hash": hash});
        let set: ReplicaSet = serde_json::from_value(json!({
            "metadata": {"name": format!("orders-{hash}"), "labels": labels, "ownerReferences": [
                {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "orders",
                 "uid": uid, "controller": true}]},
            "spec": {"replicas": loads.len(), "selector": {"matchLabels": labels}, "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "orders", "image": "consumer:1"}]}}},
        }))
        .unwrap();
        ns.api::<ReplicaSet>()
            .create(&PostParams::default(), &set)
            .await
            .unwrap();
        let spec = WorkloadSpec::deployment(format!("orders-{hash}"));
        let workload = ns.workload(
            spec.container("orders")
                .label("app", "orders")
                .pods(loads.len()),
        );
        workload.wait_ready().await?;
        workload.set_loads(&loads).await?;
        workloads.push(workload);
    }
    for workload in &workloads {
        workload.wait_measured().await?;
    }
    let canaries = workloads[1].pods().await?;
    let program = ns
        .rebalancer_for("orders")
        .env("WORKLOAD_KIND", "Rollout.v1alpha1.argoproj.io")
        .env("TARGET_CORES", "0.5");
    let run = program.clone().ends_with(0).await?;
    let message = run.held("mixed_templates");
    run.assert_says(
        &message,
        &[
            "2 different templates, and the rollout is paused",
            "6 pods are of template 5f7, 2 pods are of template 9c4",
        ],
    );
    assert_untouched(&workloads[1], &canaries).await?;

    // Without the canaries, the pods of the stable template are comparable.
    for pod in &canaries {
        workloads[1]
            .annotate(pod, "rebalancer.io/skip", "true")
            .await?;
    }
    let run = program.arg("plan").ends_with(0).await?;
    let message = run.held("within_tolerance");
    run.assert_says(&message, &["above it but not eligible", &canaries[0].name]);
    Ok(())
}

#[tokio::test]
async fn stateful_set_that_updates_on_delete_is_not_updated_by_an_eviction() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = skewed(&ns, WorkloadSpec::stateful_set("consumer")).await?;
    let on_delete =
        json!({"spec": {"updateStrategy": {"type": "OnDelete", "rollingUpdate": null}}});
    consumer.patch(on_delete).await?;
    let before = consumer.pods().await?;
    let program = ns.rebalancer(&consumer);
    let plan = program.clone().arg("plan");
    let planned = eventually("the strategy is observed", async || {
        let run = plan.clone().env("OUTPUT", "json").run().await.unwrap();
        let run = Outcome(run);
        let rotates = run.workload()["decision"]["action"] == "rotate";
        rotates.then_some(run.victims()).ok_or(run)
    });
    assert_eq!(planned.await.len(), 4);
    consumer.roll_out().await?;
    let message = eventually("the new revision is observed", async || {
        let run = program.clone().env("OUTPUT", "json").run().await.unwrap();
        assert_eq!(run.code, Some(0), "{run}");
        let run = Outcome(run);
        let reason = run.workload()["decision"]["reason"].clone();
        (reason == "update_on_delete")
            .then(|| run.held("update_on_delete"))
            .ok_or(run)
    })
    .await;
    assert!(
        message.contains("8 of 8 replicas are not up to date"),
        "{message}"
    );
    assert!(
        message.contains("an eviction would update the pod"),
        "{message}"
    );
    assert_untouched(&consumer, &before).await
}

#[tokio::test]
async fn paused_scaled_object_is_no_error() -> Result<()> {
    let ns = TestNamespace::start().await?;
    define(&ns, "keda.sh", "ScaledObject", false).await?;
    let consumer = ns
        .create(WorkloadSpec::deployment("consumer").loads(SKEWED))
        .await?;
    create(
        &ns,
        "keda.sh",
        json!({"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject",
            "metadata": {"name": "scaled", "annotations": {"autoscaling.keda.sh/paused": "true"}},
            "spec": {"scaleTargetRef": {"name": "consumer"}, "triggers": []}}),
    )
    .await;
    consumer.wait_measured().await?;
    let before = consumer.pods().await?;
    let program = ns.rebalancer(&consumer).arg("plan");
    let run = program.clone().ends_with(0).await?;
    let message = run.held("autoscaler_paused");
    run.assert_says(
        &message,
        &["ScaledObject scaled is paused (autoscaling.keda.sh/paused: true)"],
    );
    let run = program
        .clone()
        .env("TARGET_CORES", "0.7")
        .ends_with(0)
        .await?;
    assert_eq!(run.victims().len(), 4, "{}", run.0);
    // The permission is optional: without it, only the reason is missing.
    let reader = account(&ns, "reader", READ_RULES).await?;
    let run = program
        .env("KUBECONFIG", &reader.kubeconfig)
        .ends_with(1)
        .await?;
    run.held("target_unknown");
    assert_untouched(&consumer, &before).await
}

#[tokio::test]
async fn target_is_a_share_of_the_request_of_the_pod() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let spec = WorkloadSpec::deployment("consumer")
        .without_request()
        .pod_request("1");
    let consumer = ns.create(spec.loads(SKEWED)).await?;
    ns.autoscale(&consumer, Target::Utilization(70)).await?;
    consumer.wait_measured().await?;
    let run = ns.rebalancer(&consumer).arg("plan").ends_with(0).await?;
    assert_eq!(run.workload()["analysis"]["target"], 0.7, "{}", run.0);
    // The autoscaler's metric of a container does not use the request of the pod.
    let target = Target::ContainerUtilization("consumer".into(), 70);
    ns.autoscale_named("of-container", &consumer, target)
        .await?;
    let run = ns.rebalancer(&consumer).arg("plan").ends_with(1).await?;
    let message = run.held("target_unknown");
    run.assert_says(&message, &["container consumer", "has no CPU request"]);
    Ok(())
}

#[tokio::test]
async fn eviction_that_a_policy_denies_is_not_repeated() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = skewed(&ns, WorkloadSpec::deployment("consumer")).await?;
    let before = consumer.pods().await?;
    let name = ns.name();
    ns.apply(&format!(
        "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\n\
         metadata: {{name: {name}}}\nspec:\n  matchConstraints:\n    \
         namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {name}}}}}\n    \
         resourceRules: [{{apiGroups: [''], apiVersions: [v1], operations: [CREATE], \
         resources: [pods/eviction]}}]\n  validations: [{{expression: 'false', message: keep calm}}]\n\
         ---\napiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicyBinding\n\
         metadata: {{name: {name}}}\nspec: {{policyName: {name}, validationActions: [Deny]}}\n"
    ))
    .await?;
    // The API server needs a moment to learn of the policy.
    let pods = ns.api::<Pod>();
    let dry_run = EvictParams {
        post_options: PostParams {
            dry_run: true,
            ..PostParams::default()
        },
        ..EvictParams::default()
    };
    eventually("the policy", async || {
        match pods.evict(&before[0].name, &dry_run).await {
            Ok(_) => Err("the eviction is allowed"),
            Err(_) => Ok(()),
        }
    })
    .await;
    let run = ns.rebalancer(&consumer).ends_with(3).await?;
    assert_eq!(
        run.outcomes(),
        ["failed", "failed", "not_attempted", "not_attempted"]
    );
    let pods = run.workload()["execution"]["pods"].clone();
    run.assert_says(
        pods[0]["message"].as_str().unwrap(),
        &[
            "an admission rule of the cluster denied it",
            name,
            "keep calm",
            "not tried again",
        ],
    );
    assert_eq!(run.events("eviction answered").len(), 2, "{}", run.0);
    assert_untouched(&consumer, &before).await
}

#[rstest]
#[case::webhook(
    Canned::api(429, "TooManyRequests",
        "admission webhook \"guard.example.com\" denied the request: keep calm").retry_after(1),
    ["failed", "failed", "not_attempted", "not_attempted"],
    2,
    "guard.example.com"
)]
// The budget is waited for, until the timeout.
#[case::full_budget(
    Canned::api(403, "Forbidden", "poddisruptionbudget.policy \"consumer\" is forbidden: \
        DisruptedPods map too big - too many evictions not confirmed by PDB controller"),
    ["blocked", "blocked", "not_attempted", "not_attempted"],
    3,
    "DisruptedPods map too big"
)]
#[tokio::test]
async fn denial_and_full_budget_are_distinguished(
    #[case] refusal: Canned,
    #[case] outcomes: [&str; 4],
    #[case] least: usize,
    #[case] says: &str,
) -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = skewed(&ns, WorkloadSpec::deployment("consumer")).await?;
    let before = consumer.pods().await?;
    let proxy = FaultProxy::kubernetes(&ns).await?;
    proxy.fault(
        "create pods/eviction",
        Turn::From(1),
        Fault::Answer(refusal),
    );
    let run = ns
        .rebalancer(&consumer)
        .env("KUBECONFIG", proxy.kubeconfig())
        .env("EVICTION_TIMEOUT", "15s")
        .ends_with(3)
        .await?;
    assert_eq!(run.outcomes(), outcomes);
    let seen = proxy.seen();
    let requests = seen
        .iter()
        .filter(|seen| seen.call == "create pods/eviction")
        .count();
    if outcomes[0] == "failed" {
        assert_eq!(requests, least, "{}", run.0);
    } else {
        assert!(requests >= least, "{}", run.0);
    }
    let pods = run.workload()["execution"]["pods"].clone();
    run.assert_says(pods[0]["message"].as_str().unwrap(), &[says]);
    assert_untouched(&consumer, &before).await
}

#[tokio::test]
async fn pods_that_karpenter_must_not_disrupt_are_not_victims() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = skewed(&ns, WorkloadSpec::deployment("consumer")).await?;
    let before = consumer.pods().await?;
    // The last pod has run for longer than a second.
    for (place, value) in [(1, "true"), (2, "10h"), (6, "1s")] {
        let pod = &before[place];
        consumer
            .annotate(pod, "karpenter.sh/do-not-disrupt", value)
            .await?;
    }
    let plan = ns.rebalancer(&consumer).arg("plan").ends_with(0).await?;
    let victims = plan.victims();
    for protected in uids(&before, &[1, 2]) {
        assert!(!victims.contains(&protected), "{}", plan.0);
    }
    for victim in uids(&before, &[4, 6]) {
        assert!(victims.contains(&victim), "{}", plan.0);
    }
    Ok(())
}
