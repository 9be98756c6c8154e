//! Publishes what was done, and remembers it for the next run. A failure of the journal is
//! reported and changes nothing else.

use std::time::Duration;

use jiff::Timestamp;
use rebalancer_core::execution::{ExecutionOutcome, ExecutionReport};
use rebalancer_core::handover::{HandoverDocument, HandoverResult};
use rebalancer_core::plan::Victim;
use rebalancer_core::ports::{Journal, JournalEntry, PortError, PortErrorKind};
use rebalancer_core::{Decision, Snapshot};

use crate::context::Run;
use crate::event::{JournalWrite, RunEvent};

/// The records of one execution.
pub(crate) struct Records<'a> {
    run: Run<'a>,
    /// `None` in a dry run.
    journal: Option<&'a dyn Journal>,
    decision: &'a Decision,
    snapshot: &'a Snapshot,
    /// The start of the execution, on the monotonic clock.
    began: Duration,
    evicted: Vec<String>,
    /// The number of evicted pods in the rotation that was remembered last.
    remembered: usize,
    may_publish: bool,
    may_remember: bool,
    /// Why evictions, which a limit counts, could not be recorded.
    unrecorded: Option<String>,
}

impl<'a> Records<'a> {
    pub(crate) fn new(
        run: Run<'a>,
        dry_run: bool,
        decision: &'a Decision,
        snapshot: &'a Snapshot,
    ) -> Self {
        Self {
            run,
            journal: run.ports.journal.filter(|_| !dry_run),
            decision,
            snapshot,
            began: run.elapsed(),
            evicted: Vec::new(),
            remembered: 0,
            may_publish: true,
            may_remember: true,
            unrecorded: None,
        }
    }

    /// Records an evicted pod. The rotation is remembered right after the first one, so that the
    /// next run knows about it even if this one is killed; after each one if evictions are counted.
    ///
    /// Returns the generation of the workload when remembering has changed it.
    pub(crate) async fn evicted(&mut self, victim: &Victim) -> Option<i64> {
        self.evicted.push(victim.name.clone());
        // The Event of the workload has the sentence of the decision.
        let analysis = &self.decision.analysis;
        let unit = self.snapshot.load_unit();
        let number = |value: Option<f64>| {
            value.map_or("unknown".to_owned(), |value| unit.amount(value).to_string())
        };
        let message = format!(
            "evicted as one of the {} pods of {}: load {}, mean {}, threshold {}",
            victim.role.as_str(),
            self.decision.workload,
            unit.amount(victim.load.get()),
            number(analysis.mean),
            number(analysis.threshold),
        );
        let entry = JournalEntry {
            pod: Some(victim.reference()),
            reason: "Rotated",
            message,
            warning: false,
            at: self.now(),
        };
        self.publish(entry).await;
        let counted = self.run.settings.policy.max_evictions_per_day.is_some();
        if self.evicted.len() > 1 && !counted {
            return None;
        }
        let generation = self.remember().await;
        if counted && self.remembered < self.evicted.len() && self.unrecorded.is_none() {
            self.unrecorded = Some("the workload has no record of the evictions".to_owned());
        }
        generation
    }

    /// Why evictions, which a limit counts, could not be recorded; `None` if they are.
    pub(crate) fn unrecorded(&self) -> Option<&str> {
        self.unrecorded
            .as_deref()
            .filter(|_| self.journal.is_some())
    }

    /// Records the end of the execution.
    pub(crate) async fn finished(&mut self, report: &ExecutionReport) {
        // An eviction whose answer was lost may have taken effect.
        for pod in &report.pods {
            if pod.outcome.may_have_been_evicted() && !self.evicted.contains(&pod.name) {
                self.evicted.push(pod.name.clone());
            }
        }
        if self.evicted.len() > self.remembered {
            self.remember().await;
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
        self.publish(entry).await;
    }

    /// Records the beginning of a hand-over, for the case that the run is killed.
    pub(crate) async fn hand_over_began(&mut self) {
        self.remember_hand_over(Some(
            "the run ended before the group was at rest again".to_owned(),
        ))
        .await;
    }

    /// Records the end of a hand-over.
    pub(crate) async fn handed_over(&mut self, report: &HandoverDocument) {
        let (reason, warning) = match (report.outcome, report.rejoins) {
            (HandoverResult::Assigned, _) => ("PartitionsAssigned", false),
            (HandoverResult::Rejoined, _) => ("MembersRejoined", false),
            (HandoverResult::NotKept | HandoverResult::Abandoned, None) => {
                ("AssignmentIncomplete", true)
            }
            (HandoverResult::NotKept | HandoverResult::Abandoned, Some(_)) => {
                ("RejoinIncomplete", true)
            }
        };
        if report.has_begun() {
            let abandoned = match report.outcome {
                HandoverResult::Assigned | HandoverResult::NotKept | HandoverResult::Rejoined => {
                    None
                }
                HandoverResult::Abandoned => Some(report.message.clone()),
            };
            self.remember_hand_over(abandoned).await;
        }
        let entry = JournalEntry {
            pod: None,
            reason,
            message: format!("{}: {}", report.message, self.decision.message),
            warning,
            at: self.now(),
        };
        self.publish(entry).await;
    }

    async fn remember_hand_over(&mut self, abandoned: Option<String>) {
        let Some(journal) = self.journal.filter(|_| self.may_remember) else {
            return;
        };
        let last = self.snapshot.data().last_rotation.as_ref();
        let Some(rotation) = self.decision.hand_over(last, self.now(), abandoned) else {
            return;
        };
        let written = self.write(journal.remember(&rotation)).await;
        self.may_remember = self.may_retry(JournalWrite::Rotation, written.err());
    }

    /// The current time by the clock of the cluster when the snapshot has it.
    fn now(&self) -> Timestamp {
        let since = self.run.elapsed().saturating_sub(self.began);
        self.snapshot
            .data()
            .taken_at
            .and_then(|at| at.checked_add(since).ok())
            .unwrap_or_else(|| self.run.ports.clock.now())
    }

    async fn publish(&mut self, entry: JournalEntry) {
        let Some(journal) = self.journal.filter(|_| self.may_publish) else {
            return;
        };
        let published = self.write(journal.publish(&entry)).await;
        self.may_publish = self.may_retry(JournalWrite::Event, published.err());
    }

    async fn remember(&mut self) -> Option<i64> {
        let journal = self.journal.filter(|_| self.may_remember)?;
        let last = self.snapshot.data().last_rotation.as_ref();
        let strategy = self.run.settings.policy.strategy;
        let victims = self.evicted.clone();
        let rotation = self
            .decision
            .rotation(strategy, last, self.now(), victims)?;
        match self.write(journal.remember(&rotation)).await {
            Ok(generation) => {
                self.remembered = self.evicted.len();
                generation
            }
            Err(error) => {
                let counted = self.run.settings.policy.max_evictions_per_day.is_some();
                self.unrecorded = counted.then(|| error.to_string());
                self.may_remember = self.may_retry(JournalWrite::Rotation, Some(error));
                None
            }
        }
    }

    async fn write<T>(
        &self,
        writing: impl Future<Output = Result<T, PortError>>,
    ) -> Result<T, PortError> {
        self.run.write(writing).await
    }

    /// Reports a failure, and whether a later write may succeed.
    fn may_retry(&self, write: JournalWrite, error: Option<PortError>) -> bool {
        let Some(error) = error else { return true };
        self.run.emit(&RunEvent::JournalFailed {
            write,
            error: &error,
        });
        error.kind != PortErrorKind::Forbidden
    }
}
