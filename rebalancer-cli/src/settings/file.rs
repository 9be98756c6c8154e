//! The configuration file: reading and parsing YAML or TOML.

use std::fmt;
use std::path::Path;

use config::{FileFormat, FileStoredFormat, Format, Map, Value};

use super::error::SettingsError;

/// The key of the file that lists workloads.
pub(super) const WORKLOADS: &str = "workloads";

/// A configuration file, as a format of the `config` crate.
#[derive(Debug, Clone, Copy)]
pub(crate) enum FileText {
    Toml,
    /// Parsed by the YAML crate that the Kubernetes client depends on.
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
                // The `config` crate would interpret `a.b` and `a[1000000]` as paths.
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

/// A configuration file before it is parsed.
pub(crate) struct GivenFile {
    /// The name of the file in messages.
    pub(crate) path: String,
    /// The content.
    pub(crate) text: String,
    /// The format of the content.
    pub(crate) format: FileText,
}

impl fmt::Debug for GivenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The text may contain secrets.
        f.debug_struct("GivenFile")
            .field("path", &self.path)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

impl GivenFile {
    /// Reads a file: TOML if its extension is `toml`, else YAML.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn read(file: &Path) -> Result<Self, SettingsError> {
        let text = std::fs::read_to_string(file).map_err(|error| SettingsError::Unreadable {
            path: file.display().to_string(),
            problem: error.to_string(),
        })?;
        Ok(Self::of(file, text))
    }

    /// A file with this content, as [`read`](Self::read) reads it.
    pub(crate) fn of(file: &Path, text: String) -> Self {
        let is_toml = file
            .extension()
            .is_some_and(|extension| extension == "toml");
        let format = if is_toml {
            FileText::Toml
        } else {
            FileText::Yaml
        };
        Self {
            path: file.display().to_string(),
            text,
            format,
        }
    }
}

/// The message of a parser without the lines that it quotes from the file, which may contain
/// secrets.
pub(super) fn without_excerpt(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.contains('|'))
        .collect();
    lines.join(": ")
}
