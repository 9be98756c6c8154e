//! All tests of the workspace.

use std::{
    ffi::OsString,
    process::{Command, ExitCode, ExitStatus},
};

use crate::{Error, setup};

/// Runs them; the exit code is that of cargo.
///
/// No end-to-end case skips itself, so that a suite that could not run has failed.
pub(crate) fn run(args: &[OsString]) -> Result<ExitCode, Error> {
    setup::run()?;
    // The cases run the binary itself, which `cargo test` alone would not build.
    let built = cargo(&["build", "--package", "rebalancer-cli"], &[])?;
    if !built.success() {
        return Ok(code(built));
    }
    cargo(&["test", "--workspace", "--all-features"], args).map(code)
}

fn cargo(task: &[&str], args: &[OsString]) -> Result<ExitStatus, Error> {
    // Set by the cargo that runs this program, so that the toolchain is the same.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    Ok(Command::new(cargo).args(task).args(args).status()?)
}

fn code(status: ExitStatus) -> ExitCode {
    status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from)
}
