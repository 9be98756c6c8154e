//! The program under test, configured for a test namespace.

use super::TestNamespace;
use crate::{Rebalancer, Workload};

impl TestNamespace {
    /// The program under test, configured for a workload of this namespace, with all rights and
    /// with Prometheus as its metrics server.
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
            // Tests that share a namespace run at the same time, and would wait for each other's
            // lease.
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
}
