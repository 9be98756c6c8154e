//! Settings that cannot be used.

use std::time::Duration;

use rebalancer_core::ports::PortErrorKind;
use rstest::rstest;

use super::settings;
use crate::{PrometheusSettings, PrometheusSource};

#[rstest]
#[case("prometheus:9090", "must begin with http")]
#[case("ftp://prom", "must begin with http")]
#[case("http://", "empty host")]
#[case("prom", "relative URL without a base")]
#[case(
    "http://admin:hunter2#x@prom:9090",
    "`http://…` cannot be used: invalid port"
)]
#[case("http://prom/?token=hunter2#x", "must not contain `#`")]
#[case("http://prom/?token=hunter2&query=up", "its parameter `query`")]
#[case("http://me:hunter2@prom", "PROMETHEUS_PASSWORD_FILE")]
#[case("http://me:hunter2@[prom", "invalid IPv6")]
fn invalid_url_is_an_error(#[case] url: &str, #[case] expected: &str) {
    let error = PrometheusSource::new(settings(url)).unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Setup);
    let message = error.to_string();
    assert!(message.starts_with("PROMETHEUS_ENDPOINT "), "{message}");
    assert!(message.contains(expected), "{message}");
    assert!(!message.contains("hunter2"), "{message}");
    assert!(!format!("{error:?}").contains("hunter2"));
}

#[rstest]
#[case("hunter2 b", "x", "pair number 1 cannot be sent: its name")]
#[case(
    "Authorization: Basic hunter2",
    "=",
    "pair number 1 cannot be sent: its name"
)]
#[case("", "x", "its name")]
#[case("X-Key", "hun\nter2", "`X-Key` cannot be sent: its value")]
fn invalid_header_is_an_error(#[case] name: &str, #[case] value: &str, #[case] expected: &str) {
    let error = PrometheusSource::new(PrometheusSettings {
        headers: vec![(name.into(), value.into())],
        ..settings("http://prom")
    })
    .unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Setup);
    let message = error.to_string();
    assert!(message.starts_with("PROMETHEUS_HEADERS: "), "{message}");
    assert!(message.contains(expected), "{message}");
    assert!(!message.contains("ter2"), "{message}");
}

#[test]
fn empty_queries_and_windows_are_errors() {
    let empty = |load: Option<&str>, freshness: Option<&str>, window| {
        PrometheusSource::new(PrometheusSettings {
            load_query: load.map(Into::into),
            freshness_query: freshness.map(Into::into),
            window,
            ..settings("http://prom")
        })
        .unwrap_err()
        .to_string()
    };
    let minute = Duration::from_secs(60);
    assert!(empty(Some(" "), None, minute).starts_with("LOAD_QUERY is empty"));
    assert!(empty(None, Some(""), minute).starts_with("FRESHNESS_QUERY is empty"));
    assert!(empty(None, None, Duration::ZERO).starts_with("METRICS_TIME_WINDOW"));
}
