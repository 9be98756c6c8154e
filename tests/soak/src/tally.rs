//! Counts of the events in the worlds. They show that a soak was not idle.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use rebalancer_core::execution::PodOutcome;
use rebalancer_core::ports::{EvictionAnswer, LeaseState};
use rebalancer_core::report::WorkloadReport;
use rebalancer_sim::faults::TraceEvent;

use crate::draw::Scenario;
use crate::run::Story;

/// Event counts by group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    counts: BTreeMap<(&'static str, Cow<'static, str>), u64>,
}

impl Tally {
    /// The count of an event in a group.
    #[must_use]
    pub fn count(&self, group: &str, what: &str) -> u64 {
        self.counts
            .iter()
            .filter(|((of, counted), _)| *of == group && counted == what)
            .map(|(_, count)| count)
            .sum()
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (what, count) in &other.counts {
            *self.counts.entry(what.clone()).or_insert(0) += count;
        }
    }

    fn note(&mut self, group: &'static str, what: impl Into<Cow<'static, str>>) {
        *self.counts.entry((group, what.into())).or_insert(0) += 1;
    }
}

impl fmt::Display for Tally {
    /// Writes one line per group.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = "";
        for ((group, what), count) in &self.counts {
            if *group == last {
                write!(f, ", {what} {count}")?;
            } else {
                let line = if last.is_empty() { "" } else { "\n" };
                write!(f, "{line}{group}: {what} {count}")?;
                last = group;
            }
        }
        Ok(())
    }
}

pub(crate) fn of(scenario: &Scenario, story: &Story) -> Tally {
    let mut tally = Tally::default();
    tally.note("worlds", "all");
    if scenario.execution.dry_run {
        tally.note("worlds", "of a dry run");
    }
    let rotates = |report: &WorkloadReport| match report {
        WorkloadReport::Decided(decided) => decided.decision.plan().is_some(),
        WorkloadReport::Failed(_) => false,
    };
    let began = story
        .runs
        .iter()
        .filter_map(|run| run.end.as_ref())
        .any(|end| rotates(&end.report));
    if began {
        tally.note("worlds", "with a rotation");
        if scenario.approval.is_some() && !scenario.execution.dry_run {
            tally.note("worlds", "with an approved rotation");
        }
    }
    if story.runs.len() > 1 {
        tally.note("worlds", "of two runs");
    }
    if let Some(group) = &story.group {
        tally.note("worlds", "with the strategy assign or rejoin");
        if group.rebalances > 0 {
            tally.note("worlds", "with a hand-over");
        }
    }
    for run in &story.runs {
        if run.stopped.is_some() {
            tally.note("runs", "asked to stop");
        }
        let Some(end) = &run.end else {
            tally.note("runs", "killed");
            continue;
        };
        match &end.report {
            WorkloadReport::Failed(_) => tally.note("runs", "failed to observe"),
            WorkloadReport::Decided(decided) => {
                if let Some(reason) = decided.decision.hold_reason() {
                    tally.note("holds", reason.as_str());
                }
                if let Some(hand_over) = &decided.hand_over {
                    tally.note("hand-overs", hand_over.outcome.as_str());
                    if !hand_over.settled {
                        tally.note("hand-overs", "not seen at rest");
                    }
                    if hand_over.removed > 0 {
                        tally.note("hand-overs", "with removed members");
                    }
                    if hand_over.stopped.is_some() {
                        tally.note("hand-overs", "stopped");
                    }
                }
                let Some(execution) = &decided.execution else {
                    continue;
                };
                tally.note("runs", "with a rotation");
                let pods = end.snapshot.iter().flat_map(|snapshot| snapshot.pods());
                if pods.into_iter().any(|pod| pod.terminating) {
                    tally.note("runs", "with a rotation beside a stuck pod");
                }
                match execution.stopped {
                    Some(reason) => tally.note("rotations ended early", format!("{reason:?}")),
                    None => tally.note("runs", "carried out to the end of the plan"),
                }
                for pod in &execution.pods {
                    tally.note("victims", pod.outcome.as_str());
                }
                if execution
                    .pods
                    .iter()
                    .all(|pod| pod.outcome == PodOutcome::Evicted)
                {
                    tally.note("runs", "with every victim evicted");
                }
            }
        }
    }
    for request in &story.requests {
        tally.note(
            "requests",
            match &request.answer {
                None => "of a killed run",
                Some(EvictionAnswer::Evicted) => "evicted",
                Some(EvictionAnswer::AlreadyGone) => "already gone",
                Some(EvictionAnswer::Blocked { .. }) => "blocked",
                Some(EvictionAnswer::Throttled { .. }) => "throttled",
                Some(EvictionAnswer::Forbidden { .. }) => "forbidden",
                Some(EvictionAnswer::Failed { .. }) => "failed",
                Some(EvictionAnswer::Unknown { .. }) => "answer lost",
            },
        );
        let lost = matches!(request.answer, Some(EvictionAnswer::Unknown { .. }) | None);
        if let (Some(_), true) = (&request.effect, lost) {
            tally.note("requests", "answer lost, and took effect");
        }
        if request.answered_before_effect() {
            tally.note("requests", "took effect after the answer was lost");
        }
        if request.effect.is_some() {
            tally.note("requests", "took effect");
        }
    }
    let mut holding = vec![false; story.runs.len()];
    for traced in &story.trace {
        let Some(held) = holding.get_mut(traced.run) else {
            continue;
        };
        match &traced.what {
            TraceEvent::Lease(LeaseState::HeldBy(_)) if *held => {
                *held = false;
                tally.note("lease", "lost to another");
            }
            TraceEvent::Lease(LeaseState::HeldBy(_)) => tally.note("lease", "held by another"),
            TraceEvent::Lease(LeaseState::Held) => {
                let word = if *held { "renewed" } else { "taken" };
                *held = true;
                tally.note("lease", word);
            }
            TraceEvent::Observed
            | TraceEvent::PodRead(..)
            | TraceEvent::ReadyCounted { .. }
            | TraceEvent::WorkloadRead { .. }
            | TraceEvent::Requested(_)
            | TraceEvent::GroupRequested
            | TraceEvent::ApprovalUsed(..)
            | TraceEvent::Released => {}
        }
    }
    tally
}
