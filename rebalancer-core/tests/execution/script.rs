//! Scripted executions, and shorthands for their events.

use std::time::Duration;

use rebalancer_core::execution::{Baseline, Execution, ExecutionEvent, ExecutionReport, Step};
use rebalancer_core::model::{Load, MinimumPods, PodUid, Rollout, WorkloadState};
use rebalancer_core::plan::{Role, Victim};
use rebalancer_core::ports::{DisruptionBudget, EvictionAnswer, PodState};
use rebalancer_core::{ExecutionPolicy, Plan};
use serde_json::Value;

/// A plan with the hottest pods a and b and the coldest pods c and d, in waves of `wave`.
pub(crate) fn plan(wave: usize) -> Plan {
    let victims = ["a", "b", "c", "d"];
    let victims = victims.iter().enumerate().map(|(index, name)| Victim {
        name: (*name).into(),
        uid: PodUid(format!("uid-{name}")),
        role: if index < 2 {
            Role::Hottest
        } else {
            Role::Coldest
        },
        load: Load::ZERO,
        wave: index / wave + 1,
    });
    Plan::try_from(victims.collect::<Vec<_>>()).unwrap()
}

pub(crate) fn policy() -> ExecutionPolicy {
    ExecutionPolicy::default()
}

pub(crate) fn rollout(generation: i64, desired: u32) -> Rollout {
    Rollout {
        generation,
        observed_generation: generation,
        desired,
        current: desired,
        updated: desired,
        ..Rollout::default()
    }
}

pub(crate) fn present() -> ExecutionEvent {
    ExecutionEvent::PodRead(Ok(PodState::Present { ready: true }))
}

pub(crate) fn read(state: PodState) -> ExecutionEvent {
    ExecutionEvent::PodRead(Ok(state))
}

pub(crate) fn counted(ready: usize) -> ExecutionEvent {
    ExecutionEvent::ReadyCounted(Ok(ready))
}

pub(crate) fn evicted() -> ExecutionEvent {
    ExecutionEvent::EvictionAnswered(EvictionAnswer::Evicted)
}

pub(crate) fn answered(answer: EvictionAnswer) -> ExecutionEvent {
    ExecutionEvent::EvictionAnswered(answer)
}

pub(crate) fn blocked(retry_after: Option<u64>) -> ExecutionEvent {
    answered(EvictionAnswer::Blocked {
        message: "budget consumer-pdb allows no disruption".into(),
        budget: Some("consumer-pdb".into()),
        retry_after: retry_after.map(Duration::from_secs),
    })
}

/// A budget that covers the victims with these names.
pub(crate) fn budget(name: &str, allowed: usize, pods: &[&str]) -> DisruptionBudget {
    DisruptionBudget {
        name: name.into(),
        allowed,
        pods: pods
            .iter()
            .map(|pod| PodUid(format!("uid-{pod}")))
            .collect(),
    }
}

pub(crate) fn lost() -> ExecutionEvent {
    answered(EvictionAnswer::Unknown {
        message: "timed out".into(),
    })
}

pub(crate) fn workload(ready: usize) -> ExecutionEvent {
    ExecutionEvent::WorkloadRead(Ok(WorkloadState {
        pause: None,
        failures: Vec::new(),
        ready,
        rollout: Some(rollout(1, 6)),
    }))
}

pub(crate) fn baseline() -> Baseline {
    Baseline {
        ready: 6,
        rollout: Some(rollout(1, 6)),
        pods: ["a", "b", "c", "d", "e", "f"]
            .map(|uid| PodUid(uid.into()))
            .into(),
    }
}

/// A scripted execution. Each call names the expected step and passes its result.
pub(crate) struct Script {
    pub(crate) execution: Execution,
    pub(crate) now: Duration,
}

impl Script {
    /// A dry run that knows these budgets, or why they are not known.
    pub(crate) fn dry(wave: usize, budgets: Result<Vec<DisruptionBudget>, String>) -> Self {
        let policy = ExecutionPolicy {
            dry_run: true,
            ..policy()
        };
        let Self { execution, now } = Self::new(wave, policy);
        Self {
            execution: execution.with_budgets(budgets),
            now,
        }
    }

    pub(crate) fn new(wave: usize, policy: ExecutionPolicy) -> Self {
        let now = Duration::from_secs(1000);
        let minimum = MinimumPods::new(2).unwrap();
        let execution = Execution::new(&plan(wave), minimum, policy, baseline(), now);
        Self { execution, now }
    }

    /// The current step, abbreviated.
    pub(crate) fn step(&self) -> String {
        match self.execution.step(self.now) {
            Step::ReadPod(victim) => format!("read {}", victim.name),
            Step::CountReady { enough } => format!("count {enough}"),
            Step::Evict(victim) => format!("evict {}", victim.name),
            Step::ReadWorkload { .. } => "read workload".into(),
            Step::Wait(pause) => format!("wait {}", pause.as_secs_f64()),
            Step::RenewLease => "renew".into(),
            Step::Done => "done".into(),
        }
    }

    #[track_caller]
    pub(crate) fn expect(&mut self, step: &str, event: ExecutionEvent) -> &mut Self {
        assert_eq!(self.step(), step);
        if let Step::Wait(pause) = self.execution.step(self.now) {
            self.now += pause;
        }
        self.execution.handle(self.now, event);
        self
    }

    /// Reads the pod, counts the ready pods, and requests the eviction.
    #[track_caller]
    pub(crate) fn evict(&mut self, name: &str, ready: usize, answer: ExecutionEvent) -> &mut Self {
        self.expect(&format!("read {name}"), present());
        assert!(self.step().starts_with("count "), "{}", self.step());
        self.execution.handle(self.now, counted(ready));
        self.expect(&format!("evict {name}"), answer)
    }

    #[track_caller]
    pub(crate) fn done(&self) -> ExecutionReport {
        assert_eq!(self.step(), "done");
        assert!(self.execution.is_done());
        let report = self.execution.report();
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(
            serde_json::from_str::<ExecutionReport>(&json).unwrap(),
            report
        );
        report
    }

    /// Asserts the outcomes in the order of the plan and the reason of an early end, as in the
    /// documents.
    #[track_caller]
    pub(crate) fn ends(&mut self, outcomes: [&str; 4], stopped: Option<&str>) -> ExecutionReport {
        // The replacements are ready at once, unless the script says otherwise.
        if self.step() == "read workload" {
            self.execution.handle(self.now, workload(6));
        }
        let report = self.done();
        let json = serde_json::to_value(&report).unwrap();
        let got: Vec<&Value> = json["pods"]
            .as_array()
            .unwrap()
            .iter()
            .map(|pod| &pod["outcome"])
            .collect();
        assert_eq!(got, outcomes, "{}", report.message);
        assert_eq!(json.get("stopped"), stopped.map(Value::from).as_ref());
        let complete = outcomes
            .iter()
            .all(|o| ["evicted", "already_gone", "would_wait"].contains(o));
        let expected = if complete { "completed" } else { "incomplete" };
        assert_eq!(json["outcome"], expected);
        report
    }
}
