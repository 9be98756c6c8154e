//! Disruption budgets of a test namespace, and evictions under them.

use k8s_openapi::api::{core::v1::Pod, policy::v1::PodDisruptionBudget};
use kube::api::{EvictParams, PostParams, Preconditions};
use serde_json::json;

use super::{CONTROLLER_DEADLINE, PAUSE, TestNamespace};
use crate::{
    Error, PodView, Result, Workload, manifest,
    wait::{Look, until},
};

/// The limit of a disruption budget: a number or a percentage (`"50%"`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Limit {
    /// Minimum number of available pods.
    MinAvailable(String),
    /// Maximum number of unavailable pods.
    MaxUnavailable(String),
}

impl TestNamespace {
    /// Creates a disruption budget for the workload's pods and waits until it is in force.
    ///
    /// # Errors
    /// If the API rejects it, or its controller does not process it in time.
    pub async fn budget(&self, name: &str, workload: &Workload<'_>, limit: Limit) -> Result<()> {
        let (field, amount) = match limit {
            Limit::MinAvailable(amount) => ("minAvailable", amount),
            Limit::MaxUnavailable(amount) => ("maxUnavailable", amount),
        };
        // The API distinguishes the number 1 from the string "1".
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

    /// Evicts a pod in the way of the program under test.
    ///
    /// # Errors
    /// The API's error; [`Error::code`] is 429 when a budget forbids the eviction.
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
        self.api::<Pod>()
            .evict(&pod.name, &params)
            .await
            .map(drop)
            .map_err(Error::kube(format!("evict pod {}", pod.name)))
    }
}
