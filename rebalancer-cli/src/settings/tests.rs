use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use rebalancer_core::model::MaxUnavailable;
use rebalancer_core::policy::{ExecutionPolicy, Policy, Strategy};
use rebalancer_k8s::Autoscalers;
use rstest::rstest;

use super::file::GivenFile;
use super::*;

const REQUIRED: [(&str, &str); 3] = [
    ("PROMETHEUS_ENDPOINT", "http://prometheus:9090"),
    ("KUBE_NAMESPACE", "posthog"),
    ("DEPLOYMENT_NAME", "ingestion"),
];

fn map(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect()
}

fn read(
    file: Option<&Path>,
    env: &[(&str, &str)],
    flags: &[(&str, &str)],
) -> Result<Settings, String> {
    let lines = |errors: &[SettingsError]| {
        errors
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    };
    Sources::read(file, &map(env), &map(flags))
        .map_err(|error| lines(&[error]))?
        .settings()
        .map_err(|errors| lines(&errors))
}

fn with(extra: &[(&str, &str)]) -> Result<Settings, String> {
    let mut env = REQUIRED.to_vec();
    env.extend_from_slice(extra);
    read(None, &env, &[])
}

fn file(extension: &str, text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new()
        .suffix(extension)
        .tempfile()
        .unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[test]
fn required_settings_suffice_and_defaults_match_the_core() {
    let settings = with(&[]).unwrap();
    let workload = &settings.workloads[0];
    assert_eq!(
        workload.workload().to_string(),
        "Deployment posthog/ingestion"
    );
    assert_eq!(workload.kubernetes.container, "ingestion");
    assert_eq!(workload.kubernetes.label_selector, None);
    assert_eq!(workload.policy, Policy::default());
    assert_eq!(workload.execution, ExecutionPolicy::default());
    assert_eq!(workload.prometheus.timeout, Duration::from_secs(30));
    assert_eq!(workload.prometheus.window, Duration::from_secs(300));
    assert!(!settings.is_dry_run());
}

#[test]
fn derived_defaults_follow_the_window() {
    let settings = with(&[("METRICS_TIME_WINDOW", "10s")]).unwrap();
    let policy = settings.workloads[0].policy;
    assert_eq!(policy.minimum_pod_age_seconds.get(), 10.0);
    assert_eq!(policy.cooldown_seconds.get(), 10.0);
    assert_eq!(policy.maximum_sample_age_seconds.get(), 5.0);
}

#[test]
fn empty_variable_counts_as_absent() {
    let settings = with(&[("HPA_PREFIX", ""), ("TOLERANCE_MULTIPLIER", "")]).unwrap();
    assert_eq!(format!("{settings:?}"), format!("{:?}", with(&[]).unwrap()));
}

#[rstest]
#[case("PROMETHEUS_ENDPOINT", "prometheus:9090")]
#[case("PROMETHEUS_ENDPOINT", "ftp://prometheus")]
#[case("PROMETHEUS_TIMEOUT", "30")]
#[case("PROMETHEUS_TIMEOUT", "0s")]
#[case("METRICS_TIME_WINDOW", "5 minutes")]
#[case("METRICS_TIME_WINDOW", "0")]
#[case("REBALANCE_TOP_K_PODS", "0")]
#[case("REBALANCE_TOP_K_PODS", "two")]
#[case("REBALANCE_TOP_K_PODS", "-1")]
#[case("TOLERANCE_MULTIPLIER", "0.9")]
#[case("TOLERANCE_MULTIPLIER", "NaN")]
#[case("TOLERANCE_MULTIPLIER", "inf")]
#[case("MINIMUM_IMPROVEMENT_PERCENT", "101")]
#[case("MINIMUM_IMPROVEMENT_PERCENT", "-1")]
#[case("MINIMUM_IMPROVEMENT_PERCENT", "10%")]
#[case("MINIMUM_PODS_REQUIRED", "0")]
#[case("MINIMUM_PODS_REQUIRED", "2.5")]
#[case("DRY_RUN", "maybe")]
#[case("LOG_LEVEL", "loud")]
#[case("LOG_FORMAT", "xml")]
#[case("OUTPUT", "csv")]
#[case("WORKLOAD_KIND", "DaemonSet")]
#[case("WORKLOAD_KIND", "Rollout.v1alpha1")]
#[case("TARGET_CORES", "0")]
#[case("TARGET_CORES", "700m")]
#[case("TARGET_SOURCE", "datadog")]
#[case("STRATEGY", "random")]
#[case("EVICTION_METHOD", "kill")]
#[case("EVICTION_TIMEOUT", "soon")]
#[case("READY_TIMEOUT", "0s")]
#[case("MAX_UNAVAILABLE", "0")]
#[case("MAX_UNAVAILABLE", "150%")]
#[case("GRACE_PERIOD", "1500ms")]
#[case("GRACE_PERIOD", "0s")]
#[case("MINIMUM_POD_AGE", "old")]
#[case("COOLDOWN", "-1s")]
#[case("MINIMUM_COVERAGE_PERCENT", "200")]
#[case("MAXIMUM_SAMPLE_AGE", "0s")]
#[case("PROMETHEUS_HEADERS", "X-Scope-OrgID")]
#[case("PROMETHEUS_USERNAME", "me")]
#[case("PROMETHEUS_PASSWORD_FILE", "/password")]
#[case("FRESHNESS_QUERY", "1")]
fn invalid_value_is_one_line_that_names_its_variable(#[case] env: &str, #[case] text: &str) {
    let errors = with(&[(env, text)]).unwrap_err();
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert!(errors.starts_with(&format!("{env}: ")), "{errors}");
}

#[rstest]
#[case("statefulset", "StatefulSet posthog/ingestion")]
#[case("Deployment.v1.apps", "Deployment posthog/ingestion")]
#[case(
    "ReplicationController.v1",
    "ReplicationController.v1 posthog/ingestion"
)]
#[case(
    "Rollout.v1alpha1.argoproj.io",
    "Rollout.v1alpha1.argoproj.io posthog/ingestion"
)]
fn accepts_every_workload_kind_of_the_adapter(#[case] kind: &str, #[case] workload: &str) {
    let settings = with(&[("WORKLOAD_KIND", kind)]).unwrap();
    assert_eq!(settings.workloads[0].workload().to_string(), workload);
}

#[test]
fn reports_all_errors_at_once() {
    let errors = read(
        None,
        &[("TOLERANCE_MULTIPLIER", "0"), ("DRY_RUN", "maybe")],
        &[],
    )
    .unwrap_err();
    for name in [
        "PROMETHEUS_ENDPOINT is required",
        "KUBE_NAMESPACE is required",
        "DEPLOYMENT_NAME is required",
        "TOLERANCE_MULTIPLIER: ",
        "DRY_RUN: ",
    ] {
        assert!(errors.contains(name), "{errors}");
    }
    assert_eq!(errors.lines().count(), 5, "{errors}");
}

#[test]
fn invalid_header_is_not_shown() {
    let errors = with(&[("PROMETHEUS_HEADERS", "A=b,s3cret")]).unwrap_err();
    assert!(errors.contains("pair number 2"), "{errors}");
    assert!(!errors.contains("s3cret"), "{errors}");
}

#[test]
fn debug_shows_no_header_values() {
    let settings = with(&[("PROMETHEUS_HEADERS", "X-Scope-OrgID=s3cret")]).unwrap();
    let shown = format!("{settings:?}");
    assert!(shown.contains("X-Scope-OrgID") && !shown.contains("s3cret"));
}

#[rstest]
#[case(
    ".yaml",
    "max_unavailable: 25%\ndry_run: true\ntolerance_multiplier: 2\nprometheus_headers:\n  X-Scope-OrgID: tenant\n"
)]
#[case(
    ".toml",
    "max_unavailable = \"25%\"\ndry_run = true\ntolerance_multiplier = 2\n[prometheus_headers]\nX-Scope-OrgID = \"tenant\"\n"
)]
fn flags_override_environment_which_overrides_file(#[case] extension: &str, #[case] text: &str) {
    let file = file(extension, text);
    let mut env = REQUIRED.to_vec();
    let settings = read(Some(file.path()), &env, &[]).unwrap();
    let workload = &settings.workloads[0];
    assert!(settings.is_dry_run());
    assert_eq!(workload.policy.max_unavailable.to_string(), "25%");
    assert_eq!(workload.policy.tolerance.get(), 2.0);
    assert_eq!(workload.prometheus.headers.len(), 1);
    assert_eq!(workload.prometheus.headers[0].1, "tenant");

    env.push(("TOLERANCE_MULTIPLIER", "3"));
    let settings = read(Some(file.path()), &env, &[]).unwrap();
    assert_eq!(settings.workloads[0].policy.tolerance.get(), 3.0);

    let settings = read(Some(file.path()), &env, &[("tolerance_multiplier", "4")]).unwrap();
    assert_eq!(settings.workloads[0].policy.tolerance.get(), 4.0);
}

#[test]
fn error_names_the_flag_or_the_key() {
    let errors = read(None, &REQUIRED, &[("max_unavailable", "0")]).unwrap_err();
    assert!(errors.starts_with("--max-unavailable: "), "{errors}");
    let file = file(".yaml", "max_unavailable: none\n");
    let errors = read(Some(file.path()), &REQUIRED, &[]).unwrap_err();
    assert!(errors.starts_with("`max_unavailable` in /"), "{errors}");
}

#[rstest]
#[case("tolerence_multiplier: 2\n", "did you mean `tolerance_multiplier`?")]
#[case("workload:\n  - kube_namespace: a\n", "did you mean `workloads`?")]
#[case("zzz: 2\n", "unknown key `zzz`")]
#[case("workloads: []\n", "`workloads` is empty")]
#[case("workloads: [1]\n", "not a table of settings")]
#[case(
    "workloads:\n  - kube_context: a\n",
    "`kube_context` applies to the whole run"
)]
#[case("dry_run: [true]\n", "`dry_run` must be a single value")]
#[case(
    "prometheus_headers: {A: b, C: [d]}\n",
    "each entry of `prometheus_headers` must have a single value"
)]
#[case(
    "prometheus_headers:\n  X-Scope-OrgID:\n",
    "each entry of `prometheus_headers` must have a single value"
)]
#[case("a: b: c\n", "cannot use the configuration file")]
#[case("dry_run:\n", "`dry_run` has no value")]
#[case("DRY_RUN: true\n", "did you mean `dry_run`?")]
#[case(
    "\"workloads[20000000]\": 1\n",
    "`workloads[20000000]` cannot be a key"
)]
fn refuses_malformed_files(#[case] text: &str, #[case] expected: &str) {
    let file = file(".yaml", text);
    let errors = read(Some(file.path()), &REQUIRED, &[]).unwrap_err();
    assert!(errors.contains(expected), "{errors}");
}

#[rstest]
#[case::alone(&[("DRYRUN", "true")], true)]
#[case::empty(&[("DRYRUN", "")], false)]
#[case::of_another_program(&[("DRYRUN", "true"), ("DRY_RUN", "false")], false)]
#[case::with_an_empty_setting(&[("DRYRUN", "true"), ("DRY_RUN", "")], true)]
fn misspelt_variable_is_an_error(#[case] extra: &[(&str, &str)], #[case] refused: bool) {
    let result = with(extra);
    if refused {
        assert_eq!(
            result.unwrap_err(),
            "the environment contains DRYRUN, which is not a setting: did you mean DRY_RUN? If \
             DRYRUN belongs to another program, unset it, or set DRY_RUN as well"
        );
    } else {
        assert!(!result.unwrap().is_dry_run());
    }
}

#[test]
fn flag_confirms_that_a_similar_variable_is_of_another_program() {
    let mut env = REQUIRED.to_vec();
    env.push(("DRYRUN", "true"));
    assert!(
        read(None, &env, &[("dry_run", "true")])
            .unwrap()
            .is_dry_run()
    );
}

#[test]
fn missing_file_is_named() {
    let errors = read(Some(Path::new("/nowhere/r.yaml")), &REQUIRED, &[]).unwrap_err();
    assert!(
        errors.starts_with("cannot read the configuration file /nowhere/r.yaml"),
        "{errors}"
    );
}

#[test]
fn entries_override_the_common_settings() {
    let file = file(
        ".yaml",
        "prometheus_endpoint: http://vm:8428\nkube_namespace: posthog\nmax_unavailable: 1\n\
         workloads:\n  - deployment_name: a\n  - deployment_name: b\n    workload_kind: StatefulSet\n    max_unavailable: all\n",
    );
    let settings = read(Some(file.path()), &[], &[]).unwrap();
    let names: Vec<String> = settings
        .workloads
        .iter()
        .map(|settings| settings.workload().to_string())
        .collect();
    assert_eq!(names, ["Deployment posthog/a", "StatefulSet posthog/b"]);
    assert_eq!(
        settings.workloads[0].policy.max_unavailable.to_string(),
        "1"
    );
    assert_eq!(
        settings.workloads[1].policy.max_unavailable,
        MaxUnavailable::All
    );
}

#[rstest]
#[case::default("", &[], &[], 1.5)]
#[case::file("tolerance_multiplier: 2\n", &[], &[], 2.0)]
#[case::environment("tolerance_multiplier: 2\n", &[("TOLERANCE_MULTIPLIER", "3")], &[], 3.0)]
#[case::entry(
    "tolerance_multiplier: 2\nworkloads: [{tolerance_multiplier: 4}]\n",
    &[("TOLERANCE_MULTIPLIER", "3")], &[], 4.0
)]
#[case::flag(
    "tolerance_multiplier: 2\nworkloads: [{tolerance_multiplier: 4}]\n",
    &[("TOLERANCE_MULTIPLIER", "3")], &[("tolerance_multiplier", "5")], 5.0
)]
fn flags_override_entries_which_override_environment_and_file(
    #[case] text: &str,
    #[case] extra: &[(&str, &str)],
    #[case] flags: &[(&str, &str)],
    #[case] expected: f64,
) {
    let file = file(".yaml", text);
    let mut env = REQUIRED.to_vec();
    env.extend_from_slice(extra);
    let settings = read(Some(file.path()), &env, flags).unwrap();
    assert_eq!(settings.workloads[0].policy.tolerance.get(), expected);
}

#[rstest]
#[case::canary("false", [true, false])]
#[case::of_one("true", [true, true])]
fn each_entry_can_be_a_dry_run(#[case] second: &str, #[case] dry_runs: [bool; 2]) {
    let text = format!(
        "workloads:\n  - {{deployment_name: a}}\n  - {{deployment_name: b, dry_run: {second}}}\n"
    );
    let file = file(".yaml", &text);
    let mut env = REQUIRED.to_vec();
    env.push(("DRY_RUN", "true"));
    let of = |settings: &Settings| [0, 1].map(|index| settings.workloads[index].execution.dry_run);
    let settings = read(Some(file.path()), &env, &[]).unwrap();
    assert_eq!(of(&settings), dry_runs);
    assert_eq!(settings.is_dry_run(), dry_runs == [true, true]);
    let settings = read(Some(file.path()), &env, &[("dry_run", "true")]).unwrap();
    assert_eq!(of(&settings), [true, true]);
}

#[test]
fn limit_of_evictions_makes_workloads_run_one_after_the_other() {
    assert_eq!(with(&[]).unwrap().concurrency(), 4);
    let settings = with(&[("MAX_CONCURRENT_WORKLOADS", "9")]).unwrap();
    assert_eq!(settings.concurrency(), 9);
    assert_eq!(with(&[("MAX_EVICTIONS", "5")]).unwrap().concurrency(), 1);
}

#[test]
fn reports_errors_of_keys_and_values_together() {
    let file = file(".yaml", "colour: red\n");
    let mut env = REQUIRED.to_vec();
    env.extend([("OUTPUT", "xml"), ("TOLERANCE_MULTIPLIER", "0")]);
    let errors = read(Some(file.path()), &env, &[]).unwrap_err();
    for name in ["colour", "OUTPUT", "TOLERANCE_MULTIPLIER"] {
        assert!(errors.contains(name), "{errors}");
    }
}

#[rstest]
#[case(
    ".yaml",
    "prometheus_headers: \"Authorization=Bearer TOPSECRET\"\nbroken: [\n"
)]
#[case(
    ".toml",
    "prometheus_headers = \"Authorization=Bearer TOPSECRET\"\nbroken = [\n"
)]
#[case(".toml", "prometheus_headers = \"Authorization=Bearer TOPSECRET\n")]
#[case(".yaml", "prometheus_headers: \"Authorization=Bearer TOPSECRET\n")]
fn unparsable_file_is_not_quoted(#[case] extension: &str, #[case] text: &str) {
    let file = file(extension, text);
    let errors = read(Some(file.path()), &REQUIRED, &[]).unwrap_err();
    assert!(
        errors.starts_with("cannot use the configuration file"),
        "{errors}"
    );
    assert!(!errors.contains("TOPSECRET"), "{errors}");
}

#[rstest]
#[case::of_the_environment(
    "workloads: [{}, {max_unavailable: 1}]\n",
    &[],
    "Deployment posthog/ingestion is listed more than once; the name is that of DEPLOYMENT_NAME in \
     the environment, which applies to every entry without `deployment_name`"
)]
#[case::of_a_flag(
    "workloads: [{deployment_name: a}, {deployment_name: b}]\n",
    &[("deployment_name", "c")],
    "Deployment posthog/c is listed more than once; the name is that of --deployment-name, which \
     overrides every entry"
)]
#[case::of_the_file(
    "workloads: [{deployment_name: a}, {deployment_name: a}]\n",
    &[],
    "`workloads`: Deployment posthog/a is listed more than once"
)]
fn refuses_duplicate_workloads(
    #[case] text: &str,
    #[case] flags: &[(&str, &str)],
    #[case] message: &str,
) {
    let file = file(".yaml", text);
    let errors = read(Some(file.path()), &REQUIRED, flags).unwrap_err();
    assert!(errors.ends_with(message), "{errors}");
}

#[rstest]
#[case::yaml(
    ".yaml",
    "prometheus_headers:\n  X-List: 'a, b=c,d'\n  Accept-Language: de\n"
)]
#[case::toml(
    ".toml",
    "[prometheus_headers]\nX-List = \"a, b=c,d\"\nAccept-Language = \"de\"\n"
)]
fn header_values_of_a_table_may_contain_commas(#[case] extension: &str, #[case] text: &str) {
    let file = file(extension, text);
    let settings = read(Some(file.path()), &REQUIRED, &[]).unwrap();
    let headers = &settings.workloads[0].prometheus.headers;
    let pairs: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.as_str()))
        .collect();
    assert_eq!(
        pairs,
        [
            ("accept-language".to_owned(), "de"),
            ("x-list".to_owned(), "a, b=c,d")
        ]
    );
}

#[test]
fn environment_overrides_the_table_of_headers() {
    let file = file(".yaml", "prometheus_headers: {A: of-the-file}\n");
    let mut env = REQUIRED.to_vec();
    env.push(("PROMETHEUS_HEADERS", "B=b,C=c"));
    let settings = read(Some(file.path()), &env, &[]).unwrap();
    let headers = &settings.workloads[0].prometheus.headers;
    let expected = [("B", "b"), ("C", "c")].map(|(name, value)| (name.into(), value.into()));
    assert_eq!(headers, &expected);
}

#[rstest]
#[case::table("prometheus_headers: {X-Api-Key: TOPSECRET}\n", &[])]
#[case::of_a_workload("workloads: [{prometheus_headers: {X-Api-Key: TOPSECRET}}]\n", &[])]
#[case::text("prometheus_headers: X-Api-Key=TOPSECRET\n", &[])]
#[case::environment("", &[("PROMETHEUS_HEADERS", "X-Api-Key=TOPSECRET")])]
fn debug_of_sources_shows_no_secret(#[case] text: &str, #[case] env: &[(&str, &str)]) {
    let file = file(".yaml", text);
    let given = GivenFile::read(file.path()).unwrap();
    let mut shown = format!("{given:?}");
    let sources = Sources::of(Some(given), &map(env), &map(&[])).unwrap();
    shown.push_str(&format!("{sources:?}"));
    assert!(shown.contains("PROMETHEUS_HEADERS"), "{shown}");
    assert!(!shown.contains("TOPSECRET"), "{shown}");
}

#[test]
fn no_group_setting_means_no_group() {
    let workload = &with(&[]).unwrap().workloads[0];
    assert_eq!(workload.group, None);
    assert_eq!(workload.prometheus.group, None);
}

#[test]
fn group_settings_are_read() {
    let settings = with(&[
        ("GROUP_ID", "orders"),
        ("GROUP_METRICS", "consumer, kafka-exporter"),
        ("GROUP_ASSIGNOR", "uniform"),
        ("GROUP_PROTOCOL", "consumer"),
        ("STRATEGY", "forecast"),
        ("COOLDOWN", "1m"),
    ])
    .unwrap();
    let workload = &settings.workloads[0];
    let source = workload.prometheus.group.as_ref().unwrap();
    assert_eq!(source.metrics.len(), 2);
    assert_eq!(source.cooldown, Duration::from_secs(60));
    let group = workload.group.as_ref().unwrap();
    assert_eq!(group.id.as_deref(), Some("orders"));
    assert_eq!(
        group.assignor.map(|assignor| assignor.as_str()),
        Some("uniform")
    );
}

#[rstest]
#[case(&[("GROUP_METRICS", "consumer")], "GROUP_ID must be set as well")]
#[case(&[("GROUP_ID", "g"), ("GROUP_METRICS", "burrow")], "`burrow` is not one of")]
#[case(
    &[("GROUP_ID", "g"), ("GROUP_METRICS", "kafka-exporter")],
    "kafka-exporter does not provide the owners of the partitions: set GROUP_ASSIGNMENT_QUERY"
)]
#[case(&[("GROUP_RATE_QUERY", "q")], "no setting provides the owners of the partitions")]
#[case(&[("STRATEGY", "forecast")], "forecast needs the owners of the partitions")]
#[case(
    &[("GROUP_ASSIGNOR", "uniform")],
    "there is no uniform in a group with GROUP_PROTOCOL=classic and GROUP_CLIENT=java"
)]
#[case(&[("GROUP_ASSIGNOR", "random")], "`random` is not one of auto, range, roundrobin")]
fn refuses_contradictory_group_settings(#[case] extra: &[(&str, &str)], #[case] problem: &str) {
    let error = with(extra).unwrap_err();
    assert!(error.contains(problem), "{error}");
}

const KAFKA: [(&str, &str); 2] = [
    ("KAFKA_BOOTSTRAP_SERVERS", "kafka-0:9092,kafka-1:9092"),
    ("GROUP_ID", "orders"),
];

fn with_file(extension: &str, text: &str) -> Result<Settings, String> {
    read(Some(file(extension, text).path()), &REQUIRED, &[])
}

fn with_kafka(extra: &[(&str, &str)]) -> Result<Settings, String> {
    with(&[&KAFKA, extra].concat())
}

#[test]
fn kafka_settings_are_read() {
    let settings = with_kafka(&[
        ("STRATEGY", "forecast"),
        ("METRICS_TIME_WINDOW", "2m"),
        ("KAFKA_TIMEOUT", "7s"),
        ("KAFKA_SECURITY_PROTOCOL", "SASL_SSL"),
        ("KAFKA_SASL_MECHANISM", "SCRAM-SHA-512"),
        ("KAFKA_SASL_USERNAME", "rebalancer"),
        ("KAFKA_SASL_PASSWORD", "hunter2"),
        ("KAFKA_SSL_CA_FILE", "/ca.pem"),
    ])
    .unwrap();
    let workload = &settings.workloads[0];
    let kafka = workload.kafka.as_ref().unwrap();
    assert_eq!(kafka.bootstrap_servers.addresses().len(), 2);
    assert_eq!(kafka.group_id, "orders");
    assert_eq!((kafka.timeout.as_secs(), kafka.window.as_secs()), (7, 120));
    assert_eq!(kafka.security.protocol().as_str(), "SASL_SSL");
    // Metrics are not asked for the group.
    assert_eq!(workload.prometheus.group, None);
    let group = workload.group.as_ref().unwrap();
    assert_eq!(group.id.as_deref(), Some("orders"));
    assert_eq!(
        (group.client, group.protocol, group.assignor),
        (None, None, None)
    );
    let shown = format!("{settings:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[rstest]
#[case::metrics(
    &[("GROUP_METRICS", "consumer")],
    &["GROUP_METRICS: KAFKA_BOOTSTRAP_SERVERS is set as well"]
)]
#[case::queries(
    &[("GROUP_ASSIGNMENT_QUERY", "a"), ("GROUP_RATE_QUERY", "b")],
    &["GROUP_ASSIGNMENT_QUERY: KAFKA_BOOTSTRAP_SERVERS", "GROUP_RATE_QUERY: KAFKA_BOOTSTRAP_SERVERS"]
)]
#[case::servers(&[("KAFKA_BOOTSTRAP_SERVERS", "kafka")], &["`kafka` is not a valid HOST:PORT"])]
#[case::words(
    &[("KAFKA_SECURITY_PROTOCOL", "TLS"), ("KAFKA_SASL_MECHANISM", "GSSAPI")],
    &["KAFKA_SECURITY_PROTOCOL: `TLS` is not one of", "KAFKA_SASL_MECHANISM: `GSSAPI` is not one of"]
)]
#[case::no_sasl(
    &[("KAFKA_SASL_USERNAME", "u"), ("KAFKA_SASL_PASSWORD", "hunter2")],
    &["KAFKA_SASL_USERNAME: it needs SASL", "KAFKA_SASL_PASSWORD: it needs SASL"]
)]
#[case::no_tls(&[("KAFKA_SSL_CA_FILE", "/ca")], &["KAFKA_SSL_CA_FILE: it needs TLS"])]
#[case::half_a_certificate(
    &[("KAFKA_SECURITY_PROTOCOL", "SSL"), ("KAFKA_SSL_KEY_FILE", "/key")],
    &["KAFKA_SSL_KEY_FILE: KAFKA_SSL_CERTIFICATE_FILE must be set"]
)]
#[case::timeout(&[("KAFKA_TIMEOUT", "0s")], &["KAFKA_TIMEOUT: it must be longer than zero"])]
#[case::misspelt(
    &[("KAFKA_SASL_MECHANISMS", "PLAIN")],
    &["contains KAFKA_SASL_MECHANISMS, which is not a setting: did you mean KAFKA_SASL_MECHANISM"]
)]
fn every_error_of_kafka_settings_is_reported(
    #[case] extra: &[(&str, &str)],
    #[case] expected: &[&str],
) {
    let error = with_kafka(extra).unwrap_err();
    for part in expected {
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(error.lines().count(), expected.len(), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

/// The environment may be a copy of that of the consumers.
#[rstest]
#[case(&[("KAFKA_BOOTSTRAP_SERVERS", "PLAINTEXT://kafka:9092")])]
#[case(&[("KAFKA_BOOTSTRAP_SERVER", "kafka:9092"), ("GROUP_ID", "orders")])]
#[case(&[("KAFKA_SASL_USERNAME", "u"), ("KAFKA_SASL_MECHANISM", "AWS_MSK_IAM")])]
#[case(&[("KAFKA_SASL_MECHANISMS", "PLAIN"), ("KAFKA_BOOTSTRAP_SERVERS", "kafka:9092")])]
fn variables_of_the_consumers_are_ignored(#[case] extra: &[(&str, &str)]) {
    let settings = with(extra).unwrap();
    assert_eq!(settings.workloads[0].kafka, None);
}

#[test]
fn servers_need_a_group_id_if_the_strategy_does() {
    let servers = ("KAFKA_BOOTSTRAP_SERVERS", "kafka:9092");
    for strategy in ["auto", "forecast", "assign"] {
        let error = with(&[servers, ("STRATEGY", strategy)]).unwrap_err();
        assert_eq!(
            error, "KAFKA_BOOTSTRAP_SERVERS: GROUP_ID must be set as well",
            "{strategy}"
        );
    }
}

#[test]
fn settings_of_the_file_are_for_this_program() {
    let text = "kafka_sasl_username: u\nkafka_timeout: 5s\n";
    let error = with_file(".yaml", text).unwrap_err();
    for key in ["kafka_sasl_username", "kafka_timeout"] {
        assert!(error.contains(&format!("`{key}` in ")), "{error}");
    }
    assert_eq!(
        error
            .matches("KAFKA_BOOTSTRAP_SERVERS must be set as well")
            .count(),
        2,
        "{error}"
    );
    let error = with_file(".yaml", "kafka_bootstrap_servers: kafka:9092\n").unwrap_err();
    assert!(error.contains("GROUP_ID must be set as well"), "{error}");
}

#[test]
fn workloads_may_have_clusters_of_their_own() {
    let text = "group_id: orders\nworkloads:\n\
                - {deployment_name: a, kafka_bootstrap_servers: 'a:9092'}\n\
                - {deployment_name: b, kafka_bootstrap_servers: 'b:9092', group_id: b}\n\
                - {deployment_name: c, group_metrics: consumer}\n";
    let settings = with_file(".yaml", text).unwrap();
    let shown: Vec<Option<String>> = settings
        .workloads
        .iter()
        .map(|workload| {
            let kafka = workload.kafka.as_ref()?;
            Some(format!("{} {}", kafka.bootstrap_servers, kafka.group_id))
        })
        .collect();
    assert_eq!(
        shown,
        [
            Some("a:9092 orders".to_owned()),
            Some("b:9092 b".to_owned()),
            None
        ]
    );
    assert!(settings.workloads[2].prometheus.group.is_some());
}

#[rstest]
#[case::assign("assign", Strategy::Assign)]
#[case::rejoin("rejoin", Strategy::Rejoin)]
fn strategies_without_evictions_need_the_brokers(#[case] name: &str, #[case] strategy: Strategy) {
    let error = with(&[("STRATEGY", name), ("GROUP_ID", "orders")]).unwrap_err();
    assert_eq!(
        error,
        format!(
            "STRATEGY: {name} needs a connection to the brokers of the group: set \
             KAFKA_BOOTSTRAP_SERVERS"
        )
    );
    let extra = [
        ("STRATEGY", name),
        ("IMBALANCE_TOLERANCE", "1.3"),
        ("REJOIN_CONSUMER_PROTOCOL", "true"),
    ];
    let settings = with_kafka(&extra).unwrap();
    let workload = &settings.workloads[0];
    assert_eq!(workload.policy.strategy, strategy);
    assert!(workload.policy.rejoin_consumer_protocol);
    assert_eq!(
        workload.policy.imbalance_tolerance.map(f64::from),
        Some(1.3)
    );
    // Only the imbalance needs no autoscaler.
    assert_eq!(workload.kubernetes.autoscalers, Autoscalers::IfPermitted);
    let settings = with_kafka(&[("STRATEGY", name)]).unwrap();
    assert_eq!(
        settings.workloads[0].kubernetes.autoscalers,
        Autoscalers::Required
    );
}
