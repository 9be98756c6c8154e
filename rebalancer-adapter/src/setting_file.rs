//! Files that settings name: certificates, keys, passwords and tokens.

use std::io;
use std::path::{Path, PathBuf};

/// A file of a setting that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingFileError {
    /// The file cannot be read.
    #[error("{setting}: cannot read {}: {source}", path.display())]
    Unreadable {
        /// The setting that names the file.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// The I/O error.
        source: io::Error,
    },
    /// The content of the file cannot be used.
    #[error("{setting}: {} cannot be used: {reason}", path.display())]
    Unusable {
        /// The setting that names the file.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// The problem. The content is not shown.
        reason: String,
    },
}

impl SettingFileError {
    /// The error of a file whose content cannot be used for this reason, which must not show the
    /// content.
    pub fn unusable(setting: &'static str, path: &Path, reason: impl Into<String>) -> Self {
        Self::Unusable {
            setting,
            path: path.to_owned(),
            reason: reason.into(),
        }
    }
}

/// Reads a file of a setting. Blocking is acceptable: the file has a few bytes and is on a local
/// file system.
///
/// # Errors
/// If the file cannot be read.
pub fn read_setting_file(setting: &'static str, path: &Path) -> Result<Vec<u8>, SettingFileError> {
    std::fs::read(path).map_err(|source| SettingFileError::Unreadable {
        setting,
        path: path.to_owned(),
        source,
    })
}

/// Reads a text file of a setting, as [`read_setting_file`] does.
///
/// # Errors
/// If the file cannot be read, or is not UTF-8 text.
pub fn read_setting_text(setting: &'static str, path: &Path) -> Result<String, SettingFileError> {
    let bytes = read_setting_file(setting, path)?;
    String::from_utf8(bytes)
        .map_err(|_| SettingFileError::unusable(setting, path, "it is not UTF-8 text"))
}
