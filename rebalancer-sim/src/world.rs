//! The handle to a simulated world.

use std::time::Duration;

use jiff::Timestamp;
use rebalancer_core::model::PodRef;
use rebalancer_core::ports::{DescribedGroup, JournalEntry, PodState};

use crate::config::{InvalidConfig, SimConfig};
use crate::coordinator::SimCoordinator;
use crate::ports::{SimActuator, SimClock, SimJournal, SimLease, SimMetrics};
use crate::shared::SharedState;
use crate::state::State;
use crate::trace::{EvictionRequest, TraceRecord};
use crate::views::{EvictionRecord, PartitionOwner, PartitionView, PodLoad};

/// A workload, its consumer group, its autoscaler and its metrics, under virtual time. Clones are
/// handles to the same world.
///
/// Time passes only in [`SimWorld::advance`] and in the `sleep` of [`SimClock`]; calls of the ports
/// take no time. The same configuration and the same calls give the same results.
#[derive(Debug, Clone)]
pub struct SimWorld {
    state: SharedState,
}

impl SimWorld {
    /// Creates a world.
    ///
    /// # Errors
    /// [`InvalidConfig`] names the first invalid field.
    pub fn new(config: SimConfig) -> Result<Self, InvalidConfig> {
        config.validate()?;
        Ok(Self {
            state: SharedState::new(State::new(config)),
        })
    }

    /// The metrics port.
    #[must_use]
    pub fn metrics(&self) -> SimMetrics {
        SimMetrics::new(self.state.clone())
    }

    /// The pod actuator port.
    #[must_use]
    pub fn actuator(&self) -> SimActuator {
        let workload = self.state.lock().config.workload.clone();
        SimActuator::new(self.state.clone(), workload)
    }

    /// The coordinator port of a run. Every run needs its own.
    #[must_use]
    pub fn coordinator(&self) -> SimCoordinator {
        SimCoordinator::new(self.state.clone(), false, None)
    }

    /// The virtual clock.
    #[must_use]
    pub fn clock(&self) -> SimClock {
        SimClock::new(self.state.clone())
    }

    /// The lease port of a run with this identity.
    #[must_use]
    pub fn lease(&self, identity: impl Into<String>) -> SimLease {
        SimLease::new(self.state.clone(), identity.into())
    }

    /// The journal port.
    #[must_use]
    pub fn journal(&self) -> SimJournal {
        SimJournal::new(self.state.clone())
    }

    /// The entries published in the journal, in order.
    #[must_use]
    pub fn published(&self) -> Vec<JournalEntry> {
        self.state.lock().published.clone()
    }

    /// The configuration, with the current replicas and budget.
    #[must_use]
    pub fn config(&self) -> SimConfig {
        self.state.lock().config.clone()
    }

    /// The current time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.state.lock().timestamp()
    }

    /// Advances as [`advance`](Self::advance) to a time since the start, but at most to the next
    /// response of the group's coordinator. Returns whether the time was reached.
    pub(crate) fn advance_towards(&self, elapsed: Duration) -> bool {
        let mut state = self.state.lock();
        let until = state.config.initial_age.saturating_add(elapsed);
        state.advance_towards(until)
    }

    /// Whether a response of the group's coordinator is awaited.
    pub(crate) fn awaits_coordinator(&self) -> bool {
        self.state.lock().awaits_coordinator()
    }

    /// Advances the time by `duration`, and executes all events that are due, in order. Time ends
    /// with the year 9999.
    pub fn advance(&self, duration: Duration) {
        self.state.lock().advance(duration);
    }

    /// The pods of the cluster in the order of their creation, including terminating ones, with
    /// their actual loads.
    #[must_use]
    pub fn loads(&self) -> Vec<PodLoad> {
        let state = self.state.lock();
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
        let state = self.state.lock();
        state
            .group
            .owners()
            .zip(state.traffic.rates())
            .map(|(owner, rate)| PartitionView {
                rate: *rate,
                owner: owner.and_then(|owner| {
                    state.pods.get(&owner.pod).map(|pod| PartitionOwner {
                        pod: pod.name.clone(),
                        member: owner.id,
                    })
                }),
            })
            .collect()
    }

    /// The eviction requests that reached the world so far, in order.
    #[must_use]
    pub fn evictions(&self) -> Vec<EvictionRecord> {
        self.state.lock().evictions.clone()
    }

    /// The time since the start of the simulation.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.state.lock().elapsed()
    }

    /// Actions of hand-overs that are not allowed: partitions processed by two consumers at once,
    /// members removed outside an open join phase, assignments that are not valid.
    #[must_use]
    pub fn handover_violations(&self) -> Vec<String> {
        self.state.lock().handover_violations()
    }

    /// The number of rebalances during hand-overs.
    #[must_use]
    pub fn handover_rebalances(&self) -> u32 {
        self.state.lock().handover_rebalances()
    }

    /// The group as its coordinator describes it.
    #[must_use]
    pub fn described_group(&self) -> DescribedGroup {
        self.state.lock().describe_group()
    }

    /// Ends the disturbances of the fault plan. One that is due may still occur.
    pub fn end_disturbances(&self) {
        self.state.lock().faults.end_disturbances();
    }

    /// The actual state of a pod.
    #[must_use]
    pub fn pod(&self, pod: &PodRef) -> PodState {
        self.state.lock().answer_read_pod(pod)
    }

    /// The eviction requests made through [`FaultyPorts`](crate::faults::FaultyPorts), in order,
    /// including those that did not arrive.
    #[must_use]
    pub fn requests(&self) -> Vec<EvictionRequest> {
        self.state.lock().eviction_requests.clone()
    }

    /// The trace of the calls through [`FaultyPorts`](crate::faults::FaultyPorts), in order.
    #[must_use]
    pub fn trace(&self) -> Vec<TraceRecord> {
        self.state.lock().trace.clone()
    }

    pub(crate) fn shared(&self) -> &SharedState {
        &self.state
    }
}
