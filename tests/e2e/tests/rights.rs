//! Compares the API calls of the whole end-to-end suite with the rights that `deploy/` grants.
//! Cargo runs the test targets of a package in alphabetical order, so this one follows the suite.

use std::collections::{BTreeMap, BTreeSet};

use harness::{Right, audit, rights};

/// Calls that no manifest grants, and the reason for each.
const BEYOND: [(&str, &str); 7] = [
    (
        "create selfsubjectaccessreviews",
        "`check`: every account may ask for its own rights",
    ),
    ("list events", "`history`: a right of the person"),
    ("get replicasets", "a WORKLOAD_KIND of another group"),
    ("get replicasets/scale", "a WORKLOAD_KIND of another group"),
    (
        "get replicationcontrollers",
        "a WORKLOAD_KIND of another group",
    ),
    (
        "get replicationcontrollers/scale",
        "a WORKLOAD_KIND of another group",
    ),
    (
        "patch replicasets",
        "a WORKLOAD_KIND of another group: its annotation",
    ),
];

#[test]
fn suite_used_exactly_the_granted_rights() {
    let calls = audit::of_the_last_suite().unwrap();
    // Discovery has no object, and every account may use it.
    let about_objects = calls.iter().filter(|call| !call.resource.is_empty());
    let mut used: BTreeMap<Right, usize> = BTreeMap::new();
    for call in about_objects {
        *used.entry(Right::from(call)).or_default() += 1;
    }
    let manifest = rights::manifest().unwrap();
    let granted = rights::granted(&manifest).unwrap();
    let unused: Vec<&Right> = granted
        .iter()
        .filter(|right| !used.contains_key(right))
        .collect();
    assert!(
        unused.is_empty(),
        "granted, and never used in the suite (was all of it run? cargo xtask test does): {unused:#?}"
    );

    let optional = rights::granted(&rights::with_optional(&manifest)).unwrap();
    let beyond: BTreeSet<&str> = BEYOND.into_iter().map(|(right, _)| right).collect();
    let not_granted: Vec<(&Right, &usize)> = used
        .iter()
        .filter(|(right, _)| !optional.contains(right))
        .filter(|(right, _)| !beyond.contains(right.to_string().as_str()))
        .collect();
    assert!(
        not_granted.is_empty(),
        "used, and granted by nothing in deploy/: {not_granted:#?}"
    );
    println!("{} calls: {used:#?}", calls.len());
}
