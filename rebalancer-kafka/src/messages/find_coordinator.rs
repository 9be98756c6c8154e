//! `FindCoordinator`: the broker that coordinates a group.

use super::metadata::address;
use super::{Api, Request};
use crate::address::Address;
use crate::error_code::ErrorCode;
use crate::wire::{Malformed, Reader, Writer};

/// The request for the coordinator of a group.
#[derive(Debug)]
pub(crate) struct FindCoordinator<'a> {
    pub(crate) group: &'a str,
}

/// The response.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Coordinator {
    pub(crate) error: ErrorCode,
    pub(crate) address: Address,
}

/// The type of the key: a group.
const GROUP: i8 = 0;

impl Request for FindCoordinator<'_> {
    const API: Api = Api {
        key: 10,
        name: "FindCoordinator",
        versions: 2..=2,
        flexible_from: 3,
    };
    type Response = Coordinator;

    fn encode(&self, _version: i16, writer: &mut Writer) {
        writer.string(self.group);
        writer.i8(GROUP);
    }

    fn decode(_version: i16, reader: &mut Reader<'_>) -> Result<Self::Response, Malformed> {
        let _throttle_ms = reader.i32()?;
        let error = ErrorCode(reader.i16()?);
        let _message = reader.nullable_string()?;
        let _node_id = reader.i32()?;
        let address = address(reader)?;
        Ok(Coordinator { error, address })
    }
}
