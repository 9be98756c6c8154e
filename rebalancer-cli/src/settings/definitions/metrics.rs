//! Settings of the metrics server and of the load.

use std::path::PathBuf;
use std::time::Duration;

use rebalancer_prom::{LabelName, LabelNames, Matchers, PrometheusSettings, QueryMethod};

use crate::settings::definition::{
    Absent, Attributes, Defaulted, Definition, Fallback, Mandatory, Optional, Required, Setting,
};
use crate::settings::value;

/// Every setting of the section, in the order of help.
pub(super) const SETTINGS: &[&dyn Setting] = &[
    &PROMETHEUS_ENDPOINT,
    &PROMETHEUS_METHOD,
    &PROMETHEUS_TIMEOUT,
    &METRICS_TIME_WINDOW,
    &PROMETHEUS_MATCHERS,
    &PROMETHEUS_POD_LABEL,
    &PROMETHEUS_NAMESPACE_LABEL,
    &PROMETHEUS_CONTAINER_LABEL,
    &LOAD_QUERY,
    &FRESHNESS_QUERY,
    &PROMETHEUS_BEARER_TOKEN_FILE,
    &PROMETHEUS_USERNAME,
    &PROMETHEUS_PASSWORD_FILE,
    &PROMETHEUS_CA_FILE,
    &PROMETHEUS_CLIENT_CERTIFICATE_FILE,
    &PROMETHEUS_CLIENT_KEY_FILE,
    &PROMETHEUS_HEADERS,
];

pub(in crate::settings) static PROMETHEUS_ENDPOINT: Required<String> = Definition {
    name: "PROMETHEUS_ENDPOINT",
    help: "Base URL of Prometheus, VictoriaMetrics, Thanos or Mimir; it may have a path and \
           parameters",
    value: &value::ENDPOINT,
    default: Mandatory,
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static PROMETHEUS_METHOD: Defaulted<QueryMethod> = Definition {
    name: "PROMETHEUS_METHOD",
    help: "HTTP method of queries: POST or GET (for a proxy that allows only reading)",
    value: &value::QUERY_METHOD,
    default: Fallback::Value(QueryMethod::default),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static PROMETHEUS_TIMEOUT: Defaulted<Duration> = Definition {
    name: "PROMETHEUS_TIMEOUT",
    help: "Timeout of each query",
    value: &value::POSITIVE_DURATION,
    default: Fallback::Value(|| PrometheusSettings::DEFAULT_TIMEOUT),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static METRICS_TIME_WINDOW: Defaulted<Duration> = Definition {
    name: "METRICS_TIME_WINDOW",
    help: "Time window of the CPU rate",
    value: &value::POSITIVE_DURATION,
    default: Fallback::Value(|| PrometheusSettings::DEFAULT_WINDOW),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static PROMETHEUS_MATCHERS: Optional<Matchers> = Definition {
    name: "PROMETHEUS_MATCHERS",
    help: "Label matchers that are added to every built-in query, such as \
           cluster=\"prod-eu\",tenant=~\"a|b\"; custom queries are sent as they are",
    value: &value::MATCHERS,
    default: Absent("none"),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static PROMETHEUS_POD_LABEL: Defaulted<LabelName> = Definition {
    name: "PROMETHEUS_POD_LABEL",
    help: "Label with the name of the pod, such as exported_pod; also in the results of custom \
           queries",
    value: &value::LABEL_NAME,
    default: Fallback::Value(|| LabelNames::default().pod),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static PROMETHEUS_NAMESPACE_LABEL: Defaulted<LabelName> = Definition {
    name: "PROMETHEUS_NAMESPACE_LABEL",
    help: "Label with the namespace of pods and autoscalers, such as exported_namespace",
    value: &value::LABEL_NAME,
    default: Fallback::Value(|| LabelNames::default().namespace),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static PROMETHEUS_CONTAINER_LABEL: Defaulted<LabelName> = Definition {
    name: "PROMETHEUS_CONTAINER_LABEL",
    help: "Label with the name of the container, such as exported_container",
    value: &value::LABEL_NAME,
    default: Fallback::Value(|| LabelNames::default().container),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static LOAD_QUERY: Optional<String> = Definition {
    name: "LOAD_QUERY",
    help: "PromQL that returns one sample per pod (PROMETHEUS_POD_LABEL), instead of the CPU rate; \
           set METRICS_TIME_WINDOW to its window",
    value: &value::PROMQL,
    default: Absent("CPU rate of the container"),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static FRESHNESS_QUERY: Optional<String> = Definition {
    name: "FRESHNESS_QUERY",
    help: "PromQL that returns the age in seconds of each pod's newest sample; only with \
           LOAD_QUERY",
    value: &value::PROMQL,
    default: Absent("from the CPU series"),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static PROMETHEUS_BEARER_TOKEN_FILE: Optional<PathBuf> = Definition {
    name: "PROMETHEUS_BEARER_TOKEN_FILE",
    help: "File with a bearer token, read again for each query",
    value: &value::FILE,
    default: Absent("none"),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static PROMETHEUS_USERNAME: Optional<String> = Definition {
    name: "PROMETHEUS_USERNAME",
    help: "User name of basic authentication",
    value: &value::NAME,
    default: Absent("none"),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static PROMETHEUS_PASSWORD_FILE: Optional<PathBuf> = Definition {
    name: "PROMETHEUS_PASSWORD_FILE",
    help: "File with the password of basic authentication",
    value: &value::FILE,
    default: Absent("none"),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static PROMETHEUS_CA_FILE: Optional<PathBuf> = Definition {
    name: "PROMETHEUS_CA_FILE",
    help: "PEM file of certificates to trust in addition to the system's: of authorities, or of \
           the server itself",
    value: &value::FILE,
    default: Absent("the system's"),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static PROMETHEUS_CLIENT_CERTIFICATE_FILE: Optional<PathBuf> = Definition {
    name: "PROMETHEUS_CLIENT_CERTIFICATE_FILE",
    help: "PEM file with the client certificate, read once at the start",
    value: &value::FILE,
    default: Absent("none"),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static PROMETHEUS_CLIENT_KEY_FILE: Optional<PathBuf> = Definition {
    name: "PROMETHEUS_CLIENT_KEY_FILE",
    help: "PEM file with the private key of the client certificate, not encrypted",
    value: &value::FILE,
    default: Absent("none"),
    attributes: Attributes::USUAL,
};

pub(in crate::settings) static PROMETHEUS_HEADERS: Optional<Vec<(String, String)>> = Definition {
    name: "PROMETHEUS_HEADERS",
    help: "Extra request headers, such as X-Scope-OrgID=tenant",
    value: &value::HEADERS,
    default: Absent("none"),
    attributes: Attributes::SECRET,
};
