//! Reads loads, pods, autoscalers and the consumer group into a snapshot.

use jiff::Timestamp;
use rebalancer_core::Snapshot;
use rebalancer_core::lease::LeaseHolder;
use rebalancer_core::ports::{
    AutoscalerCandidate, GroupObservation, LoadObservation, PortError, WorkloadObservation,
};
use rebalancer_core::snapshot::assemble;

use crate::context::Run;
use crate::error::ObserveError;
use crate::event::{RunEvent, RunObserver};
use crate::ports::{Ports, RunSettings};
use crate::stop::Stop;

/// Observes one workload through all ports at once. `other_run` is the run that holds the lease.
///
/// # Errors
/// If a port fails, or the run is asked to stop meanwhile.
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

/// The results of the ports, before they are joined into a snapshot.
#[derive(Debug)]
pub struct Readings {
    /// The loads.
    pub loads: Result<LoadObservation, PortError>,
    /// The autoscalers that the metrics report.
    pub autoscalers: Result<Vec<AutoscalerCandidate>, PortError>,
    /// The workload and its pods.
    pub workload: Result<WorkloadObservation, PortError>,
    /// The consumer group; `None` if the settings mention none.
    pub group: Result<Option<GroupObservation>, PortError>,
}

/// Reads all ports at once.
async fn read_ports(run: Run<'_>) -> Result<Readings, ObserveError> {
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
    Ok(Readings {
        loads,
        autoscalers,
        workload,
        group,
    })
}

pub(crate) async fn observe_workload(
    run: Run<'_>,
    other_run: Option<LeaseHolder>,
) -> Result<Snapshot, ObserveError> {
    let readings = read_ports(run).await?;
    let Ports {
        clock, observer, ..
    } = run.ports;
    readings.join(run.settings, clock.now(), observer, other_run)
}

impl Readings {
    /// Joins the results into a snapshot. `now` decides which freeze window is active, and
    /// `other_run` is the run that holds the lease.
    ///
    /// # Errors
    /// If a port failed other than that of the group, or the observations contradict each other.
    pub fn join(
        self,
        settings: &RunSettings<'_>,
        now: Timestamp,
        observer: &dyn RunObserver,
        other_run: Option<LeaseHolder>,
    ) -> Result<Snapshot, ObserveError> {
        let Self {
            loads,
            autoscalers,
            workload,
            group,
        } = self;
        let metrics = loads.and_then(|loads| autoscalers.map(|autoscalers| (loads, autoscalers)));
        let ((loads, autoscalers), workload) = match (metrics, workload) {
            (Ok(metrics), Ok(workload)) => (metrics, workload),
            (Err(error), Ok(_)) | (Ok(_), Err(error)) => return Err(error.into()),
            (Err(metrics), Err(workload)) => return Err(ObserveError::Both { metrics, workload }),
        };
        // The strategy decides whether an unknown group matters.
        let group = group.unwrap_or_else(|error| {
            observer.event(&RunEvent::GroupUnknown { error: &error });
            Some(GroupObservation {
                partial: Some(error.to_string()),
                ..GroupObservation::default()
            })
        });
        let assembled = assemble(settings.assemble, loads, workload, autoscalers, group)?;
        if let Some(autoscaler) = &assembled.autoscaler_by_name {
            observer.event(&RunEvent::AutoscalerChosenByName(autoscaler));
        }
        let frozen = settings.freeze.window_at(now).map(str::to_owned);
        Ok(assembled.snapshot.in_circumstances(other_run, frozen))
    }
}

async fn read_loads(run: Run<'_>) -> Result<LoadObservation, PortError> {
    let loads = run.ports.metrics.loads().await?;
    let samples = loads.samples.len();
    run.emit(&RunEvent::LoadsRead { samples });
    Ok(loads)
}

async fn read_autoscalers(run: Run<'_>) -> Result<Vec<AutoscalerCandidate>, PortError> {
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
    let Some(source) = run
        .ports
        .group
        .filter(|_| run.settings.assemble.group.is_some())
    else {
        return Ok(None);
    };
    let group = source.group().await?;
    if let Some(group) = &group {
        let owned = group.owners.iter().filter(|sample| sample.owner.is_some());
        let owned_partitions = owned.count();
        run.emit(&RunEvent::GroupRead { owned_partitions });
    }
    Ok(group)
}
