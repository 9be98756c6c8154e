//! Exit codes.

use std::process::ExitCode;

use rebalancer_core::report::RunOutcome;

/// What the process says to whoever started it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Nothing to do, or all done.
    Fine = 0,
    /// An error, or too little was known to decide.
    Error = 1,
    /// Usage or configuration.
    Usage = 2,
    /// Rotated in part: blocked or failed evictions.
    Incomplete = 3,
    /// There is a plan that was not carried out; only with `--exit-code`.
    Planned = 10,
}

impl Exit {
    /// The code for what a run came to.
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
