//! Extra headers (`PROMETHEUS_HEADERS`).

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use crate::error::PromError;

/// Parses pairs of names and values. The values are marked as sensitive.
pub(crate) fn parse(pairs: &[(String, String)]) -> Result<HeaderMap, PromError> {
    let mut headers = HeaderMap::with_capacity(pairs.len());
    for (index, (name, value)) in pairs.iter().enumerate() {
        let bad = |reason| PromError::BadHeader {
            header: description(index, name),
            reason,
        };
        let header: HeaderName = name
            .trim()
            .parse()
            .map_err(|_| bad("its name contains characters that are not allowed in a header"))?;
        let mut value = HeaderValue::from_str(value.trim())
            .map_err(|_| bad("its value contains bytes that are not allowed in a header"))?;
        value.set_sensitive(true);
        headers.append(header, value);
    }
    Ok(headers)
}

/// Describes a header in a message: by its name, or by its number if the name is not valid. An
/// invalid name can be a secret.
pub(crate) fn description(index: usize, name: &str) -> String {
    match name.trim().parse::<HeaderName>() {
        Ok(_) => format!("header `{}`", name.trim()),
        Err(_) => format!("pair number {}", index + 1),
    }
}
