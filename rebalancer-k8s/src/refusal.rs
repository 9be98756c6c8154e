//! An answer that is not a success.

use std::time::Duration;

use http::StatusCode;
use rebalancer_adapter::{Secrets, read_json};
use serde::Deserialize;

use crate::error::{Attempt, K8sError};
use crate::protobuf::{self, Fields, Object, Value};

/// The reason of a cause by which a PodDisruptionBudget is told from throttling.
const BUDGET: &str = "DisruptionBudget";

/// The `Status` object of the API, as far as we read it.
#[derive(Debug, Default, Deserialize)]
struct Status {
    kind: String,
    message: Option<String>,
    details: Option<Details>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    causes: Option<Vec<Cause>>,
    retry_after_seconds: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
struct Cause {
    reason: Option<String>,
    message: Option<String>,
}

/// A refusal, whether a Kubernetes API or something before it gave it.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: u16,
    /// The server's words.
    pub(crate) message: String,
    /// The answer is the API's own and not, say, a proxy's page.
    pub(crate) from_api: bool,
    pub(crate) retry_after: Option<Duration>,
    /// The message about the budget that forbids an eviction.
    pub(crate) budget: Option<String>,
}

impl Status {
    /// The same in the API's other format, in which lists of pods are asked for; what cannot be
    /// read is left out.
    fn from_protobuf(status: Option<Object<'_>>) -> Self {
        let mut read = Self::default();
        for field in Fields::of(status.map_or(&[], |status| status.bytes)).flatten() {
            match field {
                (3, Value::Bytes(message)) => read.message = words(message),
                (5, Value::Bytes(details)) => {
                    let retry_after_seconds =
                        Fields::of(details).flatten().find_map(|field| match field {
                            (5, Value::Number(seconds)) => u32::try_from(seconds).ok(),
                            _ => None,
                        });
                    read.details = Some(Details {
                        causes: None,
                        retry_after_seconds: retry_after_seconds.filter(|&seconds| seconds > 0),
                    });
                }
                _ => {}
            }
        }
        read
    }
}

fn words(text: &[u8]) -> Option<String> {
    Some(String::from_utf8_lossy(text).into_owned()).filter(|text| !text.is_empty())
}

impl Refusal {
    /// Reads the answer; whatever it holds, something comes of it.
    pub(crate) fn read(code: StatusCode, retry_after: Option<Duration>, body: &[u8]) -> Self {
        let status = match protobuf::object(body) {
            Ok(None) => read_json::<Status>(body)
                .ok()
                .filter(|status| status.kind == "Status"),
            // Whoever speaks this format is the API.
            found => Some(found.map_or_else(|_| Status::default(), Status::from_protobuf)),
        };
        let from_api = status.is_some();
        let status = status.unwrap_or_default();
        let details = status.details.unwrap_or_default();
        Self {
            code: code.as_u16(),
            message: match status.message {
                Some(words) => words.replace('\n', " "),
                None if from_api => code.to_string(),
                None => excerpt(body),
            },
            from_api,
            retry_after: details
                .retry_after_seconds
                .map(|seconds| Duration::from_secs(seconds.into()))
                .or(retry_after),
            budget: details
                .causes
                .unwrap_or_default()
                .into_iter()
                .find(|cause| cause.reason.as_deref() == Some(BUDGET))
                .map(|cause| cause.message.unwrap_or_default()),
        }
    }

    /// The error of a request that only reads.
    pub(crate) fn into_error(self, attempt: &Attempt, server: &str) -> K8sError {
        let attempt = Box::new(attempt.clone());
        let server = server.to_owned();
        let Self {
            code,
            message,
            from_api,
            ..
        } = self;
        match code {
            401 => K8sError::Unauthorized {
                attempt,
                server,
                message,
            },
            403 => K8sError::Forbidden { attempt, message },
            404 => K8sError::NotFound {
                from_api,
                attempt,
                message,
            },
            429 => K8sError::Throttled {
                attempt,
                server,
                message,
            },
            400..=499 => K8sError::Rejected {
                attempt,
                code,
                message,
            },
            500.. => K8sError::Server {
                attempt,
                server,
                code,
                message,
            },
            _ => K8sError::BadAnswer {
                attempt,
                server,
                detail: format!("HTTP status {code}: {message}"),
            },
        }
    }
}

/// The beginning of a body on one line. The caller removed the secrets from the body.
fn excerpt(body: &[u8]) -> String {
    let line = rebalancer_adapter::excerpt(body, &Secrets::default());
    if line.is_empty() {
        return "the answer is empty".to_owned();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protobuf::testing::Message;
    use rebalancer_core::ports::PortErrorKind;
    use rstest::rstest;

    #[rstest]
    #[case(401, PortErrorKind::Unauthorized)]
    #[case(403, PortErrorKind::Forbidden)]
    #[case(404, PortErrorKind::NotFound)]
    #[case(400, PortErrorKind::Rejected)]
    #[case(410, PortErrorKind::Rejected)]
    #[case(422, PortErrorKind::Rejected)]
    #[case(429, PortErrorKind::Server)]
    #[case(500, PortErrorKind::Server)]
    #[case(503, PortErrorKind::Server)]
    #[case(302, PortErrorKind::BadAnswer)]
    fn a_status_becomes_an_error(#[case] code: u16, #[case] kind: PortErrorKind) {
        let body = br#"{"kind":"Status","message":"the words","reason":"R","code":1}"#;
        let refusal = Refusal::read(StatusCode::from_u16(code).unwrap(), None, body);
        let error = refusal.into_error(&Attempt::list("", "pods", "a"), "https://k8s");
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().contains("the words"), "{error}");
    }

    #[test]
    fn a_status_in_protobuf_is_read() {
        let details = Message::default().bytes(1, "a").number(5, 7);
        let body = Message::default()
            .bytes(1, "")
            .bytes(2, "Failure")
            .bytes(3, "pods \"a\" not found")
            .bytes(4, "NotFound")
            .bytes(5, details.0)
            .number(6, 404)
            .answer("Status");
        let refusal = Refusal::read(StatusCode::NOT_FOUND, None, &body);
        assert!(refusal.from_api);
        assert_eq!(refusal.message, "pods \"a\" not found");
        assert_eq!(refusal.retry_after, Some(Duration::from_secs(7)));
        let cut = Refusal::read(StatusCode::NOT_FOUND, None, &body[..20]);
        assert_eq!(cut.message, "404 Not Found");
    }

    #[test]
    fn a_page_of_a_proxy_is_cut_to_one_line() {
        let body = format!("<html>\n<h1>Bad gateway</h1>{}", "x".repeat(1000));
        let refusal = Refusal::read(StatusCode::BAD_GATEWAY, None, body.as_bytes());
        assert!(!refusal.from_api);
        assert!(
            refusal
                .message
                .starts_with("<html> <h1>Bad gateway</h1>xxx")
        );
        assert!(refusal.message.chars().count() <= 201);
    }

    #[test]
    fn the_header_says_when_to_retry_unless_the_details_do() {
        let header = Some(Duration::from_secs(1));
        let read =
            |body: &[u8]| Refusal::read(StatusCode::TOO_MANY_REQUESTS, header, body).retry_after;
        assert_eq!(read(b"Too many requests"), header);
        assert_eq!(
            read(br#"{"kind":"Status","details":{"retryAfterSeconds":10}}"#),
            Some(Duration::from_secs(10))
        );
    }
}
