//! Pushes metrics to a Pushgateway, or to a server with VictoriaMetrics' import API.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Method, Url};

use crate::authentication::{Authentication, FileSettings};
use crate::endpoint::without_secrets;
use crate::outbound::{Content, DestinationSettings, Outbound, SendError, parse};

/// The end of the path of VictoriaMetrics' import API.
const IMPORT_PATH: &str = "/api/v1/import/prometheus";
/// The path of the Pushgateway's groups.
const GROUP_PATH: &str = "/metrics/job/";
/// The Prometheus text format.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

static SETTINGS: DestinationSettings = DestinationSettings {
    url: "METRICS_PUSH_URL",
    example: "the base URL of a Pushgateway, such as http://pushgateway:9091, or the whole URL of an \
              import API, such as http://victoria-metrics:8428/api/v1/import/prometheus",
    ca_file: "METRICS_PUSH_CA_FILE",
    timeout: "METRICS_PUSH_TIMEOUT",
    instead_of_user: "set METRICS_PUSH_USERNAME and METRICS_PUSH_PASSWORD_FILE instead",
    unauthorized: "check METRICS_PUSH_USERNAME and METRICS_PUSH_PASSWORD_FILE, or \
                   METRICS_PUSH_BEARER_TOKEN_FILE",
    has_secret_path: false,
};
const FILE_SETTINGS: FileSettings = FileSettings {
    bearer_token_file: "METRICS_PUSH_BEARER_TOKEN_FILE",
    password_file: "METRICS_PUSH_PASSWORD_FILE",
};

/// The settings of a [`MetricsPush`]. `Debug` shows no parameters of the URL.
#[derive(Clone)]
pub struct PushSettings {
    /// `METRICS_PUSH_URL`: the base URL of a Pushgateway, or the whole URL of an import API.
    pub url: String,
    /// The authentication of requests.
    pub authentication: Authentication,
    /// `METRICS_PUSH_CA_FILE`: PEM certificates to trust in addition to the system's.
    pub ca_file: Option<PathBuf>,
    /// `METRICS_PUSH_TIMEOUT`: the limit for one request.
    pub timeout: Duration,
}

impl fmt::Debug for PushSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            url,
            authentication,
            ca_file,
            timeout,
        } = self;
        f.debug_struct("PushSettings")
            .field("url", &without_secrets(url))
            .field("authentication", authentication)
            .field("ca_file", ca_file)
            .field("timeout", timeout)
            .finish()
    }
}

/// The kind of server that metrics are pushed to, by the path of its URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushTarget {
    /// A Pushgateway, which keeps the last push of each group.
    Gateway,
    /// An import API, which stores each push as samples of the current time.
    Import,
}

/// Checks that metrics can be pushed to a URL. Sends nothing.
///
/// # Errors
/// If the URL does not parse, is neither `http` nor `https`, contains credentials or a fragment, or
/// has the path of a group of a Pushgateway.
pub fn check_push_url(url: &str) -> Result<(), SendError> {
    parse_push_url(url).map(drop)
}

fn parse_push_url(text: &str) -> Result<Url, SendError> {
    let url = parse(text, &SETTINGS)?;
    if url.path().contains(GROUP_PATH) {
        return Err(SendError::BadUrl {
            settings: &SETTINGS,
            url: without_secrets(text.trim()),
            reason: "the program adds the path of the group itself".to_owned(),
        });
    }
    Ok(url)
}

/// Pushes metrics to one server.
pub struct MetricsPush {
    outbound: Outbound,
    url: Url,
    authentication: Authentication,
}

impl fmt::Debug for MetricsPush {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsPush")
            .field("url", &without_secrets(self.url.as_str()))
            .field("authentication", &self.authentication)
            .field("outbound", &self.outbound)
            .finish()
    }
}

impl MetricsPush {
    /// Checks the settings. Reads the CA file and sends nothing; the files of credentials are read
    /// for each request.
    ///
    /// # Errors
    /// If the settings cannot be used.
    pub fn new(settings: &PushSettings) -> Result<Self, SendError> {
        let url = parse_push_url(&settings.url)?;
        let ca_file = settings.ca_file.as_deref();
        Ok(Self {
            outbound: Outbound::new(&url, &SETTINGS, ca_file, settings.timeout)?,
            url,
            authentication: settings.authentication.clone(),
        })
    }

    /// The kind of server.
    #[must_use]
    pub fn target(&self) -> PushTarget {
        if self.url.path().trim_end_matches('/').ends_with(IMPORT_PATH) {
            PushTarget::Import
        } else {
            PushTarget::Gateway
        }
    }

    /// The URL without its parameters, for messages.
    #[must_use]
    pub fn destination(&self) -> String {
        without_secrets(self.url.as_str())
    }

    /// Sends metrics in the text format to an import API.
    ///
    /// # Errors
    /// If the server did not confirm that it has stored them.
    pub async fn import(&self, metrics: String) -> Result<(), SendError> {
        self.send(Method::POST, self.url.clone(), metrics).await
    }

    /// Replaces all metrics of a group of a Pushgateway.
    ///
    /// # Errors
    /// If the server did not confirm that it has stored them.
    pub async fn replace_group(
        &self,
        job: &str,
        labels: &[(&str, &str)],
        metrics: String,
    ) -> Result<(), SendError> {
        self.send(Method::PUT, self.group(job, labels), metrics)
            .await
    }

    /// Replaces the metrics of the same names in a group of a Pushgateway, and keeps the others.
    ///
    /// # Errors
    /// If the server did not confirm that it has stored them.
    pub async fn update_group(
        &self,
        job: &str,
        labels: &[(&str, &str)],
        metrics: String,
    ) -> Result<(), SendError> {
        self.send(Method::POST, self.group(job, labels), metrics)
            .await
    }

    /// The URL of a group.
    fn group(&self, job: &str, labels: &[(&str, &str)]) -> Url {
        let mut url = self.url.clone();
        // An `http` URL always has a path.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["metrics", "job", job]);
            for (label, value) in labels {
                path.extend([*label, *value]);
            }
        }
        url
    }

    async fn send(&self, method: Method, url: Url, metrics: String) -> Result<(), SendError> {
        let content = Content {
            media_type: TEXT_FORMAT,
            body: metrics,
            authorization: self.authentication.authorization_by(FILE_SETTINGS)?,
        };
        self.outbound.send(method, url, content).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Reply, Server};
    use rstest::rstest;

    const LABELS: [(&str, &str); 2] = [("workload_namespace", "shop"), ("workload_name", "a.b")];

    fn settings(url: &str) -> PushSettings {
        PushSettings {
            url: url.to_owned(),
            authentication: Authentication::None,
            ca_file: None,
            timeout: Duration::from_secs(5),
        }
    }

    fn push(url: &str) -> MetricsPush {
        MetricsPush::new(&settings(url)).unwrap()
    }

    #[rstest]
    #[case("http://gateway:9091", PushTarget::Gateway)]
    #[case("http://gateway:9091/push/", PushTarget::Gateway)]
    #[case("http://vm:8428/api/v1/import/prometheus", PushTarget::Import)]
    #[case(
        "http://vm:8480/insert/0/prometheus/api/v1/import/prometheus/?extra_label=a=b",
        PushTarget::Import
    )]
    fn kind_of_server_follows_from_the_path(#[case] url: &str, #[case] target: PushTarget) {
        assert_eq!(push(url).target(), target);
    }

    #[rstest]
    #[case(
        "http://gateway",
        "http://gateway/metrics/job/j/workload_namespace/shop/workload_name/a.b"
    )]
    #[case(
        "http://gateway/push/?a=1",
        "http://gateway/push/metrics/job/j/workload_namespace/shop/workload_name/a.b?a=1"
    )]
    fn group_is_a_path_below_the_base_url(#[case] url: &str, #[case] group: &str) {
        assert_eq!(push(url).group("j", &LABELS).as_str(), group);
    }

    #[rstest]
    #[case("gateway:9091", "it must begin with http:// or https://")]
    #[case("ftp://gateway", "it must begin with http:// or https://")]
    #[case("http://gateway/#a", "it must not contain `#`")]
    #[case(
        "http://gateway/metrics/job/a",
        "the program adds the path of the group"
    )]
    #[case(
        "http://me:hunter2@gateway",
        "set METRICS_PUSH_USERNAME and METRICS_PUSH_PASSWORD_FILE"
    )]
    fn unusable_url_is_refused_without_its_secrets(#[case] url: &str, #[case] problem: &str) {
        let message = check_push_url(url).unwrap_err().to_string();
        assert!(message.contains(problem), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }

    #[tokio::test]
    async fn metrics_are_sent_with_method_path_and_body() {
        let server = Server::always(Reply::status("202 Accepted", "")).await;
        let push = push(&server.url);
        push.replace_group("j", &LABELS, "a 1\n".into())
            .await
            .unwrap();
        push.update_group("k", &[], "b 1\n".into()).await.unwrap();
        push.import("c 1\n".into()).await.unwrap();
        let requests = server.requests();
        let starts = [
            "PUT /metrics/job/j/workload_namespace/shop/workload_name/a.b HTTP/1.1",
            "POST /metrics/job/k HTTP/1.1",
            "POST / HTTP/1.1",
        ];
        for ((request, start), body) in requests.iter().zip(starts).zip(["a 1", "b 1", "c 1"]) {
            assert!(request.starts_with(start), "{request}");
            assert!(request.contains(body), "{request}");
        }
        assert_eq!(requests.len(), 3);
    }

    #[rstest]
    #[case("401 Unauthorized", "HTTP 401; check METRICS_PUSH_USERNAME")]
    #[case(
        "405 Method Not Allowed",
        "HTTP 405; check the path of METRICS_PUSH_URL"
    )]
    #[case("302 Found", "HTTP 302; redirects are not followed")]
    #[case("500 Internal Server Error", "HTTP 500: you sent")]
    #[tokio::test]
    async fn refusal_is_explained_without_the_password(#[case] status: &str, #[case] says: &str) {
        let server = Server::always(Reply::status(status, "you sent hunter2")).await;
        let password = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(password.path(), "hunter2\n").unwrap();
        let push = MetricsPush::new(&PushSettings {
            authentication: Authentication::Basic {
                username: "me".into(),
                password_file: password.path().to_owned(),
            },
            ..settings(&server.url)
        });
        let error = push.unwrap().import("a 1\n".into()).await.unwrap_err();
        let message = error.to_string();
        assert!(message.contains(says), "{message}");
        assert!(message.contains("you sent [hidden]"), "{message}");
        // `me:hunter2` in base 64.
        let sent = server.requests().concat();
        assert!(sent.contains("Basic bWU6aHVudGVyMg=="), "{sent}");
    }

    #[tokio::test]
    async fn missing_password_file_is_named() {
        let push = MetricsPush::new(&PushSettings {
            authentication: Authentication::BearerTokenFile("/nowhere/token".into()),
            ..settings("http://127.0.0.1:9")
        });
        let error = push.unwrap().import(String::new()).await.unwrap_err();
        let message = error.to_string();
        let says = "METRICS_PUSH_BEARER_TOKEN_FILE: cannot read /nowhere/token";
        assert!(message.contains(says), "{message}");
    }

    #[rstest]
    #[case(Reply::Stall, "no response within 300ms; METRICS_PUSH_TIMEOUT")]
    #[case(Reply::Close, "the connection was closed")]
    #[tokio::test]
    async fn missing_response_is_explained(#[case] reply: Reply, #[case] says: &str) {
        let server = Server::always(reply).await;
        let push = MetricsPush::new(&PushSettings {
            timeout: Duration::from_millis(300),
            ..settings(&format!("{}?token=hunter2", server.url))
        });
        let push = push.unwrap();
        assert!(!format!("{push:?}").contains("hunter2"));
        let message = push.import(String::new()).await.unwrap_err().to_string();
        assert!(message.contains(says), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }

    #[tokio::test]
    async fn unreachable_server_is_explained() {
        let message = push("http://127.0.0.1:9").import(String::new()).await;
        let message = message.unwrap_err().to_string();
        let says = "POST http://127.0.0.1:9/: no connection";
        assert!(message.starts_with(says), "{message}");
        assert!(message.contains("check METRICS_PUSH_URL"), "{message}");
    }
}
