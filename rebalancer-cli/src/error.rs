//! Errors of the program outside a run.

use std::error::Error as StdError;
use std::net::SocketAddr;
use std::path::PathBuf;

use rebalancer_core::ports::{PortError, PortErrorKind};
use rebalancer_core::scenario::TooManyScenarios;
use tracing::{debug, error};

use crate::exit::Exit;
use crate::render::document::DocumentError;
use crate::settings::SettingsError;

/// An error that ended the program before or after a run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// All errors of the configuration.
    #[error("the configuration is invalid")]
    Settings(Vec<SettingsError>),
    /// A port could not be set up.
    #[error(transparent)]
    Setup(#[from] PortError),
    /// The snapshots could not be read.
    #[error("cannot read snapshots from {from}: {source}")]
    SnapshotFile {
        from: String,
        source: std::io::Error,
    },
    /// A document is not a valid snapshot.
    #[error("snapshot {number} of {from} is not valid: {source}")]
    Snapshot {
        number: usize,
        from: String,
        source: serde_json::Error,
    },
    /// The snapshots could not be written.
    #[error("cannot write the snapshot to {}: {source}", path.display())]
    Save {
        path: PathBuf,
        source: std::io::Error,
    },
    /// The report could not be written.
    #[error("REPORT_FILE: cannot write the report to {}: {source}", path.display())]
    ReportFile {
        path: PathBuf,
        source: std::io::Error,
    },
    /// A manual page could not be written.
    #[error("cannot write the manual page {}: {source}", path.display())]
    ManualPage {
        path: PathBuf,
        source: std::io::Error,
    },
    /// The scenarios of a what-if are too many.
    #[error(transparent)]
    Scenarios(#[from] TooManyScenarios),
    /// The range of a backtest cannot be used.
    #[error("{0}")]
    Backtest(String),
    /// The simulation could not be set up.
    #[error("the simulation cannot be set up: {0}")]
    Simulation(#[from] rebalancer_sim::InvalidConfig),
    /// The result could not be serialized.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The result could not be written.
    #[error("cannot write to standard output: {0}")]
    Stdout(std::io::Error),
    /// The socket of the HTTP server could not be opened.
    #[error("LISTEN_ADDRESS: cannot listen on {address}: {source}")]
    Listen {
        address: SocketAddr,
        source: std::io::Error,
    },
    /// The async runtime or the signal handlers could not be set up.
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
            Self::Simulation(_) | Self::Scenarios(_) | Self::Backtest(_) => Exit::Usage,
            Self::Setup(_)
            | Self::SnapshotFile { .. }
            | Self::Snapshot { .. }
            | Self::Save { .. }
            | Self::ReportFile { .. }
            | Self::ManualPage { .. }
            | Self::Document(_)
            | Self::Stdout(_)
            | Self::Listen { .. }
            | Self::Runtime(_) => Exit::Error,
        }
    }

    /// Logs the error; for an invalid configuration, one line for each error.
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

/// Logs each cause of an error at debug level, unless the message above it contains its text.
pub(crate) fn log_causes(error: &dyn StdError) {
    let mut logged = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !logged.contains(&text) {
            debug!("caused by: {text}");
            logged = text;
        }
        cause = error.source();
    }
}
