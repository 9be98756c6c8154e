//! The packages of the workspace and their files.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{Error, cargo_command, root};

/// A package of the workspace.
#[derive(Debug)]
pub(crate) struct Package {
    /// The name.
    pub(crate) name: String,
    /// The folder of its manifest.
    pub(crate) folder: PathBuf,
    /// The root files of its library and binaries.
    pub(crate) roots: Vec<PathBuf>,
}

/// All packages of the workspace, by name.
///
/// # Errors
/// If `cargo metadata` fails.
pub(crate) fn packages() -> Result<Vec<Package>, Error> {
    let output = cargo_command(&["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(root()?)
        .output()?;
    if !output.status.success() {
        return Err(format!(
            "cargo metadata: {}",
            String::from_utf8_lossy(&output.stderr)
        )
        .into());
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let mut packages: Vec<Package> = members(&metadata, "packages")
        .map(|package| {
            let manifest = PathBuf::from(text(package, "manifest_path"));
            Package {
                name: text(package, "name").to_owned(),
                folder: manifest.parent().unwrap_or(Path::new("")).to_owned(),
                roots: members(package, "targets")
                    .filter(|target| {
                        members(target, "kind").any(|kind| kind == "lib" || kind == "bin")
                    })
                    .map(|target| PathBuf::from(text(target, "src_path")))
                    .collect(),
            }
        })
        .collect();
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(packages)
}

fn members<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// The Rust files below `folder`, without build output and without nested packages.
///
/// # Errors
/// If a folder cannot be read.
pub(crate) fn rust_files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                if !path.ends_with("target") && !path.join("Cargo.toml").exists() {
                    open.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}
