//! `decide`: snapshots from a file in, decisions out; no network.

use std::fs::File;
use std::io::{BufReader, IsTerminal, Read};
use std::path::Path;

use rebalancer_core::policy::Policy;
use rebalancer_core::report::{Decided, RunOutcome, WorkloadReport};
use rebalancer_core::{Decision, Snapshot};

use crate::commands::{palette, print};
use crate::driver;
use crate::error::CliError;
use crate::exit::Exit;
use crate::render::{document, table};
use crate::settings::OutputFormat;

/// Decides on every snapshot of `path`, or of standard input for `-`.
pub(crate) fn run(
    path: &Path,
    policy: &Policy,
    output: OutputFormat,
    exit_code: bool,
) -> Result<Exit, CliError> {
    let from = if path == Path::new("-") {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    };
    let unreadable = |source| CliError::SnapshotFile {
        from: from.clone(),
        source,
    };
    let reader: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(File::open(path).map_err(unreadable)?)
    };
    let mut snapshots = serde_json::Deserializer::from_reader(BufReader::new(reader))
        .into_iter::<Snapshot>()
        .enumerate()
        .map(|(index, snapshot)| {
            snapshot.map_err(|source| CliError::Snapshot {
                number: index + 1,
                from: from.clone(),
                source,
            })
        })
        .peekable();
    if snapshots.peek().is_none() {
        let empty = std::io::Error::new(
            std::io::ErrorKind::UnexpectedEof,
            "there is none: give at least {\"pods\": []}",
        );
        return Err(unreadable(empty));
    }
    let mut outcome = RunOutcome::Fine;
    let mut first = true;
    while let Some(snapshot) = snapshots.next() {
        let decision = driver::decide_and_log(&snapshot?, policy);
        let alone = first && snapshots.peek().is_none();
        print(&show(&decision, output, alone, first)?)?;
        first = false;
        let report = WorkloadReport::Decided(Box::new(Decided {
            decision,
            execution: None,
        }));
        outcome = outcome.max(report.outcome());
    }
    Ok(Exit::of(outcome, exit_code))
}

/// A decision; in JSON a line, so that a stream gives a stream, unless a person looks at one.
fn show(
    decision: &Decision,
    output: OutputFormat,
    alone: bool,
    first: bool,
) -> Result<String, CliError> {
    Ok(match output {
        OutputFormat::Json if alone && std::io::stdout().is_terminal() => document::json(decision)?,
        OutputFormat::Json => document::json_line(decision)?,
        OutputFormat::Yaml => document::yaml(decision)?,
        OutputFormat::Table => {
            let separator = if first { "" } else { "\n" };
            format!("{separator}{}", table::decision(decision, &palette()))
        }
    })
}
