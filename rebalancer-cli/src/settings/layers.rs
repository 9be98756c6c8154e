//! Merges the layers of the configuration: file < environment < flags. Defaults are part of the
//! definitions, since several depend on other settings.

use std::collections::HashMap;
use std::fmt;

use config::{Config, ConfigError, File, Map, Source, Value, ValueKind};

use super::definition::Setting;
use super::definitions::consumer_group::GROUP_ID;
use super::definitions::kafka::KAFKA_BOOTSTRAP_SERVERS;
use super::definitions::{by_env, by_key};
use super::error::SettingsError;
use super::file::{GivenFile, WORKLOADS, without_excerpt};
use super::near_miss;
use super::value::{JsonType, RawValue};

/// The layer of a value. An error names the setting as that layer does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    Flag,
    Environment,
    File(String),
}

impl Origin {
    /// The name of a setting in this layer.
    pub(super) fn name(&self, env: &str) -> String {
        let key = env.to_ascii_lowercase();
        match self {
            Self::Flag => format!("--{}", key.replace('_', "-")),
            Self::Environment => env.to_owned(),
            Self::File(path) => format!("`{key}` in {path}"),
        }
    }
}

/// The given value of a setting, with its layer.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) value: RawValue,
    pub(super) origin: Origin,
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The value may be a secret. The typed settings show values that are not.
        f.debug_struct("Given")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// Given values by environment variable.
pub(super) type Layer = HashMap<&'static str, Given>;

/// The merged layers.
#[derive(Debug, Default)]
pub(super) struct Layers {
    /// The values for every workload.
    pub(super) common: Layer,
    /// The values of each entry of the file's list of workloads, which override `common`; `None`
    /// without such a list.
    pub(super) workloads: Option<Vec<Layer>>,
}

/// Flags or environment variables, as a source of the `config` crate.
#[derive(Clone)]
struct Pairs(Map<String, Value>);

impl fmt::Debug for Pairs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values of the environment may be secrets.
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Source for Pairs {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

const FLAG: &str = "flag";
const ENVIRONMENT: &str = "environment";

/// Merges the configuration file, the environment (by variable) and the flags (by key). Errors of
/// single keys are returned beside the layers, so that they can be reported together with errors
/// of the values.
///
/// # Errors
/// The file is not valid YAML or TOML.
pub(super) fn merge(
    file: Option<GivenFile>,
    environment: &HashMap<String, String>,
    flags: &HashMap<String, String>,
) -> Result<(Layers, Vec<SettingsError>), SettingsError> {
    let mut builder = Config::builder();
    let mut path = String::new();
    if let Some(file) = file {
        builder = builder.add_source(File::from_str(&file.text, file.format));
        path = file.path;
    }
    let misspelt = misspelt(environment, flags);
    let mut errors = Vec::new();
    let environment: Map<String, Value> = environment
        .iter()
        .filter(|(name, text)| by_env(name).is_some() && !text.is_empty())
        .map(|(name, text)| {
            let origin = ENVIRONMENT.to_owned();
            (
                name.to_ascii_lowercase(),
                Value::new(Some(&origin), text.clone()),
            )
        })
        .collect();
    let flags: Map<String, Value> = flags
        .iter()
        .map(|(key, text)| {
            let origin = FLAG.to_owned();
            (key.clone(), Value::new(Some(&origin), text.clone()))
        })
        .collect();
    let merged = builder
        .add_source(Pairs(environment))
        .add_source(Pairs(flags))
        .build()
        .and_then(|config| config.collect())
        .map_err(|error| SettingsError::Malformed {
            path: path.clone(),
            message: without_excerpt(&error.to_string()),
        })?;
    let mut layers = Layers::default();
    for (key, value) in merged {
        if key == WORKLOADS {
            layers.workloads = Some(entries(value, &path, &mut errors));
        } else {
            take(&mut layers.common, key, value, &path, false, &mut errors);
        }
    }
    let uses_kafka = layers.uses_kafka();
    let misspelt = misspelt
        .into_iter()
        .filter(|(_, meant)| uses_kafka || !near_miss::is_of_kafka(meant));
    let misspelt = misspelt.map(|(name, meant)| SettingsError::Misspelt { name, meant });
    let errors = misspelt.chain(errors).collect();
    Ok((layers, errors))
}

impl Layers {
    /// Whether any workload may read its group from Kafka.
    fn uses_kafka(&self) -> bool {
        let workloads = self.workloads.iter().flatten();
        let layers = std::iter::once(&self.common).chain(workloads);
        let is_given = |name| layers.clone().any(|layer| layer.contains_key(name));
        is_given(KAFKA_BOOTSTRAP_SERVERS.name) && is_given(GROUP_ID.name)
    }
}

/// The variables of the environment that are probably misspelt settings, and these. A misspelt
/// `DRY_RUN` would otherwise turn a dry run into a real one.
///
/// If the setting itself is given as well, the other variable belongs to another program.
fn misspelt(
    environment: &HashMap<String, String>,
    flags: &HashMap<String, String>,
) -> Vec<(String, &'static str)> {
    let is_given = |meant: &str| {
        let variable = environment.get(meant).is_some_and(|text| !text.is_empty());
        variable || flags.contains_key(&meant.to_ascii_lowercase())
    };
    let mut found: Vec<(String, &'static str)> = environment
        .iter()
        .filter(|(_, text)| !text.is_empty())
        .filter_map(|(name, _)| Some((name, near_miss::variable(name)?)))
        .filter(|(_, meant)| !is_given(meant))
        .map(|(name, meant)| (name.escape_debug().to_string(), meant))
        .collect();
    found.sort();
    found
}

/// The values of each entry of the list of workloads.
fn entries(value: Value, path: &str, errors: &mut Vec<SettingsError>) -> Vec<Layer> {
    let ValueKind::Array(entries) = value.kind else {
        errors.push(SettingsError::Malformed {
            path: path.into(),
            message: format!("`{WORKLOADS}` must be a list of workloads"),
        });
        return Vec::new();
    };
    let mut layers = Vec::new();
    for entry in entries {
        let ValueKind::Table(table) = entry.kind else {
            errors.push(SettingsError::Malformed {
                path: path.into(),
                message: format!("an entry of `{WORKLOADS}` is not a table of settings"),
            });
            continue;
        };
        let mut layer = Layer::new();
        for (key, value) in table {
            take(&mut layer, key, value, path, true, errors);
        }
        layers.push(layer);
    }
    if layers.is_empty() && errors.is_empty() {
        errors.push(SettingsError::Malformed {
            path: path.into(),
            message: format!("`{WORKLOADS}` is empty: list a workload, or remove the key"),
        });
    }
    layers
}

/// Inserts one key of a layer into `into`, or an error into `errors`.
fn take(
    into: &mut Layer,
    key: String,
    value: Value,
    path: &str,
    in_workload: bool,
    errors: &mut Vec<SettingsError>,
) {
    let origin = match value.origin() {
        Some(FLAG) => Origin::Flag,
        Some(ENVIRONMENT) => Origin::Environment,
        Some(_) | None => Origin::File(path.to_owned()),
    };
    let Some(setting) = by_key(&key) else {
        errors.push(SettingsError::UnknownKey {
            nearest: near_miss::key(&key),
            key,
            path: path.into(),
        });
        return;
    };
    if in_workload && setting.is_of_the_whole_run() {
        errors.push(SettingsError::Malformed {
            path: path.into(),
            message: format!(
                "`{key}` applies to the whole run: it cannot be set in an entry of `{WORKLOADS}`"
            ),
        });
        return;
    }
    match raw_value(setting, &key, value.kind) {
        Ok(value) => {
            into.insert(setting.env(), Given { value, origin });
        }
        Err(message) => errors.push(SettingsError::Malformed {
            path: path.into(),
            message,
        }),
    }
}

/// The value of a key before it is parsed, or a message about its type.
fn raw_value(setting: &dyn Setting, key: &str, value: ValueKind) -> Result<RawValue, String> {
    let text = match value {
        ValueKind::Nil => {
            return Err(format!("`{key}` has no value: set one, or remove the key"));
        }
        ValueKind::Boolean(value) => value.to_string(),
        ValueKind::I64(value) => value.to_string(),
        ValueKind::I128(value) => value.to_string(),
        ValueKind::U64(value) => value.to_string(),
        ValueKind::U128(value) => value.to_string(),
        ValueKind::Float(value) => value.to_string(),
        ValueKind::String(value) => value,
        ValueKind::Table(table) if setting.json_type() == JsonType::TextOrTable => {
            let pairs: Result<Vec<(String, String)>, ConfigError> = table
                .into_iter()
                .map(|(name, value)| Ok((name, value.into_string()?)))
                .collect();
            // A query without one of its headers may be answered for another tenant, so one bad
            // header is an error of the whole table.
            let mut pairs =
                pairs.map_err(|_| format!("each entry of `{key}` must have a single value"))?;
            pairs.sort_unstable();
            return Ok(RawValue::Table(pairs));
        }
        ValueKind::Table(_) | ValueKind::Array(_) => {
            return Err(format!("`{key}` must be a single value"));
        }
    };
    Ok(RawValue::Text(text))
}
