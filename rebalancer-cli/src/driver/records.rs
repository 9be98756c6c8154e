//! Tells the world what is done: an event for each pod and for the workload, and what the next run
//! is to remember. Whatever fails here is said once and changes nothing else.

use std::time::Duration;

use jiff::Timestamp;
use rebalancer_core::execution::{ExecutionOutcome, ExecutionReport};
use rebalancer_core::history::Rotation;
use rebalancer_core::plan::Victim;
use rebalancer_core::policy::Strategy;
use rebalancer_core::ports::{Clock, Journal, JournalEntry, PortError, PortErrorKind};
use rebalancer_core::{Decision, Snapshot};
use tracing::{info, warn};

use super::{CUT_SHORT, Stop, patiently};

/// What there is to say about one execution.
pub(super) struct Records<'a> {
    journal: Option<&'a dyn Journal>,
    clock: &'a dyn Clock,
    decision: &'a Decision,
    snapshot: &'a Snapshot,
    strategy: Strategy,
    /// When the execution began, on the clock that never runs backwards.
    began: Duration,
    evicted: Vec<String>,
    /// How many of them are remembered.
    remembered: usize,
    may_publish: bool,
    may_remember: bool,
}

impl<'a> Records<'a> {
    /// `journal` is `None` where nothing is to be told, as in a dry run.
    pub(super) fn new(
        journal: Option<&'a dyn Journal>,
        clock: &'a dyn Clock,
        decision: &'a Decision,
        snapshot: &'a Snapshot,
        strategy: Strategy,
    ) -> Self {
        Self {
            journal,
            clock,
            decision,
            snapshot,
            strategy,
            began: clock.elapsed(),
            evicted: Vec::new(),
            remembered: 0,
            may_publish: true,
            may_remember: true,
        }
    }

    /// A pod was evicted. The first is remembered at once: should the run be killed now, the next
    /// one still knows.
    ///
    /// The answer is the generation of the workload, where it changed by that.
    pub(super) async fn evicted(&mut self, victim: &Victim, stop: &mut Stop) -> Option<i64> {
        self.evicted.push(victim.name.clone());
        let message = format!(
            "evicted as one of the {} pods of {}, load {:.3}: {}",
            victim.role.as_str(),
            self.decision.workload,
            victim.load.get(),
            self.decision.message
        );
        let entry = JournalEntry {
            pod: Some(victim.reference()),
            reason: "Rotated",
            message,
            warning: false,
            at: self.now(),
        };
        self.publish(entry, stop).await;
        if self.evicted.len() == 1 {
            return self.remember(stop).await;
        }
        None
    }

    /// The execution is over.
    pub(super) async fn finished(&mut self, report: &ExecutionReport, stop: &mut Stop) {
        // An eviction whose answer was lost may have taken effect.
        for pod in &report.pods {
            if pod.outcome.may_have_been_evicted() && !self.evicted.contains(&pod.name) {
                self.evicted.push(pod.name.clone());
            }
        }
        if self.evicted.len() > self.remembered {
            self.remember(stop).await;
        }
        let completed = report.outcome == ExecutionOutcome::Completed;
        let entry = JournalEntry {
            pod: None,
            reason: if completed {
                "Rotated"
            } else {
                "RotationIncomplete"
            },
            message: format!("{}: {}", report.message, self.decision.message),
            warning: !completed,
            at: self.now(),
        };
        self.publish(entry, stop).await;
    }

    /// The present instant by the clock of the cluster, where the snapshot has it.
    fn now(&self) -> Timestamp {
        let since = self.clock.elapsed().saturating_sub(self.began);
        self.snapshot
            .data()
            .taken_at
            .and_then(|at| at.checked_add(since).ok())
            .unwrap_or_else(|| self.clock.now())
    }

    async fn publish(&mut self, entry: JournalEntry, stop: &mut Stop) {
        let Some(journal) = self.journal.filter(|_| self.may_publish) else {
            return;
        };
        let published = patiently(journal.publish(&entry), self.clock, stop).await;
        let published = published.unwrap_or_else(too_late);
        self.may_publish = told("publish an event", published);
    }

    async fn remember(&mut self, stop: &mut Stop) -> Option<i64> {
        let journal = self.journal.filter(|_| self.may_remember)?;
        let last = self.snapshot.data().last_rotation.as_ref();
        let victims = self.evicted.clone();
        let rotation = Rotation::of(self.decision, self.strategy, last, self.now(), victims)?;
        let remembered = patiently(journal.remember(&rotation), self.clock, stop).await;
        let remembered = remembered.unwrap_or_else(too_late);
        if remembered.is_ok() {
            self.remembered = self.evicted.len();
        }
        let what = "keep the rotation in the annotation rebalancer.io/last-rotation (the cooldown \
                    is taken from the ages of the pods instead, and a rotation that does not help \
                    is not noticed)";
        let generation = remembered.as_ref().ok().copied().flatten();
        self.may_remember = told(what, remembered);
        generation
    }
}

fn too_late<T>() -> Result<T, PortError> {
    Err(PortError::new(PortErrorKind::Timeout, CUT_SHORT))
}

/// Whether it is worth another try.
fn told<T>(what: &str, outcome: Result<T, PortError>) -> bool {
    let Err(error) = outcome else { return true };
    match error.kind {
        PortErrorKind::Forbidden => {
            info!("may not {what}: {error}");
            false
        }
        PortErrorKind::Unreachable
        | PortErrorKind::Tls
        | PortErrorKind::Timeout
        | PortErrorKind::Unauthorized
        | PortErrorKind::NotFound
        | PortErrorKind::Rejected
        | PortErrorKind::Server
        | PortErrorKind::BadAnswer
        | PortErrorKind::Setup => {
            warn!("could not {what}: {error}");
            true
        }
    }
}
