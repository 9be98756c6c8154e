//! The transitions of one victim: read the pod, count the ready pods, evict, and confirm.
//!
//! The states of a victim are `Reading` → `Counting` → `Evicting`, so an eviction always follows a
//! read of the pod and a count of the ready pods. The count must be at least the minimum of ready
//! pods plus one. Pods that may yet go without being counted are added: those whose eviction is in
//! doubt, and in a dry run those that a real run would have evicted.

use std::time::Duration;

use super::{Execution, State};
use crate::execution::eviction::{self, Settled, Verdict};
use crate::execution::ledger::VictimIndex;
use crate::execution::outcome::{PodOutcome, StopReason};
use crate::ports::{EvictionAnswer, PodState};

impl Execution {
    /// Records the outcome of `victim` and goes on.
    pub(super) fn settle(&mut self, now: Duration, victim: VictimIndex, settled: Settled) -> State {
        self.ledger.record(victim, settled);
        self.next_turn(now)
    }

    pub(super) fn pod_read(
        &mut self,
        now: Duration,
        victim: VictimIndex,
        read: Result<PodState, String>,
    ) -> State {
        match eviction::check_pod(read) {
            Ok(()) => State::Counting(victim),
            Err(settled) => self.settle(now, victim, settled),
        }
    }

    /// The number of ready pods that one more eviction requires.
    pub(super) fn ready_needed(&self) -> usize {
        [self.wave.simulated, self.in_doubt, 1]
            .into_iter()
            .fold(self.minimum_pods.get(), usize::saturating_add)
    }

    pub(super) fn ready_counted(
        &mut self,
        victim: VictimIndex,
        count: Result<usize, String>,
    ) -> State {
        match count {
            Ok(ready) if ready >= self.ready_needed() => State::Evicting(victim),
            Ok(ready) => {
                let in_doubt = match self.in_doubt {
                    0 => String::new(),
                    1 => " and 1 eviction without a response may still take effect".into(),
                    count => {
                        format!(" and {count} evictions without a response may still take effect")
                    }
                };
                let why = format!(
                    "{ready} pods are ready{in_doubt}, so evicting {} would leave fewer than the \
                     minimum of {} ready pods",
                    self.ledger.victim(victim).name,
                    self.minimum_pods
                );
                self.stop(StopReason::MinimumPods, why)
            }
            Err(why) => {
                let why = format!("the ready pods could not be counted: {why}");
                self.stop(StopReason::ReadyUnknown, why)
            }
        }
    }

    pub(super) fn eviction_answered(
        &mut self,
        now: Duration,
        victim: VictimIndex,
        answer: EvictionAnswer,
    ) -> State {
        let dry_run = self.policy.dry_run;
        match Verdict::of(answer) {
            Verdict::Settled((PodOutcome::Evicted, _)) if dry_run => {
                self.would_be_evicted(now, victim)
            }
            Verdict::Settled(settled) => self.settle(now, victim, settled),
            Verdict::Retry {
                outcome,
                message,
                budget,
                retry_after,
            } => {
                self.ledger.record(victim, (outcome, Some(message)));
                self.ledger.record_budget(victim, budget);
                // A dry run does not retry: no pod that could free the budget becomes ready.
                if !dry_run {
                    self.wave.retry(now, victim, retry_after);
                }
                self.next_turn(now)
            }
            Verdict::Forbidden(message) => {
                let outcome = (PodOutcome::Failed, Some(message.clone()));
                self.ledger.record(victim, outcome);
                self.stop(StopReason::Forbidden, message)
            }
            Verdict::Lost(message) => {
                self.ledger
                    .record(victim, (PodOutcome::Unknown, Some(message)));
                // A dry run changes nothing, so the pod shows no effect.
                if dry_run {
                    self.next_turn(now)
                } else {
                    State::Confirming(victim)
                }
            }
        }
    }

    /// Handles an eviction that the server would make, if it were the only one.
    fn would_be_evicted(&mut self, now: Duration, victim: VictimIndex) -> State {
        let (settled, budget) = match self.allowances.take(&self.ledger.victim(victim).uid) {
            Ok(()) => {
                self.wave.simulated += 1;
                ((PodOutcome::Evicted, None), None)
            }
            // The pod is evicted only once another one is back, so it does not count as out.
            Err(exhausted) => (
                (PodOutcome::WouldWait, Some(exhausted.to_string())),
                Some(exhausted.budget),
            ),
        };
        self.ledger.record(victim, settled);
        self.ledger.record_budget(victim, budget);
        self.next_turn(now)
    }

    pub(super) fn eviction_confirmed(
        &mut self,
        now: Duration,
        victim: VictimIndex,
        read: Result<PodState, String>,
    ) -> State {
        let lost = self.ledger.report(victim).message.as_deref();
        let (outcome, message) = eviction::confirm(lost.unwrap_or_default(), read);
        self.in_doubt += usize::from(outcome == PodOutcome::Unknown);
        self.settle(now, victim, (outcome, Some(message)))
    }
}
