//! The typed configuration.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use rebalancer_core::model::{Cores, Seconds, WorkloadRef};
use rebalancer_core::policy::{ExecutionPolicy, Policy};
use rebalancer_core::snapshot::{AssembleSettings, GroupSettings};
use rebalancer_k8s::{ConnectSettings, Settings as KubernetesSettings, Usage};
use rebalancer_kafka::KafkaSettings;
use rebalancer_prom::{PrometheusSettings, PushSettings, WebhookSettings};

use crate::freeze::Freeze;
use crate::schedule::Schedule;

/// The configuration of a run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The connection to the Kubernetes API.
    pub connect: ConnectSettings,
    /// The number of workloads that are observed and changed at the same time.
    pub max_concurrent_workloads: usize,
    /// The destinations of the metrics of the run.
    pub own_metrics: OwnMetricsSettings,
    /// `REPORT_FILE`.
    pub report_file: Option<PathBuf>,
    /// The resident process.
    pub serve: ServeSettings,
    /// The notifications; `None` if there are none.
    pub notifications: Option<NotifySettings>,
    /// Every workload of the run, at least one.
    pub workloads: Vec<WorkloadSettings>,
}

impl Settings {
    /// Whether no workload may be changed: each is a dry run.
    #[must_use]
    pub fn is_dry_run(&self) -> bool {
        let mut workloads = self.workloads.iter();
        workloads.all(|workload| workload.execution.dry_run)
    }

    /// The number of workloads to run at the same time. Workloads that share a limit of evictions
    /// run one after the other, so that the same ones get it in every run.
    #[must_use]
    pub fn concurrency(&self) -> usize {
        let mut workloads = self.workloads.iter();
        if workloads.any(|workload| workload.policy.max_evictions.is_some()) {
            1
        } else {
            self.max_concurrent_workloads
        }
    }
}

/// The configuration of a resident process, which runs on a schedule.
#[derive(Debug, Clone)]
pub struct ServeSettings {
    /// `SCHEDULE`.
    pub schedule: Option<Schedule>,
    /// `LISTEN_ADDRESS`.
    pub listen_address: SocketAddr,
    /// The Lease of the leader; `None` if each process runs (`LEADER_ELECTION=false`).
    pub leader_election: Option<LeaderElectionSettings>,
}

/// The Lease that the leader of several processes holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaderElectionSettings {
    /// `LEADER_ELECTION_LEASE`.
    pub lease: String,
    /// `LEADER_ELECTION_NAMESPACE`.
    pub namespace: Option<String>,
}

/// The destinations of the program's own metrics.
#[derive(Debug, Clone, Default)]
pub struct OwnMetricsSettings {
    /// `METRICS_FILE`.
    pub file: Option<PathBuf>,
    /// `METRICS_PUSH_URL` and the settings of its connection.
    pub push: Option<PushSettings>,
}

/// The configuration of one workload.
#[derive(Debug, Clone)]
pub struct WorkloadSettings {
    /// The metrics server and the queries.
    pub prometheus: PrometheusSettings,
    /// The pods and the method of their eviction.
    pub kubernetes: KubernetesSettings,
    /// `TARGET_CORES`.
    pub target: Option<Cores>,
    /// The source of the autoscalers.
    pub target_source: TargetSource,
    /// The connection to Kafka; `None` if the group is not read from it.
    pub kafka: Option<KafkaSettings>,
    /// The configured facts about the consumer group; `None` if no setting mentions the group.
    pub group: Option<GroupSettings>,
    /// `HPA_PREFIX`.
    pub hpa_prefix: String,
    /// The rules of the decision.
    pub policy: Policy,
    /// The rules of the execution.
    pub execution: ExecutionPolicy,
    /// The maximum duration of the run of this workload.
    pub run_timeout: Option<Duration>,
    /// The times at which nothing is evicted.
    pub freeze: Freeze,
    /// `APPROVAL_EXPIRY`, if plans need approval.
    pub approval: Option<Seconds>,
    /// `HOLD_ALERT_AFTER`; zero for never.
    pub hold_alert_after: Seconds,
    /// Whether to hold while another run acts on the workload.
    pub one_at_a_time: bool,
}

impl WorkloadSettings {
    /// The workload.
    #[must_use]
    pub fn workload(&self) -> &WorkloadRef {
        &self.kubernetes.workload
    }

    /// The settings that turn observations into a snapshot.
    pub(crate) fn assemble(&self) -> AssembleSettings {
        AssembleSettings {
            workload: self.workload().clone(),
            container: self.kubernetes.container.clone(),
            hpa_prefix: self.hpa_prefix.clone(),
            target: self.target,
            group: self.group.clone(),
        }
    }

    /// Whether the autoscalers are read from the metrics server.
    pub(crate) fn autoscalers_from_metrics(&self) -> bool {
        self.target_source == TargetSource::Prometheus
    }

    /// The use of the Kubernetes API, beyond the settings of its adapter.
    #[must_use]
    pub fn usage(&self) -> Usage {
        Usage {
            evicts: self.policy.strategy.evicts(),
            dry_run: self.execution.dry_run,
            lease: self.one_at_a_time,
            approval: self.approval.is_some(),
            counts_evictions: self.policy.max_evictions_per_day.is_some(),
        }
    }

    /// Whether the settings say where the consumer group is read from.
    #[must_use]
    pub fn has_group_source(&self) -> bool {
        let workload = self.workload();
        let queries = self.prometheus.group.as_ref().and_then(|group| {
            group.assignment(&self.prometheus.series, &workload.namespace, &workload.name)
        });
        self.kafka.is_some() || queries.is_some()
    }
}

/// The configuration of the commands that steer, which need no metrics.
#[derive(Debug, Clone)]
pub(crate) struct SteeringSettings {
    /// Whether the API server only checks what a command would write.
    pub(crate) dry_run: bool,
    /// The connection to the Kubernetes API.
    pub(crate) connect: ConnectSettings,
    /// Every workload, at least one.
    pub(crate) workloads: Vec<WorkloadToSteer>,
}

/// A workload that is steered.
#[derive(Debug, Clone)]
pub(crate) struct WorkloadToSteer {
    /// The workload at the Kubernetes API.
    pub(crate) kubernetes: KubernetesSettings,
    /// The rules of the decision.
    pub(crate) policy: Policy,
    /// The times at which nothing is evicted.
    pub(crate) freeze: Freeze,
}

/// Whether plans need the approval of a person (`APPROVAL`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ApprovalMode {
    /// Plans are executed at once.
    #[default]
    None,
    /// A person approves each plan.
    Manual,
}

/// The source of the autoscalers (`TARGET_SOURCE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TargetSource {
    /// HorizontalPodAutoscalers of the Kubernetes API.
    #[default]
    Kubernetes,
    /// kube-state-metrics in Prometheus.
    Prometheus,
}

/// The format of the result (`OUTPUT`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OutputFormat {
    /// A table for people.
    #[default]
    Table,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// The program's own metrics, in the OpenMetrics text format.
    OpenMetrics,
    /// Markdown, for chats and pull requests.
    Markdown,
}

/// The format of the log (`LOG_FORMAT`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// Text for people.
    Text,
}

/// The least severity that is logged (`LOG_LEVEL`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Every query, raw answer and number, and the reason for each pod.
    Debug,
    /// Actions and results.
    Info,
    /// Conditions that may need attention.
    Warn,
    /// Failures.
    Error,
}

/// The format of the result and of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interface {
    /// `OUTPUT`.
    pub output: OutputFormat,
    /// `LOG_LEVEL`; `None` for the default of the subcommand.
    pub log_level: Option<LogLevel>,
    /// `LOG_FORMAT`; `None` for the default of the stream.
    pub log_format: Option<LogFormat>,
}

/// The format of the file of `REPORT_FILE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportFormat {
    /// HTML.
    Html,
    /// Markdown.
    Markdown,
}

impl ReportFormat {
    /// The format that the end of a file name says, in any case; `None` if it is another one.
    #[must_use]
    pub fn of(file: &str) -> Option<Self> {
        let (_, extension) = file.rsplit_once('.')?;
        match extension.to_ascii_lowercase().as_str() {
            "html" | "htm" => Some(Self::Html),
            "md" => Some(Self::Markdown),
            _ => None,
        }
    }
}

/// The settings of notifications.
#[derive(Debug, Clone)]
pub struct NotifySettings {
    /// `NOTIFY_URL` and the limits of the request.
    pub webhook: WebhookSettings,
    /// `NOTIFY_FORMAT`.
    pub format: NotifyFormat,
    /// `NOTIFY_ON`.
    pub events: Vec<NotifyEvent>,
}

/// A kind of event (`NOTIFY_ON`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotifyEvent {
    /// A run acted: pods were evicted, partitions handed over, or members rejoined, in full or in
    /// part.
    Rotations,
    /// A run could not do its work: there was no decision, data is missing, an operator is needed,
    /// or a plan was executed in part.
    Failures,
    /// A run holds for another reason than the run before.
    HoldChanges,
    /// A run has a plan that was not to be executed, such as a dry run.
    Plans,
}

impl NotifyEvent {
    /// Every event.
    pub const ALL: [Self; 4] = [
        Self::Rotations,
        Self::Failures,
        Self::HoldChanges,
        Self::Plans,
    ];

    /// The word of the setting and of the documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rotations => "rotations",
            Self::Failures => "failures",
            Self::HoldChanges => "hold_changes",
            Self::Plans => "plans",
        }
    }

    /// The event of a word, in any case.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|event| event.as_str().eq_ignore_ascii_case(word))
    }
}

/// The format of a notification (`NOTIFY_FORMAT`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotifyFormat {
    /// A message of Slack's incoming webhooks, which Mattermost and Rocket.Chat read as well.
    Slack,
    /// A message with an Adaptive Card, which workflows of Microsoft Teams read.
    Teams,
    /// The facts, for other receivers.
    Json,
}

impl NotifyFormat {
    /// Every format.
    pub const ALL: [Self; 3] = [Self::Slack, Self::Teams, Self::Json];

    /// The word of the setting.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Slack => "slack",
            Self::Teams => "teams",
            Self::Json => "json",
        }
    }
}
