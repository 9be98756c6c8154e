//! The harness: real servers on loopback for the end-to-end tests.
//!
//! It starts Prometheus, VictoriaMetrics and a Kubernetes control plane (etcd,
//! kube-apiserver, kube-controller-manager) in temporary directories, and plays
//! the parts of a cluster that need machines: scheduler, kubelet, cadvisor and
//! kube-state-metrics. Deployments make pods, budgets are enforced and RBAC is
//! real; only the containers are imagined, with the load that a test gives them, or that comes of what
//! the test runs in them ([`Work`]).
//!
//! A test works with a [`World`], a namespace of its own in servers that all
//! tests of a process share:
//!
//! ```no_run
//! # async fn case() -> harness::Result<()> {
//! use harness::{Target, WorkloadSpec, World};
//!
//! let world = World::start().await?;
//! let consumer = world
//!     .create(WorkloadSpec::deployment("consumer").loads([1.2, 1.1, 0.8, 0.6, 0.4, 0.3]))
//!     .await?;
//! world.autoscale(&consumer, Target::Utilization(70)).await?;
//! consumer.wait_measured().await?;
//!
//! let run = world.rebalancer(&consumer).env("MINIMUM_PODS_REQUIRED", "2").run().await?;
//! assert_eq!(run.code, Some(0), "{run}");
//! # Ok(())
//! # }
//! ```
//!
//! No test skips itself: a server that is missing is an error which says how to
//! get it (`cargo xtask setup`).

pub mod account;
pub mod assets;
pub mod audit;
mod cluster;
mod container;
pub mod controlplane;
pub mod error;
mod exporter;
mod exposition;
pub mod fault;
pub mod http;
pub mod kafka;
mod kubelet;
mod manifest;
mod meters;
pub mod metrics;
pub mod process;
pub mod proxy;
pub mod quantity;
pub mod rebalancer;
pub mod rights;
mod trouble;
pub mod wait;
pub mod work;
pub mod workload;
pub mod world;

pub use account::Account;
pub use audit::AuditEntry;
pub use controlplane::ControlPlane;
pub use error::{Error, Result};
pub use exposition::Series;
pub use fault::FaultServer;
pub use kafka::Kafka;
pub use metrics::MetricsServer;
pub use proxy::FaultProxy;
pub use rebalancer::{Rebalancer, Run};
pub use rights::Right;
pub use trouble::Trouble;
pub use work::{RunningPod, Work};
pub use workload::{PodView, Workload, WorkloadSpec};
pub use world::{Limit, Target, World};

/// Pod annotations that tell the harness's kubelet to behave unlike a healthy one.
pub mod annotation {
    /// `"true"`: the pod runs but never becomes ready.
    pub const NEVER_READY: &str = "harness.rebalancer.io/never-ready";
    /// The reason of a [`Trouble`](crate::Trouble): the pod is in it from its start.
    pub const TROUBLE: &str = "harness.rebalancer.io/trouble";
    /// `"true"`: no scheduler looks at the pod, which stays Pending without a word why.
    pub const UNSCHEDULED: &str = "harness.rebalancer.io/unscheduled";
    /// `"true"`: the pod runs but cadvisor does not know it, so it has no load.
    pub const UNMEASURED: &str = "harness.rebalancer.io/unmeasured";
    /// Seconds between the start of the pod and its readiness; default 0.
    pub const READY_AFTER: &str = "harness.rebalancer.io/ready-after-seconds";
    /// Seconds that the pod needs to end once its deletion was asked for; default 0.3.
    pub const TERMINATE_AFTER: &str = "harness.rebalancer.io/terminate-after-seconds";
}
