//! `LeaveGroup`.

use super::{Api, Request};
use crate::error_code::ErrorCode;
use crate::wire::{Malformed, Reader, Writer};

/// The request to remove members.
#[derive(Debug)]
pub(crate) struct LeaveGroup<'a> {
    pub(crate) group: &'a str,
    /// The member ids, with the instance ids of static members.
    pub(crate) members: &'a [(&'a str, Option<&'a str>)],
    /// The reason in the log of the broker, from version 5 on.
    pub(crate) reason: &'a str,
}

impl Request for LeaveGroup<'_> {
    const API: Api = Api {
        key: 13,
        name: "LeaveGroup",
        versions: 4..=5,
        flexible_from: 4,
    };
    /// The error of the request, and for each member its id and error.
    type Response = (ErrorCode, Vec<(String, ErrorCode)>);

    fn encode(&self, version: i16, writer: &mut Writer) {
        writer.string(self.group);
        writer.array(self.members, |writer, (id, instance)| {
            writer.string(id);
            writer.nullable_string(*instance);
            if version >= 5 {
                writer.nullable_string(Some(self.reason));
            }
            writer.tags();
        });
        writer.tags();
    }

    fn decode(_version: i16, reader: &mut Reader<'_>) -> Result<Self::Response, Malformed> {
        let _throttle_ms = reader.i32()?;
        let error = ErrorCode(reader.i16()?);
        let members = reader.array(|reader| {
            let id = reader.string()?;
            let _instance = reader.nullable_string()?;
            let error = ErrorCode(reader.i16()?);
            reader.tags()?;
            Ok((id, error))
        })?;
        reader.tags()?;
        Ok((error, members))
    }
}
