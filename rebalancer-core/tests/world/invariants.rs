//! The invariants of an execution, by the moment at which they are checked.

use proptest::prelude::*;
use rebalancer_core::execution::{ExecutionReport, PodOutcome, StopReason};
use rebalancer_core::lease::SAFE_FOR;
use rebalancer_core::model::PodUid;
use rebalancer_core::plan::Role;

use super::Run;
use super::model::Pod;

/// The name of an invariant, and the function that checks it.
type Named<F> = (&'static str, F);

/// An invariant of a run.
type OfRun = Named<fn(&Run<'_>) -> bool>;

/// An invariant of a run and the index of the victim.
type OfEviction = Named<fn(&Run<'_>, usize) -> bool>;

/// An invariant of a run and its report.
type OfReport = Named<fn(&Run<'_>, &ExecutionReport) -> bool>;

/// Checks invariants in order. The first violated one fails the test with its name.
pub(super) fn check<F>(
    invariants: &[Named<F>],
    holds: impl Fn(&F) -> bool,
) -> Result<(), TestCaseError> {
    for (name, invariant) in invariants {
        prop_assert!(holds(invariant), "violated: {name}");
    }
    Ok(())
}

pub(super) const BEFORE_EACH_STEP: &[OfRun] = &[
    ("the execution ends", |run| run.steps <= run.most_steps()),
    ("the waiting time is bounded", |run| {
        run.waited <= run.most_waited()
    }),
];

pub(super) const BEFORE_COUNTING: &[OfRun] = &[(
    "a ready pod is read before the ready pods are counted",
    |run| run.read_before_count.is_some(),
)];

pub(super) const BEFORE_EACH_EVICTION: &[OfEviction] = &[
    ("no eviction follows a stop", |run, _| {
        !run.stopped && !run.frozen
    }),
    ("no eviction happens on an outdated lease", |run, _| {
        !run.leased || run.now - run.renewed <= SAFE_FOR
    }),
    (
        "the hottest pods of a wave go before the coldest",
        |run, index| {
            let victims = run.plan.victims();
            let victim = &victims[index];
            let hottest_waits = victims[..index].iter().zip(0..).any(|(other, index)| {
                other.role == Role::Hottest
                    && other.wave == victim.wave
                    && !run.asked.contains_key(&index)
                    && run.world.victims[index] == Pod::Ready
                    && !run.read.contains(&index)
            });
            victim.role == Role::Hottest || !hottest_waits
        },
    ),
    (
        "the pod is read and the ready pods are counted before",
        |run, index| run.counted_for == Some(index),
    ),
    ("only blocked evictions are repeated", |run, index| {
        run.asked.get(&index).copied().unwrap_or(true)
    }),
];

pub(super) const AFTER_EACH_EVICTION: &[OfRun] = &[
    ("no more pods are out than in the largest wave", |run| {
        run.since_ready.len() <= run.plan.largest_wave()
    }),
    ("the pods that are out belong to one wave", |run| {
        let waves = run.since_ready.iter();
        let mut waves = waves.map(|index| run.plan.victims()[*index].wave);
        let first = waves.next();
        waves.all(|wave| Some(wave) == first)
    }),
];

pub(super) const AT_THE_END: &[OfReport] = &[
    (
        "each victim has one outcome, in the order of the plan",
        |run, report| {
            let planned = run.plan.victims().iter().map(|victim| &victim.uid);
            let reported: Vec<&PodUid> = report.pods.iter().map(|pod| &pod.uid).collect();
            planned.collect::<Vec<_>>() == reported
        },
    ),
    ("the report says whether it is a dry run", |run, report| {
        report.dry_run == run.policy.dry_run
    }),
    ("a dry run has no effect", |run, _| {
        !run.policy.dry_run || !run.world.touched
    }),
    (
        "the outcomes match the answers and the world",
        |run, report| {
            report.pods.iter().enumerate().all(|(index, pod)| {
                let asked = run.asked.get(&index);
                let is_gone = run.policy.dry_run
                    || matches!(run.world.victims[index], Pod::Terminating | Pod::Gone);
                match pod.outcome {
                    PodOutcome::NotAttempted => asked.is_none(),
                    PodOutcome::Evicted => asked.is_some() && is_gone,
                    PodOutcome::AlreadyGone => is_gone,
                    PodOutcome::Blocked => asked == Some(&true),
                    // This world has no budgets that a dry run counts against.
                    PodOutcome::WouldWait => false,
                    PodOutcome::Unknown => asked == Some(&false),
                    PodOutcome::Failed => true,
                }
            })
        },
    ),
    (
        "a stop is reported unless all pods were processed",
        |run, report| {
            // A coldest pod without a hottest one of its wave has a message of its own.
            let is_processed = |pod: &rebalancer_core::execution::PodReport| {
                pod.message.is_some() || pod.outcome != PodOutcome::NotAttempted
            };
            !run.stopped || report.stopped.is_some() || report.pods.iter().all(is_processed)
        },
    ),
    (
        "a stop is reported only after a stop",
        |run, report| match report.stopped {
            Some(StopReason::Frozen) => run.stopped && run.frozen,
            Some(StopReason::Stopped) => run.stopped,
            Some(_) | None => true,
        },
    ),
];
