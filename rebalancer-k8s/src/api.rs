//! Requests to the API server: sent, logged and bounded in time.

use std::fmt::Display;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri, header};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use kube::client::Body;
use kube::core::params::ListParams;
use rebalancer_adapter::read_json;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::attempt::Attempt;
use crate::client_error::ErrorChain;
use crate::connection::{Connection, address};
use crate::error::{K8sError, Source};
use crate::pages::{Collect, Pages};
use crate::refusal::Refusal;

/// The number of times that a read request is repeated while the server is too busy.
const READ_RETRIES: u32 = 2;
/// The longest wait before a read request is repeated, whatever the server asks for.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// The number of times that a listing is started if its continue token expires.
const MAX_LISTINGS: u32 = 3;

/// The `Accept` header for the metadata of listed objects. A server that does not support it sends
/// whole objects.
pub(crate) const METADATA_LIST: &str =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";
/// The `Accept` header for the metadata of one object.
pub(crate) const METADATA: &str =
    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";

/// The API server, as this adapter uses it.
#[derive(Clone)]
pub(crate) struct Api {
    connection: Connection,
}

/// A response other than a redirect.
struct Answer {
    code: StatusCode,
    retry_after: Option<Duration>,
    body: Bytes,
    /// Why the body is incomplete. Only the status code is reliable then.
    lost: Option<K8sError>,
}

impl Answer {
    /// Fails if the body is incomplete.
    fn complete(mut self) -> Result<Self, K8sError> {
        match self.lost.take() {
            Some(lost) => Err(lost),
            None => Ok(self),
        }
    }

    fn refusal(&self) -> Refusal {
        Refusal::read(self.code, self.retry_after, &self.body)
    }
}

/// Any object of the API.
#[derive(Deserialize)]
struct AnyObject {
    #[serde(rename = "kind")]
    _kind: IgnoredAny,
}

impl Api {
    pub(crate) fn new(connection: Connection) -> Self {
        Self { connection }
    }

    /// The address of the API server, for messages.
    pub(crate) fn server(&self) -> &str {
        &self.connection.server
    }

    /// The current time by the clock of the API server, see [`Connection::now`].
    pub(crate) fn now(&self) -> Timestamp {
        self.connection.now()
    }

    /// Gets one object.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        attempt: &Attempt,
        path: &str,
        accept: Option<&'static str>,
    ) -> Result<T, K8sError> {
        let body = self.read(attempt, 1, path, accept).await?;
        read_json(&body).map_err(|error| self.bad_answer(attempt, &error))
    }

    /// Lists the objects of a kind of which there are few.
    pub(crate) async fn list<T: DeserializeOwned>(
        &self,
        attempt: &Attempt,
        kind: &'static str,
        path: &str,
        params: &ListParams,
    ) -> Result<Vec<T>, K8sError> {
        let mut pages = Collect::of_kind(kind);
        self.list_pages(attempt, path, params, None, &mut pages)
            .await?;
        Ok(pages.objects)
    }

    /// Lists objects page by page.
    ///
    /// All pages are of one instant. If the server no longer has that instant (410), the listing
    /// starts again: continuing from a later instant could list an object twice or not at all.
    pub(crate) async fn list_pages(
        &self,
        attempt: &Attempt,
        path: &str,
        params: &ListParams,
        accept: Option<&'static str>,
        pages: &mut impl Pages,
    ) -> Result<(), K8sError> {
        let mut listings = 1;
        let mut page = 1;
        let mut params = params.clone();
        loop {
            let request = kube::core::Request::new(path)
                .list(&params)
                .map_err(|error| rejected(attempt, &error))?;
            let read = self
                .read(attempt, page, &request.uri().to_string(), accept)
                .await;
            let body = match read {
                Err(K8sError::Rejected { code: 410, .. })
                    if params.continue_token.is_some() && listings < MAX_LISTINGS =>
                {
                    tracing::debug!(%attempt, page, "the continue token expired; listing again");
                    pages.restart();
                    params.continue_token = None;
                    listings += 1;
                    page = 1;
                    continue;
                }
                other => other?,
            };
            let end = pages
                .page(&body)
                .map_err(|error| self.bad_answer(attempt, &error))?;
            tracing::debug!(
                verb = attempt.verb,
                resource = %attempt.resource,
                page,
                count = end.items,
                "page received"
            );
            if end.enough || end.next.is_none() {
                return Ok(());
            }
            params.continue_token = end.next;
            page += 1;
        }
    }

    /// Sends a read request, and returns the body of a successful response.
    ///
    /// The request changes nothing, so it is repeated while the server is too busy, and once if its
    /// connection breaks: a server or a load balancer may close a kept connection at any time.
    async fn read(
        &self,
        attempt: &Attempt,
        page: u32,
        path: &str,
        accept: Option<&'static str>,
    ) -> Result<Bytes, K8sError> {
        let mut retries = 0;
        let mut may_break = true;
        loop {
            let request = Request::get(path)
                .header(header::ACCEPT, accept.unwrap_or("application/json"))
                .body(Vec::new());
            let exchanged = self.exchange(attempt, page, request).await;
            let answer = match exchanged.and_then(Answer::complete) {
                Err(error @ K8sError::Unreachable { sent: true, .. }) if may_break => {
                    tracing::debug!(%attempt, %error, "the connection broke; retrying");
                    may_break = false;
                    continue;
                }
                other => other?,
            };
            if answer.code.is_success() {
                return Ok(answer.body);
            }
            let refusal = answer.refusal();
            if !matches!(refusal.code, 429 | 503) || retries == READ_RETRIES {
                return Err(refusal.into_error(attempt, self.server()));
            }
            let wait = refusal
                .retry_after
                .unwrap_or(Duration::from_secs(1))
                .min(MAX_WAIT);
            tracing::debug!(
                %attempt,
                code = refusal.code,
                message = refusal.message,
                ?wait,
                "the API server is too busy; retrying"
            );
            tokio::time::sleep(wait).await;
            retries += 1;
        }
    }

    /// Sends a request that changes something, once. `Ok(None)` is a success.
    pub(crate) async fn write(
        &self,
        attempt: &Attempt,
        request: Result<Request<Vec<u8>>, http::Error>,
    ) -> Result<Option<Refusal>, K8sError> {
        let answer = self.exchange(attempt, 1, request).await?;
        if !answer.code.is_success() {
            return Ok(Some(answer.refusal()));
        }
        // An incomplete response proves the success by its status code alone. A complete response
        // must be an object: it could be a login page.
        if answer.lost.is_none() {
            read_json::<AnyObject>(&answer.body)
                .map_err(|error| self.bad_answer(attempt, &error))?;
        }
        Ok(None)
    }

    /// Sends a request that changes an object, once, and returns the changed object.
    ///
    /// A success whose body is incomplete is an error, although the request took effect.
    pub(crate) async fn write_for<T: DeserializeOwned>(
        &self,
        attempt: &Attempt,
        request: Result<Request<Vec<u8>>, http::Error>,
    ) -> Result<Result<T, Refusal>, K8sError> {
        let answer = self.exchange(attempt, 1, request).await?;
        if !answer.code.is_success() {
            return Ok(Err(answer.refusal()));
        }
        if let Some(lost) = answer.lost {
            return Err(lost);
        }
        read_json(&answer.body)
            .map(Ok)
            .map_err(|error| self.bad_answer(attempt, &error))
    }

    async fn exchange(
        &self,
        attempt: &Attempt,
        page: u32,
        request: Result<Request<Vec<u8>>, http::Error>,
    ) -> Result<Answer, K8sError> {
        let request = request.map_err(|error| rejected(attempt, &error))?;
        let started = Instant::now();
        let deadline = tokio::time::Instant::now() + self.connection.request_timeout;
        let mut response = self.send(attempt, request.clone(), deadline).await?;
        // The server rejected the request before it took effect, so it may be sent again.
        if response.status() == StatusCode::UNAUTHORIZED && self.connection.renew_credentials() {
            tracing::debug!(%attempt, "not authorized (401); credentials were read again");
            response = self.send(attempt, request, deadline).await?;
        }
        // Redirects are not followed: the credentials are for this server only, and a change must
        // be made by the server that the request was sent to.
        if response.status().is_redirection() {
            return Err(K8sError::Redirect {
                attempt: Box::new(attempt.clone()),
                server: self.server().to_owned(),
                status: response.status().as_u16(),
                location: self.connection.secrets().hide(&location(&response)),
            });
        }
        let (head, mut stream) = response.into_parts();
        let mut body = Vec::new();
        let received = tokio::time::timeout_at(deadline, async {
            while let Some(frame) = stream.frame().await {
                if let Ok(data) = frame?.into_data() {
                    body.extend_from_slice(&data);
                }
            }
            Ok::<(), Source>(())
        });
        let lost = match received.await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(self.lost(attempt, error)),
            Err(_elapsed) => Some(self.timeout(attempt)),
        };
        tracing::debug!(
            verb = attempt.verb,
            resource = %attempt.resource,
            name = attempt.name,
            page,
            status = head.status.as_u16(),
            bytes = body.len(),
            duration_ms = started.elapsed().as_secs_f64() * 1000.0,
            "API call"
        );
        if !head.status.is_success() {
            // Messages quote the body, and a proxy in front of the API server may echo the
            // credentials of the request.
            body = self.connection.secrets().hide_in(&body, usize::MAX);
        }
        Ok(Answer {
            code: head.status,
            retry_after: head
                .headers
                .get(header::RETRY_AFTER)
                .and_then(|value| value.to_str().ok()?.parse().ok())
                .map(Duration::from_secs),
            body: body.into(),
            lost,
        })
    }

    async fn send(
        &self,
        attempt: &Attempt,
        request: Request<Vec<u8>>,
        deadline: tokio::time::Instant,
    ) -> Result<Response<Body>, K8sError> {
        let client = self.connection.client();
        match tokio::time::timeout_at(deadline, client.send(request.map(Body::from))).await {
            Ok(Ok(response)) => {
                self.connection.clock().learn(response.headers());
                Ok(response)
            }
            Ok(Err(error)) => Err(self.lost(attempt, Box::new(error))),
            Err(_elapsed) => Err(self.timeout(attempt)),
        }
    }

    /// Returns the error for a response that does not have the expected form.
    pub(crate) fn bad_answer(&self, attempt: &Attempt, error: &impl Display) -> K8sError {
        K8sError::BadAnswer {
            attempt: Box::new(attempt.clone()),
            server: self.server().to_owned(),
            // The error may quote the response.
            detail: self.connection.secrets().hide(&error.to_string()),
        }
    }

    fn timeout(&self, attempt: &Attempt) -> K8sError {
        K8sError::Timeout {
            attempt: Box::new(attempt.clone()),
            server: self.server().to_owned(),
            after: self.connection.request_timeout,
            sent: true,
        }
    }

    /// Returns the error for a request that failed in the client.
    fn lost(&self, attempt: &Attempt, source: Source) -> K8sError {
        let chain = ErrorChain::of(source.as_ref());
        let attempt = Box::new(attempt.clone());
        let server = self.server().to_owned();
        let sent = !chain.never_sent;
        let detail = chain.root_cause;
        if let Some(detail) = chain.credentials {
            K8sError::Credentials {
                attempt,
                server,
                detail,
            }
        } else if chain.tls {
            K8sError::Tls {
                attempt,
                server,
                detail,
                sent,
                source,
            }
        } else if chain.timeout {
            let after = if sent {
                self.connection.request_timeout
            } else {
                self.connection.connect_timeout()
            };
            K8sError::Timeout {
                attempt,
                server,
                after,
                sent,
            }
        } else {
            K8sError::Unreachable {
                attempt,
                server,
                detail,
                sent,
                source,
            }
        }
    }
}

/// Returns the error for a request that cannot be built.
fn rejected(attempt: &Attempt, error: &impl Display) -> K8sError {
    K8sError::Rejected {
        attempt: Box::new(attempt.clone()),
        code: 400,
        message: error.to_string(),
    }
}

/// The target of a redirect, without user name, password and parameters.
fn location<B>(response: &Response<B>) -> String {
    let Some(location) = response.headers().get(header::LOCATION) else {
        return "nowhere".to_owned();
    };
    let Ok(url) = location.as_bytes().try_into() else {
        return "no valid address".to_owned();
    };
    let url: Uri = url;
    match url.host() {
        Some(_) => format!("{}{}", address(&url), url.path()),
        None => url.path().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;

    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(
        Some("https://me:word@other:8443/a/b?token=x#y"),
        "https://other:8443/a/b"
    )]
    #[case(Some("/login?token=x"), "/login")]
    #[case(Some("a b"), "no valid address")]
    #[case(None, "nowhere")]
    fn location_of_a_redirect_shows_no_secret(#[case] to: Option<&str>, #[case] shown: &str) {
        let mut response = Response::builder();
        if let Some(to) = to {
            response = response.header(header::LOCATION, to);
        }
        assert_eq!(location(&response.body(()).unwrap()), shown);
    }

    /// A server that closes the connection of the first requests without a response. Returns the
    /// number of requests.
    fn breaking_server(breaks: usize, requests: usize) -> (Api, std::thread::JoinHandle<usize>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let served = std::thread::spawn(move || {
            for number in 0..requests {
                let (mut stream, _) = listener.accept().unwrap();
                let head = BufReader::new(&stream).lines().map(Result::unwrap);
                head.take_while(|line| !line.is_empty()).for_each(drop);
                if number >= breaks {
                    let body = r#"{"kind":"Pod"}"#;
                    let length = body.len();
                    write!(
                        stream,
                        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
                    )
                    .unwrap();
                }
            }
            listener.set_nonblocking(true).unwrap();
            requests + usize::from(listener.accept().is_ok())
        });
        // kube sets up TLS even if the address does not need it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config = kube::Config::new(url.parse().unwrap());
        let connection = Connection::of(config, None, Duration::from_secs(20)).unwrap();
        (Api::new(connection), served)
    }

    #[rstest]
    #[case::once(1, 2, true)]
    #[case::twice(2, 2, false)]
    #[tokio::test]
    async fn read_is_repeated_once_after_a_broken_connection(
        #[case] breaks: usize,
        #[case] requests: usize,
        #[case] succeeds: bool,
    ) {
        let (api, served) = breaking_server(breaks, requests);
        let attempt = Attempt::on("get", "", "pods", "a", "b");
        let read = api.get::<serde_json::Value>(&attempt, "/pod", None).await;
        assert_eq!(read.is_ok(), succeeds, "{read:?}");
        assert_eq!(served.join().unwrap(), requests);
    }

    #[tokio::test]
    async fn change_is_not_repeated_after_a_broken_connection() {
        let (api, served) = breaking_server(1, 1);
        let attempt = Attempt::on("create", "", "pods", "a", "b");
        let request = Request::post("/evict").body(b"{}".to_vec());
        let error = api.write(&attempt, request).await.unwrap_err();
        assert!(error.may_have_taken_effect(), "{error}");
        assert_eq!(served.join().unwrap(), 1);
    }
}
