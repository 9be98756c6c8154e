//! The base URL of the server (`PROMETHEUS_ENDPOINT`).

use rebalancer_adapter::Secrets;
use reqwest::Url;

use crate::error::PromError;

/// The parameters of a query that the program sets itself.
const OWN_PARAMETERS: [&str; 5] = ["query", "time", "start", "end", "step"];

/// Parts of the names of parameters whose values are secrets.
const SECRET_NAMES: [&str; 10] = [
    "auth", "code", "cred", "jwt", "key", "pass", "pwd", "secret", "sig", "token",
];

/// Checks that requests can be built on a base URL. Sends nothing.
///
/// # Errors
/// If the URL does not parse, is neither `http` nor `https`, contains credentials or a fragment, or
/// has a parameter that the program sets itself.
pub fn check_endpoint(endpoint: &str) -> Result<(), PromError> {
    base_url(endpoint).map(drop)
}

/// Parses the base URL. Its parameters are those of every request.
pub(crate) fn base_url(endpoint: &str) -> Result<Url, PromError> {
    let endpoint = endpoint.trim();
    let url = Url::parse(endpoint).map_err(|error| bad_url(endpoint, error.to_string()))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(PromError::CredentialsInUrl);
    }
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad_url(endpoint, "it must begin with http:// or https://"));
    }
    if url.fragment().is_some() {
        return Err(bad_url(endpoint, "it must not contain `#`"));
    }
    for name in OWN_PARAMETERS {
        if url.query_pairs().any(|(given, _)| given == name) {
            let reason = format!("its parameter `{name}` is set by the program");
            return Err(bad_url(endpoint, reason));
        }
    }
    Ok(url)
}

/// Returns the URL of queries: the path of the API is added, and the parameters are kept.
pub(crate) fn query_url(base: &Url) -> Url {
    api_url(base, "query")
}

/// Returns the URL of queries over a range of time.
pub(crate) fn range_url(base: &Url) -> Url {
    api_url(base, "query_range")
}

fn api_url(base: &Url, endpoint: &str) -> Url {
    let mut url = base.clone();
    let path = format!("{}/api/v1/{endpoint}", base.path().trim_end_matches('/'));
    url.set_path(&path);
    url
}

/// Adds the values of secret parameters to the secrets of a request, as text and as sent.
pub(crate) fn add_secrets(url: &Url, secrets: &mut Secrets) {
    let is_secret = |name: &str| {
        let name = name.to_ascii_lowercase();
        SECRET_NAMES.iter().any(|part| name.contains(part))
    };
    for (name, value) in url.query_pairs() {
        if is_secret(&name) {
            secrets.add_header(value.as_bytes());
        }
    }
    for pair in url.query().unwrap_or_default().split('&') {
        match pair.split_once('=') {
            Some((name, value)) if is_secret(name) => secrets.add(value),
            Some(_) => {}
            // A parameter without a name may be a token.
            None => secrets.add(pair),
        }
    }
}

/// The error for a URL that cannot be used.
pub(crate) fn bad_url(url: &str, reason: impl Into<String>) -> PromError {
    PromError::BadUrl {
        url: without_secrets(url),
        reason: reason.into(),
    }
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
    #[case("http://prom", "http://prom/api/v1/query")]
    #[case(
        "http://prom?namespace=shop",
        "http://prom/api/v1/query?namespace=shop"
    )]
    #[case("http://prom/?a=1&b=%20", "http://prom/api/v1/query?a=1&b=%20")]
    #[case("http://prom/x/?a=1", "http://prom/x/api/v1/query?a=1")]
    fn parameters_are_kept(#[case] base: &str, #[case] expected: &str) {
        assert_eq!(query_url(&base_url(base).unwrap()).as_str(), expected);
    }

    #[rstest]
    #[case("http://prom?query=up", "its parameter `query` is set by the program")]
    #[case("http://prom?a=1&time=2", "its parameter `time` is set by the program")]
    #[case("http://prom?a=1#b", "must not contain `#`")]
    fn url_of_another_request_is_rejected(#[case] url: &str, #[case] reason: &str) {
        let error = base_url(url).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }

    #[rstest]
    #[case("?token=hunter2-x", "hunter2-x")]
    #[case("?X-Api-Key=hunter%202", "hunter 2 hunter%202")]
    #[case("?a=1&access_password=hunter2", "hunter2")]
    #[case("?hunter2", "hunter2")]
    #[case("?authorization=Bearer%20hunter2", "Bearer hunter2 hunter2")]
    fn values_of_secret_parameters_are_secrets(#[case] parameters: &str, #[case] text: &str) {
        let mut secrets = Secrets::default();
        let url = base_url(&format!("http://prom{parameters}")).unwrap();
        add_secrets(&url, &mut secrets);
        let shown = secrets.hide(text);
        assert!(!shown.contains("hunter"), "{shown}");
    }

    #[test]
    fn other_parameters_are_no_secrets() {
        let mut secrets = Secrets::default();
        let url = base_url("http://prom?namespace=shop&dedup=true").unwrap();
        add_secrets(&url, &mut secrets);
        assert_eq!(secrets.hide("shop is true"), "shop is true");
    }

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
