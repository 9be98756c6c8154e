//! Logs the events of a run.

use std::io::IsTerminal as _;
use std::sync::Arc;

use rebalancer_core::Decision;
use rebalancer_core::decision::PodAssessment;
use rebalancer_core::execution::{
    ExecutionOutcome, ExecutionReport, PodOutcome, StaticMemberOutcome, StaticMemberReport,
};
use rebalancer_core::handover::{HandoverDocument, HandoverResult, HandoverWork};
use rebalancer_core::hold_record::HeldSince;
use rebalancer_core::lease;
use rebalancer_core::model::WorkloadRef;
use rebalancer_core::plan::{AssignmentPlan, RejoinPlan, Victim};
use rebalancer_core::ports::{EvictionAnswer, PortError, PortErrorKind};
use rebalancer_core::report::FollowUp;
use rebalancer_driver::{JournalWrite, ObserveError, RunEvent, RunObserver, WaitReason};
use tracing::{Level, Span, debug, enabled, error, error_span, info, warn};

use crate::error::log_causes;
use crate::hints;
use crate::observers::terminal_line::TerminalLine;
use crate::render::approval;

/// The span of everything that is logged about a workload; its fields are part of each line.
pub(crate) fn span(workload: &WorkloadRef) -> Span {
    // Spans below the log level would be left out.
    error_span!(
        "workload",
        namespace = workload.namespace,
        deployment = workload.name,
        kind = (workload.kind != "Deployment").then_some(workload.kind.as_str()),
    )
}

/// Logs the events of a run through `tracing`. The caller enters the [`span`] of the workload.
#[derive(Debug)]
pub(crate) struct LoggingObserver {
    /// A progress that this line shows is not logged as well.
    line: Arc<TerminalLine>,
    /// Whether the decision is shown on the same terminal, so that the log need not repeat it.
    shows_decision: bool,
}

impl LoggingObserver {
    pub(crate) fn new(line: Arc<TerminalLine>) -> Self {
        Self {
            line,
            shows_decision: false,
        }
    }

    /// Leaves the sentence of the decision to the table on standard output, if that is the same
    /// terminal as the log.
    pub(crate) fn beside_table(self) -> Self {
        Self {
            shows_decision: std::io::stdout().is_terminal() && std::io::stderr().is_terminal(),
            ..self
        }
    }
}

impl RunObserver for LoggingObserver {
    fn event(&self, event: &RunEvent<'_>) {
        match event {
            RunEvent::LeaseAcquired => debug!("lease acquired"),
            RunEvent::LeaseHeldByAnother(holder) => {
                debug!(holder = holder.identity, "lease held by another run");
            }
            RunEvent::LeaseKept => warn!(
                "lease not released, because an eviction may still take effect or the group is not at \
                 rest; it expires within {} s",
                lease::DURATION.as_secs()
            ),
            RunEvent::LeaseReleased => debug!("lease released"),
            RunEvent::LeaseNotReleased { error } => warn!(
                "lease not released; it expires within {} s: {error}",
                lease::DURATION.as_secs()
            ),
            RunEvent::LoadsRead { samples } => info!(samples, "Prometheus answered"),
            RunEvent::WorkloadRead { pods } => info!(pods, "Kubernetes answered"),
            RunEvent::GroupRead {
                owned_partitions: 0,
            } => warn!("no partition of the consumer group has a known owner"),
            RunEvent::GroupRead { owned_partitions } => {
                info!(owned_partitions, "consumer group read");
            }
            RunEvent::GroupUnknown { error } => warn!("consumer group not read: {error}"),
            RunEvent::AutoscalersUnknown { error } => warn!("autoscalers not read: {error}"),
            RunEvent::AutoscalerChosenByName(autoscaler) => warn!("{autoscaler} (HPA_PREFIX)"),
            RunEvent::BudgetsUnknown { error } => warn!(
                "PodDisruptionBudgets not read, so each eviction of the dry run is checked alone: \
                 {error}"
            ),
            RunEvent::ObserveFailed { error, .. } => observe_failed(error),
            RunEvent::Decided(decision) => decided(decision, self.shows_decision),
            RunEvent::Held(held) => self::held(held),
            RunEvent::EvictionAnswered {
                victim,
                answer,
                dry_run,
            } => eviction_answered(victim, answer, *dry_run),
            RunEvent::ReplacementsPending { ready, wanted } if !self.line.is_on() => info!(
                ready,
                wanted, "waiting for replacements: {ready} of {wanted} pods are ready"
            ),
            RunEvent::PortFailed { error } => error!(kind = error.kind.as_str(), "{error}"),
            RunEvent::Paused(duration) => debug!(seconds = duration.as_secs_f64(), "waiting"),
            RunEvent::Executed(report) => executed(report),
            RunEvent::HandOverStarted { work } => match work {
                HandoverWork::Moves(moves) => {
                    info!(moves, "handing out the assignment to the group");
                }
                HandoverWork::Rejoins(members) => {
                    info!(members, "letting members rejoin the group");
                }
            },
            RunEvent::Waiting(wait) if !self.line.is_on() => {
                let seconds = wait.elapsed.as_secs_f64();
                if let WaitReason::HandOver(stage) = wait.reason {
                    info!(seconds, "hand-over: {stage}");
                } else if let WaitReason::Rejoin(stage) = wait.reason {
                    info!(seconds, "rejoin: {stage}");
                }
            }
            RunEvent::HandedOver(report) => handed_over(report),
            RunEvent::StaticMemberSettled(report) => static_member(report),
            RunEvent::JournalFailed { write, error } => journal_failed(*write, error),
            RunEvent::FollowUpStarted { limit } => info!(
                seconds = limit.as_secs(),
                "waiting for the group to settle, to compare the outcome with the forecast"
            ),
            RunEvent::NotSettled { reason } => debug!(why = reason, "group not settled yet"),
            RunEvent::FollowedUp(follow_up) => followed_up(follow_up),
            // Shown by the terminal line, or logged with a later event.
            RunEvent::Waiting(_)
            | RunEvent::WaitEnded
            | RunEvent::Observed(_)
            | RunEvent::EvictionRequested { .. }
            | RunEvent::ReplacementsPending { .. } => {}
            // Events of a later version of the driver.
            _ => {}
        }
    }
}

fn observe_failed(error: &ObserveError) {
    error!("{error}{}", hints::of_error(error));
    log_causes(error);
}

/// Logs a decision: the analysis, each check and pod at debug level, and the result.
/// With `is_shown`, the sentences are shown elsewhere, and logged at debug level only.
pub(crate) fn decided(decision: &Decision, is_shown: bool) {
    let analysis = &decision.analysis;
    info!(
        pod_count = analysis.pods,
        eligible = analysis.eligible,
        avg_cpu = analysis.mean,
        cpu_variance = analysis.variance,
        max_cpu = analysis.max,
        target = analysis.target,
        threshold = analysis.threshold,
        rebalance_needed = decision.hold_reason().is_none(),
        "CPU analysis completed"
    );
    if enabled!(Level::DEBUG) {
        for check in &decision.checks {
            debug!(verdict = ?check.verdict, detail = check.message, "check");
        }
        decision.pods.iter().for_each(assessed);
        let moves = decision
            .assignment()
            .into_iter()
            .flat_map(AssignmentPlan::moves);
        for moved in moves {
            debug!(
                topic = moved.topic,
                partition = moved.partition,
                from = moved.from,
                to = moved.to,
                load = moved.load,
                "move"
            );
        }
        for planned in decision.rejoin().into_iter().flat_map(RejoinPlan::pods) {
            debug!(pod = planned.pod, load = planned.load, "rejoin");
        }
    }
    for note in decision.group.iter().flat_map(|group| &group.notes) {
        info!("consumer group: {note}");
    }
    if let Some(reason) = &decision.fallback {
        warn!("{reason}");
    }
    let hint = hints::of_decision(decision);
    if is_shown {
        debug!("decision: {}{hint}", decision.message);
        return;
    }
    match decision.hold_reason() {
        None => {
            let verb = decision.verb().unwrap_or_default();
            info!("{verb}: {}", decision.message);
        }
        Some(reason) if reason.fails() => {
            warn!(reason = reason.as_str(), "hold: {}{hint}", decision.message);
        }
        Some(reason) => {
            info!(reason = reason.as_str(), "hold: {}{hint}", decision.message);
        }
    }
    if let Some(plan) = approval::waiting(decision) {
        let command = plan.approval_command(&decision.workload);
        info!(id = plan.id, expires = %plan.expires, "to approve the plan: {command}");
    }
    for check in decision.other_missing_data() {
        let hint = hints::of_check(check);
        let message = &check.message;
        warn!("another check failed: {message}{hint}");
    }
}

fn held(held: &HeldSince) {
    let HeldSince { since, runs, .. } = held;
    let hint = hints::of_held(held);
    if held.alert {
        warn!(%since, runs, "{held}{hint}");
    } else if !held.is_first() {
        info!(%since, runs, "{held}");
    }
}

fn assessed(pod: &PodAssessment) {
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

fn eviction_answered(victim: &Victim, answer: &EvictionAnswer, dry_run: bool) {
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
        // A field named `message` would replace the text of the event.
        detail,
        "eviction answered"
    );
}

fn executed(report: &ExecutionReport) {
    for pod in report.pods.iter().filter(|pod| !pod.outcome.is_success()) {
        warn!(
            pod = pod.name,
            uid = pod.uid.0,
            outcome = pod.outcome.as_str(),
            detail = pod.message,
            "pod not evicted"
        );
    }
    let waiting = report.pods.iter();
    for pod in waiting.filter(|pod| pod.outcome == PodOutcome::WouldWait) {
        info!(
            pod = pod.name,
            uid = pod.uid.0,
            outcome = pod.outcome.as_str(),
            detail = pod.message,
            "pod would wait for its eviction"
        );
    }
    let hint = hints::of_execution(report);
    match report.outcome {
        ExecutionOutcome::Completed => info!("{}{hint}", report.message),
        ExecutionOutcome::Incomplete => warn!("{}{hint}", report.message),
    }
}

fn handed_over(report: &HandoverDocument) {
    let HandoverDocument {
        outcome,
        planned,
        rejoins,
        returned,
        moved,
        rebalances,
        seconds,
        message,
        ..
    } = report;
    let planned = rejoins.is_none().then_some(*planned);
    let (outcome, seconds) = (outcome.as_str(), seconds.get());
    let hint = hints::of_hand_over(report);
    match report.outcome {
        HandoverResult::Assigned | HandoverResult::Rejoined => {
            info!(
                outcome,
                planned, rejoins, returned, moved, rebalances, seconds, "{message}{hint}"
            );
        }
        HandoverResult::NotKept | HandoverResult::Abandoned => {
            warn!(
                outcome,
                planned, rejoins, returned, moved, rebalances, seconds, "{message}{hint}"
            );
        }
    }
}

fn static_member(report: &StaticMemberReport) {
    let sentence = match report.outcome {
        StaticMemberOutcome::Removed => "static member of an evicted pod removed from the group",
        StaticMemberOutcome::WouldRemove => {
            "static member of the pod would be removed from the group"
        }
        StaticMemberOutcome::AlreadyGone => "static member of an evicted pod has left the group",
        StaticMemberOutcome::Kept => "static member of an evicted pod not removed from the group",
        StaticMemberOutcome::Failed => {
            warn!(
                instance = report.instance,
                pod = report.pod,
                outcome = report.outcome.as_str(),
                detail = report.message,
                "static member of an evicted pod not removed, so its partitions wait for its \
                 session timeout"
            );
            return;
        }
    };
    info!(
        instance = report.instance,
        pod = report.pod,
        outcome = report.outcome.as_str(),
        detail = report.message,
        "{sentence}"
    );
}

fn journal_failed(write: JournalWrite, error: &PortError) {
    let what = match write {
        JournalWrite::Event => "publish an event",
        JournalWrite::Rotation => {
            "keep the rotation in the annotation rebalancer.io/last-rotation (the cooldown is \
             taken from the ages of the pods instead, and a rotation that does not help is not \
             noticed)"
        }
    };
    if error.kind == PortErrorKind::Forbidden {
        info!("may not {what}: {error}");
    } else {
        warn!("could not {what}: {error}");
    }
}

fn followed_up(follow_up: &FollowUp) {
    let as_forecast = follow_up
        .outcome
        .and_then(|outcome| outcome.is_as_forecast());
    // A better outcome than the forecast is a warning too: the model does not fit.
    if as_forecast == Some(false) {
        warn!("{}", follow_up.message);
    } else {
        info!("{}", follow_up.message);
    }
}
