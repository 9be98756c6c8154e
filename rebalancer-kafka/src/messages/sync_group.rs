//! `SyncGroup` and `Heartbeat`.

use super::join_group::PROTOCOL_TYPE;
use super::{Api, Request};
use crate::error_code::ErrorCode;
use crate::wire::{Malformed, Reader, Writer};

/// The request of a dynamic member of a classic group of consumers.
#[derive(Debug)]
pub(crate) struct SyncGroup<'a> {
    pub(crate) group: &'a str,
    pub(crate) generation: i32,
    pub(crate) member_id: &'a str,
    pub(crate) protocol: &'a str,
    /// The member ids with the bytes of their assignments, from the leader.
    pub(crate) assignments: &'a [(String, Vec<u8>)],
}

impl Request for SyncGroup<'_> {
    const API: Api = Api {
        key: 14,
        name: "SyncGroup",
        versions: 5..=5,
        flexible_from: 4,
    };
    /// The error, and the bytes of the requester's assignment.
    type Response = (ErrorCode, Vec<u8>);

    fn encode(&self, _version: i16, writer: &mut Writer) {
        writer.string(self.group);
        writer.i32(self.generation);
        writer.string(self.member_id);
        let instance = None;
        writer.nullable_string(instance);
        writer.nullable_string(Some(PROTOCOL_TYPE));
        writer.nullable_string(Some(self.protocol));
        writer.array(self.assignments, |writer, (member, assignment)| {
            writer.string(member);
            writer.bytes(assignment);
            writer.tags();
        });
        writer.tags();
    }

    fn decode(_version: i16, reader: &mut Reader<'_>) -> Result<Self::Response, Malformed> {
        let _throttle_ms = reader.i32()?;
        let error = ErrorCode(reader.i16()?);
        let _protocol_type = reader.nullable_string()?;
        let _protocol = reader.nullable_string()?;
        let assignment = reader.bytes()?.to_vec();
        reader.tags()?;
        Ok((error, assignment))
    }
}

/// A heartbeat of a dynamic member.
#[derive(Debug)]
pub(crate) struct Heartbeat<'a> {
    pub(crate) group: &'a str,
    pub(crate) generation: i32,
    pub(crate) member_id: &'a str,
}

impl Request for Heartbeat<'_> {
    const API: Api = Api {
        key: 12,
        name: "Heartbeat",
        versions: 3..=3,
        flexible_from: 4,
    };
    type Response = ErrorCode;

    fn encode(&self, _version: i16, writer: &mut Writer) {
        writer.string(self.group);
        writer.i32(self.generation);
        writer.string(self.member_id);
        let instance = None;
        writer.nullable_string(instance);
    }

    fn decode(_version: i16, reader: &mut Reader<'_>) -> Result<Self::Response, Malformed> {
        let _throttle_ms = reader.i32()?;
        Ok(ErrorCode(reader.i16()?))
    }
}
