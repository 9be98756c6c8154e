//! What is made from the code and kept in the repository: JSON Schemas, and the configuration
//! table of the README.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use rebalancer_cli::settings::{Group, SETTINGS, schema};
use rebalancer_core::Snapshot;
use rebalancer_core::report::Report;
use serde_json::Value;

use crate::{Error, root};

const TABLE_BEGIN: &str = "<!-- settings: cargo xtask generate -->\n";
const TABLE_END: &str = "<!-- end of settings -->";

/// Writes what is generated, or with `check` only says what is out of date.
pub(crate) fn run(check: bool) -> Result<(), Error> {
    write_or_check(generated()?, check, "cargo xtask generate")
}

/// Writes those files that are not as they are to be, or with `check` only says which, and which
/// `command` makes them.
pub(crate) fn write_or_check(
    files: impl IntoIterator<Item = (PathBuf, String)>,
    check: bool,
    command: &str,
) -> Result<(), Error> {
    let mut stale = Vec::new();
    for (path, text) in files {
        if fs::read_to_string(&path).is_ok_and(|present| present == text) {
            continue;
        }
        if check {
            stale.push(path.display().to_string());
        } else {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::write(&path, text)?;
            println!("written: {}", path.display());
        }
    }
    if stale.is_empty() {
        return Ok(());
    }
    Err(format!("out of date: {}; run `{command}`", stale.join(", ")).into())
}

fn generated() -> Result<Vec<(PathBuf, String)>, Error> {
    let root = root()?;
    let schemas = root.join("docs/schemas");
    let readme = root.join("README.md");
    let text = fs::read_to_string(&readme)?;
    let table = with_table(&text).ok_or("README.md has no place for the settings")?;
    Ok(vec![
        (schemas.join("config.json"), pretty(&schema())?),
        (
            schemas.join("snapshot.json"),
            pretty(&schema_of::<Snapshot>()?)?,
        ),
        (
            schemas.join("report.json"),
            pretty(&schema_of::<Report>()?)?,
        ),
        (readme, table),
    ])
}

fn schema_of<T: schemars::JsonSchema>() -> Result<Value, Error> {
    Ok(serde_json::to_value(schemars::schema_for!(T))?)
}

fn pretty(value: &Value) -> Result<String, Error> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

/// The text with the table between its two marks made anew.
fn with_table(text: &str) -> Option<String> {
    let (before, rest) = text.split_once(TABLE_BEGIN)?;
    let (_, after) = rest.split_once(TABLE_END)?;
    Some(format!(
        "{before}{TABLE_BEGIN}{}{TABLE_END}{after}",
        table()
    ))
}

fn table() -> String {
    let mut table = String::from("| variable | default | meaning |\n|---|---|---|\n");
    for group in Group::ALL {
        let _ = writeln!(table, "| **{}** | | |", group.heading());
        for setting in SETTINGS.iter().filter(|setting| setting.group == group) {
            let default = match setting.default {
                "" => "required",
                default => default,
            };
            let help = setting.help.replace('|', "\\|");
            let no_flag = if setting.flag().is_some() {
                ""
            } else {
                "; no flag, since they may be secret"
            };
            let _ = writeln!(table, "| `{}` | {default} | {help}{no_flag} |", setting.env);
        }
    }
    table
}
