//! `run`, `plan` and `forecast`: each workload of the configuration, on a real cluster.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use rebalancer_core::policy::{ExecutionPolicy, Policy};
use rebalancer_core::ports::{Clock as _, PortError, RunLease};
use rebalancer_core::report::{Report, SCHEMA, WorkloadReport};
use rebalancer_core::snapshot::AssembleSettings;
use rebalancer_driver::{
    Ports, RunObserver, RunSettings, SystemClock, WorkloadRun, follow, run_workload,
};
use rebalancer_k8s::{ConnectSettings, KubernetesActuator, KubernetesJournal, KubernetesLease};
use rebalancer_prom::PrometheusSource;
use tracing::{debug, info};

use crate::commands::show;
use crate::error::CliError;
use crate::exit::Exit;
use crate::observers::logging::LoggingObserver;
use crate::observers::terminal_line::TerminalLine;
use crate::render::document;
use crate::render::table::Detail;
use crate::settings::{OutputFormat, Settings, TargetSource, WorkloadSettings};
use crate::signals;

/// Whether plans are executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode<'a> {
    /// Plans are executed; with `follow`, the run also waits for the outcome.
    Act { follow: bool },
    /// Plans are only shown, and the snapshots are written to `save` if it is given.
    Show { save: Option<&'a Path> },
    /// The consumer group is shown with the forecasts of plans.
    Forecast,
}

/// One workload with its adapters and settings.
struct Job<'a> {
    workload: &'a WorkloadSettings,
    metrics: PrometheusSource,
    actuator: KubernetesActuator,
    lease: Option<KubernetesLease>,
    journal: KubernetesJournal,
    assemble: AssembleSettings,
    execution: Option<ExecutionPolicy>,
}

impl Job<'_> {
    fn ports<'a>(&'a self, clock: &'a SystemClock, observer: &'a dyn RunObserver) -> Ports<'a> {
        Ports {
            metrics: &self.metrics,
            actuator: &self.actuator,
            clock,
            lease: self.lease.as_ref().map(|lease| lease as &dyn RunLease),
            journal: Some(&self.journal),
            observer,
        }
    }

    fn settings<'a>(&'a self, policy: &'a Policy) -> RunSettings<'a> {
        RunSettings {
            assemble: &self.assemble,
            autoscalers_from_metrics: self.workload.target_source == TargetSource::Prometheus,
            freeze: &self.workload.freeze,
            policy,
            execution: self.execution,
        }
    }
}

/// Runs once over all workloads.
pub(crate) async fn run(
    settings: &Settings,
    mode: Mode<'_>,
    output: OutputFormat,
    exit_code: bool,
    line: Arc<TerminalLine>,
) -> Result<Exit, CliError> {
    let clock = SystemClock::new();
    let started = clock.now();
    let acts = matches!(mode, Mode::Act { .. });
    debug!(?settings, "settings");
    // All errors that need no request are found before the first request.
    let mut sources = Vec::new();
    for workload in &settings.workloads {
        let source = PrometheusSource::new(workload.prometheus.clone());
        sources.push((workload, source.map_err(PortError::from)?));
    }
    let connection = rebalancer_k8s::connect(&ConnectSettings {
        context: settings.kube_context.clone(),
        request_timeout: settings.kube_timeout,
    })
    .await
    .map_err(PortError::from)?;
    // From here on a signal ends the run in order. Before, it ends the process, even while a
    // credential plugin of the kubeconfig hangs.
    let stop =
        signals::listen(settings.run_timeout, Arc::clone(&line)).map_err(CliError::Runtime)?;
    let _updates = line.begin(settings.run_timeout);
    let observer = (LoggingObserver::new(Arc::clone(&line)), line);
    let identity = identity(started);
    let mut jobs = Vec::new();
    for (workload, metrics) in sources {
        let kubernetes = workload.kubernetes.clone();
        let actuator = KubernetesActuator::new(connection.clone(), kubernetes);
        let actuator = actuator.map_err(PortError::from)?;
        jobs.push(Job {
            lease: workload
                .one_at_a_time
                .then(|| actuator.lease(identity.clone())),
            journal: actuator.journal(identity.clone()),
            assemble: AssembleSettings {
                workload: workload.workload().clone(),
                container: workload.kubernetes.container.clone(),
                hpa_prefix: workload.hpa_prefix.clone(),
                target: workload.target,
                group: workload.group.clone(),
            },
            execution: acts.then_some(workload.execution),
            workload,
            metrics,
            actuator,
        });
    }
    info!(
        workloads = settings.workloads.len(),
        dry_run = settings.dry_run,
        kubernetes = connection.server,
        "configuration loaded"
    );

    let mut workloads = Vec::new();
    let keeps_snapshots = matches!(
        mode,
        Mode::Act { follow: true } | Mode::Show { save: Some(_) }
    );
    let mut snapshots = Vec::new();
    for job in &jobs {
        let policy = Policy {
            max_evictions: evictions_left(job.workload.policy.max_evictions, &workloads),
            ..job.workload.policy
        };
        let ports = job.ports(&clock, &observer);
        let WorkloadRun { report, snapshot } =
            run_workload(ports, &job.settings(&policy), &stop).await;
        workloads.push(report);
        // The snapshot of a large workload takes megabytes.
        snapshots.push(snapshot.filter(|_| keeps_snapshots));
    }
    if let Mode::Act { follow: true } = mode {
        for ((job, snapshot), report) in jobs.iter().zip(&snapshots).zip(&mut workloads) {
            if let (WorkloadReport::Decided(decided), Some(snapshot)) = (report, snapshot) {
                let ports = job.ports(&clock, &observer);
                let settings = job.settings(&job.workload.policy);
                decided.follow_up = follow(ports, &settings, decided, snapshot, &stop).await;
            }
        }
    }
    let dry_run = settings.dry_run || !acts;
    let report = report(started, clock.now(), dry_run, workloads);
    let detail = match mode {
        Mode::Act { .. } | Mode::Show { .. } => Detail::Pods,
        Mode::Forecast => Detail::Group,
    };
    show(&report, output, detail)?;
    let documents = snapshots.iter().flatten().map(document::json);
    if let Mode::Show { save: Some(path) } = mode
        && snapshots.iter().any(Option::is_some)
    {
        let documents = documents.collect::<Result<String, _>>()?;
        std::fs::write(path, documents).map_err(|source| CliError::Save {
            path: path.to_owned(),
            source,
        })?;
    }
    let exit = Exit::of(report.outcome(), exit_code);
    info!(
        duration_seconds = (report.finished - started).total(jiff::Unit::Second).ok(),
        exit_code = exit as u8,
        "run finished"
    );
    Ok(exit)
}

/// The identity of this run in the lease: the host, which in a pod is the pod's name, and numbers
/// that distinguish it from other runs there.
fn identity(started: Timestamp) -> String {
    let host = std::env::var("HOSTNAME")
        .or_else(|_| std::fs::read_to_string("/proc/sys/kernel/hostname"))
        .unwrap_or_default();
    let host = match host.trim() {
        "" => "unknown-host",
        host => host,
    };
    let (process, instant) = (std::process::id(), started.as_millisecond());
    format!("{host}_{process}_{instant}")
}

/// The number of pods that may still be evicted. Pods that may have been evicted count as well.
fn evictions_left(limit: Option<usize>, done: &[WorkloadReport]) -> Option<usize> {
    let evicted = done
        .iter()
        .filter_map(WorkloadReport::execution)
        .flat_map(|execution| &execution.pods)
        .filter(|pod| pod.outcome.may_have_been_evicted())
        .count();
    limit.map(|limit| limit.saturating_sub(evicted))
}

/// Assembles the report of a run.
pub(crate) fn report(
    started: Timestamp,
    finished: Timestamp,
    dry_run: bool,
    workloads: Vec<WorkloadReport>,
) -> Report {
    Report {
        schema: SCHEMA.into(),
        version: env!("CARGO_PKG_VERSION").into(),
        started,
        finished,
        dry_run,
        workloads,
    }
}
