//! The faults, and the messages of the program about them.

use std::time::Duration;

use ::harness::proxy::{Canned, Fault};

/// A way in which a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Connection reset; the server never received the call.
    Reset,
    /// Connection reset instead of the response.
    ResetAfter,
    /// No response; the server never received the call.
    Stall,
    /// No response, although the server sent one.
    StallAfter,
    /// The other side has closed its half of the connection.
    HalfOpen,
    /// The response is cut in the middle.
    Truncate,
    /// 200 with an HTML page that is not from the server.
    LoginPage,
    /// 404 with such a page.
    NoSuchPage,
    /// 502 with such a page.
    Gateway,
    /// 504 with such a page, although the server executed the call.
    GatewayAfter,
    /// 500 from the server itself.
    Broken,
    /// 500 from the server itself, which lost its store right after the store executed the call.
    BrokenAfter,
    /// 503 from the server itself, with a Retry-After of one second.
    Busy,
    /// 429 from the server itself, with a Retry-After of one second.
    Throttled,
    /// 401.
    Unauthorized,
    /// 403.
    Forbidden,
    /// 409.
    Conflict,
    /// 410.
    Expired,
    /// The connection is closed after the response without notice.
    CloseAfter,
    /// A response that is slow but within the timeout.
    Latency,
}

impl Kind {
    /// All faults.
    pub(crate) const ALL: [Self; 20] = [
        Self::Reset,
        Self::ResetAfter,
        Self::Stall,
        Self::StallAfter,
        Self::HalfOpen,
        Self::Truncate,
        Self::LoginPage,
        Self::NoSuchPage,
        Self::Gateway,
        Self::GatewayAfter,
        Self::Broken,
        Self::BrokenAfter,
        Self::Busy,
        Self::Throttled,
        Self::Unauthorized,
        Self::Forbidden,
        Self::Conflict,
        Self::Expired,
        Self::CloseAfter,
        Self::Latency,
    ];

    /// The action of the proxy.
    pub(crate) fn fault(self) -> Fault {
        let api = |code, reason, message| Fault::Answer(Canned::api(code, reason, message));
        match self {
            Self::Reset => Fault::Reset,
            Self::ResetAfter => Fault::ResetAfter,
            Self::Stall => Fault::Stall,
            Self::StallAfter => Fault::StallAfter,
            Self::HalfOpen => Fault::HalfOpen,
            Self::Truncate => Fault::Truncate,
            Self::LoginPage => Fault::Answer(Canned::page(200, "please log in")),
            Self::NoSuchPage => Fault::Answer(Canned::page(404, "no such page")),
            Self::Gateway => Fault::Answer(Canned::page(502, "bad gateway")),
            Self::GatewayAfter => Fault::AnswerAfter(Canned::page(504, "gateway timeout")),
            Self::BrokenAfter => Fault::AnswerAfter(Canned::api(
                500,
                "InternalError",
                "etcdserver: leader changed",
            )),
            Self::CloseAfter => Fault::CloseAfter,
            Self::Broken => api(500, "InternalError", "out of cheese"),
            Self::Busy => {
                Fault::Answer(Canned::api(503, "ServiceUnavailable", "starting up").retry_after(1))
            }
            Self::Throttled => Fault::Answer(
                Canned::api(429, "TooManyRequests", "too many requests").retry_after(1),
            ),
            Self::Unauthorized => api(401, "Unauthorized", "Unauthorized"),
            Self::Forbidden => api(
                403,
                "Forbidden",
                "User \"x\" cannot do this to resource \"y\"",
            ),
            Self::Conflict => api(
                409,
                "Conflict",
                "the object has been modified; please apply your changes to the latest version",
            ),
            Self::Expired => api(410, "Expired", "too old resource version"),
            Self::Latency => Fault::Latency(Duration::from_millis(300)),
        }
    }

    /// Whether the call lasts until the program's own timeout.
    pub(crate) fn stalls(self) -> bool {
        matches!(self, Self::Stall | Self::StallAfter)
    }

    /// Whether every call still gets its response.
    pub(crate) fn is_harmless(self) -> bool {
        matches!(self, Self::CloseAfter | Self::Latency)
    }

    /// Whether the request takes effect and its response is lost.
    pub(crate) fn takes_effect(self) -> bool {
        matches!(
            self,
            Self::ResetAfter | Self::StallAfter | Self::GatewayAfter | Self::BrokenAfter
        )
    }

    /// Whether a read of the Kubernetes API succeeds after one such fault.
    pub(crate) fn is_survived_by_reads(self) -> bool {
        self.is_harmless()
            || matches!(
                self,
                Self::Busy
                    | Self::Throttled
                    | Self::Reset
                    | Self::ResetAfter
                    | Self::HalfOpen
                    | Self::Truncate
            )
    }

    /// The message about a read of the Kubernetes API with this fault.
    pub(crate) fn words_of_kubernetes(self) -> &'static str {
        match self {
            Self::Reset | Self::ResetAfter | Self::HalfOpen | Self::Truncate => "cannot be reached",
            Self::Stall | Self::StallAfter => "did not answer within",
            Self::LoginPage => "does not have the expected form",
            Self::NoSuchPage => "(404)",
            Self::Gateway => "failed (502): <html>bad gateway</html>",
            Self::GatewayAfter => "failed (504): <html>gateway timeout</html>",
            Self::BrokenAfter => "failed (500): etcdserver: leader changed",
            Self::Broken => "failed (500): out of cheese",
            Self::Busy => "failed (503): starting up",
            Self::Throttled => "is throttling us (429): too many requests",
            Self::Unauthorized => "does not accept our credentials (401)",
            Self::Forbidden => "grant verb",
            Self::Conflict => "refused the request (409)",
            Self::Expired => "refused the request (410)",
            Self::CloseAfter | Self::Latency => "",
        }
    }

    /// The message about a query with this fault.
    pub(crate) fn words_of_prometheus(self) -> &'static str {
        match self {
            Self::Reset | Self::ResetAfter | Self::HalfOpen | Self::Truncate => {
                "the connection was closed before the whole response was received"
            }
            Self::Stall | Self::StallAfter => "no response within 5s; increase PROMETHEUS_TIMEOUT",
            Self::LoginPage => "not a Prometheus API response",
            Self::NoSuchPage => "HTTP 404",
            Self::Gateway => "HTTP 502",
            Self::GatewayAfter => "HTTP 504",
            Self::Broken | Self::BrokenAfter => "HTTP 500",
            Self::Busy => "HTTP 503",
            Self::Throttled => "HTTP 429",
            Self::Unauthorized => "HTTP 401",
            Self::Forbidden => "HTTP 403",
            Self::Conflict => "HTTP 409",
            Self::Expired => "HTTP 410",
            Self::CloseAfter | Self::Latency => "",
        }
    }
}
