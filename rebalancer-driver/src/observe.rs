//! Reads loads, pods, autoscalers and the consumer group into a snapshot.

use rebalancer_core::Snapshot;
use rebalancer_core::execution::StopCause;
use rebalancer_core::lease::LeaseHolder;
use rebalancer_core::model::Autoscaler;
use rebalancer_core::ports::{
    GroupObservation, LoadObservation, PortError, PortErrorKind, WorkloadObservation,
};
use rebalancer_core::snapshot::{InvalidSnapshot, assemble};

use crate::event::RunEvent;
use crate::ports::{Ports, RunSettings};
use crate::run::Run;
use crate::stop::Stop;

/// Why a workload could not be observed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObserveError {
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
    /// Both ports failed.
    #[error("{metrics}; and {workload}")]
    Both {
        /// The error of the metrics source.
        #[source]
        metrics: PortError,
        /// The error of Kubernetes.
        workload: PortError,
    },
    /// The observations contradict each other.
    #[error("the pods of Kubernetes are no valid snapshot: {0}")]
    Snapshot(#[from] InvalidSnapshot),
    /// The lease could not be acquired.
    #[error("{0}; nothing was evicted. ONE_AT_A_TIME=false does without the lease")]
    Lease(#[source] PortError),
    /// The run was asked to stop first.
    #[error("{0} before a decision was made; nothing was evicted")]
    Stopped(StopCause),
}

impl ObserveError {
    /// The error of a lease that could not be acquired.
    pub(crate) fn from_lease(error: PortError) -> Self {
        match error.kind {
            // The workload does not exist, so running without the lease would not help.
            PortErrorKind::NotFound => Self::Port(error),
            PortErrorKind::Unreachable
            | PortErrorKind::Tls
            | PortErrorKind::Timeout
            | PortErrorKind::Unauthorized
            | PortErrorKind::Forbidden
            | PortErrorKind::Rejected
            | PortErrorKind::Server
            | PortErrorKind::BadAnswer
            | PortErrorKind::Setup => Self::Lease(error),
        }
    }
}

/// Observes one workload through all ports at once. `other_run` is the run that holds the lease.
///
/// # Errors
/// When a port fails, or the run is asked to stop meanwhile.
pub async fn observe(
    ports: Ports<'_>,
    settings: &RunSettings<'_>,
    other_run: Option<LeaseHolder>,
    stop: &Stop,
) -> Result<Snapshot, ObserveError> {
    let run = Run {
        ports,
        settings,
        stop,
    };
    observe_workload(run, other_run).await
}

pub(crate) async fn observe_workload(
    run: Run<'_>,
    other_run: Option<LeaseHolder>,
) -> Result<Snapshot, ObserveError> {
    let readings = async {
        tokio::join!(
            read_loads(run),
            read_autoscalers(run),
            read_workload(run),
            read_group(run)
        )
    };
    let (loads, autoscalers, workload, group) = tokio::select! {
        readings = readings => readings,
        cause = run.stop.wait() => return Err(ObserveError::Stopped(cause)),
    };
    let metrics = loads.and_then(|loads| autoscalers.map(|autoscalers| (loads, autoscalers)));
    let ((loads, autoscalers), workload) = match (metrics, workload) {
        (Ok(metrics), Ok(workload)) => (metrics, workload),
        (Err(error), Ok(_)) | (Ok(_), Err(error)) => return Err(error.into()),
        (Err(metrics), Err(workload)) => return Err(ObserveError::Both { metrics, workload }),
    };
    // The strategy decides whether an unknown group matters.
    let group = group.unwrap_or_else(|error| {
        run.emit(&RunEvent::GroupUnknown { error: &error });
        Some(GroupObservation {
            partial: Some(error.to_string()),
            ..GroupObservation::default()
        })
    });
    let snapshot = assemble(run.settings.assemble, loads, workload, autoscalers, group)?;
    let now = run.ports.clock.now();
    let frozen = run.settings.freeze.window_at(now).map(str::to_owned);
    Ok(snapshot.in_circumstances(other_run, frozen))
}

async fn read_loads(run: Run<'_>) -> Result<LoadObservation, PortError> {
    let loads = run.ports.metrics.loads().await?;
    let samples = loads.samples.len();
    run.emit(&RunEvent::LoadsRead { samples });
    Ok(loads)
}

async fn read_autoscalers(run: Run<'_>) -> Result<Vec<Autoscaler>, PortError> {
    if !run.settings.autoscalers_from_metrics {
        return Ok(Vec::new());
    }
    match run.ports.metrics.autoscalers().await {
        // With a configured target they would only show whether the workload is being scaled.
        Err(error) if run.settings.assemble.target.is_some() => {
            run.emit(&RunEvent::AutoscalersUnknown { error: &error });
            Ok(Vec::new())
        }
        autoscalers => autoscalers,
    }
}

async fn read_workload(run: Run<'_>) -> Result<WorkloadObservation, PortError> {
    let workload = run.ports.actuator.observe().await?;
    let pods = workload.pods.len();
    run.emit(&RunEvent::WorkloadRead { pods });
    Ok(workload)
}

async fn read_group(run: Run<'_>) -> Result<Option<GroupObservation>, PortError> {
    if run.settings.assemble.group.is_none() {
        return Ok(None);
    }
    let group = run.ports.metrics.group().await?;
    if let Some(group) = &group {
        let owned_partitions = group.owners.len();
        run.emit(&RunEvent::GroupRead { owned_partitions });
    }
    Ok(group)
}
