//! The client of the API server, and what its responses taught.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderValue, header};
use jiff::Timestamp;
use kube::Config;
use kube::config::AuthInfo;
use rebalancer_adapter::{Proxy, Secrets, USER_AGENT, connect_timeout};
use secrecy::ExposeSecret as _;

use crate::client_error::auth_detail;
use crate::clock::ServerClock;
use crate::error::K8sError;

/// A client of one API server. Creating it sends no request.
///
/// Clones share the client and the clock of the server.
#[derive(Clone)]
pub struct Connection {
    /// The API server's address and the proxy to it, for messages.
    pub server: String,
    /// The longest duration of one request, from connecting to the end of the response.
    pub request_timeout: Duration,
    shared: Arc<Shared>,
}

struct Shared {
    client: Mutex<kube::Client>,
    /// The client's configuration, if a new client of it reads the credentials again.
    renewable: Option<Config>,
    proxy: Option<Proxy>,
    /// The namespace of the service account, or of the context of the kubeconfig.
    default_namespace: String,
    clock: ServerClock,
    /// Every secret sent so far. Tokens are replaced, and a response may be to an earlier one.
    secrets: Mutex<Secrets>,
}

impl Connection {
    /// Wraps an existing client, whose credentials are not renewed here.
    ///
    /// The client must not retry by its own: responses 429 and 503 must reach the adapter, see
    /// [`Config::default_retry`](kube::Config::default_retry).
    #[must_use]
    pub fn new(client: kube::Client, server: impl Into<String>, request_timeout: Duration) -> Self {
        Self {
            server: server.into(),
            request_timeout,
            shared: Arc::new(Shared {
                client: Mutex::new(client),
                renewable: None,
                proxy: None,
                default_namespace: "default".to_owned(),
                clock: ServerClock::default(),
                secrets: Mutex::new(Secrets::hiding_any_bearer_token()),
            }),
        }
    }

    /// Creates a client of the configuration.
    pub(crate) fn of(
        mut config: Config,
        proxy: Option<Proxy>,
        request_timeout: Duration,
    ) -> Result<Self, K8sError> {
        config.connect_timeout = Some(connect_timeout(request_timeout));
        config.read_timeout = Some(request_timeout);
        config.write_timeout = Some(request_timeout);
        // Otherwise the idle time of a kept connection counts as waiting for a response.
        config.reset_reader_on_write = true;
        // kube would retry 429, 503 and 504. A budget's 429 must reach the adapter, and a request
        // that could evict must not be sent twice.
        config.default_retry = false;
        let user_agent = HeaderValue::from_static(USER_AGENT);
        config.headers.push((header::USER_AGENT, user_agent));
        let address = address(&config.cluster_url);
        let server = match &proxy {
            None => address,
            Some(proxy) => format!("{address} through the proxy {proxy}"),
        };
        let renewable = come_from_files(&config.auth_info).then(|| config.clone());
        let mut secrets = Secrets::hiding_any_bearer_token();
        let default_namespace = config.default_namespace.clone();
        let client = client(config, proxy.as_ref(), &server, &mut secrets)?;
        tracing::debug!(server, "Kubernetes client created");
        Ok(Self {
            server,
            request_timeout,
            shared: Arc::new(Shared {
                client: Mutex::new(client),
                renewable,
                proxy,
                default_namespace,
                clock: ServerClock::default(),
                secrets: Mutex::new(secrets),
            }),
        })
    }

    /// The current time by the clock of the API server, which is known from its responses. Before
    /// the first response, the current time by the local clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// The given namespace; without one, that of the service account, or of the context of the
    /// kubeconfig.
    #[must_use]
    pub fn namespace_or_default<'a>(&'a self, given: Option<&'a str>) -> &'a str {
        given.unwrap_or(&self.shared.default_namespace)
    }

    pub(crate) fn clock(&self) -> &ServerClock {
        &self.shared.clock
    }

    /// The secrets that a response must be shown without.
    pub(crate) fn secrets(&self) -> MutexGuard<'_, Secrets> {
        self.shared
            .secrets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn client(&self) -> kube::Client {
        self.lock().clone()
    }

    /// Reads credentials that come from files again, after a 401. Returns whether there are any.
    ///
    /// The client itself reads a token at most once a minute, and a certificate only once.
    pub(crate) fn renew_credentials(&self) -> bool {
        let Some(config) = self.shared.renewable.clone() else {
            return false;
        };
        let proxy = self.shared.proxy.as_ref();
        match client(config, proxy, &self.server, &mut self.secrets()) {
            Ok(renewed) => {
                *self.lock() = renewed;
                true
            }
            Err(error) => {
                tracing::debug!(%error, "could not read the credentials again");
                false
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, kube::Client> {
        self.shared
            .client
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The longest duration of connecting. It is shorter than that of a request, so that a failed
    /// connection is reported as a request that was not sent.
    pub(crate) fn connect_timeout(&self) -> Duration {
        connect_timeout(self.request_timeout)
    }
}

/// Whether the credentials are in files, which may be replaced while we run.
///
/// Not those of a plugin: it may prompt the user, and kube runs it again when its token expires.
fn come_from_files(auth: &AuthInfo) -> bool {
    let token = auth.token_file.is_some() && auth.token.is_none();
    let certificate = auth.client_certificate.is_some() && auth.client_certificate_data.is_none();
    (token || certificate) && auth.exec.is_none()
}

fn client(
    mut config: Config,
    proxy: Option<&Proxy>,
    server: &str,
    secrets: &mut Secrets,
) -> Result<kube::Client, K8sError> {
    // kube would send the line break at the end of the file as part of the token. If the file
    // cannot be read, kube reports that.
    let auth = &mut config.auth_info;
    if let (Some(path), None) = (&auth.token_file, &auth.token)
        && let Ok(token) = std::fs::read_to_string(path)
    {
        auth.token = Some(token.trim().to_owned().into());
        auth.token_file = None;
    }
    for secret in [&auth.token, &auth.password].into_iter().flatten() {
        secrets.add(secret.expose_secret());
    }
    if let Some(proxy) = proxy {
        proxy.add_secrets(secrets);
    }
    crate::client::client(config, proxy).map_err(|error| K8sError::Client {
        server: server.to_owned(),
        detail: if let kube::Error::Auth(auth) = &error {
            auth_detail(auth)
        } else {
            error.to_string()
        },
    })
}

/// The address of a server, without user name, password and parameters.
pub(crate) fn address(url: &http::Uri) -> String {
    let scheme = url.scheme_str().unwrap_or("https");
    let host = url.host().unwrap_or_default();
    match url.port_u16() {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;
    use std::path::PathBuf;

    use super::*;
    use crate::api::Api;
    use crate::attempt::Attempt;
    use http::Request;
    use rstest::rstest;
    use serde_json::Value;

    /// The headers of a request that the tests check.
    #[derive(Debug, PartialEq)]
    struct Received {
        token: String,
        user_agent: String,
    }

    /// Returns the tokens of all requests, in order.
    fn tokens(answers: std::thread::JoinHandle<Vec<Received>>) -> Vec<String> {
        let received = answers.join().unwrap();
        received.into_iter().map(|request| request.token).collect()
    }

    /// A server that accepts one token. It responds to the given number of requests, and returns
    /// their headers.
    fn server(
        good: &'static str,
        requests: usize,
    ) -> (Config, std::thread::JoinHandle<Vec<Received>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answers = std::thread::spawn(move || {
            let mut all = Vec::new();
            for _ in 0..requests {
                let (mut stream, _) = listener.accept().unwrap();
                let head: Vec<String> = BufReader::new(&stream)
                    .lines()
                    .map(Result::unwrap)
                    .take_while(|line| !line.is_empty())
                    .collect();
                let header = |start: &str| {
                    let value = head.iter().find_map(|line| line.strip_prefix(start));
                    value.unwrap_or_default().to_owned()
                };
                let token = header("authorization: Bearer ");
                let status = if token == good {
                    "200 OK"
                } else {
                    "401 Unauthorized"
                };
                write!(
                    stream,
                    "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 14\r\n\r\n{{\"kind\":\"Pod\"}}"
                )
                .unwrap();
                all.push(Received {
                    token,
                    user_agent: header("user-agent: "),
                });
            }
            all
        });
        // kube sets up TLS even if the address does not need it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        (Config::new(url.parse().unwrap()), answers)
    }

    /// Creates a file with a token for one test.
    fn token_file(test: &str, token: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("rebalancer-{test}-{}", std::process::id()));
        std::fs::write(&path, token).unwrap();
        path
    }

    fn api(config: Config) -> Api {
        Api::new(Connection::of(config, None, Duration::from_secs(20)).unwrap())
    }

    #[rstest]
    #[case::read(false)]
    #[case::eviction(true)]
    #[tokio::test]
    async fn reads_a_replaced_token_again(#[case] write: bool) {
        let (mut config, answers) = server("new", 3);
        let path = token_file(if write { "replaced-w" } else { "replaced-r" }, "old");
        config.auth_info.token_file = Some(path.display().to_string());
        let api = api(config);
        std::fs::write(&path, "new").unwrap();
        let attempt = Attempt::on("get", "", "pods", "a", "b");
        for _ in 0..2 {
            if write {
                let request = Request::post("/evict").body(b"{}".to_vec());
                assert!(api.write(&attempt, request).await.unwrap().is_none());
            } else {
                let _: Value = api.get(&attempt, "/pod", None).await.unwrap();
            }
        }
        // The second request uses the new token at once.
        assert_eq!(tokens(answers), ["old", "new", "new"]);
        std::fs::remove_file(path).unwrap();
    }

    #[tokio::test]
    async fn retries_once_with_a_token_that_stays_invalid() {
        let (mut config, answers) = server("good", 2);
        let path = token_file("bad", "bad");
        config.auth_info.token_file = Some(path.display().to_string());
        let attempt = Attempt::on("get", "", "pods", "a", "b");
        let error = api(config)
            .get::<Value>(&attempt, "/pod", None)
            .await
            .unwrap_err();
        assert!(matches!(error, K8sError::Unauthorized { .. }), "{error}");
        assert_eq!(tokens(answers), ["bad", "bad"]);
        std::fs::remove_file(path).unwrap();
    }

    #[tokio::test]
    async fn does_not_retry_with_a_token_that_is_not_from_a_file() {
        let (mut config, answers) = server("good", 1);
        config.auth_info.token = Some("bad".to_owned().into());
        let attempt = Attempt::on("get", "", "pods", "a", "b");
        let error = api(config)
            .get::<Value>(&attempt, "/pod", None)
            .await
            .unwrap_err();
        assert!(matches!(error, K8sError::Unauthorized { .. }), "{error}");
        assert_eq!(tokens(answers), ["bad"]);
    }

    /// Audit logs identify our requests by the user agent.
    #[tokio::test]
    async fn every_request_has_the_user_agent() {
        let (mut config, answers) = server("new", 3);
        let path = token_file("named", "old");
        config.auth_info.token_file = Some(path.display().to_string());
        let api = api(config);
        std::fs::write(&path, "new").unwrap();
        let attempt = Attempt::on("get", "", "pods", "a", "b");
        // The second client, created with the new token, must send it too.
        for _ in 0..2 {
            let _: Value = api.get(&attempt, "/pod", None).await.unwrap();
        }
        let name = concat!("rebalancer/", env!("CARGO_PKG_VERSION"));
        for request in answers.join().unwrap() {
            assert_eq!(request.user_agent, name);
        }
        std::fs::remove_file(path).unwrap();
    }

    #[rstest]
    #[case(
        "https://user:pass@k8s.example:6443/base?token=x",
        "https://k8s.example:6443"
    )]
    #[case("https://[::1]:6443", "https://[::1]:6443")]
    #[case("http://localhost", "http://localhost")]
    fn address_shows_no_secret(#[case] url: &str, #[case] shown: &str) {
        assert_eq!(address(&url.parse().unwrap()), shown);
    }
}
