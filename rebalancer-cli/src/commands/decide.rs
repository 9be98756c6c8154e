//! `decide`: reads snapshots from a file and prints a report with the decision on
//! each, without network access.

use std::path::Path;

use rebalancer_core::decide;
use rebalancer_core::group_details::GroupDetails;
use rebalancer_core::model::Cores;
use rebalancer_core::policy::Policy;
use rebalancer_core::report::{Report, ReportCommand, RunOutcome, WorkloadReport};

use crate::commands::run::untimed_report;
use crate::commands::snapshots::each_snapshot;
use crate::commands::{add_groups, outcome_of, print, show, write_report};
use crate::error::CliError;
use crate::exit::Exit;
use crate::metrics::{GroupFacts, RunFacts};
use crate::observers::logging;
use crate::render::table::Detail;
use crate::settings::OutputFormat;

/// Decides on each snapshot of `path`, or of standard input for `-`, as it arrives. `target`
/// overrides the target of the snapshots. The report on all of them is written to `report_file`, if
/// it is given.
pub(crate) fn run(
    path: &Path,
    report_file: Option<&Path>,
    policy: &Policy,
    target: Option<Cores>,
    output: OutputFormat,
    detail: Detail,
    exit_code: bool,
) -> Result<Exit, CliError> {
    let mut outcome = RunOutcome::Fine;
    let mut is_first = true;
    let mut all: Option<Report> = None;
    each_snapshot(path, target, |snapshot| {
        let decision = decide(&snapshot, policy);
        logging::span(&decision.workload).in_scope(|| logging::decided(&decision, false));
        let workload = WorkloadReport::decided(decision, None);
        let command = match detail {
            Detail::Pods => ReportCommand::Decide,
            Detail::Group => ReportCommand::Forecast,
            Detail::Members { .. } => ReportCommand::Group,
        };
        let mut report = untimed_report(command, vec![workload]);
        let mut groups = Vec::new();
        if command == ReportCommand::Group || report_file.is_some() {
            groups.push(GroupDetails::of(&snapshot).map(Box::new));
        }
        if command == ReportCommand::Group {
            add_groups(&mut report, std::mem::take(&mut groups));
        }
        if output == OutputFormat::Table && !is_first {
            print("\n")?;
        }
        is_first = false;
        let facts = RunFacts {
            dry_run: true,
            group: GroupFacts::of(&snapshot),
            ..RunFacts::default()
        };
        show(&report, &[facts], output, detail)?;
        outcome = outcome.max(outcome_of(&report, detail));
        if report_file.is_some() {
            add_groups(&mut report, groups);
            match &mut all {
                Some(all) => all.workloads.extend(report.workloads),
                None => all = Some(report),
            }
        }
        Ok(())
    })?;
    if let Some(report) = &all {
        write_report(report_file, report)?;
    }
    Ok(Exit::of(outcome, exit_code))
}
