//! The ports of a simulated world.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rebalancer_core::model::{Autoscaler, PodRef, WorkloadRef, WorkloadState};
use rebalancer_core::ports::{
    Clock, EvictionAnswer, GroupObservation, LoadObservation, MetricsSource, PodActuator, PodState,
    PortError, WorkloadObservation,
};

use crate::world::SimWorld;

/// The metrics of a [`SimWorld`]: loads as a rate over the configured window. A young pod reads
/// low, a pod is missing until it was scraped twice, and one that is gone is still there until its
/// samples leave the window.
///
/// Of the group they know what a consumer exports that tells its own assignment, and rates over the
/// same window.
#[derive(Debug, Clone)]
pub struct SimMetrics {
    world: SimWorld,
}

impl SimMetrics {
    pub(crate) fn new(world: SimWorld) -> Self {
        Self { world }
    }
}

#[async_trait]
impl MetricsSource for SimMetrics {
    async fn loads(&self) -> Result<LoadObservation, PortError> {
        Ok(self.world.lock().answer_loads())
    }

    async fn autoscalers(&self) -> Result<Vec<Autoscaler>, PortError> {
        Ok(self.world.lock().answer_autoscalers())
    }

    async fn group(&self) -> Result<Option<GroupObservation>, PortError> {
        Ok(Some(self.world.lock().answer_group()))
    }
}

/// The cluster of a [`SimWorld`].
#[derive(Debug, Clone)]
pub struct SimActuator {
    world: SimWorld,
    workload: WorkloadRef,
}

impl SimActuator {
    pub(crate) fn new(world: SimWorld, workload: WorkloadRef) -> Self {
        Self { world, workload }
    }
}

#[async_trait]
impl PodActuator for SimActuator {
    fn workload(&self) -> &WorkloadRef {
        &self.workload
    }

    async fn observe(&self) -> Result<WorkloadObservation, PortError> {
        Ok(self.world.lock().answer_observe())
    }

    async fn read_pod(&self, pod: &PodRef) -> Result<PodState, PortError> {
        Ok(self.world.lock().answer_read_pod(pod))
    }

    async fn count_ready(&self, _enough: usize) -> Result<usize, PortError> {
        // Counting costs nothing here, so the number is always exact.
        Ok(self.world.lock().answer_count_ready())
    }

    async fn read_workload(&self, _enough: usize) -> Result<WorkloadState, PortError> {
        Ok(self.world.lock().answer_read_workload())
    }

    async fn evict(&self, pod: &PodRef, dry_run: bool) -> EvictionAnswer {
        self.world.lock().answer_evict(pod, dry_run)
    }
}

/// The virtual clock of a [`SimWorld`]: sleeping lets the world's time pass at once.
#[derive(Debug, Clone)]
pub struct SimClock {
    world: SimWorld,
}

impl SimClock {
    pub(crate) fn new(world: SimWorld) -> Self {
        Self { world }
    }
}

#[async_trait]
impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        self.world.now()
    }

    fn elapsed(&self) -> Duration {
        // Virtual time is never set back.
        Duration::try_from(self.world.now() - self.world.config().start).unwrap_or_default()
    }

    async fn sleep(&self, duration: Duration) {
        self.world.advance(duration);
    }
}
