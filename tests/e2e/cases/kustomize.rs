//! The kustomizations of `deploy/`, built by the libraries of kustomize and applied to the API
//! server.

use std::collections::HashMap;

use ::harness::{
    Result, TestNamespace,
    rights::{manifest, suspended},
};
use k8s_openapi::api::{batch::v1::CronJob, rbac::v1::RoleBinding};
use rebalancer_cli::settings::Sources;
use serde_json::Value;

use crate::support::installers::{in_repository, kustomize, objects, only, pod_of};

/// The time in seconds between SIGTERM and SIGKILL of pods whose runs may hand over partitions. The
/// longest end of a hand-over, of the records and of each connection fit into it.
const GRACE_PERIOD: i64 = 120;

/// The environment of the CronJob's container.
fn environment(cron_job: &Value) -> HashMap<String, String> {
    variables(pod_of(cron_job))
}

/// The environment of a pod's container.
fn variables(pod: &Value) -> HashMap<String, String> {
    let variables = pod["containers"][0]["env"].as_array().unwrap();
    let value = |variable: &Value| match variable["value"].as_str() {
        Some(value) => value.to_owned(),
        // The namespace of the pod.
        None => "default".to_owned(),
    };
    let variables = variables.iter();
    variables
        .map(|variable| {
            (
                variable["name"].as_str().unwrap().to_owned(),
                value(variable),
            )
        })
        .collect()
}

#[tokio::test]
async fn base_is_the_manifest() {
    let sorted = |text: &str| {
        let mut objects = objects(text);
        objects.sort_by_key(|object| object["kind"].to_string());
        objects
    };
    assert_eq!(
        sorted(&kustomize("base").await),
        sorted(&manifest().unwrap())
    );
}

/// Only the variables of the overlay differ from the base, and the API server accepts its objects.
#[tokio::test]
async fn overlay_acts() -> Result<()> {
    let built = kustomize("overlays/act").await;
    let all = objects(&built);
    let variables = environment(only(&all, "CronJob"));
    let sources = Sources::read(None, &variables, &HashMap::new()).unwrap();
    assert!(!sources.settings().unwrap().workloads[0].execution.dry_run);
    let mut base = environment(only(&objects(&manifest()?), "CronJob"));
    base.insert("DRY_RUN".into(), "false".into());
    assert_eq!(variables, base);
    let ns = TestNamespace::start().await?;
    let applied = ns.apply(&suspended(&built)).await?;
    assert_eq!(applied.len(), 4, "{applied:?}");
    Ok(())
}

/// The connection to Kafka has the settings and the files of the example.
#[tokio::test]
async fn overlay_reads_the_group_from_kafka() -> Result<()> {
    let built = kustomize("overlays/kafka").await;
    let all = objects(&built);
    let cron_job = only(&all, "CronJob");
    let sources = Sources::read(None, &environment(cron_job), &HashMap::new()).unwrap();
    let settings = sources.settings().unwrap();
    assert!(settings.is_dry_run());
    let kafka = settings.workloads[0].kafka.as_ref().unwrap();
    assert_eq!(kafka.group_id, "orders");
    let volume = &pod_of(cron_job)["volumes"][0];
    assert_eq!(volume["secret"]["secretName"], "pod-rebalancer-kafka");
    let grace_period = &pod_of(cron_job)["terminationGracePeriodSeconds"];
    assert_eq!(*grace_period, GRACE_PERIOD);
    let ns = TestNamespace::start().await?;
    assert_eq!(ns.apply(&suspended(&built)).await?.len(), 4);
    Ok(())
}

/// Each namespace has its CronJob, and the Role of a namespace is bound to its own account.
#[tokio::test]
async fn overlay_covers_several_namespaces() -> Result<()> {
    let built = kustomize("overlays/several-namespaces").await;
    let all = objects(&built);
    assert_eq!(all.len(), 8);
    for (namespace, workload) in [
        ("orders", "order-consumer"),
        ("payments", "payment-consumer"),
    ] {
        let own = all
            .iter()
            .filter(|object| object["metadata"]["namespace"] == namespace);
        let own: Vec<Value> = own.cloned().collect();
        let cron_job = only(&own, "CronJob");
        assert_eq!(cron_job["spec"]["schedule"], "*/15 * * * *");
        assert_eq!(environment(cron_job)["DEPLOYMENT_NAME"], workload);
        let binding = only(&own, "RoleBinding");
        let subject = &binding["subjects"][0];
        assert!(
            subject["namespace"].is_null() || subject["namespace"] == namespace,
            "{binding}"
        );

        let ns = TestNamespace::named(&format!("kustomize-{namespace}")).await?;
        let yaml: Vec<String> = own.iter().map(Value::to_string).collect();
        assert_eq!(ns.apply(&suspended(&yaml.join("\n---\n"))).await?.len(), 4);
        let applied = ns.api::<CronJob>().get("pod-rebalancer").await.unwrap();
        assert_eq!(applied.spec.schedule, "*/15 * * * *");
        ns.api::<RoleBinding>().get("pod-rebalancer").await.unwrap();
    }
    Ok(())
}

/// The Deployment has the schedule, the account, the variables and the security of the CronJob that
/// it replaces, and the Role of the base has the rights of the leader.
#[tokio::test]
async fn overlay_serves() -> Result<()> {
    let built = kustomize("overlays/serve").await;
    let all = objects(&built);
    assert!(all.iter().all(|object| object["kind"] != "CronJob"));
    let deployment = only(&all, "Deployment");
    let spec = &deployment["spec"];
    let labels = &spec["template"]["metadata"]["labels"];
    assert_eq!(&spec["selector"]["matchLabels"], labels);
    let base = objects(&manifest()?);
    let cron_job = only(&base, "CronJob");
    let (pod, other) = (&spec["template"]["spec"], pod_of(cron_job));
    for field in [
        "serviceAccountName",
        "securityContext",
        "enableServiceLinks",
    ] {
        assert_eq!(pod[field], other[field], "{field}");
    }
    assert_eq!(pod["terminationGracePeriodSeconds"], GRACE_PERIOD);
    let (container, other) = (&pod["containers"][0], &other["containers"][0]);
    for field in ["image", "securityContext", "resources"] {
        assert_eq!(container[field], other[field], "{field}");
    }
    let mut expected = environment(cron_job);
    let schedule = cron_job["spec"]["schedule"].as_str().unwrap();
    expected.insert("SCHEDULE".into(), format!("{schedule} Etc/UTC"));
    expected.insert("LEADER_ELECTION_LEASE".into(), "pod-rebalancer".into());
    let variables = variables(pod);
    assert_eq!(variables, expected);
    let sources = Sources::read(None, &variables, &HashMap::new()).unwrap();
    assert!(sources.settings().unwrap().is_dry_run());
    let role = only(&all, "Role");
    let rules = role["rules"].as_array().unwrap();
    let leases = rules.iter().find(|rule| rule["resources"][0] == "leases");
    let verbs = &leases.unwrap()["verbs"];
    assert_eq!(*verbs, serde_json::json!(["get", "create", "update"]));
    let ns = TestNamespace::start().await?;
    // Only the objects: the pods of the tests share the ports of the host.
    let paused = built.replace("replicas: 1", "replicas: 0");
    assert_ne!(paused, built);
    assert_eq!(ns.apply(&paused).await?.len(), 4);
    Ok(())
}

/// Every overlay is tested above.
#[test]
fn overlays_are_listed() {
    let folders = std::fs::read_dir(in_repository("deploy/kustomize/overlays")).unwrap();
    let mut names: Vec<String> = folders
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["act", "kafka", "serve", "several-namespaces"]);
}
