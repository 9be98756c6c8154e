//! Per-pod loads over the Prometheus HTTP API: a [`MetricsSource`] for Prometheus, VictoriaMetrics,
//! Thanos, Mimir and other servers with that API.
//!
//! A [`PrometheusSource`] reads the metrics of one workload. For the loads it sends four queries at
//! once: the load of each pod, the age of the newest sample, the number of series of one container,
//! and whether there are samples in the first half of the window. For containers with several
//! series it then reads the times of their samples, which distinguish duplicates from restarts.
//! PromQL only aggregates; it never decides. No query contains `topk`, a comparison or `scalar()`,
//! because an empty response to such a query looks the same as missing data.
//!
//! A fault of one pod (NaN, a negative number) is part of that pod's sample. A failure of a whole
//! response is a [`PromError`], with one variant for each kind of failure.
//!
//! A [`MetricsPush`] sends the program's own metrics to a Pushgateway, or to a server with
//! VictoriaMetrics' import API.
//!
//! ```no_run
//! use rebalancer_core::model::{Measurement, WorkloadRef};
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
//!     match sample.measurement {
//!         Measurement::Load(load, _) => println!("{} uses {load} cores", sample.pod),
//!         Measurement::Faulty(fault, _) => println!("{}: {fault}", sample.pod),
//!         Measurement::Missing(_) => println!("{} has no load", sample.pod),
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`MetricsSource`]: rebalancer_core::ports::MetricsSource

mod authentication;
mod autoscalers;
mod endpoint;
mod envelope;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod group;
mod headers;
mod history;
mod hold;
mod http_client;
mod label_search;
mod labels;
mod literal;
mod loads;
mod matchers;
mod method;
mod outbound;
mod past_loads;
mod push;
mod query;
mod response;
mod series;
mod settings;
mod source;
#[cfg(test)]
mod testing;
mod tls;
mod transport;
mod webhook;

pub use authentication::Authentication;
pub use endpoint::check_endpoint;
pub use error::{
    CredentialSetting, Destination, InvalidCredentials, PromError, Purpose, SentQuery,
};
pub use group::{GroupMetrics, GroupQueries};
pub use history::HistoryRange;
pub use labels::{LabelName, LabelNames};
pub use matchers::{InvalidMatchers, Matchers};
pub use method::QueryMethod;
pub use outbound::{DestinationSettings, SendError};
pub use push::{MetricsPush, PushSettings, PushTarget, check_push_url};
pub use query::SeriesSelection;
pub use rebalancer_adapter::ClientCertificate;
pub use settings::PrometheusSettings;
pub use source::PrometheusSource;
pub use webhook::{Webhook, WebhookSettings, WebhookUrl, check_webhook_url};
