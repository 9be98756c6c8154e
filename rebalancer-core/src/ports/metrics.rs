//! The metrics source: loads, autoscalers as metrics report them, and the consumer group.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{GroupObservation, PortError};
use crate::model::{Autoscaler, Load, SampleFault, Seconds};

/// Where loads come from.
#[async_trait]
pub trait MetricsSource: Send + Sync {
    /// The load of every pod of the workload.
    ///
    /// # Errors
    /// When no trustworthy answer was had at all. What is wrong with a single pod is in its
    /// sample instead.
    async fn loads(&self) -> Result<LoadObservation, PortError>;

    /// The workload's autoscalers as kube-state-metrics reports them, for those who cannot grant
    /// the Kubernetes API's (`TARGET_SOURCE=prometheus`).
    ///
    /// # Errors
    /// When no trustworthy answer was had.
    async fn autoscalers(&self) -> Result<Vec<Autoscaler>, PortError>;

    /// The consumer group of the workload; `None` when the source was not told where to find one.
    ///
    /// # Errors
    /// When no trustworthy answer was had.
    async fn group(&self) -> Result<Option<GroupObservation>, PortError> {
        Ok(None)
    }
}

/// One pod's load as the metrics gave it.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadSample {
    /// The value of the `pod` label.
    pub pod: String,
    /// The load, or why the number is none.
    pub load: Result<Load, SampleFault>,
    /// Age of the newest sample behind it, in seconds; `None` when it cannot be known.
    pub age: Option<Seconds>,
    /// How often the same container was found; above 1 means that its load is counted twice.
    pub series: u32,
    /// There are samples from the first half of the rate window too; true when not known.
    pub window_covered: bool,
}

/// The loads of all pods at one instant.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LoadObservation {
    /// One sample a pod; no pod twice.
    pub samples: Vec<LoadSample>,
    /// Why the answer may lack something, in the server's words; `None` when it is complete.
    pub partial: Option<String>,
    /// The ages of the samples are known; false with a custom load query that has no freshness
    /// query beside it.
    pub freshness_known: bool,
    /// The loads come from a custom query, so that their unit is not known to be cores.
    pub custom: bool,
    /// When the queries were evaluated, by the clock of the metrics server; `None` when it did
    /// not say.
    pub evaluated_at: Option<Timestamp>,
}
