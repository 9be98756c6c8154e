//! The document of `rebalancer backtest`.

use rebalancer_core::backtest::BacktestReport;
use rebalancer_core::model::WorkloadRef;
use serde::Serialize;

/// The version of the document. It changes only if a field is removed or changes its meaning.
pub const SCHEMA: &str = "rebalancer/backtest/v1";

/// The document of `rebalancer backtest`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BacktestDocument {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// The program's version.
    pub version: String,
    /// The workloads, in the order of the configuration.
    pub workloads: Vec<WorkloadBacktest>,
}

/// The backtest of one workload.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WorkloadBacktest {
    /// The workload.
    pub workload: WorkloadRef,
    /// The results; absent after an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backtest: Option<BacktestReport>,
    /// Why there are no results.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl BacktestDocument {
    /// The document about these workloads.
    pub(crate) fn new(workloads: Vec<WorkloadBacktest>) -> Self {
        Self {
            schema: SCHEMA.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            workloads,
        }
    }

    /// Whether a workload has no results.
    pub(crate) fn has_failed(&self) -> bool {
        let mut workloads = self.workloads.iter();
        workloads.any(|workload| workload.backtest.is_none())
    }
}
