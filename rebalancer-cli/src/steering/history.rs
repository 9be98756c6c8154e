//! The history of a workload: the record in its annotation, joined with the Events.

use jiff::{SignedDuration, Timestamp};
use rebalancer_core::history::{EarlierRotation, Rotation};
use rebalancer_k8s::PublishedEvent;

use super::document::HistoryEntry;

/// The largest difference between the time of a record and that of the Event about the same action.
/// The record is written first, and both writes may take until their timeout.
const SAME_ACTION: SignedDuration = SignedDuration::from_mins(2);

/// The reason of the Event of a plan that waits for approval.
const PROPOSED: &str = "PlanProposed";

/// The recorded actions, newest first.
pub(crate) fn entries(last: Option<&Rotation>, events: Vec<PublishedEvent>) -> Vec<HistoryEntry> {
    let mut entries: Vec<HistoryEntry> = Vec::new();
    if let Some(last) = last {
        entries.push(of_last(last));
        entries.extend(last.earlier.iter().map(of_earlier));
    }
    let recorded = entries.len();
    // A proposal is not an action.
    let actions = events.into_iter().filter(|event| event.reason != PROPOSED);
    let (of_pods, of_workload): (Vec<PublishedEvent>, Vec<PublishedEvent>) =
        actions.partition(|event| event.pod.is_some());
    for event in of_workload {
        let same = entries
            .iter_mut()
            .take(recorded)
            .filter(|entry| entry.event.is_none())
            .find(|entry| distance(entry.time, event.time) <= SAME_ACTION);
        match same {
            Some(entry) => {
                entry.event = Some(event.reason);
                entry.message = Some(event.message);
            }
            None => entries.push(HistoryEntry {
                event: Some(event.reason),
                message: Some(event.message),
                ..empty(event.time)
            }),
        }
    }
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.time));
    for event in of_pods {
        // The pods of an action are evicted before it is recorded at its end.
        let action = entries.iter_mut().rev().find(|entry| {
            entry
                .time
                .saturating_add(SAME_ACTION)
                .is_ok_and(|end| end >= event.time)
        });
        if let (Some(entry), Some(pod)) = (action, event.pod)
            && !entry.pods.contains(&pod)
        {
            entry.pods.push(pod);
        }
    }
    entries
}

fn distance(one: Timestamp, other: Timestamp) -> SignedDuration {
    one.duration_since(other).abs()
}

fn empty(time: Timestamp) -> HistoryEntry {
    HistoryEntry {
        time,
        strategy: None,
        evictions: None,
        moves: None,
        pods: Vec::new(),
        imbalance_before: None,
        imbalance_expected: None,
        imbalance_after: None,
        abandoned: None,
        event: None,
        message: None,
    }
}

fn of_last(last: &Rotation) -> HistoryEntry {
    HistoryEntry {
        strategy: Some(last.strategy),
        evictions: Some(last.victims.len()),
        moves: (last.moves > 0).then_some(last.moves),
        pods: last.victims.clone(),
        imbalance_before: Some(last.imbalance_before),
        imbalance_expected: Some(last.imbalance_hoped),
        abandoned: last.abandoned.clone(),
        ..empty(last.time)
    }
}

fn of_earlier(earlier: &EarlierRotation) -> HistoryEntry {
    HistoryEntry {
        strategy: Some(earlier.strategy),
        evictions: Some(earlier.evictions),
        moves: (earlier.moves > 0).then_some(earlier.moves),
        imbalance_before: Some(earlier.imbalance_before),
        imbalance_after: earlier.imbalance_after,
        ..empty(earlier.time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(time: &str, reason: &str, pod: Option<&str>) -> PublishedEvent {
        PublishedEvent {
            time: time.parse().unwrap(),
            reason: reason.to_owned(),
            message: format!("message of {reason}"),
            pod: pod.map(str::to_owned),
        }
    }

    #[test]
    fn record_and_events_of_one_action_are_one_entry() {
        let last: Rotation = serde_json::from_value(json!({
            "time": "2026-01-02T18:00:00Z", "victims": ["a", "b"], "imbalance_before": 2.0,
            "imbalance_hoped": 1.5, "strategy": "rotate-outliers",
            "earlier": [{"time": "2026-01-02T12:00:00Z", "evictions": 1, "imbalance_before": 3.0,
                "imbalance_after": 2.0, "strategy": "forecast"}],
        }))
        .unwrap();
        let events = vec![
            event("2026-01-02T11:59:00Z", "Rotated", Some("x")),
            event("2026-01-02T15:00:00Z", "PartitionsAssigned", None),
            event("2026-01-02T17:57:59Z", "PlanProposed", None),
            event("2026-01-02T17:58:00Z", "Rotated", Some("a")),
            event("2026-01-02T18:00:01Z", "RotationIncomplete", None),
        ];
        let entries = entries(Some(&last), events);
        let summary: Vec<(String, Option<&str>, &[String])> = entries
            .iter()
            .map(|entry| {
                (
                    entry.time.to_string(),
                    entry.event.as_deref(),
                    entry.pods.as_slice(),
                )
            })
            .collect();
        let pods = |names: &[&str]| -> Vec<String> {
            names.iter().map(|name| (*name).to_owned()).collect()
        };
        assert_eq!(
            summary,
            [
                (
                    "2026-01-02T18:00:00Z".to_owned(),
                    Some("RotationIncomplete"),
                    pods(&["a", "b"]).as_slice()
                ),
                (
                    "2026-01-02T15:00:00Z".to_owned(),
                    Some("PartitionsAssigned"),
                    &[]
                ),
                (
                    "2026-01-02T12:00:00Z".to_owned(),
                    None,
                    pods(&["x"]).as_slice()
                ),
            ]
        );
    }

    #[test]
    fn workload_without_records_has_no_history() {
        assert_eq!(entries(None, Vec::new()), []);
    }
}
