//! Every reported situation has an outcome and tests, and these tests exist.
#![expect(clippy::unwrap_used, reason = "what helpers of tests unwrap is there")]

mod named_tests;

use named_tests::{known, read, rows, section};

/// The sections of the page, and their cases.
const SECTIONS: [(&str, std::ops::RangeInclusive<usize>); 6] = [
    ("\n## A. Duplicate series of one container\n", 1..=3),
    (
        "\n## B. Metrics servers that are not a plain Prometheus\n",
        4..=10,
    ),
    ("\n## C. Kubernetes\n", 11..=20),
    ("\n## D. Consumer groups\n", 21..=25),
    ("\n## E. Found while measuring\n", 26..=30),
    ("\n## F. First contact\n", 31..=42),
];

#[test]
fn every_case_has_one_row_in_its_section() {
    let page = read("docs/reports.md");
    for (heading, cases) in SECTIONS {
        let rows = rows(section(&page, heading));
        let numbers: Vec<usize> = rows
            .iter()
            .map(|(case, _)| case.split(' ').next().unwrap().parse().unwrap())
            .collect();
        assert_eq!(numbers, cases.collect::<Vec<_>>(), "{heading}");
    }
}

#[test]
fn every_named_test_exists() {
    let page = read("docs/reports.md");
    let known = known();
    for (heading, _) in SECTIONS {
        for (case, tests) in rows(section(&page, heading)) {
            assert!(!tests.is_empty(), "no test for: {case}");
            for test in tests {
                let name = test.trim_end_matches("::").rsplit("::").next().unwrap();
                assert!(known.contains(name), "there is no test {test}, for: {case}");
            }
        }
    }
}
