//! The execution: a state machine that turns a plan into actions, one event at a time.
//!
//! It does nothing by itself. Whoever drives it asks [`Execution::step`] what to do, does it, and
//! tells [`Execution::handle`] what came of it and when, until the step is [`Step::Done`]:
//!
//! ```text
//! wave ─► read pod ─► count ready ─► evict ─► next victim … ─► wait until ready ─► next wave, or done
//!            │             │           ├─ blocked: try again until the eviction timeout
//!            └─ gone       └─ too few  └─ answer lost: read again, never evict again
//! ```
//!
//! Between any two of them the lease is renewed, where there is one.
//!
//! Rules it keeps, whatever the events:
//! - a pod is evicted only right after it was read (same UID, ready, not terminating) and the
//!   ready pods were counted, and only when the minimum is left without it;
//! - no eviction is repeated unless the server said for certain that the last one had no effect;
//! - the coldest wait for the hottest, and none goes when no hottest could go: alone it is no gain;
//! - a wave that did not work out entirely is the last one, and so is one after which the workload
//!   was changed or its replacements fail;
//! - after a stop nothing is evicted, nor in a freeze window, nor when the lease is lost or not known
//!   to be ours;
//! - every victim ends with an outcome.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::checks::changed_since;
use crate::lease;
use crate::model::{PodFailure, PodUid, Rollout, WorkloadState};
use crate::plan::{Plan, Role, Victim};
use crate::policy::ExecutionPolicy;
use crate::ports::{EvictionAnswer, LeaseState, PodState};
use crate::snapshot::Snapshot;

/// Between two tries of a blocked eviction, unless the server asks for another time; budgets are
/// recomputed by a controller, so trying faster gains nothing.
const BLOCKED_PAUSE: Duration = Duration::from_secs(5);
/// A server that asks to be tried again at once is not.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
/// A server that asks for more patience than this gets no more: the timeout of the wave counts.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Between two looks at the workload while replacements start.
const READY_PAUSE: Duration = Duration::from_secs(2);
/// Between two tries to renew a lease when it could not be told whether it was renewed.
const RENEW_PAUSE: Duration = Duration::from_secs(5);

/// What an execution waits for. The instants are those of its clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// What has to come.
    pub awaited: Awaited,
    /// When the wait began.
    pub since: Duration,
    /// When it is given up.
    pub until: Duration,
}

/// What has to come before an execution goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Awaited {
    /// As many ready pods as there were before.
    Replacements {
        /// How many those are.
        wanted: usize,
    },
    /// That evictions are allowed which were refused for now.
    Evictions {
        /// How many.
        pods: usize,
        /// The PodDisruptionBudgets that refused them; none where the server was too busy.
        budgets: BTreeSet<String>,
    },
}

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Read this pod again; answer with [`ExecutionEvent::PodRead`].
    ReadPod(Victim),
    /// Count the ready pods, where any number from `enough` up will do; answer with
    /// [`ExecutionEvent::ReadyCounted`].
    CountReady {
        /// A lower bound that is at least this much need not be exact.
        enough: usize,
    },
    /// Evict this pod; answer with [`ExecutionEvent::EvictionAnswered`].
    Evict(Victim),
    /// Read the workload; answer with [`ExecutionEvent::WorkloadRead`].
    ReadWorkload {
        /// A lower bound of the ready pods that is at least this much need not be exact.
        enough: usize,
    },
    /// Renew the lease; answer with [`ExecutionEvent::LeaseRenewed`].
    RenewLease,
    /// Let this much time pass; answer with [`ExecutionEvent::Elapsed`].
    Wait(Duration),
    /// Nothing: the execution is over.
    Done,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum ExecutionEvent {
    /// The pod was read, or could not be.
    PodRead(Result<PodState, String>),
    /// The ready pods were counted, or could not be.
    ReadyCounted(Result<usize, String>),
    /// The eviction was answered.
    EvictionAnswered(EvictionAnswer),
    /// The workload was read, or could not be.
    WorkloadRead(Result<WorkloadState, String>),
    /// The lease was renewed or not, or that could not be told.
    LeaseRenewed {
        /// When that was asked for: the lease lasts from then on at least.
        asked: Duration,
        /// Who holds it now.
        state: Result<LeaseState, String>,
    },
    /// Time passed.
    Elapsed,
    /// Whoever runs us wants us to end. To be told between two actions: an eviction on its way is
    /// answered first, so that its outcome is known.
    Stop(StopCause),
    /// The time has come in which the operator wants no eviction: the freeze window, as it was
    /// written. To be told between two actions, like a stop; where no eviction is left to be asked
    /// for it changes nothing.
    Frozen(String),
}

/// Why whoever runs us wants us to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopCause {
    /// A signal.
    Signal,
    /// The run has taken as long as it may (`RUN_TIMEOUT`).
    RunTimeout,
}

impl StopCause {
    /// What happened, to follow a semicolon.
    #[must_use]
    pub fn as_words(self) -> &'static str {
        match self {
            Self::Signal => "it was asked to stop",
            Self::RunTimeout => "RUN_TIMEOUT had passed",
        }
    }
}

/// What became of one victim. The words never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PodOutcome {
    /// It was evicted; in a dry run: the server would have evicted it.
    Evicted,
    /// It was gone, or going, before we asked.
    AlreadyGone,
    /// A budget forbade it until the eviction timeout.
    Blocked,
    /// It was refused or failed, or the pod was no longer fit: it was not evicted by us.
    Failed,
    /// The answer was lost, and what became of the pod could not be told.
    Unknown,
    /// Its turn did not come.
    NotAttempted,
}

impl PodOutcome {
    /// The word, as documents have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Evicted => "evicted",
            Self::AlreadyGone => "already_gone",
            Self::Blocked => "blocked",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::NotAttempted => "not_attempted",
        }
    }

    /// We evicted it, or may have: an answer that was lost tells neither.
    #[must_use]
    pub fn may_have_been_evicted(self) -> bool {
        match self {
            Self::Evicted | Self::Unknown => true,
            Self::AlreadyGone | Self::Blocked | Self::Failed | Self::NotAttempted => false,
        }
    }

    /// The pod is out of the group, as the plan wanted.
    #[must_use]
    pub fn is_success(self) -> bool {
        match self {
            Self::Evicted | Self::AlreadyGone => true,
            Self::Blocked | Self::Failed | Self::Unknown | Self::NotAttempted => false,
        }
    }
}

/// Why an execution ended before its plan did. The words never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// It was asked to stop.
    Stopped,
    /// The run had taken as long as it may.
    RunTimeout,
    /// A freeze window had begun.
    Frozen,
    /// Too few ready pods would have been left.
    MinimumPods,
    /// The ready pods could not be counted.
    ReadyUnknown,
    /// Evicting is forbidden to us.
    Forbidden,
    /// A wave did not work out entirely, so that the next was not begun.
    WaveIncomplete,
    /// Another run may be acting.
    LeaseLost,
    /// A replacement cannot start.
    ReplacementFailed,
    /// The replacements were not ready in time.
    ReadyTimeout,
    /// The workload was changed meanwhile.
    WorkloadChanged,
}

/// How an execution went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ExecutionOutcome {
    /// Every victim is out; unless the run was stopped meanwhile, the workload has its ready pods
    /// back.
    Completed,
    /// Some victim is not, or the replacements did not become ready.
    Incomplete,
}

/// What became of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ExecutionReport {
    /// How it went.
    pub outcome: ExecutionOutcome,
    /// Why it ended before its plan did; absent when it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<StopReason>,
    /// The whole of it in one sentence, with its numbers.
    pub message: String,
    /// Nothing was changed: the server was only asked what it would do.
    pub dry_run: bool,
    /// Every victim, in the order of their turn.
    pub pods: Vec<PodReport>,
}

/// What became of one victim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PodReport {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: PodUid,
    /// What became of it.
    pub outcome: PodOutcome,
    /// More about it: the numbers of the budget that blocked it, the error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The PodDisruptionBudget that blocked it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<String>,
}

/// What an execution must know of the workload that its plan was made on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Baseline {
    /// The ready pods.
    pub ready: usize,
    /// The rollout; `None` when it was not known.
    pub rollout: Option<Rollout>,
    /// Every pod there was: any other is a replacement.
    pub pods: HashSet<PodUid>,
}

impl Baseline {
    /// What `snapshot` says.
    #[must_use]
    pub fn of(snapshot: &Snapshot) -> Self {
        Self {
            ready: snapshot.ready(),
            rollout: snapshot.data().rollout,
            pods: snapshot.pods().iter().map(|pod| pod.uid.clone()).collect(),
        }
    }
}

/// A plan on its way. See the [module](self) for its rules.
#[derive(Debug, Clone)]
pub struct Execution {
    policy: ExecutionPolicy,
    victims: Vec<Victim>,
    /// What became of each victim so far, in the same order.
    reports: Vec<PodReport>,
    before: Baseline,
    state: State,
    lease: Option<Lease>,
    /// The first victim of the next wave.
    next_wave: usize,
    /// Victims of the wave, still to be asked for in this round.
    round: VecDeque<usize>,
    /// Victims of the wave that were blocked in this round, and may try again in the next.
    blocked: Vec<usize>,
    /// When the next round may begin.
    next_round: Duration,
    /// When the wave's evictions must be done.
    wave_deadline: Duration,
    /// Evictions the server would have made in this wave of a dry run: those pods are still
    /// counted as ready, since nothing happened to them.
    pretended: usize,
    /// Evictions whose answer was lost and whose pod was not seen to go: they may take effect at
    /// any time, so those pods are not counted on.
    in_doubt: usize,
    stopped: Option<(StopReason, String)>,
}

/// The lease of the run, on the clock of the execution.
#[derive(Debug, Clone, Copy)]
struct Lease {
    /// When its last renewal was asked for.
    renewed: Duration,
    /// When it may be asked for again.
    next_try: Duration,
}

/// What the execution waits for; the number is the victim's.
#[derive(Debug, Clone, Copy)]
enum State {
    Reading(usize),
    Counting(usize),
    Evicting(usize),
    /// The answer to an eviction was lost: look at what became of the pod.
    Confirming(usize),
    /// Everybody left in the wave is blocked.
    Pausing,
    /// The pause is over: look whether the workload is still the one of the plan.
    Resuming,
    /// The wave is out: look whether its replacements are ready.
    Looking {
        deadline: Duration,
    },
    /// They were not: look again later.
    AwaitingReady {
        deadline: Duration,
        until: Duration,
    },
    Done,
}

impl Execution {
    /// Starts on `plan`, made on the workload as it was `before`, at `now` (time since any fixed
    /// instant; later events must use the same).
    #[must_use]
    pub fn new(plan: &Plan, policy: ExecutionPolicy, before: Baseline, now: Duration) -> Self {
        let victims = plan.victims().to_vec();
        let mut execution = Self {
            policy,
            reports: victims.iter().map(not_attempted).collect(),
            victims,
            before,
            state: State::Done,
            lease: None,
            next_wave: 0,
            round: VecDeque::new(),
            blocked: Vec::new(),
            next_round: now,
            wave_deadline: now,
            pretended: 0,
            in_doubt: 0,
            stopped: None,
        };
        execution.state = execution.begin_wave(now);
        execution
    }

    /// The run holds a lease, which was asked for, or last renewed, at `renewed`. It is kept as
    /// [`lease`] says.
    #[must_use]
    pub fn with_lease(mut self, renewed: Duration) -> Self {
        self.lease = Some(Lease {
            renewed,
            next_try: renewed,
        });
        self
    }

    /// Whoever drives us has changed the workload, which has this generation by it: that is no
    /// change by anybody else. Where it is more than one further, somebody else changed it too.
    pub fn acknowledge_own_change(&mut self, generation: i64) {
        if let Some(rollout) = &mut self.before.rollout
            && rollout.generation.checked_add(1) == Some(generation)
        {
            rollout.generation = generation;
        }
    }

    /// What to do next. Asking changes nothing.
    #[must_use]
    pub fn step(&self, now: Duration) -> Step {
        if self.must_renew(now) {
            return Step::RenewLease;
        }
        match self.state {
            State::Reading(victim) | State::Confirming(victim) => {
                Step::ReadPod(self.victims[victim].clone())
            }
            State::Counting(_) => Step::CountReady {
                enough: self.ready_needed(),
            },
            State::Evicting(victim) => Step::Evict(self.victims[victim].clone()),
            State::Pausing => Step::Wait(self.next_round.saturating_sub(now)),
            // How many are ready does not matter here.
            State::Resuming => Step::ReadWorkload { enough: 0 },
            State::Looking { .. } => Step::ReadWorkload {
                enough: self.before.ready,
            },
            State::AwaitingReady { until, .. } => Step::Wait(until.saturating_sub(now)),
            State::Done => Step::Done,
        }
    }

    /// Takes in what happened. An event that does not answer the present step is ignored, save
    /// for [`ExecutionEvent::Stop`].
    pub fn handle(&mut self, now: Duration, event: ExecutionEvent) {
        self.state = match (self.state, event) {
            (State::Done, _) => State::Done,
            (state, ExecutionEvent::Stop(cause)) => {
                let reason = match cause {
                    StopCause::Signal => StopReason::Stopped,
                    StopCause::RunTimeout => StopReason::RunTimeout,
                };
                self.stop(reason, cause.as_words().into());
                after_a_stop(state)
            }
            (state, ExecutionEvent::Frozen(window)) if self.has_evictions_left() => {
                let why = format!("a freeze window has begun (FREEZE={window})");
                self.stop(StopReason::Frozen, why);
                after_a_stop(state)
            }
            (state, ExecutionEvent::Frozen(_)) => state,
            (state, ExecutionEvent::LeaseRenewed { asked, state: held }) => {
                self.lease_renewed(now, asked, held);
                match (self.stopped.is_some(), state) {
                    (true, State::Confirming(_)) => state,
                    (true, _) => State::Done,
                    // Renewing took its time: what was seen before may be out of date.
                    (false, State::Counting(victim) | State::Evicting(victim))
                        if now <= self.wave_deadline =>
                    {
                        State::Reading(victim)
                    }
                    (false, State::Counting(victim) | State::Evicting(victim)) => {
                        let why = "the API server is so slow that what it says is out of date";
                        self.record(victim, PodOutcome::Failed, Some(why.into()));
                        self.next_turn(now)
                    }
                    (
                        false,
                        State::Reading(_)
                        | State::Confirming(_)
                        | State::Pausing
                        | State::Resuming
                        | State::Looking { .. }
                        | State::AwaitingReady { .. }
                        | State::Done,
                    ) => state,
                }
            }
            (State::Reading(victim), ExecutionEvent::PodRead(read)) => {
                self.pod_read(now, victim, read)
            }
            (State::Counting(victim), ExecutionEvent::ReadyCounted(count)) => {
                self.ready_counted(victim, count)
            }
            (State::Evicting(victim), ExecutionEvent::EvictionAnswered(answer)) => {
                self.answered(now, victim, answer)
            }
            (State::Confirming(victim), ExecutionEvent::PodRead(read)) => {
                self.confirmed(now, victim, read)
            }
            (State::Pausing, ExecutionEvent::Elapsed) if now >= self.next_round => State::Resuming,
            (State::Resuming, ExecutionEvent::WorkloadRead(read)) => self.resumed(now, read),
            (State::AwaitingReady { deadline, until }, ExecutionEvent::Elapsed) if now >= until => {
                State::Looking { deadline }
            }
            (State::Looking { deadline }, ExecutionEvent::WorkloadRead(read)) => {
                self.workload_read(now, deadline, read)
            }
            (
                state @ (State::Reading(_)
                | State::Counting(_)
                | State::Evicting(_)
                | State::Confirming(_)
                | State::Pausing
                | State::Resuming
                | State::Looking { .. }
                | State::AwaitingReady { .. }),
                ExecutionEvent::PodRead(_)
                | ExecutionEvent::ReadyCounted(_)
                | ExecutionEvent::EvictionAnswered(_)
                | ExecutionEvent::WorkloadRead(_)
                | ExecutionEvent::Elapsed,
            ) => state,
        };
    }

    /// Some victim may still be asked for: it waits for its turn, or to be tried again.
    #[must_use]
    pub fn has_evictions_left(&self) -> bool {
        let at_hand = match self.state {
            State::Reading(_) | State::Counting(_) | State::Evicting(_) => true,
            State::Confirming(_)
            | State::Pausing
            | State::Resuming
            | State::Looking { .. }
            | State::AwaitingReady { .. } => {
                !self.is_last_wave() || !self.round.is_empty() || !self.blocked.is_empty()
            }
            State::Done => false,
        };
        at_hand && self.stopped.is_none()
    }

    /// What the execution waits for and until when, on its clock; `None` while it acts.
    #[must_use]
    pub fn waiting(&self) -> Option<Waiting> {
        let (awaited, until, patience) = match self.state {
            State::Pausing | State::Resuming => {
                let budgets = self
                    .blocked
                    .iter()
                    .filter_map(|&victim| self.reports[victim].budget.clone())
                    .collect();
                // The coldest that only wait for the hottest were not refused anything.
                let refused = self
                    .blocked
                    .iter()
                    .filter(|&&victim| self.reports[victim].outcome != PodOutcome::NotAttempted);
                let pods = refused.count();
                let awaited = Awaited::Evictions { pods, budgets };
                let patience = self.policy.eviction_timeout_seconds;
                (awaited, self.wave_deadline, patience)
            }
            State::Looking { deadline } | State::AwaitingReady { deadline, .. } => {
                let wanted = self.before.ready;
                let patience = self.policy.ready_timeout_seconds;
                (Awaited::Replacements { wanted }, deadline, patience)
            }
            State::Reading(_)
            | State::Counting(_)
            | State::Evicting(_)
            | State::Confirming(_)
            | State::Done => return None,
        };
        Some(Waiting {
            awaited,
            since: until.saturating_sub(patience.to_duration()),
            until,
        })
    }

    /// Nothing is left to do.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// What became of the plan so far; victims whose turn did not come are `not_attempted`.
    #[must_use]
    pub fn report(&self) -> ExecutionReport {
        let mut pods = self.reports.clone();
        if let State::Evicting(victim) = self.state {
            // Whoever ends here may have asked.
            pods[victim].outcome = PodOutcome::Unknown;
            pods[victim].message = Some("asked, and not answered yet".into());
        }
        let back = match self.stopped {
            Some((StopReason::ReplacementFailed | StopReason::ReadyTimeout, _)) => false,
            Some(_) | None => true,
        };
        let completed = back && pods.iter().all(|pod| pod.outcome.is_success());
        ExecutionReport {
            outcome: if completed {
                ExecutionOutcome::Completed
            } else {
                ExecutionOutcome::Incomplete
            },
            stopped: self.stopped.as_ref().map(|(reason, _)| *reason),
            message: self.summary(&pods),
            dry_run: self.policy.dry_run,
            pods,
        }
    }

    fn summary(&self, pods: &[PodReport]) -> String {
        let count = |outcome| pods.iter().filter(|pod| pod.outcome == outcome).count();
        let total = pods.len();
        let evicted = count(PodOutcome::Evicted);
        let mut message = if self.policy.dry_run {
            format!("dry run: {evicted} of {total} pods would be evicted")
        } else {
            format!("{evicted} of {total} pods evicted")
        };
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
        let budgets: BTreeSet<&str> = pods
            .iter()
            .filter(|pod| pod.outcome == PodOutcome::Blocked)
            .filter_map(|pod| pod.budget.as_deref())
            .collect();
        if !budgets.is_empty() {
            let names: Vec<&str> = budgets.into_iter().collect();
            message.push_str(&format!(" (PodDisruptionBudget {})", names.join(", ")));
        }
        if let Some((_, why)) = &self.stopped {
            message.push_str("; ended early: ");
            message.push_str(why);
        }
        message
    }

    /// The ready pods there must be for one more eviction.
    fn ready_needed(&self) -> usize {
        [self.pretended, self.in_doubt, 1]
            .into_iter()
            .fold(self.policy.minimum_pods.get(), usize::saturating_add)
    }

    fn must_renew(&self, now: Duration) -> bool {
        // Who only looks what became of a lost answer needs no lease.
        if self.is_done() || self.stopped.is_some() {
            return false;
        }
        self.lease.is_some_and(|lease| {
            let age = now.saturating_sub(lease.renewed);
            // A pod that was looked at is best evicted at once.
            let in_between = matches!(self.state, State::Counting(_) | State::Evicting(_));
            age > lease::SAFE_FOR
                || age > lease::RENEW_AFTER && now >= lease.next_try && !in_between
        })
    }

    fn lease_renewed(&mut self, now: Duration, asked: Duration, state: Result<LeaseState, String>) {
        let Some(lease) = &mut self.lease else { return };
        let why = match state {
            Ok(LeaseState::Held) => {
                lease.renewed = lease.renewed.max(asked);
                return;
            }
            Ok(LeaseState::HeldBy(holder)) => {
                format!("{} holds the lease now", holder.identity)
            }
            Err(why) => {
                lease.next_try = now + RENEW_PAUSE;
                if now.saturating_sub(lease.renewed) <= lease::SAFE_FOR {
                    return;
                }
                format!("the lease could not be renewed in time: {why}")
            }
        };
        self.stop(StopReason::LeaseLost, why);
    }

    fn stop(&mut self, reason: StopReason, why: String) {
        self.stopped.get_or_insert((reason, why));
    }

    fn record(&mut self, victim: usize, outcome: PodOutcome, message: Option<String>) {
        let report = &mut self.reports[victim];
        report.outcome = outcome;
        report.message = message;
        report.budget = None;
    }

    fn begin_wave(&mut self, now: Duration) -> State {
        self.wave_deadline = now + self.policy.eviction_timeout_seconds.to_duration();
        self.pretended = 0;
        let first = self.next_wave;
        let wave = self.victims.get(first).map(|victim| victim.wave);
        let size = self.victims[first..]
            .iter()
            .take_while(|victim| Some(victim.wave) == wave)
            .count();
        self.next_wave = first + size;
        self.round = (first..self.next_wave).collect();
        self.next_turn(now)
    }

    /// The next victim of the wave, or what comes after the wave.
    fn next_turn(&mut self, now: Duration) -> State {
        if self.stopped.is_some() {
            return State::Done;
        }
        while let Some(victim) = self.round.pop_front() {
            if self.victims[victim].role == Role::Coldest {
                let is_hottest = |&other: &usize| self.victims[other].role == Role::Hottest;
                if self.blocked.iter().any(is_hottest) {
                    self.blocked.push(victim);
                    continue;
                }
                if !self.some_hottest_is_out() {
                    let why = "no hot pod could be evicted, so evicting a cold one is no gain";
                    self.record(victim, PodOutcome::NotAttempted, Some(why.into()));
                    continue;
                }
            }
            return State::Reading(victim);
        }
        if !self.blocked.is_empty() {
            return State::Pausing;
        }
        let last = self.is_last_wave();
        if !last
            && !self.reports[..self.next_wave]
                .iter()
                .all(|pod| pod.outcome.is_success())
        {
            let why = "a wave did not work out entirely, so the next was not begun";
            self.stop(StopReason::WaveIncomplete, why.into());
            return State::Done;
        }
        let evicted = self
            .reports
            .iter()
            .any(|pod| pod.outcome == PodOutcome::Evicted);
        match (self.policy.dry_run, last) {
            (true, false) => return self.begin_wave(now),
            (true, true) => return State::Done,
            (false, true) if !evicted => return State::Done,
            (false, _) => {}
        }
        State::Looking {
            deadline: now + self.policy.ready_timeout_seconds.to_duration(),
        }
    }

    fn is_last_wave(&self) -> bool {
        self.next_wave == self.victims.len()
    }

    /// Some hottest pod of the plan is out; so it is in a plan that has none.
    fn some_hottest_is_out(&self) -> bool {
        let mut hottest = self
            .victims
            .iter()
            .zip(&self.reports)
            .filter(|(victim, _)| victim.role == Role::Hottest)
            .peekable();
        hottest.peek().is_none() || hottest.any(|(_, report)| report.outcome.is_success())
    }

    /// After a pause for budgets: goes on unless the workload was changed meanwhile.
    fn resumed(&mut self, now: Duration, read: Result<WorkloadState, String>) -> State {
        match read {
            Ok(workload) => {
                if let Some(why) = changed_since(self.before.rollout, workload.rollout) {
                    self.stop(StopReason::WorkloadChanged, why);
                    return State::Done;
                }
            }
            // Nothing is evicted on what is not known.
            Err(_) if now + BLOCKED_PAUSE <= self.wave_deadline => {
                self.next_round = now + BLOCKED_PAUSE;
                return State::Pausing;
            }
            Err(why) => {
                self.stop(
                    StopReason::ReadyUnknown,
                    format!("the workload could not be read: {why}"),
                );
                return State::Done;
            }
        }
        self.round = std::mem::take(&mut self.blocked).into();
        self.next_turn(now)
    }

    fn pod_read(&mut self, now: Duration, victim: usize, read: Result<PodState, String>) -> State {
        match read {
            Ok(PodState::Present { ready: true }) => return State::Counting(victim),
            Ok(PodState::Present { ready: false }) => self.record(
                victim,
                PodOutcome::Failed,
                Some("it is no longer ready, so evicting it would move no load".into()),
            ),
            Ok(PodState::OptedOut) => self.record(
                victim,
                PodOutcome::Failed,
                Some("an annotation now asks to leave it alone".into()),
            ),
            Ok(PodState::Terminating | PodState::Gone) => {
                self.record(victim, PodOutcome::AlreadyGone, None);
            }
            Err(why) => self.record(victim, PodOutcome::Failed, Some(why)),
        }
        self.next_turn(now)
    }

    fn ready_counted(&mut self, victim: usize, count: Result<usize, String>) -> State {
        let (reason, why) = match count {
            Ok(ready) if ready >= self.ready_needed() => return State::Evicting(victim),
            Ok(ready) => {
                let doubts = match self.in_doubt {
                    0 => String::new(),
                    evictions => format!(" and {evictions} lost evictions may take effect yet"),
                };
                (
                    StopReason::MinimumPods,
                    format!(
                        "{ready} pods are ready now{doubts}, so evicting {} would leave fewer \
                         than MINIMUM_PODS_REQUIRED={}",
                        self.victims[victim].name, self.policy.minimum_pods
                    ),
                )
            }
            Err(why) => (
                StopReason::ReadyUnknown,
                format!("the ready pods could not be counted: {why}"),
            ),
        };
        self.stop(reason, why);
        State::Done
    }

    fn answered(&mut self, now: Duration, victim: usize, answer: EvictionAnswer) -> State {
        match answer {
            EvictionAnswer::Evicted => {
                self.pretended += usize::from(self.policy.dry_run);
                self.record(victim, PodOutcome::Evicted, None);
            }
            EvictionAnswer::AlreadyGone => self.record(victim, PodOutcome::AlreadyGone, None),
            EvictionAnswer::Blocked {
                message,
                budget,
                retry_after,
            } => {
                self.record(victim, PodOutcome::Blocked, Some(message));
                self.reports[victim].budget = budget;
                self.wait_and_retry(now, victim, retry_after);
            }
            EvictionAnswer::Throttled {
                message,
                retry_after,
            } => {
                self.record(victim, PodOutcome::Failed, Some(message));
                self.wait_and_retry(now, victim, retry_after);
            }
            EvictionAnswer::Forbidden { message } => {
                self.record(victim, PodOutcome::Failed, Some(message.clone()));
                self.stop(StopReason::Forbidden, message);
            }
            EvictionAnswer::Failed { message } => {
                self.record(victim, PodOutcome::Failed, Some(message));
            }
            EvictionAnswer::Unknown { message } => {
                self.record(victim, PodOutcome::Unknown, Some(message));
                // A dry run changes nothing, so there is nothing to look for.
                if !self.policy.dry_run {
                    return State::Confirming(victim);
                }
            }
        }
        self.next_turn(now)
    }

    /// Lets the victim try again in a later round, as long as the wave's time allows.
    fn wait_and_retry(&mut self, now: Duration, victim: usize, retry_after: Option<Duration>) {
        // A server that says "at once" must not make us spin.
        let pause = retry_after
            .unwrap_or(BLOCKED_PAUSE)
            .clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        // A dry run asks once: nothing it could wait for is going to happen.
        if !self.policy.dry_run && now + pause <= self.wave_deadline {
            self.next_round = self.next_round.max(now + pause);
            self.blocked.push(victim);
        }
    }

    fn confirmed(&mut self, now: Duration, victim: usize, read: Result<PodState, String>) -> State {
        let lost = self.reports[victim].message.take().unwrap_or_default();
        let (outcome, message) = match read {
            Ok(PodState::Terminating | PodState::Gone) => (
                PodOutcome::Evicted,
                format!("the answer was lost, and the pod is gone: {lost}"),
            ),
            // The request may still be on its way, so this is no proof that it failed.
            Ok(PodState::Present { .. } | PodState::OptedOut) => (
                PodOutcome::Unknown,
                format!("the answer was lost, and the pod is still there: {lost}"),
            ),
            Err(why) => (
                PodOutcome::Unknown,
                format!("the answer was lost ({lost}), and the pod could not be read: {why}"),
            ),
        };
        self.in_doubt += usize::from(outcome == PodOutcome::Unknown);
        self.record(victim, outcome, Some(message));
        self.next_turn(now)
    }

    fn workload_read(
        &mut self,
        now: Duration,
        deadline: Duration,
        read: Result<WorkloadState, String>,
    ) -> State {
        let progress = match read {
            Ok(workload) => {
                let last = self.is_last_wave();
                if let Some(why) = changed_since(self.before.rollout, workload.rollout) {
                    // After the last wave there is nothing left that it could stop.
                    if !last {
                        self.stop(StopReason::WorkloadChanged, why);
                    }
                    return State::Done;
                }
                if workload.ready >= self.before.ready {
                    return if last {
                        State::Done
                    } else {
                        self.begin_wave(now)
                    };
                }
                let failures: Vec<&PodFailure> = workload
                    .failures
                    .iter()
                    .filter(|failure| !self.before.pods.contains(&failure.pod.uid))
                    .collect();
                if let Some(failure) = failures.iter().find(|failure| failure.lasting) {
                    self.stop(
                        StopReason::ReplacementFailed,
                        format!("the replacement {}", in_words(failure)),
                    );
                    return State::Done;
                }
                let mut progress =
                    format!("{} of {} pods are ready", workload.ready, self.before.ready);
                if let Some(failure) = failures.first() {
                    progress.push_str(&format!("; {}", in_words(failure)));
                }
                progress
            }
            Err(why) => format!("the workload could not be read: {why}"),
        };
        if now < deadline {
            return State::AwaitingReady {
                deadline,
                until: now + READY_PAUSE,
            };
        }
        self.stop(
            StopReason::ReadyTimeout,
            format!(
                "the replacements were not ready within READY_TIMEOUT={}s: {progress}",
                self.policy.ready_timeout_seconds
            ),
        );
        State::Done
    }
}

/// Where a stop leads: what was asked for may have taken effect, and a look costs nothing.
fn after_a_stop(state: State) -> State {
    match state {
        State::Confirming(_) => state,
        State::Reading(_)
        | State::Counting(_)
        | State::Evicting(_)
        | State::Pausing
        | State::Resuming
        | State::Looking { .. }
        | State::AwaitingReady { .. }
        | State::Done => State::Done,
    }
}

/// `consumer-1 does not start: CrashLoopBackOff (back-off 10s restarting …)`.
fn in_words(failure: &PodFailure) -> String {
    let PodFailure {
        pod,
        reason,
        message,
        ..
    } = failure;
    let mut words = format!("{} does not start: {reason}", pod.name);
    if !message.is_empty() {
        words.push_str(&format!(" ({message})"));
    }
    words
}

fn not_attempted(victim: &Victim) -> PodReport {
    PodReport {
        name: victim.name.clone(),
        uid: victim.uid.clone(),
        outcome: PodOutcome::NotAttempted,
        message: None,
        budget: None,
    }
}
