//! `OffsetFetch`: the committed offsets of a group.

use super::{Api, Request};
use crate::error_code::ErrorCode;
use crate::wire::{Malformed, Reader, Writer};

/// The request for every partition with a committed offset.
#[derive(Debug)]
pub(crate) struct OffsetFetch<'a> {
    pub(crate) group: &'a str,
}

/// The committed offset of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommittedOffset {
    pub(crate) partition: i32,
    /// The offset of the next record; -1 if none is committed.
    pub(crate) offset: i64,
    pub(crate) error: ErrorCode,
}

impl Request for OffsetFetch<'_> {
    const API: Api = Api {
        key: 9,
        name: "OffsetFetch",
        versions: 5..=5,
        flexible_from: 6,
    };
    /// The error of the group, and the topics with the offsets of their partitions.
    type Response = (ErrorCode, Vec<(String, Vec<CommittedOffset>)>);

    fn encode(&self, _version: i16, writer: &mut Writer) {
        writer.string(self.group);
        writer.null_array();
    }

    fn decode(_version: i16, reader: &mut Reader<'_>) -> Result<Self::Response, Malformed> {
        let _throttle_ms = reader.i32()?;
        let topics = reader.array(|reader| {
            let topic = reader.string()?;
            let partitions = reader.array(|reader| {
                let partition = reader.i32()?;
                let offset = reader.i64()?;
                let _leader_epoch = reader.i32()?;
                let _metadata = reader.nullable_string()?;
                Ok(CommittedOffset {
                    partition,
                    offset,
                    error: ErrorCode(reader.i16()?),
                })
            })?;
            Ok((topic, partitions))
        })?;
        let error = ErrorCode(reader.i16()?);
        Ok((error, topics))
    }
}
