//! `APPROVAL=manual`: a plan waits on the workload until a person approves exactly that plan.

use std::time::{Duration, Instant};

use ::harness::{Rebalancer, Result, Run, TestNamespace, Workload, WorkloadSpec};
use k8s_openapi::api::{apps::v1::Deployment, events::v1::Event};
use serde_json::{Value, json};

use crate::gates::{annotate, observed};
use crate::support::{
    Outcome, RunExt as _, VICTIMS, account, assert_untouched, evict_rules, skewed, uids,
};

const PLAN: &str = "rebalancer.io/plan";
const APPROVE: &str = "rebalancer.io/approve";

/// An annotation of the workload.
async fn annotation(ns: &TestNamespace, name: &str) -> Option<String> {
    let object = ns.api::<Deployment>().get("consumer").await.unwrap();
    object.metadata.annotations?.remove(name)
}

/// The plan that is stored on the workload.
async fn stored(ns: &TestNamespace) -> Option<Value> {
    let text = annotation(ns, PLAN).await?;
    Some(serde_json::from_str(&text).unwrap())
}

fn id(plan: &Value) -> &str {
    plan["id"].as_str().unwrap()
}

fn program(ns: &TestNamespace, consumer: &Workload<'_>) -> Rebalancer {
    ns.rebalancer(consumer)
        .env("APPROVAL", "manual")
        .env("COOLDOWN", "1s")
}

/// A command on the workload, as in kubectl.
async fn command(ns: &TestNamespace, args: &[&str], code: i32) -> Result<Run> {
    let program = Rebalancer::new()
        .env("KUBECONFIG", ns.control_plane().program_kubeconfig())
        .arg(args[0])
        .args(["deployment/consumer", "-n", ns.name()])
        .args(&args[1..]);
    let run = program.run().await?;
    assert_eq!(run.code, Some(code), "{run}");
    // An annotation gives a Deployment a new generation.
    observed(ns, "consumer").await?;
    Ok(run)
}

/// Runs until a run holds for this reason. Before that, the workload settles.
async fn until_held(program: &Rebalancer, reason: &str) -> Result<(Outcome, String)> {
    let deadline = Instant::now() + Duration::from_secs(180);
    loop {
        let run = Outcome(program.clone().env("OUTPUT", "json").run().await?);
        let decision = run.workload()["decision"].clone();
        if decision["reason"] == reason {
            let message = run.held(reason);
            return Ok((run, message));
        }
        let found = decision["reason"].as_str().unwrap_or("none");
        let waits = found != "none" && !found.contains("approval");
        assert!(waits && Instant::now() < deadline, "{}", run.0);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// The notes of the Events about proposed plans.
async fn proposals(ns: &TestNamespace) -> Vec<String> {
    let events = ns.api::<Event>().list(&Default::default()).await.unwrap();
    let events = events.items.into_iter();
    events
        .filter(|event| event.reason.as_deref() == Some("PlanProposed"))
        .filter_map(|event| event.note)
        .collect()
}

#[tokio::test]
async fn plan_waits_for_approval_and_is_executed_once() -> Result<()> {
    let ns = TestNamespace::start().await?;
    // The replacements are hot too.
    let spec = WorkloadSpec::deployment("consumer").replacement_load(1.4);
    let consumer = skewed(&ns, spec).await?;
    let before = consumer.pods().await?;
    let program = program(&ns, &consumer);

    // A dry run and `plan` show the plan itself, and store nothing.
    for arg in ["--dry-run", "plan"] {
        let run = program.clone().arg(arg).ends_with(0).await?;
        assert_eq!(run.victims(), uids(&before, &VICTIMS));
    }
    assert_eq!(stored(&ns).await, None);
    let run = command(&ns, &["approve"], 1).await?;
    assert!(run.stderr.contains("no plan waits for approval"), "{run}");

    let run = program.clone().arg("--exit-code").ends_with(10).await?;
    let plan = stored(&ns).await.unwrap();
    let id = id(&plan).to_owned();
    let message = run.held("approval_pending");
    let says = format!("plan {id} waits for approval until ");
    run.assert_says(&message, &[&says, "evict 4 of 8 pods"]);
    let victims = plan["victims"].as_array().unwrap().iter();
    let victims: Vec<&str> = victims
        .map(|victim| victim["uid"].as_str().unwrap())
        .collect();
    assert_eq!(victims, uids(&before, &VICTIMS));
    let approval = &run.workload()["approval"];
    assert_eq!(
        (&approval["state"], &approval["plan"]),
        (&json!("proposed"), &plan)
    );
    let notes = proposals(&ns).await;
    assert_eq!(notes.len(), 1, "{notes:?}");
    let how = format!(
        "rebalancer approve -n {} deployment/consumer --id {id}",
        ns.name()
    );
    run.assert_says(&notes[0], &[&says, &how, "evict 4 of 8 pods"]);

    // A run that would choose other pods neither replaces nor publishes the plan.
    observed(&ns, "consumer").await?;
    let other = program.clone().env("REBALANCE_TOP_K_PODS", "1");
    let run = other.ends_with(0).await?;
    run.held("approval_pending");
    assert_eq!(run.workload()["approval"]["state"], "waiting");
    assert_eq!(stored(&ns).await.unwrap(), plan);
    assert_eq!(proposals(&ns).await.len(), 1);
    assert_untouched(&consumer, &before).await?;

    // A person reads it.
    let hottest = format!("evict {} (hottest, load 1.", before[VICTIMS[0]].name);
    let table = program.clone().env("OUTPUT", "table").run().await?;
    let status = command(&ns, &["status"], 0).await?;
    for run in [&table, &status] {
        for part in [&how, &hottest] {
            assert!(run.stdout.contains(part.as_str()), "{part}: {run}");
        }
    }

    let run = command(&ns, &["approve", "--id", "00000000"], 1).await?;
    let says =
        format!("plan 00000000 does not wait for approval; it is plan {id} that does: evict 4");
    assert!(run.stderr.contains(&says), "{run}");
    let run = command(&ns, &["approve", "--id", &id], 0).await?;
    let says = format!("plan {id} is approved until ");
    assert!(run.stdout.contains(&says), "{run}");
    let run = command(&ns, &["approve"], 0).await?;
    assert!(run.stdout.contains("is already approved until"), "{run}");
    let run = command(&ns, &["status"], 0).await?;
    assert!(
        run.stdout
            .contains("is approved, and may be executed until"),
        "{run}"
    );

    // The next run executes it, although it would choose fewer pods.
    let run = program
        .clone()
        .env("REBALANCE_TOP_K_PODS", "1")
        .ends_with(0)
        .await?;
    assert_eq!(run.victims(), uids(&before, &VICTIMS));
    assert_eq!(run.outcomes(), ["evicted"; 4]);
    let workload = run.workload();
    let message = workload["decision"]["message"].as_str().unwrap();
    run.assert_says(message, &[&format!("approved plan {id}: evict 4")]);
    assert_eq!(workload["approval"]["state"], "approved");
    assert_eq!(stored(&ns).await, None);
    assert_eq!(annotation(&ns, APPROVE).await, None);

    // The next plan needs its own approval.
    let after = consumer.wait_ready().await?;
    let (_, message) = until_held(&program, "approval_pending").await?;
    let next = stored(&ns).await.unwrap();
    assert_ne!(next["id"], id.as_str());
    assert!(message.contains(next["id"].as_str().unwrap()), "{message}");
    assert_untouched(&consumer, &after).await
}

#[tokio::test]
async fn plan_with_a_replaced_pod_is_not_executed() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let spec = WorkloadSpec::deployment("consumer").replacement_load(1.4);
    let consumer = skewed(&ns, spec).await?;
    let before = consumer.pods().await?;
    let program = program(&ns, &consumer);
    program.clone().ends_with(0).await?.held("approval_pending");
    let plan = stored(&ns).await.unwrap();
    // As with kubectl.
    annotate(&ns, &consumer, json!({APPROVE: id(&plan)})).await?;

    let victim = &before[VICTIMS[0]];
    ns.evict(victim).await?;
    let after = consumer.wait_ready().await?;
    let (run, message) = until_held(&program, "approval_invalid").await?;
    let says = format!(
        "the approved plan {} cannot be executed: pod {} is gone or was replaced; plan ",
        id(&plan),
        victim.name
    );
    run.assert_says(&message, &[&says]);
    let next = stored(&ns).await.unwrap();
    assert_ne!(id(&next), id(&plan));
    assert_eq!(annotation(&ns, APPROVE).await, None);
    assert_untouched(&consumer, &after).await
}

#[tokio::test]
async fn approval_of_another_or_an_expired_plan_does_not_count() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = skewed(&ns, WorkloadSpec::deployment("consumer")).await?;
    let before = consumer.pods().await?;
    let program = program(&ns, &consumer);
    program.clone().ends_with(0).await?.held("approval_pending");
    let first = stored(&ns).await.unwrap();

    annotate(&ns, &consumer, json!({APPROVE: "00000000"})).await?;
    let run = program.clone().ends_with(0).await?;
    let message = run.held("approval_pending");
    run.assert_says(&message, &["the approval of 00000000 does not apply to it"]);

    // The plan is edited: other pods than those that were approved.
    let mut edited = first.clone();
    edited["victims"].as_array_mut().unwrap().truncate(1);
    let changes = json!({PLAN: edited.to_string(), APPROVE: id(&first)});
    annotate(&ns, &consumer, changes).await?;
    let run = program.clone().ends_with(0).await?;
    let message = run.held("approval_invalid");
    run.assert_says(&message, &["it was changed after it was proposed"]);
    observed(&ns, "consumer").await?;

    // A plan of a second: it expires before a run can execute it.
    annotate(&ns, &consumer, json!({PLAN: null})).await?;
    let brief = program.clone().env("APPROVAL_EXPIRY", "1s");
    brief.clone().ends_with(0).await?.held("approval_pending");
    observed(&ns, "consumer").await?;
    let expired = stored(&ns).await.unwrap();
    annotate(&ns, &consumer, json!({APPROVE: id(&expired)})).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let run = program.clone().ends_with(0).await?;
    let message = run.held("approval_invalid");
    let says = format!(
        "the approved plan {} cannot be executed: it expired at",
        id(&expired)
    );
    run.assert_says(&message, &[&says]);
    observed(&ns, "consumer").await?;

    // A stale approval, of the expired plan: the new one has the same pods and another id.
    annotate(&ns, &consumer, json!({APPROVE: id(&expired)})).await?;
    let run = program.clone().ends_with(0).await?;
    run.held("approval_pending");
    let waiting = &run.workload()["approval"]["plan"];
    assert_eq!(waiting["victims"].as_array().unwrap().len(), 4, "{waiting}");
    assert_untouched(&consumer, &before).await
}

/// Without the right to annotate the workload, no plan can be approved, and an approval could be
/// used twice.
#[tokio::test]
async fn nothing_is_evicted_without_the_right_to_store_plans() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = skewed(&ns, WorkloadSpec::deployment("consumer")).await?;
    let before = consumer.pods().await?;
    let program = program(&ns, &consumer);
    let account = account(&ns, "reader", &evict_rules()).await?;
    let limited = program.clone().env("KUBECONFIG", &account.kubeconfig);
    let run = limited.clone().ends_with(1).await?;
    let message = run.held("approval_unavailable");
    let right = "grant verb `patch` on `deployments` in API group";
    let says = "could not be stored on the workload, so it cannot be approved";
    run.assert_says(&message, &[says, right]);

    // Stored by a run with the right, and approved.
    program.clone().ends_with(0).await?.held("approval_pending");
    let plan = stored(&ns).await.unwrap();
    annotate(&ns, &consumer, json!({APPROVE: id(&plan)})).await?;
    let run = limited.clone().ends_with(1).await?;
    let message = run.held("approval_unavailable");
    let says = "its approval could not be removed from the workload";
    run.assert_says(&message, &[says, right]);
    assert_untouched(&consumer, &before).await?;
    assert_eq!(stored(&ns).await.unwrap(), plan);

    let check = limited.arg("check").run().await?;
    assert_eq!(check.code, Some(1), "{check}");
    let says = "may not patch deployments";
    assert!(check.stdout.contains(says), "{check}");
    Ok(())
}

/// Creates a workload with a plan that waits.
async fn with_plan(ns: &TestNamespace, name: &str, id: &str) -> Result<()> {
    let workload = ns
        .create(WorkloadSpec::deployment(name).loads([0.5]))
        .await?;
    let plan = json!({
        "id": id, "created": "2026-01-02T03:00:00Z", "expires": "2200-01-02T03:00:00Z",
        "message": format!("evict a pod of {name}"),
        "victims": [{"name": "a", "uid": "1", "role": "hottest", "load": 1.25, "wave": 1}],
    });
    let annotations = json!({PLAN: plan.to_string()});
    let patch = json!({"metadata": {"annotations": annotations}});
    workload.patch(patch).await
}

/// The configuration has three workloads, two of them with a plan that waits.
#[tokio::test]
async fn plan_of_several_workloads_is_approved_by_its_id_only() -> Result<()> {
    let ns = TestNamespace::start().await?;
    with_plan(&ns, "carts", "11111111").await?;
    with_plan(&ns, "mails", "22222222").await?;
    ns.create(WorkloadSpec::deployment("orders").loads([0.5]))
        .await?;
    let file = ns.dir().join("several.yaml");
    let entries = "workloads:\n- deployment_name: orders\n- deployment_name: carts\n\
         - deployment_name: mails\n";
    std::fs::write(&file, entries).unwrap();
    let program = Rebalancer::new()
        .env("KUBECONFIG", ns.control_plane().program_kubeconfig())
        .args(["approve", "--kube-namespace", ns.name(), "--config"])
        .arg(file);
    let approved = async || -> Vec<Option<String>> {
        let mut ids = Vec::new();
        for name in ["orders", "carts", "mails"] {
            let object = ns.api::<Deployment>().get(name).await.unwrap();
            let annotations = object.metadata.annotations.unwrap_or_default();
            ids.push(annotations.get(APPROVE).cloned());
        }
        ids
    };

    // Both plans wait, and only one may have been looked at.
    let run = program.clone().run().await?;
    assert_eq!(run.code, Some(2), "{run}");
    let how = |name: &str, id: &str| {
        let namespace = ns.name();
        format!(
            "`rebalancer approve -n {namespace} deployment/{name} --id {id}` (evict a pod of {name})"
        )
    };
    let parts = [
        "there are 3 workloads: give the id of one plan with --id; the plans that wait: ",
        &how("carts", "11111111"),
        &how("mails", "22222222"),
    ];
    for part in parts {
        assert!(run.stderr.contains(part), "{part:?}: {run}");
    }
    assert_eq!(approved().await, [None, None, None]);

    let run = program.clone().args(["--id", "33333333"]).run().await?;
    assert_eq!(run.code, Some(1), "{run}");
    let parts = [
        "orders: no plan waits for approval",
        "plan 33333333 does not wait for approval; it is plan 22222222 that does",
    ];
    for part in parts {
        assert!(run.stderr.contains(part), "{part:?}: {run}");
    }
    assert_eq!(approved().await, [None, None, None]);

    let program = program.args(["--id", "22222222", "-o", "json"]);
    let run = program.run().await?;
    assert_eq!(run.code, Some(0), "{run}");
    let document: Value = run.json()?;
    let workloads = document["workloads"].as_array().unwrap();
    assert_eq!(workloads.len(), 1, "{document}");
    assert_eq!(workloads[0]["plan"]["id"], "22222222", "{document}");
    assert_eq!(approved().await, [None, None, Some("22222222".into())]);
    Ok(())
}
