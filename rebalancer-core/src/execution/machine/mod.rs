//! The state machine itself: the states, the steps they ask for, and the transitions.
//!
//! A stop, a freeze window or a lost lease leads to `Done` from every state but `Confirming`: what
//! a lost eviction did is still looked up, since a read changes nothing.

mod victims;
mod waves;

use std::time::Duration;

use super::allowance::Allowances;
use super::baseline::Baseline;
use super::lease::LeaseRenewal;
use super::ledger::{Ledger, VictimIndex};
use super::outcome::{ExecutionReport, PodOutcome, StopReason};
use super::step::{ExecutionEvent, Step};
use super::waiting::{Awaited, Waiting};
use super::wave::Wave;
use crate::model::{MinimumPods, WorkloadState};
use crate::plan::Plan;
use crate::policy::ExecutionPolicy;
use crate::ports::{DisruptionBudget, LeaseState};

/// A plan in execution. See the [module](crate::execution) for its rules.
#[derive(Debug, Clone)]
pub struct Execution {
    minimum_pods: MinimumPods,
    policy: ExecutionPolicy,
    baseline: Baseline,
    ledger: Ledger,
    wave: Wave,
    lease: Option<LeaseRenewal>,
    /// The budgets of a dry run, as far as they are known.
    allowances: Allowances,
    /// Why the budgets of a dry run are not known.
    budgets_unknown: Option<String>,
    /// Evictions whose response was lost and whose pod was not seen to go. They may take effect at
    /// any time, so their pods do not count as ready.
    in_doubt: usize,
    state: State,
    stopped: Option<(StopReason, String)>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// The victim is read.
    Reading(VictimIndex),
    /// The ready pods are counted before the victim's eviction.
    Counting(VictimIndex),
    /// The victim's eviction is requested.
    Evicting(VictimIndex),
    /// The response to the victim's eviction was lost: the pod is read.
    Confirming(VictimIndex),
    /// All victims that are left in the wave wait for the next round.
    Pausing,
    /// The pause is over: the workload is read to see whether it has changed.
    Resuming,
    /// The wave is over: the workload is read to see whether its replacements are ready.
    Polling {
        /// The deadline for the replacements.
        deadline: Duration,
    },
    /// The replacements were not ready: the next read is due at `until`.
    AwaitingReady {
        /// The deadline for the replacements.
        deadline: Duration,
        until: Duration,
    },
    Done,
}

impl Execution {
    /// Starts the execution of `plan` at `now`. `minimum_pods` is the number of ready pods that
    /// must be left at any time, from the [`Policy`](crate::Policy) of the decision. `baseline` is
    /// the workload for which the plan was made. Times are durations since an arbitrary fixed
    /// instant; later calls must use the same.
    #[must_use]
    pub fn new(
        plan: &Plan,
        minimum_pods: MinimumPods,
        policy: ExecutionPolicy,
        baseline: Baseline,
        now: Duration,
    ) -> Self {
        let ledger = Ledger::new(plan);
        let timeout = policy.eviction_timeout_seconds.to_duration();
        let mut execution = Self {
            wave: Wave::begin(&ledger, 0, now, timeout),
            minimum_pods,
            policy,
            baseline,
            ledger,
            lease: None,
            allowances: Allowances::default(),
            budgets_unknown: None,
            in_doubt: 0,
            state: State::Done,
            stopped: None,
        };
        execution.state = execution.next_turn(now);
        execution
    }

    /// Makes the execution renew the lease that the run holds. `renewed` is the time at which its
    /// acquisition or last renewal was requested.
    #[must_use]
    pub fn with_lease(mut self, renewed: Duration) -> Self {
        self.lease = Some(LeaseRenewal::new(renewed));
        self
    }

    /// The renewals of the lease so far, so that the caller can go on with them after the
    /// execution; `None` without a lease.
    #[must_use]
    pub fn lease(&self) -> Option<LeaseRenewal> {
        self.lease
    }

    /// Makes a dry run count its evictions against these budgets, or report why they are not known.
    /// It has no effect on a real run, in which the server counts.
    #[must_use]
    pub fn with_budgets(mut self, budgets: Result<Vec<DisruptionBudget>, String>) -> Self {
        if self.policy.dry_run {
            match budgets {
                Ok(budgets) => self.allowances = Allowances::new(budgets),
                Err(why) => self.budgets_unknown = Some(why),
            }
        }
        self
    }

    /// Accepts a change that the caller made to the workload, which thereby got this generation.
    ///
    /// A generation that is more than one higher than the last known one is not accepted: another
    /// client changed the workload too.
    pub fn acknowledge_own_change(&mut self, generation: i64) {
        self.baseline.acknowledge_own_change(generation);
    }

    /// The next step. This method changes nothing.
    #[must_use]
    pub fn step(&self, now: Duration) -> Step {
        if self.must_renew_lease(now) {
            return Step::RenewLease;
        }
        match self.state {
            State::Reading(victim) | State::Confirming(victim) => {
                Step::ReadPod(self.ledger.victim(victim).clone())
            }
            State::Counting(_) => Step::CountReady {
                enough: self.ready_needed(),
            },
            State::Evicting(victim) => Step::Evict(self.ledger.victim(victim).clone()),
            State::Pausing => Step::Wait(self.wave.next_round().saturating_sub(now)),
            // Only the rollout is of interest, not the number of ready pods.
            State::Resuming => Step::ReadWorkload { enough: 0 },
            State::Polling { .. } => Step::ReadWorkload {
                enough: self.baseline.ready,
            },
            State::AwaitingReady { until, .. } => Step::Wait(until.saturating_sub(now)),
            State::Done => Step::Done,
        }
    }

    /// Handles the result of a step, or a request from outside.
    ///
    /// A result that does not belong to the current step is ignored.
    pub fn handle(&mut self, now: Duration, event: ExecutionEvent) {
        if !self.is_done() {
            self.state = self.transition(now, event);
        }
    }

    fn transition(&mut self, now: Duration, event: ExecutionEvent) -> State {
        let state = self.state;
        match event {
            ExecutionEvent::Stop(cause) => self.interrupt(cause.reason(), cause.to_string()),
            ExecutionEvent::Frozen(window) if self.has_evictions_left() => {
                let why = format!("the freeze window `{window}` has begun");
                self.interrupt(StopReason::Frozen, why)
            }
            ExecutionEvent::Unrecorded(why) if self.has_evictions_left() => {
                let why = format!(
                    "evictions are limited, and could not be recorded for the next run: {why}"
                );
                self.interrupt(StopReason::Unrecorded, why)
            }
            ExecutionEvent::Paused(Ok(pause)) if self.has_evictions_left() => {
                self.interrupt(StopReason::Paused, pause)
            }
            ExecutionEvent::Paused(Err(why)) if self.has_evictions_left() => {
                let why = format!("the annotations of the workload could not be read: {why}");
                self.interrupt(StopReason::PauseUnknown, why)
            }
            ExecutionEvent::Frozen(_)
            | ExecutionEvent::Paused(_)
            | ExecutionEvent::Unrecorded(_) => state,
            ExecutionEvent::LeaseRenewed { asked, state } => self.lease_renewed(now, asked, state),
            ExecutionEvent::PodRead(read) => {
                if let State::Reading(victim) = state {
                    self.pod_read(now, victim, read)
                } else if let State::Confirming(victim) = state {
                    self.eviction_confirmed(now, victim, read)
                } else {
                    state
                }
            }
            ExecutionEvent::ReadyCounted(count) => {
                if let State::Counting(victim) = state {
                    self.ready_counted(victim, count)
                } else {
                    state
                }
            }
            ExecutionEvent::EvictionAnswered(answer) => {
                if let State::Evicting(victim) = state {
                    self.eviction_answered(now, victim, answer)
                } else {
                    state
                }
            }
            // The annotation that pauses a Deployment also gives it a new generation.
            ExecutionEvent::WorkloadRead(Ok(WorkloadState {
                pause: Some(pause), ..
            })) if self.has_evictions_left()
                && matches!(state, State::Resuming | State::Polling { .. }) =>
            {
                self.interrupt(StopReason::Paused, pause.to_string())
            }
            ExecutionEvent::WorkloadRead(read) => {
                if let State::Resuming = state {
                    self.resume(now, read)
                } else if let State::Polling { deadline } = state {
                    self.replacements_read(now, deadline, read)
                } else {
                    state
                }
            }
            ExecutionEvent::Elapsed => match state {
                State::Pausing if now >= self.wave.next_round() => State::Resuming,
                State::AwaitingReady { deadline, until } if now >= until => {
                    State::Polling { deadline }
                }
                State::Reading(_)
                | State::Counting(_)
                | State::Evicting(_)
                | State::Confirming(_)
                | State::Pausing
                | State::Resuming
                | State::Polling { .. }
                | State::AwaitingReady { .. }
                | State::Done => state,
            },
        }
    }

    /// Whether an eviction may still be requested, for the first time or again.
    #[must_use]
    pub fn has_evictions_left(&self) -> bool {
        if self.stopped.is_some() {
            return false;
        }
        match self.state {
            State::Reading(_) | State::Counting(_) | State::Evicting(_) => true,
            State::Confirming(_)
            | State::Pausing
            | State::Resuming
            | State::Polling { .. }
            | State::AwaitingReady { .. } => !self.is_last_wave() || self.wave.has_turns_left(),
            State::Done => false,
        }
    }

    /// The current wait; `None` while the execution acts.
    #[must_use]
    pub fn waiting(&self) -> Option<Waiting> {
        let (awaited, until, timeout) = match self.state {
            State::Pausing | State::Resuming => {
                let retries = self.wave.retries().iter();
                let reports = retries.map(|victim| self.ledger.report(*victim));
                // The coldest pods that wait for the hottest ones were not refused.
                let refused = reports
                    .clone()
                    .filter(|report| report.outcome != PodOutcome::NotAttempted);
                let awaited = Awaited::Evictions {
                    pods: refused.count(),
                    budgets: reports.filter_map(|report| report.budget.clone()).collect(),
                };
                let timeout = self.policy.eviction_timeout_seconds;
                (awaited, self.wave.deadline(), timeout)
            }
            State::Polling { deadline } | State::AwaitingReady { deadline, .. } => {
                let wanted = self.baseline.ready;
                let timeout = self.policy.ready_timeout_seconds;
                (Awaited::Replacements { wanted }, deadline, timeout)
            }
            State::Reading(_)
            | State::Counting(_)
            | State::Evicting(_)
            | State::Confirming(_)
            | State::Done => return None,
        };
        Some(Waiting {
            awaited,
            since: until.saturating_sub(timeout.to_duration()),
            until,
        })
    }

    /// Whether the execution has ended.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// The report so far. Victims whose turn has not come are `not_attempted`.
    #[must_use]
    pub fn report(&self) -> ExecutionReport {
        let in_flight = if let State::Evicting(victim) = self.state {
            Some(victim)
        } else {
            None
        };
        let report = self.ledger.execution_report(
            self.policy.dry_run,
            &self.allowances,
            in_flight,
            self.stopped.as_ref(),
        );
        let note = self.budgets_unknown.as_ref().map(|why| {
            format!(
                "each eviction was checked alone, so PodDisruptionBudgets may allow fewer at once: \
                 {why}"
            )
        });
        ExecutionReport { note, ..report }
    }

    /// Ends the execution. The first reason is kept.
    fn stop(&mut self, reason: StopReason, why: String) -> State {
        self.stopped.get_or_insert((reason, why));
        State::Done
    }

    /// Ends the execution for a reason from outside, which may arise in any state. The pod of a
    /// lost eviction is still looked up.
    fn interrupt(&mut self, reason: StopReason, why: String) -> State {
        let done = self.stop(reason, why);
        if let State::Confirming(_) = self.state {
            self.state
        } else {
            done
        }
    }

    fn must_renew_lease(&self, now: Duration) -> bool {
        // After a stop, only the outcome of a lost eviction is looked up. That needs no lease.
        if self.is_done() || self.stopped.is_some() {
            return false;
        }
        let in_eviction = matches!(self.state, State::Counting(_) | State::Evicting(_));
        self.lease
            .is_some_and(|lease| lease.is_due(now, in_eviction))
    }

    fn lease_renewed(
        &mut self,
        now: Duration,
        asked: Duration,
        result: Result<LeaseState, String>,
    ) -> State {
        let handled = match &mut self.lease {
            Some(lease) => lease.handle(now, asked, result),
            None => Ok(()),
        };
        if let Err(why) = handled {
            return self.interrupt(StopReason::LeaseLost, why);
        }
        match self.state {
            // The renewal took time, so what was read before it may be outdated.
            State::Counting(victim) | State::Evicting(victim) if now <= self.wave.deadline() => {
                State::Reading(victim)
            }
            State::Counting(victim) | State::Evicting(victim) => {
                let why = "not evicted: the lease renewal took until after the eviction timeout";
                self.settle(now, victim, (PodOutcome::Failed, Some(why.into())))
            }
            State::Reading(_)
            | State::Confirming(_)
            | State::Pausing
            | State::Resuming
            | State::Polling { .. }
            | State::AwaitingReady { .. }
            | State::Done => self.state,
        }
    }
}
