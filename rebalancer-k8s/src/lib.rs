//! Pods, workloads and autoscalers over the Kubernetes API.
//!
//! [`KubernetesActuator`] is the [`PodActuator`](rebalancer_core::ports::PodActuator) of one
//! workload. It finds the workload's pods by selector and owner references, reduces them page by
//! page to the fields of a snapshot, reads HorizontalPodAutoscalers, and evicts. It needs the
//! permissions in [`PERMISSIONS`].
//!
//! [`KubernetesLease`] ensures that one run at a time acts on the workload. [`KubernetesJournal`]
//! records the run as Events and as an annotation for the next run. The actuator creates both.
//!
//! A request that changes the cluster is sent once, or once more if the first was refused for
//! credentials that have been replaced since (401). A read request is repeated while the server is
//! too busy. Every request is bounded in time.
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
mod attempt;
mod autoscalers;
mod budgets;
mod client;
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
mod keda;
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
mod rights;
mod settings;
mod steering;
mod suggestions;
mod surroundings;
mod workload;

pub use actuator::KubernetesActuator;
pub use annotations::{APPROVE, FREEZE, PAUSE_REASON, PAUSED_UNTIL, PauseAnnotations};
pub use attempt::Attempt;
pub use connect::{ConnectSettings, connect};
pub use connection::Connection;
pub use error::{K8sError, Source};
pub use journal::KubernetesJournal;
pub use kind::{GroupVersionKind, InvalidWorkloadKind, WorkloadKind};
pub use kubeconfig::context_namespace;
pub use label_selector::{InvalidLabelSelector, LabelSelector, parse_label_selector};
pub use lease::{KubernetesLease, ObservedLease};
pub use permissions::{Importance, Need, PERMISSIONS, Permission, Usage};
pub use rights::{Right, leader_rights, rights};
pub use settings::{Autoscalers, EvictionMethod, Settings};
pub use steering::{KubernetesSteering, PublishedEvent, SteeredObject};
pub use surroundings::{Candidate, Surroundings};
