//! Kubernetes objects from YAML and JSON.

use std::path::{Path, PathBuf};

use k8s_openapi::api::{batch::v1::CronJob, core::v1::PodSpec};
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{Error, Result};

/// Cluster-scoped kinds among the manifests.
const CLUSTER_SCOPED: [&str; 5] = [
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
];

/// Parses a typed object from JSON.
pub(crate) fn object<K: DeserializeOwned>(json: Value) -> Result<K> {
    serde_json::from_value(json)
        .map_err(Error::document(format!("a {}", std::any::type_name::<K>())))
}

/// The YAML files of a folder, sorted by name.
pub(crate) fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let action = || format!("read {}", dir.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(Error::io(action()))? {
        let path = entry.map_err(Error::io(action()))?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "yaml" || extension == "yml")
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Applies every document to the namespace.
pub(crate) async fn apply(
    client: &kube::Client,
    namespace: &str,
    yaml: &str,
) -> Result<Vec<String>> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(yaml).map_err(Error::document("the manifest"))?;
    let mut applied = Vec::new();
    for mut document in documents.into_iter().filter(|document| !document.is_null()) {
        let field = |name: &str| {
            document
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let (api_version, kind) = (field("apiVersion"), field("kind"));
        if kind == "Namespace" {
            continue;
        }
        let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &kind));
        let scoped = !CLUSTER_SCOPED.contains(&kind.as_str());
        move_to(&mut document, namespace, scoped);
        let object: DynamicObject = self::object(document)?;
        let name = object.name_any();
        let api: Api<DynamicObject> = if scoped {
            Api::namespaced_with(client.clone(), namespace, &resource)
        } else {
            Api::all_with(client.clone(), &resource)
        };
        api.patch(
            &name,
            &PatchParams::apply("harness").force(),
            &Patch::Apply(&object),
        )
        .await
        .map_err(Error::kube(format!("apply {kind} {name}")))?;
        applied.push(format!("{kind}/{name}"));
    }
    Ok(applied)
}

/// Replaces the namespace of the object and of the accounts that it grants rights to.
fn move_to(document: &mut Value, namespace: &str, scoped: bool) {
    if scoped && let Some(metadata) = document.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("namespace".to_owned(), json!(namespace));
    }
    let subjects = document.get_mut("subjects").and_then(Value::as_array_mut);
    for subject in subjects.into_iter().flatten() {
        if subject.get("kind").and_then(Value::as_str) == Some("ServiceAccount")
            && let Some(fields) = subject.as_object_mut()
        {
            fields.insert("namespace".to_owned(), json!(namespace));
        }
    }
}

/// The service account and environment of a CronJob's first container.
pub(crate) fn pod_environment(
    job: &CronJob,
    namespace: &str,
) -> Result<(String, Vec<(String, String)>)> {
    let spec = job
        .spec
        .job_template
        .spec
        .as_ref()
        .and_then(|spec| spec.template.spec.as_ref());
    let wrong = |message: String| Error::Document {
        what: format!("CronJob {}", job.name_any()),
        message,
    };
    let spec = spec.ok_or_else(|| wrong("it has no pod".to_owned()))?;
    let environment = container_environment(spec, namespace).map_err(wrong)?;
    let account = spec
        .service_account_name
        .clone()
        .unwrap_or_else(|| "default".to_owned());
    Ok((account, environment))
}

/// The environment of a pod's first container, or the entry that the harness does not support.
pub(crate) fn container_environment(
    spec: &PodSpec,
    namespace: &str,
) -> std::result::Result<Vec<(String, String)>, String> {
    let container = spec.containers.first().ok_or("it has no container")?;
    if container
        .env_from
        .as_ref()
        .is_some_and(|sources| !sources.is_empty())
    {
        return Err("envFrom is not supported by the harness".to_owned());
    }
    let mut environment = Vec::new();
    for variable in container.env.iter().flatten() {
        let field = variable.value_from.as_ref().map(|source| {
            source
                .field_ref
                .as_ref()
                .map(|field| field.field_path.as_str())
        });
        let value = match field {
            None => variable.value.clone().unwrap_or_default(),
            Some(Some("metadata.namespace")) => namespace.to_owned(),
            Some(other) => {
                return Err(format!(
                    "{} comes from {other:?}, unknown to the harness",
                    variable.name
                ));
            }
        };
        environment.push((variable.name.clone(), value));
    }
    Ok(environment)
}
