//! The rules that must hold in every simulated world.

use std::collections::HashSet;
use std::time::Duration;

use rebalancer_core::Snapshot;
use rebalancer_core::decision::{Decision, HoldReason};
use rebalancer_core::execution::{
    ExecutionOutcome, ExecutionReport, PodOutcome, StopCause, StopReason,
};
use rebalancer_core::lease;
use rebalancer_core::model::{Load, LoadUnit, PodUid, Rollout};
use rebalancer_core::plan::Plan;
use rebalancer_core::ports::{EvictionAnswer, LeaseState, PodState};
use rebalancer_core::report::WorkloadReport;
use rebalancer_sim::faults::{EvictionRequest, REQUEST_TIMEOUT, TraceEvent, TraceRecord};

use crate::broken::{Broken, keep};
use crate::draw::Scenario;
use crate::hand_over;
use crate::run::{End, RunStory, Story, leaving, longest_run};

pub(crate) fn check(scenario: &Scenario, story: &Story) -> Result<(), Broken> {
    for request in &story.requests {
        effects(scenario, request)?;
    }
    not_evicted_twice(&story.requests)?;
    let mut used = HashSet::new();
    for (number, run) in story.runs.iter().enumerate() {
        let requests: Vec<&EvictionRequest> = story
            .requests
            .iter()
            .filter(|request| request.run == number)
            .collect();
        let trace: Vec<&TraceRecord> = story
            .trace
            .iter()
            .filter(|traced| traced.run == number)
            .collect();
        ends_in_time(scenario, run, &requests)?;
        not_frozen(scenario, run, &requests)?;
        asked_for_once(&requests)?;
        looked_before(scenario, &story.requests, &trace)?;
        approved(scenario, &requests, &trace, &mut used)?;
        if scenario.abilities.lease {
            leased(number, run, &story.requests, &trace)?;
        }
        if let Some(end) = &run.end {
            report_is_true(scenario, run, end, &requests, &trace)?;
        }
    }
    hand_over::check(scenario, story)
}

/// Checks the effects of an eviction on the workload.
fn effects(scenario: &Scenario, request: &EvictionRequest) -> Result<(), Broken> {
    keep(
        request.dry_run == scenario.execution.dry_run,
        "a dry run asks for dry runs, and nothing else does",
        || format!("{request:?}"),
    )?;
    let Some(effect) = &request.effect else {
        return Ok(());
    };
    keep(!request.dry_run, "a dry run changes nothing", || {
        format!("{request:?}")
    })?;
    if !effect.was_ready {
        return Ok(());
    }
    // Pods lost to others between the count and the eviction are not our responsibility.
    let minimum = scenario.policy.minimum_pods.get();
    let taken = usize::try_from(effect.taken_since_count).unwrap_or(usize::MAX);
    keep(
        effect.ready_left.saturating_add(taken) >= minimum,
        "our evictions never leave fewer ready pods than the minimum",
        || format!("of at least {minimum}: {request:?}"),
    )?;
    keep(
        effect
            .budget
            .is_none_or(|budget| effect.ready_left >= budget),
        "no budget is exceeded",
        || format!("{request:?}"),
    )
}

/// No pod is evicted twice.
fn not_evicted_twice(requests: &[EvictionRequest]) -> Result<(), Broken> {
    let mut evicted = HashSet::new();
    for request in requests.iter().filter(|request| request.effect.is_some()) {
        keep(
            evicted.insert(&request.pod.uid),
            "no pod is evicted twice",
            || format!("{request:?}"),
        )?;
    }
    Ok(())
}

/// The run ends in time, and does nothing after a stop request.
fn ends_in_time(
    scenario: &Scenario,
    run: &RunStory,
    requests: &[&EvictionRequest],
) -> Result<(), Broken> {
    let took = run.ended.saturating_sub(run.began);
    keep(took <= longest_run(scenario), "every run ends", || {
        format!("it took {took:?}")
    })?;
    let Some((stopped, cause)) = run.stopped else {
        return Ok(());
    };
    // A read times out after five seconds, which can take longer for a process that oversleeps. The
    // response to a sent eviction is awaited first, and the pod is read once more. Then the lease
    // is released and the journal is written.
    let mut allowance = if scenario.oversleeps() {
        REQUEST_TIMEOUT
    } else {
        Duration::from_secs(6)
    };
    let evicting = |request: &EvictionRequest| {
        request.begun <= stopped && request.answered.is_none_or(|answered| answered >= stopped)
    };
    if requests.iter().any(|request| evicting(request)) {
        allowance += REQUEST_TIMEOUT;
    }
    if scenario.assigns() {
        allowance += leaving(scenario);
    }
    if scenario.abilities.lease {
        let words = u32::try_from(scenario.most_victims()).unwrap_or(u32::MAX);
        allowance += REQUEST_TIMEOUT * (4 + words);
    }
    keep(
        run.ended <= stopped + allowance,
        "a stop request ends the run soon",
        || format!("asked at {stopped:?} ({cause:?}), ended at {:?}", run.ended),
    )?;
    match requests.iter().find(|request| request.begun > stopped) {
        Some(request) => Err((
            "nothing is evicted after a stop",
            format!("asked to stop at {stopped:?}: {request:?}"),
        )),
        None => Ok(()),
    }
}

/// Nothing is evicted in a freeze window, and `frozen` is reported only then.
fn not_frozen(
    scenario: &Scenario,
    run: &RunStory,
    requests: &[&EvictionRequest],
) -> Result<(), Broken> {
    for request in requests {
        let window = scenario.frozen(request.begun);
        keep(
            window.is_none(),
            "nothing is evicted in a freeze window",
            || format!("{window:?}: {request:?}"),
        )?;
    }
    let end = run.end.as_ref().map(|end| &end.report);
    let execution = end.and_then(WorkloadReport::execution);
    let stopped = execution.and_then(|execution| execution.stopped);
    let held = match end {
        Some(WorkloadReport::Decided(decided)) => decided.decision.hold_reason(),
        Some(WorkloadReport::Failed(_)) | None => None,
    };
    let mut minutes =
        (run.began.as_secs() / 60..=run.ended.as_secs() / 60).map(|m| Duration::from_secs(60 * m));
    keep(
        (stopped != Some(StopReason::Frozen) && held != Some(HoldReason::FROZEN))
            || minutes.any(|minute| scenario.frozen(minute).is_some()),
        "a reported freeze window was active",
        || format!("from {:?} to {:?}: {stopped:?}", run.began, run.ended),
    )
}

/// If plans need approval, a run acts only after it has used the approval of its plan, and no
/// approval is used twice. `used` are the approvals of earlier runs.
fn approved(
    scenario: &Scenario,
    requests: &[&EvictionRequest],
    trace: &[&TraceRecord],
    used: &mut HashSet<String>,
) -> Result<(), Broken> {
    if scenario.approval.is_none() || scenario.execution.dry_run {
        return Ok(());
    }
    let mut approved = None;
    for traced in trace {
        if let TraceEvent::ApprovalUsed(id, pods) = &traced.what {
            keep(used.insert(id.clone()), "an approval is used once", || {
                id.clone()
            })?;
            approved = Some((traced.at, pods));
        }
        keep(
            traced.what != TraceEvent::GroupRequested || approved.is_some(),
            "partitions move only after an approval",
            || format!("{traced:?}"),
        )?;
    }
    for request in requests {
        let is_approved =
            approved.is_some_and(|(at, pods)| at <= request.begun && pods.contains(&request.pod));
        keep(
            is_approved,
            "only pods of an approved plan are evicted",
            || format!("{approved:?}: {request:?}"),
        )?;
    }
    Ok(())
}

/// An eviction is repeated only after a response that proves that nothing happened. After a
/// response that forbids all evictions, there are none.
fn asked_for_once(requests: &[&EvictionRequest]) -> Result<(), Broken> {
    for (index, request) in requests.iter().enumerate() {
        let forbidden = requests[..index]
            .iter()
            .find(|before| matches!(before.answer, Some(EvictionAnswer::Forbidden { .. })));
        keep(
            forbidden.is_none(),
            "nothing is evicted after it was forbidden",
            || format!("{forbidden:?}, and then {request:?}"),
        )?;
        let again = requests[..index]
            .iter()
            .rev()
            .find(|before| before.pod.uid == request.pod.uid);
        let Some(before) = again else { continue };
        let certain = matches!(
            before.answer,
            Some(EvictionAnswer::Blocked { .. } | EvictionAnswer::Throttled { .. })
        );
        keep(
            certain,
            "an eviction is repeated only if the last one certainly had no effect",
            || format!("{before:?}, and then {request:?}"),
        )?;
    }
    Ok(())
}

/// Right before an eviction, the pod was read and found ready, and then enough ready pods were
/// counted.
fn looked_before(
    scenario: &Scenario,
    requests: &[EvictionRequest],
    trace: &[&TraceRecord],
) -> Result<(), Broken> {
    let rule = "a pod is evicted right after it was read and the ready pods were counted";
    let minimum = scenario.policy.minimum_pods.get();
    let looks: Vec<&TraceRecord> = trace
        .iter()
        .copied()
        .filter(|traced| {
            !matches!(
                traced.what,
                TraceEvent::Lease(_)
                    | TraceEvent::Released
                    | TraceEvent::GroupRequested
                    | TraceEvent::ApprovalUsed(..)
            )
        })
        .collect();
    for (index, traced) in looks.iter().enumerate() {
        let TraceEvent::Requested(request_index) = traced.what else {
            continue;
        };
        let Some(request) = requests.get(request_index) else {
            continue;
        };
        let looks = index.checked_sub(2).map(|from| &looks[from..index]);
        let Some([read, counted]) = looks else {
            return Err((rule, format!("{request:?} was not preceded by a read")));
        };
        let found = match &read.what {
            TraceEvent::PodRead(pod, PodState::Present { ready: true }) => *pod == request.pod,
            TraceEvent::PodRead(..)
            | TraceEvent::Observed
            | TraceEvent::ReadyCounted { .. }
            | TraceEvent::WorkloadRead { .. }
            | TraceEvent::Requested(_)
            | TraceEvent::GroupRequested
            | TraceEvent::ApprovalUsed(..)
            | TraceEvent::Lease(_)
            | TraceEvent::Released => false,
        };
        // Lost evictions of ours that take effect after the count.
        let on_their_way = requests
            .iter()
            .filter(|other| other.run == request.run && other.begun < request.begun)
            .filter_map(|other| other.effect.as_ref())
            .filter(|effect| effect.was_ready && effect.at > counted.at)
            .count();
        let enough = match counted.what {
            TraceEvent::ReadyCounted { reported, .. } => reported > minimum + on_their_way,
            TraceEvent::PodRead(..)
            | TraceEvent::Observed
            | TraceEvent::WorkloadRead { .. }
            | TraceEvent::Requested(_)
            | TraceEvent::GroupRequested
            | TraceEvent::ApprovalUsed(..)
            | TraceEvent::Lease(_)
            | TraceEvent::Released => false,
        };
        keep(found && enough, rule, || {
            format!("{request:?} came after {read:?} and {counted:?}")
        })?;
    }
    Ok(())
}

/// Evictions happen, and hand-overs and rejoins begin, only while the run holds the lease and knows
/// it.
fn leased(
    number: usize,
    run: &RunStory,
    requests: &[EvictionRequest],
    trace: &[&TraceRecord],
) -> Result<(), Broken> {
    let mut held: Option<Duration> = None;
    let mut refused = false;
    let mut acts_on_group = false;
    let safe = lease::DURATION.saturating_sub(REQUEST_TIMEOUT);
    for traced in trace {
        match &traced.what {
            TraceEvent::Lease(LeaseState::Held) => held = Some(traced.begun),
            TraceEvent::Lease(LeaseState::HeldBy(_)) => {
                refused |= held.is_none();
                held = None;
            }
            TraceEvent::Released => held = None,
            TraceEvent::Requested(request_index) => {
                let Some(request) = requests.get(*request_index) else {
                    continue;
                };
                keep(
                    // A dry run changes nothing, so it needs no lease.
                    request.dry_run || held.is_some_and(|since| request.begun <= since + safe),
                    "a run evicts only while it holds the lease for long enough",
                    || format!("held since {held:?}: {request:?}"),
                )?;
                let holder = request
                    .effect
                    .as_ref()
                    .and_then(|effect| effect.holder.as_deref());
                keep(
                    holder.is_none_or(|holder| holder == format!("run-{number}")),
                    "no eviction takes effect under another run's lease",
                    || format!("{request:?}"),
                )?;
            }
            // A hand-over that has begun ends in a settled group, also if the lease is lost
            // meanwhile.
            TraceEvent::GroupRequested if acts_on_group => {}
            TraceEvent::GroupRequested => {
                acts_on_group = true;
                keep(
                    held.is_some_and(|since| traced.begun <= since + safe),
                    "a hand-over or a rejoin begins only while the run holds the lease for long enough",
                    || format!("held since {held:?}: {traced:?}"),
                )?;
            }
            TraceEvent::Observed
            | TraceEvent::PodRead(..)
            | TraceEvent::ReadyCounted { .. }
            | TraceEvent::ApprovalUsed(..)
            | TraceEvent::WorkloadRead { .. } => {}
        }
    }
    if let (
        true,
        Some(End {
            report: WorkloadReport::Decided(decided),
            ..
        }),
    ) = (refused, &run.end)
    {
        let reason = decided.decision.hold_reason().map(|reason| reason.as_str());
        keep(
            reason == Some("another_run"),
            "a run that finds another run's lease holds",
            || format!("it came to {reason:?}"),
        )?;
    }
    Ok(())
}

/// The report matches the observed facts.
fn report_is_true(
    scenario: &Scenario,
    run: &RunStory,
    end: &End,
    requests: &[&EvictionRequest],
    trace: &[&TraceRecord],
) -> Result<(), Broken> {
    let decided = match &end.report {
        WorkloadReport::Decided(decided) => decided,
        WorkloadReport::Failed(failed) => {
            return keep(
                requests.is_empty(),
                "a run that could not observe evicts nothing",
                || failed.error.clone(),
            );
        }
    };
    let (Some(plan), Some(execution)) = (decided.decision.plan(), &decided.execution) else {
        keep(
            decided.decision.plan().is_none() && decided.execution.is_none(),
            "a plan is executed, and nothing else",
            || decided.decision.message.clone(),
        )?;
        return keep(
            requests.is_empty(),
            "a run that holds evicts nothing",
            || format!("{}: {requests:?}", decided.decision.message),
        );
    };
    within_plan(scenario, plan, execution, requests)?;
    victims(run, end, execution, requests)?;
    if let Some(snapshot) = &end.snapshot {
        allowed(scenario, &decided.decision, snapshot)?;
        if !scenario.execution.dry_run {
            waves(plan, execution, snapshot, requests, trace)?;
        }
    }
    let back = !matches!(
        execution.stopped,
        Some(StopReason::ReadyTimeout | StopReason::ReplacementFailed)
    );
    let complete = back && execution.pods.iter().all(|pod| pod.outcome.is_success());
    keep(
        complete == (execution.outcome == ExecutionOutcome::Completed),
        "an execution is complete when every victim is gone and the replacements are ready",
        || execution.message.clone(),
    )?;
    let asked = run.stopped.map(|(_, cause)| cause);
    for (reason, cause) in [
        (StopReason::Stopped, StopCause::Signal),
        (StopReason::RunTimeout, StopCause::RunTimeout),
    ] {
        keep(
            execution.stopped != Some(reason) || asked == Some(cause),
            "a reported stop was requested",
            || execution.message.clone(),
        )?;
    }
    // A coldest pod without an evicted hottest pod has its own reason.
    let waiting = execution
        .pods
        .iter()
        .any(|pod| pod.outcome == PodOutcome::NotAttempted && pod.message.is_none());
    keep(
        !waiting || execution.stopped.is_some(),
        "a skipped victim has a reason",
        || execution.message.clone(),
    )
}

/// No pod outside the plan is evicted, and the plan is not larger than allowed.
fn within_plan(
    scenario: &Scenario,
    plan: &Plan,
    execution: &ExecutionReport,
    requests: &[&EvictionRequest],
) -> Result<(), Broken> {
    for request in requests {
        let planned = plan
            .victims()
            .iter()
            .any(|victim| victim.reference() == request.pod);
        keep(planned, "nothing outside the plan is touched", || {
            format!("{request:?}")
        })?;
    }
    let most = scenario.policy.max_evictions.unwrap_or(usize::MAX);
    let victims = plan.victims().len();
    keep(
        victims <= most && victims <= scenario.most_victims(),
        "a plan is no larger than the policy allows",
        || format!("{victims} victims"),
    )?;
    let reported = execution.pods.iter().map(|pod| &pod.uid);
    keep(
        reported.eq(plan.victims().iter().map(|victim| &victim.uid)),
        "every victim is reported, in order",
        || execution.message.clone(),
    )
}

/// Victims are eligible pods, and the minimum number of pods exists before the first eviction.
fn allowed(scenario: &Scenario, decision: &Decision, snapshot: &Snapshot) -> Result<(), Broken> {
    let Some(plan) = decision.plan() else {
        return Ok(());
    };
    let cores = matches!(snapshot.load_unit(), LoadUnit::Cores);
    for victim in plan.victims() {
        let pod = snapshot.pods().iter().find(|pod| pod.uid == victim.uid);
        keep(
            pod.is_some_and(|pod| pod.serves() && pod.opted_out.is_none() && pod.load().is_some()),
            "only ready, measured pods that did not opt out are planned",
            || format!("{pod:?}"),
        )?;
        let stopped = pod.is_some_and(|pod| cores && pod.load() == Some(Load::ZERO));
        keep(
            !stopped,
            "no pod whose counter has stopped is planned",
            || format!("{pod:?}"),
        )?;
    }
    let duplicates = snapshot.pods().iter().find(|pod| {
        let duplicates = pod.measurement.duplicate_series();
        pod.owned && duplicates.is_some()
    });
    keep(
        duplicates.is_none(),
        "nothing is planned on loads that are counted twice",
        || format!("{duplicates:?}"),
    )?;
    let templates: HashSet<&str> = snapshot
        .pods()
        .iter()
        .filter(|pod| pod.owned && !pod.terminating && pod.opted_out.is_none())
        .filter_map(|pod| pod.template.as_deref())
        .collect();
    keep(
        templates.len() <= 1,
        "nothing is planned while the pods have different templates",
        || format!("{templates:?}"),
    )?;
    for pod in snapshot.pods().iter().filter(|pod| pod.terminating) {
        let deletion = pod.deletion.as_ref();
        let overdue = deletion.and_then(|deletion| deletion.overdue_seconds);
        keep(
            !pod.ready && overdue.is_some_and(|overdue| overdue.get() >= 300.0),
            "nothing is planned while a pod is terminating, unless it is stuck",
            || format!("{pod:?}"),
        )?;
    }
    let minimum = scenario.policy.minimum_pods.get();
    keep(
        snapshot.ready() >= minimum.saturating_add(plan.largest_wave()),
        "no wave is planned that would violate the minimum",
        || decision.message.clone(),
    )
}

/// The reported outcome of each victim matches its state.
fn victims(
    run: &RunStory,
    end: &End,
    execution: &ExecutionReport,
    requests: &[&EvictionRequest],
) -> Result<(), Broken> {
    let rule = "the reported outcome of each victim is correct";
    for (pod, (uid, state)) in execution.pods.iter().zip(&end.victims) {
        let of_pod: Vec<&&EvictionRequest> = requests
            .iter()
            .filter(|request| request.pod.uid == *uid)
            .collect();
        // By the end of the run or after it, because a lost request may take effect late.
        let effect = of_pod.iter().any(|request| request.effect.is_some());
        let lost = of_pod
            .iter()
            .any(|request| matches!(request.answer, Some(EvictionAnswer::Unknown { .. })));
        let out = matches!(state, PodState::Gone | PodState::Terminating);
        let correct = match pod.outcome {
            PodOutcome::Evicted if execution.dry_run => !of_pod.is_empty(),
            PodOutcome::Evicted => !of_pod.is_empty() && out,
            PodOutcome::AlreadyGone => out && !effect,
            PodOutcome::WouldWait => {
                execution.dry_run
                    && of_pod.last().is_some_and(|request| {
                        matches!(request.answer, Some(EvictionAnswer::Evicted))
                    })
            }
            PodOutcome::Blocked => {
                !effect
                    && of_pod.last().is_some_and(|request| {
                        matches!(request.answer, Some(EvictionAnswer::Blocked { .. }))
                    })
            }
            PodOutcome::Failed => !effect && !lost,
            PodOutcome::NotAttempted => of_pod.is_empty(),
            PodOutcome::Unknown => lost,
        };
        keep(correct, rule, || {
            format!(
                "{pod:?} was {state:?} when the run ended at {:?}: {of_pod:?}",
                run.ended
            )
        })?;
    }
    Ok(())
}

/// A wave begins only when the previous one succeeded, its replacements are ready, and the workload
/// has not changed meanwhile.
fn waves(
    plan: &Plan,
    execution: &ExecutionReport,
    snapshot: &Snapshot,
    requests: &[&EvictionRequest],
    trace: &[&TraceRecord],
) -> Result<(), Broken> {
    let rule = "a wave begins only when the previous one succeeded and its replacements are ready";
    let wave_of = |uid: &PodUid| {
        plan.victims()
            .iter()
            .find(|victim| victim.uid == *uid)
            .map_or(0, |victim| victim.wave)
    };
    let mut last: Option<&EvictionRequest> = None;
    for request in requests {
        let wave = wave_of(&request.pod.uid);
        let Some(before) = last.replace(request) else {
            continue;
        };
        if wave_of(&before.pod.uid) == wave {
            continue;
        }
        let succeeded = execution
            .pods
            .iter()
            .filter(|pod| wave_of(&pod.uid) < wave)
            .all(|pod| pod.outcome.is_success());
        let all_ready = trace.iter().any(|traced| {
            traced.begun >= before.begun
                && traced.at <= request.begun
                && match &traced.what {
                    TraceEvent::WorkloadRead { ready, rollout } => {
                        *ready >= snapshot.ready()
                            && same_specification(snapshot.data().rollout, *rollout)
                    }
                    TraceEvent::Observed
                    | TraceEvent::PodRead(..)
                    | TraceEvent::ReadyCounted { .. }
                    | TraceEvent::Requested(_)
                    | TraceEvent::GroupRequested
                    | TraceEvent::ApprovalUsed(..)
                    | TraceEvent::Lease(_)
                    | TraceEvent::Released => false,
                }
        });
        keep(succeeded && all_ready, rule, || {
            format!("{request:?} came after {before:?}")
        })?;
    }
    Ok(())
}

fn same_specification(before: Option<Rollout>, now: Option<Rollout>) -> bool {
    match (before, now) {
        (Some(before), Some(now)) => {
            before.generation == now.generation && before.desired == now.desired
        }
        (None, _) | (_, None) => true,
    }
}
