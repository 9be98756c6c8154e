//! Connecting to the API server.

use std::time::Duration;

use rebalancer_adapter::install_crypto_provider;

use crate::connection::Connection;
use crate::error::K8sError;
use crate::kubeconfig;

/// The API server to connect to, and the time limit of its requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectSettings {
    /// The context of the kubeconfig. `None` is the current context, or the pod's service account
    /// if there is no kubeconfig.
    pub context: Option<String>,
    /// The longest duration of one request, from connecting to the end of the response.
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

/// Creates a client from the kubeconfig (`KUBECONFIG` or the default path), or from the pod's
/// service account if there is no kubeconfig. Runs the credential plugin of the kubeconfig. The
/// `proxy-url` of the kubeconfig, or the proxy of the environment, applies to every request.
///
/// Must be called within a tokio runtime.
///
/// # Errors
/// [`K8sError`] if there is no usable configuration: the context does not exist (the error lists
/// the contexts that exist), the kubeconfig is unreadable, or a plugin fails.
pub async fn connect(settings: &ConnectSettings) -> Result<Connection, K8sError> {
    install_crypto_provider();
    let (config, proxy) = kubeconfig::load(settings.context.as_deref()).await?;
    Connection::of(config, proxy, settings.request_timeout)
}
