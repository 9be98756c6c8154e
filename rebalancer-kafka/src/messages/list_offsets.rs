//! `ListOffsets`: the offsets of partitions at a time, from their leader.

use super::{Api, Request};
use crate::error_code::ErrorCode;
use crate::wire::{Malformed, Reader, Writer};

/// A point of a partition's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timestamp {
    /// The end of the log: the offset of the next record.
    Latest,
    /// The first record whose time is not before this one, in milliseconds since 1970.
    At(i64),
}

/// The request for partitions that have the same leader.
#[derive(Debug)]
pub(crate) struct ListOffsets<'a> {
    pub(crate) timestamp: Timestamp,
    /// The topics with their partitions.
    pub(crate) topics: &'a [(String, Vec<i32>)],
}

/// The offset of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OffsetAt {
    pub(crate) partition: i32,
    pub(crate) error: ErrorCode,
    /// The offset; -1 if no record is that young.
    pub(crate) offset: i64,
}

/// A client that is not a broker.
const NO_REPLICA: i32 = -1;
/// Every record counts, including those of open transactions.
const READ_UNCOMMITTED: i8 = 0;
/// The leader's epoch is not known.
const NO_EPOCH: i32 = -1;

impl Request for ListOffsets<'_> {
    const API: Api = Api {
        key: 2,
        name: "ListOffsets",
        versions: 5..=5,
        flexible_from: 6,
    };
    /// The topics with the offsets of their partitions.
    type Response = Vec<(String, Vec<OffsetAt>)>;

    fn encode(&self, _version: i16, writer: &mut Writer) {
        let timestamp = match self.timestamp {
            Timestamp::Latest => -1,
            Timestamp::At(time) => time,
        };
        writer.i32(NO_REPLICA);
        writer.i8(READ_UNCOMMITTED);
        writer.array(self.topics, |writer, (topic, partitions)| {
            writer.string(topic);
            writer.array(partitions, |writer, &partition| {
                writer.i32(partition);
                writer.i32(NO_EPOCH);
                writer.i64(timestamp);
            });
        });
    }

    fn decode(_version: i16, reader: &mut Reader<'_>) -> Result<Self::Response, Malformed> {
        let _throttle_ms = reader.i32()?;
        reader.array(|reader| {
            let topic = reader.string()?;
            let partitions = reader.array(|reader| {
                let partition = reader.i32()?;
                let error = ErrorCode(reader.i16()?);
                let _timestamp = reader.i64()?;
                let offset = reader.i64()?;
                let _leader_epoch = reader.i32()?;
                Ok(OffsetAt {
                    partition,
                    error,
                    offset,
                })
            })?;
            Ok((topic, partitions))
        })
    }
}
