//! Documents: JSON and YAML.

use serde::Serialize;

/// A document that could not be written; every document of this program can be.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the document as {format}: {message}")]
pub struct DocumentError {
    format: &'static str,
    message: String,
}

impl DocumentError {
    fn new(format: &'static str, error: &dyn std::error::Error) -> Self {
        Self {
            format,
            message: error.to_string(),
        }
    }
}

/// JSON over several lines, with a newline at the end.
///
/// # Errors
/// When the document holds what JSON cannot.
pub fn json(document: &impl Serialize) -> Result<String, DocumentError> {
    serde_json::to_string_pretty(document)
        .map(|text| text + "\n")
        .map_err(|error| DocumentError::new("JSON", &error))
}

/// JSON on one line, with a newline at the end.
///
/// # Errors
/// When the document holds what JSON cannot.
pub fn json_line(document: &impl Serialize) -> Result<String, DocumentError> {
    serde_json::to_string(document)
        .map(|text| text + "\n")
        .map_err(|error| DocumentError::new("JSON", &error))
}

/// YAML, with `---` before it, so that several make a stream.
///
/// # Errors
/// When the document holds what YAML cannot.
pub fn yaml(document: &impl Serialize) -> Result<String, DocumentError> {
    serde_saphyr::to_string(document)
        .map(|text| format!("---\n{}\n", text.trim_end()))
        .map_err(|error| DocumentError::new("YAML", &error))
}
