//! The model of the world: the workload and the server.

use std::time::Duration;

use proptest::prelude::*;
use rebalancer_core::model::Rollout;
use rebalancer_core::ports::{EvictionAnswer, PodState};

use super::turn::{Answer, Change};

/// The state of a victim.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Pod {
    Ready,
    Unready,
    Terminating,
    Gone,
}

/// The workload and the server.
pub(super) struct World {
    pub(super) victims: Vec<Pod>,
    /// The number of ready pods outside the plan, including replacements.
    others: usize,
    /// The times at which replacements become ready.
    starting: Vec<Duration>,
    /// Victims whose lost eviction may still take effect.
    pending: Vec<usize>,
    pub(super) rollout: Rollout,
    pub(super) minimum: usize,
    /// Whether an eviction took effect.
    pub(super) touched: bool,
    pub(super) lease_taken: bool,
}

impl World {
    pub(super) fn new(victims: usize, others: usize, minimum: usize) -> Self {
        Self {
            victims: vec![Pod::Ready; victims],
            others,
            starting: Vec::new(),
            pending: Vec::new(),
            rollout: Rollout {
                generation: 1,
                observed_generation: 1,
                desired: 10,
                current: 10,
                updated: 10,
                ..Rollout::default()
            },
            minimum,
            touched: false,
            lease_taken: false,
        }
    }

    /// The number of ready pods.
    pub(super) fn ready(&self) -> usize {
        self.others
            + self
                .victims
                .iter()
                .filter(|pod| **pod == Pod::Ready)
                .count()
    }

    /// Makes replacements ready whose time has come.
    pub(super) fn settle(&mut self, now: Duration) {
        let before = self.starting.len();
        self.starting.retain(|due| *due > now);
        self.others += before - self.starting.len();
    }

    /// Lets an eviction take effect. Fails if it violates the minimum of ready pods.
    fn evict(&mut self, victim: usize, replacement: Option<Duration>) -> Result<(), TestCaseError> {
        self.pending.retain(|pending| *pending != victim);
        if matches!(self.victims[victim], Pod::Terminating | Pod::Gone) {
            return Ok(());
        }
        let was_ready = self.victims[victim] == Pod::Ready;
        self.victims[victim] = Pod::Terminating;
        self.touched = true;
        self.starting.extend(replacement);
        prop_assert!(
            !was_ready || self.ready() >= self.minimum,
            "evictions leave the minimum of ready pods: {} of {} are left",
            self.ready(),
            self.minimum
        );
        Ok(())
    }

    /// Lets lost evictions take effect at the worst moment: right after another one.
    pub(super) fn evict_pending(&mut self) -> Result<(), TestCaseError> {
        for victim in std::mem::take(&mut self.pending) {
            self.evict(victim, None)?;
        }
        Ok(())
    }

    pub(super) fn change(&mut self, change: Change) {
        let count = self.victims.len();
        match change {
            Change::Vanish(index) => self.victims[index % count] = Pod::Gone,
            Change::Terminate(index) => {
                let pod = &mut self.victims[index % count];
                if *pod != Pod::Gone {
                    *pod = Pod::Terminating;
                }
            }
            Change::Unready(index) => {
                let pod = &mut self.victims[index % count];
                if *pod == Pod::Ready {
                    *pod = Pod::Unready;
                }
            }
            Change::Ready(index) => {
                let pod = &mut self.victims[index % count];
                if *pod == Pod::Unready {
                    *pod = Pod::Ready;
                }
            }
            Change::OtherLost => self.others = self.others.saturating_sub(1),
            Change::OtherBack => self.others += 1,
            Change::LateEffect => {
                // The minimum is not checked, because other pods may have been lost since. Late
                // effects that must respect it are those of `evict_pending`.
                if let Some(victim) = self.pending.pop() {
                    self.victims[victim] = Pod::Terminating;
                }
            }
            Change::Scale => self.rollout.desired += 1,
            Change::Template => self.rollout.generation += 1,
            Change::LeaseTaken => self.lease_taken = true,
        }
    }

    pub(super) fn read(&self, victim: usize) -> PodState {
        match self.victims[victim] {
            Pod::Ready => PodState::Present { ready: true },
            Pod::Unready => PodState::Present { ready: false },
            Pod::Terminating => PodState::Terminating,
            Pod::Gone => PodState::Gone,
        }
    }

    /// Answers an eviction request, with its effect. `replacement` is the time at which the
    /// replacement becomes ready.
    pub(super) fn answer(
        &mut self,
        victim: usize,
        answer: Answer,
        replacement: Option<Duration>,
    ) -> Result<EvictionAnswer, TestCaseError> {
        let message = String::from("generated");
        Ok(match answer {
            Answer::Plain if matches!(self.victims[victim], Pod::Gone | Pod::Terminating) => {
                EvictionAnswer::AlreadyGone
            }
            Answer::Plain => {
                self.evict(victim, replacement)?;
                EvictionAnswer::Evicted
            }
            Answer::Blocked(retry_after) => blocked(retry_after),
            Answer::Throttled => throttled(),
            Answer::Forbidden => EvictionAnswer::Forbidden { message },
            Answer::Failed => EvictionAnswer::Failed { message },
            Answer::LostAfter => {
                self.evict(victim, replacement)?;
                EvictionAnswer::Unknown { message }
            }
            Answer::LostBefore | Answer::Broken => {
                self.pending.push(victim);
                EvictionAnswer::Unknown { message }
            }
        })
    }
}

fn blocked(retry_after: Option<u8>) -> EvictionAnswer {
    EvictionAnswer::Blocked {
        message: "the budget allows none".into(),
        budget: None,
        retry_after: retry_after.map(|seconds| Duration::from_secs(seconds.into())),
    }
}

fn throttled() -> EvictionAnswer {
    EvictionAnswer::Throttled {
        message: "too busy".into(),
        retry_after: None,
    }
}

/// Answers a request of a dry run.
pub(super) fn dry_answer(answer: Answer) -> EvictionAnswer {
    let message = String::from("generated");
    match answer {
        Answer::Plain => EvictionAnswer::Evicted,
        Answer::Blocked(retry_after) => blocked(retry_after),
        Answer::Throttled => throttled(),
        Answer::Forbidden => EvictionAnswer::Forbidden { message },
        Answer::Failed => EvictionAnswer::Failed { message },
        Answer::LostAfter | Answer::LostBefore | Answer::Broken => {
            EvictionAnswer::Unknown { message }
        }
    }
}
