//! The facts from which the metrics of a workload are computed.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rebalancer_core::checks::{CheckDetails, LastRotationHelped};
use rebalancer_core::execution::PodOutcome;
use rebalancer_core::history::RotationOutcome;
use rebalancer_core::model::WorkloadRef;
use rebalancer_core::report::{Decided, RunOutcome, WorkloadReport};
use rebalancer_core::snapshot::Snapshot;

use super::api_errors::ApiErrors;

/// A workload's part of the report, and the facts that the report lacks.
#[derive(Debug, Clone, Copy)]
pub struct WorkloadFacts<'a> {
    /// The part of the report.
    pub report: &'a WorkloadReport,
    /// The other facts.
    pub run: &'a RunFacts,
}

/// Facts about the run of a workload that its report lacks.
#[derive(Debug, Clone, Default)]
pub struct RunFacts {
    /// Whether plans are not executed: a dry run, or a command that only shows them.
    pub dry_run: bool,
    /// Start and end; `None` if the command decided on a snapshot of a file.
    pub times: Option<Times>,
    /// The consumer group; `None` if it was not read.
    pub group: Option<GroupFacts>,
    /// The number of failed requests.
    pub api_errors: ApiErrors,
}

/// The start and the end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// The start.
    pub started: Timestamp,
    /// The end.
    pub finished: Timestamp,
}

/// The size of a consumer group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GroupFacts {
    /// The number of members in pods of the workload, including those that own nothing if they are
    /// known.
    pub members: usize,
    /// The number of these members with a `group.instance.id`.
    pub static_members: usize,
    /// The number of partitions.
    pub partitions: usize,
    /// The sum of the known lags, in records; `None` if the source reports no lags.
    pub lag: Option<u64>,
}

/// The result of a run for a workload. The words are part of the metrics and keep their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunResult {
    /// A plan was executed in full.
    Acted,
    /// There was nothing to do, or not now.
    Held,
    /// There is a plan that was not to be executed, or that waits for approval.
    Planned,
    /// A plan was executed in part.
    Incomplete,
    /// Data for the decision is missing or untrusted.
    MissingData,
    /// Runs have held for longer than is expected without an operator, or a plan could not be
    /// stored for approval.
    NeedsOperator,
    /// No decision could be made.
    Failed,
}

impl RunResult {
    /// Every result.
    pub const ALL: [Self; 7] = [
        Self::Acted,
        Self::Held,
        Self::Planned,
        Self::Incomplete,
        Self::MissingData,
        Self::NeedsOperator,
        Self::Failed,
    ];

    /// The word in the metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Acted => "acted",
            Self::Held => "held",
            Self::Planned => "planned",
            Self::Incomplete => "incomplete",
            Self::MissingData => "missing_data",
            Self::NeedsOperator => "needs_operator",
            Self::Failed => "failed",
        }
    }

    /// Whether the run did all that it could do: its exit code is 0.
    #[must_use]
    pub fn is_success(self) -> bool {
        match self {
            Self::Acted | Self::Held | Self::Planned => true,
            Self::Incomplete | Self::MissingData | Self::NeedsOperator | Self::Failed => false,
        }
    }

    /// The result that a report means.
    #[must_use]
    pub fn of(report: &WorkloadReport) -> Self {
        let WorkloadReport::Decided(decided) = report else {
            return Self::Failed;
        };
        match report.outcome() {
            RunOutcome::Fine if decided.decision.hold_reason().is_some() => Self::Held,
            RunOutcome::Fine => Self::Acted,
            RunOutcome::Planned => Self::Planned,
            RunOutcome::Incomplete => Self::Incomplete,
            RunOutcome::Failed if decided.decision.means_missing_data() => Self::MissingData,
            RunOutcome::Failed => Self::NeedsOperator,
        }
    }
}

impl GroupFacts {
    /// The consumer group of a snapshot; `None` if it has none.
    #[must_use]
    pub fn of(snapshot: &Snapshot) -> Option<Self> {
        let group = snapshot.data().group.as_ref()?;
        let mut lags = group
            .topics
            .values()
            .filter_map(|topic| topic.lags.as_ref());
        let lag = lags.next().map(|first| {
            let all = std::iter::once(first).chain(lags).flatten().flatten();
            all.fold(0_u64, |sum, lag| sum.saturating_add(*lag))
        });
        let has_instance = group
            .members
            .iter()
            .filter(|member| member.instance.is_some());
        // Metrics name the owners of partitions, and not always the members.
        let owners: BTreeSet<&str> = group
            .topics
            .values()
            .flat_map(|topic| topic.owners.iter().flatten())
            .map(String::as_str)
            .collect();
        Some(Self {
            members: group.members.len().max(owners.len()),
            static_members: has_instance.count(),
            partitions: group.topics.values().map(|topic| topic.owners.len()).sum(),
            lag,
        })
    }
}

impl<'a> WorkloadFacts<'a> {
    /// The duration of the run in seconds.
    pub(super) fn duration_seconds(&self) -> Option<f64> {
        let times = self.run.times?;
        let duration = times.finished.duration_since(times.started);
        Some(duration.as_secs_f64().max(0.0))
    }

    /// The facts about each workload of a report, in its order.
    #[must_use]
    pub fn of_all(reports: &'a [WorkloadReport], runs: &'a [RunFacts]) -> Vec<Self> {
        let pairs = reports.iter().zip(runs);
        pairs.map(|(report, run)| Self { report, run }).collect()
    }

    /// The workload.
    #[must_use]
    pub fn workload(&self) -> &'a WorkloadRef {
        match self.report {
            WorkloadReport::Decided(decided) => &decided.decision.workload,
            WorkloadReport::Failed(failed) => &failed.workload,
        }
    }

    /// The result of the run.
    #[must_use]
    pub fn result(&self) -> RunResult {
        RunResult::of(self.report)
    }

    /// The decision and its results; `None` if no decision could be made.
    pub(super) fn decided(&self) -> Option<&'a Decided> {
        match self.report {
            WorkloadReport::Decided(decided) => Some(decided),
            WorkloadReport::Failed(_) => None,
        }
    }

    /// The end of the run, in seconds since 1970.
    pub(super) fn finished(&self) -> Option<f64> {
        Some(seconds(self.run.times?.finished))
    }

    /// The number of victims with that outcome in an execution that was no dry run.
    pub(super) fn evicted_as(&self, outcome: PodOutcome) -> usize {
        let executions = self.report.execution().into_iter();
        executions
            .filter(|execution| !execution.dry_run)
            .flat_map(|execution| &execution.pods)
            .filter(|pod| pod.outcome == outcome)
            .count()
    }

    /// Whether the run changed the distribution of the load: it evicted a pod or moved partitions,
    /// or may have.
    pub(super) fn acted(&self) -> bool {
        let evicted = [PodOutcome::Evicted, PodOutcome::Unknown];
        let hand_over = self.report.hand_over();
        evicted.iter().any(|outcome| self.evicted_as(*outcome) > 0)
            || hand_over.is_some_and(|hand_over| hand_over.has_begun())
    }

    /// The numbers of the last rotation before this run, if there was one to judge.
    pub(super) fn last_rotation(&self) -> Option<&'a LastRotationHelped> {
        let mut checks = self.decided()?.decision.checks.iter();
        checks.find_map(|check| {
            let CheckDetails::LastRotation(numbers) = &check.details else {
                return None;
            };
            numbers.is_known().then_some(numbers)
        })
    }

    /// The effect of the latest rotation: of this run if it waited for it, else of the last one.
    pub(super) fn rotation_outcome(&self) -> Option<RotationOutcome> {
        let follow_up = self.decided()?.follow_up.as_ref();
        let own = follow_up.and_then(|follow_up| follow_up.outcome);
        own.or_else(|| {
            let last = self.last_rotation()?;
            Some(RotationOutcome {
                before: last.before?,
                hoped: last.hoped?,
                forecast: last.forecast,
                now: last.imbalance?,
            })
        })
    }
}

/// A time in seconds since 1970.
pub(super) fn seconds(time: Timestamp) -> f64 {
    time.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64()
}
