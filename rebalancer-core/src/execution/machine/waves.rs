//! The transitions between victims and between waves.
//!
//! After a pause, and after each wave, the workload is read. A change of its specification ends the
//! execution, unless the last wave is out. The next wave starts when every victim of the previous
//! one is out and all replacements are ready. A dry run starts it at once, since it evicts nothing.

use std::time::Duration;

use super::{Execution, State};
use crate::execution::outcome::StopReason;
use crate::execution::replacements::Replacements;
use crate::execution::wave::{Turn, Wave};
use crate::model::WorkloadState;

/// The pause between two reads of the workload while replacements start.
const POLL_PAUSE: Duration = Duration::from_secs(2);

impl Execution {
    /// The state for the next victim of the wave, or for the end of the wave.
    pub(super) fn next_turn(&mut self, now: Duration) -> State {
        if self.stopped.is_some() {
            return State::Done;
        }
        match self.wave.next_turn(&mut self.ledger) {
            Turn::Victim(victim) => State::Reading(victim),
            Turn::NextRound => State::Pausing,
            Turn::Over => self.end_wave(now),
        }
    }

    pub(super) fn end_wave(&mut self, now: Duration) -> State {
        let last = self.is_last_wave();
        if !last && !self.ledger.first_are_out(self.wave.end()) {
            let why = "not every pod of the wave was evicted, so the next wave was not started";
            return self.stop(StopReason::WaveIncomplete, why.into());
        }
        match (self.policy.dry_run, last) {
            (true, false) => self.begin_next_wave(now),
            (true, true) => State::Done,
            (false, true) if !self.ledger.any_evicted() => State::Done,
            (false, _) => State::Polling {
                deadline: now + self.policy.ready_timeout_seconds.to_duration(),
            },
        }
    }

    pub(super) fn begin_next_wave(&mut self, now: Duration) -> State {
        let timeout = self.policy.eviction_timeout_seconds.to_duration();
        self.allowances.renew();
        self.wave = Wave::begin(&self.ledger, self.wave.end(), now, timeout);
        self.next_turn(now)
    }

    pub(super) fn is_last_wave(&self) -> bool {
        self.wave.end() == self.ledger.len()
    }

    /// Begins the next round, unless the workload was changed during the pause.
    pub(super) fn resume(&mut self, now: Duration, read: Result<WorkloadState, String>) -> State {
        match read {
            Ok(workload) => {
                if let Some(change) = self.baseline.change_to(workload.rollout) {
                    return self.stop(StopReason::WorkloadChanged, change);
                }
                self.wave.begin_round();
                self.next_turn(now)
            }
            // No pod is evicted while the state of the workload is unknown.
            Err(_) if self.wave.postpone_round(now) => State::Pausing,
            Err(why) => {
                let why = format!("the workload could not be read: {why}");
                self.stop(StopReason::ReadyUnknown, why)
            }
        }
    }

    pub(super) fn replacements_read(
        &mut self,
        now: Duration,
        deadline: Duration,
        read: Result<WorkloadState, String>,
    ) -> State {
        let last = self.is_last_wave();
        let progress = match read.map(|workload| Replacements::of(&workload, &self.baseline)) {
            Ok(Replacements::Ready) if last => return State::Done,
            Ok(Replacements::Ready) => return self.begin_next_wave(now),
            // After the last wave there is nothing left to stop.
            Ok(Replacements::WorkloadChanged(_)) if last => return State::Done,
            Ok(Replacements::WorkloadChanged(change)) => {
                return self.stop(StopReason::WorkloadChanged, change);
            }
            Ok(Replacements::Failed(failure)) => {
                return self.stop(StopReason::ReplacementFailed, failure);
            }
            Ok(Replacements::Starting(progress)) => progress,
            Err(why) => format!("the workload could not be read: {why}"),
        };
        if now < deadline {
            return State::AwaitingReady {
                deadline,
                until: now + POLL_PAUSE,
            };
        }
        let why = format!(
            "the replacements were not ready within the ready timeout of {} s: {progress}",
            self.policy.ready_timeout_seconds
        );
        self.stop(StopReason::ReadyTimeout, why)
    }
}
