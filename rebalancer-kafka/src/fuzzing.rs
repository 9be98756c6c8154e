//! Decoders for the fuzz targets. This module is not part of the crate's interface.

use crate::consumer_protocol::{Assignment, Subscription, is_sticky_user_data};
use crate::group::flattened;
use crate::messages::{
    self, ApiVersions, ConsumerGroupDescribe, DescribeGroupConfig, DescribeGroups, FindCoordinator,
    Heartbeat, JoinGroup, LeaveGroup, ListGroups, ListOffsets, Metadata, OffsetFetch, Request,
    SaslAuthenticate, SaslHandshake, SyncGroup,
};

/// The number of decoders.
pub const DECODERS: u8 = 17;

/// Decodes a frame with one of the decoders, in a version of its API. Returns whether the frame is
/// a valid message.
#[must_use]
pub fn decode(decoder: u8, version: u8, frame: &[u8]) -> bool {
    match decoder % DECODERS {
        0 => response::<ApiVersions>(version, frame),
        1 => response::<SaslHandshake<'_>>(version, frame),
        2 => response::<SaslAuthenticate>(version, frame),
        3 => response::<Metadata<'_>>(version, frame),
        4 => response::<FindCoordinator<'_>>(version, frame),
        5 => response::<ListGroups>(version, frame),
        6 => response::<DescribeGroups<'_>>(version, frame),
        7 => response::<ConsumerGroupDescribe<'_>>(version, frame),
        8 => response::<OffsetFetch<'_>>(version, frame),
        9 => response::<ListOffsets<'_>>(version, frame),
        10 => response::<JoinGroup<'_>>(version, frame),
        11 => response::<SyncGroup<'_>>(version, frame),
        12 => response::<Heartbeat<'_>>(version, frame),
        13 => response::<LeaveGroup<'_>>(version, frame),
        14 => {
            let user_data = is_sticky_user_data(frame);
            Subscription::decode(frame).is_ok() || user_data
        }
        15 => assignment(frame),
        _ => response::<DescribeGroupConfig<'_>>(version, frame),
    }
}

/// Decodes a response in the version of its API that the number selects.
fn response<R: Request>(version: u8, frame: &[u8]) -> bool {
    let versions = R::API.versions;
    let count = versions.end() - versions.start() + 1;
    let version = versions.start() + i16::from(version) % count;
    messages::decode::<R>(version, frame).is_ok()
}

/// Decodes an assignment. One that is valid survives encoding.
fn assignment(bytes: &[u8]) -> bool {
    let Ok(assignment) = Assignment::decode(bytes) else {
        return false;
    };
    let encoded = Assignment::encode(&assignment.partitions, None);
    let decoded = Assignment::decode(&encoded).map(|decoded| decoded.partitions);
    assert_eq!(decoded.as_ref(), Ok(&assignment.partitions));
    let partitions = flattened(assignment.partitions);
    assert!(partitions.is_sorted());
    true
}
