//! The current wave: whose turn it is, who is retried and when, and until when.
//!
//! A wave runs in rounds. In each round every victim that is left gets one turn, in the order of
//! the plan. Victims whose eviction had no effect for now are retried in the next round, as long as
//! the eviction timeout of the wave allows.
//!
//! The coldest victims wait while a hottest one may still be retried, and are skipped if no hottest
//! pod is out: evicting cold pods alone does not even out the load.

use std::collections::VecDeque;
use std::time::Duration;

use super::ledger::{Ledger, VictimIndex};
use super::outcome::PodOutcome;
use crate::plan::Role;

/// The default pause before a blocked eviction is retried. A controller recomputes the budgets, so
/// a shorter pause gains nothing.
pub(super) const RETRY_PAUSE: Duration = Duration::from_secs(5);
/// The shortest pause, for a server that asks for an immediate retry.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause: a server that asks for more would use up the timeout of the wave.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The state of one wave.
#[derive(Debug, Clone)]
pub(super) struct Wave {
    /// The number of victims up to the end of this wave: the index of the first one of the next.
    end: usize,
    /// Victims whose turn in this round is still to come.
    round: VecDeque<VictimIndex>,
    /// Victims that are left for the next round.
    retries: Vec<VictimIndex>,
    /// The earliest start of the next round.
    next_round: Duration,
    /// The time at which the evictions of the wave must be done.
    deadline: Duration,
    /// Evictions that the server would have made in this wave of a dry run. Their pods still count
    /// as ready.
    pub(super) simulated: usize,
}

/// The next turn of a wave.
#[derive(Debug, Clone, Copy)]
pub(super) enum Turn {
    /// This victim is next.
    Victim(VictimIndex),
    /// The round is over; the next one starts after a pause.
    NextRound,
    /// The wave is over.
    Over,
}

impl Wave {
    /// The wave that begins with the victim number `first`.
    pub(super) fn begin(ledger: &Ledger, first: usize, now: Duration, timeout: Duration) -> Self {
        let round: VecDeque<VictimIndex> = ledger.wave(first).collect();
        Self {
            end: first + round.len(),
            round,
            retries: Vec::new(),
            next_round: now,
            deadline: now + timeout,
            simulated: 0,
        }
    }

    /// The number of victims up to the end of this wave.
    pub(super) fn end(&self) -> usize {
        self.end
    }

    /// The time at which the evictions of the wave must be done.
    pub(super) fn deadline(&self) -> Duration {
        self.deadline
    }

    /// The earliest start of the next round.
    pub(super) fn next_round(&self) -> Duration {
        self.next_round
    }

    /// The victims that are left for the next round.
    pub(super) fn retries(&self) -> &[VictimIndex] {
        &self.retries
    }

    /// Whether a victim of this wave has a turn in this round or the next.
    pub(super) fn has_turns_left(&self) -> bool {
        !self.round.is_empty() || !self.retries.is_empty()
    }

    /// Takes the next turn. Coldest victims that must not go now are moved to the next round or
    /// skipped.
    pub(super) fn next_turn(&mut self, ledger: &mut Ledger) -> Turn {
        while let Some(victim) = self.round.pop_front() {
            if ledger.victim(victim).role == Role::Coldest {
                let is_hottest = |other: &VictimIndex| ledger.victim(*other).role == Role::Hottest;
                if self.retries.iter().any(is_hottest) {
                    self.retries.push(victim);
                    continue;
                }
                if !ledger.any_hottest_is_out() {
                    let why = "none of the hottest pods was evicted, so evicting this one would \
                               not help";
                    ledger.record(victim, (PodOutcome::NotAttempted, Some(why.into())));
                    continue;
                }
            }
            return Turn::Victim(victim);
        }
        if self.retries.is_empty() {
            Turn::Over
        } else {
            Turn::NextRound
        }
    }

    /// Schedules `victim` for the next round, unless that would be after the deadline.
    pub(super) fn retry(
        &mut self,
        now: Duration,
        victim: VictimIndex,
        retry_after: Option<Duration>,
    ) {
        let pause = retry_after
            .unwrap_or(RETRY_PAUSE)
            .clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        if now + pause <= self.deadline {
            self.next_round = self.next_round.max(now + pause);
            self.retries.push(victim);
        }
    }

    /// Puts off the next round by [`RETRY_PAUSE`]. Returns false, and changes nothing, if that
    /// would be after the deadline.
    pub(super) fn postpone_round(&mut self, now: Duration) -> bool {
        let postponed = now + RETRY_PAUSE <= self.deadline;
        if postponed {
            self.next_round = now + RETRY_PAUSE;
        }
        postponed
    }

    /// Begins the next round with the victims that are left for it.
    pub(super) fn begin_round(&mut self) {
        self.round = std::mem::take(&mut self.retries).into();
    }
}
