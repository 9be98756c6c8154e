//! Cargo subcommands that some tasks need; a missing one is installed.

use std::path::PathBuf;

use harness::assets::{cache_dir, find_in_path};

use crate::{Error, cargo};

/// A program from the package of the same name.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    /// The version to install. Any version found in `PATH` is used as it is.
    pub(crate) version: &'static str,
}

impl Tool {
    /// The path of the program: from `PATH`, otherwise from the cache, where the first call builds
    /// it.
    pub(crate) fn locate(&self) -> Result<PathBuf, Error> {
        let Self { name, version } = *self;
        if let Some(path) = find_in_path(name) {
            return Ok(path);
        }
        let folder = cache_dir()?.join(format!("{name}-{version}"));
        let path = folder.join("bin").join(name);
        if path.is_file() {
            return Ok(path);
        }
        eprintln!("installing {name} {version}, once; some minutes …");
        let root = folder.to_string_lossy();
        // Optimizing the program takes longer than the optimization saves.
        let status = cargo(&[
            "install",
            "--debug",
            "--quiet",
            "--locked",
            "--root",
            &root,
            "--version",
            version,
            name,
        ])?;
        if status.success() {
            Ok(path)
        } else {
            Err(format!("`cargo install --locked {name}` failed ({status})").into())
        }
    }
}
