//! An execution in a world that changes arbitrarily between any two steps.

mod invariants;
mod model;
mod turn;

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use rebalancer_core::execution::{Baseline, Execution, ExecutionEvent, Step, StopCause};
use rebalancer_core::lease::LeaseHolder;
use rebalancer_core::model::{Load, MinimumPods, PodUid, Seconds, WorkloadState};
use rebalancer_core::plan::{Role, Victim};
use rebalancer_core::ports::{EvictionAnswer, LeaseState, PodState};
use rebalancer_core::{ExecutionPolicy, Plan, generate};

use invariants::{
    AFTER_EACH_EVICTION, AT_THE_END, BEFORE_COUNTING, BEFORE_EACH_EVICTION, BEFORE_EACH_STEP, check,
};
use model::{World, dry_answer};
use turn::{PLAIN, Turn, answers, noise, turn};

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

/// An execution, its world, and the observations that the invariants need.
struct Run<'a> {
    plan: &'a Plan,
    minimum_pods: MinimumPods,
    policy: ExecutionPolicy,
    leased: bool,
    world: World,
    now: Duration,
    /// The number of ready pods at the start.
    ready_before: usize,
    /// The time of the last renewal of the lease.
    renewed: Duration,
    /// The victims whose eviction was requested, and whether the last answer was that it is
    /// blocked.
    asked: BTreeMap<usize, bool>,
    /// The victims whose eviction was requested since all ready pods were last back.
    since_ready: HashSet<usize>,
    /// The victims that were read.
    read: HashSet<usize>,
    /// The victim that was read, is ready, and has not been counted for yet.
    read_before_count: Option<usize>,
    /// The victim for which enough ready pods were counted.
    counted_for: Option<usize>,
    /// Whether a stop that prevents further evictions was requested.
    stopped: bool,
    frozen: bool,
    waited: Duration,
    steps: usize,
}

impl<'a> Run<'a> {
    fn new(
        plan: &'a Plan,
        minimum_pods: MinimumPods,
        policy: ExecutionPolicy,
        others: usize,
        leased: bool,
    ) -> Self {
        let world = World::new(plan.victims().len(), others, minimum_pods.get());
        let now = Duration::from_secs(77);
        Self {
            plan,
            minimum_pods,
            policy,
            leased,
            ready_before: world.ready(),
            world,
            now,
            renewed: now,
            asked: BTreeMap::new(),
            since_ready: HashSet::new(),
            read: HashSet::new(),
            read_before_count: None,
            counted_for: None,
            stopped: false,
            frozen: false,
            waited: Duration::ZERO,
            steps: 0,
        }
    }

    fn execution(&self) -> Execution {
        let baseline = Baseline {
            ready: self.ready_before,
            rollout: Some(self.world.rollout),
            pods: self
                .plan
                .victims()
                .iter()
                .map(|victim| victim.uid.clone())
                .collect(),
        };
        let execution = Execution::new(
            self.plan,
            self.minimum_pods,
            self.policy,
            baseline,
            self.now,
        );
        if self.leased {
            execution.with_lease(self.now)
        } else {
            execution
        }
    }

    /// Upper bound for the number of steps. A round takes at least a second, and at most four steps
    /// per victim.
    fn most_steps(&self) -> usize {
        let waves = self.plan.waves().count();
        (waves * (self.timeouts() as usize + 4) + 4) * (5 * self.plan.victims().len() + 8)
    }

    /// Upper bound for the waiting time.
    fn most_waited(&self) -> Duration {
        let waves = self.plan.waves().count();
        Duration::from_secs_f64(waves as f64 * (self.timeouts() + 2.0))
    }

    fn timeouts(&self) -> f64 {
        self.policy.eviction_timeout_seconds.get() + self.policy.ready_timeout_seconds.get()
    }

    /// Sends an event that the execution did not ask for. It must not change the step.
    fn send_noise(&self, execution: &mut Execution, number: u8) -> Result<(), TestCaseError> {
        let event = noise(number);
        let step = execution.step(self.now);
        if !answers(&step, &event) && step != Step::RenewLease {
            execution.handle(self.now, event);
            if !matches!(step, Step::Wait(pause) if pause.is_zero()) {
                prop_assert_eq!(execution.step(self.now), step, "noise changed the step");
            }
        }
        Ok(())
    }

    /// Requests a stop by a signal or by a freeze window. Both prevent further evictions; a freeze
    /// window does not end the last wait.
    fn stop(&mut self, execution: &mut Execution) {
        if self.steps.is_multiple_of(2) {
            execution.handle(self.now, ExecutionEvent::Stop(StopCause::Signal));
            self.stopped = true;
        } else {
            self.stopped |= execution.has_evictions_left();
            self.frozen = true;
            execution.handle(self.now, ExecutionEvent::Frozen("* * * * * UTC".into()));
        }
    }

    /// Answers a step; `None` when the execution is done.
    fn answer(&mut self, step: Step, turn: &Turn) -> Result<Option<ExecutionEvent>, TestCaseError> {
        let broken = || "the server is broken".to_owned();
        Ok(Some(match step {
            Step::Done => return Ok(None),
            Step::ReadPod(victim) => {
                let index = index_of(self.plan, &victim)?;
                self.read_before_count = None;
                self.read.insert(index);
                if turn.is_broken() {
                    ExecutionEvent::PodRead(Err(broken()))
                } else {
                    let state = self.world.read(index);
                    if state == (PodState::Present { ready: true }) {
                        self.read_before_count = Some(index);
                    }
                    ExecutionEvent::PodRead(Ok(state))
                }
            }
            Step::CountReady { enough } => {
                check(BEFORE_COUNTING, |holds| holds(self))?;
                prop_assert!(enough > self.world.minimum);
                let ready = self.world.ready();
                self.counted_for = self.read_before_count.take().filter(|_| ready >= enough);
                ExecutionEvent::ReadyCounted(match turn.is_broken() {
                    true => Err(broken()),
                    // Any lower bound of at least `enough` is a valid answer.
                    false if turn.late => Ok(ready.min(enough)),
                    false => Ok(ready),
                })
            }
            Step::Evict(victim) => self.evict(&victim, turn)?,
            Step::ReadWorkload { .. } => {
                prop_assert!(!self.policy.dry_run, "a dry run reads the workload");
                if turn.is_broken() {
                    ExecutionEvent::WorkloadRead(Err(broken()))
                } else {
                    let ready = self.world.ready();
                    if ready >= self.ready_before {
                        self.since_ready.clear();
                    }
                    ExecutionEvent::WorkloadRead(Ok(WorkloadState {
                        pause: None,
                        failures: Vec::new(),
                        ready,
                        rollout: Some(self.world.rollout),
                    }))
                }
            }
            Step::RenewLease => {
                prop_assert!(self.leased && !self.stopped);
                let state = match (turn.is_broken(), self.world.lease_taken) {
                    (true, _) => Err(broken()),
                    (false, true) => Ok(LeaseState::HeldBy(LeaseHolder {
                        identity: "other".into(),
                        expires_seconds: Seconds::ZERO,
                    })),
                    (false, false) => Ok(LeaseState::Held),
                };
                if state == Ok(LeaseState::Held) {
                    self.renewed = self.now;
                }
                ExecutionEvent::LeaseRenewed {
                    asked: self.now,
                    state,
                }
            }
            Step::Wait(pause) => {
                prop_assert!(!self.policy.dry_run, "a dry run waits");
                self.now += pause;
                self.waited += pause;
                self.world.settle(self.now);
                ExecutionEvent::Elapsed
            }
        }))
    }

    fn evict(&mut self, victim: &Victim, turn: &Turn) -> Result<ExecutionEvent, TestCaseError> {
        let index = index_of(self.plan, victim)?;
        check(BEFORE_EACH_EVICTION, |holds| holds(self, index))?;
        self.counted_for = None;
        // In a dry run no pod is out, so it does not wait between waves.
        if self.policy.dry_run {
            let victims = self.plan.victims();
            self.since_ready
                .retain(|other| victims[*other].wave == victim.wave);
        }
        self.since_ready.insert(index);
        check(AFTER_EACH_EVICTION, |holds| holds(self))?;
        let replacement = turn
            .replacement
            .map(|seconds| self.now + Duration::from_secs(seconds.into()));
        let answer = if self.policy.dry_run {
            dry_answer(turn.answer)
        } else {
            self.world.answer(index, turn.answer, replacement)?
        };
        let may_repeat = matches!(
            answer,
            EvictionAnswer::Blocked { .. } | EvictionAnswer::Throttled { .. }
        );
        self.asked.insert(index, may_repeat);
        if turn.late && !self.policy.dry_run {
            self.world.evict_pending()?;
        }
        Ok(ExecutionEvent::EvictionAnswered(answer))
    }
}

/// Executes the plan. After the generated turns, `repeat` starts again from the first one;
/// otherwise all further turns are plain.
fn drive(mut run: Run<'_>, turns: &[Turn], repeat: bool) -> Result<(), TestCaseError> {
    let mut execution = run.execution();
    let mut last_wait_was_zero = false;
    loop {
        let turn = match turns.get(run.steps) {
            Some(turn) => turn,
            None if repeat && !turns.is_empty() => &turns[run.steps % turns.len()],
            None => &PLAIN,
        };
        run.steps += 1;
        check(BEFORE_EACH_STEP, |holds| holds(&run))?;
        if let Some(number) = turn.noise {
            run.send_noise(&mut execution, number)?;
        }
        if turn.stop {
            run.stop(&mut execution);
        }
        let step = execution.step(run.now);
        prop_assert_eq!(&execution.step(run.now), &step, "asking changed the step");
        prop_assert_eq!(execution.is_done(), step == Step::Done);
        // The world stands still only between the count and the eviction.
        if !matches!(step, Step::Evict(_)) {
            for change in &turn.changes {
                run.world.change(*change);
            }
            run.now += Duration::from_secs(turn.seconds.into());
            run.world.settle(run.now);
        }
        let zero_wait = matches!(step, Step::Wait(pause) if pause.is_zero());
        prop_assert!(!(zero_wait && last_wait_was_zero), "a loop of empty waits");
        last_wait_was_zero = zero_wait;
        let Some(event) = run.answer(step, turn)? else {
            break;
        };
        execution.handle(run.now, event);
    }

    let report = execution.report();
    check(AT_THE_END, |holds| holds(&run, &report))?;
    // Further events have no effect.
    for number in 0..8 {
        execution.handle(run.now, noise(number));
    }
    execution.handle(run.now, ExecutionEvent::Stop(StopCause::Signal));
    prop_assert_eq!(execution.report(), report);
    prop_assert_eq!(execution.step(run.now), Step::Done);
    Ok(())
}

fn index_of(plan: &Plan, victim: &Victim) -> Result<usize, TestCaseError> {
    plan.victims()
        .iter()
        .position(|planned| planned == victim)
        .ok_or_else(|| TestCaseError::fail("a pod outside the plan"))
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2048,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn invariants_hold_in_any_world(
        (victims, wave) in (1..=6usize, 1..=6usize),
        minimum_pods in generate::minimum_pods(),
        policy in generate::execution_policy(),
        others in 0..=5usize,
        turns in vec(turn(), 0..60),
        (repeat, leased) in any::<(bool, bool)>(),
    ) {
        let plan = plan(victims, wave);
        drive(Run::new(&plan, minimum_pods, policy, others, leased), &turns, repeat)?;
    }
}
