//! The requests for a Lease.

use http::{Method, Request, header};
use serde::Serialize;
use serde_json::json;

use super::KubernetesLease;
use super::object::{Lease, Spec};
use crate::annotations::WORKLOAD;
use crate::attempt::Attempt;
use crate::error::K8sError;
use crate::surroundings::Surroundings;
use crate::{suggestions, workload};

const GROUP: &str = "coordination.k8s.io";

/// The outcome of writing the Lease.
pub(super) enum Written {
    /// The Lease is written.
    Done(Lease),
    /// Another client wrote or removed the Lease since it was read.
    Raced(K8sError),
}

impl KubernetesLease {
    fn attempt(&self, verb: &'static str) -> Attempt {
        Attempt::on(verb, GROUP, "leases", &self.namespace, &self.name)
    }

    fn collection(&self) -> String {
        format!("/apis/{GROUP}/v1/namespaces/{}/leases", self.namespace)
    }

    fn path(&self) -> String {
        format!("{}/{}", self.collection(), self.name)
    }

    pub(super) async fn read(&self) -> Result<Option<Lease>, K8sError> {
        match self.api.get(&self.attempt("get"), &self.path(), None).await {
            Err(K8sError::NotFound { .. }) => Ok(None),
            lease => lease.map(Some),
        }
    }

    /// Creates the Lease with this run as the holder.
    pub(super) async fn create(&self) -> Result<Written, K8sError> {
        let workload = self.workload.as_ref().map(|(workload, _)| workload);
        let annotations = workload.map(|workload| json!({WORKLOAD: workload.to_string()}));
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": self.name,
                "namespace": self.namespace,
                "labels": {"app.kubernetes.io/managed-by": "rebalancer"},
                "annotations": annotations,
            },
            "spec": Spec::default().held_by(&self.identity, self.api.now()),
        });
        let attempt = self.attempt("create");
        let writing = self.write(&attempt, Method::POST, self.collection(), &lease);
        match (self.claim(writing).await, workload) {
            (Err(K8sError::NotFound { message, .. }), Some(workload))
                if message.contains("namespaces \"") =>
            {
                Err(K8sError::WorkloadNotFound {
                    workload: Box::new(workload.clone()),
                    surroundings: Surroundings::NoNamespace,
                })
            }
            // The API server does not serve Leases, or the namespace of a leader does not exist.
            (
                Err(K8sError::NotFound {
                    from_api: true,
                    attempt,
                    message,
                }),
                _,
            ) => Err(K8sError::Rejected {
                attempt,
                code: 404,
                message,
            }),
            (written, _) => written,
        }
    }

    /// Fails if the workload does not exist. A Lease for a mistyped name would never be deleted.
    ///
    /// Other failures are left to the observation of the workload.
    pub(super) async fn check_workload_exists(&self) -> Result<(), K8sError> {
        let Some((workload, kind)) = &self.workload else {
            return Ok(());
        };
        match workload::read_annotations(&self.api, workload, kind).await {
            Err(K8sError::NotFound { from_api: true, .. }) => {
                Err(suggestions::not_found(&self.api, workload).await)
            }
            Err(error @ K8sError::KindNotServed { .. }) => Err(error),
            Err(error) => {
                tracing::debug!(%error, "cannot check whether the workload exists");
                Ok(())
            }
            Ok(_) => Ok(()),
        }
    }

    /// Replaces the Lease that was read before.
    pub(super) async fn update(
        &self,
        mut lease: Lease,
        spec: impl Fn(Spec) -> Spec,
    ) -> Result<Written, K8sError> {
        lease.spec = spec(lease.spec);
        let attempt = self.attempt("update");
        match self.write(&attempt, Method::PUT, self.path(), &lease).await {
            Err(error @ K8sError::NotFound { .. }) => Ok(Written::Raced(error)),
            written => written,
        }
    }

    async fn write(
        &self,
        attempt: &Attempt,
        method: Method,
        path: String,
        lease: &impl Serialize,
    ) -> Result<Written, K8sError> {
        let body =
            serde_json::to_vec(lease).map_err(|error| self.api.bad_answer(attempt, &error))?;
        let request = Request::builder()
            .method(method)
            .uri(format!("{path}?fieldManager=rebalancer"))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json")
            .body(body);
        Ok(match self.api.write_for(attempt, request).await? {
            Ok(lease) => Written::Done(lease),
            Err(refusal) => {
                let raced = refusal.code == 409;
                let error = refusal.into_error(attempt, self.api.server());
                if !raced {
                    return Err(error);
                }
                Written::Raced(error)
            }
        })
    }
}
