//! The parsers of responses, for the fuzz targets. Not part of the public interface.

use bytes::Bytes;
use http::StatusCode;
use jiff::Timestamp;
use rebalancer_core::model::Pod;

use crate::pages::Pages as _;
use crate::pods::{ReadyCount, Reduction};
use crate::refusal::Refusal;

/// A parsed page of pods.
#[derive(Debug)]
pub struct Page {
    /// The reduced pods.
    pub pods: Vec<Pod>,
    /// Number of pods on the page.
    pub items: usize,
    /// Continue token of the next page.
    pub next: Option<String>,
    /// Number of pods that are ready and controlled by the given owner.
    pub ready: usize,
}

/// Parses a page of pods in either format, like a run: once to reduce the pods, and once to count
/// the ready pods.
///
/// # Errors
/// The message about a page that does not have the expected form.
pub fn pods(
    body: &[u8],
    taken_at: Timestamp,
    container: &str,
    owner: &str,
) -> Result<Page, String> {
    let owners = [owner.to_owned()];
    let mut reduction = Reduction::new(taken_at, container);
    let mut count = ReadyCount::new(&owners, usize::MAX);
    let body = Bytes::copy_from_slice(body);
    let reduced = reduction.page(&body);
    let counted = count.page(&body);
    let end = reduced.map_err(|error| error.to_string())?;
    counted.map_err(|error| error.to_string())?;
    Ok(Page {
        pods: reduction.finish(&owners, None).pods,
        items: end.items,
        next: end.next,
        ready: count.ready,
    })
}

/// Parses a response that is not a success. Returns its message, and whether it is from the API
/// server.
#[must_use]
pub fn refusal(status: u16, body: &[u8]) -> (String, bool) {
    let status = StatusCode::from_u16(status).unwrap_or_default();
    let refusal = Refusal::read(status, None, &Bytes::copy_from_slice(body));
    (refusal.message, refusal.from_api)
}
