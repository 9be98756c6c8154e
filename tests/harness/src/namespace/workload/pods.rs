//! The pods of a workload.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::{
    ResourceExt as _,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::json;

use super::Workload;
use crate::{
    Error, Result,
    meters::workload_of,
    namespace::PAUSE,
    wait::{Look, until},
};

/// Deadline for pods to become ready, with room for a machine busy with a build.
const PODS_DEADLINE: Duration = Duration::from_secs(180);

/// A test's view of a pod.
#[derive(Debug, Clone, PartialEq)]
pub struct PodView {
    /// The pod's name.
    pub name: String,
    /// The pod's UID.
    pub uid: String,
    /// The phase: Pending, Running, …
    pub phase: String,
    /// Whether the pod is ready.
    pub ready: bool,
    /// Whether the pod's deletion was requested.
    pub terminating: bool,
    /// The load that the harness has set for the measured container, in cores, if the pod is
    /// measured.
    pub load: Option<f64>,
}

impl Workload<'_> {
    /// The workload's pods by name, including terminating ones.
    ///
    /// # Errors
    /// If the API rejects the request.
    pub async fn pods(&self) -> Result<Vec<PodView>> {
        let labels: Vec<String> = self
            .spec
            .labels
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let list = self
            .ns
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
                .ns
                .cluster
                .meters
                .load(&uid, None)
                .map(|(cores, _)| cores),
            uid,
        }
    }

    /// The number of pods that are ready and not terminating.
    pub(crate) async fn ready(&self) -> Result<usize> {
        Ok(self
            .pods()
            .await?
            .iter()
            .filter(|pod| pod.ready && !pod.terminating)
            .count())
    }

    /// Waits until the workload has its number of pods, all ready and none terminating.
    ///
    /// # Errors
    /// If that does not happen in time; contains the kubelet's errors.
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
            let errors = self.ns.cluster.kubelet.errors();
            Ok(Look::Not(format!(
                "{} pods, {ready} ready; the kubelet's errors: {errors:?}",
                pods.len()
            )))
        })
        .await
    }

    /// Adds an annotation to a pod.
    ///
    /// # Errors
    /// If the API rejects it.
    pub async fn annotate(&self, pod: &PodView, key: &str, value: &str) -> Result<()> {
        let patch = Patch::Merge(json!({"metadata": {"annotations": {key: value}}}));
        self.ns
            .api::<Pod>()
            .patch(&pod.name, &PatchParams::default(), &patch)
            .await
            .map(drop)
            .map_err(Error::kube(format!("annotate pod {}", pod.name)))
    }
}
