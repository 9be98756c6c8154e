//! A whole rebalance with hand-written ports: four of seven pods are evicted and replaced.
#![expect(clippy::print_stdout, reason = "an example")]

use rebalancer_core::{model::*, policy::*, ports::*, snapshot::AssembleSettings};
use rebalancer_driver::{Ports, RunSettings, Stop, SystemClock, run_workload};
use tokio::sync::Mutex;

/// A cluster in memory: the names of its ready pods and their loads.
struct Cluster(WorkloadRef, Mutex<Vec<(String, Load)>>);

#[async_trait::async_trait]
impl MetricsSource for Cluster {
    async fn loads(&self) -> Result<LoadObservation, PortError> {
        let pods = self.1.lock().await;
        let samples = pods.iter().map(|(name, load)| LoadSample::new(name, *load));
        Ok(LoadObservation::complete(samples))
    }
    async fn autoscalers(&self) -> Result<Vec<AutoscalerCandidate>, PortError> {
        Ok(Vec::new())
    }
}

#[async_trait::async_trait]
impl PodActuator for Cluster {
    fn workload(&self) -> &WorkloadRef {
        &self.0
    }
    async fn observe(&self) -> Result<WorkloadObservation, PortError> {
        let pods = self.1.lock().await;
        let pods = pods.iter().map(|(name, _)| Pod::new(name)).collect();
        Ok(WorkloadObservation::new(jiff::Timestamp::now(), pods))
    }
    async fn read_pod(&self, _: &PodRef) -> Result<PodState, PortError> {
        Ok(PodState::Present { ready: true })
    }
    async fn count_ready(&self, _: usize) -> Result<usize, PortError> {
        Ok(self.1.lock().await.len())
    }
    async fn read_workload(&self, _: usize) -> Result<WorkloadState, PortError> {
        Ok(WorkloadState::with_ready(self.1.lock().await.len()))
    }
    async fn evict(&self, pod: &PodRef, _: bool) -> EvictionAnswer {
        let mut pods = self.1.lock().await;
        pods.retain(|(name, _)| *name != pod.name);
        pods.push((format!("{}-replacement", pod.name), Load::ZERO));
        EvictionAnswer::Evicted
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut pods = Vec::new();
    for (index, load) in [1.2, 1.1, 0.8, 0.7, 0.6, 0.4, 0.3].into_iter().enumerate() {
        pods.push((format!("pod-{index}"), Load::new(load)?));
    }
    let workload = WorkloadRef::default();
    let cluster = Cluster(workload.clone(), Mutex::new(pods));
    let assemble = AssembleSettings::new(workload, "consumer", Some(Cores::new(0.7)?));
    let policy = Policy::default();
    let settings = RunSettings::new(&assemble, &policy).execute(ExecutionPolicy::default());
    let (clock, stop) = (SystemClock::default(), Stop::never());
    let run = run_workload(Ports::new(&cluster, &cluster, &clock), &settings, &stop).await;
    let execution = run.report.execution().ok_or("there was no plan")?;
    println!("{}", execution.message);
    Ok(())
}
