//! Generates the files that derive from the code: JSON Schemas, and the table of settings in
//! docs/configuration.md.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use rebalancer_cli::settings::{SECTIONS, Setting, schema};
use rebalancer_core::Snapshot;
use rebalancer_core::report::Report;
use serde_json::Value;

use crate::{Error, root};

const TABLE_BEGIN: &str = "<!-- settings: cargo xtask generate -->\n";
const TABLE_END: &str = "<!-- end of settings -->";

/// Writes the generated files, or with `check` only reports which are out of date.
pub(crate) fn run(check: bool) -> Result<(), Error> {
    write_or_check(generated()?, check, "cargo xtask generate")
}

/// Writes the files whose content differs, or with `check` only reports them and the `command`
/// that generates them.
pub(crate) fn write_or_check(
    files: impl IntoIterator<Item = (PathBuf, String)>,
    check: bool,
    command: &str,
) -> Result<(), Error> {
    let mut stale = Vec::new();
    for (path, text) in files {
        if fs::read_to_string(&path).is_ok_and(|current| current == text) {
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
    let configuration = root.join("docs/configuration.md");
    let text = fs::read_to_string(&configuration)?;
    let text = with_table(&text).ok_or("docs/configuration.md has no markers for the table")?;
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
        (configuration, text),
        (root.join("docs/reasons.md"), crate::reasons::document()),
    ])
}

fn schema_of<T: schemars::JsonSchema>() -> Result<Value, Error> {
    Ok(serde_json::to_value(schemars::schema_for!(T))?)
}

fn pretty(value: &Value) -> Result<String, Error> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

/// The text with a new table between its two markers.
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
    for section in &SECTIONS {
        let _ = writeln!(table, "| **{}** | | |", section.heading);
        for setting in section.settings {
            table.push_str(&row(*setting));
        }
    }
    table
}

fn row(setting: &dyn Setting) -> String {
    let default = setting.default_text().unwrap_or("required".into());
    let help = setting.help().replace('|', "\\|");
    let no_flag = if setting.is_secret() {
        "; no flag, since the value may be a secret"
    } else {
        ""
    };
    format!("| `{}` | {default} | {help}{no_flag} |\n", setting.env())
}
