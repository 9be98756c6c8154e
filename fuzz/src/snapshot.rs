//! A snapshot in JSON, optionally followed by a policy: the decision never panics, the
//! same input gives the same bytes, and every document survives a round trip.

use rebalancer_cli::render::document;
use rebalancer_cli::render::style::Palette;
use rebalancer_cli::render::table;
use rebalancer_core::{Decision, Policy, Snapshot, decide};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Checks the decision on the input.
pub fn check(data: &[u8]) -> bool {
    let mut input = serde_json::Deserializer::from_slice(data);
    let Ok(snapshot) = Snapshot::deserialize(&mut input) else {
        return false;
    };
    let policy = match input.end() {
        Ok(()) => Policy::default(),
        Err(_) => match Policy::deserialize(&mut input) {
            Ok(policy) => policy,
            Err(_) => return false,
        },
    };
    let decision = decide(&snapshot, &policy);
    let again: Snapshot = reread(&snapshot);
    assert_eq!(
        again, snapshot,
        "the snapshot is another one when read again"
    );
    assert_eq!(
        json(&decide(&again, &policy)),
        json(&decision),
        "the same snapshot gave another decision"
    );
    let again: Decision = reread(&decision);
    assert_eq!(
        again, decision,
        "the decision is another one when read again"
    );
    if let Some(plan) = decision.plan() {
        let serve = |name: &str| {
            let pod = snapshot.pods().iter().find(|pod| pod.name == name);
            pod.is_some_and(|pod| pod.serves())
        };
        assert!(
            plan.victims().iter().all(|victim| serve(&victim.name)),
            "a victim that does not serve"
        );
    }
    // Names are shown as they are. Rendering must not fail whatever they contain.
    let shown = table::decision(&decision, table::Detail::Group, &Palette::plain());
    assert!(!shown.is_empty());
    assert!(document::yaml(&decision).is_ok(), "no YAML of a decision");
    true
}

fn json(document: &impl Serialize) -> String {
    match serde_json::to_string(document) {
        Ok(text) => text,
        Err(error) => unreachable!("no JSON of a document: {error}"),
    }
}

/// The document after a round trip, which must give the same bytes.
fn reread<T: Serialize + DeserializeOwned>(document: &T) -> T {
    let text = json(document);
    match serde_json::from_str(&text) {
        Ok(again) => {
            assert_eq!(json(&again), text, "other bytes after a round trip");
            again
        }
        Err(error) => unreachable!("own words are refused: {error}: {text}"),
    }
}
