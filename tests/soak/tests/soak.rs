//! Soak over 100,000 simulated worlds; `cargo xtask soak` runs more.
#![allow(clippy::print_stdout, reason = "shown with --nocapture")]

use std::num::NonZeroUsize;

use soak::{run_world, soak};

const WORLDS: u64 = 100_000;
/// A fixed seed, so that a failure is reproducible.
const FIRST_SEED: u64 = 1;

#[test]
fn no_rule_is_broken_in_100_000_worlds() {
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let soak = soak(WORLDS, FIRST_SEED, threads);
    println!("{:.0} worlds/s\n{}", soak.speed(), soak.tally);
    if let Some(violation) = &soak.violation {
        panic!("{violation}");
    }
    assert_eq!(soak.worlds, WORLDS);

    // Worlds without events would prove nothing.
    let share = |group: &str, what: &str| soak.tally.count(group, what) * 1000 / WORLDS;
    for (group, what, least) in [
        ("worlds", "with a rotation", 300),
        ("worlds", "of two runs", 100),
        ("worlds", "of a dry run", 20),
        ("runs", "asked to stop", 40),
        ("runs", "killed", 10),
        ("runs", "failed to observe", 50),
        ("runs", "with every victim evicted", 80),
        ("runs", "with a rotation beside a stuck pod", 10),
        ("requests", "took effect", 400),
        ("requests", "blocked", 100),
        ("requests", "failed", 10),
        ("requests", "forbidden", 2),
        ("requests", "answer lost", 15),
        ("requests", "answer lost, and took effect", 8),
        ("requests", "took effect after the answer was lost", 2),
        ("rotations ended early", "Stopped", 5),
        ("rotations ended early", "RunTimeout", 5),
        ("rotations ended early", "MinimumPods", 5),
        ("rotations ended early", "ReadyUnknown", 20),
        ("rotations ended early", "WaveIncomplete", 40),
        ("rotations ended early", "ReadyTimeout", 40),
        ("rotations ended early", "WorkloadChanged", 20),
        ("rotations ended early", "Frozen", 2),
        ("victims", "already_gone", 8),
        ("victims", "unknown", 10),
        ("victims", "not_attempted", 200),
        ("worlds", "with a hand-over", 10),
        ("hand-overs", "assigned", 5),
        ("hand-overs", "with removed members", 5),
        ("hand-overs", "rejoined", 1),
        ("hand-overs", "abandoned", 1),
        ("hand-overs", "stopped", 1),
        ("worlds", "with an approved rotation", 2),
        ("holds", "approval_pending", 5),
        ("holds", "minimum_pods", 10),
        ("holds", "group_unknown", 10),
        ("holds", "hot_partition", 10),
        ("holds", "positional_assignor", 10),
        ("holds", "no_plan_helps", 5),
        ("holds", "frozen", 10),
        ("holds", "rollout_in_progress", 10),
        ("holds", "mixed_templates", 10),
        ("holds", "insufficient_coverage", 2),
    ] {
        let found = share(group, what);
        assert!(found >= least, "{group}, {what}: {found} for 1000 worlds");
    }
}

/// The process sleeps for minutes while a removed member is away for good: the hand-over ends
/// nevertheless.
#[test]
fn hand_over_of_a_process_that_oversleeps_ends() {
    assert!(run_world(18_902).is_ok());
}

#[test]
fn same_seed_gives_the_same_world() {
    for seed in 0..200 {
        assert_eq!(run_world(seed), run_world(seed), "{seed}");
    }
}
