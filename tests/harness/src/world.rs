//! A test's own namespace in the shared cluster.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use k8s_openapi::api::{
    autoscaling::v2::HorizontalPodAutoscaler,
    batch::v1::CronJob,
    core::v1::{Namespace, Pod, ServiceAccount},
    policy::v1::PodDisruptionBudget,
};
use kube::{
    Api, ResourceExt as _,
    api::{EvictParams, Patch, PatchParams, PostParams, Preconditions},
};
use serde_json::json;

use crate::{
    Account, AuditEntry, ControlPlane, Error, MetricsServer, PodView, Rebalancer, Result, Series,
    Trouble, Work, Workload, WorkloadSpec, audit,
    cluster::{self, Cluster},
    controlplane, manifest,
    wait::{Look, until},
};

/// The pause between two looks at the API.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);

/// How long the controllers may take for something small.
const CONTROLLER_DEADLINE: Duration = Duration::from_secs(30);

/// What an autoscaler aims at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `Resource` cpu: percent of the pods' requests.
    Utilization(i32),
    /// `Resource` cpu: an amount for each pod, such as `700m`.
    AverageValue(String),
    /// `ContainerResource` cpu of that container: percent of its requests.
    ContainerUtilization(String, i32),
    /// `ContainerResource` cpu of that container: an amount for each pod.
    ContainerAverageValue(String, String),
}

/// What a disruption budget allows, as a number or a percentage (`"50%"`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Limit {
    /// At least so many pods stay.
    MinAvailable(String),
    /// At most so many pods may be out.
    MaxUnavailable(String),
}

/// A namespace of its own, and everything a test does in it.
pub struct World {
    pub(crate) cluster: &'static Cluster,
    pub(crate) client: kube::Client,
    namespace: String,
    dir: PathBuf,
    /// Many tests look at what is in it at once.
    reopened: bool,
}

impl World {
    /// A world in a namespace named after the test.
    ///
    /// # Errors
    /// If the servers do not start; every later call in the process fails alike.
    pub async fn start() -> Result<Self> {
        static WORLDS: AtomicU32 = AtomicU32::new(0);
        let number = WORLDS.fetch_add(1, Ordering::Relaxed);
        // The test's own thread bears its name.
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("world").to_ascii_lowercase();
        let slug: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .take(50)
            .collect();
        Self::named(&format!("t{number}-{}", slug.trim_matches('-'))).await
    }

    /// A world in a namespace of that name, which must not exist yet.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn named(namespace: &str) -> Result<Self> {
        Self::new(cluster::shared().await?, namespace).await
    }

    /// A world in servers that no other test uses, so that they may be stopped.
    ///
    /// # Errors
    /// If the servers do not start.
    pub async fn with_own_servers(namespace: &str) -> Result<Self> {
        Self::new(cluster::own().await?, namespace).await
    }

    async fn new(cluster: &'static Cluster, namespace: &str) -> Result<Self> {
        // A client of its own: connections live on the runtime that made them.
        let client = cluster.control_plane.client().await?;
        let mut object = Namespace::default();
        object.metadata.name = Some(namespace.to_owned());
        Api::<Namespace>::all(client.clone())
            .create(&PostParams::default(), &object)
            .await
            .map_err(Error::kube(format!("create namespace {namespace}")))?;
        let world = Self::in_namespace(cluster, client, namespace);
        let dir = world.dir();
        std::fs::create_dir(dir).map_err(Error::io(format!("create {}", dir.display())))?;
        // Pods are refused as long as the account that they run as does not exist.
        let accounts = world.api::<ServiceAccount>();
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
        Ok(world)
    }

    /// A world that another test has started. What is in it may be looked at by many
    /// tests at once, each with a client of its own.
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
            // Among the API server's files, which are removed however the process ends.
            dir: cluster.control_plane.dir().join(namespace),
            cluster,
            client,
            namespace: namespace.to_owned(),
            reopened: false,
        }
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// A client that may do everything and retries nothing.
    #[must_use]
    pub fn client(&self) -> &kube::Client {
        &self.client
    }

    /// Prometheus.
    #[must_use]
    pub fn prometheus(&self) -> &MetricsServer {
        &self.cluster.prometheus
    }

    /// VictoriaMetrics.
    #[must_use]
    pub fn victoria_metrics(&self) -> &MetricsServer {
        &self.cluster.victoria_metrics
    }

    /// The Kubernetes control plane.
    #[must_use]
    pub fn control_plane(&self) -> &ControlPlane {
        &self.cluster.control_plane
    }

    /// A folder for the test's own files.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The objects of one kind in the namespace.
    #[must_use]
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Creates a workload, waits until its pods are ready (unless the
    /// specification says not to), and gives them their loads.
    ///
    /// # Errors
    /// If the API refuses it or its pods do not become ready.
    pub async fn create(&self, spec: WorkloadSpec) -> Result<Workload<'_>> {
        Workload::create(self, spec).await
    }

    /// A workload that was created from that specification before.
    #[must_use]
    pub fn workload(&self, spec: WorkloadSpec) -> Workload<'_> {
        Workload::existing(self, spec)
    }

    /// Creates an autoscaler with the workload's name.
    ///
    /// # Errors
    /// If the API refuses it.
    pub async fn autoscale(&self, workload: &Workload<'_>, target: Target) -> Result<()> {
        self.autoscale_named(workload.name(), workload, target)
            .await
    }

    /// Creates an autoscaler of any name. Its status says that it wants as many
    /// pods as there are; see [`Self::set_autoscaler_status`].
    ///
    /// # Errors
    /// If the API refuses it.
    pub async fn autoscale_named(
        &self,
        name: &str,
        workload: &Workload<'_>,
        target: Target,
    ) -> Result<()> {
        let utilization = |percent| json!({"type": "Utilization", "averageUtilization": percent});
        let average = |amount| json!({"type": "AverageValue", "averageValue": amount});
        let of_pod =
            |target| json!({"type": "Resource", "resource": {"name": "cpu", "target": target}});
        let of_container = |container, target| {
            json!({"type": "ContainerResource",
                   "containerResource": {"name": "cpu", "container": container, "target": target}})
        };
        let metric = match target {
            Target::Utilization(percent) => of_pod(utilization(percent)),
            Target::AverageValue(amount) => of_pod(average(amount)),
            Target::ContainerUtilization(name, percent) => of_container(name, utilization(percent)),
            Target::ContainerAverageValue(name, amount) => of_container(name, average(amount)),
        };
        let hpa: HorizontalPodAutoscaler = manifest::object(json!({
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": name},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": workload.kind(), "name": workload.name()},
                "minReplicas": 1,
                "maxReplicas": 10_000,
                "metrics": [metric],
            },
        }))?;
        self.api::<HorizontalPodAutoscaler>()
            .create(&PostParams::default(), &hpa)
            .await
            .map_err(Error::kube(format!("create autoscaler {name}")))?;
        let pods = i32::try_from(workload.pods().await?.len()).unwrap_or(i32::MAX);
        self.set_autoscaler_status(name, pods, pods).await
    }

    /// Plays the autoscaler's controller, which does not run.
    ///
    /// # Errors
    /// If the API refuses it.
    pub async fn set_autoscaler_status(
        &self,
        name: &str,
        current: i32,
        desired: i32,
    ) -> Result<()> {
        let status = json!({"status": {
            "observedGeneration": 1, "currentReplicas": current, "desiredReplicas": desired,
        }});
        self.api::<HorizontalPodAutoscaler>()
            .patch_status(name, &PatchParams::default(), &Patch::Merge(status))
            .await
            .map(drop)
            .map_err(Error::kube(format!("set the status of autoscaler {name}")))
    }

    /// Creates a disruption budget over the workload's pods and waits until it is in force.
    ///
    /// # Errors
    /// If the API refuses it, or its controller does not take it up.
    pub async fn budget(&self, name: &str, workload: &Workload<'_>, limit: Limit) -> Result<()> {
        let (field, amount) = match limit {
            Limit::MinAvailable(amount) => ("minAvailable", amount),
            Limit::MaxUnavailable(amount) => ("maxUnavailable", amount),
        };
        // A number has to be one, not a string.
        let amount = amount
            .parse::<i32>()
            .map_or_else(|_| json!(amount), |number| json!(number));
        let budget: PodDisruptionBudget = manifest::object(json!({
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": name},
            "spec": {"selector": {"matchLabels": workload.selector()}, field: amount},
        }))?;
        let api = self.api::<PodDisruptionBudget>();
        api.create(&PostParams::default(), &budget)
            .await
            .map_err(Error::kube(format!("create budget {name}")))?;
        let ready = workload.ready().await?;
        until(
            format!("budget {name} to be in force"),
            CONTROLLER_DEADLINE,
            PAUSE,
            async || {
                let found = api
                    .get(name)
                    .await
                    .map_err(Error::kube(format!("read budget {name}")))?;
                let seen = found.status.as_ref().map_or((None, 0), |status| {
                    (
                        status.observed_generation,
                        status
                            .current_healthy
                            .and_then(|pods| usize::try_from(pods).ok())
                            .unwrap_or(0),
                    )
                });
                if seen == (found.metadata.generation, ready) {
                    return Ok(Look::Done(()));
                }
                Ok(Look::Not(format!(
                    "generation {:?}, {} healthy pods of {ready}",
                    seen.0, seen.1
                )))
            },
        )
        .await
    }

    /// Evicts a pod, as the program under test would.
    ///
    /// # Errors
    /// The API's answer; [`Error::code`] is 429 when a budget forbids it.
    pub async fn evict(&self, pod: &PodView) -> Result<()> {
        let params = EvictParams {
            delete_options: Some(kube::api::DeleteParams {
                preconditions: Some(Preconditions {
                    uid: Some(pod.uid.clone()),
                    resource_version: None,
                }),
                ..Default::default()
            }),
            ..EvictParams::default()
        };
        self.api::<k8s_openapi::api::core::v1::Pod>()
            .evict(&pod.name, &params)
            .await
            .map(drop)
            .map_err(Error::kube(format!("evict pod {}", pod.name)))
    }

    /// While held, no further pod of the namespace becomes ready; it runs and waits.
    pub fn hold_new_pods(&self, hold: bool) {
        self.cluster.kubelet.hold(&self.namespace, hold);
    }

    /// This works in the pods of the namespace that are yet to come.
    pub fn run_in_pods(&self, work: Arc<dyn Work>) {
        self.cluster.works.set(&self.namespace, work);
    }

    /// What befalls the pods of the namespace that are yet to come; `None` lets them be healthy.
    pub fn trouble_new_pods(&self, trouble: Option<Trouble>) {
        self.cluster.kubelet.trouble(&self.namespace, trouble);
    }

    /// What an imagined exporter exposes to both metrics servers from now on, in place of what one of
    /// that name did in this world. Nothing tells it apart from those of other worlds but its labels.
    pub fn expose(&self, exporter: &str, series: Vec<Series>) {
        let name = format!("{}/{exporter}", self.namespace);
        self.cluster.imagined.set(name, series);
    }

    /// Applies every document of a YAML text to this namespace, whatever namespace
    /// it names; yields `Kind/name` of each. Objects without a namespace are applied
    /// as they are, a Namespace is left out.
    ///
    /// # Errors
    /// If a document cannot be understood or the API refuses it.
    pub async fn apply(&self, yaml: &str) -> Result<Vec<String>> {
        manifest::apply(&self.client, &self.namespace, yaml).await
    }

    /// Applies every `*.yaml` of a folder, in the order of their names.
    ///
    /// # Errors
    /// As [`Self::apply`], or if the folder cannot be read.
    pub async fn apply_dir(&self, dir: &Path) -> Result<Vec<String>> {
        let mut applied = Vec::new();
        for path in manifest::files(dir)? {
            let yaml = std::fs::read_to_string(&path)
                .map_err(Error::io(format!("read {}", path.display())))?;
            applied.extend(self.apply(&yaml).await?);
        }
        Ok(applied)
    }

    /// Creates a service account without any right.
    ///
    /// # Errors
    /// If the API refuses it.
    pub async fn create_account(&self, name: &str) -> Result<Account> {
        let mut account = ServiceAccount::default();
        account.metadata.name = Some(name.to_owned());
        self.api::<ServiceAccount>()
            .create(&PostParams::default(), &account)
            .await
            .map_err(Error::kube(format!("create service account {name}")))?;
        self.account(name).await
    }

    /// A token and a kubeconfig for a service account that exists.
    ///
    /// # Errors
    /// If the API refuses it.
    pub async fn account(&self, name: &str) -> Result<Account> {
        Account::of(self, name).await
    }

    /// The account and the environment of a CronJob's first container.
    ///
    /// # Errors
    /// If there is no such CronJob, or its environment comes from somewhere that
    /// the harness cannot read.
    pub async fn cron_job(&self, name: &str) -> Result<(Account, Vec<(String, String)>)> {
        let job = self
            .api::<CronJob>()
            .get(name)
            .await
            .map_err(Error::kube(format!("read CronJob {name}")))?;
        let (account, environment) = manifest::pod_environment(&job, &self.namespace)?;
        Ok((self.account(&account).await?, environment))
    }

    /// Waits until a CronJob's next pod has ended; yields it and what its container wrote. A CronJob
    /// of every minute takes up to one until it fires.
    ///
    /// # Errors
    /// If none comes, or the API refuses to tell.
    pub async fn fired(&self, cron_job: &str, known: &[String]) -> Result<(Pod, String)> {
        let ours = |pod: &Pod| {
            let owner = pod.labels().get("batch.kubernetes.io/job-name");
            owner.is_some_and(|job| job.starts_with(cron_job))
        };
        until(
            format!("the end of a pod of CronJob {cron_job}"),
            Duration::from_secs(120),
            PAUSE,
            async || {
                let pods = self
                    .api::<Pod>()
                    .list(&Default::default())
                    .await
                    .map_err(Error::kube("list pods"))?;
                let new = pods
                    .items
                    .into_iter()
                    .find(|pod| ours(pod) && pod.uid().is_some_and(|uid| !known.contains(&uid)));
                let Some(pod) = new else {
                    let failures = self.cluster.kubelet.failures();
                    return Ok(Look::Not(format!("none; failures: {failures:?}")));
                };
                let uid = pod.uid().unwrap_or_default();
                let status = pod.status.clone().unwrap_or_default();
                let ended =
                    ["Succeeded", "Failed"].contains(&status.phase.as_deref().unwrap_or(""));
                Ok(match self.cluster.kubelet.containers().log(&uid) {
                    Some(log) if ended => Look::Done((pod, log)),
                    Some(_) | None => {
                        let failures = self.cluster.kubelet.failures();
                        Look::Not(format!("{:?}; failures: {failures:?}", status.phase))
                    }
                })
            },
        )
        .await
    }

    /// The calls of an account to the API so far, in their order.
    ///
    /// # Errors
    /// If the audit log cannot be read.
    pub fn audit(&self, account: &Account) -> Result<Vec<AuditEntry>> {
        audit::read(&self.control_plane().audit_log(), &account.user)
    }

    /// The program under test, set up for a workload of this world, with all
    /// rights, and Prometheus as its metrics server.
    #[must_use]
    pub fn rebalancer(&self, workload: &Workload<'_>) -> Rebalancer {
        let program = self.rebalancer_for(workload.name());
        let program = if workload.kind() == "Deployment" {
            program
        } else {
            program.env("WORKLOAD_KIND", workload.kind())
        };
        if workload.container() == workload.name() {
            program
        } else {
            program.env("CONTAINER_NAME", workload.container())
        }
    }

    /// As [`Self::rebalancer`], for a workload that need not exist.
    #[must_use]
    pub fn rebalancer_for(&self, workload: &str) -> Rebalancer {
        let program = if self.reopened {
            // Its tests run at once and would hold for each other.
            Rebalancer::new().env("ONE_AT_A_TIME", "false")
        } else {
            Rebalancer::new()
        };
        program
            .env("PROMETHEUS_ENDPOINT", self.prometheus().url())
            .env("KUBECONFIG", self.control_plane().program_kubeconfig())
            .env("KUBE_NAMESPACE", &self.namespace)
            .env("DEPLOYMENT_NAME", workload)
            .env("METRICS_TIME_WINDOW", "10s")
    }

    /// A client with the rights of an account.
    ///
    /// # Errors
    /// If the client cannot be built.
    pub async fn client_of(&self, account: &Account) -> Result<kube::Client> {
        controlplane::client(&account.kubeconfig).await
    }

    /// Deletes the namespace and waits until its pods are gone. Needed only where
    /// their number would slow down other tests.
    ///
    /// # Errors
    /// If the API refuses it, or the pods do not go.
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
