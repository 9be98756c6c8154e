//! The faults that a proxy injects.

use std::{fmt, time::Duration};

use serde_json::{Value, json};

/// A fault that is injected into a call. Unless stated otherwise, the server does not receive the
/// call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The connection is reset.
    Reset,
    /// The server executes the call; then the connection is reset instead of a response.
    ResetAfter,
    /// The connection stays open without a response.
    Stall,
    /// The server executes the call; then the connection stays open without a response.
    StallAfter,
    /// The server executes the call; the connection is closed in the middle of the response body.
    Truncate,
    /// The sending side of the connection is closed, and nothing more is read from it.
    HalfOpen,
    /// A canned response.
    Answer(Canned),
    /// The server executes the call; a canned response replaces its response.
    AnswerAfter(Canned),
    /// The server executes the call and responds; then the keep-alive connection is closed.
    CloseAfter,
    /// The server receives the call after a delay.
    Latency(Duration),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reset => f.write_str("reset"),
            Self::ResetAfter => f.write_str("reset after execution"),
            Self::Stall => f.write_str("stalled"),
            Self::StallAfter => f.write_str("stalled after execution"),
            Self::Truncate => f.write_str("response cut in half"),
            Self::HalfOpen => f.write_str("half closed"),
            Self::Answer(canned) => write!(f, "answered with {}", canned.status),
            Self::AnswerAfter(canned) => {
                write!(f, "answered with {} after execution", canned.status)
            }
            Self::CloseAfter => f.write_str("closed after the response"),
            Self::Latency(delay) => write!(f, "{delay:?} late"),
        }
    }
}

/// A response that does not come from the real server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canned {
    pub(super) status: u16,
    content_type: &'static str,
    retry_after: Option<u32>,
    body: String,
}

impl Canned {
    /// An error response of the Kubernetes API: a `Status` with a reason and a message.
    #[must_use]
    pub fn api(status: u16, reason: &str, message: &str) -> Self {
        let body = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": reason, "code": status,
        });
        Self {
            status,
            content_type: "application/json",
            retry_after: None,
            body: body.to_string(),
        }
    }

    /// A response of Prometheus with this data, which the server reports as incomplete.
    #[must_use]
    pub fn partial(data: &Value) -> Self {
        Self {
            status: 200,
            content_type: "application/json",
            retry_after: None,
            body: json!({"status": "success", "isPartial": true, "data": data}).to_string(),
        }
    }

    /// An HTML page, as a proxy between the program and the server would return it.
    #[must_use]
    pub fn page(status: u16, text: &str) -> Self {
        Self {
            status,
            content_type: "text/html",
            retry_after: None,
            body: format!("<html>{text}</html>"),
        }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Whether the response is a page, not an object of the Kubernetes API.
    #[must_use]
    pub fn is_page(&self) -> bool {
        self.content_type == "text/html"
    }

    /// Adds a `Retry-After` header.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let Self {
            status,
            content_type,
            body,
            ..
        } = self;
        let retry_after = self
            .retry_after
            .map(|seconds| format!("Retry-After: {seconds}\r\n"))
            .unwrap_or_default();
        let head = format!(
            "HTTP/1.1 {status} Canned\r\nContent-Type: {content_type}\r\n{retry_after}\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        (head + body).into_bytes()
    }
}

/// The calls of one name that a fault applies to, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Only this call.
    Only(usize),
    /// This call and all later ones.
    From(usize),
}

impl Turn {
    pub(super) fn is(self, number: usize) -> bool {
        match self {
            Self::Only(turn) => number == turn,
            Self::From(turn) => number >= turn,
        }
    }
}
