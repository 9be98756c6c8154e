//! `forecast` with changes of the group: its expected loads in each scenario.

use std::path::Path;

use rebalancer_core::model::Cores;
use rebalancer_core::policy::Policy;
use rebalancer_core::scenario::Scenario;

use crate::commands::print_document;
use crate::commands::snapshots::each_snapshot;
use crate::error::CliError;
use crate::exit::Exit;
use crate::render::scenarios as render;
use crate::scenarios::{ScenariosReport, WorkloadScenarios};
use crate::settings::OutputFormat;

/// Evaluates the scenarios on each snapshot of `path`, or of standard input for `-`. `target` overrides
/// the target of the snapshots.
pub(crate) fn run(
    path: &Path,
    policy: &Policy,
    target: Option<Cores>,
    scenarios: &[Scenario],
    output: OutputFormat,
) -> Result<Exit, CliError> {
    let mut workloads = Vec::new();
    each_snapshot(path, target, |snapshot| {
        workloads.push(WorkloadScenarios::of(&snapshot, policy, scenarios));
        Ok(())
    })?;
    show(workloads, output)
}

/// Prints the results.
pub(crate) fn show(
    workloads: Vec<WorkloadScenarios>,
    output: OutputFormat,
) -> Result<Exit, CliError> {
    let report = ScenariosReport::new(workloads);
    print_document(&report, output, |palette| render::report(&report, palette))?;
    Ok(if report.has_failed() {
        Exit::Error
    } else {
        Exit::Fine
    })
}
