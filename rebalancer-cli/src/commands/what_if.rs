//! `forecast` with changes of the group: its expected loads in each scenario.

use std::path::Path;

use rebalancer_core::model::Cores;
use rebalancer_core::policy::Policy;
use rebalancer_core::scenario::Scenario;

use crate::commands::snapshots::each_snapshot;
use crate::commands::{print_document, write_page};
use crate::error::CliError;
use crate::exit::Exit;
use crate::render::page::Page;
use crate::render::scenarios as render;
use crate::render::style::Palette;
use crate::scenarios::{ScenariosReport, WorkloadScenarios};
use crate::settings::OutputFormat;

/// Evaluates the scenarios on each snapshot of `path`, or of standard input for `-`. `target`
/// overrides the target of the snapshots. The results are also written to `report_file`, if it is
/// given.
pub(crate) fn run(
    path: &Path,
    report_file: Option<&Path>,
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
    show(workloads, report_file, output)
}

/// Prints the results, and writes them to `report_file`, if it is given.
pub(crate) fn show(
    workloads: Vec<WorkloadScenarios>,
    report_file: Option<&Path>,
    output: OutputFormat,
) -> Result<Exit, CliError> {
    let report = ScenariosReport::new(workloads);
    let page = Page::of_scenarios(&report);
    let table = |palette: &Palette| render::report(&report, palette);
    print_document(&report, output, table, Some(&page))?;
    write_page(report_file, &page)?;
    Ok(if report.has_failed() {
        Exit::Error
    } else {
        Exit::Fine
    })
}
