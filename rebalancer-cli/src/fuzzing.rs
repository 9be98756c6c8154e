//! The readers of settings, for the fuzz targets: nothing here is part of the crate's interface.

use std::collections::HashMap;
use std::time::Duration;

use crate::settings::{FileText, GivenFile, Settings, SettingsError, Sources, duration};

/// The settings of a configuration file's text, of environment variables and of flags.
///
/// # Errors
/// Everything that is wrong.
pub fn settings(
    text: &str,
    is_toml: bool,
    environment: &HashMap<String, String>,
    flags: &HashMap<String, String>,
) -> Result<Settings, Vec<SettingsError>> {
    let file = GivenFile {
        path: "file".to_owned(),
        text: text.to_owned(),
        format: if is_toml {
            FileText::Toml
        } else {
            FileText::Yaml
        },
    };
    Sources::of(Some(file), environment, flags)
        .map_err(|error| vec![error])?
        .settings()
}

/// A duration as Go writes it.
#[must_use]
pub fn duration(text: &str) -> Option<Duration> {
    duration::parse(text)
}
