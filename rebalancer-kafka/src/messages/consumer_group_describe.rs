//! `ConsumerGroupDescribe`: the members of a group of the consumer protocol (KIP-848).

use super::{Api, AuthorizedOperations, Request};
use crate::error_code::ErrorCode;
use crate::wire::{Malformed, Reader, Writer};

/// The request for one group.
#[derive(Debug)]
pub(crate) struct ConsumerGroupDescribe<'a> {
    pub(crate) group: &'a str,
}

/// The group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConsumerGroup {
    pub(crate) error: ErrorCode,
    /// `Stable`, `Assigning`, `Reconciling`, `Empty`, …
    pub(crate) state: String,
    pub(crate) assignor: String,
    pub(crate) members: Vec<ConsumerGroupMember>,
    pub(crate) operations: AuthorizedOperations,
}

/// A member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConsumerGroupMember {
    pub(crate) id: String,
    pub(crate) instance: Option<String>,
    pub(crate) rack: Option<String>,
    pub(crate) client_id: String,
    pub(crate) host: String,
    pub(crate) topics: Vec<String>,
    /// A regular expression that the member subscribes to, which the broker evaluates.
    pub(crate) topic_regex: Option<String>,
    /// The topics with the partitions that the member owns.
    pub(crate) assignment: Vec<(String, Vec<i32>)>,
    /// Whether the member speaks the classic protocol; `None` if the broker is older than 4.0.
    pub(crate) is_classic: Option<bool>,
}

/// The type of a member of the classic protocol.
const CLASSIC: i8 = 0;

impl Request for ConsumerGroupDescribe<'_> {
    const API: Api = Api {
        key: 69,
        name: "ConsumerGroupDescribe",
        versions: 0..=1,
        flexible_from: 0,
    };
    type Response = Vec<ConsumerGroup>;

    fn encode(&self, _version: i16, writer: &mut Writer) {
        writer.array(&[self.group], |writer, group| writer.string(group));
        let include_authorized_operations = true;
        writer.bool(include_authorized_operations);
        writer.tags();
    }

    fn decode(version: i16, reader: &mut Reader<'_>) -> Result<Self::Response, Malformed> {
        let _throttle_ms = reader.i32()?;
        let groups = reader.array(|reader| {
            let error = ErrorCode(reader.i16()?);
            let _message = reader.nullable_string()?;
            let _id = reader.string()?;
            let state = reader.string()?;
            let _group_epoch = reader.i32()?;
            let _assignment_epoch = reader.i32()?;
            let assignor = reader.string()?;
            let members = reader.array(|reader| member(version, reader))?;
            let operations = AuthorizedOperations(reader.i32()?);
            reader.tags()?;
            Ok(ConsumerGroup {
                error,
                state,
                assignor,
                members,
                operations,
            })
        })?;
        reader.tags()?;
        Ok(groups)
    }
}

fn member(version: i16, reader: &mut Reader<'_>) -> Result<ConsumerGroupMember, Malformed> {
    let id = reader.string()?;
    let instance = reader.nullable_string()?;
    let rack = reader.nullable_string()?;
    let _epoch = reader.i32()?;
    let client_id = reader.string()?;
    let host = reader.string()?;
    let topics = reader.array(Reader::string)?;
    let topic_regex = reader.nullable_string()?;
    let assignment = topic_partitions(reader)?;
    let _target = topic_partitions(reader)?;
    let is_classic = match version {
        1.. => Some(reader.i8()? == CLASSIC),
        _ => None,
    };
    reader.tags()?;
    Ok(ConsumerGroupMember {
        id,
        instance,
        rack,
        client_id,
        host,
        topics,
        topic_regex,
        assignment,
        is_classic,
    })
}

fn topic_partitions(reader: &mut Reader<'_>) -> Result<Vec<(String, Vec<i32>)>, Malformed> {
    let topics = reader.array(|reader| {
        reader.uuid()?;
        let topic = reader.string()?;
        let partitions = reader.array(Reader::i32)?;
        reader.tags()?;
        Ok((topic, partitions))
    })?;
    reader.tags()?;
    Ok(topics)
}
