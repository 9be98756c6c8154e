//! The messages of Kafka's protocol that the crate sends, one module for each API.
//!
//! For each API the crate uses the oldest version that has what it needs, so that one encoding
//! serves every broker from Kafka 2.8 to 4.4, and those of other products. Several versions are
//! only used where newer brokers report more.

use std::ops::RangeInclusive;

use crate::wire::{Malformed, Reader, Writer};

mod api_versions;
mod consumer_group_describe;
mod describe_configs;
mod describe_groups;
mod find_coordinator;
mod join_group;
mod leave_group;
mod list_groups;
mod list_offsets;
mod metadata;
mod offset_fetch;
mod sasl;
mod sync_group;

pub(crate) use api_versions::{ApiVersions, VersionRange};
pub(crate) use consumer_group_describe::{ConsumerGroup, ConsumerGroupDescribe};
pub(crate) use describe_configs::DescribeGroupConfig;
pub(crate) use describe_groups::{DescribeGroups, DescribedGroup, DescribedMember};
pub(crate) use find_coordinator::FindCoordinator;
pub(crate) use join_group::{JoinGroup, Joined, Member as JoinedMember};
pub(crate) use leave_group::LeaveGroup;
pub(crate) use list_groups::{ListGroups, ListedGroup};
pub(crate) use list_offsets::{ListOffsets, OffsetAt, Timestamp};
pub(crate) use metadata::{BrokerMetadata, ClusterMetadata, Metadata, TopicMetadata};
pub(crate) use offset_fetch::OffsetFetch;
pub(crate) use sasl::{SaslAuthenticate, SaslAuthenticated, SaslHandshake};
pub(crate) use sync_group::{Heartbeat, SyncGroup};

#[cfg(test)]
pub(crate) use {consumer_group_describe::ConsumerGroupMember, metadata::PartitionMetadata};

/// An API of the protocol.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Api {
    /// The number of the API.
    pub(crate) key: i16,
    /// The name, as in Kafka's documentation.
    pub(crate) name: &'static str,
    /// The versions that this crate can encode and decode.
    pub(crate) versions: RangeInclusive<i16>,
    /// The first version with the flexible encoding.
    pub(crate) flexible_from: i16,
}

impl Api {
    pub(crate) fn is_flexible(&self, version: i16) -> bool {
        version >= self.flexible_from
    }
}

/// The operations on a group that its coordinator permits to the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AuthorizedOperations(pub(crate) i32);

impl AuthorizedOperations {
    /// The value of a response that does not have them.
    const UNKNOWN: i32 = i32::MIN;
    /// The number of the operation READ, which is the index of its bit.
    const READ: u32 = 3;

    /// Whether READ is permitted; `None` if the coordinator does not report it.
    pub(crate) fn may_read(self) -> Option<bool> {
        (self.0 != Self::UNKNOWN).then_some(self.0 >> Self::READ & 1 == 1)
    }
}

/// A request, with the decoder of its response.
pub(crate) trait Request {
    /// The API.
    const API: Api;
    /// The response.
    type Response;

    /// Appends the body of the request.
    fn encode(&self, version: i16, writer: &mut Writer);

    /// Reads the body of the response.
    fn decode(version: i16, reader: &mut Reader<'_>) -> Result<Self::Response, Malformed>;
}

/// Encodes a request with its header, without the length of the frame.
pub(crate) fn encode<R: Request>(
    request: &R,
    version: i16,
    correlation_id: i32,
    client_id: &str,
) -> Vec<u8> {
    let flexible = R::API.is_flexible(version);
    // The header has a classic text even if the rest is flexible.
    let mut header = Writer::new(false);
    header.i16(R::API.key);
    header.i16(version);
    header.i32(correlation_id);
    header.nullable_string(Some(client_id));
    let mut message = header.finish();
    let mut body = Writer::new(flexible);
    body.tags();
    request.encode(version, &mut body);
    message.extend(body.finish());
    message
}

/// Decodes a response without the length of the frame. Returns its correlation id and its body.
pub(crate) fn decode<R: Request>(
    version: i16,
    frame: &[u8],
) -> Result<(i32, R::Response), Malformed> {
    let flexible = R::API.is_flexible(version);
    let mut reader = Reader::new(frame, flexible);
    let correlation_id = reader.i32()?;
    // The header of this response is never flexible: the client may not know the version.
    if R::API.key != ApiVersions::API.key {
        reader.tags()?;
    }
    let response = R::decode(version, &mut reader)?;
    reader.end()?;
    Ok((correlation_id, response))
}
