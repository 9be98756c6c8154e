//! The layers of the configuration: file < environment < flags. Defaults come last, with the
//! types, since many depend on other settings.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use config::{
    Config, ConfigError, File, FileFormat, FileStoredFormat, Format, Map, Source, Value, ValueKind,
};

use super::SettingsError;
use super::registry::SETTINGS;

/// The key of the file that lists workloads.
pub(super) const WORKLOADS: &str = "workloads";

/// Where a text came from, so that an error can name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    Flag,
    Environment,
    File(String),
}

impl Origin {
    /// The name of the setting as it was written there.
    pub(super) fn name(&self, env: &str) -> String {
        let key = env.to_ascii_lowercase();
        match self {
            Self::Flag => format!("--{}", key.replace('_', "-")),
            Self::Environment => env.to_owned(),
            Self::File(path) => format!("`{key}` in {path}"),
        }
    }
}

/// What was given for a setting, and where it came from.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) value: GivenValue,
    pub(super) origin: Origin,
}

/// What was given for a setting.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum GivenValue {
    /// A text, whose form is that of the environment.
    Text(String),
    /// A table of the file: names, each with its value as it is.
    Table(Vec<(String, String)>),
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The value may be a secret; the typed settings show those that are none.
        f.debug_struct("Given")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// Settings by environment variable.
pub(super) type Layer = HashMap<&'static str, Given>;

/// What all layers together say.
#[derive(Debug, Default)]
pub(super) struct Layers {
    /// What holds for every workload.
    pub(super) common: Layer,
    /// What the entries of the file's list of workloads say, each over `common`; `None` without
    /// such a list.
    pub(super) workloads: Option<Vec<Layer>>,
}

/// Flags, as a source of the `config` crate.
#[derive(Clone)]
struct Flags(Map<String, Value>);

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The environment comes in this form too, and holds secrets.
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Source for Flags {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

const FLAG: &str = "flag";
const ENVIRONMENT: &str = "environment";

/// A configuration file, as a format of the `config` crate.
#[derive(Debug, Clone, Copy)]
pub(crate) enum FileText {
    Toml,
    /// By the YAML crate that the Kubernetes client brings anyway.
    Yaml,
}

impl Format for FileText {
    fn parse(
        &self,
        uri: Option<&String>,
        text: &str,
    ) -> Result<Map<String, Value>, Box<dyn std::error::Error + Send + Sync>> {
        let root: Map<String, Value> = match self {
            Self::Toml => FileFormat::Toml.parse(uri, text)?,
            Self::Yaml if text.trim().is_empty() => Map::new(),
            Self::Yaml => serde_saphyr::from_str(text).map_err(|error| error.to_string())?,
        };
        root.into_iter()
            .map(|(key, value)| {
                // The crate would take `a.b` and `a[1000000]` for paths.
                if key
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
                {
                    Ok((key, Value::new(uri, value.kind)))
                } else {
                    Err(format!("`{}` cannot be a key", key.escape_debug()).into())
                }
            })
            .collect()
    }
}

impl FileStoredFormat for FileText {
    fn file_extensions(&self) -> &'static [&'static str] {
        match self {
            Self::Toml => &["toml"],
            Self::Yaml => &["yaml", "yml"],
        }
    }
}

/// A configuration file that was read, and not yet looked into.
pub(crate) struct GivenFile {
    /// What it is called in messages.
    pub(crate) path: String,
    /// What is in it.
    pub(crate) text: String,
    /// How to read that.
    pub(crate) format: FileText,
}

impl fmt::Debug for GivenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // There may be secrets in the text.
        f.debug_struct("GivenFile")
            .field("path", &self.path)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

impl GivenFile {
    /// Reads a file; what is not TOML by its name is YAML.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn read(file: &Path) -> Result<Self, SettingsError> {
        let path = file.display().to_string();
        let text = std::fs::read_to_string(file).map_err(|error| SettingsError::Unreadable {
            path: path.clone(),
            problem: error.to_string(),
        })?;
        let is_toml = file
            .extension()
            .is_some_and(|extension| extension == "toml");
        let format = if is_toml {
            FileText::Toml
        } else {
            FileText::Yaml
        };
        Ok(Self { path, text, format })
    }
}

/// Merges the layers. `environment` and `flags` are by variable and by key; `file` is the
/// configuration file, if any. What is wrong with single keys stands beside the layers, so that
/// it can be said together with what is wrong with the values.
///
/// # Errors
/// When the file is no YAML or TOML.
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
    // Only variables that are settings: the rest of the environment is not ours to read.
    let known = |name: &str| SETTINGS.iter().any(|setting| setting.env == name);
    let environment: Map<String, Value> = environment
        .iter()
        .filter(|(name, text)| known(name) && !text.is_empty())
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
        .add_source(Flags(environment))
        .add_source(Flags(flags))
        .build()
        .and_then(|config| config.collect())
        .map_err(|error| SettingsError::Malformed {
            path: path.clone(),
            message: without_excerpt(&error.to_string()),
        })?;
    let mut layers = Layers::default();
    let mut errors = Vec::new();
    for (key, value) in merged {
        if key == WORKLOADS {
            layers.workloads = Some(entries(value, &path, &mut errors));
        } else {
            take(&mut layers.common, key, value, &path, false, &mut errors);
        }
    }
    Ok((layers, errors))
}

/// The list of workloads.
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
            message: format!("`{WORKLOADS}` is empty: list a workload, or leave it out"),
        });
    }
    layers
}

/// Puts one key of a layer into `into`, or an error into `errors`.
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
    let Some(setting) = SETTINGS.iter().find(|setting| setting.key() == key) else {
        errors.push(SettingsError::UnknownKey {
            nearest: nearest(&key),
            key,
            path: path.into(),
        });
        return;
    };
    if in_workload && setting.is_global() {
        errors.push(SettingsError::Malformed {
            path: path.into(),
            message: format!(
                "`{key}` is of the whole run: it cannot stand in an entry of `{WORKLOADS}`"
            ),
        });
        return;
    }
    let value = match value.kind {
        ValueKind::Nil => {
            errors.push(SettingsError::Malformed {
                path: path.into(),
                message: format!("`{key}` has no value: give it one, or leave it out"),
            });
            return;
        }
        ValueKind::Boolean(value) => GivenValue::Text(value.to_string()),
        ValueKind::I64(value) => GivenValue::Text(value.to_string()),
        ValueKind::I128(value) => GivenValue::Text(value.to_string()),
        ValueKind::U64(value) => GivenValue::Text(value.to_string()),
        ValueKind::U128(value) => GivenValue::Text(value.to_string()),
        ValueKind::Float(value) => GivenValue::Text(value.to_string()),
        ValueKind::String(value) => GivenValue::Text(value),
        // PROMETHEUS_HEADERS reads better as a table in a file.
        ValueKind::Table(table) if setting.env == "PROMETHEUS_HEADERS" => {
            let pairs: Result<Vec<(String, String)>, ConfigError> = table
                .into_iter()
                .map(|(name, value)| Ok((name, value.into_string()?)))
                .collect();
            // Without one of its headers a question may be answered for another tenant.
            let Ok(mut pairs) = pairs else {
                errors.push(SettingsError::Malformed {
                    path: path.into(),
                    message: format!("each header of `{key}` must have a single value"),
                });
                return;
            };
            pairs.sort_unstable();
            GivenValue::Table(pairs)
        }
        ValueKind::Table(_) | ValueKind::Array(_) => {
            errors.push(SettingsError::Malformed {
                path: path.into(),
                message: format!("`{key}` must be a single value"),
            });
            return;
        }
    };
    into.insert(setting.env, Given { value, origin });
}

/// The known key that looks most like `key`, when one does.
fn nearest(key: &str) -> Option<String> {
    let key = key.to_ascii_lowercase().replace('-', "_");
    SETTINGS
        .iter()
        .map(super::Setting::key)
        .chain([WORKLOADS.to_owned()])
        .map(|known| (strsim::jaro_winkler(&key, &known), known))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

/// The error of a parser without the lines of the file it shows, which may hold secrets.
fn without_excerpt(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.contains('|'))
        .collect();
    lines.join(": ")
}
