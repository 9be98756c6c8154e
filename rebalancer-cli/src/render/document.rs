//! Documents: JSON and YAML.

use serde::Serialize;

/// A document that could not be written; every document of this program can be.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the document as {format}: {message}")]
pub struct DocumentError {
    format: &'static str,
    message: String,
}

/// JSON over several lines, with a newline at the end.
///
/// # Errors
/// When the document holds what JSON cannot.
pub fn json(document: &impl Serialize) -> Result<String, DocumentError> {
    serde_json::to_string_pretty(document)
        .map(|text| text + "\n")
        .map_err(|error| DocumentError {
            format: "JSON",
            message: error.to_string(),
        })
}

/// JSON on one line, with a newline at the end.
///
/// # Errors
/// When the document holds what JSON cannot.
pub fn json_line(document: &impl Serialize) -> Result<String, DocumentError> {
    serde_json::to_string(document)
        .map(|text| text + "\n")
        .map_err(|error| DocumentError {
            format: "JSON",
            message: error.to_string(),
        })
}

/// YAML, with `---` before it, so that several make a stream.
///
/// # Errors
/// When the document holds what YAML cannot.
pub fn yaml(document: &impl Serialize) -> Result<String, DocumentError> {
    serde_saphyr::to_string(document)
        .map(|text| format!("---\n{}\n", text.trim_end()))
        .map_err(|error| DocumentError {
            format: "YAML",
            message: error.to_string(),
        })
}
