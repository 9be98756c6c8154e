//! Hand-overs to groups of real consumers: the tables in docs/assign.md.

use std::ffi::OsString;
use std::fs;
use std::process::{ExitCode, Stdio};

use crate::{Error, cargo_command, root, setup};

const BEGIN: &str = "<!-- hand-overs: cargo xtask handover --write -->\n";
const END: &str = "<!-- end of the hand-overs -->";

/// Builds and runs the program that hands out the assignments. It is not part of this one, because
/// only it needs librdkafka.
pub(crate) fn run(args: &[OsString]) -> Result<ExitCode, Error> {
    setup::run()?;
    let writes = args.iter().any(|arg| arg == "--write");
    let options = args.iter().filter(|arg| *arg != "--write");
    let fixed = ["run", "--quiet", "--package", "kafka-e2e", "--all-features"];
    let mut command = cargo_command(&fixed);
    command.args(["--bin", "handover", "--"]).args(options);
    let output = command.stderr(Stdio::inherit()).output()?;
    let tables = String::from_utf8(output.stdout)?;
    print!("{tables}");
    if !output.status.success() {
        return Ok(ExitCode::FAILURE);
    }
    if writes {
        let path = root()?.join("docs/assign.md");
        let text = fs::read_to_string(&path)?;
        let text = with_tables(&text, &tables).ok_or("docs/assign.md has no markers")?;
        fs::write(&path, text)?;
        println!("written: {}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// The text with new tables between its two markers.
fn with_tables(text: &str, tables: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    let tables = tables.trim_end();
    Some(format!("{before}{BEGIN}{tables}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_between_the_markers_are_replaced() {
        let text = format!("before\n{BEGIN}old\n{END}\nafter\n");
        let expected = format!("before\n{BEGIN}new\n{END}\nafter\n");
        assert_eq!(with_tables(&text, "new\n\n"), Some(expected));
        assert_eq!(with_tables("before\nafter\n", "new"), None);
    }
}
