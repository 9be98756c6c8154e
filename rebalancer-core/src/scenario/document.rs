//! The document of the results of scenarios.

use kafka_assignors::{Assignor, ClientFamily, Protocol};
use serde::{Deserialize, Serialize};

use super::axes::Scenario;
use crate::forecast::Fit;
use crate::group::KnownAssignor;
use crate::statistics::Spread;

/// A group, and its expected loads in several scenarios. Loads are in cores, or in the unit of a
/// custom load query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ScenarioReport {
    /// `group.id`, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The assignor, and the source of this knowledge.
    #[serde(flatten)]
    pub assignor: KnownAssignor,
    /// The client library.
    pub client: ClientFamily,
    /// The group protocol.
    pub protocol: Protocol,
    /// The number of ready pods.
    pub pods: usize,
    /// The number of members.
    pub members: usize,
    /// The number of topics.
    pub topics: usize,
    /// The number of partitions.
    pub partitions: usize,
    /// The target; absent if it is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<f64>,
    /// Tolerance × target: a pod with a higher load is hot; absent if the target is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// The linear model of the loads; absent without rates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fit: Option<Fit>,
    /// The results: first the group as it is, then each scenario.
    pub scenarios: Vec<ScenarioResult>,
    /// The assumptions of the results about facts that are not known.
    pub assumptions: Vec<String>,
}

/// The result of one scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ScenarioResult {
    /// The changes; empty for the group as it is.
    pub scenario: Scenario,
    /// The changes as a text.
    pub description: String,
    /// The number of pods.
    pub pods: usize,
    /// The assignor.
    pub assignor: Assignor,
    /// The group protocol.
    pub protocol: Protocol,
    /// The number of partitions of all topics.
    pub partitions: usize,
    /// The expected loads; absent if the scenario is impossible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<ScenarioForecast>,
    /// Why the scenario is impossible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// The expected loads of a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ScenarioForecast {
    /// The number of simulated assignments.
    pub samples: usize,
    /// The highest load of a pod.
    pub peak: Spread,
    /// The highest load as a multiple of the mean.
    pub peak_to_mean: Spread,
    /// Pods above the threshold; absent without a target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hot_pods: Option<Spread>,
    /// Pods without a partition.
    pub idle_pods: Spread,
    /// Present partitions that another pod consumes afterwards, or all of them if every pod
    /// restarts.
    pub moved_partitions: Spread,
    /// The highest number of partitions without an owner, because no member subscribes to their
    /// topic.
    #[serde(default, skip_serializing_if = "crate::serialization::is_zero")]
    pub unowned_partitions: usize,
}
