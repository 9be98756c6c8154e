//! Sends what the program publishes to the server that a setting names.

use std::error::Error as StdError;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use rebalancer_adapter::{
    InvalidProxy, Proxy, Secrets, SettingFileError, TlsSettingNames, TlsSetupError, excerpt,
    read_authorities,
};
use rebalancer_core::ports::{PortError, PortErrorKind};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Method, Url};
use tracing::debug;

use crate::endpoint::{add_secrets, without_secrets};
use crate::error::{Failure, shortened_root_cause};
use crate::http_client::{ClientError, ClientOptions, HttpClient};

/// The maximum length of a response that is read, in bytes.
const BODY_LIMIT: usize = 64 << 10;

/// The settings of a destination, for messages.
#[derive(Debug, PartialEq, Eq)]
pub struct DestinationSettings {
    /// The setting of the URL.
    pub(crate) url: &'static str,
    /// An example of the URL, as the end of a sentence.
    pub(crate) example: &'static str,
    /// The setting of the CA file.
    pub(crate) ca_file: &'static str,
    /// The setting of the timeout.
    pub(crate) timeout: &'static str,
    /// The remedy for a user name in the URL.
    pub(crate) instead_of_user: &'static str,
    /// The remedy for HTTP 401 and 403.
    pub(crate) unauthorized: &'static str,
    /// Whether the path of the URL is a secret, as those of chat services are.
    pub(crate) has_secret_path: bool,
}

impl DestinationSettings {
    /// The URL without its secrets, for messages.
    pub(crate) fn shown(&self, url: &str) -> String {
        if !self.has_secret_path {
            return without_secrets(url);
        }
        match Url::parse(url.trim()) {
            Ok(url) => match (url.host_str(), url.port()) {
                (Some(host), Some(port)) => format!("{}://{host}:{port}/…", url.scheme()),
                (Some(host), None) => format!("{}://{host}/…", url.scheme()),
                (None, _) => "…".to_owned(),
            },
            Err(_) => "…".to_owned(),
        }
    }
}

/// Why nothing was sent to a destination. No message contains a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The URL cannot be used.
    #[error("{} `{url}` cannot be used: {reason}; set {}", settings.url, settings.example)]
    BadUrl {
        /// The settings of the destination.
        settings: &'static DestinationSettings,
        /// The URL without its secrets.
        url: String,
        /// The reason.
        reason: String,
    },
    /// The URL contains a user name or a password, which would be written to logs.
    #[error("{} contains a user name or a password: {}", settings.url, settings.instead_of_user)]
    CredentialsInUrl {
        /// The settings of the destination.
        settings: &'static DestinationSettings,
    },
    /// A file of the settings cannot be read or used.
    #[error(transparent)]
    File(#[from] SettingFileError),
    /// The proxy of the environment cannot be used.
    #[error(transparent)]
    BadProxy(InvalidProxy),
    /// The HTTP client could not be set up, usually because the system has no CA certificates.
    #[error(
        "cannot set up the HTTP client for {}: {cause}; if the system has no CA certificates, set {}",
        settings.url,
        settings.ca_file
    )]
    ClientSetup {
        /// The settings of the destination.
        settings: &'static DestinationSettings,
        /// The root cause.
        cause: String,
        /// The error of the HTTP client or of its TLS library.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// There was no response.
    #[error("{method} {url}: {cause}")]
    NoResponse {
        /// The HTTP method.
        method: Method,
        /// The URL without its secrets.
        url: String,
        /// The failure and its remedy.
        cause: String,
        /// The HTTP client's error.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The server refused the content.
    #[error("{method} {url}: the server answered HTTP {status}{advice}: {body}")]
    Refused {
        /// The HTTP method.
        method: Method,
        /// The URL without its secrets.
        url: String,
        /// The status.
        status: u16,
        /// The remedy; may be empty.
        advice: String,
        /// The beginning of the response.
        body: String,
    },
}

impl From<SendError> for PortError {
    fn from(error: SendError) -> Self {
        Self::from_source(PortErrorKind::Setup, error)
    }
}

/// Parses the URL of a destination.
pub(crate) fn parse(text: &str, settings: &'static DestinationSettings) -> Result<Url, SendError> {
    let text = text.trim();
    let bad = |reason: &str| SendError::BadUrl {
        settings,
        url: settings.shown(text),
        reason: reason.to_owned(),
    };
    let url = Url::parse(text).map_err(|error| bad(&error.to_string()))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(SendError::CredentialsInUrl { settings });
    }
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad("it must begin with http:// or https://"));
    }
    if url.fragment().is_some() {
        return Err(bad("it must not contain `#`"));
    }
    Ok(url)
}

/// A client for one destination. It is set up when something is sent: most runs send nothing, and
/// loading the certificates of the system takes longer than the rest of such a run.
pub(crate) struct Outbound {
    client: OnceLock<Client>,
    url: Url,
    ca_file: Option<PathBuf>,
    settings: &'static DestinationSettings,
    /// The secrets of the URL and of the proxy.
    secrets: Secrets,
    timeout: Duration,
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound")
            .field("url", &self.settings.url)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// The content of a request.
pub(crate) struct Content {
    /// The media type.
    pub(crate) media_type: &'static str,
    /// The body.
    pub(crate) body: String,
    /// The value of the header `Authorization`.
    pub(crate) authorization: Option<HeaderValue>,
}

impl Outbound {
    /// Checks the settings, the CA file and the proxy of the environment. Sends nothing.
    pub(crate) fn new(
        url: &Url,
        settings: &'static DestinationSettings,
        ca_file: Option<&Path>,
        timeout: Duration,
    ) -> Result<Self, SendError> {
        let mut secrets = Secrets::default();
        add_secrets(url, &mut secrets);
        if settings.has_secret_path {
            for part in url.path_segments().into_iter().flatten() {
                secrets.add(part);
            }
            for (_, value) in url.query_pairs() {
                secrets.add(&value);
            }
        }
        let failed = |error| client_error(settings, url, error);
        let uri = url.as_str().parse().map_err(|_| failed(ClientError::Url))?;
        let proxy = Proxy::from_environment(&uri);
        if let Some(proxy) = proxy.map_err(|error| failed(ClientError::Proxy(error)))? {
            proxy.add_secrets(&mut secrets);
        }
        if let Some(path) = ca_file {
            read_authorities(settings.ca_file, path)
                .map_err(|error| failed(ClientError::Tls(error)))?;
        }
        Ok(Self {
            client: OnceLock::new(),
            url: url.clone(),
            ca_file: ca_file.map(Path::to_owned),
            settings,
            secrets,
            timeout,
        })
    }

    /// The client, which is set up when it is first needed.
    fn client(&self) -> Result<&Client, SendError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = HttpClient::new(ClientOptions {
            url: &self.url,
            timeout: self.timeout,
            names: TlsSettingNames {
                ca_file: self.settings.ca_file,
                // There are no settings for these, so no message names them.
                client_certificate_file: "",
                client_key_file: "",
            },
            ca_file: self.ca_file.as_deref(),
            client_certificate: None,
            headers: HeaderMap::new(),
        });
        let HttpClient { client, .. } =
            client.map_err(|error| client_error(self.settings, &self.url, error))?;
        Ok(self.client.get_or_init(|| client))
    }

    /// Sends a request, and expects a status of success.
    pub(crate) async fn send(
        &self,
        method: Method,
        url: Url,
        content: Content,
    ) -> Result<(), SendError> {
        let shown = self.settings.shown(url.as_str());
        debug!(%method, url = shown, bytes = content.body.len(), "sending");
        let mut secrets = self.secrets.clone();
        let mut request = self
            .client()?
            .request(method.clone(), url)
            .header(CONTENT_TYPE, content.media_type)
            .body(content.body);
        if let Some(value) = content.authorization {
            secrets.add_header(value.as_bytes());
            request = request.header(AUTHORIZATION, value);
        }
        let no_response = |error: reqwest::Error| {
            let error = error.without_url();
            SendError::NoResponse {
                method: method.clone(),
                url: shown.clone(),
                cause: self.describe(&error),
                source: Box::new(error),
            }
        };
        let mut response = request.send().await.map_err(no_response)?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let mut body = Vec::new();
        // The status says enough if the rest of the response does not arrive.
        while let Ok(Some(chunk)) = response.chunk().await
            && body.len() < BODY_LIMIT
        {
            body.extend_from_slice(&chunk);
        }
        Err(SendError::Refused {
            method,
            url: shown,
            status: status.as_u16(),
            advice: self.advice(status.as_u16()),
            body: excerpt(&body, &secrets),
        })
    }

    /// The failure and its remedy.
    fn describe(&self, error: &reqwest::Error) -> String {
        let DestinationSettings {
            url,
            ca_file,
            timeout,
            ..
        } = self.settings;
        match Failure::of(error) {
            Failure::Timeout => {
                format!(
                    "no response within {:?}; {timeout} sets the limit",
                    self.timeout
                )
            }
            Failure::Certificate(cause) => format!(
                "the server's certificate is not accepted: {cause}; add the certificate of its CA, or \
                 the server's own if it is self-signed, with {ca_file}"
            ),
            Failure::ClientCertificate(alert) => format!(
                "the server requires a client certificate, which is not supported: {alert:?}"
            ),
            Failure::TlsHandshake(cause) => format!(
                "the TLS handshake failed: {cause}; check that the server uses TLS on this port \
                 (https:// or http:// in {url})"
            ),
            Failure::Unreachable(cause) => {
                format!("no connection: {cause}; check {url} and that the server is up")
            }
            Failure::Interrupted(cause) => {
                format!("the connection was closed before the response was received: {cause}")
            }
        }
    }

    /// The remedy for a status; may be empty.
    fn advice(&self, status: u16) -> String {
        let DestinationSettings {
            url, unauthorized, ..
        } = self.settings;
        match status {
            401 | 403 => format!("; {unauthorized}"),
            404 | 405 => format!("; check the path of {url}"),
            300..=399 => format!("; redirects are not followed: set {url} to the final URL"),
            _ => String::new(),
        }
    }
}

fn client_error(
    settings: &'static DestinationSettings,
    url: &Url,
    error: ClientError,
) -> SendError {
    match error {
        ClientError::Url => SendError::BadUrl {
            settings,
            url: settings.shown(url.as_str()),
            reason: "it is too long or contains invalid characters".into(),
        },
        ClientError::Proxy(error) => SendError::BadProxy(error),
        ClientError::Tls(TlsSetupError::File(error)) => SendError::File(error),
        ClientError::Tls(TlsSetupError::Library(source)) => SendError::ClientSetup {
            settings,
            cause: shortened_root_cause(&*source),
            source,
        },
        ClientError::Library(error) => SendError::ClientSetup {
            settings,
            cause: shortened_root_cause(&error),
            source: Box::new(error),
        },
    }
}
