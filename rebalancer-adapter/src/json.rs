//! JSON in response bodies.

use serde::Deserialize;
use serde::de::Error as _;

/// Parses a response body.
///
/// Validates UTF-8 once for the whole body: `serde_json::from_slice` validates each string, which
/// takes a measurable part of the parsing time.
///
/// # Errors
/// If the body is not UTF-8 or not a JSON value of the type.
pub fn read_json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, serde_json::Error> {
    serde_json::from_str(std::str::from_utf8(body).map_err(serde_json::Error::custom)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_borrowed_from_the_body() {
        let body = br#"["a"]"#;
        assert_eq!(read_json::<Vec<&str>>(body).unwrap(), ["a"]);
    }

    #[test]
    fn invalid_utf8_is_an_error() {
        assert!(read_json::<Vec<String>>(b"[\"\xff\"]").is_err());
    }
}
