//! Disturbances of the cluster: everything in a fault plan that is not a fault of a call.

use std::time::Duration;

use rebalancer_core::model::{PodFailure, PodRef};
use rebalancer_core::ports::EvictionAnswer;

use super::State;
use crate::budget::{Budget, BudgetLimit};
use crate::pod::{Defect, PodKey};
use crate::timeline::WorldEvent;
use crate::trace::Effect;

/// The pause between two pods of a rollout.
const ROLLOUT_PAUSE: Duration = Duration::from_secs(5);

impl State {
    /// Schedules the next disturbance, if the fault plan has any.
    pub(crate) fn schedule_disturbance(&mut self) {
        if let Some(delay) = self.faults.until_disturbed() {
            self.schedule(delay, WorldEvent::Disturbed);
        }
    }

    /// Executes a random disturbance.
    pub(crate) fn disturb(&mut self) {
        match self.faults.below(16) {
            0..4 => self.crash(),
            4..7 => {
                if let Some(key) = self.any_pod() {
                    self.evict_by_other(key);
                }
            }
            7 => self.lose_node(),
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
                self.change_specification();
                self.schedule(ROLLOUT_PAUSE, WorldEvent::RollOn);
            }
        }
    }

    /// Replaces the next pod of an older template, as the controller does in a rollout.
    pub(crate) fn roll_on(&mut self) {
        let template = self.template;
        let old = self
            .listed()
            .find(|(_, pod)| !pod.terminating && pod.template != template)
            .map(|(key, _)| key);
        let Some(key) = old else { return };
        if self.ready_pods() >= self.config.pods as usize {
            self.evict_by_other(key);
        }
        self.schedule(ROLLOUT_PAUSE, WorldEvent::RollOn);
    }

    /// Whether the start of a new pod is delayed or prevented. Each pod is drawn once.
    pub(crate) fn start_is_blocked(&mut self, key: PodKey) -> bool {
        let defect = self.faults.defect();
        let Some(pod) = self.alive(key) else {
            return false;
        };
        // The wait for a node is over.
        if pod.defect.take().is_some() {
            return false;
        }
        pod.defect = defect;
        match defect {
            Some(Defect::NoRoom(wait)) => {
                self.schedule(wait, WorldEvent::Started(key));
                true
            }
            Some(Defect::NoImage) => true,
            Some(Defect::Crashes) | None => false,
        }
    }

    /// The pods that do not start, with the reasons that Kubernetes reports.
    pub(crate) fn pod_failures(&self) -> Vec<PodFailure> {
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
                    message: "simulated fault".into(),
                    lasting,
                })
            })
            .collect()
    }

    /// Evicts a pod, and records the effect at this index of the eviction requests.
    pub(crate) fn evict_traced(
        &mut self,
        index: usize,
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
            let holder = self.valid_lease().map(|lease| lease.holder.clone());
            if let Some(request) = self.eviction_requests.get_mut(index) {
                request.effect = Some(Effect {
                    at,
                    was_ready,
                    ready_left,
                    taken_since_count: taken.saturating_sub(request.taken_at_count),
                    budget,
                    holder,
                });
            }
        }
        answer
    }

    /// Evicts a pod on behalf of another client.
    fn evict_by_other(&mut self, key: PodKey) {
        self.count_loss(key);
        self.terminate(key);
    }

    /// Crashes a pod, which becomes ready again some time later.
    fn crash(&mut self) {
        let outage = self.faults.between(1..120);
        let Some(key) = self.any_pod() else { return };
        self.count_loss(key);
        if let Some(pod) = self.alive(key)
            && pod.ready.take().is_some()
        {
            self.schedule(outage, WorldEvent::Ready(key));
            self.leave(key);
        }
    }

    /// Loses the node of a pod. The pod is deleted, but no kubelet confirms its end, so that it
    /// stays terminating. Its member leaves the group at the end of its session.
    fn lose_node(&mut self) {
        let Some(key) = self.any_pod() else { return };
        self.count_loss(key);
        let (now, window) = (self.now, self.config.metrics_window);
        if let Some(pod) = self.alive(key) {
            pod.terminating = true;
            pod.ready = None;
            (pod.deleted, pod.lost) = (Some(now), Some(now));
            pod.history.record(now, 0.0, window);
            self.schedule(self.config.session_timeout, WorldEvent::Left(key));
            self.replenish();
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
            self.change_specification();
            self.replenish();
        } else if self.config.pods > 1 {
            self.config.pods -= 1;
            self.change_specification();
            if let Some(key) = self.any_pod() {
                self.evict_by_other(key);
            }
        }
    }

    /// Changes the specification. The controller observes the change some time later.
    fn change_specification(&mut self) {
        self.generation += 1;
        let delay = self.faults.between(0..4);
        self.schedule(delay, WorldEvent::Observed);
    }

    /// Counts the loss of a pod that is not caused by a run, if the pod is ready.
    fn count_loss(&mut self, key: PodKey) {
        if self.pods.get(&key).is_some_and(|pod| pod.serves()) {
            self.taken += 1;
        }
    }

    /// A random pod that is not terminating.
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
