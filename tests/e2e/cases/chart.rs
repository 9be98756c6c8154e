//! The Helm chart: rendered by the libraries of Helm, applied to the API server, and run there.

use std::collections::{BTreeSet, HashMap};

use ::harness::{Result, Right, Target, TestNamespace, WorkloadSpec, assets};
use k8s_openapi::api::{
    batch::v1::{CronJob, Job},
    rbac::v1::Role,
};
use kube::{ResourceExt as _, api::PostParams};
use rebalancer_cli::settings::{Settings, Sources};
use rebalancer_k8s::Importance;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::installers::{chart, file, in_repository, objects, only, pod_of};
use crate::support::{assert_untouched, skewed};

/// A right of a Role: namespace, verb, API group, resource, and the only object.
type Granted = (String, String, String, String, Option<String>);

fn ci_values(name: &str) -> String {
    let path = in_repository("charts/rebalancer/ci").join(format!("{name}-values.yaml"));
    path.to_str().unwrap().to_owned()
}

/// The text that a command of Helm makes of a release with these values.
async fn text_of(command: &str, release: &str, namespace: &str, values: &Value) -> String {
    let folder = tempfile::tempdir().unwrap();
    let values = file(&folder, "values.yaml", &values.to_string());
    chart(command, &[release, namespace, &values])
        .await
        .unwrap()
}

/// The objects of a release with these values.
async fn rendered(release: &str, namespace: &str, values: &Value) -> Vec<Value> {
    objects(&text_of("template", release, namespace, values).await)
}

/// The settings of the rendered configuration file, with these variables.
fn settings(objects: &[Value], variables: &[(&str, &str)]) -> Settings {
    let folder = tempfile::tempdir().unwrap();
    let text = only(objects, "ConfigMap")["data"]["config.yaml"].as_str();
    let path = file(&folder, "config.yaml", text.unwrap());
    let variables = variables.iter();
    let variables: HashMap<String, String> = variables
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let sources = Sources::read(Some(path.as_ref()), &variables, &HashMap::new());
    sources.unwrap().settings().unwrap()
}

/// The rights of the Roles.
fn granted(objects: &[Value]) -> BTreeSet<Granted> {
    let mut rights = BTreeSet::new();
    for role in objects.iter().filter(|object| object["kind"] == "Role") {
        let role: Role = serde_json::from_value(role.clone()).unwrap();
        let namespace = role.namespace().unwrap();
        for rule in role.rules.unwrap() {
            let names = rule.resource_names.unwrap_or_default().into_iter();
            let mut names: Vec<Option<String>> = names.map(Some).collect();
            if names.is_empty() {
                names.push(None);
            }
            for group in rule.api_groups.unwrap() {
                for resource in rule.resources.iter().flatten() {
                    for verb in &rule.verbs {
                        rights.extend(names.iter().map(|name| {
                            let (namespace, verb) = (namespace.clone(), verb.clone());
                            let (group, resource) = (group.clone(), resource.clone());
                            (namespace, verb, group, resource, name.clone())
                        }));
                    }
                }
            }
        }
    }
    rights
}

/// The rights that the settings need, by the list of the program.
fn needed(settings: &Settings, keda: bool) -> BTreeSet<Granted> {
    let mut rights = BTreeSet::new();
    for workload in &settings.workloads {
        let resource = Some("rollouts");
        let used = rebalancer_k8s::rights(&workload.kubernetes, workload.usage(), resource);
        for right in used.unwrap() {
            let is_situational = matches!(right.importance, Importance::Situational { .. });
            if is_situational && !keda {
                continue;
            }
            rights.insert((
                workload.workload().namespace.clone(),
                right.verb.to_owned(),
                right.group.into_owned(),
                right.resource.into_owned(),
                right.name,
            ));
        }
    }
    rights
}

#[rstest]
#[case("minimal")]
#[case("full")]
#[tokio::test]
async fn chart_passes_lint(#[case] values: &str) {
    chart("lint", &[&ci_values(values)]).await.unwrap();
}

/// Every combination of the settings that decide about rights, each in a namespace of its own, and
/// all of them in one namespace.
#[rstest]
#[case(false, false)]
#[case(true, false)]
#[case(false, true)]
#[tokio::test]
async fn roles_grant_what_the_settings_need(#[case] keda: bool, #[case] together: bool) {
    let mut workloads = Vec::new();
    let kinds = ["Deployment", "StatefulSet", "Rollout.v1alpha1.argoproj.io"];
    let strategies = ["rotate-outliers", "forecast", "assign", "rejoin", "auto"];
    for strategy in strategies {
        for bits in 0..64_usize {
            let is_set = |bit: u32| bits >> bit & 1 == 1;
            let number = workloads.len();
            let mut workload = json!({
                "deployment_name": format!("w{number}"),
                "workload_kind": kinds[number % kinds.len()],
                "strategy": strategy,
                "dry_run": is_set(0),
                "one_at_a_time": is_set(1),
                "eviction_method": if is_set(2) { "delete" } else { "evict" },
                "target_source": if is_set(3) { "prometheus" } else { "kubernetes" },
            });
            if is_set(4) {
                workload["target_cores"] = json!(0.7);
            }
            if is_set(5) {
                workload["imbalance_tolerance"] = json!(1.5);
            }
            if !together {
                workload["kube_namespace"] = json!(format!("n{number}"));
            }
            workloads.push(workload);
        }
    }
    let values = json!({
        "settings": {
            "prometheus_endpoint": "http://prometheus",
            "kafka_bootstrap_servers": "kafka:9092",
            "group_id": "orders",
        },
        "workloads": workloads,
        "rbac": {"keda": keda},
    });
    let objects = rendered("orders", "apps", &values).await;
    let settings = settings(&objects, &[]);
    assert_eq!(settings.workloads.len(), workloads.len());
    let (granted, needed) = (granted(&objects), needed(&settings, keda));
    let missing: Vec<_> = needed.difference(&granted).take(5).collect();
    let excess: Vec<_> = granted.difference(&needed).take(5).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(excess.is_empty(), "{excess:?}");
}

/// Without values of their own, the settings of the chart are those of the program.
#[tokio::test]
async fn defaults_are_a_dry_run_with_a_json_report() {
    let values = json!({
        "settings": {"prometheus_endpoint": "http://prometheus"},
        "workloads": [{"deployment_name": "orders"}],
    });
    let objects = rendered("orders", "apps", &values).await;
    let settings = settings(&objects, &[]);
    let workload = &settings.workloads[0];
    assert!(workload.execution.dry_run);
    assert_eq!(workload.workload().namespace, "apps");
    assert_eq!(workload.run_timeout.unwrap().as_secs(), 480);
    let cron_job = only(&objects, "CronJob");
    assert_eq!(cron_job["metadata"]["name"], "orders-rebalancer");
    assert_eq!(
        cron_job["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"],
        540
    );
    let config = only(&objects, "ConfigMap")["data"]["config.yaml"]
        .as_str()
        .unwrap();
    for line in ["output: json", "log_format: json", "dry_run: true"] {
        assert!(config.lines().any(|other| other == line), "{config}");
    }
    let version = env!("CARGO_PKG_VERSION");
    let image = &pod_of(cron_job)["containers"][0]["image"];
    assert_eq!(*image, format!("pod-rebalancer:{version}"));
    assert!(
        objects
            .iter()
            .all(|object| object["kind"] != "PrometheusRule")
    );
}

/// A round of workloads takes up to the timeout of a run.
#[rstest]
#[case(5, json!({}), 1080)]
#[case(5, json!({"max_concurrent_workloads": 5}), 540)]
#[case(3, json!({"max_evictions": 4}), 1620)]
#[tokio::test]
async fn deadline_covers_every_round(
    #[case] count: usize,
    #[case] settings: Value,
    #[case] expected: u64,
) {
    let mut settings = settings;
    settings["prometheus_endpoint"] = json!("http://prometheus");
    let workloads = (0..count).map(|number| json!({"deployment_name": format!("w{number}")}));
    let values = json!({"settings": settings, "workloads": workloads.collect::<Vec<_>>()});
    let objects = rendered("orders", "apps", &values).await;
    let job = &only(&objects, "CronJob")["spec"]["jobTemplate"]["spec"];
    assert_eq!(job["activeDeadlineSeconds"], expected);
}

#[tokio::test]
async fn references_become_variables_and_mounted_files() {
    let text = std::fs::read_to_string(ci_values("full")).unwrap();
    let values: Value = serde_saphyr::from_str(&text).unwrap();
    let objects = rendered("orders", "apps", &values).await;
    let cron_job = only(&objects, "CronJob");
    assert_eq!(cron_job["spec"]["timeZone"], "Europe/Berlin");
    let pod = pod_of(cron_job);
    let container = &pod["containers"][0];
    let digest = values["image"]["digest"].as_str().unwrap();
    assert_eq!(
        container["image"],
        format!("registry.example.org/rebalancer@{digest}")
    );
    let variables = container["env"].as_array().unwrap();
    let headers = variables
        .iter()
        .find(|variable| variable["name"] == "PROMETHEUS_HEADERS");
    let expected = json!({"secretKeyRef": {"name": "tenant", "key": "headers"}});
    assert_eq!(headers.unwrap()["valueFrom"], expected);

    // Each file that a setting names is an item of the mounted volume.
    let settings = settings(&objects, &[("PROMETHEUS_HEADERS", "X-Scope-OrgID=one")]);
    let kafka = settings.workloads[0].kafka.as_ref().unwrap();
    assert_eq!(kafka.group_id, "orders");
    let mount = &container["volumeMounts"][0];
    let config = variables
        .iter()
        .find(|variable| variable["name"] == "REBALANCER_CONFIG");
    let folder = mount["mountPath"].as_str().unwrap();
    assert_eq!(config.unwrap()["value"], format!("{folder}/config.yaml"));
    assert_eq!(pod["volumes"][0]["name"], mount["name"]);
    let sources = pod["volumes"][0]["projected"]["sources"]
        .as_array()
        .unwrap();
    let config = only(&objects, "ConfigMap")["data"]["config.yaml"]
        .as_str()
        .unwrap();
    for (setting, kind, name, key) in [
        ("kafka_sasl_password_file", "secret", "kafka", "password"),
        ("kafka_ssl_ca_file", "configMap", "kafka-ca", "ca.pem"),
        ("prometheus_ca_file", "configMap", "prometheus-ca", "ca.crt"),
    ] {
        let path = format!("files/{setting}");
        let source = json!({kind: {"name": name, "items": [{"key": key, "path": path}]}});
        assert!(sources.contains(&source), "{source}: {sources:?}");
        let line = format!("{setting}: {folder}/{path}");
        assert!(config.lines().any(|other| other == line), "{config}");
    }
    assert!(!config.contains("prometheus_headers"), "{config}");
    // Roles in both namespaces are bound to the one account.
    let bindings = objects
        .iter()
        .filter(|object| object["kind"] == "RoleBinding");
    let bindings: Vec<&Value> = bindings.collect();
    assert_eq!(bindings.len(), 2);
    for binding in bindings {
        assert_eq!(binding["subjects"][0]["namespace"], "apps");
    }
}

/// The rules for the Prometheus Operator are those that promtool tests.
#[tokio::test]
async fn prometheus_rule_has_the_alert_rules() {
    let text = std::fs::read_to_string(ci_values("full")).unwrap();
    let values: Value = serde_saphyr::from_str(&text).unwrap();
    let objects = rendered("orders", "apps", &values).await;
    let rule = only(&objects, "PrometheusRule");
    assert_eq!(rule["metadata"]["labels"]["release"], "prometheus");
    let rules = std::fs::read_to_string(in_repository("deploy/monitoring/rules.yaml")).unwrap();
    let rules: Value = serde_saphyr::from_str(&rules).unwrap();
    assert_eq!(rule["spec"], rules);
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "rules.yaml", &rule["spec"].to_string());
    let mut check = std::process::Command::new(assets::promtool().unwrap());
    let check = check.args(["check", "rules", &path]).output();
    assert!(check.unwrap().status.success());
}

#[rstest]
#[case::no_workload(json!({"workloads": []}), "workloads is empty")]
#[case::no_name(json!({"workloads": [{}]}), "workloads[0].deployment_name is missing")]
#[case::unknown_setting(json!({"settings": {"dryrun": true}}), "dryrun")]
#[case::secret_in_the_file(json!({"settings": {"kafka_sasl_password": "hunter2"}}), "kafka_sasl_password")]
#[case::wrong_type(json!({"dryRun": "yes"}), "dryRun")]
#[case::setting_of_the_chart(json!({"settings": {"dry_run": false}}), "dry_run")]
#[case::setting_of_the_whole_run(
    json!({"workloads": [{"deployment_name": "orders", "max_evictions": 1}]}),
    "max_evictions"
)]
#[case::kind_in_another_spelling(
    json!({"workloads": [{"deployment_name": "orders", "workload_kind": "deployment"}]}),
    "workload_kind"
)]
#[case::password_in_a_config_map(
    json!({"references": {"kafka_sasl_password_file": {"configMap": "kafka", "key": "password"}}}),
    "kafka_sasl_password_file"
)]
#[case::digest_without_algorithm(json!({"image": {"digest": "0123"}}), "digest")]
#[tokio::test]
async fn wrong_values_are_refused(#[case] values: Value, #[case] part: &str) {
    let folder = tempfile::tempdir().unwrap();
    let values = file(&folder, "values.yaml", &values.to_string());
    let args = ["orders", "apps", &ci_values("minimal"), &values];
    let error = chart("template", &args).await.unwrap_err();
    assert!(error.contains(part), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[tokio::test]
async fn missing_endpoint_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let values = json!({"workloads": [{"deployment_name": "orders"}]});
    let values = file(&folder, "values.yaml", &values.to_string());
    let error = chart("template", &["orders", "apps", &values]).await;
    let error = error.unwrap_err();
    assert!(
        error.contains("settings.prometheus_endpoint is missing"),
        "{error}"
    );
}

/// Releases with two names in one namespace, and with one name in two namespaces, whose workloads are
/// in a third one.
#[tokio::test]
async fn releases_share_no_object() {
    let values = json!({
        "settings": {"prometheus_endpoint": "http://prometheus"},
        "workloads": [
            {"deployment_name": "own"},
            {"deployment_name": "other", "kube_namespace": "shared"},
        ],
    });
    let mut seen = BTreeSet::new();
    for (release, namespace) in [("one", "apps"), ("two", "apps"), ("one", "batch")] {
        for object in rendered(release, namespace, &values).await {
            let metadata = &object["metadata"];
            let text = |value: &Value| value.as_str().unwrap_or(namespace).to_owned();
            let key = (
                text(&object["kind"]),
                text(&metadata["namespace"]),
                text(&metadata["name"]),
            );
            assert!(seen.insert(key.clone()), "{key:?}");
        }
    }
    assert_eq!(seen.len(), 3 * 8);
}

/// Starts a Job of the CronJob, as `kubectl create job --from` does. Returns the output of its pod.
async fn run_now(ns: &TestNamespace, cron_job: &str, job: &str) -> Result<String> {
    let found = ns.api::<CronJob>().get(cron_job).await.unwrap();
    let template = found.spec.job_template;
    let mut started = Job {
        spec: template.spec,
        metadata: template.metadata.unwrap_or_default(),
        ..Job::default()
    };
    started.metadata.name = Some(job.to_owned());
    let params = PostParams::default();
    ns.api::<Job>().create(&params, &started).await.unwrap();
    Ok(ns.fired(job, &[]).await?.1)
}

/// The report, which follows the log.
fn report(log: &str) -> Value {
    let line = log.lines().find(|line| line.starts_with("{\"schema\""));
    serde_json::from_str(line.unwrap_or_else(|| panic!("no report in {log}"))).unwrap()
}

/// Applies a release to the namespaces of its objects.
async fn install(own: &TestNamespace, other: &TestNamespace, values: &Value) -> Result<()> {
    for object in rendered("orders", own.name(), values).await {
        let is_elsewhere = object["metadata"]["namespace"] == other.name();
        let ns = if is_elsewhere { other } else { own };
        // `helm test` creates the pod of the test.
        if object["kind"] != "Pod" {
            let subjects = object["subjects"].clone();
            let subject = subjects[0]["namespace"].as_str().unwrap_or(own.name());
            assert_eq!(subject, own.name());
            ns.apply_as_it_is(&object.to_string()).await?;
        }
    }
    Ok(())
}

/// Installation, test, dry run, upgrade to a run that acts, with workloads in two namespaces: all with the
/// account, the Roles, the configuration and the Secret of the release.
#[tokio::test]
async fn installed_chart_runs() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let other = TestNamespace::named(&format!("{}-other", ns.name())).await?;
    let consumer = skewed(&ns, WorkloadSpec::deployment("ingestion-consumer")).await?;
    let even = WorkloadSpec::deployment("even").loads([0.5; 3]);
    let even = other.create(even).await?;
    other.autoscale(&even, Target::Utilization(70)).await?;
    even.wait_measured().await?;
    let before = consumer.pods().await?;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tenant"},
        "stringData": {"headers": "X-Scope-OrgID=one"},
    });
    ns.apply(&secret.to_string()).await?;
    let mut values = json!({
        "suspend": true,
        "settings": {
            "prometheus_endpoint": "http://victoriametrics:8428",
            "metrics_time_window": "10s",
        },
        "workloads": [
            {"deployment_name": "ingestion-consumer"},
            {"deployment_name": "even", "kube_namespace": other.name()},
        ],
        "references": {"prometheus_headers": {"secret": "tenant", "key": "headers"}},
    });
    let notes = text_of("notes", "orders", ns.name(), &values).await;
    assert!(notes.contains("Runs are dry runs"), "{notes}");
    assert!(notes.contains("It is suspended"), "{notes}");
    install(&ns, &other, &values).await?;

    // The pod of `helm test` checks with the rights of the release.
    let objects = rendered("orders", ns.name(), &values).await;
    let pod = only(&objects, "Pod");
    assert_eq!(pod["metadata"]["annotations"]["helm.sh/hook"], "test");
    ns.apply(&pod.to_string()).await?;
    let (_, log) = ns.ended("orders-rebalancer-check").await?;
    assert!(log.contains("\u{2713} may create pods/eviction"), "{log}");
    assert!(log.contains(", 0 warnings, 0 errors"), "{log}");

    let log = run_now(&ns, "orders-rebalancer", "orders-dry").await?;
    let said = report(&log);
    assert_eq!(said["dry_run"], true, "{log}");
    let execution = &said["workloads"][0]["execution"];
    let message = "dry run: 4 of 4 pods would be evicted";
    assert_eq!(execution["message"], message, "{log}");
    let decision = &said["workloads"][1]["decision"];
    assert_eq!(decision["reason"], "within_tolerance", "{log}");
    assert_untouched(&consumer, &before).await?;

    values["dryRun"] = json!(false);
    let notes = text_of("notes", "orders", ns.name(), &values).await;
    assert!(notes.contains("Runs act."), "{notes}");
    install(&ns, &other, &values).await?;
    let log = run_now(&ns, "orders-rebalancer", "orders-act").await?;
    let execution = &report(&log)["workloads"][0]["execution"];
    assert_eq!(execution["message"], "4 of 4 pods evicted", "{log}");
    consumer.wait_ready().await?;

    // The Roles suffice, and the calls of the runs use all of their rights.
    let account = ns.account("orders-rebalancer").await?;
    let calls = ns.audit(&account)?;
    let refused: Vec<_> = calls.iter().filter(|call| call.code == 403).collect();
    assert!(refused.is_empty(), "{refused:?}");
    let used: BTreeSet<Right> = calls.iter().map(Right::from).collect();
    let roles = rendered("orders", ns.name(), &values).await;
    for (namespace, verb, group, resource, _) in granted(&roles) {
        if namespace == ns.name() {
            let right = Right {
                verb,
                group,
                resource,
            };
            assert!(
                used.contains(&right),
                "{right} is granted and not used: {used:?}"
            );
        }
    }
    Ok(())
}
