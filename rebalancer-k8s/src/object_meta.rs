//! Parts of an object's metadata, in JSON and in protobuf.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer};

use crate::pages::BadPage;

/// An owner of an object.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
pub(crate) struct OwnerReference {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) kind: Bytes,
    #[prost(bytes = "bytes", tag = "4")]
    pub(crate) uid: Bytes,
    #[prost(bool, tag = "6")]
    #[serde(default)]
    controller: bool,
}

/// Returns the owner that controls an object. The API allows at most one.
pub(crate) fn controller(owners: &[OwnerReference]) -> Option<&OwnerReference> {
    owners.iter().find(|owner| owner.controller)
}

/// An instant. The API has whole seconds.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Time {
    /// `None` in the encoding of an instant that is not set.
    #[prost(int64, optional, tag = "1")]
    seconds: Option<i64>,
}

impl Time {
    /// Whether the instant is set.
    pub(crate) fn is_set(self) -> bool {
        self.seconds.is_some()
    }

    /// Returns the instant, or `None` if it is not set.
    pub(crate) fn instant(self) -> Result<Option<Timestamp>, BadPage> {
        self.seconds
            .map(|seconds| Timestamp::from_second(seconds).map_err(|_| BadPage::Time(seconds)))
            .transpose()
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let instant = Timestamp::deserialize(deserializer)?;
        Ok(Self {
            seconds: Some(instant.as_second()),
        })
    }
}

/// Reads `null` as the default value.
pub(crate) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Returns the text of a field. The API sends UTF-8 only; other bytes are replaced.
pub(crate) fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
