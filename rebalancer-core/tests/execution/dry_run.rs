//! Dry runs.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use rebalancer_core::ExecutionPolicy;
use rebalancer_core::execution::{Baseline, Execution, ExecutionReport, PodOutcome, Step};
use rebalancer_core::model::{Load, MinimumPods, PodUid};
use rebalancer_core::plan::{Plan, Role, Victim};
use rebalancer_core::ports::DisruptionBudget;
use rstest::rstest;

use crate::script::{Script, blocked, budget, counted, evicted, policy, present};

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

const NOW: &str = "evicted";
const WAIT: &str = "would_wait";

#[rstest]
#[case::none(4, vec![], [NOW, NOW, NOW, NOW], "dry run: 4 of 4 pods would be evicted")]
#[case::of_one(
    4,
    vec![budget("tight", 1, &["a", "b", "c", "d"])],
    [NOW, WAIT, WAIT, WAIT],
    "dry run: 1 of 4 pods would be evicted at once, 3 would wait for PodDisruptionBudget tight \
     (allows 1 disruption) up to the eviction timeout"
)]
// A real run waits until the budget allows it.
#[case::of_none(
    4,
    vec![budget("closed", 0, &["b"])],
    [NOW, WAIT, NOW, NOW],
    "dry run: 3 of 4 pods would be evicted at once, 1 would wait for PodDisruptionBudget closed \
     (allows 0 disruptions) up to the eviction timeout"
)]
// The replacements of a wave are ready before the next one begins.
#[case::renewed_for_each_wave(
    2,
    vec![budget("tight", 1, &["a", "b", "c", "d"])],
    [NOW, WAIT, NOW, WAIT],
    "dry run: 2 of 4 pods would be evicted at once, 2 would wait for PodDisruptionBudget tight \
     (allows 1 disruption) up to the eviction timeout"
)]
#[case::larger_than_each_wave(
    2,
    vec![budget("loose", 2, &["a", "b", "c", "d"])],
    [NOW, NOW, NOW, NOW],
    "dry run: 4 of 4 pods would be evicted"
)]
// A pod that waits for one budget takes nothing from the other.
#[case::several(
    4,
    vec![budget("wide", 2, &["a", "b", "c"]), budget("narrow", 1, &["a", "b"])],
    [NOW, WAIT, NOW, NOW],
    "dry run: 3 of 4 pods would be evicted at once, 1 would wait for PodDisruptionBudget narrow \
     (allows 1 disruption) up to the eviction timeout"
)]
#[case::disjoint(
    4,
    vec![budget("first", 1, &["a", "b"]), budget("second", 1, &["c", "d"])],
    [NOW, WAIT, NOW, WAIT],
    "dry run: 2 of 4 pods would be evicted at once, 2 would wait for PodDisruptionBudget first \
     (allows 1 disruption), second (allows 1 disruption) up to the eviction timeout"
)]
fn evictions_count_against_the_budgets(
    #[case] wave: usize,
    #[case] budgets: Vec<DisruptionBudget>,
    #[case] outcomes: [&str; 4],
    #[case] message: &str,
) {
    let mut script = Script::dry(wave, Ok(budgets));
    for pod in ["a", "b", "c", "d"] {
        script.evict(pod, 6, evicted());
    }
    let report = script.ends(outcomes, None);
    assert_eq!(report.message, message);
    assert_eq!(report.note, None);
    for pod in &report.pods {
        let waits = pod.outcome == PodOutcome::WouldWait;
        assert_eq!(
            (pod.budget.is_some(), pod.message.is_some()),
            (waits, waits)
        );
    }
}

#[rstest]
#[case(1, "PodDisruptionBudget tight allows 1 disruption at a time")]
#[case(0, "PodDisruptionBudget tight allows 0 disruptions at present")]
fn pod_that_would_wait_names_the_budget(#[case] allowed: usize, #[case] message: &str) {
    let mut script = Script::dry(4, Ok(vec![budget("tight", allowed, &["a", "b"])]));
    script.evict("a", 6, evicted()).evict("b", 6, evicted());
    let report = script.execution.report();
    assert_eq!(report.pods[1].budget.as_deref(), Some("tight"));
    assert_eq!(report.pods[1].message.as_deref(), Some(message));
}

/// A pod that waits is out only after another one is back.
#[test]
fn pod_that_would_wait_still_counts_as_ready() {
    let mut script = Script::dry(4, Ok(vec![budget("tight", 1, &["a", "b", "c", "d"])]));
    script
        .expect("read a", present())
        .expect("count 3", counted(6))
        .expect("evict a", evicted())
        .evict("b", 6, evicted())
        .expect("read c", present())
        .expect("count 4", counted(6))
        .expect("evict c", evicted())
        .evict("d", 4, evicted());
    script.ends([NOW, WAIT, WAIT, WAIT], None);
}

/// The server knows better than the list of budgets, which is older.
#[test]
fn refusal_of_the_server_stands() {
    let mut script = Script::dry(
        4,
        Ok(vec![budget("consumer-pdb", 1, &["a", "b", "c", "d"])]),
    );
    script
        .evict("a", 6, blocked(None))
        .evict("b", 6, evicted())
        .evict("c", 6, evicted())
        .evict("d", 6, evicted());
    let report = script.ends(["blocked", NOW, WAIT, WAIT], None);
    assert_eq!(
        report.message,
        "dry run: 1 of 4 pods would be evicted at once, 2 would wait for PodDisruptionBudget \
         consumer-pdb (allows 1 disruption) up to the eviction timeout, 1 blocked \
         (PodDisruptionBudget consumer-pdb)"
    );
}

#[test]
fn unknown_budgets_are_noted() {
    let mut script = Script::dry(4, Err("may not list poddisruptionbudgets".into()));
    for pod in ["a", "b", "c", "d"] {
        script.evict(pod, 6, evicted());
    }
    let report = script.ends([NOW; 4], None);
    assert_eq!(
        report.note.as_deref(),
        Some(
            "each eviction was checked alone, so PodDisruptionBudgets may allow fewer at once: may \
             not list poddisruptionbudgets"
        )
    );
}

#[test]
fn real_run_leaves_the_count_to_the_server() {
    let mut script = Script::new(4, policy());
    script.execution =
        script
            .execution
            .with_budgets(Ok(vec![budget("tight", 0, &["a", "b", "c", "d"])]));
    for (pod, ready) in [("a", 6), ("b", 5), ("c", 4), ("d", 3)] {
        script.evict(pod, ready, evicted());
    }
    script.ends([NOW; 4], None);
}

fn uid(index: usize) -> PodUid {
    PodUid(index.to_string())
}

/// A dry run over `pods` victims in waves of `wave`, in which the server accepts the evictions of
/// those in `accepted`. `None` if it does more than to read, count and evict.
fn dry_run(
    (pods, wave): (usize, usize),
    accepted: &[bool],
    budgets: &[DisruptionBudget],
) -> Option<ExecutionReport> {
    let victims = (0..pods).map(|index| Victim {
        name: index.to_string(),
        uid: uid(index),
        role: Role::Hottest,
        load: Load::ZERO,
        wave: index / wave + 1,
    });
    let plan = Plan::try_from(victims.collect::<Vec<_>>()).unwrap();
    let policy = ExecutionPolicy {
        dry_run: true,
        ..policy()
    };
    let baseline = Baseline {
        ready: 100,
        rollout: None,
        pods: (0..pods).map(uid).collect(),
    };
    let minimum = MinimumPods::new(1).unwrap();
    let mut execution = Execution::new(&plan, minimum, policy, baseline, Duration::ZERO)
        .with_budgets(Ok(budgets.to_vec()));
    loop {
        let event = match execution.step(Duration::ZERO) {
            Step::ReadPod(_) => present(),
            Step::CountReady { .. } => counted(100),
            Step::Evict(victim) if accepted[victim.uid.0.parse::<usize>().unwrap()] => evicted(),
            Step::Evict(_) => blocked(None),
            Step::Done => return Some(execution.report()),
            // A dry run does none of these.
            Step::ReadWorkload { .. } | Step::RenewLease | Step::Wait(_) => return None,
        };
        execution.handle(Duration::ZERO, event);
    }
}

proptest! {
    /// Every wave fits into every budget, and no pod waits without need.
    #[test]
    fn each_wave_fits_into_the_budgets(
        pods in 1..9usize,
        wave in 1..9usize,
        accepted in vec(proptest::bool::weighted(0.9), 9),
        budgets in vec((0..4usize, btree_set(0..9usize, 0..9)), 0..4),
    ) {
        let budgets: Vec<DisruptionBudget> = budgets
            .into_iter()
            .enumerate()
            .map(|(index, (allowed, pods))| DisruptionBudget {
                name: format!("budget-{index}"),
                allowed,
                pods: pods.into_iter().map(uid).collect(),
            })
            .collect();
        let report = dry_run((pods, wave), &accepted, &budgets).unwrap();
        // The evictions so far, by wave and budget.
        let mut evictions: BTreeMap<(usize, &str), usize> = BTreeMap::new();
        for (index, pod) in report.pods.iter().enumerate() {
            let wave = index / wave;
            let of_pod = || budgets.iter().filter(|budget| budget.pods.contains(&pod.uid));
            let free = |budget: &DisruptionBudget| {
                let taken = evictions.get(&(wave, budget.name.as_str())).copied();
                taken.unwrap_or(0) < budget.allowed
            };
            match pod.outcome {
                PodOutcome::Evicted => {
                    prop_assert!(accepted[index] && of_pod().all(free), "{pod:?}");
                    for budget in of_pod() {
                        *evictions.entry((wave, budget.name.as_str())).or_default() += 1;
                    }
                }
                PodOutcome::WouldWait => {
                    let named = of_pod().find(|budget| Some(&budget.name) == pod.budget.as_ref());
                    prop_assert!(accepted[index], "{pod:?}");
                    prop_assert!(named.is_some_and(|budget| !free(budget)), "{pod:?}");
                }
                PodOutcome::Blocked => prop_assert!(!accepted[index], "{pod:?}"),
                // A pod of an earlier wave is blocked.
                PodOutcome::NotAttempted => {
                    prop_assert!(accepted[..index].contains(&false), "{pod:?}");
                }
                PodOutcome::AlreadyGone | PodOutcome::Failed | PodOutcome::Unknown => {
                    prop_assert!(false, "{pod:?}");
                }
            }
        }
    }
}
