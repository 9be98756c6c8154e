//! Kubernetes objects from YAML and JSON.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use k8s_openapi::api::{
    batch::v1::CronJob,
    core::v1::{PodSpec, Secret},
};
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

/// Applies every document to the namespace. `moves` is whether accounts that the documents refer to
/// are in it too.
pub(crate) async fn apply(
    client: &kube::Client,
    namespace: &str,
    yaml: &str,
    moves: bool,
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
        if moves {
            move_to(&mut document, namespace, scoped);
        }
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
pub(crate) async fn pod_environment(
    client: &kube::Client,
    job: &CronJob,
    namespace: &str,
) -> Result<(String, Vec<(String, String)>)> {
    let spec = job
        .spec
        .job_template
        .spec
        .as_ref()
        .and_then(|spec| spec.template.spec.as_ref());
    let what = || format!("CronJob {}", job.name_any());
    let spec = spec.ok_or_else(|| Error::Document {
        what: what(),
        message: "it has no pod".to_owned(),
    })?;
    let environment = container_environment(client, spec, namespace, &what()).await?;
    let account = spec
        .service_account_name
        .clone()
        .unwrap_or_else(|| "default".to_owned());
    Ok((account, environment))
}

/// The environment of a pod's first container. An entry that the harness does not support is an
/// error about `what`.
pub(crate) async fn container_environment(
    client: &kube::Client,
    spec: &PodSpec,
    namespace: &str,
    what: &str,
) -> Result<Vec<(String, String)>> {
    let wrong = |message: String| Error::Document {
        what: what.to_owned(),
        message,
    };
    let container = spec
        .containers
        .first()
        .ok_or_else(|| wrong("it has no container".to_owned()))?;
    if container
        .env_from
        .as_ref()
        .is_some_and(|sources| !sources.is_empty())
    {
        return Err(wrong("envFrom is not supported by the harness".to_owned()));
    }
    let mut environment = Vec::new();
    for variable in container.env.iter().flatten() {
        let source = variable.value_from.as_ref();
        let field = source.and_then(|source| source.field_ref.as_ref());
        let secret = source.and_then(|source| source.secret_key_ref.as_ref());
        let value = match (source, field, secret) {
            (None, ..) => variable.value.clone().unwrap_or_default(),
            (_, Some(field), _) if field.field_path == "metadata.namespace" => namespace.to_owned(),
            (_, _, Some(secret)) => {
                let data = secret_data(client, namespace, &secret.name).await?;
                let value = data.get(&secret.key).cloned().unwrap_or_default();
                String::from_utf8_lossy(&value).into_owned()
            }
            (Some(source), ..) => {
                let name = &variable.name;
                return Err(wrong(format!(
                    "{name} comes from {source:?}, unknown to the harness"
                )));
            }
        };
        environment.push((variable.name.clone(), value));
    }
    Ok(environment)
}

/// The data of a Secret.
pub(crate) async fn secret_data(
    client: &kube::Client,
    namespace: &str,
    name: &str,
) -> Result<BTreeMap<String, Vec<u8>>> {
    let secret = Api::<Secret>::namespaced(client.clone(), namespace)
        .get(name)
        .await
        .map_err(Error::kube(format!("read Secret {name}")))?;
    let data = secret.data.unwrap_or_default().into_iter();
    Ok(data.map(|(key, value)| (key, value.0)).collect())
}
