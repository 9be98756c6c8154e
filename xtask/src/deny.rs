//! The rules of `deny.toml`.

use std::process::Command;

use crate::tools::Tool;
use crate::{Error, root};

const CARGO_DENY: Tool = Tool {
    name: "cargo-deny",
    version: "0.20.2",
};

/// Checks licenses, banned crates and sources.
///
/// Not advisories: their database is another repository, and what is said there tomorrow must not
/// fail what passed today.
pub(crate) fn run() -> Result<(), Error> {
    let status = Command::new(CARGO_DENY.locate()?)
        .args(["--locked", "check", "bans", "licenses", "sources"])
        .current_dir(root()?)
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err("a dependency is against the rules of deny.toml".into())
    }
}
