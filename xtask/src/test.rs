//! Runs all tests of the workspace.

use std::{
    ffi::OsString,
    process::{ExitCode, ExitStatus},
};

use crate::{Error, cargo, cargo_command, setup};

/// Runs the tests; the exit code is that of cargo.
///
/// No end-to-end case skips itself: a suite that cannot run fails.
pub(crate) fn run(args: &[OsString]) -> Result<ExitCode, Error> {
    setup::run()?;
    // The end-to-end cases run the binary, which `cargo test` alone does not build.
    let built = cargo(&["build", "--package", "rebalancer-cli"])?;
    if !built.success() {
        return Ok(code(built));
    }
    let mut test: Vec<OsString> = ["test", "--workspace", "--all-features"]
        .map(OsString::from)
        .into();
    test.extend_from_slice(args);
    let mut test = cargo_command(&test);
    // The end-to-end cases spend most of their time waiting for servers.
    if std::env::var_os("RUST_TEST_THREADS").is_none() {
        test.env("RUST_TEST_THREADS", "6");
    }
    Ok(code(test.status()?))
}

fn code(status: ExitStatus) -> ExitCode {
    status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from)
}
