//! `JoinGroup`.

use std::time::Duration;

use super::{Api, Request};
use crate::error_code::ErrorCode;
use crate::wire::{Malformed, Reader, Writer};

/// The request of a dynamic member of a classic group of consumers, with one protocol.
#[derive(Debug)]
pub(crate) struct JoinGroup<'a> {
    pub(crate) group: &'a str,
    pub(crate) session_timeout: Duration,
    pub(crate) rebalance_timeout: Duration,
    /// Empty to request a member id.
    pub(crate) member_id: &'a str,
    pub(crate) protocol: &'a str,
    pub(crate) metadata: &'a [u8],
    /// The reason in the log of the broker, from version 8 on.
    pub(crate) reason: &'a str,
}

/// The response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Joined {
    pub(crate) error: ErrorCode,
    pub(crate) generation: i32,
    pub(crate) protocol: Option<String>,
    pub(crate) leader: String,
    /// The member id of the requester.
    pub(crate) member_id: String,
    /// The members, for the leader.
    pub(crate) members: Vec<Member>,
}

/// A member, as the leader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) id: String,
    pub(crate) instance: Option<String>,
    pub(crate) metadata: Vec<u8>,
}

/// The protocol type of consumers.
pub(super) const PROTOCOL_TYPE: &str = "consumer";

pub(super) fn milliseconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

impl Request for JoinGroup<'_> {
    const API: Api = Api {
        key: 11,
        name: "JoinGroup",
        versions: 7..=9,
        flexible_from: 6,
    };
    type Response = Joined;

    fn encode(&self, version: i16, writer: &mut Writer) {
        writer.string(self.group);
        writer.i32(milliseconds(self.session_timeout));
        writer.i32(milliseconds(self.rebalance_timeout));
        writer.string(self.member_id);
        let instance = None;
        writer.nullable_string(instance);
        writer.string(PROTOCOL_TYPE);
        writer.array(&[self.protocol], |writer, protocol| {
            writer.string(protocol);
            writer.bytes(self.metadata);
            writer.tags();
        });
        if version >= 8 {
            writer.nullable_string(Some(self.reason));
        }
        writer.tags();
    }

    fn decode(version: i16, reader: &mut Reader<'_>) -> Result<Self::Response, Malformed> {
        let _throttle_ms = reader.i32()?;
        let error = ErrorCode(reader.i16()?);
        let generation = reader.i32()?;
        let _protocol_type = reader.nullable_string()?;
        let protocol = reader.nullable_string()?;
        let leader = reader.string()?;
        if version >= 9 {
            let _skip_assignment = reader.bool()?;
        }
        let member_id = reader.string()?;
        let members = reader.array(|reader| {
            let member = Member {
                id: reader.string()?,
                instance: reader.nullable_string()?,
                metadata: reader.bytes()?.to_vec(),
            };
            reader.tags()?;
            Ok(member)
        })?;
        reader.tags()?;
        Ok(Joined {
            error,
            generation,
            protocol,
            leader,
            member_id,
            members,
        })
    }
}
