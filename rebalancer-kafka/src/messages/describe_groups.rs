//! `DescribeGroups`: the members of a group of the classic protocol.

use super::{Api, AuthorizedOperations, Request};
use crate::error_code::ErrorCode;
use crate::wire::{Malformed, Reader, Writer};

/// The request for one group.
#[derive(Debug)]
pub(crate) struct DescribeGroups<'a> {
    pub(crate) group: &'a str,
}

/// The group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DescribedGroup {
    pub(crate) error: ErrorCode,
    /// `Stable`, `Empty`, `Dead`, …
    pub(crate) state: String,
    /// `consumer`, `connect`, …
    pub(crate) protocol_type: String,
    /// The protocol that the group has chosen: the name of the assignor. Empty unless the state is
    /// `Stable` or `CompletingRebalance`.
    pub(crate) protocol: String,
    pub(crate) members: Vec<DescribedMember>,
    pub(crate) operations: AuthorizedOperations,
}

/// A member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DescribedMember {
    pub(crate) id: String,
    pub(crate) instance: Option<String>,
    pub(crate) client_id: String,
    /// The address, after a slash.
    pub(crate) host: String,
    pub(crate) metadata: Vec<u8>,
    pub(crate) assignment: Vec<u8>,
}

impl Request for DescribeGroups<'_> {
    const API: Api = Api {
        key: 15,
        name: "DescribeGroups",
        versions: 4..=4,
        flexible_from: 5,
    };
    type Response = Vec<DescribedGroup>;

    fn encode(&self, _version: i16, writer: &mut Writer) {
        writer.array(&[self.group], |writer, group| writer.string(group));
        let include_authorized_operations = true;
        writer.bool(include_authorized_operations);
    }

    fn decode(_version: i16, reader: &mut Reader<'_>) -> Result<Self::Response, Malformed> {
        let _throttle_ms = reader.i32()?;
        reader.array(|reader| {
            let error = ErrorCode(reader.i16()?);
            let _id = reader.string()?;
            Ok(DescribedGroup {
                error,
                state: reader.string()?,
                protocol_type: reader.string()?,
                protocol: reader.string()?,
                members: reader.array(|reader| {
                    Ok(DescribedMember {
                        id: reader.string()?,
                        instance: reader.nullable_string()?,
                        client_id: reader.string()?,
                        host: reader.string()?,
                        metadata: reader.bytes()?.to_vec(),
                        assignment: reader.bytes()?.to_vec(),
                    })
                })?,
                operations: AuthorizedOperations(reader.i32()?),
            })
        })
    }
}
