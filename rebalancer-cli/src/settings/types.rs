//! The typed configuration.

use std::time::Duration;

use rebalancer_core::model::{Cores, WorkloadRef};
use rebalancer_core::policy::{ExecutionPolicy, Policy};
use rebalancer_core::snapshot::GroupSettings;
use rebalancer_k8s::Settings as KubernetesSettings;
use rebalancer_prom::PrometheusSettings;

use crate::freeze::Freeze;

/// The configuration of a run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The context of the kubeconfig.
    pub kube_context: Option<String>,
    /// Whether the API server only checks evictions, without executing them.
    pub dry_run: bool,
    /// The timeout of a request to the Kubernetes API.
    pub kube_timeout: Duration,
    /// The maximum duration of the run.
    pub run_timeout: Option<Duration>,
    /// Every workload of the run, at least one.
    pub workloads: Vec<WorkloadSettings>,
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
    /// The configured facts about the consumer group; `None` if no setting mentions the group.
    pub group: Option<GroupSettings>,
    /// `HPA_PREFIX`.
    pub hpa_prefix: String,
    /// The rules of the decision.
    pub policy: Policy,
    /// The rules of the execution.
    pub execution: ExecutionPolicy,
    /// The times at which nothing is evicted.
    pub freeze: Freeze,
    /// Whether to hold while another run acts on the workload.
    pub one_at_a_time: bool,
}

impl WorkloadSettings {
    /// The workload.
    #[must_use]
    pub fn workload(&self) -> &WorkloadRef {
        &self.kubernetes.workload
    }
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
