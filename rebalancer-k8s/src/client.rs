//! The HTTP client of the API server, with or without a proxy.

use http::{Request, Uri};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::rt::TokioExecutor;
use kube::Config;
use kube::client::{Body, ClientBuilder, ConfigExt as _};
use rebalancer_adapter::Proxy;
use tower::{BoxError, ServiceExt};

/// Creates a client of the configuration, whose own proxy is ignored.
pub(crate) fn client(
    mut config: Config,
    proxy: Option<&Proxy>,
) -> Result<kube::Client, kube::Error> {
    config.proxy_url = None;
    match proxy {
        None => kube::Client::try_from(config),
        Some(proxy) => through(config, proxy),
    }
}

/// Creates a client that connects through a tunnel of the proxy.
///
/// kube would present the client certificate of the cluster to an `https` proxy, and would verify
/// the proxy by the authority of the cluster.
fn through(mut config: Config, proxy: &Proxy) -> Result<kube::Client, kube::Error> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    let mut of_proxy = Config::new(proxy.url().clone());
    if proxy.url().scheme_str() != Some("https") {
        // Without TLS, the certificates of the system are not loaded.
        of_proxy.root_cert = Some(Vec::new());
    }
    let to_proxy = of_proxy.rustls_https_connector_with_connector(http)?;
    let mut tunnel = Tunnel::new(proxy.url().clone(), to_proxy);
    if let Some(authorization) = proxy.authorization() {
        tunnel = tunnel.with_auth(authorization.clone());
    }

    config.cluster_url = with_port(config.cluster_url);
    let to_server = config.rustls_https_connector_with_connector(tunnel)?;
    let mut connector = TimeoutConnector::new(to_server);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    connector.set_reset_reader_on_write(config.reset_reader_on_write);
    let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
        .build::<_, Body>(connector);
    let http = ServiceExt::<Request<Body>>::map_err(http, BoxError::from);
    let builder = ClientBuilder::new(http, config.default_namespace.clone())
        .with_layer(&config.extra_headers_layer()?);
    let base = config.base_uri_layer();
    Ok(match config.auth_layer()? {
        Some(auth) => builder.with_layer(&auth).with_layer(&base).build(),
        None => builder.with_layer(&base).build(),
    })
}

/// Adds the port of an `http` URL without one: a tunnel has port 443 by default.
fn with_port(url: Uri) -> Uri {
    if url.scheme_str() != Some("http") || url.port_u16().is_some() {
        return url;
    }
    let mut parts = url.clone().into_parts();
    parts.authority = url
        .host()
        .and_then(|host| format!("{host}:80").parse().ok());
    Uri::from_parts(parts).unwrap_or(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("http://kubernetes/base", "http://kubernetes:80/base")]
    #[case("http://kubernetes:8080/", "http://kubernetes:8080/")]
    #[case("https://kubernetes/", "https://kubernetes/")]
    #[case("http://[fd00::1]/", "http://[fd00::1]:80/")]
    fn plain_server_behind_a_tunnel_has_a_port(#[case] url: &str, #[case] expected: &str) {
        assert_eq!(with_port(url.parse().unwrap()).to_string(), expected);
    }
}
