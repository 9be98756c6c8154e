//! The generated files of the Helm chart: the schema of its values, and the table of them.

use std::fmt::Write as _;

use rebalancer_cli::settings::{Setting, all};
use rebalancer_core::policy::Strategy;
use serde_json::{Map, Value, json};

use crate::Error;

/// Settings that the chart sets by a value of its own, or that have no effect in a cluster.
const NOT_COMMON: [&str; 8] = [
    "dry_run",
    "run_timeout",
    "kube_context",
    "schedule",
    "listen_address",
    "leader_election",
    "leader_election_lease",
    "leader_election_namespace",
];

/// The settings that name a file that the program writes; all others name one that it reads.
const WRITTEN: [&str; 2] = ["metrics_file", "report_file"];

/// The schema of `charts/rebalancer/values.yaml`. `config` is that of the configuration file.
pub(crate) fn schema(config: &Value) -> Value {
    let common = without_secrets(&config["properties"], &NOT_COMMON);
    let entry = &config["properties"]["workloads"]["items"]["properties"];
    let entry = without_secrets(entry, &[]);
    let labels = json!({"type": "object", "additionalProperties": {"type": "string"}});
    let free = json!({"type": "object"});
    let list = json!({"type": "array", "items": {"type": "object"}});
    let monitor = |description: &str| {
        object(
            "",
            json!({
                "enabled": {"type": "boolean", "description": description},
                "labels": {
                    "type": "object",
                    "additionalProperties": {"type": "string"},
                    "description": "Labels by which Prometheus selects monitors",
                },
                "interval": {"type": "string", "description": "Scrape interval; empty for that of Prometheus"},
            }),
        )
    };
    let text = |description: &str| json!({"type": "string", "description": description});
    let flag = |description: &str| json!({"type": "boolean", "description": description});
    let count = |description: &str, minimum: u32| json!({"type": "integer", "minimum": minimum, "description": description});
    let with = |value: &Value, description: &str| {
        let mut value = value.clone();
        if let Some(fields) = value.as_object_mut() {
            fields.insert("description".into(), description.into());
        }
        value
    };
    let properties = json!({
        "nameOverride": text("Replaces `rebalancer` in the names of the objects"),
        "fullnameOverride": text("Replaces the whole name of the objects; keep `rebalancer` in it, by which the alert rules find the CronJob"),
        "mode": {"enum": ["CronJob", "Deployment"], "description": "`CronJob`: a pod for each run; `Deployment`: a resident pod ([`rebalancer serve`](../../docs/serve.md)), whose metrics Prometheus scrapes"},
        "image": object("", json!({
            "repository": {"type": "string", "minLength": 1, "description": "Repository of the image; `deploy/Dockerfile` builds it"},
            "tag": text("Tag of the image; empty for the `appVersion` of the chart"),
            "digest": {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$", "description": "Digest of the image, used instead of the tag"},
            "pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"], "description": "When the image is pulled"},
        })),
        "imagePullSecrets": with(&list, "Secrets for the registry: `[{name: NAME}]`"),
        "dryRun": flag("`DRY_RUN`: decide, let the API server check the evictions, change nothing; `dry_run: false` in an entry of `workloads` excepts it"),
        "schedule": {"type": "string", "minLength": 1, "description": "Schedule of the runs, as in a crontab"},
        "timeZone": text("Time zone of the schedule, such as `Europe/Berlin`"),
        "suspend": flag("Stops the schedule; a Deployment then has no pods"),
        "startingDeadlineSeconds": count("CronJob: a run that cannot start within this time is skipped", 10),
        "successfulJobsHistoryLimit": count("CronJob: number of successful Jobs that are kept, with their logs", 0),
        "failedJobsHistoryLimit": count("CronJob: number of failed Jobs that are kept, with their logs", 0),
        "runTimeoutSeconds": count("`RUN_TIMEOUT` of each workload", 1),
        "activeDeadlineSeconds": {"type": ["integer", "null"], "minimum": 1, "description": "CronJob: deadline of a Job; by default `runTimeoutSeconds` and a minute more, for each round of `settings.max_concurrent_workloads` workloads"},
        "terminationGracePeriodSeconds": count("Time between SIGTERM and SIGKILL: for the end of a hand-over (at most a minute) or a pending eviction (30 s), the records and the Leases, the push of the metrics and the notification", 1),
        "replicas": count("Deployment: number of pods, of which one acts", 1),
        "strategy": with(&free, "Deployment: its strategy; by default `RollingUpdate` without unavailable pods, or `Recreate` without `leaderElection`"),
        "leaderElection": flag("Deployment: a Lease, named as the Deployment, lets one pod at a time run the schedule"),
        "port": {"type": "integer", "minimum": 1, "maximum": 65535, "description": "Deployment: port of `/metrics`, `/healthz` and `/readyz`"},
        "livenessProbe": with(&free, "Deployment: times and thresholds of the probe of `/healthz`"),
        "readinessProbe": with(&free, "Deployment: times and thresholds of the probe of `/readyz`"),
        "topologySpreadConstraints": with(&list, "Constraints of the pods; by default several replicas prefer different nodes"),
        "service": object("", json!({
            "enabled": flag("Deployment: creates a Service for the port"),
            "port": {"type": "integer", "minimum": 1, "maximum": 65535, "description": "Port of the Service"},
            "annotations": with(&labels, "Annotations of the Service"),
        })),
        "podMonitor": monitor("Deployment: creates a PodMonitor for the Prometheus Operator"),
        "serviceMonitor": monitor("Deployment: creates a ServiceMonitor for the Prometheus Operator; needs `service.enabled`"),
        "settings": {
            "type": "object",
            "description": "Settings of all workloads, with the keys of a configuration file ([docs/configuration.md](../../docs/configuration.md))",
            "properties": common,
            "additionalProperties": false,
        },
        "workloads": {
            "type": "array",
            "description": "The workloads, at least one; an entry has its `deployment_name` and the settings that differ from `settings`",
            "items": {"type": "object", "properties": entry, "additionalProperties": false},
        },
        "references": {
            "type": "object",
            "description": "Settings whose value or file is in a Secret or ConfigMap, by the key of the setting: `{secret: NAME, key: KEY}`, or `{configMap: NAME, key: KEY}` for certificates",
            "properties": references(),
            "additionalProperties": false,
        },
        "serviceAccount": object("", json!({
            "create": flag("Creates the service account"),
            "name": text("Its name; empty for the name of the other objects"),
            "annotations": with(&labels, "Its annotations"),
        })),
        "rbac": object("", json!({
            "create": flag("Creates a Role and a RoleBinding in each namespace of the workloads"),
            "keda": flag("Grants the right to see that KEDA has paused an autoscaler"),
            "customKinds": with(&labels, "Resources of kinds of `workload_kind` that are not the kind in lower case with an `s`: `{Mesh.v1.example.org: meshes}`"),
        })),
        "resources": with(&free, "Resources of the container"),
        "podSecurityContext": with(&free, "Security context of the pod"),
        "securityContext": with(&free, "Security context of the container"),
        "commonLabels": with(&labels, "Labels of all objects"),
        "podLabels": with(&labels, "Labels of the pods"),
        "podAnnotations": with(&labels, "Annotations of the pods"),
        "nodeSelector": with(&labels, "Node selector of the pods"),
        "tolerations": with(&list, "Tolerations of the pods"),
        "affinity": with(&free, "Affinity of the pods"),
        "priorityClassName": text("Priority class of the pods"),
        "extraEnv": with(&list, "Further environment variables, such as `HTTPS_PROXY` and `NO_PROXY`"),
        "extraVolumes": with(&list, "Further volumes"),
        "extraVolumeMounts": with(&list, "Mounts of further volumes"),
        "prometheusRule": object("", json!({
            "enabled": flag("Creates the [alert rules](../../docs/operations.md#how-am-i-alerted) for the Prometheus Operator"),
            "labels": with(&labels, "Labels by which Prometheus selects rules"),
            "runbookBaseUrl": {"type": "string", "pattern": "^(https?://.+/)?$", "description": "Precedes `docs/operations.md` in the annotation `runbook_url`, such as `https://git.example.org/rebalancer/blob/main/`"},
        })),
        // Helm adds it if the chart is a dependency.
        "global": free,
    });
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the chart rebalancer",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    })
}

fn object(description: &str, properties: Value) -> Value {
    let mut object = json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    if let (false, Some(fields)) = (description.is_empty(), object.as_object_mut()) {
        fields.insert("description".into(), description.into());
    }
    object
}

/// The properties of settings whose values are not secret, except for `omitted` ones. A value that
/// decides about rights has one spelling.
fn without_secrets(properties: &Value, omitted: &[&str]) -> Value {
    let mut kept = Map::new();
    for setting in all().filter(|setting| !setting.is_secret()) {
        let key = setting.key();
        let Some(property) = properties.get(&key) else {
            continue;
        };
        if omitted.contains(&key.as_str()) {
            continue;
        }
        let mut property = property.clone();
        let spelling = match key.as_str() {
            "strategy" => Some(("enum", json!(Strategy::ALL.map(Strategy::as_str)))),
            "eviction_method" => Some(("enum", json!(["evict", "delete"]))),
            "target_source" => Some(("enum", json!(["kubernetes", "prometheus"]))),
            "workload_kind" => {
                let custom = r"[A-Z][A-Za-z0-9]*\.v[0-9][a-z0-9]*(\.[a-z0-9.-]+)?";
                let pattern = format!("^(Deployment|StatefulSet|{custom})$");
                Some(("pattern", pattern.into()))
            }
            _ => None,
        };
        if let (Some((keyword, value)), Some(fields)) = (spelling, property.as_object_mut()) {
            fields.insert(keyword.into(), value);
        }
        kept.insert(key, property);
    }
    kept.into()
}

/// The schema of `references`: settings with secret values, and settings that name a file.
fn references() -> Value {
    let name = json!({"type": "string", "minLength": 1});
    let secret = json!({
        "type": "object",
        "properties": {"secret": name, "key": name},
        "required": ["secret", "key"],
        "additionalProperties": false,
    });
    let config_map = json!({
        "type": "object",
        "properties": {"configMap": name, "key": name},
        "required": ["configMap", "key"],
        "additionalProperties": false,
    });
    let mut properties = Map::new();
    for setting in all().filter(|setting| is_reference(*setting)) {
        let key = setting.key();
        // Certificates are public; all other files are credentials.
        let is_public = key.ends_with("_ca_file") || key.ends_with("_certificate_file");
        let mut property = if is_public {
            json!({"oneOf": [secret, config_map]})
        } else {
            secret.clone()
        };
        if let Some(fields) = property.as_object_mut() {
            fields.insert("description".into(), setting.help().into());
        }
        properties.insert(key, property);
    }
    properties.into()
}

fn is_reference(setting: &dyn Setting) -> bool {
    let key = setting.key();
    setting.is_secret() || (key.ends_with("_file") && !WRITTEN.contains(&key.as_str()))
}

/// The table of values: each value of the schema with its default in `values`.
pub(crate) fn table(schema: &Value, values: &Value) -> Result<String, Error> {
    let mut table = String::from("| value | default | meaning |\n|---|---|---|\n");
    rows(&mut table, "", schema, values)?;
    Ok(table)
}

fn rows(table: &mut String, prefix: &str, schema: &Value, values: &Value) -> Result<(), Error> {
    let properties = schema["properties"].as_object();
    for (name, property) in properties.into_iter().flatten() {
        if prefix.is_empty() && name == "global" {
            continue;
        }
        let path = format!("{prefix}{name}");
        let default = values
            .get(name)
            .ok_or_else(|| format!("values.yaml lacks {path}"))?;
        match property.get("description").and_then(Value::as_str) {
            Some(description) => {
                let description = description.replace('|', "\\|");
                let _ = writeln!(table, "| `{path}` | `{default}` | {description} |");
            }
            None => rows(table, &format!("{path}."), property, default)?,
        }
    }
    Ok(())
}
