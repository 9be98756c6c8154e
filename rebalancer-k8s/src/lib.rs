//! Pods, workloads and autoscalers over the Kubernetes API.
//!
//! [`KubernetesActuator`] is the [`PodActuator`](rebalancer_core::ports::PodActuator) of one
//! workload: it finds the workload's pods through its selector and owner references, reduces them
//! page by page to what a snapshot needs, reads the HorizontalPodAutoscalers that scale it, and
//! evicts. What it may be asked to do needs the rules in [`PERMISSIONS`].
//!
//! [`KubernetesLease`] sees to it that one run at a time acts on the workload, and
//! [`KubernetesJournal`] tells people and the next run what was done; the actuator makes both.
//!
//! Nothing that changes the cluster is ever sent twice, unless the first time was refused for
//! credentials that have been replaced meanwhile (401); what only reads is sent again when the
//! server is too busy. Every request is bounded in time.
//!
//! ```no_run
//! use rebalancer_core::model::WorkloadRef;
//! use rebalancer_core::ports::PodActuator as _;
//! use rebalancer_k8s::{ConnectSettings, KubernetesActuator, Settings, connect};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let connection = connect(&ConnectSettings::default()).await?;
//! let workload = WorkloadRef {
//!     namespace: "posthog".into(),
//!     kind: "Deployment".into(),
//!     name: "ingestion".into(),
//! };
//! let actuator = KubernetesActuator::new(connection, Settings::new(workload))?;
//! let seen = actuator.observe().await?;
//! for pod in seen.pods.iter().filter(|pod| pod.serves()) {
//!     let answer = actuator.evict(&pod.reference(), true).await;
//!     println!("{}: {answer:?}", pod.name);
//! }
//! # Ok(())
//! # }
//! ```

mod actuator;
mod annotations;
mod api;
mod autoscalers;
mod client_error;
mod clock;
mod connect;
mod connection;
mod cpu_quantity;
mod error;
mod eviction;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod journal;
mod kind;
mod kubeconfig;
mod label_selector;
mod lease;
mod object_meta;
mod pages;
mod permissions;
mod pods;
mod protobuf;
mod refusal;
mod settings;
mod suggestions;
mod workload;

pub use actuator::KubernetesActuator;
pub use connect::{ConnectSettings, connect};
pub use connection::Connection;
pub use error::{Attempt, Candidate, K8sError, Source, Surroundings};
pub use journal::KubernetesJournal;
pub use kind::{GroupVersionKind, InvalidWorkloadKind, WorkloadKind};
pub use label_selector::{InvalidLabelSelector, LabelSelector, parse_label_selector};
pub use lease::KubernetesLease;
pub use permissions::{Need, PERMISSIONS, Permission};
pub use settings::{Autoscalers, EvictionMethod, Settings};
