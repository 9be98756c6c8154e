//! The Helm chart with the tools of its users: helm, helm-unittest and kubeconform.
//!
//! The end-to-end cases render the chart with Helm's libraries, which is enough for every change.
//! This task is for changes of the chart: the tools take minutes to build.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use harness::assets::{HELM, HELM_UNITTEST, KUBECONFORM};
use harness::{GoProgram, Target, TestNamespace, WorkloadSpec};
use k8s_openapi::api::{
    apps::v1::Deployment, batch::v1::CronJob, core::v1::ConfigMap, rbac::v1::Role,
};
use kube::api::{ListParams, Resource};
use serde_json::{Map, Value, json};

use crate::{Error, cargo, root, setup};

/// The release, and the name of its objects.
const RELEASE: &str = "orders";
const NAME: &str = "orders-rebalancer";

/// Kinds of the Prometheus Operator, whose schemas the API server of the tests does not have.
const CUSTOM: &str = "PodMonitor,PrometheusRule,ServiceMonitor";

/// Runs every check.
pub(crate) fn run() -> Result<(), Error> {
    setup::run()?;
    for tool in [HELM, HELM_UNITTEST, KUBECONFORM] {
        setup::build(&tool, &format!("{}, once; some minutes", tool.name()))?;
    }
    // The pods of the release run it.
    if !cargo(&["build", "--package", "rebalancer-cli"])?.success() {
        return Err("the binary could not be built".into());
    }
    let chart = Chart {
        path: root()?.join("charts/rebalancer"),
        folder: tempfile::tempdir()?,
    };
    let values = chart.ci_values()?;
    for values in &values {
        step(format!("helm lint --strict with {}", values.display()));
        let values = values.display().to_string();
        chart.helm(&["lint", "--strict", "--values", &values, &chart.path()])?;
    }
    step("helm-unittest");
    let unittest = ["--strict", &chart.path()];
    chart.call(&HELM_UNITTEST, &unittest, None)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(on_servers(&chart, &values))
}

fn step(what: impl Display) {
    eprintln!("== {what}");
}

/// The chart, and a folder for the files of the tools.
struct Chart {
    path: PathBuf,
    folder: tempfile::TempDir,
}

impl Chart {
    fn path(&self) -> String {
        self.path.display().to_string()
    }

    /// The files of values in `ci/`.
    fn ci_values(&self) -> Result<Vec<PathBuf>, Error> {
        let mut files = Vec::new();
        for entry in fs::read_dir(self.path.join("ci"))? {
            files.push(entry?.path());
        }
        files.sort();
        Ok(files)
    }

    /// The path of a copy of the chart that does not ask for a version of Kubernetes: the API
    /// server of the tests is built without its version.
    fn for_any_version(&self) -> Result<String, Error> {
        let copy = self.folder.path().join("rebalancer");
        let copied = Command::new("cp")
            .arg("-r")
            .args([&self.path, &copy])
            .status()?;
        if !copied.success() {
            return Err(format!("{} could not be copied", self.path.display()).into());
        }
        let file = copy.join("Chart.yaml");
        let text = fs::read_to_string(&file)?;
        let kept = text
            .lines()
            .filter(|line| !line.starts_with("kubeVersion:"));
        let kept = kept.fold(String::new(), |text, line| text + line + "\n");
        fs::write(&file, kept)?;
        Ok(copy.display().to_string())
    }

    /// Runs helm. Returns its standard output.
    fn helm(&self, args: &[&str]) -> Result<String, Error> {
        self.call(&HELM, args, None)
    }

    /// Runs a tool, with a file as its standard input. Returns its standard output.
    fn call(&self, tool: &GoProgram, args: &[&str], input: Option<&Path>) -> Result<String, Error> {
        let input = match input {
            Some(path) => Stdio::from(fs::File::open(path)?),
            None => Stdio::null(),
        };
        let folder = self.folder.path();
        let output = Command::new(tool.locate()?)
            .args(args)
            .stdin(input)
            .env("KUBECONFIG", folder.join("kubeconfig"))
            .env("HELM_CACHE_HOME", folder.join("cache"))
            .env("HELM_CONFIG_HOME", folder.join("config"))
            .env("HELM_DATA_HOME", folder.join("data"))
            .output()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            return Ok(text(&output.stdout));
        }
        let (name, args) = (tool.name(), args.join(" "));
        let said = text(&output.stdout) + &text(&output.stderr);
        Err(format!("`{name} {args}` failed ({}):\n{said}", output.status).into())
    }
}

/// Validates the rendered objects with the schemas of a real API server, and takes a release
/// through its life.
async fn on_servers(chart: &Chart, values: &[PathBuf]) -> Result<(), Error> {
    step("starting the servers");
    let ns = TestNamespace::named("chart").await?;
    fs::copy(
        ns.control_plane().admin_kubeconfig(),
        chart.folder.path().join("kubeconfig"),
    )?;
    let schemas = chart.folder.path().join("schemas");
    fs::create_dir(&schemas)?;
    for (name, schema) in schemas_of(&ns.control_plane().openapi().await?) {
        fs::write(schemas.join(name), schema.to_string())?;
    }
    for values in values {
        step(format!("kubeconform --strict with {}", values.display()));
        let values = values.display().to_string();
        let args = [
            "template",
            RELEASE,
            "--namespace",
            "apps",
            "--values",
            &values,
            &chart.path(),
        ];
        let manifests = chart.folder.path().join("manifests.yaml");
        fs::write(&manifests, chart.helm(&args)?)?;
        let location = format!(
            "{}/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json",
            schemas.display()
        );
        let args = [
            "-strict",
            "-summary",
            "-skip",
            CUSTOM,
            "-schema-location",
            &location,
            "-",
        ];
        let summary = chart.call(&KUBECONFORM, &args, Some(&manifests))?;
        eprint!("{summary}");
    }
    life_of_a_release(chart, &ns).await
}

async fn life_of_a_release(chart: &Chart, ns: &TestNamespace) -> Result<(), Error> {
    let workload = WorkloadSpec::deployment("ingestion").loads([0.5; 3]);
    let workload = ns.create(workload).await?;
    ns.autoscale(&workload, Target::Utilization(70)).await?;
    workload.wait_measured().await?;
    // The containers of the harness share the network of the host.
    let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
    let values = chart.folder.path().join("values.yaml");
    let first = json!({
        "settings": {
            "prometheus_endpoint": "http://victoriametrics:8428",
            "metrics_time_window": "10s",
        },
        "workloads": [{"deployment_name": "ingestion"}],
        "port": port,
    });
    fs::write(&values, first.to_string())?;
    let values = values.display().to_string();
    let path = chart.for_any_version()?;
    let release = ["--namespace", ns.name(), "--wait", "--timeout", "3m"];
    let call = |args: &[&str]| chart.helm(&[args, &release].concat());

    step("helm install");
    call(&["install", RELEASE, &path, "--values", &values])?;
    exists::<CronJob>(ns, true).await?;
    step("helm test");
    chart.helm(&["test", RELEASE, "--namespace", ns.name(), "--timeout", "3m"])?;
    let (_, log) = ns.ended(&format!("{NAME}-check")).await?;
    if !log.contains(", 0 warnings, 0 errors") {
        return Err(format!("the pod of `helm test` found problems:\n{log}").into());
    }
    step("helm upgrade to a Deployment");
    let upgrade = [
        "upgrade",
        RELEASE,
        &path,
        "--reset-then-reuse-values",
        "--set",
        "mode=Deployment",
    ];
    call(&upgrade)?;
    exists::<CronJob>(ns, false).await?;
    let deployment = ns.api::<Deployment>().get(NAME).await?;
    let ready = deployment.status.and_then(|status| status.ready_replicas);
    if ready != Some(1) {
        return Err(format!("the Deployment has {ready:?} ready replicas").into());
    }
    step("helm rollback");
    call(&["rollback", RELEASE, "1"])?;
    exists::<CronJob>(ns, true).await?;
    exists::<Deployment>(ns, false).await?;
    step("helm uninstall");
    call(&["uninstall", RELEASE])?;
    exists::<CronJob>(ns, false).await?;
    exists::<ConfigMap>(ns, false).await?;
    exists::<Role>(ns, false).await?;
    step("done");
    Ok(())
}

/// Fails unless the release has, or lacks, objects of a kind.
async fn exists<K>(ns: &TestNamespace, expected: bool) -> Result<(), Error>
where
    K: Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + k8s_openapi::serde::de::DeserializeOwned
        + std::fmt::Debug,
{
    let of_the_release = format!("app.kubernetes.io/instance={RELEASE}");
    let params = ListParams::default().labels(&of_the_release);
    let found = ns.api::<K>().list(&params).await?.items.len();
    if (found > 0) == expected {
        return Ok(());
    }
    let kind = K::kind(&());
    Err(format!("the release has {found} objects of kind {kind}").into())
}

/// The JSON Schemas of the kinds in an OpenAPI document, with the file names that kubeconform looks
/// for. Each schema has the definitions that it refers to. Unknown fields are errors.
fn schemas_of(openapi: &Value) -> Vec<(String, Value)> {
    let definitions = openapi["definitions"].as_object();
    let empty = Map::new();
    let definitions = definitions.unwrap_or(&empty);
    let mut schemas = Vec::new();
    for (name, definition) in definitions {
        let kinds = definition["x-kubernetes-group-version-kind"].as_array();
        let [kind] = kinds.map_or(&[][..], Vec::as_slice) else {
            // Several: options of requests, which are no objects.
            continue;
        };
        let text = |key: &str| kind[key].as_str().unwrap_or_default().to_lowercase();
        let group = text("group");
        let group = group.split('.').next().unwrap_or_default();
        let between = if group.is_empty() { "" } else { "-" };
        let file = format!("{}{between}{group}-{}.json", text("kind"), text("version"));
        let mut used = BTreeSet::new();
        references(definition, definitions, &mut used);
        let used = used.into_iter().filter_map(|name| {
            let definition = definitions.get(&name)?;
            let schema = strict(&name, definition);
            Some((name, schema))
        });
        let used: Map<String, Value> = used.collect();
        let mut schema = strict(name, definition);
        schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
        schema["definitions"] = used.into();
        schemas.push((file, schema));
    }
    schemas.sort_by(|(a, _), (b, _)| a.cmp(b));
    schemas
}

/// Adds the names of the definitions that a value refers to, directly and indirectly.
fn references(value: &Value, definitions: &Map<String, Value>, used: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            let name = fields.get("$ref").and_then(Value::as_str);
            let name = name.and_then(|name| name.strip_prefix("#/definitions/"));
            if let Some(name) = name
                && used.insert(name.to_owned())
                && let Some(definition) = definitions.get(name)
            {
                references(definition, definitions, used);
            }
            for value in fields.values() {
                references(value, definitions, used);
            }
        }
        Value::Array(values) => {
            for value in values {
                references(value, definitions, used);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The schema of a definition: without unknown fields, and with the numbers that the API takes for
/// texts.
fn strict(name: &str, definition: &Value) -> Value {
    let mut schema = definition.clone();
    if name.ends_with(".resource.Quantity") {
        schema["type"] = json!(["string", "number"]);
    }
    if name.ends_with(".intstr.IntOrString") {
        schema["type"] = json!(["string", "integer"]);
    }
    let is_open =
        schema.get("properties").is_none() || schema.get("additionalProperties").is_some();
    if let (false, Some(fields)) = (is_open, schema.as_object_mut()) {
        fields.insert("additionalProperties".to_owned(), json!(false));
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schema_has_the_definitions_that_it_needs() {
        let openapi = json!({"definitions": {
            "io.k8s.api.rbac.v1.Role": {
                "type": "object",
                "properties": {"rules": {"type": "array", "items": {"$ref": "#/definitions/Rule"}}},
                "x-kubernetes-group-version-kind": [
                    {"group": "rbac.authorization.k8s.io", "kind": "Role", "version": "v1"}
                ],
            },
            "Rule": {
                "properties": {"port": {"$ref": "#/definitions/x.intstr.IntOrString"}},
            },
            "x.intstr.IntOrString": {"type": "string", "format": "int-or-string"},
            "io.k8s.api.core.v1.Pod": {
                "type": "object",
                "properties": {"labels": {"type": "object", "additionalProperties": {"type": "string"}}},
                "x-kubernetes-group-version-kind": [{"group": "", "kind": "Pod", "version": "v1"}],
            },
            "DeleteOptions": {
                "x-kubernetes-group-version-kind": [
                    {"group": "", "kind": "DeleteOptions", "version": "v1"},
                    {"group": "apps", "kind": "DeleteOptions", "version": "v1"},
                ],
            },
        }});
        let schemas = schemas_of(&openapi);
        let names: Vec<&str> = schemas.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["pod-v1.json", "role-rbac-v1.json"]);
        let (_, pod) = &schemas[0];
        assert_eq!(pod["definitions"], json!({}));
        assert_eq!(pod["additionalProperties"], false);
        let labels = &pod["properties"]["labels"];
        assert_eq!(labels["additionalProperties"]["type"], "string");
        let definitions = &schemas[1].1["definitions"];
        assert_eq!(definitions["Rule"]["additionalProperties"], false);
        let number = &definitions["x.intstr.IntOrString"]["type"];
        assert_eq!(*number, json!(["string", "integer"]));
    }

    #[test]
    fn values_for_the_tools_are_those_of_ci() {
        let chart = Chart {
            path: root().unwrap().join("charts/rebalancer"),
            folder: tempfile::tempdir().unwrap(),
        };
        let values = chart.ci_values().unwrap();
        assert!(values.len() >= 2, "{values:?}");
        for path in values {
            assert!(path.to_str().unwrap().ends_with("-values.yaml"), "{path:?}");
        }
    }
}
