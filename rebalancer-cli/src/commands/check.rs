//! `check`: whether everything that a run needs is there, and how to repair what is not. Reads only.

use futures::future::join_all;
use rebalancer_core::Strategy;
use rebalancer_core::ports::{PodActuator as _, PortError};
use rebalancer_driver::{Ports, RunSettings, Stop, SystemClock, read};
use rebalancer_k8s::{
    ConnectSettings, Connection, K8sError, KubernetesActuator, Right, WorkloadKind,
};
use rebalancer_kafka::Kafka;
use rebalancer_prom::PrometheusSource;
use tracing::error;

use crate::check::decided::Decisions;
use crate::check::{
    CheckLine, CheckReport, CheckSection, CheckStatus, Subject, observed, rights, role,
};
use crate::commands::{print, print_document};
use crate::error::CliError;
use crate::exit::Exit;
use crate::render::check as render;
use crate::settings::{OutputFormat, Settings, SettingsError, WorkloadSettings};

/// Checks the settings and, if they are valid, all that a run with them needs.
pub(crate) async fn run(
    settings: Result<Settings, Vec<SettingsError>>,
    output: OutputFormat,
) -> Result<Exit, CliError> {
    let sections = match settings {
        Err(errors) => vec![configuration(
            errors
                .iter()
                .map(|error| CheckLine::new(CheckStatus::Error, error.to_string()))
                .collect(),
        )],
        Ok(settings) => sections(&settings).await,
    };
    let report = CheckReport::new(sections);
    print_document(&report, output, |palette| render::report(&report, palette))?;
    Ok(match report.status {
        CheckStatus::Error => Exit::Error,
        CheckStatus::Info | CheckStatus::Ok | CheckStatus::Warning => Exit::Fine,
    })
}

/// Prints the Roles with the rights that the settings need. Only for a workload of a custom kind is a
/// request sent.
pub(crate) async fn print_role(settings: &Settings) -> Result<Exit, CliError> {
    let mut rights = Vec::new();
    for workload in &settings.workloads {
        let namespace = workload.workload().namespace.as_str();
        rights.push((namespace, rights_of(settings, workload).await?));
    }
    print(&role::manifest(&rights))?;
    Ok(Exit::Fine)
}

async fn rights_of(
    settings: &Settings,
    workload: &WorkloadSettings,
) -> Result<Vec<Right>, PortError> {
    let is_custom = matches!(
        workload.workload().kind.parse(),
        Ok(WorkloadKind::Scalable(_))
    );
    if is_custom {
        let connection = rebalancer_k8s::connect(&connect_settings(settings)).await?;
        let actuator = KubernetesActuator::new(connection, workload.kubernetes.clone())?;
        return Ok(actuator.rights(workload.usage()).await?);
    }
    let rights = rebalancer_k8s::rights(&workload.kubernetes, workload.usage(), None);
    Ok(rights.map_err(K8sError::from)?)
}

/// Checks the settings, and prints `smallest` if a run with them works. Otherwise the failed checks are
/// logged.
pub(crate) async fn print_config(settings: &Settings, smallest: &str) -> Result<Exit, CliError> {
    let report = CheckReport::new(sections(settings).await);
    if report.status != CheckStatus::Error {
        print(smallest)?;
        return Ok(Exit::Fine);
    }
    let checks = report.sections.iter().flat_map(|section| &section.checks);
    for check in checks.filter(|check| check.status == CheckStatus::Error) {
        match &check.fix {
            Some(fix) => error!("{}; {fix}", check.message),
            None => error!("{}", check.message),
        }
    }
    Ok(Exit::Error)
}

fn connect_settings(settings: &Settings) -> ConnectSettings {
    ConnectSettings {
        context: settings.kube_context.clone(),
        request_timeout: settings.kube_timeout,
    }
}

fn configuration(checks: Vec<CheckLine>) -> CheckSection {
    CheckSection {
        subject: Subject::Configuration,
        workload: None,
        checks,
    }
}

fn failed(error: impl Into<PortError>) -> CheckLine {
    CheckLine::new(CheckStatus::Error, error.into().to_string())
}

/// A workload with the adapters that its settings describe.
struct Sources<'a> {
    workload: &'a WorkloadSettings,
    metrics: PrometheusSource,
    kafka: Option<Kafka>,
}

async fn sections(settings: &Settings) -> Vec<CheckSection> {
    let mut lines = Vec::new();
    let mut sources = Vec::new();
    for workload in &settings.workloads {
        let metrics = PrometheusSource::new(workload.prometheus.clone());
        let kafka = workload.kafka.clone().map(Kafka::new).transpose();
        match (metrics, kafka) {
            (Ok(metrics), Ok(kafka)) => {
                lines.push(mode(workload));
                sources.push(Sources {
                    workload,
                    metrics,
                    kafka,
                });
            }
            (metrics, kafka) => {
                lines.extend(metrics.err().map(failed));
                lines.extend(kafka.err().map(failed));
            }
        }
    }
    let mut sections = vec![configuration(lines)];
    match rebalancer_k8s::connect(&connect_settings(settings)).await {
        Ok(connection) => {
            for source in &sources {
                sections.extend(of_workload(source, &connection).await);
            }
        }
        Err(error) => sections.push(CheckSection {
            subject: Subject::Kubernetes,
            workload: None,
            checks: vec![failed(error)],
        }),
    }
    sections
}

/// The line about a workload whose settings are valid.
fn mode(workload: &WorkloadSettings) -> CheckLine {
    let acts = if workload.execution.dry_run {
        "runs are dry runs"
    } else {
        "runs act (DRY_RUN=false)"
    };
    let name = workload.workload();
    let strategy = workload.policy.strategy.as_str();
    CheckLine::new(
        CheckStatus::Ok,
        format!("{name}: the settings are valid; strategy {strategy}; {acts}"),
    )
}

/// Whether the configured strategy cannot work without the group.
fn needs_group(strategy: Strategy) -> bool {
    match strategy {
        Strategy::Forecast | Strategy::Assign | Strategy::Rejoin => true,
        Strategy::RotateOutliers | Strategy::Auto => false,
    }
}

async fn of_workload(source: &Sources<'_>, connection: &Connection) -> Vec<CheckSection> {
    let workload = source.workload;
    let name = workload.workload();
    let section = |subject, checks| CheckSection {
        subject,
        workload: Some(name.clone()),
        checks,
    };
    let actuator = KubernetesActuator::new(connection.clone(), workload.kubernetes.clone());
    let actuator = match actuator {
        Ok(actuator) => actuator,
        Err(error) => return vec![section(Subject::Kubernetes, vec![failed(error)])],
    };
    let kubernetes = kubernetes(&actuator, workload, connection).await;
    let assemble = workload.assemble();
    let clock = SystemClock::new();
    let ports = Ports {
        group: Some(match &source.kafka {
            Some(kafka) => kafka,
            None => &source.metrics,
        }),
        ..Ports::new(&source.metrics, &actuator, &clock)
    };
    let settings = RunSettings {
        autoscalers_from_metrics: workload.autoscalers_from_metrics(),
        freeze: &workload.freeze,
        ..RunSettings::new(&assemble, &workload.policy)
    };
    let mut of_workload = Vec::new();
    let mut of_metrics = Vec::new();
    let mut of_group = Vec::new();
    let mut strategies = Vec::new();
    match read(ports, &settings, &Stop::never()).await {
        Err(error) => of_workload.push(CheckLine::new(CheckStatus::Error, error.to_string())),
        Ok(readings) => {
            match (&readings.loads, &readings.workload) {
                (Ok(loads), Ok(observed)) => {
                    of_metrics.extend(observed::metrics(loads, &observed.pods));
                    match source.metrics.samples_in_window().await {
                        Ok(samples) => of_metrics.extend(samples.and_then(|samples| {
                            observed::scrape_interval(samples, workload.prometheus.window)
                        })),
                        Err(error) => of_metrics.push(failed(error)),
                    }
                }
                (loads, observed) => {
                    of_metrics.extend(loads.as_ref().err().map(message));
                    of_workload.push(match observed {
                        Ok(observed) => observed::pods(&observed.pods),
                        Err(error) => message(error),
                    });
                }
            }
            of_metrics.extend(readings.autoscalers.as_ref().err().map(message));
            if workload.has_group_source() {
                let error = if needs_group(workload.policy.strategy) {
                    CheckStatus::Error
                } else {
                    CheckStatus::Warning
                };
                of_group.extend(observed::group(&readings.group, error));
                if let Ok(Some(group)) = &readings.group {
                    let strategy = workload.policy.strategy;
                    let removes = workload.execution.remove_static_members;
                    of_group.extend(observed::right_to_read(group, strategy, removes));
                }
            }
            // Errors of the ports are among the lines already.
            if let Ok(snapshot) = readings.join(ports, &settings, None) {
                let decisions = Decisions::on(&snapshot, &workload.policy);
                of_workload.extend(decisions.pods());
                of_workload.extend(decisions.checks(Subject::Workload));
                if workload.policy.strategy.evicts() {
                    let serving = snapshot.pods().iter().filter(|pod| pod.serves());
                    let pods: Vec<_> = serving.map(|pod| pod.reference()).collect();
                    of_workload.extend(observed::budgets(&actuator.budgets(&pods).await));
                }
                of_metrics.extend(decisions.checks(Subject::Metrics));
                if workload.has_group_source() {
                    of_group.extend(decisions.checks(Subject::ConsumerGroup));
                }
                strategies = decisions.strategies();
            }
        }
    }
    [
        (Subject::Kubernetes, kubernetes),
        (Subject::Workload, of_workload),
        (Subject::Metrics, of_metrics),
        (Subject::ConsumerGroup, of_group),
        (Subject::Strategies, strategies),
    ]
    .into_iter()
    .filter(|(_, checks)| !checks.is_empty())
    .map(|(subject, checks)| section(subject, checks))
    .collect()
}

fn message(error: &PortError) -> CheckLine {
    CheckLine::new(CheckStatus::Error, error.to_string())
}

/// The lines about the API server and the rights that the settings need.
async fn kubernetes(
    actuator: &KubernetesActuator,
    workload: &WorkloadSettings,
    connection: &Connection,
) -> Vec<CheckLine> {
    let used = match actuator.rights(workload.usage()).await {
        Ok(used) => used,
        Err(error) => return vec![failed(error)],
    };
    let granted = join_all(used.iter().map(|right| actuator.is_granted(right))).await;
    let mut lines = Vec::new();
    for (right, granted) in used.iter().zip(granted) {
        match granted {
            Ok(granted) => lines.push(rights::line(right, granted)),
            // The others fail in the same way.
            Err(error) => return vec![failed(error)],
        }
    }
    let server = format!("the API server at {} responds", connection.server);
    lines.insert(0, CheckLine::new(CheckStatus::Ok, server));
    lines
}
