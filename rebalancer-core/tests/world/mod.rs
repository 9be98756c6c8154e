//! An execution against a world that does what it likes between any two steps.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use rebalancer_core::execution::{
    Baseline, Execution, ExecutionEvent, Step, StopCause, StopReason,
};
use rebalancer_core::lease::LeaseHolder;
use rebalancer_core::model::{Load, PodUid, Rollout, WorkloadState};
use rebalancer_core::plan::{Role, Victim};
use rebalancer_core::ports::{EvictionAnswer, LeaseState, PodState};
use rebalancer_core::{ExecutionPolicy, Plan, generate};

/// What the world does by itself.
#[derive(Debug, Clone, Copy)]
enum Change {
    /// A victim is deleted by somebody else.
    Vanish(usize),
    /// A victim begins to terminate.
    Terminate(usize),
    Unready(usize),
    Ready(usize),
    OtherLost,
    OtherBack,
    /// An eviction whose answer was lost takes effect.
    LateEffect,
    Scale,
    Template,
    /// Another run takes the lease.
    LeaseTaken,
}

/// How the server takes a request.
#[derive(Debug, Clone, Copy)]
enum Answer {
    /// As it should.
    Plain,
    Blocked(Option<u8>),
    Throttled,
    Forbidden,
    Failed,
    /// Lost after it took effect.
    LostAfter,
    /// Lost, and it takes effect later or never.
    LostBefore,
    /// Reads and counts fail, too.
    Broken,
}

/// One step of the world.
#[derive(Debug, Clone)]
struct Turn {
    changes: Vec<Change>,
    answer: Answer,
    /// An event nobody asked for, by number.
    noise: Option<u8>,
    stop: bool,
    /// Seconds the step takes.
    seconds: u8,
    /// The replacement of a pod evicted now is ready after so many seconds, or never.
    replacement: Option<u8>,
    /// Lost evictions take effect right after the one that is asked for now.
    late: bool,
}

impl Turn {
    fn is_broken(&self) -> bool {
        matches!(self.answer, Answer::Broken)
    }
}

/// What comes when nothing else was thought of.
const PLAIN: Turn = Turn {
    changes: Vec::new(),
    answer: Answer::Plain,
    noise: None,
    stop: false,
    seconds: 0,
    replacement: Some(3),
    late: false,
};

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        2 => (0..8usize).prop_map(Change::Vanish),
        1 => (0..8usize).prop_map(Change::Terminate),
        2 => (0..8usize).prop_map(Change::Unready),
        2 => (0..8usize).prop_map(Change::Ready),
        2 => Just(Change::OtherLost),
        3 => Just(Change::OtherBack),
        1 => Just(Change::LateEffect),
        1 => Just(Change::Scale),
        1 => Just(Change::Template),
        1 => Just(Change::LeaseTaken),
    ]
}

fn turn() -> impl Strategy<Value = Turn> {
    let answer = prop_oneof![
        6 => Just(Answer::Plain),
        3 => proptest::option::of(0..60u8).prop_map(Answer::Blocked),
        1 => Just(Answer::Throttled),
        1 => Just(Answer::Failed),
        1 => Just(Answer::LostAfter),
        1 => Just(Answer::LostBefore),
    ];
    let answer = prop_oneof![
        20 => answer,
        1 => Just(Answer::Broken),
        1 => Just(Answer::Forbidden),
    ];
    (
        prop_oneof![4 => Just(Vec::new()), 1 => vec(change(), 1..3)],
        answer,
        proptest::option::weighted(0.1, 0..8u8),
        proptest::bool::weighted(0.01),
        prop_oneof![3 => Just(0u8), 1 => 0..20u8],
        proptest::option::weighted(0.9, 0..30u8),
        any::<bool>(),
    )
        .prop_map(
            |(changes, answer, noise, stop, seconds, replacement, late)| Turn {
                changes,
                answer,
                noise,
                stop,
                seconds,
                replacement,
                late,
            },
        )
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Pod {
    Ready,
    Unready,
    Terminating,
    Gone,
}

struct World {
    victims: Vec<Pod>,
    /// Ready pods outside the plan, replacements included.
    others: usize,
    /// When replacements become ready.
    starting: Vec<Duration>,
    /// Victims whose eviction was lost and may yet take effect.
    pending: Vec<usize>,
    rollout: Rollout,
    minimum: usize,
    /// It was touched by us.
    touched: bool,
    lease_taken: bool,
}

impl World {
    fn ready(&self) -> usize {
        self.others
            + self
                .victims
                .iter()
                .filter(|pod| **pod == Pod::Ready)
                .count()
    }

    /// Replacements that are due become ready.
    fn settle(&mut self, now: Duration) {
        let before = self.starting.len();
        self.starting.retain(|due| *due > now);
        self.others += before - self.starting.len();
    }

    /// An eviction takes effect, now.
    fn evict(&mut self, victim: usize, replacement: Option<Duration>) -> Result<(), TestCaseError> {
        self.pending.retain(|pending| *pending != victim);
        if matches!(self.victims[victim], Pod::Terminating | Pod::Gone) {
            return Ok(());
        }
        let was_ready = self.victims[victim] == Pod::Ready;
        self.victims[victim] = Pod::Terminating;
        self.touched = true;
        self.starting.extend(replacement);
        prop_assert!(
            !was_ready || self.ready() >= self.minimum,
            "{} ready pods are left of at least {}",
            self.ready(),
            self.minimum
        );
        Ok(())
    }

    fn change(&mut self, change: Change) {
        let count = self.victims.len();
        match change {
            Change::Vanish(index) => self.victims[index % count] = Pod::Gone,
            Change::Terminate(index) => {
                let pod = &mut self.victims[index % count];
                if *pod != Pod::Gone {
                    *pod = Pod::Terminating;
                }
            }
            Change::Unready(index) => {
                let pod = &mut self.victims[index % count];
                if *pod == Pod::Ready {
                    *pod = Pod::Unready;
                }
            }
            Change::Ready(index) => {
                let pod = &mut self.victims[index % count];
                if *pod == Pod::Unready {
                    *pod = Pod::Ready;
                }
            }
            Change::OtherLost => self.others = self.others.saturating_sub(1),
            Change::OtherBack => self.others += 1,
            Change::LateEffect => {
                // The world may have lost pods since, so the minimum is not looked at: that
                // nothing but lost evictions breaks it is `late` of a turn.
                if let Some(victim) = self.pending.pop() {
                    self.victims[victim] = Pod::Terminating;
                }
            }
            Change::Scale => self.rollout.desired += 1,
            Change::Template => self.rollout.generation += 1,
            Change::LeaseTaken => self.lease_taken = true,
        }
    }

    fn read(&self, victim: usize) -> PodState {
        match self.victims[victim] {
            Pod::Ready => PodState::Present { ready: true },
            Pod::Unready => PodState::Present { ready: false },
            Pod::Terminating => PodState::Terminating,
            Pod::Gone => PodState::Gone,
        }
    }
}

fn noise(number: u8) -> ExecutionEvent {
    match number {
        0 => ExecutionEvent::PodRead(Ok(PodState::Present { ready: true })),
        1 => ExecutionEvent::PodRead(Ok(PodState::Gone)),
        2 => ExecutionEvent::ReadyCounted(Ok(1000)),
        3 => ExecutionEvent::ReadyCounted(Err("noise".into())),
        4 => ExecutionEvent::EvictionAnswered(EvictionAnswer::Evicted),
        5 => ExecutionEvent::EvictionAnswered(EvictionAnswer::Unknown {
            message: "noise".into(),
        }),
        6 => ExecutionEvent::WorkloadRead(Ok(WorkloadState {
            failures: Vec::new(),
            ready: 1000,
            rollout: None,
        })),
        _ => ExecutionEvent::Elapsed,
    }
}

/// The event would be taken for the answer to the step.
fn answers(step: &Step, event: &ExecutionEvent) -> bool {
    matches!(
        (step, event),
        (Step::ReadPod(_), ExecutionEvent::PodRead(_))
            | (Step::CountReady { .. }, ExecutionEvent::ReadyCounted(_))
            | (Step::Evict(_), ExecutionEvent::EvictionAnswered(_))
            | (Step::ReadWorkload { .. }, ExecutionEvent::WorkloadRead(_))
    )
}

fn plan(victims: usize, wave: usize) -> Plan {
    let victims = (0..victims).map(|index| Victim {
        name: format!("consumer-{index}"),
        uid: PodUid(index.to_string()),
        role: if index < victims.div_ceil(2) {
            Role::Hottest
        } else {
            Role::Coldest
        },
        load: Load::ZERO,
        wave: index / wave + 1,
    });
    Plan::try_from(victims.collect::<Vec<_>>()).unwrap()
}

/// What was observed of a whole execution.
#[derive(Default)]
struct Log {
    /// The last answer to each victim's eviction was that it is blocked.
    asked: BTreeMap<usize, bool>,
    /// Victims asked for since the ready pods were last all back.
    since_ready: HashSet<usize>,
    waited: Duration,
    steps: usize,
}

fn drive(
    plan: &Plan,
    policy: ExecutionPolicy,
    others: usize,
    turns: &[Turn],
    (for_ever, leased): (bool, bool),
) -> Result<(), TestCaseError> {
    let victims = plan.victims().len();
    let rollout = Rollout {
        generation: 1,
        observed_generation: 1,
        desired: 10,
        current: 10,
        updated: 10,
    };
    let mut world = World {
        victims: vec![Pod::Ready; victims],
        others,
        starting: Vec::new(),
        pending: Vec::new(),
        rollout,
        minimum: policy.minimum_pods.get(),
        touched: false,
        lease_taken: false,
    };
    let before = world.ready();
    let mut now = Duration::from_secs(77);
    let known = Baseline {
        ready: before,
        rollout: Some(rollout),
        pods: plan
            .victims()
            .iter()
            .map(|victim| victim.uid.clone())
            .collect(),
    };
    let mut execution = Execution::new(plan, policy, known, now);
    let mut renewed = now;
    if leased {
        execution = execution.with_lease(now);
    }
    let mut log = Log::default();
    let (mut stopped, mut frozen) = (false, false);
    let mut read_before_count = None;
    let mut counted_for = None;
    let mut last_wait_was_zero = false;
    // Victims that were looked at, whatever came of it.
    let mut skipped = HashSet::new();

    let timeouts = policy.eviction_timeout_seconds.get() + policy.ready_timeout_seconds.get();
    let waves = plan.waves().count();
    // A round takes at least a second, a look two; a round is at most four steps a victim.
    let most_steps = (waves * (timeouts as usize + 4) + 4) * (5 * victims + 8);
    let most_waited = Duration::from_secs_f64(waves as f64 * (timeouts + 2.0));

    loop {
        let turn = match turns.get(log.steps) {
            Some(turn) => turn,
            None if for_ever && !turns.is_empty() => &turns[log.steps % turns.len()],
            None => &PLAIN,
        };
        log.steps += 1;
        prop_assert!(log.steps <= most_steps, "it does not end");
        prop_assert!(
            log.waited <= most_waited,
            "it waits too long: {:?}",
            log.waited
        );

        if let Some(number) = turn.noise {
            let event = noise(number);
            let step = execution.step(now);
            if !answers(&step, &event) && step != Step::RenewLease {
                execution.handle(now, event);
                if !matches!(step, Step::Wait(pause) if pause.is_zero()) {
                    prop_assert_eq!(execution.step(now), step, "noise changed the step");
                }
            }
        }
        if turn.stop {
            // Neither lets an eviction follow; a freeze window leaves the last wait alone.
            if log.steps.is_multiple_of(2) {
                execution.handle(now, ExecutionEvent::Stop(StopCause::Signal));
                stopped = true;
            } else {
                stopped |= execution.has_evictions_left();
                frozen = true;
                execution.handle(now, ExecutionEvent::Frozen("* * * * * UTC".into()));
            }
        }
        let step = execution.step(now);
        prop_assert_eq!(&execution.step(now), &step, "asking changed the step");
        prop_assert_eq!(execution.is_done(), step == Step::Done);
        // Only between the count and the eviction does the world stand still.
        if !matches!(step, Step::Evict(_)) {
            for change in &turn.changes {
                world.change(*change);
            }
            now += Duration::from_secs(turn.seconds.into());
            world.settle(now);
        }
        let broken = || "the server is broken".to_owned();
        let zero_wait = matches!(step, Step::Wait(pause) if pause.is_zero());
        prop_assert!(!(zero_wait && last_wait_was_zero), "a loop of empty waits");
        last_wait_was_zero = zero_wait;
        let event = match step {
            Step::Done => break,
            Step::ReadPod(victim) => {
                let index = index_of(plan, &victim)?;
                read_before_count = None;
                skipped.insert(index);
                match turn.is_broken() {
                    true => ExecutionEvent::PodRead(Err(broken())),
                    false => {
                        let state = world.read(index);
                        if state == (PodState::Present { ready: true }) {
                            read_before_count = Some(index);
                        }
                        ExecutionEvent::PodRead(Ok(state))
                    }
                }
            }
            Step::CountReady { enough } => {
                prop_assert!(read_before_count.is_some(), "counted before reading");
                prop_assert!(enough > world.minimum);
                let ready = world.ready();
                counted_for = read_before_count.take().filter(|_| ready >= enough);
                match turn.is_broken() {
                    true => ExecutionEvent::ReadyCounted(Err(broken())),
                    // Any lower bound that is at least enough will do.
                    false if turn.late => ExecutionEvent::ReadyCounted(Ok(ready.min(enough))),
                    false => ExecutionEvent::ReadyCounted(Ok(ready)),
                }
            }
            Step::Evict(victim) => {
                let index = index_of(plan, &victim)?;
                prop_assert!(!stopped && !frozen, "an eviction after a stop");
                prop_assert!(
                    !leased || now - renewed <= rebalancer_core::lease::SAFE_FOR,
                    "an eviction on an old lease"
                );
                let hottest_waits =
                    plan.victims()[..index]
                        .iter()
                        .zip(0..)
                        .any(|(other, place)| {
                            other.role == Role::Hottest
                                && other.wave == victim.wave
                                && !log.asked.contains_key(&place)
                                && world.victims[place] == Pod::Ready
                                && !skipped.contains(&place)
                        });
                prop_assert!(
                    victim.role == Role::Hottest || !hottest_waits,
                    "a coldest pod before a hottest"
                );
                prop_assert_eq!(
                    counted_for.take(),
                    Some(index),
                    "not read and counted before"
                );
                prop_assert!(
                    log.asked.get(&index).copied().unwrap_or(true),
                    "asked again after another answer than blocked"
                );
                // A dry run waits for nobody: nobody is out.
                if policy.dry_run {
                    log.since_ready
                        .retain(|other| plan.victims()[*other].wave == victim.wave);
                }
                log.since_ready.insert(index);
                prop_assert!(log.since_ready.len() <= plan.largest_wave());
                let waves: HashSet<usize> = log
                    .since_ready
                    .iter()
                    .map(|index| plan.victims()[*index].wave)
                    .collect();
                prop_assert!(waves.len() == 1);
                let replacement = turn
                    .replacement
                    .map(|seconds| now + Duration::from_secs(seconds.into()));
                let answer = if policy.dry_run {
                    dry_answer(turn.answer)
                } else {
                    answer(&mut world, index, turn.answer, replacement)?
                };
                log.asked.insert(
                    index,
                    matches!(
                        answer,
                        EvictionAnswer::Blocked { .. } | EvictionAnswer::Throttled { .. }
                    ),
                );
                if turn.late && !policy.dry_run {
                    // The worst moment for lost evictions to take effect.
                    for index in std::mem::take(&mut world.pending) {
                        world.evict(index, None)?;
                    }
                }
                ExecutionEvent::EvictionAnswered(answer)
            }
            Step::ReadWorkload { .. } => {
                prop_assert!(!policy.dry_run);
                match turn.is_broken() {
                    true => ExecutionEvent::WorkloadRead(Err(broken())),
                    false => {
                        let ready = world.ready();
                        if ready >= before {
                            log.since_ready.clear();
                        }
                        ExecutionEvent::WorkloadRead(Ok(WorkloadState {
                            failures: Vec::new(),
                            ready,
                            rollout: Some(world.rollout),
                        }))
                    }
                }
            }
            Step::RenewLease => {
                prop_assert!(leased && !stopped);
                let state = match (turn.is_broken(), world.lease_taken) {
                    (true, _) => Err(broken()),
                    (false, true) => Ok(LeaseState::HeldBy(LeaseHolder {
                        identity: "other".into(),
                        expires_seconds: rebalancer_core::model::Seconds::ZERO,
                    })),
                    (false, false) => Ok(LeaseState::Held),
                };
                if state == Ok(LeaseState::Held) {
                    renewed = now;
                }
                let asked = now;
                ExecutionEvent::LeaseRenewed { asked, state }
            }
            Step::Wait(pause) => {
                prop_assert!(!policy.dry_run, "a dry run waits for nothing");
                now += pause;
                log.waited += pause;
                world.settle(now);
                ExecutionEvent::Elapsed
            }
        };
        execution.handle(now, event);
    }

    // Every victim has exactly one outcome, in the order of the plan.
    let report = execution.report();
    let reported: Vec<&PodUid> = report.pods.iter().map(|pod| &pod.uid).collect();
    let planned: Vec<&PodUid> = plan.victims().iter().map(|victim| &victim.uid).collect();
    prop_assert_eq!(reported, planned);
    prop_assert_eq!(report.dry_run, policy.dry_run);
    if policy.dry_run {
        prop_assert!(!world.touched);
    }
    for (index, pod) in report.pods.iter().enumerate() {
        use rebalancer_core::execution::PodOutcome;
        match pod.outcome {
            PodOutcome::NotAttempted => prop_assert!(!log.asked.contains_key(&index)),
            PodOutcome::Evicted => {
                prop_assert!(log.asked.contains_key(&index));
                prop_assert!(
                    policy.dry_run || matches!(world.victims[index], Pod::Terminating | Pod::Gone)
                );
            }
            PodOutcome::AlreadyGone => prop_assert!(
                policy.dry_run || matches!(world.victims[index], Pod::Terminating | Pod::Gone)
            ),
            PodOutcome::Blocked => prop_assert!(log.asked.get(&index) == Some(&true)),
            PodOutcome::Unknown => prop_assert!(log.asked.get(&index) == Some(&false)),
            PodOutcome::Failed => {}
        }
    }
    if stopped && report.stopped.is_none() {
        // The stop came when all was over.
        use rebalancer_core::execution::PodOutcome;
        // A coldest that no hottest went with has its own reason.
        let all_had_their_turn = report
            .pods
            .iter()
            .all(|pod| pod.message.is_some() || pod.outcome != PodOutcome::NotAttempted);
        prop_assert!(all_had_their_turn);
    }
    if let Some(reason @ (StopReason::Stopped | StopReason::Frozen)) = report.stopped {
        prop_assert!(stopped && (frozen || reason == StopReason::Stopped));
    }
    // Nothing wakes it up again.
    for number in 0..8 {
        execution.handle(now, noise(number));
    }
    execution.handle(now, ExecutionEvent::Stop(StopCause::Signal));
    prop_assert_eq!(execution.report(), report);
    prop_assert_eq!(execution.step(now), Step::Done);
    Ok(())
}

fn index_of(plan: &Plan, victim: &Victim) -> Result<usize, TestCaseError> {
    plan.victims()
        .iter()
        .position(|planned| planned == victim)
        .ok_or_else(|| TestCaseError::fail("a pod outside the plan"))
}

fn blocked(retry_after: Option<u8>) -> EvictionAnswer {
    EvictionAnswer::Blocked {
        message: "the budget allows none".into(),
        budget: None,
        retry_after: retry_after.map(|seconds| Duration::from_secs(seconds.into())),
    }
}

fn throttled() -> EvictionAnswer {
    EvictionAnswer::Throttled {
        message: "too busy".into(),
        retry_after: None,
    }
}

/// The server's answer, and what it does to the world.
fn answer(
    world: &mut World,
    victim: usize,
    answer: Answer,
    replacement: Option<Duration>,
) -> Result<EvictionAnswer, TestCaseError> {
    let message = String::from("as the world pleased");
    Ok(match answer {
        Answer::Plain if matches!(world.victims[victim], Pod::Gone | Pod::Terminating) => {
            EvictionAnswer::AlreadyGone
        }
        Answer::Plain => {
            world.evict(victim, replacement)?;
            EvictionAnswer::Evicted
        }
        Answer::Blocked(retry_after) => blocked(retry_after),
        Answer::Throttled => throttled(),
        Answer::Forbidden => EvictionAnswer::Forbidden { message },
        Answer::Failed => EvictionAnswer::Failed { message },
        Answer::LostAfter => {
            world.evict(victim, replacement)?;
            EvictionAnswer::Unknown { message }
        }
        Answer::LostBefore | Answer::Broken => {
            world.pending.push(victim);
            EvictionAnswer::Unknown { message }
        }
    })
}

fn dry_answer(answer: Answer) -> EvictionAnswer {
    let message = String::from("as the world pleased");
    match answer {
        Answer::Plain => EvictionAnswer::Evicted,
        Answer::Blocked(retry_after) => blocked(retry_after),
        Answer::Throttled => throttled(),
        Answer::Forbidden => EvictionAnswer::Forbidden { message },
        Answer::Failed => EvictionAnswer::Failed { message },
        Answer::LostAfter | Answer::LostBefore | Answer::Broken => {
            EvictionAnswer::Unknown { message }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2048,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_the_world_does_the_rules_are_kept(
        (victims, wave) in (1..=6usize, 1..=6usize),
        policy in generate::execution_policy(),
        others in 0..=5usize,
        turns in vec(turn(), 0..60),
        loops in any::<(bool, bool)>(),
    ) {
        drive(&plan(victims, wave), policy, others, &turns, loops)?;
    }
}
