//! Deployments and StatefulSets, and their pods.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    core::v1::Pod,
};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::{
    Error, Result, World, kubelet, manifest,
    meters::workload_of,
    metrics::WINDOW,
    wait::{Look, until},
    world::PAUSE,
};

/// How long pods may take, on a machine busy with a build.
const PODS_DEADLINE: Duration = Duration::from_secs(180);

/// How close a measured load has to be to the set one to count as settled, and how
/// far from zero it may be at zero (cores).
const SETTLED: (f64, f64) = (0.01, 0.002);

/// A workload to create. The defaults are a Deployment whose container and label
/// `app` bear its name, with a request of one core.
#[derive(Debug, Clone)]
pub struct WorkloadSpec {
    kind: &'static str,
    name: String,
    container: String,
    pods: usize,
    request: Option<String>,
    sidecars: Vec<(String, Option<String>)>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    loads: Vec<f64>,
    replacement_load: Option<f64>,
    wait: bool,
}

impl WorkloadSpec {
    /// A Deployment.
    pub fn deployment(name: impl Into<String>) -> Self {
        Self::new("Deployment", name.into())
    }

    /// A StatefulSet.
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
            sidecars: Vec::new(),
            annotations: BTreeMap::new(),
            loads: Vec::new(),
            replacement_load: None,
            wait: true,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of pods.
    #[must_use]
    pub fn pods(mut self, pods: usize) -> Self {
        self.pods = pods;
        self
    }

    /// As many pods as loads: the load of each in cores, in the order of their
    /// names. Pods that come later get the mean.
    #[must_use]
    pub fn loads(mut self, loads: impl IntoIterator<Item = f64>) -> Self {
        self.loads = loads.into_iter().collect();
        self.pods = self.loads.len();
        self
    }

    /// The load of pods that come later, in cores.
    #[must_use]
    pub fn replacement_load(mut self, cores: f64) -> Self {
        self.replacement_load = Some(cores);
        self
    }

    /// The name of the measured container, where it is not the workload's.
    #[must_use]
    pub fn container(mut self, name: impl Into<String>) -> Self {
        self.container = name.into();
        self
    }

    /// The CPU request of the measured container, such as `500m`.
    #[must_use]
    pub fn request(mut self, quantity: impl Into<String>) -> Self {
        self.request = Some(quantity.into());
        self
    }

    /// No CPU request on the measured container.
    #[must_use]
    pub fn without_request(mut self) -> Self {
        self.request = None;
        self
    }

    /// Another container after the measured one, with a CPU request or none.
    #[must_use]
    pub fn sidecar(mut self, name: impl Into<String>, request: Option<&str>) -> Self {
        self.sidecars
            .push((name.into(), request.map(ToOwned::to_owned)));
        self
    }

    /// A label of the pods, which the selector asks for as well; `app` replaces the default.
    #[must_use]
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(key.into(), value.into());
        self
    }

    /// An annotation of the pods; see [`crate::annotation`] for those that the
    /// harness understands.
    #[must_use]
    pub fn annotation(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.annotations.insert(key.into(), value.into());
        self
    }

    /// Does not wait until the pods are ready. Loads are given to the pods that
    /// exist by then, so that [`Workload::set_loads`] is the better way.
    #[must_use]
    pub fn without_waiting(mut self) -> Self {
        self.wait = false;
        self
    }

    fn manifest(&self) -> Value {
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
        json!({
            "apiVersion": "apps/v1",
            "kind": self.kind,
            "metadata": {"name": self.name, "labels": self.labels},
            "spec": {
                "replicas": self.pods,
                "selector": {"matchLabels": self.labels},
                "template": {
                    "metadata": {"labels": self.labels, "annotations": self.annotations},
                    "spec": {"containers": containers},
                },
            },
        })
    }
}

/// A pod as a test looks at it.
#[derive(Debug, Clone, PartialEq)]
pub struct PodView {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// The phase: Pending, Running, …
    pub phase: String,
    /// Whether it is ready.
    pub ready: bool,
    /// Whether its deletion was asked for.
    pub terminating: bool,
    /// The load that the harness gives its measured container, in cores, if it is measured.
    pub load: Option<f64>,
}

/// A workload of a [`World`].
pub struct Workload<'world> {
    world: &'world World,
    spec: WorkloadSpec,
}

impl<'world> Workload<'world> {
    pub(crate) async fn create(world: &'world World, spec: WorkloadSpec) -> Result<Self> {
        let action = format!("create {} {}", spec.kind, spec.name);
        let manifest = spec.manifest();
        let workload = Self::existing(world, spec);
        let params = PostParams::default();
        if workload.is_stateful_set() {
            let object: StatefulSet = manifest::object(manifest)?;
            world
                .api()
                .create(&params, &object)
                .await
                .map(drop)
                .map_err(Error::kube(action))?;
        } else {
            let object: Deployment = manifest::object(manifest)?;
            world
                .api()
                .create(&params, &object)
                .await
                .map(drop)
                .map_err(Error::kube(action))?;
        }
        if workload.spec.wait {
            workload.wait_ready().await?;
        }
        if !workload.spec.loads.is_empty() {
            workload.set_loads(&workload.spec.loads).await?;
        }
        if let Some(load) = workload.spec.replacement_load {
            workload.set_replacement_load(load);
        }
        Ok(workload)
    }

    pub(crate) fn existing(world: &'world World, spec: WorkloadSpec) -> Self {
        Self { world, spec }
    }

    fn is_stateful_set(&self) -> bool {
        self.spec.kind == "StatefulSet"
    }

    /// `Deployment` or `StatefulSet`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.spec.kind
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// The name of the measured container.
    #[must_use]
    pub fn container(&self) -> &str {
        &self.spec.container
    }

    /// The labels that its selector asks for.
    #[must_use]
    pub fn selector(&self) -> &BTreeMap<String, String> {
        &self.spec.labels
    }

    /// Its pods, those that are ending included, by name.
    ///
    /// # Errors
    /// If the API refuses it.
    pub async fn pods(&self) -> Result<Vec<PodView>> {
        let labels: Vec<String> = self
            .spec
            .labels
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let list = self
            .world
            .api::<Pod>()
            .list(&ListParams::default().labels(&labels.join(",")))
            .await
            .map_err(Error::kube(format!("list the pods of {}", self.spec.name)))?;
        let own = list
            .items
            .iter()
            .filter(|pod| workload_of(pod) == self.spec.name);
        let mut pods: Vec<PodView> = own.map(|pod| self.view(pod)).collect();
        pods.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(pods)
    }

    fn view(&self, pod: &Pod) -> PodView {
        let uid = pod.uid().unwrap_or_default();
        let status = pod.status.as_ref();
        let conditions = status
            .and_then(|status| status.conditions.as_deref())
            .unwrap_or_default();
        PodView {
            name: pod.name_any(),
            phase: status
                .and_then(|status| status.phase.clone())
                .unwrap_or_default(),
            ready: conditions
                .iter()
                .any(|condition| condition.type_ == "Ready" && condition.status == "True"),
            terminating: pod.metadata.deletion_timestamp.is_some(),
            load: self
                .world
                .cluster
                .meters
                .load(&uid, None)
                .map(|(cores, _)| cores),
            uid,
        }
    }

    /// How many pods are ready and not ending.
    pub(crate) async fn ready(&self) -> Result<usize> {
        Ok(self
            .pods()
            .await?
            .iter()
            .filter(|pod| pod.ready && !pod.terminating)
            .count())
    }

    /// Waits until it has its number of pods, all ready, none ending.
    ///
    /// # Errors
    /// If they do not become so, with what the harness's kubelet could not do.
    pub async fn wait_ready(&self) -> Result<Vec<PodView>> {
        let wanted = self.spec.pods;
        let what = format!("{wanted} ready pods of {}", self.spec.name);
        until(what, PODS_DEADLINE, PAUSE, async || {
            let pods = self.pods().await?;
            let ready = pods
                .iter()
                .filter(|pod| pod.ready && !pod.terminating)
                .count();
            if pods.len() == wanted && ready == wanted {
                return Ok(Look::Done(pods));
            }
            let failures = self.world.cluster.kubelet.failures();
            Ok(Look::Not(format!(
                "{} pods, {ready} ready; the kubelet's failures: {failures:?}",
                pods.len()
            )))
        })
        .await
    }

    /// Sets the loads of its pods in cores, in the order of their names, and the
    /// mean for pods that come later.
    ///
    /// # Errors
    /// If the number of pods is another one, or one of them is not running yet.
    pub async fn set_loads(&self, loads: &[f64]) -> Result<()> {
        let pods = self.pods().await?;
        let wrong = |message: String| Error::Document {
            what: format!("the loads for {}", self.spec.name),
            message,
        };
        if pods.len() != loads.len() {
            return Err(wrong(format!(
                "{} loads for {} pods",
                loads.len(),
                pods.len()
            )));
        }
        for (pod, load) in pods.iter().zip(loads) {
            if !self.world.cluster.meters.set_load(&pod.uid, None, *load) {
                return Err(wrong(format!("pod {} does not run yet", pod.name)));
            }
        }
        // The number of pods of a test is exact in a float.
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 pods")]
        let count = loads.len().max(1) as f64;
        self.set_replacement_load(loads.iter().sum::<f64>() / count);
        Ok(())
    }

    /// Sets the load of pods that come later, in cores.
    pub fn set_replacement_load(&self, cores: f64) {
        self.world
            .cluster
            .meters
            .set_newcomers(self.world.namespace(), &self.spec.name, cores);
    }

    /// Sets the load of one container of a running pod, in cores.
    ///
    /// # Errors
    /// If the pod is not running or has no such container.
    pub fn set_container_load(&self, pod: &PodView, container: &str, cores: f64) -> Result<()> {
        if self
            .world
            .cluster
            .meters
            .set_load(&pod.uid, Some(container), cores)
        {
            return Ok(());
        }
        Err(Error::Document {
            what: format!("the load for container {container} of {}", pod.name),
            message: "no such container is running".to_owned(),
        })
    }

    /// Whether cadvisor knows its running pods from now on. The counters go on all the same.
    ///
    /// # Errors
    /// If a pod is not running.
    pub async fn set_measured(&self, measured: bool) -> Result<()> {
        for pod in self.pods().await? {
            let meters = &self.world.cluster.meters;
            self.metered(&pod, meters.set_measured(&pod.uid, measured))?;
        }
        Ok(())
    }

    /// Shows the containers of a running pod to a second scrape job as well.
    ///
    /// # Errors
    /// If the pod is not running.
    pub fn double(&self, pod: &PodView) -> Result<()> {
        self.metered(pod, self.world.cluster.meters.double(&pod.uid))
    }

    /// The measured container of a running pod is killed for its memory and started again: its
    /// status says so, and it is in the metrics as a new cgroup that has spent nothing yet.
    ///
    /// # Errors
    /// If the pod is not running, or the API refuses it.
    pub async fn restart(&self, pod: &PodView) -> Result<()> {
        let api = self.world.api::<Pod>();
        let found = api
            .get(&pod.name)
            .await
            .map_err(Error::kube(format!("read pod {}", pod.name)))?;
        let status = kubelet::restarted(&found);
        let known = self.world.cluster.meters.restart(&pod.uid);
        self.metered(pod, known && status.is_some())?;
        api.patch_status(&pod.name, &PatchParams::default(), &Patch::Merge(status))
            .await
            .map(drop)
            .map_err(Error::kube(format!("set the status of pod {}", pod.name)))
    }

    fn metered(&self, pod: &PodView, found: bool) -> Result<()> {
        found.then_some(()).ok_or_else(|| Error::Document {
            what: format!("the meters of {}", pod.name),
            message: "it does not run".to_owned(),
        })
    }

    /// Waits until both metrics servers have a full window of every ready pod at the
    /// load that it has now.
    ///
    /// # Errors
    /// If they do not, within the window and some seconds.
    pub async fn wait_measured(&self) -> Result<()> {
        let window = WINDOW;
        let deadline = window + Duration::from_secs(50);
        let settled =
            |wanted: f64, seen: f64| (wanted - seen).abs() <= (wanted * SETTLED.0).max(SETTLED.1);
        let what = format!("the loads of {} in both metrics servers", self.spec.name);
        until(what, deadline, Duration::from_millis(500), async || {
            let mut wanted = BTreeMap::new();
            for pod in self
                .pods()
                .await?
                .into_iter()
                .filter(|pod| pod.ready && !pod.terminating)
            {
                let container = Some(self.spec.container.as_str());
                if let Some((cores, age)) = self.world.cluster.meters.load(&pod.uid, container) {
                    if age < window + Duration::from_secs(1) {
                        return Ok(Look::Not(format!(
                            "{} has its load since {age:?}",
                            pod.name
                        )));
                    }
                    wanted.insert(pod.name, cores);
                }
            }
            for server in [self.world.prometheus(), self.world.victoria_metrics()] {
                let loads = server
                    .loads(self.world.namespace(), &self.spec.container)
                    .await?;
                for (pod, wanted) in &wanted {
                    let seen = loads.get(pod).copied();
                    if !seen.is_some_and(|seen| settled(*wanted, seen)) {
                        return Ok(Look::Not(format!(
                            "{} says {seen:?} for {pod}, not {wanted}",
                            server.name()
                        )));
                    }
                }
            }
            Ok(Look::Done(()))
        })
        .await
    }

    /// Changes the number of pods, without waiting.
    ///
    /// # Errors
    /// If the API refuses it.
    pub async fn scale(&mut self, pods: usize) -> Result<()> {
        self.spec.pods = pods;
        self.patch(json!({"spec": {"replicas": pods}})).await
    }

    /// Starts a rollout of a changed pod template, without waiting.
    ///
    /// # Errors
    /// If the API refuses it.
    pub async fn roll_out(&self) -> Result<()> {
        let stamp = format!("{:?}", Instant::now());
        let annotations = json!({"harness.rebalancer.io/rolled-out": stamp});
        self.patch(json!({"spec": {"template": {"metadata": {"annotations": annotations}}}}))
            .await
    }

    /// Changes the object by a merge patch, for what has no method of its own.
    ///
    /// # Errors
    /// If the API refuses it.
    pub async fn patch(&self, patch: Value) -> Result<()> {
        let name = &self.spec.name;
        let (params, patch) = (PatchParams::default(), Patch::Merge(patch));
        let result = if self.is_stateful_set() {
            Api::<StatefulSet>::patch(&self.world.api(), name, &params, &patch)
                .await
                .map(drop)
        } else {
            Api::<Deployment>::patch(&self.world.api(), name, &params, &patch)
                .await
                .map(drop)
        };
        result.map_err(Error::kube(format!("patch {} {name}", self.spec.kind)))
    }

    /// Adds an annotation to one of its pods.
    ///
    /// # Errors
    /// If the API refuses it.
    pub async fn annotate(&self, pod: &PodView, key: &str, value: &str) -> Result<()> {
        let patch = Patch::Merge(json!({"metadata": {"annotations": {key: value}}}));
        self.world
            .api::<Pod>()
            .patch(&pod.name, &PatchParams::default(), &patch)
            .await
            .map(drop)
            .map_err(Error::kube(format!("annotate pod {}", pod.name)))
    }
}
