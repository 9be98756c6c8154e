//! A test's own namespace on the shared servers.

mod account;
mod autoscaler;
mod budget;
mod program;
mod service_account;
mod workload;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::{Api, api::PostParams};

use crate::{
    ControlPlane, CurrentServer, Error, MetricsServer, Result, Series, StartFailure, Work,
    cluster::{self, Cluster},
    manifest,
    wait::{Look, until},
};

pub use autoscaler::Target;
pub use budget::Limit;
pub use service_account::Account;
pub use workload::{PodView, Workload, WorkloadSpec};

/// Pause between two reads of the API.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);

/// Deadline for small tasks of the controllers.
const CONTROLLER_DEADLINE: Duration = Duration::from_secs(120);

/// A namespace that belongs to one test, with helpers to set it up and observe it.
pub struct TestNamespace {
    pub(crate) cluster: &'static Cluster,
    pub(crate) client: kube::Client,
    namespace: String,
    dir: PathBuf,
    /// Whether several tests use the namespace at the same time.
    reopened: bool,
}

impl TestNamespace {
    /// Creates a namespace named after the running test.
    ///
    /// # Errors
    /// If the servers do not start. Later calls in the process fail with the same error.
    pub async fn start() -> Result<Self> {
        static WORLDS: AtomicU32 = AtomicU32::new(0);
        let number = WORLDS.fetch_add(1, Ordering::Relaxed);
        // The thread of a test is named after the test.
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("test").to_ascii_lowercase();
        let slug: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .take(50)
            .collect();
        Self::named(&format!("t{number}-{}", slug.trim_matches('-'))).await
    }

    /// Creates a namespace with that name, which must not exist yet.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn named(namespace: &str) -> Result<Self> {
        Self::new(cluster::shared().await?, namespace).await
    }

    /// Creates a namespace on servers that no other test uses, so that the test may stop them.
    ///
    /// # Errors
    /// If the servers do not start.
    pub async fn with_own_servers(namespace: &str) -> Result<Self> {
        Self::new(cluster::own().await?, namespace).await
    }

    async fn new(cluster: &'static Cluster, namespace: &str) -> Result<Self> {
        // Each test has its own client, because connections belong to the runtime that opened them.
        let client = cluster.control_plane.client().await?;
        let mut object = Namespace::default();
        object.metadata.name = Some(namespace.to_owned());
        Api::<Namespace>::all(client.clone())
            .create(&PostParams::default(), &object)
            .await
            .map_err(Error::kube(format!("create namespace {namespace}")))?;
        let ns = Self::in_namespace(cluster, client, namespace);
        let dir = ns.dir();
        std::fs::create_dir(dir).map_err(Error::io(format!("create {}", dir.display())))?;
        // Pods are rejected until their service account exists.
        let accounts = ns.api::<ServiceAccount>();
        until(
            "the service account default",
            CONTROLLER_DEADLINE,
            PAUSE,
            async || {
                let found = accounts
                    .get_opt("default")
                    .await
                    .map_err(Error::kube("read a service account"))?;
                Ok(found.map_or_else(|| Look::Not("none".to_owned()), |_| Look::Done(())))
            },
        )
        .await?;
        Ok(ns)
    }

    /// Opens a namespace that another test created. Several tests may read from it at the same
    /// time, each with its own client.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn reopen(namespace: &str) -> Result<Self> {
        let cluster = cluster::shared().await?;
        let client = cluster.control_plane.client().await?;
        Ok(Self {
            reopened: true,
            ..Self::in_namespace(cluster, client, namespace)
        })
    }

    fn in_namespace(cluster: &'static Cluster, client: kube::Client, namespace: &str) -> Self {
        Self {
            // Inside the API server's directory, which is always removed.
            dir: cluster.control_plane.dir().join(namespace),
            cluster,
            client,
            namespace: namespace.to_owned(),
            reopened: false,
        }
    }

    /// The name of the namespace.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.namespace
    }

    /// A client with all rights and without retries.
    #[must_use]
    pub fn client(&self) -> &kube::Client {
        &self.client
    }

    /// The shared Prometheus.
    #[must_use]
    pub fn prometheus(&self) -> &MetricsServer {
        &self.cluster.prometheus
    }

    /// The shared VictoriaMetrics.
    #[must_use]
    pub fn victoria_metrics(&self) -> &MetricsServer {
        &self.cluster.victoria_metrics
    }

    /// Every metrics server: Prometheus, VictoriaMetrics, and a current version of each.
    #[must_use]
    pub fn metrics_servers(&self) -> [&MetricsServer; 4] {
        [
            &self.cluster.prometheus,
            &self.cluster.victoria_metrics,
            &self.cluster.current_prometheus,
            &self.cluster.current_victoria_metrics,
        ]
    }

    /// Starts another metrics server of a current version, which renames labels: pairs of the usual
    /// name and the new one.
    ///
    /// # Errors
    /// If the build of the server fails, or it does not become ready.
    pub async fn metrics_server_with_labels(
        &self,
        server: CurrentServer,
        labels: &[(&str, &str)],
    ) -> Result<MetricsServer> {
        MetricsServer::renaming(server, self.cluster.exporter.address(), labels).await
    }

    /// The Kubernetes control plane.
    #[must_use]
    pub fn control_plane(&self) -> &ControlPlane {
        &self.cluster.control_plane
    }

    /// A directory for the test's own files.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// An API handle for the namespace's objects of one kind.
    #[must_use]
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Creates a workload, waits until its pods are ready (unless the specification says not to),
    /// and sets their loads.
    ///
    /// # Errors
    /// If the API rejects the workload, or its pods do not become ready.
    pub async fn create(&self, spec: WorkloadSpec) -> Result<Workload<'_>> {
        Workload::create(self, spec).await
    }

    /// A handle to a workload that was created from that specification before.
    #[must_use]
    pub fn workload(&self, spec: WorkloadSpec) -> Workload<'_> {
        Workload::existing(self, spec)
    }

    /// Sets whether new pods of the namespace wait before they become ready.
    pub fn hold_new_pods(&self, hold: bool) {
        self.cluster.kubelet.hold(&self.namespace, hold);
    }

    /// Sets the work that runs in the namespace's future pods.
    pub fn run_in_pods(&self, work: Arc<dyn Work>) {
        self.cluster.works.set(&self.namespace, work);
    }

    /// Drops the work of the namespace's pods. Work that runs in a pod is not stopped first.
    pub fn drop_work(&self) {
        self.cluster.works.remove(&self.namespace);
    }

    /// Sets the failure of the namespace's future pods. `None` makes them healthy.
    pub fn fail_new_pods(&self, failure: Option<StartFailure>) {
        self.cluster.kubelet.set_failure(&self.namespace, failure);
    }

    /// Replaces the series that a fake exporter exposes to both metrics servers. Series of
    /// different namespaces differ only in their labels.
    pub fn expose(&self, exporter: &str, series: Vec<Series>) {
        let name = format!("{}/{exporter}", self.namespace);
        self.cluster.fake_exporters.set(name, series);
    }

    /// Applies every document of a YAML text to this namespace, and replaces the namespace that the
    /// documents name. Returns `Kind/name` of each. Cluster-scoped objects are applied unchanged; a
    /// Namespace is left out.
    ///
    /// # Errors
    /// If a document cannot be parsed or the API rejects it.
    pub async fn apply(&self, yaml: &str) -> Result<Vec<String>> {
        manifest::apply(&self.client, &self.namespace, yaml, true).await
    }

    /// As [`Self::apply`], for documents about this namespace whose accounts are in the namespaces
    /// that they name.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub async fn apply_as_it_is(&self, yaml: &str) -> Result<Vec<String>> {
        manifest::apply(&self.client, &self.namespace, yaml, false).await
    }

    /// Applies every `*.yaml` of a folder, in order of the file names.
    ///
    /// # Errors
    /// As [`Self::apply`], or when the folder cannot be read.
    pub async fn apply_dir(&self, dir: &Path) -> Result<Vec<String>> {
        let mut applied = Vec::new();
        for path in manifest::files(dir)? {
            let yaml = std::fs::read_to_string(&path)
                .map_err(Error::io(format!("read {}", path.display())))?;
            applied.extend(self.apply(&yaml).await?);
        }
        Ok(applied)
    }

    /// Deletes the namespace and waits until its pods are gone. Only needed when the number of pods
    /// would slow down other tests.
    ///
    /// # Errors
    /// If the API rejects the deletion, or the pods remain.
    pub async fn delete(self) -> Result<()> {
        Api::<Namespace>::all(self.client.clone())
            .delete(&self.namespace, &Default::default())
            .await
            .map_err(Error::kube(format!("delete namespace {}", self.namespace)))?;
        until(
            format!("the end of the pods of {}", self.namespace),
            Duration::from_secs(300),
            PAUSE,
            async || {
                Ok(match self.cluster.meters.count(&self.namespace) {
                    0 => Look::Done(()),
                    left => Look::Not(format!("{left} pods")),
                })
            },
        )
        .await
    }
}
