//! The layers of the configuration as a whole, and the typed settings that they yield.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use rebalancer_core::model::Cores;
use rebalancer_core::policy::Policy;
use rebalancer_k8s::ConnectSettings;

use super::definitions::acting::{DRY_RUN, MAX_CONCURRENT_WORKLOADS};
use super::definitions::decision::TARGET_CORES;
use super::definitions::interface::{LOG_FORMAT, LOG_LEVEL, OUTPUT, REPORT_FILE};
use super::definitions::workload::{DEPLOYMENT_NAME, KUBE_CONTEXT, KUBE_TIMEOUT};
use super::error::SettingsError;
use super::file::{GivenFile, WORKLOADS};
use super::layers::{self, Layer, Layers, Origin};
use super::notifications::notifications;
use super::own_metrics::own_metrics;
use super::policy::policy;
use super::reader::Reader;
use super::serve::serve;
use super::smallest::smallest;
use super::types::{Interface, Settings, SteeringSettings, WorkloadSettings};
use super::workload::{workload, workload_to_steer};

/// The values of all layers, before they are parsed.
#[derive(Debug, Default)]
pub struct Sources {
    layers: Layers,
    /// Errors of single keys of the file.
    errors: Vec<SettingsError>,
}

impl Sources {
    /// Reads the layers: `file` < `environment` (by variable) < `flags` (by key).
    ///
    /// # Errors
    /// The file cannot be read, or is not valid YAML or TOML. Errors of single keys are returned
    /// later, together with those of the values.
    pub fn read(
        file: Option<&Path>,
        environment: &HashMap<String, String>,
        flags: &HashMap<String, String>,
    ) -> Result<Self, SettingsError> {
        let file = file.map(GivenFile::read).transpose()?;
        Self::of(file, environment, flags)
    }

    /// Reads the layers, with a file that is in memory.
    ///
    /// # Errors
    /// The file is not valid YAML or TOML.
    pub(crate) fn of(
        file: Option<GivenFile>,
        environment: &HashMap<String, String>,
        flags: &HashMap<String, String>,
    ) -> Result<Self, SettingsError> {
        let (layers, errors) = layers::merge(file, environment, flags)?;
        Ok(Self { layers, errors })
    }

    /// The format of the result and of the log. Errors of other settings do not affect it.
    ///
    /// # Errors
    /// Every error of a setting of the interface.
    pub fn interface(&self) -> Result<Interface, Vec<SettingsError>> {
        let mut reader = Reader::new(&self.layers.common, None);
        let interface = Interface {
            output: reader.value(&OUTPUT),
            log_level: reader.optional(&LOG_LEVEL),
            log_format: reader.optional(&LOG_FORMAT),
        };
        reader.finish(interface)
    }

    /// `REPORT_FILE`, for subcommands without a cluster.
    ///
    /// # Errors
    /// If the setting is invalid.
    pub fn report_file(&self) -> Result<Option<PathBuf>, Vec<SettingsError>> {
        let mut reader = Reader::new(&self.layers.common, None);
        let file = reader.optional(&REPORT_FILE);
        reader.finish(file)
    }

    /// The rules of a decision and `TARGET_CORES`, for subcommands without a cluster.
    ///
    /// # Errors
    /// Every error of the file, the policy and the interface.
    pub fn policy(&self) -> Result<(Policy, Option<Cores>), Vec<SettingsError>> {
        let mut errors = self.errors.clone();
        collect(self.interface(), &mut errors);
        let mut reader = Reader::new(&self.layers.common, None);
        let policy = (policy(&mut reader), reader.optional(&TARGET_CORES));
        let policy = collect(reader.finish(policy), &mut errors);
        policy.filter(|_| errors.is_empty()).ok_or(errors)
    }

    /// The configuration of a run.
    ///
    /// # Errors
    /// Every error of every layer.
    pub fn settings(&self) -> Result<Settings, Vec<SettingsError>> {
        let mut errors = self.errors.clone();
        let mut reader = Reader::new(&self.layers.common, None);
        let run = Settings {
            connect: connect(&mut reader),
            max_concurrent_workloads: reader.value(&MAX_CONCURRENT_WORKLOADS),
            own_metrics: own_metrics(&mut reader),
            report_file: reader.optional(&REPORT_FILE),
            serve: serve(&mut reader),
            notifications: notifications(&mut reader),
            workloads: Vec::new(),
        };
        let run = collect(reader.finish(run), &mut errors);
        collect(self.interface(), &mut errors);
        let workloads = self.workloads(&mut errors);
        // An error of a common setting is found once for each workload.
        let mut seen = HashSet::new();
        errors.retain(|error| seen.insert(error.to_string()));
        match run {
            Some(run) if errors.is_empty() => Ok(Settings { workloads, ..run }),
            Some(_) | None => Err(errors),
        }
    }

    /// A configuration file with the given settings that differ from their defaults.
    pub(crate) fn smallest(&self) -> String {
        smallest(&self.layers)
    }

    /// The configuration of the commands that steer, which need no metrics.
    ///
    /// # Errors
    /// Every error of the file, and of the settings that these commands use.
    pub(crate) fn steering(&self) -> Result<SteeringSettings, Vec<SettingsError>> {
        let mut errors = self.errors.clone();
        let mut reader = Reader::new(&self.layers.common, None);
        // Elsewhere DRY_RUN is about the evictions of runs, which are paused in a dry run too.
        let has_flag = reader.origin(&DRY_RUN) == Some(&Origin::Flag);
        let settings = SteeringSettings {
            dry_run: has_flag && reader.value(&DRY_RUN),
            connect: connect(&mut reader),
            workloads: Vec::new(),
        };
        let settings = collect(reader.finish(settings), &mut errors);
        collect(self.interface(), &mut errors);
        let workloads = self.entries().into_iter().filter_map(|entry| {
            let mut reader = Reader::new(&self.layers.common, entry);
            let workload = workload_to_steer(&mut reader);
            collect(reader.finish(workload), &mut errors)
        });
        let workloads = workloads.collect();
        let mut seen = HashSet::new();
        errors.retain(|error| seen.insert(error.to_string()));
        match settings {
            Some(settings) if errors.is_empty() => Ok(SteeringSettings {
                workloads,
                ..settings
            }),
            Some(_) | None => Err(errors),
        }
    }

    /// The entries of the list of workloads; one without a layer of its own if there is no list.
    fn entries(&self) -> Vec<Option<&Layer>> {
        match &self.layers.workloads {
            None => vec![None],
            Some(entries) => entries.iter().map(Some).collect(),
        }
    }

    /// The settings of each valid workload.
    fn workloads(&self, errors: &mut Vec<SettingsError>) -> Vec<WorkloadSettings> {
        let mut workloads: Vec<WorkloadSettings> = Vec::new();
        for entry in self.entries() {
            let mut reader = Reader::new(&self.layers.common, entry);
            let settings = workload(&mut reader);
            let name = reader.origin(&DEPLOYMENT_NAME);
            let Some(settings) = collect(reader.finish(settings), errors) else {
                continue;
            };
            let is_duplicate = workloads
                .iter()
                .any(|other| other.workload() == settings.workload());
            if is_duplicate {
                errors.push(SettingsError::Invalid {
                    name: format!("`{WORKLOADS}`"),
                    problem: listed_twice(&settings, name),
                });
            }
            workloads.push(settings);
        }
        workloads
    }
}

/// The settings of the connection to the Kubernetes API.
fn connect(reader: &mut Reader<'_>) -> ConnectSettings {
    ConnectSettings {
        context: reader.optional(&KUBE_CONTEXT),
        request_timeout: reader.value(&KUBE_TIMEOUT),
    }
}

/// The message about two entries for the same workload. `name` is the layer of its name, which
/// applies to several entries if it is not the file.
fn listed_twice(settings: &WorkloadSettings, name: Option<&Origin>) -> String {
    let cause = match name {
        Some(Origin::Environment) => {
            "; the name is that of DEPLOYMENT_NAME in the environment, which applies to every entry \
             without `deployment_name`"
        }
        Some(Origin::Flag) => {
            "; the name is that of --deployment-name, which overrides every entry"
        }
        Some(Origin::File(_)) | None => "",
    };
    format!("{} is listed more than once{cause}", settings.workload())
}

/// The value; its errors are appended to `errors`.
fn collect<T>(result: Result<T, Vec<SettingsError>>, errors: &mut Vec<SettingsError>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(more) => {
            errors.extend(more);
            None
        }
    }
}
