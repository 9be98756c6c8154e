//! `decide`: reads snapshots from a file and prints the decisions, without network access.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use rebalancer_core::model::Cores;
use rebalancer_core::policy::Policy;
use rebalancer_core::report::{RunOutcome, WorkloadReport};
use rebalancer_core::{Decision, Snapshot, SnapshotData, decide};

use crate::commands::{json, palette, print};
use crate::error::CliError;
use crate::exit::Exit;
use crate::observers::logging;
use crate::render::table::Detail;
use crate::render::{document, table};
use crate::settings::OutputFormat;

/// Decides on each snapshot of `path`, or of standard input for `-`, as it arrives. `target`
/// overrides the target of the snapshots.
pub(crate) fn run(
    path: &Path,
    policy: &Policy,
    target: Option<Cores>,
    output: OutputFormat,
    detail: Detail,
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
    let snapshots =
        serde_json::Deserializer::from_reader(BufReader::new(reader)).into_iter::<SnapshotData>();
    let mut outcome = RunOutcome::Fine;
    let mut decided = 0;
    for snapshot in snapshots {
        let snapshot = snapshot
            .and_then(|mut data| {
                data.target = target.or(data.target);
                Snapshot::new(data).map_err(serde::de::Error::custom)
            })
            .map_err(|source| CliError::Snapshot {
                number: decided + 1,
                from: from.clone(),
                source,
            })?;
        let decision = decide(&snapshot, policy);
        logging::span(&decision.workload).in_scope(|| logging::decided(&decision));
        print(&show(&decision, output, detail, decided == 0)?)?;
        decided += 1;
        outcome = outcome.max(WorkloadReport::decided(decision, None).outcome());
    }
    if decided == 0 {
        let empty = std::io::Error::new(
            std::io::ErrorKind::UnexpectedEof,
            "it contains no snapshot; the smallest is {\"pods\": []}",
        );
        return Err(unreadable(empty));
    }
    Ok(Exit::of(outcome, exit_code))
}

/// Renders a decision. Each format can be part of a stream.
fn show(
    decision: &Decision,
    output: OutputFormat,
    detail: Detail,
    first: bool,
) -> Result<String, CliError> {
    Ok(match output {
        OutputFormat::Json => json(decision)?,
        OutputFormat::Yaml => document::yaml(decision)?,
        OutputFormat::Table => {
            let separator = if first { "" } else { "\n" };
            format!(
                "{separator}{}",
                table::decision(decision, detail, &palette())
            )
        }
    })
}
