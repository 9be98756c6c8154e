//! Executes a scenario: the real driver in virtual time.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use rebalancer_core::Snapshot;
use rebalancer_core::execution::StopCause;
use rebalancer_core::group::RebalanceProtocol;
use rebalancer_core::handover::HandoverLimits;
use rebalancer_core::model::PodUid;
use rebalancer_core::ports::{DescribedGroup, PodState};
use rebalancer_core::report::WorkloadReport;
use rebalancer_driver::{NoObserver, Ports, Stop, WorkloadRun, run_workload};
use rebalancer_sim::SimWorld;
use rebalancer_sim::faults::{EvictionRequest, FaultyPorts, RunLimits, TraceRecord, VirtualTime};

use crate::draw::{Begin, RunPlan, Scenario};

/// The record of a world.
#[derive(Debug)]
pub(crate) struct Story {
    pub(crate) runs: Vec<RunStory>,
    pub(crate) requests: Vec<EvictionRequest>,
    pub(crate) trace: Vec<TraceRecord>,
    /// The group after a time without disturbances; only if assignments are handed out.
    pub(crate) group: Option<GroupStory>,
}

/// The record of the group.
#[derive(Debug)]
pub(crate) struct GroupStory {
    /// Actions of hand-overs that are not allowed.
    pub(crate) violations: Vec<String>,
    /// The number of rebalances while hand-overs were under way.
    pub(crate) rebalances: u32,
    /// The group at the end.
    pub(crate) described: DescribedGroup,
    /// The partitions without a consumer at the end.
    pub(crate) unowned: Vec<usize>,
}

/// The record of a run. Times are durations since the start of the world.
#[derive(Debug)]
pub(crate) struct RunStory {
    pub(crate) began: Duration,
    pub(crate) ended: Duration,
    /// Time and cause of the stop request.
    pub(crate) stopped: Option<(Duration, StopCause)>,
    /// The end of the run; `None` if its process died.
    pub(crate) end: Option<End>,
}

/// The end of a run.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) report: WorkloadReport,
    pub(crate) snapshot: Option<Snapshot>,
    /// The states of the victims at the end.
    pub(crate) victims: Vec<(PodUid, PodState)>,
    /// The members of runs in the group at the end.
    pub(crate) own_members: Vec<String>,
    /// The pods that the coordinator has assigned the partitions to at the end. A consumer learns
    /// of it when it polls.
    pub(crate) assigned: BTreeMap<u32, String>,
}

/// The ids of the members of runs.
pub(crate) fn own_members(group: &DescribedGroup) -> Vec<String> {
    let labels = group.members.iter().map(|member| &member.labels);
    labels
        .filter(|labels| labels.client_id.as_deref() == Some("rebalancer"))
        .map(|labels| labels.member_id.clone().unwrap_or_default())
        .collect()
}

/// The pods that the coordinator has assigned the partitions to.
fn assigned(group: &DescribedGroup) -> BTreeMap<u32, String> {
    let mut assigned = BTreeMap::new();
    for member in &group.members {
        let client = member.labels.client_id.as_deref();
        let Some(pod) = client.and_then(|client| client.strip_prefix("consumer-")) else {
            continue;
        };
        let owned = member.owned.iter();
        assigned.extend(owned.map(|(_, number)| (*number, pod.to_owned())));
    }
    assigned
}

/// Time after the last run in which all late effects occur.
const AFTERMATH: Duration = Duration::from_secs(60);

/// Time without disturbances after which a group must be at rest: pods have started, sessions have
/// ended.
const REST: Duration = Duration::from_secs(900);

pub(crate) fn play(scenario: &Scenario) -> Result<Story, (&'static str, String)> {
    let world = SimWorld::new(scenario.config.clone())
        .map_err(|error| ("a world can be made", error.to_string()))?;
    let time = VirtualTime::new(world.clone());
    let runs = time
        .run(play_runs(scenario, &world, &time), bounds(scenario))
        .map_err(|endless| ("every run ends", endless.to_string()))?;
    world.advance(AFTERMATH);
    let group = scenario.assigns().then(|| {
        world.end_disturbances();
        world.advance(REST);
        let partitions = world.partitions().into_iter().enumerate();
        GroupStory {
            violations: world.handover_violations(),
            rebalances: world.handover_rebalances(),
            described: world.described_group(),
            unowned: partitions
                .filter_map(|(number, partition)| partition.owner.is_none().then_some(number))
                .collect(),
        }
    });
    Ok(Story {
        runs,
        group,
        requests: world.requests(),
        trace: world.trace(),
    })
}

/// Time limits for all runs together.
fn bounds(scenario: &Scenario) -> RunLimits {
    let time = scenario.runs.iter().fold(Duration::ZERO, |sum, run| {
        let (Begin::At(begins) | Begin::After(begins)) = run.begins;
        sum + begins + longest_run(scenario)
    });
    // A read of the workload takes three timers and happens every two seconds.
    let steps = usize::try_from(time.as_secs()).unwrap_or(usize::MAX);
    RunLimits {
        steps: if scenario.assigns() {
            // Every response of the coordinator is a step.
            steps.saturating_mul(3).saturating_add(50_000)
        } else {
            steps.saturating_mul(3).saturating_add(2000)
        },
        time,
    }
}

/// The longest possible run: every call takes until its timeout.
pub(crate) fn longest_run(scenario: &Scenario) -> Duration {
    let request = rebalancer_sim::faults::REQUEST_TIMEOUT;
    let victims = u32::try_from(scenario.most_victims()).unwrap_or(u32::MAX);
    // Read, count, evict, read again, plus lease renewals and journal writes.
    let turn = request * if scenario.abilities.lease { 10 } else { 4 };
    let approval = if scenario.approval.is_some() { 2 } else { 0 };
    // One more round may begin at the end of the eviction timeout, and both waits of a wave may
    // overrun.
    let oversleep = rebalancer_sim::faults::LONGEST_OVERSLEEP * 2;
    let wave = scenario.execution.eviction_timeout_seconds.to_duration()
        + scenario.execution.ready_timeout_seconds.to_duration()
        + turn * victims * 2
        + oversleep
        + request * 2;
    request * (6 + approval) + wave * victims + longest_hand_over(scenario)
}

/// The longest possible hand-over, with what is read and written around it.
fn longest_hand_over(scenario: &Scenario) -> Duration {
    if !scenario.assigns() {
        return Duration::ZERO;
    }
    let limit = HandoverLimits::of(RebalanceProtocol::Cooperative).total;
    limit + leaving(scenario) + rebalancer_sim::faults::REQUEST_TIMEOUT * 3
}

/// The longest time in which a hand-over leaves the group.
pub(crate) fn leaving(scenario: &Scenario) -> Duration {
    let oversleeps = if scenario.oversleeps() { 6 } else { 0 };
    Duration::from_secs(60) + rebalancer_sim::faults::LONGEST_OVERSLEEP * oversleeps
}

async fn play_runs(scenario: &Scenario, world: &SimWorld, time: &VirtualTime) -> Vec<RunStory> {
    let mut runs = scenario.runs.iter().copied().enumerate();
    let Some((first, plan)) = runs.next() else {
        return Vec::new();
    };
    let one = play_run(scenario, world, time, first, plan);
    match runs.next() {
        None => vec![one.await],
        Some((second, plan)) => match plan.begins {
            Begin::After(pause) => {
                let one = one.await;
                time.sleep(pause).await;
                vec![one, play_run(scenario, world, time, second, plan).await]
            }
            Begin::At(begins) => {
                let other = async {
                    time.sleep(begins).await;
                    play_run(scenario, world, time, second, plan).await
                };
                let (one, other) = tokio::join!(one, other);
                vec![one, other]
            }
        },
    }
}

async fn play_run(
    scenario: &Scenario,
    world: &SimWorld,
    time: &VirtualTime,
    number: usize,
    plan: RunPlan,
) -> RunStory {
    let faulty = FaultyPorts::new(world, time, number);
    let coordinator = faulty.coordinator();
    let ports = Ports {
        metrics: &faulty,
        group: Some(&faulty),
        actuator: &faulty,
        coordinator: scenario.assigns().then_some(&coordinator as _),
        clock: &faulty,
        lease: scenario.abilities.lease.then_some(&faulty as _),
        journal: Some(&faulty),
        observer: &NoObserver,
    };
    let (handle, stop) = Stop::channel();
    let began = time.elapsed();
    let mut stopped = None;
    let settings = scenario.run_settings();
    let run = async {
        let WorkloadRun { report, snapshot } = run_workload(ports, &settings, &stop).await;
        let victims = match &report {
            WorkloadReport::Decided(decided) => decided.decision.plan(),
            WorkloadReport::Failed(_) => None,
        };
        let victims = victims.map_or_else(Vec::new, |plan| {
            plan.victims()
                .iter()
                .map(|victim| (victim.uid.clone(), world.pod(&victim.reference())))
                .collect()
        });
        let group = world.described_group();
        End {
            report,
            snapshot,
            victims,
            own_members: own_members(&group),
            assigned: assigned(&group),
        }
    };
    let stopper = async {
        if let Some((after, cause)) = plan.stop {
            time.sleep(after).await;
            stopped = Some((time.elapsed(), cause));
            handle.stop(cause);
        }
        std::future::pending::<Infallible>().await
    };
    let killer = async {
        match plan.killed {
            Some(after) => time.sleep(after).await,
            None => std::future::pending().await,
        }
    };
    let end = tokio::select! {
        biased;
        end = run => Some(end),
        never = stopper => match never {},
        () = killer => None,
    };
    RunStory {
        began,
        ended: time.elapsed(),
        stopped,
        end,
    }
}
