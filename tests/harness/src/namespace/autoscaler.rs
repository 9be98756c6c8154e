//! Autoscalers of a test namespace.

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

use super::TestNamespace;
use crate::{Error, Result, Workload, manifest};

/// The target of an autoscaler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `Resource` metric on CPU: percentage of the pods' requests.
    Utilization(i32),
    /// `Resource` metric on CPU: an amount per pod, such as `700m`.
    AverageValue(String),
    /// `ContainerResource` metric on CPU of that container: percentage of its requests.
    ContainerUtilization(String, i32),
    /// `ContainerResource` metric on CPU of that container: an amount per pod.
    ContainerAverageValue(String, String),
}

impl TestNamespace {
    /// Creates an autoscaler with the workload's name.
    ///
    /// # Errors
    /// If the API rejects it.
    pub async fn autoscale(&self, workload: &Workload<'_>, target: Target) -> Result<()> {
        self.autoscale_named(workload.name(), workload, target)
            .await
    }

    /// Creates an autoscaler. Its status desires the current number of pods; see
    /// [`Self::set_autoscaler_status`].
    ///
    /// # Errors
    /// If the API rejects it.
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

    /// Sets an autoscaler's status, in place of its controller, which does not run.
    ///
    /// # Errors
    /// If the API rejects it.
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
}
