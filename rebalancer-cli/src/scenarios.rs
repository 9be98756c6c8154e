//! The document of `rebalancer forecast` with changes of the group.

use rebalancer_core::model::WorkloadRef;
use rebalancer_core::report::WorkloadReport;
use rebalancer_core::scenario::{Scenario, ScenarioReport, what_if};
use rebalancer_core::{Policy, Snapshot};
use serde::Serialize;

/// The version of the document. It changes only if a field is removed or changes its meaning.
pub const SCHEMA: &str = "rebalancer/scenarios/v1";

/// The document of `rebalancer forecast` with changes of the group, such as other replicas.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ScenariosReport {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// The program's version.
    pub version: String,
    /// The workloads, in the order of the configuration or of the snapshots.
    pub workloads: Vec<WorkloadScenarios>,
}

/// The scenarios of one workload.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WorkloadScenarios {
    /// The workload.
    pub workload: WorkloadRef,
    /// The group and its scenarios; absent after an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<ScenarioReport>,
    /// Why there are no results.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl ScenariosReport {
    /// The document about these workloads.
    pub(crate) fn new(workloads: Vec<WorkloadScenarios>) -> Self {
        Self {
            schema: SCHEMA.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            workloads,
        }
    }

    /// Whether a workload has no results.
    pub(crate) fn has_failed(&self) -> bool {
        self.workloads
            .iter()
            .any(|workload| workload.group.is_none())
    }
}

impl WorkloadScenarios {
    /// Evaluates the scenarios on a snapshot.
    pub(crate) fn of(snapshot: &Snapshot, policy: &Policy, scenarios: &[Scenario]) -> Self {
        let (group, error) = match what_if(snapshot, policy, scenarios) {
            Ok(report) => (Some(report), None),
            Err(problem) => (None, Some(problem.to_string())),
        };
        Self {
            workload: snapshot.workload().clone(),
            group,
            error,
        }
    }

    /// A workload that could not be observed.
    pub(crate) fn failed(report: &WorkloadReport) -> Self {
        let (workload, error) = match report {
            WorkloadReport::Failed(failed) => (&failed.workload, &failed.error),
            WorkloadReport::Decided(decided) => {
                let decision = &decided.decision;
                (&decision.workload, &decision.message)
            }
        };
        Self {
            workload: workload.clone(),
            group: None,
            error: Some(error.clone()),
        }
    }
}
