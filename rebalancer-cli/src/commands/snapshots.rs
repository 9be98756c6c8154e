//! Snapshots from a file or from standard input.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use rebalancer_core::model::Cores;
use rebalancer_core::{Snapshot, SnapshotData};

use crate::error::CliError;

/// Reads each snapshot of `path`, or of standard input for `-`, as it arrives. `target` overrides
/// the target of the snapshots.
pub(super) fn each_snapshot(
    path: &Path,
    target: Option<Cores>,
    mut handle: impl FnMut(Snapshot) -> Result<(), CliError>,
) -> Result<(), CliError> {
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
    let mut handled = 0;
    for snapshot in snapshots {
        let snapshot = snapshot
            .and_then(|mut data| {
                data.target = target.or(data.target);
                Snapshot::new(data).map_err(serde::de::Error::custom)
            })
            .map_err(|source| CliError::Snapshot {
                number: handled + 1,
                from: from.clone(),
                source,
            })?;
        handle(snapshot)?;
        handled += 1;
    }
    if handled == 0 {
        let empty = std::io::Error::new(
            std::io::ErrorKind::UnexpectedEof,
            "it contains no snapshot; the smallest is {\"pods\": []}",
        );
        return Err(unreadable(empty));
    }
    Ok(())
}
