//! The HTTP client of one server.

use std::path::Path;
use std::time::Duration;

use rebalancer_adapter::{
    ClientCertificate, InvalidProxy, Proxy, TlsSettingNames, TlsSetupError, USER_AGENT,
    connect_timeout, install_crypto_provider, read_authorities,
};
use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use reqwest::{Client, Url};

use crate::tls;

/// The settings of a client.
pub(crate) struct ClientOptions<'a> {
    /// The URL of the requests.
    pub(crate) url: &'a Url,
    /// The limit for one request.
    pub(crate) timeout: Duration,
    /// The settings that name the files, for messages.
    pub(crate) names: TlsSettingNames,
    pub(crate) ca_file: Option<&'a Path>,
    pub(crate) client_certificate: Option<&'a ClientCertificate>,
    /// The headers of each request.
    pub(crate) headers: HeaderMap,
}

/// A client for one server. It follows no redirects, since they would send credentials elsewhere.
pub(crate) struct HttpClient {
    pub(crate) client: Client,
    /// The proxy of the environment.
    pub(crate) proxy: Option<Proxy>,
}

/// Why a client cannot be set up.
pub(crate) enum ClientError {
    /// The URL is too long or contains invalid characters.
    Url,
    /// The proxy of the environment cannot be used.
    Proxy(InvalidProxy),
    /// TLS cannot be set up.
    Tls(TlsSetupError),
    /// The library rejects the settings. The error contains no URL.
    Library(reqwest::Error),
}

impl HttpClient {
    pub(crate) fn new(options: ClientOptions<'_>) -> Result<Self, ClientError> {
        let ClientOptions {
            url,
            timeout,
            names,
            ca_file,
            client_certificate,
            headers,
        } = options;
        let library = |error: reqwest::Error| ClientError::Library(error.without_url());
        // The URL of the HTTP client is always one of these.
        let uri = url.as_str().parse().map_err(|_| ClientError::Url)?;
        let proxy = Proxy::from_environment(&uri).map_err(ClientError::Proxy)?;
        let mut builder = Client::builder()
            .user_agent(USER_AGENT)
            .timeout(timeout)
            .connect_timeout(connect_timeout(timeout))
            .default_headers(headers)
            .redirect(Policy::none())
            // HTTP/2 has no advantage for a few requests.
            .http1_only()
            // The only proxy is the one that is set below.
            .no_proxy();
        if let Some(proxy) = &proxy {
            let mut through = reqwest::Proxy::all(proxy.url().to_string()).map_err(library)?;
            if let Some(authorization) = proxy.authorization() {
                through = through.custom_http_auth(authorization.clone());
            }
            builder = builder.proxy(through);
        }
        let https_proxy = proxy
            .as_ref()
            .is_some_and(|proxy| proxy.url().scheme_str() == Some("https"));
        builder = if url.scheme() == "https" || https_proxy {
            let config = tls::client_config(names, ca_file, client_certificate);
            builder.tls_backend_preconfigured(config.map_err(ClientError::Tls)?)
        } else {
            if let Some(path) = ca_file {
                read_authorities(names.ca_file, path).map_err(ClientError::Tls)?;
            }
            install_crypto_provider();
            // Plain HTTP does not load the system's certificates: loading them takes more time and
            // memory than all queries, and fails in an image without certificates.
            builder.tls_certs_only([])
        };
        Ok(Self {
            client: builder.build().map_err(library)?,
            proxy,
        })
    }
}
