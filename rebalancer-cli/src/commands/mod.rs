//! One module for each subcommand.

pub(crate) mod decide;
pub(crate) mod demo;
pub(crate) mod run;

use std::io::{IsTerminal, Write};

use rebalancer_core::report::Report;
use serde::Serialize;

use crate::error::CliError;
use crate::render::document::DocumentError;
use crate::render::style::{Palette, stdout_width};
use crate::render::table::Detail;
use crate::render::{document, table};
use crate::settings::OutputFormat;

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

/// Indented JSON on a terminal, otherwise one line: log collectors take each line as a record, and
/// a stream of snapshots gives a stream of decisions.
pub(crate) fn json(document: &impl Serialize) -> Result<String, DocumentError> {
    if std::io::stdout().is_terminal() {
        document::json(document)
    } else {
        document::json_line(document)
    }
}

/// Prints a report.
pub(crate) fn show(report: &Report, format: OutputFormat, detail: Detail) -> Result<(), CliError> {
    let text = match format {
        OutputFormat::Json => json(report)?,
        OutputFormat::Yaml => document::yaml(report)?,
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
