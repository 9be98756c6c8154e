//! The response to a query: its samples, or why it has none.

use std::fmt;
#[cfg(feature = "fuzzing")]
use std::sync::Arc;

use rebalancer_adapter::{Secrets, excerpt, excerpt_up_to, read_json};
use reqwest::StatusCode;
use tracing::debug;

use serde::Deserialize;

use crate::envelope::{Head, QueryResult, RangeSeries, RawSeries, Sample, Text};
use crate::error::{PromError, Purpose, SentQuery};
#[cfg(feature = "fuzzing")]
use crate::{error::Destination, method::QueryMethod};

/// The maximum length of a query in a message, in characters.
const QUERY_CHARS: usize = 500;
/// The maximum number of a server's warnings in a message.
const WARNINGS: usize = 5;

/// The response to a query, as received.
#[derive(Debug)]
pub(crate) struct QueryResponse {
    pub(crate) sent: SentQuery,
    /// The PromQL.
    pub(crate) query: String,
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
    /// The secrets of the request, which the server may have sent back.
    pub(crate) secrets: Secrets,
}

/// The beginning of a warning that is only a note about the query. Prometheus up to 2.53 and Thanos
/// have no other place for notes; Prometheus 3 has `infos`.
const NOTE: &str = "PromQL info:";

/// The samples of an instant vector, or the series of a matrix.
#[derive(Debug)]
pub(crate) struct Samples<S> {
    pub(crate) samples: Vec<S>,
    /// Why the response may be incomplete.
    pub(crate) partial: Option<PartialResponse>,
}

impl QueryResponse {
    /// A response to a load query that was not sent.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn for_fuzzing(status: StatusCode, body: &[u8], secrets: Secrets) -> Self {
        Self {
            sent: SentQuery {
                purpose: Purpose::Load,
                destination: Arc::new(Destination {
                    url: "http://prometheus:9090/api/v1/query".to_owned(),
                    method: QueryMethod::Post,
                    proxy: None,
                    client_certificate: false,
                }),
            },
            query: "up".to_owned(),
            status,
            body: body.to_owned(),
            secrets,
        }
    }

    /// Returns the instant vector of a successful response.
    pub(crate) fn samples(&self) -> Result<Samples<Sample<'_>>, PromError> {
        self.result("vector")
    }

    /// Returns the series of a successful response to a query for raw samples.
    pub(crate) fn series(&self) -> Result<Samples<RawSeries<'_>>, PromError> {
        self.result("matrix")
    }

    /// Returns the series of a successful response, with the values of their samples: that of a
    /// range query, or of a query for a range.
    pub(crate) fn range(&self) -> Result<Samples<RangeSeries<'_>>, PromError> {
        self.result("matrix")
    }

    fn result<'a, S: Deserialize<'a>>(
        &'a self,
        expected_type: &str,
    ) -> Result<Samples<S>, PromError> {
        let mut head: Head<'_, QueryResult<'_, S>> =
            read_json(&self.body).map_err(|error| self.error(expected_type, &error.to_string()))?;
        let succeeded = self.status.is_success() && head.status.0 == "success";
        let samples = head
            .data
            .take()
            .filter(|data| succeeded && data.result_type.0 == expected_type)
            .ok_or_else(|| self.error(expected_type, "its parts contradict each other"))?
            .result;
        let purpose = self.sent.purpose;
        let warnings = head.warnings.iter().flatten();
        let notes = warnings.filter(|warning| is_note(warning));
        for note in head.infos.iter().flatten().chain(notes) {
            debug!(%purpose, note = self.excerpt(note.0.as_bytes()), "the server has a note");
        }
        debug!(%purpose, samples = samples.len(), "samples received");
        Ok(Samples {
            samples,
            partial: self.partial(&head),
        })
    }

    /// The error for samples that are not plain numbers.
    pub(crate) fn wrong_type(&self, found: &str) -> PromError {
        PromError::WrongResultType {
            sent: self.sent.clone(),
            found: found.to_owned(),
            query: self.query_excerpt(),
        }
    }

    /// Returns a text of the server without secrets.
    pub(crate) fn without_secrets(&self, text: &str) -> String {
        self.secrets.hide(text)
    }

    fn excerpt(&self, text: &[u8]) -> String {
        excerpt(text, &self.secrets)
    }

    fn query_excerpt(&self) -> String {
        excerpt_up_to(QUERY_CHARS, self.query.as_bytes(), &Secrets::default())
    }

    /// The error for a response without an instant vector. `otherwise` is the reason if the
    /// response claims to have the expected type. Reads the body a second time, which only a
    /// failure needs.
    fn error(&self, expected_type: &str, otherwise: &str) -> PromError {
        match read_json::<Head<'_>>(&self.body) {
            Ok(head) if head.status.0 == "error" => self.api_error(&head),
            _ if !self.status.is_success() => self.bad_status(self.excerpt(&self.body)),
            Ok(head) if head.status.0 == "success" => match &head.data {
                Some(data) if data.result_type.0 == expected_type => self.not_prometheus(otherwise),
                Some(data) => self.wrong_type(&self.excerpt(data.result_type.0.as_bytes())),
                None => self.not_prometheus("it has no data"),
            },
            Ok(_) => self.not_prometheus("its status is neither success nor error"),
            Err(error) => self.not_prometheus(&error.to_string()),
        }
    }

    /// An error that the API itself reports: about the query, or about something else.
    fn api_error(&self, head: &Head<'_>) -> PromError {
        let text = |text: &Option<Text<'_>>| {
            text.as_ref().map_or_else(
                || "no message".to_owned(),
                |text| self.excerpt(text.0.as_bytes()),
            )
        };
        let message = text(&head.error);
        let about_the_query = self.status.is_success()
            || self.status == StatusCode::BAD_REQUEST
            || self.status == StatusCode::UNPROCESSABLE_ENTITY;
        if about_the_query {
            PromError::Promql {
                sent: self.sent.clone(),
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
            sent: self.sent.clone(),
            status: self.status.as_u16(),
            message,
        }
    }

    fn not_prometheus(&self, reason: &str) -> PromError {
        PromError::NotPrometheus {
            sent: self.sent.clone(),
            // The reason may quote the response.
            reason: self.without_secrets(reason),
            excerpt: self.excerpt(&self.body),
        }
    }

    fn partial<D>(&self, head: &Head<'_, D>) -> Option<PartialResponse> {
        let warnings = head.warnings.iter().flatten();
        let warnings: Vec<_> = warnings.filter(|warning| !is_note(warning)).collect();
        let mut signs = Vec::new();
        if head.is_partial == Some(true) {
            signs.push(PartialSign::Flag);
        }
        let shown = warnings.iter().take(WARNINGS);
        signs.extend(shown.map(|text| PartialSign::Warning(self.excerpt(text.0.as_bytes()))));
        if warnings.len() > WARNINGS {
            signs.push(PartialSign::More(warnings.len() - WARNINGS));
        }
        let purpose = self.sent.purpose;
        (!signs.is_empty()).then_some(PartialResponse { purpose, signs })
    }
}

/// Whether a warning is only a note about the query, so that the response is complete.
fn is_note(warning: &Text<'_>) -> bool {
    warning.0.trim_start().starts_with(NOTE)
}

/// Why a response may be incomplete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartialResponse {
    purpose: Purpose,
    signs: Vec<PartialSign>,
}

/// One sign of an incomplete response.
#[derive(Debug, Clone, PartialEq, Eq)]
enum PartialSign {
    /// `isPartial` of VictoriaMetrics.
    Flag,
    /// One of the `warnings` of Prometheus, Thanos or Mimir.
    Warning(String),
    /// The number of warnings that are not shown.
    More(usize),
}

impl fmt::Display for PartialResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the response to {} may be incomplete: ", self.purpose)?;
        for (index, sign) in self.signs.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            match sign {
                PartialSign::Flag => write!(
                    f,
                    "{separator}the server marks it as partial (isPartial): a part of its storage \
                     did not respond"
                )?,
                PartialSign::Warning(text) => write!(f, "{separator}the server warns: {text}")?,
                PartialSign::More(count) => write!(f, "{separator}and {count} more warnings")?,
            }
        }
        Ok(())
    }
}
