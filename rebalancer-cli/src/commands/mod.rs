//! One module for each subcommand.

mod approve;
pub(crate) mod backtest;
pub(crate) mod check;
pub(crate) mod decide;
pub(crate) mod demo;
pub(crate) mod reference;
pub(crate) mod run;
pub(crate) mod serve;
mod snapshots;
pub(crate) mod steer;
pub(crate) mod what_if;

use std::io::{IsTerminal, Write};
use std::path::Path;

use rebalancer_core::group_details::GroupDetails;
use rebalancer_core::report::{Report, RunOutcome, WorkloadReport};
use serde::Serialize;

use crate::error::CliError;
use crate::metrics::{Exposition, Part, Previous, RunFacts, WorkloadFacts};
use crate::render::document::DocumentError;
use crate::render::page::Page;
use crate::render::style::{Palette, stdout_width};
use crate::render::table::Detail;
use crate::render::{document, table};
use crate::replace_file::replace_file;
use crate::settings::{OutputFormat, ReportFormat};

/// Writes to stdout. A closed pipe is not an error: its reader needed no more.
pub(crate) fn print(text: &str) -> Result<(), CliError> {
    let mut stdout = std::io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(CliError::Stdout),
    }
}

/// The palette for stdout, with its width.
pub(crate) fn palette() -> Palette {
    Palette::for_stream(&std::io::stdout()).with_width(stdout_width())
}

/// Prints a document that is no report of a run, so it has no metrics. Without a page, it has no
/// form in Markdown either.
pub(crate) fn print_document(
    document: &impl Serialize,
    output: OutputFormat,
    table: impl FnOnce(&Palette) -> String,
    page: Option<&Page>,
) -> Result<(), CliError> {
    let text = match (output, page) {
        (OutputFormat::Json, _) => json(document)?,
        (OutputFormat::Yaml, _) => document::yaml(document)?,
        (OutputFormat::Markdown, Some(page)) => page.markdown(),
        (OutputFormat::Table | OutputFormat::OpenMetrics | OutputFormat::Markdown, _) => {
            table(&palette())
        }
    };
    print(&text)
}

/// Indented JSON on a terminal, otherwise one line: log collectors take each line as a record, and
/// a stream of snapshots gives a stream of decisions.
pub(crate) fn json(document: &impl Serialize) -> Result<String, DocumentError> {
    if std::io::stdout().is_terminal() {
        document::json(document)
    } else {
        document::json_line(document)
    }
}

/// Writes the report to the file of the settings, in the format that its name says.
pub(crate) fn write_report(path: Option<&Path>, report: &Report) -> Result<(), CliError> {
    match path {
        Some(_) => write_page(path, &Page::of_report(report)),
        None => Ok(()),
    }
}

/// Writes a document to the file of the settings, in the format that its name says.
pub(crate) fn write_page(path: Option<&Path>, page: &Page) -> Result<(), CliError> {
    let Some(path) = path else { return Ok(()) };
    let text = match ReportFormat::of(&path.to_string_lossy()) {
        Some(ReportFormat::Markdown) => page.markdown(),
        // The settings accept no other format.
        Some(ReportFormat::Html) | None => page.html(),
    };
    replace_file(path, &text).map_err(|source| CliError::ReportFile {
        path: path.to_owned(),
        source,
    })
}

/// Adds the consumer groups of the workloads, in the same order, to the report.
pub(crate) fn add_groups(report: &mut Report, groups: Vec<Option<Box<GroupDetails>>>) {
    for (workload, group) in report.workloads.iter_mut().zip(groups) {
        if let WorkloadReport::Decided(decided) = workload {
            decided.consumer_group = group;
        }
    }
}

/// The outcome of a report. Where only the group is shown, the decision does not matter: the
/// outcome is a failure if the group of any workload is unknown, or known in part only.
pub(crate) fn outcome_of(report: &Report, detail: Detail) -> RunOutcome {
    let of_group = |workload: &WorkloadReport| match workload {
        WorkloadReport::Failed(_) => RunOutcome::Failed,
        WorkloadReport::Decided(decided) => {
            let problem = match &decided.consumer_group {
                Some(group) => group.problem.as_ref(),
                None => return RunOutcome::Failed,
            };
            match problem {
                Some(found) if !found.problem.ends_without_action() => RunOutcome::Failed,
                Some(_) | None => RunOutcome::Fine,
            }
        }
    };
    match detail {
        Detail::Pods | Detail::Group => report.outcome(),
        Detail::Members { .. } => {
            let outcomes = report.workloads.iter().map(of_group);
            outcomes.max().unwrap_or(RunOutcome::Fine)
        }
    }
}

/// Prints a report. `facts` has what the metrics of each workload need beside it.
pub(crate) fn show(
    report: &Report,
    facts: &[RunFacts],
    format: OutputFormat,
    detail: Detail,
) -> Result<(), CliError> {
    let text = match format {
        OutputFormat::Json => json(report)?,
        OutputFormat::Yaml => document::yaml(report)?,
        OutputFormat::OpenMetrics => {
            let facts = WorkloadFacts::of_all(&report.workloads, facts);
            Exposition::new(&facts, Part::All, &Previous::default()).openmetrics()
        }
        OutputFormat::Markdown => Page::of_report(report).markdown(),
        OutputFormat::Table => {
            let palette = palette();
            let workloads: Vec<String> = report
                .workloads
                .iter()
                .map(|workload| table::workload(workload, detail, &palette))
                .collect();
            workloads.join("\n")
        }
    };
    print(&text)
}
