//! All tests of the workspace.

use std::{
    ffi::OsString,
    process::{ExitCode, ExitStatus},
};

use crate::{Error, cargo, setup};

/// Runs them; the exit code is that of cargo.
///
/// No end-to-end case skips itself, so that a suite that could not run has failed.
pub(crate) fn run(args: &[OsString]) -> Result<ExitCode, Error> {
    setup::run()?;
    // The cases run the binary itself, which `cargo test` alone would not build.
    let built = cargo(&["build", "--package", "rebalancer-cli"])?;
    if !built.success() {
        return Ok(code(built));
    }
    let mut test: Vec<OsString> = ["test", "--workspace", "--all-features"]
        .map(OsString::from)
        .into();
    test.extend_from_slice(args);
    Ok(code(cargo(&test)?))
}

fn code(status: ExitStatus) -> ExitCode {
    status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from)
}
