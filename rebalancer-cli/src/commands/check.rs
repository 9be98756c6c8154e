//! `check`: whether everything that a run needs is there, and how to repair what is not. Reads
//! only.

use futures::future::join_all;
use rebalancer_core::model::PodRef;
use rebalancer_core::ports::{
    AutoscalerCandidate, Clock as _, GroupObservation, GroupSource, LoadObservation,
    MetricsSource as _, PodActuator as _, PortError, PortErrorKind, WorkloadObservation,
};
use rebalancer_driver::{NoObserver, Readings, RunSettings, SystemClock};
use rebalancer_k8s::{
    Connection, K8sError, KubernetesActuator, Right, WorkloadKind, leader_rights,
};
use rebalancer_kafka::Kafka;
use rebalancer_prom::PrometheusSource;
use tracing::error;

use crate::check::decided::{Decisions, without_loads};
use crate::check::{
    CheckLine, CheckReport, CheckSection, CheckStatus, Subject, observed, rights, role,
};
use crate::commands::{print, print_document};
use crate::error::CliError;
use crate::exit::Exit;
use crate::render::check as render;
use crate::settings::{
    LeaderElectionSettings, OutputFormat, Settings, SettingsError, WorkloadSettings,
};

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
    print_document(
        &report,
        output,
        |palette| render::report(&report, palette),
        None,
    )?;
    Ok(match report.status {
        CheckStatus::Error => Exit::Error,
        CheckStatus::Info | CheckStatus::Ok | CheckStatus::Warning => Exit::Fine,
    })
}

/// Prints the Roles with the rights that the settings need. Only for a workload of a custom kind is
/// a request sent.
pub(crate) async fn print_role(settings: &Settings) -> Result<Exit, CliError> {
    let mut rights = Vec::new();
    for workload in &settings.workloads {
        let namespace = workload.workload().namespace.as_str();
        rights.push((namespace, rights_of(settings, workload).await?));
    }
    if let (Some(leader), [first, ..]) = (leader_election(settings), &*settings.workloads) {
        // Where the process will run is not known here.
        let namespace = leader.namespace.as_ref();
        let namespace = namespace.unwrap_or(&first.workload().namespace);
        rights.push((namespace, leader_rights(&leader.lease).into()));
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
        let connection = rebalancer_k8s::connect(&settings.connect).await?;
        let actuator = KubernetesActuator::new(connection, workload.kubernetes.clone())?;
        return Ok(actuator.rights(workload.usage()).await?);
    }
    let rights = rebalancer_k8s::rights(&workload.kubernetes, workload.usage(), None);
    Ok(rights.map_err(K8sError::from)?)
}

/// Checks the settings, and prints `smallest` if a run with them works. Otherwise the failed checks
/// are logged.
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

/// Why nothing is read from a source, for a line that says so.
type Unread = &'static str;

/// A workload with the adapters that its settings describe.
struct Sources<'a> {
    workload: &'a WorkloadSettings,
    metrics: Result<PrometheusSource, Unread>,
    kafka: Option<Result<Kafka, Unread>>,
}

async fn sections(settings: &Settings) -> Vec<CheckSection> {
    let mut lines = Vec::new();
    let mut sources = Vec::new();
    for workload in &settings.workloads {
        let errors = lines.len();
        let metrics = PrometheusSource::new(workload.prometheus.clone()).map_err(|error| {
            lines.push(failed(error));
            "the settings of the metrics server cannot be used"
        });
        let kafka = workload.kafka.clone().map(|kafka| {
            Kafka::new(kafka).map_err(|error| {
                lines.push(failed(error));
                "the settings of Kafka cannot be used"
            })
        });
        if lines.len() == errors {
            lines.push(mode(workload));
        }
        sources.push(Sources {
            workload,
            metrics,
            kafka,
        });
    }
    let mut sections = vec![configuration(lines)];
    let connection = rebalancer_k8s::connect(&settings.connect).await;
    let connection = connection.map_err(|error| {
        sections.push(CheckSection {
            subject: Subject::Kubernetes,
            workload: None,
            checks: vec![failed(error)],
        });
    });
    if let (Some(leader), Ok(connection)) = (leader_election(settings), &connection) {
        sections.push(CheckSection {
            subject: Subject::Kubernetes,
            workload: None,
            checks: of_leader(leader, connection).await,
        });
    }
    for source in &sources {
        sections.extend(of_workload(source, connection.as_ref().ok()).await);
    }
    sections
}

/// The election of `serve`, if it is used.
fn leader_election(settings: &Settings) -> Option<&LeaderElectionSettings> {
    let serve = &settings.serve;
    serve.schedule.as_ref()?;
    serve.leader_election.as_ref()
}

/// The lines about the rights that the election of `serve` needs.
async fn of_leader(leader: &LeaderElectionSettings, connection: &Connection) -> Vec<CheckLine> {
    let namespace = connection.namespace_or_default(leader.namespace.as_deref());
    let mut lines = Vec::new();
    for right in &leader_rights(&leader.lease) {
        match connection.is_granted(namespace, right).await {
            Ok(granted) => lines.push(rights::line(right, Some(namespace), granted)),
            Err(error) => return vec![failed(error)],
        }
    }
    lines
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

async fn of_workload(source: &Sources<'_>, connection: Option<&Connection>) -> Vec<CheckSection> {
    let workload = source.workload;
    let mut kubernetes = Vec::new();
    let actuator = match connection {
        None => Err("there is no connection to the API server"),
        Some(connection) => {
            let settings = workload.kubernetes.clone();
            KubernetesActuator::new(connection.clone(), settings).map_err(|error| {
                kubernetes.push(failed(error));
                "the settings of the workload cannot be used"
            })
        }
    };
    let (rights, observations) = tokio::join!(
        async {
            match (&actuator, connection) {
                (Ok(actuator), Some(connection)) => of_rights(actuator, workload, connection).await,
                (Ok(_) | Err(_), _) => Vec::new(),
            }
        },
        read(source, actuator.as_ref().map_err(|why| *why))
    );
    kubernetes.extend(rights);
    let examined = examine(source, actuator.as_ref().ok(), observations).await;
    let section = |(subject, checks)| CheckSection {
        subject,
        workload: Some(workload.workload().clone()),
        checks,
    };
    [
        (Subject::Kubernetes, kubernetes),
        (Subject::Workload, examined.workload),
        (Subject::Metrics, examined.metrics),
        (Subject::ConsumerGroup, examined.group),
        (Subject::Strategies, examined.strategies),
    ]
    .into_iter()
    .filter(|(_, checks)| !checks.is_empty())
    .map(section)
    .collect()
}

/// The result of reading a source: its observation, or a line about its failure.
type Reading<T> = Result<T, CheckLine>;

/// The results of all sources of a workload.
struct Observations {
    loads: Reading<LoadObservation>,
    autoscalers: Reading<Vec<AutoscalerCandidate>>,
    workload: Reading<WorkloadObservation>,
    group: Reading<Option<GroupObservation>>,
}

/// The line about a source that was not read.
fn unread(why: Unread) -> CheckLine {
    CheckLine::new(CheckStatus::Info, format!("not examined: {why}"))
}

/// Reads all sources at once, as a run does.
async fn read(source: &Sources<'_>, actuator: Result<&KubernetesActuator, Unread>) -> Observations {
    let settings = source.workload;
    let group: Result<&dyn GroupSource, Unread> = match (&source.kafka, &source.metrics) {
        (Some(Ok(kafka)), _) => Ok(kafka),
        (None, Ok(metrics)) => Ok(metrics),
        (Some(Err(why)), _) | (None, Err(why)) => Err(*why),
    };
    let metrics = source.metrics.as_ref().map_err(|why| *why);
    let (loads, autoscalers, workload, group) = tokio::join!(
        async { metrics.map_err(unread)?.loads().await.map_err(failed) },
        async {
            if !settings.autoscalers_from_metrics() {
                return Ok(Vec::new());
            }
            match metrics.map_err(unread)?.autoscalers().await {
                // With a configured target a run does without them.
                Err(_) if settings.target.is_some() => Ok(Vec::new()),
                found => found.map_err(failed),
            }
        },
        async { actuator.map_err(unread)?.observe().await.map_err(failed) },
        async {
            if !settings.has_group_source() {
                return Ok(None);
            }
            let found = group.map_err(unread)?.group().await;
            found.map_err(|error| observed::group_failed(settings.policy.strategy, &error))
        },
    );
    Observations {
        loads,
        autoscalers,
        workload,
        group,
    }
}

/// The lines about a workload, by subject.
#[derive(Default)]
struct Examined {
    workload: Vec<CheckLine>,
    metrics: Vec<CheckLine>,
    group: Vec<CheckLine>,
    strategies: Vec<CheckLine>,
}

/// The lines about the observations. What cannot be examined without one of them has a line as
/// well.
async fn examine(
    source: &Sources<'_>,
    actuator: Option<&KubernetesActuator>,
    read: Observations,
) -> Examined {
    let mut lines = Examined::default();
    let (settings, policy) = (source.workload, &source.workload.policy);
    let missing = [
        ("the loads", read.loads.is_err()),
        ("the autoscalers", read.autoscalers.is_err()),
        ("the pods", read.workload.is_err()),
    ];
    let missing = missing.into_iter().filter(|(_, is_missing)| *is_missing);
    let missing: Vec<&str> = missing.map(|(what, _)| what).collect();
    let without = |what: &str| {
        let missing = missing.join(" and ");
        CheckLine::new(
            CheckStatus::Info,
            format!("{what} not examined: {missing} are unknown"),
        )
    };
    match &read.loads {
        Err(line) => lines.metrics.push(line.clone()),
        Ok(loads) => {
            let observed = read.workload.as_ref().ok();
            let pods = observed.map(|observed| observed.pods.as_slice());
            lines.metrics.extend(observed::metrics(loads, pods));
            if let Ok(metrics) = &source.metrics {
                let window = settings.prometheus.window;
                match metrics.samples_in_window().await {
                    Ok(samples) => lines.metrics.extend(
                        samples.and_then(|samples| observed::scrape_interval(samples, window)),
                    ),
                    Err(error) => lines.metrics.push(failed(error)),
                }
            }
            if !missing.is_empty() {
                let what = "coverage, clocks and duplicate series are";
                lines.metrics.push(without(what));
            }
        }
    }
    let same = |line: &&CheckLine| !lines.metrics.contains(line);
    let of_autoscalers = read.autoscalers.as_ref().err().filter(same).cloned();
    lines.metrics.extend(of_autoscalers);
    match &read.group {
        Err(line) => lines.group.push(line.clone()),
        Ok(None) => {}
        Ok(Some(group)) => {
            let removes = settings.execution.remove_static_members;
            lines.group.extend(observed::group(group));
            let kafka = settings.kafka.as_ref();
            let id = kafka.map_or("GROUP_ID", |kafka| kafka.group_id.as_str());
            let right = observed::right_to_read(group, id, policy.strategy, removes);
            lines.group.extend(right);
            if !missing.is_empty() {
                lines.group.push(without("the members as pods are"));
            }
        }
    }
    if !missing.is_empty() {
        let what = "what each strategy would do is";
        lines.strategies.push(without(what));
    }
    let observed = match read.workload {
        Err(line) => {
            lines.workload.push(line);
            return lines;
        }
        Ok(observed) => observed,
    };
    if !missing.is_empty() {
        lines.workload.push(observed::pods(&observed.pods));
    }
    let serving = observed.pods.iter().filter(|pod| pod.serves());
    let serving: Vec<PodRef> = serving.map(|pod| pod.reference()).collect();
    let autoscalers_known = read.autoscalers.is_ok();
    let readings = Readings {
        loads: Ok(read.loads.unwrap_or_default()),
        autoscalers: Ok(read.autoscalers.unwrap_or_default()),
        workload: Ok(observed),
        group: read
            .group
            .map_err(|line| PortError::new(PortErrorKind::Unreachable, line.message)),
    };
    let assemble = settings.assemble();
    let run = RunSettings {
        freeze: &settings.freeze,
        ..RunSettings::new(&assemble, policy)
    };
    match readings.join(&run, SystemClock::new().now(), &NoObserver, None) {
        Err(error) => lines
            .workload
            .push(CheckLine::new(CheckStatus::Error, error.to_string())),
        Ok(snapshot) if !missing.is_empty() => {
            let checks = without_loads(&snapshot, policy, autoscalers_known);
            lines.workload.extend(checks);
            lines
                .workload
                .push(without("the target and the pods that may be evicted are"));
        }
        Ok(snapshot) => {
            let decisions = Decisions::on(&snapshot, policy);
            lines.workload.extend(decisions.pods());
            lines.workload.extend(decisions.checks(Subject::Workload));
            lines.metrics.extend(decisions.checks(Subject::Metrics));
            if settings.has_group_source() {
                lines.group.extend(decisions.checks(Subject::ConsumerGroup));
            }
            lines.strategies = decisions.strategies();
        }
    }
    if let Some(actuator) = actuator
        && policy.strategy.evicts()
    {
        let budgets = actuator.budgets(&serving).await;
        lines.workload.extend(observed::budgets(&budgets));
    }
    lines
}

/// The lines about the API server and the rights that the settings need.
async fn of_rights(
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
            Ok(granted) => lines.push(rights::line(right, None, granted)),
            // The others fail in the same way.
            Err(error) => return vec![failed(error)],
        }
    }
    let server = format!("the API server at {} responds", connection.server);
    lines.insert(0, CheckLine::new(CheckStatus::Ok, server));
    lines
}
