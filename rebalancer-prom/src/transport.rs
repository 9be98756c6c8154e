//! Sends queries and receives responses.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rebalancer_adapter::{Secrets, excerpt, excerpt_up_to};
use reqwest::header::{AUTHORIZATION, LOCATION};
use reqwest::{Client, Request, Response, Url};
use tracing::{Level, debug, enabled};

use crate::authentication::Authentication;
use crate::endpoint::{add_secrets, bad_url, base_url, query_url, range_url, without_secrets};
use crate::error::{Destination, PromError, Purpose, SentQuery};
use crate::http_client::{ClientError, ClientOptions, HttpClient};
use crate::method::QueryMethod;
use crate::response::QueryResponse;
use crate::settings::PrometheusSettings;
use crate::{headers, tls};

/// The maximum size of a response: over 100 times the size of a response about 5,000 pods.
const BODY_LIMIT: usize = 64 << 20;
/// The maximum length of a URL that the HTTP client can send, in bytes.
const URL_LIMIT: usize = 65_534;
/// The maximum length of a response in the debug log, in characters.
const LOGGED_CHARS: usize = 4 << 10;

/// An HTTP client for one server.
pub(crate) struct Transport {
    client: Client,
    /// The URL of queries about one time.
    instant: Endpoint,
    /// The URL of queries about a range of time.
    range: Endpoint,
    authentication: Authentication,
    /// The secrets of the extra headers, the URL's parameters and the proxy. Those of the
    /// authentication are read for each request.
    secrets: Secrets,
    timeout: Duration,
    body_limit: usize,
}

/// One path of the API.
struct Endpoint {
    /// The URL, with the parameters of the operator's.
    url: Url,
    destination: Arc<Destination>,
}

/// The time that a query is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueryTime {
    /// The server's current time.
    Now,
    /// A time in seconds since 1970.
    At(i64),
    /// Equal intervals between two times, both included, in seconds.
    Range { start: i64, end: i64, step: i64 },
}

/// How far before each time of a range a sample may be, which is the default of Prometheus. By
/// default, VictoriaMetrics takes a sample of the whole step.
const LOOKBACK: &str = "5m";

impl QueryTime {
    /// The parameters of the request, apart from the query. VictoriaMetrics moves the times of a
    /// range unless it must not use its cache; Prometheus ignores both.
    fn parameters(self) -> Vec<(&'static str, String)> {
        match self {
            Self::Now => Vec::new(),
            Self::At(time) => vec![("time", time.to_string())],
            Self::Range { start, end, step } => vec![
                ("start", start.to_string()),
                ("end", end.to_string()),
                ("step", step.to_string()),
                ("nocache", "1".to_owned()),
                ("max_lookback", LOOKBACK.to_owned()),
            ],
        }
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The client contains the values of the extra headers.
        f.debug_struct("Transport")
            .field("destination", &self.instant.destination)
            .field("authentication", &self.authentication)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl Transport {
    pub(crate) fn new(settings: &PrometheusSettings) -> Result<Self, PromError> {
        let base = base_url(&settings.endpoint)?;
        settings.authentication.check(&settings.headers)?;
        let headers = headers::parse(&settings.headers)?;
        let url = query_url(&base);
        let mut secrets = Secrets::default();
        for value in headers.values() {
            secrets.add_header(value.as_bytes());
        }
        add_secrets(&url, &mut secrets);
        let client_certificate = settings.client_certificate.as_ref();
        if base.scheme() != "https" && client_certificate.is_some() {
            return Err(PromError::ClientCertificateWithoutTls);
        }
        let HttpClient { client, proxy } = HttpClient::new(ClientOptions {
            url: &url,
            timeout: settings.timeout,
            names: tls::QUERY_NAMES,
            ca_file: settings.ca_file.as_deref(),
            client_certificate,
            headers,
        })
        .map_err(|error| client_error(&url, error))?;
        if let Some(proxy) = &proxy {
            proxy.add_secrets(&mut secrets);
        }
        let endpoint = |url: Url| Endpoint {
            destination: Arc::new(Destination {
                url: without_secrets(url.as_str()),
                method: settings.method,
                proxy: proxy.as_ref().map(ToString::to_string),
                client_certificate: client_certificate.is_some(),
            }),
            url,
        };
        Ok(Self {
            client,
            instant: endpoint(url),
            range: endpoint(range_url(&base)),
            authentication: settings.authentication.clone(),
            secrets,
            timeout: settings.timeout,
            body_limit: BODY_LIMIT,
        })
    }

    /// Replaces the maximum size of a response, so that tests need not send 64 MiB.
    #[cfg(test)]
    pub(crate) fn with_body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// Sends a query and returns the response, whatever its status is.
    pub(crate) async fn query(
        &self,
        purpose: Purpose,
        query: &str,
    ) -> Result<QueryResponse, PromError> {
        self.query_at(purpose, query, QueryTime::Now).await
    }

    /// Sends a query about a time or a range of time.
    pub(crate) async fn query_at(
        &self,
        purpose: Purpose,
        query: &str,
        time: QueryTime,
    ) -> Result<QueryResponse, PromError> {
        let endpoint = match time {
            QueryTime::Now | QueryTime::At(_) => &self.instant,
            QueryTime::Range { .. } => &self.range,
        };
        let sent = SentQuery {
            purpose,
            destination: Arc::clone(&endpoint.destination),
        };
        let url = &endpoint.destination.url;
        debug!(%purpose, url, query, ?time, "asking Prometheus");
        let mut secrets = self.secrets.clone();
        let request = self.request(endpoint, &sent, query, time, &mut secrets)?;
        let response = self
            .client
            .execute(request)
            .await
            .map_err(|error| PromError::from_http(sent.clone(), self.timeout, error))?;
        let status = response.status();
        if status.is_redirection() {
            return Err(PromError::Redirect {
                sent,
                status: status.as_u16(),
                location: location(&response, &secrets),
            });
        }
        let body = self.read_body(&sent, response).await?;
        if enabled!(Level::DEBUG) {
            let answer = excerpt_up_to(LOGGED_CHARS, &body, &secrets);
            debug!(%purpose, %status, bytes = body.len(), answer, "Prometheus answered");
        }
        Ok(QueryResponse {
            sent,
            query: query.to_owned(),
            status,
            body,
            secrets,
        })
    }

    /// The request of a query. Adds its credentials to the secrets.
    fn request(
        &self,
        endpoint: &Endpoint,
        sent: &SentQuery,
        query: &str,
        time: QueryTime,
        secrets: &mut Secrets,
    ) -> Result<Request, PromError> {
        let mut parameters = vec![("query", query.to_owned())];
        parameters.extend(time.parameters());
        let url = endpoint.url.clone();
        let mut builder = match endpoint.destination.method {
            QueryMethod::Post => self.client.post(url).form(&parameters),
            QueryMethod::Get => self.client.get(url).query(&parameters),
        };
        if let Some(authorization) = self.authentication.authorization()? {
            secrets.add_header(authorization.as_bytes());
            builder = builder.header(AUTHORIZATION, authorization);
        }
        let request = builder
            .build()
            .map_err(|error| PromError::from_http(sent.clone(), self.timeout, error))?;
        let length = request.url().as_str().len();
        if length > URL_LIMIT {
            return Err(PromError::UrlTooLong {
                sent: sent.clone(),
                length,
                limit: URL_LIMIT,
            });
        }
        Ok(request)
    }

    async fn read_body(
        &self,
        sent: &SentQuery,
        mut response: Response,
    ) -> Result<Vec<u8>, PromError> {
        let too_large = || PromError::TooLarge {
            sent: sent.clone(),
            limit: self.body_limit,
        };
        let announced = response
            .content_length()
            .map_or(Ok(0), usize::try_from)
            .map_err(|_| too_large())?;
        if announced > self.body_limit {
            return Err(too_large());
        }
        let mut body = Vec::with_capacity(announced);
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| PromError::from_http(sent.clone(), self.timeout, error))?
        {
            if body.len() + chunk.len() > self.body_limit {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

/// An error of setting up the client for this URL.
fn client_error(url: &Url, error: ClientError) -> PromError {
    match error {
        ClientError::Url => bad_url(
            url.as_str(),
            "it is too long or contains invalid characters",
        ),
        ClientError::Proxy(error) => PromError::BadProxy(error),
        ClientError::Tls(error) => error.into(),
        ClientError::Library(error) => PromError::client_setup(error),
    }
}

/// The destination of a redirect, without its parameters: login pages put secrets into them.
fn location(response: &Response, secrets: &Secrets) -> String {
    let Some(location) = response.headers().get(LOCATION) else {
        return "nowhere".to_owned();
    };
    let location = String::from_utf8_lossy(location.as_bytes());
    // The location may be relative to the URL of the request.
    let Ok(mut url) = response.url().join(&location) else {
        return "no valid address".to_owned();
    };
    url.set_query(None);
    url.set_fragment(None);
    // These fail for a URL that cannot have a user name, which then has none.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    excerpt(url.as_str().as_bytes(), secrets)
}
