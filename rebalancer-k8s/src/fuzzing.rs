//! The readers of answers, for the fuzz targets: nothing here is part of the crate's interface.

use bytes::Bytes;
use http::StatusCode;
use jiff::Timestamp;
use rebalancer_core::model::Pod;

use crate::pages::Pages as _;
use crate::pods::{ReadyCount, Reduction};
use crate::refusal::Refusal;

/// What comes of a page of pods.
#[derive(Debug)]
pub struct Page {
    /// The pods, reduced.
    pub pods: Vec<Pod>,
    /// How many the page says it has.
    pub items: usize,
    /// Where the next page begins.
    pub next: Option<String>,
    /// How many of the pods are ready and controlled by the owner that was asked for.
    pub ready: usize,
}

/// Reads a page of pods in either format, as a run does: once to reduce the pods, and once to
/// count those that are ready.
///
/// # Errors
/// The words about a page that is not of the expected form.
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

/// The words of an answer that is not a success, and whether the API itself gave it.
#[must_use]
pub fn refusal(status: u16, body: &[u8]) -> (String, bool) {
    let status = StatusCode::from_u16(status).unwrap_or_default();
    let refusal = Refusal::read(status, None, &Bytes::copy_from_slice(body));
    (refusal.message, refusal.from_api)
}
