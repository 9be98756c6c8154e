//! `run`, `plan`, `forecast` and `group`: each workload of the configuration, on a real cluster.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream;
use jiff::Timestamp;
use rebalancer_core::group_details::GroupDetails;
use rebalancer_core::policy::{ExecutionPolicy, Policy};
use rebalancer_core::ports::{Clock as _, GroupCoordinator, PortError, RunLease};
use rebalancer_core::report::{Failed, Report, ReportCommand, SCHEMA, WorkloadReport};
use rebalancer_core::scenario::Scenario;
use rebalancer_core::snapshot::{AssembleSettings, Snapshot};
use rebalancer_driver::{
    Ports, RunObserver, RunSettings, Stop, SystemClock, WorkloadRun, follow, run_workload,
};
use rebalancer_k8s::{KubernetesActuator, KubernetesJournal, KubernetesLease};
use rebalancer_kafka::{Kafka, KafkaCoordinator};
use rebalancer_prom::PrometheusSource;
use tracing::{Instrument as _, debug, info};

use crate::commands::{add_groups, outcome_of, show, what_if, write_report};
use crate::error::CliError;
use crate::exit::Exit;
use crate::metrics::{
    ApiErrors, ErrorCounter, GroupFacts, Publisher, RunFacts, ServedMetrics, Times, WorkloadFacts,
};
use crate::notify::Notifier;
use crate::observers::logging::{LoggingObserver, span};
use crate::observers::terminal_line::TerminalLine;
use crate::render::document;
use crate::render::table::Detail;
use crate::scenarios::WorkloadScenarios;
use crate::settings::{OutputFormat, OwnMetricsSettings, Settings, WorkloadSettings};
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
    /// The loads of the consumer group in these scenarios are shown.
    WhatIf { scenarios: &'a [Scenario] },
    /// The members of the consumer group are shown.
    Group { partitions: bool },
}

impl Mode<'_> {
    /// Whether plans are executed.
    fn acts(self) -> bool {
        matches!(self, Self::Act { .. })
    }

    /// The part of the result that the table shows.
    fn detail(self) -> Detail {
        match self {
            Self::Act { .. } | Self::Show { .. } => Detail::Pods,
            Self::Forecast | Self::WhatIf { .. } => Detail::Group,
            Self::Group { partitions } => Detail::Members { partitions },
        }
    }
}

/// One workload with its adapters and settings.
struct Job<'a> {
    workload: &'a WorkloadSettings,
    metrics: PrometheusSource,
    kafka: Option<Kafka>,
    coordinator: Option<KafkaCoordinator>,
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
            group: Some(match &self.kafka {
                Some(kafka) => kafka,
                None => &self.metrics,
            }),
            coordinator: self
                .coordinator
                .as_ref()
                .map(|coordinator| coordinator as &dyn GroupCoordinator),
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
            autoscalers_from_metrics: self.workload.autoscalers_from_metrics(),
            freeze: &self.workload.freeze,
            policy,
            execution: self.execution,
            approval: self.workload.approval,
            hold_alert_after: self.workload.hold_alert_after,
        }
    }
}

/// The parts of a resident process that each of its runs uses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resident<'a> {
    /// A signal to the process.
    pub(crate) stop: &'a Stop,
    /// The metrics that the process serves.
    pub(crate) metrics: &'a ServedMetrics,
}

/// Runs once over all workloads, and publishes the metrics of the run. `resident` is that of a
/// process that runs more than once.
pub(crate) async fn run(
    settings: &Settings,
    mode: Mode<'_>,
    output: OutputFormat,
    exit_code: bool,
    line: Arc<TerminalLine>,
    resident: Option<Resident<'_>>,
) -> Result<Exit, CliError> {
    let clock = SystemClock::new();
    let started = clock.now();
    debug!(?settings, "settings");
    let nowhere = OwnMetricsSettings::default();
    // A command that only shows something must not look like a run.
    let (own_metrics, notifications) = if mode.acts() {
        (&settings.own_metrics, settings.notifications.as_ref())
    } else {
        (&nowhere, None)
    };
    let served = resident.map(|resident| resident.metrics);
    let publisher = Publisher::new(own_metrics, served)?;
    let notifier = notifications.map(Notifier::new).transpose()?;
    let stop = resident.map(|resident| resident.stop);
    let result = run_workloads(settings, mode, output, &clock, line, &publisher, stop).await;
    let finished = clock.now();
    let runs = match result {
        Ok(runs) => runs,
        Err(error) => {
            let times = Times { started, finished };
            let report = publish_failure(&publisher, settings, &error, times).await;
            if let Some(notifier) = &notifier {
                notifier.send(&report).await;
            }
            // The error to report is that of the run.
            let _ = write_report(settings.report_file.as_deref(), &report);
            return Err(error);
        }
    };
    if let Mode::WhatIf { scenarios } = mode {
        let workloads = runs.into_iter().zip(&settings.workloads);
        let workloads = workloads.map(|(run, workload)| match (run.snapshot, run.report) {
            (Some(snapshot), _) => WorkloadScenarios::of(&snapshot, &workload.policy, scenarios),
            (None, report) => WorkloadScenarios::failed(&report),
        });
        let report_file = settings.report_file.as_deref();
        return what_if::show(workloads.collect(), report_file, output);
    }
    let (mut workloads, mut facts) = (Vec::new(), Vec::new());
    let (mut groups, mut snapshots) = (Vec::new(), Vec::new());
    for run in runs {
        workloads.push(run.report);
        facts.push(run.facts);
        groups.push(run.group);
        snapshots.extend(run.snapshot);
    }
    let (command, dry_run) = match mode {
        Mode::Act { .. } => (ReportCommand::Run, settings.is_dry_run()),
        Mode::Show { .. } => (ReportCommand::Plan, false),
        Mode::Forecast | Mode::WhatIf { .. } => (ReportCommand::Forecast, false),
        Mode::Group { .. } => (ReportCommand::Group, false),
    };
    let mut report = report(command, (started, finished), dry_run, workloads);
    let detail = mode.detail();
    if let Mode::Group { .. } = mode {
        add_groups(&mut report, std::mem::take(&mut groups));
    }
    let shown = show(&report, &facts, output, detail);
    publisher
        .publish(&WorkloadFacts::of_all(&report.workloads, &facts))
        .await;
    if let Some(notifier) = &notifier {
        notifier.send(&report).await;
    }
    shown?;
    // Not in the output of a run: the partitions would be most of it.
    add_groups(&mut report, groups);
    write_report(settings.report_file.as_deref(), &report)?;
    let documents = snapshots.iter().map(document::json);
    if let Mode::Show { save: Some(path) } = mode
        && !snapshots.is_empty()
    {
        let documents = documents.collect::<Result<String, _>>()?;
        std::fs::write(path, documents).map_err(|source| CliError::Save {
            path: path.to_owned(),
            source,
        })?;
    }
    let exit = Exit::of(outcome_of(&report, detail), exit_code);
    info!(
        duration_seconds = (finished - started).total(jiff::Unit::Second).ok(),
        exit_code = exit as u8,
        "run finished"
    );
    Ok(exit)
}

/// Publishes that no workload could be run, because of an error before the first of them. Returns
/// the report that says so.
async fn publish_failure(
    publisher: &Publisher<'_>,
    settings: &Settings,
    error: &CliError,
    times: Times,
) -> Report {
    let mut api_errors = ApiErrors::default();
    if let CliError::Setup(error) = error {
        api_errors.add(error);
    }
    let (workloads, facts): (Vec<WorkloadReport>, Vec<RunFacts>) = settings
        .workloads
        .iter()
        .map(|workload| {
            let failed = Failed {
                workload: workload.workload().clone(),
                error: error.to_string(),
            };
            let facts = RunFacts {
                dry_run: workload.execution.dry_run,
                times: Some(times),
                group: None,
                api_errors,
            };
            (WorkloadReport::Failed(failed), facts)
        })
        .unzip();
    publisher
        .publish(&WorkloadFacts::of_all(&workloads, &facts))
        .await;
    let times = (times.started, times.finished);
    let dry_run = settings.is_dry_run();
    report(ReportCommand::Run, times, dry_run, workloads)
}

/// The result of the run of one workload.
struct FinishedRun {
    report: WorkloadReport,
    facts: RunFacts,
    /// The consumer group, if it is shown or written.
    group: Option<Box<GroupDetails>>,
    /// The snapshot, if it is saved or evaluated.
    snapshot: Option<Snapshot>,
}

/// Runs every workload, and returns the results in the order of the configuration. Without `stop`,
/// signals are listened to from the moment at which there is a connection.
async fn run_workloads(
    settings: &Settings,
    mode: Mode<'_>,
    output: OutputFormat,
    clock: &SystemClock,
    line: Arc<TerminalLine>,
    publisher: &Publisher<'_>,
    stop: Option<&Stop>,
) -> Result<Vec<FinishedRun>, CliError> {
    let started = clock.now();
    // All errors that need no request are found before the first request.
    let mut sources = Vec::new();
    for workload in &settings.workloads {
        let source = PrometheusSource::new(workload.prometheus.clone());
        let kafka = workload.kafka.clone().map(Kafka::new).transpose();
        sources.push((
            workload,
            source.map_err(PortError::from)?,
            kafka.map_err(PortError::from)?,
        ));
    }
    let connection = rebalancer_k8s::connect(&settings.connect)
        .await
        .map_err(PortError::from)?;
    // From here on a signal ends the run in order. Before, it ends the process, even while a
    // credential plugin of the kubeconfig hangs.
    let stop = match stop {
        Some(stop) => stop.clone(),
        None => signals::listen(Arc::clone(&line)).map_err(CliError::Runtime)?,
    };
    let _updates = line.begin();
    let identity = identity(started);
    let mut jobs = Vec::new();
    for (workload, metrics, kafka) in sources {
        let kubernetes = workload.kubernetes.clone();
        let actuator = KubernetesActuator::new(connection.clone(), kubernetes);
        let actuator = actuator.map_err(PortError::from)?;
        // The brokers name the client in their logs.
        let coordinator = kafka
            .as_ref()
            .map(|kafka| kafka.coordinator(format!("rebalancer-{identity}")));
        jobs.push(Job {
            coordinator,
            lease: workload
                .one_at_a_time
                .then(|| actuator.lease(identity.clone())),
            journal: actuator.journal(identity.clone()),
            assemble: workload.assemble(),
            execution: mode.acts().then_some(workload.execution),
            workload,
            metrics,
            kafka,
            actuator,
        });
    }
    info!(
        workloads = settings.workloads.len(),
        dry_run = settings.is_dry_run(),
        kubernetes = connection.server,
        "configuration loaded"
    );

    let context = RunContext {
        clock,
        mode,
        output,
        has_metrics: publisher.is_on() || output == OutputFormat::OpenMetrics,
        has_group: matches!(mode, Mode::Group { .. }) || settings.report_file.is_some(),
        stop: &stop,
        line: &line,
        several: jobs.len() > 1,
        evicted: Cell::new(0),
    };
    // The results are in the order of the configuration.
    let runs = stream::iter(jobs.iter().enumerate())
        .map(|(index, job)| {
            context
                .run(index, job)
                .instrument(span(job.workload.workload()))
        })
        .buffered(settings.concurrency());
    Ok(runs.collect().await)
}

/// The identity of this run in the lease: the host, which in a pod is the pod's name, and numbers
/// that distinguish it from other runs there.
pub(crate) fn identity(started: Timestamp) -> String {
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

/// The context that the runs of all workloads share.
struct RunContext<'a> {
    clock: &'a SystemClock,
    mode: Mode<'a>,
    output: OutputFormat,
    /// Whether the metrics of the run are shown or published.
    has_metrics: bool,
    /// Whether the partitions of the group are shown, or written to a file.
    has_group: bool,
    /// A signal.
    stop: &'a Stop,
    line: &'a Arc<TerminalLine>,
    /// Whether there are several workloads, so that the line on the terminal names them.
    several: bool,
    /// The number of pods that were or may have been evicted so far.
    evicted: Cell<usize>,
}

impl RunContext<'_> {
    /// Runs one workload, within its own timeout. The snapshot is kept only if it is needed: that
    /// of a large workload takes megabytes.
    async fn run(&self, index: usize, job: &Job<'_>) -> FinishedRun {
        let started = self.clock.now();
        let workload = job.workload;
        let limit = workload.policy.max_evictions;
        let policy = Policy {
            max_evictions: limit.map(|limit| limit.saturating_sub(self.evicted.get())),
            ..workload.policy
        };
        let name = self.several.then(|| {
            let workload = workload.workload();
            format!("{}/{}", workload.namespace, workload.name)
        });
        let timeout = workload.run_timeout;
        let log = LoggingObserver::new(Arc::clone(self.line));
        let log = match self.output {
            OutputFormat::Table => log.beside_table(),
            OutputFormat::Json
            | OutputFormat::Yaml
            | OutputFormat::OpenMetrics
            | OutputFormat::Markdown => log,
        };
        let errors = ErrorCounter::default();
        let observer = (&errors, (log, self.line.observer(index, name, timeout)));
        let (stop, _timer) = signals::with_timeout(self.stop, timeout);
        let ports = job.ports(self.clock, &observer);
        let settings = job.settings(&policy);
        let WorkloadRun {
            mut report,
            snapshot,
        } = run_workload(ports, &settings, &stop).await;
        self.evicted.set(self.evicted.get() + evictions(&report));
        if let (Mode::Act { follow: true }, WorkloadReport::Decided(decided), Some(snapshot)) =
            (self.mode, &mut report, &snapshot)
        {
            decided.follow_up = follow(ports, &settings, decided, snapshot, &stop).await;
        }
        let is_saved = matches!(
            self.mode,
            Mode::Show { save: Some(_) } | Mode::WhatIf { .. }
        );
        let of_metrics = snapshot.as_ref().filter(|_| self.has_metrics);
        let of_group = snapshot.as_ref().filter(|_| self.has_group);
        FinishedRun {
            facts: RunFacts {
                dry_run: !self.mode.acts() || workload.execution.dry_run,
                times: Some(Times {
                    started,
                    finished: self.clock.now(),
                }),
                group: of_metrics.and_then(GroupFacts::of),
                api_errors: errors.errors(),
            },
            group: of_group.and_then(GroupDetails::of).map(Box::new),
            report,
            snapshot: snapshot.filter(|_| is_saved),
        }
    }
}

/// The number of pods that were or may have been evicted.
fn evictions(report: &WorkloadReport) -> usize {
    let execution = report.execution().into_iter();
    execution
        .flat_map(|execution| &execution.pods)
        .filter(|pod| pod.outcome.may_have_been_evicted())
        .count()
}

/// Assembles the report of a run that took place between these times.
pub(crate) fn report(
    command: ReportCommand,
    (started, finished): (Timestamp, Timestamp),
    dry_run: bool,
    workloads: Vec<WorkloadReport>,
) -> Report {
    Report {
        started: Some(started),
        finished: Some(finished),
        dry_run,
        ..untimed_report(command, workloads)
    }
}

/// Assembles a report that depends on nothing but the decisions.
pub(crate) fn untimed_report(command: ReportCommand, workloads: Vec<WorkloadReport>) -> Report {
    Report {
        schema: SCHEMA.into(),
        version: env!("CARGO_PKG_VERSION").into(),
        command,
        started: None,
        finished: None,
        dry_run: false,
        workloads,
    }
}
