//! A configuration file, environment variables (`NAME=value` lines) and flags (`key=value` lines),
//! separated by a line `%%`: reading them never panics, and no error shows the value of a header.
//!
//! The file is TOML if its first line is `# toml`, and YAML otherwise.

use std::collections::HashMap;

use rebalancer_cli::fuzzing::settings;
use rebalancer_cli::settings::all;

use super::parts;

/// The value of a header, which no message may contain.
const SECRET: &str = "correct-horse-battery-staple";
const HEADERS: &str = "PROMETHEUS_HEADERS";

/// Checks the input as the settings of a run.
pub fn check(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let [file, environment, flags] = parts(text);
    let is_toml = file.lines().next() == Some("# toml");
    let environment = pairs(environment);
    let mut flags = pairs(flags);
    // The command line accepts no other flags.
    flags.retain(|key, _| all().any(|setting| setting.key() == *key));
    let accepted = settings(file, is_toml, &environment, &flags).is_ok();
    if !text.contains(SECRET) {
        from_the_file(file, is_toml, &environment, &flags);
        from_the_environment(file, is_toml, environment, &flags);
    }
    accepted
}

fn pairs(lines: &str) -> HashMap<String, String> {
    lines
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// A file that begins with the secret, so that nothing later in it can change the value.
fn from_the_file(
    file: &str,
    is_toml: bool,
    environment: &HashMap<String, String>,
    flags: &HashMap<String, String>,
) {
    let heads = if is_toml {
        [
            format!("prometheus_headers = \"Authorization=Bearer {SECRET}\"\n"),
            format!("prometheus_headers = {{ Authorization = \"{SECRET}\" }}\n"),
        ]
    } else {
        [
            format!("prometheus_headers: \"Authorization=Bearer {SECRET}\"\n"),
            format!("prometheus_headers:\n  Authorization: {SECRET}\n"),
        ]
    };
    hides(&(one_of(heads, file) + file), is_toml, environment, flags);
}

/// The value of the variable with the secret before or after it.
fn from_the_environment(
    file: &str,
    is_toml: bool,
    mut environment: HashMap<String, String>,
    flags: &HashMap<String, String>,
) {
    let given = environment.remove(HEADERS).unwrap_or_default();
    let values = [
        format!("X-Key={SECRET}{given}"),
        format!("{given},X-Key={SECRET}"),
        format!("{given},{SECRET}"),
    ];
    environment.insert(HEADERS.to_owned(), one_of(values, file));
    hides(file, is_toml, &environment, flags);
}

/// The form of an input, chosen by its length. Reading every form of each input would be slow.
fn one_of<const N: usize>(mut forms: [String; N], input: &str) -> String {
    std::mem::take(&mut forms[input.len() % N])
}

fn hides(
    file: &str,
    is_toml: bool,
    environment: &HashMap<String, String>,
    flags: &HashMap<String, String>,
) {
    let shown = match settings(file, is_toml, environment, flags) {
        Ok(settings) => format!("{settings:?}"),
        Err(errors) => {
            let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
            format!("{}\n{errors:?}", lines.join("\n"))
        }
    };
    assert!(
        !shown.contains(SECRET),
        "the value of a header is visible: {shown}"
    );
}
