//! Exit codes.

use std::process::ExitCode;

use rebalancer_core::report::RunOutcome;

/// The exit code of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Nothing to do, or everything done.
    Fine = 0,
    /// An error, or missing data.
    Error = 1,
    /// Wrong usage or configuration.
    Usage = 2,
    /// A plan was not executed in full: some or all evictions were blocked or failed, replacements
    /// did not become ready, or a hand-over or a rejoin was abandoned or not kept.
    Incomplete = 3,
    /// There is a plan that was not executed; only with `--exit-code`.
    Planned = 10,
}

impl Exit {
    /// The exit code of a run with this outcome.
    #[must_use]
    pub fn of(outcome: RunOutcome, exit_code: bool) -> Self {
        match outcome {
            RunOutcome::Fine => Self::Fine,
            RunOutcome::Planned if exit_code => Self::Planned,
            RunOutcome::Planned => Self::Fine,
            RunOutcome::Incomplete => Self::Incomplete,
            RunOutcome::Failed => Self::Error,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
