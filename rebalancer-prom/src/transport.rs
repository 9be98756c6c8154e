//! One query over the wire: sent, received, and its envelope judged.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use prometheus_http_query::Client;
use rebalancer_adapter::{Secrets, USER_AGENT, connect_timeout, excerpt, excerpt_up_to, read_json};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Response, StatusCode, Url};
use tracing::{Level, debug, enabled};

use crate::authentication::Authentication;
use crate::envelope::{Head, Sample, Text, Vector};
use crate::error::{Asked, PromError, Purpose};
use crate::settings::{PrometheusSettings, header_words, without_secrets};
use crate::trust;

/// The largest answer that is read: over 100 times that of 5,000 pods.
const BODY_LIMIT: usize = 64 << 20;
/// How much of an answer is logged.
const LOGGED_ANSWER: usize = 4 << 10;
/// How much of a query goes into a message.
const QUERY_CHARS: usize = 500;
/// How many warnings of a server are passed on.
const WARNINGS: usize = 5;

/// A connection to one server.
pub(crate) struct Transport {
    client: Client,
    /// Where queries go, for messages.
    url: String,
    authentication: Authentication,
    /// Those of the extra headers; those of the credentials are known when they are sent.
    secrets: Secrets,
    timeout: Duration,
    body_limit: usize,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The client holds the values of the extra headers.
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
        let headers = headers(&settings.headers)?;
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
            // A handful of requests gains nothing from HTTP/2.
            .http1_only();
        builder = trust::configure(
            builder,
            base.scheme() == "https",
            settings.ca_file.as_deref(),
        )?;
        if is_loopback(&base) {
            // No proxy can reach this machine's own loopback.
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

    /// The same with a smaller limit, so that tests need not send 64 MiB.
    #[cfg(test)]
    pub(crate) fn with_body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// Asks one query and gives its answer, whatever that is.
    pub(crate) async fn ask(&self, purpose: Purpose, query: &str) -> Result<Answer, PromError> {
        self.ask_at(purpose, query, None).await
    }

    /// The same as of an instant, in seconds since 1970; now, by the server's clock, when `None`.
    pub(crate) async fn ask_at(
        &self,
        purpose: Purpose,
        query: &str,
        at: Option<i64>,
    ) -> Result<Answer, PromError> {
        let asked = Asked {
            purpose,
            url: self.url.clone(),
        };
        debug!(%purpose, url = self.url, query, "asking Prometheus");
        let mut request = self.client.query(query);
        if let Some(at) = at {
            request = request.at(at);
        }
        let mut secrets = self.secrets.clone();
        if let Some(authorization) = self.authentication.authorization()? {
            secrets.add_header(authorization.as_bytes());
            request = request.header(AUTHORIZATION, authorization);
        }
        // POST, so that no proxy cuts a long query off.
        let response = request
            .post_raw()
            .await
            .map_err(|error| PromError::from_sending(asked.clone(), self.timeout, error))?;
        let status = response.status();
        if status.is_redirection() {
            return Err(PromError::Redirect {
                asked,
                status: status.as_u16(),
                location: location(&response, &secrets),
            });
        }
        let body = self.read(&asked, response).await?;
        if enabled!(Level::DEBUG) {
            let answer = excerpt_up_to(LOGGED_ANSWER, &body, &secrets);
            debug!(%purpose, %status, bytes = body.len(), answer, "Prometheus answered");
        }
        Ok(Answer {
            asked,
            query: query.to_owned(),
            status,
            body,
            secrets,
        })
    }

    async fn read(&self, asked: &Asked, mut response: Response) -> Result<Vec<u8>, PromError> {
        let too_large = || PromError::TooLarge {
            asked: asked.clone(),
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
            .map_err(|error| PromError::from_receiving(asked.clone(), self.timeout, error))?
        {
            if body.len() + chunk.len() > self.body_limit {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) asked: Asked,
    query: String,
    status: StatusCode,
    body: Vec<u8>,
    secrets: Secrets,
}

/// An instant vector, borrowed from its answer.
#[derive(Debug)]
pub(crate) struct Samples<'a> {
    pub(crate) samples: Vec<Sample<'a>>,
    /// Why the answer may lack something.
    pub(crate) partial: Option<PartialAnswer>,
}

impl Answer {
    /// An answer that nobody gave.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn made_up(status: StatusCode, body: &[u8], secrets: Secrets) -> Self {
        Self {
            asked: Asked {
                purpose: Purpose::Load,
                url: "http://prometheus:9090/api/v1/query".to_owned(),
            },
            query: "up".to_owned(),
            status,
            body: body.to_owned(),
            secrets,
        }
    }

    /// The instant vector that it holds, told from everything else that may have come.
    pub(crate) fn samples(&self) -> Result<Samples<'_>, PromError> {
        let mut head: Head<'_, Vector<'_>> =
            read_json(&self.body).map_err(|error| self.fault(&error.to_string()))?;
        // Only what is not as expected is read a second time, to tell what it is instead.
        let expected = self.status.is_success() && head.status.0 == "success";
        let samples = head
            .data
            .take()
            .filter(|data| expected && data.result_type.0 == "vector")
            .ok_or_else(|| self.fault("its parts contradict each other"))?
            .result;
        let purpose = self.asked.purpose;
        for info in head.infos.iter().flatten() {
            debug!(%purpose, info = self.excerpt(info.0.as_bytes()), "the server remarks");
        }
        debug!(%purpose, samples = samples.len(), "samples received");
        Ok(Samples {
            samples,
            partial: self.partial(&head),
        })
    }

    /// The error that the samples are not plain numbers.
    pub(crate) fn wrong_type(&self, found: &str) -> PromError {
        PromError::WrongResultType {
            asked: self.asked.clone(),
            found: found.to_owned(),
            query: self.query_excerpt(),
        }
    }

    /// A text of the server's as it is, but for our secrets.
    pub(crate) fn words(&self, text: &str) -> String {
        self.secrets.hide(text)
    }

    fn excerpt(&self, text: &[u8]) -> String {
        excerpt(text, &self.secrets)
    }

    fn query_excerpt(&self) -> String {
        excerpt_up_to(QUERY_CHARS, self.query.as_bytes(), &Secrets::default())
    }

    /// What is wrong with an answer that holds no instant vector; `otherwise` is what is wrong
    /// with the samples.
    fn fault(&self, otherwise: &str) -> PromError {
        match read_json::<Head<'_>>(&self.body) {
            Ok(head) if head.status.0 == "error" => self.refusal(&head),
            _ if !self.status.is_success() => self.bad_status(self.excerpt(&self.body)),
            Ok(head) if head.status.0 == "success" => match &head.data {
                Some(data) if data.result_type.0 == "vector" => self.not_prometheus(otherwise),
                Some(data) => self.wrong_type(&self.excerpt(data.result_type.0.as_bytes())),
                None => self.not_prometheus("it has no data"),
            },
            Ok(_) => self.not_prometheus("its status is neither success nor error"),
            Err(error) => self.not_prometheus(&error.to_string()),
        }
    }

    /// An error that the API itself reports: about the query, or about anything else.
    fn refusal(&self, head: &Head<'_>) -> PromError {
        let text = |text: &Option<Text<'_>>| {
            text.as_ref().map_or_else(
                || "no words given".to_owned(),
                |text| self.excerpt(text.0.as_bytes()),
            )
        };
        let message = text(&head.error);
        let about_the_query = self.status.is_success()
            || self.status == StatusCode::BAD_REQUEST
            || self.status == StatusCode::UNPROCESSABLE_ENTITY;
        if about_the_query {
            PromError::Promql {
                asked: self.asked.clone(),
                error_type: text(&head.error_type),
                message,
                query: self.query_excerpt(),
            }
        } else {
            self.bad_status(message)
        }
    }

    fn bad_status(&self, message: String) -> PromError {
        PromError::Status {
            asked: self.asked.clone(),
            status: self.status.as_u16(),
            message,
        }
    }

    fn not_prometheus(&self, reason: &str) -> PromError {
        PromError::NotPrometheus {
            asked: self.asked.clone(),
            // It may quote the answer.
            reason: self.words(reason),
            excerpt: self.excerpt(&self.body),
        }
    }

    fn partial<D>(&self, head: &Head<'_, D>) -> Option<PartialAnswer> {
        let warnings = head.warnings.as_deref().unwrap_or_default();
        let mut gaps = Vec::new();
        if head.is_partial == Some(true) {
            gaps.push(Gap::Flag);
        }
        gaps.extend(
            warnings
                .iter()
                .take(WARNINGS)
                .map(|words| Gap::Warning(self.excerpt(words.0.as_bytes()))),
        );
        if warnings.len() > WARNINGS {
            gaps.push(Gap::More(warnings.len() - WARNINGS));
        }
        let purpose = self.asked.purpose;
        (!gaps.is_empty()).then_some(PartialAnswer { purpose, gaps })
    }
}

/// Why an answer may lack something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartialAnswer {
    purpose: Purpose,
    gaps: Vec<Gap>,
}

/// One sign that an answer may lack something.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Gap {
    /// VictoriaMetrics' `isPartial`.
    Flag,
    /// One of the `warnings` of Prometheus, Thanos or Mimir.
    Warning(String),
    /// More warnings than are passed on.
    More(usize),
}

impl fmt::Display for PartialAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the answer to {} may lack something: ", self.purpose)?;
        for (index, gap) in self.gaps.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            match gap {
                Gap::Flag => write!(
                    f,
                    "{separator}the server marks it as partial (isPartial): a part of its storage \
                     did not answer"
                )?,
                Gap::Warning(words) => write!(f, "{separator}the server warns: {words}")?,
                Gap::More(count) => write!(f, "{separator}and {count} more warnings")?,
            }
        }
        Ok(())
    }
}

fn bad_url(url: &str, reason: impl Into<String>) -> PromError {
    PromError::BadUrl {
        url: without_secrets(url),
        reason: reason.into(),
    }
}

/// Says whether requests can be built on a base URL, without building any.
///
/// # Errors
/// When the URL cannot be used: it does not parse, is neither `http` nor `https`, or holds
/// credentials, a query or a fragment.
pub fn check_endpoint(endpoint: &str) -> Result<(), PromError> {
    base_url(endpoint).map(drop)
}

/// The base URL, if requests can be built on it.
fn base_url(endpoint: &str) -> Result<Url, PromError> {
    let endpoint = endpoint.trim();
    let url = Url::parse(endpoint).map_err(|error| bad_url(endpoint, error.to_string()))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(PromError::CredentialsInUrl);
    }
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad_url(endpoint, "it must begin with http:// or https://"));
    }
    // The client would drop them from some URLs and keep them in others.
    if url.query().is_some() || url.fragment().is_some() {
        return Err(bad_url(endpoint, "it must have no `?` and no `#`"));
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        host == "localhost"
            || host
                .trim_matches(['[', ']'])
                .parse::<IpAddr>()
                .is_ok_and(|ip| ip.is_loopback())
    })
}

fn headers(pairs: &[(String, String)]) -> Result<HeaderMap, PromError> {
    let mut headers = HeaderMap::with_capacity(pairs.len());
    for (index, (name, value)) in pairs.iter().enumerate() {
        let bad = |reason| PromError::BadHeader {
            header: header_words(index, name),
            reason,
        };
        let header: HeaderName = name
            .trim()
            .parse()
            .map_err(|_| bad("its name holds characters that no header name may hold"))?;
        let mut value = HeaderValue::from_str(value.trim())
            .map_err(|_| bad("its value holds bytes that no header may hold"))?;
        value.set_sensitive(true);
        headers.append(header, value);
    }
    Ok(headers)
}

/// Where a redirect leads; login pages put secrets into the parameters.
fn location(response: &Response, secrets: &Secrets) -> String {
    let Some(location) = response.headers().get(LOCATION) else {
        return "nowhere".to_owned();
    };
    let location = String::from_utf8_lossy(location.as_bytes());
    // It may be relative to the address that was asked.
    let Ok(mut url) = response.url().join(&location) else {
        return "no valid address".to_owned();
    };
    url.set_query(None);
    url.set_fragment(None);
    // An address that can have no user name has none.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    excerpt(url.as_str().as_bytes(), secrets)
}
