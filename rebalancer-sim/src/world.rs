//! The handle to a simulated world.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rebalancer_core::model::PodRef;
use rebalancer_core::ports::{EvictionAnswer, JournalEntry, PodState};

use crate::config::{InvalidConfig, SimConfig};
use crate::faults::{EvictionRequest, TraceRecord};
use crate::lease::{SimJournal, SimLease};
use crate::ports::{SimActuator, SimClock, SimMetrics};
use crate::state::State;

/// A workload, its consumer group, its autoscaler and its metrics, under virtual time. Clones are
/// handles to the same world.
///
/// Time passes only in [`SimWorld::advance`] and [`SimClock`]'s `sleep`; a call of a port takes
/// none. The same configuration and the same calls give the same answers.
#[derive(Debug, Clone)]
pub struct SimWorld {
    state: Arc<Mutex<State>>,
}

/// One pod of the cluster, as only its maker can see it.
#[derive(Debug, Clone, PartialEq)]
pub struct PodLoad {
    /// Its name.
    pub name: String,
    /// What it really spends at this instant, in cores; 0 before its containers run.
    pub load: f64,
    /// It counts as one of the workload's ready pods: Running, Ready and not terminating.
    pub ready: bool,
    /// It is on its way out.
    pub terminating: bool,
    /// The number of partitions it owns.
    pub partitions: usize,
}

/// One partition of the topic.
#[derive(Debug, Clone, PartialEq)]
pub struct PartitionView {
    /// Its rate at this instant, in records per second.
    pub rate: f64,
    /// Its owner; `None` while nobody serves it: its owner is gone, and the group has not rebalanced
    /// since.
    pub owner: Option<Owner>,
}

/// A member of the group that owns a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The name of its pod.
    pub pod: String,
    /// Its member id.
    pub member: String,
}

/// One request for an eviction that reached the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Eviction {
    /// When.
    pub at: Timestamp,
    /// The pod that was asked for.
    pub pod: PodRef,
    /// It was a dry run.
    pub dry_run: bool,
    /// It began the termination of the pod; no two requests of which this is true are for the
    /// same UID.
    pub took_effect: bool,
    /// What was answered.
    pub answer: EvictionAnswer,
}

impl SimWorld {
    /// Makes a world.
    ///
    /// # Errors
    /// [`InvalidConfig`] names the first field no world can be made of.
    pub fn new(config: SimConfig) -> Result<Self, InvalidConfig> {
        config.validate()?;
        Ok(Self {
            state: Arc::new(Mutex::new(State::new(config))),
        })
    }

    /// Its metrics.
    #[must_use]
    pub fn metrics(&self) -> SimMetrics {
        SimMetrics::new(self.clone())
    }

    /// Its cluster.
    #[must_use]
    pub fn actuator(&self) -> SimActuator {
        SimActuator::new(self.clone(), self.lock().config.workload.clone())
    }

    /// Its clock.
    #[must_use]
    pub fn clock(&self) -> SimClock {
        SimClock::new(self.clone())
    }

    /// Its lease, for a run of this identity.
    #[must_use]
    pub fn lease(&self, identity: impl Into<String>) -> SimLease {
        SimLease::new(self.clone(), identity.into())
    }

    /// Its journal.
    #[must_use]
    pub fn journal(&self) -> SimJournal {
        SimJournal::new(self.clone())
    }

    /// Everything that was published in its journal, in order.
    #[must_use]
    pub fn published(&self) -> Vec<JournalEntry> {
        self.lock().published.clone()
    }

    /// What it was made of, with the replicas and the budget as they are now.
    #[must_use]
    pub fn config(&self) -> SimConfig {
        self.lock().config.clone()
    }

    /// The present instant.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.lock().timestamp()
    }

    /// Lets time pass at once: whatever is to happen meanwhile happens, in order. Time ends with
    /// the year 9999.
    pub fn advance(&self, duration: Duration) {
        self.lock().advance(duration);
    }

    /// The pods of the cluster, terminating ones included, in the order of their creation, with
    /// what they really spend.
    #[must_use]
    pub fn loads(&self) -> Vec<PodLoad> {
        let state = self.lock();
        state
            .listed()
            .map(|(key, pod)| PodLoad {
                name: pod.name.clone(),
                load: pod.history.now(),
                ready: pod.serves(),
                terminating: pod.terminating,
                partitions: state.group.partitions_of(key),
            })
            .collect()
    }

    /// The partitions of the topic, in order.
    #[must_use]
    pub fn partitions(&self) -> Vec<PartitionView> {
        let state = self.lock();
        state
            .group
            .owners()
            .zip(state.traffic.rates())
            .map(|(owner, rate)| PartitionView {
                rate: *rate,
                owner: owner.and_then(|owner| {
                    state.pods.get(&owner.pod).map(|pod| Owner {
                        pod: pod.name.clone(),
                        member: owner.id,
                    })
                }),
            })
            .collect()
    }

    /// Every request for an eviction so far, in order.
    #[must_use]
    pub fn evictions(&self) -> Vec<Eviction> {
        self.lock().evictions.clone()
    }

    /// The time that has passed since the world was handed over.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.lock().elapsed()
    }

    /// What this pod is now, as only its maker can know it for certain.
    #[must_use]
    pub fn pod(&self, pod: &PodRef) -> PodState {
        self.lock().answer_read_pod(pod)
    }

    /// Every request for an eviction that was made through
    /// [`FaultyPorts`](crate::faults::FaultyPorts), in order, whether or not it arrived.
    #[must_use]
    pub fn requests(&self) -> Vec<EvictionRequest> {
        self.lock().asked.clone()
    }

    /// What went through [`FaultyPorts`](crate::faults::FaultyPorts) so far, in order.
    #[must_use]
    pub fn trace(&self) -> Vec<TraceRecord> {
        self.lock().trace.clone()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere (a failing assertion of a test) is no reason for a second one here.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
