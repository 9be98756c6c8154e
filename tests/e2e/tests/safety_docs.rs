//! Every sentence about safety in the README has tests, and these and the tests of hand-overs
//! exist.
#![expect(clippy::unwrap_used, reason = "what helpers of tests unwrap is there")]

mod named_tests;

use named_tests::{known, read, rows, section};

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
    let known = known();
    let page = read("docs/safety.md");
    let headings = [
        "\n## Hand-overs and rejoins\n",
        "\n## The README's sentences\n",
    ];
    let rows = headings.map(|heading| rows(section(&page, heading)));
    assert!(rows.iter().all(|rows| rows.len() > 5), "{rows:?}");
    for (begins, tests) in rows.into_iter().flatten() {
        assert!(!tests.is_empty(), "no test for: {begins}");
        for test in tests {
            assert!(
                known.contains(&test),
                "there is no test {test}, for: {begins}"
            );
        }
    }
}
