//! The settings of a source.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use rebalancer_adapter::ClientCertificate;
use rebalancer_core::model::WorkloadRef;

use crate::authentication::Authentication;
use crate::endpoint::without_secrets;
use crate::group::GroupQueries;
use crate::headers;
use crate::method::QueryMethod;
use crate::query::SeriesSelection;

/// The settings of a [`PrometheusSource`](crate::PrometheusSource). `Debug` shows neither the
/// values of headers nor a password in the URL.
#[derive(Clone)]
pub struct PrometheusSettings {
    /// `PROMETHEUS_ENDPOINT`: the base URL, `http` or `https`, with the path of the API if there is
    /// one (`https://mimir/prometheus`, `http://vmselect:8481/select/0/prometheus`). Its parameters
    /// are sent with each request (`https://thanos:9092?namespace=shop`).
    pub endpoint: String,
    /// `PROMETHEUS_METHOD`: the HTTP method of queries.
    pub method: QueryMethod,
    /// `PROMETHEUS_TIMEOUT`: the limit for one request, from the connection to the last byte.
    pub timeout: Duration,
    /// `METRICS_TIME_WINDOW`: the window of the CPU rate, at least one millisecond. Not used with a
    /// custom load query.
    pub window: Duration,
    /// The workload whose pods are measured.
    pub workload: WorkloadRef,
    /// The measured container.
    pub container: String,
    /// The series that the built-in queries read. Custom queries are sent as they are; the pod
    /// label of their results is the one of [`SeriesSelection::labels`], or else `pod`.
    pub series: SeriesSelection,
    /// `LOAD_QUERY`: PromQL that returns one sample per `pod`, instead of the container's CPU
    /// rate. Sent verbatim.
    pub load_query: Option<String>,
    /// `FRESHNESS_QUERY`: PromQL that returns one sample per `pod`: the age of the pod's newest
    /// sample, in seconds. Sent verbatim.
    pub freshness_query: Option<String>,
    /// `HOLD_QUERY`: PromQL of which any sample in the result is a reason to hold. Sent verbatim.
    pub hold_query: Option<String>,
    /// `MINIMUM_HOT_DURATION`: the time for which past loads are read; `None` for none.
    pub past: Option<Duration>,
    /// The source of the consumer group; `None` if the group is not read.
    pub group: Option<GroupQueries>,
    /// The authentication of requests.
    pub authentication: Authentication,
    /// `PROMETHEUS_CA_FILE`: PEM certificates of authorities, or the certificate of the server
    /// itself. They are trusted in addition to the system's.
    pub ca_file: Option<PathBuf>,
    /// `PROMETHEUS_CLIENT_CERTIFICATE_FILE` and `PROMETHEUS_CLIENT_KEY_FILE`: the certificate that
    /// the program presents to a server.
    pub client_certificate: Option<ClientCertificate>,
    /// `PROMETHEUS_HEADERS`: names and values sent with each request, such as `X-Scope-OrgID`.
    pub headers: Vec<(String, String)>,
}

impl PrometheusSettings {
    /// The default of [`timeout`](Self::timeout).
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
    /// The default of [`window`](Self::window).
    pub const DEFAULT_WINDOW: Duration = Duration::from_secs(5 * 60);

    /// Settings with the defaults: the container has the workload's name, and there is no
    /// authentication.
    #[must_use]
    pub fn new(endpoint: impl Into<String>, workload: WorkloadRef) -> Self {
        Self {
            endpoint: endpoint.into(),
            method: QueryMethod::default(),
            timeout: Self::DEFAULT_TIMEOUT,
            window: Self::DEFAULT_WINDOW,
            container: workload.name.clone(),
            workload,
            series: SeriesSelection::default(),
            load_query: None,
            freshness_query: None,
            hold_query: None,
            past: None,
            group: None,
            authentication: Authentication::None,
            ca_file: None,
            client_certificate: None,
            headers: Vec::new(),
        }
    }
}

impl fmt::Debug for PrometheusSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The destructuring makes a new field a compile error here, so that the author decides
        // whether the field is a secret.
        let Self {
            endpoint,
            method,
            timeout,
            window,
            workload,
            container,
            series,
            load_query,
            freshness_query,
            hold_query,
            past,
            group,
            authentication,
            ca_file,
            client_certificate,
            headers,
        } = self;
        let headers: Vec<_> = headers
            .iter()
            .enumerate()
            .map(|(index, (name, _))| (headers::description(index, name), "…"))
            .collect();
        f.debug_struct("PrometheusSettings")
            .field("endpoint", &without_secrets(endpoint))
            .field("method", method)
            .field("timeout", timeout)
            .field("window", window)
            .field("workload", workload)
            .field("container", container)
            .field("series", series)
            .field("load_query", load_query)
            .field("freshness_query", freshness_query)
            .field("hold_query", hold_query)
            .field("past", past)
            .field("group", group)
            .field("authentication", authentication)
            .field("ca_file", ca_file)
            .field("client_certificate", client_certificate)
            .field("headers", &headers)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
