//! What can go wrong outside a run.

use std::error::Error as StdError;
use std::path::PathBuf;

use rebalancer_core::ports::{PortError, PortErrorKind};
use tracing::{debug, error};

use crate::exit::Exit;
use crate::render::document::DocumentError;
use crate::settings::SettingsError;

/// What ended the program before, or beside, a run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// Everything that is wrong with the configuration.
    #[error("the configuration is wrong")]
    Settings(Vec<SettingsError>),
    /// A port could not even be set up.
    #[error(transparent)]
    Setup(#[from] PortError),
    /// A snapshot could not be read.
    #[error("cannot read snapshots from {from}: {source}")]
    SnapshotFile {
        from: String,
        source: std::io::Error,
    },
    /// What was read is no snapshot.
    #[error("snapshot number {number} of {from} is not valid: {source}")]
    Snapshot {
        number: usize,
        from: String,
        source: serde_json::Error,
    },
    /// A snapshot could not be written.
    #[error("cannot write the snapshot to {}: {source}", path.display())]
    Save {
        path: PathBuf,
        source: std::io::Error,
    },
    /// The simulated world cannot be as asked for.
    #[error("the simulated world cannot be set up: {0}")]
    Simulation(#[from] rebalancer_sim::InvalidConfig),
    /// The result could not be shown.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The result could not be written.
    #[error("cannot write to standard output: {0}")]
    Stdout(std::io::Error),
    /// The async runtime or its signals could not be had.
    #[error("cannot start: {0}")]
    Runtime(std::io::Error),
}

impl From<SettingsError> for CliError {
    fn from(error: SettingsError) -> Self {
        Self::Settings(vec![error])
    }
}

impl From<Vec<SettingsError>> for CliError {
    fn from(errors: Vec<SettingsError>) -> Self {
        Self::Settings(errors)
    }
}

impl CliError {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Settings(_) => Exit::Usage,
            Self::Setup(error) if error.kind == PortErrorKind::Setup => Exit::Usage,
            Self::Simulation(_) => Exit::Usage,
            Self::Setup(_)
            | Self::SnapshotFile { .. }
            | Self::Snapshot { .. }
            | Self::Save { .. }
            | Self::Document(_)
            | Self::Stdout(_)
            | Self::Runtime(_) => Exit::Error,
        }
    }

    /// Says it: one line, or one for each thing that is wrong with the configuration.
    pub(crate) fn log(&self) {
        if let Self::Settings(errors) = self {
            for error in errors {
                error!("{error}");
            }
        } else {
            error!("{self}");
            log_causes(self);
        }
    }
}

/// At debug level a line for each cause of an error that says more than the one above it.
pub(crate) fn log_causes(error: &dyn StdError) {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !said.contains(&text) {
            debug!("caused by: {text}");
            said = text;
        }
        cause = error.source();
    }
}
