//! Decisions on recorded snapshots, byte for byte except for their messages.
//!
//! `recorded/cases.jsonl` has a policy and a snapshot per line, `recorded/decisions.jsonl` the
//! decision for each. After an intended change of the document, record the decisions again:
//! `RECORD_DECISIONS=1 cargo test -p rebalancer-core --test recorded`, and review the diff.

#![allow(
    clippy::disallowed_methods,
    reason = "this test reads and writes recorded files"
)]

use std::fs;
use std::path::Path;

use rebalancer_core::{Policy, Snapshot, decide};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    name: String,
    policy: Policy,
    snapshot: Snapshot,
}

/// The text of a JSON document with every `message` emptied.
fn without_messages(json: &str) -> String {
    const KEY: &str = "\"message\":\"";
    let mut text = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(start) = rest.find(KEY) {
        let (before, after) = rest.split_at(start + KEY.len());
        text.push_str(before);
        let mut escaped = false;
        let end = after
            .find(|character| {
                let closes = character == '"' && !escaped;
                escaped = character == '\\' && !escaped;
                closes
            })
            .unwrap_or(after.len());
        rest = &after[end..];
    }
    text + rest
}

#[test]
fn decisions_on_recorded_snapshots_do_not_change() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded");
    let cases = fs::read_to_string(folder.join("cases.jsonl")).unwrap();
    let cases: Vec<Case> = cases
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let decisions: Vec<String> = cases
        .iter()
        .map(|case| serde_json::to_string(&decide(&case.snapshot, &case.policy)).unwrap())
        .map(|json| without_messages(&json))
        .collect();
    let file = folder.join("decisions.jsonl");
    if std::env::var_os("RECORD_DECISIONS").is_some() {
        fs::write(&file, decisions.join("\n") + "\n").unwrap();
    }
    let recorded = fs::read_to_string(&file).unwrap();
    assert_eq!(recorded.lines().count(), cases.len());
    for ((case, decision), recorded) in cases.iter().zip(&decisions).zip(recorded.lines()) {
        assert_eq!(decision, recorded, "{}", case.name);
    }
}
