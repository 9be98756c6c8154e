//! The packages for the registry.

use crate::{Error, cargo};

/// The packages that others can use, in the order of their dependencies.
const PACKAGES: [&str; 3] = ["kafka-assignors", "rebalancer-core", "rebalancer-driver"];

/// Checks that the packages could be published: their metadata is complete, their dependencies have
/// versions, and none of them depends on an unpublished package.
///
/// The packages are checked together, so that cargo resolves them against each other and not
/// against the registry. They are not built again, which would take minutes: the workspace builds
/// the same files.
pub(crate) fn run() -> Result<(), Error> {
    let mut args = vec![
        "publish",
        "--dry-run",
        "--no-verify",
        "--allow-dirty",
        "--locked",
        "--quiet",
    ];
    for package in PACKAGES {
        args.extend(["--package", package]);
    }
    let status = cargo(&args)?;
    if status.success() {
        println!("{} could be published", PACKAGES.join(", "));
        Ok(())
    } else {
        Err(format!("`cargo {}` failed ({status})", args.join(" ")).into())
    }
}
