//! Requests to the API server: sent, timed, bounded in time, their answers told apart.

use std::error::Error as StdError;
use std::fmt::Display;
use std::time::{Duration, Instant};

use http::{Request, Response, StatusCode, Uri, header};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use kube::client::Body;
use kube::core::params::ListParams;
use rebalancer_adapter::{causes, read_json};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::connect::{Connection, address};
use crate::error::{Attempt, K8sError, Source};
use crate::protobuf::Malformed;
use crate::refusal::Refusal;

/// How often a request that only reads is sent again when the server is too busy.
const READ_RETRIES: u32 = 2;
/// The longest wait before such a request is sent again, whatever the server asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How often a listing is begun again when its continue token expired meanwhile.
const LISTINGS: u32 = 3;

/// Asks for the metadata of objects alone; who does not know the format answers with all.
pub(crate) const METADATA_LIST: &str =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";
/// The same for one object.
pub(crate) const METADATA: &str =
    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";

/// The API server, as this adapter uses it.
#[derive(Clone)]
pub(crate) struct Api {
    connection: Connection,
}

/// The head of an answer; the body is in the buffer it was read into.
struct Answer {
    code: StatusCode,
    retry_after: Option<Duration>,
    /// The body was lost after the head: only the code can be relied on.
    lost: Option<K8sError>,
}

/// Takes in the pages of a listing.
pub(crate) trait Pages {
    /// The listing begins again: what was taken in so far is void.
    fn restart(&mut self);

    /// Takes in one page.
    fn page(&mut self, body: &[u8]) -> Result<PageEnd, BadPage>;
}

/// A page that is not of the expected form.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadPage {
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Protobuf(#[from] Malformed),
    #[error("`{0}` is not a quantity of CPU such as `100m`")]
    Quantity(String),
    #[error("an object without name or UID")]
    Nameless,
    #[error("it is {}, and not a {expected}List", of_kind(.found))]
    NotTheList {
        /// The kind of the objects that were asked for.
        expected: &'static str,
        /// The kind that the answer says it is of.
        found: String,
    },
}

fn of_kind(kind: &str) -> String {
    match kind {
        "" => "an object without a kind".to_owned(),
        kind => format!("of kind {kind}"),
    }
}

/// Fails unless an answer is of the list that was asked for. A list of no objects, and an object of
/// something else than the API, are alike but for that.
pub(crate) fn check_list(expected: &'static str, found: &str) -> Result<(), BadPage> {
    if found.strip_suffix("List") == Some(expected) || found == "PartialObjectMetadataList" {
        return Ok(());
    }
    Err(BadPage::NotTheList {
        expected,
        found: found.to_owned(),
    })
}

/// What a page says of itself.
#[derive(Debug)]
pub(crate) struct PageEnd {
    /// Objects on this page.
    pub(crate) items: usize,
    /// Where the next one begins; `None` after the last.
    pub(crate) next: Option<String>,
    /// Enough was seen: the rest is not wanted.
    pub(crate) enough: bool,
}

/// One page of a list, of whatever `T` keeps of each object.
#[derive(Deserialize)]
pub(crate) struct Page<T> {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    metadata: ListMetadata,
    // A list without items is `null` in some answers.
    items: Option<Vec<T>>,
}

/// What every answer of the API is.
#[derive(Deserialize)]
struct AnyObject {
    #[serde(rename = "kind")]
    _kind: serde::de::IgnoredAny,
}

#[derive(Deserialize, Default)]
struct ListMetadata {
    #[serde(rename = "continue")]
    next: Option<String>,
}

impl<T> Page<T> {
    /// The objects, which are to be of that kind, and the end of the page.
    pub(crate) fn split(self, kind: &'static str) -> Result<(Vec<T>, PageEnd), BadPage> {
        check_list(kind, &self.kind)?;
        let items = self.items.unwrap_or_default();
        let end = PageEnd {
            items: items.len(),
            next: self.metadata.next.filter(|token| !token.is_empty()),
            enough: false,
        };
        Ok((items, end))
    }
}

/// Keeps every object as it is; for lists that are short.
struct Collect<T> {
    kind: &'static str,
    objects: Vec<T>,
}

impl<T: DeserializeOwned> Pages for Collect<T> {
    fn restart(&mut self) {
        self.objects.clear();
    }

    fn page(&mut self, body: &[u8]) -> Result<PageEnd, BadPage> {
        let (items, end) = read_json::<Page<T>>(body)?.split(self.kind)?;
        self.objects.extend(items);
        Ok(end)
    }
}

impl Api {
    pub(crate) fn new(connection: Connection) -> Self {
        Self { connection }
    }

    /// The API server's address, for messages.
    pub(crate) fn server(&self) -> &str {
        &self.connection.server
    }

    /// The present instant by the API server's clock, see [`Connection::now`].
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
        let mut body = Vec::new();
        self.read(attempt, 1, path, accept, &mut body).await?;
        read_json(&body).map_err(|error| self.bad_answer(attempt, &error))
    }

    /// Gets one object as it comes, to be borrowed from.
    pub(crate) async fn get_bytes(
        &self,
        attempt: &Attempt,
        path: &str,
    ) -> Result<Vec<u8>, K8sError> {
        let mut body = Vec::new();
        self.read(attempt, 1, path, None, &mut body).await?;
        Ok(body)
    }

    /// Lists objects of a kind of which there are few.
    pub(crate) async fn list<T: DeserializeOwned>(
        &self,
        attempt: &Attempt,
        kind: &'static str,
        path: &str,
        params: &ListParams,
    ) -> Result<Vec<T>, K8sError> {
        let objects = Vec::new();
        let mut pages = Collect { kind, objects };
        self.list_pages(attempt, path, params, None, &mut pages)
            .await?;
        Ok(pages.objects)
    }

    /// Lists objects page by page.
    ///
    /// The pages are of one instant. Where the server no longer knows that instant (410) the
    /// listing begins again: going on from a later one could show a pod twice or not at all.
    pub(crate) async fn list_pages(
        &self,
        attempt: &Attempt,
        path: &str,
        params: &ListParams,
        accept: Option<&'static str>,
        pages: &mut impl Pages,
    ) -> Result<(), K8sError> {
        let mut body = Vec::new();
        let mut listings = 1;
        let mut page = 1;
        let mut params = params.clone();
        loop {
            let request = kube::core::Request::new(path)
                .list(&params)
                .map_err(|error| K8sError::Rejected {
                    attempt: Box::new(attempt.clone()),
                    code: 400,
                    message: error.to_string(),
                })?;
            let read = self
                .read(attempt, page, &request.uri().to_string(), accept, &mut body)
                .await;
            match read {
                Err(K8sError::Rejected { code: 410, .. })
                    if params.continue_token.is_some() && listings < LISTINGS =>
                {
                    tracing::debug!(%attempt, page, "the listing expired and begins again");
                    pages.restart();
                    params.continue_token = None;
                    listings += 1;
                    page = 1;
                    continue;
                }
                other => other?,
            }
            let end = pages
                .page(&body)
                .map_err(|error| self.bad_answer(attempt, &error))?;
            tracing::debug!(verb = attempt.verb, resource = %attempt.resource, page, count = end.items, "listed");
            if end.enough || end.next.is_none() {
                return Ok(());
            }
            params.continue_token = end.next;
            page += 1;
        }
    }

    /// Sends a request that only reads, and reads the answer of a success into `body`.
    ///
    /// Since nothing changes by it, it is sent again when the server says that it is too busy.
    async fn read(
        &self,
        attempt: &Attempt,
        page: u32,
        path: &str,
        accept: Option<&'static str>,
        body: &mut Vec<u8>,
    ) -> Result<(), K8sError> {
        let mut retries = 0;
        loop {
            let request = Request::get(path)
                .header(header::ACCEPT, accept.unwrap_or("application/json"))
                .body(Vec::new());
            let answer = self.exchange(attempt, page, request, body).await?;
            if let Some(lost) = answer.lost {
                return Err(lost);
            }
            if answer.code.is_success() {
                return Ok(());
            }
            let refusal = Refusal::read(answer.code, answer.retry_after, body);
            if !matches!(refusal.code, 429 | 503) || retries == READ_RETRIES {
                return Err(refusal.into_error(attempt, self.server()));
            }
            let wait = refusal
                .retry_after
                .unwrap_or(Duration::from_secs(1))
                .min(LONGEST_WAIT);
            tracing::debug!(%attempt, code = refusal.code, message = refusal.message, ?wait, "too busy, asked again");
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
        let mut body = Vec::new();
        let answer = self.exchange(attempt, 1, request, &mut body).await?;
        if answer.code.is_success() {
            // Where the rest was lost the head alone says that it succeeded. A page that came in
            // full (of a login, say) says nothing: the API answers with an object.
            if answer.lost.is_none() {
                read_json::<AnyObject>(&body).map_err(|error| self.bad_answer(attempt, &error))?;
            }
            return Ok(None);
        }
        Ok(Some(Refusal::read(answer.code, answer.retry_after, &body)))
    }

    /// The same, and reads what is there afterwards. A success whose object was lost on the way is
    /// an error, although it took effect.
    pub(crate) async fn write_for<T: DeserializeOwned>(
        &self,
        attempt: &Attempt,
        request: Result<Request<Vec<u8>>, http::Error>,
    ) -> Result<Result<T, Refusal>, K8sError> {
        let mut body = Vec::new();
        let answer = self.exchange(attempt, 1, request, &mut body).await?;
        if !answer.code.is_success() {
            return Ok(Err(Refusal::read(answer.code, answer.retry_after, &body)));
        }
        if let Some(lost) = answer.lost {
            return Err(lost);
        }
        read_json(&body)
            .map(Ok)
            .map_err(|error| self.bad_answer(attempt, &error))
    }

    async fn exchange(
        &self,
        attempt: &Attempt,
        page: u32,
        request: Result<Request<Vec<u8>>, http::Error>,
        body: &mut Vec<u8>,
    ) -> Result<Answer, K8sError> {
        let request = request.map_err(|error| K8sError::Rejected {
            attempt: Box::new(attempt.clone()),
            code: 400,
            message: error.to_string(),
        })?;
        let started = Instant::now();
        let deadline = tokio::time::Instant::now() + self.connection.request_timeout;
        let mut response = self.send(attempt, request.clone(), deadline).await?;
        // Such a request went no further: certainly nothing was done, and it may be sent again.
        if response.status() == StatusCode::UNAUTHORIZED && self.connection.renew_credentials() {
            tracing::debug!(%attempt, "not authorized (401), credentials read again");
            response = self.send(attempt, request, deadline).await?;
        }
        // Not followed: our credentials are for this server, and what a request changes must be
        // changed by whom it was sent to.
        if response.status().is_redirection() {
            return Err(K8sError::Redirect {
                attempt: Box::new(attempt.clone()),
                server: self.server().to_owned(),
                status: response.status().as_u16(),
                location: self.connection.secrets().hide(&location(&response)),
            });
        }
        let (head, mut stream) = response.into_parts();
        body.clear();
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
            // Its words are shown, and whatever stands before the API may send back our own.
            *body = self.connection.secrets().hide_in(body, usize::MAX);
        }
        Ok(Answer {
            code: head.status,
            retry_after: head
                .headers
                .get(header::RETRY_AFTER)
                .and_then(|value| value.to_str().ok()?.parse().ok())
                .map(Duration::from_secs),
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

    /// What an answer that is not of the expected form means.
    pub(crate) fn bad_answer(&self, attempt: &Attempt, error: &impl Display) -> K8sError {
        K8sError::BadAnswer {
            attempt: Box::new(attempt.clone()),
            server: self.server().to_owned(),
            // It may quote the answer.
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

    /// Tells what broke a request: the client's errors are nested boxes.
    fn lost(&self, attempt: &Attempt, source: Source) -> K8sError {
        let mut found = Found::default();
        found.look(source.as_ref());
        let attempt = Box::new(attempt.clone());
        let server = self.server().to_owned();
        let sent = !found.never_sent;
        let detail = found.innermost;
        if let Some(detail) = found.credentials {
            K8sError::Credentials {
                attempt,
                server,
                detail,
            }
        } else if found.tls {
            K8sError::Tls {
                attempt,
                server,
                detail,
                sent,
                source,
            }
        } else if found.timeout {
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

/// Where a redirect leads, without user name, password and parameters.
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

/// What a chain of errors holds.
#[derive(Default)]
struct Found {
    never_sent: bool,
    tls: bool,
    timeout: bool,
    credentials: Option<String>,
    innermost: String,
}

impl Found {
    fn look(&mut self, error: &(dyn StdError + 'static)) {
        for error in causes(error) {
            if let Some(client) = error.downcast_ref::<hyper_util::client::legacy::Error>() {
                self.never_sent |= client.is_connect();
            }
            if error.is::<rustls::Error>() {
                self.tls = true;
            }
            if let Some(auth) = error.downcast_ref::<kube::client::AuthError>() {
                self.never_sent = true;
                self.credentials = Some(auth_detail(auth));
            }
            self.innermost = error.to_string();
            if let Some(io) = error.downcast_ref::<std::io::Error>() {
                self.timeout |= io.kind() == std::io::ErrorKind::TimedOut;
            }
        }
    }
}

/// What became of our credentials. The client's own words would show what the plugin printed and
/// was given, tokens included.
pub(crate) fn auth_detail(error: &kube::client::AuthError) -> String {
    if let kube::client::AuthError::AuthExecRun { out, .. } = error {
        let complaint = String::from_utf8_lossy(&out.stderr);
        let complaint = complaint.lines().next().unwrap_or_default();
        return format!(
            "the credential plugin of the kubeconfig failed ({}): {complaint}",
            out.status
        );
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use std::io;

    #[rstest]
    #[case(
        Some("https://me:word@other:8443/a/b?token=x#y"),
        "https://other:8443/a/b"
    )]
    #[case(Some("/login?token=x"), "/login")]
    #[case(Some("a b"), "no valid address")]
    #[case(None, "nowhere")]
    fn where_a_redirect_leads_shows_no_secret(#[case] to: Option<&str>, #[case] shown: &str) {
        let mut response = Response::builder();
        if let Some(to) = to {
            response = response.header(header::LOCATION, to);
        }
        assert_eq!(location(&response.body(()).unwrap()), shown);
    }

    fn found(error: impl Into<Source>) -> Found {
        let mut found = Found::default();
        found.look(error.into().as_ref());
        found
    }

    #[test]
    fn a_tls_error_inside_an_io_error_is_found() {
        let error = found(io::Error::new(
            io::ErrorKind::InvalidData,
            rustls::Error::General("no trust".into()),
        ));
        assert!(error.tls);
        assert!(error.innermost.contains("no trust"), "{}", error.innermost);
    }

    #[test]
    fn a_timeout_is_found() {
        assert!(
            found(io::Error::new(
                io::ErrorKind::TimedOut,
                "deadline has elapsed"
            ))
            .timeout
        );
        assert!(!found(io::Error::other("reset")).timeout);
    }

    #[test]
    fn what_a_credential_plugin_printed_is_not_shown() {
        use std::os::unix::process::ExitStatusExt as _;
        let error = kube::client::AuthError::AuthExecRun {
            cmd: "TOKEN=s3cret get-token".into(),
            out: Box::new(std::process::Output {
                status: std::process::ExitStatus::from_raw(256),
                stdout: b"s3cret".to_vec(),
                stderr: b"not logged in\nmore".to_vec(),
            }),
        };
        let detail = found(error).credentials.unwrap();
        assert!(detail.ends_with("not logged in"), "{detail}");
        assert!(!detail.contains("s3cret"));
    }
}
