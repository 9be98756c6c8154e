//! The generators reach every hold reason and every reason against a pod.

use std::collections::BTreeMap;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use rebalancer_core::{Policy, Snapshot, decide, generate};

#[test]
fn every_reason_and_plans_occur() {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut actions = BTreeMap::new();
    let mut reasons = BTreeMap::new();
    let policies = proptest::prop_oneof![
        proptest::strategy::Just(Policy::default()),
        generate::policy()
    ];
    let inputs = (generate::snapshot(), policies);
    for _ in 0..2_500 {
        let (snapshot, policy) = inputs.new_tree(&mut runner).unwrap().current();
        let decision = decide(&snapshot, &policy);
        let word = decision
            .hold_reason()
            .map_or("rotate", |reason| reason.as_str());
        *actions.entry(word).or_insert(0) += 1;
        for pod in &decision.pods {
            for reason in &pod.reasons {
                *reasons.entry(reason.as_str()).or_insert(0) += 1;
            }
        }
    }
    let words: Vec<&str> = actions.keys().copied().collect();
    let expected = [
        "another_run",
        "autoscaler_scaling",
        "clocks_apart",
        "cooldown",
        "frozen",
        "group_not_settled",
        "implausible_load",
        "improvement_too_small",
        "insufficient_coverage",
        "loads_all_zero",
        "metrics_of_other_pods",
        "metrics_partial",
        "minimum_pods",
        "mixed_templates",
        "no_eligible_pods",
        "no_pods_found",
        "no_ready_pods",
        "pods_measured_twice",
        "rollout_in_progress",
        "rollout_stuck",
        "rotate",
        "rotation_did_not_help",
        "scaled_to_zero",
        "target_unknown",
        "within_tolerance",
    ];
    assert_eq!(words, expected, "{actions:?}");
    // Both occur often enough for the properties to be meaningful.
    assert!(actions["rotate"] > 75, "{actions:?}");
    assert!(actions["within_tolerance"] > 75, "{actions:?}");
    assert_eq!(reasons.len(), 16, "{reasons:?}");
}

/// The message of a failed property contains the document of the smallest counterexample.
#[test]
fn counterexample_is_printed_as_snapshot_json() {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, rng);
    let has_two_pods = |snapshot: generate::JsonSnapshot| {
        proptest::prop_assert!(snapshot.pods().len() < 2);
        Ok(())
    };
    let failure = runner
        .run(&generate::as_json(generate::snapshot()), has_two_pods)
        .unwrap_err();
    let TestError::Fail(_, snapshot) = &failure else {
        panic!("{failure}");
    };
    let shown = format!("{snapshot:?}");
    let read: Snapshot = serde_json::from_str(&shown).unwrap();
    assert_eq!(read, snapshot.0);
    assert_eq!(read.pods().len(), 2);
    assert!(failure.to_string().contains(&shown), "{failure}");
}
