//! Dry runs.

use rebalancer_core::ExecutionPolicy;

use crate::script::{Script, blocked, counted, evicted, policy, present};

#[test]
fn requests_every_eviction_once_and_never_waits() {
    let mut script = Script::new(
        2,
        ExecutionPolicy {
            dry_run: true,
            ..policy()
        },
    );
    // The pods are not evicted, so those that would be out are subtracted from the count.
    script
        .expect("read a", present())
        .expect("count 3", counted(6))
        .expect("evict a", evicted())
        .expect("read b", present())
        .expect("count 4", counted(6))
        .expect("evict b", evicted())
        .expect("read c", present())
        .expect("count 3", counted(6))
        .expect("evict c", evicted())
        .expect("read d", present())
        .expect("count 4", counted(6))
        .expect("evict d", blocked(None));
    let report = script.ends(["evicted", "evicted", "evicted", "blocked"], None);
    assert!(report.dry_run);
    assert_eq!(
        report.message,
        "dry run: 3 of 4 pods would be evicted, 1 blocked (PodDisruptionBudget consumer-pdb)"
    );
}

#[test]
fn keeps_the_minimum_as_a_real_run_does() {
    let mut script = Script::new(
        4,
        ExecutionPolicy {
            dry_run: true,
            ..policy()
        },
    );
    script
        .evict("a", 3, evicted())
        .expect("read b", present())
        .expect("count 4", counted(3));
    script.ends(
        ["evicted", "not_attempted", "not_attempted", "not_attempted"],
        Some("minimum_pods"),
    );
}
