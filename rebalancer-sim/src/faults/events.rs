//! What happens to a world by itself, or by others than the rebalancers.

use std::time::Duration;

use rebalancer_core::model::{PodFailure, PodRef};
use rebalancer_core::ports::EvictionAnswer;

use super::draw::Defect;
use super::trace::Effect;
use crate::budget::{Budget, BudgetLimit};
use crate::pod::PodKey;
use crate::state::State;
use crate::timeline::WorldEvent;

/// Between two pods of a rollout.
const ROLLOUT_PAUSE: Duration = Duration::from_secs(5);

impl State {
    /// Plans the next thing to happen, if anything is to.
    pub(crate) fn plan_disturbance(&mut self) {
        if let Some(delay) = self.faults.until_disturbed() {
            self.plan(delay, WorldEvent::Disturbed);
        }
    }

    /// Something happens.
    pub(crate) fn disturb(&mut self) {
        match self.faults.below(16) {
            0..4 => self.crash(),
            4..8 => {
                if let Some(key) = self.any_pod() {
                    self.take(key);
                }
            }
            8..11 => self.change_budget(),
            11..14 => {
                if let Some(key) = self.any_pod()
                    && let Some(pod) = self.alive(key)
                {
                    pod.opted_out = !pod.opted_out;
                }
            }
            14 => self.scale(),
            _ => {
                self.template += 1;
                self.specify();
                self.plan(ROLLOUT_PAUSE, WorldEvent::RollOn);
            }
        }
    }

    /// The controller goes on replacing the pods of older templates, one at a time.
    pub(crate) fn roll_on(&mut self) {
        let template = self.template;
        let old = self
            .listed()
            .find(|(_, pod)| !pod.terminating && pod.template != template)
            .map(|(key, _)| key);
        let Some(key) = old else { return };
        if self.ready_pods() >= self.config.pods as usize {
            self.take(key);
        }
        self.plan(ROLLOUT_PAUSE, WorldEvent::RollOn);
    }

    /// A container that does not run yet stays that way for now: decided once a pod.
    pub(crate) fn held_up(&mut self, key: PodKey) -> bool {
        let defect = self.faults.defect();
        let Some(pod) = self.alive(key) else {
            return false;
        };
        // Who waited for a node gets one in the end.
        if pod.defect.take().is_some() {
            return false;
        }
        pod.defect = defect;
        match defect {
            Some(Defect::NoRoom(wait)) => {
                self.plan(wait, WorldEvent::Started(key));
                true
            }
            Some(Defect::NoImage) => true,
            Some(Defect::Crashes) | None => false,
        }
    }

    /// The pods that do not come up, as Kubernetes words it.
    pub(crate) fn failures(&self) -> Vec<PodFailure> {
        self.listed()
            .filter(|(_, pod)| !pod.terminating)
            .filter_map(|(_, pod)| {
                let (reason, lasting) = match pod.defect? {
                    Defect::Crashes => ("CrashLoopBackOff", true),
                    Defect::NoImage => ("ImagePullBackOff", true),
                    Defect::NoRoom(_) => ("Unschedulable", false),
                };
                Some(PodFailure {
                    pod: PodRef {
                        name: pod.name.clone(),
                        uid: pod.uid.clone(),
                    },
                    reason: reason.into(),
                    message: "as the fault plan has it".into(),
                    lasting,
                })
            })
            .collect()
    }

    /// An eviction arrives; what it does is written down at its place among those asked for.
    pub(crate) fn evict_traced(
        &mut self,
        place: usize,
        pod: &PodRef,
        dry_run: bool,
    ) -> EvictionAnswer {
        let was_ready = self.find(pod).is_some_and(|(_, found)| found.serves());
        let budget = self
            .config
            .budget
            .as_ref()
            .map(|budget| budget.needed(self.config.pods));
        let answer = self.answer_evict(pod, dry_run);
        let took_effect = self
            .evictions
            .last()
            .is_some_and(|eviction| eviction.took_effect);
        if took_effect {
            let (at, ready_left, taken) = (self.elapsed(), self.ready_pods(), self.taken);
            let holder = self.lease_holder().map(|lease| lease.holder.clone());
            if let Some(asked) = self.asked.get_mut(place) {
                asked.effect = Some(Effect {
                    at,
                    was_ready,
                    ready_left,
                    taken_since_count: taken.saturating_sub(asked.taken_at_count),
                    budget,
                    holder,
                });
            }
        }
        answer
    }

    /// Somebody else takes a pod away.
    fn take(&mut self, key: PodKey) {
        self.count_loss(key);
        self.terminate(key);
    }

    /// A pod's container ends, and is up again some time later.
    fn crash(&mut self) {
        let outage = self.faults.between(1..120);
        let Some(key) = self.any_pod() else { return };
        self.count_loss(key);
        if let Some(pod) = self.alive(key)
            && pod.ready.take().is_some()
        {
            self.plan(outage, WorldEvent::Ready(key));
            self.leave(key);
        }
    }

    fn change_budget(&mut self) {
        let pods = u32::try_from(self.faults.below(self.config.pods as usize + 2)).unwrap_or(0);
        let limit = match self.faults.below(3) {
            0 => None,
            1 => Some(BudgetLimit::MaxUnavailable(pods)),
            _ => Some(BudgetLimit::MinAvailable(pods)),
        };
        self.config.budget = limit.map(|limit| Budget {
            name: "consumer-budget".into(),
            limit,
        });
    }

    fn scale(&mut self) {
        let up = self.faults.below(2) == 0;
        if up {
            self.config.pods += 1;
            self.specify();
            self.replenish();
        } else if self.config.pods > 1 {
            self.config.pods -= 1;
            self.specify();
            if let Some(key) = self.any_pod() {
                self.take(key);
            }
        }
    }

    /// The specification changed; the controller sees it some time later.
    fn specify(&mut self) {
        self.generation += 1;
        let delay = self.faults.between(0..4);
        self.plan(delay, WorldEvent::Observed);
    }

    /// Writes down that others take a pod away, if it is a ready one.
    fn count_loss(&mut self, key: PodKey) {
        if self.pods.get(&key).is_some_and(|pod| pod.serves()) {
            self.taken += 1;
        }
    }

    /// Any pod that is not terminating.
    fn any_pod(&mut self) -> Option<PodKey> {
        let alive: Vec<PodKey> = self
            .listed()
            .filter(|(_, pod)| !pod.terminating)
            .map(|(key, _)| key)
            .collect();
        let index = self.faults.below(alive.len());
        alive.get(index).copied()
    }
}
