//! Test harness: real servers on loopback for the end-to-end tests.
//!
//! The harness starts Prometheus, VictoriaMetrics (each in Debian's and in a current version), a
//! Pushgateway and a Kubernetes control plane (etcd, kube-apiserver, kube-controller-manager) in
//! temporary directories. It simulates the parts of a cluster that need machines: scheduler,
//! kubelet (with its endpoint for logs), cadvisor and kube-state-metrics. Deployments create pods,
//! budgets are enforced and RBAC is real. The containers of consumers are simulated as well: their
//! load is set by the test, or caused by the work that the test runs in them ([`Work`]). The
//! program itself can run in containers.
//!
//! A test works with a [`TestNamespace`], its own namespace on servers that all tests of a process
//! share:
//!
//! ```no_run
//! # async fn case() -> harness::Result<()> {
//! use harness::{Target, TestNamespace, WorkloadSpec};
//!
//! let ns = TestNamespace::start().await?;
//! let consumer = ns
//!     .create(WorkloadSpec::deployment("consumer").loads([1.2, 1.1, 0.8, 0.6, 0.4, 0.3]))
//!     .await?;
//! ns.autoscale(&consumer, Target::Utilization(70)).await?;
//! consumer.wait_measured().await?;
//!
//! let run = ns.rebalancer(&consumer).env("MINIMUM_PODS_REQUIRED", "2").run().await?;
//! assert_eq!(run.code, Some(0), "{run}");
//! # Ok(())
//! # }
//! ```
//!
//! No test skips itself: a missing server is an error that says how to get it (`cargo xtask
//! setup`).

pub mod assets;
pub mod audit;
pub mod browser;
mod cluster;
mod container;
pub mod controlplane;
pub mod error;
mod exporter;
mod exposition;
mod failure;
pub mod fault;
pub mod gateway;
pub mod http;
pub mod kafka;
mod kubelet;
mod manifest;
mod meters;
pub mod metrics;
pub mod namespace;
pub mod node_exporter;
pub mod process;
pub mod proxy;
pub mod pushgateway;
pub mod quantity;
pub mod rebalancer;
pub mod rights;
mod tls;
pub mod wait;
pub mod work;

pub use assets::KafkaVersion;
pub use assets::{CurrentServer, GoProgram};
pub use audit::AuditEntry;
pub use controlplane::ControlPlane;
pub use error::{Error, Result};
pub use exposition::Series;
pub use failure::StartFailure;
pub use fault::FaultServer;
pub use gateway::{ForwardProxy, TenancyProxy};
pub use kafka::{Kafka, KafkaConfig};
pub use meters::SecondSeries;
pub use metrics::MetricsServer;
pub use namespace::{Account, Limit, PodView, Target, TestNamespace, Workload, WorkloadSpec};
pub use node_exporter::NodeExporter;
pub use proxy::FaultProxy;
pub use pushgateway::PushGateway;
pub use rebalancer::{Rebalancer, Run};
pub use rights::Right;
pub use work::{RunningPod, Work};

/// Pod annotations that change the behaviour of the simulated kubelet.
pub mod annotation {
    /// `"true"`: the pod runs but never becomes ready.
    pub const NEVER_READY: &str = "harness.rebalancer.io/never-ready";
    /// The reason of a [`StartFailure`](crate::StartFailure) that the pod has from its start.
    pub const FAILURE: &str = "harness.rebalancer.io/failure";
    /// `"true"`: the scheduler ignores the pod, which stays Pending without a reason.
    pub const UNSCHEDULED: &str = "harness.rebalancer.io/unscheduled";
    /// `"true"`: the pod runs but cadvisor does not report it, so it has no load.
    pub const UNMEASURED: &str = "harness.rebalancer.io/unmeasured";
    /// Seconds between the start of the pod and its readiness; default 0.
    pub const READY_AFTER: &str = "harness.rebalancer.io/ready-after-seconds";
    /// Seconds that the pod takes to terminate; default 0.3.
    pub const TERMINATE_AFTER: &str = "harness.rebalancer.io/terminate-after-seconds";
}
