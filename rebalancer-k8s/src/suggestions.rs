//! Suggestions for a workload that does not exist.

use kube::core::params::ListParams;
use rebalancer_core::model::WorkloadRef;
use serde::Deserialize;

use crate::api::Api;
use crate::attempt::Attempt;
use crate::error::K8sError;
use crate::pages::PAGE;
use crate::surroundings::{Candidate, Surroundings};

/// The largest number of candidates in a message.
const MAX_CANDIDATES: usize = 5;
/// The smallest likeness of similar names.
const MIN_LIKENESS: f64 = 0.85;

#[derive(Deserialize)]
struct Object {
    metadata: Metadata,
    spec: Option<Spec>,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
}

#[derive(Deserialize)]
struct Spec {
    template: Option<Template>,
}

#[derive(Deserialize)]
struct Template {
    spec: Option<TemplateSpec>,
}

#[derive(Deserialize)]
struct TemplateSpec {
    #[serde(default)]
    containers: Vec<Container>,
}

#[derive(Deserialize)]
struct Container {
    name: String,
}

/// Returns the error for a workload that does not exist, with similar names.
pub(crate) async fn not_found(api: &Api, workload: &WorkloadRef) -> K8sError {
    K8sError::WorkloadNotFound {
        surroundings: survey(api, &workload.namespace, &workload.name).await,
        workload: Box::new(workload.clone()),
    }
}

/// Reads the names in the namespace. The account may lack the permission, so a failure only makes
/// the message less specific.
async fn survey(api: &Api, namespace: &str, name: &str) -> Surroundings {
    let (deployments, sets) = tokio::join!(
        list(api, namespace, "Deployment", "deployments"),
        list(api, namespace, "StatefulSet", "statefulsets")
    );
    let workloads = match (deployments, sets) {
        (None, None) => {
            return match namespace_exists(api, namespace).await {
                Some(false) => Surroundings::NoNamespace,
                Some(true) | None => Surroundings::Unknown,
            };
        }
        (deployments, sets) => named("Deployment", deployments).chain(named("StatefulSet", sets)),
    };
    let workloads: Vec<(&'static str, Object)> = workloads.collect();
    if workloads.is_empty() && namespace_exists(api, namespace).await == Some(false) {
        return Surroundings::NoNamespace;
    }
    let count = workloads.len();
    let close = closest(name, workloads);
    if close.is_empty() {
        Surroundings::NoneClose { workloads: count }
    } else {
        Surroundings::Close(close)
    }
}

fn named(
    kind: &'static str,
    objects: Option<Vec<Object>>,
) -> impl Iterator<Item = (&'static str, Object)> {
    objects
        .unwrap_or_default()
        .into_iter()
        .map(move |object| (kind, object))
}

async fn list(
    api: &Api,
    namespace: &str,
    kind: &'static str,
    resource: &'static str,
) -> Option<Vec<Object>> {
    let attempt = Attempt::list("apps", resource, namespace);
    let path = format!("/apis/apps/v1/namespaces/{namespace}/{resource}");
    let params = ListParams::default().limit(PAGE);
    api.list(&attempt, kind, &path, &params).await.ok()
}

/// Whether the namespace exists; `None` if the account may not read namespaces.
async fn namespace_exists(api: &Api, namespace: &str) -> Option<bool> {
    let attempt = Attempt {
        verb: "get",
        group: "".into(),
        resource: "namespaces".into(),
        namespace: None,
        name: Some(namespace.to_owned()),
    };
    let path = format!("/api/v1/namespaces/{namespace}");
    match api.get::<Object>(&attempt, &path, None).await {
        Ok(_) => Some(true),
        Err(error) => matches!(error, K8sError::NotFound { .. }).then_some(false),
    }
}

fn closest(name: &str, workloads: Vec<(&'static str, Object)>) -> Vec<Candidate> {
    let mut close: Vec<(f64, Candidate)> = workloads
        .into_iter()
        .filter_map(|(kind, object)| {
            let by_name = likeness(name, &object.metadata.name);
            let containers = object
                .spec
                .and_then(|spec| spec.template?.spec)
                .map(|spec| spec.containers);
            let by_container = containers
                .into_iter()
                .flatten()
                .map(|container| (likeness(name, &container.name), container.name))
                .max_by(|a, b| a.0.total_cmp(&b.0))
                // The container is only mentioned if it is more similar than the name.
                .filter(|(likeness, _)| *likeness > by_name);
            let (likeness, container) = match by_container {
                Some((likeness, container)) => (likeness, Some(container)),
                None => (by_name, None),
            };
            let candidate = Candidate {
                kind,
                name: object.metadata.name,
                container,
            };
            (likeness >= MIN_LIKENESS).then_some((likeness, candidate))
        })
        .collect();
    close.sort_by(|(a, left), (b, right)| b.total_cmp(a).then_with(|| left.name.cmp(&right.name)));
    close.truncate(MAX_CANDIDATES);
    close.into_iter().map(|(_, candidate)| candidate).collect()
}

/// The likeness of two names, from 0 to 1.
fn likeness(wanted: &str, found: &str) -> f64 {
    // Many names contain the same three letters.
    let part_of = |part: &str, whole: &str| part.len() > 3 && whole.contains(part);
    let contained = part_of(wanted, found) || part_of(found, wanted);
    // Jaro-Winkler rates a single typing error in a short name too low.
    let mistyped = wanted.len() > 2 && strsim::damerau_levenshtein(wanted, found) == 1;
    strsim::jaro_winkler(wanted, found).max(if contained || mistyped { 0.9 } else { 0.0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn workload(kind: &'static str, name: &str, containers: &[&str]) -> (&'static str, Object) {
        let containers: Vec<_> = containers
            .iter()
            .map(|name| json!({"name": name}))
            .collect();
        let object = json!({
            "metadata": {"name": name},
            "spec": {"template": {"spec": {"containers": containers}}}
        });
        (kind, serde_json::from_value(object).unwrap())
    }

    #[test]
    fn finds_similar_names_and_containers_most_similar_first() {
        let found = closest(
            "ingestion",
            vec![
                workload("Deployment", "web", &["nginx"]),
                workload("Deployment", "events-ingestion-overflow", &["app"]),
                workload("StatefulSet", "worker", &["ingestion", "proxy"]),
                workload("Deployment", "ingestoin", &["ingestoin"]),
            ],
        );
        let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "StatefulSet worker (container ingestion)",
                "Deployment ingestoin",
                "Deployment events-ingestion-overflow",
            ]
        );
    }

    #[test]
    fn same_name_of_another_kind_comes_first() {
        let found = closest(
            "ingestion",
            vec![
                workload("Deployment", "ingestions", &[]),
                workload("StatefulSet", "ingestion", &[]),
            ],
        );
        assert_eq!(found[0].kind, "StatefulSet");
    }

    #[test]
    fn short_name_with_one_typing_error_is_similar() {
        let found = closest("wbe", vec![workload("Deployment", "web", &[])]);
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn returns_at_most_five_candidates() {
        let many = (0..9)
            .map(|n| workload("Deployment", &format!("ingestion-{n}"), &[]))
            .collect();
        assert_eq!(closest("ingestion", many).len(), MAX_CANDIDATES);
    }

    #[test]
    fn does_not_return_other_names() {
        let others = vec![
            workload("Deployment", "web", &["nginx"]),
            workload("Deployment", "api", &[]),
        ];
        assert!(closest("ingestion", others).is_empty());
    }
}
