//! What a source must be told.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use rebalancer_core::model::WorkloadRef;
use reqwest::Url;
use reqwest::header::HeaderName;

use crate::authentication::Authentication;
use crate::group::GroupSource;

/// Everything a [`PrometheusSource`](crate::PrometheusSource) must be told. Its `Debug` shows
/// neither the values of headers nor a password in the URL.
#[derive(Clone)]
pub struct PrometheusSettings {
    /// `PROMETHEUS_ENDPOINT`: base URL, `http` or `https`, with a path where the API lives under
    /// one (`https://mimir/prometheus`, `http://vmselect:8481/select/0/prometheus`).
    pub endpoint: String,
    /// `PROMETHEUS_TIMEOUT`: how long one request may take, from connecting to the last byte.
    pub timeout: Duration,
    /// `METRICS_TIME_WINDOW`: the window of the CPU rate; at least a millisecond. Not used with
    /// a custom load query.
    pub window: Duration,
    /// The workload whose pods are measured.
    pub workload: WorkloadRef,
    /// The container that is measured.
    pub container: String,
    /// `LOAD_QUERY`: PromQL that yields one sample per `pod`, in place of the container's CPU
    /// rate. Sent verbatim.
    pub load_query: Option<String>,
    /// `FRESHNESS_QUERY`: PromQL that yields one sample per `pod`, the age of its newest sample
    /// in seconds. Sent verbatim.
    pub freshness_query: Option<String>,
    /// Where the consumer group is found; `None` when nobody asks for it.
    pub group: Option<GroupSource>,
    /// How requests are authenticated.
    pub authentication: Authentication,
    /// `PROMETHEUS_CA_FILE`: PEM certificates that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
    /// `PROMETHEUS_HEADERS`: names and values sent with each request, such as `X-Scope-OrgID`.
    pub headers: Vec<(String, String)>,
}

impl PrometheusSettings {
    /// Settings with the defaults: the container is named as the workload, the timeout is 30 s,
    /// the window 5 minutes, and there are no credentials.
    #[must_use]
    pub fn new(endpoint: impl Into<String>, workload: WorkloadRef) -> Self {
        Self {
            endpoint: endpoint.into(),
            timeout: Duration::from_secs(30),
            window: Duration::from_secs(5 * 60),
            container: workload.name.clone(),
            workload,
            load_query: None,
            freshness_query: None,
            group: None,
            authentication: Authentication::None,
            ca_file: None,
            headers: Vec::new(),
        }
    }
}

impl fmt::Debug for PrometheusSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Taking the fields apart makes a new one an error here, so that nobody forgets to ask
        // whether it is a secret.
        let Self {
            endpoint,
            timeout,
            window,
            workload,
            container,
            load_query,
            freshness_query,
            group,
            authentication,
            ca_file,
            headers,
        } = self;
        let headers: Vec<_> = headers
            .iter()
            .enumerate()
            .map(|(index, (name, _))| (header_words(index, name), "…"))
            .collect();
        f.debug_struct("PrometheusSettings")
            .field("endpoint", &without_secrets(endpoint))
            .field("timeout", timeout)
            .field("window", window)
            .field("workload", workload)
            .field("container", container)
            .field("load_query", load_query)
            .field("freshness_query", freshness_query)
            .field("group", group)
            .field("authentication", authentication)
            .field("ca_file", ca_file)
            .field("headers", &headers)
            .finish()
    }
}

/// How an extra header is called in a message: what cannot be a name may be a secret.
pub(crate) fn header_words(index: usize, name: &str) -> String {
    match name.trim().parse::<HeaderName>() {
        Ok(_) => format!("header `{}`", name.trim()),
        Err(_) => format!("pair number {}", index + 1),
    }
}

/// The text of a URL without user name, password, query and fragment. Of one that does not parse
/// only the scheme is left, and so it is where an `@` stands in another place than before the
/// host: a password with a `/`, `?` or `#` in it makes what comes before it look like the host.
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
    // What follows the `#`, `?` or `/` of a password is no longer before the host.
    #[case("http://admin:hunter2#x@prom:9090", "http://…")]
    #[case("http://admin:hunter2?x@prom:9090", "http://…")]
    #[case("http://admin:hunter2/x@prom:9090", "http://…")]
    #[case("http://admin:8080#x@prom:9090", "http://…")]
    #[case("https://admin:8080/x@prom:9090", "https://…")]
    #[case("http://prom/x?mail=me@example.com&token=secret", "http://…")]
    // No URLs.
    #[case("http://me:hunter2@[prom", "http://…")]
    #[case("http:me:secret@prom", "http://…")]
    #[case("HTTP:\\\\me:secret@prom", "http://…")]
    #[case("me:secret@prom", "…")]
    #[case("secret", "…")]
    fn a_url_is_shown_without_secrets(#[case] url: &str, #[case] shown: &str) {
        assert_eq!(without_secrets(url), shown);
    }

    #[test]
    fn debug_shows_no_secret() {
        let settings = PrometheusSettings {
            headers: vec![
                ("X-Api-Key".into(), "hunter2".into()),
                ("Authorization: Basic hunter2".into(), "=".into()),
            ],
            ..PrometheusSettings::new("http://me:hunter2@prom", WorkloadRef::default())
        };
        let shown = format!("{settings:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("X-Api-Key"), "{shown}");
        assert!(shown.contains("pair number 2"), "{shown}");
        assert!(shown.contains("http://prom"), "{shown}");
    }
}
