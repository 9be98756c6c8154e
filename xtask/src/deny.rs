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
/// Advisories are not checked: their database is another repository, and a change there must not
/// fail a commit that passed before.
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
