//! Performs the steps of the core's execution, one at a time.

use std::time::Duration;

use rebalancer_core::execution::{
    Awaited, Baseline, Execution, ExecutionEvent, ExecutionReport, Step,
};
use rebalancer_core::model::PodRef;
use rebalancer_core::plan::{Plan, Victim};
use rebalancer_core::ports::{DisruptionBudget, EvictionAnswer};
use rebalancer_core::{Decision, Snapshot};

use crate::context::{CUT_SHORT, Run};
use crate::event::{RunEvent, Wait, WaitReason};
use crate::lease;
use crate::ports::{Ports, RunSettings};
use crate::records::Records;
use crate::static_members::StaticMemberRemoval;
use crate::stop::Stop;

/// Executes the plan of the decision; `None` when it has none, or the settings have no execution
/// policy. `lease_held_since` is when the lease that the run holds was requested.
pub async fn execute(
    decision: &Decision,
    snapshot: &Snapshot,
    settings: &RunSettings<'_>,
    ports: Ports<'_>,
    lease_held_since: Option<Duration>,
    stop: &Stop,
) -> Option<ExecutionReport> {
    let run = Run {
        ports,
        settings,
        stop,
    };
    execute_plan(run, decision, snapshot, lease_held_since, None).await
}

/// As [`execute`]; `own_generation` is the generation that this run has given the workload since it
/// was observed.
pub(crate) async fn execute_plan(
    run: Run<'_>,
    decision: &Decision,
    snapshot: &Snapshot,
    lease_held_since: Option<Duration>,
    own_generation: Option<i64>,
) -> Option<ExecutionReport> {
    let policy = run.settings.execution?;
    let plan = decision.plan()?;
    let before = Baseline::of(snapshot);
    let minimum = run.settings.policy.minimum_pods;
    let mut execution = Execution::new(plan, minimum, policy, before, run.elapsed());
    if let Some(since) = lease_held_since {
        execution = execution.with_lease(since);
    }
    if let Some(generation) = own_generation {
        execution.acknowledge_own_change(generation);
    }
    if policy.dry_run && plan.largest_wave() > 1 {
        execution = execution.with_budgets(read_budgets(run, plan).await);
    }
    let executor = Executor {
        run,
        dry_run: policy.dry_run,
        execution,
        records: Records::new(run, policy.dry_run, decision, snapshot),
        static_members: StaticMemberRemoval::new(run, policy, snapshot, plan),
        ready_before: snapshot.ready(),
        ready_reported: None,
        waiting: false,
    };
    Some(executor.execute().await)
}

/// Reads the budgets of the plan's pods. The server checks each eviction of a dry run alone.
async fn read_budgets(run: Run<'_>, plan: &Plan) -> Result<Vec<DisruptionBudget>, String> {
    let pods: Vec<PodRef> = plan.victims().iter().map(Victim::reference).collect();
    match run.before_stop(run.ports.actuator.budgets(&pods)).await {
        Some(budgets) => budgets.map_err(|error| {
            run.emit(&RunEvent::BudgetsUnknown { error: &error });
            error.to_string()
        }),
        None => Err(CUT_SHORT.into()),
    }
}

/// An execution in progress.
struct Executor<'a> {
    run: Run<'a>,
    dry_run: bool,
    execution: Execution,
    records: Records<'a>,
    /// `None` if there are no static members to remove.
    static_members: Option<StaticMemberRemoval<'a>>,
    /// The number of ready pods before the first eviction.
    ready_before: usize,
    /// The number of ready pods that was reported last, since the last eviction.
    ready_reported: Option<usize>,
    /// Whether a wait was reported that has not ended.
    waiting: bool,
}

impl Executor<'_> {
    async fn execute(mut self) -> ExecutionReport {
        loop {
            self.handle_interruptions();
            let step = self.execution.step(self.run.elapsed());
            if let Step::Wait(_) = step
                && let Some(members) = &mut self.static_members
                && members.is_due()
            {
                members.check().await;
                continue;
            }
            self.report_wait(&step);
            let Some(event) = self.perform(step).await else {
                break;
            };
            self.execution.handle(self.run.elapsed(), event);
        }
        self.end_wait();
        let mut report = self.execution.report();
        self.run.emit(&RunEvent::Executed(&report));
        self.records.finished(&report).await;
        if let Some(members) = self.static_members {
            report.static_members = members.finish(self.execution.lease()).await;
        }
        report
    }

    /// Passes a stop request or a freeze window to the execution, between two actions.
    fn handle_interruptions(&mut self) {
        let run = self.run;
        if let Some(cause) = run.stop.requested() {
            self.execution
                .handle(run.elapsed(), ExecutionEvent::Stop(cause));
        }
        if self.execution.has_evictions_left()
            && let Some(why) = self.records.unrecorded()
        {
            let unrecorded = ExecutionEvent::Unrecorded(why.to_owned());
            self.execution.handle(run.elapsed(), unrecorded);
        }
        if self.execution.has_evictions_left()
            && let Some(window) = run.settings.freeze.window_at(run.ports.clock.now())
        {
            let frozen = ExecutionEvent::Frozen(window.to_owned());
            self.execution.handle(run.elapsed(), frozen);
        }
    }

    /// Performs one step; `None` when the execution is over.
    async fn perform(&mut self, step: Step) -> Option<ExecutionEvent> {
        let run = self.run;
        Some(match step {
            Step::Done => return None,
            Step::ReadPod(victim) => {
                let pod = victim.reference();
                ExecutionEvent::PodRead(run.ask(run.ports.actuator.read_pod(&pod)).await)
            }
            Step::CountReady { enough } => {
                let counting = run.ask(run.ports.actuator.count_ready(enough));
                let (ready, paused) = tokio::join!(counting, self.paused());
                paused.unwrap_or(ExecutionEvent::ReadyCounted(ready))
            }
            Step::Evict(victim) => self.evict(&victim).await,
            Step::ReadWorkload { enough } => self.read_workload(enough).await,
            Step::RenewLease => {
                let (asked, state) = lease::renew(run).await;
                ExecutionEvent::LeaseRenewed { asked, state }
            }
            Step::Wait(duration) => pause(run, duration).await,
        })
    }

    /// Requests an eviction. A stop does not cut it short: it may take effect either way, and the
    /// report needs the answer.
    async fn evict(&mut self, victim: &Victim) -> ExecutionEvent {
        let (run, dry_run) = (self.run, self.dry_run);
        run.emit(&RunEvent::EvictionRequested { victim, dry_run });
        let answer = run.ports.actuator.evict(&victim.reference(), dry_run).await;
        run.emit(&RunEvent::EvictionAnswered {
            victim,
            answer: &answer,
            dry_run,
        });
        self.ready_reported = None;
        if let (EvictionAnswer::Evicted | EvictionAnswer::Unknown { .. }, Some(members)) =
            (&answer, &mut self.static_members)
        {
            members.evicted(&victim.uid);
        }
        if answer == EvictionAnswer::Evicted
            && let Some(generation) = self.records.evicted(victim).await
        {
            self.execution.acknowledge_own_change(generation);
        }
        ExecutionEvent::EvictionAnswered(answer)
    }

    /// Whether an annotation was set while the run acts.
    async fn paused(&self) -> Option<ExecutionEvent> {
        match self.run.ask(self.run.ports.actuator.pause()).await {
            Ok(None) => None,
            Ok(Some(pause)) => Some(ExecutionEvent::Paused(Ok(pause.to_string()))),
            Err(why) => Some(ExecutionEvent::Paused(Err(why))),
        }
    }

    async fn read_workload(&mut self, enough: usize) -> ExecutionEvent {
        let run = self.run;
        let workload = run.ask(run.ports.actuator.read_workload(enough)).await;
        if let (Ok(workload), true) = (&workload, enough > 0) {
            self.report_ready(workload.ready);
        }
        ExecutionEvent::WorkloadRead(workload)
    }

    fn report_ready(&mut self, ready: usize) {
        let changed = self.ready_reported.replace(ready) != Some(ready);
        let wanted = self.ready_before;
        if changed && ready < wanted {
            self.run
                .emit(&RunEvent::ReplacementsPending { ready, wanted });
        }
    }

    /// Reports what is waited for while `step` is performed.
    fn report_wait(&mut self, step: &Step) {
        match self.wait(step) {
            Some(wait) => {
                self.waiting = true;
                self.run.emit(&RunEvent::Waiting(&wait));
            }
            None => self.end_wait(),
        }
    }

    fn end_wait(&mut self) {
        if std::mem::take(&mut self.waiting) {
            self.run.emit(&RunEvent::WaitEnded);
        }
    }

    fn wait(&self, step: &Step) -> Option<Wait> {
        if *step == Step::RenewLease {
            return Some(Wait::new(WaitReason::LeaseRenewal));
        }
        let waiting = self.execution.waiting()?;
        let reason = match waiting.awaited {
            Awaited::Replacements { wanted } => WaitReason::Replacements {
                ready: self.ready_reported,
                wanted,
            },
            Awaited::Evictions { pods, budgets } => WaitReason::Evictions { pods, budgets },
        };
        let elapsed = self.run.elapsed().saturating_sub(waiting.since);
        let limit = waiting.until.saturating_sub(waiting.since);
        Some(Wait::new(reason).within(elapsed, limit))
    }
}

async fn pause(run: Run<'_>, duration: Duration) -> ExecutionEvent {
    run.emit(&RunEvent::Paused(duration));
    tokio::select! {
        () = run.ports.clock.sleep(duration) => ExecutionEvent::Elapsed,
        cause = run.stop.wait() => ExecutionEvent::Stop(cause),
    }
}
