//! The base URL of the server (`PROMETHEUS_ENDPOINT`).

use std::net::IpAddr;

use reqwest::Url;

use crate::error::PromError;

/// Checks that requests can be built on a base URL. Sends nothing.
///
/// # Errors
/// If the URL does not parse, is neither `http` nor `https`, or contains credentials, a query or a
/// fragment.
pub fn check_endpoint(endpoint: &str) -> Result<(), PromError> {
    base_url(endpoint).map(drop)
}

/// Parses the base URL.
pub(crate) fn base_url(endpoint: &str) -> Result<Url, PromError> {
    let endpoint = endpoint.trim();
    let url = Url::parse(endpoint).map_err(|error| bad_url(endpoint, error.to_string()))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(PromError::CredentialsInUrl);
    }
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad_url(endpoint, "it must begin with http:// or https://"));
    }
    // The HTTP client would remove them from some URLs and keep them in others.
    if url.query().is_some() || url.fragment().is_some() {
        return Err(bad_url(endpoint, "it must not contain `?` or `#`"));
    }
    Ok(url)
}

/// The error for a URL that cannot be used.
pub(crate) fn bad_url(url: &str, reason: impl Into<String>) -> PromError {
    PromError::BadUrl {
        url: without_secrets(url),
        reason: reason.into(),
    }
}

/// Whether the URL's host is the machine itself.
pub(crate) fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        host == "localhost"
            || host
                .trim_matches(['[', ']'])
                .parse::<IpAddr>()
                .is_ok_and(|ip| ip.is_loopback())
    })
}

/// Returns the text of a URL without user name, password, query and fragment.
///
/// Returns only the scheme of a URL that does not parse, and of one with an `@` elsewhere than
/// before the host: if a password contains `/`, `?` or `#`, the text before it looks like the host.
pub(crate) fn without_secrets(url: &str) -> String {
    let url = url.trim();
    let scheme = ["https", "http"]
        .into_iter()
        .find(|scheme| {
            url.split_once(':')
                .is_some_and(|(found, _)| found.eq_ignore_ascii_case(scheme))
        })
        .map_or_else(|| "…".to_owned(), |scheme| format!("{scheme}://…"));
    let Ok(parsed) = Url::parse(url) else {
        return scheme;
    };
    let after_host = [Some(parsed.path()), parsed.query(), parsed.fragment()];
    let shown = match url.rsplit_once('@') {
        None => url.to_owned(),
        Some(_)
            if after_host
                .into_iter()
                .flatten()
                .any(|part| part.contains('@')) =>
        {
            return scheme;
        }
        Some((before, host)) => match before.split_once("://") {
            Some((scheme, _)) => format!("{scheme}://{host}"),
            None => return scheme,
        },
    };
    shown
        .split(['?', '#'])
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("http://prom:9090/x", "http://prom:9090/x")]
    #[case("prometheus:9090", "prometheus:9090")]
    #[case("http://me:secret@prom:9090", "http://prom:9090")]
    #[case("http://me@prom:9090/x?token=secret#secret", "http://prom:9090/x")]
    #[case("http://me:sec@ret@prom", "http://prom")]
    #[case("http://prom/?token=secret", "http://prom/")]
    // A `#`, `?` or `/` in the password: the rest of the password is not before the host.
    #[case("http://admin:hunter2#x@prom:9090", "http://…")]
    #[case("http://admin:hunter2?x@prom:9090", "http://…")]
    #[case("http://admin:hunter2/x@prom:9090", "http://…")]
    #[case("http://admin:8080#x@prom:9090", "http://…")]
    #[case("https://admin:8080/x@prom:9090", "https://…")]
    #[case("http://prom/x?mail=me@example.com&token=secret", "http://…")]
    // Not URLs.
    #[case("http://me:hunter2@[prom", "http://…")]
    #[case("http:me:secret@prom", "http://…")]
    #[case("HTTP:\\\\me:secret@prom", "http://…")]
    #[case("me:secret@prom", "…")]
    #[case("secret", "…")]
    fn url_is_shown_without_secrets(#[case] url: &str, #[case] shown: &str) {
        assert_eq!(without_secrets(url), shown);
    }
}
