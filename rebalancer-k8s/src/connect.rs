//! How the API server is found, and the client that talks to it.

use std::time::Duration;

use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};

use crate::api::auth_detail;
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
#[derive(Clone)]
pub struct Connection {
    /// The client.
    pub client: kube::Client,
    /// The API server's address, for messages.
    pub server: String,
    /// How long any one request may take.
    pub request_timeout: Duration,
}

impl Connection {
    /// The longest wait for a connection: so much shorter than the whole request that whoever
    /// waits always learns that nothing was sent.
    pub(crate) fn connect_timeout(&self) -> Duration {
        connect_timeout(self.request_timeout)
    }
}

fn connect_timeout(request_timeout: Duration) -> Duration {
    (request_timeout / 2).min(Duration::from_secs(10))
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
    // rustls wants one provider for the whole process; who installed one before keeps it.
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        let _lost_a_race = rustls::crypto::ring::default_provider().install_default();
    }
    let mut config = find_config(settings.context.as_deref()).await?;
    config.connect_timeout = Some(connect_timeout(settings.request_timeout));
    config.read_timeout = Some(settings.request_timeout);
    config.write_timeout = Some(settings.request_timeout);
    // Otherwise the time that a kept connection was idle counts as waiting for an answer.
    config.reset_reader_on_write = true;
    // kube would send 429, 503 and 504 again by itself: a budget's 429 must reach us, and nothing
    // may be sent again that could evict twice.
    config.default_retry = false;
    let server = address(&config.cluster_url);
    let client = kube::Client::try_from(config).map_err(|error| K8sError::Client {
        server: server.clone(),
        detail: if let kube::Error::Auth(auth) = &error {
            auth_detail(auth)
        } else {
            error.to_string()
        },
    })?;
    tracing::debug!(server, "Kubernetes client ready");
    Ok(Connection {
        client,
        server,
        request_timeout: settings.request_timeout,
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
fn address(url: &http::Uri) -> String {
    let scheme = url.scheme_str().unwrap_or("https");
    let host = url.host().unwrap_or_default();
    match url.port_u16() {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

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
