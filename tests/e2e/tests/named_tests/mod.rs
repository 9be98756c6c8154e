//! Documents, and the tests that exist.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Returns a document of the repository.
pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// Returns the section with a heading, up to the next heading of the same level.
pub(crate) fn section<'a>(document: &'a str, heading: &str) -> &'a str {
    let start = document.find(heading).unwrap() + heading.len();
    let rest = &document[start..];
    &rest[..rest.find("\n## ").unwrap_or(rest.len())]
}

/// Returns the rows of a table: the first column, and the texts between backticks in the last one.
pub(crate) fn rows(section: &str) -> Vec<(String, Vec<String>)> {
    let rows = section
        .lines()
        .filter(|line| line.starts_with("| "))
        .skip(1);
    rows.map(|row| {
        let (others, tests) = row.trim_matches(['|', ' ']).rsplit_once(" | ").unwrap();
        let first = others.split(" | ").next().unwrap_or(others);
        let tests = tests.split('`').skip(1).step_by(2).map(str::to_owned);
        (first.to_owned(), tests.collect())
    })
    .collect()
}

/// Returns the names of the functions and of the files in all Rust code.
pub(crate) fn known() -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    for part in ["adapter", "cli", "core", "driver", "k8s", "prom", "sim"] {
        for folder in ["src", "tests"] {
            let dir = root().join(format!("rebalancer-{part}")).join(folder);
            if dir.exists() {
                collect(&dir, &mut known);
            }
        }
    }
    for dir in ["kafka-assignors", "tests", "xtask/src"] {
        collect(&root().join(dir), &mut known);
    }
    known
}

fn collect(dir: &Path, known: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, known);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let stem = path.file_stem().unwrap().to_string_lossy();
            let source = std::fs::read_to_string(&path).unwrap();
            let names = source.split("fn ").skip(1);
            known.extend(names.filter_map(|rest| Some(rest.split_once('(')?.0.to_owned())));
            known.insert(stem.into_owned());
        }
    }
}
