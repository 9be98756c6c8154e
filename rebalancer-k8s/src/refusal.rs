//! Responses that are not a success.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use prost::Message as _;
use rebalancer_adapter::{Secrets, read_json};
use serde::Deserialize;

use crate::attempt::Attempt;
use crate::error::K8sError;
use crate::object_meta::null_as_default;
use crate::protobuf;

/// Reason of the cause that distinguishes a PodDisruptionBudget from throttling.
const BUDGET: &str = "DisruptionBudget";

/// The fields of the API's `Status` object that are read.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
struct Status {
    #[prost(string, optional, tag = "3")]
    message: Option<String>,
    #[prost(message, optional, tag = "5")]
    details: Option<Details>,
}

#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    #[prost(message, repeated, tag = "4")]
    #[serde(default, deserialize_with = "null_as_default")]
    causes: Vec<Cause>,
    #[prost(int32, optional, tag = "5")]
    retry_after_seconds: Option<i32>,
}

#[derive(Clone, PartialEq, prost::Message, Deserialize)]
struct Cause {
    #[prost(string, optional, tag = "1")]
    reason: Option<String>,
    #[prost(string, optional, tag = "2")]
    message: Option<String>,
}

/// A refusal by the API server or by something in front of it.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: u16,
    /// The server's message.
    pub(crate) message: String,
    /// The response is from the API server and not, for example, a page of a proxy.
    pub(crate) from_api: bool,
    pub(crate) retry_after: Option<Duration>,
    /// The message about the budget that forbids an eviction.
    pub(crate) budget: Option<String>,
}

impl Status {
    /// Reads a `Status` in either format. `None` if the response is not from the API server.
    fn read(body: &Bytes) -> Option<Self> {
        #[derive(Deserialize)]
        struct Kind {
            kind: String,
        }

        match protobuf::object(body) {
            Ok(None) => read_json::<Kind>(body)
                .is_ok_and(|object| object.kind == "Status")
                .then(|| read_json(body).ok())
                .flatten(),
            // Only the API server responds in this format.
            Ok(Some(object)) => Some(Self::decode(object.message).unwrap_or_default()),
            Err(_) => Some(Self::default()),
        }
    }
}

impl Refusal {
    /// Reads a response. A response of any form yields a refusal.
    pub(crate) fn read(code: StatusCode, retry_after: Option<Duration>, body: &Bytes) -> Self {
        let status = Status::read(body);
        let from_api = status.is_some();
        let status = status.unwrap_or_default();
        let details = status.details.unwrap_or_default();
        Self {
            code: code.as_u16(),
            message: match status.message.filter(|message| !message.is_empty()) {
                Some(message) => message.replace('\n', " "),
                None if from_api => code.to_string(),
                None => excerpt(body),
            },
            from_api,
            retry_after: details
                .retry_after_seconds
                .and_then(|seconds| u64::try_from(seconds).ok())
                .filter(|seconds| *seconds > 0)
                .map(Duration::from_secs)
                .or(retry_after),
            budget: details
                .causes
                .into_iter()
                .find(|cause| cause.reason.as_deref() == Some(BUDGET))
                .map(|cause| cause.message.unwrap_or_default()),
        }
    }

    /// Returns the error for this refusal.
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
    use crate::protobuf::testing::Encoded;
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
    fn maps_the_status_code_to_an_error(#[case] code: u16, #[case] kind: PortErrorKind) {
        let body = Bytes::from_static(
            br#"{"kind":"Status","message":"the message","reason":"R","code":1}"#,
        );
        let refusal = Refusal::read(StatusCode::from_u16(code).unwrap(), None, &body);
        let error = refusal.into_error(&Attempt::list("", "pods", "a"), "https://k8s");
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().contains("the message"), "{error}");
    }

    #[test]
    fn reads_a_status_in_protobuf() {
        let details = Encoded::default().bytes(1, "a").number(5, 7);
        let body = Encoded::default()
            .bytes(1, "")
            .bytes(2, "Failure")
            .bytes(3, "pods \"a\" not found")
            .bytes(4, "NotFound")
            .bytes(5, details.0)
            .number(6, 404)
            .response("Status");
        let refusal = Refusal::read(StatusCode::NOT_FOUND, None, &body);
        assert!(refusal.from_api);
        assert_eq!(refusal.message, "pods \"a\" not found");
        assert_eq!(refusal.retry_after, Some(Duration::from_secs(7)));
        let cut = Refusal::read(StatusCode::NOT_FOUND, None, &body.slice(..20));
        assert_eq!(cut.message, "404 Not Found");
    }

    #[test]
    fn shortens_a_page_of_a_proxy_to_one_line() {
        let body = format!("<html>\n<h1>Bad gateway</h1>{}", "x".repeat(1000));
        let refusal = Refusal::read(StatusCode::BAD_GATEWAY, None, &body.into());
        assert!(!refusal.from_api);
        assert!(
            refusal
                .message
                .starts_with("<html> <h1>Bad gateway</h1>xxx")
        );
        assert!(refusal.message.chars().count() <= 201);
    }

    #[test]
    fn details_take_precedence_over_the_retry_after_header() {
        let header = Some(Duration::from_secs(1));
        let read = |body: &'static [u8]| {
            let body = Bytes::from_static(body);
            Refusal::read(StatusCode::TOO_MANY_REQUESTS, header, &body).retry_after
        };
        assert_eq!(read(b"Too many requests"), header);
        assert_eq!(
            read(br#"{"kind":"Status","details":{"retryAfterSeconds":10}}"#),
            Some(Duration::from_secs(10))
        );
    }
}
