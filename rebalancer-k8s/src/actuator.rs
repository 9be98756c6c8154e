//! The implementation of the port `PodActuator`.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use kube::core::params::ListParams;
use rebalancer_core::model::{Pause, PausedAutoscaler, Pod, PodRef, WorkloadRef, WorkloadState};
use rebalancer_core::ports::{
    AutoscalerCandidate, DisruptionBudget, EvictionAnswer, PodActuator, PodState, PortError,
    ScaleTarget, WorkloadObservation,
};

use crate::api::Api;
use crate::attempt::Attempt;
use crate::autoscalers::Hpa;
use crate::budgets::Budget;
use crate::connection::Connection;
use crate::error::{K8sError, check_name};
use crate::eviction::{self, Eviction};
use crate::journal::{KubernetesJournal, Subject};
use crate::keda::{self, ScaledObject};
use crate::kind::WorkloadKind;
use crate::label_selector;
use crate::lease::KubernetesLease;
use crate::pages::PAGE;
use crate::permissions::Usage;
use crate::pods::{PodObject, ReadyCount, Reduced, Reduction};
use crate::protobuf::PREFERRED;
use crate::rights::{self, Right};
use crate::settings::{Autoscalers, EvictionMethod, Settings};
use crate::steering::KubernetesSteering;
use crate::suggestions;
use crate::workload::{self, Workload};

/// Reads and evicts the pods of one workload through the Kubernetes API.
pub struct KubernetesActuator {
    api: Api,
    settings: Settings,
    kind: WorkloadKind,
    /// The selection of the workload's pods, as last read.
    known: Mutex<Option<Arc<Selection>>>,
    /// The workload's own object, for the journal.
    subject: Arc<Subject>,
}

/// The criteria by which a pod is one of the workload's.
struct Selection {
    /// The workload's selector, joined with the configured one.
    selector: String,
    /// UIDs of the workload and of the objects that it controls.
    owners: Vec<String>,
}

impl KubernetesActuator {
    /// Creates an actuator for one workload. Sends no request.
    ///
    /// # Errors
    /// [`K8sError::InvalidKind`] or [`K8sError::InvalidName`] if the workload's kind or
    /// name is not valid.
    pub fn new(connection: Connection, settings: Settings) -> Result<Self, K8sError> {
        let kind = settings.workload.kind.parse::<WorkloadKind>()?;
        let WorkloadRef {
            namespace, name, ..
        } = &settings.workload;
        for (what, name) in [("the namespace", namespace), ("the workload", name)] {
            check_name(what, name)?;
        }
        Ok(Self {
            api: Api::new(connection),
            settings,
            kind,
            known: Mutex::new(None),
            subject: Arc::default(),
        })
    }

    /// Returns the lease by which one run at a time acts on this workload. `identity` names this
    /// run to other runs, and must be unique. Sends no request.
    #[must_use]
    pub fn lease(&self, identity: impl Into<String>) -> KubernetesLease {
        KubernetesLease::new(
            self.api.clone(),
            self.settings.workload.clone(),
            &self.kind,
            identity.into(),
        )
    }

    /// Returns the journal of this workload. `identity` is the reporting instance. Sends no
    /// request.
    #[must_use]
    pub fn journal(&self, identity: impl Into<String>) -> KubernetesJournal {
        KubernetesJournal::new(
            self.api.clone(),
            self.settings.workload.clone(),
            self.kind.clone(),
            identity.into(),
            Arc::clone(&self.subject),
        )
    }

    /// Returns what people steer the runs of this workload with. Sends no request.
    #[must_use]
    pub fn steering(&self) -> KubernetesSteering {
        KubernetesSteering::new(
            self.api.clone(),
            self.settings.workload.clone(),
            self.kind.clone(),
            self.lease(""),
        )
    }

    /// Returns the permissions that the configuration uses in the namespace of the workload.
    ///
    /// # Errors
    /// [`K8sError::KindNotServed`] if the API server does not serve a custom kind, or if it does
    /// not respond. For other kinds, no request is sent.
    pub async fn rights(&self, usage: Usage) -> Result<Vec<Right>, K8sError> {
        rights::used(&self.api, &self.kind, &self.settings, usage).await
    }

    /// Whether the account has a permission.
    ///
    /// # Errors
    /// If the API server does not respond.
    pub async fn is_granted(&self, right: &Right) -> Result<bool, K8sError> {
        let namespace = &self.settings.workload.namespace;
        rights::is_granted(&self.api, namespace, right).await
    }

    fn namespace(&self) -> &str {
        &self.settings.workload.namespace
    }

    fn pods_path(&self) -> String {
        format!("/api/v1/namespaces/{}/pods", self.namespace())
    }

    /// Reads the workload. If it does not exist, the error names similar workloads.
    async fn read_object(&self) -> Result<Workload, K8sError> {
        match workload::read(&self.api, &self.settings.workload, &self.kind).await {
            Err(K8sError::NotFound { from_api: true, .. }) => {
                Err(suggestions::not_found(&self.api, &self.settings.workload).await)
            }
            read => read.inspect(|workload| self.subject.learn(workload)),
        }
    }

    fn selector(&self, workload: &Workload) -> String {
        label_selector::both(&workload.selector, self.settings.label_selector.as_deref())
    }

    fn remember(&self, selector: String, owners: Vec<String>) -> Arc<Selection> {
        let selection = Arc::new(Selection { selector, owners });
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&selection));
        selection
    }

    fn remembered(&self) -> Option<Arc<Selection>> {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Reads the workload and its pods. The ages of the pods are at the returned instant.
    async fn read_pods(&self) -> Result<(Timestamp, Workload, Vec<Pod>), K8sError> {
        let workload = self.read_object().await?;
        // By the API server's clock, which is known after the first response.
        let taken_at = self.api.now();
        let selector = self.selector(&workload);
        let mut reduction = Reduction::new(taken_at, &self.settings.container);
        let (owners, listed) = tokio::join!(
            workload::owners(&self.api, self.namespace(), &self.kind, &workload),
            self.list_pods(&selector, self.settings.page_size, &mut reduction),
        );
        let owners = owners?;
        listed?;
        let Reduced { pods, instead } = reduction.finish(&owners, workload.opted_out.as_deref());
        if let Some(found) = instead {
            return Err(K8sError::ContainerNotFound {
                workload: Box::new(self.settings.workload.clone()),
                container: self.settings.container.clone(),
                pods: pods.iter().filter(|pod| pod.owned).count(),
                found,
            });
        }
        self.remember(selector, owners);
        Ok((taken_at, workload, pods))
    }

    async fn list_pods(
        &self,
        selector: &str,
        page_size: u32,
        pages: &mut impl crate::pages::Pages,
    ) -> Result<(), K8sError> {
        let attempt = Attempt::list("", "pods", self.namespace());
        let params = ListParams::default()
            .labels(selector)
            .limit(page_size.max(1));
        let listed = self
            .api
            .list_pages(&attempt, &self.pods_path(), &params, Some(PREFERRED), pages)
            .await;
        match listed {
            // The selector is the only part of the request that can be invalid.
            Err(K8sError::Rejected {
                code: 400, message, ..
            }) => Err(K8sError::InvalidSelector {
                selector: selector.to_owned(),
                message,
            }),
            listed => listed,
        }
    }

    async fn read_autoscalers(&self) -> Result<Vec<AutoscalerCandidate>, K8sError> {
        if self.settings.autoscalers == Autoscalers::No {
            return Ok(Vec::new());
        }
        let namespace = self.namespace();
        let attempt = Attempt::list("autoscaling", "horizontalpodautoscalers", namespace);
        let path = format!("/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers");
        let params = ListParams::default().limit(PAGE);
        let kind = "HorizontalPodAutoscaler";
        let hpas: Vec<Hpa> = match self.api.list(&attempt, kind, &path, &params).await {
            Err(error @ (K8sError::Forbidden { .. } | K8sError::NotFound { .. }))
                if self.settings.autoscalers == Autoscalers::IfPermitted =>
            {
                tracing::debug!(%error, "autoscalers not read");
                return Ok(Vec::new());
            }
            hpas => hpas?,
        };
        Ok(hpas.into_iter().map(Hpa::into_candidate).collect())
    }

    /// Reads the autoscalers. If the target comes from them and none scales the workload, also
    /// looks for a paused object that would define one. The permission for that is optional.
    async fn read_scaling(
        &self,
    ) -> Result<(Vec<AutoscalerCandidate>, Option<PausedAutoscaler>), K8sError> {
        let candidates = self.read_autoscalers().await?;
        let target = ScaleTarget::of_workload(&self.settings.workload);
        let scaled = candidates
            .iter()
            .flat_map(|candidate| &candidate.scale_targets)
            .any(|scaled| scaled.is_same_object(&target));
        if scaled || self.settings.autoscalers != Autoscalers::Required {
            return Ok((candidates, None));
        }
        let namespace = self.namespace();
        let attempt = Attempt::list("keda.sh", "scaledobjects", namespace);
        let path = format!("/apis/keda.sh/v1alpha1/namespaces/{namespace}/scaledobjects");
        let params = ListParams::default().limit(PAGE);
        let objects: Result<Vec<ScaledObject>, _> = self
            .api
            .list(&attempt, "ScaledObject", &path, &params)
            .await;
        let paused = objects.map_or_else(
            |error| {
                tracing::debug!(%error, "ScaledObjects not read");
                None
            },
            |objects| keda::paused(&objects, &self.settings.workload),
        );
        Ok((candidates, paused))
    }

    /// Counts ready pods. The number is exact if it is below `enough`.
    ///
    /// Pages are small if `enough` is small, because the listing ends at the first page that
    /// reaches it. `status.readyReplicas` would be a single read, but a controller updates it with
    /// a delay: it may count a pod that was just evicted, it counts terminating pods of a
    /// StatefulSet, and it ignores the configured label selector. A listing is consistent: every
    /// pod whose eviction was accepted is terminating in it. Pods that stop being ready between
    /// this count and the eviction are not noticed; a PodDisruptionBudget protects against that.
    async fn count<'s>(
        &self,
        selection: &'s Selection,
        enough: usize,
    ) -> Result<ReadyCount<'s>, K8sError> {
        // Some listed pods do not count.
        let wanted = enough.saturating_add(enough / 4).saturating_add(8);
        let page_size = u32::try_from(wanted)
            .unwrap_or(u32::MAX)
            .min(self.settings.page_size);
        let mut count = ReadyCount::new(&selection.owners, enough);
        self.list_pods(&selection.selector, page_size, &mut count)
            .await?;
        Ok(count)
    }

    async fn select(&self) -> Result<(Workload, Arc<Selection>), K8sError> {
        let workload = self.read_object().await?;
        let owners = workload::owners(&self.api, self.namespace(), &self.kind, &workload).await?;
        let selection = self.remember(self.selector(&workload), owners);
        Ok((workload, selection))
    }

    /// Counts ready pods up to `enough`. Reads the owners again only if the known ones do not
    /// suffice.
    async fn count_up_to(&self, enough: usize) -> Result<usize, K8sError> {
        if let Some(selection) = self.remembered() {
            // Known owners can only be too few, which makes the count too low.
            let ready = self.count(&selection, enough).await?.ready;
            if ready >= enough {
                return Ok(ready);
            }
        }
        let (_, selection) = self.select().await?;
        Ok(self.count(&selection, enough).await?.ready)
    }

    /// Reads the workload, and counts its ready pods up to `enough`.
    async fn read_state(&self, enough: usize) -> Result<WorkloadState, K8sError> {
        let (workload, selection) = self.select().await?;
        let ReadyCount {
            ready, failures, ..
        } = self.count(&selection, enough).await?;
        Ok(WorkloadState {
            ready,
            rollout: workload.rollout,
            failures,
            pause: workload.pause.at(self.api.now()),
        })
    }

    /// Reads a pod; `None` if it is gone.
    async fn get_pod(&self, pod: &PodRef) -> Result<Option<PodObject>, K8sError> {
        let attempt = Attempt::on("get", "", "pods", self.namespace(), &pod.name);
        let path = format!("{}/{}", self.pods_path(), pod.name);
        match self.api.get::<PodObject>(&attempt, &path, None).await {
            // A 404 of a proxy says nothing about the pod.
            Err(K8sError::NotFound { from_api: true, .. }) => Ok(None),
            object => Ok(Some(object?).filter(|object| object.has_uid(&pod.uid))),
        }
    }

    async fn read_one(&self, pod: &PodRef) -> Result<PodState, K8sError> {
        let Some(object) = self.get_pod(pod).await? else {
            return Ok(PodState::Gone);
        };
        Ok(if object.terminating() {
            PodState::Terminating
        } else if object.opted_out(self.api.now()).is_some() {
            PodState::OptedOut
        } else {
            PodState::Present {
                ready: object.ready(),
            }
        })
    }

    /// Reads the budgets that cover any of `pods` and do not allow the evictions of all of them.
    async fn read_budgets(&self, pods: &[PodRef]) -> Result<Vec<DisruptionBudget>, K8sError> {
        if self.settings.eviction_method == EvictionMethod::Delete {
            return Ok(Vec::new());
        }
        let namespace = self.namespace();
        let attempt = Attempt::list("policy", "poddisruptionbudgets", namespace);
        let path = format!("/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets");
        let params = ListParams::default().limit(PAGE);
        let kind = "PodDisruptionBudget";
        let mut budgets: Vec<Budget> = self.api.list(&attempt, kind, &path, &params).await?;
        budgets.retain(|budget| budget.allowed() < pods.len());
        if budgets.is_empty() {
            return Ok(Vec::new());
        }
        // The observation does not keep labels: those of thousands of pods would take much memory.
        let mut labels = Vec::with_capacity(pods.len());
        for pod in pods {
            if let Some(object) = self.get_pod(pod).await? {
                labels.push((pod.uid.clone(), object.labels()));
            }
        }
        budgets
            .into_iter()
            .filter_map(|budget| budget.covering(&labels).transpose())
            .collect::<Result<_, _>>()
            .map_err(|error| self.api.bad_answer(&attempt, &error))
    }
}

#[async_trait]
impl PodActuator for KubernetesActuator {
    fn workload(&self) -> &WorkloadRef {
        &self.settings.workload
    }

    async fn observe(&self) -> Result<WorkloadObservation, PortError> {
        // Both requests are awaited, because a missing workload is a more useful error than
        // autoscalers that may not be read.
        let (pods, scaling) = tokio::join!(self.read_pods(), self.read_scaling());
        let (taken_at, workload, pods) = pods?;
        let (autoscalers, paused_autoscaler) = scaling?;
        Ok(WorkloadObservation {
            taken_at,
            rollout: workload.rollout,
            autoscalers,
            paused_autoscaler,
            pods,
            last_rotation: workload.rotation(&self.settings.workload),
            pause: workload.pause.at(taken_at),
            proposal: workload.proposal,
            rollout_failures: workload.rollout_failures,
        })
    }

    async fn read_pod(&self, pod: &PodRef) -> Result<PodState, PortError> {
        Ok(self.read_one(pod).await?)
    }

    async fn count_ready(&self, enough: usize) -> Result<usize, PortError> {
        Ok(self.count_up_to(enough).await?)
    }

    async fn read_workload(&self, enough: usize) -> Result<WorkloadState, PortError> {
        Ok(self.read_state(enough).await?)
    }

    async fn evict(&self, pod: &PodRef, dry_run: bool) -> EvictionAnswer {
        let eviction = Eviction {
            namespace: self.namespace(),
            method: self.settings.eviction_method,
            grace_period: self.settings.grace_period,
            dry_run,
        };
        let attempt = eviction.attempt(pod);
        let outcome = self.api.write(&attempt, eviction.request(pod)).await;
        let answer = eviction::answer(outcome, &attempt, self.api.server())
            .settle(self.read_one(pod))
            .await;
        tracing::debug!(pod = pod.name, uid = %pod.uid, dry_run, ?answer, "response to the eviction");
        answer
    }

    async fn budgets(&self, pods: &[PodRef]) -> Result<Vec<DisruptionBudget>, PortError> {
        Ok(self.read_budgets(pods).await?)
    }

    async fn pause(&self) -> Result<Option<Pause>, PortError> {
        let workload = &self.settings.workload;
        let annotations = match self.subject.place() {
            Some(place) => workload::read_pause(&self.api, workload, &self.kind, &place).await?,
            None => self.read_object().await?.pause,
        };
        Ok(annotations.at(self.api.now()))
    }
}
