//! The specification of a workload to create.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// A workload to create. The default is a Deployment whose container and `app` label have its name,
/// with a CPU request of one core.
#[derive(Debug, Clone)]
pub struct WorkloadSpec {
    pub(super) kind: &'static str,
    pub(super) name: String,
    pub(super) container: String,
    pub(super) pods: usize,
    pub(super) request: Option<String>,
    pub(super) pod_request: Option<String>,
    pub(super) sidecars: Vec<(String, Option<String>)>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) loads: Vec<f64>,
    pub(super) replacement_load: Option<f64>,
    pub(super) wait: bool,
}

impl WorkloadSpec {
    /// Specifies a Deployment.
    pub fn deployment(name: impl Into<String>) -> Self {
        Self::new("Deployment", name.into())
    }

    /// Specifies a StatefulSet.
    pub fn stateful_set(name: impl Into<String>) -> Self {
        Self::new("StatefulSet", name.into())
    }

    fn new(kind: &'static str, name: String) -> Self {
        Self {
            kind,
            container: name.clone(),
            labels: BTreeMap::from([("app".to_owned(), name.clone())]),
            name,
            pods: 1,
            request: Some("1".to_owned()),
            pod_request: None,
            sidecars: Vec::new(),
            annotations: BTreeMap::new(),
            loads: Vec::new(),
            replacement_load: None,
            wait: true,
        }
    }

    /// The workload's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sets the number of pods.
    #[must_use]
    pub fn pods(mut self, pods: usize) -> Self {
        self.pods = pods;
        self
    }

    /// Sets the load of each pod in cores, in order of the pod names, and thereby the number of
    /// pods. Later pods get the mean.
    #[must_use]
    pub fn loads(mut self, loads: impl IntoIterator<Item = f64>) -> Self {
        self.loads = loads.into_iter().collect();
        self.pods = self.loads.len();
        self
    }

    /// Sets the load of later pods, in cores.
    #[must_use]
    pub fn replacement_load(mut self, cores: f64) -> Self {
        self.replacement_load = Some(cores);
        self
    }

    /// Sets the name of the measured container. The default is the workload's name.
    #[must_use]
    pub fn container(mut self, name: impl Into<String>) -> Self {
        self.container = name.into();
        self
    }

    /// Sets the CPU request of the measured container, such as `500m`.
    #[must_use]
    pub fn request(mut self, quantity: impl Into<String>) -> Self {
        self.request = Some(quantity.into());
        self
    }

    /// Removes the CPU request of the measured container.
    #[must_use]
    pub fn without_request(mut self) -> Self {
        self.request = None;
        self
    }

    /// Sets the CPU request of the pod as a whole.
    #[must_use]
    pub fn pod_request(mut self, quantity: impl Into<String>) -> Self {
        self.pod_request = Some(quantity.into());
        self
    }

    /// Adds a container after the measured one, optionally with a CPU request.
    #[must_use]
    pub fn sidecar(mut self, name: impl Into<String>, request: Option<&str>) -> Self {
        self.sidecars
            .push((name.into(), request.map(ToOwned::to_owned)));
        self
    }

    /// Adds a label to the pods and the selector; `app` replaces the default.
    #[must_use]
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(key.into(), value.into());
        self
    }

    /// Adds an annotation to the pods. See [`crate::annotation`] for those that the harness
    /// interprets.
    #[must_use]
    pub fn annotation(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.annotations.insert(key.into(), value.into());
        self
    }

    /// Does not wait until the pods are ready. The loads are then set only on pods that exist, so
    /// prefer [`Workload::set_loads`](crate::Workload::set_loads) later.
    #[must_use]
    pub fn without_waiting(mut self) -> Self {
        self.wait = false;
        self
    }

    pub(super) fn manifest(&self) -> Value {
        let container = |name: &str, request: Option<&String>| {
            let mut container = json!({"name": name, "image": "consumer:1"});
            if let Some(request) = request
                && let Some(fields) = container.as_object_mut()
            {
                fields.insert(
                    "resources".to_owned(),
                    json!({"requests": {"cpu": request}}),
                );
            }
            container
        };
        let mut containers = vec![container(&self.container, self.request.as_ref())];
        containers.extend(
            self.sidecars
                .iter()
                .map(|(name, request)| container(name, request.as_ref())),
        );
        let mut pod = json!({"containers": containers});
        if let (Some(request), Some(fields)) = (&self.pod_request, pod.as_object_mut()) {
            let resources = json!({"requests": {"cpu": request}});
            fields.insert("resources".to_owned(), resources);
        }
        json!({
            "apiVersion": "apps/v1",
            "kind": self.kind,
            "metadata": {"name": self.name, "labels": self.labels},
            "spec": {
                "replicas": self.pods,
                "selector": {"matchLabels": self.labels},
                "template": {
                    "metadata": {"labels": self.labels, "annotations": self.annotations},
                    "spec": pod,
                },
            },
        })
    }
}
