//! The unchanged manifests of `deploy/`: the CronJob controller creates a Job, and its pod runs.

use ::harness::{
    Result, TestNamespace, WorkloadSpec,
    rights::{manifest, suspended},
};
use k8s_openapi::api::{
    batch::v1::CronJob,
    core::v1::{Container, EnvVar, Pod},
};
use kube::{
    ResourceExt as _,
    api::{Patch, PatchParams},
};
use rstest::rstest;
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

/// The example for Kafka, applied by the API server to the CronJob of the manifests: its variables
/// are settings that agree with each other, and its files are mounted.
#[tokio::test]
async fn example_for_kafka_adds_the_connection() -> Result<()> {
    let ns = TestNamespace::start().await?;
    ns.apply(&suspended(&manifest()?)).await?;
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = std::fs::read_to_string(root.join("deploy/examples/kafka.yaml")).unwrap();
    let patch: Value = serde_saphyr::from_str(&text).unwrap();
    let strict = PatchParams {
        field_validation: Some(kube::api::ValidationDirective::Strict),
        ..PatchParams::default()
    };
    let job = ns
        .api::<CronJob>()
        .patch("pod-rebalancer", &strict, &Patch::Strategic(patch))
        .await
        .unwrap();
    let pod = job.spec.job_template.spec.unwrap().template.spec.unwrap();
    let container = &pod.containers[0];
    let environment: std::collections::HashMap<String, String> = container
        .env
        .iter()
        .flatten()
        .map(|variable| {
            let value = variable.value.clone();
            (
                variable.name.clone(),
                value.unwrap_or_else(|| "default".into()),
            )
        })
        .collect();
    let none = std::collections::HashMap::new();
    let sources = rebalancer_cli::settings::Sources::read(None, &environment, &none);
    let settings = sources.unwrap().settings().unwrap();
    let kafka = settings.workloads[0].kafka.as_ref().unwrap();
    assert_eq!(kafka.group_id, "orders");
    assert_eq!(kafka.security.protocol().as_str(), "SASL_SSL");
    let mounts = container.volume_mounts.clone().unwrap();
    let mounted = |path: &str| {
        mounts
            .iter()
            .any(|mount| path.starts_with(&mount.mount_path))
    };
    assert!(mounted(&environment["KAFKA_SASL_PASSWORD_FILE"]));
    assert!(mounted(&environment["KAFKA_SSL_CA_FILE"]));
    Ok(())
}

/// The patches of `deploy/examples`, applied by the API server to the CronJob of the manifests. The
/// proxy is a sidecar: only then does the Job end with the rebalancer.
#[rstest]
#[case(
    "amazon-managed-prometheus.yaml",
    "http://127.0.0.1:8005/workspaces/ws-"
)]
#[case("azure-monitor.yaml", "http://127.0.0.1:8082")]
#[tokio::test]
async fn examples_add_a_proxy_as_a_sidecar(
    #[case] file: &str,
    #[case] endpoint: &str,
) -> Result<()> {
    let ns = TestNamespace::start().await?;
    ns.apply(&suspended(&manifest()?)).await?;
    let before = ns.api::<CronJob>().get("pod-rebalancer").await.unwrap();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = std::fs::read_to_string(root.join("deploy/examples").join(file)).unwrap();
    let patch: Value = serde_saphyr::from_str(&text).unwrap();
    // Unknown fields are errors, as with `kubectl patch --validate=strict`.
    let strict = PatchParams {
        field_validation: Some(kube::api::ValidationDirective::Strict),
        ..PatchParams::default()
    };
    let after = ns
        .api::<CronJob>()
        .patch("pod-rebalancer", &strict, &Patch::Strategic(patch))
        .await
        .unwrap();
    let pod = |job: &CronJob| {
        job.spec
            .job_template
            .spec
            .clone()
            .unwrap()
            .template
            .spec
            .unwrap()
    };
    let (before, after) = (pod(&before), pod(&after));
    let sidecars = after.init_containers.unwrap();
    assert_eq!(sidecars.len(), 1);
    assert_eq!(sidecars[0].restart_policy.as_deref(), Some("Always"));
    assert!(sidecars[0].startup_probe.is_some());

    // The rebalancer differs only in its endpoint.
    let variables = |containers: &[Container]| {
        let variables = containers[0].env.clone().unwrap();
        let (endpoint, others): (Vec<EnvVar>, Vec<EnvVar>) = variables
            .into_iter()
            .partition(|variable| variable.name == "PROMETHEUS_ENDPOINT");
        (endpoint[0].value.clone().unwrap(), others)
    };
    assert_eq!(after.containers.len(), 1);
    let (_, unpatched) = variables(&before.containers);
    let (patched_endpoint, patched) = variables(&after.containers);
    assert!(patched_endpoint.starts_with(endpoint), "{patched_endpoint}");
    let by_name = |mut variables: Vec<EnvVar>| {
        variables.sort_by(|a, b| a.name.cmp(&b.name));
        variables
    };
    assert_eq!(by_name(patched), by_name(unpatched));
    assert_eq!(after.containers[0].image, before.containers[0].image);
    Ok(())
}
