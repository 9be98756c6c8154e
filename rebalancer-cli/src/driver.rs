//! The driver of a run: asks the ports, lets the core decide, and carries out what it says.
//!
//! It is the same for a real cluster and for a simulated one; only the ports differ.

use std::time::Duration;

use rebalancer_core::execution::{
    Awaited, Baseline, Execution, ExecutionEvent, ExecutionOutcome, ExecutionReport, PodOutcome,
    Step, StopCause,
};
use rebalancer_core::lease::{self, LeaseHolder};
use rebalancer_core::plan::Victim;
use rebalancer_core::policy::{ExecutionPolicy, Policy};
use rebalancer_core::ports::{
    Clock, EvictionAnswer, GroupObservation, Journal, LeaseState, MetricsSource, PodActuator,
    PortError, PortErrorKind, RunLease,
};
use rebalancer_core::report::{Failed, WorkloadReport};
use rebalancer_core::snapshot::{AssembleSettings, assemble};
use rebalancer_core::{Decision, Snapshot, decide};
use tokio::sync::watch;
use tracing::{Level, debug, enabled, error, info, warn};

use crate::error::log_causes;
use crate::freeze::Freeze;
use crate::live::{self, Wait};

mod follow;
mod records;

pub use follow::follow;
use records::Records;

/// The ports of one workload, and time.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// Where loads come from.
    pub metrics: &'a dyn MetricsSource,
    /// Where pods are read, and evicted.
    pub actuator: &'a dyn PodActuator,
    /// Time.
    pub clock: &'a dyn Clock,
    /// Keeps other runs out; `None` does without.
    pub lease: Option<&'a dyn RunLease>,
    /// Where to tell and remember what was done; `None` does neither.
    pub journal: Option<&'a dyn Journal>,
}

/// What is to be done about one workload.
#[derive(Debug, Clone)]
pub struct Order<'a> {
    /// What the operator said about the workload.
    pub assemble: &'a AssembleSettings,
    /// The metrics source is asked for the autoscalers.
    pub autoscalers_from_metrics: bool,
    /// When nothing may be done.
    pub freeze: &'a Freeze,
    /// The rules of the decision.
    pub policy: &'a Policy,
    /// The rules of its execution; `None` only decides.
    pub execution: Option<ExecutionPolicy>,
}

/// Tells a run that it is to stop, and why.
pub type Stop = watch::Receiver<Option<StopCause>>;

/// Everything about one workload that a decision needs could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// A port did not answer.
    #[error(transparent)]
    Port(#[from] PortError),
    /// Neither port answered.
    #[error("{metrics}; and {workload}")]
    Both {
        /// What the metrics source said.
        #[source]
        metrics: PortError,
        /// What Kubernetes said.
        workload: PortError,
    },
    /// The observations contradict each other.
    #[error("the pods of Kubernetes are no snapshot: {0}")]
    Snapshot(#[from] rebalancer_core::snapshot::InvalidSnapshot),
    /// Whether another run is acting could not be told.
    #[error("{0}; nothing was evicted. ONE_AT_A_TIME=false does without the lease")]
    Lease(#[source] PortError),
    /// The run was asked to stop first.
    #[error("{} before a decision was made; nothing was evicted", .0)]
    Stopped(StopCause),
}

impl ObserveError {
    /// What it means that the lease could not be taken.
    fn of_lease(error: PortError) -> Self {
        match error.kind {
            // Of the workload: without the lease there would be nothing to look at either.
            PortErrorKind::NotFound => Self::Port(error),
            PortErrorKind::Unreachable
            | PortErrorKind::Tls
            | PortErrorKind::Timeout
            | PortErrorKind::Unauthorized
            | PortErrorKind::Forbidden
            | PortErrorKind::Rejected
            | PortErrorKind::Server
            | PortErrorKind::BadAnswer
            | PortErrorKind::Setup => Self::Lease(error),
        }
    }
}

/// One workload of a run: observed, decided on, and acted on where an `execution` policy is given.
/// Beside the report comes the snapshot that was decided on; there is none when observing failed.
///
/// Where it is to act, the lease is held from before the first look until after the last action,
/// so that no other run changes the workload in between.
pub async fn run_workload(
    ports: Ports<'_>,
    order: &Order<'_>,
    stop: &mut Stop,
) -> (WorkloadReport, Option<Snapshot>) {
    let acts = order.execution.is_some_and(|policy| !policy.dry_run);
    let Some(lease) = ports.lease.filter(|_| acts) else {
        return observe_decide_act(ports, order, Lease::None, stop).await;
    };
    let asked = ports.clock.elapsed();
    let taking = async {
        tokio::select! {
            biased;
            state = lease.acquire() => state.map_err(ObserveError::of_lease),
            cause = stopped(stop) => Err(ObserveError::Stopped(cause)),
        }
    };
    let outcome = match live::during("taking the lease", taking).await {
        Ok(LeaseState::Held) => {
            debug!("lease taken");
            observe_decide_act(ports, order, Lease::Held { asked }, stop).await
        }
        // It is still looked at, so that the report says what there is to see.
        Ok(LeaseState::HeldBy(other)) => {
            return observe_decide_act(ports, order, Lease::Other(other), stop).await;
        }
        Err(error) => (failed(order, &error), None),
    };
    // An eviction of which nobody knows whether it takes effect yet: as long as it may, no other
    // run is to act. The lease outlasts it, and ends by itself.
    if may_take_effect_yet(&outcome.0) {
        warn!("the lease is kept until it ends, since an eviction may take effect yet");
        return outcome;
    }
    let releasing = patiently(lease.release(), ports.clock, stop);
    let released = live::during("giving the lease back", releasing).await;
    if let Some(Err(error)) = released {
        warn!(
            "the lease was not given back and ends by itself within {} s: {error}",
            lease::DURATION.as_secs()
        );
    }
    outcome
}

fn may_take_effect_yet(report: &WorkloadReport) -> bool {
    report
        .execution()
        .into_iter()
        .flat_map(|execution| &execution.pods)
        .any(|pod| pod.outcome == PodOutcome::Unknown)
}

/// What a run knows of the lease.
enum Lease {
    /// It does without.
    None,
    /// It holds the lease, which was asked for then.
    Held { asked: Duration },
    /// Another run does.
    Other(LeaseHolder),
}

async fn observe_decide_act(
    ports: Ports<'_>,
    order: &Order<'_>,
    lease: Lease,
    stop: &mut Stop,
) -> (WorkloadReport, Option<Snapshot>) {
    let (held_since, other_run) = match lease {
        Lease::None => (None, None),
        Lease::Held { asked } => (Some(asked), None),
        Lease::Other(other) => (None, Some(other)),
    };
    let observing = observe(ports, order, other_run, stop);
    let snapshot = match live::during("asking Prometheus and Kubernetes", observing).await {
        Ok(snapshot) => snapshot,
        Err(error) => return (failed(order, &error), None),
    };
    let decision = decide_and_log(&snapshot, order.policy);
    let execution = execute(&decision, &snapshot, order, ports, held_since, stop).await;
    (WorkloadReport::decided(decision, execution), Some(snapshot))
}

/// A workload that could not be decided on, logged and reported.
fn failed(order: &Order<'_>, error: &ObserveError) -> WorkloadReport {
    let workload = order.assemble.workload.clone();
    error!(
        namespace = workload.namespace,
        deployment = workload.name,
        "{error}"
    );
    log_causes(error);
    let error = error.to_string();
    WorkloadReport::Failed(Failed { workload, error })
}

/// Observes one workload through both ports at once.
///
/// # Errors
/// When a port does not answer, or the run is asked to stop meanwhile.
pub async fn observe(
    ports: Ports<'_>,
    order: &Order<'_>,
    other_run: Option<LeaseHolder>,
    stop: &mut Stop,
) -> Result<Snapshot, ObserveError> {
    let settings = order.assemble;
    let autoscalers = async {
        if !order.autoscalers_from_metrics {
            return Ok(Vec::new());
        }
        match ports.metrics.autoscalers().await {
            // The target is set: they would only tell whether the workload is being scaled.
            Err(error) if settings.target.is_some() => {
                warn!("autoscalers not read: {error}");
                Ok(Vec::new())
            }
            autoscalers => autoscalers,
        }
    };
    let group = async {
        if settings.group.is_none() {
            return Ok(None);
        }
        let group = ports.metrics.group().await;
        if let Ok(Some(group)) = &group {
            info!(
                owned_partitions = group.owners.len(),
                "the consumer group was read"
            );
        }
        group
    };
    let observations = async {
        tokio::join!(
            async {
                let loads = ports.metrics.loads().await;
                if let Ok(loads) = &loads {
                    info!(samples = loads.samples.len(), "Prometheus answered");
                }
                loads
            },
            autoscalers,
            async {
                let workload = ports.actuator.observe().await;
                if let Ok(workload) = &workload {
                    info!(pods = workload.pods.len(), "Kubernetes answered");
                }
                workload
            },
            group
        )
    };
    let (loads, autoscalers, workload, group) = tokio::select! {
        observations = observations => observations,
        cause = stopped(stop) => return Err(ObserveError::Stopped(cause)),
    };
    let metrics = loads.and_then(|loads| autoscalers.map(|autoscalers| (loads, autoscalers)));
    let ((loads, autoscalers), workload) = match (metrics, workload) {
        (Ok(metrics), Ok(workload)) => (metrics, workload),
        (Err(error), Ok(_)) | (Ok(_), Err(error)) => return Err(error.into()),
        (Err(metrics), Err(workload)) => return Err(ObserveError::Both { metrics, workload }),
    };
    // Not known is not the end: the strategy says what follows.
    let group = group.unwrap_or_else(|error| {
        warn!("the consumer group is not known: {error}");
        Some(GroupObservation {
            partial: Some(error.to_string()),
            ..GroupObservation::default()
        })
    });
    let snapshot = assemble(settings, loads, workload, autoscalers, group)?;
    let frozen = order.freeze.at(ports.clock.now()).map(str::to_owned);
    Ok(snapshot.in_circumstances(other_run, frozen))
}

/// Decides, and logs what was decided and why.
pub fn decide_and_log(snapshot: &Snapshot, policy: &Policy) -> Decision {
    let decision = decide(snapshot, policy);
    let analysis = &decision.analysis;
    info!(
        namespace = decision.workload.namespace,
        deployment = decision.workload.name,
        pod_count = analysis.pods,
        eligible = analysis.eligible,
        avg_cpu = analysis.mean,
        cpu_variance = analysis.variance,
        max_cpu = analysis.max,
        target = analysis.target,
        threshold = analysis.threshold,
        rebalance_needed = decision.plan().is_some(),
        "CPU analysis completed"
    );
    for check in &decision.checks {
        debug!(verdict = ?check.verdict, detail = check.message, "check");
    }
    for pod in decision.pods.iter().filter(|_| enabled!(Level::DEBUG)) {
        let reasons: Vec<String> = pod.reasons.iter().map(ToString::to_string).collect();
        debug!(
            pod = pod.name,
            uid = pod.uid.0,
            load = pod.load.map(f64::from),
            eligible = pod.eligible,
            role = pod.role.map(|role| role.as_str()),
            reasons = reasons.join("; "),
            "pod"
        );
    }
    let namespace = &decision.workload.namespace;
    let deployment = &decision.workload.name;
    match decision.hold_reason() {
        None => info!(namespace, deployment, "rotate: {}", decision.message),
        Some(reason) if reason.means_missing_data() => {
            warn!(
                namespace,
                deployment,
                reason = reason.as_str(),
                "hold: {}",
                decision.message
            );
        }
        Some(reason) => {
            info!(
                namespace,
                deployment,
                reason = reason.as_str(),
                "hold: {}",
                decision.message
            );
        }
    }
    // What makes the run fail is said even where another reason came first.
    for check in decision
        .checks
        .iter()
        .filter(|check| check.means_missing_data())
    {
        if check.message != decision.message {
            warn!(namespace, deployment, "not known either: {}", check.message);
        }
    }
    decision
}

/// Carries out the decision's plan; `None` when it has none, or is not to be carried out.
/// `lease_held_since` is when the lease was asked for that the run holds, where it does.
pub async fn execute(
    decision: &Decision,
    snapshot: &Snapshot,
    order: &Order<'_>,
    ports: Ports<'_>,
    lease_held_since: Option<Duration>,
    stop: &mut Stop,
) -> Option<ExecutionReport> {
    let policy = order.execution?;
    let plan = decision.plan()?;
    let before = Baseline::of(snapshot);
    let mut execution = Execution::new(plan, policy, before, ports.clock.elapsed());
    if let Some(since) = lease_held_since {
        execution = execution.with_lease(since);
    }
    let journal = ports.journal.filter(|_| !policy.dry_run);
    let strategy = order.policy.strategy;
    let mut records = Records::new(journal, ports.clock, decision, snapshot, strategy);
    let mut progress = Progress::new(snapshot.ready());
    loop {
        // Between two actions, never in the middle of one.
        if let Some(cause) = asked_to_stop(stop) {
            execution.handle(ports.clock.elapsed(), ExecutionEvent::Stop(cause));
        }
        if execution.has_evictions_left()
            && let Some(window) = order.freeze.at(ports.clock.now())
        {
            let frozen = ExecutionEvent::Frozen(window.to_owned());
            execution.handle(ports.clock.elapsed(), frozen);
        }
        let step = execution.step(ports.clock.elapsed());
        let wait = wait(&execution, &step, &progress, ports.clock.elapsed());
        let acting = async {
            Some(match step {
                Step::Done => return None,
                Step::ReadPod(victim) => {
                    let pod = victim.reference();
                    let read = ports.actuator.read_pod(&pod);
                    ExecutionEvent::PodRead(answer(read, ports.clock, stop).await)
                }
                Step::CountReady { enough } => {
                    let count = ports.actuator.count_ready(enough);
                    ExecutionEvent::ReadyCounted(answer(count, ports.clock, stop).await)
                }
                // Once asked for, an eviction is waited for: it may take effect either way.
                Step::Evict(victim) => {
                    let answer = ports
                        .actuator
                        .evict(&victim.reference(), policy.dry_run)
                        .await;
                    log_answer(&victim, &answer, policy.dry_run);
                    progress.said = None;
                    if answer == EvictionAnswer::Evicted
                        && let Some(generation) = records.evicted(&victim, stop).await
                    {
                        execution.acknowledge_own_change(generation);
                    }
                    ExecutionEvent::EvictionAnswered(answer)
                }
                Step::ReadWorkload { enough } => {
                    let read = ports.actuator.read_workload(enough);
                    let read = answer(read, ports.clock, stop).await;
                    if let (Ok(workload), true) = (&read, enough > 0) {
                        progress.ready(workload.ready);
                    }
                    ExecutionEvent::WorkloadRead(read)
                }
                Step::RenewLease => {
                    let asked = ports.clock.elapsed();
                    let state = match ports.lease {
                        Some(lease) => answer(lease.renew(), ports.clock, stop).await,
                        None => Err("there is no lease to renew".into()),
                    };
                    ExecutionEvent::LeaseRenewed { asked, state }
                }
                Step::Wait(duration) => {
                    debug!(seconds = duration.as_secs_f64(), "waiting");
                    tokio::select! {
                        () = ports.clock.sleep(duration) => ExecutionEvent::Elapsed,
                        cause = stopped(stop) => ExecutionEvent::Stop(cause),
                    }
                }
            })
        };
        let Some(event) = live::beside(acting, wait).await else {
            break;
        };
        execution.handle(ports.clock.elapsed(), event);
    }
    live::clear();
    let report = execution.report();
    log_report(&report);
    records.finished(&report, stop).await;
    Some(report)
}

/// What is waited for while `step` is taken, for whoever watches.
fn wait(execution: &Execution, step: &Step, progress: &Progress, now: Duration) -> Option<Wait> {
    if *step == Step::RenewLease {
        return Some(Wait::new("renewing the lease".into()));
    }
    let waiting = execution.waiting()?;
    let what = match waiting.awaited {
        Awaited::Replacements { wanted } => match progress.said {
            Some(ready) => {
                format!("waiting for replacements, {ready} of {wanted} pods are ready")
            }
            None => "waiting for replacements".to_owned(),
        },
        Awaited::Evictions { pods, budgets } => {
            let budgets: Vec<String> = budgets.into_iter().collect();
            let whom = match budgets.as_slice() {
                [] => "the API server, which is too busy,".to_owned(),
                budgets => format!("PodDisruptionBudget {}", budgets.join(", ")),
            };
            let evictions = if pods == 1 { "eviction" } else { "evictions" };
            format!("waiting for {whom} to allow {pods} {evictions}")
        }
    };
    let limit = waiting.until.saturating_sub(waiting.since);
    Some(Wait::new(what).within(now.saturating_sub(waiting.since), limit))
}

/// Logs an eviction as soon as it is answered, so that the log has it whatever comes next.
fn log_answer(victim: &Victim, answer: &EvictionAnswer, dry_run: bool) {
    let (outcome, detail) = match answer {
        EvictionAnswer::Evicted => ("evicted", None),
        EvictionAnswer::AlreadyGone => ("already_gone", None),
        EvictionAnswer::Blocked { message, .. } => ("blocked", Some(message)),
        EvictionAnswer::Throttled { message, .. } => ("throttled", Some(message)),
        EvictionAnswer::Forbidden { message } => ("forbidden", Some(message)),
        EvictionAnswer::Failed { message } => ("failed", Some(message)),
        EvictionAnswer::Unknown { message } => ("unknown", Some(message)),
    };
    info!(
        pod = victim.name,
        uid = victim.uid.0,
        role = victim.role.as_str(),
        load = victim.load.get(),
        outcome,
        dry_run,
        // Not `message`: that is the event's own text, which it would replace.
        detail,
        "eviction answered"
    );
}

/// Logs which victims were not evicted in the end, and the whole in one sentence.
fn log_report(report: &ExecutionReport) {
    for pod in report.pods.iter().filter(|pod| !pod.outcome.is_success()) {
        warn!(
            pod = pod.name,
            uid = pod.uid.0,
            outcome = pod.outcome.as_str(),
            detail = pod.message,
            "pod not evicted"
        );
    }
    match report.outcome {
        ExecutionOutcome::Completed => info!("{}", report.message),
        ExecutionOutcome::Incomplete => warn!("{}", report.message),
    }
}

/// Waits until the run is to stop; for ever when nobody can say so any more.
async fn stopped(stop: &mut Stop) -> StopCause {
    let cause = stop
        .wait_for(Option::is_some)
        .await
        .ok()
        .and_then(|cause| *cause);
    match cause {
        Some(cause) => cause,
        None => std::future::pending().await,
    }
}

fn asked_to_stop(stop: &Stop) -> Option<StopCause> {
    *stop.borrow()
}

/// How long a question may go on after the run was asked to stop. Who stops us does not wait for
/// ever, and the report is still to be written.
const PATIENCE_AFTER_STOP: Duration = Duration::from_secs(5);

/// What stands for an answer that came too late.
const CUT_SHORT: &str = "the run was asked to stop before there was an answer";

/// What comes of `asking`; `None` when the run was asked to stop and it took too long since.
async fn patiently<T>(
    asking: impl Future<Output = T>,
    clock: &dyn Clock,
    stop: &mut Stop,
) -> Option<T> {
    let cut_short = async {
        stopped(stop).await;
        clock.sleep(PATIENCE_AFTER_STOP).await;
    };
    tokio::select! {
        biased;
        outcome = asking => Some(outcome),
        () = cut_short => None,
    }
}

/// What is said while replacements start.
struct Progress {
    wanted: usize,
    said: Option<usize>,
}

impl Progress {
    fn new(wanted: usize) -> Self {
        Self { wanted, said: None }
    }

    /// Says how many pods are ready, when that has changed and nothing else shows it.
    fn ready(&mut self, ready: usize) {
        let news = self.said.replace(ready) != Some(ready);
        if news && ready < self.wanted && !live::is_on() {
            let wanted = self.wanted;
            info!(
                ready,
                wanted, "waiting for replacements: {ready} of {wanted} pods are ready"
            );
        }
    }
}

/// The answer to a question that changes nothing, or in words why there is none.
async fn answer<T>(
    question: impl Future<Output = Result<T, PortError>>,
    clock: &dyn Clock,
    stop: &mut Stop,
) -> Result<T, String> {
    match patiently(question, clock, stop).await {
        Some(answer) => answer.map_err(|error| {
            error!(kind = kind_word(error.kind), "{error}");
            error.to_string()
        }),
        None => Err(CUT_SHORT.into()),
    }
}

/// The kind of a port's error, for the log.
fn kind_word(kind: PortErrorKind) -> &'static str {
    match kind {
        PortErrorKind::Unreachable => "unreachable",
        PortErrorKind::Tls => "tls",
        PortErrorKind::Timeout => "timeout",
        PortErrorKind::Unauthorized => "unauthorized",
        PortErrorKind::Forbidden => "forbidden",
        PortErrorKind::NotFound => "not_found",
        PortErrorKind::Rejected => "rejected",
        PortErrorKind::Server => "server",
        PortErrorKind::BadAnswer => "bad_answer",
        PortErrorKind::Setup => "setup",
    }
}

#[cfg(test)]
mod tests;
