//! The ledger: every victim of the plan, with its outcome so far.
//!
//! A victim starts as `not_attempted`, so every victim has an outcome at any time.

use std::collections::BTreeSet;

use super::allowance::Allowances;
use super::eviction::Settled;
use super::outcome::{ExecutionOutcome, ExecutionReport, PodOutcome, PodReport, StopReason};
use crate::plan::{Plan, Role, Victim};

/// The victims of a plan and their outcomes, in the order of the plan.
#[derive(Debug, Clone)]
pub(super) struct Ledger {
    victims: Vec<Victim>,
    reports: Vec<PodReport>,
}

/// The index of a victim in the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct VictimIndex(usize);

impl Ledger {
    pub(super) fn new(plan: &Plan) -> Self {
        let victims = plan.victims().to_vec();
        let reports = victims.iter().map(|victim| PodReport {
            name: victim.name.clone(),
            uid: victim.uid.clone(),
            outcome: PodOutcome::NotAttempted,
            message: None,
            budget: None,
        });
        Self {
            reports: reports.collect(),
            victims,
        }
    }

    /// The number of victims.
    pub(super) fn len(&self) -> usize {
        self.victims.len()
    }

    pub(super) fn victim(&self, index: VictimIndex) -> &Victim {
        &self.victims[index.0]
    }

    pub(super) fn report(&self, index: VictimIndex) -> &PodReport {
        &self.reports[index.0]
    }

    /// The victims of the wave that begins with the victim number `first`.
    pub(super) fn wave(&self, first: usize) -> impl Iterator<Item = VictimIndex> {
        let wave = self.victims.get(first).map(|victim| victim.wave);
        let victims = self.victims.iter().enumerate().skip(first);
        victims
            .take_while(move |(_, victim)| Some(victim.wave) == wave)
            .map(|(index, _)| VictimIndex(index))
    }

    /// Records an outcome and replaces the previous one.
    pub(super) fn record(&mut self, index: VictimIndex, (outcome, message): Settled) {
        let report = &mut self.reports[index.0];
        report.outcome = outcome;
        report.message = message;
        report.budget = None;
    }

    /// Records the PodDisruptionBudget that caused the recorded outcome.
    pub(super) fn record_budget(&mut self, index: VictimIndex, budget: Option<String>) {
        self.reports[index.0].budget = budget;
    }

    /// Whether the first `count` victims are all out.
    pub(super) fn first_are_out(&self, count: usize) -> bool {
        self.reports
            .iter()
            .take(count)
            .all(|pod| pod.outcome.is_success())
    }

    /// Whether this run evicted any victim.
    pub(super) fn any_evicted(&self) -> bool {
        let mut reports = self.reports.iter();
        reports.any(|pod| pod.outcome == PodOutcome::Evicted)
    }

    /// Whether a hottest pod of the plan is out; true for a plan without hottest pods.
    pub(super) fn any_hottest_is_out(&self) -> bool {
        let mut hottest = self
            .victims
            .iter()
            .zip(&self.reports)
            .filter(|(victim, _)| victim.role == Role::Hottest)
            .peekable();
        hottest.peek().is_none() || hottest.any(|(_, report)| report.outcome.is_success())
    }

    /// The report of the execution, without a note. The outcome of the eviction `in_flight`, if
    /// there is one, is unknown. `allowances` are the budgets of a dry run.
    pub(super) fn execution_report(
        &self,
        dry_run: bool,
        allowances: &Allowances,
        in_flight: Option<VictimIndex>,
        stopped: Option<&(StopReason, String)>,
    ) -> ExecutionReport {
        let mut pods = self.reports.clone();
        if let Some(victim) = in_flight {
            // The run may end after sending the request and before the response.
            pods[victim.0].outcome = PodOutcome::Unknown;
            pods[victim.0].message = Some("requested, without a response so far".into());
        }
        let replacements_ready = match stopped {
            Some((StopReason::ReplacementFailed | StopReason::ReadyTimeout, _)) => false,
            Some(_) | None => true,
        };
        let completed = replacements_ready && pods.iter().all(|pod| pod.outcome.is_success());
        ExecutionReport {
            outcome: if completed {
                ExecutionOutcome::Completed
            } else {
                ExecutionOutcome::Incomplete
            },
            stopped: stopped.map(|(reason, _)| *reason),
            message: summary(
                &pods,
                dry_run,
                allowances,
                stopped.map(|(_, why)| why.as_str()),
            ),
            dry_run,
            note: None,
            pods,
            static_members: Vec::new(),
        }
    }
}

fn summary(
    pods: &[PodReport],
    dry_run: bool,
    allowances: &Allowances,
    stopped: Option<&str>,
) -> String {
    let count = |outcome| pods.iter().filter(|pod| pod.outcome == outcome).count();
    let budgets_of = |outcome| -> BTreeSet<&str> {
        let pods = pods.iter().filter(|pod| pod.outcome == outcome);
        pods.filter_map(|pod| pod.budget.as_deref()).collect()
    };
    let total = pods.len();
    let evicted = count(PodOutcome::Evicted);
    let mut message = if dry_run {
        format!("dry run: {evicted} of {total} pods would be evicted")
    } else {
        format!("{evicted} of {total} pods evicted")
    };
    match count(PodOutcome::WouldWait) {
        0 => {}
        waiting => {
            let budgets = allowances.phrase(&budgets_of(PodOutcome::WouldWait));
            message.push_str(&format!(
                " at once, {waiting} would wait for {budgets} up to the eviction timeout"
            ));
        }
    }
    for (outcome, words) in [
        (PodOutcome::AlreadyGone, "already gone"),
        (PodOutcome::Blocked, "blocked"),
        (PodOutcome::Failed, "failed"),
        (PodOutcome::Unknown, "unknown"),
        (PodOutcome::NotAttempted, "not attempted"),
    ] {
        match count(outcome) {
            0 => {}
            pods => message.push_str(&format!(", {pods} {words}")),
        }
    }
    let budgets = budgets_of(PodOutcome::Blocked);
    if !budgets.is_empty() {
        let names: Vec<&str> = budgets.into_iter().collect();
        message.push_str(&format!(" (PodDisruptionBudget {})", names.join(", ")));
    }
    if let Some(why) = stopped {
        message.push_str("; ended early: ");
        message.push_str(why);
    }
    message
}
