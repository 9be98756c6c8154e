//! A snapshot in JSON, optionally followed by a policy: the decision never panics, the
//! same input gives the same bytes, and every document survives a round trip.

use rebalancer_cli::render::document;
use rebalancer_cli::render::members;
use rebalancer_cli::render::style::Palette;
use rebalancer_cli::render::table;
use rebalancer_core::group_details::GroupDetails;
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
    assert_eq!(again, snapshot, "the snapshot changed in a round trip");
    assert_eq!(
        json(&decide(&again, &policy)),
        json(&decision),
        "the same snapshot led to another decision"
    );
    let again: Decision = reread(&decision);
    assert_eq!(again, decision, "the decision changed in a round trip");
    if let Some(plan) = decision.plan() {
        let serve = |name: &str| {
            let pod = snapshot.pods().iter().find(|pod| pod.name == name);
            pod.is_some_and(|pod| pod.serves())
        };
        assert!(
            plan.victims().iter().all(|victim| serve(&victim.name)),
            "a victim is not a ready pod"
        );
    }
    // Names are shown as they are. Rendering must not fail whatever they contain.
    let shown = table::decision(&decision, table::Detail::Group, &Palette::plain());
    assert!(!shown.is_empty());
    if let Some(group) = GroupDetails::of(&snapshot) {
        let again: GroupDetails = reread(&group);
        assert_eq!(again, group, "the group changed in a round trip");
        let shown = members::whole(snapshot.workload(), &group, true, &Palette::plain());
        assert!(!shown.is_empty());
    }
    assert!(
        document::yaml(&decision).is_ok(),
        "the decision has no YAML form"
    );
    true
}

fn json(document: &impl Serialize) -> String {
    match serde_json::to_string(document) {
        Ok(text) => text,
        Err(error) => unreachable!("the document has no JSON form: {error}"),
    }
}

/// The document after a round trip, which must give the same bytes.
fn reread<T: Serialize + DeserializeOwned>(document: &T) -> T {
    let text = json(document);
    match serde_json::from_str(&text) {
        Ok(again) => {
            assert_eq!(json(&again), text, "the bytes changed in a round trip");
            again
        }
        Err(error) => unreachable!("the document is rejected: {error}: {text}"),
    }
}
