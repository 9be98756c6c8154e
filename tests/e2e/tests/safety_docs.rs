//! Every sentence about safety in the README has tests, and these tests exist.
#![expect(clippy::unwrap_used, reason = "what helpers of tests unwrap is there")]

use std::collections::BTreeSet;
use std::path::Path;

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read_to_string(root.join(path)).unwrap()
}

/// The section with a heading, up to the next heading of the same level.
fn section<'a>(document: &'a str, heading: &str) -> &'a str {
    let start = document.find(heading).unwrap() + heading.len();
    let rest = &document[start..];
    &rest[..rest.find("\n## ").unwrap_or(rest.len())]
}

/// The sentences of the list in a section.
fn sentences(section: &str) -> Vec<String> {
    let list = section
        .split("\n\n")
        .find(|part| part.trim_start().starts_with("- "))
        .unwrap();
    let points = list.trim_start_matches(['\n', ' ', '-']).split("\n- ");
    points
        .flat_map(|point| {
            let line = point.split_whitespace().collect::<Vec<_>>().join(" ");
            let line = line.replace(". ", ".\n");
            line.lines().map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
}

/// The rows of the table in a section: the beginning of a sentence, and the tests.
fn rows(section: &str) -> Vec<(String, Vec<String>)> {
    let rows = section
        .lines()
        .filter(|line| line.starts_with("| "))
        .skip(1);
    rows.map(|row| {
        let (begins, tests) = row.trim_matches(['|', ' ']).rsplit_once(" | ").unwrap();
        let tests = tests.split('`').skip(1).step_by(2).map(str::to_owned);
        (begins.to_owned(), tests.collect())
    })
    .collect()
}

/// The names of all functions in the Rust files of a folder.
fn functions(dir: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            functions(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = std::fs::read_to_string(path).unwrap();
            let names = source.split("fn ").skip(1);
            found.extend(names.filter_map(|rest| Some(rest.split_once('(')?.0.to_owned())));
        }
    }
}

#[test]
fn every_safety_statement_has_tests() {
    let sentences = sentences(section(&read("README.md"), "\n## Safety\n"));
    let rows = rows(section(
        &read("docs/safety.md"),
        "\n## The README's sentences\n",
    ));
    assert!(sentences.len() > 20, "{sentences:#?}");
    for sentence in &sentences {
        let of = rows
            .iter()
            .filter(|(begins, _)| sentence.starts_with(begins));
        assert_eq!(of.count(), 1, "rows in docs/safety.md for: {sentence}");
    }
    for (begins, _) in &rows {
        let of = sentences
            .iter()
            .filter(|sentence| sentence.starts_with(begins));
        assert_eq!(
            of.count(),
            1,
            "sentences in the README that begin with: {begins}"
        );
    }
}

#[test]
fn every_named_test_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut known = BTreeSet::new();
    for part in ["cli", "core", "driver", "k8s", "prom", "sim"] {
        for folder in ["src", "tests"] {
            let dir = root.join(format!("rebalancer-{part}")).join(folder);
            if dir.exists() {
                functions(&dir, &mut known);
            }
        }
    }
    functions(&root.join("tests"), &mut known);
    for (begins, tests) in rows(section(
        &read("docs/safety.md"),
        "\n## The README's sentences\n",
    )) {
        assert!(!tests.is_empty(), "no test for: {begins}");
        for test in tests {
            assert!(
                known.contains(&test),
                "there is no test {test}, for: {begins}"
            );
        }
    }
}
