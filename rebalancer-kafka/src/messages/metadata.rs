//! `Metadata`: the brokers and topics of a cluster.

use super::{Api, Request};
use crate::address::Address;
use crate::error_code::ErrorCode;
use crate::wire::{Malformed, Reader, Writer};

/// The request for topics by name. Never creates a topic.
#[derive(Debug)]
pub(crate) struct Metadata<'a> {
    pub(crate) topics: &'a [String],
}

/// The cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ClusterMetadata {
    pub(crate) brokers: Vec<BrokerMetadata>,
    pub(crate) cluster_id: Option<String>,
    pub(crate) topics: Vec<TopicMetadata>,
}

/// A broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BrokerMetadata {
    pub(crate) id: i32,
    pub(crate) address: Address,
    pub(crate) rack: Option<String>,
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicMetadata {
    pub(crate) error: ErrorCode,
    pub(crate) name: String,
    pub(crate) partitions: Vec<PartitionMetadata>,
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartitionMetadata {
    pub(crate) index: i32,
    /// The id of the leader; -1 if there is none.
    pub(crate) leader: i32,
    pub(crate) replicas: Vec<i32>,
}

/// Reads a broker's host and port, which are consecutive in every message.
pub(super) fn address(reader: &mut Reader<'_>) -> Result<Address, Malformed> {
    let host = reader.string()?;
    let port = reader.i32()?;
    // A coordinator that is not available has the port -1.
    let port = u16::try_from(port).unwrap_or_default();
    Ok(Address { host, port })
}

impl Request for Metadata<'_> {
    const API: Api = Api {
        key: 3,
        name: "Metadata",
        versions: 8..=8,
        flexible_from: 9,
    };
    type Response = ClusterMetadata;

    fn encode(&self, _version: i16, writer: &mut Writer) {
        writer.array(self.topics, |writer, topic| writer.string(topic));
        let create_topics = false;
        writer.bool(create_topics);
        let authorized_operations = false;
        writer.bool(authorized_operations);
        writer.bool(authorized_operations);
    }

    fn decode(_version: i16, reader: &mut Reader<'_>) -> Result<Self::Response, Malformed> {
        let _throttle_ms = reader.i32()?;
        let brokers = reader.array(|reader| {
            Ok(BrokerMetadata {
                id: reader.i32()?,
                address: address(reader)?,
                rack: reader.nullable_string()?,
            })
        })?;
        let cluster_id = reader.nullable_string()?;
        let _controller = reader.i32()?;
        let topics = reader.array(topic)?;
        let _authorized_operations = reader.i32()?;
        Ok(ClusterMetadata {
            brokers,
            cluster_id,
            topics,
        })
    }
}

fn topic(reader: &mut Reader<'_>) -> Result<TopicMetadata, Malformed> {
    let error = ErrorCode(reader.i16()?);
    let name = reader.string()?;
    let _is_internal = reader.bool()?;
    let partitions = reader.array(|reader| {
        let _error = reader.i16()?;
        let index = reader.i32()?;
        let leader = reader.i32()?;
        let _leader_epoch = reader.i32()?;
        let replicas = reader.array(Reader::i32)?;
        let _in_sync = reader.array(Reader::i32)?;
        let _offline = reader.array(Reader::i32)?;
        Ok(PartitionMetadata {
            index,
            leader,
            replicas,
        })
    })?;
    let _authorized_operations = reader.i32()?;
    Ok(TopicMetadata {
        error,
        name,
        partitions,
    })
}
