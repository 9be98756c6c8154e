//! Sends queries and receives responses.

use std::fmt;
use std::time::Duration;

use prometheus_http_query::Client;
use rebalancer_adapter::{Secrets, USER_AGENT, connect_timeout, excerpt, excerpt_up_to};
use reqwest::Response;
use reqwest::header::{AUTHORIZATION, LOCATION};
use reqwest::redirect::Policy;
use tracing::{Level, debug, enabled};

use crate::authentication::Authentication;
use crate::endpoint::{bad_url, base_url, is_loopback};
use crate::error::{PromError, Purpose, SentQuery};
use crate::response::QueryResponse;
use crate::settings::PrometheusSettings;
use crate::{headers, tls};

/// The maximum size of a response: over 100 times the size of a response about 5,000 pods.
const BODY_LIMIT: usize = 64 << 20;
/// The maximum length of a response in the debug log, in characters.
const LOGGED_CHARS: usize = 4 << 10;

/// An HTTP client for one server.
pub(crate) struct Transport {
    client: Client,
    /// The URL of queries, for messages.
    url: String,
    authentication: Authentication,
    /// The secrets of the extra headers. Those of the authentication are read for each request.
    secrets: Secrets,
    timeout: Duration,
    body_limit: usize,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The client contains the values of the extra headers.
        f.debug_struct("Transport")
            .field("url", &self.url)
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
        let mut secrets = Secrets::default();
        for value in headers.values() {
            secrets.add_header(value.as_bytes());
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .timeout(settings.timeout)
            .connect_timeout(connect_timeout(settings.timeout))
            .default_headers(headers)
            .redirect(Policy::none())
            // HTTP/2 has no advantage for a few requests.
            .http1_only();
        let https = base.scheme() == "https";
        builder = tls::configure(builder, https, settings.ca_file.as_deref())?;
        if is_loopback(&base) {
            // A proxy cannot reach the loopback interface of this machine.
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(PromError::client_setup)?;
        let base = base.as_str().trim_end_matches('/');
        let client = Client::from(http, base).map_err(|error| bad_url(base, error.to_string()))?;
        Ok(Self {
            client,
            url: format!("{base}/api/v1/query"),
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
        self.query_at(purpose, query, None).await
    }

    /// Sends a query about a past time, in seconds since 1970, or about the server's current time.
    pub(crate) async fn query_at(
        &self,
        purpose: Purpose,
        query: &str,
        time: Option<i64>,
    ) -> Result<QueryResponse, PromError> {
        let sent = SentQuery {
            purpose,
            url: self.url.clone(),
        };
        debug!(%purpose, url = self.url, query, "asking Prometheus");
        let mut request = self.client.query(query);
        if let Some(time) = time {
            request = request.at(time);
        }
        let mut secrets = self.secrets.clone();
        if let Some(authorization) = self.authentication.authorization()? {
            secrets.add_header(authorization.as_bytes());
            request = request.header(AUTHORIZATION, authorization);
        }
        // POST, because proxies limit the length of a URL.
        let response = request
            .post_raw()
            .await
            .map_err(|error| PromError::from_sending(sent.clone(), self.timeout, error))?;
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
            .map_err(|error| PromError::from_receiving(sent.clone(), self.timeout, error))?
        {
            if body.len() + chunk.len() > self.body_limit {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
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
