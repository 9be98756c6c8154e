//! The metrics source: loads, and autoscalers as metrics report them.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{AutoscalerCandidate, PortError};
use crate::model::{DifferingLabel, HoldQueryResult, Load, Measurement, PastLoads, SampleInfo};

/// The source of loads.
#[async_trait]
pub trait MetricsSource: Send + Sync {
    /// The load of every pod of the workload.
    ///
    /// # Errors
    /// If there was no trustworthy response. A fault of a single pod is part of its sample
    /// instead.
    async fn loads(&self) -> Result<LoadObservation, PortError>;

    /// The autoscalers of the workload's namespace as kube-state-metrics reports them, for runs
    /// without permission to read them from the Kubernetes API.
    ///
    /// # Errors
    /// If there was no trustworthy response.
    async fn autoscalers(&self) -> Result<Vec<AutoscalerCandidate>, PortError>;
}

/// One pod's load as the metrics gave it.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadSample {
    /// The value of the `pod` label.
    pub pod: String,
    /// The load, or why there is none.
    pub measurement: Measurement,
}

impl LoadSample {
    /// A sample of one series without known age.
    #[must_use]
    pub fn new(pod: impl Into<String>, load: Load) -> Self {
        Self {
            pod: pod.into(),
            measurement: Measurement::Load(load, SampleInfo::default()),
        }
    }
}

/// The loads of all pods at one instant.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LoadObservation {
    /// At most one sample for each pod.
    pub samples: Vec<LoadSample>,
    /// Why the response may be incomplete, as reported by the server; `None` if it is complete.
    pub partial: Option<String>,
    /// Whether the ages of the samples are known. They are not known for a custom load query
    /// without a freshness query.
    pub freshness_known: bool,
    /// Whether the loads come from a custom query, so that their unit may not be cores.
    pub custom: bool,
    /// The evaluation time of the queries, by the clock of the metrics server; `None` if the
    /// server did not report it.
    pub evaluated_at: Option<Timestamp>,
    /// The pods with duplicate series, and how their series differ. Empty if unknown.
    pub duplicates: Vec<DuplicateSeries>,
    /// The pods whose container has nested cgroups, of which only the outermost one is counted.
    pub nested_cgroups: Vec<String>,
    /// Advice of the source if it found no loads: how the metrics may name the pods.
    pub advice: Option<String>,
    /// The result of the operator's query for a reason to hold, if the source has one.
    pub hold: Option<HoldQueryResult>,
    /// Past loads of the pods, if the source was configured to read them.
    pub past_loads: Option<PastLoads>,
}

/// The duplicate series of one pod's container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DuplicateSeries {
    /// The value of the `pod` label.
    pub pod: String,
    /// The labels whose values differ, sorted by name.
    pub labels: Vec<DifferingLabel>,
}

impl LoadObservation {
    /// A complete response with these samples, in cores, whose ages are not known.
    #[must_use]
    pub fn complete(samples: impl IntoIterator<Item = LoadSample>) -> Self {
        Self {
            samples: samples.into_iter().collect(),
            ..Self::default()
        }
    }
}
