//! The HTTP method of queries.

/// The HTTP method of queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum QueryMethod {
    /// The query is in the body, because proxies limit the length of a URL.
    #[default]
    Post,
    /// The query is in the URL, because some proxies allow only reading.
    Get,
}

impl QueryMethod {
    /// Returns the name of the method.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Get => "GET",
        }
    }
}
