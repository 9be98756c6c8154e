//! Comparison of the order of members with recorded hash tables of Java and Scala.

use kafka_assignors::MemberIndex;
use kafka_assignors::coordinator_order::{CoordinatorFamily, MemberTable};
use serde::Deserialize;

const RECORDED: &str = include_str!("recorded/coordinator-order.jsonl");

#[derive(Deserialize)]
struct Recording {
    coordinator: String,
    /// The largest number of entries that the table has held.
    peak: usize,
    /// In the order of insertion.
    ids: Vec<String>,
    /// In the order of iteration.
    order: Vec<String>,
}

#[test]
fn matches_recorded_tables() {
    let mut compared = 0;
    for line in RECORDED.lines() {
        let recording: Recording = serde_json::from_str(line).unwrap();
        let coordinator = match recording.coordinator.as_str() {
            "java" => CoordinatorFamily::Java,
            "scala" => CoordinatorFamily::Scala,
            other => panic!("no such coordinator: {other}"),
        };
        let table = MemberTable::smallest(coordinator, recording.peak);
        let order = table.order(&recording.ids);
        let named: Vec<&str> = order
            .iter()
            .map(|index: &MemberIndex| recording.ids[*index].as_str())
            .collect();
        assert_eq!(
            named, recording.order,
            "{coordinator:?}, peak {}",
            recording.peak
        );
        compared += 1;
    }
    assert!(compared >= 20, "{compared}");
}
