//! Generated behaviour of the world.

use proptest::collection::vec;
use proptest::prelude::*;
use rebalancer_core::execution::{ExecutionEvent, Step};
use rebalancer_core::model::WorkloadState;
use rebalancer_core::ports::{EvictionAnswer, PodState};

/// A change that the execution does not cause.
#[derive(Debug, Clone, Copy)]
pub(super) enum Change {
    /// Another client deletes a victim.
    Vanish(usize),
    /// A victim starts to terminate.
    Terminate(usize),
    Unready(usize),
    Ready(usize),
    OtherLost,
    OtherBack,
    /// An eviction with a lost answer takes effect.
    LateEffect,
    Scale,
    Template,
    /// Another run takes the lease.
    LeaseTaken,
}

/// The response of the server to a request.
#[derive(Debug, Clone, Copy)]
pub(super) enum Answer {
    /// Success.
    Plain,
    Blocked(Option<u8>),
    Throttled,
    Forbidden,
    Failed,
    /// The request takes effect, and the answer is lost.
    LostAfter,
    /// The request is lost, and takes effect later or never.
    LostBefore,
    /// The request is lost, and reads and counts fail as well.
    Broken,
}

/// The behaviour of the world during one step of the execution.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    pub(super) changes: Vec<Change>,
    pub(super) answer: Answer,
    /// The number of an event that the execution did not ask for.
    pub(super) noise: Option<u8>,
    pub(super) stop: bool,
    /// The duration of the step in seconds.
    pub(super) seconds: u8,
    /// The seconds until the replacement of a pod evicted now is ready; `None` for never.
    pub(super) replacement: Option<u8>,
    /// Whether lost evictions take effect right after the current one.
    pub(super) late: bool,
}

impl Turn {
    pub(super) fn is_broken(&self) -> bool {
        matches!(self.answer, Answer::Broken)
    }
}

/// The turn after all generated ones.
pub(super) const PLAIN: Turn = Turn {
    changes: Vec::new(),
    answer: Answer::Plain,
    noise: None,
    stop: false,
    seconds: 0,
    replacement: Some(3),
    late: false,
};

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        2 => (0..8usize).prop_map(Change::Vanish),
        1 => (0..8usize).prop_map(Change::Terminate),
        2 => (0..8usize).prop_map(Change::Unready),
        2 => (0..8usize).prop_map(Change::Ready),
        2 => Just(Change::OtherLost),
        3 => Just(Change::OtherBack),
        1 => Just(Change::LateEffect),
        1 => Just(Change::Scale),
        1 => Just(Change::Template),
        1 => Just(Change::LeaseTaken),
    ]
}

pub(super) fn turn() -> impl Strategy<Value = Turn> {
    let answer = prop_oneof![
        6 => Just(Answer::Plain),
        3 => proptest::option::of(0..60u8).prop_map(Answer::Blocked),
        1 => Just(Answer::Throttled),
        1 => Just(Answer::Failed),
        1 => Just(Answer::LostAfter),
        1 => Just(Answer::LostBefore),
    ];
    let answer = prop_oneof![
        20 => answer,
        1 => Just(Answer::Broken),
        1 => Just(Answer::Forbidden),
    ];
    (
        prop_oneof![4 => Just(Vec::new()), 1 => vec(change(), 1..3)],
        answer,
        proptest::option::weighted(0.1, 0..8u8),
        proptest::bool::weighted(0.01),
        prop_oneof![3 => Just(0u8), 1 => 0..20u8],
        proptest::option::weighted(0.9, 0..30u8),
        any::<bool>(),
    )
        .prop_map(
            |(changes, answer, noise, stop, seconds, replacement, late)| Turn {
                changes,
                answer,
                noise,
                stop,
                seconds,
                replacement,
                late,
            },
        )
}

/// An event that the execution did not ask for.
pub(super) fn noise(number: u8) -> ExecutionEvent {
    match number {
        0 => ExecutionEvent::PodRead(Ok(PodState::Present { ready: true })),
        1 => ExecutionEvent::PodRead(Ok(PodState::Gone)),
        2 => ExecutionEvent::ReadyCounted(Ok(1000)),
        3 => ExecutionEvent::ReadyCounted(Err("noise".into())),
        4 => ExecutionEvent::EvictionAnswered(EvictionAnswer::Evicted),
        5 => ExecutionEvent::EvictionAnswered(EvictionAnswer::Unknown {
            message: "noise".into(),
        }),
        6 => ExecutionEvent::WorkloadRead(Ok(WorkloadState {
            pause: None,
            failures: Vec::new(),
            ready: 1000,
            rollout: None,
        })),
        _ => ExecutionEvent::Elapsed,
    }
}

/// Whether the event could be the answer to the step.
pub(super) fn answers(step: &Step, event: &ExecutionEvent) -> bool {
    matches!(
        (step, event),
        (Step::ReadPod(_), ExecutionEvent::PodRead(_))
            | (Step::CountReady { .. }, ExecutionEvent::ReadyCounted(_))
            | (Step::Evict(_), ExecutionEvent::EvictionAnswered(_))
            | (Step::ReadWorkload { .. }, ExecutionEvent::WorkloadRead(_))
    )
}
