//! Posts JSON documents to a webhook. The client is that of the metrics server, so the rules of
//! TLS, proxies, redirects and secrets are the same.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use rebalancer_adapter::read_setting_text;
use reqwest::{Method, Url};

use crate::outbound::{Content, DestinationSettings, Outbound, SendError, parse};

/// The setting of the file with the URL.
const URL_FILE: &str = "NOTIFY_URL_FILE";

static SETTINGS: DestinationSettings = settings("NOTIFY_URL");
static FILE_SETTINGS: DestinationSettings = settings(URL_FILE);

/// The settings of a webhook whose URL is that of the setting `url`.
const fn settings(url: &'static str) -> DestinationSettings {
    DestinationSettings {
        url,
        example: "the whole URL of a webhook, such as https://hooks.example.com/services/TOKEN",
        ca_file: "NOTIFY_CA_FILE",
        timeout: "NOTIFY_TIMEOUT",
        instead_of_user: "the token of a webhook is in its path or in a parameter",
        unauthorized: "check that the webhook exists and that its whole URL is set",
        has_secret_path: true,
    }
}

/// The URL of a webhook, which is a secret: everyone who has it can post. `Debug` shows only the
/// host.
#[derive(Clone, PartialEq, Eq)]
pub enum WebhookUrl {
    /// The URL (`NOTIFY_URL`).
    Text(String),
    /// A file that contains it (`NOTIFY_URL_FILE`).
    File(PathBuf),
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(url) => f.write_str(&SETTINGS.shown(url)),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// A webhook and the limits of its requests.
#[derive(Debug, Clone)]
pub struct WebhookSettings {
    /// The URL.
    pub url: WebhookUrl,
    /// `NOTIFY_CA_FILE`: PEM certificates to trust in addition to the system's.
    pub ca_file: Option<PathBuf>,
    /// `NOTIFY_TIMEOUT`: the limit for one request.
    pub timeout: Duration,
}

/// Checks that documents can be posted to a URL. Sends nothing.
///
/// # Errors
/// If the URL does not parse, is neither `http` nor `https`, or contains credentials or a fragment.
pub fn check_webhook_url(url: &str) -> Result<(), SendError> {
    parse(url, &SETTINGS).map(drop)
}

/// Posts documents to one webhook.
#[derive(Debug)]
pub struct Webhook {
    outbound: Outbound,
    url: Url,
}

impl Webhook {
    /// Checks the settings. Reads the file of the URL and the CA file, and sends nothing.
    ///
    /// # Errors
    /// If the settings cannot be used.
    pub fn new(settings: &WebhookSettings) -> Result<Self, SendError> {
        let url = match &settings.url {
            WebhookUrl::Text(url) => parse(url, &SETTINGS)?,
            WebhookUrl::File(path) => parse(&read_setting_text(URL_FILE, path)?, &FILE_SETTINGS)?,
        };
        let ca_file = settings.ca_file.as_deref();
        Ok(Self {
            outbound: Outbound::new(&url, &SETTINGS, ca_file, settings.timeout)?,
            url,
        })
    }

    /// Posts a JSON document.
    ///
    /// # Errors
    /// If the server did not answer with a status of success.
    pub async fn post(&self, document: String) -> Result<(), SendError> {
        let content = Content {
            media_type: "application/json",
            body: document,
            authorization: None,
        };
        self.outbound
            .send(Method::POST, self.url.clone(), content)
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Reply, Server};
    use rstest::rstest;

    async fn post(url: WebhookUrl) -> Result<(), SendError> {
        let settings = WebhookSettings {
            url,
            ca_file: None,
            timeout: Duration::from_secs(5),
        };
        Webhook::new(&settings)?.post("{}".into()).await
    }

    #[tokio::test]
    async fn document_is_posted_to_the_whole_url() {
        let server = Server::always(Reply::status("200 OK", "ok")).await;
        let url = format!("{}/services/T0/B0?token=a", server.url);
        post(WebhookUrl::Text(url)).await.unwrap();
        let requests = server.requests();
        assert_eq!(requests.len(), 1);
        assert!(
            requests[0].starts_with("POST /services/T0/B0?token=a "),
            "{requests:?}"
        );
        assert!(requests[0].contains("application/json"), "{requests:?}");
    }

    #[tokio::test]
    async fn url_may_be_in_a_file() {
        let server = Server::always(Reply::status("204 No Content", "")).await;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("url");
        let file = || post(WebhookUrl::File(path.clone()));
        let missing = file().await.unwrap_err().to_string();
        assert!(
            missing.starts_with("NOTIFY_URL_FILE: cannot read "),
            "{missing}"
        );
        std::fs::write(&path, "secret\n").unwrap();
        let invalid = file().await.unwrap_err().to_string();
        assert!(
            invalid.starts_with("NOTIFY_URL_FILE `…` cannot be used"),
            "{invalid}"
        );
        std::fs::write(&path, format!("{}/token\n", server.url)).unwrap();
        file().await.unwrap();
        let requests = server.requests();
        assert!(requests[0].starts_with("POST /token "), "{requests:?}");
    }

    /// The settings are checked before anything is sent.
    #[test]
    fn ca_file_is_checked_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        std::fs::write(&path, "no certificate").unwrap();
        for url in ["http://127.0.0.1:1/a", "https://127.0.0.1:1/a"] {
            let settings = WebhookSettings {
                url: WebhookUrl::Text(url.to_owned()),
                ca_file: Some(path.clone()),
                timeout: Duration::from_secs(5),
            };
            let error = Webhook::new(&settings).unwrap_err().to_string();
            assert!(error.starts_with("NOTIFY_CA_FILE: "), "{error}");
        }
    }

    #[rstest]
    #[case(
        "403 Forbidden",
        "hunter2secret",
        "HTTP 403; check that the webhook exists"
    )]
    #[case(
        "404 Not Found",
        "no_service",
        "HTTP 404; check the path of NOTIFY_URL: "
    )]
    #[case("302 Found", "", "HTTP 302; redirects are not followed")]
    #[tokio::test]
    async fn refusal_shows_no_part_of_the_path(
        #[case] status: &str,
        #[case] body: &str,
        #[case] says: &str,
    ) {
        let server = Server::always(Reply::status(status, &format!("/hunter2secret {body}"))).await;
        let url = format!("{}/hunter2secret", server.url);
        let message = post(WebhookUrl::Text(url)).await.unwrap_err().to_string();
        assert!(
            message.contains(&format!("{}/…: the server answered", server.url)),
            "{message}"
        );
        assert!(message.contains(says), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }

    #[rstest]
    #[case("hooks.example.com/secret", "NOTIFY_URL `…` cannot be used")]
    #[case(
        "ftp://hooks.example.com/secret",
        "NOTIFY_URL `ftp://hooks.example.com/…` cannot be used"
    )]
    #[case(
        "https://me:secret@hooks.example.com",
        "NOTIFY_URL contains a user name or a password"
    )]
    fn invalid_url_is_explained_without_its_secret(#[case] url: &str, #[case] says: &str) {
        let message = check_webhook_url(url).unwrap_err().to_string();
        assert!(message.starts_with(says), "{message}");
        assert!(!message.contains("secret"), "{message}");
        let shown = format!("{:?}", WebhookUrl::Text(url.to_owned()));
        assert!(!shown.contains("secret"), "{shown}");
    }
}
