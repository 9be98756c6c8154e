//! Deployments and StatefulSets, and their pods.

mod load;
mod pods;
mod spec;

use std::{collections::BTreeMap, time::Instant};

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::{Error, Result, TestNamespace, manifest};

pub use pods::PodView;
pub use spec::WorkloadSpec;

/// A workload of a [`TestNamespace`].
pub struct Workload<'ns> {
    ns: &'ns TestNamespace,
    spec: WorkloadSpec,
}

impl<'ns> Workload<'ns> {
    pub(crate) async fn create(ns: &'ns TestNamespace, spec: WorkloadSpec) -> Result<Self> {
        let action = format!("create {} {}", spec.kind, spec.name);
        let manifest = spec.manifest();
        let workload = Self::existing(ns, spec);
        let params = PostParams::default();
        if workload.is_stateful_set() {
            let object: StatefulSet = manifest::object(manifest)?;
            ns.api()
                .create(&params, &object)
                .await
                .map(drop)
                .map_err(Error::kube(action))?;
        } else {
            let object: Deployment = manifest::object(manifest)?;
            ns.api()
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

    pub(crate) fn existing(ns: &'ns TestNamespace, spec: WorkloadSpec) -> Self {
        Self { ns, spec }
    }

    fn is_stateful_set(&self) -> bool {
        self.spec.kind == "StatefulSet"
    }

    /// `Deployment` or `StatefulSet`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.spec.kind
    }

    /// The workload's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// The name of the measured container.
    #[must_use]
    pub fn container(&self) -> &str {
        &self.spec.container
    }

    /// The labels of the workload's selector.
    #[must_use]
    pub fn selector(&self) -> &BTreeMap<String, String> {
        &self.spec.labels
    }

    /// Changes the number of pods without waiting.
    ///
    /// # Errors
    /// If the API rejects it.
    pub async fn scale(&mut self, pods: usize) -> Result<()> {
        self.spec.pods = pods;
        self.patch(json!({"spec": {"replicas": pods}})).await
    }

    /// Starts a rollout of a changed pod template without waiting.
    ///
    /// # Errors
    /// If the API rejects it.
    pub async fn roll_out(&self) -> Result<()> {
        let stamp = format!("{:?}", Instant::now());
        let annotations = json!({"harness.rebalancer.io/rolled-out": stamp});
        self.patch(json!({"spec": {"template": {"metadata": {"annotations": annotations}}}}))
            .await
    }

    /// Applies a merge patch to the workload object.
    ///
    /// # Errors
    /// If the API rejects it.
    pub async fn patch(&self, patch: Value) -> Result<()> {
        let name = &self.spec.name;
        let (params, patch) = (PatchParams::default(), Patch::Merge(patch));
        let result = if self.is_stateful_set() {
            Api::<StatefulSet>::patch(&self.ns.api(), name, &params, &patch)
                .await
                .map(drop)
        } else {
            Api::<Deployment>::patch(&self.ns.api(), name, &params, &patch)
                .await
                .map(drop)
        };
        result.map_err(Error::kube(format!("patch {} {name}", self.spec.kind)))
    }
}
