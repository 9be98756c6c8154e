//! Documents: JSON and YAML.

use serde::Serialize;

/// A document that could not be serialized. The documents of this program always can be.
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

/// Serializes to JSON with indentation and a final newline.
///
/// # Errors
/// If JSON cannot represent the document.
pub fn json(document: &impl Serialize) -> Result<String, DocumentError> {
    serde_json::to_string_pretty(document)
        .map(|text| text + "\n")
        .map_err(|error| DocumentError::new("JSON", &error))
}

/// Serializes to JSON on one line, with a final newline.
///
/// # Errors
/// If JSON cannot represent the document.
pub fn json_line(document: &impl Serialize) -> Result<String, DocumentError> {
    serde_json::to_string(document)
        .map(|text| text + "\n")
        .map_err(|error| DocumentError::new("JSON", &error))
}

/// Serializes to YAML, with a leading `---`, so that several documents form a stream.
///
/// # Errors
/// If YAML cannot represent the document.
pub fn yaml(document: &impl Serialize) -> Result<String, DocumentError> {
    serde_saphyr::to_string(document)
        .map(|text| format!("---\n{}\n", text.trim_end()))
        .map_err(|error| DocumentError::new("YAML", &error))
}
