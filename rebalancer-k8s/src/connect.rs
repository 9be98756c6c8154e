//! How the API server is found, and the client that talks to it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use jiff::Timestamp;
use kube::Config;
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig, KubeconfigError};
use rebalancer_adapter::{Secrets, USER_AGENT, connect_timeout, install_crypto_provider};
use secrecy::ExposeSecret as _;

use crate::api::auth_detail;
use crate::clock::ServerClock;
use crate::error::K8sError;

/// Where the API server is, and how long it may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectSettings {
    /// The context of the kubeconfig; `None` is its current context, or the pod's service account
    /// where there is no kubeconfig.
    pub context: Option<String>,
    /// How long any one request may take, from its connection to the end of its answer.
    pub request_timeout: Duration,
}

impl Default for ConnectSettings {
    /// No context, 30 seconds.
    fn default() -> Self {
        Self {
            context: None,
            request_timeout: Duration::from_secs(30),
        }
    }
}

/// A client and what to know of it. Nothing was sent yet.
///
/// Its clones share the client and what was learnt of the server's clock.
#[derive(Clone)]
pub struct Connection {
    /// The API server's address, for messages.
    pub server: String,
    /// How long any one request may take.
    pub request_timeout: Duration,
    shared: Arc<Shared>,
}

struct Shared {
    client: Mutex<kube::Client>,
    /// What the client was made of, where making it again reads the credentials again.
    renewable: Option<Config>,
    clock: ServerClock,
    /// Every secret sent so far. Tokens are replaced, and a response may be to an earlier one.
    secrets: Mutex<Secrets>,
}

impl Connection {
    /// A connection through a client of one's own. Its credentials are as good as the client
    /// keeps them; its answers to 429 and 503 must reach us, see
    /// [`Config::default_retry`](kube::Config::default_retry).
    #[must_use]
    pub fn new(client: kube::Client, server: impl Into<String>, request_timeout: Duration) -> Self {
        Self::of(
            client,
            server.into(),
            request_timeout,
            None,
            Secrets::hiding_any_bearer_token(),
        )
    }

    fn of(
        client: kube::Client,
        server: String,
        request_timeout: Duration,
        renewable: Option<Config>,
        secrets: Secrets,
    ) -> Self {
        Self {
            server,
            request_timeout,
            shared: Arc::new(Shared {
                client: Mutex::new(client),
                renewable,
                clock: ServerClock::default(),
                secrets: Mutex::new(secrets),
            }),
        }
    }

    /// The present instant by the clock of the API server, as far as its answers told it; by the
    /// local one before the first answer.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
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

    /// After a 401: reads credentials that come from files again, and says whether there are such.
    ///
    /// The client itself reads a token again once a minute only, and a certificate never.
    pub(crate) fn renew_credentials(&self) -> bool {
        let Some(config) = self.shared.renewable.clone() else {
            return false;
        };
        match client(config, &self.server, &mut self.secrets()) {
            Ok(renewed) => {
                *self.lock() = renewed;
                true
            }
            Err(error) => {
                tracing::debug!(%error, "credentials not read again");
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

    /// The longest wait for a connection: so much shorter than the whole request that whoever
    /// waits always learns that nothing was sent.
    pub(crate) fn connect_timeout(&self) -> Duration {
        connect_timeout(self.request_timeout)
    }
}

/// Somebody else may replace these credentials while we use them. Not those of a plugin: it may
/// ask a person, and kube runs it again when its token ends.
fn come_from_files(auth: &AuthInfo) -> bool {
    let token = auth.token_file.is_some() && auth.token.is_none();
    let certificate = auth.client_certificate.is_some() && auth.client_certificate_data.is_none();
    (token || certificate) && auth.exec.is_none()
}

/// Makes a client from the kubeconfig (`KUBECONFIG`, else the default path), or where there is
/// none from the pod's service account. Credential plugins of the kubeconfig are run as it says.
///
/// Must be called within a tokio runtime.
///
/// # Errors
/// [`K8sError`] when there is no usable configuration: no such context (the ones that are there
/// are listed), an unreadable kubeconfig, a plugin that fails.
pub async fn connect(settings: &ConnectSettings) -> Result<Connection, K8sError> {
    install_crypto_provider();
    let config = find_config(settings.context.as_deref()).await?;
    connect_to(config, settings.request_timeout)
}

fn connect_to(mut config: Config, request_timeout: Duration) -> Result<Connection, K8sError> {
    config.connect_timeout = Some(connect_timeout(request_timeout));
    config.read_timeout = Some(request_timeout);
    config.write_timeout = Some(request_timeout);
    // Otherwise the time that a kept connection was idle counts as waiting for an answer.
    config.reset_reader_on_write = true;
    // kube would send 429, 503 and 504 again by itself: a budget's 429 must reach us, and nothing
    // may be sent again that could evict twice.
    config.default_retry = false;
    let name = HeaderValue::from_static(USER_AGENT);
    config.headers.push((http::header::USER_AGENT, name));
    let server = address(&config.cluster_url);
    let renewable = come_from_files(&config.auth_info).then(|| config.clone());
    let mut secrets = Secrets::hiding_any_bearer_token();
    let client = client(config, &server, &mut secrets)?;
    tracing::debug!(server, "Kubernetes client ready");
    Ok(Connection::of(
        client,
        server,
        request_timeout,
        renewable,
        secrets,
    ))
}

fn client(
    mut config: Config,
    server: &str,
    secrets: &mut Secrets,
) -> Result<kube::Client, K8sError> {
    // kube would take a line break at the end of the file for a part of the token. Where the file
    // cannot be read, kube says so.
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
    kube::Client::try_from(config).map_err(|error| K8sError::Client {
        server: server.to_owned(),
        detail: if let kube::Error::Auth(auth) = &error {
            auth_detail(auth)
        } else {
            error.to_string()
        },
    })
}

async fn find_config(context: Option<&str>) -> Result<Config, K8sError> {
    let kubeconfig = match Kubeconfig::read() {
        Ok(kubeconfig) => kubeconfig,
        // A kubeconfig that is not where it is by default is no mistake of anyone.
        Err(error) if context.is_none() && is_absent(&error) => return in_cluster(),
        Err(error) => return Err(unusable(error)),
    };
    let known = || -> Vec<String> {
        kubeconfig
            .contexts
            .iter()
            .map(|context| context.name.clone())
            .collect()
    };
    match context {
        Some(context)
            if !kubeconfig
                .contexts
                .iter()
                .any(|known| known.name == context) =>
        {
            return Err(K8sError::NoSuchContext {
                context: context.to_owned(),
                known: known(),
            });
        }
        None if kubeconfig
            .current_context
            .as_deref()
            .unwrap_or_default()
            .is_empty() =>
        {
            return Err(K8sError::NoCurrentContext { known: known() });
        }
        Some(_) | None => {}
    }
    let options = KubeConfigOptions {
        context: context.map(str::to_owned),
        ..KubeConfigOptions::default()
    };
    Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(unusable)
}

/// There is no kubeconfig, and nobody said that there is one.
fn is_absent(error: &KubeconfigError) -> bool {
    let named = std::env::var_os("KUBECONFIG").is_some_and(|paths| !paths.is_empty());
    if let KubeconfigError::ReadConfig(io, _) = error {
        return !named && io.kind() == std::io::ErrorKind::NotFound;
    }
    matches!(error, KubeconfigError::FindPath)
}

fn in_cluster() -> Result<Config, K8sError> {
    Config::incluster().map_err(|error| K8sError::NoConfiguration {
        kubeconfig: origin(),
        in_cluster: error.to_string(),
    })
}

fn unusable(error: KubeconfigError) -> K8sError {
    // The lines after the first quote the file, in which there may be tokens.
    let text = error.to_string();
    K8sError::Kubeconfig {
        origin: origin(),
        detail: text.lines().next().unwrap_or_default().to_owned(),
    }
}

fn origin() -> String {
    match std::env::var("KUBECONFIG") {
        Ok(paths) if !paths.is_empty() => format!("{paths} (KUBECONFIG)"),
        _ => "~/.kube/config".to_owned(),
    }
}

/// The address without what may be secret in it.
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
    use crate::error::Attempt;
    use http::Request;
    use rstest::rstest;

    /// What came with a request.
    #[derive(Debug, PartialEq)]
    struct Asked {
        token: String,
        user_agent: String,
    }

    /// The tokens of all requests, in their order.
    fn tokens(answers: std::thread::JoinHandle<Vec<Asked>>) -> Vec<String> {
        let asked = answers.join().unwrap();
        asked.into_iter().map(|asked| asked.token).collect()
    }

    /// A server that takes one token only; it answers as many requests as are expected, and tells
    /// what came with them.
    fn server(
        good: &'static str,
        requests: usize,
    ) -> (Config, std::thread::JoinHandle<Vec<Asked>>) {
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
                all.push(Asked {
                    token,
                    user_agent: header("user-agent: "),
                });
            }
            all
        });
        // kube sets up TLS even where the address needs none.
        let _ = rustls::crypto::ring::default_provider().install_default();
        (Config::new(url.parse().unwrap()), answers)
    }

    /// A file of its own for a test.
    fn token_file(test: &str, token: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("rebalancer-{test}-{}", std::process::id()));
        std::fs::write(&path, token).unwrap();
        path
    }

    fn api(config: Config) -> Api {
        Api::new(connect_to(config, Duration::from_secs(20)).unwrap())
    }

    #[rstest]
    #[case::read(false)]
    #[case::eviction(true)]
    #[tokio::test]
    async fn a_token_that_was_replaced_is_read_again(#[case] write: bool) {
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
                let _: serde_json::Value = api.get(&attempt, "/pod", None).await.unwrap();
            }
        }
        // From then on it is the new one at once.
        assert_eq!(tokens(answers), ["old", "new", "new"]);
        std::fs::remove_file(path).unwrap();
    }

    #[tokio::test]
    async fn a_token_that_stays_bad_is_tried_once_more_and_no_further() {
        let (mut config, answers) = server("good", 2);
        let path = token_file("bad", "bad");
        config.auth_info.token_file = Some(path.display().to_string());
        let attempt = Attempt::on("get", "", "pods", "a", "b");
        let error = api(config).get_bytes(&attempt, "/pod").await.unwrap_err();
        assert!(matches!(error, K8sError::Unauthorized { .. }), "{error}");
        assert_eq!(tokens(answers), ["bad", "bad"]);
        std::fs::remove_file(path).unwrap();
    }

    #[tokio::test]
    async fn a_token_from_no_file_is_as_it_is() {
        let (mut config, answers) = server("good", 1);
        config.auth_info.token = Some("bad".to_owned().into());
        let attempt = Attempt::on("get", "", "pods", "a", "b");
        let error = api(config).get_bytes(&attempt, "/pod").await.unwrap_err();
        assert!(matches!(error, K8sError::Unauthorized { .. }), "{error}");
        assert_eq!(tokens(answers), ["bad"]);
    }

    /// So that an audit log tells our calls from those of others.
    #[tokio::test]
    async fn every_request_names_the_program() {
        let (mut config, answers) = server("new", 3);
        let path = token_file("named", "old");
        config.auth_info.token_file = Some(path.display().to_string());
        let api = api(config);
        std::fs::write(&path, "new").unwrap();
        let attempt = Attempt::on("get", "", "pods", "a", "b");
        // The second client, with the token read again, does as the first one.
        for _ in 0..2 {
            let _: serde_json::Value = api.get(&attempt, "/pod", None).await.unwrap();
        }
        let name = concat!("rebalancer/", env!("CARGO_PKG_VERSION"));
        for asked in answers.join().unwrap() {
            assert_eq!(asked.user_agent, name);
        }
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_broken_kubeconfig_is_not_quoted() {
        let text = "users:\n- name: a\n  user: {token: s3cret\n";
        let error = unusable(Kubeconfig::from_yaml(text).unwrap_err()).to_string();
        assert!(error.contains("cannot be used: failed to parse"), "{error}");
        assert!(
            !error.contains("s3cret") && !error.contains('\n'),
            "{error}"
        );
    }

    #[rstest]
    #[case(
        "https://user:pass@k8s.example:6443/base?token=x",
        "https://k8s.example:6443"
    )]
    #[case("https://[::1]:6443", "https://[::1]:6443")]
    #[case("http://localhost", "http://localhost")]
    fn an_address_shows_no_secret(#[case] url: &str, #[case] shown: &str) {
        assert_eq!(address(&url.parse().unwrap()), shown);
    }

    #[rstest]
    #[case(30, 10_000)]
    #[case(1, 500)]
    fn a_connection_is_waited_for_shorter_than_an_answer(#[case] request: u64, #[case] ms: u64) {
        assert_eq!(
            connect_timeout(Duration::from_secs(request)),
            Duration::from_millis(ms)
        );
    }
}
