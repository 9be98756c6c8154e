//! Settings of the program's own metrics.

use std::path::PathBuf;
use std::time::Duration;

use crate::settings::definition::{
    Absent, Attributes, Defaulted, Definition, Fallback, Optional, Setting,
};
use crate::settings::value;

/// Every setting of the section, in the order of help.
pub(super) const SETTINGS: &[&dyn Setting] = &[
    &METRICS_FILE,
    &METRICS_PUSH_URL,
    &METRICS_PUSH_BEARER_TOKEN_FILE,
    &METRICS_PUSH_USERNAME,
    &METRICS_PUSH_PASSWORD_FILE,
    &METRICS_PUSH_CA_FILE,
    &METRICS_PUSH_TIMEOUT,
];

pub(in crate::settings) static METRICS_FILE: Optional<PathBuf> = Definition {
    name: "METRICS_FILE",
    help: "File for the metrics of each run, in the Prometheus text format; .prom in the directory of \
           node_exporter's textfile collector",
    value: &value::FILE,
    default: Absent("none"),
    attributes: Attributes::WHOLE_RUN,
};

pub(in crate::settings) static METRICS_PUSH_URL: Optional<String> = Definition {
    name: "METRICS_PUSH_URL",
    help: "Where the metrics of each run are pushed to: the base URL of a Pushgateway, or a URL that \
           ends with /api/v1/import/prometheus (VictoriaMetrics)",
    value: &value::PUSH_URL,
    default: Absent("none"),
    attributes: Attributes::WHOLE_RUN,
};

pub(in crate::settings) static METRICS_PUSH_BEARER_TOKEN_FILE: Optional<PathBuf> = Definition {
    name: "METRICS_PUSH_BEARER_TOKEN_FILE",
    help: "File with a bearer token for METRICS_PUSH_URL, read again for each push",
    value: &value::FILE,
    default: Absent("none"),
    attributes: Attributes::WHOLE_RUN,
};

pub(in crate::settings) static METRICS_PUSH_USERNAME: Optional<String> = Definition {
    name: "METRICS_PUSH_USERNAME",
    help: "User name of basic authentication for METRICS_PUSH_URL",
    value: &value::NAME,
    default: Absent("none"),
    attributes: Attributes::WHOLE_RUN,
};

pub(in crate::settings) static METRICS_PUSH_PASSWORD_FILE: Optional<PathBuf> = Definition {
    name: "METRICS_PUSH_PASSWORD_FILE",
    help: "File with the password of basic authentication for METRICS_PUSH_URL",
    value: &value::FILE,
    default: Absent("none"),
    attributes: Attributes::WHOLE_RUN,
};

pub(in crate::settings) static METRICS_PUSH_CA_FILE: Optional<PathBuf> = Definition {
    name: "METRICS_PUSH_CA_FILE",
    help: "PEM file of certificates to trust for METRICS_PUSH_URL in addition to the system's: of \
           authorities, or of the server itself",
    value: &value::FILE,
    default: Absent("the system's"),
    attributes: Attributes::WHOLE_RUN,
};

pub(in crate::settings) static METRICS_PUSH_TIMEOUT: Defaulted<Duration> = Definition {
    name: "METRICS_PUSH_TIMEOUT",
    help: "Maximum time for pushing the metrics of a run",
    value: &value::POSITIVE_DURATION,
    default: Fallback::Value(|| Duration::from_secs(10)),
    attributes: Attributes::WHOLE_RUN,
};
