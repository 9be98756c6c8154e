//! Pages of a list.

use bytes::Bytes;
use rebalancer_adapter::read_json;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::protobuf::Malformed;

/// The number of objects on a page of a list, except for pods, whose number the settings have.
pub(crate) const PAGE: u32 = 500;

/// Receives the pages of a list.
pub(crate) trait Pages {
    /// The listing starts again: discards everything received so far.
    fn restart(&mut self);

    /// Receives the next page.
    fn page(&mut self, body: &Bytes) -> Result<PageEnd, BadPage>;
}

/// The end of a page.
#[derive(Debug)]
pub(crate) struct PageEnd {
    /// Number of objects on the page.
    pub(crate) items: usize,
    /// Continue token of the next page; `None` on the last page.
    pub(crate) next: Option<String>,
    /// The receiver does not need the remaining pages.
    pub(crate) enough: bool,
}

/// A page that does not have the expected form.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadPage {
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Protobuf(#[from] Malformed),
    #[error("`{0}` is not a CPU quantity such as `100m`")]
    Quantity(String),
    #[error("an object without name or UID")]
    Nameless,
    #[error("an object with a name or UID that is not UTF-8")]
    NotUtf8,
    #[error("a time that is out of range: {0} s since 1970")]
    Time(i64),
    #[error("expected a {expected}List, found {}", of_kind(.found))]
    NotTheList {
        /// Kind of the requested objects.
        expected: &'static str,
        /// Kind that the response names.
        found: String,
    },
}

fn of_kind(kind: &str) -> String {
    match kind {
        "" => "an object without a kind".to_owned(),
        kind => format!("a {kind}"),
    }
}

/// Fails unless a response is the requested list. Nothing but the kind distinguishes an empty list
/// from an object that does not come from the API server.
fn check_list(expected: &'static str, found: &str) -> Result<(), BadPage> {
    if found.strip_suffix("List") == Some(expected) || found == "PartialObjectMetadataList" {
        return Ok(());
    }
    Err(BadPage::NotTheList {
        expected,
        found: found.to_owned(),
    })
}

/// One page of a list. `T` has the fields that are read of each object.
#[derive(Deserialize)]
pub(crate) struct Page<T> {
    #[serde(default)]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) metadata: ListMetadata,
    /// `null` in some responses that have no items.
    pub(crate) items: Option<Vec<T>>,
}

#[derive(Clone, PartialEq, prost::Message, Deserialize)]
pub(crate) struct ListMetadata {
    #[prost(string, optional, tag = "3")]
    #[serde(rename = "continue")]
    next: Option<String>,
}

impl<T> Page<T> {
    /// Returns the objects, which must be of `kind`, and the end of the page.
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

/// Collects every object; for short lists.
pub(crate) struct Collect<T> {
    kind: &'static str,
    pub(crate) objects: Vec<T>,
}

impl<T> Collect<T> {
    pub(crate) fn of_kind(kind: &'static str) -> Self {
        Self {
            kind,
            objects: Vec::new(),
        }
    }
}

impl<T: DeserializeOwned> Pages for Collect<T> {
    fn restart(&mut self) {
        self.objects.clear();
    }

    fn page(&mut self, body: &Bytes) -> Result<PageEnd, BadPage> {
        let (items, end) = read_json::<Page<T>>(body)?.split(self.kind)?;
        self.objects.extend(items);
        Ok(end)
    }
}
