//! The Helm chart: rendered by the libraries of Helm, applied to the API server, and run there.

use std::collections::{BTreeSet, HashMap};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;

use ::harness::http::get;
use ::harness::process::free_port;
use ::harness::wait::{self, Look};
use ::harness::{MetricsServer, Result, Right, Target, TestNamespace, WorkloadSpec, assets};
use k8s_openapi::api::{
    apps::v1::Deployment,
    batch::v1::{CronJob, Job},
    coordination::v1::Lease,
    core::v1::Pod,
    rbac::v1::Role,
};
use kube::{
    ResourceExt as _,
    api::{DeleteParams, ListParams, PostParams},
};
use rebalancer_cli::settings::{Settings, Sources};
use rebalancer_k8s::Importance;
use rstest::rstest;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::support::installers::{chart, file, in_repository, objects, only, pod_of};
use crate::support::monitoring;
use crate::support::{assert_untouched, skewed, tools};

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

/// The rights of the leader among the replicas of a Deployment. RBAC cannot restrict a creation to
/// a name.
fn needed_to_lead(namespace: &str, lease: &str) -> BTreeSet<Granted> {
    let right = |verb: &str, name: Option<&str>| {
        let (group, resource) = ("coordination.k8s.io".to_owned(), "leases".to_owned());
        let name = name.map(ToOwned::to_owned);
        (namespace.to_owned(), verb.to_owned(), group, resource, name)
    };
    let rights = [
        right("get", Some(lease)),
        right("update", Some(lease)),
        right("create", None),
    ];
    rights.into()
}

#[rstest]
#[case("minimal")]
#[case("full")]
#[case("deployment")]
#[tokio::test]
async fn chart_passes_lint(#[case] values: &str) {
    chart("lint", &[&ci_values(values)]).await.unwrap();
}

/// Every combination of the settings that decide about rights, each in a namespace of its own, and
/// all of them in one namespace.
#[rstest]
#[case("CronJob", false, false)]
#[case("CronJob", true, false)]
#[case("CronJob", false, true)]
#[case("Deployment", false, false)]
#[tokio::test]
async fn roles_grant_what_the_settings_need(
    #[case] mode: &str,
    #[case] keda: bool,
    #[case] together: bool,
) {
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
            if bits % 3 == 0 {
                workload["max_evictions_per_day"] = json!(6);
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
        "mode": mode,
    });
    let objects = rendered("orders", "apps", &values).await;
    let settings = settings(&objects, &[]);
    assert_eq!(settings.workloads.len(), workloads.len());
    let granted = granted(&objects);
    let mut needed = needed(&settings, keda);
    if mode == "Deployment" {
        needed.extend(needed_to_lead("apps", "orders-rebalancer"));
    }
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

/// A Deployment has the settings that need a new pod as variables, and all others in the file.
#[tokio::test]
async fn deployment_reads_the_schedule_from_the_file() {
    let text = std::fs::read_to_string(ci_values("deployment")).unwrap();
    let mut values: Value = serde_saphyr::from_str(&text).unwrap();
    let objects = rendered("orders", "apps", &values).await;
    assert!(objects.iter().all(|object| object["kind"] != "CronJob"));
    let deployment = only(&objects, "Deployment");
    let template = &deployment["spec"]["template"];
    assert!(template["metadata"]["annotations"].is_null(), "{template}");
    assert_eq!(template["spec"]["restartPolicy"], "Always");
    assert_eq!(template["spec"]["containers"][0]["args"], json!(["serve"]));
    let variables = &template["spec"]["containers"][0]["env"];
    let variables = variables.as_array().unwrap().iter();
    let variables: HashMap<&str, &str> = variables
        .map(|variable| {
            let text = |key: &str| variable[key].as_str().unwrap();
            (text("name"), text("value"))
        })
        .collect();
    let config = variables["REBALANCER_CONFIG"];
    let expected = [
        ("REBALANCER_CONFIG", config),
        ("LISTEN_ADDRESS", "[::]:8080"),
        ("LEADER_ELECTION", "true"),
        ("LEADER_ELECTION_LEASE", "orders-rebalancer"),
    ];
    assert_eq!(variables, expected.into());
    let config = only(&objects, "ConfigMap")["data"]["config.yaml"].as_str();
    let config: Value = serde_saphyr::from_str(config.unwrap()).unwrap();
    let schedule = "*/15 6-20 * * MON-FRI Europe/Berlin";
    assert_eq!(config["schedule"], schedule);

    // Service and monitor select the pods of the Deployment, and not that of `helm test`.
    let labels = &template["metadata"]["labels"];
    let service = only(&objects, "Service");
    let monitor = only(&objects, "ServiceMonitor");
    for selector in [
        &deployment["spec"]["selector"]["matchLabels"],
        &service["spec"]["selector"],
    ] {
        assert_eq!(selector, labels);
        let of_the_test = &only(&objects, "Pod")["metadata"]["labels"];
        assert_ne!(
            selector["app.kubernetes.io/component"],
            of_the_test["app.kubernetes.io/component"]
        );
    }
    for (label, value) in monitor["spec"]["selector"]["matchLabels"]
        .as_object()
        .unwrap()
    {
        assert_eq!(&service["metadata"]["labels"][label], value);
    }
    let port = &template["spec"]["containers"][0]["ports"][0];
    for name in [
        &service["spec"]["ports"][0]["targetPort"],
        &template["spec"]["containers"][0]["readinessProbe"]["httpGet"]["port"],
    ] {
        assert_eq!(name, &port["name"]);
    }
    let endpoint = &monitor["spec"]["endpoints"][0];
    assert_eq!(endpoint["port"], service["spec"]["ports"][0]["name"]);

    // Without a leader, the old pod has to end first.
    assert_eq!(deployment["spec"]["strategy"]["type"], "RollingUpdate");
    values["leaderElection"] = json!(false);
    values["replicas"] = json!(1);
    let objects = rendered("orders", "apps", &values).await;
    let deployment = only(&objects, "Deployment");
    assert_eq!(deployment["spec"]["strategy"]["type"], "Recreate");
    let granted = granted(&objects);
    assert!(
        granted.is_disjoint(
            &needed_to_lead("apps", "orders-rebalancer")
                .into_iter()
                .filter(|right| right.4.is_some())
                .collect()
        )
    );
    values["suspend"] = json!(true);
    let objects = rendered("orders", "apps", &values).await;
    assert_eq!(only(&objects, "Deployment")["spec"]["replicas"], 0);
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

/// The rules for the Prometheus Operator are those that promtool tests, with links to the copy of
/// the documentation.
#[tokio::test]
async fn prometheus_rule_has_the_alert_rules() {
    let text = std::fs::read_to_string(ci_values("full")).unwrap();
    let values: Value = serde_saphyr::from_str(&text).unwrap();
    let objects = rendered("orders", "apps", &values).await;
    let rule = only(&objects, "PrometheusRule");
    assert_eq!(rule["metadata"]["labels"]["release"], "prometheus");
    let rules = std::fs::read_to_string(in_repository("deploy/monitoring/rules.yaml")).unwrap();
    let linked = rules.replace(
        "runbook_url: docs/",
        "runbook_url: https://git.example.org/rebalancer/blob/main/docs/",
    );
    assert_ne!(linked, rules);
    let expected: Value = serde_saphyr::from_str(&linked).unwrap();
    assert_eq!(rule["spec"], expected);
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
#[case::unknown_mode(json!({"mode": "StatefulSet"}), "mode")]
#[case::several_actors(
    json!({"mode": "Deployment", "replicas": 2, "leaderElection": false}),
    "each replica would run the schedule"
)]
#[case::scrape_of_a_cron_job(json!({"podMonitor": {"enabled": true}}), "needs mode: Deployment")]
#[case::monitor_without_service(
    json!({"mode": "Deployment", "serviceMonitor": {"enabled": true}}),
    "serviceMonitor.enabled needs service.enabled"
)]
#[case::runbook_without_slash(
    json!({"prometheusRule": {"runbookBaseUrl": "https://git.example.org/main"}}),
    "runbookBaseUrl"
)]
#[case::address_by_the_port(json!({"settings": {"listen_address": "127.0.0.1:1"}}), "listen_address")]
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

/// Releases with two names in one namespace, and with one name in two namespaces, whose workloads
/// are in a third one.
#[rstest]
#[case(json!({}), 8)]
#[case(
    json!({
        "mode": "Deployment",
        "service": {"enabled": true},
        "podMonitor": {"enabled": true},
        "serviceMonitor": {"enabled": true},
    }),
    13
)]
#[tokio::test]
async fn releases_share_no_object(#[case] mode: Value, #[case] count: usize) {
    let mut values = json!({
        "settings": {"prometheus_endpoint": "http://prometheus"},
        "workloads": [
            {"deployment_name": "own"},
            {"deployment_name": "other", "kube_namespace": "shared"},
        ],
    });
    values
        .as_object_mut()
        .unwrap()
        .extend(mode.as_object().unwrap().clone());
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
    assert_eq!(seen.len(), 3 * count);
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

/// Installation, test, dry run, upgrade to a run that acts, with workloads in two namespaces: all
/// with the account, the Roles, the configuration and the Secret of the release.
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
    // Values that a later chart adds keep their defaults.
    assert!(
        notes.contains("--reset-then-reuse-values --set dryRun=false"),
        "{notes}"
    );
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

/// Waits until a query has a result. Returns its value.
async fn found(server: &MetricsServer, query: &str) -> Result<f64> {
    // A run is due within a minute.
    let (deadline, pause) = (Duration::from_secs(180), Duration::from_millis(500));
    wait::until(query, deadline, pause, async || {
        let found = server.by_label("job", query).await?;
        Ok(match found.values().next() {
            Some(value) => Look::Done(*value),
            None => Look::Not("no series".to_owned()),
        })
    })
    .await
}

/// The pod of the Deployment, once it is ready.
async fn ready_pod(ns: &TestNamespace, deployment: &str) -> Result<Pod> {
    let (deadline, pause) = (Duration::from_secs(60), Duration::from_millis(200));
    wait::until("a ready pod", deadline, pause, async || {
        let found = ns.api::<Deployment>().get(deployment).await.unwrap();
        let status = found.status.unwrap_or_default();
        if status.ready_replicas != Some(1) {
            return Ok(Look::Not(format!("{status:?}")));
        }
        let params = ListParams::default().labels("app.kubernetes.io/component=serve");
        let pods = ns.api::<Pod>().list(&params).await.unwrap();
        Ok(Look::Done(pods.items.into_iter().next().unwrap()))
    })
    .await
}

/// The resident process: installed as a dry run, scraped by Prometheus, upgraded to act without a
/// restart, given an invalid configuration, and removed. All of it with the account of the release.
#[tokio::test]
async fn installed_deployment_runs_on_schedule() -> Result<()> {
    let ns = TestNamespace::start().await?;
    let consumer = skewed(&ns, WorkloadSpec::deployment("ingestion-consumer")).await?;
    let before = consumer.pods().await?;
    // The containers of the tests share the network of the host.
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
    let mut values = json!({
        "mode": "Deployment",
        "port": address.port(),
        "schedule": "* * * * *",
        "settings": {
            "prometheus_endpoint": "http://victoriametrics:8428",
            "metrics_time_window": "10s",
        },
        "workloads": [{"deployment_name": "ingestion-consumer"}],
        "service": {"enabled": true},
    });
    install(&ns, &ns, &values).await?;
    let name = "orders-rebalancer";
    let pod = ready_pod(&ns, name).await?;
    let container = &pod.spec.as_ref().unwrap().containers[0];
    for probe in [&container.liveness_probe, &container.readiness_probe] {
        let action = probe.as_ref().unwrap().http_get.as_ref().unwrap();
        let (status, body) = get(address, action.path.as_ref().unwrap()).await?;
        assert_eq!(status, 200, "{body}");
    }
    let rules = monitoring::path("rules.yaml");
    let prometheus = MetricsServer::scraping(address, &[rules.as_path()]).await?;
    found(&prometheus, "rebalancer_leader == 1").await?;
    let planned = "rebalancer_last_run_result{result=\"planned\"} == 1";
    found(&prometheus, planned).await?;
    found(&prometheus, "rebalancer_planned_evictions == 4").await?;
    assert_untouched(&consumer, &before).await?;
    let lease = ns.api::<Lease>().get(name).await.unwrap();
    let holder = lease.spec.unwrap().holder_identity.unwrap();
    assert!(holder.contains(&pod.name_any()), "{holder}");

    // The same process reads the changed ConfigMap, and its next run acts.
    let since = "rebalancer_config_last_reload_success_timestamp_seconds";
    let read = found(&prometheus, since).await?;
    values["dryRun"] = json!(false);
    install(&ns, &ns, &values).await?;
    found(&prometheus, &format!("{since} > {read}")).await?;
    let acted = "rebalancer_last_run_result{result=\"acted\"} == 1";
    found(&prometheus, acted).await?;
    assert_eq!(ready_pod(&ns, name).await?.uid(), pod.uid());
    consumer.wait_ready().await?;
    for query in monitoring::queries_about_serve() {
        let query = query
            .replace("$namespace", ns.name())
            .replace("$workload", "ingestion-consumer")
            .replace("$lookback", "1h");
        let value = found(&prometheus, &query).await?;
        assert!(value.is_finite(), "{query}: {value}");
    }

    // An invalid configuration changes nothing but the metric, and raises the alert.
    let mut config = only(&rendered("orders", ns.name(), &values).await, "ConfigMap").clone();
    let firing = "ALERTS{alertname=~\"Rebalancer(NoLeader|ConfigReloadFailed)\"}";
    assert_eq!(prometheus.by_label("alertname", firing).await?.len(), 0);
    config["data"]["config.yaml"] = json!("tolerance_multiplier: none\n");
    ns.apply(&config.to_string()).await?;
    found(&prometheus, firing).await?;
    let alerts = prometheus.by_label("alertname", firing).await?;
    assert!(
        alerts.contains_key("RebalancerConfigReloadFailed"),
        "{alerts:?}"
    );
    let (status, body) = get(address, "/healthz").await?;
    assert_eq!(status, 200, "{body}");

    // The Roles suffice, and the calls use all of their rights.
    let account = ns.account(name).await?;
    let calls = ns.audit(&account)?;
    let refused: Vec<_> = calls.iter().filter(|call| call.code == 403).collect();
    assert!(refused.is_empty(), "{refused:?}");
    let used: BTreeSet<Right> = calls.iter().map(Right::from).collect();
    let roles = rendered("orders", ns.name(), &values).await;
    for (_, verb, group, resource, _) in granted(&roles) {
        let right = Right {
            verb,
            group,
            resource,
        };
        assert!(used.contains(&right), "{right} is not used: {used:?}");
    }

    let follow = format!("kubectl logs -n {} -f {}", ns.name(), pod.name_any());
    let mut followed = tools::shell_with_kubectl(ns.dir())
        .args(["-c", &follow])
        .env("KUBECONFIG", ns.control_plane().admin_kubeconfig())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(followed.stdout.take().unwrap()).lines();
    let first = lines.next_line().await.unwrap();

    // As `helm uninstall` and a drain do: SIGTERM, and the Lease is free.
    let params = DeleteParams::background();
    ns.api::<Deployment>().delete(name, &params).await.unwrap();
    let (code, log) = ns.stopped(&pod).await?;
    assert_eq!(code, 0, "{log}");
    let mut shown = first.into_iter().collect::<Vec<_>>();
    while let Some(line) = lines.next_line().await.unwrap() {
        shown.push(line);
    }
    assert_eq!(shown, log.lines().collect::<Vec<_>>());
    assert!(followed.wait().await.unwrap().success(), "{follow}");
    let lease = ns.api::<Lease>().get(name).await.unwrap();
    let holder = lease.spec.unwrap().holder_identity;
    assert!(holder.is_none_or(|holder| holder.is_empty()), "{log}");
    Ok(())
}
