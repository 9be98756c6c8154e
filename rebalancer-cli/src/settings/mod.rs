//! The configuration: read in layers, checked as a whole, typed.

pub(crate) mod duration;
mod group;
mod layers;
mod reader;
mod registry;
#[cfg(feature = "schema")]
mod schema;

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use rebalancer_core::model::{Cores, WorkloadRef};
use rebalancer_core::policy::{ExecutionPolicy, Policy};
use rebalancer_core::snapshot::GroupSettings;
use rebalancer_k8s::Settings as KubernetesSettings;
use rebalancer_prom::PrometheusSettings;

use crate::freeze::Freeze;

#[cfg(feature = "fuzzing")]
pub(crate) use layers::FileText;
pub(crate) use layers::GivenFile;
use layers::Layers;
use reader::Reader;
pub use registry::{Group, SETTINGS, Setting, by_env};
#[cfg(feature = "schema")]
pub use schema::schema;

/// The whole configuration of a run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Context of the kubeconfig.
    pub kube_context: Option<String>,
    /// Ask the API server what it would do, and change nothing.
    pub dry_run: bool,
    /// How long a request to the Kubernetes API may take.
    pub kube_timeout: Duration,
    /// How long the whole run may take.
    pub run_timeout: Option<Duration>,
    /// Every workload of the run, at least one.
    pub workloads: Vec<WorkloadSettings>,
}

/// The configuration of one workload.
#[derive(Debug, Clone)]
pub struct WorkloadSettings {
    /// Where loads come from.
    pub prometheus: PrometheusSettings,
    /// Which pods, and how they are evicted.
    pub kubernetes: KubernetesSettings,
    /// `TARGET_CORES`.
    pub target: Option<Cores>,
    /// Where autoscalers are read.
    pub target_source: TargetSource,
    /// What is known of the consumer group without looking; `None` when nothing was said of it.
    pub group: Option<GroupSettings>,
    /// The rules of the decision.
    pub policy: Policy,
    /// The rules of its execution.
    pub execution: ExecutionPolicy,
    /// When nothing may be done.
    pub freeze: Freeze,
    /// Hold while another run acts on the workload.
    pub one_at_a_time: bool,
}

impl WorkloadSettings {
    /// The workload.
    #[must_use]
    pub fn workload(&self) -> &WorkloadRef {
        &self.kubernetes.workload
    }
}

/// `TARGET_SOURCE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetSource {
    /// HorizontalPodAutoscalers of the Kubernetes API.
    Kubernetes,
    /// kube-state-metrics in Prometheus.
    Prometheus,
}

/// `OUTPUT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OutputFormat {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
    /// For both.
    Yaml,
}

/// `LOG_FORMAT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// `LOG_LEVEL`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Every query, raw answers, statistics, the reason for each pod.
    Debug,
    /// What happens.
    Info,
    /// What is odd.
    Warn,
    /// What fails.
    Error,
}

/// What the program says, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interface {
    /// `OUTPUT`.
    pub output: OutputFormat,
    /// `LOG_LEVEL`; by the command when absent.
    pub log_level: Option<LogLevel>,
    /// `LOG_FORMAT`; by where the log goes when absent.
    pub log_format: Option<LogFormat>,
}

/// What is wrong with the configuration. Each is one line that names what is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A required setting is absent.
    #[error("{env} is required: {help}. Set the environment variable{}", or_flag(.flag.as_deref()))]
    Missing {
        /// The environment variable.
        env: &'static str,
        /// The flag, where there is one.
        flag: Option<String>,
        /// What it means.
        help: &'static str,
    },
    /// A value that is not of the setting's form.
    #[error("{name}: {problem}")]
    Invalid {
        /// The variable, key or flag at fault.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A key of the file that is no setting.
    #[error("unknown key `{key}` in {path}{}", suggestion(.nearest.as_deref()))]
    UnknownKey {
        /// The key.
        key: String,
        /// The file.
        path: String,
        /// The known key that looks most like it.
        nearest: Option<String>,
    },
    /// The file's form is wrong.
    #[error("cannot use the configuration file {path}: {message}")]
    Malformed {
        /// The file.
        path: String,
        /// What is wrong.
        message: String,
    },
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}: {problem}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        problem: String,
    },
}

fn or_flag(flag: Option<&str>) -> String {
    flag.map_or_else(String::new, |flag| format!(", or give --{flag}"))
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or_else(
        || "; `rebalancer --help` lists every setting".into(),
        |nearest| format!("; did you mean `{nearest}`?"),
    )
}

/// The texts of all layers, before they are typed.
#[derive(Debug, Default)]
pub struct Sources {
    layers: Layers,
    /// What is wrong with single keys of the file.
    errors: Vec<SettingsError>,
}

impl Sources {
    /// Reads the layers: `file` < `environment` (by variable) < `flags` (by key).
    ///
    /// # Errors
    /// When the file cannot be read, or is no YAML or TOML. What is wrong with single keys comes
    /// with what is wrong with the values.
    pub fn read(
        file: Option<&Path>,
        environment: &HashMap<String, String>,
        flags: &HashMap<String, String>,
    ) -> Result<Self, SettingsError> {
        let file = file.map(GivenFile::read).transpose()?;
        Self::of(file, environment, flags)
    }

    /// The same of a file that was read before.
    ///
    /// # Errors
    /// When the file is no YAML or TOML.
    pub(crate) fn of(
        file: Option<GivenFile>,
        environment: &HashMap<String, String>,
        flags: &HashMap<String, String>,
    ) -> Result<Self, SettingsError> {
        let (layers, errors) = layers::merge(file, environment, flags)?;
        Ok(Self { layers, errors })
    }

    /// What the program says, and how; readable even where the rest is wrong.
    ///
    /// # Errors
    /// Every setting of the interface that is wrong.
    pub fn interface(&self) -> Result<Interface, Vec<SettingsError>> {
        let mut reader = Reader::new(&self.layers.common, None);
        let interface = reader::interface(&mut reader);
        reader.finish(interface)
    }

    /// The rules of a decision and `TARGET_CORES`, for commands that need no cluster.
    ///
    /// # Errors
    /// Everything that is wrong with the file, the policy and the interface, all at once.
    pub fn policy(&self) -> Result<(Policy, Option<Cores>), Vec<SettingsError>> {
        let mut errors = self.errors.clone();
        collect(self.interface(), &mut errors);
        let mut reader = Reader::new(&self.layers.common, None);
        let policy = (reader::policy(&mut reader), reader::target(&mut reader));
        let policy = collect(reader.finish(policy), &mut errors);
        policy.filter(|_| errors.is_empty()).ok_or(errors)
    }

    /// The whole configuration.
    ///
    /// # Errors
    /// Everything that is wrong or missing, all at once.
    pub fn settings(&self) -> Result<Settings, Vec<SettingsError>> {
        let mut errors = self.errors.clone();
        let mut common = Reader::new(&self.layers.common, None);
        let kube_context = common.text("KUBE_CONTEXT");
        let kube_timeout = reader::kube_timeout(&mut common);
        let run_timeout = common.positive_duration("RUN_TIMEOUT");
        let dry_run = common.boolean("DRY_RUN", false);
        collect(common.finish(()), &mut errors);
        collect(self.interface(), &mut errors);
        let entries = match &self.layers.workloads {
            None => vec![None],
            Some(entries) => entries.iter().map(Some).collect(),
        };
        let mut workloads: Vec<WorkloadSettings> = Vec::new();
        for entry in entries {
            let mut reader = Reader::new(&self.layers.common, entry);
            let settings = reader::workload(&mut reader, dry_run);
            if let Some(settings) = collect(reader.finish(settings), &mut errors) {
                if workloads
                    .iter()
                    .any(|other| other.workload() == settings.workload())
                {
                    errors.push(SettingsError::Invalid {
                        name: format!("`{}`", layers::WORKLOADS),
                        problem: format!("{} is there twice", settings.workload()),
                    });
                }
                workloads.push(settings);
            }
        }
        // One wrong common setting is wrong for every workload, and said once.
        let mut seen = std::collections::HashSet::new();
        errors.retain(|error| seen.insert(error.to_string()));
        if errors.is_empty() {
            Ok(Settings {
                kube_context,
                dry_run,
                kube_timeout,
                run_timeout,
                workloads,
            })
        } else {
            Err(errors)
        }
    }
}

/// The value, or its errors put to the others.
fn collect<T>(result: Result<T, Vec<SettingsError>>, errors: &mut Vec<SettingsError>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(more) => {
            errors.extend(more);
            None
        }
    }
}

#[cfg(test)]
mod tests;
