//! What the world answers to the calls of the ports: one function a call, and nothing else of the
//! world's state is read or changed by a port.

use rebalancer_core::model::{Autoscaler, CpuMetric, PodRef, Rollout, WorkloadState};
use rebalancer_core::ports::{EvictionAnswer, LoadObservation, PodState, WorkloadObservation};

use crate::pod::SimPod;
use crate::state::State;
use crate::world::Eviction;

impl State {
    pub(crate) fn answer_loads(&self) -> LoadObservation {
        LoadObservation {
            samples: self
                .pods
                .values()
                .filter_map(|pod| pod.as_measured(self.now, &self.config))
                .collect(),
            partial: None,
            freshness_known: true,
            custom: false,
            evaluated_at: Some(self.timestamp()),
        }
    }

    pub(crate) fn answer_autoscalers(&self) -> Vec<Autoscaler> {
        vec![Autoscaler {
            name: self.config.workload.name.clone(),
            cpu: vec![CpuMetric::Utilization {
                percent: self.config.target_percent,
            }],
            other_metrics: Vec::new(),
            current_replicas: Some(self.config.pods),
            desired_replicas: Some(self.config.pods),
        }]
    }

    pub(crate) fn answer_observe(&self) -> WorkloadObservation {
        WorkloadObservation {
            taken_at: self.timestamp(),
            rollout: Some(self.rollout()),
            autoscalers: self.answer_autoscalers(),
            pods: self
                .listed()
                .map(|(_, pod)| pod.as_listed(self.now, &self.config))
                .collect(),
            last_rotation: self.last_rotation.clone(),
        }
    }

    pub(crate) fn answer_read_pod(&self, pod: &PodRef) -> PodState {
        self.find(pod)
            .map_or(PodState::Gone, |(_, found)| found.state())
    }

    pub(crate) fn answer_count_ready(&self) -> usize {
        self.ready_pods()
    }

    pub(crate) fn answer_read_workload(&self) -> WorkloadState {
        WorkloadState {
            ready: self.ready_pods(),
            rollout: Some(self.rollout()),
            troubles: self.troubles(),
        }
    }

    /// As the API server does it: the UID first, then the budget, and a dry run stops short of the
    /// act. A pod that is terminating already is accepted again, without any further effect.
    pub(crate) fn answer_evict(&mut self, pod: &PodRef, dry_run: bool) -> EvictionAnswer {
        let (answer, acted_on) = match self.find(pod) {
            None => (EvictionAnswer::AlreadyGone, None),
            Some((_, found)) if found.terminating => (EvictionAnswer::Evicted, None),
            Some((key, found)) => self
                .blocked(found)
                .map_or((EvictionAnswer::Evicted, Some(key)), |blocked| {
                    (blocked, None)
                }),
        };
        let acted_on = acted_on.filter(|_| !dry_run);
        if let Some(key) = acted_on {
            self.terminate(key);
        }
        self.evictions.push(Eviction {
            at: self.timestamp(),
            pod: pod.clone(),
            dry_run,
            took_effect: acted_on.is_some(),
            answer: answer.clone(),
        });
        answer
    }

    /// The budget's answer, when it forbids the eviction of this pod.
    fn blocked(&self, pod: &SimPod) -> Option<EvictionAnswer> {
        let budget = self.config.budget.as_ref()?;
        let needed = budget.needed(self.config.pods);
        let healthy = self.ready_pods();
        // A pod that has not started is no loss to anyone; one that runs without being ready
        // may go as long as enough others are healthy.
        let allowed = if pod.started.is_none() {
            true
        } else if pod.serves() {
            healthy > needed
        } else {
            healthy >= needed && needed > 0 || healthy > needed
        };
        (!allowed).then(|| EvictionAnswer::Blocked {
            message: format!(
                "Cannot evict pod as it would violate the pod's disruption budget. The disruption \
                 budget {} needs {needed} healthy pods and has {healthy} currently",
                budget.name
            ),
            budget: Some(budget.name.clone()),
            retry_after: None,
        })
    }

    /// The Deployment's status: terminating pods no longer count, and their replacements do from
    /// their creation on, so an eviction never looks like a rollout.
    pub(crate) fn rollout(&self) -> Rollout {
        let count = |counts: &dyn Fn(&SimPod) -> bool| {
            let pods = self
                .listed()
                .filter(|(_, pod)| !pod.terminating && counts(pod))
                .count();
            u32::try_from(pods).unwrap_or(u32::MAX)
        };
        Rollout {
            generation: self.generation,
            observed_generation: self.observed_generation,
            desired: self.config.pods,
            current: count(&|_| true),
            updated: count(&|pod| pod.template == self.template),
        }
    }
}
