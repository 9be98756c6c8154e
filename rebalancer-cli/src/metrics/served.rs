//! The metrics that a resident process serves: those of its last run, and its own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::exposition::{Exposition, Part};
use super::facts::WorkloadFacts;
use super::metric::workload_labels;
use super::previous::Previous;
use super::process::ProcessFacts;

/// The metrics of a resident process.
#[derive(Debug, Default)]
pub(crate) struct ServedMetrics(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    process: ProcessFacts,
    /// The metrics of the last run since this process became the leader.
    last_run: Option<Exposition>,
    /// The values from which counters go on.
    previous: Previous,
}

impl ServedMetrics {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this process is the leader. The metrics of a run are those of the leader: the next
    /// one may have run since.
    pub(crate) fn set_leader(&self, leader: bool) {
        let mut state = self.state();
        state.process.leader = leader;
        if !leader {
            state.last_run = None;
        }
    }

    /// The time at which the next run begins.
    pub(crate) fn set_next_run(&self, next: Timestamp) {
        self.state().process.next_run = Some(next);
    }

    /// Counts times of the schedule at which no run began.
    pub(crate) fn add_missed_runs(&self, missed: u64) {
        self.state().process.missed_runs += missed;
    }

    /// The configuration was valid, and applies from now on.
    pub(crate) fn config_applied(&self, now: Timestamp) {
        let mut state = self.state();
        state.process.config_is_valid = true;
        state.process.config_read = Some(now);
    }

    /// The configuration is invalid, so the earlier one applies.
    pub(crate) fn config_refused(&self) {
        self.state().process.config_is_valid = false;
    }

    /// The metrics of a run that has ended.
    pub(super) fn run_ended(&self, workloads: &[WorkloadFacts<'_>]) {
        let mut state = self.state();
        let exposition = Exposition::new(workloads, Part::All, &state.previous);
        state.previous = Previous::parse(&exposition.prometheus_text());
        state.last_run = state.process.leader.then_some(exposition);
        for facts in workloads {
            let Some(seconds) = facts.duration_seconds() else {
                continue;
            };
            let durations = &mut state.process.durations;
            durations
                .entry(workload_labels(facts))
                .or_default()
                .observe(seconds);
        }
    }

    /// All metrics of this moment.
    pub(crate) fn exposition(&self) -> Exposition {
        let state = self.state();
        let of_runs = state.last_run.clone().unwrap_or_default();
        of_runs.with_process(Arc::new(state.process.clone()))
    }
}
