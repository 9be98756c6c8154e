//! Per-pod load over the Prometheus HTTP API: a [`MetricsSource`] for Prometheus,
//! VictoriaMetrics, Thanos, Mimir and whatever else speaks that API.
//!
//! [`PrometheusSource`] is made for one workload. It asks four questions at once (how much each
//! pod spends, how old the newest sample behind that is, whether a container is counted more than
//! once, and whether there are samples from the first half of the window) and hands the numbers over as they are: PromQL adds up, it never decides. There is
//! no `topk`, no comparison and no `scalar()` in any query, because an empty answer of such a
//! query cannot be told from missing data.
//!
//! What is wrong with one pod (NaN, a negative number) is in that pod's sample. What is wrong
//! with the answer as a whole is a [`PromError`], each failure its own variant.
//!
//! ```no_run
//! use rebalancer_core::model::WorkloadRef;
//! use rebalancer_core::ports::{MetricsSource, PortError};
//! use rebalancer_prom::{PrometheusSettings, PrometheusSource};
//!
//! # async fn example() -> Result<(), PortError> {
//! let workload = WorkloadRef {
//!     namespace: "posthog".into(),
//!     kind: "Deployment".into(),
//!     name: "ingestion".into(),
//! };
//! let settings = PrometheusSettings {
//!     headers: vec![("X-Scope-OrgID".into(), "team-a".into())],
//!     ..PrometheusSettings::new("https://mimir.example.com/prometheus", workload)
//! };
//! let source = PrometheusSource::new(settings)?;
//! for sample in source.loads().await?.samples {
//!     match sample.load {
//!         Ok(load) => println!("{} spends {load} cores", sample.pod),
//!         Err(fault) => println!("{}: {fault}", sample.pod),
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`MetricsSource`]: rebalancer_core::ports::MetricsSource

mod authentication;
mod autoscalers;
mod envelope;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod group;
mod loads;
mod query;
mod settings;
mod source;
#[cfg(test)]
mod testing;
mod transport;
mod trust;

pub use authentication::{Authentication, CredentialSetting, InvalidCredentials};
pub use error::{Asked, PromError, Purpose};
pub use group::{GroupMetrics, GroupSource};
pub use settings::PrometheusSettings;
pub use source::PrometheusSource;
pub use transport::check_endpoint;
